// Floor 2. Waiting from any thread: what a worker does so that its own pool cannot deadlock on it.
#pragma once

#include <cstddef>

#include "base/clock.h"
#include "sched/executor.h"
#include "task/node.h"

namespace execq::core {

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

// ---- the parts of a wait, for who waits for tasks that come and go (a group) ----
// The task has not started, and this worker's pool is to start it.
bool queued_here(Worker& worker, const Node& node);
// Only the calling thread can bring it on, by stepping a manual executor.
bool is_stepped_here(const Node& node);
// It may be run in place (Executor::run_in_place).
bool may_run_here(Worker& worker, const Node& node, Deadline deadline);
// Blocking on it could never end: we are inside of it, or it waits for a thread that cannot come. Inside a WaitScope.
bool would_deadlock(Worker* worker, const Node& node, Executor::Relief& relief);

// For n places in the room of a bounded executor. EXECQ_OK, EXECQ_ETIMEDOUT, EXECQ_ECLOSED; EXECQ_EDEADLK on a worker of that
// executor, where no other thread can come to take a task.
execq_status wait_for_room(Executor& executor, std::uint32_t n, Deadline deadline);

}  // namespace execq::core
