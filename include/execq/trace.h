/* Traces: a file that Perfetto (https://ui.perfetto.dev) and chrome://tracing open. One row for each worker, named
 * "<executor>/<number>", and for each other thread that submits, or is called back; slices for submissions, bodies, completions
 * and deliveries; an arrow from a task's submission to each of its runs, to its completion, and to the callback that it is
 * delivered by; asynchronous tasks from start to end; how many tasks of each executor wait.
 *
 * EXECQ_TRACE=file in the environment traces a program that knows nothing of it, from its first executor to its exit ("%p" in
 * the name is the number of the process; a program with more rights than its user ignores it). A file that cannot be written
 * is a line on stderr, and the program goes on untraced.
 *
 * What is traced: the tasks of executors that were made while a trace went on, whichever that was, and that were submitted
 * during this one. The library's own default executor is made at its first use. An executor that was made without a trace
 * pays nothing, then or later. A traced submission makes a task of full size, and some events of 100 to 200 bytes each, kept in
 * 2 MiB for the whole process, and written to the file where 32 KiB of them are full. A child that is forked is not traced
 * unless it starts a trace of its own.
 *
 * Where <sys/sdt.h> was there when the library was built, it has probes for bpftrace, perf and SystemTap, a nop each:
 *
 *   execq:submit    task, name, executor     as on_submit of observe.h
 *   execq:start     task, name, worker       a body, or the start of an asynchronous task, is about to be called
 *   execq:end       task, name               it has returned
 *   execq:complete  task, name, code         as on_end; code: EXECQ_OK, the failure's, EXECQ_ECANCELED
 *   execq:deliver   task, name               a completion is called, or drained
 *   execq:wake      executor, worker         a worker that sleeps is woken
 *
 * The last is there for all executors; the others for those that are observed: traced, or made with EXECQ_EXECUTOR_TIMES,
 * hooks or a watchdog. EXECQ_TRACE=/dev/null observes all. */
#ifndef EXECQ_TRACE_H
#define EXECQ_TRACE_H

#include <execq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Starts a trace of the process: creates the file, or empties it.
 * Ownership: path is borrowed for the call; "%p" in it becomes the number of the process.
 * Threads: any. Blocks: for the file. Order: see above; exit() stops a trace that nobody stopped.
 * Errors: EXECQ_EINVAL (path NULL or empty), EXECQ_EALREADY (one goes on, also by EXECQ_TRACE), EXECQ_EUNWRITABLE (errno says
 *   why; a pipe is refused, too), EXECQ_ENOMEM. Since: 0.5. */
EXECQ_API execq_status execq_trace_start(const char *path);

/* Stops the trace: all that was told is in the file, which is valid JSON. A body that still runs has no end there.
 * Ownership: none. Threads: any. Blocks: for the file. Order: what happens on other threads meanwhile may be in it or not.
 * Errors: EXECQ_EALREADY (none goes on), EXECQ_EUNWRITABLE (the system has refused some of it: the file is incomplete, the
 *   trace over). Since: 0.5. */
EXECQ_API execq_status execq_trace_stop(void);

#ifdef __cplusplus
}
#endif

#endif
