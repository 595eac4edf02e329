// A futex for models: who sleeps while nobody wakes him blocks, and relacy reports that as a deadlock.
#pragma once

#include "relacy_atomics.h"

#include "base/clock.h"

// The word is an atomic of this type, of which the lower half is compared. One lives in each execution of a model.
template <class T>
class ModelFutex {
public:
    using Word = RelacyAtomics<>::Atomic<T>;

    ModelFutex() { current_ = this; }
    ModelFutex(const ModelFutex&) = delete;
    ModelFutex& operator=(const ModelFutex&) = delete;

    // The kernel looks at the word and falls asleep in one step, as seen by who wakes.
    static void wait(const void* word, std::uint32_t expected, execq::core::Deadline)
    {
        ModelFutex& futex = *current_;
        futex.mutex_.lock($);
        // relaxed: what the caller relies on it looks up itself.
        if (static_cast<std::uint32_t>(static_cast<const Word*>(word)->load(std::memory_order::relaxed)) == expected)
            futex.woken_.wait(futex.mutex_, $);
        futex.mutex_.unlock($);
    }
    // Only the address is used, and not even that: everybody wakes up, as if by a collision.
    static void wake_all(const void*)
    {
        ModelFutex& futex = *current_;
        futex.mutex_.lock($);
        futex.woken_.notify_all($);
        futex.mutex_.unlock($);
    }
    static void wake_one(const void* word) { wake_all(word); }

private:
    static inline ModelFutex* current_ = nullptr;
    rl::mutex mutex_;
    rl::condition_variable woken_;
};
