// Floor 0. What the lock-free headers are written against, so that the same header runs under the model checker: a
// policy with the atomics, plain variables that other threads may touch, fences, and a way to let others run.
#pragma once

#include <atomic>
#include <thread>

#include "base/asymmetric.h"

namespace execq::core {

struct StdAtomics {
    template <class T>
    using Atomic = std::atomic<T>;
    template <class T>
    using Plain = T;
    static void yield() { std::this_thread::yield(); }
    static void light_fence() { AsymmetricFence::light(); }
    static void heavy_fence() { AsymmetricFence::heavy(); }
};

}  // namespace execq::core
