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
// In what order. A worker takes its own newest task, then what it fetched, then a batch from an inbox, then what others
// have. So that none of these can starve another, the turns change now and then.
#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "base/spin.h"
#include "sched/executor.h"
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
    thread_local constinit std::uint32_t number = 0;
    if (number == 0) [[unlikely]]
        number = next.fetch_add(1, std::memory_order_relaxed) + 1;
    return number;
}

}  // namespace

// ---- submission ----

execq_status Executor::submit_inside(Worker& worker, Node& node)
{
    if (mode() == Mode::canceling) [[unlikely]]
        return EXECQ_ECLOSED;
    while (!worker.push_own(&node))
        [[unlikely]] make_room(worker);
    if (roster_.wants_wake_behind_light_fence(thread_limit())) [[unlikely]]
        wake_one();
    return EXECQ_OK;
}

// The tasks from first to last are linked.
execq_status Executor::submit_outside(Node& first, Node& last)
{
    bool submitted = false;
    if (roster_.threads() == 0) [[unlikely]] {
        const execq_status status = submit_first(first, last, submitted);
        if (status != EXECQ_OK || submitted)
            return status;
    }
    if (!inbox_of_thread().push(first, last)) [[unlikely]]
        return EXECQ_ECLOSED;
    wake_if_wanted();
    return EXECQ_OK;
}

// Nothing must be accepted before there is a thread to run it. That thread needs no wake: it takes the mutex before it
// looks (see enter()).
execq_status Executor::submit_first(Node& first, Node& last, bool& submitted)
{
    const MutexLock lock(mutex_);
    if (mode() != Mode::open)
        return EXECQ_ECLOSED;
    if (roster_.threads() != 0)
        return EXECQ_OK;
    const execq_status status = start_waking_worker();
    submitted = status == EXECQ_OK && inbox_of_thread().push(first, last);
    return status;
}

Executor::TaskInbox& Executor::inbox_of_thread() { return inboxes_[thread_number() & (shards_ - 1)]; }

execq_status Executor::submit(TaskFifo& batch)
{
    Worker* worker = worker_of(*this);
    if (batch.empty())
        return mode() == Mode::open || (mode() == Mode::draining && worker != nullptr) ? EXECQ_OK : EXECQ_ECLOSED;
    if (worker == nullptr) {
        const execq_status status = submit_outside(batch.first(), batch.last());
        if (status == EXECQ_OK)
            batch = TaskFifo{};
        return status;
    }
    if (mode() == Mode::canceling)
        return EXECQ_ECLOSED;
    while (Node* node = batch.pop()) {
        while (!worker->push_own(node))
            make_room(*worker);
    }
    if (roster_.wants_wake_behind_light_fence(thread_limit()))
        wake_one();
    return EXECQ_OK;
}

void Executor::push_forced(Node* const* nodes, std::uint32_t n)
{
    TaskFifo tasks;
    for (std::uint32_t i = 0; i < n; ++i)
        tasks.push(*nodes[i]);
    if (!tasks.empty())
        inbox_of_thread().push(tasks.first(), tasks.last(), true);
}

// Moves the oldest half of a full own queue to an inbox.
void Executor::make_room(Worker& worker)
{
    std::array<Node*, Worker::Own::capacity / 2> oldest;
    push_forced(oldest.data(), worker.take_oldest_own(oldest.data(), oldest.size()));
}

void Executor::empty_queues(Worker& worker)
{
    while (worker.own_size() != 0)
        make_room(worker);
    std::array<Node*, Worker::Batch::capacity> left;
    push_forced(left.data(), worker.batch().take(left.data(), left.size()));
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
            sleeper = take_idle();
            if (sleeper != nullptr) {
                sleeper->token = true;
            } else if (may_start && roster_.threads() < thread_limit() && work_visible()) {  // else it is in good hands
                if (start_worker(true) == EXECQ_OK)
                    return;
                may_start = false;
            }
        }
        if (sleeper != nullptr) {
            sleeper->parker().unpark();
            return;
        }
        // Who saw the bit meanwhile relied on us.
    } while (roster_.end_wake(may_start ? thread_limit() : 0) && work_visible());
}

Worker* Executor::take_idle()
{
    Worker* worker = idle_.front();
    if (worker != nullptr)
        take_off_idle(*worker);
    return worker;
}

void Executor::take_off_idle(Worker& worker)
{
    idle_.remove(worker);
    worker.idle = false;
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
        roster_.end_wake(max_threads_);
        worker.turns.fresh = true;
    }
}

// A hint that costs those who submit nothing.
bool Executor::work_seems_visible() const
{
    for (std::uint32_t i = 0; i < shards_; ++i) {
        if (!inboxes_[i].seems_empty())
            return true;
    }
    bool visible = false;
    for_each_worker([&](const Worker& worker) { visible = visible || worker.has_tasks(); });
    return visible;
}

bool Executor::work_visible() const
{
    for (std::uint32_t i = 0; i < shards_; ++i) {
        if (!inboxes_[i].empty())
            return true;
    }
    bool visible = false;
    for_each_worker([&](const Worker& worker) { visible = visible || worker.has_tasks(); });
    return visible;
}

// ---- finding work ----

Node* Executor::next_task(Worker& worker)
{
    for (;;) {
        if (Node* node = find_task(worker)) {
            worker.turns.misses = 0;
            if (std::exchange(worker.turns.fresh, false) && work_visible())
                wake_if_wanted();
            return node;
        }
        if (!rest(worker))
            return nullptr;
    }
}

Node* Executor::find_task(Worker& worker)
{
    if (worker.own_size() != 0) {
        if (worker.turns.own_left-- == 0) [[unlikely]] {
            worker.turns.own_left = own_turns;
            if (Node* node = take_turn(worker))
                return node;
        }
        if (Node* node = worker.pop_own())
            return node;
    }
    if (Node* node = find_foreign(worker))
        return node;
    return steal_own(worker);
}

// Now and then, before a worker's newest: in turn what others wait for, and its own oldest.
Node* Executor::take_turn(Worker& worker)
{
    worker.turns.own_oldest = !worker.turns.own_oldest;
    if (!worker.turns.own_oldest)
        return find_foreign(worker);
    Node* node = nullptr;
    return worker.take_oldest_own(&node, 1) != 0 ? node : nullptr;
}

// What came from other threads. Batches are older than what is still in an inbox.
Node* Executor::find_foreign(Worker& worker)
{
    if (Node* node = worker.batch().take())
        return node;
    if (worker.turns.fresh) {
        if (Node* node = steal_batch(worker, 1))
            return node;
    } else if (worker.count_fetch() % fetches_turn == 0) {
        if (Node* node = steal_batch(worker, Worker::Batch::capacity))
            return node;
    }
    if (Node* node = fetch(worker))
        return node;
    return steal_batch(worker, 1);
}

Node* Executor::fetch(Worker& worker)
{
    for (std::uint32_t i = 0; i < shards_; ++i) {
        TaskInbox& inbox = inboxes_[(worker.turns.shard + i) & (shards_ - 1)];
        if (inbox.seems_empty())
            continue;
        std::array<TaskLink*, fetch_batch> links;
        const std::uint32_t n = inbox.take(links.data(), fetch_batch);
        if (n == 0)
            continue;
        worker.turns.shard += i + 1;
        std::array<Node*, fetch_batch> nodes;
        std::transform(links.begin(), links.begin() + n, nodes.begin(),
                       [](TaskLink* link) { return static_cast<Node*>(link); });
        return keep_rest(worker, nodes.data(), n);
    }
    return nullptr;
}

// At most `share` of the older half of somebody's batch.
Node* Executor::steal_batch(Worker& worker, std::uint32_t share)
{
    const std::uint32_t places = places_.load(std::memory_order_acquire);
    for (std::uint32_t i = 1; i < places; ++i) {
        Worker& victim = *workers_[(worker.number() + i) % places];
        std::array<Node*, Worker::Batch::capacity> nodes;
        const std::uint32_t n = victim.batch().take_half(nodes.data(), share);
        if (n != 0)
            return keep_rest(worker, nodes.data(), n);
    }
    return nullptr;
}

Node* Executor::steal_own(Worker& worker)
{
    const std::uint32_t places = places_.load(std::memory_order_acquire);
    for (std::uint32_t i = 1; i < places; ++i) {
        Worker& victim = *workers_[(worker.number() + i) % places];
        if (victim.own_size() == 0)
            continue;
        std::array<Node*, Worker::Batch::capacity> nodes;
        const std::uint32_t n = victim.steal_own(nodes.data(), nodes.size());
        if (n != 0)
            return keep_rest(worker, nodes.data(), n);
    }
    return nullptr;
}

// The oldest is for now; the rest goes where others can take it, which those who looked meanwhile have to be told.
Node* Executor::keep_rest(Worker& worker, Node** nodes, std::uint32_t n)
{
    if (n > 1) {
        worker.batch().fill(nodes + 1, n - 1);
        wake_if_wanted();
    }
    return nodes[0];
}

namespace {

bool cancel_queued(Node& node, Reference reference)
{
    if (!node.try_claim_cancel(EXECQ_REASON_SHUTDOWN))
        return false;
    node.drop_env();
    node.settle_canceled(reference);
    return true;
}

}  // namespace

void Executor::dispose(Worker& worker, Node& node)
{
    if (mode() != Mode::canceling) [[likely]] {
        const Node::Start start = node.start_taken();
        if (start != Node::Start::lost) [[likely]] {
            worker.run(node, start, Reference::give);
            return;
        }
    }
    worker.wait_for_resume();
    if (mode() != Mode::canceling || !cancel_queued(node, Reference::give))
        node.release();
}

void Executor::run_in_place(Worker& worker, Node& node)
{
    if (mode() == Mode::canceling)
        cancel_queued(node, Reference::keep);
    else if (node.try_start())
        worker.run(node, Node::Start::won, Reference::keep);
}

// ---- sleeping ----

// True: look again. False: leave.
bool Executor::rest(Worker& worker)
{
    if (work_visible()) {
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
    roster_.end_wake(max_threads_);  // before the last look
    worker.turns.fresh = true;
    return visible || work_visible();
}

// True where the last wake was hardly worth it, as the others took what came many times over meanwhile.
bool Executor::others_keep_up(Worker& worker) const
{
    return roster_.awake() > 1 && now_ns() - worker.turns.woken_ns < short_wake_ns &&
           others_fetches(worker) - worker.turns.others_fetches >= many_fetches;
}

std::uint32_t Executor::others_fetches(const Worker& worker) const
{
    std::uint32_t sum = 0;
    for_each_worker([&](const Worker& other) { sum += &other != &worker ? other.fetches() : 0; });
    return sum;
}

// Announces the sleep, or a nap: where the last wake was hardly worth it, and another worker is there to do what comes.
Executor::Rest Executor::lie_down(Worker& worker)
{
    const bool nap = others_keep_up(worker);
    const MutexLock lock(mutex_);
    if (mode() != Mode::open)
        return Rest::none;
    worker.napping = nap && !somebody_naps_;
    somebody_naps_ = somebody_naps_ || nap;
    worker.idle = true;
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

// True: look again. False: leave.
bool Executor::lie(Worker& worker)
{
    const Rest rest = lie_down(worker);
    if (rest == Rest::none)
        return work_visible();
    if (work_visible() && get_up(worker)) {
        worker.turns.fresh = true;  // others may have relied on the nap
        return true;
    }
    const bool stays = rest == Rest::nap ? nap(worker) : sleep(worker);
    worker.turns.woken_ns = now_ns();
    worker.turns.others_fetches = others_fetches(worker);
    return stays;
}

bool Executor::nap(Worker& worker)
{
    if (worker.parker().park(Deadline::after(nap_ns))) {
        arrive(worker);
        return true;
    }
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
    while (!work_visible() && node_pool::trim()) {
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
