/* Groups: structured concurrency. Tasks are submitted into a group; one join waits for all of them and tells of the first failure.
 *
 * What happens in a group:
 *  - A task belongs to it by the group of execq_task_options, whatever the submission (execq_group_submit is short for one).
 *    Its tasks may submit more into it.
 *  - A failure cancels the others, unless EXECQ_GROUP_KEEP_GOING: those that have not started end canceled, those that run
 *    are asked to stop (reason GROUP), by the thread that saw the failure. The same happens when the group is canceled, its
 *    time is over (reason DEADLINE), its cancel source is canceled (reason CALLER, as everything that is linked to a source),
 *    or the group outside of it is canceled (that one's reason).
 *  - A canceled group accepts nothing any more (EXECQ_ECLOSED), nor does one whose join has returned its outcome.
 *  - A group inside another one (parent) belongs to it: the outer one's join waits for the inner one's tasks, too. What
 *    happened in the inner one is for who joins that. Where it is given up without a join, its outcome goes to
 *    the outer one, as that of a task.
 *  - The failures of its tasks count as seen (error.h). The first one is reported if nobody asks the group for it. */
#ifndef EXECQ_GROUP_H
#define EXECQ_GROUP_H

#include <execq/task.h>
#include <execq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    EXECQ_GROUP_KEEP_GOING = 1 /* a failure does not cancel the others */
};

typedef struct execq_group_options {
    uint32_t struct_size;
    uint32_t flags;      /* EXECQ_GROUP_KEEP_GOING */
    const char *name;    /* shown in reports; copied; NULL: none */
    execq_group *parent; /* the group that this one is inside of; NULL: none */
    execq_executor
        *executor;      /* with max_in_flight: where all of its tasks run (NULL: resolved now, for the group's whole
                                  life); else NULL */
    int64_t timeout_ns; /* nanoseconds from now, after which it is canceled; negative: it is over already; 0: none */
    uint32_t max_in_flight; /* of its own tasks, at most so many that have started and not ended; the others wait, in
                                  order, as in an execq_queue; tasks of inner groups do not count. 0: any number */
    uint32_t reserved;      /* 0 */
    execq_cancel_source *cancel_source; /* its cancellation is the group's, too (reason CALLER), also if it was before;
                                           borrowed; NULL: none */
} execq_group_options;
#define EXECQ_GROUP_OPTIONS_INIT                                                  \
    {                                                                             \
        (uint32_t)sizeof(execq_group_options), 0, NULL, NULL, NULL, 0, 0, 0, NULL \
    }

/* Makes a group (options NULL: none).
 * Ownership: the caller gets one reference in *out. An inner group keeps the outer one; one with max_in_flight holds a
 *   reference to its executor as long as it lives. It keeps its cancel source; the link ends when the group is joined, or
 *   canceled, or has neither a reference nor a task any more. A group of a source that is canceled is made, and is canceled.
 * Threads: any. Blocks: never (it may start the thread that keeps times). Order: none.
 * Errors: EXECQ_EINVAL (out NULL, struct_size, reserved, an executor without max_in_flight), EXECQ_ENOTSUP (flags, unknown
 *   bytes), EXECQ_ENOMEM, EXECQ_EAGAIN (timeout_ns), EXECQ_ECLOSED (the parent is canceled or joined); with max_in_flight
 *   those of execq_executor_default. Since: 0.4. */
EXECQ_API execq_status execq_group_new(const execq_group_options *options, execq_group **out);

/* Adds a reference.
 * Ownership: the caller owes one execq_group_release. Threads: any. Blocks: never. Order: none.
 * Errors: NULL is ignored. Since: 0.4. */
EXECQ_API void execq_group_retain(execq_group *group);

/* Gives up a reference. The last one detaches the tasks: they go on, may not add others, and are not canceled. As soon as
 * none is left in the group or inside of it, it closes, and with it the groups inside, also those that somebody still has
 * a reference to (EXECQ_ECLOSED; a join tells how they went): who uses an inner group keeps the outer one.
 * Ownership: the caller's reference ends. A task that submits into its group needs one of its own, or somebody's who joins.
 * Threads: any. Blocks: never. Order: none. Errors: NULL is ignored. Since: 0.4. */
EXECQ_API void execq_group_release(execq_group *group);

/* Runs fn(env) on a worker, as a task of the group: execq_submit_with with the group set in the options (NULL: none).
 * Ownership: as execq_submit_with. Threads: any, the group's own tasks too. Blocks: never. Order: none; with max_in_flight
 *   tasks start in the order in which they were submitted.
 * Errors: those of execq_submit_with; EXECQ_EINVAL (group NULL, another group in the options; with max_in_flight another
 *   executor than the group's, a queue in the options), EXECQ_ECLOSED (canceled, or joined). With max_in_flight periodic tasks
 *   and those that run on a loop are EXECQ_ENOTSUP. Since: 0.4. */
EXECQ_API execq_status execq_group_submit(execq_group *group, execq_executor *executor,
                                          const execq_task_options *options, execq_fn fn, void *env,
                                          execq_future **out);

/* Cancels the group, and those inside of it: what has not started ends canceled, what runs is asked to stop (reason GROUP).
 * Ownership: none. Threads: any, its own tasks too. Blocks: never; drops and done callbacks of what is canceled run inside
 *   the call.
 * Order: each submission either was accepted before, and is canceled, or gets EXECQ_ECLOSED.
 * Errors: EXECQ_EINVAL (group NULL), EXECQ_EALREADY (it was canceled before, or is joined). Since: 0.4. */
EXECQ_API execq_status execq_group_cancel(execq_group *group);

/* Waits until no task is left in the group and those inside of it, then closes it and tells how it went. Tasks that are added
 * while it waits count. A worker meanwhile runs tasks of the group that have not started, as execq_future_wait does.
 * Ownership: none; the caller holds a reference for the length of the call. Threads: any; several may join, and again: all
 *   get the same. Blocks: for timeout_ns nanoseconds at most; negative: for ever; 0: never.
 * Order: all tasks are done, and what the library held of them is given up, before it returns their outcome.
 * Errors: EXECQ_OK (all succeeded), EXECQ_EFAILED (see execq_group_error), EXECQ_ECANCELED (nothing failed, but the group or
 *   one of its tasks was canceled; see execq_group_cancel_reason); EXECQ_EINVAL (group NULL), EXECQ_ETIMEDOUT (the group
 *   stays open), EXECQ_EDEADLK (the caller is inside a task of the group, or of one inside of it; or a task
 *   waits for a thread that cannot come, as for execq_future_wait, which may also turn out when one is added). Since: 0.4. */
EXECQ_API execq_status execq_group_join(execq_group *group, int64_t timeout_ns);

/* The first failure in the group so far, in the order in which the tasks ended; it stays the first.
 * Ownership: borrowed; lives as long as the group, or as who retains it. NULL: nothing failed so far. Threads: any.
 * Blocks: never. Order: none. Errors: NULL for NULL. Since: 0.4. */
EXECQ_API const execq_error *execq_group_error(execq_group *group);

/* Who canceled the group or, where that was nobody, the first of its tasks that ended canceled: one of EXECQ_REASON_….
 * Ownership: none. Threads: any. Blocks: never. Order: none. Errors: EXECQ_EINVAL (group NULL). Since: 0.4. */
EXECQ_API int32_t execq_group_cancel_reason(execq_group *group);

#ifdef __cplusplus
}
#endif

#endif
