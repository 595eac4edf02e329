// Engines, and the part of the executor that has one.
#include "sched/engine.h"

#include "base/futex.h"
#include "sched/body.h"
#include "sched/executor.h"
#include "task/callbacks.h"
#include "task/cancel.h"

namespace execq::core {

execq_status Engine::join(Deadline deadline)
{
    while (const std::uint32_t left = taken()) {
        if (deadline.passed())
            return EXECQ_ETIMEDOUT;
        futex_wait(&taken_, left, deadline);
    }
    return EXECQ_OK;
}

const InChild EngineTurn::in_child_([](void*) { innermost_ = nullptr; });

std::uint32_t EngineTurn::count_of(const Executor& executor)
{
    std::uint32_t n = 0;
    for (const EngineTurn* turn = innermost_; turn != nullptr; turn = turn->outer_)
        n += &turn->executor_ == &executor ? 1 : 0;
    return n;
}

Executor* EngineTurn::executor_of(const Node& node)
{
    for (const EngineTurn* turn = innermost_; turn != nullptr; turn = turn->outer_) {
        if (turn->executor_.id() == node.executor_id())
            return &turn->executor_;
    }
    return nullptr;
}

bool Executor::runs_on_this_thread() const
{
    return own_worker() != nullptr || (engine_ != nullptr && EngineTurn::of(*this));
}

// The tasks that it is inside of never end.
bool Executor::wait_for_engine_at_exit(Deadline deadline)
{
    engine_->taken_.fetch_sub(EngineTurn::count_of(*this), std::memory_order_acq_rel);
    return engine_->join(deadline) == EXECQ_OK;
}

// ---- the way in ----

execq_status Executor::count_taken(bool closed_too)
{
    const MutexLock lock(mutex_);
    const Mode now = mode();
    if (now == Mode::canceling || (now == Mode::draining && !closed_too && !EngineTurn::of(*this)))
        return EXECQ_ECLOSED;
    uses_.fetch_add(1, std::memory_order_relaxed);
    engine_->taken_.fetch_add(1, std::memory_order_relaxed);
    return EXECQ_OK;
}

void Executor::end_taken()
{
    if (engine_->taken_.fetch_sub(1, std::memory_order_acq_rel) == 1)
        futex_wake_all(&engine_->taken_);
    drop_use();
}

execq_status Executor::give_to_engine(Node& node, bool closed_too) noexcept
{
    execq_status status = count_taken(closed_too);
    if (status != EXECQ_OK)
        return status;
    status = engine_->take(node);
    if (status != EXECQ_OK)
        end_taken();
    return status;
}

// What the engine takes first may have run by the time that it refuses one: from then on the batch is accepted, and what it
// refuses fails by itself.
execq_status Executor::give_to_engine(TaskFifo& batch) noexcept
{
    if (batch.empty())
        return accepts() ? EXECQ_OK : EXECQ_ECLOSED;
    TaskFifo rest = batch;
    execq_status status = give_to_engine(*rest.pop(), false);
    if (status != EXECQ_OK)
        return status;
    batch = TaskFifo{};
    while (Node* node = rest.pop()) {
        status = give_to_engine(*node, false);
        if (status != EXECQ_OK)
            fail_unstarted(*node, status);
    }
    return EXECQ_OK;
}

execq_status Executor::hand_on(Node& node) noexcept
{
    return engine_ != nullptr ? give_to_engine(node, true) : submit_async(node);
}

void Executor::fail_unstarted(Node& node, execq_status status)
{
    if (status == EXECQ_ECLOSED) {
        (void)cancel_unstarted(node, EXECQ_REASON_SHUTDOWN);
    } else if (node.try_start()) {
        const CallbackScope scope;
        node.drop_env();
        node.settle_code(status);
    }
    node.release();
}

// ---- running ----

Node::Start Executor::start_taken(Node& node)
{
    if (mode() == Mode::canceling)
        (void)cancel_unstarted(node, EXECQ_REASON_SHUTDOWN);
    const Node::Start start = node.start_taken();
    if (start == Node::Start::lost)
        node.release();
    else if (start == Node::Start::won && node.turnstile() != nullptr)
        node.turnstile()->starts(node);
    return start;
}

bool Executor::run_taken(Node& node)
{
    const EngineTurn turn(*this);
    const Node::Start start = start_taken(node);
    if (start == Node::Start::lost)
        return false;
    run_body(node, start, this);
    return true;
}

void Executor::help(Node& node)
{
    if (mode() == Mode::canceling) {
        (void)cancel_unstarted(node, EXECQ_REASON_SHUTDOWN);
    } else if (start_waiting(node)) {
        const EngineTurn turn(*this);
        node.retain();  // the engine goes on to hold the executor's
        if (node.turnstile() != nullptr)
            node.turnstile()->starts(node);
        run_body(node, Node::Start::won, this);
    }
}

}  // namespace execq::core
