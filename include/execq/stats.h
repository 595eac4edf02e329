/* Statistics: what an executor and its workers do now, and did so far. */
#ifndef EXECQ_STATS_H
#define EXECQ_STATS_H

#include <execq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A distribution of times, from buckets a sixteenth of their value wide: percentiles are given as the upper end of their
 * bucket, at most 6.25 % too large; beyond 18 minutes they are the maximum. All 0 where nothing was counted. */
typedef struct execq_latency {
    uint64_t count;
    int64_t p50_ns; /* nanoseconds, as the next two */
    int64_t p99_ns;
    int64_t max_ns; /* exact */
} execq_latency;

/* What a worker does. */
enum {
    EXECQ_WORKER_ABSENT = 0,  /* there is no thread at this place now */
    EXECQ_WORKER_IDLE = 1,    /* it sleeps, on its loop where it has one to drive */
    EXECQ_WORKER_RUNNING = 2, /* it is inside a blocking task, which may be waiting itself */
    EXECQ_WORKER_AWAKE = 3    /* it looks for work, or runs its loop, or begins an asynchronous task */
};

/* One worker: a place for a thread, which may come and go; the counts go on. */
typedef struct execq_worker_stats {
    uint32_t number;             /* as in the thread's name, "<name>/<number>" */
    uint32_t state;              /* EXECQ_WORKER_… */
    uint32_t has_loop;           /* 1: it has a loop of its own now */
    uint32_t reserved_for_loops; /* 1: one of the reserved_loop_workers */
    uint64_t async_open;         /* asynchronous tasks that began on its loop and whose promise is not completed */
    uint64_t loop_delays;        /* as below, on this worker */
    execq_latency loop_lag;      /* as below, on this worker */
    execq_latency loop_turn;     /* as below, on this worker */
} execq_worker_stats;

/* The caller sets struct_size, worker_size, workers and workers_max; the library fills the rest, as far as struct_size
 * goes, and of each entry worker_size bytes at most.
 *
 * Loop lag says how late workers come to their loops: each turn that a worker gives its loop, while something is alive on
 * it, counts with the time for which it was kept from it. Where the thread slept, that is since the first of a timer that
 * was due, a wake-up that was sent and the end of the sleep, so that what the system takes to run a thread again counts;
 * where it did not sleep, since the turn before ended, whatever it did meanwhile: a blocking task, or the start of
 * asynchronous ones. In that time there may have been nothing to do on the loop: loop lag is an upper limit. It does not
 * contain for how long a callback waits for others of its own loop: that is in the turns themselves, loop_turn. Turns of
 * execq_run_until, which may sleep inside, count for the lag only. A loop counts from the first asynchronous task on, or
 * the first sleep of its worker in it. */
typedef struct execq_stats {
    uint32_t struct_size;
    uint32_t flags;              /* 0 */
    execq_worker_stats *workers; /* in: room for the workers, may be NULL */
    uint64_t workers_max;        /* in: entries of room */
    uint32_t worker_size;        /* in: bytes of an entry: sizeof(execq_worker_stats) */
    uint32_t reserved;           /* 0 */
    uint64_t workers_count;      /* out: entries filled in, by number */
    uint64_t workers_total;      /* out: places that ever had a thread; may exceed workers_count */
    /* now; all threads, reserved ones included */
    uint64_t threads;     /* out: that have not ended */
    uint64_t idle;        /* out: of these, in the state IDLE */
    uint64_t running;     /* out: of these, in the state RUNNING */
    uint64_t threads_max; /* out: as many may there be, now: one more for each that is blocked, up to max_spares */
    /* out: blocking tasks that wait to start, and asynchronous ones. Exact while nobody submits or takes, as far as they lie
     * within the first 16,384 of their inbox; what is behind these is estimated as if it were like them, and left out where
     * it belongs to the same execq_submit_many. Canceled tasks count until a worker finds them. */
    uint64_t queued;
    uint64_t queued_async;
    uint64_t delayed;    /* out: tasks whose delay_ns is not over */
    uint64_t loops;      /* out: workers that have a loop */
    uint64_t async_open; /* out: asynchronous tasks that began and whose promise is not completed */
    /* since the executor was made */
    uint64_t threads_started; /* out */
    uint64_t wakes;           /* out: idle threads that were woken, for work or for a close */
    uint64_t steals;          /* out: times that a worker took tasks that waited with another one */
    /* out: blocking tasks that a worker began while asynchronous tasks or handles were alive on its loop, and which held these
     * up, as no other thread could take them */
    uint64_t loop_delays;
    execq_latency loop_lag;  /* out: how late loops are run, of all workers together */
    execq_latency loop_turn; /* out: for how long the callbacks of one turn run, of all workers together */
    /* Since 0.4. */
    uint64_t spares;      /* out: threads beyond max_threads now, those that stand by included */
    uint64_t most_spares; /* out: the most of them at any time */
    uint64_t blocked;     /* out: threads that said so (execq_blocking_begin), or wait for a task of the executor that
                                   had not started, or for room; now */
    uint64_t blocking_hints;    /* out: times that a task said so */
    uint64_t waits_in_place;    /* out: waits that ran what they waited for themselves */
    uint64_t waits_compensated; /* out: waits that a thread beyond max_threads was called for */
    uint64_t waits_refused;     /* out: waits that were answered EXECQ_EDEADLK as no thread could come */
    /* Since 0.5. Since the executor was made, and 0 without EXECQ_EXECUTOR_TIMES. A periodic task counts as started once for
     * each run, and as completed once. What starts counts before its body, what completes before its future is done. */
    uint64_t submitted;          /* out: tasks that were accepted, or are about to be */
    uint64_t started;            /* out: bodies and start functions that began */
    uint64_t completed_ok;       /* out: tasks that ended with a value */
    uint64_t completed_failed;   /* out: with an error */
    uint64_t completed_canceled; /* out: canceled, before their start or after it */
    execq_latency queue_latency; /* out: from a task's submission, or from when it was due, to its start */
    execq_latency run_time;      /* out: from its start to its end; more of both: execq_executor_latency */
} execq_stats;
#define EXECQ_STATS_INIT                                                                                               \
    {                                                                                                                  \
        (uint32_t)sizeof(execq_stats), 0, NULL, 0, (uint32_t)sizeof(execq_worker_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
            0, 0, 0, 0, 0, 0, {0, 0, 0, 0}, {0, 0, 0, 0}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, {0, 0, 0, 0},            \
        {                                                                                                              \
            0, 0, 0, 0                                                                                                 \
        }                                                                                                              \
    }

/* Tells what an executor does now and did so far. Each figure is of some moment during the call, not all of the same one.
 * Ownership: out and its array are the caller's. Threads: any, also after a close and a join.
 * Blocks: for moments; while it counts what waits in an inbox, no worker takes from that one.
 * Order: what the calling thread has seen done is counted, for all counts but those of loops, which a worker may still
 *   be about to write.
 * Errors: EXECQ_EINVAL (executor or out NULL, struct_size; with workers, a worker_size below the first version's, above
 *   4096 or not a multiple of 8), EXECQ_ENOTSUP (flags, reserved, unknown bytes that are not 0).
 * Since: 0.3. */
EXECQ_API execq_status execq_executor_stats(execq_executor *executor, execq_stats *out);

#ifdef __cplusplus
}
#endif

#endif
