// Floor 1. Canceling a task from outside of it.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "execq/status.h"
#include "task/node.h"

namespace execq::core {

// Any thread with a reference to the node, no lock. True, to one caller, if the body never ran and never will: env was
// dropped, the future is done.
bool cancel_unstarted(Node& node, std::int32_t reason);

// The second half of that, for who has claimed the node.
void end_canceled(Node& node);

// Cancels it as cancel_unstarted(), or asks it to stop, in one step. Where it was asked, it has to be told.
Node::Canceled cancel_or_ask(Node& node, std::int32_t reason);

// The same as cancel_unstarted(), or asks what runs to stop. EXECQ_OK (never ran), EXECQ_EBUSY (asked), EXECQ_EALREADY (done).
execq_status cancel(Node& node, std::int32_t reason);

// Waits until no other thread is about to cancel a task of this executor: a worker that finds such a one passes it by, but the
// task is not done yet. EXECQ_OK, EXECQ_ETIMEDOUT.
execq_status await_cancelers(std::uint16_t executor_id, Deadline deadline);

}  // namespace execq::core
