// Floor 0. Sleeping on a 32-bit word: the seam to other systems, together with the notifier of flow/cq.
#pragma once

#include <climits>
#include <cstdint>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomics.h"
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

struct FutexSleep {
    static void wait(const void* word, std::uint32_t expected, Deadline deadline)
    {
        futex_wait(word, expected, deadline);
    }
    static void wake_one(const void* word) { futex_wake(word, 1); }
    static void wake_all(const void* word) { futex_wake_all(word); }
};

// A permit of at most one: unpark() gives it, park() takes it or sleeps until it comes.
//
// park() writes the word by exchanges alone: a permit that comes while another one is being taken is either merged with
// that, and what was written before it is seen, or it stays. The model in tests/model/parker_model.cc covers it.
template <class Atomics = StdAtomics, class Sleep = FutexSleep>
class BasicParker {
public:
    // Only the owning thread. False: the deadline passed first.
    bool park(Deadline deadline = Deadline::after(-1))
    {
        // Written by both sides. acquire pairs with unpark's release, so that the waker's writes are seen.
        if (word_.exchange(parked, std::memory_order::acquire) != notified) {  // re-check: true
            while (word_.load(std::memory_order::relaxed) == parked && !deadline.passed())  // the exchange acquires
                Sleep::wait(&word_, parked, deadline);
            return word_.exchange(empty, std::memory_order::acquire) == notified;  // re-check
        }
        word_.exchange(empty, std::memory_order::acquire);
        return true;
    }

    // Any thread.
    void unpark()
    {
        if (word_.exchange(notified, std::memory_order::release) == parked)
            Sleep::wake_one(&word_);
    }

private:
    static constexpr std::uint32_t empty = 0, parked = 1, notified = 2;

    typename Atomics::template Atomic<std::uint32_t> word_{empty};
};

using Parker = BasicParker<>;

}  // namespace execq::core
