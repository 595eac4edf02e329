// The part of the executor about threads that are blocked, and others in their place.
//
// Who is blocked. A worker whose body has said so (execq_blocking_begin), or which waits for a task of this executor that has
// not started, or for room in it. Each raises cap_, the number of threads that may be about, by one, up to max_spares_ above
// max_threads_. That is all: submissions and wakes start a thread wherever there are fewer than cap_, and who becomes blocked
// wakes one himself if there is work to be seen.
//
// What happens when it is over. cap_ falls. If there are now more threads than that, a bit in aside_ says so, and the first
// worker that comes by between two tasks, or is about to sleep, stands by: it hands back what waits with it, leaves the
// roster, so that nobody counts on it, and sleeps on the bench. Who needs another thread takes one from there first. So a
// body that blocks again and again starts no thread again and again. Who has stood by for the keepalive leaves, and so does at
// once who is too many because of a resize.
//
// Who stands by is not a thread that anybody may rely on. Whoever did before, having seen it awake, is told on: it wakes
// another one if there is work to be seen after it has left the roster.
#include "sched/executor.h"

#include <algorithm>
#include <array>
#include <utility>

namespace execq::core {

namespace {

constexpr std::int64_t longest_keepalive = std::int64_t{1} << 61;

}  // namespace

// ---- how many threads ----

void Executor::set_cap()
{
    const std::uint32_t before = cap_.load(std::memory_order_relaxed);
    const std::uint32_t cap = max_threads_ + std::min(blocked_, max_spares_);
    spares_wanted_ = std::max(spares_wanted_, cap - max_threads_);
    cap_.store(cap, std::memory_order_relaxed);
    const std::uint32_t limit = thread_limit_.load(std::memory_order_relaxed);
    thread_limit_.store(limit == before ? cap : std::min(limit, cap), std::memory_order_relaxed);
    note_surplus();
}

// Threads that are about and should stand by.
std::uint32_t Executor::surplus() const
{
    const std::uint32_t staying = roster_.threads() - leaving_;
    const std::uint32_t cap = cap_.load(std::memory_order_relaxed);
    return mode() == Mode::open && staying > cap ? staying - cap : 0;
}

void Executor::note_surplus()
{
    const bool noted = (aside_.load(std::memory_order_relaxed) & surplus_bit) != 0;
    if (noted != (surplus() != 0))
        aside_.fetch_xor(surplus_bit, std::memory_order_relaxed);
}

void Executor::count_spares()
{
    const std::uint32_t threads = roster_.threads() + on_bench_;
    spare_counts_.spares = threads > max_threads_ ? threads - max_threads_ : 0;
    spare_counts_.most_spares = std::max(spare_counts_.most_spares, spare_counts_.spares);
}

SpareCounts Executor::spare_counts()
{
    const MutexLock lock(mutex_);
    count_spares();
    SpareCounts counts = spare_counts_;
    counts.blocked = blocked_;
    counts.standing_by = on_bench_;
    for_each_worker([&](const Worker& worker) { counts.in_place += worker.runs_in_place(); });
    return counts;
}

// ---- who is blocked ----

// Workers other than this one that are about to look for a task.
std::uint32_t Executor::free_workers(bool for_async)
{
    const Worker* self = Worker::current();
    std::uint32_t n = 0;
    for_each_worker([&](const Worker& worker) {
        const bool may_take = !for_async || worker.loop_slot || has_free_slot();
        n += may_take && worker.present && !worker.reserved() && !worker.benched && &worker != self && !worker.busy()
                 ? 1U
                 : 0U;
    });
    return n;
}

bool Executor::secure_thread(Relief& relief, bool for_async)
{
    Worker* self = Worker::current();
    if (for_async && self != nullptr)
        settle_slot(*self);  // which may be what the others wait for
    const MutexLock lock(mutex_);
    if (for_async && reserved_ != 0)
        return secure_reserved(self);
    // In any case, not only where a thread has to be called for it: who is relied on now must not stand by when another one
    // that is blocked goes on.
    if (max_spares_ != 0 && relief.executor_ == nullptr && self != nullptr && !self->reserved()) {
        relief.executor_ = this;
        ++blocked_;
        set_cap();
    }
    // As many as are too many may stand by, or leave without being replaced.
    const std::uint32_t threads = roster_.threads();
    const std::uint32_t cap = cap_.load(std::memory_order_relaxed);
    if (free_workers(for_async) > (threads > cap ? threads - cap : 0))
        return true;
    if ((!for_async || has_free_slot()) && threads < cap && start_waking_worker() == EXECQ_OK) {
        spare_counts_.compensated += threads >= max_threads_ ? 1 : 0;
        return true;
    }
    ++spare_counts_.refused;
    return false;
}

void Executor::begin_block()
{
    {
        const MutexLock lock(mutex_);
        ++blocked_;
        ++spare_counts_.hints;
        set_cap();
    }
    if (work_visible())
        wake_if_wanted();
    if (loop_tasks_wait())
        wake_for_loop();
}

void Executor::end_block()
{
    const MutexLock lock(mutex_);
    --blocked_;
    set_cap();
}

void Executor::begin_blocking(Worker& worker)
{
    if (worker.reserved() || worker.blocking++ != 0)
        return;             // who is reserved for loops is not to block, and has nobody in its place
    worker.attends = true;  // a hint that is left open ends with the body
    worker.executor().begin_block();
}

void Executor::end_blocking(Worker& worker)
{
    if (worker.blocking != 0 && --worker.blocking == 0)
        worker.executor().end_block();
}

void Executor::close_hints(Worker& worker)
{
    if (std::exchange(worker.blocking, 0) != 0)
        worker.executor().end_block();
}

// ---- standing by ----

// Who drives a loop leaves that to others.
bool Executor::may_stand_aside(const Worker& worker) const { return !worker.loop_slot && !drives(worker); }

// Between two tasks. True: go on. False: leave.
bool Executor::stand_aside(Worker& worker)
{
    if (!may_stand_aside(worker))
        return true;
    bool leaves = false;
    {
        const MutexLock lock(mutex_);
        if (surplus() == 0)
            return true;
        leaves = is_one_too_many();
        worker.leaving = leaves;
        leaving_ += leaves ? 1 : 0;
        if (leaves)
            note_surplus();
        else
            take_to_bench(worker);
    }
    hand_tasks_back(worker);
    worker.turns.fresh = false;
    if (work_visible())
        wake_if_wanted();
    if (loop_tasks_wait())
        wake_for_loop();
    return !leaves && stand_by(worker);
}

void Executor::take_to_bench(Worker& worker)
{
    worker.benched = true;
    worker.on_loop = false;
    bench_.push_front(worker);
    ++on_bench_;
    roster_.remove_thread();
    note_surplus();
}

// Of those that are about or stand by, after a resize: no block that goes on will want as many again.
bool Executor::is_one_too_many() const
{
    return roster_.threads() - leaving_ + on_bench_ > max_threads_ + std::min(spares_wanted_, max_spares_);
}

bool Executor::stand_by(Worker& worker)
{
    if (!worker.parker().park(Deadline::at(now_ns() + std::min(keepalive_ns_, longest_keepalive)))) {
        bool leaves = false;
        {
            const MutexLock lock(mutex_);
            leaves = worker.benched;
            if (leaves) {
                worker.leaving = true;
                ++leaving_;
                off_bench(worker);
            }
        }
        if (leaves)
            return false;
        worker.parker().park();  // for a moment: somebody is about to wake us
    }
    arrive(worker);
    return true;
}

// What memory has no room for stays here, where others find it.
void Executor::hand_tasks_back(Worker& worker)
{
    std::array<Slot, Worker::Batch::capacity> items;
    for (bool own : {false, true}) {
        for (;;) {
            const std::uint32_t n = own ? worker.take_oldest_own(items.data(), items.size())
                                        : worker.take_oldest_batch(items.data(), items.size());
            std::uint32_t moved = 0;
            while (moved < n && inbox_of_thread().push(items[moved].get(), true) == Accepted::yes)
                ++moved;
            if (moved < n) {
                own ? worker.fill_own(items.data() + moved, n - moved)
                    : worker.fill_batch(items.data() + moved, n - moved);
                return;
            }
            if (n == 0)
                break;
        }
    }
}

void Executor::off_bench(Worker& worker)
{
    worker.benched = false;
    bench_.remove(worker);
    --on_bench_;
    roster_.add_thread();
    note_surplus();
}

// One that stands by takes the place of a thread that would be started. False: there is none.
bool Executor::call_up(bool token, Call call)
{
    Worker* worker = bench_.front();
    if (worker == nullptr)
        return false;
    off_bench(*worker);
    worker->token = token;
    worker->loop_called = call == Call::loop;
    loop_slots_.call(worker->loop_called ? 1 : 0);
    worker->wake();
    return true;
}

}  // namespace execq::core
