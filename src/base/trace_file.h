// Floor 0. The file of a trace, in the array form of Chrome's trace format: events are lines of text, written by any thread.
//
// They are kept in shards, one for some threads each, and go to the file when a shard is full, and at the stop: an event is
// a copy under a lock that hardly anybody else wants. There is one file at a time, and its memory is bounded and never given
// back, as threads may write until the process is gone. A child that is forked has no file, and leaves its parent's alone.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/annotations.h"
#include "base/process.h"

namespace execq::core {

class TraceFile {
public:
    enum class Started { yes, already, unwritable, no_memory };
    struct Outcome {
        Started started;
        int error;  // an errno value, where it is unwritable
    };
    enum class Stopped { yes, no_trace, incomplete };

    // Opens the file, which is emptied, and begins a session in it; from the first one on, exit() stops what goes on then.
    // "%p" in the path is the number of the process. The first event comes from the caller.
    static Outcome start(const char* path, std::string_view first_event);
    // What was written before is in the file, which is valid JSON. Incomplete: the system has refused some of it.
    static Stopped stop();

    // The session that goes on, never used again; 0: none.
    static std::uint64_t session()
    {
        const TraceFile* file = instance_.load(std::memory_order_acquire);
        return file != nullptr ? file->session_.load(std::memory_order_acquire) : 0;
    }
    // The session's events are counted from here.
    static std::int64_t began_ns()
    {
        const TraceFile* file = instance_.load(std::memory_order_acquire);
        return file != nullptr ? file->began_ns_.load(std::memory_order_relaxed) : 0;
    }
    // Whole events, each with ",\n" in front; nothing where that session is over. Those of one thread, which has to give
    // always the same number, are in the file in their order.
    static void write(std::uint64_t session, std::uint64_t thread, std::string_view events);

    static constexpr std::size_t shard_size = 32 * 1024;

private:
    struct alignas(64) Shard {
        Mutex mutex;
        std::size_t size EXECQ_GUARDED_BY(mutex) = 0;
        std::array<char, shard_size> text EXECQ_GUARDED_BY(mutex);
    };

    void put(std::string_view text);
    void flush(Shard& shard) EXECQ_REQUIRES(shard.mutex);

    // Locks, outermost first: that of starts and stops, a shard's, file_mutex_.
    static inline constinit std::atomic<TraceFile*> instance_{nullptr};
    static const InChild in_child_;
    static inline constinit TraceFile* left_behind_ = nullptr;
    std::atomic<std::uint64_t> session_{0};
    std::atomic<std::int64_t> began_ns_{0};
    Mutex file_mutex_;
    int descriptor_ EXECQ_GUARDED_BY(file_mutex_) = -1;
    bool refused_ EXECQ_GUARDED_BY(file_mutex_) = false;
    std::array<Shard, 64> shards_;
};

}  // namespace execq::core
