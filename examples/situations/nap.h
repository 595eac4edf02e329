/* Work for a loop, in C: a timer. It stands for whatever libuv can do without blocking. */
#ifndef NAP_H
#define NAP_H

#include <execq/execq.h>

/* Completes the promise with "rested" after *milliseconds (a uint64_t) on this loop. Gives the promise's reference up.
 * It is an execq_async_fn, so that execq_submit_async can start it too. */
void nap(execq_promise *promise, struct uv_loop_s *loop, void *milliseconds);

#endif
