/* Waiting for one future or for all of several: limits, and never early. */
#include "capi.h"

static void a_wait_ends_whatever_the_outcome(void **state)
{
    (void)state;
    execq_future *ok = done_future(NULL);
    execq_future *failed = NULL;
    execq_promise *promise = promise_new(&failed);
    assert_status(execq_promise_reject(promise, 1, NULL), EXECQ_OK);
    execq_promise_release(promise);
    execq_future *canceled = NULL;
    promise = promise_new(&canceled);
    assert_status(execq_future_cancel(canceled), EXECQ_EBUSY);
    execq_promise_release(promise);
    execq_future *futures[] = {ok, failed, canceled};
    for (size_t i = 0; i < COUNT_OF(futures); i++) {
        assert_status(execq_future_wait(futures[i], -1), EXECQ_OK);
        assert_status(execq_future_wait(futures[i], 0), EXECQ_OK);
        assert_status(execq_future_wait(futures[i], INT64_MAX), EXECQ_OK);
        assert_status(execq_future_wait(futures[i], INT64_MIN), EXECQ_OK);
    }
    assert_status(execq_future_wait_all(futures, COUNT_OF(futures), -1), EXECQ_OK);
    assert_status(execq_future_wait_all(futures, COUNT_OF(futures), 0), EXECQ_OK);
    for (size_t i = 0; i < COUNT_OF(futures); i++) {
        execq_future_release(futures[i]);
    }
}

static const int64_t limits[] = {0, 1, 1000, MILLISECOND, 20 * MILLISECOND};

static void a_wait_with_a_limit_never_ends_early(void **state)
{
    (void)state;
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future);
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        const int64_t start = clock_now();
        assert_status(execq_future_wait(future, limits[i]), EXECQ_ETIMEDOUT);
        assert_true(clock_now() - start >= limits[i]);
    }
    assert_status(execq_promise_resolve(promise, NULL), EXECQ_OK);
    assert_status(execq_future_wait(future, 0), EXECQ_OK);
    execq_promise_release(promise);
    execq_future_release(future);
}

static void a_wait_for_all_with_a_limit_never_ends_early(void **state)
{
    (void)state;
    execq_future *open = NULL;
    execq_promise *promise = promise_new(&open);
    execq_future *futures[] = {done_future(NULL), open, done_future(NULL)};
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        const int64_t start = clock_now();
        assert_status(execq_future_wait_all(futures, COUNT_OF(futures), limits[i]), EXECQ_ETIMEDOUT);
        assert_true(clock_now() - start >= limits[i]);
    }
    assert_status(execq_promise_resolve(promise, NULL), EXECQ_OK);
    assert_status(execq_future_wait_all(futures, COUNT_OF(futures), 0), EXECQ_OK);
    execq_promise_release(promise);
    for (size_t i = 0; i < COUNT_OF(futures); i++) {
        execq_future_release(futures[i]);
    }
}

static void the_limit_of_a_wait_for_all_is_for_all_together(void **state)
{
    (void)state;
    enum { N = 50 };
    execq_future *futures[N];
    execq_promise *promises[N];
    for (int i = 0; i < N; i++) {
        promises[i] = promise_new(&futures[i]);
    }
    const int64_t start = clock_now();
    assert_status(execq_future_wait_all(futures, N, 100 * MILLISECOND), EXECQ_ETIMEDOUT);
    assert_true(clock_now() - start < (int64_t)N * 100 * MILLISECOND); /* not one limit for each */
    for (int i = 0; i < N; i++) {
        execq_promise_release(promises[i]);
        execq_future_release(futures[i]);
    }
}

/* A thread that waits with some limit, and says how that ended. */
struct waiter {
    execq_future *future;
    int64_t timeout;
    sem_t started;
    execq_status status;
};

static void *wait_in_thread(void *env)
{
    struct waiter *waiter = env;
    sem_post(&waiter->started);
    waiter->status = execq_future_wait(waiter->future, waiter->timeout);
    return NULL;
}

static void every_waiter_is_woken_however_long_its_limit(void **state)
{
    (void)state;
    static const int64_t timeouts[] = {-1, INT64_MIN, INT64_MAX, INT64_MAX - 1, INT64_C(3600000000000)};
    for (int round = 0; round < 100; round++) {
        execq_future *future = NULL;
        execq_promise *promise = promise_new(&future);
        struct waiter waiters[COUNT_OF(timeouts)];
        pthread_t threads[COUNT_OF(timeouts)];
        for (size_t i = 0; i < COUNT_OF(timeouts); i++) {
            waiters[i].future = future;
            waiters[i].timeout = timeouts[i];
            waiters[i].status = EXECQ_EINVAL;
            sem_init(&waiters[i].started, 0, 0);
            threads[i] = thread_start(wait_in_thread, &waiters[i]);
        }
        for (size_t i = 0; i < COUNT_OF(timeouts); i++) {
            sem_take(&waiters[i].started);
        }
        assert_status(execq_promise_resolve(promise, NULL), EXECQ_OK);
        for (size_t i = 0; i < COUNT_OF(timeouts); i++) {
            pthread_join(threads[i], NULL);
            assert_status(waiters[i].status, EXECQ_OK);
            sem_destroy(&waiters[i].started);
        }
        execq_promise_release(promise);
        execq_future_release(future);
    }
}

static void a_waiter_of_a_canceled_task_is_woken(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(1);
    execq_future *holder = occupy(executor, &g);
    struct waiter waiter;
    waiter.future = spawn(executor, do_nothing, NULL);
    waiter.timeout = -1;
    sem_init(&waiter.started, 0, 0);
    pthread_t thread = thread_start(wait_in_thread, &waiter);
    sem_take(&waiter.started);
    assert_status(execq_future_cancel(waiter.future), EXECQ_OK);
    pthread_join(thread, NULL); /* while the worker is still held */
    assert_status(waiter.status, EXECQ_OK);
    gate_open(&g, 1);
    finish(holder);
    execq_future_release(waiter.future);
    sem_destroy(&waiter.started);
    pool_end(executor);
    gate_destroy(&g);
}

static void wait_all_refuses_bad_arguments(void **state)
{
    (void)state;
    execq_future *done = done_future(NULL);
    execq_future *open = NULL;
    execq_promise *promise = promise_new(&open);
    execq_future *const hole_last[] = {done, NULL};
    execq_future *const hole_after_open[] = {open, NULL};
    assert_status(execq_future_wait_all(NULL, 0, -1), EXECQ_OK);
    assert_status(execq_future_wait_all(hole_last, 0, -1), EXECQ_OK);
    assert_status(execq_future_wait_all(NULL, 1, -1), EXECQ_EINVAL);
    assert_status(execq_future_wait_all(hole_last, 2, -1), EXECQ_EINVAL);
    assert_status(execq_future_wait_all(hole_last, 2, 0), EXECQ_EINVAL);
    assert_status(execq_future_wait_all(hole_after_open, 2, -1), EXECQ_EINVAL); /* before blocking */
    execq_promise_release(promise);
    execq_future_release(open);
    execq_future_release(done);
}

static void wait_all_takes_many_and_the_same_one_twice(void **state)
{
    (void)state;
    enum { N = 300 };
    counter ran = {0};
    execq_future *futures[N + 2];
    execq_executor *executor = pool_new(2);
    for (int i = 0; i < N; i++) {
        futures[i] = spawn(executor, counter_fn, &ran);
    }
    futures[N] = futures[0];
    futures[N + 1] = futures[N - 1];
    assert_status(execq_future_wait_all(futures, N + 2, -1), EXECQ_OK);
    assert_int_equal(counter_get(&ran), N);
    for (int i = 0; i < N; i++) {
        assert_int_equal(execq_future_state(futures[i]), EXECQ_FUTURE_OK);
        execq_future_release(futures[i]);
    }
    pool_end(executor);
}

/* Two threads that race to complete and to wait. */
struct pair {
    pthread_barrier_t *start;
    execq_promise *promise;
};

static void *resolve_at_the_barrier(void *env)
{
    struct pair *pair = env;
    pthread_barrier_wait(pair->start);
    must(execq_promise_resolve(pair->promise, pair) == EXECQ_OK);
    execq_promise_release(pair->promise);
    return NULL;
}

static void no_wake_up_is_lost_between_look_and_sleep(void **state)
{
    (void)state;
    const int rounds = SCALED(2000, 4);
    for (int round = 0; round < rounds; round++) {
        execq_future *future = NULL;
        pthread_barrier_t start;
        pthread_barrier_init(&start, NULL, 2);
        struct pair pair = {&start, promise_new(&future)};
        pthread_t thread = thread_start(resolve_at_the_barrier, &pair);
        pthread_barrier_wait(&start);
        assert_status(execq_future_wait(future, round % 2 ? -1 : INT64_MAX), EXECQ_OK);
        execq_future_release(future);
        pthread_join(thread, NULL);
        pthread_barrier_destroy(&start);
    }
}

static void a_wait_that_gave_up_leaves_nothing_behind(void **state)
{
    (void)state;
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future);
    for (int i = 0; i < 1000; i++) {
        assert_status(execq_future_wait(future, 1), EXECQ_ETIMEDOUT);
    }
    assert_status(execq_promise_resolve(promise, NULL), EXECQ_OK);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    execq_promise_release(promise);
    execq_future_release(future);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wait_ends_whatever_the_outcome),
        cmocka_unit_test(a_wait_with_a_limit_never_ends_early),
        cmocka_unit_test(a_wait_for_all_with_a_limit_never_ends_early),
        cmocka_unit_test(the_limit_of_a_wait_for_all_is_for_all_together),
        cmocka_unit_test(every_waiter_is_woken_however_long_its_limit),
        cmocka_unit_test(a_waiter_of_a_canceled_task_is_woken),
        cmocka_unit_test(wait_all_refuses_bad_arguments),
        cmocka_unit_test(wait_all_takes_many_and_the_same_one_twice),
        cmocka_unit_test(no_wake_up_is_lost_between_look_and_sleep),
        cmocka_unit_test(a_wait_that_gave_up_leaves_nothing_behind),
    };
    ignore_failures();
    return cmocka_run_group_tests_name("capi.future_wait", tests, NULL, NULL);
}
