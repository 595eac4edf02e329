// Floor 2. Waiting from any thread: what a worker does so that its own pool cannot deadlock on it.
#pragma once

#include <cstddef>

#include "base/clock.h"
#include "task/node.h"

namespace execq::core {

class Executor;
class Worker;

// Enough of the worker's stack is left to run a task in place.
bool has_stack_for_another(const Worker& worker);

// EXECQ_OK, EXECQ_ETIMEDOUT, EXECQ_EDEADLK; the rules stand at execq_future_wait.
execq_status wait_for(Node& node, Deadline deadline);
// The same for who goes on running the calling thread's own loop meanwhile, if it has one, and must not be inside
// uv_run of it otherwise (EXECQ_EDEADLK; where it only looks, it does no more than that); the rules stand at
// execq_run_until.
execq_status run_loop_until(Node& node, Deadline deadline);
execq_status wait_for_all(Node* const* nodes, std::size_t n, Deadline deadline);
// And EXECQ_ENOMEM.
execq_status wait_for_any(Node* const* nodes, std::size_t n, Deadline deadline, std::size_t* index);

// For n places in the room of a bounded executor. EXECQ_OK, EXECQ_ETIMEDOUT, EXECQ_ECLOSED; EXECQ_EDEADLK on a worker of that
// executor, where no other thread can come to take a task.
execq_status wait_for_room(Executor& executor, std::uint32_t n, Deadline deadline);

}  // namespace execq::core
