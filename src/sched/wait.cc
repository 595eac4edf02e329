#include "sched/wait.h"

#include <algorithm>
#include <cstddef>
#include <pthread.h>

#include "base/thread_waits.h"
#include "sched/body.h"
#include "sched/executor.h"
#include "sched/interrupt.h"
#include "sched/manual.h"
#include "sched/thread_loop.h"
#include "sched/worker.h"
#include "task/callbacks.h"
#include "task/wait.h"

namespace execq::core {

namespace {

// What must remain of the stack for a task to be run in place.
constexpr std::size_t stack_reserve = 256 * 1024;

// The bytes of stack below, on a thread that is not one of ours; 0: unknown.
std::size_t stack_left_of_thread()
{
    static thread_local constinit const std::byte* bottom = nullptr;
    if (bottom == nullptr) {
        pthread_attr_t attributes;
        if (pthread_getattr_np(pthread_self(), &attributes) != 0)
            return 0;
        void* lowest = nullptr;
        std::size_t size = 0;
        if (pthread_attr_getstack(&attributes, &lowest, &size) == 0)
            bottom = static_cast<const std::byte*>(lowest);
        pthread_attr_destroy(&attributes);
    }
    const auto* here = static_cast<const std::byte*>(__builtin_frame_address(0));
    return bottom != nullptr && here > bottom ? static_cast<std::size_t>(here - bottom) : 0;
}

// Of ours, or of the worker's own loop, which it runs between its tasks and while it waits for a future.
bool inside_any_callback(const Worker& worker)
{
    return inside_callback() || (worker.loop() != nullptr && worker.loop()->running_by_us());
}

// Inside of a task of an engine that is helped, as a worker does.
void help_engine(Node& node, Deadline deadline)
{
    Executor* executor = EngineTurn::executor_of(node);
    if (executor != nullptr && executor->engine()->helps() && deadline.never() && node.phase() == Phase::pending &&
        node.due() && !inside_callback() && stack_left_of_thread() >= stack_reserve)
        executor->help(node);
}

// What every wait for one node does before it blocks in its own way.
template <class Block>
execq_status wait_by(Node& node, Deadline deadline, bool in_place, const Block& block)
{
    Worker* worker = Worker::current();
    if (in_place && worker != nullptr && may_run_here(*worker, node, deadline))
        worker->executor().run_in_place(*worker, node);
    if (in_place && EngineTurn::any()) [[unlikely]]
        help_engine(node, deadline);
    // Before the look: of two workers that are about to wait, one sees the other.
    const Worker::WaitScope waits(worker);
    if (node.done())
        return EXECQ_OK;
    Executor::Relief relief;
    if (!deadline.only_look() && would_deadlock(worker, node, relief))
        return EXECQ_EDEADLK;
    return block();
}

// Futures that a thread waits for which steps manual executors.
class FuturesAwaited final : public Manual::Awaited {
public:
    FuturesAwaited(Node* const* nodes, std::size_t n, bool all, bool drives)
        : nodes_(nodes), n_(n), all_(all), drives_(drives)
    {}

    bool done() override
    {
        const auto is_done = [](const Node* node) { return node->done(); };
        return all_ ? std::all_of(nodes_, nodes_ + n_, is_done) : std::any_of(nodes_, nodes_ + n_, is_done);
    }
    bool ours() override { return holds(is_stepped_here); }
    bool takes_real_time() override
    {
        return std::any_of(nodes_, nodes_ + n_, [](const Node* node) {
            return !node->done() && node->executor_id() != 0 && !Manual::has_here(node->executor_id());
        });
    }
    void sleep(Deadline deadline) override
    {
        if (all_)
            (void)block_on(**std::find_if(nodes_, nodes_ + n_ - 1, [](const Node* node) { return !node->done(); }),
                           deadline);
        else
            (void)block_on_any(nodes_, n_, deadline, nullptr);
    }
    bool drives_loop() override { return drives_; }
    // It waits for itself.
    bool hopeless() const
    {
        return holds([](const Node& node) { return runs_on_this_thread(node) || waits_for_this_thread(node); });
    }

private:
    // Of all: that one of them is so is enough.
    template <class Is>
    bool holds(const Is& is) const
    {
        const auto so = [&is](const Node* node) { return !node->done() && is(*node); };
        return all_ ? std::any_of(nodes_, nodes_ + n_, so) : std::all_of(nodes_, nodes_ + n_, so);
    }

    Node* const* const nodes_;
    const std::size_t n_;
    const bool all_;
    const bool drives_;
};

// Room in a bounded executor.
class RoomAwaited final : public Manual::Awaited {
public:
    RoomAwaited(Executor& executor, std::uint32_t n) : executor_(executor), n_(n) {}

    bool entered() const { return entered_; }
    bool done() override
    {
        entered_ = entered_ || executor_.room()->try_enter(n_);
        return entered_ || !executor_.accepts();
    }
    bool ours() override { return Manual::has_here(executor_.id()); }
    bool takes_real_time() override { return !ours(); }
    void sleep(Deadline deadline) override { sleep_until(deadline); }

private:
    Executor& executor_;
    const std::uint32_t n_;
    bool entered_ = false;
};

// What a body waits for runs inside of it, as on any worker; the rest is stepped.
execq_status wait_stepping(Node* const* nodes, std::size_t n, bool all, Deadline deadline, bool drives_loop = false)
{
    FuturesAwaited awaited(nodes, n, all, drives_loop);
    if (!deadline.only_look() && awaited.hopeless())
        return EXECQ_EDEADLK;
    Worker* worker = Worker::current();
    for (std::size_t i = 0; i < n && all && worker != nullptr && worker->in_task(); ++i) {
        if (may_run_here(*worker, *nodes[i], deadline))
            worker->executor().run_in_place(*worker, *nodes[i]);
    }
    const Worker::WaitScope waits(worker);
    return Manual::await(awaited, deadline);
}

// At least one turn, so that a caller who looks again and again gets on.
execq_status drive(ThreadLoop& loop, const Node& node, Deadline deadline)
{
    do {
        loop.run_once(deadline);
        run_queued();  // inside a done callback, what the loop's callbacks completed waits there
    } while (!node.done() && !deadline.passed());
    return node.done() ? EXECQ_OK : EXECQ_ETIMEDOUT;
}

}  // namespace

bool has_stack_for_another(const Worker& worker) { return worker.stack_left() >= stack_reserve; }

// One that has started and is asynchronous is a promise, which anybody may complete.
bool is_stepped_here(const Node& node)
{
    return Manual::has_here(node.executor_id()) && (!node.async() || node.phase() == Phase::pending);
}

bool queued_here(Worker& worker, const Node& node)
{
    return node.phase() == Phase::pending && node.executor_id() == worker.executor().id();
}

bool may_run_here(Worker& worker, const Node& node, Deadline deadline)
{
    return deadline.never() && !node.async() && !worker.reserved() && queued_here(worker, node) && node.due() &&
           !inside_any_callback(worker) && has_stack_for_another(worker);
}

bool would_deadlock(Worker* worker, const Node& node, Executor::Relief& relief)
{
    if (runs_on_this_thread(node) || waits_for_this_thread(node))
        return true;
    return worker != nullptr && queued_here(*worker, node) && !worker->executor().secure_thread(relief, node.async()) &&
           queued_here(*worker, node);
}

execq_status wait_for(Node& node, Deadline deadline)
{
    run_queued();
    if (node.done())
        return EXECQ_OK;
    if (Manual::any_here()) [[unlikely]] {
        Node* const one = &node;
        return wait_stepping(&one, 1, true, deadline);
    }
    return wait_by(node, deadline, true, [&] {
        const ThreadWaits::Scope blocked;
        return block_on(node, deadline);
    });
}

execq_status run_loop_until(Node& node, Deadline deadline)
{
    const InterruptPause uninterrupted;  // others have callbacks on the loop
    run_queued();
    if (node.done())
        return EXECQ_OK;
    ThreadLoop* loop = ThreadLoop::current();
    if (loop != nullptr && loop->running())
        return deadline.only_look() ? EXECQ_ETIMEDOUT : EXECQ_EDEADLK;
    if (Manual::any_here()) {
        Node* const one = &node;
        return wait_stepping(&one, 1, true, deadline, true);
    }
    Worker* worker = Worker::current();
    if (worker != nullptr && node.async() && !deadline.only_look() && queued_here(*worker, node)) {
        worker->executor().start_async_here(*worker, node);  // nowhere is it nearer to who waits for it
        if (node.done())
            return EXECQ_OK;
        loop = ThreadLoop::current();
    }
    if (loop == nullptr)
        return wait_for(node, deadline);
    // A body that runs in place would block what else is alive on the loop.
    return wait_by(node, deadline, !loop->alive(), [&]() -> execq_status {
        const DoneCall call(
            node, [](void* env) { static_cast<ThreadLoop*>(env)->wake(); }, loop);
        const ThreadLoop::Driven driven(*loop);
        const ThreadWaits::Drive drives(loop->loop());
        return node.done() ? EXECQ_OK : drive(*loop, node, deadline);
    });
}

execq_status wait_for_room(Executor& executor, std::uint32_t n, Deadline deadline)
{
    run_queued();
    if (Manual::any_here()) {
        RoomAwaited room(executor, n);
        const execq_status status = Manual::await(room, deadline);
        return status == EXECQ_OK && !room.entered() ? EXECQ_ECLOSED : status;
    }
    Worker* worker = Worker::current();
    const Worker::WaitScope waits(worker);
    Executor::Relief relief;
    if (worker != nullptr && &worker->executor() == &executor && !executor.secure_room(relief))
        return executor.room()->try_enter(n) ? EXECQ_OK : EXECQ_EDEADLK;
    const ThreadWaits::Scope blocked;
    return executor.room()->enter(n, deadline);
}

execq_status wait_for_all(Node* const* nodes, std::size_t n, Deadline deadline)
{
    if (Manual::any_here() && n != 0) {
        run_queued();
        return wait_stepping(nodes, n, true, deadline);
    }
    // Before blocking on any: the body that runs here cannot end while it waits.
    for (std::size_t i = 0; i < n && !deadline.only_look(); ++i) {
        if (runs_on_this_thread(*nodes[i]) || waits_for_this_thread(*nodes[i]))
            return EXECQ_EDEADLK;
    }
    for (std::size_t i = 0; i < n; ++i) {
        const execq_status status = wait_for(*nodes[i], deadline);
        if (status != EXECQ_OK)
            return status;
    }
    return EXECQ_OK;
}

execq_status wait_for_any(Node* const* nodes, std::size_t n, Deadline deadline, std::size_t* index)
{
    run_queued();
    if (Manual::any_here()) {
        const execq_status status = wait_stepping(nodes, n, false, deadline);
        return status == EXECQ_OK ? block_on_any(nodes, n, Deadline::after(0), index) : status;
    }
    Worker* worker = Worker::current();
    const Worker::WaitScope waits(worker);
    if (deadline.only_look())
        return block_on_any(nodes, n, deadline, index);
    bool hopeless = true;
    Executor::Relief relief;  // taken where the loop ends
    for (std::size_t i = 0; i < n && hopeless; ++i)
        hopeless = !nodes[i]->done() && would_deadlock(worker, *nodes[i], relief);
    if (hopeless)
        return EXECQ_EDEADLK;
    const ThreadWaits::Scope blocked;
    return block_on_any(nodes, n, deadline, index);
}

}  // namespace execq::core
