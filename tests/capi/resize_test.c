/* An executor's size changes while it runs. */
#include "capi.h"

#include <stdatomic.h>

#include <uv.h>

enum { MOST = 40 };
static gate g;
static execq_future *running[MOST];

static uint64_t threads_of(execq_executor *executor)
{
    execq_stats stats = EXECQ_STATS_INIT;
    assert_status(execq_executor_stats(executor, &stats), EXECQ_OK);
    return stats.threads;
}

static uint64_t most_of(execq_executor *executor)
{
    execq_stats stats = EXECQ_STATS_INIT;
    assert_status(execq_executor_stats(executor, &stats), EXECQ_OK);
    return stats.threads_max;
}

static void await_threads(execq_executor *executor, uint64_t n)
{
    while (threads_of(executor) != n) {
        sched_yield();
    }
}

static void start(execq_executor *executor, int from, int to)
{
    for (int i = from; i < to; i++) {
        running[i] = spawn(executor, gate_fn, &g);
    }
}

static void end(int from, int to)
{
    gate_open(&g, to - from);
    for (int i = from; i < to; i++) {
        finish(running[i]);
    }
}

static void it_grows_at_once_where_work_waits(void **state)
{
    (void)state;
    gate_init(&g);
    execq_executor *executor = pool_new(1);
    start(executor, 0, MOST);
    gate_await(&g, 1);
    assert_int_equal(threads_of(executor), 1);
    assert_status(execq_executor_resize(executor, 0, 3), EXECQ_OK);
    assert_int_equal(most_of(executor), 3);
    gate_await(&g, 2);
    assert_status(execq_executor_resize(executor, 0, MOST), EXECQ_OK); /* beyond the first places */
    gate_await(&g, MOST - 3);
    assert_int_equal(threads_of(executor), MOST);
    end(0, MOST);
    pool_end(executor);
}

static void it_shrinks_as_threads_finish_what_they_run(void **state)
{
    (void)state;
    gate_init(&g);
    execq_executor *executor = pool_new(8);
    start(executor, 0, 8);
    gate_await(&g, 8);
    assert_status(execq_executor_resize(executor, 1, 2), EXECQ_OK); /* below what runs */
    assert_int_equal(threads_of(executor), 8);
    assert_int_equal(most_of(executor), 2);
    gate_open(&g, 6);
    await_threads(executor, 2);
    start(executor, 8, 20); /* none of these starts beside the two that still run */
    gate_open(&g, 2);
    gate_await(&g, 2);
    assert_int_equal(threads_of(executor), 2);
    /* One that has just come may have passed in the place of one of the two. */
    gate_open(&g, 12);
    for (int i = 0; i < 20; i++) {
        finish(running[i]);
    }
    assert_int_equal(threads_of(executor), 2);
    pool_end(executor);
}

static void idle_threads_leave_at_once(void **state)
{
    (void)state;
    gate_init(&g);
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = options.min_threads = 6;
    options.keepalive_ns = INT64_MAX;
    execq_executor *executor = NULL;
    assert_status(execq_executor_new(&options, &executor), EXECQ_OK);
    start(executor, 0, 6);
    gate_await(&g, 6);
    end(0, 6);
    assert_int_equal(threads_of(executor), 6);
    assert_status(execq_executor_resize(executor, 0, 1), EXECQ_OK);
    await_threads(executor, 1);
    start(executor, 0, 1);
    gate_await(&g, 1);
    end(0, 1);
    pool_end(executor);
}

static void fewer_min_threads_let_idle_ones_leave_after_their_keepalive(void **state)
{
    (void)state;
    gate_init(&g);
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = options.min_threads = 4;
    options.keepalive_ns = -1;
    execq_executor *executor = NULL;
    assert_status(execq_executor_new(&options, &executor), EXECQ_OK);
    start(executor, 0, 4);
    gate_await(&g, 4);
    end(0, 4);
    assert_int_equal(threads_of(executor), 4);
    assert_status(execq_executor_resize(executor, 1, 4), EXECQ_OK);
    await_threads(executor, 1);
    pool_end(executor);
}

static int32_t gate_fn_blocking(void *env, void **result)
{
    execq_blocking_begin();
    gate_fn(env, result);
    execq_blocking_end();
    return 0;
}

static void spares_that_stand_by_leave_with_the_rest(void **state)
{
    (void)state;
    gate_init(&g);
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 2;
    options.max_spares = 2;
    options.keepalive_ns = INT64_MAX;
    execq_executor *executor = NULL;
    assert_status(execq_executor_new(&options, &executor), EXECQ_OK);
    running[0] = spawn(executor, gate_fn_blocking, &g);
    running[1] = spawn(executor, gate_fn_blocking, &g);
    start(executor, 2, 4);
    gate_await(&g, 4);
    end(0, 4);
    execq_stats stats = EXECQ_STATS_INIT;
    do {
        sched_yield();
        assert_status(execq_executor_stats(executor, &stats), EXECQ_OK);
    } while (stats.idle != 4);
    assert_int_equal(stats.threads, 4);
    assert_status(execq_executor_resize(executor, 0, 2), EXECQ_OK); /* as many as before, and none of them wanted */
    await_threads(executor, 2);
    assert_status(execq_executor_resize(executor, 0, 1), EXECQ_OK);
    await_threads(executor, 1);
    pool_end(executor);
}

static int32_t resize_inside(void *env, void **result)
{
    (void)result;
    must(execq_executor_resize(env, 0, 5) == EXECQ_OK);
    must(execq_executor_resize(env, 0, 2) == EXECQ_OK);
    must(execq_executor_resize(env, 0, 1) == EXECQ_OK);
    return 0;
}

static void a_task_may_resize_its_own_executor(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    for (int i = 0; i < 50; i++) {
        finish(spawn(executor, resize_inside, executor));
    }
    await_threads(executor, 1);
    pool_end(executor);
}

static void who_is_too_many_leaves_after_its_task_and_may_come_back(void **state)
{
    (void)state;
    gate_init(&g);
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 4;
    options.loop_workers = 4;
    execq_executor *executor = NULL;
    assert_status(execq_executor_new(&options, &executor), EXECQ_OK);
    start(executor, 0, 4);
    gate_await(&g, 4);
    assert_status(execq_executor_resize(executor, 0, 1), EXECQ_OK);
    end(0, 4);
    await_threads(executor, 1);
    assert_status(execq_executor_resize(executor, 0, 4), EXECQ_OK);
    assert_int_equal(most_of(executor), 4);
    pool_end(executor);
}

/* A timer on the loop of the worker that starts it, until it is told to end. */
typedef struct ticker {
    uv_timer_t timer;
    execq_promise *promise;
    atomic_int ticks;
    atomic_int ends;
} ticker;

static void end_ticker(uv_handle_t *handle)
{
    ticker *t = handle->data;
    must(execq_promise_resolve(t->promise, NULL) == EXECQ_OK);
    execq_promise_release(t->promise);
}

static void tick(uv_timer_t *timer)
{
    ticker *t = timer->data;
    atomic_fetch_add(&t->ticks, 1);
    if (atomic_load(&t->ends)) {
        uv_close((uv_handle_t *)timer, end_ticker);
    }
}

/* Waits at the gate: no two of these start on one worker. */
static void start_ticker(execq_promise *promise, uv_loop_t *loop, void *env)
{
    ticker *t = env;
    gate_fn(&g, NULL);
    t->promise = promise;
    t->timer.data = t;
    must(uv_timer_init(loop, &t->timer) == 0);
    must(uv_timer_start(&t->timer, tick, 1, 1) == 0);
}

static void await_ticks(ticker *t, int n)
{
    int seen = atomic_load(&t->ticks);
    while (atomic_load(&t->ticks) < seen + n) {
        sched_yield();
    }
}

static void who_drives_a_loop_stays_until_nothing_is_left_on_it(void **state)
{
    (void)state;
    gate_init(&g);
    static ticker tickers[3];
    memset(tickers, 0, sizeof tickers);
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = options.loop_workers = 3;
    execq_executor *executor = NULL;
    assert_status(execq_executor_new(&options, &executor), EXECQ_OK);
    for (int i = 0; i < 3; i++) {
        assert_status(execq_submit_async(executor, NULL, start_ticker, &tickers[i], &running[i]), EXECQ_OK);
    }
    gate_await(&g, 3);
    gate_open(&g, 3);
    for (int i = 0; i < 3; i++) {
        await_ticks(&tickers[i], 1);
    }
    assert_status(execq_executor_resize(executor, 0, 1), EXECQ_OK);
    for (int i = 0; i < 3; i++) {
        await_ticks(&tickers[i], 5);
    }
    assert_int_equal(threads_of(executor), 3);
    for (int i = 0; i < 3; i++) {
        atomic_store(&tickers[i].ends, 1);
        finish(running[i]);
    }
    await_threads(executor, 1);
    finish(spawn(executor, do_nothing, NULL));
    pool_end(executor);
}

static void reserved_ones_stay(void **state)
{
    (void)state;
    gate_init(&g);
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 4;
    options.reserved_loop_workers = 2;
    execq_executor *executor = NULL;
    assert_status(execq_executor_new(&options, &executor), EXECQ_OK);
    assert_status(execq_executor_resize(executor, 0, 2), EXECQ_EINVAL);
    assert_status(execq_executor_resize(executor, 2, 3), EXECQ_EINVAL);
    assert_int_equal(most_of(executor), 4);
    assert_status(execq_executor_resize(executor, 1, 3), EXECQ_OK);
    assert_int_equal(most_of(executor), 3);
    start(executor, 0, 2);
    gate_await(&g, 1);
    end(0, 2);
    pool_end(executor);
}

static void bad_sizes_are_refused(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(2);
    assert_status(execq_executor_resize(NULL, 0, 1), EXECQ_EINVAL);
    assert_status(execq_executor_resize(executor, 0, EXECQ_MAX_THREADS + 1), EXECQ_EINVAL);
    assert_status(execq_executor_resize(executor, EXECQ_MAX_THREADS + 1, 0), EXECQ_EINVAL);
    assert_status(execq_executor_resize(executor, 3, 2), EXECQ_EINVAL);
    assert_int_equal(most_of(executor), 2);
    assert_status(execq_executor_resize(executor, 0, EXECQ_MAX_THREADS), EXECQ_OK);
    assert_int_equal(most_of(executor), EXECQ_MAX_THREADS);
    assert_status(execq_executor_resize(executor, 0, 0), EXECQ_OK);
    execq_executor *usual = pool_new(0);
    assert_int_equal(most_of(executor), most_of(usual));
    pool_end(usual);
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    assert_status(execq_executor_resize(executor, 0, 1), EXECQ_ECLOSED);
    pool_end(executor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_grows_at_once_where_work_waits),
        cmocka_unit_test(it_shrinks_as_threads_finish_what_they_run),
        cmocka_unit_test(idle_threads_leave_at_once),
        cmocka_unit_test(fewer_min_threads_let_idle_ones_leave_after_their_keepalive),
        cmocka_unit_test(spares_that_stand_by_leave_with_the_rest),
        cmocka_unit_test(a_task_may_resize_its_own_executor),
        cmocka_unit_test(who_is_too_many_leaves_after_its_task_and_may_come_back),
        cmocka_unit_test(who_drives_a_loop_stays_until_nothing_is_left_on_it),
        cmocka_unit_test(reserved_ones_stay),
        cmocka_unit_test(bad_sizes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
