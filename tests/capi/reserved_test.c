/* Workers that are reserved for loops: what they run, what they do not, and how they start and end. */
#include "capi.h"

#include <sched.h>

#include <execq/uv.h>

enum { MANY = SCALED(5000, 10) };

static execq_executor *pool_of(uint32_t threads, uint32_t reserved)
{
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = threads;
    options.reserved_loop_workers = reserved;
    execq_executor *executor = NULL;
    assert_status(execq_executor_new(&options, &executor), EXECQ_OK);
    return executor;
}

static execq_stats stats_of(execq_executor *executor)
{
    execq_stats stats = EXECQ_STATS_INIT;
    assert_status(execq_executor_stats(executor, &stats), EXECQ_OK);
    return stats;
}

static execq_future *spawn_async(execq_executor *executor, execq_async_fn start, void *env)
{
    execq_future *future = NULL;
    assert_status(execq_submit_async_uv(executor, NULL, start, env, &future), EXECQ_OK);
    return future;
}

static void finish_as(execq_future *future, execq_status status)
{
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_status(execq_future_result(future, NULL), status);
    execq_future_release(future);
}

/* An asynchronous task that is open until let_go(). */
struct held {
    execq_promise *promise;
    pthread_t thread;
    gate started;
};

static void hold(execq_promise *promise, uv_loop_t *loop, void *env)
{
    struct held *h = env;
    (void)loop;
    h->promise = promise;
    h->thread = pthread_self();
    sem_post(&h->started.entered);
}

static execq_future *spawn_held(execq_executor *executor, struct held *h)
{
    gate_init(&h->started);
    execq_future *future = spawn_async(executor, hold, h);
    gate_await(&h->started, 1);
    return future;
}

static void let_go(struct held *h)
{
    assert_status(execq_promise_resolve(h->promise, NULL), EXECQ_OK);
    execq_promise_release(h->promise);
}

/* One that blocks its worker in its start function. */
static void start_at_gate(execq_promise *promise, uv_loop_t *loop, void *env)
{
    (void)loop;
    gate_pass(env);
    must(execq_promise_resolve(promise, NULL) == EXECQ_OK);
    execq_promise_release(promise);
}

static void resolve_at_once(execq_promise *promise, uv_loop_t *loop, void *env)
{
    (void)loop;
    must(execq_promise_resolve(promise, env) == EXECQ_OK);
    execq_promise_release(promise);
}

static int32_t give_thread(void *env, void **result)
{
    (void)env;
    *result = (void *)(uintptr_t)pthread_self();
    return 0;
}

static pthread_t thread_of(execq_future *future)
{
    void *value = NULL;
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_status(execq_future_result(future, &value), EXECQ_OK);
    execq_future_release(future);
    return (pthread_t)(uintptr_t)value;
}

/* ---- options ---- */

static void options_that_do_not_agree_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint32_t max, min, loops, reserved;
        execq_status status;
    } cases[] = {
        {1, 0, 0, 1, EXECQ_EINVAL}, /* nobody would be left for blocking tasks */
        {4, 0, 0, 4, EXECQ_EINVAL},
        {4, 0, 0, 5, EXECQ_EINVAL},
        {4, 3, 0, 2, EXECQ_EINVAL},
        {4, 0, 1, 2, EXECQ_EINVAL},
        {4, 0, 3, 2, EXECQ_EINVAL},
        {0, 0, 0, EXECQ_MAX_THREADS, EXECQ_EINVAL},
        {0, 0, 0, EXECQ_MAX_THREADS + 1, EXECQ_EINVAL},
        {0, EXECQ_MAX_THREADS, 0, 1, EXECQ_EINVAL},
        {0, 0, 0, UINT32_MAX, EXECQ_EINVAL},
        {2, 0, 0, 1, EXECQ_OK},
        {4, 2, 2, 2, EXECQ_OK},
        {4, 0, 0, 3, EXECQ_OK},
        {0, 0, 0, 200, EXECQ_OK},
        {0, 3, 2, 2, EXECQ_OK},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
        options.max_threads = cases[i].max;
        options.min_threads = cases[i].min;
        options.loop_workers = cases[i].loops;
        options.reserved_loop_workers = cases[i].reserved;
        execq_executor *executor = UNTOUCHED;
        assert_status(execq_executor_new(&options, &executor), cases[i].status);
        if (cases[i].status != EXECQ_OK) {
            assert_ptr_equal(executor, UNTOUCHED);
            continue;
        }
        const uint64_t threads = stats_of(executor).threads_max;
        assert_true(cases[i].max != 0 ? threads == cases[i].max : threads > cases[i].reserved);
        pool_end(executor);
    }
}

/* ---- who runs what ---- */

static void asynchronous_tasks_go_on_while_all_others_are_blocked(void **state)
{
    (void)state;
    static gate g;
    static struct held h;
    gate_init(&g);
    execq_executor *executor = pool_of(3, 1);
    execq_future *first = occupy(executor, &g);
    execq_future *second = occupy(executor, &g);
    execq_future *waiting = spawn(executor, do_nothing, NULL);
    execq_future *open = spawn_held(executor, &h);
    finish_as(spawn_async(executor, resolve_at_once, NULL), EXECQ_OK);
    assert_int_equal(stats_of(executor).queued, 1); /* no other thread takes it */
    assert_int_equal(stats_of(executor).threads, 3);
    let_go(&h);
    finish_as(open, EXECQ_OK);
    gate_open(&g, 2);
    finish(first);
    finish(second);
    finish(waiting);
    assert_int_equal(stats_of(executor).loop_delays, 0);
    pool_end(executor);
}

static void no_blocking_task_runs_on_them(void **state)
{
    (void)state;
    static struct held h[2];
    execq_executor *executor = pool_of(4, 2);
    execq_future *open[2];
    for (int i = 0; i < 2; i++) {
        open[i] = spawn_held(executor, &h[i]);
    }
    static execq_future *futures[MANY];
    for (int i = 0; i < MANY; i++) {
        futures[i] = spawn(executor, give_thread, NULL);
    }
    for (int i = 0; i < MANY; i++) {
        const pthread_t thread = thread_of(futures[i]);
        assert_false(pthread_equal(thread, h[0].thread));
        assert_false(pthread_equal(thread, h[1].thread));
    }
    assert_int_equal(stats_of(executor).loop_delays, 0);
    for (int i = 0; i < 2; i++) {
        let_go(&h[i]);
        finish_as(open[i], EXECQ_OK);
    }
    pool_end(executor);
}

static void and_no_asynchronous_one_elsewhere(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_of(4, 1);
    finish(spawn(executor, do_nothing, NULL)); /* one is there that could */
    execq_future *blocker = spawn_async(executor, start_at_gate, &g);
    gate_await(&g, 1);
    execq_future *futures[10];
    for (size_t i = 0; i < COUNT_OF(futures); i++) {
        futures[i] = spawn_async(executor, resolve_at_once, NULL);
    }
    finish(spawn(executor, do_nothing, NULL));
    assert_int_equal(stats_of(executor).queued_async, COUNT_OF(futures));
    gate_open(&g, 1);
    finish_as(blocker, EXECQ_OK);
    for (size_t i = 0; i < COUNT_OF(futures); i++) {
        finish_as(futures[i], EXECQ_OK);
    }
    assert_int_equal(stats_of(executor).loops, 1);
    pool_end(executor);
}

static void each_takes_its_share(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_of(4, 3);
    execq_future *futures[3];
    for (int i = 0; i < 3; i++) {
        futures[i] = spawn_async(executor, start_at_gate, &g);
    }
    gate_await(&g, 3); /* all three at a time */
    execq_worker_stats room[4];
    execq_stats stats = EXECQ_STATS_INIT;
    stats.workers = room;
    stats.workers_max = COUNT_OF(room);
    assert_status(execq_executor_stats(executor, &stats), EXECQ_OK);
    assert_int_equal(stats.workers_count, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(room[i].reserved_for_loops, 1);
        assert_int_equal(room[i].async_open, 1);
    }
    gate_open(&g, 3);
    for (int i = 0; i < 3; i++) {
        finish_as(futures[i], EXECQ_OK);
    }
    pool_end(executor);
}

/* ---- submitting and waiting there ---- */

struct nested {
    execq_executor *executor;
    execq_async_fn start; /* of another asynchronous task, or NULL for a blocking one */
    execq_status waited;
    pthread_t ran_on;
};

static void submit_and_wait(execq_promise *promise, uv_loop_t *loop, void *env)
{
    struct nested *n = env;
    execq_future *future = NULL;
    void *thread = NULL;
    (void)loop;
    if (n->start != NULL) {
        must(execq_submit_async(n->executor, NULL, n->start, NULL, &future) == EXECQ_OK);
    } else {
        must(execq_submit(n->executor, give_thread, NULL, &future) == EXECQ_OK);
    }
    n->waited = execq_future_wait(future, -1);
    if (n->waited == EXECQ_OK) {
        must(execq_future_result(future, &thread) == EXECQ_OK);
    }
    n->ran_on = (pthread_t)(uintptr_t)thread;
    execq_future_release(future);
    must(execq_promise_resolve(promise, (void *)(uintptr_t)pthread_self()) == EXECQ_OK);
    execq_promise_release(promise);
}

static void a_wait_there_runs_nothing_in_place(void **state)
{
    (void)state;
    struct nested n = {.executor = pool_of(2, 1)};
    const pthread_t here = thread_of(spawn_async(n.executor, submit_and_wait, &n));
    assert_status(n.waited, EXECQ_OK);
    assert_false(pthread_equal(n.ran_on, here));
    pool_end(n.executor);
}

static void a_wait_of_the_only_one_for_another_asynchronous_task_would_deadlock(void **state)
{
    (void)state;
    struct nested n = {.executor = pool_of(3, 1), .start = resolve_at_once};
    finish_as(spawn_async(n.executor, submit_and_wait, &n), EXECQ_OK);
    assert_status(n.waited, EXECQ_EDEADLK);
    pool_end(n.executor);
    n.executor = pool_of(3, 2);
    finish_as(spawn_async(n.executor, submit_and_wait, &n), EXECQ_OK);
    assert_status(n.waited, EXECQ_OK);
    pool_end(n.executor);
}

struct overfull {
    execq_executor *executor;
    execq_status answers[3];
    counter ran;
    counter dropped;
    gate full;
};

static void submit_to_the_full(execq_promise *promise, uv_loop_t *loop, void *env)
{
    struct overfull *o = env;
    gate_pass(&o->full);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = counter_hit;
    void *envs[] = {&o->dropped, &o->dropped};
    o->answers[0] = execq_submit(o->executor, counter_fn, &o->ran, NULL);
    o->answers[1] = execq_submit_with(o->executor, &options, counter_fn, &o->dropped, NULL);
    o->answers[2] = execq_submit_many(o->executor, &options, 2, counter_fn, envs, NULL);
    resolve_at_once(promise, loop, NULL);
}

/* Its loop would stand still meanwhile. */
static void what_does_not_fit_does_not_run_there_either(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 2;
    options.reserved_loop_workers = 1;
    options.capacity = 1;
    options.full_policy = EXECQ_FULL_CALLER_RUNS;
    static struct overfull o;
    assert_status(execq_executor_new(&options, &o.executor), EXECQ_OK);
    execq_future *holder = occupy(o.executor, &g);
    gate_init(&o.full);
    execq_future *future = spawn_async(o.executor, submit_to_the_full, &o);
    gate_await(&o.full, 1);
    counter waited = {0};
    assert_status(execq_submit(o.executor, counter_fn, &waited, NULL), EXECQ_OK); /* the one that fits */
    gate_open(&o.full, 1);
    finish_as(future, EXECQ_OK);
    for (size_t i = 0; i < COUNT_OF(o.answers); i++) {
        assert_status(o.answers[i], EXECQ_EFULL);
    }
    assert_int_equal(counter_get(&o.ran), 0);
    assert_int_equal(counter_get(&o.dropped), 3);
    /* Another thread still does. */
    assert_status(execq_submit(o.executor, counter_fn, &o.ran, NULL), EXECQ_OK);
    assert_int_equal(counter_get(&o.ran), 1);
    gate_open(&g, 1);
    finish(holder);
    pool_end(o.executor);
    assert_int_equal(counter_get(&waited), 1);
}

static int32_t run_async_here(void *env, void **result)
{
    struct held *h = env;
    execq_future *future = NULL;
    must(execq_submit_async((execq_executor *)h->promise, NULL, resolve_at_once, NULL, &future) == EXECQ_OK);
    must(execq_run_until(future, -1) == EXECQ_OK);
    execq_future_release(future);
    *result = NULL;
    return 0;
}

static void run_until_of_a_blocking_task_needs_none_of_them(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_of(2, 1);
    struct held h = {.promise = (execq_promise *)executor};
    execq_future *blocker = spawn_async(executor, start_at_gate, &g);
    gate_await(&g, 1);
    finish_as(spawn(executor, run_async_here, &h), EXECQ_OK);
    gate_open(&g, 1);
    finish_as(blocker, EXECQ_OK);
    finish_as(spawn_async(executor, resolve_at_once, NULL), EXECQ_OK);
    pool_end(executor);
}

/* ---- the end ---- */

static void a_drain_runs_and_waits_for_all(void **state)
{
    (void)state;
    static gate g;
    static struct held h;
    gate_init(&g);
    execq_executor *executor = pool_of(2, 1);
    execq_future *open = spawn_held(executor, &h);
    execq_future *blocker = spawn_async(executor, start_at_gate, &g);
    gate_await(&g, 1);
    execq_future *queued[5];
    for (size_t i = 0; i < COUNT_OF(queued); i++) {
        queued[i] = spawn_async(executor, resolve_at_once, NULL);
    }
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    assert_status(execq_submit_async(executor, NULL, resolve_at_once, NULL, NULL), EXECQ_ECLOSED);
    assert_status(execq_submit(executor, do_nothing, NULL, NULL), EXECQ_ECLOSED);
    gate_open(&g, 1);
    execq_shutdown_report report = EXECQ_SHUTDOWN_REPORT_INIT;
    assert_status(execq_executor_join(executor, MILLISECOND, &report), EXECQ_ETIMEDOUT);
    assert_int_equal(report.threads, 1);
    let_go(&h);
    assert_status(execq_executor_join(executor, -1, &report), EXECQ_OK);
    assert_int_equal(report.threads, 0);
    finish_as(open, EXECQ_OK);
    finish_as(blocker, EXECQ_OK);
    for (size_t i = 0; i < COUNT_OF(queued); i++) {
        finish_as(queued[i], EXECQ_OK);
    }
    execq_executor_release(executor);
}

struct late {
    execq_executor *executor;
    gate g;
    counter ran;
};

static int32_t count_run(void *env, void **result)
{
    (void)result;
    counter_hit(env);
    return 0;
}

static void count_async(execq_promise *promise, uv_loop_t *loop, void *env)
{
    counter_hit(env);
    resolve_at_once(promise, loop, NULL);
}

static void submit_late(execq_promise *promise, uv_loop_t *loop, void *env)
{
    struct late *l = env;
    gate_pass(&l->g);
    void *envs[] = {&l->ran, &l->ran};
    must(execq_submit(l->executor, count_run, &l->ran, NULL) == EXECQ_OK);
    must(execq_submit_many(l->executor, NULL, 2, count_run, envs, NULL) == EXECQ_OK);
    must(execq_submit_async(l->executor, NULL, count_async, &l->ran, NULL) == EXECQ_OK);
    resolve_at_once(promise, loop, NULL);
}

static int32_t submit_async_late(void *env, void **result)
{
    struct late *l = env;
    (void)result;
    gate_pass(&l->g);
    return execq_submit_async(l->executor, NULL, count_async, &l->ran, NULL);
}

/* Threads of the other kind have ended by then, or never were. */
static void a_draining_executor_takes_what_its_own_tasks_submit(void **state)
{
    (void)state;
    static struct late l;
    for (int round = 0; round < SCALED(200, 10); round++) {
        memset(&l, 0, sizeof l);
        gate_init(&l.g);
        l.executor = pool_of(2, 1);
        const int there = round % 2;
        if (there) {
            finish(spawn(l.executor, do_nothing, NULL));
        }
        execq_future *future = spawn_async(l.executor, submit_late, &l);
        gate_await(&l.g, 1);
        assert_status(execq_executor_close(l.executor, EXECQ_DRAIN), EXECQ_OK);
        gate_open(&l.g, 1);
        assert_status(execq_executor_join(l.executor, -1, NULL), EXECQ_OK);
        finish_as(future, EXECQ_OK);
        assert_int_equal(counter_get(&l.ran), 4);
        execq_executor_release(l.executor);

        l.executor = pool_of(2, 1);
        if (there) {
            finish_as(spawn_async(l.executor, resolve_at_once, NULL), EXECQ_OK);
        }
        future = spawn(l.executor, submit_async_late, &l);
        gate_await(&l.g, 1);
        assert_status(execq_executor_close(l.executor, EXECQ_DRAIN), EXECQ_OK);
        gate_open(&l.g, 1);
        assert_status(execq_executor_join(l.executor, -1, NULL), EXECQ_OK);
        finish_as(future, EXECQ_OK);
        assert_int_equal(counter_get(&l.ran), 5);
        execq_executor_release(l.executor);
    }
}

static void reject_canceled(void *env)
{
    struct held *h = env;
    must(execq_promise_reject(h->promise, EXECQ_ECANCELED, NULL) == EXECQ_OK);
    execq_promise_release(h->promise);
}

static void hold_cancelable(execq_promise *promise, uv_loop_t *loop, void *env)
{
    hold(promise, loop, env);
    must(execq_promise_on_cancel(promise, reject_canceled, env, NULL) == EXECQ_OK);
}

static void a_cancel_asks_what_is_open_and_cancels_what_waits(void **state)
{
    (void)state;
    static gate g;
    static struct held h;
    gate_init(&g);
    gate_init(&h.started);
    execq_executor *executor = pool_of(2, 1);
    execq_future *open = spawn_async(executor, hold_cancelable, &h);
    gate_await(&h.started, 1);
    execq_future *blocker = spawn_async(executor, start_at_gate, &g);
    gate_await(&g, 1);
    execq_future *queued = spawn_async(executor, resolve_at_once, NULL);
    assert_status(execq_executor_close(executor, EXECQ_CANCEL), EXECQ_OK);
    gate_open(&g, 1);
    assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
    finish_as(open, EXECQ_ECANCELED);
    finish_as(blocker, EXECQ_OK);
    finish_as(queued, EXECQ_ECANCELED);
    execq_executor_release(executor);
}

static void exit_thread(execq_promise *promise, uv_loop_t *loop, void *env)
{
    (void)loop;
    (void)env;
    execq_promise_release(promise);
    pthread_exit(NULL);
}

static void one_that_is_lost_is_replaced(void **state)
{
    (void)state;
    execq_executor *executor = pool_of(2, 1);
    for (int i = 0; i < 5; i++) {
        execq_future *lost = spawn_async(executor, exit_thread, NULL);
        finish_as(spawn_async(executor, resolve_at_once, NULL), EXECQ_OK);
        assert_status(execq_future_wait(lost, -1), EXECQ_OK);
        assert_int_equal(execq_error_code(execq_future_error(lost)), EXECQ_EEXITED);
        execq_future_release(lost);
    }
    assert_true(stats_of(executor).threads_started >= 5);
    pool_end(executor);
}

static void they_stay_whatever_the_keepalive_is(void **state)
{
    (void)state;
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 5;
    options.reserved_loop_workers = 2;
    options.keepalive_ns = -1;
    execq_executor *executor = NULL;
    static gate g;
    gate_init(&g);
    assert_status(execq_executor_new(&options, &executor), EXECQ_OK);
    execq_future *futures[5];
    for (int i = 0; i < 5; i++) {
        futures[i] = i < 2 ? spawn_async(executor, start_at_gate, &g) : spawn(executor, gate_fn, &g);
    }
    gate_await(&g, 5);
    assert_int_equal(stats_of(executor).threads, 5);
    gate_open(&g, 5);
    for (int i = 0; i < 5; i++) {
        finish_as(futures[i], EXECQ_OK);
    }
    while (stats_of(executor).threads != 3) { /* of the others one stays */
        assert_true(stats_of(executor).threads > 2);
        sched_yield();
    }
    for (int i = 0; i < 2; i++) {
        futures[i] = spawn_async(executor, start_at_gate, &g);
    }
    gate_await(&g, 2);
    assert_int_equal(stats_of(executor).threads_started, 5);
    gate_open(&g, 2);
    for (int i = 0; i < 2; i++) {
        finish_as(futures[i], EXECQ_OK);
    }
    pool_end(executor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_that_do_not_agree_are_refused),
        cmocka_unit_test(asynchronous_tasks_go_on_while_all_others_are_blocked),
        cmocka_unit_test(no_blocking_task_runs_on_them),
        cmocka_unit_test(and_no_asynchronous_one_elsewhere),
        cmocka_unit_test(each_takes_its_share),
        cmocka_unit_test(a_wait_there_runs_nothing_in_place),
        cmocka_unit_test(a_wait_of_the_only_one_for_another_asynchronous_task_would_deadlock),
        cmocka_unit_test(what_does_not_fit_does_not_run_there_either),
        cmocka_unit_test(run_until_of_a_blocking_task_needs_none_of_them),
        cmocka_unit_test(a_drain_runs_and_waits_for_all),
        cmocka_unit_test(a_draining_executor_takes_what_its_own_tasks_submit),
        cmocka_unit_test(a_cancel_asks_what_is_open_and_cancels_what_waits),
        cmocka_unit_test(one_that_is_lost_is_replaced),
        cmocka_unit_test(they_stay_whatever_the_keepalive_is),
    };
    return cmocka_run_group_tests_name("capi.reserved", tests, NULL, NULL);
}
