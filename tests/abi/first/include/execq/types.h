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
/* An immutable failure: code and message. Reference counted. */
typedef struct execq_error execq_error;

/* A blocking task, run once on a worker. Returns 0 for success, with the value in *result (NULL before the call), or
 * any other code for failure; *result is then ignored. See execq_fail for a message, and EXECQ_ECANCELED in future.h. */
typedef int32_t (*execq_fn)(void *env, void **result);
/* Told that a future is done; the future is borrowed for the call. */
typedef void (*execq_done_fn)(execq_future *future, void *env);
/* Ends the library's ownership of an env, a value or a tag. */
typedef void (*execq_drop_fn)(void *env);

#ifdef __cplusplus
}
#endif

#endif
