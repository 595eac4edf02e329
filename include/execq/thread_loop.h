/* The libuv loop that a thread has of its own, for work that needs a loop: timers, sockets, pipes, DNS.
 *
 * Each thread has at most one, workers included. It is made when somebody on the thread first asks for it, and needs
 * neither memory nor descriptors before. It belongs to its thread: except for uv_async_send, nothing of libuv may be
 * called on it from elsewhere.
 *
 * Its libuv is the one that libexecq is linked to, and on a worker that of its executor's uv_table: who uses another copy
 * (see loop.h) must not touch it with that.
 *
 * A worker's loop is run by the worker between its tasks, as long as something is alive on it, and inside a task by
 * execq_run_until. What is left on it when the executor closes is run no more, unless an asynchronous task is open there. On any other thread it is run by
 * execq_run_until, or by a uv_run of your own. */
#ifndef EXECQ_THREAD_LOOP_H
#define EXECQ_THREAD_LOOP_H

#include <execq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct uv_loop_s;

/* Finds this thread's own loop, and makes it where there is none yet.
 * Ownership: the loop is the library's; the handles on it are the caller's, who closes them. It is closed by
 *   execq_thread_loop_close, else when the thread ends. One that still has handles or requests then is never closed by
 *   force: it stays as it is, and a thread that is no worker says so on stderr, with the number and type of the handles.
 * Threads: any. Blocks: never. Order: none.
 * Errors: EXECQ_EINVAL (out NULL), EXECQ_ENOMEM, EXECQ_EMFILE (a loop takes four descriptors, the first one of a process
 *   six; eight have to be free), EXECQ_ENOTSUP (the libuv table of the worker's executor is for attaching only),
 *   EXECQ_ECLOSED (the thread is ending, its loop is gone). Where memory runs out inside libuv, libuv may abort.
 * Since: 0.3. */
EXECQ_API execq_status execq_thread_loop(struct uv_loop_s **out);

/* Closes this thread's own loop; asking for it again makes a new one.
 * Ownership: the loop is gone. Threads: any but workers, which close theirs when they leave. Blocks: never.
 * Order: close callbacks of handles that are closing run inside the call.
 * Errors: EXECQ_EINVAL (on a worker), EXECQ_EALREADY (there is no loop), EXECQ_EBUSY (a handle is open, a request is
 *   pending, this is a callback of the loop, or execq_run_until drives it further up the stack; nothing has changed then
 *   but for handles that were closing).
 * Since: 0.3. */
EXECQ_API execq_status execq_thread_loop_close(void);

/* Runs this thread's own loop until the future is done, whatever its outcome; where the thread has no loop, it waits
 * like execq_future_wait. The callbacks of what is on the loop run inside.
 * Ownership: none. Threads: any.
 * Blocks: up to timeout_ns nanoseconds (negative: for ever; 0: one turn of the loop that does not block). It returns
 *   late where a callback does. A task of this worker's executor that has not started is run in place under the rules of
 *   execq_future_wait, unless something is alive on the loop, which that would block. An asynchronous one is started on
 *   this loop, whatever loop_workers says.
 * Order: done callbacks that are queued on this thread run first.
 * Errors: EXECQ_EINVAL (future NULL), EXECQ_ETIMEDOUT, and unless timeout_ns is 0, before blocking, EXECQ_EDEADLK: inside
 *   a callback of this loop, as uv_run is not re-entrant; on the thread of a loop that is attached (execq_loop_attach),
 *   other than this one; and where execq_future_wait would answer it: the future is that of the task that runs here or
 *   of one that it is nested in, or it has not started, may not be run in place and its executor, of which this is a
 *   worker, can start no thread for it. Since: 0.3. */
EXECQ_API execq_status execq_run_until(execq_future *future, int64_t timeout_ns);

#ifdef __cplusplus
}
#endif

#endif
