#include "sched/executor.h"

#include <algorithm>
#include <bitset>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "base/futex.h"
#include "base/immortal.h"
#include "sched/cpus.h"
#include "task/callbacks.h"

namespace execq::core {

namespace {

// The ids by which nodes name their executor; 0 stands for none.
class IdPool {
public:
    // 0 if all are in use.
    std::uint16_t take()
    {
        const MutexLock lock(mutex_);
        for (std::size_t tries = 1; tries < used_.size(); ++tries) {
            last_ = last_ % (used_.size() - 1) + 1;
            if (!used_.test(last_)) {
                used_.set(last_);
                return static_cast<std::uint16_t>(last_);
            }
        }
        return 0;
    }

    void give_back(std::uint16_t id)
    {
        const MutexLock lock(mutex_);
        used_.reset(id);
    }

private:
    Mutex mutex_;
    std::bitset<65536> used_ EXECQ_GUARDED_BY(mutex_);
    std::size_t last_ EXECQ_GUARDED_BY(mutex_) = 0;
};

IdPool& ids()
{
    static Immortal<IdPool> pool;
    return *pool;
}

void cancel_queued(Node& node)
{
    if (!node.try_claim_cancel(EXECQ_REASON_SHUTDOWN))
        return;
    node.drop_env();
    node.settle_canceled();
}

// False if the thread had not ended by the deadline.
bool join_thread(pthread_t thread, Deadline deadline)
{
    if (deadline.never())
        return pthread_join(thread, nullptr) == 0;
    // In short slices: the limit of this join is on the wall clock, which may jump. (The one on the monotonic clock is
    // unknown to gcc 12's ThreadSanitizer.)
    constexpr std::int64_t slice_ns = 50'000'000;
    while (pthread_tryjoin_np(thread, nullptr) != 0) {
        if (deadline.passed())
            return false;
        const std::int64_t until = read_clock(CLOCK_REALTIME) + std::min(deadline.left_ns(), slice_ns);
        const timespec limit{until / 1'000'000'000, static_cast<long>(until % 1'000'000'000)};
        if (pthread_timedjoin_np(thread, nullptr, &limit) == 0)
            break;
    }
    return true;
}

bool on_worker_of(const Executor& executor)
{
    Worker* worker = Worker::current();
    return worker != nullptr && &worker->executor() == &executor;
}

}  // namespace

// ---- life ----

execq_status Executor::make(const char* name, std::uint32_t max_threads, Executor** out)
{
    const std::uint16_t id = ids().take();
    if (id == 0)
        return EXECQ_EAGAIN;
    try {
        *out = new Executor(name != nullptr ? name : "execq", max_threads != 0 ? max_threads : default_threads(), id);
    } catch (const std::bad_alloc&) {
        ids().give_back(id);
        return EXECQ_ENOMEM;
    }
    return EXECQ_OK;
}

Executor::~Executor()
{
    if (has_left_)
        pthread_detach(left_);  // nobody joined: the last thread is past its work, or is this one
    ids().give_back(id_);
}

void Executor::release()
{
    if (handles_.fetch_sub(1, std::memory_order_acq_rel) != 1)
        return;
    close(EXECQ_DRAIN);
    drop_use();
}

void Executor::drop_use()
{
    if (uses_.fetch_sub(1, std::memory_order_acq_rel) != 1)
        return;
    cancel_leftovers();
    delete this;
}

// Only where the last worker was lost to a pthread_exit and could not be replaced is there anything left.
void Executor::cancel_leftovers()
{
    TaskFifo left;
    {
        const MutexLock lock(mutex_);
        left.append(queue_);
    }
    while (Node* node = left.pop()) {
        cancel_queued(*node);
        node->release();
    }
}

void Executor::close(std::int32_t how)
{
    Worker* idle = nullptr;
    {
        const MutexLock lock(mutex_);
        if (how == EXECQ_CANCEL) {
            mode_.store(Mode::canceling, std::memory_order_release);
            workers_.for_each([](Worker& worker) {
                worker.for_each_frame([](const Frame& frame) { frame.node->request_cancel(EXECQ_REASON_SHUTDOWN); });
            });
        } else if (mode() == Mode::open) {
            mode_.store(Mode::draining, std::memory_order_release);
        }
        std::size_t all = max_threads_;
        idle = take_idle(all);
    }
    unpark_all(idle);
}

execq_status Executor::wait_for_threads(Deadline deadline)
{
    for (;;) {
        const std::uint32_t threads = threads_.load(std::memory_order_acquire);
        if (threads != 0) {
            if (deadline.passed())
                return EXECQ_ETIMEDOUT;
            futex_wait(&threads_, threads, deadline);
            continue;
        }
        const MutexLock lock(mutex_);
        if (threads_.load(std::memory_order_relaxed) != 0)
            continue;
        if (queue_.empty())
            return EXECQ_OK;
        // The last worker was lost to a pthread_exit and could not be replaced then.
        if (start_worker() != EXECQ_OK)
            return EXECQ_EAGAIN;
    }
}

execq_status Executor::join(Deadline deadline)
{
    if (mode() == Mode::open)
        return EXECQ_EINVAL;
    if (on_worker_of(*this))
        return EXECQ_EDEADLK;
    run_queued();
    const execq_status status = wait_for_threads(deadline);
    return status == EXECQ_OK ? join_last(deadline) : status;
}

// Waits for the last thread itself: what runs at its very end, such as destructors of thread-locals, has run then.
execq_status Executor::join_last(Deadline deadline)
{
    for (;;) {
        pthread_t last{};
        bool joining = false;
        {
            const MutexLock lock(mutex_);
            if (!has_left_)
                return EXECQ_OK;
            joining = joining_.exchange(1, std::memory_order_relaxed) == 0;
            last = left_;
        }
        if (!joining) {  // another join() is at it
            if (deadline.passed())
                return EXECQ_ETIMEDOUT;
            futex_wait(&joining_, 1, deadline);
            continue;
        }
        const bool ended = join_thread(last, deadline);
        {
            const MutexLock lock(mutex_);
            has_left_ = !ended;
            joining_.store(0, std::memory_order_relaxed);
        }
        futex_wake_all(&joining_);
        return ended ? EXECQ_OK : EXECQ_ETIMEDOUT;
    }
}

void Executor::report(execq_shutdown_report& report)
{
    report.running_count = report.running_total = 0;
    const std::int64_t now = coarse_now_ns();
    const MutexLock lock(mutex_);
    report.queued = 0;
    queue_.for_each([&](const Node& node) { report.queued += node.phase() == Phase::pending ? 1U : 0U; });
    report.threads = threads_.load(std::memory_order_relaxed);
    if (report.threads == 0 && has_left_)
        report.threads = 1;  // the last one is past its work, and this join found it still ending
    workers_.for_each([&](Worker& worker) {
        worker.for_each_frame([&](const Frame& frame) {
            ++report.running_total;
            if (report.running == nullptr || report.running_count == report.running_max)
                return;
            execq_running_task& task = report.running[report.running_count++];
            std::memset(&task, 0, sizeof task);
            std::strncpy(task.name, frame.node->name(), sizeof task.name - 1);
            task.running_ns = std::max<std::int64_t>(now - frame.started_ns, 0);
        });
    });
}

// ---- submission ----

bool Executor::accepts() const { return mode() == Mode::open || (mode() == Mode::draining && on_worker_of(*this)); }

execq_status Executor::submit(TaskFifo& batch)
{
    Worker* idle = nullptr;
    {
        const MutexLock lock(mutex_);
        if (!accepts())
            return EXECQ_ECLOSED;
        std::size_t wanted = batch.size();
        if (wanted != 0 && threads_.load(std::memory_order_relaxed) == 0) {
            const execq_status status = start_worker();
            if (status != EXECQ_OK)
                return status;
            --wanted;
        }
        queue_.append(batch);
        idle = staff(wanted);
    }
    unpark_all(idle);
    return EXECQ_OK;
}

bool Executor::secure_thread()
{
    const MutexLock lock(mutex_);
    bool coming = false;
    workers_.for_each([&](Worker& worker) { coming = coming || (&worker != Worker::current() && !worker.busy()); });
    const bool room = threads_.load(std::memory_order_relaxed) < max_threads_;
    return coming || (room && start_worker() == EXECQ_OK);
}

bool Executor::stop_requested(const Node& node) const { return node.cancel_requested() || mode() == Mode::canceling; }

Worker* Executor::take_idle(std::size_t& n)
{
    Worker* taken = nullptr;
    for (; n != 0 && idle_ != nullptr; --n) {
        Worker* worker = idle_;
        idle_ = worker->next_idle;
        worker->next_idle = taken;
        taken = worker;
    }
    return taken;
}

Worker* Executor::staff(std::size_t n)
{
    Worker* idle = take_idle(n);
    // Where a thread cannot be started, those that exist do the work.
    while (n-- != 0 && threads_.load(std::memory_order_relaxed) < max_threads_ && start_worker() == EXECQ_OK) {
    }
    return idle;
}

void Executor::unpark_all(Worker* idle)
{
    while (idle != nullptr) {
        Worker* next = idle->next_idle;  // read first: an unparked worker may be gone at once
        idle->parker().unpark();
        idle = next;
    }
}

// ---- workers ----

execq_status Executor::start_worker()
{
    Worker* worker = nullptr;
    const execq_status status = Worker::start(*this, started_, &worker);
    if (status != EXECQ_OK)
        return status;
    ++started_;
    workers_.push_back(*worker);
    threads_.fetch_add(1, std::memory_order_relaxed);
    uses_.fetch_add(1, std::memory_order_relaxed);
    return EXECQ_OK;
}

Node* Executor::next_task(Worker& worker)
{
    for (;;) {
        {
            const MutexLock lock(mutex_);
            if (Node* node = queue_.pop())
                return node;
            if (mode() != Mode::open)
                return nullptr;
            worker.next_idle = idle_;
            idle_ = &worker;
        }
        worker.parker().park();
    }
}

void Executor::dispose(Worker& worker, Node& node)
{
    if (mode() == Mode::canceling) {
        cancel_queued(node);
    } else if (node.try_start()) {
        worker.run(node);
    }
}

void Executor::worker_leaves(Worker& worker)
{
    Worker* idle = nullptr;
    bool join_previous = false;
    pthread_t previous{};
    std::size_t wanted = 1;
    {
        const MutexLock lock(mutex_);
        workers_.remove(worker);
        if (!queue_.empty()) {  // this worker was lost to a pthread_exit: replace it
            idle = take_idle(wanted);
            if (idle == nullptr)
                start_worker();
        }
        previous = std::exchange(left_, pthread_self());
        join_previous = std::exchange(has_left_, true);
        threads_.fetch_sub(1, std::memory_order_release);  // join() reads it without the mutex
    }
    unpark_all(idle);
    futex_wake_all(&threads_);
    if (join_previous)
        pthread_join(previous, nullptr);
}

}  // namespace execq::core
