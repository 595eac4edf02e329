// bench/harness. A place where tasks hold their workers until the measuring thread lets them go.
//
// Owner: the scenario. Threads: pass() on workers, the rest on the measuring thread.
#pragma once

#include <atomic>
#include <cstdint>

#include "harness/clock.h"

namespace bench {

class Gate {
public:
    // On a worker: arrives, and sleeps until the gate is open.
    void pass()
    {
        arrived_.fetch_add(1, std::memory_order_acq_rel);
        arrived_.notify_one();
        open_.wait(false, std::memory_order_acquire);
        std::int64_t none = 0;
        first_out_ns_.compare_exchange_strong(none, now_ns(), std::memory_order_acq_rel);
    }

    // Waits until n workers are held.
    void await(unsigned n)
    {
        for (unsigned seen = arrived_.load(std::memory_order_acquire); seen < n;
             seen = arrived_.load(std::memory_order_acquire))
            arrived_.wait(seen, std::memory_order_acquire);
    }

    void open()
    {
        open_.store(true, std::memory_order_release);
        open_.notify_all();
    }

    // When the first of the held workers went on.
    std::int64_t first_out_ns() const { return first_out_ns_.load(std::memory_order_acquire); }

private:
    std::atomic<unsigned> arrived_{0};           // workers raise it (pass), await() reads it
    std::atomic<bool> open_{false};              // open() writes it, workers read it (pass)
    std::atomic<std::int64_t> first_out_ns_{0};  // the first worker out writes it (pass), first_out_ns() reads it
};

}  // namespace bench
