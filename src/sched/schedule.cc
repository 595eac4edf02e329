// The part of the executor that every task passes through: accepting, waking, finding, sleeping.
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
#include "task/cancel.h"
#include "task/node_pool.h"

namespace execq::core {

namespace {

constexpr std::uint32_t fetch_batch = 32;
constexpr std::uint32_t own_turns = 61;    // own tasks in a row while others wait
constexpr std::uint32_t fetches_turn = 8;  // fetches in a row while others' batches wait
constexpr std::uint32_t patient_misses = 16;

constexpr std::int64_t spin_ns = 10'000;        // how long one worker stays awake for what may come
constexpr unsigned spin_pauses = 16;            // between two looks: what comes faster is taken together
constexpr std::int64_t short_wake_ns = 50'000;  // not worth a wake
constexpr std::uint32_t many_fetches = 8;
constexpr std::int64_t fetch_ns = 25'000;    // at least so often
constexpr std::int64_t patience_ns = 2'000;  // for a task that others have fetched
constexpr unsigned patience_pauses = 4;
constexpr std::int64_t nap_ns = 100'000;
constexpr std::int64_t fence_after_ns = 1'000'000;   // asleep
constexpr std::int64_t trim_after_ns = 100'000'000;  // asleep

Worker* worker_of(const Executor& executor)
{
    Worker* worker = Worker::current();
    return worker != nullptr && &worker->executor() == &executor ? worker : nullptr;
}

// Spreads the threads over the inboxes; tasks of one thread stay in order.
std::uint32_t thread_number()
{
    static std::atomic<std::uint32_t> next{0};
    std::uint32_t& number = this_thread.number;
    if (number == 0) [[unlikely]]
        number = next.fetch_add(1, std::memory_order_relaxed) + 1;
    return number;
}

}  // namespace

// ---- submission ----

namespace {

execq_status status_of(Accepted accepted)
{
    switch (accepted) {
    case Accepted::yes:
        return EXECQ_OK;
    case Accepted::closed:
        return EXECQ_ECLOSED;
    default:
        return EXECQ_ENOMEM;
    }
}

}  // namespace

// The own queue is full, or somebody steals from it, or nothing is accepted.
execq_status Executor::submit_inside_slowly(Worker& worker, Item item) noexcept
{
    return mode() == Mode::canceling ? EXECQ_ECLOSED : push_inside(worker, item);
}

execq_status Executor::push_inside(Worker& worker, Item item) noexcept
{
    while (!worker.push_own(item)) {
        if (!make_room(worker))
            return EXECQ_ENOMEM;
    }
    return roster_.wants_wake_behind_light_fence(thread_limit()) ? wake_inside() : EXECQ_OK;
}

execq_status Executor::wake_inside() noexcept
{
    wake_one();
    return EXECQ_OK;
}

execq_status Executor::submit_outside(Item item) noexcept
{
    const execq_status status = submit_by([item](TaskInbox& inbox) { return inbox.push(item); });
    // Who is reserved for loops has no queue of its own.
    if (status == EXECQ_ECLOSED && mode() == Mode::draining && worker_of(*this) != nullptr) [[unlikely]]
        return submit_by([item](TaskInbox& inbox) { return inbox.push(item, true); });
    return status;
}

template <class Push>
execq_status Executor::submit_by(const Push& push)
{
    bool submitted = false;
    if (roster_.threads() == 0) [[unlikely]] {
        const execq_status status = submit_first(push, submitted);
        if (status != EXECQ_OK || submitted)
            return status;
    }
    const Accepted accepted = push(inbox_of_thread());
    if (accepted != Accepted::yes) [[unlikely]]
        return status_of(accepted);
    wake_if_wanted();
    return EXECQ_OK;
}

// Nothing must be accepted before there is a thread to run it. That thread needs no wake: it takes the mutex before it
// looks (see enter()).
template <class Push>
execq_status Executor::submit_first(const Push& push, bool& submitted, bool turn)
{
    const MutexLock lock(mutex_);
    if (mode() != Mode::open && !turn && !(mode() == Mode::draining && worker_of(*this) != nullptr))
        return EXECQ_ECLOSED;
    if (roster_.threads() != 0)
        return EXECQ_OK;
    const execq_status status = start_waking_worker();
    if (status != EXECQ_OK)
        return status;
    submitted = true;
    return status_of(push(inbox_of_thread()));
}

execq_status Executor::submit_turn(Turnstile& turnstile) noexcept
{
    Worker* worker = worker_of(*this);
    if (worker != nullptr && !worker->reserved())
        return push_inside(*worker, Item(turnstile));
    bool submitted = false;
    const auto push = [&](TaskInbox& inbox) { return inbox.push(Item(turnstile), true); };
    if (roster_.threads() == 0) [[unlikely]] {
        const execq_status status = submit_first(push, submitted, true);
        if (status != EXECQ_OK || submitted)
            return status;
    }
    const execq_status status = status_of(push(inbox_of_thread()));
    if (status == EXECQ_OK)
        wake_if_wanted();
    return status;
}

execq_status Executor::hand_in(Node& node) noexcept
{
    if (Turnstile* turnstile = node.turnstile()) {
        Node* const one = &node;
        return turnstile->hand_in(&one, 1);
    }
    if (node.priority() != EXECQ_PRIORITY_NORMAL && !node.async())
        return submit_class(node);
    return node.async() ? submit_async(node) : submit(Item(node));
}

execq_status Executor::submit_async(Node& node) noexcept
{
    const bool inside = worker_of(*this) != nullptr;
    if (inside && mode() == Mode::canceling)
        return EXECQ_ECLOSED;
    TaskInbox* inbox = &loop_inbox_;
    if (node.priority() != EXECQ_PRIORITY_NORMAL) {
        TaskClasses::Pair* classes = open_classes(loop_classes_);
        if (classes == nullptr)
            return EXECQ_ENOMEM;
        inbox = &classes->of(node.priority());
    }
    if (reserved_ != 0)
        return submit_async_reserved(node, *inbox, inside);
    const auto push = [&] { return inbox->push(Item(node), inside); };
    bool submitted = false;
    if (roster_.threads() == 0) [[unlikely]] {
        const execq_status status = submit_first([&](TaskInbox&) { return push(); }, submitted);
        if (status != EXECQ_OK || submitted)
            return status;
    }
    const execq_status status = status_of(push());
    if (status == EXECQ_OK)
        wake_for_loop();
    return status;
}

// As submit_first(): nothing must be accepted before there is a thread for it. One that is reserved stays until the close.
execq_status Executor::submit_async_reserved(Node& node, TaskInbox& inbox, bool inside) noexcept
{
    if (reserved_threads_.load(std::memory_order_acquire) == 0) [[unlikely]] {
        const MutexLock lock(mutex_);
        if (mode() != Mode::open && !(mode() == Mode::draining && inside))
            return EXECQ_ECLOSED;
        if (reserved_threads_.load(std::memory_order_relaxed) == 0) {
            const execq_status status = start_reserved();
            return status == EXECQ_OK ? status_of(inbox.push(Item(node), inside)) : status;
        }
    }
    const execq_status status = status_of(inbox.push(Item(node), inside));
    if (status == EXECQ_OK)
        call_reserved();
    return status;
}

Executor::TaskInbox& Executor::inbox_of_thread() { return inboxes_[thread_number() & (shards_ - 1)]; }

execq_status Executor::submit(TaskFifo& batch)
{
    const bool inside = worker_of(*this) != nullptr;
    if (batch.empty())
        return mode() == Mode::open || (mode() == Mode::draining && inside) ? EXECQ_OK : EXECQ_ECLOSED;
    if (inside && mode() == Mode::canceling)
        return EXECQ_ECLOSED;
    const std::int32_t priority = batch.first().priority();  // one for all
    TaskClasses::Pair* classes = priority != EXECQ_PRIORITY_NORMAL ? open_classes(classes_) : nullptr;
    if (priority != EXECQ_PRIORITY_NORMAL && classes == nullptr)
        return EXECQ_ENOMEM;
    const execq_status status = submit_by([&](TaskInbox& inbox) {
        return (classes != nullptr ? classes->of(priority) : inbox).push_chain(batch.first(), inside);
    });
    if (status == EXECQ_OK)
        batch = TaskFifo{};
    return status;
}

// Moves the oldest half of a full own queue to an inbox. False: not even one, for want of memory.
bool Executor::make_room(Worker& worker)
{
    std::array<Slot, Worker::Own::capacity / 2> oldest;
    const std::uint32_t n = worker.take_oldest_own(oldest.data(), oldest.size());
    std::uint32_t moved = 0;
    while (moved < n && inbox_of_thread().push(oldest[moved].get(), true) == Accepted::yes)
        ++moved;
    if (moved < n)
        worker.fill_own(oldest.data() + moved, n - moved);
    return moved != 0;
}

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
        idle_slots_.fetch_sub(1, std::memory_order_seq_cst);
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
        coming_.fetch_sub(1, std::memory_order_seq_cst);  // before the look
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
    bool visible = !classes_.seems_empty() || (loop_tasks_seem_to_wait() && has_free_slot());
    for_each_worker([&](const Worker& worker) { visible = visible || worker.own_size() != 0; });
    return visible;
}

Executor::Sight Executor::look() const
{
    for (std::uint32_t i = 0; i < shards_; ++i) {
        if (!inboxes_[i].empty())
            return Sight::work;
    }
    if (!classes_.empty())
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
    if (item && !(item.is_node() && item.node().async()))
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
    const std::uint32_t places = places_.load(std::memory_order_acquire);
    for (std::uint32_t i = 1; i < places; ++i) {
        Worker& victim = *workers_[(worker.number() + i) % places];
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
    const std::uint32_t places = places_.load(std::memory_order_acquire);
    Worker& watched = *workers_[turns.watched % places];
    if (&watched != &worker && watched.batch_size() != 0 && watched.batch_taken() == turns.watched_taken) {
        if (const Item item = steal_from(worker, watched, Worker::Batch::capacity))
            return item;
    }
    turns.watched = (turns.watched + 1) % places;
    turns.watched_taken = workers_[turns.watched]->batch_taken();
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

void Executor::dispose(Worker& worker, Item item)
{
    if (item.plain()) {
        if (mode() != Mode::canceling) [[likely]]
            worker.run_plain(item.fn(), item.env);
        return;
    }
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
        worker.count_run_in_place();
        worker.run(node, Node::Start::won, Reference::keep);
    }
}

bool Executor::accepts() const
{
    return mode() == Mode::open || (mode() == Mode::draining && worker_of(*this) != nullptr);
}

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
    } else if (Worker* worker = worker_of(*this)) {
        const HintPause pause(*worker);
        worker->run(node, start, Reference::give);
    } else {
        run_body(node, start);
    }
}

// ---- sleeping ----

// True: look again. False: leave.
bool Executor::rest(Worker& worker)
{
    if (worker.surplus) [[unlikely]]
        return true;
    if (look() == Sight::work) {
        // Somebody is between the two halves of a push, or of a fetch, and may have lost its processor there.
        if (++worker.turns.misses > patient_misses)
            StdAtomics::yield();
        return true;
    }
    return spin(worker) || lie(worker);
}

// One worker at a time stays awake for a moment, if a processor is left for those who submit. True: there is work.
bool Executor::spin(Worker& worker)
{
    if (roster_.awake() >= cpus_ || mode() != Mode::open || !roster_.try_begin_wake())
        return false;
    const bool visible = spin_for(spin_ns, spin_pauses, [this] { return work_seems_visible(); });
    roster_.end_wake(thread_limit());  // before the last look
    worker.turns.fresh = true;
    return visible || look() == Sight::work;
}

// True where the last wake was hardly worth it, as the others took what came many times over since the sleep before.
bool Executor::others_keep_up(Worker& worker)
{
    Worker::Turns& turns = worker.turns;
    const std::int64_t now = now_ns();
    const std::uint32_t fetches = others_fetches(worker);
    const std::uint32_t fetched = fetches - std::exchange(turns.others_fetches, fetches);
    const std::int64_t passed = now - std::exchange(turns.lain_ns, now);
    return roster_.awake() > 1 && now - turns.woken_ns < short_wake_ns && fetched >= many_fetches &&
           passed < fetched * fetch_ns;
}

std::uint32_t Executor::others_fetches(const Worker& worker) const
{
    std::uint32_t sum = 0;
    for_each_worker([&](const Worker& other) { sum += &other != &worker ? other.fetches() : 0; });
    return sum;
}

// Announces the sleep, or a nap: where another worker is there to do what comes, or has begun it.
Executor::Rest Executor::lie_down(Worker& worker)
{
    const bool nap = others_keep_up(worker) || look() == Sight::batches;
    const MutexLock lock(mutex_);
    if (mode() != Mode::open)
        return Rest::none;
    if (surplus() != 0)
        return Rest::aside;
    worker.napping = nap && !somebody_naps_;
    somebody_naps_ = somebody_naps_ || nap;
    worker.idle = true;
    worker.on_loop = false;
    idle_apart_.fetch_add(1, std::memory_order_seq_cst);
    if (worker.loop_slot)
        idle_slots_.fetch_add(1, std::memory_order_seq_cst);
    idle_.push_front(worker);
    roster_.add_sleeper(worker.napping);
    return worker.napping ? Rest::nap : Rest::sleep;
}

// Takes the announcement back. False: somebody is waking the worker already.
bool Executor::get_up(Worker& worker)
{
    const MutexLock lock(mutex_);
    if (!worker.idle)
        return false;
    take_off_idle(worker);
    return true;
}

bool Executor::somebody_naps()
{
    const MutexLock lock(mutex_);
    return somebody_naps_;
}

// True: look again. False: leave.
bool Executor::lie(Worker& worker)
{
    const Rest rest = lie_down(worker);
    if (rest == Rest::none)
        return work_visible() || loop_work_for(worker);
    if (rest == Rest::aside)
        return worker.surplus = worker.attends = true;  // see stand_aside()
    const Sight sight = look();
    // Who naps watches over what others have fetched.
    if ((sight == Sight::work || (sight == Sight::batches && rest == Rest::sleep && !somebody_naps()) ||
         loop_work_for(worker)) &&
        get_up(worker)) {
        worker.turns.fresh = true;  // others may have relied on the nap
        return true;
    }
    const bool stays = rest == Rest::nap ? nap(worker) : sleep(worker);
    worker.turns.woken_ns = now_ns();
    return stays;
}

// Sleeps for moments, as long as all others get on with what they have fetched, and nothing else is there.
bool Executor::nap(Worker& worker)
{
    do {
        watch_others(worker);
        if (worker.parker().park(Deadline::after(nap_ns))) {
            arrive(worker);
            return true;
        }
    } while (look() == Sight::batches && !another_stands_still(worker));
    if (!get_up(worker))
        return sleep(worker);   // for a moment: somebody is about to wake us
    worker.turns.fresh = true;  // nobody was woken meanwhile
    return true;
}

// Until woken (true), or it is time to leave.
bool Executor::sleep(Worker& worker)
{
    const std::int64_t since = now_ns();
    for (const IdleStep& step : idle_steps_) {
        if (worker.parker().park(Deadline::at(since + step.after_ns))) {
            arrive(worker);
            return true;
        }
        const Next next = (this->*step.act)(worker);
        if (next != Next::sleep_on)
            return next == Next::look;
    }
    worker.parker().park();
    arrive(worker);
    return true;
}

std::array<Executor::IdleStep, 3> Executor::idle_steps(std::int64_t keepalive_ns)
{
    constexpr std::int64_t longest = std::numeric_limits<std::int64_t>::max() / 2;
    std::array<IdleStep, 3> steps{{
        {fence_after_ns, &Executor::look_behind_fence},
        {trim_after_ns, &Executor::trim_memory},
        {std::clamp<std::int64_t>(keepalive_ns, 0, longest), &Executor::leave_if_spare},
    }};
    std::sort(steps.begin(), steps.end(), [](const IdleStep& a, const IdleStep& b) { return a.after_ns < b.after_ns; });
    return steps;
}

Executor::Next Executor::look_behind_fence(Worker& worker)
{
    StdAtomics::heavy_fence();
    return work_visible() && get_up(worker) ? Next::look : Next::sleep_on;
}

Executor::Next Executor::trim_memory(Worker&)
{
    while (!work_visible() && (node_pool::trim() || BlockPool::trim())) {
    }
    return Next::sleep_on;
}

Executor::Next Executor::leave_if_spare(Worker& worker)
{
    const MutexLock lock(mutex_);
    if (!worker.idle || roster_.threads() - leaving_ <= min_threads_)
        return Next::sleep_on;
    take_off_idle(worker);
    worker.leaving = true;
    ++leaving_;
    return Next::leave;
}

}  // namespace execq::core
