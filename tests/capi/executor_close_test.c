/* Closing an executor in both modes, from everywhere, and racing with submissions. */
#include "capi.h"

static void close_refuses_bad_arguments(void **state)
{
    (void)state;
    static const int32_t strangers[] = {0, 3, -1, INT32_MAX, INT32_MIN};
    execq_executor *executor = pool_new(1);
    for (size_t i = 0; i < COUNT_OF(strangers); i++) {
        assert_status(execq_executor_close(executor, strangers[i]), EXECQ_EINVAL);
    }
    assert_status(execq_executor_close(NULL, EXECQ_DRAIN), EXECQ_EINVAL);
    assert_status(execq_executor_close(NULL, 0), EXECQ_EINVAL);
    finish(spawn(executor, do_nothing, NULL)); /* none of it closed the executor */
    pool_end(executor);
}

static void closing_again_is_fine(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    assert_status(execq_executor_close(executor, EXECQ_CANCEL), EXECQ_OK);
    assert_status(execq_executor_close(executor, EXECQ_CANCEL), EXECQ_OK);
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    execq_executor_release(executor);
}

static void drop_runs_once_when_the_executor_is_closed(void **state)
{
    (void)state;
    static const int32_t modes[] = {EXECQ_DRAIN, EXECQ_CANCEL};
    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        execq_executor *executor = pool_new(1);
        assert_status(execq_executor_close(executor, modes[i]), EXECQ_OK);
        counter dropped = {0};
        execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
        options.drop = counter_hit;
        execq_future *out = UNTOUCHED;
        assert_status(execq_submit_with(executor, &options, do_nothing, &dropped, &out), EXECQ_ECLOSED);
        assert_int_equal(counter_get(&dropped), 1);
        assert_status(execq_submit(executor, do_nothing, NULL, &out), EXECQ_ECLOSED);
        assert_ptr_equal(out, UNTOUCHED);
        assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
        assert_int_equal(counter_get(&dropped), 1);
        execq_executor_release(executor);
    }
}

static void a_drain_runs_all_that_was_accepted(void **state)
{
    (void)state;
    enum { TASKS = 1000 };
    execq_executor *executor = pool_new(2);
    static gate g;
    gate_init(&g);
    counter ran = {0};
    execq_future *first = occupy(executor, &g);
    execq_future *second = occupy(executor, &g);
    for (int i = 0; i < TASKS; i++) {
        assert_status(execq_submit(executor, counter_fn, &ran, NULL), EXECQ_OK);
    }
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    gate_open(&g, 2);
    assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
    assert_int_equal(counter_get(&ran), TASKS);
    finish(first);
    finish(second);
    execq_executor_release(executor);
    gate_destroy(&g);
}

/* A task that waits for the close and then submits the next of its kind, so many times. */
struct offspring {
    execq_executor *executor;
    gate *gate;
    int left;
    int born;
    execq_status refused;
};

static int32_t bear(void *env, void **result)
{
    (void)result;
    struct offspring *self = env;
    if (self->gate != NULL) {
        gate *g = self->gate;
        self->gate = NULL;
        gate_pass(g);
    }
    self->born++;
    if (self->left-- == 0) {
        return 0;
    }
    const execq_status status = execq_submit(self->executor, bear, self, NULL);
    if (status != EXECQ_OK) {
        self->refused = status;
    }
    return 0;
}

static void a_drain_accepts_submissions_of_its_running_tasks(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(1);
    struct offspring line = {executor, &g, 100, 0, EXECQ_OK};
    assert_status(execq_submit(executor, bear, &line, NULL), EXECQ_OK);
    gate_await(&g, 1);
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    assert_status(execq_submit(executor, do_nothing, NULL, NULL), EXECQ_ECLOSED); /* from outside */
    gate_open(&g, 1);
    assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
    assert_int_equal(line.refused, EXECQ_OK);
    assert_int_equal(line.born, 101);
    execq_executor_release(executor);
    gate_destroy(&g);
}

static void a_drain_refuses_submissions_of_other_executors_tasks(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *closed = pool_new(1);
    execq_executor *other = pool_new(1);
    execq_future *holder = occupy(closed, &g);
    assert_status(execq_executor_close(closed, EXECQ_DRAIN), EXECQ_OK);
    struct offspring line = {closed, NULL, 1, 0, EXECQ_OK};
    finish(spawn(other, bear, &line));
    assert_int_equal(line.refused, EXECQ_ECLOSED);
    gate_open(&g, 1);
    finish(holder);
    pool_end(closed);
    pool_end(other);
    gate_destroy(&g);
}

static void under_cancel_not_even_running_tasks_may_submit(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(1);
    struct offspring line = {executor, &g, 1, 0, EXECQ_OK};
    execq_future *future = spawn(executor, bear, &line);
    gate_await(&g, 1);
    assert_status(execq_executor_close(executor, EXECQ_CANCEL), EXECQ_OK);
    gate_open(&g, 1);
    finish(future);
    assert_int_equal(line.refused, EXECQ_ECLOSED);
    assert_int_equal(line.born, 1);
    pool_end(executor);
    gate_destroy(&g);
}

static int32_t must_not_run(void *env, void **result)
{
    (void)env;
    (void)result;
    must(!"a canceled task ran");
    return 0;
}

/* Checks that a close with these modes in turn cancels the queue. */
static void check_that_the_queue_is_canceled(int32_t first_mode, int32_t last_mode)
{
    enum { TASKS = 100 };
    static gate g;
    gate_init(&g);
    counter dropped = {0};
    execq_executor *executor = pool_new(1);
    execq_future *holder = occupy(executor, &g);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = counter_hit;
    execq_future *futures[TASKS];
    for (int i = 0; i < TASKS; i++) {
        assert_status(execq_submit_with(executor, &options, must_not_run, &dropped, &futures[i]), EXECQ_OK);
    }
    assert_status(execq_executor_close(executor, first_mode), EXECQ_OK);
    assert_status(execq_executor_close(executor, last_mode), EXECQ_OK);
    gate_open(&g, 1);
    assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
    for (int i = 0; i < TASKS; i++) {
        assert_int_equal(execq_future_state(futures[i]), EXECQ_FUTURE_CANCELED);
        assert_int_equal(execq_future_cancel_reason(futures[i]), EXECQ_REASON_SHUTDOWN);
        assert_status(execq_future_result(futures[i], NULL), EXECQ_ECANCELED);
        execq_future_release(futures[i]);
    }
    assert_int_equal(counter_get(&dropped), TASKS);
    assert_int_equal(execq_future_state(holder), EXECQ_FUTURE_OK);
    finish(holder);
    execq_executor_release(executor);
    gate_destroy(&g);
}

static void a_cancel_cancels_what_is_queued_with_reason_shutdown(void **state)
{
    (void)state;
    check_that_the_queue_is_canceled(EXECQ_CANCEL, EXECQ_CANCEL);
}

static void a_cancel_may_follow_a_drain(void **state)
{
    (void)state;
    check_that_the_queue_is_canceled(EXECQ_DRAIN, EXECQ_CANCEL);
}

static void a_drain_after_a_cancel_changes_nothing(void **state)
{
    (void)state;
    check_that_the_queue_is_canceled(EXECQ_CANCEL, EXECQ_DRAIN);
}

static int32_t stop_if_asked(void *env, void **result)
{
    (void)result;
    gate_pass(env);
    return execq_cancel_requested() ? EXECQ_ECANCELED : 0;
}

static void a_cancel_asks_what_runs_to_stop(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(2);
    execq_future *first = spawn(executor, stop_if_asked, &g);
    execq_future *second = spawn(executor, stop_if_asked, &g);
    gate_await(&g, 2);
    assert_status(execq_executor_close(executor, EXECQ_CANCEL), EXECQ_OK);
    gate_open(&g, 2);
    assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
    assert_int_equal(execq_future_state(first), EXECQ_FUTURE_CANCELED);
    assert_int_equal(execq_future_state(second), EXECQ_FUTURE_CANCELED);
    assert_int_equal(execq_future_cancel_reason(first), EXECQ_REASON_SHUTDOWN);
    assert_int_equal(execq_future_cancel_reason(second), EXECQ_REASON_SHUTDOWN);
    finish(first);
    finish(second);
    execq_executor_release(executor);
    gate_destroy(&g);
}

static void a_drain_asks_nobody_to_stop(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(1);
    execq_future *future = spawn(executor, stop_if_asked, &g);
    gate_await(&g, 1);
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    gate_open(&g, 1);
    pool_end(executor);
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_OK);
    assert_int_equal(execq_future_cancel_reason(future), EXECQ_REASON_NONE);
    finish(future);
    gate_destroy(&g);
}

static int32_t close_in_task(void *env, void **result)
{
    (void)result;
    return execq_executor_close(env, EXECQ_CANCEL);
}

static void close_in_done(execq_future *future, void *env)
{
    (void)future;
    must(execq_executor_close(env, EXECQ_DRAIN) == EXECQ_OK);
}

static void a_worker_and_a_callback_may_close_their_own_executor(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(1);
    execq_future *future = spawn(executor, close_in_task, executor);
    finish(future);
    assert_status(execq_submit(executor, do_nothing, NULL, NULL), EXECQ_ECLOSED);
    pool_end(executor);

    executor = pool_new(1);
    future = occupy(executor, &g);
    assert_status(execq_future_on_done(future, close_in_done, executor, NULL), EXECQ_OK);
    gate_open(&g, 1);
    finish(future);
    execq_status status = EXECQ_EINVAL; /* until the callback has closed it, a join says: not closed */
    while (status == EXECQ_EINVAL) {
        status = execq_executor_join(executor, -1, NULL);
    }
    assert_status(status, EXECQ_OK);
    execq_executor_release(executor);
    gate_destroy(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(close_refuses_bad_arguments),
        cmocka_unit_test(closing_again_is_fine),
        cmocka_unit_test(drop_runs_once_when_the_executor_is_closed),
        cmocka_unit_test(a_drain_runs_all_that_was_accepted),
        cmocka_unit_test(a_drain_accepts_submissions_of_its_running_tasks),
        cmocka_unit_test(a_drain_refuses_submissions_of_other_executors_tasks),
        cmocka_unit_test(under_cancel_not_even_running_tasks_may_submit),
        cmocka_unit_test(a_cancel_cancels_what_is_queued_with_reason_shutdown),
        cmocka_unit_test(a_cancel_may_follow_a_drain),
        cmocka_unit_test(a_drain_after_a_cancel_changes_nothing),
        cmocka_unit_test(a_cancel_asks_what_runs_to_stop),
        cmocka_unit_test(a_drain_asks_nobody_to_stop),
        cmocka_unit_test(a_worker_and_a_callback_may_close_their_own_executor),
    };
    return cmocka_run_group_tests_name("capi.executor_close", tests, NULL, NULL);
}
