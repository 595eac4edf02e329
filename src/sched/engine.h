// Floor 2. An engine: what stands in the place of an executor's queues and workers where something else runs its tasks.
//
// An executor with an engine has no workers. It counts what it accepts, as uses of itself, and gives it to the engine, which
// has to end each task once: by Executor::run_taken(), or by start_taken() and end_body() (sched/body.h), or by canceling and
// releasing it; and then, in each case, by Executor::end_taken(). All the rest is as with workers: futures, completions,
// scopes and times know nothing of it. A queue asks for no turns: its next task is handed in by whoever ends, or submits, the
// one before (flow/queue.cc).
#pragma once

#include <atomic>
#include <cstdint>

#include "base/clock.h"
#include "base/process.h"
#include "execq/executor.h"
#include "execq/stats.h"
#include "execq/status.h"
#include "task/membership.h"
#include "task/node.h"

namespace execq::core {

class Executor;

class Engine {
public:
    Engine() = default;
    virtual ~Engine() = default;
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    // Any thread, without a lock: takes the task, which the executor has counted, over together with the executor's reference,
    // where it answers EXECQ_OK. It may run it at once. Else the node is as it was.
    virtual execq_status take(Node& node) noexcept = 0;
    // A scope of each of its tasks besides; null: none.
    virtual TaskScope* scope() { return nullptr; }
    // A wait inside of one of its tasks runs another one that has not started, in place.
    virtual bool helps() const { return false; }
    // The executor was closed in that way (EXECQ_DRAIN, EXECQ_CANCEL); without a lock. Asks what it has to stop, by cancel(),
    // where that is EXECQ_CANCEL.
    virtual void closed(std::int32_t how) noexcept = 0;
    // join() waits until all were ended; by default it sleeps. EXECQ_OK, EXECQ_ETIMEDOUT, EXECQ_EDEADLK.
    virtual execq_status join(Deadline deadline);
    // Adds what it has.
    virtual void report(execq_shutdown_report& report) = 0;
    virtual void stats(execq_stats& stats) = 0;

protected:
    Executor& executor() const { return *executor_; }
    std::uint32_t taken() const { return taken_.load(std::memory_order_acquire); }

private:
    friend class Executor;
    // Tasks that were accepted and have not been ended. Written by the executor, up under its mutex; join() sleeps on it.
    std::atomic<std::uint32_t> taken_{0};
    Executor* executor_ = nullptr;  // which owns it; set by its constructor
};

// While one lives, this thread runs a task of an executor that has an engine.
class EngineTurn {
public:
    explicit EngineTurn(Executor& executor) : executor_(executor), outer_(innermost_) { innermost_ = this; }
    ~EngineTurn() { innermost_ = outer_; }
    EngineTurn(const EngineTurn&) = delete;
    EngineTurn& operator=(const EngineTurn&) = delete;

    static bool any() { return innermost_ != nullptr; }
    static bool of(const Executor& executor) { return count_of(executor) != 0; }
    // How many of its tasks this thread is inside of.
    static std::uint32_t count_of(const Executor& executor);
    // The executor of that task, if it is one of these; null: not.
    static Executor* executor_of(const Node& node);

private:
    static inline thread_local constinit const EngineTurn* innermost_ = nullptr;
    static const InChild in_child_;
    Executor& executor_;
    const EngineTurn* const outer_;
};

}  // namespace execq::core
