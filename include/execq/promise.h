/* Promises: the writing side of a future, for work that completes later and elsewhere. */
#ifndef EXECQ_PROMISE_H
#define EXECQ_PROMISE_H

#include <execq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct execq_promise_options {
    uint32_t struct_size;
    uint32_t flags;            /* none yet: 0 */
    execq_drop_fn drop_result; /* as in execq_task_options */
    const char *name;          /* shown in reports; copied; NULL: none */
} execq_promise_options;
#define EXECQ_PROMISE_OPTIONS_INIT                             \
    {                                                          \
        (uint32_t)sizeof(execq_promise_options), 0, NULL, NULL \
    }

/* Makes a promise and its future. The future counts as running until the promise is resolved, rejected or dropped.
 * Ownership: the caller gets one reference to each; options may be NULL. Threads: any. Blocks: never. Order: none.
 * Errors: EXECQ_EINVAL (promise or future NULL, struct_size), EXECQ_ENOTSUP (flags, unknown bytes), EXECQ_ENOMEM.
 * Since: 0.1. */
EXECQ_API execq_status execq_promise_new(const execq_promise_options *options, execq_promise **promise,
                                         execq_future **future);

/* Completes the future with a value.
 * Ownership: on EXECQ_OK the value is the future's, otherwise it stays the caller's. The promise's reference stays. The
 *   env of the asynchronous task that the promise belongs to, if it does, ends here: its drop runs before the future is
 *   done.
 * Threads: any. Blocks: never, but while the promise's cancel callback runs on another thread; done callbacks of the
 *   future run on this thread (inside the call, or after the done callback that this call is made in).
 * Order: the first completion wins. Errors: EXECQ_EINVAL (promise NULL), EXECQ_EALREADY (completed before).
 * Since: 0.1. */
EXECQ_API execq_status execq_promise_resolve(execq_promise *promise, void *value);

/* Completes the future with a failure; with EXECQ_ECANCELED after a cancel request it ends canceled.
 * Ownership: the message is copied; NULL stands for no message. The promise's reference stays.
 * Threads, Blocks, Order: as execq_promise_resolve.
 * Errors: EXECQ_EINVAL (promise NULL, code 0), EXECQ_EALREADY (completed before), EXECQ_ENOMEM (for the message; the
 *   promise is still open). Since: 0.1. */
EXECQ_API execq_status execq_promise_reject(execq_promise *promise, int32_t code, const char *message);

/* Completes the future with a failure that is there already, which it shares; with code EXECQ_ECANCELED after a cancel
 * request it ends canceled.
 * Ownership: the error is retained; the caller's reference stays the caller's, and so does that of the promise.
 * Threads, Blocks, Order: as execq_promise_resolve.
 * Errors: EXECQ_EINVAL (promise or error NULL), EXECQ_EALREADY (completed before). Since: 0.4. */
EXECQ_API execq_status execq_promise_reject_error(execq_promise *promise, const execq_error *error);

/* Says whether the future was asked to cancel.
 * Ownership: none. Threads: any. Blocks: never. Order: none.
 * Errors: EXECQ_EINVAL (promise NULL). Returns 1 or 0. Since: 0.1. */
EXECQ_API int32_t execq_promise_cancel_requested(execq_promise *promise);

/* Has fn(env) called once if cancellation is requested while the promise is open, or was requested already; one
 * callback per promise. It is not called, and does not go on, once the promise is completed: a completion on another
 * thread waits for it, one inside of it does not.
 * Ownership: env is taken: drop(env), if not NULL, runs once: after fn, or when it is certain that fn is not called
 *   (the promise is completed), or inside the call where it fails.
 * Threads: any. fn runs on the thread of the loop that the task was started on, never inside this call; once that loop
 *   is detached, it is not called any more. For a promise of execq_promise_new it runs on the thread that requests the
 *   cancellation, inside that call, or, if it was requested before, inside this one; inside a done callback it waits
 *   until that returned.
 * Blocks: never. Order: on a loop, with the completions that are delivered there.
 * Errors: EXECQ_EINVAL (promise or fn NULL), EXECQ_EALREADY (completed, or there is a callback), EXECQ_ENOMEM.
 * Since: 0.3. */
EXECQ_API execq_status execq_promise_on_cancel(execq_promise *promise, execq_cancel_fn fn, void *env,
                                               execq_drop_fn drop);

/* Adds a reference to the promise.
 * Ownership: the caller owes one execq_promise_release. Threads: any. Blocks: never. Order: none.
 * Errors: NULL is ignored. Since: 0.1. */
EXECQ_API void execq_promise_retain(execq_promise *promise);

/* Gives up a reference; the last one of an open promise fails its future with EXECQ_EBROKEN, or cancels it if that was
 * asked for.
 * Ownership: the caller's reference ends. Threads: any. Blocks: never, as execq_promise_resolve. Order: none.
 * Errors: NULL is ignored. Since: 0.1. */
EXECQ_API void execq_promise_release(execq_promise *promise);

#ifdef __cplusplus
}
#endif

#endif
