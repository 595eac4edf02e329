// Floor 4: group.h.
#include "execq/group.h"

#include <cstddef>

#include "edge.h"
#include "flow/group.h"
#include "flow/submission.h"
#include "sched/conf.h"
#include "sched/manual.h"
#include "task_options.h"

using namespace execq::core;

namespace {

constexpr std::size_t first_group_options_size = offsetof(execq_group_options, cancel_source);

execq_status make_group(const execq_group_options &read, execq_group **out)
{
    GroupSpec spec;
    spec.name = read.name;
    spec.parent = core_of(read.parent);
    spec.source = core_of(read.cancel_source);
    spec.executor = core_of(read.executor);
    spec.max_in_flight = read.max_in_flight;
    const Manual::Use manual = Manual::of_this_thread();
    spec.keeper = manual ? &manual->keeper() : &Timekeeper::get();
    spec.deadline_ns = read.timeout_ns > 0 ? point_of(read.timeout_ns, spec.keeper->now()) : 0;
    if (read.timeout_ns < 0)
        spec.deadline_ns = spec.keeper->now();
    spec.keep_going = (read.flags & EXECQ_GROUP_KEEP_GOING) != 0;
    const bool resolves = spec.max_in_flight != 0 && spec.executor == nullptr;
    execq_status status = resolves ? resolve_executor(&spec.executor) : EXECQ_OK;
    if (status != EXECQ_OK)
        return status;
    Group *group = nullptr;
    status = Group::make(spec, &group);
    if (resolves)
        spec.executor->release();
    if (status == EXECQ_OK)
        *out = handle_of(group);
    return status;
}

}  // namespace

execq_status execq_group_new(const execq_group_options *options, execq_group **out)
{
    execq_group_options read;
    const execq_status status = read_options<first_group_options_size>(options, EXECQ_GROUP_KEEP_GOING, read);
    if (status != EXECQ_OK)
        return status;
    if (out == nullptr || read.reserved != 0 || (read.executor != nullptr && read.max_in_flight == 0))
        return EXECQ_EINVAL;
    const execq_status ours = check_optional(core_of(read.parent), core_of(read.executor), core_of(read.cancel_source));
    return ours == EXECQ_OK ? guarded([&] { return make_group(read, out); }) : ours;
}

void execq_group_retain(execq_group *group)
{
    if (group != nullptr)
        core_of(group)->retain();
}

void execq_group_release(execq_group *group)
{
    if (group != nullptr)
        core_of(group)->release();
}

execq_status execq_group_submit(execq_group *group, execq_executor *executor, const execq_task_options *options,
                                execq_fn fn, void *env, execq_future **out)
{
    TaskSpec spec;
    execq_status status = read_task(core_of(executor), options, fn, env, spec);
    if (status == EXECQ_OK)
        status = check(core_of(group));
    if (status == EXECQ_OK)
        status = enter_group(spec, *core_of(group));
    if (status != EXECQ_OK)
        return reject(status, drop_of(options), env);
    return guarded([&] { return submit(core_of(executor), spec, out); });
}

execq_status execq_group_cancel(execq_group *group)
{
    const execq_status ours = check(core_of(group));
    return ours == EXECQ_OK ? guarded([&] { return core_of(group)->cancel(EXECQ_REASON_GROUP); }) : ours;
}

execq_status execq_group_join(execq_group *group, int64_t timeout_ns)
{
    const execq_status ours = check(core_of(group));
    if (ours != EXECQ_OK)
        return ours;
    return guarded([&] { return core_of(group)->join(Deadline::after(timeout_ns)); });
}

const execq_error *execq_group_error(execq_group *group)
{
    return check(core_of(group)) == EXECQ_OK ? handle_of(core_of(group)->error()) : nullptr;
}

int32_t execq_group_cancel_reason(execq_group *group)
{
    const execq_status ours = check(core_of(group));
    return ours == EXECQ_OK ? core_of(group)->cancel_reason() : ours;
}
