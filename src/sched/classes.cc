// The part of the executor about tasks with a priority. In what order they are taken stands in class_inboxes.h.
//
// Who wakes whom: their inboxes are part of look(), and pushed to as any other. A task from inside goes there too, so that
// it overtakes what waits with its worker.
//
// Low tasks come after all that is normal: what waits here, in an inbox, or with another worker, but for a batch that
// somebody else has fetched and gets on with.
#include "sched/executor.h"

namespace execq::core {

namespace {

template <class Inbox>
Item take_one(Inbox& inbox)
{
    Slot slot;
    return !inbox.seems_empty() && inbox.take(&slot, 1) != 0 ? slot.get() : Item{};
}

}  // namespace

// Null: no memory.
Executor::TaskClasses::Pair* Executor::open_classes(TaskClasses& classes)
{
    if (TaskClasses::Pair* pair = classes.get()) [[likely]]
        return pair;
    const MutexLock lock(mutex_);
    TaskClasses::Pair* pair = classes.make(mode() != Mode::open);
    if (pair != nullptr)
        aside_.fetch_or(classes_bit, std::memory_order_relaxed);  // who sees the task in look() looks here again
    return pair;
}

execq_status Executor::submit_class(Node& node)
{
    TaskFifo one;
    one.push(node);
    return submit(one);
}

Item Executor::take_high(Worker& worker)
{
    if (TaskClasses::Pair* pair = classes_.get()) {
        if (const Item item = take_one(pair->high))
            return item;
    }
    TaskClasses::Pair* loop_pair = loop_classes_.get();
    const bool waits = loop_pair != nullptr && !loop_pair->high.seems_empty();
    return waits && loop_slots_.limit() != 0 && (worker.loop_slot || has_free_slot()) ? take_loop_task(worker) : Item{};
}

// Before what else a worker would take: a high task, or a low one that has waited for so long. None, with worker.surplus set:
// it is to stand aside before it takes another one.
Item Executor::find_aside(Worker& worker)
{
    const std::uint32_t aside = aside_.load(std::memory_order_relaxed);
    if ((aside & owed_bit) != 0) {
        if (const Item item = take_owed())
            return item;
    }
    if ((aside & surplus_bit) != 0 && may_stand_aside(worker)) {
        worker.surplus = worker.attends = true;
        return {};
    }
    if ((aside & classes_bit) == 0)
        return {};
    TaskClasses::Pair* pair = classes_.get();
    const bool low_waits = pair != nullptr && !pair->low.seems_empty();
    ClassTurns& turns = worker.turns.classes;
    if (low_waits && turns.low_first()) {
        if (const Item item = take_one(pair->low)) {
            turns.take_low();
            return item;
        }
    }
    if (turns.high_first()) {
        if (const Item item = take_high(worker)) {
            turns.take_high(low_waits);
            return item;
        }
    }
    turns.take_normal(low_waits);
    return {};
}

// After all that is normal.
Item Executor::find_last(Worker& worker)
{
    if (const Item item = steal_own(worker, Worker::Batch::capacity))
        return item;
    if (TaskClasses::Pair* pair = classes_.get()) {
        if (const Item item = take_one(pair->low)) {
            worker.turns.classes.take_low();
            return item;
        }
    }
    if (const Item item = take_high(worker))  // it was the turn of others, but there are none
        return item;
    return steal_standing(worker, Worker::Batch::capacity);
}

// For who has a slot.
Item Executor::take_loop_item(Worker& worker)
{
    TaskClasses::Pair* pair = loop_classes_.get();
    if (pair == nullptr) [[likely]]
        return take_one(loop_inbox_);
    ClassTurns& turns = worker.turns.loop_classes;
    const bool low_waits = !pair->low.seems_empty();
    Item item;
    if (low_waits && turns.low_first() && (item = take_one(pair->low))) {
        turns.take_low();
    } else if (turns.high_first() && (item = take_one(pair->high))) {
        turns.take_high(low_waits);
    } else if ((item = take_one(loop_inbox_))) {
        turns.take_normal(low_waits);
    } else if ((item = take_one(pair->low))) {
        turns.take_low();
    } else {
        item = take_one(pair->high);
    }
    return item;
}

}  // namespace execq::core
