/* What execq_executor_stats tells: of threads, queues, loops and how late these are run. */
#include "capi.h"

#include <sched.h>

#include <execq/uv.h>

enum { HOUR = 3600 };

static execq_stats stats_of(execq_executor *executor)
{
    execq_stats stats = EXECQ_STATS_INIT;
    assert_status(execq_executor_stats(executor, &stats), EXECQ_OK);
    assert_int_equal(stats.workers_count, 0);
    return stats;
}

/* Until all threads sleep: one that is kept awake by mistake hangs the test. */
static execq_stats stats_once_idle(execq_executor *executor)
{
    execq_stats stats = stats_of(executor);
    while (stats.idle != stats.threads) {
        sched_yield();
        stats = stats_of(executor);
    }
    return stats;
}

static void assert_latency(const execq_latency *latency)
{
    assert_true(latency->p50_ns >= 0);
    assert_true(latency->p50_ns <= latency->p99_ns);
    assert_true(latency->p99_ns <= latency->max_ns);
    assert_true(latency->count != 0 || latency->max_ns == 0);
}

/* ---- arguments ---- */

static void bad_arguments_are_refused_and_nothing_is_written(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    execq_worker_stats room[1];
    execq_stats stats = EXECQ_STATS_INIT;
    memset(room, 0x5a, sizeof room);
    stats.threads_max = 99;
    stats.workers = room;
    stats.workers_max = 1;
    finish(spawn(executor, do_nothing, NULL));
    assert_status(execq_executor_stats(NULL, &stats), EXECQ_EINVAL);
    assert_status(execq_executor_stats(executor, NULL), EXECQ_EINVAL);
    const uint32_t wrong[] = {0, 8, sizeof *room - 8, sizeof *room + 4, 4096 + 8};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        stats.worker_size = wrong[i];
        assert_status(execq_executor_stats(executor, &stats), EXECQ_EINVAL);
    }
    stats.worker_size = sizeof *room;
    stats.reserved = 1;
    assert_status(execq_executor_stats(executor, &stats), EXECQ_ENOTSUP);
    assert_int_equal(stats.threads_max, 99);
    assert_int_equal(room[0].state, 0x5a5a5a5a);
    stats.reserved = 0;
    stats.worker_size = 0; /* not looked at without room */
    stats.workers = NULL;
    assert_status(execq_executor_stats(executor, &stats), EXECQ_OK);
    assert_int_equal(stats.threads_max, 1);
    pool_end(executor);
}

static void entries_are_as_wide_and_as_many_as_the_caller_says(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    struct {
        execq_worker_stats known;
        uint64_t later;
    } room[2];
    execq_executor *executor = pool_new(2);
    execq_future *first = occupy(executor, &g);
    execq_future *second = occupy(executor, &g);
    memset(room, 0x5a, sizeof room);
    execq_stats stats = EXECQ_STATS_INIT;
    stats.workers = &room[0].known;
    stats.worker_size = sizeof *room;
    stats.workers_max = 1;
    assert_status(execq_executor_stats(executor, &stats), EXECQ_OK);
    assert_int_equal(stats.workers_count, 1);
    assert_int_equal(stats.workers_total, 2);
    assert_int_equal(room[1].known.number, 0x5a5a5a5a);
    stats.workers_max = 7;
    assert_status(execq_executor_stats(executor, &stats), EXECQ_OK);
    assert_int_equal(stats.workers_count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(room[i].known.number, i);
        assert_int_equal(room[i].known.state, EXECQ_WORKER_RUNNING);
        assert_int_equal(room[i].known.has_loop, 0);
        assert_int_equal(room[i].known.reserved_for_loops, 0);
        assert_int_equal(room[i].known.loop_lag.count, 0);
        assert_true(room[i].later == UINT64_C(0x5a5a5a5a5a5a5a5a));
    }
    gate_open(&g, 2);
    finish(first);
    finish(second);
    pool_end(executor);
}

/* ---- threads and queues ---- */

static void a_new_executor_has_nothing(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(3);
    const execq_stats stats = stats_of(executor);
    assert_int_equal(stats.threads_max, 3);
    assert_int_equal(stats.threads, 0);
    assert_int_equal(stats.workers_total, 0);
    assert_int_equal(stats.queued + stats.queued_async + stats.delayed, 0);
    assert_int_equal(stats.threads_started + stats.wakes + stats.steals + stats.loop_delays, 0);
    assert_int_equal(stats.loops + stats.async_open + stats.loop_lag.count + stats.loop_turn.count, 0);
    pool_end(executor);
}

static void threads_and_what_waits_are_counted(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(2);
    execq_future *first = occupy(executor, &g);
    execq_future *second = occupy(executor, &g);
    execq_future *queued[3];
    for (size_t i = 0; i < COUNT_OF(queued); i++) {
        queued[i] = spawn(executor, do_nothing, NULL);
        assert_status(execq_submit(executor, do_nothing, NULL, NULL), EXECQ_OK);
    }
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.delay_ns = (int64_t)HOUR * 1000 * MILLISECOND;
    execq_future *delayed = NULL;
    assert_status(execq_submit_with(executor, &options, do_nothing, NULL, &delayed), EXECQ_OK);
    execq_stats stats = stats_of(executor);
    assert_int_equal(stats.threads, 2);
    assert_int_equal(stats.threads_started, 2);
    assert_int_equal(stats.running, 2);
    assert_int_equal(stats.idle, 0);
    assert_int_equal(stats.queued, 2 * COUNT_OF(queued));
    assert_int_equal(stats.delayed, 1);
    gate_open(&g, 2);
    finish(first);
    finish(second);
    for (size_t i = 0; i < COUNT_OF(queued); i++) {
        finish(queued[i]);
    }
    assert_status(execq_future_cancel(delayed), EXECQ_OK);
    finish(delayed);
    stats = stats_once_idle(executor);
    assert_int_equal(stats.running, 0);
    assert_int_equal(stats.queued, 0);
    assert_int_equal(stats.threads, 2);
    while (stats_of(executor).delayed != 0) { /* its timer ends on another thread */
        sched_yield();
    }
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
    stats = stats_of(executor); /* still there */
    assert_int_equal(stats.threads, 0);
    assert_int_equal(stats.idle, 0);
    assert_int_equal(stats.workers_total, 2);
    assert_int_equal(stats.threads_started, 2);
    execq_executor_release(executor);
}

/* More than is counted one by one. */
static void a_deep_queue_of_equal_tasks_is_told_to_a_hundredth(void **state)
{
    (void)state;
    enum { DEEP = 100000 };
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(1);
    execq_future *holder = occupy(executor, &g);
    for (int i = 0; i < DEEP; i++) {
        assert_status(execq_submit(executor, do_nothing, NULL, NULL), EXECQ_OK);
    }
    const uint64_t queued = stats_of(executor).queued;
    assert_true(queued >= DEEP - DEEP / 100 && queued <= DEEP + DEEP / 100);
    gate_open(&g, 1);
    finish(holder);
    pool_end(executor);
}

static void a_wake_is_counted(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    finish(spawn(executor, do_nothing, NULL));
    const uint64_t before = stats_once_idle(executor).wakes;
    finish(spawn(executor, do_nothing, NULL));
    assert_true(stats_once_idle(executor).wakes > before);
    pool_end(executor);
}

struct parent {
    execq_executor *executor;
    execq_future *child;
    gate g;
};

static int32_t submit_and_block(void *env, void **result)
{
    struct parent *p = env;
    (void)result;
    must(execq_submit(p->executor, do_nothing, NULL, &p->child) == EXECQ_OK);
    gate_pass(&p->g);
    return 0;
}

static void a_steal_is_counted(void **state)
{
    (void)state;
    static struct parent p;
    gate_init(&p.g);
    p.executor = pool_new(2);
    execq_future *parent = spawn(p.executor, submit_and_block, &p);
    gate_await(&p.g, 1);
    finish(p.child); /* it waited with a worker that blocks */
    assert_int_equal(stats_of(p.executor).steals, 1);
    gate_open(&p.g, 1);
    finish(parent);
    pool_end(p.executor);
}

/* ---- loops ---- */

struct open {
    execq_promise *promise;
    gate started;
};

static void hold(execq_promise *promise, uv_loop_t *loop, void *env)
{
    struct open *o = env;
    (void)loop;
    o->promise = promise;
    sem_post(&o->started.entered);
}

static execq_future *spawn_open(execq_executor *executor, struct open *o)
{
    execq_future *future = NULL;
    gate_init(&o->started);
    assert_status(execq_submit_async_uv(executor, NULL, hold, o, &future), EXECQ_OK);
    gate_await(&o->started, 1);
    return future;
}

static void complete(struct open *o, execq_future *future)
{
    assert_status(execq_promise_resolve(o->promise, NULL), EXECQ_OK);
    execq_promise_release(o->promise);
    finish(future);
}

static void open_tasks_and_loops_are_counted(void **state)
{
    (void)state;
    static struct open o[5];
    execq_future *futures[COUNT_OF(o)];
    execq_executor *executor = pool_new(2);
    for (size_t i = 0; i < COUNT_OF(o); i++) {
        futures[i] = spawn_open(executor, &o[i]);
        assert_int_equal(stats_of(executor).async_open, i + 1);
    }
    execq_worker_stats room[2];
    execq_stats stats = EXECQ_STATS_INIT;
    stats.workers = room;
    stats.workers_max = COUNT_OF(room);
    assert_status(execq_executor_stats(executor, &stats), EXECQ_OK);
    uint64_t open = 0;
    uint64_t loops = 0;
    for (uint64_t i = 0; i < stats.workers_count; i++) {
        open += room[i].async_open;
        loops += room[i].has_loop;
        assert_true(room[i].has_loop == 1 || room[i].async_open == 0);
    }
    assert_int_equal(open, COUNT_OF(o));
    assert_int_equal(loops, stats.loops);
    assert_int_equal(stats_once_idle(executor).async_open, COUNT_OF(o)); /* they sleep in their loops */
    for (size_t i = 0; i < COUNT_OF(o); i++) {
        complete(&o[i], futures[i]);
    }
    assert_int_equal(stats_once_idle(executor).async_open, 0);
    pool_end(executor);
}

static void an_executor_sleeps_after_its_asynchronous_tasks(void **state)
{
    (void)state;
    for (uint32_t threads = 1; threads <= 3; threads++) {
        static struct open o[20];
        execq_future *futures[COUNT_OF(o)];
        execq_executor *executor = pool_new(threads);
        for (int round = 0; round < SCALED(50, 5); round++) {
            for (size_t i = 0; i < COUNT_OF(o); i++) {
                futures[i] = spawn_open(executor, &o[i]);
            }
            stats_once_idle(executor);
            for (size_t i = 0; i < COUNT_OF(o); i++) {
                complete(&o[i], futures[i]);
            }
            stats_once_idle(executor);
        }
        pool_end(executor);
    }
}

static void what_waits_for_a_loop_is_told_apart(void **state)
{
    (void)state;
    static gate g;
    static struct open o;
    gate_init(&g);
    gate_init(&o.started);
    execq_executor *executor = pool_new(1);
    execq_future *holder = occupy(executor, &g);
    execq_future *future = NULL;
    assert_status(execq_submit_async_uv(executor, NULL, hold, &o, &future), EXECQ_OK);
    execq_stats stats = stats_of(executor);
    assert_int_equal(stats.queued_async, 1);
    assert_int_equal(stats.queued, 0);
    gate_open(&g, 1);
    gate_await(&o.started, 1);
    assert_int_equal(stats_of(executor).queued_async, 0);
    finish(holder);
    complete(&o, future);
    pool_end(executor);
}

static void a_blocking_task_beside_open_ones_is_a_delay(void **state)
{
    (void)state;
    static struct open o;
    execq_executor *executor = pool_new(1);
    finish(spawn(executor, do_nothing, NULL));
    assert_int_equal(stats_of(executor).loop_delays, 0);
    execq_future *future = spawn_open(executor, &o);
    for (int i = 0; i < 3; i++) {
        finish(spawn(executor, do_nothing, NULL));
        assert_status(execq_submit(executor, do_nothing, NULL, NULL), EXECQ_OK);
    }
    assert_int_equal(stats_once_idle(executor).loop_delays, 6);
    complete(&o, future);
    finish(spawn(executor, do_nothing, NULL)); /* nothing is alive there any more */
    assert_int_equal(stats_once_idle(executor).loop_delays, 6);
    pool_end(executor);
}

/* Their turns are in the worker's queue, not they themselves. */
static void tasks_of_a_queue_are_delays_too(void **state)
{
    (void)state;
    static struct open o;
    execq_executor *executor = pool_new(1);
    execq_queue *queue = NULL;
    assert_status(execq_queue_new(executor, NULL, &queue), EXECQ_OK);
    execq_future *future = spawn_open(executor, &o);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.queue = queue;
    for (int i = 0; i < 3; i++) {
        execq_future *queued = NULL;
        assert_status(execq_submit_with(executor, &options, do_nothing, NULL, &queued), EXECQ_OK);
        finish(queued);
    }
    assert_int_equal(stats_once_idle(executor).loop_delays, 3);
    complete(&o, future);
    execq_queue_release(queue);
    pool_end(executor);
}

/* ---- how late loops are run ---- */

static int32_t work_for(void *env, void **result)
{
    (void)result;
    const int64_t end = clock_now() + (int64_t)(intptr_t)env;
    while (clock_now() < end) {
    }
    return 0;
}

static void a_task_that_blocks_beside_a_loop_makes_it_late(void **state)
{
    (void)state;
    static struct open o;
    execq_executor *executor = pool_new(1);
    execq_future *future = spawn_open(executor, &o);
    finish(spawn(executor, work_for, (void *)(intptr_t)(20 * MILLISECOND)));
    finish(spawn(executor, do_nothing, NULL));
    const execq_stats stats = stats_once_idle(executor);
    assert_true(stats.loop_lag.count >= 1);
    assert_true(stats.loop_lag.max_ns >= 20 * MILLISECOND);
    assert_true(stats.loop_turn.count >= 1);
    assert_latency(&stats.loop_lag);
    assert_latency(&stats.loop_turn);
    complete(&o, future);
    pool_end(executor);
}

static void an_idle_loop_is_not_late(void **state)
{
    (void)state;
    static struct open o;
    execq_executor *executor = pool_new(1);
    execq_future *future = spawn_open(executor, &o);
    complete(&o, future);
    finish(spawn(executor, do_nothing, NULL)); /* the worker has seen it */
    const execq_stats before = stats_once_idle(executor);
    /* It has nothing to do on its loop for that long. */
    finish(spawn(executor, work_for, (void *)(intptr_t)(20 * MILLISECOND)));
    stats_once_idle(executor);
    const execq_stats after = stats_of(executor);
    assert_int_equal(after.loop_lag.count, before.loop_lag.count);
    assert_true(after.loop_lag.max_ns == before.loop_lag.max_ns);
    pool_end(executor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_arguments_are_refused_and_nothing_is_written),
        cmocka_unit_test(entries_are_as_wide_and_as_many_as_the_caller_says),
        cmocka_unit_test(a_new_executor_has_nothing),
        cmocka_unit_test(threads_and_what_waits_are_counted),
        cmocka_unit_test(a_deep_queue_of_equal_tasks_is_told_to_a_hundredth),
        cmocka_unit_test(a_wake_is_counted),
        cmocka_unit_test(a_steal_is_counted),
        cmocka_unit_test(open_tasks_and_loops_are_counted),
        cmocka_unit_test(an_executor_sleeps_after_its_asynchronous_tasks),
        cmocka_unit_test(what_waits_for_a_loop_is_told_apart),
        cmocka_unit_test(a_blocking_task_beside_open_ones_is_a_delay),
        cmocka_unit_test(tasks_of_a_queue_are_delays_too),
        cmocka_unit_test(a_task_that_blocks_beside_a_loop_makes_it_late),
        cmocka_unit_test(an_idle_loop_is_not_late),
    };
    return cmocka_run_group_tests_name("capi.stats", tests, NULL, NULL);
}
