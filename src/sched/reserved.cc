// The part of the executor about workers that are reserved for loops: they begin asynchronous tasks, drive their loops, and
// run nothing else, so that no blocking task ever holds a loop up. Where there are such workers, no other one takes
// asynchronous tasks, but for execq_run_until on its own worker.
//
// They are not in the roster, which is about who runs blocking tasks: no submission of one counts on them, and
// thread_limit() is without them. The first starts with the first asynchronous task, another one as long as a submission
// finds none asleep; they stay until the executor closes, whatever its keepalive is.
//
// Who is called. A submission makes its task visible, then looks for a sleeper. Who falls asleep announces that, then looks
// into the inbox. Both are sequentially consistent, so that of the two one sees the other.
#include <algorithm>

#include "sched/executor.h"
#include "sched/loop_place.h"

namespace execq::core {

namespace {

constexpr std::int64_t trim_after_ns = 100'000'000;  // asleep
constexpr int trim_after_ms = 100;
constexpr std::uint32_t patient_misses = 16;
constexpr std::int64_t start_pause_ns = 100'000'000;  // after a thread could not be started

}  // namespace

// ---- calling ----

void Executor::call_reserved()
{
    if (reserved_sleepers_.load(std::memory_order_seq_cst) == 0 &&
        (reserved_threads_.load(std::memory_order_seq_cst) == reserved_ ||
         coarse_now_ns() < start_again_ns_.load(std::memory_order_relaxed)))
        return;
    Worker* called = nullptr;
    {
        const MutexLock lock(mutex_);
        called = take_reserved();
        if (called == nullptr && reserved_threads_.load(std::memory_order_relaxed) < reserved_ && loop_tasks_wait())
            start_reserved();  // if it cannot be started, those that are there will look
    }
    if (called != nullptr)
        called->wake();
}

execq_status Executor::start_reserved()
{
    Worker* worker = vacant_place(true);
    const execq_status status = worker != nullptr ? start_thread(*worker) : EXECQ_ENOMEM;
    if (status == EXECQ_OK)
        reserved_threads_.fetch_add(1, std::memory_order_seq_cst);  // not before: submissions rely on it
    else
        start_again_ns_.store(coarse_now_ns() + start_pause_ns, std::memory_order_relaxed);
    return status;
}

// Whether an asynchronous task will be begun although self, if it is one of them, is about to block.
bool Executor::secure_reserved(const Worker* self)
{
    bool coming = false;
    for_each_worker([&](const Worker& worker) {
        coming = coming || (worker.reserved() && worker.present && &worker != self && !worker.busy());
    });
    return coming || (reserved_threads_.load(std::memory_order_relaxed) < reserved_ && start_reserved() == EXECQ_OK);
}

// ---- running ----

Item Executor::next_loop_task(Worker& worker)
{
    for (;;) {
        turn_loop(worker);
        if (!loop_tasks_settle_empty()) {
            if (const Item item = take_loop_item(worker)) {
                worker.turns.misses = 0;
                return item;
            }
        } else if (reserved_is_to_leave(worker)) {
            return {};
        }
        lie_reserved(worker);
    }
}

// ---- sleeping ----

// On its loop it can be woken only through its place: false without one.
bool Executor::announce_reserved(Worker& worker, bool on_loop)
{
    ThreadLoop* loop = nullptr;
    if (on_loop && open_place(worker, &loop) != EXECQ_OK)
        return false;
    const MutexLock lock(mutex_);
    worker.idle = true;
    worker.on_loop = on_loop;
    idle_reserved_.push_back(worker);
    reserved_sleepers_.fetch_add(1, std::memory_order_seq_cst);
    return true;
}

void Executor::take_off_reserved(Worker& worker)
{
    idle_reserved_.remove(worker);
    worker.idle = false;
    reserved_sleepers_.fetch_sub(1, std::memory_order_seq_cst);
}

// The one that has slept longest, so that tasks are spread over the loops.
Worker* Executor::take_reserved()
{
    Worker* worker = idle_reserved_.front();
    if (worker != nullptr) {
        take_off_reserved(*worker);
        ++wakes_;
    }
    return worker;
}

// Takes the announcement back. False: somebody is waking the worker already.
bool Executor::get_up_reserved(Worker& worker)
{
    const MutexLock lock(mutex_);
    if (!worker.idle)
        return false;
    take_off_reserved(worker);
    return true;
}

void Executor::lie_reserved(Worker& worker)
{
    worker.turns.looped_ns = 0;  // its turn comes first when this is over
    const bool on_loop = worker.loop() != nullptr && drives(worker);
    const int quiet_ms = on_loop ? worker.loop()->quiet_ms() : -1;
    if (quiet_ms == 0)
        return;
    if (!announce_reserved(worker, on_loop)) {
        worker.loop()->sleep(1);  // no memory: looks now and then
        return;
    }
    if (loop_tasks_wait()) {
        if (++worker.turns.misses > patient_misses)
            StdAtomics::yield();  // for who is between the two halves of a push
    } else if (!reserved_is_to_leave(worker)) {
        if (!on_loop)
            return sleep_reserved_apart(worker);
        sleep_reserved_on_loop(worker, quiet_ms);
    }
    if (!get_up_reserved(worker))
        worker.parker().park();  // for a moment: somebody is about to wake us
}

void Executor::sleep_reserved_on_loop(Worker& worker, int quiet_ms)
{
    ThreadLoop& loop = *worker.loop();
    const int first_ms = quiet_ms < 0 ? trim_after_ms : std::min(quiet_ms, trim_after_ms);
    if (loop.sleep(first_ms) || first_ms == quiet_ms)
        return;
    trim_memory(worker);
    loop.sleep(quiet_ms < 0 ? quiet_ms : quiet_ms - first_ms);
}

// Until woken.
void Executor::sleep_reserved_apart(Worker& worker)
{
    if (worker.parker().park(Deadline::after(trim_after_ns)))
        return;
    trim_memory(worker);
    worker.parker().park();
}

}  // namespace execq::core
