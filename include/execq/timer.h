/* Timers: futures that time completes, and tasks that run again and again. Time limits of tasks stand in
 * execq_task_options.
 *
 * One thread of the process keeps all times ("execq-timer"). It starts with the first of them, ends some time after the last
 * one, and runs nothing but drops and done callbacks. (Those of manual executors have clocks of their own: execq/manual.h.) Times are on the monotonic clock, are kept in steps of a millisecond,
 * and never end early. */
#ifndef EXECQ_TIMER_H
#define EXECQ_TIMER_H

#include <execq/task.h>
#include <execq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Makes a future that succeeds, with the value NULL, once a time has passed. Until then it is pending and can be canceled
 * (execq_future_cancel answers EXECQ_OK); its timer ends with that at once, but not with its last release.
 * Ownership: the caller gets one reference in *out.
 * Threads: any; done callbacks run on the thread that keeps times. Blocks: never, neither here nor on a worker: any number
 *   may be under way. duration_ns is in nanoseconds; 0: the next step; negative: never, so that only a cancellation ends it.
 * Order: sleeps that end in the same millisecond end in the order in which they were made.
 * Errors: EXECQ_EINVAL (out NULL), EXECQ_ENOMEM, EXECQ_EAGAIN (the thread cannot be started). Since: 0.3. */
EXECQ_API execq_status execq_sleep(int64_t duration_ns, execq_future **out);

/* From where the period of a series is counted. At a fixed rate each run is due a multiple of the period after the first;
 * times that have passed when a run ends are left out, and no run makes up for them. */
enum {
    EXECQ_FIXED_RATE = 1, /* from when the run before was due */
    EXECQ_FIXED_DELAY = 2 /* from when the run before ended */
};

/* Runs fn(env) on workers of the executor again and again, one run at a time: first options->delay_ns after the call (not
 * set: at once), then period_ns nanoseconds (at least 1; below a millisecond it is one) after the run before, in one of the
 * modes above. A run may be late, where no worker is free, never early; a run that the executor cannot take for want of
 * memory or of a first thread is tried again every 10 milliseconds until it can.
 *
 * The future stands for the series. It is pending between two runs, running within one, and done with the end of the series:
 *  - execq_future_cancel: EXECQ_OK, to exactly one caller, where no run is under way and none will come; EXECQ_EBUSY where
 *    one is under way: it is asked to stop, and the series ends canceled after it;
 *  - a run that does not return 0, or throws: the series fails with that, as any task, or ends canceled where it was asked
 *    to stop and returns EXECQ_ECANCELED;
 *  - options->timeout_ns, which counts for the series as a whole: canceled, or asked to stop (reason DEADLINE); and
 *    options->start_within_ns, which counts for the first run alone: canceled where that has not started by then;
 *  - a close of the executor, in either mode: canceled (reason SHUTDOWN), once a run that is under way has ended. Under
 *    EXECQ_DRAIN a run that was due already still comes.
 * It never succeeds: what a run that returns 0 left in *result goes to options->drop_result (a NULL value too) right after
 * that run.
 * Ownership: env as the options say, until the series ends: drop(env) runs once, before the future is done. *out as for
 *   execq_submit; with out NULL, or after its release, the series goes on until something else ends it, at the latest the
 *   close of the executor, which it does not keep open.
 * Threads: any; the runs are on any of the executor's workers. Blocks: never. A wait for the future within a run of it is
 *   EXECQ_EDEADLK, and no wait runs it in place.
 * Order: a run sees what the run before it wrote.
 * Errors: those of execq_submit_with; EXECQ_EINVAL (period_ns below 1, unknown mode), EXECQ_ENOTSUP (a queue: a series has its
 *   own order; let a run submit to it), EXECQ_EAGAIN (the thread that keeps
 *   times cannot be started). A drain takes no series, not even from its own tasks. Since: 0.3. */
EXECQ_API execq_status execq_submit_periodic(execq_executor *executor, const execq_task_options *options,
                                             int64_t period_ns, int32_t mode, execq_fn fn, void *env,
                                             execq_future **out);

#ifdef __cplusplus
}
#endif

#endif
