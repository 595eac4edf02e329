// Floor 1. The wait lot: threads that wait for any of several nodes, or for one in a way of their own, leave a ticket per
// node in a hash table of short lists, and set a flag in the node. A node that is settled with that flag looks its tickets
// up, by its address: it may be gone by then. So such a wait needs no room in the node, and one that times out leaves
// nothing behind.
//
// Who waits leaves the ticket first, then sets the flag: who settles without it has settled before, and the waiter is told
// so by the step that sets it. A call is no proof: it may have been meant for a node that was at this address before.
//
// The model in tests/model/wait_lot_model.cc covers it.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/annotations.h"
#include "base/atomics.h"
#include "base/clock.h"
#include "base/futex.h"
#include "base/links.h"

namespace execq::core {

class Node;

// call(env) runs when the node is settled, under a mutex of the lot.
struct LotTicket : Hook {
    const Node* node = nullptr;
    void (*call)(void* env) = nullptr;
    void* env = nullptr;
};

template <class Lock = Mutex, std::size_t buckets = 64>
class BasicWaitLot {
public:
    void leave(LotTicket& ticket)
    {
        Bucket& bucket = bucket_of(ticket.node);
        const ScopedLock<Lock> lock(bucket.mutex);
        bucket.tickets.push_back(ticket);
    }
    // Afterwards it is not called any more.
    void take_back(LotTicket& ticket)
    {
        Bucket& bucket = bucket_of(ticket.node);
        const ScopedLock<Lock> lock(bucket.mutex);
        bucket.tickets.remove(ticket);
    }
    // Only the node's address is used.
    void tell(const void* node)
    {
        Bucket& bucket = bucket_of(node);
        const ScopedLock<Lock> lock(bucket.mutex);
        bucket.tickets.for_each([node](LotTicket& ticket) {
            if (ticket.node == node)
                ticket.call(ticket.env);  // who left the ticket cannot go before it has taken this mutex
        });
    }

private:
    struct alignas(64) Bucket {
        Lock mutex;
        HookList<LotTicket> tickets EXECQ_GUARDED_BY(mutex);
    };

    Bucket& bucket_of(const void* node)
    {
        return buckets_[(reinterpret_cast<std::uintptr_t>(node) >> 6) % buckets_.size()];
    }

    std::array<Bucket, buckets> buckets_;
};

// What tickets call; on the stack of who waits.
template <class Atomics = StdAtomics, class Sleep = FutexSleep>
class BasicCallBell {
public:
    static void ring(void* bell)
    {
        auto& rung = static_cast<BasicCallBell*>(bell)->rung_;
        rung.store(1, std::memory_order::release);
        Sleep::wake_one(&rung);
    }
    // Returns at once if it rang since the last time, or if the deadline has passed.
    void await(Deadline deadline)
    {
        if (rung_.load(std::memory_order::acquire) == 0 && !deadline.passed())  // re-check: true
            Sleep::wait(&rung_, 0, deadline);
        rung_.exchange(0, std::memory_order::acquire);
    }

private:
    typename Atomics::template Atomic<std::uint32_t> rung_{0};  // by who settles; by the waiter
};

// Waits until found() says that one is done, or the deadline has passed. There is a ticket for each node.
template <class Bell, class Lot, class Node, class Found>
void await_any(Lot& lot, Node* const* nodes, std::size_t n, LotTicket* tickets, Deadline deadline, const Found& found)
{
    Bell bell;
    std::size_t left = 0;
    bool pending = true;
    for (; left < n && pending; ++left) {
        tickets[left].node = nodes[left];
        tickets[left].call = Bell::ring;
        tickets[left].env = &bell;
        lot.leave(tickets[left]);
        pending = nodes[left]->announce_lot_waiter();  // re-check
    }
    while (pending) {
        bell.await(deadline);
        pending = !found() && !deadline.passed();
    }
    for (std::size_t i = 0; i < left; ++i)
        lot.take_back(tickets[i]);
}

}  // namespace execq::core
