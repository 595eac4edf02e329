// Floor 2. An executor: inboxes of tasks, the workers that take from them, and its life.
//
// Modes, each a step that is never taken back: open → draining → canceling, or open → canceling.
// Workers end by themselves once the executor is not open and nothing is queued.
//
// Two counts keep it alive. Handles are the C surface's references: the last one closes (draining). Uses are the
// handles together, and each thread: the last one frees.
//
// Where it has an engine, that stands in the place of inboxes and workers (see engine.h).
//
// executor.cc is its life; resize.cc changes its size, exit.cc ends it with the process; schedule.cc is what every task passes
// through, submit.cc its way in, sleep.cc what workers do that find none; loop_work.cc is about workers' own loops, reserved.cc
// about workers that run nothing else, classes.cc about tasks with a priority, spares.cc about threads in the place of those
// that are blocked; stats.cc tells what all of them do.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/annotations.h"
#include "base/clock.h"
#include "base/links.h"
#include "base/process.h"
#include "execq/executor.h"
#include "execq/stats.h"
#include "sched/block_pool.h"
#include "sched/class_inboxes.h"
#include "sched/engine.h"
#include "sched/inbox.h"
#include "sched/item.h"
#include "sched/loop_slots.h"
#include "sched/observer.h"
#include "sched/places.h"
#include "sched/roster.h"
#include "sched/thread_loop.h"
#include "sched/thread_plan.h"
#include "sched/turnstile.h"
#include "sched/worker.h"
#include "task/node.h"
#include "task/room.h"

namespace execq::core {

class Manual;
class Timekeeper;
struct ManualSpec;

// Zeros are defaults.
struct ExecutorSpec {
    const char* name = nullptr;
    std::uint32_t max_threads = 0;
    std::uint32_t min_threads = 0;
    std::int64_t keepalive_ns = 0;  // negative: none
    std::uint32_t loop_workers = 0;
    const execq_uv_table* uv_table = nullptr;  // copied; passes can_own_loops()
    std::uint32_t reserved_loop_workers = 0;   // of max_threads, where that is given; then no loop_workers
    std::uint32_t capacity = 0;                // at most Room::most; 0: unbounded
    std::uint32_t full_policy = EXECQ_FULL_REJECT;
    std::int32_t max_spares = 0;         // negative: none
    MadeObservers observers = {};        // make() takes their reference over in any case
    ThreadSpec threads{};                // passes ThreadPlan::check(); its env is the executor's once that is made
    const ManualSpec* manual = nullptr;  // no threads: see sched/manual.h
};

// Threads beyond max_threads, in the place of those that are blocked, and waits of workers on their own executor.
struct SpareCounts {
    std::uint32_t spares = 0;       // threads beyond max_threads now, those that stand by included
    std::uint32_t standing_by = 0;  // of these, for the next one that blocks
    std::uint32_t most_spares = 0;  // at any time
    std::uint32_t blocked = 0;      // threads that have said so, or wait with a spare in their place, now
    std::uint64_t in_place = 0;     // waits that ran what they waited for themselves
    std::uint64_t compensated = 0;  // waits that a thread beyond max_threads was called for
    std::uint64_t hints = 0;        // times that a body said it would block
    std::uint64_t refused = 0;      // waits that were answered EXECQ_EDEADLK as no thread could come
};

class Executor : public OfProcess {
public:
    class Relief;

    // One handle to the caller. EXECQ_OK, EXECQ_ENOMEM, EXECQ_EAGAIN.
    static execq_status make(const ExecutorSpec& spec, Executor** out);
    // The same for one that has an engine, which it owns; of the spec only the name counts.
    static execq_status make(const ExecutorSpec& spec, std::unique_ptr<Engine> engine, Executor** out);

    void retain() { handles_.fetch_add(1, std::memory_order_relaxed); }
    void release();

    // EXECQ_OK, EXECQ_ECLOSED, EXECQ_ENOMEM, EXECQ_EAGAIN.
    execq_status submit(Item item) noexcept
    {
        Worker* worker = Worker::current();
        if (worker == nullptr || worker->own_queue_of() != this)
            return submit_outside(item);
        if (mode() == Mode::canceling || !worker->try_push_own(item)) [[unlikely]]
            return submit_inside_slowly(*worker, item);
        // By cap_ alone, which is not below thread_limit(): who wakes looks at that.
        return roster_.wants_wake_behind_light_fence(cap_.load(std::memory_order_relaxed)) ? wake_behind() : EXECQ_OK;
    }
    // Accepts all tasks of the batch, emptying it, or none.
    execq_status submit(TaskFifo& batch);
    // An asynchronous task. EXECQ_OK, EXECQ_ECLOSED, EXECQ_ENOMEM, EXECQ_EAGAIN.
    execq_status submit_async(Node& node) noexcept;
    // A task that may have a turnstile, of any kind: through that, or as the two above.
    execq_status hand_in(Node& node) noexcept;
    // A turn of a turnstile, with a use of it. Closed or not: EXECQ_OK or, where there is no thread and none can be started,
    // EXECQ_ENOMEM, EXECQ_EAGAIN. Where it must, it is EXECQ_OK all the same, and the next thread finds the turn.
    execq_status submit_turn(Turnstile& turnstile, bool must) noexcept;
    // Until it is removed, which needs no lock of the turnstile's, the turnstile is told of closes, also of one that was.
    void add_turnstile(Turnstile& turnstile);
    void remove_turnstile(Turnstile& turnstile);
    // Whether tasks made for this copy of libuv (null: unknown) can run on workers' loops.
    bool runs_uv(const char* identity) const;
    void close(std::int32_t how);
    // EXECQ_OK, EXECQ_ETIMEDOUT, EXECQ_EINVAL (open), EXECQ_EDEADLK (own worker, or the timekeeper's thread while tasks are
    // left to that), EXECQ_EAGAIN (no thread to go on).
    execq_status join(Deadline deadline);
    // Without what is on that worker's thread.
    void report(execq_shutdown_report& report, const Worker* except = nullptr);
    // How many threads there are from now on, with the reserved ones: as in the spec, and in its bounds. EXECQ_OK,
    // EXECQ_EINVAL (they leave no room for the reserved ones), EXECQ_ECLOSED, EXECQ_ENOTSUP: an engine (see resize.cc).
    execq_status resize(std::uint32_t min_threads, std::uint32_t max_threads);
    // What a thread's initializer failed with first; 0: none did.
    std::int32_t broken() const { return broken_.load(std::memory_order_acquire); }
    // In exit(), after a close: waits for the other threads; false if something is left (see exit.cc).
    bool wait_at_exit(Deadline deadline);
    // workers and worker_size are the caller's; see execq/stats.h.
    void stats(execq_stats& stats);
    // The lag, or the turns, of all workers' loops.
    void add_loop_times(HistogramSum& sum, Histogram LoopTimes::*which) const;

    // Adds what it does now, in lines for people (dump.cc). Throws std::bad_alloc.
    void describe(std::string& text);
    // All that exist, each with a use for the caller. Throws std::bad_alloc.
    static std::vector<Executor*> all();
    struct Listed : Hook {
        Executor* executor = nullptr;
    };

    // What was left on the loops of threads that have ended.
    LoopLeftovers leftovers();

    std::uint16_t id() const { return id_; }
    // Never 0 and, unlike an id, never used again.
    std::uint64_t serial() const { return serial_; }
    const char* name() const { return name_.c_str(); }
    // Makes sure that a thread looks at the queues although the caller, a worker, is about to block; false if none can.
    // A worker without a frame is on its way there, or will be replaced: frames end before their task is settled.
    // For an asynchronous task: one that may take it. If need be, a spare one, for as long as the relief lives.
    bool secure_thread(Relief& relief, bool for_async = false);
    // True if the task (null: a plain one), or everything here, was asked to stop.
    bool stop_requested(const Node* node) const;

    // ---- its engine (see sched/engine.h) ----
    // Null: it has workers.
    Engine* engine() const { return engine_.get(); }
    // The calling thread runs one of its tasks, or is one of its workers.
    bool runs_on_this_thread() const;
    // A task of a turnstile's, which has started or is to start now: as submit_async(), but of any kind, and closed or not,
    // for an engine. On failure it is the caller's to end, by fail_unstarted().
    execq_status hand_on(Node& node) noexcept;
    // Ends a task that was accepted and cannot run, with that status; takes a reference.
    static void fail_unstarted(Node& node, execq_status status);
    // The engine's: runs or cancels a task that it took, on the calling thread, unless somebody else did; takes its reference.
    // False: it did not run.
    bool run_taken(Node& node);
    // The first half of that; where it answers `lost` the reference is given up.
    Node::Start start_taken(Node& node);
    // The engine's: to live on with it.
    void add_use() { uses_.fetch_add(1, std::memory_order_relaxed); }
    // The engine's: a task that it took was ended. It may be the end of the executor, and of the engine.
    void end_taken();
    // Runs a task that the engine has and that has not started, in a wait inside of another one.
    void help(Node& node);
    // Null: it has threads.
    Manual* manual() const { return manual_.get(); }
    // Whose clock the times of its tasks are on.
    Timekeeper& keeper() const { return *keeper_; }

    // ---- tasks that are not due yet (see sched/timekeeper.h) ----
    bool open() const { return mode() == Mode::open; }
    // Each of the n counts, with one use, until delay_ended(). EXECQ_OK or EXECQ_ECLOSED.
    execq_status accept_delayed(std::size_t n);
    void delay_ended();
    // Under the timekeeper's mutex.
    HookList<DelayLink>& delayed() { return delayed_; }

    // ---- its capacity (see task/room.h) ----
    // Null: unbounded.
    Room* room() const { return room_; }
    bool bounded() const { return room_ != nullptr; }
    // Whether the short ways are open: nobody but a worker has to see a task that is nothing but a body. Else all submissions
    // go through flow/submission.h: the seam of what costs nothing where it is not used.
    // Nor where the executor is another process's: who finds these closed asks whether it is inherited().
    bool direct() const { return direct_in_ == Process::generation(); }
    // Who looks at each of its tasks (task/observed.h); null: nobody.
    Observers* observers() const { return observers_.all; }
    // Null: nobody counts.
    const TaskMeter* meter() const { return observers_.meter; }
    std::uint32_t full_policy() const { return full_policy_; }
    // Whether the calling thread may submit.
    bool accepts() const;
    // Runs a task that was accepted and is in no queue, on the calling thread; takes the executor's reference to it.
    void run_here(Node& node);

    // ---- blocked threads (spares.cc) ----
    // A thread in the place of a worker that waits; ends with the wait.
    class Relief {
    public:
        Relief() = default;
        ~Relief()
        {
            if (executor_ != nullptr)
                executor_->end_block();
        }
        Relief(const Relief&) = delete;
        Relief& operator=(const Relief&) = delete;

    private:
        friend class Executor;
        Executor* executor_ = nullptr;
    };
    // The same as secure_thread() for a worker that waits for room: for a task of whatever kind.
    bool secure_room(Relief& relief) { return secure_thread(relief, loop_tasks_wait() && !work_visible()); }
    // A worker's body says that it is about to block, or that this is over. They nest.
    static void begin_blocking(Worker& worker);
    static void end_blocking(Worker& worker);
    SpareCounts spare_counts();

    // ---- for workers ----
    // The next task, with the executor's reference to it; none when the worker is to leave. Sleeps.
    Item next_task(Worker& worker);
    // The same for one that is reserved for loops.
    Item next_loop_task(Worker& worker);
    // Runs or cancels a task taken from a queue, unless somebody else did; takes its reference.
    void dispose(Worker& worker, Item item);
    // The same where there are no plain tasks, as in every executor that is not direct().
    void dispose_stepped(Worker& worker, Item item);
    // Runs a task that may still be queued, in a wait of the worker for it, unless somebody else did.
    void run_in_place(Worker& worker, Node& node);
    // Starts an asynchronous task that may still be queued, in a wait of the worker that drives its own loop for it.
    void start_async_here(Worker& worker, Node& node);
    // The libuv of the workers' loops; null: the one that this library is linked to.
    const execq_uv_table* uv_table() const { return has_uv_table_ ? &uv_table_ : nullptr; }
    const ThreadPlan& plan() const { return plan_; }
    // An initializer failed: takes the error, which may be null.
    void break_down(std::int32_t code, Error* error);
    // The end of a worker's thread, as far as its loop goes.
    void end_loop(Worker& worker);
    // The beginning of a worker's thread.
    void enter(Worker& worker);
    void worker_leaves(Worker& worker);
    void drop_use();
    // False: it is being freed.
    bool try_retain_use();

private:
    friend class Manual;
    enum class Mode : std::uint32_t { open, draining, canceling };
    using TaskInbox = Inbox<Item, Slot, TaskLink, BlockPool>;

    Executor(const ExecutorSpec& spec, std::unique_ptr<Engine> engine, std::uint16_t id);
    ~Executor();
    Mode mode() const { return mode_.load(std::memory_order_acquire); }
    // The calling thread, if it is a worker of this executor.
    Worker* own_worker() const
    {
        Worker* worker = Worker::current();
        return worker != nullptr && &worker->executor() == this ? worker : nullptr;
    }

    // ---- life (executor.cc) ----
    enum class Call { any, loop };
    execq_status start_worker(bool token, Call call = Call::any) EXECQ_REQUIRES(mutex_);
    void note_leftovers(const LoopLeftovers& leftovers);
    void await_successor();
    void close_queues(std::int32_t how);
    void ask_all_open();
    void tell_turnstiles(std::int32_t how);
    execq_status start_waking_worker() EXECQ_REQUIRES(mutex_);
    Worker* vacant_place(bool reserved) EXECQ_REQUIRES(mutex_);
    execq_status start_thread(Worker& worker) EXECQ_REQUIRES(mutex_);
    void note_start(bool started) EXECQ_REQUIRES(mutex_);
    // How many threads a submission may count on: cap_ or, for some time after one could not be started, as many
    // as there were then, so that one is tried again when that time is over or a thread has left.
    std::uint32_t thread_limit() const
    {
        const std::uint32_t limit = thread_limit_.load(std::memory_order_relaxed);  // hints
        const std::uint32_t cap = cap_.load(std::memory_order_relaxed);
        return limit == cap || coarse_now_ns() < start_again_ns_.load(std::memory_order_relaxed) ? limit : cap;
    }
    void wake_all_idle() EXECQ_REQUIRES(mutex_);
    execq_status join_threads(Deadline deadline);
    execq_status wait_for_delayed(Deadline deadline);
    execq_status wait_for_threads(Deadline deadline);
    execq_status join_last(Deadline deadline);
    void note_running();
    void cancel_leftovers();
    // Visits every place that ever had a thread.
    template <class Visit>
    void for_each_worker(const Visit& visit) const
    {
        workers_.for_each(visit);
    }
    // Between this and the end of visit() no frame ends and no queued task is freed.
    template <class Visit>
    void while_paused(const Visit& visit) EXECQ_REQUIRES(mutex_)
    {
        const auto all = [this](const auto& each) { this->for_each_worker(each); };
        Worker::pause_all(guests_, all);
        visit();
        Worker::resume_all(guests_, all);
    }

    // ---- its engine (engine.cc) ----
    bool wait_for_engine_at_exit(Deadline deadline);
    execq_status count_taken(bool closed_too);
    execq_status give_to_engine(Node& node, bool closed_too) noexcept;
    execq_status give_to_engine(TaskFifo& batch) noexcept;
    // ---- its size (resize.cc) ----
    struct Size {
        std::uint32_t max_threads;
        std::uint32_t min_threads;
        std::uint32_t loop_workers;
        std::uint32_t max_spares;
    };
    static Size size_of(const ExecutorSpec& spec);
    void take_size(const Size& size) EXECQ_REQUIRES(mutex_);
    void sign_off(Worker& worker);

    // ---- blocked threads (spares.cc) ----
    void set_cap() EXECQ_REQUIRES(mutex_);
    void count_spares() EXECQ_REQUIRES(mutex_);
    std::uint32_t surplus() const EXECQ_REQUIRES(mutex_);
    void note_surplus() EXECQ_REQUIRES(mutex_);
    std::uint32_t free_workers(bool for_async) EXECQ_REQUIRES(mutex_);
    void begin_block();
    void end_block();
    static void close_hints(Worker& worker);
    class HintPause;
    bool may_stand_aside(const Worker& worker) const;
    bool stand_aside(Worker& worker);
    bool stand_by(Worker& worker);
    void take_to_bench(Worker& worker) EXECQ_REQUIRES(mutex_);
    bool is_one_too_many() const EXECQ_REQUIRES(mutex_);
    void hand_tasks_back(Worker& worker);
    void off_bench(Worker& worker) EXECQ_REQUIRES(mutex_);
    bool call_up(bool token, Call call) EXECQ_REQUIRES(mutex_);

    // ---- priorities (classes.cc) ----
    using TaskClasses = ClassInboxes<TaskInbox>;
    enum : std::uint32_t { classes_bit = 1, surplus_bit = 2, owed_bit = 4 };
    TaskClasses::Pair* open_classes(TaskClasses& classes);
    execq_status submit_class(Node& node);
    [[gnu::noinline]] Item find_aside(Worker& worker);
    [[gnu::noinline]] Item find_last(Worker& worker);
    Item take_high(Worker& worker);
    Item take_loop_item(Worker& worker);
    bool loop_tasks_wait() const { return !loop_inbox_.empty() || !loop_classes_.empty(); }
    // None, and then it seems so, too.
    bool loop_tasks_settle_empty()
    {
        TaskClasses::Pair* pair = loop_classes_.get();
        return (pair == nullptr || (pair->high.settle_empty() && pair->low.settle_empty())) &&
               loop_inbox_.settle_empty();
    }
    bool loop_tasks_seem_to_wait() const { return !loop_inbox_.seems_empty() || !loop_classes_.seems_empty(); }

    // ---- own loops (loop_work.cc) ----
    void wake_for_loop();
    void call_for_loop();
    Worker* idle_for_loop() EXECQ_REQUIRES(mutex_);
    bool has_free_slot() const { return loop_slots_.any_free(); }
    // There is an asynchronous task that the worker may take.
    bool loop_work_for(const Worker& worker) const
    {
        return loop_tasks_wait() && loop_slots_.limit() != 0 && (worker.loop_slot || has_free_slot());
    }
    bool claim_slot(Worker& worker, bool beyond_limit);
    void give_slot_back(Worker& worker);
    void settle_slot(Worker& worker);
    Item take_loop_task(Worker& worker);
    execq_status open_place(Worker& worker, ThreadLoop** loop);
    void start_async(Worker& worker, Node& node);
    // What a worker does for its loop between two tasks.
    enum class Attended { found, again, no, leave };
    Attended attend(Worker& worker, Item& item);
    void turn_loop(Worker& worker);
    bool drives(const Worker& worker) const;
    bool leaves_to_others() const;
    bool sees_tasks(const Worker& worker) const { return worker.has_tasks() || look() == Sight::work; }
    void lie_on_loop(Worker& worker);
    bool announce_on_loop(Worker& worker);
    enum class Watch { get_up, look_again, sleep };
    Watch watch(Worker& worker);
    bool another_is_free(const Worker& worker);
    bool may_take_others(Worker& worker);

    // ---- workers that are reserved for loops (reserved.cc) ----
    void call_reserved();
    execq_status start_reserved() EXECQ_REQUIRES(mutex_);
    execq_status submit_async_reserved(Node& node, TaskInbox& inbox, bool inside) noexcept;
    bool secure_reserved(const Worker* self) EXECQ_REQUIRES(mutex_);
    bool announce_reserved(Worker& worker, bool on_loop);
    bool get_up_reserved(Worker& worker);
    void take_off_reserved(Worker& worker) EXECQ_REQUIRES(mutex_);
    Worker* take_reserved() EXECQ_REQUIRES(mutex_);
    bool reserved_is_to_leave(const Worker& worker) const { return mode() != Mode::open && !worker.place_used(); }
    void lie_reserved(Worker& worker);
    void sleep_reserved_on_loop(Worker& worker, int quiet_ms);
    void sleep_reserved_apart(Worker& worker);

    // ---- statistics (stats.cc) ----
    std::uint32_t count_states(execq_stats& stats);
    void count_queued(execq_stats& stats);
    void count_tasks(execq_stats& stats) const;
    static std::uint32_t state_of(const Worker& worker);
    // What is under way, and where.
    struct Running {
        std::uint32_t worker;
        bool open;   // an asynchronous task, on the worker's loop
        bool exact;  // its age, which is else since somebody first saw it
        std::array<char, 48> name;
        std::uint64_t task;  // 0: not observed
        std::int64_t age_ns;
    };
    std::vector<Running> running_tasks();
    void describe_counts(const execq_stats& stats, std::string& text);

    // ---- the way in (submit.cc) ----
    // What is accepted, from outside, by push(inbox, force).
    template <class Push>
    execq_status submit_by(const Push& push);
    execq_status push_turn(Turnstile& turnstile);
    void owe_turn(Turnstile& turnstile);
    bool turns_owed() const { return (aside_.load(std::memory_order_seq_cst) & owed_bit) != 0; }
    Item take_owed();
    template <class Push>
    execq_status submit_first(const Push& push, bool& submitted, bool turn = false);
    TaskInbox& inbox_of_thread();
    // Apart and noexcept, so that submit() has nothing to save.
    [[gnu::noinline]] execq_status submit_outside(Item item) noexcept;
    [[gnu::noinline]] execq_status submit_outside_slowly(Item item) noexcept;
    [[gnu::noinline]] execq_status submit_inside_slowly(Worker& worker, Item item) noexcept;
    execq_status push_inside(Worker& worker, Item item) noexcept;
    [[gnu::noinline]] execq_status wake_behind() noexcept;
    bool make_room(Worker& worker);

    // ---- scheduling (schedule.cc) ----
    // What is there to do: nothing, only what others have fetched and not begun, or more.
    enum class Sight { nothing, batches, work };
    Sight look() const;
    bool work_visible() const { return look() != Sight::nothing; }
    bool work_seems_visible() const;
    void wake_if_wanted();
    // Gives the waking bit back, if the worker was woken or started with it.
    void arrive(Worker& worker);
    void wake_one();
    void note_found(Worker& worker);
    void dispose_kept(Worker& worker, Item item);
    static bool start_waiting(Node& node);
    Worker* take_idle() EXECQ_REQUIRES(mutex_);
    void take_off_idle(Worker& worker) EXECQ_REQUIRES(mutex_);
    Item find_task(Worker& worker);
    Item find_for_visitor(Worker& worker);
    Item find_beside_loop(Worker& worker);
    Item take_turn(Worker& worker);
    Item find_foreign(Worker& worker);
    Item fetch(Worker& worker);
    Item steal(Worker& worker, std::uint32_t share);
    Item steal_own(Worker& worker, std::uint32_t share);
    Item steal_standing(Worker& worker, std::uint32_t share);
    Item steal_from(Worker& worker, Worker& victim, std::uint32_t share);
    Item relieve_blocked(Worker& worker);
    template <class Which>
    Item steal_where(Worker& worker, std::uint32_t share, const Which& which);
    bool watch_others(const Worker& worker);
    bool another_stands_still(const Worker& worker) const;
    Item keep_rest(Worker& worker, const Slot* items, std::uint32_t n);

    // ---- sleeping (sleep.cc) ----
    bool rest(Worker& worker);
    bool spin(Worker& worker);
    enum class Rest { none, aside, nap, sleep };
    bool others_keep_up(Worker& worker);
    std::uint32_t others_fetches(const Worker& worker) const;
    Rest lie_down(Worker& worker);
    bool lie(Worker& worker);
    bool nap(Worker& worker);
    bool get_up(Worker& worker);
    bool somebody_naps();
    bool sleep(Worker& worker);
    // What a worker does when it has slept for some time.
    enum class Next { sleep_on, look, leave };
    struct IdleStep {
        std::int64_t after_ns;
        Next (Executor::*act)(Worker&);
    };
    Next look_behind_fence(Worker& worker);
    Next trim_memory(Worker& worker);
    Next leave_if_spare(Worker& worker);
    static std::array<IdleStep, 3> idle_steps(std::int64_t keepalive_ns);

    const std::string name_;
    const std::uint32_t reserved_;  // workers that run no blocking tasks
    // What was chosen: what depends on the size is found from it again.
    const std::uint32_t loop_workers_chosen_;
    const std::int32_t max_spares_chosen_;
    const Size first_size_;
    const ThreadPlan plan_;
    const std::uint32_t full_policy_;
    const std::int64_t keepalive_ns_;
    const std::array<IdleStep, 3> idle_steps_;
    const std::uint16_t id_;
    const std::uint64_t serial_;
    const std::uint32_t cpus_;
    const std::uint32_t shards_;  // a power of two
    const std::unique_ptr<TaskInbox[]> inboxes_;
    std::unique_ptr<Manual> manual_;  // set by the constructor, as all of these
    Timekeeper* keeper_ = nullptr;
    Room* room_ = nullptr;  // one reference; set by the constructor
    static constexpr std::uint32_t nowhere = ~std::uint32_t{0};
    std::uint32_t direct_in_ = nowhere;  // the generation of processes; set by the constructor
    MadeObservers observers_;            // one reference; set by the constructor
    Listed listed_;                      // in the list of all, under its mutex
    const std::unique_ptr<Engine> engine_;
    TaskInbox loop_inbox_;  // asynchronous tasks
    // Tasks of the other classes.
    TaskClasses classes_;
    TaskClasses loop_classes_;
    const bool has_uv_table_;
    execq_uv_table uv_table_{};
    Places workers_;  // added to under mutex_
    // Written under mutex_; read by workers without it, to see a cancellation.
    std::atomic<Mode> mode_{Mode::open};
    // What a worker has to look at besides: classes_bit, once there was a task with a priority; surplus_bit, while more
    // threads than cap_ are about; owed_bit, while a turn is owed. Written under mutex_; a hint, but for the last, which look()
    // counts on.
    std::atomic<std::uint32_t> aside_{0};
    // Written once; read by broken().
    std::atomic<std::int32_t> broken_{0};
    // How many threads may be about: max_threads_ and one for each that is blocked, up to max_spares_. Written under mutex_.
    std::atomic<std::uint32_t> cap_{first_size_.max_threads};
    // Written under mutex_, read by thread_limit().
    std::atomic<std::uint32_t> thread_limit_{first_size_.max_threads};
    std::atomic<std::int64_t> start_again_ns_{0};

    // Who looks into workers from outside holds it (see base/biased_lock.h).
    alignas(64) Mutex guests_;

    // Who is awake; join() sleeps on its threads.
    Roster<> roster_;

    LoopSlots<> loop_slots_{first_size_.loop_workers};
    // Sleepers that have no loop to drive. Written under mutex_; read by who has one (see loop_work.cc).
    std::atomic<std::uint32_t> idle_apart_{0};

    alignas(64) Mutex mutex_;
    std::uint32_t max_threads_ EXECQ_GUARDED_BY(mutex_) = first_size_.max_threads;  // beside those that are reserved
    std::uint32_t min_threads_ EXECQ_GUARDED_BY(mutex_) = first_size_.min_threads;
    std::uint32_t max_spares_ EXECQ_GUARDED_BY(mutex_) = first_size_.max_spares;
    // The most spares at a time since the last resize: as many stay for a while.
    std::uint32_t spares_wanted_ EXECQ_GUARDED_BY(mutex_) = 0;
    bool somebody_naps_ EXECQ_GUARDED_BY(mutex_) = false;
    HookList<Worker> idle_ EXECQ_GUARDED_BY(mutex_);      // the last to fall asleep, with the warmest stack, in front;
                                                          // those that sleep in their loop at the back
    std::uint32_t leaving_ EXECQ_GUARDED_BY(mutex_) = 0;  // threads that left after their keepalive, and still count
    std::uint32_t blocked_ EXECQ_GUARDED_BY(mutex_) = 0;
    // Workers that stand by until somebody blocks; they do not count as threads of the roster.
    HookList<Worker> bench_ EXECQ_GUARDED_BY(mutex_);
    std::uint32_t on_bench_ EXECQ_GUARDED_BY(mutex_) = 0;
    SpareCounts spare_counts_ EXECQ_GUARDED_BY(mutex_);
    LoopLeftovers leftovers_ EXECQ_GUARDED_BY(mutex_);
    HookList<Turnstile> turnstiles_ EXECQ_GUARDED_BY(mutex_);
    Turnstile* owed_ EXECQ_GUARDED_BY(mutex_) = nullptr;  // the first of those with turns that found no memory
    std::uint64_t started_ EXECQ_GUARDED_BY(mutex_) = 0;  // threads, ever
    std::uint64_t wakes_ EXECQ_GUARDED_BY(mutex_) = 0;    // of sleepers, ever
    HookList<Worker> idle_reserved_ EXECQ_GUARDED_BY(mutex_);
    // Each leaving worker joins the one that left before it; the last one is joined by join() or detached.
    bool has_left_ EXECQ_GUARDED_BY(mutex_) = false;
    pthread_t left_ EXECQ_GUARDED_BY(mutex_){};

    // Threads that are reserved for loops, which are not in the roster, and those of them that sleep. Written under mutex_;
    // read by submissions (see reserved.cc); join() sleeps on the first.
    std::atomic<std::uint32_t> reserved_threads_{0};
    std::atomic<std::uint32_t> reserved_sleepers_{0};

    // Tasks that are not due yet. The count is written by who accepts them, under mutex_, and by who ends their delay;
    // join() sleeps on it.
    std::atomic<std::uint32_t> delayed_count_{0};
    HookList<DelayLink> delayed_;

    // 1 while a join() waits for the last thread; written under mutex_, others sleep on it.
    std::atomic<std::uint32_t> joining_{0};
    std::atomic<std::uint32_t> handles_{1};
    std::atomic<std::uint32_t> uses_{1};
};

// While a body runs inside of another one that has said it blocks, that is not so.
class Executor::HintPause {
public:
    explicit HintPause(Worker& worker) : worker_(worker), hints_(worker.blocking) { close_hints(worker); }
    ~HintPause()
    {
        close_hints(worker_);  // those that the body inside has left
        if (hints_ == 0)
            return;
        begin_blocking(worker_);
        worker_.blocking = hints_;
    }
    HintPause(const HintPause&) = delete;
    HintPause& operator=(const HintPause&) = delete;

private:
    Worker& worker_;
    const std::uint32_t hints_;
};

inline execq_executor* handle_of(Executor* executor) { return reinterpret_cast<execq_executor*>(executor); }
inline Executor* core_of(execq_executor* executor) { return reinterpret_cast<Executor*>(executor); }

}  // namespace execq::core
