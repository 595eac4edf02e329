// Floor 3. What the submission of nodes with times does besides, in three steps: room with the timekeeper before anything is
// accepted, the acceptance itself, and being kept from then on. All of them are nothing for nodes without times.
#pragma once

#include <cstddef>

#include "base/clock.h"
#include "sched/executor.h"
#include "sched/timekeeper.h"
#include "task/node.h"

namespace execq::core {

class Keeping {
public:
    // For n nodes that are made of this.
    Keeping(Timekeeper& keeper, const TaskSpec& spec, std::size_t n = 1)
        : keeper_(keeper),
          n_(n),
          timed_(spec.times.any()),
          late_(timed_ && spec.times.limit_ns() <= keeper.now()),
          delayed_(spec.times.delayed() && !late_)
    {}
    ~Keeping()
    {
        if (enlisted_)
            keeper_.resign(n_);
    }
    Keeping(const Keeping&) = delete;
    Keeping& operator=(const Keeping&) = delete;

    bool timed() const { return timed_; }

    // EXECQ_OK or EXECQ_EAGAIN.
    execq_status begin()
    {
        if (!timed_)
            return EXECQ_OK;
        const execq_status status = keeper_.enlist(n_);
        enlisted_ = status == EXECQ_OK;
        return status;
    }
    // Before its acceptance, for each: who settles it finds its timekeeper, and where its time is up already it must not start.
    void prepare(Node& node)
    {
        if (timed_)
            node.task_timer()->keeper = &keeper_;
        if (late_)
            (void)node.try_claim_cancel(EXECQ_REASON_DEADLINE);  // nobody else knows it
    }
    // Has the executor take the nodes over by submit(), or, where they are not due yet, notes them with it.
    template <class Submit>
    execq_status accept(Executor& executor, const Submit& submit)
    {
        return delayed_ ? executor.accept_delayed(n_) : submit();
    }
    // After it, for each. The executor's reference is not the caller's any more, but that of the timer keeps the node.
    void keep(Node& node, Executor* executor)
    {
        if (!timed_)
            return;
        enlisted_ = false;
        TaskTimer& timer = *node.task_timer();
        if (delayed_) {
            timer.executor = executor;
            if (Turnstile* turnstile = node.turnstile())
                (void)turnstile->try_retain_use();  // the timekeeper hands the task in there; it is a member until then
        }
        if (late_)
            keeper_.cancel_late(timer);
        else
            keeper_.keep(timer);
    }

private:
    Timekeeper& keeper_;
    const std::size_t n_;
    const bool timed_;
    const bool late_;
    const bool delayed_;
    bool enlisted_ = false;
};

}  // namespace execq::core
