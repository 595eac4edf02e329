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

#include "base/biased_lock.h"
#include "base/futex.h"
#include "base/links.h"
#include "sched/own_queue.h"
#include "sched/task_ring.h"
#include "task/node.h"

namespace execq::core {

class Executor;

// One running task. Tasks that a wait runs in place are nested: the innermost is on top.
struct Frame {
    Node* node;
    std::int64_t started_ns;  // coarse clock; 0 for a task without a name, until somebody asked
    Frame* outer;
};

class alignas(64) Worker : public Hook {  // Hook: the executor's idle list, under its mutex
public:
    using Batch = TaskRing<Node, 64>;
    using Own = OwnQueue<Node, 256>;

    Worker(Executor& executor, std::uint32_t number) : executor_(executor), number_(number) {}

    // Starts a thread here; it owns one use of the executor. EXECQ_OK or EXECQ_EAGAIN.
    // Called under the executor's mutex, which the new thread takes before it leaves.
    execq_status start();

    // The worker whose thread this is, or null.
    static Worker* current() { return current_; }

    Executor& executor() { return executor_; }
    std::uint32_t number() const { return number_; }
    Parker& parker() { return parker_; }

    // ---- the tasks that wait here ----
    Batch& batch() { return batch_; }
    // This worker's thread only. False: full.
    bool push_own(Node* node)
    {
        return lock_.as_owner([this, node] { return own_.push(node); });
    }
    Node* pop_own()
    {
        if (own_.size() == 0)  // nobody else adds
            return nullptr;
        return lock_.as_owner([this] { return own_.pop(); });
    }
    std::uint32_t take_oldest_own(Node** nodes, std::uint32_t n)
    {
        return lock_.as_owner([this, nodes, n] { return own_.take_oldest(nodes, n); });
    }
    // Any other thread. The oldest half, at most n.
    std::uint32_t steal_own(Node** nodes, std::uint32_t n)
    {
        return lock_.as_guest([&] { return own_.take_oldest(nodes, std::min(n, (own_.size() + 1) / 2)); });
    }
    // A hint, but exact for this worker's thread, and for who has passed a heavy fence since it last changed.
    std::uint32_t own_size() const { return own_.size(); }
    bool has_tasks() const { return !batch_.empty() || own_.size() != 0; }

    // Looks for a batch; written by this worker's thread.
    std::uint32_t fetches() const { return fetches_.load(std::memory_order_relaxed); }
    std::uint32_t count_fetch()
    {
        const std::uint32_t n = fetches() + 1;
        fetches_.store(n, std::memory_order_relaxed);
        return n;
    }

    // ---- this worker's thread only ----
    // Runs a task that the caller has started, to its end.
    void run(Node& node, Node::Start start, Reference reference);
    // Before a task that was queued is freed without having run: a pause() that has begun may have seen it.
    void wait_for_resume()
    {
        lock_.as_owner([] {});
    }
    bool is_running(const Node& node) const;
    Node* top_node() const;
    const Frame* top_frame() const { return top_.load(std::memory_order_relaxed); }
    // The bytes of stack below the caller's frame.
    std::size_t stack_left() const;

    // ---- any other thread ----
    // From here to resume() no frame ends, and no task that is or was queued is freed by this worker.
    void pause() { lock_.lock_as_guest(); }
    void resume() { lock_.unlock_as_guest(); }
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
    bool present = false;  // a thread has the place
    bool idle = false;     // on the idle list
    bool napping = false;  // and will look by itself within a moment
    bool leaving = false;  // its keepalive is over
    bool token = false;    // woken or started with the waking bit; written before the wake, then the thread's own

    // ---- the executor's, on this worker's thread ----
    struct Turns {
        std::uint32_t shard = 0;           // the inbox to begin with
        std::uint32_t own_left = 0;        // own tasks until others have their turn
        bool own_oldest = false;           // the next such turn is the own oldest's
        std::uint32_t misses = 0;          // looks that found what somebody else had by then
        bool fresh = false;                // has given the waking bit back and found no task since
        std::int64_t woken_ns = 0;         // when it last stopped sleeping
        std::uint32_t others_fetches = 0;  // in all, at that time
    };
    Turns turns;

private:
    friend class FrameScope;

    static inline thread_local constinit Worker* current_ = nullptr;

    static void* thread_main(void* argument);
    void work();
    void note_stack();
    void name_thread() const;

    Executor& executor_;
    const std::uint32_t number_;
    const std::byte* stack_bottom_ = nullptr;  // the lowest usable address; set by the thread itself
    // Written by the worker's thread; others look while paused.
    std::atomic<Frame*> top_{nullptr};
    // Guarded by lock_.
    Own own_;
    // Biased towards this worker's thread: held to change own_, to end a frame.
    BiasedLock<> lock_;
    Batch batch_;
    std::atomic<std::uint32_t> fetches_{0};
    Parker parker_;
    // Written by the worker's thread, read by others that are about to wait.
    std::atomic<std::uint32_t> waits_{0};
};

}  // namespace execq::core
