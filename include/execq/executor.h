/* Executors: pools of worker threads. */
#ifndef EXECQ_EXECUTOR_H
#define EXECQ_EXECUTOR_H

#include <execq/observe.h>
#include <execq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct execq_uv_table;

/* Most threads that one executor may ask for. */
enum { EXECQ_MAX_THREADS = 4096 };

/* Begins a thread of an executor, spares and those reserved for loops included.
 * Threads: the new one, which is a worker already: it may submit, and use its loop.
 * Errors: what it returns, if not 0, or EXECQ_EEXCEPTION for what it throws, EXECQ_EEXITED where it ends its thread, breaks the
 *   executor: it is closed with EXECQ_CANCEL, no body runs on that thread, execq_executor_broken tells the first such code, and
 *   that failure is reported once, under the executor's name, as one that nobody consumed (error.h). */
typedef int32_t (*execq_thread_init_fn)(void *env);
/* Ends a thread of an executor, also one that is lost to a pthread_exit. What it throws is reported on stderr and dropped; it
 * must not end its thread, nor wait for its executor, for which the thread is no worker any more. */
typedef void (*execq_thread_final_fn)(void *env);

typedef struct execq_executor_options {
    uint32_t struct_size;
    uint32_t flags;       /* EXECQ_EXECUTOR_…; 0: none */
    const char *name;     /* threads are called "<name>/<number>", cut to the system's limit (15 bytes on Linux); NULL:
                             "execq" */
    uint32_t max_threads; /* threads; 0: min(32, cpus + 4), where cpus is the affinity mask capped by the cgroup quota,
                             but no fewer than min_threads */
    uint32_t min_threads; /* threads, at most max_threads; idle ones beyond it leave. 0: 1. None is started before it is
                             needed. One always stays, so that what is accepted never depends on starting another */
    int64_t keepalive_ns; /* nanoseconds that a thread idles before it may leave; 0: 10 seconds; negative: none */
    /* Threads that asynchronous tasks (execq_submit_async) are on at a time, at most max_threads; 0: as many as are reserved,
     * else max(1, min(cpus, max_threads - 1)). Where max_threads is 0, no more than it stands for. */
    uint32_t loop_workers;
    /* Of max_threads, which has to be larger: as many threads run asynchronous tasks and no blocking one, ever, and no other
     * thread runs asynchronous ones (but in execq_run_until); loop_workers is then 0 or the same. They start on demand and
     * stay until the executor closes; min_threads, at most max_threads - reserved_loop_workers, and keepalive_ns are about
     * the others. Where max_threads is 0, it stands for one more than these if need be. 0: none. Since: 0.3. */
    uint32_t reserved_loop_workers;
    const struct execq_uv_table *uv_table; /* the libuv of the threads' own loops; copied, and the libuv has to stay
                                              loaded as long as the executor's threads; NULL: the one that libexecq is
                                              linked to */
    /* Since 0.4. */
    uint32_t capacity; /* tasks that may be accepted and not started, at most EXECQ_MAX_CAPACITY; 0: any number. A task
                            counts until its body starts or it is canceled, at that very moment: also one that is not due
                            yet, or that waits in a queue in front of the executor. Periodic ones do not count */
    uint32_t
        full_policy; /* what a submission does that finds no room: EXECQ_FULL_…. It waits no longer than the task itself
                             may (start_within_ns, timeout_ns: then EXECQ_ETIMEDOUT), first come, first served */
    int32_t
        max_spares; /* threads beyond max_threads, in the place of those that are blocked (execq_blocking_begin, or a wait for
                            a task of this executor that has not started, or for room in it), at most
                            EXECQ_MAX_THREADS; 0: min(64, max_threads), but none where max_threads is 1, as tasks of such
                            an executor never run side by side; negative: none */
    uint32_t reserved_2; /* 0 */
    /* Since 0.5. Each of these makes the executor an observed one, whose submissions take some hundred nanoseconds more. */
    const struct execq_hooks *hooks; /* called for each task (observe.h); NULL: none */
    /* A watchdog. What holds a thread of the executor up for longer than this many nanoseconds, a task or a turn of a worker's
     * loop, is told to on_stuck, once, and once more when it has ended after all: as soon as that is so, exact to a
     * millisecond and to what the system takes to run a thread. 0: none; negative: EXECQ_EINVAL. */
    int64_t stuck_after_ns;
    /* Called on a thread of the library that does nothing else, one for the process, for one after the other: it may block,
     * and then what comes later is told later. An exception is told as a failure that nobody looked at (conf.h). NULL: a line
     * on stderr. */
    execq_stuck_fn on_stuck;
    void *stuck_env;
    execq_drop_fn
        stuck_drop; /* of stuck_env: once, when all is told, after the executor and all futures of its tasks are
                                 gone; where execq_executor_new fails, inside that. May be NULL */
    /* What its threads are, and what they begin and end with. */
    execq_thread_init_fn
        thread_init; /* called on each thread, of whatever kind, before all else there; NULL: nothing */
    execq_thread_final_fn
        thread_final;          /* called on each thread on which thread_init returned 0, or there is none: after its
                                           last task, when its loop is closed, before destructors of its thread-locals;
                                           NULL: nothing */
    void *thread_env;          /* the env of both, taken by the call */
    execq_drop_fn thread_drop; /* thread_drop(thread_env), if not NULL, runs once: when the executor is freed, after
                                           the last thread_final, or inside the call where it fails. An error without
                                           thread_init and thread_final */
    uint64_t stack_size;       /* bytes of each thread's stack, rounded up to pages, from EXECQ_MIN_STACK_SIZE, or
                                           what the system needs and 48 KiB if that is more, to EXECQ_MAX_STACK_SIZE; 0: the
                                           system's (RLIMIT_STACK). A wait runs tasks in place while 256 KiB are left */
    const uint32_t *affinity;  /* numbers of the processors that threads may run on, each below 1024 and one that
                                           this process may use; copied. NULL: those of the thread that starts one */
    uint32_t affinity_count;   /* how many; 0 if and only if affinity is NULL */
    uint32_t reserved_3;       /* 0 */
} execq_executor_options;
#define EXECQ_EXECUTOR_OPTIONS_INIT                                                                                    \
    {                                                                                                                  \
        (uint32_t)sizeof(execq_executor_options), 0, NULL, 0, 0, 0, 0, 0, NULL, 0, 0, 0, 0, NULL, 0, NULL, NULL, NULL, \
            NULL, NULL, NULL, NULL, 0, NULL, 0, 0                                                                      \
    }

/* Flags of execq_executor_options. Since 0.5. */
enum {
    EXECQ_EXECUTOR_TIMES =
        1 /* count how tasks end, and how long they wait and run: execq_stats, execq_executor_latency */
};

/* Bytes of a thread's stack. */
enum { EXECQ_MIN_STACK_SIZE = 65536, EXECQ_MAX_STACK_SIZE = 1073741824 };

/* The largest capacity of an executor. */
enum { EXECQ_MAX_CAPACITY = 1073741824 };

/* How a close treats work that has not started. */
enum {
    EXECQ_DRAIN = 1, /* run all that was accepted, then stop */
    EXECQ_CANCEL = 2 /* cancel what has not started (reason SHUTDOWN), ask what runs to stop */
};

/* One task that was still running when a join gave up. */
typedef struct execq_running_task {
    char name[48]; /* the task's name, cut and 0-terminated; "" if it has none */
    int64_t
        running_ns; /* nanoseconds since it started, to the precision of the coarse clock (some 4 ms). A task without
                           a name does not read the clock when it starts: for it, since a join first found it running */
    uint64_t reserved;
} execq_running_task;

/* What a join found. The caller sets struct_size, running and running_max; the library fills the rest. */
typedef struct execq_shutdown_report {
    uint32_t struct_size;
    uint32_t flags;              /* 0 */
    execq_running_task *running; /* in: room for the tasks still running, may be NULL */
    uint64_t running_max;        /* in: entries of room */
    uint64_t running_count;      /* out: entries filled in */
    uint64_t running_total;      /* out: tasks still running; may exceed running_count */
    uint64_t queued;             /* out: tasks neither started nor canceled; exact unless a worker takes one meanwhile,
                                    which may be counted as running too */
    uint64_t threads;            /* out: worker threads that have not ended */
    uint64_t left_loops;         /* out: loops of threads that have ended with the user's handles or requests on them,
                                    and are never closed */
    uint64_t left_handles;       /* out: the handles on these */
} execq_shutdown_report;
#define EXECQ_SHUTDOWN_REPORT_INIT                                            \
    {                                                                         \
        (uint32_t)sizeof(execq_shutdown_report), 0, NULL, 0, 0, 0, 0, 0, 0, 0 \
    }

/* Makes an executor. Its threads start on demand, one where a task finds none idle, up to max_threads, and those beyond
 * min_threads leave after keepalive_ns without work.
 * Ownership: the caller gets one reference in *out. The last release closes it with EXECQ_DRAIN and does not wait.
 * Threads: any. Blocks: never, but where affinity is given for as long as a thread takes that tries it.
 * Order: none is promised between tasks.
 * Errors: EXECQ_EINVAL (out NULL, max_threads, min_threads, loop_workers or max_spares above EXECQ_MAX_THREADS, the two in
 *   the middle above a max_threads that is not 0, reserved_loop_workers that leave no thread, fewer than min_threads, or do
 *   not agree with loop_workers, capacity, full_policy, stuck_after_ns, on_stuck or its drop without that, the hooks'
 *   struct_size, struct_size, an incomplete uv_table), EXECQ_ENOTSUP (flags, also of the hooks, unknown
 *   bytes, a uv_table
 *   older than 1.44 or for attaching loops only), EXECQ_ENOMEM, EXECQ_EAGAIN (65,535 executors exist, or no thread can
 *   be started for the watchdog). EXECQ_EINVAL also for a stack_size out of its bounds, an affinity that is not to be had, a
 *   thread_drop without either of the two, and EXECQ_EAGAIN where no thread can be started to try an affinity.
 * Since: 0.1. */
EXECQ_API execq_status execq_executor_new(const execq_executor_options *options, execq_executor **out);

/* Changes how many threads an executor may have, while it runs. It grows at once where work waits. It shrinks as threads
 * finish what they run: idle ones leave now, others after their task, and one whose loop has work when that is over. What an
 * executor derives from max_threads where nothing was chosen (loop_workers, max_spares) follows, loop_workers never exceed
 * max_threads, and reserved_loop_workers stay as they are. An executor that is shrunk to one thread runs tasks one at a time
 * once it has shrunk, but promises no order between them, unless it was made with one.
 * min_threads, max_threads: threads, 0 and the bounds as in execq_executor_options.
 * Ownership: none. Threads: any, also its own workers. Blocks: never.
 * Order: of two resizes the later one holds. What is accepted stays so.
 * Errors: EXECQ_EINVAL (executor NULL, numbers above EXECQ_MAX_THREADS, a max_threads below min_threads and the reserved ones,
 *   or that leaves no other than these), EXECQ_ECLOSED, EXECQ_ENOMEM, EXECQ_ENOTSUP (the executor has an engine of the
 *   host's, or is a manual one). On an error nothing changes. Since: 0.5. */
EXECQ_API execq_status execq_executor_resize(execq_executor *executor, uint32_t min_threads, uint32_t max_threads);

/* Tells what a thread_init of the executor failed with first.
 * Ownership: none. Threads: any. Blocks: never.
 * Order: who got EXECQ_ECLOSED because of that sees it.
 * Errors: 0 where none failed, and for NULL. Since: 0.5. */
EXECQ_API int32_t execq_executor_broken(execq_executor *executor);

/* Finds what a NULL executor stands for now: the executor of execq_init_conf, else the library's own default with
 * min(32, cpus + 4) threads, made at its first use.
 * Ownership: the caller gets one reference in *out. Threads: any. Blocks: never. Order: none.
 * Errors: EXECQ_EINVAL (out NULL), EXECQ_ENOMEM, EXECQ_EAGAIN (as execq_executor_new). Since: 0.1. */
EXECQ_API execq_status execq_executor_default(execq_executor **out);

/* Adds a reference.
 * Ownership: the caller owes one execq_executor_release. Threads: any. Blocks: never. Order: none.
 * Errors: NULL is ignored. Since: 0.1. */
EXECQ_API void execq_executor_retain(execq_executor *executor);

/* Gives up a reference; the last one closes the executor with EXECQ_DRAIN, and its threads end by themselves.
 * Ownership: the caller's reference ends. Threads: any. Blocks: never. Order: none. Errors: NULL is ignored.
 * Since: 0.1. */
EXECQ_API void execq_executor_release(execq_executor *executor);

/* Stops an executor from accepting work. Under EXECQ_DRAIN its own running tasks may still submit to it; under
 * EXECQ_CANCEL nobody may, and the workers cancel what is queued. An asynchronous task runs until its promise is
 * completed; its cancel callback runs under EXECQ_CANCEL, and so do
 * those of running tasks (execq_on_cancel), inside this call. Handles that tasks left on a worker's loop hold nothing up. A
 * cancel may follow a drain; a drain after a cancel changes nothing.
 * Ownership: none. Threads: any. Blocks: never.
 * Order: each submission either was accepted before the close or gets EXECQ_ECLOSED.
 * Errors: EXECQ_EINVAL (executor NULL, unknown mode). Closing again is EXECQ_OK. Since: 0.1. */
EXECQ_API execq_status execq_executor_close(execq_executor *executor, int32_t mode);

/* Waits until a closed executor has run or canceled all it accepted and its threads have ended.
 * Ownership: the report is the caller's and may be NULL. Threads: any but the executor's own workers.
 * Blocks: up to timeout_ns nanoseconds (negative: for ever; 0: only looks).
 * Order: when it returns EXECQ_OK, every task is terminal, every done callback on a worker has returned.
 * Errors: EXECQ_EINVAL (executor NULL, not closed, report's struct_size), EXECQ_ENOTSUP (report's flags or unknown
 *   bytes), EXECQ_EDEADLK (on one of its workers' threads, until that is gone: in destructors of its thread-locals
 *   too; and in callbacks on the thread that keeps times, while delayed tasks are left for that to end), EXECQ_EAGAIN (work is left and no thread can be started for it),
 *   EXECQ_ETIMEDOUT (the report says what was left; joining again is fine). The report is written on EXECQ_OK too.
 * Since: 0.1. */
EXECQ_API execq_status execq_executor_join(execq_executor *executor, int64_t timeout_ns, execq_shutdown_report *report);

#ifdef __cplusplus
}
#endif

#endif
