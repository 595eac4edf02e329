// Floor 2. A worker: one thread of an executor, and the frames of the tasks that run on it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <pthread.h>

#include "base/annotations.h"
#include "base/futex.h"
#include "base/links.h"
#include "task/node.h"

namespace execq::core {

class Executor;

// One running task. Tasks that a wait runs in place are nested: the innermost is on top.
struct Frame {
    Node* node;
    std::int64_t started_ns;  // coarse clock
    Frame* outer;
};

class Worker : public Hook {  // Hook: the executor's list of workers
public:
    // Starts a thread; it owns the worker and, with it, one use of the executor. EXECQ_OK, EXECQ_ENOMEM, EXECQ_EAGAIN.
    // Called under the executor's mutex, which the new thread takes before it takes a task.
    static execq_status start(Executor& executor, std::uint32_t number, Worker** out);

    // The worker whose thread this is, or null.
    static Worker* current();

    Executor& executor() { return executor_; }
    Parker& parker() { return parker_; }

    // ---- this worker's thread only ----
    // Runs a task whose try_start() the caller has won, to its end; the caller keeps its reference.
    void run(Node& node);
    bool is_running(const Node& node) const;
    Node* top_node() const;
    // The bytes of stack below the caller's frame.
    std::size_t stack_left() const;

    // Any thread: visits the frames, innermost first, while they cannot change.
    template <class Visit>
    void for_each_frame(const Visit& visit)
    {
        const MutexLock lock(frames_mutex_);
        for (const Frame* frame = top_; frame != nullptr; frame = frame->outer)
            visit(*frame);
    }

    // Any thread: true while a body runs, or a wait blocks.
    bool busy()
    {
        const MutexLock lock(frames_mutex_);
        return top_ != nullptr || waits_ != 0;
    }

    // While one lives, the worker's thread is blocked in a wait. Null: no worker.
    class WaitScope {
    public:
        explicit WaitScope(Worker* worker) : worker_(worker) { count(1); }
        ~WaitScope() { count(-1); }
        WaitScope(const WaitScope&) = delete;
        WaitScope& operator=(const WaitScope&) = delete;

    private:
        void count(int by)
        {
            if (worker_ == nullptr)
                return;
            const MutexLock lock(worker_->frames_mutex_);
            worker_->waits_ += by;
        }
        Worker* worker_;
    };

    // The executor's stack of idle workers, under its mutex.
    Worker* next_idle = nullptr;

private:
    friend class FrameScope;

    Worker(Executor& executor, std::uint32_t number) : executor_(executor), number_(number) {}
    static void* thread_main(void* argument);
    void work();
    void note_stack();
    void name_thread() const;

    Executor& executor_;
    const std::uint32_t number_;
    const std::byte* stack_bottom_ = nullptr;  // the lowest usable address; set by the thread itself
    Parker parker_;
    Mutex frames_mutex_;
    // Written by the worker's thread only, which therefore reads it without the mutex.
    Frame* top_ = nullptr;
    int waits_ EXECQ_GUARDED_BY(frames_mutex_) = 0;
};

}  // namespace execq::core
