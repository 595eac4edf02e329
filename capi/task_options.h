// Floor 4. execq_task_options, as every submission reads them.
#pragma once

#include <cstddef>

#include "base/clock.h"
#include "edge.h"
#include "execq/task.h"
#include "flow/group.h"
#include "flow/queue.h"
#include "sched/interrupt.h"
#include "task/callbacks.h"
#include "task/cancel_source.h"
#include "task/node.h"

namespace execq::core {

inline constexpr std::size_t first_task_options_size = offsetof(execq_task_options, delay_ns);

// What a submission takes over whatever it answers: honoured as soon as struct_size covers it.
inline execq_drop_fn drop_of(const execq_task_options* options)
{
    constexpr std::size_t covered = offsetof(execq_task_options, drop) + sizeof options->drop;
    return options != nullptr && options->struct_size >= covered ? options->drop : nullptr;
}

// A time of the options, which is set, as a point on the clock.
inline std::int64_t point_of(std::int64_t after_ns, std::int64_t now)
{
    if (after_ns < 0)
        return 0;
    return after_ns > TimerWheel::never - now ? TimerWheel::never : now + after_ns;
}

inline TaskTimes times_of(const execq_task_options& options, std::int64_t& now)
{
    TaskTimes times;
    if ((options.delay_ns | options.start_within_ns | options.timeout_ns) == 0)
        return times;
    now = now_ns();
    if (options.delay_ns > 0)
        times.due_ns = point_of(options.delay_ns, now);
    if (options.start_within_ns != 0)
        times.start_by_ns = point_of(options.start_within_ns, now);
    if (options.timeout_ns != 0)
        times.end_by_ns = point_of(options.timeout_ns, now);
    return times;
}

// The task belongs to that group too, and to its queue, if it has one. A task has one of each.
inline execq_status enter_group(TaskSpec& spec, Group& group)
{
    Queue* limit = group.limit();
    const TaskScope* const queue = spec.scopes.all[0];
    const TaskScope* const other = spec.scopes.all[1];
    if ((other != nullptr && other != &group) || (limit != nullptr && queue != nullptr && queue != limit))
        return EXECQ_EINVAL;
    spec.scopes.all[1] = &group;
    if (limit != nullptr) {
        spec.turnstile = limit;
        spec.scopes.all[0] = limit;
    }
    return EXECQ_OK;
}

// All but the function. uv_identity (may be null): what the options say of it, for who asks.
inline execq_status read_task_options(const execq_task_options* options, void* env, TaskSpec& spec,
                                      const char** uv_identity = nullptr)
{
    spec.env = env;
    if (options == nullptr)
        return capture_context(spec.context);
    execq_task_options read;
    const execq_status status =
        read_options<first_task_options_size>(options, EXECQ_TASK_NO_WAIT | EXECQ_TASK_INTERRUPT, read);
    if (status != EXECQ_OK)
        return status;
    if ((read.env_size != 0 && env == nullptr) || read.reserved != 0 || read.priority < EXECQ_PRIORITY_LOW ||
        read.priority > EXECQ_PRIORITY_HIGH)
        return EXECQ_EINVAL;
    if (read.key != 0 && read.queue == nullptr)
        return EXECQ_EINVAL;
    const execq_status ours = check_optional(core_of(read.queue), core_of(read.group), core_of(read.cancel_source),
                                             read.context != nullptr ? core_of(read.context) : nullptr);
    if (ours != EXECQ_OK)
        return ours;
    spec.drop = read.drop;
    spec.drop_result = read.drop_result;
    spec.name = read.name;
    spec.env_size = read.env_size;
    spec.times = times_of(read, spec.times_of_ns);
    spec.turnstile = core_of(read.queue);
    spec.scopes.all[0] = core_of(read.queue);
    spec.scopes.all[2] = core_of(read.cancel_source);
    spec.scopes.key = read.key;
    const execq_status grouped = read.group != nullptr ? enter_group(spec, *core_of(read.group)) : EXECQ_OK;
    if (grouped != EXECQ_OK)
        return grouped;
    spec.priority = read.priority;
    spec.no_wait = (read.flags & EXECQ_TASK_NO_WAIT) != 0;
    spec.interrupt = (read.flags & EXECQ_TASK_INTERRUPT) != 0;
    if (uv_identity != nullptr)
        *uv_identity = read.uv_identity;
    if (read.context == nullptr)
        return capture_context(spec.context);
    spec.context = ContextRef::share(core_of(read.context));
    return EXECQ_OK;
}

// The same for a task of that executor (may be null).
inline execq_status read_task_for(const Executor* executor, const execq_task_options* options, void* env,
                                  TaskSpec& spec, const char** uv_identity = nullptr)
{
    const execq_status status = read_task_options(options, env, spec, uv_identity);
    return status == EXECQ_OK ? check_optional(executor) : status;
}

inline execq_status read_task(const Executor* executor, const execq_task_options* options, execq_fn fn, void* env,
                              TaskSpec& spec)
{
    const execq_status status = read_task_for(executor, options, env, spec);
    spec.fn = fn;
    if (status != EXECQ_OK)
        return status;
    if (fn == nullptr)
        return EXECQ_EINVAL;
    return spec.interrupt ? make_interruptible(spec) : EXECQ_OK;
}

inline execq_status reject(execq_status status, execq_drop_fn drop, void* env)
{
    const CallbackScope scope;
    call_drop(drop, env);
    return status;
}

}  // namespace execq::core
