/* Giving up the last reference to a loop that is still attached. */
#include "capi.h"

#include "uv_loop.h"

static void the_last_release_lets_the_loop_detach_itself(void **state)
{
    (void)state;
    int ticks = 0;
    delivery d = {.clock = &ticks};
    attached a;
    attached_open(&a);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future);
    assert_status(execq_future_on_loop(future, a.port, delivery_done, &d, delivery_drop), EXECQ_OK);
    assert_int_not_equal(uv_run(&a.loop, UV_RUN_NOWAIT), 0);
    execq_loop_release(a.port);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0); /* ends, although the promise is still open */
    assert_int_equal(d.delivered, 0);
    assert_int_equal(d.dropped, 1);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&a.loop), 0);
    assert_status(execq_promise_resolve(promise, NULL), EXECQ_OK);
    assert_int_equal(ticks, 1);
    execq_promise_release(promise);
    execq_future_release(future);
}

static void the_last_release_of_an_idle_loop_lets_it_close(void **state)
{
    (void)state;
    for (int ran = 0; ran < 2; ran++) {
        attached a;
        attached_open(&a);
        if (ran) {
            assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
        }
        execq_loop_release(a.port);
        assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
        assert_int_equal(uv_loop_close(&a.loop), 0);
    }
}

static void release_port(execq_future *future, void *env)
{
    (void)future;
    execq_loop_release(*(execq_loop **)env);
}

static void the_last_release_may_come_in_the_last_callback(void **state)
{
    (void)state;
    attached a;
    attached_open(&a);
    execq_future *future = done_future(NULL);
    assert_status(execq_future_on_loop(future, a.port, release_port, &a.port, NULL), EXECQ_OK);
    execq_future_release(future);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&a.loop), 0);
}

static void *release_it(void *env)
{
    execq_loop_release(env);
    return NULL;
}

static void end_timer(uv_timer_t *timer) { uv_close((uv_handle_t *)timer, NULL); }

static void another_thread_may_give_up_the_last_reference(void **state)
{
    (void)state;
    counter dropped = {0};
    uv_timer_t timer;
    attached a;
    attached_open(&a);
    assert_int_equal(uv_timer_init(&a.loop, &timer), 0);
    assert_int_equal(uv_timer_start(&timer, end_timer, 1, 0), 0); /* gives the loop its next iteration */
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future);
    assert_status(execq_future_on_loop(future, a.port, count_done, &dropped, counter_hit), EXECQ_OK);
    pthread_join(thread_start(release_it, a.port), NULL);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(counter_get(&dropped), 1);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&a.loop), 0);
    execq_promise_release(promise);
    execq_future_release(future);
    assert_int_equal(counter_get(&dropped), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_release_lets_the_loop_detach_itself),
        cmocka_unit_test(the_last_release_of_an_idle_loop_lets_it_close),
        cmocka_unit_test(the_last_release_may_come_in_the_last_callback),
        cmocka_unit_test(another_thread_may_give_up_the_last_reference),
    };
    return cmocka_run_group_tests_name("capi.loop_release", tests, NULL, NULL);
}
