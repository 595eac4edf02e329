// Floor 0. What the lock-free headers are written against, so that the same header runs under the model checker: a
// policy with the atomics, plain variables that other threads may touch, fences, and a way to let others run.
#pragma once

#include <atomic>
#include <cstdint>
#include <sched.h>
#include <time.h>

#include "base/asymmetric.h"

namespace execq::core {

struct StdAtomics {
    template <class T>
    using Atomic = std::atomic<T>;
    template <class T>
    using Plain = T;
    // While another thread is in the middle of a few steps. Now and then it sleeps: under a real-time scheduling class a
    // yield lets nobody run whose priority is lower, and that may be the one that is waited for.
    static void yield()
    {
        static thread_local constinit std::uint32_t yields = 0;
        if (++yields % yields_per_sleep != 0) {
            sched_yield();
            return;
        }
        const timespec moment{0, sleep_ns};
        nanosleep(&moment, nullptr);
    }
    static void light_fence() { AsymmetricFence::light(); }
    static void heavy_fence() { AsymmetricFence::heavy(); }

    static constexpr std::uint32_t yields_per_sleep = 64;
    static constexpr long sleep_ns = 20'000;
};

}  // namespace execq::core
