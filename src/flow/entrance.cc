#include "flow/entrance.h"

#include <algorithm>

#include "sched/timekeeper.h"
#include "sched/wait.h"

namespace execq::core {

Entrance::Entrance(Executor& executor, const TaskSpec& spec, std::size_t n, bool is_async)
    : executor_(executor), status_(executor.bounded() && n != 0 ? enter(spec, n, is_async) : EXECQ_OK)
{}

Entrance::~Entrance()
{
    if (places_ != 0)
        executor_.room()->leave(places_);
}

// A point on the clock of the executor.
Deadline Entrance::deadline_of(std::int64_t limit_ns) const
{
    const std::int64_t at = std::max<std::int64_t>(limit_ns, 1);
    Timekeeper& keeper = executor_.keeper();
    return keeper.manual() ? Deadline::after(std::max<std::int64_t>(at - keeper.now(), 1)) : Deadline::at(at);
}

execq_status Entrance::enter(const TaskSpec& spec, std::size_t n, bool is_async)
{
    Room& room = *executor_.room();
    if (n <= room.capacity() && room.try_enter(static_cast<std::uint32_t>(n))) {
        places_ = static_cast<std::uint32_t>(n);
        return EXECQ_OK;
    }
    if (!executor_.accepts())
        return EXECQ_ECLOSED;
    if (executor_.full_policy() == EXECQ_FULL_CALLER_RUNS) {
        const Worker* worker = Worker::current();
        // What starts on a loop, at a later time, or in the order of a queue, is not for this thread to start now; and what
        // may block is not for one that others' loops depend on.
        here_ = !spec.no_wait && !is_async && !spec.times.delayed() && spec.turnstile == nullptr &&
                (worker == nullptr || (!worker->reserved() && has_stack_for_another(*worker)));
        return here_ ? EXECQ_OK : EXECQ_EFULL;
    }
    if (n > room.capacity())
        return EXECQ_EINVAL;
    if (spec.no_wait || executor_.full_policy() == EXECQ_FULL_REJECT)
        return EXECQ_EFULL;
    const std::int64_t limit = spec.times.limit_ns();
    const execq_status status = wait_for_room(executor_, static_cast<std::uint32_t>(n),
                                              limit == TimerWheel::never ? Deadline::after(-1) : deadline_of(limit));
    places_ = status == EXECQ_OK ? static_cast<std::uint32_t>(n) : 0;
    return status;
}

template <class Make>
Node* Entrance::make(const TaskSpec& spec, const Make& make)
{
    if (places_ == 0 && executor_.observers() == nullptr)
        return make(spec);
    TaskSpec with = spec;
    with.room = places_ != 0 ? executor_.room() : nullptr;
    with.observers = executor_.observers();
    Node* node = make(with);
    places_ -= node != nullptr && with.room != nullptr ? 1U : 0U;
    return node;
}

Node* Entrance::make_task(const TaskSpec& spec, std::uint32_t future_references)
{
    return make(spec, [&](const TaskSpec& with) { return Node::make_task(with, future_references, executor_.id()); });
}

Node* Entrance::make_async(const TaskSpec& spec, execq_async_fn start, std::uint32_t future_references)
{
    return make(spec,
                [&](const TaskSpec& with) { return Node::make_async(with, start, future_references, executor_.id()); });
}

}  // namespace execq::core
