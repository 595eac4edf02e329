/* Failures: codes, messages, and how long an error lives. */
#include "capi.h"

/* What a failing task says and returns. */
struct failure {
    int32_t said;
    const char *message;
    int32_t returned;
    int32_t answer; /* of execq_fail */
};

static int32_t say_and_return(void *env, void **result)
{
    (void)result;
    struct failure *failure = env;
    failure->answer = execq_fail(failure->said, failure->message);
    return failure->returned;
}

static int32_t return_code(void *env, void **result)
{
    (void)result;
    return *(int32_t *)env;
}

/* Runs a task to its end and checks how it failed. */
static void check_failure(execq_fn fn, void *env, int32_t code, const char *message)
{
    execq_executor *executor = pool_new(1);
    execq_future *future = spawn(executor, fn, env);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_FAILED);
    const execq_error *error = execq_future_error(future);
    assert_non_null(error);
    assert_int_equal(execq_error_code(error), code);
    assert_string_equal(execq_error_message(error), message);
    assert_ptr_equal(execq_future_error(future), error);
    execq_future_release(future);
    pool_end(executor);
}

static void any_code_but_0_is_a_failure_with_that_code(void **state)
{
    (void)state;
    static int32_t codes[] = {1, 42, -99, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        check_failure(return_code, &codes[i], codes[i], "");
    }
}

static void a_failure_carries_its_message(void **state)
{
    (void)state;
    struct failure failure = {5, "the disk is full", 5, 0};
    check_failure(say_and_return, &failure, 5, "the disk is full");
    assert_int_equal(failure.answer, 5);
}

static int32_t fail_with_buffer(void *env, void **result)
{
    (void)env;
    (void)result;
    char message[] = "from the stack";
    const int32_t code = execq_fail(6, message);
    memset(message, 'x', sizeof message - 1);
    return code;
}

static void the_message_is_copied(void **state)
{
    (void)state;
    check_failure(fail_with_buffer, NULL, 6, "from the stack");
}

static void a_null_message_is_no_message(void **state)
{
    (void)state;
    struct failure failure = {5, NULL, 5, 0};
    check_failure(say_and_return, &failure, 5, "");
}

static void a_message_may_be_a_mebibyte(void **state)
{
    (void)state;
    const size_t size = 1 << 20;
    char *message = malloc(size);
    memset(message, 'm', size - 1);
    message[size - 1] = '\0';
    struct failure failure = {5, message, 5, 0};
    check_failure(say_and_return, &failure, 5, message);
    free(message);
}

static void a_message_counts_only_if_the_task_returns_the_same_code(void **state)
{
    (void)state;
    struct failure failure = {5, "said of 5", 6, 0};
    check_failure(say_and_return, &failure, 6, "");
}

static void a_task_that_said_why_and_then_succeeds_succeeds(void **state)
{
    (void)state;
    struct failure failure = {5, "never mind", 0, 0};
    execq_executor *executor = pool_new(1);
    execq_future *future = spawn(executor, say_and_return, &failure);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_OK);
    assert_null(execq_future_error(future));
    execq_future_release(future);
    pool_end(executor);
}

static int32_t say_thrice(void *env, void **result)
{
    (void)env;
    (void)result;
    execq_fail(5, "first");
    execq_fail(9, "second");
    return execq_fail(5, "third");
}

static int32_t say_another_last(void *env, void **result)
{
    (void)env;
    (void)result;
    const int32_t code = execq_fail(5, "first");
    execq_fail(9, "second");
    return code;
}

static void each_call_replaces_the_one_before(void **state)
{
    (void)state;
    check_failure(say_thrice, NULL, 5, "third");
    check_failure(say_another_last, NULL, 5, "");
}

static void code_0_becomes_efailed(void **state)
{
    (void)state;
    struct failure failure = {0, "said of 0", EXECQ_EFAILED, 0};
    check_failure(say_and_return, &failure, EXECQ_EFAILED, "said of 0");
    assert_int_equal(failure.answer, EXECQ_EFAILED);
}

static void outside_a_task_fail_only_returns_the_code(void **state)
{
    (void)state;
    static int32_t code = 5;
    assert_int_equal(execq_fail(5, "nobody listens"), 5);
    assert_int_equal(execq_fail(0, NULL), EXECQ_EFAILED);
    check_failure(return_code, &code, 5, "");
}

static void a_message_does_not_stay_for_the_next_task(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    struct failure failure = {5, "mine alone", 0, 0};
    int32_t code = 5;
    finish(spawn(executor, say_and_return, &failure));
    execq_future *next = spawn(executor, return_code, &code);
    assert_status(execq_future_wait(next, -1), EXECQ_OK);
    assert_string_equal(execq_error_message(execq_future_error(next)), "");
    execq_future_release(next);
    pool_end(executor);
}

struct nested {
    execq_executor *executor;
    struct failure inner;
    char inner_message[32];
};

static int32_t fail_around_another(void *env, void **result)
{
    (void)result;
    struct nested *nested = env;
    const int32_t code = execq_fail(5, "outer");
    execq_future *future = NULL;
    must(execq_submit(nested->executor, say_and_return, &nested->inner, &future) == EXECQ_OK);
    must(execq_future_wait(future, -1) == EXECQ_OK);
    snprintf(nested->inner_message, sizeof nested->inner_message, "%s",
             execq_error_message(execq_future_error(future)));
    execq_future_release(future);
    return code;
}

static void a_nested_task_fails_by_itself(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    struct nested nested = {executor, {5, "inner", 5, 0}, ""};
    execq_future *future = spawn(executor, fail_around_another, &nested);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_string_equal(execq_error_message(execq_future_error(future)), "outer");
    assert_string_equal(nested.inner_message, "inner");
    execq_future_release(future);
    pool_end(executor);
}

static int32_t return_what_another_said(void *env, void **result)
{
    (void)result;
    struct nested *nested = env;
    execq_future *future = NULL;
    must(execq_submit(nested->executor, say_and_return, &nested->inner, &future) == EXECQ_OK);
    must(execq_future_wait(future, -1) == EXECQ_OK);
    execq_future_release(future);
    return nested->inner.said;
}

static void what_a_nested_task_said_is_not_the_outer_ones_message(void **state)
{
    (void)state;
    static const int32_t returned[] = {0, 6, 5};
    for (size_t i = 0; i < COUNT_OF(returned); i++) {
        execq_executor *executor = pool_new(1);
        struct nested nested = {executor, {5, "inner", returned[i], 0}, ""};
        execq_future *future = spawn(executor, return_what_another_said, &nested);
        assert_status(execq_future_wait(future, -1), EXECQ_OK);
        assert_int_equal(execq_error_code(execq_future_error(future)), 5);
        assert_string_equal(execq_error_message(execq_future_error(future)), "");
        execq_future_release(future);
        pool_end(executor);
    }
}

static void an_error_may_outlive_its_future(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    struct failure failure = {5, "kept", 5, 0};
    execq_future *future = spawn(executor, say_and_return, &failure);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    const execq_error *error = execq_future_error(future);
    execq_error_retain(error);
    execq_error_retain(error);
    execq_future_release(future);
    pool_end(executor);
    execq_error_release(error);
    assert_int_equal(execq_error_code(error), 5);
    assert_string_equal(execq_error_message(error), "kept");
    execq_error_release(error);
}

static void null_is_no_error(void **state)
{
    (void)state;
    assert_int_equal(execq_error_code(NULL), 0);
    assert_string_equal(execq_error_message(NULL), "");
    execq_error_retain(NULL);
    execq_error_release(NULL);
    assert_null(execq_future_error(NULL));
}

static void only_a_failed_future_has_an_error(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(1);
    execq_future *running = occupy(executor, &g);
    execq_future *pending = spawn(executor, do_nothing, NULL);
    execq_future *canceled = spawn(executor, do_nothing, NULL);
    assert_status(execq_future_cancel(canceled), EXECQ_OK);
    assert_null(execq_future_error(running));
    assert_null(execq_future_error(pending));
    assert_null(execq_future_error(canceled));
    gate_open(&g, 1);
    finish(pending);
    assert_null(execq_future_error(running));
    finish(running);
    execq_future_release(canceled);
    pool_end(executor);
    gate_destroy(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_code_but_0_is_a_failure_with_that_code),
        cmocka_unit_test(a_failure_carries_its_message),
        cmocka_unit_test(the_message_is_copied),
        cmocka_unit_test(a_null_message_is_no_message),
        cmocka_unit_test(a_message_may_be_a_mebibyte),
        cmocka_unit_test(a_message_counts_only_if_the_task_returns_the_same_code),
        cmocka_unit_test(a_task_that_said_why_and_then_succeeds_succeeds),
        cmocka_unit_test(each_call_replaces_the_one_before),
        cmocka_unit_test(code_0_becomes_efailed),
        cmocka_unit_test(outside_a_task_fail_only_returns_the_code),
        cmocka_unit_test(a_message_does_not_stay_for_the_next_task),
        cmocka_unit_test(a_nested_task_fails_by_itself),
        cmocka_unit_test(an_error_may_outlive_its_future),
        cmocka_unit_test(null_is_no_error),
        cmocka_unit_test(only_a_failed_future_has_an_error),
        cmocka_unit_test(what_a_nested_task_said_is_not_the_outer_ones_message),
    };
    return cmocka_run_group_tests_name("capi.error", tests, NULL, NULL);
}
