// Floor 4: context.h.
#include "execq/context.h"

#include "edge.h"
#include "task/context.h"

using namespace execq::core;

execq_status execq_var_new(const execq_var_options *options, execq_var **out)
{
    execq_var_options read;
    const execq_status status = read_options(options, 0, read);
    if (status != EXECQ_OK)
        return status;
    if (out == nullptr)
        return EXECQ_EINVAL;
    Var *var = Var::make(read.drop, read.name);
    if (var == nullptr)
        return EXECQ_ENOMEM;
    *out = handle_of(var);
    return EXECQ_OK;
}

void execq_var_retain(execq_var *var)
{
    if (var != nullptr)
        core_of(var)->retain();
}

void execq_var_release(execq_var *var)
{
    if (var != nullptr)
        core_of(var)->release();
}

execq_status execq_var_set(execq_var *var, void *value, execq_var_token *token)
{
    const execq_status ours = check(core_of(var));
    return ours == EXECQ_OK ? set_var(*core_of(var), value, token) : ours;
}

int32_t execq_var_get(execq_var *var, void **value)
{
    const execq_status ours = value != nullptr ? check(core_of(var)) : EXECQ_EINVAL;
    if (ours != EXECQ_OK)
        return ours;
    const Binding *binding = find_var(*core_of(var));
    *value = binding != nullptr ? binding->value() : nullptr;
    return binding != nullptr ? 1 : 0;
}

execq_status execq_var_reset(execq_var *var, execq_var_token token)
{
    const execq_status ours = check(core_of(var));
    return ours == EXECQ_OK ? reset_var(*core_of(var), token) : ours;
}

execq_status execq_context_capture(execq_context **out)
{
    if (out == nullptr)
        return EXECQ_EINVAL;
    return guarded([&] {
        ContextRef captured;
        const execq_status status = capture_context(captured);
        if (status == EXECQ_OK)
            *out = handle_of(captured.give());
        return status;
    });
}

execq_status execq_context_run(execq_context *context, execq_context_fn fn, void *env)
{
    if (context == nullptr || fn == nullptr)
        return EXECQ_EINVAL;
    const execq_status ours = check_optional(core_of(context));
    if (ours != EXECQ_OK)
        return ours;
    try {
        const ContextScope scope(core_of(context));
        if (scope.status() == EXECQ_OK)
            fn(env);
        return scope.status();
    } catch (...) {
        if (is_thread_exit())
            throw;
        return EXECQ_EEXCEPTION;
    }
}

execq_context *execq_context_empty(void) { return EXECQ_CONTEXT_EMPTY; }

void execq_context_retain(execq_context *context)
{
    if (context != nullptr && core_of(context) != nullptr)
        core_of(context)->retain();
}

void execq_context_release(execq_context *context)
{
    if (context != nullptr && core_of(context) != nullptr)
        core_of(context)->release();
}

execq_status execq_context_provider_add(const execq_context_provider *provider)
{
    if (provider == nullptr)
        return EXECQ_EINVAL;
    execq_context_provider read;
    const execq_status status = read_options(provider, 0, read);
    if (status != EXECQ_OK)
        return status;
    if (read.capture == nullptr || read.enter == nullptr || read.leave == nullptr)
        return EXECQ_EINVAL;
    return add_provider(read);
}
