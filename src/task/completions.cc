// Node's part that registers completions and hands them over; see node.h for the states of completions_.
#include <new>

#include "base/sync_point.h"
#include "task/callbacks.h"
#include "task/node.h"

namespace execq::core {

namespace {

HeapRegistration* heap_in(std::uintptr_t completions)
{
    return reinterpret_cast<HeapRegistration*>(completions & ~std::uintptr_t{1});
}

void fill(Registration& registration, const Completion& completion)
{
    registration.done = completion.done;
    registration.env = completion.env;
}

HeapRegistration* make_record(Node& node, const Completion& completion)
{
    auto* record = new (std::nothrow) HeapRegistration;
    if (record == nullptr)
        return nullptr;
    fill(*record, completion);
    record->node = &node;
    record->port = completion.port;
    record->drop = completion.drop;
    return record;
}

void deliver(Registration& registration, Port* port)
{
    if (port != nullptr)
        port->deliver(registration);
    else
        run_or_queue(registration);
}

void deliver_chain(HeapRegistration* newest)
{
    HeapRegistration* oldest = nullptr;
    while (newest != nullptr) {
        HeapRegistration* older = newest->older;
        newest->older = oldest;
        oldest = newest;
        newest = older;
    }
    while (oldest != nullptr) {
        HeapRegistration* record = oldest;
        oldest = record->older;  // now the newer one; read before delivery frees the record
        deliver(*record, record->port);
    }
}

}  // namespace

bool needs_record(const Completion& completion)
{
    return completion.drop != nullptr || (completion.port != nullptr && completion.port->lists_all());
}

// ---- before publication ----

HeapRegistration* Node::preset_record(const Completion& completion)
{
    HeapRegistration* record = make_record(*this, completion);
    if (record != nullptr) {
        completions_.store(reinterpret_cast<std::uintptr_t>(record) | chain_bit, std::memory_order_relaxed);
        state_.store(state_.load(std::memory_order_relaxed) | registered_flag | preset_flag, std::memory_order_relaxed);
    }
    return record;
}

// ---- registration ----

execq_status Node::register_completion(const Completion& completion)
{
    EXECQ_SYNC_POINT("completion registers");
    if (completion.port != nullptr && !completion.port->begin_use())
        return EXECQ_ECLOSED;
    // A node that is done has no use for its own room, which a delivered registration may still be in.
    const bool inside = announce_registration() && !needs_record(completion);
    const execq_status status = inside ? register_inside(completion) : register_record(completion);
    if (status != EXECQ_OK) {
        release();
        if (completion.port != nullptr)
            completion.port->end_use();
    }
    return status;
}

// Takes the registration's reference, and has settle() look at completions_, which a node that is done no longer does.
bool Node::announce_registration()
{
    std::uint64_t word = state_.load(std::memory_order_relaxed);
    for (;;) {
        const bool pending = !is_done(phase_of(word));
        const std::uint64_t announced = (word | (pending ? registered_flag : 0)) + one_reference;
        if (state_.compare_exchange_weak(word, announced, std::memory_order_acq_rel, std::memory_order_relaxed))
            return pending;
    }
}

execq_status Node::register_inside(const Completion& completion)
{
    std::uintptr_t seen = empty;
    if (completions_.compare_exchange_strong(seen, busy, std::memory_order_acq_rel, std::memory_order_relaxed)) {
        fill(*this, completion);
        const std::uintptr_t inside =
            completion.port != nullptr ? reinterpret_cast<std::uintptr_t>(completion.port) : inside_done;
        seen = busy;
        if (completions_.compare_exchange_strong(seen, inside, std::memory_order_acq_rel, std::memory_order_acquire))
            return EXECQ_OK;
        if (seen == closed) {  // settle() found us busy and left the delivery to us
            deliver(*this, completion.port);
            return EXECQ_OK;
        }
        // Somebody else's chain was put over us; the room inside stays unused.
    }
    return register_record(completion);
}

execq_status Node::register_record(const Completion& completion)
{
    HeapRegistration* record = make_record(*this, completion);
    if (record == nullptr)
        return EXECQ_ENOMEM;
    if (needs_record(completion) && completion.port != nullptr) {
        const execq_status status = completion.port->list_if(*record, [] { return execq_status{EXECQ_OK}; });
        if (status != EXECQ_OK) {
            delete record;
            return status;
        }
    }
    return publish(*record);
}

// Pushes a record onto the chain; a registration in the room inside moves to a record of its own first.
execq_status Node::publish(HeapRegistration& record)
{
    HeapRegistration* moved = nullptr;
    // With the flag found, settle() will look here; without it the node was done before and nobody will.
    const bool alone = (state_.load(std::memory_order_acquire) & registered_flag) == 0;
    std::uintptr_t seen = alone ? closed : completions_.load(std::memory_order_acquire);
    for (;;) {
        if (seen == closed) {
            delete moved;
            deliver(record, record.port);
            return EXECQ_OK;
        }
        const bool inside = seen != empty && seen != busy && (seen & chain_bit) == 0;
        if (inside) {
            Port* port = seen == inside_done ? nullptr : reinterpret_cast<Port*>(seen);
            delete moved;
            moved = make_record(*this, {Registration::done, Registration::env, nullptr, port});
            if (moved == nullptr)
                break;
        }
        record.older = inside ? moved : (seen & chain_bit) != 0 ? heap_in(seen) : nullptr;
        const std::uintptr_t chain = reinterpret_cast<std::uintptr_t>(&record) | chain_bit;
        if (completions_.compare_exchange_weak(seen, chain, std::memory_order_acq_rel, std::memory_order_acquire)) {
            if (!inside)
                delete moved;
            return EXECQ_OK;
        }
    }
    // No memory to move the other one. If the port withdrew this one meanwhile, it was registered and has ended.
    const bool ours = !record.listed || record.port->take_back(record);
    if (!ours) {
        Port* port = record.port;
        delete &record;
        release();
        port->end_use();
        return EXECQ_OK;
    }
    delete &record;
    return EXECQ_ENOMEM;
}

void Node::hand_over(std::uintptr_t completions)
{
    if (completions == empty || completions == busy)
        return;
    if ((completions & chain_bit) != 0)
        deliver_chain(heap_in(completions));
    else
        deliver(*this, completions == inside_done ? nullptr : reinterpret_cast<Port*>(completions));
}

}  // namespace execq::core
