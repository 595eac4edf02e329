// A thread is blocked on a queue with room for one, another one cancels what waits there, a third one closes: the blocked one
// always wakes, accepted or refused, and what was accepted ends.
#include "scenario.h"

using namespace schedules;

SCHEDULE(queue_full)
{
    execq_executor* executor = make_executor(1);
    execq_queue_options queue_options = EXECQ_QUEUE_OPTIONS_INIT;
    queue_options.capacity = 1;
    queue_options.flags = choice(2) == 0 ? 0 : EXECQ_QUEUE_PAUSED;
    queue_options.full_policy = EXECQ_FULL_BLOCK;
    execq_queue* queue = nullptr;
    CHECK_STATUS(execq_queue_new(executor, &queue_options, &queue), EXECQ_OK);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.queue = queue;
    std::array<Task, 3> tasks;
    execq_future* closed = nullptr;
    const std::int32_t how = choice(2) == 0 ? EXECQ_DRAIN : EXECQ_CANCEL;
    explore();
    tasks[0].submit(nullptr, options);
    CHECK(tasks[0].accepted());
    {
        const Thread fills([&] {
            for (std::size_t i = 1; i < tasks.size(); ++i) {
                tasks[i].submit(nullptr, options);
                CHECK(tasks[i].accepted() || tasks[i].submitted == EXECQ_ECLOSED);
            }
        });
        const Thread cancels([&] { (void)execq_future_cancel(tasks[0].future); });
        CHECK_STATUS(execq_queue_close(queue, how, &closed), EXECQ_OK);
    }
    CHECK_STATUS(execq_future_wait(closed, -1), EXECQ_OK);
    for (Task& task : tasks) {
        CHECK(!task.accepted() || execq_future_wait(task.future, 0) == EXECQ_OK);
        task.check_end();
    }
    execq_future_release(closed);
    execq_queue_release(queue);
    end_executor(executor);
}
