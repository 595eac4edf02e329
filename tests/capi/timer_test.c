/* Sleeps: futures that time completes. */
#include "capi.h"

#include "uv_loop.h"

#define HOUR (INT64_C(3600) * 1000 * MILLISECOND)

static execq_future *sleep_for(int64_t duration_ns)
{
    execq_future *future = NULL;
    assert_status(execq_sleep(duration_ns, &future), EXECQ_OK);
    assert_non_null(future);
    return future;
}

static void a_sleep_without_out_is_refused(void **state)
{
    (void)state;
    assert_status(execq_sleep(1, NULL), EXECQ_EINVAL);
}

static void a_sleep_succeeds_with_null_and_not_early(void **state)
{
    (void)state;
    static const int64_t durations[] = {0, 1, MILLISECOND, 5 * MILLISECOND + 1};
    for (size_t i = 0; i < COUNT_OF(durations); i++) {
        const int64_t begin = clock_now();
        execq_future *future = sleep_for(durations[i]);
        void *value = UNTOUCHED;
        assert_status(execq_future_wait(future, -1), EXECQ_OK);
        assert_true(clock_now() - begin >= durations[i]);
        assert_int_equal(execq_future_state(future), EXECQ_FUTURE_OK);
        assert_status(execq_future_result(future, &value), EXECQ_OK);
        assert_null(value);
        assert_status(execq_future_cancel(future), EXECQ_EALREADY);
        execq_future_release(future);
    }
}

static void a_sleep_is_pending_and_can_be_canceled_once(void **state)
{
    (void)state;
    static const int64_t durations[] = {-1, INT64_MIN, HOUR, INT64_MAX};
    for (size_t i = 0; i < COUNT_OF(durations); i++) {
        counter done = {0};
        execq_future *future = sleep_for(durations[i]);
        assert_status(execq_future_on_done(future, count_done, &done, counter_hit), EXECQ_OK);
        assert_int_equal(execq_future_state(future), EXECQ_FUTURE_PENDING);
        assert_status(execq_future_result(future, NULL), EXECQ_EPENDING);
        assert_status(execq_future_wait(future, 2 * MILLISECOND), EXECQ_ETIMEDOUT);
        assert_status(execq_future_cancel(future), EXECQ_OK);
        assert_int_equal(counter_get(&done), 2); /* done and its drop, inside the cancellation */
        assert_status(execq_future_cancel(future), EXECQ_EALREADY);
        assert_int_equal(execq_future_cancel_reason(future), EXECQ_REASON_CALLER);
        assert_status(execq_future_result(future, NULL), EXECQ_ECANCELED);
        execq_future_release(future);
    }
}

static void sleeps_end_by_their_times_whatever_the_order_they_were_made_in(void **state)
{
    (void)state;
    enum { N = 50 };
    execq_future *futures[N];
    for (int i = 0; i < N; i++)
        futures[i] = sleep_for((int64_t)((i * 7) % N) * MILLISECOND);
    assert_status(execq_future_wait_all(futures, N, -1), EXECQ_OK);
    for (int i = 0; i < N; i++)
        execq_future_release(futures[i]);
}

static void a_sleep_comes_back_on_a_loop_and_keeps_it_alive(void **state)
{
    (void)state;
    attached host;
    attached_open(&host);
    counter done = {0};
    execq_future *future = sleep_for(3 * MILLISECOND);
    assert_status(execq_future_on_loop(future, host.port, count_done, &done, NULL), EXECQ_OK);
    execq_future_release(future);
    assert_int_equal(uv_run(&host.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(counter_get(&done), 1);
    attached_close(&host);
}

static void a_sleep_comes_back_in_a_queue(void **state)
{
    (void)state;
    execq_cq *queue = NULL;
    assert_status(execq_cq_new(&queue), EXECQ_OK);
    execq_future *future = sleep_for(MILLISECOND);
    int tag = 0;
    execq_completion out;
    size_t n = 0;
    assert_status(execq_future_on_cq(future, queue, &tag), EXECQ_OK);
    execq_future_release(future);
    assert_status(execq_cq_wait(queue, -1), EXECQ_OK);
    assert_status(execq_cq_drain(queue, &out, 1, &n), EXECQ_OK);
    assert_int_equal(n, 1);
    assert_ptr_equal(out.tag, &tag);
    execq_future_release(out.future);
    execq_cq_release(queue);
}

static int32_t sleep_and_wait(void *env, void **result)
{
    (void)env;
    (void)result;
    execq_future *future = NULL;
    must(execq_sleep(2 * MILLISECOND, &future) == EXECQ_OK);
    must(execq_future_wait(future, -1) == EXECQ_OK);
    execq_future_release(future);
    return 0;
}

static void a_sleep_ends_while_all_workers_wait_for_it(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    finish(spawn(executor, sleep_and_wait, NULL));
    pool_end(executor);
}

static void hundred_thousand_sleeps_end_each_once(void **state)
{
    (void)state;
    enum { N = SCALED(100000, 10) };
    counter done = {0};
    execq_future **futures = calloc(N, sizeof *futures);
    assert_non_null(futures);
    const int64_t begin = clock_now();
    for (int i = 0; i < N; i++) {
        futures[i] = sleep_for(20 * MILLISECOND);
        assert_status(execq_future_on_done(futures[i], count_done, &done, NULL), EXECQ_OK);
    }
    int canceled = 0;
    for (int i = 0; i < N; i += 3)
        canceled += execq_future_cancel(futures[i]) == EXECQ_OK;
    assert_status(execq_future_wait_all(futures, N, -1), EXECQ_OK);
    assert_true(clock_now() - begin >= 20 * MILLISECOND);
    int succeeded = 0;
    for (int i = 0; i < N; i++) {
        succeeded += execq_future_state(futures[i]) == EXECQ_FUTURE_OK;
        execq_future_release(futures[i]);
    }
    assert_int_equal(succeeded + canceled, N);

    while (counter_get(&done) != N)
        sched_yield();
    free(futures);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sleep_without_out_is_refused),
        cmocka_unit_test(a_sleep_succeeds_with_null_and_not_early),
        cmocka_unit_test(a_sleep_is_pending_and_can_be_canceled_once),
        cmocka_unit_test(sleeps_end_by_their_times_whatever_the_order_they_were_made_in),
        cmocka_unit_test(a_sleep_comes_back_on_a_loop_and_keeps_it_alive),
        cmocka_unit_test(a_sleep_comes_back_in_a_queue),
        cmocka_unit_test(a_sleep_ends_while_all_workers_wait_for_it),
        cmocka_unit_test(hundred_thousand_sleeps_end_each_once),
    };
    return cmocka_run_group_tests_name("capi.timer", tests, NULL, NULL);
}
