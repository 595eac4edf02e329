// Floor 0. Whether a thread is blocked in a wait of ours, for other threads to see.
//
// Only threads that somebody may ask about have a record: those that run attached loops.
//
// Ownership: counted by the thread itself and by whoever keeps a record. Threads: as noted.
#pragma once

#include <atomic>
#include <cstdint>

namespace execq::core {

class ThreadWaits {
public:
    // The calling thread's record, made at the first call, with one reference for the caller. Null: no memory.
    static ThreadWaits* of_this_thread();
    void release();
    static bool is_mine(const ThreadWaits* record) { return record != nullptr && record == mine_; }

    // Any thread: a moment's picture.
    bool blocked() const { return waits_.load(std::memory_order_acquire) != 0; }

    // While one lives, the thread is blocked.
    class Scope {
    public:
        Scope() : record_(mine_)
        {
            if (record_ != nullptr)
                record_->change(1);
        }
        ~Scope()
        {
            if (record_ != nullptr)
                record_->change(-1);
        }
        Scope(const Scope&) = delete;
        Scope& operator=(const Scope&) = delete;

    private:
        ThreadWaits* const record_;
    };

private:
    ThreadWaits() = default;
    ~ThreadWaits() = default;
    // relaxed load: only its own thread writes it; waits nest in callbacks that a wait runs.
    void change(int by)
    {
        waits_.store(waits_.load(std::memory_order_relaxed) + static_cast<std::uint32_t>(by),
                     std::memory_order_release);
    }

    // Lets go of the record when its thread ends.
    struct Holder {
        bool registered = false;
        ~Holder();
    };
    static inline thread_local constinit ThreadWaits* mine_ = nullptr;
    static thread_local Holder holder_;

    // Written by its own thread, read by others.
    std::atomic<std::uint32_t> waits_{0};
    std::atomic<std::uint32_t> references_{1};
};

}  // namespace execq::core
