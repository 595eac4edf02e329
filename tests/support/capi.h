/* What every test of the C ABI starts from: CMocka, the contract, gates. Include it first. */
#ifndef EXECQ_TESTS_CAPI_H
#define EXECQ_TESTS_CAPI_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <execq/execq.h>

#include "gate.h"

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

/* Big counts are cut under sanitizers: they look for kinds of interleaving, which need no millions. */
#if defined(__SANITIZE_THREAD__)
#define SCALED(n, divisor) ((n) / (divisor))
#define SANITIZED 1
#elif defined(__SANITIZE_ADDRESS__)
#define SCALED(n, divisor) ((n) / ((divisor) < 4 ? (divisor) : 4))
#define SANITIZED 1
#else
#define SCALED(n, divisor) (n)
#define SANITIZED 0
#endif

/* Fails with both names, for statuses. */
#define assert_status(actual, expected)                                                                      \
    do {                                                                                                     \
        const execq_status status_ = (actual);                                                               \
        if (status_ != (expected)) {                                                                         \
            fail_msg("%s is %s (%d), not %s", #actual, execq_status_name(status_), (int)status_, #expected); \
        }                                                                                                    \
    } while (0)

/* For threads other than the test's own, where CMocka's assertions may not be used. */
#define must(condition)                                                             \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                \
        }                                                                           \
    } while (0)

/* EXECQ_TEST=<name, or a pattern with * and ?> runs only those cases, as GTEST_FILTER does for GoogleTest. */
__attribute__((constructor)) static void choose_cases(void)
{
    if (getenv("EXECQ_TEST") != NULL) {
        cmocka_set_test_filter(getenv("EXECQ_TEST"));
    }
}

enum { MILLISECOND = 1000000 };

/* The monotonic clock in nanoseconds. */
static inline int64_t clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* An out-parameter filled with this must come back with it from a call that failed. */
#define UNTOUCHED ((void *)(uintptr_t)0x5a5a5a5a)

/* For programs in which failures that nobody looks at come by the thousand, and are not what is tested. */
static inline void ignore_failures(void)
{
    execq_conf conf = EXECQ_CONF_INIT;
    conf.flags = EXECQ_CONF_IGNORE_UNOBSERVED;
    must(execq_init_conf(&conf) == EXECQ_OK);
}

/* A new executor of so many threads. */
static inline execq_executor *pool_new(uint32_t threads)
{
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = threads;
    execq_executor *executor = NULL;
    assert_status(execq_executor_new(&options, &executor), EXECQ_OK);
    assert_non_null(executor);
    return executor;
}

/* Runs what is left, waits for it and gives up the reference. */
static inline void pool_end(execq_executor *executor)
{
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
    execq_executor_release(executor);
}

/* Submits fn(env) and gives its future. */
static inline execq_future *spawn(execq_executor *executor, execq_fn fn, void *env)
{
    execq_future *future = NULL;
    assert_status(execq_submit(executor, fn, env, &future), EXECQ_OK);
    assert_non_null(future);
    return future;
}

/* Occupies one worker until gate_open(g, 1): the task has started when this returns. */
static inline execq_future *occupy(execq_executor *executor, gate *g)
{
    execq_future *future = spawn(executor, gate_fn, g);
    gate_await(g, 1);
    return future;
}

/* Waits for a future and gives up the reference. */
static inline void finish(execq_future *future)
{
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    execq_future_release(future);
}

/* A new promise without options. */
static inline execq_promise *promise_new(execq_future **future)
{
    execq_promise *promise = NULL;
    assert_status(execq_promise_new(NULL, &promise, future), EXECQ_OK);
    return promise;
}

/* A future that is done with this value. */
static inline execq_future *done_future(void *value)
{
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future);
    assert_status(execq_promise_resolve(promise, value), EXECQ_OK);
    execq_promise_release(promise);
    return future;
}

/* A thread that is sure to have started. */
static inline pthread_t thread_start(void *(*fn)(void *), void *env)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, fn, env), 0);
    return thread;
}

/* A task body: succeeds with its env as the value. */
static inline int32_t give_env(void *env, void **result)
{
    *result = env;
    return 0;
}

/* A task body: does nothing. */
static inline int32_t do_nothing(void *env, void **result)
{
    (void)env;
    (void)result;
    return 0;
}

/* A done callback that counts one. */
static inline void count_done(execq_future *future, void *env)
{
    (void)future;
    counter_hit(env);
}

#endif
