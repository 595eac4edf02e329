// Floor 0. Sleeping on a 32-bit word: the seam to other systems, together with the notifier of flow/cq.
#pragma once

#include <atomic>
#include <climits>
#include <cstdint>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"

namespace execq::core {

// Sleeps while *word == expected, until woken or the deadline. May return early: the caller looks again.
inline void futex_wait(const void* word, std::uint32_t expected, Deadline deadline)
{
    const timespec until = deadline.absolute();
    syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, expected, deadline.never() ? nullptr : &until, nullptr,
            FUTEX_BITSET_MATCH_ANY);
}

// Only uses the address: the word's owner may already have freed it, at worst a stranger wakes once too often.
inline void futex_wake(const void* word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
}

inline void futex_wake_all(const void* word) { futex_wake(word, INT_MAX); }

// A permit of at most one: unpark() gives it, park() takes it or sleeps until it comes.
class Parker {
public:
    // Only the owning thread. False: the deadline passed first.
    bool park(Deadline deadline = Deadline::after(-1))
    {
        // Written by both sides. acquire pairs with unpark's release, so that the waker's writes are seen.
        std::uint32_t seen = word_.exchange(parked, std::memory_order_acquire);
        if (seen != notified) {
            while ((seen = word_.load(std::memory_order_acquire)) == parked && !deadline.passed())
                futex_wait(&word_, parked, deadline);
        }
        // Only park() leaves `notified`, and only one thread parks.
        return seen == notified ? take() : word_.exchange(empty, std::memory_order_acquire) == notified;
    }

    // Any thread.
    void unpark()
    {
        if (word_.exchange(notified, std::memory_order_release) == parked)
            futex_wake(&word_, 1);
    }

private:
    static constexpr std::uint32_t empty = 0, parked = 1, notified = 2;

    bool take()
    {
        word_.store(empty, std::memory_order_relaxed);
        return true;
    }

    std::atomic<std::uint32_t> word_{empty};
};

}  // namespace execq::core
