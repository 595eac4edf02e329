/* pthread_exit where tests of single features do not look: in queues and groups, in done callbacks and callbacks of loops, on
 * several workers at once, and on the main thread. Each in a process of its own, as a thread that is lost for good would
 * take the next tests along. */
#include "uv_loop.h"

#include <sched.h>

#include "child.h"

enum { CODE = 7 };

static char text[4096];
static counter ran, dropped, told;

static void in_child(void (*act)(void *env), void *env)
{
    child_exits(act, env, CODE, text, sizeof text);
    assert_string_equal(text, "");
}

static int32_t end_the_thread(void *env, void **result)
{
    (void)env;
    (void)result;
    pthread_exit(NULL);
}

static void must_have_exited(execq_future *future)
{
    must(execq_future_wait(future, -1) == EXECQ_OK);
    must(execq_error_code(execq_future_error(future)) == EXECQ_EEXITED);
    execq_future_release(future);
}

static void must_be_whole(execq_executor *executor)
{
    execq_future *futures[50];
    for (size_t i = 0; i < COUNT_OF(futures); i++) {
        must(execq_submit(executor, do_nothing, NULL, &futures[i]) == EXECQ_OK);
    }
    must(execq_future_wait_all(futures, COUNT_OF(futures), -1) == EXECQ_OK);
    for (size_t i = 0; i < COUNT_OF(futures); i++) {
        execq_future_release(futures[i]);
    }
    pool_end(executor);
}

/* ---- queues ---- */

static void exit_in_queue(void *env)
{
    (void)env;
    execq_executor *executor = pool_new(2);
    execq_queue *queue = NULL;
    execq_future *closed = NULL;
    execq_future *exits[20];
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    must(execq_queue_new(executor, NULL, &queue) == EXECQ_OK);
    options.queue = queue;
    options.drop = counter_hit;
    for (size_t i = 0; i < COUNT_OF(exits); i++) {
        must(execq_submit_with(NULL, &options, end_the_thread, &dropped, &exits[i]) == EXECQ_OK);
        options.drop = NULL;
        must(execq_submit_with(NULL, &options, counter_fn, &ran, NULL) == EXECQ_OK);
        options.drop = counter_hit;
    }
    must(execq_queue_close(queue, EXECQ_DRAIN, &closed) == EXECQ_OK);
    must(execq_future_wait(closed, -1) == EXECQ_OK && execq_future_result(closed, NULL) == EXECQ_OK);
    must(counter_get(&ran) == COUNT_OF(exits) && counter_get(&dropped) == COUNT_OF(exits));
    for (size_t i = 0; i < COUNT_OF(exits); i++) {
        must_have_exited(exits[i]);
    }
    execq_future_release(closed);
    execq_queue_release(queue);
    must_be_whole(executor);
    exit(CODE);
}

static void in_a_queue_the_next_ones_start(void **state)
{
    (void)state;
    in_child(exit_in_queue, NULL);
}

/* ---- groups ---- */

static void exit_in_group(void *env)
{
    (void)env;
    static gate g;
    execq_executor *executor = pool_new(1);
    gate_init(&g);
    execq_future *blocker = occupy(executor, &g);
    execq_group *group = NULL;
    execq_future *first = NULL;
    execq_future *second = NULL;
    must(execq_group_new(NULL, &group) == EXECQ_OK);
    must(execq_group_submit(group, executor, NULL, end_the_thread, NULL, &first) == EXECQ_OK);
    must(execq_group_submit(group, executor, NULL, counter_fn, &ran, &second) == EXECQ_OK);
    gate_open(&g, 1);
    must(execq_group_join(group, -1) == EXECQ_EFAILED);
    must(execq_error_code(execq_group_error(group)) == EXECQ_EEXITED);
    must(counter_get(&ran) == 0 && execq_future_cancel_reason(second) == EXECQ_REASON_GROUP);
    must_have_exited(first);
    execq_future_release(second);
    execq_group_release(group);
    finish(blocker);
    must_be_whole(executor);
    exit(CODE);
}

/* A worker that joins runs the members in place: it is the joining task's thread that ends. */
static int32_t join_inside(void *env, void **result)
{
    execq_group *group = NULL;
    (void)result;
    must(execq_group_new(NULL, &group) == EXECQ_OK);
    must(execq_group_submit(group, env, NULL, end_the_thread, NULL, NULL) == EXECQ_OK);
    execq_group_release(group); /* its task keeps it */
    execq_future *future = NULL;
    must(execq_submit(env, end_the_thread, NULL, &future) == EXECQ_OK);
    (void)execq_future_wait(future, -1);
    must(!"the thread has ended");
    return 0;
}

static void exit_in_nested_group(void *env)
{
    (void)env;
    ignore_failures();
    execq_executor *executor = pool_new(1);
    execq_future *outer = NULL;
    must(execq_submit(executor, join_inside, executor, &outer) == EXECQ_OK);
    must_have_exited(outer);
    must_be_whole(executor);
    exit(CODE);
}

static void in_a_group_it_is_the_groups_failure(void **state)
{
    (void)state;
    in_child(exit_in_group, NULL);
    in_child(exit_in_nested_group, NULL);
}

/* ---- callbacks ---- */

static void exit_in_callback(execq_future *future, void *env)
{
    (void)future;
    counter_hit(env);
    pthread_exit(NULL);
}

static void exit_in_done(void *env)
{
    (void)env;
    static gate g;
    execq_executor *executor = pool_new(1);
    gate_init(&g);
    for (int i = 1; i <= 20; i++) {
        execq_future *future = occupy(executor, &g);
        must(execq_future_on_done(future, exit_in_callback, &told, NULL) == EXECQ_OK);
        gate_open(&g, 1);
        must(execq_future_wait(future, -1) == EXECQ_OK && execq_future_result(future, NULL) == EXECQ_OK);
        execq_future_release(future);
        must(execq_submit(executor, counter_fn, &ran, &future) == EXECQ_OK);
        must(execq_future_wait(future, -1) == EXECQ_OK);
        execq_future_release(future);
        must(counter_get(&told) == i && counter_get(&ran) == i);
    }
    must_be_whole(executor);
    exit(CODE);
}

static void in_a_done_callback_the_task_keeps_its_outcome_and_the_worker_is_replaced(void **state)
{
    (void)state;
    in_child(exit_in_done, NULL);
}

static void exit_in_timer(uv_timer_t *timer)
{
    (void)timer;
    pthread_exit(NULL);
}

static execq_promise *open_promise;

static void start_exiting_timer(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    open_promise = promise;
    must(uv_timer_init(loop, env) == 0 && uv_timer_start(env, exit_in_timer, 1, 0) == 0);
}

static void exit_in_loop_callback(void *env)
{
    (void)env;
    static uv_timer_t timers[5];
    execq_executor *executor = pool_new(2);
    for (size_t i = 0; i < COUNT_OF(timers); i++) {
        execq_future *future = NULL;
        must(execq_submit_async(executor, NULL, start_exiting_timer, &timers[i], &future) == EXECQ_OK);
        must_have_exited(future);
        must(execq_promise_resolve(open_promise, NULL) == EXECQ_EALREADY);
        execq_promise_release(open_promise);
    }
    must_be_whole(executor);
    exit(CODE);
}

static void in_a_callback_of_a_workers_loop_what_is_open_there_fails(void **state)
{
    (void)state;
    in_child(exit_in_loop_callback, NULL);
}

/* ---- many at once ---- */

static void *submit_exits(void *env)
{
    for (int i = 0; i < SCALED(200, 8); i++) {
        execq_future *exits = NULL;
        execq_future *runs = NULL;
        must(execq_submit(env, end_the_thread, NULL, &exits) == EXECQ_OK);
        must(execq_submit(env, counter_fn, &ran, &runs) == EXECQ_OK);
        must(execq_submit(env, counter_fn, &ran, NULL) == EXECQ_OK);
        must_have_exited(exits);
        must(execq_future_wait(runs, -1) == EXECQ_OK && execq_future_result(runs, NULL) == EXECQ_OK);
        execq_future_release(runs);
    }
    return NULL;
}

static void exit_everywhere(void *env)
{
    (void)env;
    pthread_t threads[3];
    execq_executor *executor = pool_new(3);
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        threads[i] = thread_start(submit_exits, executor);
    }
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        must(pthread_join(threads[i], NULL) == 0);
    }
    must_be_whole(executor);
    must(counter_get(&ran) == (int)COUNT_OF(threads) * 2 * SCALED(200, 8));
    exit(CODE);
}

static void several_workers_at_once_are_replaced_and_lose_no_task(void **state)
{
    (void)state;
    in_child(exit_everywhere, NULL);
}

/* ---- the main thread ---- */

#if !defined( \
    __SANITIZE_ADDRESS__) /* for which all that this thread's stack and thread-local objects hold is lost then */
static int32_t exit_when_all_have_run(void *env, void **result)
{
    (void)result;
    execq_executor *executor = env;
    execq_future *future = NULL;
    must(execq_submit(executor, counter_fn, &ran, &future) == EXECQ_OK);
    must(execq_future_wait(future, -1) == EXECQ_OK);
    execq_future_release(future);
    while (counter_get(&ran) != 101) {
        sched_yield();
    }
    must(execq_submit(executor, do_nothing, NULL, NULL) == EXECQ_OK);
    exit(CODE);
}

static void main_thread_exits(void *env)
{
    static gate g;
    execq_executor *executor = pool_new(2);
    execq_conf conf = EXECQ_CONF_INIT;
    conf.executor = *(int *)env != 0 ? executor : NULL;
    must(execq_init_conf(&conf) == EXECQ_OK);
    gate_init(&g);
    must(execq_submit(executor, gate_fn, &g, NULL) == EXECQ_OK);
    gate_await(&g, 1);
    for (int i = 0; i < 100; i++) {
        must(execq_submit(executor, counter_fn, &ran, NULL) == EXECQ_OK);
    }
    must(execq_submit(executor, exit_when_all_have_run, executor, NULL) == EXECQ_OK);
    gate_open(&g, 1);
    pthread_exit(NULL);
}

static void the_main_thread_may_end_before_the_work_does(void **state)
{
    (void)state;
    for (int is_default = 0; is_default < 2; is_default++) {
        in_child(main_thread_exits, &is_default);
    }
}

static void *take_the_rest(void *env)
{
    must(execq_executor_close(env, EXECQ_DRAIN) == EXECQ_OK);
    must(execq_executor_join(env, -1, NULL) == EXECQ_OK);
    execq_executor_release(env);
    exit(CODE);
}

static void main_thread_exits_with_its_loop(void *env)
{
    (void)env;
    struct uv_loop_s *loop = NULL;
    execq_future *sleep = NULL;
    execq_executor *executor = pool_new(2);
    must(execq_thread_loop(&loop) == EXECQ_OK);
    must(execq_sleep(MILLISECOND, &sleep) == EXECQ_OK && execq_run_until(sleep, -1) == EXECQ_OK);
    execq_future_release(sleep);
    pthread_detach(thread_start(take_the_rest, executor));
    pthread_exit(NULL);
}

static void the_main_thread_may_end_with_a_loop_of_its_own(void **state)
{
    (void)state;
    in_child(main_thread_exits_with_its_loop, NULL);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_a_queue_the_next_ones_start),
        cmocka_unit_test(in_a_group_it_is_the_groups_failure),
        cmocka_unit_test(in_a_done_callback_the_task_keeps_its_outcome_and_the_worker_is_replaced),
        cmocka_unit_test(in_a_callback_of_a_workers_loop_what_is_open_there_fails),
        cmocka_unit_test(several_workers_at_once_are_replaced_and_lose_no_task),
#if !defined(__SANITIZE_ADDRESS__)
        cmocka_unit_test(the_main_thread_may_end_before_the_work_does),
        cmocka_unit_test(the_main_thread_may_end_with_a_loop_of_its_own),
#endif
    };
    return cmocka_run_group_tests_name("children.thread_exit", tests, NULL, NULL);
}
