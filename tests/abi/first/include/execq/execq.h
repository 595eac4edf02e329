/* libexecq: blocking work off the event loop, the outcome back where it is wanted.
 *
 * This is the umbrella: it includes every header but execq/uv.h, which is the only one that needs <uv.h>.
 *
 * Conventions, which hold for every function unless its own comment says otherwise:
 *
 *  - Names are execq_<noun>_<verb>; the object comes first, then inputs, then out-parameters.
 *  - A function that can fail returns execq_status: EXECQ_OK (0) or a negative EXECQ_E… of status.h. On failure
 *    out-parameters are untouched, no reference is kept, and nothing has changed.
 *  - Times are int64_t nanoseconds on the monotonic clock. In functions they are relative to the call: negative
 *    waits for ever, 0 only looks. Waits never end early.
 *  - Every callback is followed by its `void *env`; where the library keeps that env, an execq_drop_fn `drop` follows
 *    (it may be NULL). A call that takes a drop takes the env with it, whatever it returns: drop(env) runs exactly
 *    once, on failure inside the failing call.
 *  - `_new` and out-parameters of handle type give one reference, `_retain` adds one, `_release` gives one up;
 *    `_release(NULL)` does nothing.
 *  - Options structs start with struct_size; fill them from their EXECQ_…_INIT. Zero means default. A struct_size
 *    below the first version's is EXECQ_EINVAL; a larger struct is taken if the bytes that this version does not
 *    know are zero, else EXECQ_ENOTSUP; unknown flag bits are EXECQ_ENOTSUP. Strings are copied by the call.
 *  - "Threads: any" means any thread at any time, workers and callbacks of this library included.
 *  - No C++ exception leaves a function; one that leaves a task becomes that task's failure, one that leaves another
 *    callback is reported on stderr and dropped. longjmp out of a callback is undefined.
 *  - Writes made before a submission are visible to the task; writes made by the task are visible to whoever sees it
 *    done. */
#ifndef EXECQ_EXECQ_H
#define EXECQ_EXECQ_H

#include <execq/conf.h>
#include <execq/cq.h>
#include <execq/error.h>
#include <execq/executor.h>
#include <execq/future.h>
#include <execq/loop.h>
#include <execq/promise.h>
#include <execq/status.h>
#include <execq/task.h>
#include <execq/types.h>
#include <execq/version.h>

#endif
