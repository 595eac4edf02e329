// Floor 4: future.h.
#include "execq/future.h"

#include "edge.h"
#include "flow/cq.h"
#include "flow/loop_port.h"
#include "sched/wait.h"
#include "task/callbacks.h"
#include "task/cancel.h"

using namespace execq::core;

namespace {

// Arrays of futures are arrays of nodes: the handle is the address.
Node *const *cores_of(execq_future *const *futures) { return reinterpret_cast<Node *const *>(futures); }

bool all_given(execq_future *const *futures, size_t n)
{
    if (futures == nullptr)
        return n == 0;
    for (size_t i = 0; i < n; ++i) {
        if (futures[i] == nullptr)
            return false;
    }
    return true;
}

// Registers, and drops the env where that fails.
execq_status register_or_drop(execq_future *future, const Completion &completion)
{
    return guarded([&]() -> execq_status {
        const execq_status status = core_of(future)->register_completion(completion);
        if (status != EXECQ_OK) {
            const CallbackScope scope;
            call_drop(completion.drop, completion.env);
        }
        return status;
    });
}

execq_status reject(execq_drop_fn drop, void *env, execq_status status = EXECQ_EINVAL)
{
    const CallbackScope scope;
    call_drop(drop, env);
    return status;
}

}  // namespace

void execq_future_retain(execq_future *future)
{
    if (future != nullptr)
        core_of(future)->retain();
}

void execq_future_release(execq_future *future)
{
    if (future != nullptr)
        core_of(future)->release();
}

int32_t execq_future_state(execq_future *future)
{
    if (future == nullptr)
        return EXECQ_EINVAL;
    switch (core_of(future)->phase()) {
    case Phase::pending:
        return EXECQ_FUTURE_PENDING;
    case Phase::running:
    case Phase::settling:
        return EXECQ_FUTURE_RUNNING;
    case Phase::ok:
        return EXECQ_FUTURE_OK;
    case Phase::failed:
        return EXECQ_FUTURE_FAILED;
    case Phase::canceled:
        break;
    }
    return EXECQ_FUTURE_CANCELED;
}

execq_status execq_future_wait(execq_future *future, int64_t timeout_ns)
{
    if (future == nullptr)
        return EXECQ_EINVAL;
    return guarded([&] { return wait_for(*core_of(future), Deadline::after(timeout_ns)); });
}

execq_status execq_future_wait_all(execq_future *const *futures, size_t n, int64_t timeout_ns)
{
    if (!all_given(futures, n))
        return EXECQ_EINVAL;
    return guarded([&] { return wait_for_all(cores_of(futures), n, Deadline::after(timeout_ns)); });
}

execq_status execq_future_wait_any(execq_future *const *futures, size_t n, int64_t timeout_ns, size_t *index)
{
    if (n == 0 || !all_given(futures, n))
        return EXECQ_EINVAL;
    return guarded([&] { return wait_for_any(cores_of(futures), n, Deadline::after(timeout_ns), index); });
}

execq_status execq_future_result(execq_future *future, void **value)
{
    return future != nullptr ? core_of(future)->result(value) : EXECQ_EINVAL;
}

execq_status execq_future_take(execq_future *future, void **value)
{
    return future != nullptr && value != nullptr ? core_of(future)->take(value) : EXECQ_EINVAL;
}

const execq_error *execq_future_error(execq_future *future)
{
    return future != nullptr ? handle_of(core_of(future)->error()) : nullptr;
}

execq_status execq_future_forward(execq_future *future, execq_promise *promise)
{
    if (future == nullptr || promise == nullptr)
        return EXECQ_EINVAL;
    return guarded([&] { return core_of(future)->forward_to(*core_of(promise)); });
}

execq_status execq_future_cancel(execq_future *future)
{
    if (future == nullptr)
        return EXECQ_EINVAL;
    return guarded([&] { return cancel(*core_of(future), EXECQ_REASON_CALLER); });
}

int32_t execq_future_cancel_reason(execq_future *future)
{
    return future != nullptr ? core_of(future)->cancel_reason() : EXECQ_EINVAL;
}

execq_status execq_future_on_done(execq_future *future, execq_done_fn fn, void *env, execq_drop_fn drop)
{
    if (future == nullptr || fn == nullptr)
        return reject(drop, env);
    Node &node = *core_of(future);
    if (!node.done() || inside_callback())  // inside one, it waits for its turn on this thread
        return register_or_drop(future, {fn, env, drop, nullptr});
    return guarded([&]() -> execq_status {
        const CallbackScope scope;
        call_done(fn, node, env);
        call_drop(drop, env);
        return EXECQ_OK;
    });
}

execq_status execq_future_on_loop(execq_future *future, execq_loop *loop, execq_done_fn fn, void *env,
                                  execq_drop_fn drop)
{
    if (future == nullptr || loop == nullptr || fn == nullptr)
        return reject(drop, env);
    return register_or_drop(future, {fn, env, drop, core_of(loop)});
}

execq_status execq_future_on_promise(execq_future *future, execq_promise *promise, execq_done_fn fn, void *env,
                                     execq_drop_fn drop)
{
    Port *place = promise != nullptr ? core_of(promise)->place() : nullptr;
    if (future == nullptr || place == nullptr || fn == nullptr)
        return reject(drop, env);
    if (core_of(promise)->done())
        return reject(drop, env, EXECQ_ECLOSED);
    return register_or_drop(future, {fn, env, drop, place});
}

execq_status execq_future_on_cq(execq_future *future, execq_cq *cq, void *tag)
{
    if (future == nullptr || cq == nullptr)
        return EXECQ_EINVAL;
    return register_or_drop(future, {nullptr, tag, nullptr, core_of(cq)});
}
