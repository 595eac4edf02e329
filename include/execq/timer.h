/* Timers: futures that time completes. Time limits of tasks stand in execq_task_options.
 *
 * One thread of the process keeps all times ("execq-timer"). It starts with the first of them, ends some time after the last
 * one, and runs nothing but drops and done callbacks. Times are on the monotonic clock, are kept in steps of a millisecond,
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

#ifdef __cplusplus
}
#endif

#endif
