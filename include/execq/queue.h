/* Queues: in front of an executor, in order, with a limit on how many run at once and on how many wait.
 *
 * A task goes through a queue by the queue of execq_task_options. A queue with max_in_flight 1 runs one task at a time, each
 * seeing what the one before wrote: a strand, which needs no lock for what only its tasks touch. */
#ifndef EXECQ_QUEUE_H
#define EXECQ_QUEUE_H

#include <execq/executor.h>
#include <execq/task.h>
#include <execq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    EXECQ_QUEUE_PAUSED = 1 /* starts nothing before execq_queue_resume */
};

typedef struct execq_queue_options {
    uint32_t struct_size;
    uint32_t flags;   /* EXECQ_QUEUE_PAUSED */
    const char *name; /* shown in reports; copied; NULL: none */
    uint32_t
        max_in_flight;    /* tasks that have started and not ended, at most; an asynchronous one ends with its promise;
                                   0: 1 */
    uint32_t full_policy; /* what a submission does that finds no room: EXECQ_FULL_… */
    uint64_t capacity;    /* tasks that were accepted and have not started, at most, those that are not due included;
                                   0: any number */
    uint32_t
        key_max_in_flight; /* the same as max_in_flight, of any one key (execq_task_options); 0: as many as may run */
    uint32_t reserved;     /* 0 */
} execq_queue_options;
#define EXECQ_QUEUE_OPTIONS_INIT                                      \
    {                                                                 \
        (uint32_t)sizeof(execq_queue_options), 0, NULL, 0, 0, 0, 0, 0 \
    }

/* Makes a queue in front of an executor (NULL: resolved now, for the queue's whole life).
 * Ownership: the caller gets one reference in *out. The queue holds one to the executor as long as it lives.
 * Threads: any. Blocks: never.
 * Order: tasks start in the order in which they were submitted; those with different keys take turns, by weight, and stay
 *   in order within a key. A wait never overtakes: it runs in place only what is next. Submissions that are concurrent, or
 *   blocked together, are in no order.
 * Errors: EXECQ_EINVAL (out NULL, struct_size, full_policy, reserved), EXECQ_ENOTSUP (flags, unknown bytes), EXECQ_ENOMEM;
 *   those of execq_executor_default. On a closed executor the queue accepts nothing. Since: 0.4. */
EXECQ_API execq_status execq_queue_new(execq_executor *executor, const execq_queue_options *options, execq_queue **out);

/* Adds a reference.
 * Ownership: the caller owes one execq_queue_release. Threads: any. Blocks: never. Order: none.
 * Errors: NULL is ignored. Since: 0.4. */
EXECQ_API void execq_queue_retain(execq_queue *queue);

/* Gives up a reference; the last one closes the queue with EXECQ_DRAIN.
 * Ownership: the caller's reference ends; accepted tasks still run. Threads: any. Blocks: never. Order: none.
 * Errors: NULL is ignored. Since: 0.4. */
EXECQ_API void execq_queue_release(execq_queue *queue);

/* Stops the queue from starting tasks; it accepts them still, and what runs goes on. A close, of the queue or its executor,
 * resumes it.
 * Ownership: none. Threads: any. Blocks: never. Order: no task starts after it returned until a resume.
 * Errors: EXECQ_EINVAL (queue NULL), EXECQ_ECLOSED (nothing to pause any more). Since: 0.4. */
EXECQ_API execq_status execq_queue_pause(execq_queue *queue);

/* Lets the queue start tasks again.
 * Ownership: none. Threads: any. Blocks: never. Order: as execq_queue_new.
 * Errors: EXECQ_EINVAL (queue NULL), EXECQ_ECLOSED; EXECQ_ENOMEM, EXECQ_EAGAIN (tasks wait, and the executor's first thread
 *   cannot be started: the queue stays paused). Not paused: EXECQ_OK. Since: 0.4. */
EXECQ_API execq_status execq_queue_resume(execq_queue *queue);

/* Gives a key its weight and its limit, until it is given others. A key of weight 3 starts three tasks while one of weight 1
 * starts one, if both have tasks waiting. Keys that were never given any have weight 1 and the limit of the queue's options.
 * Ownership: none. Threads: any. Blocks: never. Order: what has started goes on, also beyond a new limit. Key 0 stands for
 *   the tasks without a key.
 * Errors: EXECQ_EINVAL (queue NULL, weight 0 or above EXECQ_MAX_WEIGHT), EXECQ_ENOMEM. max_in_flight 0: that of the
 *   options. Weight 1 with 0 forgets the key. Since: 0.4. */
EXECQ_API execq_status execq_queue_set_key(execq_queue *queue, uint64_t key, uint32_t weight, uint32_t max_in_flight);
#define EXECQ_MAX_WEIGHT 65536

/* Says how many tasks wait (accepted, not started) and how many run (started, not ended).
 * Ownership: either pointer may be NULL. Threads: any. Blocks: never. Order: a moment's picture.
 * Errors: EXECQ_EINVAL (queue NULL). Since: 0.4. */
EXECQ_API execq_status execq_queue_counts(execq_queue *queue, uint64_t *waiting, uint64_t *running);

/* Stops the queue from accepting tasks. EXECQ_DRAIN runs those that were accepted, but cancels those that are not due yet;
 * EXECQ_CANCEL cancels all that have not started (reason SHUTDOWN; on a worker) and asks those that run to stop. A cancel
 * may follow a drain. The executor stays open.
 * Ownership: *closed (may be NULL) gets one reference to the queue's future, the same one for every call: it succeeds,
 *   with the value NULL, once the queue is closed and its last task has ended.
 * Threads: any, its own tasks too (a cancel asks the one that calls it to stop as well); cancel callbacks of what runs are
 *   called inside the call. Blocks: never.
 * Order: each submission either was accepted before or gets EXECQ_ECLOSED; submitters that are blocked wake up with that.
 * Errors: EXECQ_EINVAL (queue NULL, unknown how). Closing again is EXECQ_OK. A wait for the future in one of the queue's own
 *   tasks is EXECQ_EDEADLK. Since: 0.4. */
EXECQ_API execq_status execq_queue_close(execq_queue *queue, int32_t how, execq_future **closed);

#ifdef __cplusplus
}
#endif

#endif
