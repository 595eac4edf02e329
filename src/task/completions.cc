// Node's part that registers completions and hands them over; see completion_slot.h for the states of the slot.
#include <new>

#include "base/sync_point.h"
#include "task/callbacks.h"
#include "task/node.h"

namespace execq::core {

namespace {

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

void deliver_chain(HeapRegistration* oldest)
{
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
        completions_.preset_record(*record);
        state_.preset();
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
    const bool inside = state_.announce_registration() && !needs_record(completion);
    const execq_status status = inside ? register_inside(completion) : register_record(completion);
    if (status != EXECQ_OK) {
        release();
        if (completion.port != nullptr)
            completion.port->end_use();
    }
    return status;
}

execq_status Node::register_inside(const Completion& completion)
{
    if (!completions_.try_occupy())
        return register_record(completion);
    fill(*this, completion);
    switch (completions_.fill(completion.port)) {
    case Completions::Filled::closed:  // settle() found us busy and left the delivery to us
        deliver(*this, completion.port);
        return EXECQ_OK;
    case Completions::Filled::covered:
        return register_record(completion);
    default:
        return EXECQ_OK;
    }
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
    // With the flag found, settle() will look here; without it the node was done before and nobody will.
    const bool announced = (state_.look() & State::registered_flag) != 0;
    const auto copy = [this](Port* port) {
        return make_record(*this, {Registration::done, Registration::env, nullptr, port});
    };
    switch (completions_.push(record, announced, copy, [](HeapRegistration* moved) { delete moved; })) {
    case Completions::Pushed::registered:
        return EXECQ_OK;
    case Completions::Pushed::closed:
        deliver(record, record.port);
        return EXECQ_OK;
    case Completions::Pushed::failed:
        break;
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

void Node::hand_over(Completions::Content completions)
{
    if (Completions::is_chain(completions))
        deliver_chain(Completions::oldest_in(completions));
    else if (Completions::is_inside(completions))
        deliver(*this, Completions::port_in(completions));
}

}  // namespace execq::core
