// Floor 3. Submitting: from a function and its env to a node in an executor's queue, or to nothing at all.
#pragma once

#include <cstddef>

#include "sched/executor.h"
#include "task/node.h"

namespace execq::core {

// One task. `given` null: resolved now. `out` null: fire and forget. On failure spec.drop has run, and nothing else
// happened.
execq_status submit(Executor* given, const TaskSpec& spec, execq_future** out);

// One task whose completion goes to a port. On failure both drops have run, and nothing else happened.
execq_status submit_with_completion(Executor* given, const TaskSpec& spec, const Completion& completion);

// n tasks, all or none; envs null: n nulls. On failure spec.drop has run for each.
execq_status submit_many(Executor* given, const TaskSpec& spec, std::size_t n, void* const* envs, execq_future** out);

}  // namespace execq::core
