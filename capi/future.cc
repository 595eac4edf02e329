// Floor 4: future.h.
#include "execq/future.h"

#include <algorithm>

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

execq_status check_all(execq_future *const *futures, size_t n)
{
    if (futures == nullptr)
        return n == 0 ? EXECQ_OK : EXECQ_EINVAL;
    if (std::any_of(futures, futures + n, [](const execq_future *future) { return future == nullptr; }))
        return EXECQ_EINVAL;
    if (!Process::forked()) [[likely]]
        return EXECQ_OK;
    const bool readable = std::all_of(cores_of(futures), cores_of(futures) + n,
                                      [](const Node *node) { return check_readable(node) == EXECQ_OK; });
    return readable ? EXECQ_OK : EXECQ_EFORKED;
}

// Registers, and drops the env where that fails.
execq_status register_or_drop(execq_future *future, const Completion &completion)
{
    return guarded([&]() -> execq_status {
        execq_status status = check_optional(core_of(future), completion.port);
        if (status == EXECQ_OK)
            status = core_of(future)->register_completion(completion);
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
    const execq_status ours = check_readable(core_of(future));
    if (ours != EXECQ_OK)
        return ours;
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
    const execq_status ours = check_readable(core_of(future));
    if (ours != EXECQ_OK)
        return ours;
    return guarded([&] { return wait_for(*core_of(future), Deadline::after(timeout_ns)); });
}

execq_status execq_future_wait_all(execq_future *const *futures, size_t n, int64_t timeout_ns)
{
    const execq_status ours = check_all(futures, n);
    if (ours != EXECQ_OK)
        return ours;
    return guarded([&] { return wait_for_all(cores_of(futures), n, Deadline::after(timeout_ns)); });
}

execq_status execq_future_wait_any(execq_future *const *futures, size_t n, int64_t timeout_ns, size_t *index)
{
    const execq_status ours = n != 0 ? check_all(futures, n) : EXECQ_EINVAL;
    if (ours != EXECQ_OK)
        return ours;
    return guarded([&] { return wait_for_any(cores_of(futures), n, Deadline::after(timeout_ns), index); });
}

execq_status execq_future_result(execq_future *future, void **value)
{
    const execq_status ours = check_readable(core_of(future));
    return ours == EXECQ_OK ? core_of(future)->result(value) : ours;
}

execq_status execq_future_take(execq_future *future, void **value)
{
    const execq_status ours = value != nullptr ? check_readable(core_of(future)) : EXECQ_EINVAL;
    return ours == EXECQ_OK ? core_of(future)->take(value) : ours;
}

const execq_error *execq_future_error(execq_future *future)
{
    return future != nullptr ? handle_of(core_of(future)->error()) : nullptr;
}

execq_status execq_future_forward(execq_future *future, execq_promise *promise)
{
    const execq_status ours = check(core_of(future), core_of(promise));
    if (ours != EXECQ_OK)
        return ours;
    return guarded([&] { return core_of(future)->forward_to(*core_of(promise)); });
}

execq_status execq_future_cancel(execq_future *future)
{
    const execq_status ours = check(core_of(future));
    if (ours != EXECQ_OK)
        return ours;
    return guarded([&] { return cancel(*core_of(future), EXECQ_REASON_CALLER); });
}

int32_t execq_future_cancel_reason(execq_future *future)
{
    const execq_status ours = check_readable(core_of(future));
    return ours == EXECQ_OK ? core_of(future)->cancel_reason() : ours;
}

execq_status execq_future_on_done(execq_future *future, execq_done_fn fn, void *env, execq_drop_fn drop)
{
    if (future == nullptr || fn == nullptr)
        return reject(drop, env);
    Node &node = *core_of(future);
    if (!node.done() || node.inherited() || inside_callback())  // inside one, it waits for its turn on this thread
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
    const execq_status ours = check_optional(core_of(future), core_of(promise));
    if (ours != EXECQ_OK)
        return reject(drop, env, ours);
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
