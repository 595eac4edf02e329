/* One HTTP answer as an asynchronous task: it resolves a name, connects, asks and reads to the end, on a worker's loop. */
#ifndef FETCH_H
#define FETCH_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <execq/execq.h>

/* Where answers are fetched from. It has to outlive the fetches, all of which share it. */
struct fetch_target {
    const char *host;
    const char *port;
    atomic_uint open; /* connections at this moment; the workers count */
    atomic_uint most; /* the most there were at once */
};

/* The value of a fetch's future. */
struct fetch_answer {
    const struct uv_loop_s *loop; /* the worker's, by which workers can be told apart */
    const char *body;             /* in bytes */
    size_t body_size;
    size_t size;
    char bytes[]; /* status line, headers and body */
};

/* Starts fetching a path. The future's value is a fetch_answer, which is the future's own; it fails with a message that
 * names the step, and is canceled where it takes longer than timeout_ns.
 * Any thread; never blocks. Errors: EXECQ_EINVAL (host, port or path too long), those of execq_submit_async. */
execq_status fetch_submit(execq_executor *executor, struct fetch_target *target, const char *path, int64_t timeout_ns,
                          execq_future **future);

#endif
