// The part of the executor that every task passes through: waking, finding, running. Its way in is in submit.cc, and how
// workers fall asleep in sleep.cc.
//
// Who wakes whom. A submission wakes one worker, or starts one, but only if one sleeps or may be started and nobody is on
// the way (see roster.h). Who was on the way and found work, while more is there, wakes the next: so a burst wakes as
// many threads as it needs, one after the other, and pays for one.
//
// Why no task is left behind. A submission makes its task visible, then reads the roster. A worker that falls asleep, or
// gives the waking bit back, changes the roster, then looks at the queues. Of the two, one sees the other: in an inbox
// and in a batch both steps are sequentially consistent. A push to a worker's own queue has a light fence only; whoever
// falls asleep passes the heavy one, though only after a millisecond, since most sleeps are shorter and the fence costs
// some 20 µs while others run: such a task may wait for that long, if its worker blocks just then.
//
// What a worker has fetched and not begun is left to it as long as it gets on with it. Who has nothing else to do watches
// that from its nap, and takes it once it stands still.
//
// In what order. A worker takes its own newest task, then what it fetched, then a batch from an inbox, then what others
// have. So that none of these can starve another, the turns change now and then.
#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "base/spin.h"
#include "sched/body.h"
#include "sched/executor.h"
#include "sched/interrupt.h"
#include "task/cancel.h"

namespace execq::core {

namespace {

constexpr std::uint32_t fetch_batch = 32;
constexpr std::uint32_t own_turns = 61;      // own tasks in a row while others wait
constexpr std::uint32_t fetches_turn = 8;    // fetches in a row while others' batches wait
constexpr std::int64_t patience_ns = 2'000;  // for a task that others have fetched
constexpr unsigned patience_pauses = 4;

}  // namespace

// ---- waking ----

void Executor::wake_if_wanted()
{
    if (roster_.wants_wake(thread_limit()))
        wake_one();
}

void Executor::wake_one()
{
    bool may_start = true;
    do {
        if (!roster_.try_begin_wake())
            return;
        Worker* sleeper = nullptr;
        {
            const MutexLock lock(mutex_);
            // Rather than one that has its loop to drive. Unless work is visible, it is in good hands.
            if (may_start && idle_apart_.load(std::memory_order_relaxed) == 0 && roster_.threads() < thread_limit() &&
                work_visible()) {
                if (start_worker(true) == EXECQ_OK)
                    return;
                may_start = false;
            }
            sleeper = take_idle();
            if (sleeper != nullptr)
                sleeper->token = true;
        }
        if (sleeper != nullptr) {
            sleeper->wake();
            return;
        }
        // Who saw the bit meanwhile relied on us.
    } while (roster_.end_wake(may_start ? thread_limit() : 0) && work_visible());
}

Worker* Executor::take_idle()
{
    Worker* worker = idle_.front();
    if (worker != nullptr) {
        take_off_idle(*worker);
        ++wakes_;
    }
    return worker;
}

void Executor::take_off_idle(Worker& worker)
{
    idle_.remove(worker);
    worker.idle = false;
    if (!worker.on_loop)
        idle_apart_.fetch_sub(1, std::memory_order_seq_cst);
    if (worker.loop_slot)
        loop_slots_.remove_idle_holder();
    roster_.remove_sleeper(worker.napping);
    if (std::exchange(worker.napping, false))
        somebody_naps_ = false;
}

void Executor::enter(Worker& worker)
{
    {
        const MutexLock lock(mutex_);  // until who started this thread has submitted
    }
    arrive(worker);
}

void Executor::arrive(Worker& worker)
{
    if (std::exchange(worker.token, false)) {
        roster_.end_wake(thread_limit());
        worker.turns.fresh = true;
    }
    if (std::exchange(worker.loop_called, false)) [[unlikely]] {
        loop_slots_.arrive();
        worker.attends = true;
    }
}

// A hint that costs those who submit nothing. What others have fetched does not count.
bool Executor::work_seems_visible() const
{
    for (std::uint32_t i = 0; i < shards_; ++i) {
        if (!inboxes_[i].seems_empty())
            return true;
    }
    bool visible = turns_owed() || !classes_.seems_empty() || (loop_tasks_seem_to_wait() && has_free_slot());
    for_each_worker([&](const Worker& worker) { visible = visible || worker.own_size() != 0; });
    return visible;
}

Executor::Sight Executor::look() const
{
    for (std::uint32_t i = 0; i < shards_; ++i) {
        if (!inboxes_[i].empty())
            return Sight::work;
    }
    if (turns_owed() || !classes_.empty())
        return Sight::work;
    Sight sight = Sight::nothing;
    for_each_worker([&](const Worker& worker) {
        if (worker.own_size() != 0)
            sight = Sight::work;
        else if (worker.batch_size() != 0 && sight == Sight::nothing)
            sight = Sight::batches;
    });
    return sight;
}

// ---- finding work ----

[[gnu::always_inline]] inline Item Executor::find_task(Worker& worker)
{
    const bool aside = aside_.load(std::memory_order_relaxed) != 0;
    if (aside) [[unlikely]] {
        const Item item = find_aside(worker);
        if (item || worker.surplus)
            return item;
    }
    if (worker.turns.own_left-- == 0) [[unlikely]] {
        worker.turns.own_left = own_turns;
        if (const Item item = take_turn(worker))
            return item;
    }
    if (const Item item = worker.pop_own())
        return item;
    worker.turns.own_left = own_turns;
    if (const Item item = find_foreign(worker))
        return item;
    return aside ? find_last(worker) : steal(worker, Worker::Batch::capacity);
}

// One by one, for who is between none.
Item Executor::find_for_visitor(Worker& worker) { return find_task(worker); }

Item Executor::next_task(Worker& worker)
{
    for (;;) {
        if (worker.attends) [[unlikely]] {
            Item item;
            const Attended attended = attend(worker, item);
            if (attended == Attended::found) {
                note_found(worker);
                return item;
            }
            if (attended == Attended::again)
                continue;
            if (attended == Attended::leave)
                return {};
        }
        if (const Item item = find_task(worker)) {
            note_found(worker);
            return item;
        }
        if (!rest(worker))
            return {};
    }
}

inline void Executor::note_found(Worker& worker)
{
    worker.turns.misses = 0;
    if (worker.turns.fresh) [[unlikely]] {
        worker.turns.fresh = false;
        if (work_visible())
            wake_if_wanted();
    }
}

// The same for who has a loop to look after, which a blocking task holds up.
Item Executor::find_beside_loop(Worker& worker)
{
    const Item item = find_task(worker);
    if (item && (!item.is_node() || !item.node().async()))
        worker.count_loop_delay();
    return item;
}

// Now and then, before a worker's newest: in turn what others wait for, and its own oldest.
Item Executor::take_turn(Worker& worker)
{
    worker.turns.own_oldest = !worker.turns.own_oldest;
    return worker.turns.own_oldest ? worker.pop_oldest_own() : find_foreign(worker);
}

// What came from other threads. Batches are older than what is still in an inbox.
Item Executor::find_foreign(Worker& worker)
{
    if (worker.batch_size() != 0) {
        if (const Item item = worker.pop_batch())
            return item;
    }
    if (worker.turns.fresh) {
        // Who was woken because others are blocked begins with what they have, one by one.
        if (const Item item = steal(worker, 1))
            return item;
    } else if (worker.count_fetch() % fetches_turn == 0) {
        if (const Item item = relieve_blocked(worker))
            return item;
    }
    return fetch(worker);
}

Item Executor::fetch(Worker& worker)
{
    if (loop_tasks_seem_to_wait()) [[unlikely]] {
        if (const Item item = take_loop_task(worker))
            return item;
    }
    for (std::uint32_t i = 0; i < shards_; ++i) {
        TaskInbox& inbox = inboxes_[(worker.turns.shard + i) & (shards_ - 1)];
        if (inbox.seems_empty())
            continue;
        std::array<Slot, fetch_batch> items;
        const std::uint32_t n = inbox.take(items.data(), fetch_batch);
        if (n == 0)
            continue;
        worker.turns.shard += i + 1;
        return keep_rest(worker, items.data(), n);
    }
    return {};
}

// At most `share` of the older half of what waits with another worker. What others' tasks submitted is taken at once; what
// they have fetched, only if they do not get on with it: a steal costs some 20 µs while others run, as much as a thousand
// tiny tasks.
Item Executor::steal(Worker& worker, std::uint32_t share)
{
    const Item item = steal_own(worker, share);
    return item ? item : steal_standing(worker, share);
}

Item Executor::steal_own(Worker& worker, std::uint32_t share)
{
    return steal_where(worker, share, [](const Worker& other) { return other.own_size() != 0; });
}

Item Executor::steal_standing(Worker& worker, std::uint32_t share)
{
    if (!watch_others(worker))
        return {};
    // They have their own processors, or get ours for a moment; who is blocked takes neither.
    if (spin_for(patience_ns, patience_pauses, [&] { return !another_stands_still(worker); }))
        return {};
    StdAtomics::yield();
    return steal_where(worker, share, [](const Worker& other) { return other.stands_still(); });
}

template <class Which>
Item Executor::steal_where(Worker& worker, std::uint32_t share, const Which& which)
{
    const std::uint32_t places = workers_.size();
    for (std::uint32_t i = 1; i < places; ++i) {
        Worker& victim = workers_[(worker.number() + i) % places];
        if (!which(victim))
            continue;
        if (const Item item = steal_from(worker, victim, share))
            return item;
    }
    return {};
}

// Notes where each batch of another worker stands; false if there is none.
bool Executor::watch_others(const Worker& worker)
{
    bool any = false;
    for_each_worker([&](Worker& other) { any = (&other != &worker && other.watch()) || any; });
    return any;
}

bool Executor::another_stands_still(const Worker& worker) const
{
    bool any = false;
    for_each_worker([&](const Worker& other) { any = any || (&other != &worker && other.stands_still()); });
    return any;
}

Item Executor::steal_from(Worker& worker, Worker& victim, std::uint32_t share)
{
    std::array<Slot, Worker::Batch::capacity> items;
    const std::uint32_t n = victim.steal(items.data(), share);
    if (n == 0)
        return {};
    worker.count_steal();
    return keep_rest(worker, items.data(), n);
}

// While inboxes never run dry, what waits behind a blocked task would not be stolen: so each worker watches the others'
// batches, one after the other, for one that stands still.
Item Executor::relieve_blocked(Worker& worker)
{
    Worker::Turns& turns = worker.turns;
    const std::uint32_t places = workers_.size();
    Worker& watched = workers_[turns.watched % places];
    if (&watched != &worker && watched.batch_size() != 0 && watched.batch_taken() == turns.watched_taken) {
        if (const Item item = steal_from(worker, watched, Worker::Batch::capacity))
            return item;
    }
    turns.watched = (turns.watched + 1) % places;
    turns.watched_taken = workers_[turns.watched].batch_taken();
    return {};
}

// The oldest is for now; the rest goes where others can take it, which those who looked meanwhile have to be told.
Item Executor::keep_rest(Worker& worker, const Slot* items, std::uint32_t n)
{
    if (n > 1) {
        for (std::uint32_t i = 1; i < n; ++i) {
            if (items[i].get().is_node())
                __builtin_prefetch(&items[i].get().node(), 1);
        }
        worker.fill_batch(items + 1, n - 1);
        wake_if_wanted();
    }
    return items[0].get();
}

[[gnu::always_inline]] inline void Executor::dispose_kept(Worker& worker, Item item)
{
    if (!item.is_node()) [[unlikely]] {
        item.turnstile().take_turn(worker);
        return;
    }
    Node& node = item.node();
    if (mode() != Mode::canceling) [[likely]] {
        const Node::Start start = node.start_taken();
        if (start == Node::Start::lost)
            node.release();
        else if (start == Node::Start::won && node.async()) [[unlikely]]
            start_async(worker, node);
        else
            worker.run(node, start, Reference::give);
    } else {
        (void)cancel_unstarted(node, EXECQ_REASON_SHUTDOWN);
        node.release();
    }
}

// Called by the loop of workers alone, so that it is part of that.
void Executor::dispose(Worker& worker, Item item)
{
    if (!item.plain()) {
        dispose_kept(worker, item);
        return;
    }
    if (mode() != Mode::canceling) [[likely]]
        worker.run_plain(item.fn(), item.env);
}

void Executor::dispose_stepped(Worker& worker, Item item) { dispose_kept(worker, item); }

// What a wait of its own would run or start.
bool Executor::start_waiting(Node& node)
{
    Turnstile* turnstile = node.turnstile();
    return turnstile != nullptr ? turnstile->start_in_place(node) : node.try_start();
}

void Executor::run_in_place(Worker& worker, Node& node)
{
    if (mode() == Mode::canceling) {
        cancel_unstarted(node, EXECQ_REASON_SHUTDOWN);
    } else if (start_waiting(node)) {
        const HintPause pause(worker);
        const InterruptPause uninterrupted;
        worker.count_run_in_place();
        // Its queue goes on to hold the executor's reference.
        const bool preset = node.preset();
        if (preset)
            node.retain();
        worker.run(node, Node::Start::won, preset ? Reference::give : Reference::keep);
    }
}

bool Executor::accepts() const { return mode() == Mode::open || (mode() == Mode::draining && runs_on_this_thread()); }

void Executor::run_here(Node& node)
{
    if (mode() == Mode::canceling) {
        (void)cancel_unstarted(node, EXECQ_REASON_SHUTDOWN);
        node.release();
        return;
    }
    const Node::Start start = node.start_taken();
    if (start == Node::Start::lost) {
        node.release();
    } else if (Worker* worker = own_worker()) {
        const HintPause pause(*worker);
        const InterruptPause uninterrupted;
        worker->run(node, start, Reference::give);
    } else {
        run_body(node, start);
    }
}

}  // namespace execq::core
