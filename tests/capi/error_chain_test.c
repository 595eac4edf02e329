/* Errors that are made: causes, payloads, text; and the ways into a future for them. */
#include "capi.h"

static const char my_kind;
static const char other_kind;

static const execq_error *error_new(int32_t code, const char *message, const execq_error *cause)
{
    execq_error_options options = EXECQ_ERROR_OPTIONS_INIT;
    options.code = code;
    options.message = message;
    options.cause = cause;
    const execq_error *error = NULL;
    assert_status(execq_error_new(&options, &error), EXECQ_OK);
    return error;
}

static void an_error_has_what_it_was_made_of(void **state)
{
    (void)state;
    static counter drops;
    char message[] = "copied";
    const execq_error *cause = error_new(1, NULL, NULL);
    execq_error_options options = EXECQ_ERROR_OPTIONS_INIT;
    options.code = 28;
    options.message = message;
    options.cause = cause;
    options.payload = &drops;
    options.kind = &my_kind;
    options.drop = counter_hit;
    const execq_error *error = NULL;
    assert_status(execq_error_new(&options, &error), EXECQ_OK);
    memset(message, 'x', sizeof message - 1);
    execq_error_release(cause);
    assert_int_equal(execq_error_code(error), 28);
    assert_string_equal(execq_error_message(error), "copied");
    assert_ptr_equal(execq_error_cause(error), cause);
    assert_int_equal(execq_error_code(execq_error_cause(error)), 1);
    assert_null(execq_error_cause(execq_error_cause(error)));
    assert_ptr_equal(execq_error_payload(error, &my_kind), &drops);
    assert_null(execq_error_payload(error, &other_kind));
    assert_null(execq_error_payload(error, NULL));
    assert_null(execq_error_payload(execq_error_cause(error), &my_kind));
    assert_int_equal(counter_get(&drops), 0);
    execq_error_release(error);
    assert_int_equal(counter_get(&drops), 1);
    assert_null(execq_error_cause(NULL));
    assert_null(execq_error_payload(NULL, &my_kind));
}

static void a_refused_error_drops_its_payload(void **state)
{
    (void)state;
    static counter drops;
    const execq_error *error = UNTOUCHED;
    execq_error_options good = EXECQ_ERROR_OPTIONS_INIT;
    good.code = 1;
    good.payload = &drops;
    good.drop = counter_hit;
    assert_status(execq_error_new(NULL, &error), EXECQ_EINVAL);
    assert_status(execq_error_new(&good, NULL), EXECQ_EINVAL);
    assert_int_equal(counter_get(&drops), 1);
    execq_error_options bad = good;
    bad.code = 0;
    assert_status(execq_error_new(&bad, &error), EXECQ_EINVAL);
    bad = good;
    bad.reserved = 1;
    assert_status(execq_error_new(&bad, &error), EXECQ_EINVAL);
    bad = good;
    bad.flags = 1;
    assert_status(execq_error_new(&bad, &error), EXECQ_ENOTSUP);
    bad = good;
    bad.struct_size -= 8;
    assert_status(execq_error_new(&bad, &error), EXECQ_EINVAL);
    assert_int_equal(counter_get(&drops), 5);
    bad.struct_size = 8;
    assert_status(execq_error_new(&bad, &error), EXECQ_EINVAL);
    assert_int_equal(counter_get(&drops), 5); /* its size does not cover them */
    assert_ptr_equal(error, UNTOUCHED);
}

static void a_text_names_the_causes(void **state)
{
    (void)state;
    const execq_error *first = error_new(28, "the disk is full", NULL);
    const execq_error *second = error_new(EXECQ_EFAILED, "can not save", first);
    char text[128];
    const char *whole = "EXECQ_EFAILED: can not save; caused by 28: the disk is full";
    assert_int_equal(execq_error_format(second, text, sizeof text), strlen(whole));
    assert_string_equal(text, whole);
    assert_int_equal(execq_error_format(second, text, 10), strlen(whole));
    assert_string_equal(text, "EXECQ_EFA");
    assert_int_equal(execq_error_format(second, NULL, 100), strlen(whole));
    assert_int_equal(execq_error_format(second, text, 0), strlen(whole));
    assert_string_equal(text, "EXECQ_EFA");
    assert_int_equal(execq_error_format(NULL, text, sizeof text), 0);
    assert_string_equal(text, "");
    execq_error_release(first);
    execq_error_release(second);
}

static int32_t fail_with(void *env, void **result)
{
    (void)result;
    return execq_fail_error(env);
}

static int32_t fail_with_cause(void *env, void **result)
{
    (void)result;
    execq_error_options options = EXECQ_ERROR_OPTIONS_INIT;
    options.code = 7;
    options.cause = execq_future_error(env);
    const execq_error *error = NULL;
    must(execq_error_new(&options, &error) == EXECQ_OK);
    const int32_t code = execq_fail_error(error);
    execq_error_release(error);
    return code;
}

static void a_task_fails_with_an_error_that_is_there(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    const execq_error *error = error_new(28, "the disk is full", NULL);
    execq_future *inner = spawn(executor, fail_with, (void *)(uintptr_t)error);
    assert_status(execq_future_wait(inner, -1), EXECQ_OK);
    assert_ptr_equal(execq_future_error(inner), error);
    execq_future *outer = spawn(executor, fail_with_cause, inner);
    assert_status(execq_future_wait(outer, -1), EXECQ_OK);
    execq_future_release(inner);
    execq_error_release(error);
    assert_int_equal(execq_error_code(execq_future_error(outer)), 7);
    assert_string_equal(execq_error_message(execq_error_cause(execq_future_error(outer))), "the disk is full");
    execq_future_release(outer);
    execq_future *none = spawn(executor, fail_with, NULL);
    assert_status(execq_future_wait(none, -1), EXECQ_OK);
    assert_int_equal(execq_error_code(execq_future_error(none)), EXECQ_EFAILED);
    execq_future_release(none);
    const execq_error *outside = error_new(3, NULL, NULL);
    assert_int_equal(execq_fail_error(outside), 3); /* no task runs here */
    execq_error_release(outside);
    pool_end(executor);
}

static void a_promise_is_rejected_with_an_error(void **state)
{
    (void)state;
    const execq_error *error = error_new(28, "the disk is full", NULL);
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future);
    assert_status(execq_promise_reject_error(NULL, error), EXECQ_EINVAL);
    assert_status(execq_promise_reject_error(promise, NULL), EXECQ_EINVAL);
    assert_status(execq_promise_reject_error(promise, error), EXECQ_OK);
    assert_status(execq_promise_reject_error(promise, error), EXECQ_EALREADY);
    execq_error_release(error);
    assert_ptr_equal(execq_future_error(future), error);
    execq_promise_release(promise);
    execq_future_release(future);
}

static void a_promise_that_was_asked_to_stop_ends_canceled_by_such_an_error(void **state)
{
    (void)state;
    static counter drops;
    execq_error_options options = EXECQ_ERROR_OPTIONS_INIT;
    options.code = EXECQ_ECANCELED;
    options.payload = &drops;
    options.drop = counter_hit;
    const execq_error *error = NULL;
    assert_status(execq_error_new(&options, &error), EXECQ_OK);
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future);
    assert_status(execq_future_cancel(future), EXECQ_EBUSY);
    assert_status(execq_promise_reject_error(promise, error), EXECQ_OK);
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_CANCELED);
    assert_int_equal(counter_get(&drops), 0);
    execq_error_release(error);
    assert_int_equal(counter_get(&drops), 1);
    execq_promise_release(promise);
    execq_future_release(future);
}

/* ---- forwarding: what the white-box tests (task.forward) do not see ---- */

static int32_t complete_later(void *env, void **result)
{
    (void)result;
    gate_pass(env);
    return execq_fail(28, "the disk is full");
}

static void a_task_is_forwarded_to_a_promise(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(1);
    execq_future *source = occupy(executor, &g);
    execq_future *task = spawn(executor, give_env, &g);
    execq_future *failing = spawn(executor, complete_later, &g);
    execq_future *ends[3];
    execq_future *sources[3] = {source, task, failing};
    for (int i = 0; i < 3; i++) {
        execq_promise *promise = promise_new(&ends[i]);
        assert_status(execq_future_forward(sources[i], promise), EXECQ_OK);
        assert_status(execq_future_forward(sources[i], promise), EXECQ_EALREADY);
        execq_promise_release(promise);
        execq_future_release(sources[i]);
    }
    gate_open(&g, 2);
    void *value = NULL;
    for (int i = 0; i < 3; i++) {
        assert_status(execq_future_wait(ends[i], -1), EXECQ_OK);
    }
    assert_status(execq_future_take(ends[1], &value), EXECQ_OK);
    assert_ptr_equal(value, &g);
    assert_string_equal(execq_error_message(execq_future_error(ends[2])), "the disk is full");
    for (int i = 0; i < 3; i++) {
        execq_future_release(ends[i]);
    }
    pool_end(executor);
    gate_destroy(&g);
}

static void a_forward_of_nothing_is_refused(void **state)
{
    (void)state;
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future);
    assert_status(execq_future_forward(NULL, promise), EXECQ_EINVAL);
    assert_status(execq_future_forward(future, NULL), EXECQ_EINVAL);
    assert_status(execq_future_forward(future, promise), EXECQ_EINVAL);
    assert_status(execq_promise_resolve(promise, NULL), EXECQ_OK);
    execq_promise_release(promise);
    execq_future_release(future);
}

struct forwarding {
    execq_future *source;
    counter drops;
};

static void start_by_forwarding(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    (void)loop;
    must(execq_future_forward(((struct forwarding *)env)->source, promise) == EXECQ_OK);
    execq_promise_release(promise);
}

static void drop_forwarding(void *env) { counter_hit(&((struct forwarding *)env)->drops); }

static void an_asynchronous_task_ends_as_what_it_forwards(void **state)
{
    (void)state;
    static int answer;
    static struct forwarding forwarding;
    execq_executor *executor = pool_new(2);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = drop_forwarding;
    execq_promise *inner = promise_new(&forwarding.source);
    execq_future *future = NULL;
    assert_status(execq_submit_async(executor, &options, start_by_forwarding, &forwarding, &future), EXECQ_OK);
    assert_status(execq_promise_resolve(inner, &answer), EXECQ_OK);
    execq_promise_release(inner);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_int_equal(counter_get(&forwarding.drops), 1);
    void *value = NULL;
    assert_status(execq_future_result(future, &value), EXECQ_OK);
    assert_ptr_equal(value, &answer);
    execq_future_release(forwarding.source);
    execq_future_release(future);
    pool_end(executor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_has_what_it_was_made_of),
        cmocka_unit_test(a_refused_error_drops_its_payload),
        cmocka_unit_test(a_text_names_the_causes),
        cmocka_unit_test(a_task_fails_with_an_error_that_is_there),
        cmocka_unit_test(a_promise_is_rejected_with_an_error),
        cmocka_unit_test(a_promise_that_was_asked_to_stop_ends_canceled_by_such_an_error),
        cmocka_unit_test(a_task_is_forwarded_to_a_promise),
        cmocka_unit_test(a_forward_of_nothing_is_refused),
        cmocka_unit_test(an_asynchronous_task_ends_as_what_it_forwards),
    };
    return cmocka_run_group_tests_name("capi.error_chain", tests, NULL, NULL);
}
