/* Attached loops: deliveries on the loop's thread, and what keeps uv_run alive. */
#include "capi.h"

#include "descriptors.h"
#include "uv_loop.h"

static void null_is_no_loop(void **state)
{
    (void)state;
    assert_status(execq_loop_detach(NULL), EXECQ_EINVAL);
    assert_status(execq_loop_hold(NULL), EXECQ_EINVAL);
    assert_status(execq_loop_unhold(NULL), EXECQ_EINVAL);
    execq_loop_retain(NULL);
    execq_loop_release(NULL);
}

static void attach_refuses_bad_arguments(void **state)
{
    (void)state;
    uv_loop_t loop;
    execq_loop *out = UNTOUCHED;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_status(execq_loop_attach(NULL, &out), EXECQ_EINVAL);
    assert_status(execq_loop_attach(&loop, NULL), EXECQ_EINVAL);
    assert_status(execq_loop_attach_uv(NULL, NULL, &out), EXECQ_EINVAL);
    assert_status(execq_loop_attach_uv(&loop, NULL, NULL), EXECQ_EINVAL);
    assert_ptr_equal(out, UNTOUCHED);
    assert_int_equal(uv_loop_close(&loop), 0); /* nothing was left open */
}

static void on_loop_refuses_bad_arguments_and_drops_env_once(void **state)
{
    (void)state;
    attached a;
    counter dropped = {0};
    attached_open(&a);
    execq_future *future = done_future(NULL);
    assert_status(execq_future_on_loop(NULL, a.port, count_done, &dropped, counter_hit), EXECQ_EINVAL);
    assert_status(execq_future_on_loop(future, NULL, count_done, &dropped, counter_hit), EXECQ_EINVAL);
    assert_status(execq_future_on_loop(future, a.port, NULL, &dropped, counter_hit), EXECQ_EINVAL);
    assert_int_equal(counter_get(&dropped), 3);
    assert_status(execq_future_on_loop(NULL, NULL, NULL, &dropped, NULL), EXECQ_EINVAL);
    assert_int_equal(counter_get(&dropped), 3);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(counter_get(&dropped), 3); /* nothing was kept */
    execq_future_release(future);
    attached_close(&a);
}

static void submit_to_loop_refuses_bad_arguments_and_drops_both_envs_once(void **state)
{
    (void)state;
    attached a;
    counter env = {0};
    counter done_env = {0};
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = counter_hit;
    attached_open(&a);
    execq_executor *executor = pool_new(1);
    assert_status(execq_submit_to_loop(executor, &options, NULL, &env, a.port, count_done, &done_env, counter_hit),
                  EXECQ_EINVAL);
    assert_status(execq_submit_to_loop(executor, &options, counter_fn, &env, NULL, count_done, &done_env, counter_hit),
                  EXECQ_EINVAL);
    assert_status(execq_submit_to_loop(executor, &options, counter_fn, &env, a.port, NULL, &done_env, counter_hit),
                  EXECQ_EINVAL);
    options.flags = 1U << 31;
    assert_status(
        execq_submit_to_loop(executor, &options, counter_fn, &env, a.port, count_done, &done_env, counter_hit),
        EXECQ_ENOTSUP);
    options.flags = 0;
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    assert_status(
        execq_submit_to_loop(executor, &options, counter_fn, &env, a.port, count_done, &done_env, counter_hit),
        EXECQ_ECLOSED);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(counter_get(&env), 5);
    assert_int_equal(counter_get(&done_env), 5);
    pool_end(executor);
    attached_close(&a);
}

static void a_loop_with_nothing_pending_ends(void **state)
{
    (void)state;
    attached a;
    attached_open(&a);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    }
    assert_int_equal(uv_loop_alive(&a.loop), 0);
    attached_close(&a);
}

static void a_loop_that_never_ran_can_be_detached_and_closed(void **state)
{
    (void)state;
    attached a;
    attached_open(&a);
    attached_close(&a);
}

static void uv_run_delivers_everything_and_then_ends(void **state)
{
    (void)state;
    enum { N = 1000 };
    static delivery deliveries[N];
    int clock = 0;
    counter ran = {0};
    attached a;
    attached_open(&a);
    execq_executor *executor = pool_new(2);
    for (int i = 0; i < N; i++) {
        deliveries[i] = (delivery){.clock = &clock};
        assert_status(execq_submit_to_loop(executor, NULL, counter_fn, &ran, a.port, delivery_done, &deliveries[i],
                                           delivery_drop),
                      EXECQ_OK);
    }
    assert_int_equal(clock, 0);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(counter_get(&ran), N);
    for (int i = 0; i < N; i++) {
        assert_int_not_equal(deliveries[i].delivered, 0);
        assert_int_equal(deliveries[i].dropped, deliveries[i].delivered + 1);
        assert_status(deliveries[i].status, EXECQ_OK);
        assert_true(pthread_equal(deliveries[i].thread, pthread_self()));
    }
    pool_end(executor);
    attached_close(&a);
}

static void a_loop_stays_alive_while_one_task_runs(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    counter done = {0};
    attached a;
    attached_open(&a);
    execq_executor *executor = pool_new(1);
    assert_status(execq_submit_to_loop(executor, NULL, gate_fn, &g, a.port, count_done, &done, NULL), EXECQ_OK);
    gate_await(&g, 1);
    for (int i = 0; i < 10; i++) {
        assert_int_not_equal(uv_run(&a.loop, UV_RUN_NOWAIT), 0);
    }
    assert_int_equal(counter_get(&done), 0);
    gate_open(&g, 1);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(counter_get(&done), 1);
    pool_end(executor);
    attached_close(&a);
    gate_destroy(&g);
}

static void done_never_runs_inside_the_registration(void **state)
{
    (void)state;
    int clock = 0;
    delivery d = {.clock = &clock};
    attached a;
    attached_open(&a);
    execq_future *future = done_future(NULL);
    assert_status(execq_future_on_loop(future, a.port, delivery_done, &d, delivery_drop), EXECQ_OK);
    execq_future_release(future); /* the registration keeps it */
    assert_int_equal(clock, 0);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(d.delivered, 1);
    assert_int_equal(d.dropped, 2);
    attached_close(&a);
}

static void deliveries_come_in_the_order_of_completion(void **state)
{
    (void)state;
    enum { N = 2000, STEP = 7 }; /* STEP and N share no factor */
    static delivery deliveries[N];
    static execq_promise *promises[N];
    static execq_future *futures[N];
    int clock = 0;
    attached a;
    attached_open(&a);
    for (int i = 0; i < N; i++) {
        deliveries[i] = (delivery){.clock = &clock};
        promises[i] = promise_new(&futures[i]);
        assert_status(execq_future_on_loop(futures[i], a.port, delivery_done, &deliveries[i], NULL), EXECQ_OK);
    }
    for (int i = 0; i < N; i++) {
        assert_status(execq_promise_resolve(promises[i * STEP % N], NULL), EXECQ_OK);
    }
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    for (int i = 0; i < N; i++) {
        assert_int_equal(deliveries[i * STEP % N].delivered, i + 1);
        execq_promise_release(promises[i]);
        execq_future_release(futures[i]);
    }
    attached_close(&a);
}

static int32_t fail_3(void *env, void **result)
{
    (void)env;
    (void)result;
    return 3;
}

static void failures_and_cancellations_are_delivered_too(void **state)
{
    (void)state;
    int clock = 0;
    delivery failed = {.clock = &clock};
    delivery canceled = {.clock = &clock};
    static gate g;
    gate_init(&g);
    attached a;
    attached_open(&a);
    execq_executor *executor = pool_new(1);
    execq_future *holder = occupy(executor, &g);
    execq_future *queued = spawn(executor, do_nothing, NULL);
    assert_status(execq_future_on_loop(queued, a.port, delivery_done, &canceled, delivery_drop), EXECQ_OK);
    assert_status(execq_submit_to_loop(executor, NULL, fail_3, NULL, a.port, delivery_done, &failed, delivery_drop),
                  EXECQ_OK);
    assert_status(execq_future_cancel(queued), EXECQ_OK);
    gate_open(&g, 1);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_status(failed.status, EXECQ_EFAILED);
    assert_status(canceled.status, EXECQ_ECANCELED);
    finish(holder);
    execq_future_release(queued);
    pool_end(executor);
    attached_close(&a);
    gate_destroy(&g);
}

static void a_hold_keeps_the_loop_alive_until_it_is_taken_back(void **state)
{
    (void)state;
    attached a;
    attached_open(&a);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_status(execq_loop_unhold(a.port), EXECQ_EINVAL);
    assert_status(execq_loop_hold(a.port), EXECQ_OK);
    assert_status(execq_loop_hold(a.port), EXECQ_OK);
    assert_int_not_equal(uv_run(&a.loop, UV_RUN_NOWAIT), 0);
    assert_status(execq_loop_unhold(a.port), EXECQ_OK);
    assert_int_not_equal(uv_run(&a.loop, UV_RUN_NOWAIT), 0);
    assert_int_not_equal(uv_run(&a.loop, UV_RUN_NOWAIT), 0);
    assert_status(execq_loop_unhold(a.port), EXECQ_OK);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_status(execq_loop_unhold(a.port), EXECQ_EINVAL);
    attached_close(&a);
}

static void *hold_it(void *env)
{
    must(execq_loop_hold(env) == EXECQ_OK);
    return NULL;
}

static void *unhold_it(void *env)
{
    must(execq_loop_unhold(env) == EXECQ_OK);
    return NULL;
}

static void another_thread_may_hold_and_unhold(void **state)
{
    (void)state;
    counter done = {0};
    attached a;
    attached_open(&a);
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future);
    assert_status(execq_future_on_loop(future, a.port, count_done, &done, NULL), EXECQ_OK);
    assert_int_not_equal(uv_run(&a.loop, UV_RUN_NOWAIT), 0);
    pthread_join(thread_start(hold_it, a.port), NULL);
    assert_status(execq_promise_resolve(promise, NULL), EXECQ_OK);
    while (counter_get(&done) == 0) {
        assert_int_not_equal(uv_run(&a.loop, UV_RUN_ONCE), 0);
    }
    assert_int_not_equal(uv_run(&a.loop, UV_RUN_NOWAIT), 0); /* by the hold alone */
    pthread_t thread = thread_start(unhold_it, a.port);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    pthread_join(thread, NULL);
    execq_promise_release(promise);
    execq_future_release(future);
    attached_close(&a);
}

static void go_round(uv_idle_t *idle) { (void)idle; }

/* Nothing of ours is pending, so that the loop has to be told. */
static void another_thread_may_hold_a_loop_that_something_else_keeps_alive(void **state)
{
    (void)state;
    attached a;
    attached_open(&a);
    uv_idle_t idle;
    assert_int_equal(uv_idle_init(&a.loop, &idle), 0);
    assert_int_equal(uv_idle_start(&idle, go_round), 0);
    assert_int_not_equal(uv_run(&a.loop, UV_RUN_NOWAIT), 0);
    pthread_join(thread_start(hold_it, a.port), NULL);
    assert_int_not_equal(uv_run(&a.loop, UV_RUN_NOWAIT), 0);
    uv_close((uv_handle_t *)&idle, NULL);
    uv_run(&a.loop, UV_RUN_NOWAIT);
    assert_int_not_equal(uv_run(&a.loop, UV_RUN_NOWAIT), 0); /* by the hold alone */
    pthread_join(thread_start(unhold_it, a.port), NULL);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    attached_close(&a);
}

static void two_attachments_are_two_ports(void **state)
{
    (void)state;
    counter first = {0};
    counter second = {0};
    attached a;
    attached_open(&a);
    execq_loop *other = NULL;
    assert_status(execq_loop_attach(&a.loop, &other), EXECQ_OK);
    assert_ptr_not_equal(other, a.port);
    execq_future *future = done_future(NULL);
    assert_status(execq_future_on_loop(future, a.port, count_done, &first, NULL), EXECQ_OK);
    assert_status(execq_future_on_loop(future, other, count_done, &second, NULL), EXECQ_OK);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(counter_get(&first), 1);
    assert_int_equal(counter_get(&second), 1);
    assert_status(execq_loop_detach(other), EXECQ_OK);
    execq_loop_release(other);
    assert_status(execq_future_on_loop(future, a.port, count_done, &first, NULL), EXECQ_OK);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(counter_get(&first), 2);
    execq_future_release(future);
    attached_close(&a);
}

static void attaching_and_detaching_a_thousand_times_leaks_no_descriptor(void **state)
{
    (void)state;
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    const int before = descriptors_open();
    for (int i = 0; i < 1000; i++) {
        execq_loop *port = NULL;
        assert_status(execq_loop_attach(&loop, &port), EXECQ_OK);
        if (i % 2) {
            assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
        }
        assert_status(execq_loop_detach(port), EXECQ_OK);
        execq_loop_release(port);
        assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    }
    assert_int_equal(descriptors_open(), before);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(null_is_no_loop),
        cmocka_unit_test(attach_refuses_bad_arguments),
        cmocka_unit_test(on_loop_refuses_bad_arguments_and_drops_env_once),
        cmocka_unit_test(submit_to_loop_refuses_bad_arguments_and_drops_both_envs_once),
        cmocka_unit_test(a_loop_with_nothing_pending_ends),
        cmocka_unit_test(a_loop_that_never_ran_can_be_detached_and_closed),
        cmocka_unit_test(uv_run_delivers_everything_and_then_ends),
        cmocka_unit_test(a_loop_stays_alive_while_one_task_runs),
        cmocka_unit_test(done_never_runs_inside_the_registration),
        cmocka_unit_test(deliveries_come_in_the_order_of_completion),
        cmocka_unit_test(failures_and_cancellations_are_delivered_too),
        cmocka_unit_test(a_hold_keeps_the_loop_alive_until_it_is_taken_back),
        cmocka_unit_test(another_thread_may_hold_and_unhold),
        cmocka_unit_test(another_thread_may_hold_a_loop_that_something_else_keeps_alive),
        cmocka_unit_test(two_attachments_are_two_ports),
        cmocka_unit_test(attaching_and_detaching_a_thousand_times_leaks_no_descriptor),
    };
    return cmocka_run_group_tests_name("capi.loop", tests, NULL, NULL);
}
