// Floor 2. A worker's batch: tasks that it fetched for itself and has not begun, first in, first out, which any thread
// may take away at any time, since the task that runs meanwhile may block.
//
//   owner     writes free slots, then moves tail_
//   anybody   reads the slots at head_, then moves head_ by a CAS: who wins has the items
//
// The counters only grow, so a CAS cannot mistake a later round for its own. A slot is written again only after head_ was
// seen to have passed it.
//
// The model in tests/model/task_ring_model.cc covers it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/atomics.h"

namespace execq::core {

template <class Item, std::uint32_t Capacity, class Atomics = StdAtomics>
class TaskRing {
public:
    static constexpr std::uint32_t capacity = Capacity;  // a power of two

    // ---- the owner ----

    // The ring is empty, and n is at most its capacity. seq_cst: the owner goes on to look for sleepers, and a sleeper
    // goes on to look at tail_.
    void fill(Item* const* items, std::uint32_t n)
    {
        const std::uint64_t tail = tail_.load(std::memory_order::relaxed);
        for (std::uint32_t i = 0; i < n; ++i)
            slot(tail + i).store(items[i], std::memory_order::release);  // for for_each(); take() has tail_
        tail_.exchange(tail + n, std::memory_order::seq_cst);
    }

    // ---- any thread ----

    bool empty() const
    {
        // acquire: head_ is no older than what the sight of it implies about tail_.
        const std::uint64_t head = head_.load(std::memory_order::acquire);
        return tail_.load(std::memory_order::seq_cst) == head;
    }

    // The oldest, or null.
    Item* take()
    {
        Item* item = nullptr;
        return take(&item, 1) == 1 ? item : nullptr;
    }

    // The oldest half, rounded up, but at most n; returns how many.
    std::uint32_t take_half(Item** items, std::uint32_t n) { return take_some<2>(items, n); }
    // The oldest, at most n.
    std::uint32_t take(Item** items, std::uint32_t n) { return take_some<1>(items, n); }

    // Visits what is there, oldest first, or what came since. The items must stay alive, though taken.
    template <class Visit>
    void for_each(const Visit& visit)
    {
        std::uint64_t at = head_.load(std::memory_order::acquire);
        const std::uint64_t end = std::min(tail_.load(std::memory_order::acquire), at + capacity);
        for (; at < end; ++at)
            visit(*slot(at).load(std::memory_order::acquire));
    }

private:
    using Slot = typename Atomics::template Atomic<Item*>;

    Slot& slot(std::uint64_t at) { return slots_[at % capacity]; }

    template <std::uint32_t Divisor>
    std::uint32_t take_some(Item** items, std::uint32_t n)
    {
        std::uint64_t head = head_.load(std::memory_order::acquire);
        for (;;) {
            const std::uint64_t left = tail_.load(std::memory_order::acquire) - head;
            const auto taken =
                static_cast<std::uint32_t>(std::min<std::uint64_t>({n, capacity, (left + Divisor - 1) / Divisor}));
            if (taken == 0)
                return 0;
            for (std::uint32_t i = 0; i < taken; ++i)
                items[i] = slot(head + i).load(std::memory_order::relaxed);
            // release: the owner writes the slots again only after these reads.
            if (head_.compare_exchange_weak(head, head + taken, std::memory_order::acq_rel, std::memory_order::acquire))
                return taken;
        }
    }

    // Moved by whoever takes.
    alignas(64) typename Atomics::template Atomic<std::uint64_t> head_{0};
    // Moved by the owner.
    typename Atomics::template Atomic<std::uint64_t> tail_{0};
    Slot slots_[capacity] = {};
};

}  // namespace execq::core
