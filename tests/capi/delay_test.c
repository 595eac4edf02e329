/* delay_ns: tasks that are accepted now and start later. */
#include "capi.h"

#include "uv_loop.h"

#define HOUR (INT64_C(3600) * 1000 * MILLISECOND)

static execq_task_options delayed(int64_t delay_ns)
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.delay_ns = delay_ns;
    options.drop = counter_hit;
    return options;
}

static int32_t note_time(void *env, void **result)
{
    (void)result;
    *(int64_t *)env = clock_now();
    return 0;
}

static void a_delayed_task_runs_and_not_early(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(2);
    static const int64_t delays[] = {1, MILLISECOND, 5 * MILLISECOND};
    for (size_t i = 0; i < COUNT_OF(delays); i++) {
        execq_task_options options = delayed(delays[i]);
        int64_t started = 0;
        execq_future *future = NULL;
        options.drop = NULL;
        const int64_t begin = clock_now();
        assert_status(execq_submit_with(executor, &options, note_time, &started, &future), EXECQ_OK);
        finish(future);
        assert_true(started - begin >= delays[i]);
    }
    pool_end(executor);
}

static void a_negative_delay_is_none(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    counter hits = {0};
    execq_task_options options = delayed(-1);
    execq_future *future = NULL;
    assert_status(execq_submit_with(executor, &options, counter_fn, &hits, &future), EXECQ_OK);
    finish(future);
    assert_int_equal(counter_get(&hits), 2);
    options = delayed(INT64_MIN);
    assert_status(execq_submit_with(executor, &options, counter_fn, &hits, NULL), EXECQ_OK);
    pool_end(executor);
    assert_int_equal(counter_get(&hits), 4);
}

static void a_delayed_task_can_be_canceled(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    static const int64_t delays[] = {HOUR, INT64_MAX};
    for (size_t i = 0; i < COUNT_OF(delays); i++) {
        counter dropped = {0};
        execq_task_options options = delayed(delays[i]);
        execq_future *future = NULL;
        assert_status(execq_submit_with(executor, &options, counter_fn, &dropped, &future), EXECQ_OK);
        assert_int_equal(execq_future_state(future), EXECQ_FUTURE_PENDING);
        assert_status(execq_future_cancel(future), EXECQ_OK);
        assert_int_equal(counter_get(&dropped), 1);
        assert_status(execq_future_cancel(future), EXECQ_EALREADY);
        assert_status(execq_future_result(future, NULL), EXECQ_ECANCELED);
        execq_future_release(future);
    }
    pool_end(executor);
}

static void a_close_cancels_what_is_not_due(void **state)
{
    (void)state;
    static const int32_t modes[] = {EXECQ_DRAIN, EXECQ_CANCEL};
    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        execq_executor *executor = pool_new(1);
        counter dropped = {0};
        void *envs[] = {&dropped, &dropped, &dropped};
        execq_future *futures[4] = {NULL};
        execq_task_options options = delayed(HOUR);
        assert_status(execq_submit_with(executor, &options, counter_fn, &dropped, &futures[3]), EXECQ_OK);
        assert_status(execq_submit_many(executor, &options, 3, counter_fn, envs, futures), EXECQ_OK);
        assert_status(execq_executor_close(executor, modes[i]), EXECQ_OK);
        assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
        assert_int_equal(counter_get(&dropped), 4);
        for (size_t k = 0; k < COUNT_OF(futures); k++) {
            assert_status(execq_future_result(futures[k], NULL), EXECQ_ECANCELED);
            assert_int_equal(execq_future_cancel_reason(futures[k]), EXECQ_REASON_SHUTDOWN);
            execq_future_release(futures[k]);
        }
        assert_status(execq_submit_with(executor, &options, counter_fn, &dropped, NULL), EXECQ_ECLOSED);
        assert_int_equal(counter_get(&dropped), 5);
        execq_executor_release(executor);
    }
}

static int32_t submit_delayed_inside(void *env, void **result)
{
    (void)result;
    gate_pass(((void **)env)[0]);
    execq_task_options options = delayed(HOUR);
    must(execq_submit_with(((void **)env)[1], &options, counter_fn, ((void **)env)[2], NULL) == EXECQ_ECLOSED);
    return 0;
}

static void a_drain_takes_no_delayed_task_from_its_own_tasks(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    counter dropped = {0};
    execq_executor *executor = pool_new(1);
    void *env[] = {&g, executor, &dropped};
    execq_future *future = spawn(executor, submit_delayed_inside, env);
    gate_await(&g, 1);
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    gate_open(&g, 1);
    finish(future);
    assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
    assert_int_equal(counter_get(&dropped), 1);
    execq_executor_release(executor);
    gate_destroy(&g);
}

static void a_report_counts_what_is_not_due_until_it_is_canceled(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    counter dropped = {0};
    execq_task_options options = delayed(HOUR);
    assert_status(execq_submit_with(executor, &options, counter_fn, &dropped, NULL), EXECQ_OK);
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    execq_shutdown_report report = EXECQ_SHUTDOWN_REPORT_INIT;
    assert_status(execq_executor_join(executor, -1, &report), EXECQ_OK);
    assert_int_equal(report.queued, 0);
    assert_int_equal(counter_get(&dropped), 1);
    execq_executor_release(executor);
}

static void delayed_tasks_are_delivered_to_loops_and_queues(void **state)
{
    (void)state;
    attached host;
    attached_open(&host);
    execq_executor *executor = pool_new(1);
    execq_cq *queue = NULL;
    assert_status(execq_cq_new(&queue), EXECQ_OK);
    counter ran = {0};
    counter done = {0};
    execq_task_options options = delayed(2 * MILLISECOND);
    options.drop = NULL;
    assert_status(execq_submit_to_loop(executor, &options, counter_fn, &ran, host.port, count_done, &done, counter_hit),
                  EXECQ_OK);
    assert_status(execq_submit_to_loop(executor, &options, counter_fn, &ran, host.port, count_done, &done, NULL),
                  EXECQ_OK);
    assert_status(execq_submit_to_cq(executor, &options, counter_fn, &ran, queue, NULL), EXECQ_OK);
    assert_int_equal(uv_run(&host.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(counter_get(&done), 3);
    execq_completion out;
    size_t n = 0;
    assert_status(execq_cq_wait(queue, -1), EXECQ_OK);
    assert_status(execq_cq_drain(queue, &out, 1, &n), EXECQ_OK);
    assert_int_equal(out.status, EXECQ_OK);
    execq_future_release(out.future);
    assert_int_equal(counter_get(&ran), 3);
    /* And canceled ones. */
    options.delay_ns = HOUR;
    atomic_store(&done.n, 0);
    assert_status(execq_submit_to_loop(executor, &options, counter_fn, &ran, host.port, count_done, &done, counter_hit),
                  EXECQ_OK);
    assert_status(execq_submit_to_loop(executor, &options, counter_fn, &ran, host.port, count_done, &done, NULL),
                  EXECQ_OK);
    assert_status(execq_submit_to_cq(executor, &options, counter_fn, &ran, queue, NULL), EXECQ_OK);
    pool_end(executor);
    assert_int_equal(uv_run(&host.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(counter_get(&done), 3);
    assert_status(execq_cq_drain(queue, &out, 1, &n), EXECQ_OK);
    assert_int_equal(n, 1);
    assert_int_equal(out.status, EXECQ_ECANCELED);
    execq_future_release(out.future);
    assert_int_equal(counter_get(&ran), 3);
    execq_cq_release(queue);
    attached_close(&host);
}

struct join_inside {
    execq_executor *executor;
    execq_status statuses[2];
    sem_t over;
};

static void join_inside(execq_future *future, void *env)
{
    struct join_inside *self = env;
    (void)future;
    self->statuses[0] = execq_executor_join(self->executor, 0, NULL);
    self->statuses[1] = execq_executor_join(self->executor, -1, NULL);
    sem_post(&self->over);
}

static void a_join_is_refused_on_the_thread_that_would_end_what_it_waits_for(void **state)
{
    (void)state;
    counter dropped = {0};
    struct join_inside self = {.executor = pool_new(1)};
    sem_init(&self.over, 0, 0);
    execq_task_options options = delayed(HOUR);
    execq_future *future = NULL;
    assert_status(execq_submit_with(self.executor, &options, counter_fn, &dropped, &future), EXECQ_OK);
    assert_status(execq_future_on_done(future, join_inside, &self, NULL), EXECQ_OK);
    assert_status(execq_executor_close(self.executor, EXECQ_DRAIN), EXECQ_OK);
    sem_take(&self.over);
    assert_status(self.statuses[0], EXECQ_ETIMEDOUT);
    assert_status(self.statuses[1], EXECQ_EDEADLK);
    assert_status(execq_executor_join(self.executor, -1, NULL), EXECQ_OK);
    assert_int_equal(counter_get(&dropped), 1);
    execq_future_release(future);

    /* with nothing left that is not due it may */
    assert_status(execq_sleep(1, &future), EXECQ_OK);
    assert_status(execq_future_on_done(future, join_inside, &self, NULL), EXECQ_OK);
    sem_take(&self.over);
    assert_status(self.statuses[0], EXECQ_OK);
    assert_status(self.statuses[1], EXECQ_OK);
    execq_future_release(future);
    execq_executor_release(self.executor);
    sem_destroy(&self.over);
}

static void a_lifted_task_has_no_delay(void **state)
{
    (void)state;
    attached host;
    attached_open(&host);
    counter dropped = {0};
    execq_future *future = UNTOUCHED;
    execq_task_options options = delayed(1);
    assert_status(execq_loop_submit(host.port, &options, counter_fn, &dropped, &future), EXECQ_ENOTSUP);
    assert_ptr_equal(future, UNTOUCHED);
    assert_int_equal(counter_get(&dropped), 1);
    options.delay_ns = -1;
    assert_status(execq_loop_submit(host.port, &options, counter_fn, &dropped, NULL), EXECQ_OK);
    assert_int_equal(uv_run(&host.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(counter_get(&dropped), 3);
    attached_close(&host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_delayed_task_runs_and_not_early),
        cmocka_unit_test(a_negative_delay_is_none),
        cmocka_unit_test(a_delayed_task_can_be_canceled),
        cmocka_unit_test(a_close_cancels_what_is_not_due),
        cmocka_unit_test(a_drain_takes_no_delayed_task_from_its_own_tasks),
        cmocka_unit_test(a_report_counts_what_is_not_due_until_it_is_canceled),
        cmocka_unit_test(delayed_tasks_are_delivered_to_loops_and_queues),
        cmocka_unit_test(a_join_is_refused_on_the_thread_that_would_end_what_it_waits_for),
        cmocka_unit_test(a_lifted_task_has_no_delay),
    };
    return cmocka_run_group_tests_name("capi.delay", tests, NULL, NULL);
}
