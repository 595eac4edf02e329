/* Futures: where they stand, what they hold, who may take it. */
#include "capi.h"

static void null_is_no_future(void **state)
{
    (void)state;
    void *value = UNTOUCHED;
    assert_status(execq_future_state(NULL), EXECQ_EINVAL);
    assert_status(execq_future_wait(NULL, 0), EXECQ_EINVAL);
    assert_status(execq_future_wait(NULL, -1), EXECQ_EINVAL);
    assert_status(execq_future_result(NULL, &value), EXECQ_EINVAL);
    assert_status(execq_future_take(NULL, &value), EXECQ_EINVAL);
    assert_status(execq_future_cancel(NULL), EXECQ_EINVAL);
    assert_status(execq_future_cancel_reason(NULL), EXECQ_EINVAL);
    assert_null(execq_future_error(NULL));
    assert_ptr_equal(value, UNTOUCHED);
    execq_future_retain(NULL);
    execq_future_release(NULL);
}

static int32_t fail_7(void *env, void **result)
{
    (void)env;
    (void)result;
    return 7;
}

static void the_state_follows_the_task(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(1);
    execq_future *ok = occupy(executor, &g);
    execq_future *failed = spawn(executor, fail_7, NULL);
    execq_future *canceled = spawn(executor, do_nothing, NULL);
    assert_int_equal(execq_future_state(ok), EXECQ_FUTURE_RUNNING);
    assert_int_equal(execq_future_state(failed), EXECQ_FUTURE_PENDING);
    assert_status(execq_future_cancel(canceled), EXECQ_OK);
    assert_int_equal(execq_future_state(canceled), EXECQ_FUTURE_CANCELED);
    gate_open(&g, 1);
    assert_status(execq_future_wait(failed, -1), EXECQ_OK);
    assert_int_equal(execq_future_state(ok), EXECQ_FUTURE_OK);
    assert_int_equal(execq_future_state(failed), EXECQ_FUTURE_FAILED);
    execq_future_release(ok);
    execq_future_release(failed);
    execq_future_release(canceled);
    pool_end(executor);
    gate_destroy(&g);
}

static void there_is_no_result_before_the_end(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    void *value = UNTOUCHED;
    execq_executor *executor = pool_new(1);
    execq_future *running = occupy(executor, &g);
    execq_future *pending = spawn(executor, do_nothing, NULL);
    assert_status(execq_future_result(running, &value), EXECQ_EPENDING);
    assert_status(execq_future_result(pending, &value), EXECQ_EPENDING);
    assert_status(execq_future_take(running, &value), EXECQ_EPENDING);
    assert_status(execq_future_take(pending, &value), EXECQ_EPENDING);
    assert_ptr_equal(value, UNTOUCHED);
    gate_open(&g, 1);
    finish(running);
    finish(pending);
    pool_end(executor);
    gate_destroy(&g);
}

static void a_result_may_be_looked_at_often_and_without_the_value(void **state)
{
    (void)state;
    int thing = 0;
    execq_future *future = done_future(&thing);
    for (int i = 0; i < 3; i++) {
        void *value = NULL;
        assert_status(execq_future_result(future, &value), EXECQ_OK);
        assert_ptr_equal(value, &thing);
        assert_status(execq_future_result(future, NULL), EXECQ_OK);
    }
    execq_future_release(future);
}

static void a_value_is_taken_once(void **state)
{
    (void)state;
    int thing = 0;
    void *value = NULL;
    execq_future *future = done_future(&thing);
    assert_status(execq_future_take(future, NULL), EXECQ_EINVAL);
    assert_status(execq_future_take(future, &value), EXECQ_OK);
    assert_ptr_equal(value, &thing);
    value = UNTOUCHED;
    assert_status(execq_future_take(future, &value), EXECQ_EALREADY);
    assert_status(execq_future_result(future, &value), EXECQ_EALREADY);
    assert_ptr_equal(value, UNTOUCHED);
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_OK);
    assert_status(execq_future_wait(future, 0), EXECQ_OK);
    execq_future_release(future);
}

static void a_take_without_room_takes_nothing(void **state)
{
    (void)state;
    counter values = {0};
    execq_promise_options options = EXECQ_PROMISE_OPTIONS_INIT;
    options.drop_result = counter_hit;
    execq_promise *promise = NULL;
    execq_future *future = NULL;
    assert_status(execq_promise_new(&options, &promise, &future), EXECQ_OK);
    assert_status(execq_promise_resolve(promise, &values), EXECQ_OK);
    execq_promise_release(promise);
    assert_status(execq_future_take(future, NULL), EXECQ_EINVAL);
    assert_status(execq_future_result(future, NULL), EXECQ_OK);
    execq_future_release(future);
    assert_int_equal(counter_get(&values), 1);
}

struct taker {
    execq_future *future;
    pthread_barrier_t *start;
    execq_status status;
    void *value;
};

static void *take(void *env)
{
    struct taker *taker = env;
    pthread_barrier_wait(taker->start);
    taker->status = execq_future_take(taker->future, &taker->value);
    return NULL;
}

static void exactly_one_of_eight_threads_takes(void **state)
{
    (void)state;
    enum { THREADS = 8 };
    for (int round = 0; round < 200; round++) {
        int thing = 0;
        execq_future *future = done_future(&thing);
        pthread_barrier_t start;
        pthread_barrier_init(&start, NULL, THREADS);
        struct taker takers[THREADS];
        pthread_t threads[THREADS];
        for (int i = 0; i < THREADS; i++) {
            takers[i] = (struct taker){future, &start, EXECQ_EINVAL, UNTOUCHED};
            threads[i] = thread_start(take, &takers[i]);
        }
        int taken = 0;
        for (int i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
            taken += takers[i].status == EXECQ_OK;
            assert_ptr_equal(takers[i].value, takers[i].status == EXECQ_OK ? (void *)&thing : UNTOUCHED);
            if (takers[i].status != EXECQ_OK) {
                assert_status(takers[i].status, EXECQ_EALREADY);
            }
        }
        assert_int_equal(taken, 1);
        pthread_barrier_destroy(&start);
        execq_future_release(future);
    }
}

static void releasing_a_future_does_not_cancel_the_work(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    counter ran = {0};
    execq_executor *executor = pool_new(1);
    execq_future *holder = occupy(executor, &g);
    for (int i = 0; i < 10; i++) {
        execq_future_release(spawn(executor, counter_fn, &ran));
    }
    execq_future_release(holder); /* while it runs */
    gate_open(&g, 1);
    pool_end(executor);
    assert_int_equal(counter_get(&ran), 10);
    gate_destroy(&g);
}

static void a_future_may_outlive_its_executor(void **state)
{
    (void)state;
    int thing = 0;
    void *value = NULL;
    execq_executor *executor = pool_new(1);
    execq_future *future = spawn(executor, give_env, &thing);
    pool_end(executor);
    assert_status(execq_future_result(future, &value), EXECQ_OK);
    assert_ptr_equal(value, &thing);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_status(execq_future_cancel(future), EXECQ_EALREADY);
    execq_future_release(future);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(null_is_no_future),
        cmocka_unit_test(the_state_follows_the_task),
        cmocka_unit_test(there_is_no_result_before_the_end),
        cmocka_unit_test(a_result_may_be_looked_at_often_and_without_the_value),
        cmocka_unit_test(a_value_is_taken_once),
        cmocka_unit_test(a_take_without_room_takes_nothing),
        cmocka_unit_test(exactly_one_of_eight_threads_takes),
        cmocka_unit_test(releasing_a_future_does_not_cancel_the_work),
        cmocka_unit_test(a_future_may_outlive_its_executor),
    };
    return cmocka_run_group_tests_name("capi.future", tests, NULL, NULL);
}
