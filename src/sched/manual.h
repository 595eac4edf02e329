// Floor 2. A manual executor: one without threads, whose tasks run when somebody steps it, on a clock that he moves.
//
// Who steps lends the executor his thread: for as long as a step lasts that thread is its only worker, so that whatever is
// true of a body on a worker, of its frame, its loop and its waits, is true here. One thread steps at a time; steps are nested
// where a body steps, or waits.
//
// Whose it is. A manual executor belongs to the thread that made it, or stepped it last. A wait of that thread steps all that
// are its own until what it waits for is done. When nothing is due any more their clocks jump to the next time that is, or to
// the end of the wait, all by the same step. What cannot come about by any of that is a deadlock, unless somebody else may do
// it: for him the wait looks again each millisecond.
//
// In what order. The executor's own, where there is no seed: first come, first served, but for priorities. With a seed, what
// is there is taken out of its queues, and one of these picked by chance; queues keep their own order, as they only give turns.
//
// The asynchronous tasks run on the own loop of the thread that steps. It is turned in each step; the place (loop_place.h)
// is open only while there are some, and until they have ended nobody else may step.
//
// Its end. When the last handle is gone nobody can step it any more, so what is due runs there and then, and what is left is
// canceled.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "base/annotations.h"
#include "base/clock.h"
#include "base/links.h"
#include "base/process.h"
#include "execq/status.h"
#include "sched/item.h"
#include "sched/thread_loop.h"
#include "sched/timekeeper.h"

namespace execq::core {

class Executor;
class Worker;

struct ManualSpec {
    std::uint64_t seed = 0;     // 0: first come, first served
    bool stands_still = false;  // the clock moves only where it is told to
};

// Of the executor that it is for.
struct ManualOptions {
    const char* name = nullptr;
    std::uint32_t capacity = 0;
    std::uint32_t full_policy = 0;
};

class Manual : public Hook {  // Hook: the list of all, under its mutex
public:
    class Use;
    struct Awaited;

    // One handle to the caller. EXECQ_OK, EXECQ_ENOMEM, EXECQ_EAGAIN.
    static execq_status make(const ManualOptions& options, const ManualSpec& spec, Executor** out);
    Manual(Executor& executor, const ManualSpec& spec);
    ~Manual();
    Manual(const Manual&) = delete;
    Manual& operator=(const Manual&) = delete;

    Executor& executor() const { return executor_; }
    Timekeeper& keeper() const { return keeper_; }

    // ---- any thread; EXECQ_OK, or EXECQ_EBUSY while another one steps, or has asynchronous tasks on its loop ----
    // One task that is due.
    execq_status step(bool& ran);
    // Until nothing is due; counts what ran.
    execq_status run(std::uint64_t& ran);
    // Moves the clock by that time, as far as it goes: what is due on the way becomes so in the order of its times.
    execq_status advance(std::int64_t by_ns);
    // The same, and runs what is due at each time before it goes on to the next.
    execq_status run_for(std::int64_t by_ns, std::uint64_t& ran);
    // Since it was made.
    std::int64_t now() const { return keeper_.now() - Timekeeper::manual_start_ns; }

    // ---- the executor's ----
    execq_status join(Deadline deadline);
    // The last handle is gone.
    void abandon();
    // Tasks that were taken out of the queues and have not run.
    std::size_t taken();

    // ---- waits ----
    // The one whose clock the calling thread is on: whose step it is in, or that it made or stepped last. May be none.
    static Use of_this_thread();
    // The calling thread steps one or more.
    static bool any_here() { return how_many_.load(std::memory_order_relaxed) != 0 && find_here(); }
    // Steps those until it is done. EXECQ_OK, EXECQ_ETIMEDOUT, EXECQ_EDEADLK.
    static execq_status await(Awaited& awaited, Deadline deadline);
    // A task of one that the calling thread steps.
    static bool has_here(std::uint16_t executor_id);

private:
    class Stepping;
    class Visit;

    static bool find_here();
    static Use next_here(std::uint64_t after);
    static bool step_all(bool& any);
    static bool jump(const Manual& clock, std::int64_t until_ns);
    static bool wait_on_loop(bool in_any_case);
    bool is_here() const;
    Use use_of();
    bool run_one(Visit& visit);
    bool move_on(std::int64_t until_ns);
    void turn_loop();
    void settle_place();
    Item take();
    void gather();
    std::uint64_t random();
    bool drained();
    bool holds_place() const;
    void finish();

    // Without any, no wait looks further. Who made one here sees it.
    static inline std::atomic<std::uint32_t> how_many_{0};
    static const InChild in_child_;

    Executor& executor_;
    Timekeeper& keeper_;  // owned; it may outlive this
    const std::uint64_t seed_;
    const bool stands_still_;
    std::uint64_t state_;                         // of the generator; who steps
    std::optional<ThreadLoop::Driven> drives_;    // while the place is open
    std::uint64_t place_thread_ = 0;              // whose loop that is on
    std::atomic<std::uint64_t> owner_;            // the thread that it belongs to; written by that thread
    std::atomic<std::uint64_t> made_or_stepped_;  // when it became so, among all; written by that thread
    std::atomic<std::uint64_t> stepper_{0};       // the thread that steps; written by that one, 0 in between
    std::atomic<bool> abandoned_{false};          // set by who drops the last handle, seen by who steps
    bool finished_ = false;                       // who steps
    Mutex taken_mutex_;                           // a leaf
    std::vector<Item> taken_ EXECQ_GUARDED_BY(taken_mutex_);  // changed by who steps
};

// A use of its executor, or nothing.
class Manual::Use {
public:
    Use() = default;
    explicit Use(Manual& manual) : manual_(&manual) {}  // takes it over
    ~Use();
    Use(Use&& other) noexcept : manual_(std::exchange(other.manual_, nullptr)) {}
    Use& operator=(Use&& other) noexcept
    {
        std::swap(manual_, other.manual_);
        return *this;
    }

    explicit operator bool() const { return manual_ != nullptr; }
    Manual* operator->() const { return manual_; }
    Manual& operator*() const { return *manual_; }

private:
    Manual* manual_ = nullptr;
};

// What a wait is for.
struct Manual::Awaited {
    virtual bool done() = 0;
    // Nothing but the tasks of this thread's manual executors can bring it about.
    virtual bool ours() = 0;
    // It takes its real time, whatever these do: their clocks do not jump for it.
    virtual bool takes_real_time() { return false; }
    // Sleeps for what may come from elsewhere.
    virtual void sleep(Deadline deadline) = 0;
    // The thread's own loop is to be run, whoever has work on it.
    virtual bool drives_loop() { return false; }

protected:
    ~Awaited() = default;
};

}  // namespace execq::core
