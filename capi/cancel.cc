// Floor 4: cancel.h.
#include "execq/cancel.h"

#include "edge.h"
#include "sched/body.h"
#include "task/callbacks.h"
#include "task/cancel_source.h"

using namespace execq::core;

execq_status execq_on_cancel(execq_cancel_fn fn, void *env, execq_cancel_token *token)
{
    return fn != nullptr ? guarded([=] { return on_cancel(fn, env, token); }) : EXECQ_EINVAL;
}

execq_status execq_off_cancel(execq_cancel_token token)
{
    return guarded([=] { return off_cancel(token); });
}

execq_status execq_cancel_source_new(const execq_cancel_source_options *options, execq_cancel_source **out)
{
    execq_cancel_source_options read;
    const execq_status status = read_options(options, 0, read);
    if (status != EXECQ_OK)
        return status;
    if (out == nullptr)
        return EXECQ_EINVAL;
    const execq_status ours = check_optional(core_of(read.parent));
    if (ours != EXECQ_OK)
        return ours;
    return guarded([&]() -> execq_status {
        CancelSource *source = CancelSource::make(core_of(read.parent));
        if (source == nullptr)
            return EXECQ_ENOMEM;
        *out = handle_of(source);
        return EXECQ_OK;
    });
}

void execq_cancel_source_retain(execq_cancel_source *source)
{
    if (source != nullptr)
        core_of(source)->retain();
}

void execq_cancel_source_release(execq_cancel_source *source)
{
    if (source != nullptr)
        core_of(source)->release();
}

execq_status execq_cancel_source_cancel(execq_cancel_source *source)
{
    const execq_status ours = check(core_of(source));
    if (ours != EXECQ_OK)
        return ours;
    return guarded([=]() -> execq_status { return core_of(source)->cancel() ? EXECQ_OK : EXECQ_EALREADY; });
}

int32_t execq_cancel_source_requested(execq_cancel_source *source)
{
    const execq_status ours = check(core_of(source));
    if (ours != EXECQ_OK)
        return ours;
    return core_of(source)->requested() ? 1 : 0;
}

execq_status execq_cancel_source_on_cancel(execq_cancel_source *source, execq_cancel_fn fn, void *env,
                                           execq_drop_fn drop, execq_cancel_token *token)
{
    return guarded([&]() -> execq_status {
        execq_status status = fn != nullptr ? check(core_of(source)) : EXECQ_EINVAL;
        if (status == EXECQ_OK)
            status = core_of(source)->on_cancel(fn, env, drop, token);
        if (status != EXECQ_OK) {
            const CallbackScope scope;
            call_drop(drop, env);
        }
        return status;
    });
}

execq_status execq_cancel_source_off(execq_cancel_source *source, execq_cancel_token token)
{
    const execq_status ours = check(core_of(source));
    return ours == EXECQ_OK ? guarded([=] { return core_of(source)->off(token); }) : ours;
}

execq_status execq_cancel_source_link_future(execq_cancel_source *source, execq_future *future)
{
    const execq_status ours = check(core_of(source), core_of(future));
    if (ours != EXECQ_OK)
        return ours;
    return guarded([=] { return core_of(source)->link(*core_of(future)); });
}
