/* A uv loop with a port attached, and what tests note about deliveries. */
#ifndef EXECQ_TESTS_UV_LOOP_H
#define EXECQ_TESTS_UV_LOOP_H

#include "capi.h"

#include <execq/uv.h>

typedef struct attached {
    uv_loop_t loop;
    execq_loop *port;
} attached;

static inline void attached_open(attached *a)
{
    assert_int_equal(uv_loop_init(&a->loop), 0);
    a->port = NULL;
    assert_status(execq_loop_attach(&a->loop, &a->port), EXECQ_OK);
    assert_non_null(a->port);
}

/* For a loop that is detached and whose port is released: it runs once more, then it closes. */
static inline void attached_close_loop(attached *a)
{
    assert_int_equal(uv_run(&a->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&a->loop), 0);
}

static inline void attached_close(attached *a)
{
    assert_status(execq_loop_detach(a->port), EXECQ_OK);
    execq_loop_release(a->port);
    attached_close_loop(a);
}

/* An env that notes when it was delivered and when it was dropped, on a clock that all of a test share. */
typedef struct delivery {
    int *clock;
    int delivered;
    int dropped;
    execq_status status;
    pthread_t thread;
} delivery;

static inline void delivery_done(execq_future *future, void *env)
{
    delivery *d = env;
    must(d->delivered == 0 && d->dropped == 0);
    d->delivered = ++*d->clock;
    d->status = execq_future_result(future, NULL);
    d->thread = pthread_self();
}

static inline void delivery_drop(void *env)
{
    delivery *d = env;
    must(d->dropped == 0);
    d->dropped = ++*d->clock;
    d->thread = pthread_self();
}

#endif
