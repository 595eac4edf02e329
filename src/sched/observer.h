// Floor 2. The observers that an executor may be made with: who counts how its tasks end and how long they wait and run, who
// calls the user's hooks, and the watchdog (sched/watchdog.h).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "base/histogram.h"
#include "execq/observe.h"
#include "execq/status.h"
#include "task/observed.h"

namespace execq::core {

class WatchObserver;

// Counts in shards, one for some threads each: any thread may start a task, or end one.
class TaskMeter final : public TaskObserver {
public:
    struct Counts {
        std::uint64_t submitted = 0;
        std::uint64_t started = 0;
        std::array<std::uint64_t, 3> completed{};  // by Ending
    };

    TaskMeter();  // throws std::bad_alloc

    Counts counts() const;
    void add_queue_times(HistogramSum& sum) const;
    void add_run_times(HistogramSum& sum) const;

    bool submitted(Observation& task) noexcept override;
    void started(Observation& task) noexcept override;
    void rested(Observation& task) noexcept override;
    void ended(Observation& task, Ending ending, std::int32_t code) noexcept override;

private:
    // All relaxed: what is counted is published by what becomes of the task.
    struct alignas(64) Shard {
        std::atomic<std::uint64_t> submitted{0};
        std::atomic<std::uint64_t> started{0};
        std::array<std::atomic<std::uint64_t>, 3> completed{};
        Histogram queue;
        Histogram run;
    };
    Shard& shard() const;

    const std::uint32_t shards_;  // a power of two
    const std::unique_ptr<Shard[]> all_;
};

// Calls the user's functions. What is submitted inside of one is told to none.
class Hooks final : public TaskObserver {
public:
    // Takes env over.
    explicit Hooks(const execq_hooks& table) : table_(table) {}
    ~Hooks() override;

    bool submitted(Observation& task) noexcept override;
    void started(Observation& task) noexcept override;
    void rested(Observation& task) noexcept override;
    void ended(Observation& task, Ending ending, std::int32_t code) noexcept override;

private:
    const execq_hooks table_;
};

// What is asked for; zeros: nothing.
struct ObserverSpec {
    const char* executor_name = nullptr;  // null: "execq"; copied
    bool times = false;
    const execq_hooks* hooks = nullptr;  // copied
    std::int64_t stuck_after_ns = 0;
    execq_stuck_fn on_stuck = nullptr;  // null: a line on stderr
    void* stuck_env = nullptr;
    execq_drop_fn stuck_drop = nullptr;
};

struct MadeObservers {
    Observers* all = nullptr;    // one reference, to the caller; null where nothing is asked for
    TaskMeter* meter = nullptr;  // two of these
    WatchObserver* watch = nullptr;
};

// EXECQ_OK, EXECQ_ENOMEM, EXECQ_EAGAIN. Takes the envs of the hooks and of on_stuck over in any case.
execq_status make_observers(const ObserverSpec& spec, MadeObservers& out);

}  // namespace execq::core
