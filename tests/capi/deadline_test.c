/* start_within_ns and timeout_ns: tasks whose time is up. */
#include "capi.h"

#include "uv_loop.h"

#define HOUR (INT64_C(3600) * 1000 * MILLISECOND)

static execq_task_options limits(int64_t start_within_ns, int64_t timeout_ns)
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.start_within_ns = start_within_ns;
    options.timeout_ns = timeout_ns;
    options.drop = counter_hit;
    return options;
}

static execq_executor *executor;
static gate g;
static counter hits;

/* Canceled by a time limit, with its drop run and never its body, which would count too. */
static void assert_never_ran(execq_future *future)
{
    assert_status(execq_future_result(future, NULL), EXECQ_ECANCELED);
    assert_int_equal(execq_future_cancel_reason(future), EXECQ_REASON_DEADLINE);
    assert_int_equal(counter_get(&hits), 1);
    assert_status(execq_future_cancel(future), EXECQ_EALREADY);
    execq_future_release(future);
}

static void a_task_that_has_not_started_in_time_is_canceled(void **state)
{
    (void)state;
    const execq_task_options options[] = {limits(2 * MILLISECOND, 0), limits(0, 2 * MILLISECOND),
                                          limits(2 * MILLISECOND, HOUR), limits(HOUR, 2 * MILLISECOND)};
    execq_future *blocker = occupy(executor, &g);
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        atomic_store(&hits.n, 0);
        execq_future *future = NULL;
        const int64_t begin = clock_now();
        assert_status(execq_submit_with(executor, &options[i], counter_fn, &hits, &future), EXECQ_OK);
        assert_status(execq_future_wait(future, -1), EXECQ_OK);
        assert_true(clock_now() - begin >= 2 * MILLISECOND);
        assert_never_ran(future);
    }
    gate_open(&g, 1);
    finish(blocker);
}

static void a_limit_that_is_up_already_cancels_inside_the_submission(void **state)
{
    (void)state;
    const execq_task_options options[] = {limits(-1, 0), limits(0, -1), limits(INT64_MIN, HOUR),
                                          limits(HOUR, INT64_MIN)};
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        atomic_store(&hits.n, 0);
        execq_future *future = NULL;
        execq_task_options one = options[i];
        assert_status(execq_submit_with(executor, &one, counter_fn, &hits, &future), EXECQ_OK);
        assert_never_ran(future);
        atomic_store(&hits.n, 0);
        one.delay_ns = HOUR;
        assert_status(execq_submit_with(executor, &one, counter_fn, &hits, &future), EXECQ_OK);
        assert_never_ran(future);
        atomic_store(&hits.n, 0);
        void *envs[] = {&hits, &hits};
        assert_status(execq_submit_many(executor, &options[i], 2, counter_fn, envs, NULL), EXECQ_OK);
        assert_int_equal(counter_get(&hits), 2);
    }
}

static void a_limit_that_is_up_already_does_not_hide_a_closed_executor(void **state)
{
    (void)state;
    const execq_task_options options = limits(-1, -1);
    execq_executor *closed = pool_new(1);
    assert_status(execq_executor_close(closed, EXECQ_DRAIN), EXECQ_OK);
    execq_future *future = UNTOUCHED;
    assert_status(execq_submit_with(closed, &options, counter_fn, &hits, &future), EXECQ_ECLOSED);
    assert_int_equal(counter_get(&hits), 1);
    assert_ptr_equal(future, UNTOUCHED);
    assert_status(execq_executor_join(closed, -1, NULL), EXECQ_OK);
    execq_executor_release(closed);
}

static void limits_that_are_not_reached_change_nothing(void **state)
{
    (void)state;
    const execq_task_options options[] = {limits(HOUR, 0), limits(0, HOUR), limits(HOUR, HOUR),
                                          limits(INT64_MAX, INT64_MAX)};
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        execq_future *future = NULL;
        atomic_store(&hits.n, 0);
        assert_status(execq_submit_with(executor, &options[i], counter_fn, &hits, &future), EXECQ_OK);
        assert_status(execq_future_wait(future, -1), EXECQ_OK);
        assert_status(execq_future_result(future, NULL), EXECQ_OK);
        assert_int_equal(execq_future_cancel_reason(future), EXECQ_REASON_NONE);
        assert_int_equal(counter_get(&hits), 2);
        execq_future_release(future);
    }
}

static int32_t until_asked_to_stop(void *env, void **result)
{
    (void)env;
    (void)result;
    while (!execq_cancel_requested())
        sched_yield();
    return EXECQ_ECANCELED;
}

static void a_running_task_is_asked_to_stop(void **state)
{
    (void)state;
    execq_task_options options = limits(0, 3 * MILLISECOND);
    execq_future *future = NULL;
    const int64_t begin = clock_now();
    assert_status(execq_submit_with(executor, &options, until_asked_to_stop, &hits, &future), EXECQ_OK);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_true(clock_now() - begin >= 3 * MILLISECOND);
    assert_status(execq_future_result(future, NULL), EXECQ_ECANCELED);
    assert_int_equal(execq_future_cancel_reason(future), EXECQ_REASON_DEADLINE);
    assert_int_equal(counter_get(&hits), 1);
    execq_future_release(future);
}

static int32_t note_request_at_the_gate(void *env, void **result)
{
    gate_pass(env);
    *result = execq_cancel_requested() ? env : NULL;
    return 0;
}

static void a_started_task_is_past_its_start_limit(void **state)
{
    (void)state;
    execq_task_options options = limits(200 * MILLISECOND, 0); /* it has to start within that */
    options.drop = NULL;
    execq_future *future = NULL;
    execq_future *later = NULL;
    void *asked = UNTOUCHED;
    assert_status(execq_submit_with(executor, &options, note_request_at_the_gate, &g, &future), EXECQ_OK);
    gate_await(&g, 1);
    assert_status(execq_sleep(205 * MILLISECOND, &later), EXECQ_OK);
    finish(later);
    gate_open(&g, 1);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_status(execq_future_result(future, &asked), EXECQ_OK);
    assert_null(asked);
    assert_int_equal(execq_future_cancel_reason(future), EXECQ_REASON_NONE);
    execq_future_release(future);
}

static void a_timeout_reaches_a_task_that_started_within_its_other_limit(void **state)
{
    (void)state;
    execq_task_options options = limits(2 * MILLISECOND, 6 * MILLISECOND);
    options.drop = NULL;
    execq_future *future = NULL;
    execq_future *later = NULL;
    void *asked = NULL;
    assert_status(execq_submit_with(executor, &options, note_request_at_the_gate, &g, &future), EXECQ_OK);
    gate_await(&g, 1);
    assert_status(execq_sleep(10 * MILLISECOND, &later), EXECQ_OK);
    finish(later);
    gate_open(&g, 1);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_status(execq_future_result(future, &asked), EXECQ_OK); /* it may succeed all the same */
    assert_ptr_equal(asked, &g);
    assert_int_equal(execq_future_cancel_reason(future), EXECQ_REASON_DEADLINE);
    execq_future_release(future);
}

/* An asynchronous task that ends when it is asked to. */
static void reject_it(void *env) { must(execq_promise_reject(env, EXECQ_ECANCELED, NULL) == EXECQ_OK); }

static void release_it(void *env) { execq_promise_release(env); }

static void wait_for_a_cancellation(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    (void)loop;
    (void)env;
    must(execq_promise_on_cancel(promise, reject_it, promise, release_it) == EXECQ_OK);
}

static void an_asynchronous_task_is_told_on_its_loop(void **state)
{
    (void)state;
    attached host;
    attached_open(&host);
    execq_task_options options = limits(0, 3 * MILLISECOND);
    execq_future *future = NULL;
    const int64_t begin = clock_now();
    assert_status(execq_loop_submit_async(host.port, &options, wait_for_a_cancellation, &hits, &future), EXECQ_OK);
    assert_int_equal(uv_run(&host.loop, UV_RUN_DEFAULT), 0);
    assert_true(clock_now() - begin >= 3 * MILLISECOND);
    assert_status(execq_future_result(future, NULL), EXECQ_ECANCELED);
    assert_int_equal(execq_future_cancel_reason(future), EXECQ_REASON_DEADLINE);
    assert_int_equal(counter_get(&hits), 1);
    execq_future_release(future);
    attached_close(&host);
}

static void a_lifted_task_that_the_loop_does_not_get_to_is_canceled(void **state)
{
    (void)state;
    attached host;
    attached_open(&host);
    const execq_task_options options[] = {limits(2 * MILLISECOND, 0), limits(0, 2 * MILLISECOND), limits(-1, 0)};
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        atomic_store(&hits.n, 0);
        execq_future *future = NULL;
        assert_status(execq_loop_submit(host.port, &options[i], counter_fn, &hits, &future), EXECQ_OK);
        assert_status(execq_future_wait(future, -1), EXECQ_OK);
        assert_never_ran(future);
    }
    assert_int_equal(uv_run(&host.loop, UV_RUN_DEFAULT), 0);
    attached_close(&host);
}

static void completions_of_canceled_tasks_are_delivered(void **state)
{
    (void)state;
    attached host;
    attached_open(&host);
    execq_cq *queue = NULL;
    assert_status(execq_cq_new(&queue), EXECQ_OK);
    execq_future *blocker = occupy(executor, &g);
    counter done = {0};
    const execq_task_options options[] = {limits(2 * MILLISECOND, 0), limits(-1, 0)};
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        atomic_store(&done.n, 0);
        atomic_store(&hits.n, 0);
        assert_status(
            execq_submit_to_loop(executor, &options[i], counter_fn, &hits, host.port, count_done, &done, NULL),
            EXECQ_OK);
        assert_status(
            execq_submit_to_loop(executor, &options[i], counter_fn, &hits, host.port, count_done, &done, counter_hit),
            EXECQ_OK);
        assert_status(execq_submit_to_cq(executor, &options[i], counter_fn, &hits, queue, NULL), EXECQ_OK);
        assert_int_equal(uv_run(&host.loop, UV_RUN_DEFAULT), 0);
        assert_int_equal(counter_get(&done), 3);
        execq_completion out;
        size_t n = 0;
        assert_status(execq_cq_wait(queue, -1), EXECQ_OK);
        assert_status(execq_cq_drain(queue, &out, 1, &n), EXECQ_OK);
        assert_int_equal(out.status, EXECQ_ECANCELED);
        execq_future_release(out.future);
        assert_int_equal(counter_get(&hits), 3);
    }
    gate_open(&g, 1);
    finish(blocker);
    execq_cq_release(queue);
    attached_close(&host);
}

static void drop_pointed_to(void *env) { counter_hit(*(counter **)env); }

static void a_copied_env_is_dropped_as_the_copy(void **state)
{
    (void)state;
    execq_task_options options = limits(-1, 0);
    counter *env = &hits;
    options.drop = drop_pointed_to;
    options.env_size = sizeof env;
    options.name = "late";
    execq_future *future = NULL;
    assert_status(execq_submit_with(executor, &options, do_nothing, &env, &future), EXECQ_OK);
    assert_never_ran(future);
}

static int open_all(void **state)
{
    (void)state;
    gate_init(&g);
    atomic_store(&hits.n, 0);
    executor = pool_new(1);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    pool_end(executor);
    gate_destroy(&g);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_task_that_has_not_started_in_time_is_canceled),
        TEST(a_limit_that_is_up_already_cancels_inside_the_submission),
        TEST(a_limit_that_is_up_already_does_not_hide_a_closed_executor),
        TEST(limits_that_are_not_reached_change_nothing),
        TEST(a_running_task_is_asked_to_stop),
        TEST(a_started_task_is_past_its_start_limit),
        TEST(a_timeout_reaches_a_task_that_started_within_its_other_limit),
        TEST(an_asynchronous_task_is_told_on_its_loop),
        TEST(a_lifted_task_that_the_loop_does_not_get_to_is_canceled),
        TEST(completions_of_canceled_tasks_are_delivered),
        TEST(a_copied_env_is_dropped_as_the_copy),
    };
    return cmocka_run_group_tests_name("capi.deadline", tests, NULL, NULL);
}
