// Floor 1. Blocking until nodes are done. What a worker may do instead of blocking is decided on floor 2.
#pragma once

#include <cstddef>

#include "base/clock.h"
#include "base/links.h"
#include "task/node.h"
#include "task/wait_lot.h"

namespace execq::core {

// Sleeps on the node's state word. EXECQ_OK or EXECQ_ETIMEDOUT.
execq_status block_on(Node& node, Deadline deadline);

// Sleeps until one of several nodes is done; *index gets the lowest that is. EXECQ_OK, EXECQ_ETIMEDOUT, EXECQ_ENOMEM.
execq_status block_on_any(Node* const* nodes, std::size_t n, Deadline deadline, std::size_t* index);

// While one lives, call(env) runs when the node is settled, on the settling thread, at once, and perhaps also without
// reason. It must not block, nor do anything with nodes. For those who wait in a way of their own: it cannot fail, and
// leaves nothing behind. After construction look at the node, which may have been done before.
class DoneCall {
public:
    // The caller holds a reference to the node for as long as this lives.
    DoneCall(Node& node, void (*call)(void* env), void* env);
    ~DoneCall();
    DoneCall(const DoneCall&) = delete;
    DoneCall& operator=(const DoneCall&) = delete;

private:
    LotTicket ticket_;
};

// Called by settle() of a node whose lot flag is set; only its address is used, it may be gone.
void tell_lot(const void* node);

}  // namespace execq::core
