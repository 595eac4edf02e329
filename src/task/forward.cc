// Node's part that has one future end as another one does.
//
// The promise's Extension::source holds the source, with one reference, from the forward on until the node is freed. So who
// holds the last one of a chain of forwards may go down the chain without a lock: to ask each to stop, or to free them.
//
//   0 ──enter_source()──► entering ──announce_source()──► source         and from either of both: end_as() ──► lent
//
// While it is entering, only who forwards and who completes know of it, and leave_source() can still take it back: nobody
// goes down a chain there. A promise that somebody else completes keeps its source all the same, as it may be walked.
//
// A value stays with the node that it was made in: who asks for it elsewhere is led to that, which the chain keeps.
#include "task/cancel.h"
#include "task/node.h"

namespace execq::core {

// What is to be asked to stop in its place; null if there is nothing.
Node* Node::source() const
{
    const std::uintptr_t seen = extended() ? extension().source.load(std::memory_order_acquire) : 0;
    return (seen & source_entering) == 0 ? reinterpret_cast<Node*>(seen & source_mask) : nullptr;
}

// Of a node that is ok: the one that owns the value; null if it does so itself.
Node* Node::lender() const
{
    // relaxed: written before the node was done.
    const bool lent = extended() && (extension().source.load(std::memory_order_relaxed) & source_lent) != 0;
    return lent ? reinterpret_cast<Node*>(outcome_.load(std::memory_order_relaxed)) : nullptr;
}

Node& Node::value_owner()
{
    Node* owner = lender();
    return owner != nullptr ? *owner : *this;
}

execq_status Node::forward_to(Node& promise)
{
    if (&promise == this)
        return EXECQ_EINVAL;
    if (promise.done() || !promise.enter_source(*this))
        return EXECQ_EALREADY;
    execq_status status = EXECQ_OK;
    if (waits_for(promise)) {
        status = EXECQ_EDEADLK;
    } else if (done()) {
        if (promise.end_as(*this))
            return EXECQ_OK;
        status = EXECQ_EALREADY;
    } else {
        promise.retain_promise();
        status = register_completion({source_done, promise_of(&promise), nullptr, nullptr});
        if (status != EXECQ_OK)
            promise.release_promise();
    }
    if (status != EXECQ_OK)
        promise.leave_source(*this);
    else if (promise.announce_source())
        promise.tell_cancel();
    return status;
}

// Whether the end of this one waits, by forwards, for that of the other. Only one that something is to happen after can be
// waited for, which spares who builds a chain link by link the walk.
bool Node::waits_for(const Node& other) const
{
    if ((other.state_.look() & State::registered_flag) == 0)
        return false;
    for (const Node* node = this; node != nullptr; node = node->source()) {
        if (node == &other)
            return true;
    }
    return false;
}

bool Node::enter_source(Node& source)
{
    source.retain();
    std::uintptr_t none = 0;
    if (extension().source.compare_exchange_strong(none, reinterpret_cast<std::uintptr_t>(&source) | source_entering,
                                                   std::memory_order_acq_rel, std::memory_order_relaxed))
        return true;
    source.release();
    return false;
}

void Node::leave_source(Node& source)
{
    extension().source.store(0, std::memory_order_relaxed);
    source.release();
}

// From now on who cancels sees the source, or is seen here. False if the node is done, or about to be.
bool Node::announce_source()
{
    std::uintptr_t entering = extension().source.load(std::memory_order_relaxed);
    if ((entering & source_lent) != 0 ||
        !extension().source.compare_exchange_strong(entering, entering & source_mask, std::memory_order_acq_rel,
                                                    std::memory_order_relaxed))
        return false;
    return state_.try_hook();
}

void Node::source_done(execq_future* source, void* promise)
{
    struct Held {  // also where a callback ends its thread
        Node& node;
        ~Held() { node.release_promise(); }
    };
    const Held held{*core_of(static_cast<execq_promise*>(promise))};
    held.node.end_as(*core_of(source));
}

// ---- cancellation ----

// Tells who holds the promise, then what is forwarded to it, and what is forwarded to that: in a loop, as a chain may have
// any length.
void Node::pass_cancel()
{
    const std::int32_t reason = cancel_reason();
    send_cancel_callback();
    for (Node* node = source(); node != nullptr; node = node->source()) {
        if (cancel_or_ask(*node, reason) != Canceled::asked)
            return;
        if ((node->state_.look() & State::hooked_flag) != 0)
            node->send_cancel_callback();
        else
            tell_calls(*node);
    }
}

}  // namespace execq::core
