// Floor 3. Lifting: from a function and its env to a task on an attached loop, or to nothing at all.
#pragma once

#include "base/clock.h"
#include "flow/loop_port.h"
#include "task/node.h"

namespace execq::core {

// EXECQ_OK, EXECQ_ECLOSED, EXECQ_ENOMEM, EXECQ_EAGAIN (no thread for its times, which have no delay). `out` null: fire and forget. On failure spec.drop has run, and nothing else
// happened.
execq_status lift(LoopPort& port, const TaskSpec& spec, execq_future** out);
execq_status lift_async(LoopPort& port, const TaskSpec& spec, execq_async_fn start, execq_future** out);

// Waits for the outcome; the deadline is for the start. EXECQ_EFAILED: *failure gets one reference.
execq_status call_on_loop(LoopPort& port, execq_fn fn, void* env, Deadline deadline, void** result, Error** failure);

}  // namespace execq::core
