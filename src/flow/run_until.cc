#include "flow/run_until.h"

#include "flow/loop_port.h"
#include "sched/thread_loop.h"
#include "sched/wait.h"
#include "task/callbacks.h"

namespace execq::core {

execq_status run_until(Node& node, Deadline deadline)
{
    run_queued();
    if (node.done())
        return EXECQ_OK;
    // A loop that the thread owes its time to would stand still. One's own may be attached, too: it goes on.
    const ThreadLoop* own = ThreadLoop::current();
    if (!deadline.only_look() && LoopPort::this_thread_has_any(own != nullptr ? own->loop() : nullptr))
        return EXECQ_EDEADLK;
    return run_loop_until(node, deadline);
}

}  // namespace execq::core
