// Floor 1. Canceling a task from outside of it.
#pragma once

#include <cstdint>

#include "execq/status.h"
#include "task/node.h"

namespace execq::core {

// Any thread with a reference to the node, no lock. True, to one caller, if the body never ran and never will: env was
// dropped, the future is done.
bool cancel_unstarted(Node& node, std::int32_t reason);

// The second half of that, for who has claimed the node.
void end_canceled(Node& node);

// The same as cancel_unstarted(), or asks what runs to stop. EXECQ_OK (never ran), EXECQ_EBUSY (asked), EXECQ_EALREADY (done).
execq_status cancel(Node& node, std::int32_t reason);

}  // namespace execq::core
