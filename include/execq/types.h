/* The handles and callback types that the other headers share. The conventions are in execq.h. */
#ifndef EXECQ_TYPES_H
#define EXECQ_TYPES_H

/* EXECQ_FFI is defined only while the declarations-only header for cffi and LuaJIT is generated. */
#ifndef EXECQ_FFI
#include <stddef.h>
#include <stdint.h>
#endif

#if defined(EXECQ_FFI)
#define EXECQ_API
#elif defined(__GNUC__)
#define EXECQ_API __attribute__((visibility("default")))
#else
#define EXECQ_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* EXECQ_OK or a negative EXECQ_E…, listed in status.h. */
typedef int32_t execq_status;

/* A pool of worker threads. Reference counted. */
typedef struct execq_executor execq_executor;
/* The one outcome of one piece of work: pending, running, then ok, failed or canceled. Reference counted. */
typedef struct execq_future execq_future;
/* The writing side of a future, for work that completes later. Reference counted apart from its future. */
typedef struct execq_promise execq_promise;
/* An attached uv_loop_t: a port through which completions reach the loop's thread. Reference counted. */
typedef struct execq_loop execq_loop;
/* A completion queue with one pollable descriptor, for any other event loop. Reference counted. */
typedef struct execq_cq execq_cq;
/* An immutable failure: code, message, cause and payload. Reference counted. */
typedef struct execq_error execq_error;
/* An immutable snapshot of context variables. Reference counted. */
typedef struct execq_context execq_context;
/* An ordered, bounded queue in front of an executor. Reference counted. */
typedef struct execq_queue execq_queue;
/* A scope of tasks with one join, one cancellation, one deadline. Reference counted. */
typedef struct execq_group execq_group;
/* One request to stop, seen by every task, group and callback that is linked to it. Reference counted. */
typedef struct execq_cancel_source execq_cancel_source;

/* What a submission does that finds no room in a bounded executor or queue. Since 0.4.
 * REJECT: answers EXECQ_EFULL.
 * BLOCK: waits for room, or for the close (EXECQ_ECLOSED). On one of the executor's own workers it answers EXECQ_EDEADLK
 *   instead: in a queue always, as room there may depend on this very task; in an executor where no other thread can come to
 *   make room.
 * CALLER_RUNS: in a queue it makes room on the calling thread by running what is next; where nothing may start it does as
 *   BLOCK. In an executor the calling thread runs the task itself, as any other, inside the call; what it cannot run (an
 *   asynchronous task, a delayed one, one of a queue, on a worker without stack for it, or one that is reserved for loops)
 *   is EXECQ_EFULL. */
enum { EXECQ_FULL_REJECT = 0, EXECQ_FULL_BLOCK = 1, EXECQ_FULL_CALLER_RUNS = 2 };

/* A blocking task, run once on a worker. Returns 0 for success, with the value in *result (NULL before the call), or
 * any other code for failure; *result is then ignored. See execq_fail for a message, and EXECQ_ECANCELED in future.h. */
typedef int32_t (*execq_fn)(void *env, void **result);
/* An asynchronous task: called once on a loop's thread, with that loop, to begin work that completes the promise later.
 * It owns one reference of the promise, also where an exception leaves it. */
struct uv_loop_s;
typedef void (*execq_async_fn)(execq_promise *promise, struct uv_loop_s *loop, void *env);
/* Told that cancellation was requested. */
typedef void (*execq_cancel_fn)(void *env);
/* Told that a future is done; the future is borrowed for the call. */
typedef void (*execq_done_fn)(execq_future *future, void *env);
/* Ends the library's ownership of an env, a value or a tag. */
typedef void (*execq_drop_fn)(void *env);

#ifdef __cplusplus
}
#endif

#endif
