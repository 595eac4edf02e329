// Floor 1. Blocking until nodes are done. What a worker may do instead of blocking is decided on floor 2.
#pragma once

#include <cstddef>

#include "base/clock.h"
#include "task/node.h"

namespace execq::core {

// Sleeps on the node's state word. EXECQ_OK or EXECQ_ETIMEDOUT.
execq_status block_on(Node& node, Deadline deadline);

// Sleeps until one of several nodes is done; *index gets the lowest that is. EXECQ_OK, EXECQ_ETIMEDOUT, EXECQ_ENOMEM.
execq_status block_on_any(Node* const* nodes, std::size_t n, Deadline deadline, std::size_t* index);

// Called by settle() of a node whose lot flag is set; only its address is used, it may be gone.
void tell_lot(const void* node);

}  // namespace execq::core
