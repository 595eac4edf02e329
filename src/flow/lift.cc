#include "flow/lift.h"

#include "base/thread_waits.h"
#include "flow/admission.h"
#include "flow/keeping.h"
#include "sched/wait.h"
#include "task/callbacks.h"

namespace execq::core {

namespace {

// Takes the node; null: no memory.
execq_status submit_node(LoopPort& port, const TaskSpec& spec, Node* node, execq_future** out)
{
    if (node == nullptr)
        return EXECQ_ENOMEM;
    Keeping keeping(Timekeeper::get(), spec);
    Admission admission(spec);
    execq_status status = keeping.begin();
    if (status == EXECQ_OK)
        status = admission.admit(*node);
    if (status == EXECQ_OK) {
        keeping.prepare(*node);
        status = port.submit(*node);
        if (status != EXECQ_OK)
            Admission::dismiss(*node);
    }
    if (status != EXECQ_OK) {
        node->discard();
        return status;
    }
    if (out != nullptr)
        *out = future_of(node);  // its reference is ours until now
    keeping.keep(*node, nullptr);
    admission.enroll(*node);
    return EXECQ_OK;
}

execq_status drop_unless_ok(execq_status status, const TaskSpec& spec)
{
    if (status != EXECQ_OK) {
        const CallbackScope scope;
        call_drop(spec.drop, spec.env);
    }
    return status;
}

std::uint32_t future_references(execq_future** out) { return out != nullptr ? 1 : 0; }

// Until the node is done, or, by the deadline, it is certain that it never starts.
execq_status await_call(Node& node, Deadline deadline)
{
    if (wait_for(node, deadline) == EXECQ_OK)
        return EXECQ_OK;
    if (!node.try_claim_cancel(EXECQ_REASON_DEADLINE))
        return wait_for(node, Deadline::after(-1));
    node.settle_canceled();
    return EXECQ_ETIMEDOUT;
}

execq_status outcome_of(Node& node, void** result, Error** failure)
{
    void* value = nullptr;
    const execq_status status = node.take(&value);
    if (status == EXECQ_OK && result != nullptr)
        *result = value;
    if (status == EXECQ_EFAILED) {
        *failure = node.error();
        (*failure)->retain();
    }
    return status;
}

}  // namespace

execq_status lift(LoopPort& port, const TaskSpec& spec, execq_future** out)
{
    return drop_unless_ok(submit_node(port, spec, Node::make_task(spec, future_references(out)), out), spec);
}

execq_status lift_async(LoopPort& port, const TaskSpec& spec, execq_async_fn start, execq_future** out)
{
    return drop_unless_ok(submit_node(port, spec, Node::make_async(spec, start, future_references(out)), out), spec);
}

execq_status call_on_loop(LoopPort& port, execq_fn fn, void* env, Deadline deadline, void** result, Error** failure)
{
    if (!port.attached())
        return EXECQ_ECLOSED;
    const ThreadWaits::Scope blocked;  // before the look: of two loops whose threads call each other, one is told
    if (port.on_loop_thread() || port.thread_is_blocked())
        return EXECQ_EDEADLK;
    TaskSpec spec;
    spec.fn = fn;
    spec.env = env;
    execq_future* future = nullptr;
    execq_status status = capture_context(spec.context);
    if (status == EXECQ_OK)
        status = lift(port, spec, &future);
    if (status != EXECQ_OK)
        return status;
    Node& node = *core_of(future);
    status = await_call(node, deadline);
    if (status == EXECQ_OK)
        status = outcome_of(node, result, failure);
    node.release();
    return status;
}

}  // namespace execq::core
