// Floor 1. Failures that nobody consumed: who is told of them.
//
// Whoever gives up the last reference to a failed node that nobody has observed reports it here, as does who ran a task
// without a node. The hook is one for the process. It is called without a lock, so it may be replaced while it runs: each
// call holds a reference to what it calls.
//
// Once exit() has begun nothing of the user's is called any more, as what the hook uses may be gone; a line on stderr takes
// its place. The same line stands for a failure that is given up inside the hook, which would be reported by that.
#pragma once

#include <cstdint>

#include "execq/conf.h"
#include "task/error.h"

namespace execq::core {

struct UnobservedHook;

// With one reference; takes env over only where it succeeds. Null: no memory.
UnobservedHook* make_unobserved_hook(execq_unobserved_fn fn, void* env, execq_drop_fn drop);

// What becomes of the next failure. A hook that is given up is dropped once its last call has returned.
void hook_unobserved(UnobservedHook* hook);  // takes the reference over
void print_unobserved();                     // a line on stderr: what a process begins with
void ignore_unobserved();

// Any thread, under no lock. The name is "" where there is none; borrows the error.
void report_unobserved(const char* name, Error& error);

}  // namespace execq::core
