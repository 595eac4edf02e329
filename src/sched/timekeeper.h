// Floor 2. The timekeeper: one thread of the process, which completes sleeps, hands tasks to their executors when they are
// due, those of a series again and again, and cancels those whose time is up.
//
// A thread of its own, since a time has to reach a running body also while all workers are blocked. It starts with the first
// timer and ends some time after the last one. It runs no bodies: only what completing a node means on the thread that does
// so, which is drops and done callbacks.
//
// A manual executor (sched/manual.h) has a timekeeper of its own: without a thread, with a clock that stands still until
// somebody moves it, exact to the nanosecond. Who steps the executor does by fire() what the thread does here. It outlives
// its executor for as long as it has timers.
//
// The mutex guards the wheel and each timer's stage. What is due is taken out of the wheel under it, and seen to outside
// of it; a timer that is withdrawn meanwhile (see task/timer.h) is then over, and ended by the timekeeper.
//
// A series (execq_submit_periodic) is one task, whose node goes from pending to running and back for each run:
//
//   resting ──due: the thread──► queued ──a worker──► running ──rest(): the worker──► resting
//
// Resting it is like a delayed task, which whoever wins it may cancel. Since the next run may begin and end before its
// submission returns, the timer of a series is never held outside the mutex: what is due is decided under it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/annotations.h"
#include "base/clock.h"
#include "base/immortal.h"
#include "base/links.h"
#include "base/process.h"
#include "base/timer_wheel.h"
#include "base/turn_word.h"
#include "execq/status.h"
#include "task/node.h"
#include "task/timer.h"

namespace execq::core {

class Timekeeper {
public:
    static Timekeeper& get();
    // One whose clock is moved by hand. The caller's until retire().
    static Timekeeper* make_manual() { return new Timekeeper(manual_start_ns); }
    // Nobody moves the clock any more: sleeps that have not ended are canceled, and it frees itself once nothing is left.
    void retire();

    bool manual() const { return manual_; }
    // Its clock.
    std::int64_t now() const { return manual_ ? at_ns_.load(std::memory_order_acquire) : now_ns(); }

    // ---- of a manual one, by one thread at a time ----
    // When the next timer is due, at the earliest; never: there is none.
    std::int64_t next_ns();
    // Moves the clock there, which is not beyond next_ns(), nor behind now().
    void move_to(std::int64_t at_ns) { at_ns_.store(at_ns, std::memory_order_release); }
    // Sees to one timer that is due. False: there is none.
    bool fire();
    // The manual clock's first time; a time of 0 has a meaning of its own.
    static constexpr std::int64_t manual_start_ns = 1'000'000'000;

    // Any thread. A sleep that ends at that time, with one reference for the caller. EXECQ_OK, EXECQ_ENOMEM, EXECQ_EAGAIN.
    execq_status sleep(std::int64_t until_ns, Node** out, const ContextRef& context = {});

    // Any thread. Sees to it that there is a thread for n more timers: once it answered EXECQ_OK, they are kept without
    // fail. Else EXECQ_EAGAIN.
    execq_status enlist(std::size_t n);
    // Takes n of them back.
    void resign(std::size_t n);
    // The task of an enlisted timer was accepted: from here on its times are kept.
    void keep(TaskTimer& timer);
    // The same for one that the caller has claimed, its time being up already: cancels the task here.
    void cancel_late(TaskTimer& timer);

    // True on its thread: whatever waits for it here would wait for ever.
    static bool on_its_thread() { return on_its_thread_; }
    // On its thread, in a callback that does not come back (exit): sees to what is due, as nobody else will.
    void catch_up();

    // The executor has closed: what is not due yet will be canceled, soon, by the timekeeper.
    void refuse_delayed(HookList<DelayLink>& delayed);

    // A worker's: a run of the series has ended, and the next one's time is kept, with the caller's reference to the node.
    // False: it has to be canceled by the caller, as it was asked to stop, or the executor has closed.
    [[nodiscard]] bool rest(Node& node, Executor& executor);

    // See task/timer.h.
    void withdraw(Timer& timer);

    // For tests; a moment's picture.
    struct Usage {
        std::size_t timers = 0;     // that have not ended
        std::size_t scheduled = 0;  // in the wheel
        bool thread = false;
    };
    Usage usage();
    // For tests: how long the thread stays without a timer.
    void set_idle(std::int64_t idle_ns);

private:
    static constexpr std::int64_t default_idle_ns = 10'000'000'000;
    static inline thread_local constinit bool on_its_thread_ = false;
    static const InChild in_child_;

    static void* thread_main(void* keeper);
    void work();
    // True: some are due, held, and in the list. False: there is nothing left to stay for.
    bool await_due(HookList<TimerEntry>& due);
    execq_status have_thread() EXECQ_REQUIRES(mutex_);
    // Of timers that have not ended.
    void count(std::ptrdiff_t more) EXECQ_REQUIRES(mutex_);
    class Stay;
    void take_due(HookList<TimerEntry>& due) EXECQ_REQUIRES(mutex_);
    void see_to_due();
    // Answers whether the thread would sleep too long now: then wake() it, outside the mutex.
    [[nodiscard]] bool schedule(Timer& timer, std::int64_t at_ns) EXECQ_REQUIRES(mutex_);
    void wake_if(bool wanted);
    // Takes it out of whatever it is in. Who did so ends it, outside the mutex.
    void take_out(Timer& timer) EXECQ_REQUIRES(mutex_);
    static void end(Timer& timer);

    // ---- what is due; the timekeeper's thread ----
    void see_to(Timer& timer);
    void see_to_sleep(Timer& timer);
    void see_to_task(TaskTimer& timer);
    void go_on_with(Timer& timer, std::int64_t next_ns);
    void end_delay(TaskTimer& timer, bool handed_in);
    // What is to be done with a series outside the mutex: with `executor` goes what the timer had of it.
    struct Turn {
        enum class Kind { none, over, claimed, asked, due };
        Kind kind = Kind::none;
        Executor* executor = nullptr;
    };
    void see_to_series(TaskTimer& timer);
    Turn begin_turn(TaskTimer& timer) EXECQ_REQUIRES(mutex_);
    void hand_in(TaskTimer& timer, Executor& executor);
    bool put_back(TaskTimer& timer, Executor& executor);
    // From here on the task waits for its time.
    [[nodiscard]] bool lay_down(TaskTimer& timer, Executor& executor, std::int64_t at_ns) EXECQ_REQUIRES(mutex_);
    static Executor* let_go(TaskTimer& timer);

    const bool manual_ = false;
    // The clock of a manual one: written by who moves it, read by everybody.
    std::atomic<std::int64_t> at_ns_{0};
    // Of a manual one: its owner, all its timers together, and who is inside of a call. The last one frees it.
    std::atomic<std::uint32_t> references_{1};

    Mutex mutex_;
    HookList<TimerEntry> fired_ EXECQ_GUARDED_BY(mutex_);  // a manual one's: due, held, and not seen to
    TimerWheel wheel_ EXECQ_GUARDED_BY(mutex_);
    std::size_t timers_ EXECQ_GUARDED_BY(mutex_) = 0;  // enlisted and not ended
    bool running_ EXECQ_GUARDED_BY(mutex_) = false;
    std::int64_t idle_ns_ EXECQ_GUARDED_BY(mutex_) = default_idle_ns;
    std::int64_t wakes_at_ns_ EXECQ_GUARDED_BY(mutex_) = 0;  // until when the thread sleeps; 0: it does not
    // Changed under the mutex by who wants the thread to look again, which sleeps on it.
    TurnWord turn_;
    HookList<TimerEntry> due_;  // the thread's own: held, and not seen to
    std::size_t ended_ = 0;     // the thread's own: of timers_, those that it ended since it last had the mutex

    friend class Immortal<Timekeeper>;
    Timekeeper();
    explicit Timekeeper(std::int64_t manual_now_ns);
    ~Timekeeper() = default;
};

}  // namespace execq::core
