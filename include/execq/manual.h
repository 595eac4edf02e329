/* Manual executors, for tests: an executor without threads that the caller steps, in an order that a seed decides, on a clock
 * that stands still until it is moved. The same program runs on it as on any other.
 *
 * What it is. An executor: everything that takes one takes it, execq_init_conf too. A task runs inside the call that steps
 * (execq_manual_step, …), on the thread that makes it, which is then a worker of the executor; and inside waits, see below.
 * An asynchronous task runs on that thread's own loop (execq_thread_loop), which each step turns without blocking; what is on
 * that loop happens in real time. As long as some have not ended, no other thread may step.
 *
 * Its clock starts at 0 and is moved by execq_manual_advance, execq_manual_run_for and waits alone: time passes only while
 * nothing is due. On it are delays, time limits and periods of the executor's tasks; exact to the nanosecond.
 *
 * A manual executor is its thread's: of the one that made it or, if others did since, stepped it last. On that thread
 *  - execq_sleep and the timeout of a new group are on its clock (of several: that of the one made, or taken over by a step,
 *    last; in a body: that of its executor). Where NULL stands for a manual executor of another thread they are not;
 *  - every wait (for futures, groups, closed queues, completion queues, room in a full queue or executor, execq_executor_join,
 *    execq_run_until) steps all its manual executors until it is over. The timeout is on that same clock; one of 0 runs one
 *    task that is due. With nothing due the clocks jump, all of the thread's by the same time, to what is due next or to the
 *    end of the wait. A future that only they could bring about, with nothing left to come: EXECQ_EDEADLK. For what somebody
 *    else may do (another thread that completes a promise, or a started asynchronous task) the wait blocks, and looks for
 *    tasks again each millisecond. A wait for a task of another executor takes real time, and moves no clock. A wait in a body
 *    runs what it waits for inside of it, and else what is due: a task of these that waits, in turn, for one that it runs
 *    inside of gets EXECQ_EDEADLK.
 * Waits of other threads block, for as long as nobody steps. execq_loop_call does not step.
 *
 * The last execq_executor_release runs what is due, on the thread that makes it, and cancels what is left, sleeps on its clock
 * included: nobody can step it any more. */
#ifndef EXECQ_MANUAL_H
#define EXECQ_MANUAL_H

#include <execq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* flags of execq_manual_options */
enum {
    EXECQ_MANUAL_STANDS_STILL =
        1 /* waits never move the clock: one for which nothing is left to be done, and that has a
                                     timeout, answers EXECQ_EDEADLK */
};

typedef struct execq_manual_options {
    uint32_t struct_size;
    uint32_t flags; /* EXECQ_MANUAL_… */
    uint64_t seed; /* 0: tasks start in the order in which they came in, but for priorities and asynchronous ones, which
                       have queues of their own. Else each is picked by chance among all that may start: the same seed and
                       the same program, the same order. A queue (execq_queue_new) keeps its order either way */
    const char *name;     /* NULL: "execq" */
    uint32_t capacity;    /* as in execq_executor_options */
    uint32_t full_policy; /* as there */
} execq_manual_options;
#define EXECQ_MANUAL_OPTIONS_INIT                                \
    {                                                            \
        (uint32_t)sizeof(execq_manual_options), 0, 0, NULL, 0, 0 \
    }

/* Makes a manual executor; options may be NULL.
 * Ownership: the caller gets one reference in *out, for execq_executor_release. Threads: any; it is that thread's. Blocks:
 *   never. Order: none.
 * Errors: EXECQ_EINVAL (out NULL, options out of range), EXECQ_ENOTSUP (options of a newer version), EXECQ_ENOMEM,
 *   EXECQ_EAGAIN (65535 executors exist). Since: 0.5. */
EXECQ_API execq_status execq_manual_new(const execq_manual_options *options, execq_executor **out);

/* Sees to the times that are due, turns the loop if asynchronous tasks are open, and runs one task that is due then.
 * Ownership: none. Threads: any, one at a time; in a body, too: the task then runs inside of that. Blocks: for as long as
 *   the task runs. *ran (may be NULL) is 1 if there was one, 0 if there was none; a turn of a queue counts as a task.
 * Order: see execq_manual_options.
 * Errors: EXECQ_EINVAL (NULL, not a manual executor), EXECQ_EBUSY (another thread steps it, or has asynchronous tasks of it
 *   on its loop). Since: 0.5. */
EXECQ_API execq_status execq_manual_step(execq_executor *executor, uint32_t *ran);

/* Steps until nothing is due.
 * Ownership: none. Threads: as execq_manual_step. Blocks: for as long as tasks run. *n (may be NULL): how many did, also
 *   where it fails. Order: as execq_manual_step.
 * Errors: as execq_manual_step. Since: 0.5. */
EXECQ_API execq_status execq_manual_run(execq_executor *executor, uint64_t *n);

/* Moves the clock forward by duration_ns nanoseconds, and runs nothing: tasks whose time comes on the way become due, or are
 * canceled, and sleeps end, in the order of their times. A series (execq_submit_periodic) becomes due once, as it does not go
 * on before it has run.
 * Ownership: none. Threads: as execq_manual_step; drops and done callbacks of what ends run inside. Blocks: never.
 * Order: by time; what has the same time, in the order in which it was submitted.
 * Errors: as execq_manual_step; EXECQ_EINVAL (duration_ns negative). Beyond the end of time it stays there. Since: 0.5. */
EXECQ_API execq_status execq_manual_advance(execq_executor *executor, int64_t duration_ns);

/* The same, but runs all that is due at each time before it goes on to the next.
 * Ownership: none. Threads: as execq_manual_step. Blocks: for as long as tasks run. *n: as execq_manual_run. Order: by time,
 *   then as execq_manual_step.
 * Errors: as execq_manual_advance. Where a task moves the clock itself, it ends no earlier for that. Since: 0.5. */
EXECQ_API execq_status execq_manual_run_for(execq_executor *executor, int64_t duration_ns, uint64_t *n);

/* Reads the clock: nanoseconds since the executor was made.
 * Ownership: none. Threads: any. Blocks: never. Order: none.
 * Errors: EXECQ_EINVAL (NULL, not a manual executor). Since: 0.5. */
EXECQ_API execq_status execq_manual_now(execq_executor *executor, int64_t *ns);

#ifdef __cplusplus
}
#endif

#endif
