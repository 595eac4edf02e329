// Floor 1. Running the user's callbacks on this thread, one after the other.
//
// A completion made inside a callback is queued on its thread and runs after that callback returned: the length of a
// chain never grows the stack, and no callback of ours is ever nested in another. A wait runs that queue first, since
// what it waits for may be in it.
#pragma once

#include "execq/conf.h"
#include "execq/executor.h"
#include "task/node.h"

namespace execq::core {

// While one lives, this thread is inside a callback; the outermost runs what was queued, when it ends.
class CallbackScope {
public:
    CallbackScope();
    ~CallbackScope();
    CallbackScope(const CallbackScope&) = delete;
    CallbackScope& operator=(const CallbackScope&) = delete;

private:
    bool outermost_;
};

bool inside_callback();

// Runs done(future, env) and drop(env), then gives the registration up; queues it inside a callback.
void run_or_queue(Registration& registration);
// The same at once, for a port that delivers on its thread, inside a CallbackScope.
void run_now(Registration& registration, Port* port);
// What is queued on this thread, from inside a wait.
void run_queued();

// A user's drop, done, cancel or hook; an exception that leaves it is reported on stderr and dropped. The node's context is
// active in done and cancel callbacks, and the empty one in drops, which may run on any thread.
void call_drop(execq_drop_fn drop, void* env);
void call_done(execq_done_fn done, Node& node, void* env);
void call_cancel(execq_cancel_fn cancel, Context* context, void* env);
void call_thread_final(execq_thread_final_fn fn, void* env);
void call_unobserved(execq_unobserved_fn fn, const execq_error* error, const char* name, void* env);

}  // namespace execq::core
