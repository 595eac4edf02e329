// Floor 1. A registration: who wants to be told that a node is done, and how.
//
// Each ends in exactly one way: delivered, or withdrawn by its port (a detached loop, a closed queue). Until then it
// owns one reference to its node and, where it has a port, one use of the port.
//
// A node has room for one registration inside itself. Others, and those that carry a drop or a queue's tag, are
// HeapRegistrations in a chain; those with a port are also listed by that port, so that it can withdraw them.
//
// A promise's cancel callback is a HeapRegistration too, in no chain and on no list: it travels to the loop's thread like
// a completion. So a port is all that a loop has to be for asynchronous tasks to run there.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/annotations.h"
#include "base/links.h"
#include "base/process.h"
#include "execq/status.h"
#include "execq/types.h"

namespace execq::core {

class Node;
class Port;
struct HeapRegistration;

// What delivery needs. Link::next belongs to the port or to the callback queue of a thread, once the node is done.
//
// The one inside a node is a base of the node, 8 bytes behind an address that is a multiple of 16; a heap one starts at
// such an address. That is how the two are told apart, without a field.
struct Registration : Link {
    execq_done_fn done = nullptr;
    void* env = nullptr;  // a queue's tag where done is null
};

struct alignas(16) HeapRegistration : Registration, Hook {
    Node* node = nullptr;
    Port* port = nullptr;
    execq_drop_fn drop = nullptr;
    HeapRegistration* older = nullptr;  // next in the node's chain
    bool listed = false;                // in the port's list; under the port's mutex once published
    bool completed = false;             // done, but its port could take nothing any more; under the port's mutex
    bool withdrawn = false;             // drop has run; the node still has to let go; under the port's mutex
    bool cancels = false;               // a cancel callback, which `done` holds; see promise.cc
};

// What a caller of register_completion asks for. With a port, done runs on its thread (or the tag lands in its queue).
struct Completion {
    execq_done_fn done = nullptr;
    void* env = nullptr;
    execq_drop_fn drop = nullptr;
    Port* port = nullptr;
};

// Where completions go that are not run by the completing thread: a loop port or a completion queue (floor 3).
class Port : public OfProcess {
public:
    Port(const Port&) = delete;
    Port& operator=(const Port&) = delete;

    // Any thread. One more use of the port; false if it is closed. Each true is paid back by one end_use().
    virtual bool begin_use() = 0;
    // Any thread. May free the port.
    virtual void end_use() = 0;
    // Keep the port in memory, and nothing else: for the holders of a promise that was started here, which may be completed.
    virtual void add_guest() {}
    virtual void end_guest() {}
    // Any thread. An asynchronous task that was entered here is completed: the end of its use.
    virtual void leave(Node&) { end_use(); }
    // The completing thread, once per registration whose node is done. Takes the registration over.
    virtual void deliver(Registration& registration) noexcept = 0;
    // True if withdrawal must find every registration, not only those with a drop.
    virtual bool lists_all() const = 0;

    // Any thread, before the registration is published. EXECQ_ECLOSED if the port is closed, else what accept()
    // answers; the registration is listed if that is EXECQ_OK. accept() may publish: delivery waits for the mutex.
    template <class Accept>
    execq_status list_if(HeapRegistration& registration, const Accept& accept)
    {
        const MutexLock lock(mutex_);
        if (listing_closed_)
            return EXECQ_ECLOSED;
        registration.listed = true;
        listed_.push_back(registration);
        const execq_status status = accept();
        if (status != EXECQ_OK)
            listed_.remove(registration);
        return status;
    }
    // Takes a registration off the list that was never published. False if it was withdrawn meanwhile.
    [[nodiscard]] bool take_back(HeapRegistration& registration);

protected:
    Port() = default;
    virtual ~Port() = default;

    // What is registered and not yet handed over, oldest first, and whether more may come.
    Mutex mutex_;
    HookList<HeapRegistration> listed_ EXECQ_GUARDED_BY(mutex_);
    bool listing_closed_ EXECQ_GUARDED_BY(mutex_) = false;

    // Withdraws all that is listed: `drop(env)` runs once for each, inside this call, outside the mutex.
    void withdraw_listed(execq_drop_fn drop_tag);
    // Under the mutex: the node is done, take it off the list; false if it was withdrawn before.
    bool unlist(HeapRegistration& registration) EXECQ_REQUIRES(mutex_);
};

// False: the room inside a node is enough.
bool needs_record(const Completion& completion);

// Null for the registration inside a node.
HeapRegistration* heap_of(Registration& registration);
Node& node_of(Registration& registration);

// Gives up a registration that is over: its node's reference, its memory, and its use of the port (null: it has none).
void finish(Registration& registration, Port* port);
// The same for one that its port can take no more, and which is on no list; its drop runs unless it was withdrawn.
void refuse(Registration& registration, Port* port);

}  // namespace execq::core
