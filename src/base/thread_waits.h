// Floor 0. Whether a thread is blocked in a wait of ours, for other threads to see.
//
// Only threads that somebody may ask about have a record: those that run attached loops.
//
// Ownership: counted by the thread itself and by whoever keeps a record. Threads: as noted.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "base/process.h"
#include "base/thread_end.h"

namespace execq::core {

class ThreadWaits {
public:
    // The calling thread's record, made at the first call, with one reference for the caller. Null: no memory.
    static ThreadWaits* of_this_thread();
    void release();
    static bool is_mine(const ThreadWaits* record) { return record != nullptr && record == mine_; }

    // Any thread: a moment's picture. Of two threads that each have a Scope before they ask for the other, one is told.
    // Who only drives its own loop is blocked for all but that.
    bool blocked_for(const void* loop) const
    {
        const void* driven = driven_.load(std::memory_order_acquire);
        return waits_.load(std::memory_order_seq_cst) != 0 || (driven != nullptr && driven != loop);
    }

    // While one lives, the thread is blocked.
    class Scope {
    public:
        Scope() : record_(mine_)
        {
            if (record_ != nullptr)
                record_->waits_.fetch_add(1, std::memory_order_seq_cst);
        }
        ~Scope()
        {
            if (record_ != nullptr)
                record_->waits_.fetch_sub(1, std::memory_order_seq_cst);
        }
        Scope(const Scope&) = delete;
        Scope& operator=(const Scope&) = delete;

    private:
        ThreadWaits* const record_;
    };

    // While one lives, the thread drives its own loop until something is done. A callback of that may be what has the
    // record made.
    class Drive {
    public:
        explicit Drive(const void* loop) : outer_(std::exchange(driving_, loop)) { note(); }
        ~Drive()
        {
            driving_ = outer_;
            note();
        }
        Drive(const Drive&) = delete;
        Drive& operator=(const Drive&) = delete;

    private:
        static void note()
        {
            if (mine_ != nullptr)
                mine_->driven_.store(driving_, std::memory_order_release);
        }

        const void* const outer_;
    };

private:
    ThreadWaits() : driven_(driving_) {}
    ~ThreadWaits() = default;

    static inline thread_local constinit ThreadWaits* mine_ = nullptr;
    static inline thread_local constinit const void* driving_ = nullptr;  // the loop of the innermost Drive
    static const InChild in_child_;
    static const AtThreadEnd at_thread_end_;  // lets go of the record

    // Written by its own thread, read by others.
    std::atomic<std::uint32_t> waits_{0};
    std::atomic<const void*> driven_;
    std::atomic<std::uint32_t> references_{1};
};

}  // namespace execq::core
