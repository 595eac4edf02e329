// bench/harness. How many tasks have run, counted so that it costs a task nothing that another thread can see.
//
// Each thread counts in a slot of its own, a cache line pair that only it writes; the thread that waits adds the slots
// up. All peers are counted in this way, and by the same code.
//
// Owner: the process, for good (a sample is a process of its own). Threads: count() any, total() any.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <thread>

#include "harness/clock.h"

namespace bench {

class Tally {
public:
    // One more task has run on this thread.
    static void count()
    {
        if (mine_ == nullptr) [[unlikely]]
            mine_ = claim();
        // Only this thread writes it, so it needs no read-modify-write. Release: whoever reads the count in total() sees
        // what the task did before.
        mine_->count.store(mine_->count.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    }

    static std::uint64_t total()
    {
        std::uint64_t sum = 0;
        const unsigned claimed = claimed_.load(std::memory_order_acquire);
        for (unsigned i = 0; i < claimed && i < slots_.size(); ++i)
            sum += slots_[i].count.load(std::memory_order_acquire);
        return sum;
    }

    // Waits until `target` tasks have run since the process began; answers when that was seen. The wait sleeps between
    // its looks, so that it takes no processor from the workers: the time is up to some 100 us late, for all alike.
    static std::int64_t await(std::uint64_t target)
    {
        while (total() < target)
            std::this_thread::sleep_for(std::chrono::microseconds(50));
        const std::int64_t end = now_ns();
        must_be(target);
        return end;
    }

private:
    struct alignas(128) Slot {
        std::atomic<std::uint64_t> count;  // its thread writes (count), the waiting thread reads (total)
    };

    static void must_be(std::uint64_t target)
    {
        if (total() != target)
            std::abort();  // a task ran twice
    }

    static Slot* claim()
    {
        const unsigned index = claimed_.fetch_add(1, std::memory_order_acq_rel);
        if (index >= slots_.size())
            std::abort();
        return &slots_[index];
    }

    static inline std::array<Slot, 1024> slots_;
    static inline std::atomic<unsigned> claimed_{0};  // any thread raises it once (claim), total() reads it
    static inline constinit thread_local Slot* mine_ = nullptr;
};

}  // namespace bench
