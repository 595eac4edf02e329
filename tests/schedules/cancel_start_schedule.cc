// A task is started while two threads cancel it: at most one is told that it never ran, and then it never does.
#include "scenario.h"

using namespace schedules;

SCHEDULE(cancel_start)
{
    execq_executor* executor = make_executor(2);
    Task task;
    int never_ran = 0;
    explore();
    task.submit(executor);
    CHECK(task.accepted());
    {
        const auto cancel = [&] {
            const execq_status status = execq_future_cancel(task.future);
            CHECK(status == EXECQ_OK || status == EXECQ_EBUSY || status == EXECQ_EALREADY);
            never_ran += status == EXECQ_OK ? 1 : 0;
        };
        const Thread other(cancel);
        cancel();
    }
    CHECK_STATUS(execq_future_wait(task.future, -1), EXECQ_OK);
    CHECK(never_ran == (task.ran == 0 ? 1 : 0));
    end_executor(executor);
    task.check_end();
}
