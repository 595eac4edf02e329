/* Cancelling: queued, running and finished tasks, and who is told EXECQ_OK. */
#include "capi.h"

#include <sched.h>

static int32_t must_not_run(void *env, void **result)
{
    (void)env;
    (void)result;
    must(!"a canceled task ran");
    return 0;
}

static void a_queued_task_is_canceled_and_never_runs(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    counter dropped = {0};
    counter done = {0};
    execq_executor *executor = pool_new(1);
    execq_future *holder = occupy(executor, &g);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    execq_future *future = NULL;
    options.drop = counter_hit;
    assert_status(execq_submit_with(executor, &options, must_not_run, &dropped, &future), EXECQ_OK);
    assert_status(execq_future_on_done(future, count_done, &done, NULL), EXECQ_OK);
    assert_status(execq_future_cancel(future), EXECQ_OK);
    assert_int_equal(counter_get(&dropped), 1); /* inside the call */
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_CANCELED);
    assert_int_equal(execq_future_cancel_reason(future), EXECQ_REASON_CALLER);
    assert_status(execq_future_result(future, NULL), EXECQ_ECANCELED);
    assert_status(execq_future_wait(future, 0), EXECQ_OK);
    assert_null(execq_future_error(future));
    assert_status(execq_future_cancel(future), EXECQ_EALREADY);
    gate_open(&g, 1);
    finish(holder);
    pool_end(executor);
    assert_int_equal(counter_get(&dropped), 1);
    assert_int_equal(counter_get(&done), 1);
    execq_future_release(future);
    gate_destroy(&g);
}

static int32_t obey(void *env, void **result)
{
    (void)result;
    must(execq_cancel_requested() == 0);
    gate_pass(env);
    return execq_cancel_requested() ? EXECQ_ECANCELED : 0;
}

static void a_running_task_is_asked_to_stop(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(1);
    execq_future *future = spawn(executor, obey, &g);
    gate_await(&g, 1);
    assert_int_equal(execq_future_cancel_reason(future), EXECQ_REASON_NONE);
    assert_status(execq_future_cancel(future), EXECQ_EBUSY);
    assert_status(execq_future_cancel(future), EXECQ_EBUSY);
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_RUNNING);
    assert_int_equal(execq_future_cancel_reason(future), EXECQ_REASON_CALLER);
    assert_int_equal(execq_cancel_requested(), 0); /* it is the task's, not this thread's */
    gate_open(&g, 1);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_CANCELED);
    assert_status(execq_future_result(future, NULL), EXECQ_ECANCELED);
    execq_future_release(future);
    pool_end(executor);
    gate_destroy(&g);
}

static void a_task_may_ignore_the_request(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(1);
    execq_future *future = occupy(executor, &g);
    assert_status(execq_future_cancel(future), EXECQ_EBUSY);
    gate_open(&g, 1);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_OK);
    assert_int_equal(execq_future_cancel_reason(future), EXECQ_REASON_CALLER); /* still who asked first */
    execq_future_release(future);
    pool_end(executor);
    gate_destroy(&g);
}

static int32_t return_ecanceled(void *env, void **result)
{
    (void)env;
    (void)result;
    return EXECQ_ECANCELED;
}

static void ecanceled_without_a_request_is_a_failure(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    execq_future *future = spawn(executor, return_ecanceled, NULL);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_FAILED);
    assert_int_equal(execq_error_code(execq_future_error(future)), EXECQ_ECANCELED);
    assert_int_equal(execq_future_cancel_reason(future), EXECQ_REASON_NONE);
    execq_future_release(future);
    pool_end(executor);
}

static void a_finished_task_can_not_be_canceled(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    execq_future *ok = spawn(executor, do_nothing, NULL);
    execq_future *failed = spawn(executor, return_ecanceled, NULL);
    assert_status(execq_future_wait(ok, -1), EXECQ_OK);
    assert_status(execq_future_wait(failed, -1), EXECQ_OK);
    assert_status(execq_future_cancel(ok), EXECQ_EALREADY);
    assert_status(execq_future_cancel(failed), EXECQ_EALREADY);
    assert_int_equal(execq_future_state(ok), EXECQ_FUTURE_OK);
    assert_int_equal(execq_future_cancel_reason(ok), EXECQ_REASON_NONE);
    assert_int_equal(execq_future_cancel_reason(failed), EXECQ_REASON_NONE);
    execq_future_release(ok);
    execq_future_release(failed);
    pool_end(executor);
}

static void the_reason_is_that_of_whoever_asked_first(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(2);
    execq_future *by_caller = spawn(executor, obey, &g);
    execq_future *by_shutdown = spawn(executor, obey, &g);
    gate_await(&g, 2);
    assert_status(execq_future_cancel(by_caller), EXECQ_EBUSY);
    assert_status(execq_executor_close(executor, EXECQ_CANCEL), EXECQ_OK);
    execq_status status = execq_future_cancel(by_shutdown);
    assert_status(status, EXECQ_EBUSY);
    gate_open(&g, 2);
    assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
    assert_int_equal(execq_future_cancel_reason(by_caller), EXECQ_REASON_CALLER);
    assert_int_equal(execq_future_cancel_reason(by_shutdown), EXECQ_REASON_SHUTDOWN);
    execq_future_release(by_caller);
    execq_future_release(by_shutdown);
    execq_executor_release(executor);
    gate_destroy(&g);
}

static int32_t see_no_request(void *env, void **result)
{
    (void)env;
    (void)result;
    return execq_cancel_requested();
}

static void a_request_does_not_stay_for_the_next_task(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(1);
    execq_future *asked = occupy(executor, &g);
    execq_future *next = spawn(executor, see_no_request, NULL);
    assert_status(execq_future_cancel(asked), EXECQ_EBUSY);
    gate_open(&g, 1);
    assert_status(execq_future_wait(next, -1), EXECQ_OK);
    assert_int_equal(execq_future_state(next), EXECQ_FUTURE_OK);
    execq_future_release(asked);
    execq_future_release(next);
    pool_end(executor);
    gate_destroy(&g);
}

static int32_t cancel_own(void *env, void **result)
{
    execq_future *own = *(execq_future **)env;
    *result = NULL;
    must(execq_future_cancel(own) == EXECQ_EBUSY);
    return execq_cancel_requested() ? EXECQ_ECANCELED : 0;
}

static void a_task_may_cancel_itself(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(1);
    execq_future *holder = occupy(executor, &g);
    execq_future *own = NULL;
    assert_status(execq_submit(executor, cancel_own, &own, &own), EXECQ_OK);
    gate_open(&g, 1);
    assert_status(execq_future_wait(own, -1), EXECQ_OK);
    assert_int_equal(execq_future_state(own), EXECQ_FUTURE_CANCELED);
    finish(holder);
    execq_future_release(own);
    pool_end(executor);
    gate_destroy(&g);
}

struct canceler {
    execq_future *future;
    pthread_barrier_t *start;
    execq_status status;
};

static void *cancel(void *env)
{
    struct canceler *canceler = env;
    pthread_barrier_wait(canceler->start);
    canceler->status = execq_future_cancel(canceler->future);
    return NULL;
}

static void exactly_one_of_eight_threads_cancels(void **state)
{
    (void)state;
    enum { THREADS = 8 };
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(1);
    execq_future *holder = occupy(executor, &g);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = counter_hit;
    for (int round = 0; round < 200; round++) {
        counter dropped = {0};
        execq_future *future = NULL;
        assert_status(execq_submit_with(executor, &options, must_not_run, &dropped, &future), EXECQ_OK);
        pthread_barrier_t start;
        pthread_barrier_init(&start, NULL, THREADS);
        struct canceler cancelers[THREADS];
        pthread_t threads[THREADS];
        for (int i = 0; i < THREADS; i++) {
            cancelers[i] = (struct canceler){future, &start, EXECQ_EINVAL};
            threads[i] = thread_start(cancel, &cancelers[i]);
        }
        int winners = 0;
        for (int i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
            winners += cancelers[i].status == EXECQ_OK;
            if (cancelers[i].status != EXECQ_OK) {
                assert_status(cancelers[i].status, EXECQ_EALREADY);
            }
        }
        assert_int_equal(winners, 1);
        assert_int_equal(counter_get(&dropped), 1);
        pthread_barrier_destroy(&start);
        execq_future_release(future);
    }
    gate_open(&g, 1);
    finish(holder);
    pool_end(executor);
    gate_destroy(&g);
}

/* Long enough for some to be canceled while they run. */
static int32_t count_and_yield(void *env, void **result)
{
    (void)result;
    counter_hit(env);
    sched_yield();
    return 0;
}

static void each_task_either_runs_or_is_canceled(void **state)
{
    (void)state;
    const int n = SCALED(20000, 4);
    counter ran = {0};
    execq_executor *executor = pool_new(2);
    int canceled = 0;
    int answered_busy = 0;
    int answered_already = 0;
    execq_future **futures = calloc((size_t)n, sizeof *futures);
    for (int i = 0; i < n; i++) {
        futures[i] = spawn(executor, count_and_yield, &ran);
        const execq_status status = execq_future_cancel(futures[i - i % 3]);
        canceled += status == EXECQ_OK;
        answered_busy += status == EXECQ_EBUSY;
        answered_already += status == EXECQ_EALREADY;
    }
    pool_end(executor);
    int states_canceled = 0;
    for (int i = 0; i < n; i++) {
        states_canceled += execq_future_state(futures[i]) == EXECQ_FUTURE_CANCELED;
        execq_future_release(futures[i]);
    }
    assert_int_equal(canceled + answered_busy + answered_already, n);
    assert_int_equal(states_canceled, canceled);
    assert_int_equal(counter_get(&ran) + canceled, n);
    free(futures);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_queued_task_is_canceled_and_never_runs),
        cmocka_unit_test(a_running_task_is_asked_to_stop),
        cmocka_unit_test(a_task_may_ignore_the_request),
        cmocka_unit_test(ecanceled_without_a_request_is_a_failure),
        cmocka_unit_test(a_finished_task_can_not_be_canceled),
        cmocka_unit_test(the_reason_is_that_of_whoever_asked_first),
        cmocka_unit_test(a_request_does_not_stay_for_the_next_task),
        cmocka_unit_test(a_task_may_cancel_itself),
        cmocka_unit_test(exactly_one_of_eight_threads_cancels),
        cmocka_unit_test(each_task_either_runs_or_is_canceled),
    };
    return cmocka_run_group_tests_name("capi.future_cancel", tests, NULL, NULL);
}
