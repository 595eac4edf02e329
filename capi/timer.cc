// Floor 4: timer.h.
#include "execq/timer.h"

#include <algorithm>

#include "edge.h"
#include "flow/submission.h"
#include "sched/manual.h"
#include "sched/timekeeper.h"
#include "task_options.h"

using namespace execq::core;

execq_status execq_sleep(int64_t duration_ns, execq_future **out)
{
    if (out == nullptr)
        return EXECQ_EINVAL;
    return guarded([&]() -> execq_status {
        Node *node = nullptr;
        const Manual::Use manual = Manual::of_this_thread();
        Timekeeper &keeper = manual ? manual->keeper() : Timekeeper::get();
        const std::int64_t until = duration_ns < 0 ? TimerWheel::never : point_of(duration_ns, keeper.now());
        ContextRef context;
        execq_status status = capture_context(context);
        if (status == EXECQ_OK)
            status = keeper.sleep(until, &node, context);
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
    if (spec.times_of_ns == 0)
        spec.times_of_ns = now_ns();
    spec.times.due_ns = std::max(spec.times.due_ns, spec.times_of_ns);
    spec.times.period_ns = period_ns;
    spec.times.fixed_delay = mode == EXECQ_FIXED_DELAY;
    return guarded([&] { return submit(core_of(executor), spec, out); });
}
