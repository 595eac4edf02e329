/* Submission: what runs, with what, and when each env and value is dropped. */
#include "capi.h"

static void a_task_gets_its_env_and_gives_its_value(void **state)
{
    (void)state;
    int thing = 0;
    void *value = NULL;
    execq_executor *executor = pool_new(1);
    execq_future *future = spawn(executor, give_env, &thing);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_status(execq_future_result(future, &value), EXECQ_OK);
    assert_ptr_equal(value, &thing);
    execq_future_release(future);
    pool_end(executor);
}

static int32_t note_result(void *env, void **result)
{
    *(void **)env = *result;
    return 0;
}

static void the_value_is_null_until_the_task_sets_it(void **state)
{
    (void)state;
    void *seen = UNTOUCHED;
    void *value = UNTOUCHED;
    execq_executor *executor = pool_new(1);
    execq_future *future = spawn(executor, note_result, &seen);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_null(seen);
    assert_status(execq_future_result(future, &value), EXECQ_OK);
    assert_null(value);
    execq_future_release(future);
    pool_end(executor);
}

static void a_submission_without_a_function_changes_nothing(void **state)
{
    (void)state;
    counter dropped = {0};
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = counter_hit;
    execq_future *out = UNTOUCHED;
    execq_executor *executor = pool_new(1);
    assert_status(execq_submit(executor, NULL, NULL, &out), EXECQ_EINVAL);
    assert_status(execq_submit_with(executor, NULL, NULL, NULL, &out), EXECQ_EINVAL);
    assert_status(execq_submit_with(executor, &options, NULL, &dropped, &out), EXECQ_EINVAL);
    assert_int_equal(counter_get(&dropped), 1);
    assert_ptr_equal(out, UNTOUCHED);
    pool_end(executor);
    assert_int_equal(counter_get(&dropped), 1);
}

static void no_options_are_default_options(void **state)
{
    (void)state;
    int thing = 0;
    void *value = NULL;
    execq_future *future = NULL;
    execq_executor *executor = pool_new(1);
    assert_status(execq_submit_with(executor, NULL, give_env, &thing, &future), EXECQ_OK);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_status(execq_future_result(future, &value), EXECQ_OK);
    assert_ptr_equal(value, &thing);
    execq_future_release(future);
    pool_end(executor);
}

static void a_null_executor_is_the_default_one(void **state)
{
    (void)state;
    counter ran = {0};
    execq_future *future = NULL;
    assert_status(execq_submit(NULL, counter_fn, &ran, &future), EXECQ_OK);
    finish(future);
    assert_status(execq_submit_with(NULL, NULL, counter_fn, &ran, &future), EXECQ_OK);
    finish(future);
    assert_status(execq_submit_many(NULL, NULL, 1, counter_fn, (void *[]){&ran}, &future), EXECQ_OK);
    finish(future);
    assert_int_equal(counter_get(&ran), 3);
}

static void fire_and_forget_runs_and_drops_env_and_value(void **state)
{
    (void)state;
    counter dropped = {0};
    counter values = {0};
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = counter_hit;
    execq_executor *executor = pool_new(2);
    for (int i = 0; i < 100; i++) {
        assert_status(execq_submit_with(executor, &options, do_nothing, &dropped, NULL), EXECQ_OK);
    }
    options.drop = NULL;
    options.drop_result = counter_hit;
    for (int i = 0; i < 100; i++) {
        assert_status(execq_submit_with(executor, &options, give_env, &values, NULL), EXECQ_OK);
    }
    pool_end(executor);
    assert_int_equal(counter_get(&dropped), 100);
    assert_int_equal(counter_get(&values), 100);
}

struct handover {
    int input;
    int output;
};

static int32_t add_one(void *env, void **result)
{
    struct handover *handover = env;
    handover->output = handover->input + 1;
    *result = handover;
    return 0;
}

static void writes_travel_to_the_task_and_back(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(2);
    for (int i = 0; i < 1000; i++) {
        struct handover handover = {i, 0};
        finish(spawn(executor, add_one, &handover));
        assert_int_equal(handover.output, i + 1);
    }
    pool_end(executor);
}

static int32_t end_the_thread(void *env, void **result)
{
    (void)env;
    (void)result;
    pthread_exit(NULL);
}

static void a_task_that_ends_its_thread_fails_and_the_worker_is_replaced(void **state)
{
    (void)state;
    counter dropped = {0};
    execq_executor *executor = pool_new(1);
    for (int i = 1; i <= 3; i++) {
        execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
        execq_future *future = NULL;
        options.drop = counter_hit;
        assert_status(execq_submit_with(executor, &options, end_the_thread, &dropped, &future), EXECQ_OK);
        assert_status(execq_future_wait(future, -1), EXECQ_OK);
        assert_status(execq_future_result(future, NULL), EXECQ_EFAILED);
        assert_int_equal(execq_error_code(execq_future_error(future)), EXECQ_EEXITED);
        assert_string_equal(execq_error_message(execq_future_error(future)), execq_status_text(EXECQ_EEXITED));
        assert_int_equal(counter_get(&dropped), i);
        execq_future_release(future);
        finish(spawn(executor, do_nothing, NULL));
    }
    pool_end(executor);
}

static void cancel_requested_is_0_outside_a_task(void **state)
{
    (void)state;
    assert_int_equal(execq_cancel_requested(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_gets_its_env_and_gives_its_value),
        cmocka_unit_test(the_value_is_null_until_the_task_sets_it),
        cmocka_unit_test(a_submission_without_a_function_changes_nothing),
        cmocka_unit_test(no_options_are_default_options),
        cmocka_unit_test(a_null_executor_is_the_default_one),
        cmocka_unit_test(fire_and_forget_runs_and_drops_env_and_value),
        cmocka_unit_test(writes_travel_to_the_task_and_back),
        cmocka_unit_test(a_task_that_ends_its_thread_fails_and_the_worker_is_replaced),
        cmocka_unit_test(cancel_requested_is_0_outside_a_task),
    };
    return cmocka_run_group_tests_name("capi.task", tests, NULL, NULL);
}
