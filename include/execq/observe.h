/* Seeing inside: hooks for each task, a watchdog for those that take too long, how long they wait and run, and a picture of
 * everything in words. */
#ifndef EXECQ_OBSERVE_H
#define EXECQ_OBSERVE_H

#include <execq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How a task ended. */
enum {
    EXECQ_ENDED_OK = 1,
    EXECQ_ENDED_FAILED = 2,
    EXECQ_ENDED_CANCELED = 3,
    EXECQ_ENDED_REFUSED = 4, /* it was not accepted: the submission fails, and nothing ran */
    EXECQ_ENDED_RUN = 5      /* only a run of a periodic task (execq_submit_periodic), which goes on */
};

/* What a hook is told of a task. The library sets struct_size; the struct and its strings are borrowed for the call. */
typedef struct execq_task_event {
    uint32_t struct_size;
    uint32_t outcome;     /* on_end: EXECQ_ENDED_…; else 0 */
    uint64_t task;        /* its number in the process, from 1 on, never used again */
    uint64_t parent;      /* of the task that submitted it, innermost, if that is one of an observed executor; else 0 */
    const char *name;     /* the task's; "" if it has none */
    const char *executor; /* the executor's name */
    int32_t worker; /* the number of the worker that runs it, or ran it; -1 before it started, and where another thread
                             runs it (EXECQ_FULL_CALLER_RUNS) */
    int32_t code;   /* on_end: EXECQ_OK, the failure's code, EXECQ_ECANCELED */
    int64_t thread; /* the system's number of the calling thread */
    int64_t submitted_ns; /* nanoseconds on the monotonic clock, as the next two; 0: not yet */
    int64_t started_ns;   /* of a periodic task: its last run */
    int64_t ended_ns;
} execq_task_event;

/* Called with an event, and the env of its table. */
typedef void (*execq_task_hook)(const execq_task_event *event, void *env);

/* Functions that are called for each task of an executor; each may be NULL. The table is copied, env is kept: drop(env) runs
 * once, after the executor and all futures of its tasks are gone, on whatever thread that happens; where execq_executor_new
 * fails, inside that.
 *
 *   on_submit  on the submitting thread, inside the call, before the task is accepted, once for each task; a submission that
 *              is refused before that (a full executor, no memory) is told to none
 *   on_start   on the thread that is about to run it, once for each run: none for a task that is canceled before it starts
 *   on_end     on the thread that ends it (a worker, or who completes the promise, or cancels), before the future is done,
 *              so that who has seen a future done finds its end told. Once for each on_submit, and besides once for each run
 *              of a periodic task that goes on (EXECQ_ENDED_RUN)
 *
 * For one task they come in this order, and one returns before the next is called; of different tasks many run at a time.
 * A hook may call everything. What it submits itself is not told to any hook, so that hooks do not go on for ever; neither is
 * what a task does that such a call runs in place, unless that task belongs to an observed executor. A close in on_submit
 * refuses the task (EXECQ_ENDED_REFUSED). A wait for the event's own task is EXECQ_EDEADLK. The task goes on only once the
 * hook has returned. An exception that leaves a hook is told as a failure that nobody looked at (conf.h), with the hook in
 * the place of the name, and changes nothing for the task. pthread_exit and longjmp out of a hook are undefined. */
typedef struct execq_hooks {
    uint32_t struct_size;
    uint32_t flags;     /* none yet: 0 */
    execq_drop_fn drop; /* may be NULL */
    void *env;
    execq_task_hook on_submit;
    execq_task_hook on_start;
    execq_task_hook on_end;
} execq_hooks;
#define EXECQ_HOOKS_INIT                                               \
    {                                                                  \
        (uint32_t)sizeof(execq_hooks), 0, NULL, NULL, NULL, NULL, NULL \
    }

/* What is stuck. */
enum {
    EXECQ_STUCK_TASK = 1, /* a blocking task, or the start of an asynchronous one */
    EXECQ_STUCK_LOOP = 2  /* a turn of a worker's loop: a callback on it blocks */
};

/* What a watchdog tells. The library sets struct_size; the struct and its strings are borrowed for the call. */
typedef struct execq_stuck_info {
    uint32_t struct_size;
    uint32_t kind;        /* EXECQ_STUCK_… */
    uint32_t ended;       /* 0: it still goes on; 1: it was told as stuck, and has ended now */
    int32_t worker;       /* the worker's number; -1: another thread (EXECQ_FULL_CALLER_RUNS) */
    uint64_t task;        /* its number in the process, as in execq_task_event; 0: a loop */
    const char *name;     /* the task's, cut to 47 bytes; "" if it has none */
    const char *executor; /* the executor's name */
    int64_t running_ns;   /* nanoseconds since it began; with ended set, until it ended */
    int64_t thread;       /* the system's number of the thread */
} execq_stuck_info;

/* Called for what is stuck; see execq_executor_options.stuck_after_ns. */
typedef void (*execq_stuck_fn)(const execq_stuck_info *info, void *env);

/* What execq_executor_latency measures. The first two need EXECQ_EXECUTOR_TIMES. */
enum {
    EXECQ_LATENCY_QUEUE = 1, /* from a task's submission, or from when it was due, to its start */
    EXECQ_LATENCY_RUN = 2,   /* from its start to its end; of an asynchronous one, to the completion of its promise */
    EXECQ_LATENCY_LOOP_LAG = 3, /* as in execq_stats */
    EXECQ_LATENCY_LOOP_TURN = 4 /* as in execq_stats */
};

/* Reads quantiles of a distribution of times of an executor: for each of n quantiles from 0 to 1 (0.5, 0.999; 1 is the
 * maximum, exactly) the smallest time, in nanoseconds, that at least this share of the times does not exceed, at most 6.25 %
 * too large (see execq_latency). count gets how many times there are; where that is 0, all are 0.
 * Ownership: the arrays are the caller's; count may be NULL, and both arrays where n is 0.
 * Threads: any, also after a close and a join. Blocks: never. Order: as execq_executor_stats.
 * Errors: EXECQ_EINVAL (executor NULL, an array NULL, an unknown kind, a quantile below 0, above 1 or NaN), EXECQ_ENOTSUP (the
 *   kind needs EXECQ_EXECUTOR_TIMES, which the executor was made without).
 * Since: 0.5. */
EXECQ_API execq_status execq_executor_latency(execq_executor *executor, int32_t kind, const double *quantiles, size_t n,
                                              int64_t *out, uint64_t *count);

/* Gets a piece of text, which is not 0-terminated and borrowed for the call. */
typedef void (*execq_write_fn)(const char *text, size_t size, void *env);

/* Writes down what an executor does now, for people: its threads and counts, what waits where, each worker with its state and
 * the tasks that it is inside of, by name and age, and the asynchronous tasks that are open on its loop. The wording may
 * change with any version. The age of a task without a name, of an executor that is not observed (no EXECQ_EXECUTOR_TIMES, no
 * hooks, no watchdog), is counted from when a dump or a join first found it running.
 * Ownership: executor NULL: all that exist, one after the other. env is used during the call only.
 * Threads: any, also in tasks, while it closes and after a join; not in a handler of a signal.
 * Blocks: for moments, in which no task of the executor ends; write is called outside of these, in whole lines, on the calling
 *   thread. Order: none; each executor is of one moment, but for its counts.
 * Errors: EXECQ_EINVAL (write NULL), EXECQ_ENOMEM (then nothing more is written).
 * Since: 0.5. */
EXECQ_API execq_status execq_dump(execq_executor *executor, execq_write_fn write, void *env);

#ifdef __cplusplus
}
#endif

#endif
