/* Attached loops under traffic: from other threads, from callbacks, and on another thread than the first. */
#include "capi.h"

#include "uv_loop.h"

/* Threads that submit to one loop while it runs; the last delivery takes the hold back. */
struct crowd {
    execq_executor *executor;
    execq_loop *port;
    counter ran;
    int delivered;
    int expected;
    pthread_t loop_thread;
};

enum { CROWD_THREADS = 4, CROWD_EACH = 2000 };

static void crowd_done(execq_future *future, void *env)
{
    struct crowd *crowd = env;
    must(execq_future_state(future) == EXECQ_FUTURE_OK);
    must(pthread_equal(crowd->loop_thread, pthread_self()));
    if (++crowd->delivered == crowd->expected) {
        must(execq_loop_unhold(crowd->port) == EXECQ_OK);
    }
}

static void *crowd_submit(void *env)
{
    struct crowd *crowd = env;
    for (int i = 0; i < CROWD_EACH; i++) {
        must(execq_submit_to_loop(crowd->executor, NULL, counter_fn, &crowd->ran, crowd->port, crowd_done, crowd,
                                  NULL) == EXECQ_OK);
    }
    return NULL;
}

static void other_threads_may_submit_to_a_running_loop(void **state)
{
    (void)state;
    attached a;
    attached_open(&a);
    struct crowd crowd = {pool_new(2), a.port, {0}, 0, CROWD_THREADS * CROWD_EACH, pthread_self()};
    assert_status(execq_loop_hold(a.port), EXECQ_OK);
    pthread_t threads[CROWD_THREADS];
    for (int i = 0; i < CROWD_THREADS; i++) {
        threads[i] = thread_start(crowd_submit, &crowd);
    }
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    for (int i = 0; i < CROWD_THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(crowd.delivered, crowd.expected);
    assert_int_equal(counter_get(&crowd.ran), crowd.expected);
    pool_end(crowd.executor);
    attached_close(&a);
}

static void each_arrival_wakes_a_sleeping_loop(void **state)
{
    (void)state;
    /* One at a time, so that the loop sleeps before nearly every arrival: a lost wake-up hangs here. */
    attached a;
    attached_open(&a);
    execq_executor *executor = pool_new(1);
    counter done = {0};
    const int n = SCALED(20000, 4);
    for (int i = 0; i < n; i++) {
        assert_status(execq_submit_to_loop(executor, NULL, do_nothing, NULL, a.port, count_done, &done, NULL),
                      EXECQ_OK);
        assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
        assert_int_equal(counter_get(&done), i + 1);
    }
    pool_end(executor);
    attached_close(&a);
}

/* A done callback that submits the next task. */
struct relay {
    execq_executor *executor;
    execq_loop *port;
    int left;
};

static void relay_done(execq_future *future, void *env)
{
    struct relay *relay = env;
    (void)future;
    if (relay->left-- > 0) {
        must(execq_submit_to_loop(relay->executor, NULL, do_nothing, NULL, relay->port, relay_done, relay, NULL) ==
             EXECQ_OK);
    }
}

static void a_done_callback_may_submit_to_its_own_loop(void **state)
{
    (void)state;
    attached a;
    attached_open(&a);
    struct relay relay = {pool_new(1), a.port, 1000};
    execq_future *future = done_future(NULL);
    assert_status(execq_future_on_loop(future, a.port, relay_done, &relay, NULL), EXECQ_OK);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(relay.left, -1);
    execq_future_release(future);
    pool_end(relay.executor);
    attached_close(&a);
}

/* A callback that registers itself again at once, until a timer stops it. */
struct spinner {
    execq_loop *port;
    int stop;
    long rounds;
};

static void spin(execq_future *future, void *env)
{
    struct spinner *spinner = env;
    spinner->rounds++;
    if (!spinner->stop) {
        must(execq_future_on_loop(future, spinner->port, spin, spinner, NULL) == EXECQ_OK);
    }
}

static void stop_spinning(uv_timer_t *timer)
{
    ((struct spinner *)timer->data)->stop = 1;
    uv_close((uv_handle_t *)timer, NULL);
}

static void a_callback_that_always_comes_again_starves_no_timer(void **state)
{
    (void)state;
    attached a;
    attached_open(&a);
    struct spinner spinners[3];
    uv_timer_t timers[COUNT_OF(spinners)];
    execq_future *future = done_future(NULL);
    for (size_t i = 0; i < COUNT_OF(spinners); i++) {
        spinners[i] = (struct spinner){a.port, 0, 0};
        timers[i].data = &spinners[i];
        assert_int_equal(uv_timer_init(&a.loop, &timers[i]), 0);
        assert_int_equal(uv_timer_start(&timers[i], stop_spinning, i, 0), 0);
        assert_status(execq_future_on_loop(future, a.port, spin, &spinners[i], NULL), EXECQ_OK);
    }
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0); /* ends only if every timer fired */
    for (size_t i = 0; i < COUNT_OF(spinners); i++) {
        assert_int_equal(spinners[i].stop, 1);
        assert_true(spinners[i].rounds > 0);
    }
    execq_future_release(future);
    attached_close(&a);
}

static void *run_loop(void *env)
{
    attached *a = env;
    must(uv_run(&a->loop, UV_RUN_DEFAULT) == 0);
    must(execq_loop_detach(a->port) == EXECQ_OK);
    must(uv_run(&a->loop, UV_RUN_DEFAULT) == 0);
    return NULL;
}

static void a_loop_may_be_set_up_here_and_run_there(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        attached a;
        attached_open(&a);
        struct crowd crowd = {pool_new(1), a.port, {0}, 0, 20, pthread_self()};
        assert_status(execq_loop_hold(a.port), EXECQ_OK);
        pthread_t thread = thread_start(run_loop, &a);
        crowd.loop_thread = thread;
        for (int i = 0; i < crowd.expected; i++) {
            assert_status(execq_submit_to_loop(crowd.executor, NULL, counter_fn, &crowd.ran, crowd.port, crowd_done,
                                               &crowd, NULL),
                          EXECQ_OK);
        }
        pthread_join(thread, NULL);
        assert_int_equal(crowd.delivered, crowd.expected);
        execq_loop_release(a.port);
        assert_int_equal(uv_loop_close(&a.loop), 0);
        pool_end(crowd.executor);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_threads_may_submit_to_a_running_loop),
        cmocka_unit_test(each_arrival_wakes_a_sleeping_loop),
        cmocka_unit_test(a_done_callback_may_submit_to_its_own_loop),
        cmocka_unit_test(a_callback_that_always_comes_again_starves_no_timer),
        cmocka_unit_test(a_loop_may_be_set_up_here_and_run_there),
    };
    return cmocka_run_group_tests_name("capi.loop_traffic", tests, NULL, NULL);
}
