// Floor 4: timer.h.
#include "execq/timer.h"

#include <algorithm>

#include "edge.h"
#include "flow/submission.h"
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
        ContextRef context;
        execq_status status = capture_context(context);
        if (status == EXECQ_OK)
            status = Timekeeper::get().sleep(until, &node, context);
        if (status == EXECQ_OK)
            *out = future_of(node);
        return status;
    });
}

execq_status execq_submit_periodic(execq_executor *executor, const execq_task_options *options, int64_t period_ns,
                                   int32_t mode, execq_fn fn, void *env, execq_future **out)
{
    TaskSpec spec;
    execq_status status = read_task(core_of(executor), options, fn, env, spec);
    if (status == EXECQ_OK && (period_ns <= 0 || (mode != EXECQ_FIXED_RATE && mode != EXECQ_FIXED_DELAY)))
        status = EXECQ_EINVAL;
    if (status == EXECQ_OK && spec.turnstile != nullptr)
        status = EXECQ_ENOTSUP;
    if (status != EXECQ_OK)
        return reject(status, drop_of(options), env);
    spec.times.due_ns = std::max(spec.times.due_ns, now_ns());
    spec.times.period_ns = period_ns;
    spec.times.fixed_delay = mode == EXECQ_FIXED_DELAY;
    return guarded([&] { return submit(core_of(executor), spec, out); });
}
