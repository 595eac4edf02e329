// Floor 4: promise.h.
#include "execq/promise.h"

#include "edge.h"
#include "task/callbacks.h"
#include "task/node.h"

using namespace execq::core;

execq_status execq_promise_new(const execq_promise_options *options, execq_promise **promise, execq_future **future)
{
    execq_promise_options read;
    const execq_status status = read_options(options, 0, read);
    if (status != EXECQ_OK)
        return status;
    if (promise == nullptr || future == nullptr)
        return EXECQ_EINVAL;
    return guarded([&]() -> execq_status {
        ContextRef context;
        const execq_status captured = capture_context(context);
        if (captured != EXECQ_OK)
            return captured;
        Node *node = Node::make_promise(read.drop_result, read.name, context);
        if (node == nullptr)
            return EXECQ_ENOMEM;
        *promise = promise_of(node);
        *future = future_of(node);
        return EXECQ_OK;
    });
}

execq_status execq_promise_resolve(execq_promise *promise, void *value)
{
    const execq_status ours = check(core_of(promise));
    if (ours != EXECQ_OK)
        return ours;
    return guarded([&]() -> execq_status { return core_of(promise)->resolve(value) ? EXECQ_OK : EXECQ_EALREADY; });
}

execq_status execq_promise_reject(execq_promise *promise, int32_t code, const char *message)
{
    const execq_status ours = code != 0 ? check(core_of(promise)) : EXECQ_EINVAL;
    if (ours != EXECQ_OK)
        return ours;
    Node &node = *core_of(promise);
    return guarded([&]() -> execq_status {
        // Made before the claim: where memory is out, the promise stays open.
        Error *error = message != nullptr ? Error::make(code, message) : nullptr;
        if (message != nullptr && error == nullptr)
            return node.done() ? EXECQ_EALREADY : EXECQ_ENOMEM;
        return node.reject(code, error) ? EXECQ_OK : EXECQ_EALREADY;
    });
}

execq_status execq_promise_reject_error(execq_promise *promise, const execq_error *error)
{
    const execq_status ours = error != nullptr ? check(core_of(promise)) : EXECQ_EINVAL;
    if (ours != EXECQ_OK)
        return ours;
    return guarded([&]() -> execq_status {
        core_of(error)->retain();
        return core_of(promise)->reject(core_of(error)->code(), core_of(error)) ? EXECQ_OK : EXECQ_EALREADY;
    });
}

int32_t execq_promise_cancel_requested(execq_promise *promise)
{
    const execq_status ours = check(core_of(promise));
    if (ours != EXECQ_OK)
        return ours;
    return core_of(promise)->cancel_requested() ? 1 : 0;
}

execq_status execq_promise_on_cancel(execq_promise *promise, execq_cancel_fn fn, void *env, execq_drop_fn drop)
{
    return guarded([&]() -> execq_status {
        execq_status status = fn != nullptr ? check(core_of(promise)) : EXECQ_EINVAL;
        if (status == EXECQ_OK)
            status = core_of(promise)->hook_cancel(fn, env, drop);
        if (status != EXECQ_OK) {
            const CallbackScope scope;
            call_drop(drop, env);
        }
        return status;
    });
}

void execq_promise_retain(execq_promise *promise)
{
    if (promise != nullptr)
        core_of(promise)->retain_promise();
}

void execq_promise_release(execq_promise *promise)
{
    if (promise != nullptr)
        core_of(promise)->release_promise();
}
