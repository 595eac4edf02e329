// The way of tasks into an executor's queues. What wakes a thread for them, and why none is left behind: see schedule.cc.
#include <algorithm>
#include <limits>
#include <utility>

#include "sched/executor.h"

namespace execq::core {

namespace {

// Spreads the threads over the inboxes; tasks of one thread stay in order.
std::uint32_t thread_number()
{
    static std::atomic<std::uint32_t> next{0};
    std::uint32_t& number = this_thread.number;
    if (number == 0) [[unlikely]]
        number = next.fetch_add(1, std::memory_order_relaxed) + 1;
    return number;
}

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
    return roster_.wants_wake_behind_light_fence(cap_.load(std::memory_order_relaxed)) ? wake_behind() : EXECQ_OK;
}

execq_status Executor::wake_behind() noexcept
{
    wake_if_wanted();
    return EXECQ_OK;
}

// Flat, with all that is rare apart: the push is part of it.
[[gnu::flatten]] execq_status Executor::submit_outside(Item item) noexcept
{
    if (roster_.threads() == 0) [[unlikely]]
        return submit_outside_slowly(item);
    const Accepted accepted = inbox_of_thread().push(item);
    if (accepted != Accepted::yes) [[unlikely]]
        return accepted == Accepted::closed ? submit_outside_slowly(item) : EXECQ_ENOMEM;
    return roster_.wants_wake(cap_.load(std::memory_order_relaxed)) ? wake_behind() : EXECQ_OK;
}

// The first task, or one that comes late.
execq_status Executor::submit_outside_slowly(Item item) noexcept
{
    const execq_status status = submit_by([item](TaskInbox& inbox) { return inbox.push(item); });
    // Who is reserved for loops has no queue of its own.
    if (status == EXECQ_ECLOSED && mode() == Mode::draining && own_worker() != nullptr) [[unlikely]]
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
    if (mode() != Mode::open && !turn && !(mode() == Mode::draining && own_worker() != nullptr))
        return EXECQ_ECLOSED;
    if (roster_.threads() != 0)
        return EXECQ_OK;
    const execq_status status = start_waking_worker();
    if (status != EXECQ_OK)
        return status;
    submitted = true;
    return status_of(push(inbox_of_thread()));
}

execq_status Executor::submit_turn(Turnstile& turnstile, bool must) noexcept
{
    const execq_status status = push_turn(turnstile);
    if (status == EXECQ_OK || (!must && roster_.threads() == 0))
        return status;
    owe_turn(turnstile);
    return EXECQ_OK;
}

// A turnstile that waits for nothing but this turn has no other event to go on by. So it takes no memory: as a push, it is
// visible before the look at the roster.
void Executor::owe_turn(Turnstile& turnstile)
{
    {
        const MutexLock lock(mutex_);
        if (turnstile.owed++ == 0)
            turnstile.next_owed = std::exchange(owed_, &turnstile);
        aside_.fetch_or(owed_bit, std::memory_order_seq_cst);
    }
    wake_if_wanted();
}

Item Executor::take_owed()
{
    const MutexLock lock(mutex_);
    Turnstile* turnstile = owed_;
    if (turnstile == nullptr)
        return {};
    if (--turnstile->owed == 0)
        owed_ = std::exchange(turnstile->next_owed, nullptr);
    if (owed_ == nullptr)
        aside_.fetch_and(~std::uint32_t{owed_bit}, std::memory_order_seq_cst);
    return Item(*turnstile);
}

execq_status Executor::push_turn(Turnstile& turnstile)
{
    Worker* worker = own_worker();
    if (worker != nullptr && worker->own_queue_of() != nullptr)
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
    if (engine_ != nullptr)
        return give_to_engine(node, false);
    if (node.priority() != EXECQ_PRIORITY_NORMAL && !node.async())
        return submit_class(node);
    return node.async() ? submit_async(node) : submit(Item(node));
}

execq_status Executor::submit_async(Node& node) noexcept
{
    const bool inside = own_worker() != nullptr;
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
    if (engine_ != nullptr)
        return give_to_engine(batch);
    const bool inside = own_worker() != nullptr;
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

}  // namespace execq::core
