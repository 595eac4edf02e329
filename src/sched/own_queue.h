// Floor 2. The tasks that a worker submitted to itself: it takes the newest, others the oldest.
//
// Guarded by its worker's biased lock, but for size(), which anybody may ask for as a hint.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace execq::core {

template <class Item, std::uint32_t Capacity>
class OwnQueue {
public:
    static constexpr std::uint32_t capacity = Capacity;  // a power of two

    // False: full.
    bool push(Item* item)
    {
        const std::uint32_t bottom = bottom_.load(std::memory_order_relaxed);
        if (bottom - top_.load(std::memory_order_relaxed) == capacity)
            return false;
        slots_[bottom % capacity] = item;
        bottom_.store(bottom + 1, std::memory_order_relaxed);
        return true;
    }

    // The newest, or null.
    Item* pop()
    {
        const std::uint32_t bottom = bottom_.load(std::memory_order_relaxed);
        if (bottom == top_.load(std::memory_order_relaxed))
            return nullptr;
        bottom_.store(bottom - 1, std::memory_order_relaxed);
        return slots_[(bottom - 1) % capacity];
    }

    // Up to n of the oldest, into items; returns how many.
    std::uint32_t take_oldest(Item** items, std::uint32_t n)
    {
        const std::uint32_t top = top_.load(std::memory_order_relaxed);
        const std::uint32_t taken = std::min(n, bottom_.load(std::memory_order_relaxed) - top);
        for (std::uint32_t i = 0; i < taken; ++i)
            items[i] = slots_[(top + i) % capacity];
        top_.store(top + taken, std::memory_order_relaxed);
        return taken;
    }

    // Visits all, oldest first.
    template <class Visit>
    void for_each(const Visit& visit) const
    {
        const std::uint32_t bottom = bottom_.load(std::memory_order_relaxed);
        for (std::uint32_t at = top_.load(std::memory_order_relaxed); at != bottom; ++at)
            visit(*slots_[at % capacity]);
    }

    // Without the lock a hint: exact for the owner, and for a thread that has passed a heavy fence since it changed.
    std::uint32_t size() const
    {
        return bottom_.load(std::memory_order_relaxed) - top_.load(std::memory_order_relaxed);
    }

private:
    // They run around. Written under the lock.
    std::atomic<std::uint32_t> top_{0};
    std::atomic<std::uint32_t> bottom_{0};
    Item* slots_[capacity] = {};
};

}  // namespace execq::core
