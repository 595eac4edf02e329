// Floor 2. Running bodies on threads that are no workers of the task's executor, and what "the running task" means on any
// thread: the innermost body, of a worker's frame or of one of these.
#pragma once

#include <cstdint>

#include "execq/cancel.h"
#include "task/node.h"

struct uv_loop_s;

namespace execq::core {

class Executor;

// Names the failure of the task that runs on this thread, innermost; nothing outside of all. Takes the error, which is null
// where memory is out.
void say_failure(Error* error);
// The blocking task that runs on this thread, innermost; null: none, or a plain one.
Node* running_node();
// True if that task was asked to stop.
bool running_task_is_to_stop();
// Has fn(env) called once that task is asked to stop, at once if it was; see execq_on_cancel. EXECQ_EINVAL: none runs that
// is no start function. The second is execq_off_cancel.
execq_status on_cancel(execq_cancel_fn fn, void* env, execq_cancel_token* token);
execq_status off_cancel(execq_cancel_token token);
// True for each task that the caller is inside of, or tells an observer of.
bool runs_on_this_thread(const Node& node);
// True for a future that is not done before one of these is.
bool waits_for_this_thread(const Node& node);

// Runs a task that the caller has started, to its end; takes the caller's reference. The executor, if it is given, is where a
// series goes on.
void run_body(Node& node, Node::Start start, Executor* executor = nullptr);

// The end of a body that was started, and not alone; takes the caller's reference and the error (may be null).
void end_body(Node& node, std::int32_t code, void* value, Error* error, Executor* executor);

// Calls the start function of an asynchronous task that the caller has started. The caller's reference becomes that of
// the promise's holders, and its use of the place that of the promise. The worker: of the task's executor, by number.
void run_start(Node& node, Port& place, uv_loop_s* loop, std::int32_t worker = Observation::no_worker);

// The end of a task that returned a code other than 0, with what it said about it (may be null; taken).
void settle_failed(Node& node, std::int32_t code, Error* error, bool asked_to_stop, Reference reference);

}  // namespace execq::core
