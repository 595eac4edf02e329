/* A host with a private libuv of its own, linked in statically, beside the one that libexecq uses. */
#include "capi.h"

#include "uv_loop.h"

enum { COMPLETIONS = SCALED(50000, 10) };

static const char *identity_of_the_librarys_libuv(void)
{
    execq_uv_table table = {.struct_size = sizeof table};
    assert_status(execq_uv_table_load(&table, NULL, NULL), EXECQ_OK);
    return table.identity;
}

static void the_two_copies_are_really_two(void **state)
{
    (void)state;
    execq_uv_table here;
    execq_uv_table_here(&here);
    assert_ptr_equal(here.identity, uv_version_string());
    assert_ptr_not_equal(uv_version_string(), identity_of_the_librarys_libuv());
}

struct host {
    execq_executor *executor;
    execq_loop *port;
    counter ran;
    int submitted;
    int done;
    pthread_t thread;
};

/* Each delivery submits the next, so that wake-ups stay interleaved with deliveries. */
static void host_done(execq_future *future, void *env)
{
    struct host *host = env;
    must(execq_future_state(future) == EXECQ_FUTURE_OK);
    must(pthread_equal(host->thread, pthread_self()));
    host->done++;
    if (host->submitted < COMPLETIONS) {
        host->submitted++;
        must(execq_submit_to_loop(host->executor, NULL, counter_fn, &host->ran, host->port, host_done, host, NULL) ==
             EXECQ_OK);
    }
}

static void fifty_thousand_completions_reach_the_private_copys_loop(void **state)
{
    (void)state;
    static const int in_flight[] = {1, 100};
    for (size_t i = 0; i < COUNT_OF(in_flight); i++) {
        attached a;
        attached_open(&a);
        struct host host = {pool_new(2), a.port, {0}, 0, 0, pthread_self()};
        while (host.submitted < in_flight[i]) {
            host.submitted++;
            assert_status(
                execq_submit_to_loop(host.executor, NULL, counter_fn, &host.ran, host.port, host_done, &host, NULL),
                EXECQ_OK);
        }
        assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
        assert_int_equal(host.done, COMPLETIONS);
        assert_int_equal(counter_get(&host.ran), COMPLETIONS);
        pool_end(host.executor);
        attached_close(&a);
    }
}

static void its_loop_is_held_detached_and_closed_like_any_other(void **state)
{
    (void)state;
    int clock = 0;
    delivery d = {.clock = &clock};
    attached a;
    attached_open(&a);
    assert_status(execq_loop_hold(a.port), EXECQ_OK);
    assert_int_not_equal(uv_run(&a.loop, UV_RUN_NOWAIT), 0);
    assert_status(execq_loop_unhold(a.port), EXECQ_OK);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future);
    assert_status(execq_future_on_loop(future, a.port, delivery_done, &d, delivery_drop), EXECQ_OK);
    attached_close(&a);
    assert_int_equal(d.delivered, 0);
    assert_int_equal(d.dropped, 1);
    execq_promise_release(promise);
    execq_future_release(future);
}

static int32_t open_after(void *env, void **result)
{
    gate_pass(env);
    *result = env;
    return 0;
}

/* In a callback of a loop of the private copy that is not attached: uv_run of the library's copy is not under way. */
static void run_own_loop(uv_timer_t *timer)
{
    struct uv_loop_s *own = NULL;
    gate *g = timer->data;
    must(execq_thread_loop(&own) == EXECQ_OK && own != timer->loop);
    execq_executor *executor = pool_new(1);
    execq_future *future = spawn(executor, open_after, g);
    must(execq_run_until(future, MILLISECOND) == EXECQ_ETIMEDOUT);
    gate_open(g, 1);
    must(execq_run_until(future, -1) == EXECQ_OK);
    execq_future_release(future);
    pool_end(executor);
    must(execq_thread_loop_close() == EXECQ_OK);
    uv_close((uv_handle_t *)timer, NULL);
}

static void a_threads_own_loop_is_of_the_librarys_copy(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    uv_loop_t loop;
    uv_timer_t timer;
    assert_int_equal(uv_loop_init(&loop), 0);
    uv_timer_init(&loop, &timer);
    timer.data = &g;
    uv_timer_start(&timer, run_own_loop, 0, 0);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
    gate_destroy(&g);
}

static void an_attached_private_loop_is_in_the_way_of_ones_own(void **state)
{
    (void)state;
    attached a;
    attached_open(&a);
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future);
    assert_status(execq_run_until(future, -1), EXECQ_EDEADLK);
    attached_close(&a);
    assert_status(execq_run_until(future, 1), EXECQ_ETIMEDOUT);
    execq_promise_release(promise);
    execq_future_release(future);
}

/* A timer of the private copy, on a worker's loop. */
struct timed {
    uv_timer_t timer;
    execq_promise *promise;
};

static void timed_closed(uv_handle_t *handle)
{
    struct timed *t = handle->data;
    must(execq_promise_resolve(t->promise, t) == EXECQ_OK);
    execq_promise_release(t->promise);
}

static void timed_due(uv_timer_t *timer) { uv_close((uv_handle_t *)timer, timed_closed); }

static void start_timer(execq_promise *promise, uv_loop_t *loop, void *env)
{
    struct timed *t = env;
    t->promise = promise;
    must(uv_timer_init(loop, &t->timer) == 0);
    t->timer.data = t;
    must(uv_timer_start(&t->timer, timed_due, 1, 0) == 0);
}

static void asynchronous_tasks_need_an_executor_of_their_copy(void **state)
{
    (void)state;
    static struct timed t[100];
    execq_future *futures[COUNT_OF(t)];
    execq_executor *executor = pool_new(1);
    futures[0] = UNTOUCHED;
    assert_status(execq_submit_async_uv(executor, NULL, start_timer, &t[0], &futures[0]), EXECQ_ENOTSUP);
    assert_ptr_equal(futures[0], UNTOUCHED);
    pool_end(executor);
    execq_uv_table table;
    execq_uv_table_here(&table);
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 2;
    options.uv_table = &table;
    assert_status(execq_executor_new(&options, &executor), EXECQ_OK);
    memset(&table, 0, sizeof table); /* it was copied */
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        assert_status(execq_submit_async_uv(executor, NULL, start_timer, &t[i], &futures[i]), EXECQ_OK);
    }
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        finish(futures[i]);
    }
    execq_task_options foreign = EXECQ_TASK_OPTIONS_INIT;
    foreign.uv_identity = identity_of_the_librarys_libuv();
    assert_status(execq_submit_async(executor, &foreign, start_timer, &t[0], NULL), EXECQ_ENOTSUP);
    pool_end(executor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_two_copies_are_really_two),
        cmocka_unit_test(fifty_thousand_completions_reach_the_private_copys_loop),
        cmocka_unit_test(its_loop_is_held_detached_and_closed_like_any_other),
        cmocka_unit_test(a_threads_own_loop_is_of_the_librarys_copy),
        cmocka_unit_test(an_attached_private_loop_is_in_the_way_of_ones_own),
        cmocka_unit_test(asynchronous_tasks_need_an_executor_of_their_copy),
    };
    return cmocka_run_group_tests_name("capi.second_libuv", tests, NULL, NULL);
}
