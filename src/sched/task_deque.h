// Floor 2. Tasks that wait with a worker: those that its own tasks submitted, or a batch that it fetched.
//
// Guarded by the worker's biased lock, but for size(), which anybody may ask for as a hint.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "sched/item.h"

namespace execq::core {

template <std::uint32_t Capacity>
class TaskDeque {
public:
    static constexpr std::uint32_t capacity = Capacity;  // a power of two

    // False: full.
    bool push(Item item)
    {
        const std::uint32_t bottom = bottom_.load(std::memory_order_relaxed);
        if (bottom - top_.load(std::memory_order_relaxed) == capacity)
            return false;
        slot(bottom).put(item);
        bottom_.store(bottom + 1, std::memory_order_relaxed);
        return true;
    }

    // There is room for n. seq_cst: the owner goes on to look for sleepers, and a sleeper goes on to look at bottom_.
    void fill(const Slot* items, std::uint32_t n)
    {
        const std::uint32_t bottom = bottom_.load(std::memory_order_relaxed);
        for (std::uint32_t i = 0; i < n; ++i)
            slot(bottom + i).put(items[i].get());
        bottom_.exchange(bottom + n, std::memory_order_seq_cst);
    }

    // The newest, or none.
    Item pop()
    {
        const std::uint32_t bottom = bottom_.load(std::memory_order_relaxed);
        if (bottom == top_.load(std::memory_order_relaxed))
            return {};
        bottom_.store(bottom - 1, std::memory_order_relaxed);
        return slot(bottom - 1).get();
    }

    // The oldest, or none.
    Item pop_oldest()
    {
        const std::uint32_t top = top_.load(std::memory_order_relaxed);
        if (bottom_.load(std::memory_order_relaxed) == top)
            return {};
        top_.store(top + 1, std::memory_order_relaxed);
        return slot(top).get();
    }

    // Up to n of the oldest, into items; returns how many.
    std::uint32_t take_oldest(Slot* items, std::uint32_t n)
    {
        const std::uint32_t top = top_.load(std::memory_order_relaxed);
        const std::uint32_t taken = std::min(n, bottom_.load(std::memory_order_relaxed) - top);
        for (std::uint32_t i = 0; i < taken; ++i)
            items[i].put(slot(top + i).get());
        top_.store(top + taken, std::memory_order_relaxed);
        return taken;
    }

    // Visits all, oldest first.
    template <class Visit>
    void for_each(const Visit& visit) const
    {
        const std::uint32_t bottom = bottom_.load(std::memory_order_relaxed);
        for (std::uint32_t at = top_.load(std::memory_order_relaxed); at != bottom; ++at)
            visit(slots_[at % capacity].get());
    }

    // Without the lock a hint: exact for the owner, and for a thread that has passed a heavy fence since it changed. What
    // fill() has put in is never missed by a thread that looks after a step that is ordered with it.
    std::uint32_t size() const
    {
        const std::uint32_t top = top_.load(std::memory_order_acquire);
        return bottom_.load(std::memory_order_seq_cst) - top;
    }
    // How many were ever taken from the old end: it stands still while the owner is blocked and nobody else takes.
    std::uint32_t taken() const { return top_.load(std::memory_order_relaxed); }

private:
    Slot& slot(std::uint32_t at) { return slots_[at % capacity]; }

    // They run around. Written under the lock.
    std::atomic<std::uint32_t> top_{0};
    std::atomic<std::uint32_t> bottom_{0};
    Slot slots_[capacity];
};

}  // namespace execq::core
