// Floor 3. Submitting: from a function and its env to a node in an executor's queue, or to nothing at all.
#pragma once

#include <cstddef>

#include "sched/executor.h"
#include "task/node.h"

namespace execq::core {

// One task. `executor` null: resolved now. `completion` (may be null) has a port. `out` null: fire and forget.
// On failure spec.drop and completion->drop have run, and nothing else happened.
execq_status submit(Executor* executor, const TaskSpec& spec, const Completion* completion, execq_future** out);

// n tasks, all or none; envs null: n nulls. On failure spec.drop has run for each.
execq_status submit_many(Executor* executor, const TaskSpec& spec, std::size_t n, void* const* envs,
                         execq_future** out);

}  // namespace execq::core
