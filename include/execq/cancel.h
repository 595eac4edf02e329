/* Cancellation: callbacks of running tasks, and sources, which link tasks, futures and the caller's own code to one request. */
#ifndef EXECQ_CANCEL_H
#define EXECQ_CANCEL_H

#include <execq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Names a cancel callback; above 0, and never used again in this process. */
typedef uint64_t execq_cancel_token;

/* Has fn(env) called once when the blocking task that runs on the calling thread is asked to stop: by a cancellation, a
 * deadline, or a close of its queue or executor. Several may be registered; a task that a wait runs in place has its own.
 * Ownership: env stays the caller's business, and has to stay valid until execq_off_cancel or the end of the task: the task
 *   is not done, and its env is not dropped, while one of its callbacks runs.
 * Threads: inside the task. fn runs on the thread that asks, inside that call and under no lock, in the task's context; it
 *   must not block, nor wait for the task. If the task was asked already, fn runs inside this call (unless the canceling
 *   thread is about to call it). What the task completes in fn is told when fn has returned. fn may cancel its own task's
 *   future (EXECQ_EBUSY) and cancel source (EXECQ_OK, or EXECQ_EALREADY where it is that which asks), release both, and take
 *   itself back (EXECQ_EALREADY): no callback is called a second time for that.
 * Blocks: never, but as fn does. Order: none is promised.
 * Errors: EXECQ_EINVAL (fn NULL; no task runs here, or the start function of an asynchronous one, which has
 *   execq_promise_on_cancel), EXECQ_ENOMEM. token may be NULL: the callback then ends with the task. *token is set before
 *   fn is called. Since: 0.4. */
EXECQ_API execq_status execq_on_cancel(execq_cancel_fn fn, void *env, execq_cancel_token *token);

/* Takes a callback of the running task back: it does not run, nor will it, once this has returned. The end of the task does
 * the same for all that are left.
 * Ownership: env is the caller's alone again. Threads: inside the same task, or inside the callback itself.
 * Blocks: while the callback runs on another thread; not inside the callback itself, which goes on. Order: none.
 * Errors: EXECQ_OK (it was not called), EXECQ_EALREADY (it was, or the caller is inside of it), EXECQ_EINVAL (the running
 *   task has no such callback, any more or yet). Since: 0.4. */
EXECQ_API execq_status execq_off_cancel(execq_cancel_token token);

typedef struct execq_cancel_source_options {
    uint32_t struct_size;
    uint32_t flags;              /* none yet: 0 */
    execq_cancel_source *parent; /* its cancellation is this one's, too, also if it was before; borrowed; NULL: none */
} execq_cancel_source_options;
#define EXECQ_CANCEL_SOURCE_OPTIONS_INIT                       \
    {                                                          \
        (uint32_t)sizeof(execq_cancel_source_options), 0, NULL \
    }

/* Makes a cancel source. Tasks belong to it by the cancel_source of execq_task_options, groups by that of
 * execq_group_options.
 * Ownership: the caller gets one reference in *out; options may be NULL. The source keeps its parent.
 * Threads: any. Blocks: never. Order: none.
 * Errors: EXECQ_EINVAL (out NULL, struct_size), EXECQ_ENOTSUP (flags, unknown bytes), EXECQ_ENOMEM. Since: 0.4. */
EXECQ_API execq_status execq_cancel_source_new(const execq_cancel_source_options *options, execq_cancel_source **out);

/* Adds a reference.
 * Ownership: the caller owes one execq_cancel_source_release. Threads: any. Blocks: never. Order: none.
 * Errors: NULL is ignored. Since: 0.4. */
EXECQ_API void execq_cancel_source_retain(execq_cancel_source *source);

/* Gives up a reference. Nothing is canceled by that. A source ends when its last reference is gone, every task and
 * future that is linked to it is done, every group that belongs to it has ended,
 * and every source that it is the parent of has ended; callbacks that were not called
 * are dropped then.
 * Ownership: the caller's reference ends. Threads: any, its own callbacks too. Blocks: never. Order: none.
 * Errors: NULL is ignored. Since: 0.4. */
EXECQ_API void execq_cancel_source_release(execq_cancel_source *source);

/* Cancels everything that is linked to the source, and what comes later, for good: tasks that have not started never run
 * (reason CALLER), running ones are asked to stop, futures are canceled as by execq_future_cancel, callbacks are called, and
 * the groups that belong to it, and the sources that it is the parent of, are canceled.
 * Ownership: none. Threads: any, its own callbacks and tasks too; drops, done callbacks and cancel callbacks run inside this
 *   call.
 * Blocks: never, but as those do. Order: the source is canceled before any of them runs; callbacks of the source run first, in
 *   the order of their registration, then groups, then tasks and futures.
 * Errors: EXECQ_EINVAL (source NULL), EXECQ_EALREADY (canceled before; that call may not have returned). Since: 0.4. */
EXECQ_API execq_status execq_cancel_source_cancel(execq_cancel_source *source);

/* Says whether the source was canceled.
 * Ownership: none. Threads: any. Blocks: never. Order: none.
 * Errors: EXECQ_EINVAL (source NULL). Returns 1 or 0. Since: 0.4. */
EXECQ_API int32_t execq_cancel_source_requested(execq_cancel_source *source);

/* Has fn(env) called once when the source is canceled.
 * Ownership: env is taken: drop(env), if not NULL, runs once: after fn, or when it is certain that fn is not called
 *   (execq_cancel_source_off, the end of the source), or inside the call where it fails.
 * Threads: any. fn runs on the thread that cancels, inside that call and under no lock; inside this call if the source was
 *   canceled before. It may cancel and release the source. It runs in the empty context.
 * Blocks: never, but as fn does. Order: as execq_cancel_source_cancel.
 * Errors: EXECQ_EINVAL (source or fn NULL), EXECQ_ENOMEM. token may be NULL; *token is set before fn is called.
 * Since: 0.4. */
EXECQ_API execq_status execq_cancel_source_on_cancel(execq_cancel_source *source, execq_cancel_fn fn, void *env,
                                                     execq_drop_fn drop, execq_cancel_token *token);

/* Takes a callback back: it does not run, nor will it, once this has returned, and its env was dropped.
 * Ownership: drop(env) runs inside the call where that answers EXECQ_OK.
 * Threads: any. Blocks: while the callback runs on another thread; not inside the callback itself, which goes on.
 * Order: none.
 * Errors: EXECQ_OK (it was not called), EXECQ_EALREADY (the source was canceled, and the callback called, or taken back
 *   before), EXECQ_EINVAL (source NULL; the source, not canceled, has no such callback). Since: 0.4. */
EXECQ_API execq_status execq_cancel_source_off(execq_cancel_source *source, execq_cancel_token token);

/* Has the future canceled, as by execq_future_cancel, when the source is; now if the source was canceled before.
 * Ownership: both are borrowed; the link ends when the future is done, and keeps the source until then.
 * Threads: any. Blocks: never. Order: none.
 * Errors: EXECQ_EINVAL (source or future NULL), EXECQ_ENOMEM. A future that is done: EXECQ_OK. Since: 0.4. */
EXECQ_API execq_status execq_cancel_source_link_future(execq_cancel_source *source, execq_future *future);

#ifdef __cplusplus
}
#endif

#endif
