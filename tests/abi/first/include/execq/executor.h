/* Executors: pools of worker threads. */
#ifndef EXECQ_EXECUTOR_H
#define EXECQ_EXECUTOR_H

#include <execq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Most threads that one executor may ask for. */
enum { EXECQ_MAX_THREADS = 4096 };

typedef struct execq_executor_options {
    uint32_t struct_size;
    uint32_t flags;       /* none yet: 0 */
    const char *name;     /* threads are called "<name>/<number>", cut to the system's limit (15 bytes on Linux);
                             NULL: "execq" */
    uint32_t max_threads; /* threads; 0: min(32, cpus + 4), where cpus is the affinity mask capped by the cgroup quota */
    uint32_t reserved;    /* 0 */
} execq_executor_options;
#define EXECQ_EXECUTOR_OPTIONS_INIT {(uint32_t)sizeof(execq_executor_options), 0, NULL, 0, 0}

/* How a close treats work that has not started. */
enum {
    EXECQ_DRAIN = 1, /* run all that was accepted, then stop */
    EXECQ_CANCEL = 2 /* cancel what has not started (reason SHUTDOWN), ask what runs to stop */
};

/* One task that was still running when a join gave up. */
typedef struct execq_running_task {
    char name[48];      /* the task's name, cut and 0-terminated; "" if it has none */
    int64_t running_ns; /* nanoseconds since it started, to the precision of the coarse clock (some 4 ms) */
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
    uint64_t queued;             /* out: tasks neither started nor canceled */
    uint64_t threads;            /* out: worker threads that have not ended */
} execq_shutdown_report;
#define EXECQ_SHUTDOWN_REPORT_INIT {(uint32_t)sizeof(execq_shutdown_report), 0, NULL, 0, 0, 0, 0, 0}

/* Makes an executor. Its threads start on demand, one where a task finds none idle, up to max_threads.
 * Ownership: the caller gets one reference in *out. The last release closes it with EXECQ_DRAIN and does not wait.
 * Threads: any. Blocks: never.
 * Order: tasks start in the order of submission, several at once; nothing is promised about their ends.
 * Errors: EXECQ_EINVAL (out NULL, max_threads above EXECQ_MAX_THREADS, struct_size), EXECQ_ENOTSUP (flags, unknown
 *   bytes), EXECQ_ENOMEM, EXECQ_EAGAIN (65,535 executors exist).
 * Since: 0.1. */
EXECQ_API execq_status execq_executor_new(const execq_executor_options *options, execq_executor **out);

/* Finds what a NULL executor stands for now: the executor of execq_init_conf, else the library's own default with
 * min(32, cpus + 4) threads, made at its first use.
 * Ownership: the caller gets one reference in *out. Threads: any. Blocks: never. Order: none.
 * Errors: EXECQ_EINVAL (out NULL), EXECQ_ENOMEM. Since: 0.1. */
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
 * EXECQ_CANCEL nobody may, and the workers cancel what is queued. A cancel may follow a drain; a drain after a cancel
 * changes nothing.
 * Ownership: none. Threads: any. Blocks: never.
 * Order: each submission either was accepted before the close or gets EXECQ_ECLOSED.
 * Errors: EXECQ_EINVAL (executor NULL, unknown mode). Closing again is EXECQ_OK. Since: 0.1. */
EXECQ_API execq_status execq_executor_close(execq_executor *executor, int32_t mode);

/* Waits until a closed executor has run or canceled all it accepted and its threads have ended.
 * Ownership: the report is the caller's and may be NULL. Threads: any but the executor's own workers.
 * Blocks: up to timeout_ns nanoseconds (negative: for ever; 0: only looks).
 * Order: when it returns EXECQ_OK, every task is terminal, every done callback on a worker has returned.
 * Errors: EXECQ_EINVAL (executor NULL, not closed, report's struct_size), EXECQ_ENOTSUP (report's flags or unknown
 *   bytes), EXECQ_EDEADLK (on one of its workers),
 *   EXECQ_ETIMEDOUT (the report says what was left; joining again is fine). The report is written on EXECQ_OK too.
 * Since: 0.1. */
EXECQ_API execq_status execq_executor_join(execq_executor *executor, int64_t timeout_ns, execq_shutdown_report *report);

#ifdef __cplusplus
}
#endif

#endif
