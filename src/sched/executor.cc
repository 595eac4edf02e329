#include "sched/executor.h"

#include <algorithm>
#include <bit>
#include <bitset>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "base/futex.h"
#include "base/immortal.h"
#include "base/thread_waits.h"
#include "sched/cpus.h"
#include "sched/loop_place.h"
#include "sched/manual.h"
#include "sched/timekeeper.h"
#include "task/callbacks.h"
#include "task/cancel.h"
#include "task/cancel_calls.h"
#include "task/unobserved.h"

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
    static PerProcess<IdPool> pool;
    return *pool;
}

// The executors that exist.
struct Registry {
    Mutex mutex;
    HookList<Executor::Listed> all EXECQ_GUARDED_BY(mutex);
    std::size_t count EXECQ_GUARDED_BY(mutex) = 0;
};

Registry& registry()
{
    static PerProcess<Registry> instance;
    return *instance;
}

[[maybe_unused]] IdPool& ids_made_when_loaded = ids();
[[maybe_unused]] Registry& registry_made_when_loaded = registry();

void cancel_queued(Item item)
{
    if (item.is_node()) {
        (void)cancel_unstarted(item.node(), EXECQ_REASON_SHUTDOWN);
        item.node().release();
    }  // there are no turns: turnstiles hold a handle
}

constexpr std::int64_t default_keepalive_ns = 10'000'000'000;
constexpr std::int64_t start_pause_ns = 100'000'000;  // after a thread could not be started

// One worker needs one inbox, and is then first in, first out. Else the more processors, the more producers meet.
std::uint32_t shards_for(std::uint32_t max_threads, std::uint32_t cpus)
{
    constexpr std::uint32_t most = 16;
    return max_threads == 1 ? 1 : std::min(std::bit_ceil(2 * cpus), most);
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

std::uint64_t new_serial()
{
    static std::atomic<std::uint64_t> last{0};
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace

// ---- life ----

execq_status Executor::make(const ExecutorSpec& spec, Executor** out) { return make(spec, nullptr, out); }

execq_status Executor::make(const ExecutorSpec& spec, std::unique_ptr<Engine> engine, Executor** out)
{
    const std::uint16_t id = ids().take();
    if (id == 0) {
        if (spec.observers.all != nullptr)
            spec.observers.all->release();
        return EXECQ_EAGAIN;
    }
    try {
        *out = new Executor(spec, std::move(engine), id);
    } catch (const std::bad_alloc&) {
        ids().give_back(id);
        if (spec.observers.all != nullptr)
            spec.observers.all->release();
        return EXECQ_ENOMEM;
    }
    return EXECQ_OK;
}

Executor::Executor(const ExecutorSpec& spec, std::unique_ptr<Engine> engine, std::uint16_t id)
    : name_(spec.name != nullptr ? spec.name : "execq"),
      reserved_(spec.reserved_loop_workers),
      loop_workers_chosen_(spec.loop_workers),
      max_spares_chosen_(spec.max_spares),
      first_size_(size_of(spec)),
      plan_(spec.threads),
      full_policy_(spec.full_policy),
      keepalive_ns_(spec.keepalive_ns == 0 ? default_keepalive_ns : std::max<std::int64_t>(spec.keepalive_ns, 0)),
      idle_steps_(idle_steps(keepalive_ns_)),
      id_(id),
      serial_(new_serial()),
      cpus_(usable_cpus()),
      shards_(shards_for(first_size_.max_threads, cpus_)),
      inboxes_(std::make_unique<TaskInbox[]>(shards_)),
      engine_(std::move(engine)),
      has_uv_table_(spec.uv_table != nullptr),
      uv_table_(spec.uv_table != nullptr ? *spec.uv_table : execq_uv_table{})
{
    if (spec.manual != nullptr) {
        manual_ = std::make_unique<Manual>(*this, *spec.manual);
        Worker* visited = workers_.add(
            [&](std::uint32_t number) { return new Worker(*this, number, Worker::Kind::visited, guests_); });
        if (visited == nullptr)
            throw std::bad_alloc();
        visited->present = true;
        roster_.add_thread();  // whoever steps counts as one, so that none is ever started
    }
    keeper_ = manual_ != nullptr ? &manual_->keeper() : &Timekeeper::get();
    if (spec.observers.all != nullptr)
        spec.observers.all->belong_to(name_, serial_);
    if (spec.capacity != 0)
        room_ = new Room(spec.capacity);  // nobody gives it back where something throws after it
    observers_ = spec.observers;          // from here on nothing does
    const bool direct = room_ == nullptr && engine_ == nullptr && manual_ == nullptr && observers_.all == nullptr;
    direct_in_ = direct ? Process::generation() : nowhere;
    if (engine_ != nullptr)
        engine_->executor_ = this;
    const MutexLock lock(registry().mutex);
    listed_.executor = this;
    registry().all.push_back(listed_);
    ++registry().count;
}

Executor::~Executor()
{
    {
        const MutexLock lock(registry().mutex);
        registry().all.remove(listed_);
        --registry().count;
    }
    if (has_left_)
        pthread_detach(left_);  // nobody joined: the last thread is past its work, or is this one
    if (room_ != nullptr)
        room_->release();
    if (observers_.all != nullptr)
        observers_.all->release();
    ids().give_back(id_);
    plan_.give_up();
}

std::vector<Executor*> Executor::all()
{
    std::vector<Executor*> found;
    const MutexLock lock(registry().mutex);
    found.reserve(registry().count);
    registry().all.for_each([&](Listed& listed) {
        Executor& executor = *listed.executor;
        std::uint32_t uses = executor.uses_.load(std::memory_order_relaxed);
        while (uses != 0 && !executor.uses_.compare_exchange_weak(uses, uses + 1, std::memory_order_acq_rel)) {
        }
        if (uses != 0)  // else it is about to be freed
            found.push_back(&executor);
    });
    return found;
}

void Executor::release()
{
    if (inherited() || handles_.fetch_sub(1, std::memory_order_acq_rel) != 1)
        return;
    close(EXECQ_DRAIN);
    if (manual_ != nullptr)
        manual_->abandon();
    drop_use();
}

bool Executor::try_retain_use()
{
    std::uint32_t uses = uses_.load(std::memory_order_relaxed);
    while (uses != 0) {
        if (uses_.compare_exchange_weak(uses, uses + 1, std::memory_order_relaxed))
            return true;
    }
    return false;
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
    Slot slot;
    const auto drop = [&slot] { cancel_queued(slot.get()); };
    for (std::uint32_t i = 0; i < shards_; ++i) {
        while (inboxes_[i].take(&slot, 1) != 0)
            drop();
    }
    while (loop_inbox_.take(&slot, 1) != 0)
        drop();
    for (TaskClasses* classes : {&classes_, &loop_classes_}) {
        if (TaskClasses::Pair* pair = classes->get()) {
            while (pair->high.take(&slot, 1) != 0 || pair->low.take(&slot, 1) != 0)
                drop();
        }
    }
    for_each_worker([&](Worker& worker) {
        while (worker.steal(&slot, 1) != 0)
            drop();
    });
}

void Executor::wake_all_idle()
{
    while (Worker* worker = take_idle())
        worker->wake();
    while (Worker* worker = take_reserved())
        worker->wake();
    while (call_up(false, Call::any)) {
    }
}

void Executor::close(std::int32_t how)
{
    close_queues(how);
    // What is accepted from here on is none of these.
    if (delayed_count_.load(std::memory_order_relaxed) != 0)
        keeper_->refuse_delayed(delayed_);
    tell_turnstiles(how);
    if (engine_ != nullptr)
        engine_->closed(how);
    if (how == EXECQ_CANCEL) {
        ask_all_open();
        tell_calls_of(this);
    }
}

// One by one, since a turnstile takes its own mutex, and may ask for turns.
void Executor::tell_turnstiles(std::int32_t how)
{
    for (;;) {
        Turnstile* turnstile = nullptr;
        {
            const MutexLock lock(mutex_);
            turnstile = turnstiles_.front();
            if (turnstile == nullptr || turnstile->told_close >= how)
                return;
            turnstile->told_close = how;
            turnstiles_.remove(*turnstile);
            turnstiles_.push_back(*turnstile);
            if (!turnstile->try_retain_use())
                continue;
        }
        turnstile->executor_closed(how);
        turnstile->drop_use();
    }
}

void Executor::add_turnstile(Turnstile& turnstile)
{
    {
        const MutexLock lock(mutex_);
        turnstiles_.push_front(turnstile);  // those that have heard the least are in front
        if (mode() == Mode::open)
            return;
    }
    tell_turnstiles(mode() == Mode::canceling ? EXECQ_CANCEL : EXECQ_DRAIN);
}

void Executor::remove_turnstile(Turnstile& turnstile)
{
    const MutexLock lock(mutex_);
    turnstiles_.remove(turnstile);
}

// Who makes a place later sees the mode.
void Executor::ask_all_open()
{
    for_each_worker([](Worker& worker) {
        if (LoopPlace* place = worker.place())
            place->ask_all();
    });
}

void Executor::close_queues(std::int32_t how)
{
    const MutexLock lock(mutex_);
    if (how == EXECQ_CANCEL) {
        mode_.store(Mode::canceling, std::memory_order_release);
        while_paused([&] {
            for_each_worker([](Worker& worker) {
                worker.for_each_frame([](Frame& frame) {
                    if (frame.node != nullptr)  // others look at the mode
                        frame.node->request_cancel(EXECQ_REASON_SHUTDOWN);
                });
            });
        });
    } else if (mode() == Mode::open) {
        mode_.store(Mode::draining, std::memory_order_release);
    }
    for (std::uint32_t i = 0; i < shards_; ++i)
        inboxes_[i].close();
    loop_inbox_.close();
    classes_.close();
    loop_classes_.close();
    if (room_ != nullptr)
        room_->close();
    note_surplus();
    wake_all_idle();
}

execq_status Executor::accept_delayed(std::size_t n)
{
    const MutexLock lock(mutex_);
    if (mode() != Mode::open)
        return EXECQ_ECLOSED;
    const auto count = static_cast<std::uint32_t>(n);
    uses_.fetch_add(count, std::memory_order_relaxed);
    delayed_count_.fetch_add(count, std::memory_order_relaxed);
    return EXECQ_OK;
}

void Executor::delay_ended()
{
    if (delayed_count_.fetch_sub(1, std::memory_order_release) == 1)
        futex_wake_all(&delayed_count_);
    drop_use();
}

execq_status Executor::wait_for_delayed(Deadline deadline)
{
    while (const std::uint32_t count = delayed_count_.load(std::memory_order_acquire)) {
        if (deadline.passed())
            return EXECQ_ETIMEDOUT;
        if (Timekeeper::on_its_thread())
            return EXECQ_EDEADLK;
        futex_wait(&delayed_count_, count, deadline);
    }
    return EXECQ_OK;
}

execq_status Executor::wait_for_threads(Deadline deadline)
{
    for (;;) {
        const std::uint32_t threads = roster_.threads();
        if (threads != 0) {
            if (deadline.passed())
                return EXECQ_ETIMEDOUT;
            futex_wait(roster_.futex_word(), threads, deadline);
            continue;
        }
        const std::uint32_t reserved = reserved_threads_.load(std::memory_order_acquire);
        if (reserved != 0) {
            if (deadline.passed())
                return EXECQ_ETIMEDOUT;
            futex_wait(&reserved_threads_, reserved, deadline);
            continue;
        }
        const MutexLock lock(mutex_);
        if (roster_.threads() != 0 || reserved_threads_.load(std::memory_order_relaxed) != 0)
            continue;
        const bool for_loop = reserved_ != 0 && loop_tasks_wait();
        if (!work_visible() && !loop_tasks_wait())
            return EXECQ_OK;
        // The last worker was lost to a pthread_exit and could not be replaced then.
        if ((for_loop ? start_reserved() : start_waking_worker()) != EXECQ_OK)
            return EXECQ_EAGAIN;
    }
}

execq_status Executor::join(Deadline deadline)
{
    if (mode() == Mode::open)
        return EXECQ_EINVAL;
    if (Worker::serves(serial_) || (engine_ != nullptr && EngineTurn::of(*this)))
        return EXECQ_EDEADLK;
    const execq_status status = manual_ != nullptr ? manual_->join(deadline) : join_threads(deadline);
    if (status != EXECQ_OK)
        return status;
    const ThreadWaits::Scope blocked;
    return await_cancelers(id(), deadline);
}

execq_status Executor::join_threads(Deadline deadline)
{
    run_queued();
    if (!deadline.only_look() && (roster_.threads() != 0 || reserved_threads_.load(std::memory_order_relaxed) != 0))
        note_running();
    const ThreadWaits::Scope blocked;
    execq_status status = wait_for_delayed(deadline);
    if (status == EXECQ_OK && engine_ != nullptr)
        return engine_->join(deadline);
    if (status == EXECQ_OK)
        status = wait_for_threads(deadline);
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

// Tasks without a name do not read the clock when they start; from here on their age is known, as a lower bound.
void Executor::note_running()
{
    const std::int64_t now = coarse_now_ns();
    const MutexLock lock(mutex_);
    while_paused([&] {
        for_each_worker([&](Worker& worker) {
            worker.for_each_frame([&](Frame& frame) {
                if (frame.started_ns.load(std::memory_order_relaxed) == 0)
                    frame.started_ns.store(now, std::memory_order_relaxed);
            });
        });
    });
}

void Executor::report(execq_shutdown_report& report, const Worker* except)
{
    report.running_count = report.running_total = report.queued = 0;
    const std::int64_t now = coarse_now_ns();
    const auto count = [&](Item item) {
        report.queued += item.plain() || (item.is_node() && item.node().phase() == Phase::pending) ? 1U : 0U;
    };
    const auto note = [&](const Node* node, std::int64_t age_ns) {
        ++report.running_total;
        if (report.running == nullptr || report.running_count == report.running_max)
            return;
        execq_running_task& task = report.running[report.running_count++];
        std::memset(&task, 0, sizeof task);
        if (node != nullptr)
            std::strncpy(task.name, node->name(), sizeof task.name - 1);
        task.running_ns = age_ns;
    };
    const auto note_frame = [&](const Frame& frame) {
        const std::int64_t started = frame.started_ns.load(std::memory_order_relaxed);
        note(frame.node, started != 0 ? std::max<std::int64_t>(now - started, 0) : 0);
    };
    const auto note_open = [&](const Node& node) {
        if (!node.done())
            note(&node, node.age_ns());
    };
    report.queued += delayed_count_.load(std::memory_order_relaxed);
    if (engine_ != nullptr)
        engine_->report(report);
    const MutexLock lock(mutex_);
    report.left_loops = leftovers_.loops;
    report.left_handles = leftovers_.total_handles();
    turnstiles_.for_each([&](const Turnstile& turnstile) { report.queued += turnstile.waiting(); });
    report.queued += manual_ != nullptr ? manual_->taken() : 0;
    report.threads =
        manual_ != nullptr ? 0 : roster_.threads() + reserved_threads_.load(std::memory_order_relaxed) + on_bench_;
    if (report.threads == 0 && has_left_)
        report.threads = 1;  // the last one is past its work, and this join found it still ending
    while_paused([&] {
        for (std::uint32_t i = 0; i < shards_; ++i)
            inboxes_[i].for_each(count);
        loop_inbox_.for_each(count);
        classes_.for_each(count);
        loop_classes_.for_each(count);
        for_each_worker([&](Worker& worker) {
            worker.for_each_task(count);
            if (&worker != except)
                worker.for_each_frame(note_frame);
        });
    });
    for_each_worker([&](Worker& worker) {
        if (LoopPlace* place = &worker != except ? worker.place() : nullptr)
            place->for_each(note_open);
    });
}

// ---- threads ----

bool Executor::stop_requested(const Node* node) const
{
    return (node != nullptr && node->cancel_requested()) || mode() == Mode::canceling;
}

// The thread goes on as one of an executor that is canceling: it runs nothing and ends what is queued.
void Executor::break_down(std::int32_t code, Error* error)
{
    std::int32_t none = 0;
    const bool first = broken_.compare_exchange_strong(none, code, std::memory_order_acq_rel);
    close(EXECQ_CANCEL);
    if (error == nullptr)
        error = Error::of_code(code);
    if (first)
        report_unobserved(name(), *error);
    error->release();
}

// A place of that kind without a thread, made if need be; null where memory is out. Not all of that kind are taken.
Worker* Executor::vacant_place(bool reserved)
{
    const std::uint32_t n = workers_.size();
    for (std::uint32_t i = 0; i < n; ++i) {
        if (!workers_[i].present && workers_[i].reserved() == reserved)
            return &workers_[i];
    }
    const Worker::Kind kind = reserved ? Worker::Kind::reserved : Worker::Kind::any;
    return workers_.add([&](std::uint32_t number) { return new (std::nothrow) Worker(*this, number, kind, guests_); });
}

execq_status Executor::start_thread(Worker& worker)
{
    worker.present = true;
    uses_.fetch_add(1, std::memory_order_relaxed);
    const execq_status status = worker.start();
    if (status != EXECQ_OK) {
        worker.present = false;
        uses_.fetch_sub(1, std::memory_order_relaxed);
    }
    started_ += status == EXECQ_OK ? 1 : 0;
    return status;
}

// With a token the new thread has the waking bit, which the caller holds and keeps where this fails.
execq_status Executor::start_worker(bool token, Call call)
{
    if (call_up(token, call))
        return EXECQ_OK;
    Worker* worker = vacant_place(false);
    if (worker == nullptr) {
        note_start(false);
        return EXECQ_ENOMEM;
    }
    worker->token = token;
    worker->loop_called = call == Call::loop;
    loop_slots_.call(worker->loop_called ? 1 : 0);
    const execq_status status = start_thread(*worker);
    if (status == EXECQ_OK) {
        roster_.add_thread();  // not before: submissions rely on a thread that is counted
        count_spares();
    } else {
        loop_slots_.uncall(worker->loop_called ? 1 : 0);
        worker->token = worker->loop_called = false;
    }
    note_start(status == EXECQ_OK);
    return status;
}

void Executor::note_start(bool started)
{
    if (!started)
        start_again_ns_.store(coarse_now_ns() + start_pause_ns, std::memory_order_relaxed);
    const std::uint32_t limit = started ? cap_.load(std::memory_order_relaxed) : roster_.threads();
    thread_limit_.store(limit, std::memory_order_relaxed);
}

// The same for who has no waking bit: the thread gets it if nobody else has it.
execq_status Executor::start_waking_worker()
{
    const bool token = roster_.try_begin_wake();
    const execq_status status = start_worker(token);
    if (status != EXECQ_OK && token)
        roster_.end_wake(cap_.load(std::memory_order_relaxed));
    return status;
}

void Executor::note_leftovers(const LoopLeftovers& leftovers)
{
    if (leftovers.loops == 0)
        return;
    const MutexLock lock(mutex_);
    leftovers_.add(leftovers);
}

LoopLeftovers Executor::leftovers()
{
    const MutexLock lock(mutex_);
    return leftovers_;
}

// Where the last thread is lost to a pthread_exit and no other one can be started, nobody is left to try again: that thread does
// not end before another one has begun, or nothing waits any more.
void Executor::await_successor()
{
    constexpr std::int64_t pause_ns = 10'000'000;
    const auto abandoned = [this] {
        const bool for_loops =
            reserved_ != 0 ? reserved_threads_.load(std::memory_order_seq_cst) == 0 : roster_.threads() == 0;
        return (roster_.threads() == 0 && work_visible()) || (for_loops && loop_tasks_wait());
    };
    while (abandoned()) {
        {
            const MutexLock lock(mutex_);
            if (!abandoned())
                return;
            const bool for_loops =
                reserved_ != 0 && reserved_threads_.load(std::memory_order_relaxed) == 0 && loop_tasks_wait();
            (void)(for_loops ? start_reserved() : start_waking_worker());
        }
        futex_wait(roster_.futex_word(), 0, Deadline::after(pause_ns));
    }
}

void Executor::worker_leaves(Worker& worker)
{
    // What waits here, with a worker that was lost to a pthread_exit, is for the others.
    bool join_previous = false;
    pthread_t before{};
    {
        const MutexLock lock(mutex_);
        before = std::exchange(left_, pthread_self());
        join_previous = std::exchange(has_left_, true);
        worker.present = false;
        leaving_ -= std::exchange(worker.leaving, false) ? 1U : 0U;
        // join() reads them without the mutex.
        if (worker.reserved())
            reserved_threads_.fetch_sub(1, std::memory_order_seq_cst);
        else
            roster_.remove_thread();
        note_surplus();
    }
    // Who submitted to its own queue meanwhile may have counted on this worker.
    StdAtomics::heavy_fence();
    if (work_visible())
        wake_if_wanted();
    if (loop_tasks_wait())
        wake_for_loop();
    futex_wake_all(worker.reserved() ? &reserved_threads_ : roster_.futex_word());
    await_successor();
    if (join_previous)
        pthread_join(before, nullptr);
}

}  // namespace execq::core
