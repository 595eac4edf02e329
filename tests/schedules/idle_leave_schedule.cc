// Threads leave as soon as they are idle, while two threads submit, one task after the end of the other: none waits for a thread
// that is on its way out.
#include "scenario.h"

using namespace schedules;

SCHEDULE(idle_leave)
{
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 2;
    options.max_spares = -1;
    options.keepalive_ns = -1;
    execq_executor* executor = nullptr;
    CHECK_STATUS(execq_executor_new(&options, &executor), EXECQ_OK);
    std::array<Task, 4> tasks;
    explore();
    {
        const auto submit_two = [&](std::size_t first) {
            for (std::size_t i = first; i < first + 2; ++i) {
                tasks[i].submit(executor);
                CHECK(tasks[i].accepted());
                CHECK_STATUS(execq_future_wait(tasks[i].future, -1), EXECQ_OK);
            }
        };
        const Thread other([&] { submit_two(0); });
        submit_two(2);
    }
    end_executor(executor);
    for (Task& task : tasks)
        task.check_end();
}
