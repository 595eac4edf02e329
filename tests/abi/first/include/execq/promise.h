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
#define EXECQ_PROMISE_OPTIONS_INIT {(uint32_t)sizeof(execq_promise_options), 0, NULL, NULL}

/* Makes a promise and its future. The future counts as running until the promise is resolved, rejected or dropped.
 * Ownership: the caller gets one reference to each; options may be NULL. Threads: any. Blocks: never. Order: none.
 * Errors: EXECQ_EINVAL (promise or future NULL, struct_size), EXECQ_ENOTSUP (flags, unknown bytes), EXECQ_ENOMEM.
 * Since: 0.1. */
EXECQ_API execq_status execq_promise_new(const execq_promise_options *options, execq_promise **promise,
                                         execq_future **future);

/* Completes the future with a value.
 * Ownership: on EXECQ_OK the value is the future's, otherwise it stays the caller's. The promise's reference stays.
 * Threads: any. Blocks: never; done callbacks of the future run on this thread (inside the call, or after the done
 *   callback that this call is made in).
 * Order: the first completion wins. Errors: EXECQ_EINVAL (promise NULL), EXECQ_EALREADY (completed before).
 * Since: 0.1. */
EXECQ_API execq_status execq_promise_resolve(execq_promise *promise, void *value);

/* Completes the future with a failure; with EXECQ_ECANCELED after a cancel request it ends canceled.
 * Ownership: the message is copied; NULL stands for no message. The promise's reference stays.
 * Threads, Blocks, Order: as execq_promise_resolve.
 * Errors: EXECQ_EINVAL (promise NULL, code 0), EXECQ_EALREADY (completed before), EXECQ_ENOMEM (for the message; the
 *   promise is still open). Since: 0.1. */
EXECQ_API execq_status execq_promise_reject(execq_promise *promise, int32_t code, const char *message);

/* Says whether the future was asked to cancel.
 * Ownership: none. Threads: any. Blocks: never. Order: none.
 * Errors: EXECQ_EINVAL (promise NULL). Returns 1 or 0. Since: 0.1. */
EXECQ_API int32_t execq_promise_cancel_requested(execq_promise *promise);

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
