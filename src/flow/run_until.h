// Floor 3. Driving the calling thread's own loop until a node is done.
#pragma once

#include "base/clock.h"
#include "task/node.h"

namespace execq::core {

// EXECQ_OK, EXECQ_ETIMEDOUT, EXECQ_EDEADLK; the rules stand at execq_run_until.
execq_status run_until(Node& node, Deadline deadline);

}  // namespace execq::core
