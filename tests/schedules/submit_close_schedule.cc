// Two threads submit while a third one closes: what was accepted ends, what was refused is dropped inside the call, and a
// drain runs all that it accepted.
#include "scenario.h"

using namespace schedules;

SCHEDULE(submit_close)
{
    const std::int32_t mode = choice(2) == 0 ? EXECQ_DRAIN : EXECQ_CANCEL;
    execq_executor* executor = make_executor(1 + static_cast<std::uint32_t>(choice(2)));
    std::array<Task, 4> tasks;
    explore();
    {
        const auto submit_two = [&](std::size_t first) {
            for (std::size_t i = first; i < first + 2; ++i) {
                tasks[i].submit(executor);
                CHECK(tasks[i].accepted() || tasks[i].submitted == EXECQ_ECLOSED);
                CHECK(tasks[i].accepted() || tasks[i].dropped == 1);
            }
        };
        const Thread one([&] { submit_two(0); });
        const Thread other([&] { submit_two(2); });
        CHECK_STATUS(execq_executor_close(executor, mode), EXECQ_OK);
    }
    CHECK_STATUS(execq_executor_join(executor, -1, nullptr), EXECQ_OK);
    for (Task& task : tasks) {
        CHECK(!task.accepted() || execq_future_wait(task.future, 0) == EXECQ_OK);
        CHECK(mode == EXECQ_CANCEL || task.ran == (task.accepted() ? 1 : 0));
        task.check_end();
    }
    execq_executor_release(executor);
}
