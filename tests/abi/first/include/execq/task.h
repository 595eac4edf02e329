/* Submission: a function and its env go to an executor, the outcome comes back as a future, on a loop or in a queue.
 *
 * What all submissions share:
 *  - A NULL executor is resolved by each call: the one of execq_init_conf, else the library's own default.
 *  - A successful submission reaches exactly one terminal state and runs its body at most once. It owns env until the
 *    body has ended (or the task was canceled): drop(env) runs once, before the future is done.
 *  - A failed submission never runs and keeps nothing; options->drop(env) runs once inside the failing call, also where
 *    the rest of the options is rejected. */
#ifndef EXECQ_TASK_H
#define EXECQ_TASK_H

#include <execq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct execq_task_options {
    uint32_t struct_size;
    uint32_t flags;             /* none yet: 0 */
    execq_drop_fn drop;         /* ends the ownership of env */
    execq_drop_fn drop_result;  /* ends the ownership of the value: runs once, at the future's last release, on that
                                   thread, if the task succeeded and nobody took the value (a NULL value too) */
    const char *name;           /* shown in reports; copied; NULL: none */
    uint64_t env_size;          /* bytes; above 0, that many bytes of env are copied and the body gets the copy (aligned
                                   for any type). What the bytes own moves along: drop then gets the copy, or env
                                   itself where the submission fails. */
} execq_task_options;
#define EXECQ_TASK_OPTIONS_INIT {(uint32_t)sizeof(execq_task_options), 0, NULL, NULL, NULL, 0}

/* Runs fn(env) on a worker.
 * Ownership: env stays the caller's business (no drop). With out, the caller gets one reference to the future; with out
 *   NULL the task is fire and forget. The executor is borrowed for the call.
 * Threads: any. Blocks: never (it may start a thread).
 * Order: tasks of one executor start in the order in which they were submitted.
 * Errors: EXECQ_EINVAL (fn NULL), EXECQ_ECLOSED, EXECQ_ENOMEM, EXECQ_EAGAIN (the first thread cannot be started).
 * Since: 0.1. */
EXECQ_API execq_status execq_submit(execq_executor *executor, execq_fn fn, void *env, execq_future **out);

/* Runs fn(env) on a worker, with options (NULL: none).
 * Ownership: as the options say; *out as for execq_submit. Threads: any. Blocks: never. Order: as execq_submit.
 * Errors: those of execq_submit; EXECQ_EINVAL (struct_size, env_size without env), EXECQ_ENOTSUP (flags, unknown
 *   bytes). Since: 0.1. */
EXECQ_API execq_status execq_submit_with(execq_executor *executor, const execq_task_options *options, execq_fn fn,
                                         void *env, execq_future **out);

/* Runs fn(env) on a worker, then done(future, done_env) on the loop's thread: the whole job in one call, as
 * uv_queue_work does it. The loop stays alive until done has run.
 * Ownership: env as the options say. done_env is taken: done_drop(done_env), if not NULL, runs once, after done or when
 *   the registration is withdrawn (the loop is detached), and inside the call where it fails. The future is borrowed
 *   for the length of done. The loop is borrowed for the call.
 * Threads: any; done runs on the loop's thread, never inside this call. Blocks: never.
 * Order: completions of one loop are delivered in the order in which they became complete.
 * Errors: those of execq_submit_with; EXECQ_EINVAL (loop or done NULL), EXECQ_ECLOSED (loop detached). Since: 0.1. */
EXECQ_API execq_status execq_submit_to_loop(execq_executor *executor, const execq_task_options *options, execq_fn fn,
                                            void *env, execq_loop *loop, execq_done_fn done, void *done_env,
                                            execq_drop_fn done_drop);

/* Runs fn(env) on a worker, then puts a completion with this tag into the queue.
 * Ownership: env as the options say. The tag is the caller's: it comes back by execq_cq_drain, or goes to the drop_tag
 *   of execq_cq_close; a failed call keeps nothing of it. The queue is borrowed for the call.
 * Threads: any. Blocks: never. Order: completions of one queue are drained in the order in which they became complete.
 * Errors: those of execq_submit_with; EXECQ_EINVAL (cq NULL), EXECQ_ECLOSED (queue closed). Since: 0.1. */
EXECQ_API execq_status execq_submit_to_cq(execq_executor *executor, const execq_task_options *options, execq_fn fn,
                                          void *env, execq_cq *cq, void *tag);

/* Runs fn(envs[i]) for each i below n, as n tasks; all are accepted or none is.
 * Ownership: each env as for execq_submit_with; on failure drop runs once for each. envs itself is borrowed for the
 *   call; NULL stands for n NULLs. With out, the caller gets n references in out[0 … n-1].
 * Threads: any. Blocks: never. Order: in the order of envs, with nothing of another submission between.
 * Errors: those of execq_submit_with. n = 0 is EXECQ_OK if the rest is valid. Since: 0.1. */
EXECQ_API execq_status execq_submit_many(execq_executor *executor, const execq_task_options *options, size_t n,
                                         execq_fn fn, void *const *envs, execq_future **out);

/* Says whether the task that runs on the calling thread was asked to stop.
 * Ownership: none. Threads: any; 0 outside a task. Blocks: never. Order: none.
 * Errors: none. Returns 1 or 0. A task that stops for it returns EXECQ_ECANCELED and ends canceled. Since: 0.1. */
EXECQ_API int32_t execq_cancel_requested(void);

#ifdef __cplusplus
}
#endif

#endif
