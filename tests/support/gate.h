/* Gates and counters: what the tests order events by, instead of sleeping. */
#ifndef EXECQ_TESTS_GATE_H
#define EXECQ_TESTS_GATE_H

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Waits for a semaphore, whatever signals arrive meanwhile. */
static inline void sem_take(sem_t *sem)
{
    while (sem_wait(sem) != 0 && errno == EINTR) {
    }
}

/* A place where a thread says that it has arrived and stays until it is let through. Tests declare it static: one that
 * fails leaves its workers in there, and the next test must not find them on its stack. */
typedef struct gate {
    sem_t entered;
    sem_t opened;
} gate;

static inline void gate_init(gate *g)
{
    sem_init(&g->entered, 0, 0);
    sem_init(&g->opened, 0, 0);
}

static inline void gate_destroy(gate *g)
{
    sem_destroy(&g->entered);
    sem_destroy(&g->opened);
}

/* Arrives and stays; the other side calls gate_await and gate_open. */
static inline void gate_pass(gate *g)
{
    sem_post(&g->entered);
    sem_take(&g->opened);
}

/* Waits until n threads have arrived that nobody waited for yet. */
static inline void gate_await(gate *g, int n)
{
    while (n-- > 0) {
        sem_take(&g->entered);
    }
}

/* Lets n threads through, now or when they arrive. */
static inline void gate_open(gate *g, int n)
{
    while (n-- > 0) {
        sem_post(&g->opened);
    }
}

/* A task body that passes the gate which is its env. */
static inline int32_t gate_fn(void *env, void **result)
{
    (void)result;
    gate_pass(env);
    return 0;
}

/* A count that any thread may raise. */
typedef struct counter {
    atomic_int n;
} counter;

static inline int counter_get(counter *c) { return atomic_load(&c->n); }

/* Counts one; fits where an execq_drop_fn is wanted. */
static inline void counter_hit(void *env) { atomic_fetch_add(&((counter *)env)->n, 1); }

/* A task body that counts one. */
static inline int32_t counter_fn(void *env, void **result)
{
    (void)result;
    counter_hit(env);
    return 0;
}

#endif
