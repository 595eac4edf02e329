/* Completion queues: outcomes through one pollable descriptor, for any event loop and any language. */
#ifndef EXECQ_CQ_H
#define EXECQ_CQ_H

#include <execq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One completion: 32 bytes for ever on 64-bit systems. */
typedef struct execq_completion {
    void *tag;            /* as given at registration */
    execq_future *future; /* one reference, the receiver's: release it */
    void *value;          /* as execq_future_result gives it: borrowed from the future; NULL unless status is EXECQ_OK */
    execq_status status;  /* EXECQ_OK, EXECQ_EFAILED or EXECQ_ECANCELED */
    int32_t reserved;     /* 0 */
} execq_completion;

/* Makes a completion queue.
 * Ownership: the caller gets one reference in *out. The last release of an open queue closes it with no drop_tag.
 * Threads: any. Blocks: never. Order: completions are drained in the order in which they became complete.
 * Errors: EXECQ_EINVAL (out NULL), EXECQ_ENOMEM, EXECQ_EMFILE. Since: 0.1. */
EXECQ_API execq_status execq_cq_new(execq_cq **out);

/* The queue's descriptor: readable while completions are there to drain, or once the queue is closed.
 * Ownership: the library's, the same one for the queue's whole life: poll it for reading, never read, write or close it.
 *   It lives until the last reference goes.
 * Threads: any. Blocks: never. Order: level-triggered; spurious readiness happens. An edge-triggered poller is signalled
 *   again where a drain leaves something behind.
 * Errors: EXECQ_EINVAL (cq or fd NULL). Since: 0.1. */
EXECQ_API execq_status execq_cq_fd(execq_cq *cq, int *fd);

/* Takes up to max completions out of the queue.
 * Ownership: out[0 … *n-1] are the caller's, each with one reference to its future. Threads: any. Blocks: never.
 * Order: that of completion.
 * Errors: EXECQ_EINVAL (cq, out or n NULL, max = 0), EXECQ_ECLOSED. With nothing to take it is EXECQ_OK and *n = 0.
 * Since: 0.1. */
EXECQ_API execq_status execq_cq_drain(execq_cq *cq, execq_completion *out, size_t max, size_t *n);

/* Waits until there may be something to drain.
 * Ownership: none. Threads: any. Blocks: up to timeout_ns nanoseconds (negative: for ever; 0: only looks).
 * Order: done callbacks that are queued on this thread run first.
 * Errors: EXECQ_EINVAL (cq NULL), EXECQ_ETIMEDOUT, EXECQ_ECLOSED. Since: 0.1. */
EXECQ_API execq_status execq_cq_wait(execq_cq *cq, int64_t timeout_ns);

/* Closes the queue: completions not yet drained and registrations not yet complete are withdrawn.
 * Ownership: drop_tag (may be NULL) runs once for each withdrawn tag, inside this call. The caller's reference stays.
 * Threads: any. Blocks: never. Order: complete ones first, in order, then the pending ones in the order registered.
 * Errors: EXECQ_EINVAL (cq NULL), EXECQ_EALREADY (closed before; drop_tag is not called). Since: 0.1. */
EXECQ_API execq_status execq_cq_close(execq_cq *cq, execq_drop_fn drop_tag);

/* Adds a reference.
 * Ownership: the caller owes one execq_cq_release. Threads: any. Blocks: never. Order: none.
 * Errors: NULL is ignored. Since: 0.1. */
EXECQ_API void execq_cq_retain(execq_cq *cq);

/* Gives up a reference.
 * Ownership: the caller's reference ends; the last one closes the queue (no drop_tag runs) and, once no registration
 *   needs it, the descriptor. Threads: any. Blocks: never. Order: none. Errors: NULL is ignored. Since: 0.1. */
EXECQ_API void execq_cq_release(execq_cq *cq);

#ifdef __cplusplus
}
#endif

#endif
