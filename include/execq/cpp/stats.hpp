// Statistics of an executor.
#ifndef EXECQ_CPP_STATS_HPP
#define EXECQ_CPP_STATS_HPP

#include <chrono>
#include <cstdint>
#include <execq/cpp/error.hpp>
#include <execq/execq.h>
#include <vector>

namespace execq {

// As execq_latency.
struct latency {
    std::uint64_t count = 0;
    std::chrono::nanoseconds p50{0};
    std::chrono::nanoseconds p99{0};
    std::chrono::nanoseconds max{0};
};

enum class worker_state : std::uint32_t {
    absent = EXECQ_WORKER_ABSENT,
    idle = EXECQ_WORKER_IDLE,
    running = EXECQ_WORKER_RUNNING,
    awake = EXECQ_WORKER_AWAKE
};

// As execq_worker_stats.
struct worker_stats {
    std::uint32_t number = 0;
    worker_state state = worker_state::absent;
    bool has_loop = false;
    bool reserved_for_loops = false;
    std::uint64_t async_open = 0;
    std::uint64_t loop_delays = 0;
    latency loop_lag;
    latency loop_turn;
};

// As execq_stats, whose comments say what each figure means.
struct executor_stats {
    std::vector<worker_stats> workers;
    std::uint64_t threads = 0;
    std::uint64_t idle = 0;
    std::uint64_t running = 0;
    std::uint64_t threads_max = 0;
    std::uint64_t queued = 0;
    std::uint64_t queued_async = 0;
    std::uint64_t delayed = 0;
    std::uint64_t loops = 0;
    std::uint64_t async_open = 0;
    std::uint64_t threads_started = 0;
    std::uint64_t wakes = 0;
    std::uint64_t steals = 0;
    std::uint64_t loop_delays = 0;
    latency loop_lag;
    latency loop_turn;
    std::uint64_t spares = 0;
    std::uint64_t most_spares = 0;
    std::uint64_t blocked = 0;
    std::uint64_t blocking_hints = 0;
    std::uint64_t waits_in_place = 0;
    std::uint64_t waits_compensated = 0;
    std::uint64_t waits_refused = 0;
    // With executor_options::times.
    std::uint64_t submitted = 0;
    std::uint64_t started = 0;
    std::uint64_t completed_ok = 0;
    std::uint64_t completed_failed = 0;
    std::uint64_t completed_canceled = 0;
    latency queue_latency;
    latency run_time;
};

namespace detail {

inline latency to_latency(const execq_latency& from)
{
    return {from.count, std::chrono::nanoseconds(from.p50_ns), std::chrono::nanoseconds(from.p99_ns),
            std::chrono::nanoseconds(from.max_ns)};
}

inline worker_stats to_worker_stats(const execq_worker_stats& from)
{
    return {from.number,
            static_cast<worker_state>(from.state),
            from.has_loop != 0,
            from.reserved_for_loops != 0,
            from.async_open,
            from.loop_delays,
            to_latency(from.loop_lag),
            to_latency(from.loop_turn)};
}

// Room is made for the workers that there are, and once more where some were added meanwhile.
inline executor_stats stats_of(execq_executor* executor)
{
    std::vector<execq_worker_stats> room;
    execq_stats found = EXECQ_STATS_INIT;
    do {
        room.resize(found.workers_total);
        found.workers = room.empty() ? nullptr : room.data();
        found.workers_max = room.size();
        check(execq_executor_stats(executor, &found));
    } while (found.workers_total > room.size());
    executor_stats stats{{},
                         found.threads,
                         found.idle,
                         found.running,
                         found.threads_max,
                         found.queued,
                         found.queued_async,
                         found.delayed,
                         found.loops,
                         found.async_open,
                         found.threads_started,
                         found.wakes,
                         found.steals,
                         found.loop_delays,
                         to_latency(found.loop_lag),
                         to_latency(found.loop_turn),
                         found.spares,
                         found.most_spares,
                         found.blocked,
                         found.blocking_hints,
                         found.waits_in_place,
                         found.waits_compensated,
                         found.waits_refused,
                         found.submitted,
                         found.started,
                         found.completed_ok,
                         found.completed_failed,
                         found.completed_canceled,
                         to_latency(found.queue_latency),
                         to_latency(found.run_time)};
    for (std::uint64_t i = 0; i < found.workers_count; ++i)
        stats.workers.push_back(to_worker_stats(room[i]));
    return stats;
}

}  // namespace detail

}  // namespace execq

#endif
