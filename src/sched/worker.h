// Floor 2. A worker: a place in an executor, with the tasks that wait there, and the thread that has the place now.
//
// A place lives as long as its executor, so that others may look into it at any time; its thread comes and goes. Tasks
// that are here can be taken away by others at any time, since the one that runs meanwhile may block:
//
//   batch   what the thread fetched from an inbox, first in, first out
//   own     what the thread's own tasks submitted, newest first
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <pthread.h>

#include "base/annotations.h"
#include "base/biased_lock.h"
#include "base/futex.h"
#include "base/links.h"
#include "sched/class_inboxes.h"
#include "sched/item.h"
#include "sched/task_deque.h"
#include "task/cancel_calls.h"
#include "task/node.h"

namespace execq::core {

class Executor;
class FrameScope;
class LoopPlace;
class ThreadLoop;

// One running task. Tasks that a wait runs in place are nested: the innermost is on top.
struct Frame {
    Node* node = nullptr;  // null: a plain task
    // Coarse clock; 0 for a task without a name, until somebody asked. Written by the worker, and by others while paused.
    std::atomic<std::int64_t> started_ns{0};
    Frame* outer = nullptr;
};

class alignas(64) Worker : public Hook {  // Hook: the executor's idle list, under its mutex
public:
    using Batch = TaskDeque<64>;
    using Own = TaskDeque<256>;

    // What a place is for: tasks of all kinds, loops alone, or whoever steps a manual executor.
    enum class Kind { any, reserved, visited };

    // The workers of an executor share the mutex of those who look into them.
    Worker(Executor& executor, std::uint32_t number, Kind kind, Mutex& guests)
        : executor_(executor),
          own_queue_of_(kind == Kind::any ? &executor : nullptr),
          reserved_(kind == Kind::reserved),
          number_(number),
          lock_(guests)
    {}
    ~Worker();

    // Starts a thread here; it owns one use of the executor. EXECQ_OK or EXECQ_EAGAIN.
    // Called under the executor's mutex, which the new thread takes before it leaves.
    execq_status start();

    // The worker whose thread this is, or null.
    static Worker* current() { return this_thread.worker; }
    // True on each thread that works or has worked for that executor, by its serial, until the thread is really gone:
    // also in destructors of thread-locals, when the place is somebody else's.
    static bool serves(std::uint64_t serial) { return this_thread.served == serial; }

    Executor& executor() const { return executor_; }
    // Whose tasks may wait here: null for who is reserved for loops, and for who takes them one by one.
    const Executor* own_queue_of() const { return own_queue_of_; }
    bool reserved() const { return reserved_; }
    std::uint32_t number() const { return number_; }
    Parker& parker() { return parker_; }

    // Any thread, after it has taken the worker off the idle list: ends its sleep.
    void wake();

    // ---- its own loop ----
    // Null: it has none. This worker's thread only; others may see whether there is one.
    ThreadLoop* loop() const { return loop_.load(std::memory_order_relaxed); }
    void note_loop(ThreadLoop* loop)
    {
        loop_.store(loop, std::memory_order_relaxed);
        attends = loop != nullptr;
    }
    // Any thread. Null until a task needs it, then it stays.
    LoopPlace* place() const { return place_.load(std::memory_order_acquire); }
    void publish_place(LoopPlace* place) { place_.store(place, std::memory_order_release); }
    // Promises are open here.
    bool place_used() const;

    // ---- the tasks that wait here ----
    // This worker's thread only. False: full.
    bool push_own(Item item)
    {
        return lock_.as_owner([this, item] { return own_.push(item); });
    }
    // False: full, or somebody else is at it.
    bool try_push_own(Item item)
    {
        if (!lock_.try_enter()) [[unlikely]]
            return false;
        const bool pushed = own_.push(item);
        lock_.leave();
        return pushed;
    }
    Item pop_own()
    {
        return lock_.as_owner([this] { return own_.pop(); });
    }
    Item pop_oldest_own()
    {
        return lock_.as_owner([this] { return own_.pop_oldest(); });
    }
    Item pop_batch()
    {
        return lock_.as_owner([this] { return batch_.pop_oldest(); });
    }
    std::uint32_t take_oldest_own(Slot* items, std::uint32_t n)
    {
        return lock_.as_owner([this, items, n] { return own_.take_oldest(items, n); });
    }
    std::uint32_t take_oldest_batch(Slot* items, std::uint32_t n)
    {
        return lock_.as_owner([this, items, n] { return batch_.take_oldest(items, n); });
    }
    // There is room for them.
    void fill_own(const Slot* items, std::uint32_t n)
    {
        lock_.as_owner([this, items, n] { own_.fill(items, n); });
    }
    void fill_batch(const Slot* items, std::uint32_t n)
    {
        lock_.as_owner([this, items, n] { batch_.fill(items, n); });
    }
    // Any other thread. The older half of the batch, or of what the worker submitted, but at most n.
    std::uint32_t steal(Slot* items, std::uint32_t n)
    {
        return lock_.as_guest([&] {
            const std::uint32_t taken = batch_.take_oldest(items, std::min(n, (batch_.size() + 1) / 2));
            return taken != 0 ? taken : own_.take_oldest(items, std::min(n, (own_.size() + 1) / 2));
        });
    }
    // Hints, but exact for this worker's thread, and for who has passed a heavy fence since it last changed.
    std::uint32_t own_size() const { return own_.size(); }
    std::uint32_t batch_size() const { return batch_.size(); }
    std::uint32_t batch_taken() const { return batch_.taken(); }
    bool has_tasks() const { return batch_.size() != 0 || own_.size() != 0; }

    // Any other thread: notes where the batch stands; false if there is none. Several may watch at once: at worst who
    // watches takes for standing still what another one has noted since.
    bool watch()
    {
        watched_.store(batch_taken(), std::memory_order_relaxed);
        return batch_.size() != 0;
    }
    bool stands_still() const
    {
        return batch_.size() != 0 && watched_.load(std::memory_order_relaxed) == batch_taken();
    }

    // Looks for a batch; written by this worker's thread.
    std::uint32_t fetches() const { return fetches_.load(std::memory_order_relaxed); }
    std::uint32_t count_fetch()
    {
        const std::uint32_t n = fetches() + 1;
        fetches_.store(n, std::memory_order_relaxed);
        return n;
    }

    // For statistics: written by this worker's thread, read by any.
    std::uint64_t steals() const { return steals_.load(std::memory_order_relaxed); }
    void count_steal() { steals_.store(steals() + 1, std::memory_order_relaxed); }
    std::uint64_t loop_delays() const { return loop_delays_.load(std::memory_order_relaxed); }
    void count_loop_delay() { loop_delays_.store(loop_delays() + 1, std::memory_order_relaxed); }
    // A hint: a task runs here, or waits here for another one.
    bool in_task() const { return top_.load(std::memory_order_relaxed) != nullptr; }
    // Waits that ran what they waited for; written by this worker's thread.
    std::uint64_t runs_in_place() const { return runs_in_place_.load(std::memory_order_relaxed); }
    void count_run_in_place() { runs_in_place_.store(runs_in_place() + 1, std::memory_order_relaxed); }

    // ---- this worker's thread only ----
    // Runs a task that the caller has started, to its end.
    void run(Node& node, Node::Start start, Reference reference);
    // The same for a task that has no node. Never nested in another.
    void run_plain(execq_fn fn, void* env);
    // The running task has cancel callbacks.
    void note_calls() { left_ |= calls_left; }
    bool is_running(const Node& node) const;
    Node* top_node() const;
    const Frame* top_frame() const { return top_.load(std::memory_order_relaxed); }
    // The calling thread is about to run tasks here for a while.
    void note_visitor();
    // Where bodies note what they leave, for ThisThread::left.
    std::uint8_t* left() { return &left_; }
    // The bytes of stack below the caller's frame.
    std::size_t stack_left() const;

    // ---- any other thread ----
    // From pause_all() to resume_all() no node's frame ends, and no task is taken from these workers, which
    // for_each(visit) visits: all that share the mutex.
    template <class ForEach>
    static void pause_all(Mutex& guests, const ForEach& for_each)
    {
        BiasedLock<>::lock_all_as_guest(guests, locks_of(for_each));
    }
    template <class ForEach>
    static void resume_all(Mutex& guests, const ForEach& for_each)
    {
        BiasedLock<>::unlock_all_as_guest(guests, locks_of(for_each));
    }
    // While paused: the frames, innermost first.
    template <class Visit>
    void for_each_frame(const Visit& visit)
    {
        for (Frame* frame = top_.load(std::memory_order_acquire); frame != nullptr; frame = frame->outer)
            visit(*frame);
    }
    // While paused: the tasks that wait here.
    template <class Visit>
    void for_each_task(const Visit& visit)
    {
        batch_.for_each(visit);
        own_.for_each(visit);
    }

    // True while a body runs, or a wait blocks. seq_cst: of two workers that are about to wait, one sees the other.
    bool busy() const
    {
        return top_.load(std::memory_order_seq_cst) != nullptr || waits_.load(std::memory_order_seq_cst) != 0;
    }

    // While one lives, the worker's thread is blocked in a wait. Null: no worker.
    class WaitScope {
    public:
        explicit WaitScope(Worker* worker) : worker_(worker)
        {
            if (worker_ != nullptr)
                worker_->waits_.fetch_add(1, std::memory_order_seq_cst);
        }
        ~WaitScope()
        {
            if (worker_ != nullptr)
                worker_->waits_.fetch_sub(1, std::memory_order_seq_cst);
        }
        WaitScope(const WaitScope&) = delete;
        WaitScope& operator=(const WaitScope&) = delete;

    private:
        Worker* worker_;
    };

    // ---- the executor's, under its mutex ----
    bool present = false;      // a thread has the place
    bool idle = false;         // on the idle list, or that of the reserved
    bool napping = false;      // and will look by itself within a moment
    bool leaving = false;      // its keepalive is over
    bool on_loop = false;      // it sleeps, or slept last, in its loop
    bool loop_slot = false;    // it may take asynchronous tasks; changed by the thread alone
    bool loop_called = false;  // woken or started for those; written before the wake, then the thread's own
    bool token = false;        // woken or started with the waking bit; written before the wake, then the thread's own
    bool benched = false;      // stands by

    // ---- the executor's, on this worker's thread ----
    bool attends = false;     // there is a loop, or the slot for one, to look after between tasks
    bool place_open = false;  // the place delivers to this thread's loop
    bool loop_over = false;   // the thread ends
    bool surplus = false;     // has seen that there are too many threads
    // Hints of the running body that it blocks, and have not been taken back.
    std::uint32_t blocking = 0;
    struct Turns {
        bool loop_first = false;     // asynchronous tasks have their turn before others
        bool was_patient = false;    // has left tasks to one that was between two of his
        std::int64_t looped_ns = 0;  // when the loop ran last
        std::uint32_t shard = 0;     // the inbox to begin with
        std::uint32_t watched = 0;   // the place whose batch is watched, and how many had been taken from it
        std::uint32_t watched_taken = 0;
        std::uint32_t own_left = 0;        // own tasks until others have their turn
        bool own_oldest = false;           // the next such turn is the own oldest's
        std::uint32_t misses = 0;          // looks that found what somebody else had by then
        bool fresh = false;                // has given the waking bit back and found no task since
        std::int64_t woken_ns = 0;         // when it last stopped sleeping
        std::int64_t lain_ns = 0;          // when it last lay down
        ClassTurns classes;                // of high and low tasks
        ClassTurns loop_classes;           // and of asynchronous ones
        std::uint32_t others_fetches = 0;  // in all, at that time
    };
    Turns turns;

private:
    friend class FrameScope;
    friend class CallsScope;
    friend class LeftScope;

    template <class ForEach>
    static auto locks_of(const ForEach& for_each)
    {
        return [&for_each](const auto& visit) { for_each([&visit](Worker& worker) { visit(worker.lock_); }); };
    }

    // The end of a run of a series that goes on, unless something has ended it meanwhile; takes the caller's reference.
    void go_on(Node& node);
    void drop_env(Node& node, const FrameScope& frame);
    static void* thread_main(void* argument);
    void end_plain(std::int32_t code, Error* error);
    [[gnu::noinline]] void forget_context();
    void end_frame_calls(const Frame& frame);
    [[gnu::noinline]] void end_left(const Frame& frame);
    // extended: the node is.
    template <bool extended>
    void run_as(Node& node, Node::Start start, Reference reference);
    [[gnu::noinline]] std::int32_t run_apart(Node& node, const FrameScope& frame, Context* context, void*& value,
                                             Error*& error);
    bool begin();
    void work();
    void note_stack();
    void guess_stack();
    void name_thread() const;

    Executor& executor_;
    const Executor* const own_queue_of_;
    const bool reserved_;
    const std::uint32_t number_;
    std::atomic<ThreadLoop*> loop_{nullptr};
    // Written once, by this worker's thread under the executor's mutex. Owned, but it may outlive this.
    std::atomic<LoopPlace*> place_{nullptr};
    const std::byte* stack_bottom_ = nullptr;  // the lowest usable address; set by the thread itself
    // Written by the worker's thread; others look while paused.
    std::atomic<Frame*> top_{nullptr};
    std::uint8_t left_ = 0;       // bits of Left
    ThisThread* mine_ = nullptr;  // of the thread that runs this: it need not be found for each task
    Frame plain_frame_;           // of a plain task; it needs no lock to end, as it never goes away
    // Guarded by lock_. Apart from what the thread writes for each task: others look at the number of these.
    alignas(64) Own own_;
    Batch batch_;
    // Biased towards this worker's thread: held to change own_ and batch_, and to end the frame of a node.
    BiasedLock<> lock_;
    std::atomic<std::uint32_t> fetches_{0};
    std::atomic<std::uint32_t> watched_{0};  // how many had been taken from the batch when somebody last looked
    std::atomic<std::uint64_t> steals_{0};
    std::atomic<std::uint64_t> loop_delays_{0};
    Parker parker_;
    std::atomic<std::uint64_t> runs_in_place_{0};
    // Written by the worker's thread, read by others that are about to wait.
    std::atomic<std::uint32_t> waits_{0};
};

}  // namespace execq::core
