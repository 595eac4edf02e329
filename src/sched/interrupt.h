// Floor 2. The signal that interrupts blocked system calls of a body that was asked to stop (EXECQ_TASK_INTERRUPT).
//
// The body of such a task is run by another one, so that others pay nothing. That makes a kernel timer for its thread, and
// has a cancel callback (task/cancel_calls.h) set it. As a signal that comes just before the system call is lost, its
// handler sets the timer again, for later each time. What ends it, in this order: the callback is taken back, the signal
// blocked, the timer deleted, and what is pending taken off. So nothing comes late.
//
// The signal is one that the program leaves alone, the same for all. Everywhere but in such a body workers block it.
#pragma once

#include "execq/status.h"
#include "task/node.h"
#include "task/this_thread.h"

namespace execq::core {

// Has a task that is not made yet run in this way; spec.fn is set. EXECQ_OK, or EXECQ_ENOTSUP where no signal is left.
execq_status make_interruptible(TaskSpec& spec);

// While one lives, the body that this thread is inside of is not interrupted: other tasks run, or their callbacks.
class InterruptPause {
public:
    InterruptPause() : paused_(this_thread.interrupter.load(std::memory_order_relaxed))
    {
        if (paused_ != nullptr) [[unlikely]]
            begin();
    }
    ~InterruptPause()
    {
        if (paused_ != nullptr) [[unlikely]]
            end();
    }
    InterruptPause(const InterruptPause&) = delete;
    InterruptPause& operator=(const InterruptPause&) = delete;

private:
    void begin();
    void end();

    Interrupter* const paused_;
};

}  // namespace execq::core
