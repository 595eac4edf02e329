// An executor shrinks and grows while two threads submit: every task runs once, and the executor ends.
#include "scenario.h"

using namespace schedules;

SCHEDULE(resize_submit)
{
    execq_executor* executor = make_executor(3);
    std::array<Task, 4> tasks;
    explore();
    {
        const auto submit_two = [&](std::size_t first) {
            for (std::size_t i = first; i < first + 2; ++i) {
                tasks[i].submit(executor);
                CHECK(tasks[i].accepted());
            }
        };
        const Thread one([&] { submit_two(0); });
        const Thread other([&] { submit_two(2); });
        CHECK_STATUS(execq_executor_resize(executor, 1, 1), EXECQ_OK);
        CHECK_STATUS(execq_executor_resize(executor, 1, 2), EXECQ_OK);
    }
    for (Task& task : tasks) {
        CHECK_STATUS(execq_future_wait(task.future, -1), EXECQ_OK);
        CHECK(task.ran == 1);
    }
    end_executor(executor);
    for (Task& task : tasks)
        task.check_end();
}
