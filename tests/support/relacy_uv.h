// libuv's async handle, for models of what wakes a loop. Behind relacy_atomics.h.
#pragma once

#include "relacy_atomics.h"

// What uv_async_send and uv__async_io of libuv 1.44 do. `pending` is first read without ordering, which is what loses
// wake-ups; the descriptor is the kernel's, so it orders by itself.
class AsyncHandle {
public:
    AsyncHandle() { ready_.init(false, 0, 64, $); }
    ~AsyncHandle() { ready_.deinit($); }

    void send()
    {
        RL_ASSERT(open_($) == 1);
        if (pending_.load(std::memory_order::relaxed) != 0)
            return;
        int idle = 0;
        if (!pending_.compare_exchange_strong(idle, 1, std::memory_order::seq_cst, std::memory_order::seq_cst))
            return;
        if (descriptor_.fetch_add(1, std::memory_order::seq_cst) == 0)
            ready_.signal($);
        int busy = 1;
        pending_.compare_exchange_strong(busy, 2, std::memory_order::seq_cst, std::memory_order::seq_cst);
    }

    // True if the loop would call the handle's callback now.
    bool poll()
    {
        if (descriptor_.exchange(0, std::memory_order::seq_cst) == 0)
            return false;
        int sent = 2;
        while (!pending_.compare_exchange_strong(sent, 0, std::memory_order::seq_cst, std::memory_order::seq_cst)) {
            if (sent == 0)
                return false;
            sent = 2;
            rl::yield(1, $);
        }
        return true;
    }

    // Until the descriptor is ready, or was ready before. A thread that sleeps here for ever is a deadlock to relacy.
    void sleep() { ready_.wait(false, false, $); }

    void close() { open_($) = 0; }

private:
    template <class T>
    using Atomic = RelacyAtomics<>::Atomic<T>;
    Atomic<int> pending_{0};
    Atomic<int> descriptor_{0};
    rl::var<int> open_{1};
    rl::semaphore<AsyncHandle> ready_;
};
