// Floor 4: thread_loop.h.
#include "execq/thread_loop.h"

#include "edge.h"
#include "flow/run_until.h"
#include "sched/thread_loop.h"
#include "sched/worker.h"

using namespace execq::core;

execq_status execq_thread_loop(struct uv_loop_s **out)
{
    if (out == nullptr)
        return EXECQ_EINVAL;
    return guarded([&]() -> execq_status {
        ThreadLoop *loop = nullptr;
        const execq_status status = ThreadLoop::open(&loop);
        if (status == EXECQ_OK)
            *out = loop->loop();
        return status;
    });
}

execq_status execq_thread_loop_close(void)
{
    if (Worker::current() != nullptr)
        return EXECQ_EINVAL;
    return guarded([] { return ThreadLoop::close(); });
}

execq_status execq_run_until(execq_future *future, int64_t timeout_ns)
{
    const execq_status ours = check_readable(core_of(future));
    if (ours != EXECQ_OK)
        return ours;
    return guarded([&] { return run_until(*core_of(future), Deadline::after(timeout_ns)); });
}
