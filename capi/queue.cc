// Floor 4: queue.h.
#include "execq/queue.h"

#include "edge.h"
#include "flow/queue.h"
#include "sched/conf.h"

using namespace execq::core;

namespace {

execq_status make_queue(execq_executor *executor, const QueueSpec &spec, execq_queue **out)
{
    Executor *resolved = core_of(executor);
    const execq_status status = executor != nullptr ? EXECQ_OK : resolve_executor(&resolved);
    if (status != EXECQ_OK)
        return status;
    Queue *queue = nullptr;
    const execq_status made = Queue::make(*resolved, spec, &queue);
    if (executor == nullptr)
        resolved->release();
    if (made == EXECQ_OK)
        *out = handle_of(queue);
    return made;
}

}  // namespace

execq_status execq_queue_new(execq_executor *executor, const execq_queue_options *options, execq_queue **out)
{
    execq_queue_options read;
    const execq_status status = read_options(options, EXECQ_QUEUE_PAUSED, read);
    if (status != EXECQ_OK)
        return status;
    if (out == nullptr || read.full_policy > EXECQ_FULL_CALLER_RUNS || read.reserved != 0)
        return EXECQ_EINVAL;
    const QueueSpec spec{read.name,
                         read.max_in_flight != 0 ? read.max_in_flight : 1,
                         read.full_policy,
                         read.capacity,
                         read.key_max_in_flight,
                         (read.flags & EXECQ_QUEUE_PAUSED) != 0};
    const execq_status ours = check_optional(core_of(executor));
    return ours == EXECQ_OK ? guarded([&] { return make_queue(executor, spec, out); }) : ours;
}

void execq_queue_retain(execq_queue *queue)
{
    if (queue != nullptr)
        core_of(queue)->retain();
}

void execq_queue_release(execq_queue *queue)
{
    if (queue != nullptr)
        core_of(queue)->release();
}

execq_status execq_queue_pause(execq_queue *queue)
{
    const execq_status ours = check(core_of(queue));
    return ours == EXECQ_OK ? guarded([&] { return core_of(queue)->pause(); }) : ours;
}

execq_status execq_queue_resume(execq_queue *queue)
{
    const execq_status ours = check(core_of(queue));
    return ours == EXECQ_OK ? guarded([&] { return core_of(queue)->resume(); }) : ours;
}

execq_status execq_queue_set_key(execq_queue *queue, uint64_t key, uint32_t weight, uint32_t max_in_flight)
{
    if (weight == 0 || weight > EXECQ_MAX_WEIGHT)
        return EXECQ_EINVAL;
    const execq_status ours = check(core_of(queue));
    return ours == EXECQ_OK ? guarded([&] { return core_of(queue)->configure(key, weight, max_in_flight); }) : ours;
}

execq_status execq_queue_counts(execq_queue *queue, uint64_t *waiting, uint64_t *running)
{
    const execq_status ours = check(core_of(queue));
    if (ours != EXECQ_OK)
        return ours;
    return guarded([&]() -> execq_status {
        const Queue::Counts counts = core_of(queue)->counts();
        if (waiting != nullptr)
            *waiting = counts.waiting;
        if (running != nullptr)
            *running = counts.running;
        return EXECQ_OK;
    });
}

execq_status execq_queue_close(execq_queue *queue, int32_t how, execq_future **closed)
{
    if (how != EXECQ_DRAIN && how != EXECQ_CANCEL)
        return EXECQ_EINVAL;
    const execq_status ours = check(core_of(queue));
    if (ours != EXECQ_OK)
        return ours;
    return guarded([&]() -> execq_status {
        Node &future = core_of(queue)->closed();
        if (closed != nullptr) {
            future.retain();
            *closed = future_of(&future);
        }
        core_of(queue)->close(how);
        return EXECQ_OK;
    });
}
