// Floor 4: timer.h.
#include "execq/timer.h"

#include "edge.h"
#include "sched/timekeeper.h"
#include "task_options.h"

using namespace execq::core;

execq_status execq_sleep(int64_t duration_ns, execq_future **out)
{
    if (out == nullptr)
        return EXECQ_EINVAL;
    return guarded([&]() -> execq_status {
        Node *node = nullptr;
        const std::int64_t until = duration_ns < 0 ? TimerWheel::never : point_of(duration_ns, now_ns());
        const execq_status status = Timekeeper::get().sleep(until, &node);
        if (status == EXECQ_OK)
            *out = future_of(node);
        return status;
    });
}
