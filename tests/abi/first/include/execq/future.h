/* Futures: the one outcome of one piece of work, and every way to learn of it. */
#ifndef EXECQ_FUTURE_H
#define EXECQ_FUTURE_H

#include <execq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where a future stands; the last three are final ("done"). */
enum {
    EXECQ_FUTURE_PENDING = 0,  /* not started */
    EXECQ_FUTURE_RUNNING = 1,  /* started, or a promise that is still open */
    EXECQ_FUTURE_OK = 2,       /* has a value */
    EXECQ_FUTURE_FAILED = 3,   /* has an error */
    EXECQ_FUTURE_CANCELED = 4  /* has a cancel reason */
};

/* Who asked for a cancellation. */
enum {
    EXECQ_REASON_NONE = 0,
    EXECQ_REASON_CALLER = 1,   /* execq_future_cancel */
    EXECQ_REASON_DEADLINE = 2, /* a time limit (from 0.3) */
    EXECQ_REASON_SHUTDOWN = 3, /* execq_executor_close with EXECQ_CANCEL */
    EXECQ_REASON_GROUP = 4     /* a group (from 0.4) */
};

/* Adds a reference.
 * Ownership: the caller owes one execq_future_release. Threads: any. Blocks: never. Order: none.
 * Errors: NULL is ignored. Since: 0.1. */
EXECQ_API void execq_future_retain(execq_future *future);

/* Gives up a reference. The work goes on: releasing is not cancelling.
 * Ownership: the caller's reference ends; the last one runs drop_result, if it is due, on this thread.
 * Threads: any, also inside the future's own callback. Blocks: never. Order: none. Errors: NULL is ignored.
 * Since: 0.1. */
EXECQ_API void execq_future_release(execq_future *future);

/* Says where the future stands: one of EXECQ_FUTURE_…
 * Ownership: none. Threads: any. Blocks: never. Order: none. Errors: EXECQ_EINVAL (future NULL). Since: 0.1. */
EXECQ_API int32_t execq_future_state(execq_future *future);

/* Waits until the future is done, whatever its outcome. On a worker of the executor that holds the task, an unstarted
 * task is run in place by a wait without a time limit.
 * Ownership: none. Threads: any. Blocks: up to timeout_ns nanoseconds (negative: for ever; 0: only looks).
 * Order: done callbacks that are queued on this thread run first.
 * Errors: EXECQ_EINVAL (future NULL), EXECQ_ETIMEDOUT, EXECQ_EDEADLK before blocking: the future is that of the task
 *   that runs here or of one that it is nested in; or it has not started, may not be run in place (a time limit, a loop
 *   callback, less than 256 KiB of stack) and its executor, of which this is a worker, can start no thread for it.
 * Since: 0.1. */
EXECQ_API execq_status execq_future_wait(execq_future *future, int64_t timeout_ns);

/* Waits until every future is done.
 * Ownership: borrows the array. Threads: any. Blocks: up to timeout_ns nanoseconds in all. Order: as execq_future_wait.
 * Errors: those of execq_future_wait; EXECQ_EINVAL (an entry NULL, futures NULL with n > 0). n = 0 is EXECQ_OK.
 * Since: 0.1. */
EXECQ_API execq_status execq_future_wait_all(execq_future *const *futures, size_t n, int64_t timeout_ns);

/* Waits until one of the futures is done.
 * Ownership: borrows the array; *index (may be NULL) gets the lowest index found done. Threads: any.
 * Blocks: up to timeout_ns nanoseconds. It never runs a task in place.
 * Order: as execq_future_wait.
 * Errors: EXECQ_EINVAL (futures NULL, n = 0, an entry NULL), EXECQ_ETIMEDOUT, EXECQ_ENOMEM (n above 16), EXECQ_EDEADLK
 *   (each of them would be EXECQ_EDEADLK in execq_future_wait).
 * Since: 0.1. */
EXECQ_API execq_status execq_future_wait_any(execq_future *const *futures, size_t n, int64_t timeout_ns, size_t *index);

/* Looks at the outcome.
 * Ownership: *value (may be NULL) is borrowed: valid until the last release of the future.
 * Threads: any. Blocks: never. Order: none.
 * Errors: EXECQ_EINVAL (future NULL), EXECQ_EPENDING, EXECQ_ECANCELED, EXECQ_EFAILED (see execq_future_error),
 *   EXECQ_EALREADY (the value was taken). Since: 0.1. */
EXECQ_API execq_status execq_future_result(execq_future *future, void **value);

/* Takes the value out of the future, to exactly one caller.
 * Ownership: the value becomes the caller's; drop_result will not run. Threads: any. Blocks: never. Order: none.
 * Errors: those of execq_future_result; EXECQ_EINVAL (value NULL). Since: 0.1. */
EXECQ_API execq_status execq_future_take(execq_future *future, void **value);

/* The failure, or NULL unless the future failed.
 * Ownership: borrowed until the last release of the future; execq_error_retain keeps it longer.
 * Threads: any. Blocks: never. Order: none.
 * Errors: NULL for NULL. Where memory for it is out, a static error with code EXECQ_ENOMEM. Since: 0.1. */
EXECQ_API const execq_error *execq_future_error(execq_future *future);

/* Cancels a task that has not started, or asks one that runs to stop.
 * Ownership: none; env is dropped inside the call where it answers EXECQ_OK. Threads: any. Blocks: never.
 * Order: EXECQ_OK goes to exactly one caller, and only if the body never ran and never will; the future is then done,
 *   and its done callbacks have run or are on their way.
 * Errors: EXECQ_EINVAL (future NULL), EXECQ_EBUSY (runs, or belongs to an open promise: asked to stop),
 *   EXECQ_EALREADY (done). Since: 0.1. */
EXECQ_API execq_status execq_future_cancel(execq_future *future);

/* Who asked first for the cancellation: one of EXECQ_REASON_…, NONE if nobody did.
 * Ownership: none. Threads: any. Blocks: never. Order: none. Errors: EXECQ_EINVAL (future NULL). Since: 0.1. */
EXECQ_API int32_t execq_future_cancel_reason(execq_future *future);

/* Runs fn(future, env) once the future is done, on the thread that completes it; fn must not block.
 * Ownership: env is taken: drop(env), if not NULL, runs once after fn, or inside the call where it fails.
 * Threads: any. Blocks: never.
 * Order: callbacks of one future run in the order of registration, after its waiters were woken. If the future is
 *   already done, fn runs inside this call. A completion made inside a done callback is queued on that thread and its
 *   callbacks run after that callback returned, so chains of any length keep the stack flat.
 * Errors: EXECQ_EINVAL (future or fn NULL), EXECQ_ENOMEM. Since: 0.1. */
EXECQ_API execq_status execq_future_on_done(execq_future *future, execq_done_fn fn, void *env, execq_drop_fn drop);

/* Runs fn(future, env) once the future is done, on the loop's thread. The loop stays alive until then.
 * Ownership: env is taken: drop(env), if not NULL, runs once: after fn, or inside execq_loop_detach where that withdraws
 *   the registration, or inside the call where it fails.
 * Threads: any; fn never runs inside this call. Blocks: never. Order: that of completion, per loop.
 * Errors: EXECQ_EINVAL (future, loop or fn NULL), EXECQ_ECLOSED (loop detached), EXECQ_ENOMEM. Since: 0.1. */
EXECQ_API execq_status execq_future_on_loop(execq_future *future, execq_loop *loop, execq_done_fn fn, void *env,
                                            execq_drop_fn drop);

/* Puts a completion with this tag into the queue once the future is done.
 * Ownership: the tag stays the caller's business; see execq_submit_to_cq. Threads: any. Blocks: never.
 * Order: that of completion, per queue.
 * Errors: EXECQ_EINVAL (future or cq NULL), EXECQ_ECLOSED (queue closed), EXECQ_ENOMEM. Since: 0.1. */
EXECQ_API execq_status execq_future_on_cq(execq_future *future, execq_cq *cq, void *tag);

#ifdef __cplusplus
}
#endif

#endif
