/* Submission: a function and its env go to an executor, the outcome comes back as a future, on a loop or in a queue.
 *
 * What all submissions share:
 *  - A NULL executor is resolved by each call: the one of execq_init_conf, else the library's own default.
 *  - A successful submission reaches exactly one terminal state and runs its body at most once. It owns env until the
 *    body has ended (or the task was canceled): drop(env) runs once, before the future is done.
 *  - The context that is active in the caller, or that the options name, is active in the task (see context.h). Where a
 *    foreign one cannot be captured, the submission answers what its provider did; where it cannot be entered, the task
 *    fails with that.
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
    uint32_t flags;            /* EXECQ_TASK_… */
    execq_drop_fn drop;        /* ends the ownership of env */
    execq_drop_fn drop_result; /* ends the ownership of the value: runs once, at the future's last release, on that
                                   thread, if the task succeeded and nobody took the value (a NULL value too) */
    const char *name;          /* shown in reports; copied; NULL: none */
    uint64_t env_size;         /* bytes; above 0, that many bytes of env are copied and the body gets the copy (aligned
                                   for any type). What the bytes own moves along: drop then gets the copy, or env
                                   itself where the submission fails. */
    /* Times, in nanoseconds from the submission; 0: unset; negative: already due. Never early. With any of them a
       submission may answer EXECQ_EAGAIN (the thread that keeps times cannot be started). Since 0.3. */
    int64_t delay_ns; /* not started before. Accepted all the same: a close of the executor, in either mode, cancels
                                what is not due yet (reason SHUTDOWN), as does an executor that cannot take it when it is
                                due; a drain takes no more of them, not even from its own tasks */
    int64_t start_within_ns; /* if not started by then, canceled (reason DEADLINE) */
    int64_t
        timeout_ns; /* if not done by then, canceled, or, where it has started, asked to stop (reason DEADLINE) as by
                                execq_future_cancel. The drop and the done callbacks of what is canceled run on the thread
                                that keeps times, which is why they must not block */
    const char *uv_identity; /* what uv_version_string() returns in the libuv that an asynchronous task calls; NULL:
                                unchecked; no other task looks at it. execq/uv.h fills it in. Since 0.3 */
    /* What composes; since 0.4. Handles are borrowed for the call. */
    int32_t priority;                   /* one of EXECQ_PRIORITY_… */
    uint32_t reserved;                  /* 0 */
    execq_context *context;             /* active in the task; NULL: what is active in the calling thread */
    execq_queue *queue;                 /* the task goes through it */
    uint64_t key;                       /* tasks of one queue with the same key share their turns; 0: none */
    execq_group *group;                 /* the task belongs to it */
    execq_cancel_source *cancel_source; /* cancels the task; where it was canceled before, the task is accepted and ends
                                canceled inside the call (see cancel.h) */
} execq_task_options;
#define EXECQ_TASK_OPTIONS_INIT                                                                                      \
    {                                                                                                                \
        (uint32_t)sizeof(execq_task_options), 0, NULL, NULL, NULL, 0, 0, 0, 0, NULL, 0, 0, NULL, NULL, 0, NULL, NULL \
    }

/* Flags of a task. Since 0.4. */
enum {
    EXECQ_TASK_NO_WAIT = 1, /* the submission never waits, and never runs the task itself: where the executor,
                              or the queue, has no room, it answers EXECQ_EFULL */
    EXECQ_TASK_INTERRUPT =
        2 /* a system call in which the body blocks when it is asked to stop returns EINTR; see below */
};

/* EXECQ_TASK_INTERRUPT: from the moment at which the running body is asked to stop (where execq_on_cancel has callbacks called)
 * its thread is sent a signal, at once and then again and again, the pauses growing from 0.1 to 100 milliseconds, so that a
 * system call that begins just then returns EINTR too. It ends with the body, before its env is dropped: neither another task
 * nor the library ever gets a signal that was meant for this one.
 *  - The body has to look: where a call fails with EINTR, and between calls, execq_cancel_requested() says whether to stop.
 *    Waits of this library go on, as do system calls that the kernel restarts itself. The callbacks that the body's own calls
 *    run (done, drop) are a part of it; tasks that its waits run in place are not, nor are those on the loop that
 *    execq_run_until drives.
 *  - The signal is the highest real-time one below SIGRTMAX that has the default action when the first such task is submitted;
 *    from then on it is the library's, and the program must not touch its action. Where none has, the submission answers
 *    EXECQ_ENOTSUP. Its handler does nothing for the program. It is unblocked while the body runs, and only then; a thread that
 *    runs the task itself (EXECQ_FULL_CALLER_RUNS) has it as before afterwards.
 *  - Threads that the body starts inherit that mask, and so does a program that it executes; they get no signals. A forked
 *    child gets none either. A body that calls exec without fork should block the signal first.
 *  - Each run of a series has its own. Asynchronous tasks, and tasks on a loop (execq_loop_submit), have no body, or no
 *    thread, to be interrupted: EXECQ_ENOTSUP.
 *  - Where the kernel has no timer for it (EXECQ_EAGAIN: RLIMIT_SIGPENDING), or memory is out (EXECQ_ENOMEM), the task fails
 *    with that and its body does not run. */

/* How urgent a task is; any other number is EXECQ_EINVAL. A worker takes high tasks before others, also before those that it
 * has fetched or submitted itself, and low ones after others; but of every 16 tasks that it takes at least one is not high if
 * such a one waits, and of every 64 at least one is low if one waits. Tasks of one class other than NORMAL start in the order
 * of their submission. Among asynchronous tasks the same holds, apart; a high one is taken before other tasks too. What
 * waits for its turn in a queue, or on a loop (execq_loop_submit: EXECQ_ENOTSUP), has no priority. */
enum { EXECQ_PRIORITY_LOW = -1, EXECQ_PRIORITY_NORMAL = 0, EXECQ_PRIORITY_HIGH = 1 };

/* Runs fn(env) on a worker.
 * Ownership: env stays the caller's business (no drop). With out, the caller gets one reference to the future; with out
 *   NULL the task is fire and forget. The executor is borrowed for the call.
 * Threads: any. Blocks: never (it may start a thread).
 * Order: none is promised between tasks of an executor.
 * Errors: EXECQ_EINVAL (fn NULL), EXECQ_ECLOSED, EXECQ_ENOMEM, EXECQ_EAGAIN (the first thread cannot be started).
 *   Where the executor has a capacity: EXECQ_EFULL, EXECQ_ETIMEDOUT, EXECQ_EDEADLK, as its policy says (EXECQ_FULL_…), which
 *   also says whether it blocks. Since: 0.1. */
EXECQ_API execq_status execq_submit(execq_executor *executor, execq_fn fn, void *env, execq_future **out);

/* Runs fn(env) on a worker, with options (NULL: none).
 * Ownership: as the options say; *out as for execq_submit. Threads: any. Blocks: never. Order: as execq_submit.
 * Errors: those of execq_submit; EXECQ_EINVAL (struct_size, reserved, env_size without env, priority, a key without a queue,
 *   a queue of another executor than the one given), EXECQ_ENOTSUP (flags, unknown bytes). Since: 0.1. */
EXECQ_API execq_status execq_submit_with(execq_executor *executor, const execq_task_options *options, execq_fn fn,
                                         void *env, execq_future **out);

/* Runs fn(env) on a worker, then done(future, done_env) on the loop's thread: the whole job in one call, as
 * uv_queue_work does it. The loop stays alive until done has run.
 * Ownership: env as the options say. done_env is taken: done_drop(done_env), if not NULL, runs once, after done or when
 *   the registration is withdrawn (the loop is detached), and inside the call where it fails. The future is borrowed
 *   for the length of done. The loop is borrowed for the call.
 * Threads: any; done runs on the loop's thread, never inside this call. An otherwise idle loop to which other threads
 *   submit has to be held (execq_loop_hold), as it may end before it hears of them. Blocks: never.
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
 * Threads: any. Blocks: never. Order: out is in the order of envs; none is promised between the tasks.
 * Errors: those of execq_submit_with; EXECQ_EINVAL (n is above the capacity of the executor; under
 *   EXECQ_FULL_CALLER_RUNS the caller runs them all). n = 0 is EXECQ_OK if the rest is valid. Since: 0.1. */
EXECQ_API execq_status execq_submit_many(execq_executor *executor, const execq_task_options *options, size_t n,
                                         execq_fn fn, void *const *envs, execq_future **out);

/* Starts an asynchronous task: start(promise, loop, env) runs on a worker, with the worker's own libuv loop
 * (execq_thread_loop). It starts timers, sockets and the like there and returns at once; what it has started completes
 * the promise later. Thousands of such tasks live on one loop: nothing on it, start included, may block.
 * Ownership: start gets one reference to the promise, to be given up by execq_promise_release. env as the options say, but
 *   until the promise is completed: drop runs before the future is done. The handles on the loop are the task's, who
 *   closes them. *out as for execq_submit.
 * Threads: any; start and all callbacks of the loop run on that worker's thread, which alone may touch the loop. The
 *   promise may be completed on any thread.
 * Blocks: never.
 * Order: none is promised. The executor's loop_workers limits how many workers have such tasks at a time. A worker that
 *   has takes other tasks only while no other one is idle or may be started; its loop then waits for these.
 * Errors: those of execq_submit_with (EXECQ_EINVAL: start NULL); EXECQ_ENOTSUP (uv_identity is another copy of libuv than
 *   the executor's). Where the worker has no loop and none can be made (EXECQ_EMFILE, EXECQ_ENOMEM), the future fails with
 *   that code; where its thread ends by pthread_exit before the promise is completed, with EXECQ_EEXITED. What start
 *   throws fails the future, as from any task. Since: 0.3. */
EXECQ_API execq_status execq_submit_async(execq_executor *executor, const execq_task_options *options,
                                          execq_async_fn start, void *env, execq_future **out);

/* Says whether the task that runs on the calling thread was asked to stop.
 * Ownership: none. Threads: any; 0 outside a task. Blocks: never. Order: none.
 * Errors: none. Returns 1 or 0. A task that stops for it returns EXECQ_ECANCELED and ends canceled. Since: 0.1. */
EXECQ_API int32_t execq_cancel_requested(void);

/* Says that the task that runs on the calling thread is about to block, on something that the library does not know of:
 * until execq_blocking_end, the executor may have a spare thread in its place (max_spares). They nest; where the task has
 * ended, or runs another one in place (execq_future_wait), what it has not taken back does not count.
 * Ownership: none. Threads: any; outside of an executor's worker it does nothing. Blocks: never (it may start a thread).
 * Order: none. Errors: none; where there are max_spares in use it does nothing but count. Since: 0.4. */
EXECQ_API void execq_blocking_begin(void);

/* Takes the last execq_blocking_begin of this thread back. More threads than max_threads then go on for as long as their
 * tasks last, and stand by, or leave, after that.
 * Ownership: none. Threads: any; it does nothing where nothing was begun. Blocks: never. Order: none. Errors: none.
 * Since: 0.4. */
EXECQ_API void execq_blocking_end(void);

#ifdef __cplusplus
}
#endif

#endif
