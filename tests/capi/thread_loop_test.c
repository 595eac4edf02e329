/* The loop that a thread has of its own. */
#include "capi.h"

#include "descriptors.h"
#include "uv_loop.h"

static uv_loop_t *own_loop(void)
{
    uv_loop_t *loop = NULL;
    must(execq_thread_loop(&loop) == EXECQ_OK);
    must(loop != NULL);
    return loop;
}

static void the_loop_needs_somewhere_to_go(void **state)
{
    (void)state;
    assert_status(execq_thread_loop(NULL), EXECQ_EINVAL);
    assert_status(execq_thread_loop_close(), EXECQ_EALREADY); /* it made none */
}

static void *find_another(void *env)
{
    must(own_loop() != env);
    return NULL;
}

static void each_thread_has_one_of_its_own(void **state)
{
    (void)state;
    uv_loop_t *loop = own_loop();
    assert_ptr_equal(own_loop(), loop);
    assert_int_equal(uv_loop_alive(loop), 0);
    pthread_join(thread_start(find_another, loop), NULL);
    assert_ptr_equal(own_loop(), loop);
    assert_status(execq_thread_loop_close(), EXECQ_OK);
    assert_status(execq_thread_loop_close(), EXECQ_EALREADY);
}

static void count_tick(uv_timer_t *timer) { ++*(int *)timer->data; }

static void it_is_an_ordinary_loop(void **state)
{
    (void)state;
    uv_timer_t timer;
    int ticks = 0;
    uv_timer_init(own_loop(), &timer);
    timer.data = &ticks;
    uv_timer_start(&timer, count_tick, 1, 0);
    assert_int_equal(uv_run(own_loop(), UV_RUN_DEFAULT), 0);
    assert_int_equal(ticks, 1);
    uv_close((uv_handle_t *)&timer, NULL);
    assert_int_equal(uv_run(own_loop(), UV_RUN_DEFAULT), 0);
    assert_status(execq_thread_loop_close(), EXECQ_OK);
}

static void it_is_not_closed_under_open_handles(void **state)
{
    (void)state;
    uv_timer_t timer;
    uv_timer_init(own_loop(), &timer);
    assert_status(execq_thread_loop_close(), EXECQ_EBUSY);
    assert_status(execq_thread_loop_close(), EXECQ_EBUSY);
    assert_int_equal(uv_timer_start(&timer, count_tick, 0, 0), 0); /* it is as it was */
    int ticks = 0;
    timer.data = &ticks;
    assert_int_equal(uv_run(own_loop(), UV_RUN_DEFAULT), 0);
    assert_int_equal(ticks, 1);
    uv_close((uv_handle_t *)&timer, NULL); /* the close finishes it */
    assert_status(execq_thread_loop_close(), EXECQ_OK);
}

static execq_status closed_inside;

static void close_inside(uv_timer_t *timer)
{
    (void)timer;
    closed_inside = execq_thread_loop_close();
}

static void close_inside_last(uv_handle_t *handle)
{
    (void)handle;
    closed_inside = execq_thread_loop_close();
}

static void it_is_not_closed_in_its_callbacks(void **state)
{
    (void)state;
    uv_timer_t timer;
    uv_timer_init(own_loop(), &timer);
    uv_timer_start(&timer, close_inside, 0, 0);
    assert_int_equal(uv_run(own_loop(), UV_RUN_DEFAULT), 0);
    assert_status(closed_inside, EXECQ_EBUSY);
    closed_inside = EXECQ_OK;
    uv_close((uv_handle_t *)&timer, close_inside_last);
    assert_int_equal(uv_run(own_loop(), UV_RUN_DEFAULT), 0);
    assert_status(closed_inside, EXECQ_EBUSY);
    closed_inside = EXECQ_OK;
    uv_timer_init(own_loop(), &timer);
    uv_close((uv_handle_t *)&timer, close_inside_last);
    assert_status(execq_thread_loop_close(), EXECQ_OK); /* which runs the callback */
    assert_status(closed_inside, EXECQ_EBUSY);
}

static void ten_thousand_loops_leave_no_descriptor(void **state)
{
    (void)state;
    own_loop();
    assert_status(execq_thread_loop_close(), EXECQ_OK); /* what libuv keeps for the process */
    const int before = descriptors_open();
    for (int i = 0; i < 10000; i++) {
        own_loop();
        assert_status(execq_thread_loop_close(), EXECQ_OK);
    }
    assert_int_equal(descriptors_open(), before);
}

static void without_descriptors_there_is_no_loop(void **state)
{
    (void)state;
    struct rlimit saved;
    uv_loop_t *loop = UNTOUCHED;
    const int before = descriptors_open();
    descriptors_refuse(&saved);
    const execq_status status = execq_thread_loop(&loop);
    descriptors_allow(&saved);
    assert_status(status, EXECQ_EMFILE);
    assert_ptr_equal(loop, UNTOUCHED);
    assert_int_equal(descriptors_open(), before);
    assert_status(execq_thread_loop_close(), EXECQ_EALREADY);
    own_loop(); /* later it works */
    assert_status(execq_thread_loop_close(), EXECQ_OK);
    assert_int_equal(descriptors_open(), before);
}

static int32_t find_loop(void *env, void **result)
{
    (void)env;
    *result = own_loop();
    return 0;
}

static void *loop_of_a_task(execq_executor *executor)
{
    void *loop = NULL;
    execq_future *future = spawn(executor, find_loop, NULL);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_status(execq_future_result(future, &loop), EXECQ_OK);
    execq_future_release(future);
    return loop;
}

static int32_t close_loop(void *env, void **result)
{
    (void)env;
    (void)result;
    return execq_thread_loop_close();
}

static execq_status status_of_closing_in_a_task(execq_executor *executor)
{
    execq_future *future = spawn(executor, close_loop, NULL);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    const execq_status status = execq_error_code(execq_future_error(future));
    execq_future_release(future);
    return status;
}

static void a_workers_loop_is_the_same_for_all_its_tasks(void **state)
{
    (void)state;
    const int before = descriptors_open();
    execq_executor *executor = pool_new(1);
    assert_status(status_of_closing_in_a_task(executor), EXECQ_EINVAL);
    void *loop = loop_of_a_task(executor);
    assert_ptr_not_equal(loop, NULL);
    assert_ptr_equal(loop_of_a_task(executor), loop);
    assert_status(status_of_closing_in_a_task(executor), EXECQ_EINVAL);
    assert_ptr_equal(loop_of_a_task(executor), loop);
    pool_end(executor);
    assert_int_equal(descriptors_open(), before); /* closed when the worker left */
}

static int32_t open_loop_and_exit(void *env, void **result)
{
    (void)env;
    (void)result;
    own_loop();
    pthread_exit(NULL);
}

static void a_worker_that_is_lost_closes_its_loop(void **state)
{
    (void)state;
    const int before = descriptors_open();
    execq_executor *executor = pool_new(1);
    for (int i = 0; i < 10; i++) {
        finish(spawn(executor, open_loop_and_exit, NULL));
    }
    pool_end(executor);
    assert_int_equal(descriptors_open(), before);
}

static void *open_loop(void *env)
{
    (void)env;
    own_loop();
    return NULL;
}

static void the_end_of_a_thread_closes_its_loop(void **state)
{
    (void)state;
    const int before = descriptors_open();
    for (int i = 0; i < 100; i++) {
        pthread_join(thread_start(open_loop, NULL), NULL);
    }
    assert_int_equal(descriptors_open(), before);
}

static void ones_own_loop_can_be_attached(void **state)
{
    (void)state;
    counter done = {0};
    execq_loop *port = NULL;
    assert_status(execq_loop_attach(own_loop(), &port), EXECQ_OK);
    execq_future *future = done_future(NULL);
    assert_status(execq_future_on_loop(future, port, count_done, &done, NULL), EXECQ_OK);
    assert_int_equal(uv_run(own_loop(), UV_RUN_DEFAULT), 0);
    assert_int_equal(counter_get(&done), 1);
    assert_status(execq_thread_loop_close(), EXECQ_EBUSY);
    assert_status(execq_loop_detach(port), EXECQ_OK);
    execq_loop_release(port);
    assert_status(execq_thread_loop_close(), EXECQ_OK);
    execq_future_release(future);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_loop_needs_somewhere_to_go),
        cmocka_unit_test(each_thread_has_one_of_its_own),
        cmocka_unit_test(it_is_an_ordinary_loop),
        cmocka_unit_test(it_is_not_closed_under_open_handles),
        cmocka_unit_test(it_is_not_closed_in_its_callbacks),
        cmocka_unit_test(ten_thousand_loops_leave_no_descriptor),
        cmocka_unit_test(without_descriptors_there_is_no_loop),
        cmocka_unit_test(a_workers_loop_is_the_same_for_all_its_tasks),
        cmocka_unit_test(a_worker_that_is_lost_closes_its_loop),
        cmocka_unit_test(the_end_of_a_thread_closes_its_loop),
        cmocka_unit_test(ones_own_loop_can_be_attached),
    };
    ignore_failures();
    return cmocka_run_group_tests_name("capi.thread_loop", tests, NULL, NULL);
}
