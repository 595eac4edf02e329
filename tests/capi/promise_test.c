/* Promises: futures that are completed by hand. */
#include "capi.h"

static void new_refuses_bad_arguments_and_leaves_out_untouched(void **state)
{
    (void)state;
    execq_promise *promise = UNTOUCHED;
    execq_future *future = UNTOUCHED;
    assert_status(execq_promise_new(NULL, NULL, &future), EXECQ_EINVAL);
    assert_status(execq_promise_new(NULL, &promise, NULL), EXECQ_EINVAL);
    assert_status(execq_promise_new(NULL, NULL, NULL), EXECQ_EINVAL);
    assert_ptr_equal(promise, UNTOUCHED);
    assert_ptr_equal(future, UNTOUCHED);
}

static void null_is_no_promise(void **state)
{
    (void)state;
    assert_status(execq_promise_resolve(NULL, NULL), EXECQ_EINVAL);
    assert_status(execq_promise_reject(NULL, 1, "x"), EXECQ_EINVAL);
    assert_status(execq_promise_cancel_requested(NULL), EXECQ_EINVAL);
    execq_promise_retain(NULL);
    execq_promise_release(NULL);
}

static void an_open_promise_counts_as_running(void **state)
{
    (void)state;
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future);
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_RUNNING);
    assert_status(execq_future_result(future, NULL), EXECQ_EPENDING);
    assert_int_equal(execq_promise_cancel_requested(promise), 0);
    assert_int_equal(execq_future_cancel_reason(future), EXECQ_REASON_NONE);
    execq_promise_release(promise);
    execq_future_release(future);
}

static void a_resolved_promise_gives_its_value(void **state)
{
    (void)state;
    int thing = 0;
    void *value = NULL;
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future);
    assert_status(execq_promise_resolve(promise, &thing), EXECQ_OK);
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_OK);
    assert_status(execq_future_result(future, &value), EXECQ_OK);
    assert_ptr_equal(value, &thing);
    assert_null(execq_future_error(future));
    execq_promise_release(promise);
    execq_future_release(future);
}

static void a_rejected_promise_gives_its_failure(void **state)
{
    (void)state;
    char message[] = "no route";
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future);
    assert_status(execq_promise_reject(promise, -77, message), EXECQ_OK);
    memset(message, 'x', sizeof message - 1);
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_FAILED);
    assert_status(execq_future_result(future, NULL), EXECQ_EFAILED);
    assert_int_equal(execq_error_code(execq_future_error(future)), -77);
    assert_string_equal(execq_error_message(execq_future_error(future)), "no route");
    execq_promise_release(promise);
    execq_future_release(future);
}

static void a_rejection_may_go_without_message(void **state)
{
    (void)state;
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future);
    assert_status(execq_promise_reject(promise, 3, NULL), EXECQ_OK);
    assert_int_equal(execq_error_code(execq_future_error(future)), 3);
    assert_string_equal(execq_error_message(execq_future_error(future)), "");
    execq_promise_release(promise);
    execq_future_release(future);
}

static void a_rejection_with_code_0_leaves_the_promise_open(void **state)
{
    (void)state;
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future);
    assert_status(execq_promise_reject(promise, 0, "no failure"), EXECQ_EINVAL);
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_RUNNING);
    assert_status(execq_promise_resolve(promise, NULL), EXECQ_OK);
    execq_promise_release(promise);
    execq_future_release(future);
}

static void the_first_completion_wins_and_later_ones_keep_their_value(void **state)
{
    (void)state;
    counter won = {0};
    counter lost = {0};
    execq_promise_options options = EXECQ_PROMISE_OPTIONS_INIT;
    options.drop_result = counter_hit;
    execq_promise *promise = NULL;
    execq_future *future = NULL;
    void *value = NULL;
    assert_status(execq_promise_new(&options, &promise, &future), EXECQ_OK);
    assert_status(execq_promise_resolve(promise, &won), EXECQ_OK);
    assert_status(execq_promise_resolve(promise, &lost), EXECQ_EALREADY);
    assert_status(execq_promise_reject(promise, 1, "too late"), EXECQ_EALREADY);
    assert_status(execq_future_result(future, &value), EXECQ_OK);
    assert_ptr_equal(value, &won);
    execq_promise_release(promise);
    assert_int_equal(counter_get(&won), 0);
    execq_future_release(future);
    assert_int_equal(counter_get(&won), 1);
    assert_int_equal(counter_get(&lost), 0);
}

static void a_rejection_may_not_be_replaced_either(void **state)
{
    (void)state;
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future);
    assert_status(execq_promise_reject(promise, 1, "first"), EXECQ_OK);
    assert_status(execq_promise_reject(promise, 2, "second"), EXECQ_EALREADY);
    assert_status(execq_promise_resolve(promise, NULL), EXECQ_EALREADY);
    execq_promise_release(promise);
    assert_int_equal(execq_error_code(execq_future_error(future)), 1);
    assert_string_equal(execq_error_message(execq_future_error(future)), "first");
    execq_future_release(future);
}

static void a_dropped_promise_breaks_its_future(void **state)
{
    (void)state;
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future);
    execq_promise_retain(promise);
    execq_promise_release(promise);
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_RUNNING);
    execq_promise_release(promise);
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_FAILED);
    assert_int_equal(execq_error_code(execq_future_error(future)), EXECQ_EBROKEN);
    assert_string_equal(execq_error_message(execq_future_error(future)), execq_status_text(EXECQ_EBROKEN));
    execq_future_release(future);
}

static void a_cancel_request_reaches_the_promise(void **state)
{
    (void)state;
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future);
    assert_status(execq_future_cancel(future), EXECQ_EBUSY);
    assert_int_equal(execq_promise_cancel_requested(promise), 1);
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_RUNNING);
    assert_int_equal(execq_future_cancel_reason(future), EXECQ_REASON_CALLER);
    assert_status(execq_future_cancel(future), EXECQ_EBUSY);
    assert_status(execq_promise_reject(promise, EXECQ_ECANCELED, NULL), EXECQ_OK);
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_CANCELED);
    assert_status(execq_future_result(future, NULL), EXECQ_ECANCELED);
    assert_null(execq_future_error(future));
    assert_status(execq_future_cancel(future), EXECQ_EALREADY);
    execq_promise_release(promise);
    execq_future_release(future);
}

static void ecanceled_without_a_request_is_a_failure(void **state)
{
    (void)state;
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future);
    assert_status(execq_promise_reject(promise, EXECQ_ECANCELED, "on my own"), EXECQ_OK);
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_FAILED);
    assert_int_equal(execq_error_code(execq_future_error(future)), EXECQ_ECANCELED);
    assert_string_equal(execq_error_message(execq_future_error(future)), "on my own");
    assert_int_equal(execq_future_cancel_reason(future), EXECQ_REASON_NONE);
    execq_promise_release(promise);
    execq_future_release(future);
}

static void a_request_may_be_answered_with_a_value_or_a_failure(void **state)
{
    (void)state;
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future);
    assert_status(execq_future_cancel(future), EXECQ_EBUSY);
    assert_status(execq_promise_resolve(promise, NULL), EXECQ_OK);
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_OK);
    assert_int_equal(execq_future_cancel_reason(future), EXECQ_REASON_CALLER);
    execq_promise_release(promise);
    execq_future_release(future);

    promise = promise_new(&future);
    assert_status(execq_future_cancel(future), EXECQ_EBUSY);
    assert_status(execq_promise_reject(promise, 9, "late"), EXECQ_OK);
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_FAILED);
    assert_int_equal(execq_error_code(execq_future_error(future)), 9);
    execq_promise_release(promise);
    execq_future_release(future);
}

static void a_dropped_promise_that_was_asked_to_cancel_is_canceled(void **state)
{
    (void)state;
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future);
    assert_status(execq_future_cancel(future), EXECQ_EBUSY);
    execq_promise_release(promise);
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_CANCELED);
    assert_int_equal(execq_future_cancel_reason(future), EXECQ_REASON_CALLER);
    execq_future_release(future);
}

static void a_value_nobody_can_fetch_is_dropped(void **state)
{
    (void)state;
    counter values = {0};
    execq_promise_options options = EXECQ_PROMISE_OPTIONS_INIT;
    options.drop_result = counter_hit;
    execq_promise *promise = NULL;
    execq_future *future = NULL;
    assert_status(execq_promise_new(&options, &promise, &future), EXECQ_OK);
    execq_future_release(future);
    assert_status(execq_promise_resolve(promise, &values), EXECQ_OK);
    execq_promise_release(promise);
    assert_int_equal(counter_get(&values), 1);
}

static void a_taken_or_missing_value_is_not_dropped(void **state)
{
    (void)state;
    counter values = {0};
    execq_promise_options options = EXECQ_PROMISE_OPTIONS_INIT;
    options.drop_result = counter_hit;
    execq_promise *promise = NULL;
    execq_future *future = NULL;
    void *value = NULL;
    assert_status(execq_promise_new(&options, &promise, &future), EXECQ_OK);
    assert_status(execq_promise_resolve(promise, &values), EXECQ_OK);
    assert_status(execq_future_take(future, &value), EXECQ_OK);
    assert_ptr_equal(value, &values);
    execq_promise_release(promise);
    execq_future_release(future);
    assert_status(execq_promise_new(&options, &promise, &future), EXECQ_OK);
    assert_status(execq_promise_reject(promise, 1, NULL), EXECQ_OK);
    execq_promise_release(promise);
    execq_future_release(future);
    assert_int_equal(counter_get(&values), 0);
}

static void the_promise_may_outlive_the_future_reference(void **state)
{
    (void)state;
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future);
    execq_future_release(future);
    assert_int_equal(execq_promise_cancel_requested(promise), 0);
    assert_status(execq_promise_reject(promise, 4, "unheard"), EXECQ_OK);
    assert_status(execq_promise_resolve(promise, NULL), EXECQ_EALREADY);
    execq_promise_release(promise);
}

/* Several threads that complete one promise. */
struct race {
    execq_promise *promise;
    pthread_barrier_t *start;
    int reject;
    execq_status status;
};

static void *complete(void *env)
{
    struct race *race = env;
    pthread_barrier_wait(race->start);
    race->status = race->reject ? execq_promise_reject(race->promise, 8, "lost the race?")
                                : execq_promise_resolve(race->promise, race);
    return NULL;
}

static void exactly_one_of_eight_threads_completes(void **state)
{
    (void)state;
    enum { THREADS = 8 };
    for (int round = 0; round < 200; round++) {
        counter done = {0};
        execq_future *future = NULL;
        execq_promise *promise = promise_new(&future);
        assert_status(execq_future_on_done(future, count_done, &done, NULL), EXECQ_OK);
        pthread_barrier_t start;
        pthread_barrier_init(&start, NULL, THREADS);
        struct race races[THREADS];
        pthread_t threads[THREADS];
        for (int i = 0; i < THREADS; i++) {
            races[i] = (struct race){promise, &start, i % 2, EXECQ_OK};
            threads[i] = thread_start(complete, &races[i]);
        }
        int winner = -1;
        for (int i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
            if (races[i].status == EXECQ_OK) {
                assert_int_equal(winner, -1);
                winner = i;
            } else {
                assert_status(races[i].status, EXECQ_EALREADY);
            }
        }
        assert_int_not_equal(winner, -1);
        assert_int_equal(counter_get(&done), 1);
        void *value = NULL;
        assert_status(execq_future_result(future, &value), winner % 2 ? EXECQ_EFAILED : EXECQ_OK);
        assert_ptr_equal(value, winner % 2 ? NULL : &races[winner]);
        pthread_barrier_destroy(&start);
        execq_promise_release(promise);
        execq_future_release(future);
    }
}

struct own {
    execq_promise *promise;
    execq_future *future;
};

static void let_all_go(execq_future *future, void *env)
{
    struct own *own = env;
    must(future == own->future);
    execq_promise_release(own->promise);
    execq_future_release(own->future);
    own->promise = NULL;
}

static void its_done_callback_may_give_the_promise_up(void **state)
{
    (void)state;
    for (int how = 0; how < 2; how++) {
        struct own own;
        own.promise = promise_new(&own.future);
        assert_status(execq_future_on_done(own.future, let_all_go, &own, NULL), EXECQ_OK);
        assert_status(how == 0 ? execq_promise_resolve(own.promise, NULL)
                               : execq_promise_reject(own.promise, -4711, "no"),
                      EXECQ_OK);
        assert_null(own.promise);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_refuses_bad_arguments_and_leaves_out_untouched),
        cmocka_unit_test(null_is_no_promise),
        cmocka_unit_test(an_open_promise_counts_as_running),
        cmocka_unit_test(a_resolved_promise_gives_its_value),
        cmocka_unit_test(a_rejected_promise_gives_its_failure),
        cmocka_unit_test(a_rejection_may_go_without_message),
        cmocka_unit_test(a_rejection_with_code_0_leaves_the_promise_open),
        cmocka_unit_test(the_first_completion_wins_and_later_ones_keep_their_value),
        cmocka_unit_test(a_rejection_may_not_be_replaced_either),
        cmocka_unit_test(a_dropped_promise_breaks_its_future),
        cmocka_unit_test(a_cancel_request_reaches_the_promise),
        cmocka_unit_test(ecanceled_without_a_request_is_a_failure),
        cmocka_unit_test(a_request_may_be_answered_with_a_value_or_a_failure),
        cmocka_unit_test(a_dropped_promise_that_was_asked_to_cancel_is_canceled),
        cmocka_unit_test(a_value_nobody_can_fetch_is_dropped),
        cmocka_unit_test(a_taken_or_missing_value_is_not_dropped),
        cmocka_unit_test(the_promise_may_outlive_the_future_reference),
        cmocka_unit_test(exactly_one_of_eight_threads_completes),
        cmocka_unit_test(its_done_callback_may_give_the_promise_up),
    };
    return cmocka_run_group_tests_name("capi.promise", tests, NULL, NULL);
}
