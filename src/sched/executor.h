// Floor 2. An executor: a queue of tasks, the workers that take from it, and its life.
//
// Modes, each a step that is never taken back: open → draining → canceling, or open → canceling.
// Workers end by themselves once the executor is not open and its queue is empty.
//
// Two counts keep it alive. Handles are the C surface's references: the last one closes (draining). Uses are the
// handles together, and each worker: the last one frees.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "base/annotations.h"
#include "base/clock.h"
#include "base/links.h"
#include "execq/executor.h"
#include "sched/worker.h"
#include "task/node.h"

namespace execq::core {

class Executor {
public:
    // One handle to the caller. EXECQ_OK, EXECQ_ENOMEM, EXECQ_EAGAIN. max_threads 0: default_threads().
    static execq_status make(const char* name, std::uint32_t max_threads, Executor** out);

    void retain() { handles_.fetch_add(1, std::memory_order_relaxed); }
    void release();

    // Accepts all tasks of the batch, emptying it, or none. EXECQ_OK, EXECQ_ECLOSED, EXECQ_ENOMEM, EXECQ_EAGAIN.
    execq_status submit(TaskFifo& batch);
    void close(std::int32_t how);
    // EXECQ_OK, EXECQ_ETIMEDOUT, EXECQ_EINVAL (open), EXECQ_EDEADLK (own worker), EXECQ_EAGAIN (no thread to go on).
    execq_status join(Deadline deadline);
    void report(execq_shutdown_report& report);

    std::uint16_t id() const { return id_; }
    const char* name() const { return name_.c_str(); }
    // Makes sure that a thread looks at the queue although the caller, a worker, is about to block; false if none can.
    // A worker without a frame is on its way there, or will be replaced: frames end before their task is settled.
    bool secure_thread();
    // True if the task, or everything here, was asked to stop.
    bool stop_requested(const Node& node) const;

    // ---- for workers ----
    // The next task, with the executor's reference to it; null when the worker is to leave. Sleeps.
    Node* next_task(Worker& worker);
    // Runs or cancels a task taken from the queue, unless somebody else did.
    void dispose(Worker& worker, Node& node);
    void worker_leaves(Worker& worker);
    void drop_use();

private:
    enum class Mode : std::uint32_t { open, draining, canceling };

    Executor(const char* name, std::uint32_t max_threads, std::uint16_t id)
        : name_(name), max_threads_(max_threads), id_(id)
    {}
    ~Executor();

    bool accepts() const EXECQ_REQUIRES(mutex_);
    execq_status start_worker() EXECQ_REQUIRES(mutex_);
    // Takes up to n idle workers off the stack and starts threads for the rest; returns the idle ones, to be unparked.
    Worker* staff(std::size_t n) EXECQ_REQUIRES(mutex_);
    Worker* take_idle(std::size_t& n) EXECQ_REQUIRES(mutex_);
    execq_status wait_for_threads(Deadline deadline);
    execq_status join_last(Deadline deadline);
    void cancel_leftovers();
    static void unpark_all(Worker* idle);
    Mode mode() const { return mode_.load(std::memory_order_acquire); }

    const std::string name_;
    const std::uint32_t max_threads_;
    const std::uint16_t id_;

    Mutex mutex_;
    TaskFifo queue_ EXECQ_GUARDED_BY(mutex_);
    HookList<Worker> workers_ EXECQ_GUARDED_BY(mutex_);
    Worker* idle_ EXECQ_GUARDED_BY(mutex_) = nullptr;     // last in, first out: the warmest stack
    std::uint32_t started_ EXECQ_GUARDED_BY(mutex_) = 0;  // threads ever, for their names
    // Each leaving worker joins the one that left before it; the last one is joined by join() or detached.
    bool has_left_ EXECQ_GUARDED_BY(mutex_) = false;
    pthread_t left_ EXECQ_GUARDED_BY(mutex_){};

    // Written under mutex_; read by workers without it, to see a cancellation.
    std::atomic<Mode> mode_{Mode::open};
    // Workers that have not signed off. Written under mutex_; join() sleeps on it.
    std::atomic<std::uint32_t> threads_{0};
    // 1 while a join() waits for the last thread; written under mutex_, others sleep on it.
    std::atomic<std::uint32_t> joining_{0};
    std::atomic<std::uint32_t> handles_{1};
    std::atomic<std::uint32_t> uses_{1};
};

inline execq_executor* handle_of(Executor* executor) { return reinterpret_cast<execq_executor*>(executor); }
inline Executor* core_of(execq_executor* executor) { return reinterpret_cast<Executor*>(executor); }

}  // namespace execq::core
