/* Waiting for one of several futures. */
#include "capi.h"

enum { MANY = 100 };

static execq_promise *promises[MANY];
static execq_future *futures[MANY];

static void open_promises(int n)
{
    for (int i = 0; i < n; i++) {
        promises[i] = promise_new(&futures[i]);
    }
}

static void release_promises(int n)
{
    for (int i = 0; i < n; i++) {
        execq_promise_release(promises[i]);
        execq_future_release(futures[i]);
    }
}

static void wait_any_refuses_bad_arguments(void **state)
{
    (void)state;
    size_t index = 99;
    execq_future *done = done_future(NULL);
    execq_future *const hole[] = {done, NULL};
    assert_status(execq_future_wait_any(NULL, 1, -1, &index), EXECQ_EINVAL);
    assert_status(execq_future_wait_any(NULL, 0, -1, &index), EXECQ_EINVAL);
    assert_status(execq_future_wait_any(hole, 0, -1, &index), EXECQ_EINVAL);
    assert_status(execq_future_wait_any(hole, 2, -1, &index), EXECQ_EINVAL);
    assert_status(execq_future_wait_any(hole + 1, 1, 0, NULL), EXECQ_EINVAL);
    assert_int_equal(index, 99);
    execq_future_release(done);
}

static void it_finds_the_lowest_one_that_is_done(void **state)
{
    (void)state;
    static const int sizes[] = {1, 2, 16, 17, MANY};
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        const int n = sizes[s];
        open_promises(n);
        size_t index = 99;
        for (int i = n - 1; i >= 0; i--) {
            assert_status(execq_promise_resolve(promises[i], NULL), EXECQ_OK);
            assert_status(execq_future_wait_any(futures, (size_t)n, -1, &index), EXECQ_OK);
            assert_int_equal(index, i);
            assert_status(execq_future_wait_any(futures, (size_t)n, 0, &index), EXECQ_OK);
            assert_int_equal(index, i);
            assert_status(execq_future_wait_any(futures, (size_t)n, 0, NULL), EXECQ_OK);
        }
        release_promises(n);
    }
}

static void a_failure_and_a_cancellation_count_as_done(void **state)
{
    (void)state;
    size_t index = 99;
    open_promises(3);
    assert_status(execq_promise_reject(promises[2], 1, NULL), EXECQ_OK);
    assert_status(execq_future_wait_any(futures, 3, -1, &index), EXECQ_OK);
    assert_int_equal(index, 2);
    assert_status(execq_future_cancel(futures[1]), EXECQ_EBUSY);
    assert_status(execq_promise_reject(promises[1], EXECQ_ECANCELED, NULL), EXECQ_OK);
    assert_status(execq_future_wait_any(futures, 3, -1, &index), EXECQ_OK);
    assert_int_equal(index, 1);
    release_promises(3);
}

static void with_a_limit_it_never_ends_early(void **state)
{
    (void)state;
    static const int64_t limits[] = {0, 1, MILLISECOND, 20 * MILLISECOND};
    static const int sizes[] = {1, 16, 17};
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        open_promises(sizes[s]);
        for (size_t i = 0; i < COUNT_OF(limits); i++) {
            size_t index = 99;
            const int64_t start = clock_now();
            assert_status(execq_future_wait_any(futures, (size_t)sizes[s], limits[i], &index), EXECQ_ETIMEDOUT);
            assert_true(clock_now() - start >= limits[i]);
            assert_int_equal(index, 99);
        }
        release_promises(sizes[s]);
    }
}

static void futures_may_complete_after_a_wait_gave_up(void **state)
{
    (void)state;
    static const int sizes[] = {3, 40};
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        const int n = sizes[s];
        open_promises(n);
        for (int i = 0; i < 1000; i++) {
            assert_status(execq_future_wait_any(futures, (size_t)n, 1, NULL), EXECQ_ETIMEDOUT);
        }
        for (int i = 0; i < n; i++) {
            assert_status(execq_promise_resolve(promises[i], NULL), EXECQ_OK);
        }
        size_t index = 99;
        assert_status(execq_future_wait_any(futures, (size_t)n, -1, &index), EXECQ_OK);
        assert_int_equal(index, 0);
        release_promises(n);
    }
}

static void others_may_complete_after_one_was_found(void **state)
{
    (void)state;
    open_promises(20);
    assert_status(execq_promise_resolve(promises[7], NULL), EXECQ_OK);
    size_t index = 99;
    assert_status(execq_future_wait_any(futures, 20, -1, &index), EXECQ_OK);
    assert_int_equal(index, 7);
    for (int i = 0; i < 20; i++) {
        assert_status(execq_promise_resolve(promises[i], NULL), i == 7 ? EXECQ_EALREADY : EXECQ_OK);
    }
    release_promises(20);
}

static void the_same_future_may_be_named_several_times(void **state)
{
    (void)state;
    execq_future *list[40];
    size_t index = 99;
    open_promises(2);
    for (size_t i = 0; i < COUNT_OF(list); i++) {
        list[i] = futures[i % 2];
    }
    assert_status(execq_future_wait_any(list, COUNT_OF(list), MILLISECOND, &index), EXECQ_ETIMEDOUT);
    assert_status(execq_future_wait_any(list, 4, MILLISECOND, &index), EXECQ_ETIMEDOUT);
    assert_status(execq_promise_resolve(promises[1], NULL), EXECQ_OK);
    assert_status(execq_future_wait_any(list, COUNT_OF(list), -1, &index), EXECQ_OK);
    assert_int_equal(index, 1);
    assert_status(execq_future_wait_any(list, 4, -1, &index), EXECQ_OK);
    assert_int_equal(index, 1);
    release_promises(2);
}

/* A thread that resolves one promise when it is let. */
struct resolver {
    pthread_barrier_t *start;
    execq_promise *promise;
};

static void *resolve_at_the_barrier(void *env)
{
    struct resolver *resolver = env;
    pthread_barrier_wait(resolver->start);
    must(execq_promise_resolve(resolver->promise, NULL) == EXECQ_OK);
    return NULL;
}

static void it_wakes_for_whichever_comes_first(void **state)
{
    (void)state;
    static const int sizes[] = {2, 16, 17, MANY};
    const int rounds = SCALED(400, 2);
    for (int round = 0; round < rounds; round++) {
        const int n = sizes[round % (int)COUNT_OF(sizes)];
        open_promises(n);
        pthread_barrier_t start;
        pthread_barrier_init(&start, NULL, 3);
        struct resolver resolvers[2] = {{&start, promises[n / 2]}, {&start, promises[n - 1]}};
        if (n == 2) {
            resolvers[0].promise = promises[0];
        }
        pthread_t threads[2];
        for (int i = 0; i < 2; i++) {
            threads[i] = thread_start(resolve_at_the_barrier, &resolvers[i]);
        }
        pthread_barrier_wait(&start);
        size_t index = 9999;
        assert_status(execq_future_wait_any(futures, (size_t)n, -1, &index), EXECQ_OK);
        assert_true(promises[index] == resolvers[0].promise || promises[index] == resolvers[1].promise);
        assert_int_equal(execq_future_state(futures[index]), EXECQ_FUTURE_OK);
        for (int i = 0; i < 2; i++) {
            pthread_join(threads[i], NULL);
        }
        release_promises(n);
        pthread_barrier_destroy(&start);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wait_any_refuses_bad_arguments),
        cmocka_unit_test(it_finds_the_lowest_one_that_is_done),
        cmocka_unit_test(a_failure_and_a_cancellation_count_as_done),
        cmocka_unit_test(with_a_limit_it_never_ends_early),
        cmocka_unit_test(futures_may_complete_after_a_wait_gave_up),
        cmocka_unit_test(others_may_complete_after_one_was_found),
        cmocka_unit_test(the_same_future_may_be_named_several_times),
        cmocka_unit_test(it_wakes_for_whichever_comes_first),
    };
    ignore_failures();
    return cmocka_run_group_tests_name("capi.future_wait_any", tests, NULL, NULL);
}
