/* Asynchronous tasks on the workers' own loops. */
#include "capi.h"

#include <execq/uv.h>

#include "descriptors.h"

enum { TASKS = SCALED(10000, 5), TOGETHER = SCALED(1000, 2) };

static execq_executor *pool_of(uint32_t threads, uint32_t loop_workers)
{
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = threads;
    options.loop_workers = loop_workers;
    execq_executor *executor = NULL;
    assert_status(execq_executor_new(&options, &executor), EXECQ_OK);
    return executor;
}

static execq_future *spawn_async(execq_executor *executor, execq_async_fn start, void *env)
{
    execq_future *future = NULL;
    assert_status(execq_submit_async_uv(executor, NULL, start, env, &future), EXECQ_OK);
    assert_non_null(future);
    return future;
}

static void finish_as(execq_future *future, execq_status status)
{
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_status(execq_future_result(future, NULL), status);
    execq_future_release(future);
}

static int32_t failure_of(execq_future *future)
{
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    const int32_t code = execq_error_code(execq_future_error(future));
    execq_future_release(future);
    return code;
}

/* ---- tasks ---- */

static void resolve_at_once(execq_promise *promise, uv_loop_t *loop, void *env)
{
    must(loop != NULL);
    must(execq_promise_resolve(promise, env) == EXECQ_OK);
    execq_promise_release(promise);
}

/* Hands its promise out and is open until somebody completes that. */
struct held {
    execq_promise *promise;
    uv_loop_t *loop;
    pthread_t thread;
    gate started;
    counter dropped;
};

static void held_init(struct held *h)
{
    memset(h, 0, sizeof *h);
    gate_init(&h->started);
}

static void hold(execq_promise *promise, uv_loop_t *loop, void *env)
{
    struct held *h = env;
    h->promise = promise;
    h->loop = loop;
    h->thread = pthread_self();
    sem_post(&h->started.entered);
}

static execq_future *spawn_held(execq_executor *executor, struct held *h)
{
    held_init(h);
    execq_future *future = spawn_async(executor, hold, h);
    gate_await(&h->started, 1);
    return future;
}

static void let_go(struct held *h)
{
    assert_status(execq_promise_resolve(h->promise, NULL), EXECQ_OK);
    execq_promise_release(h->promise);
}

struct timed {
    uv_timer_t timer;
    execq_promise *promise;
    uint64_t ms;
    pthread_t thread;
};

static void timed_closed(uv_handle_t *handle)
{
    struct timed *t = handle->data;
    must(pthread_equal(t->thread, pthread_self()));
    must(execq_promise_resolve(t->promise, t) == EXECQ_OK);
    execq_promise_release(t->promise);
}

static void timed_due(uv_timer_t *timer) { uv_close((uv_handle_t *)timer, timed_closed); }

static void start_timer(execq_promise *promise, uv_loop_t *loop, void *env)
{
    struct timed *t = env;
    t->promise = promise;
    t->thread = pthread_self();
    must(uv_timer_init(loop, &t->timer) == 0);
    t->timer.data = t;
    must(uv_timer_start(&t->timer, timed_due, t->ms, 0) == 0);
}

/* ---- what it is for ---- */

static void run_timers(uint32_t threads, uint32_t loop_workers)
{
    execq_executor *executor = pool_of(threads, loop_workers);
    struct timed *all = calloc(TASKS, sizeof *all);
    execq_future **futures = calloc(TASKS, sizeof *futures);
    for (size_t i = 0; i < TASKS; i++) {
        all[i].ms = i % 7;
        futures[i] = spawn_async(executor, start_timer, &all[i]);
    }
    assert_status(execq_future_wait_all(futures, TASKS, -1), EXECQ_OK);
    for (size_t i = 0; i < TASKS; i++) {
        void *value = NULL;
        assert_status(execq_future_result(futures[i], &value), EXECQ_OK);
        assert_ptr_equal(value, &all[i]);
        execq_future_release(futures[i]);
    }
    pool_end(executor);
    free(futures);
    free(all);
}

static void ten_thousand_timers_end_on_two_workers(void **state)
{
    (void)state;
    const int before = descriptors_open();
    run_timers(3, 2);
    assert_true(descriptors_open() <= before + 2); /* the pipe that libuv keeps for the process */
}

static void and_on_a_worker_that_is_alone(void **state)
{
    (void)state;
    run_timers(1, 0);
}

static void a_thousand_are_open_on_one_loop(void **state)
{
    (void)state;
    static struct held all[TOGETHER];
    execq_future *futures[TOGETHER];
    execq_executor *executor = pool_of(4, 1);
    for (size_t i = 0; i < TOGETHER; i++) {
        futures[i] = spawn_held(executor, &all[i]);
        assert_ptr_equal(all[i].loop, all[0].loop);
        assert_true(pthread_equal(all[i].thread, all[0].thread));
    }
    for (size_t i = 0; i < TOGETHER; i++) {
        let_go(&all[i]); /* from this thread */
        finish_as(futures[i], EXECQ_OK);
    }
    pool_end(executor);
}

static int32_t find_loop(void *env, void **result)
{
    (void)env;
    uv_loop_t *loop = NULL;
    must(execq_thread_loop(&loop) == EXECQ_OK);
    *result = loop;
    return 0;
}

static void the_loop_is_the_workers_own(void **state)
{
    (void)state;
    struct held h;
    execq_executor *executor = pool_new(1);
    execq_future *future = spawn_held(executor, &h);
    execq_future *found = spawn(executor, find_loop, NULL);
    void *loop = NULL;
    assert_status(execq_future_wait(found, -1), EXECQ_OK);
    assert_status(execq_future_result(found, &loop), EXECQ_OK);
    assert_ptr_equal(loop, h.loop);
    execq_future_release(found);
    let_go(&h);
    finish_as(future, EXECQ_OK);
    pool_end(executor);
}

/* ---- ends ---- */

static void drop_promise(execq_promise *promise, uv_loop_t *loop, void *env)
{
    (void)loop;
    (void)env;
    execq_promise_release(promise);
}

static void a_promise_that_is_dropped_is_broken(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(2);
    assert_int_equal(failure_of(spawn_async(executor, drop_promise, NULL)), EXECQ_EBROKEN);
    pool_end(executor);
}

static void the_second_completion_is_too_late(void **state)
{
    (void)state;
    struct held h;
    execq_executor *executor = pool_new(2);
    execq_future *future = spawn_held(executor, &h);
    assert_status(execq_promise_resolve(h.promise, NULL), EXECQ_OK);
    assert_status(execq_promise_resolve(h.promise, NULL), EXECQ_EALREADY);
    assert_status(execq_promise_reject(h.promise, 7, "late"), EXECQ_EALREADY);
    execq_promise_release(h.promise);
    finish_as(future, EXECQ_OK);
    pool_end(executor);
}

static void let_all_go(execq_future *future, void *env)
{
    struct held *h = env;
    execq_promise_release(h->promise);
    execq_future_release(future);
    counter_hit(&h->dropped);
}

static void its_done_callback_may_give_the_promise_up(void **state)
{
    (void)state;
    struct held h;
    execq_executor *executor = pool_of(2, 1);
    execq_future *future = spawn_held(executor, &h);
    finish_as(spawn_async(executor, resolve_at_once, NULL), EXECQ_OK); /* the start function has returned */
    assert_status(execq_future_on_done(future, let_all_go, &h, NULL), EXECQ_OK);
    assert_status(execq_promise_resolve(h.promise, NULL), EXECQ_OK);
    assert_int_equal(counter_get(&h.dropped), 1);
    pool_end(executor);
}

struct asked {
    struct held held;
    pthread_t asked_on;
    counter asked;
    counter dropped;
};

static void cancel_it(void *env)
{
    struct asked *a = env;
    a->asked_on = pthread_self();
    counter_hit(&a->asked);
    must(execq_promise_cancel_requested(a->held.promise) == 1);
    must(execq_promise_reject(a->held.promise, EXECQ_ECANCELED, NULL) == EXECQ_OK);
    execq_promise_release(a->held.promise);
}

static void asked_drop(void *env) { counter_hit(&((struct asked *)env)->dropped); }

static void hold_cancelable(execq_promise *promise, uv_loop_t *loop, void *env)
{
    struct asked *a = env;
    a->held.promise = promise;
    must(execq_promise_on_cancel(promise, cancel_it, a, asked_drop) == EXECQ_OK);
    hold(promise, loop, &a->held);
}

static execq_future *spawn_cancelable(execq_executor *executor, struct asked *a)
{
    memset(a, 0, sizeof *a);
    held_init(&a->held);
    return spawn_async(executor, hold_cancelable, a);
}

static void the_cancel_callback_runs_on_the_loops_thread(void **state)
{
    (void)state;
    struct asked a;
    execq_executor *executor = pool_new(2);
    execq_future *future = spawn_cancelable(executor, &a);
    gate_await(&a.held.started, 1);
    assert_status(execq_future_cancel(future), EXECQ_EBUSY);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_status(execq_future_result(future, NULL), EXECQ_ECANCELED);
    assert_int_equal(execq_future_cancel_reason(future), EXECQ_REASON_CALLER);
    execq_future_release(future);
    pool_end(executor);
    assert_int_equal(counter_get(&a.asked), 1);
    assert_int_equal(counter_get(&a.dropped), 1);
    assert_true(pthread_equal(a.asked_on, a.held.thread));
}

static void one_that_has_not_started_never_does(void **state)
{
    (void)state;
    static gate g;
    counter dropped = {0};
    gate_init(&g);
    execq_executor *executor = pool_new(1);
    execq_future *blocker = occupy(executor, &g);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = counter_hit;
    execq_future *future = NULL;
    assert_status(execq_submit_async(executor, &options, resolve_at_once, &dropped, &future), EXECQ_OK);
    assert_status(execq_future_cancel(future), EXECQ_OK);
    assert_int_equal(counter_get(&dropped), 1);
    finish_as(future, EXECQ_ECANCELED);
    gate_open(&g, 1);
    finish(blocker);
    pool_end(executor);
}

static void exit_thread(execq_promise *promise, uv_loop_t *loop, void *env)
{
    (void)loop;
    (void)env;
    execq_promise_release(promise); /* it stays open as long as this runs */
    pthread_exit(NULL);
}

static void a_thread_that_is_lost_fails_what_is_open_on_it(void **state)
{
    (void)state;
    static struct held h[3];
    execq_future *futures[3];
    execq_executor *executor = pool_new(1);
    for (int i = 0; i < 3; i++) {
        futures[i] = spawn_held(executor, &h[i]);
    }
    assert_int_equal(failure_of(spawn_async(executor, exit_thread, NULL)), EXECQ_EEXITED);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(failure_of(futures[i]), EXECQ_EEXITED);
        assert_status(execq_promise_resolve(h[i].promise, NULL), EXECQ_EALREADY);
        execq_promise_release(h[i].promise);
    }
    finish_as(spawn_async(executor, resolve_at_once, NULL), EXECQ_OK); /* on the thread that replaces it */
    pool_end(executor);
}

static void exit_when_asked(void *env)
{
    (void)env;
    pthread_exit(NULL);
}

static execq_promise *kept;

static void hold_and_exit_when_asked(execq_promise *promise, uv_loop_t *loop, void *env)
{
    must(execq_promise_on_cancel(promise, exit_when_asked, env, counter_hit) == EXECQ_OK);
    (void)loop;
    kept = promise;
}

static void a_cancel_callback_may_end_its_thread(void **state)
{
    (void)state;
    struct held h;
    counter dropped = {0};
    execq_executor *executor = pool_new(1);
    execq_future *other = spawn_held(executor, &h);
    execq_future *future = spawn_async(executor, hold_and_exit_when_asked, &dropped);
    finish_as(spawn_async(executor, resolve_at_once, NULL), EXECQ_OK); /* it has started */
    assert_status(execq_future_cancel(future), EXECQ_EBUSY);
    assert_int_equal(failure_of(future), EXECQ_EEXITED);
    assert_int_equal(counter_get(&dropped), 1);
    assert_int_equal(failure_of(other), EXECQ_EEXITED);
    execq_promise_release(h.promise);
    execq_promise_release(kept);
    finish_as(spawn_async(executor, resolve_at_once, NULL), EXECQ_OK);
    pool_end(executor);
}

/* ---- closing ---- */

static void a_drain_waits_for_what_is_open(void **state)
{
    (void)state;
    struct held h;
    execq_executor *executor = pool_new(2);
    execq_future *future = spawn_held(executor, &h);
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    assert_status(execq_submit_async(executor, NULL, resolve_at_once, NULL, NULL), EXECQ_ECLOSED);
    assert_status(execq_executor_join(executor, MILLISECOND, NULL), EXECQ_ETIMEDOUT);
    let_go(&h);
    assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
    execq_executor_release(executor);
    finish_as(future, EXECQ_OK);
}

static void a_drain_runs_what_is_queued(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    struct timed t[10];
    execq_future *futures[10];
    execq_executor *executor = pool_new(1);
    execq_future *blocker = occupy(executor, &g);
    for (int i = 0; i < 10; i++) {
        t[i].ms = 2;
        futures[i] = spawn_async(executor, start_timer, &t[i]);
    }
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    gate_open(&g, 1);
    assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
    for (int i = 0; i < 10; i++) {
        finish_as(futures[i], EXECQ_OK);
    }
    finish(blocker);
    execq_executor_release(executor);
}

static void close_with_cancel_asks_what_is_open_and_cancels_what_is_queued(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    struct asked a;
    counter never = {0};
    execq_executor *executor = pool_of(1, 1);
    execq_future *open = spawn_cancelable(executor, &a);
    gate_await(&a.held.started, 1);
    execq_future *blocker = occupy(executor, &g);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = counter_hit;
    execq_future *queued = NULL;
    assert_status(execq_submit_async(executor, &options, hold, &never, &queued), EXECQ_OK);
    assert_status(execq_executor_close(executor, EXECQ_CANCEL), EXECQ_OK);
    assert_int_equal(counter_get(&a.asked), 0); /* on the loop's thread alone */
    gate_open(&g, 1);
    assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
    assert_int_equal(execq_future_cancel_reason(open), EXECQ_REASON_SHUTDOWN);
    finish_as(open, EXECQ_ECANCELED);
    finish_as(queued, EXECQ_ECANCELED);
    assert_int_equal(counter_get(&a.asked), 1);
    assert_int_equal(counter_get(&never), 1);
    finish(blocker);
    execq_executor_release(executor);
}

static void one_that_never_completes_is_named_in_the_report(void **state)
{
    (void)state;
    struct held h;
    held_init(&h);
    execq_executor *executor = pool_new(2);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.name = "forgotten";
    execq_future *future = NULL;
    assert_status(execq_submit_async(executor, &options, hold, &h, &future), EXECQ_OK);
    gate_await(&h.started, 1);
    assert_status(execq_executor_close(executor, EXECQ_CANCEL), EXECQ_OK);
    execq_running_task running[2];
    execq_shutdown_report report = EXECQ_SHUTDOWN_REPORT_INIT;
    report.running = running;
    report.running_max = 2;
    assert_status(execq_executor_join(executor, 20 * MILLISECOND, &report), EXECQ_ETIMEDOUT);
    assert_int_equal(report.running_total, 1);
    assert_int_equal(report.running_count, 1);
    assert_string_equal(running[0].name, "forgotten");
    assert_true(running[0].running_ns > 0 && running[0].running_ns < 60 * INT64_C(1000000000));
    assert_int_equal(report.threads, 1);
    execq_promise_release(h.promise); /* dropped after a request: canceled */
    assert_status(execq_executor_join(executor, -1, &report), EXECQ_OK);
    assert_int_equal(report.running_total, 0);
    finish_as(future, EXECQ_ECANCELED);
    execq_executor_release(executor);
}

static uv_timer_t left_timer;

static int32_t leave_a_timer(void *env, void **result)
{
    (void)env;
    (void)result;
    uv_loop_t *loop = NULL;
    must(execq_thread_loop(&loop) == EXECQ_OK);
    must(uv_timer_init(loop, &left_timer) == 0);
    must(uv_timer_start(&left_timer, timed_due, 1000000000, 0) == 0);
    return 0;
}

static void handles_that_are_left_hold_nothing_up_and_are_counted(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(2);
    finish(spawn(executor, leave_a_timer, NULL));
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    execq_shutdown_report report = EXECQ_SHUTDOWN_REPORT_INIT;
    assert_status(execq_executor_join(executor, -1, &report), EXECQ_OK);
    assert_int_equal(report.left_loops, 1);
    assert_int_equal(report.left_handles, 1);
    execq_executor_release(executor);
}

/* ---- beside other tasks ---- */

static uv_timer_t ticking;
static gate ticked;

static void tick(uv_timer_t *timer)
{
    uv_close((uv_handle_t *)timer, NULL);
    sem_post(&ticked.entered);
}

static int32_t leave_a_tick(void *env, void **result)
{
    (void)env;
    (void)result;
    uv_loop_t *loop = NULL;
    must(execq_thread_loop(&loop) == EXECQ_OK);
    must(uv_timer_init(loop, &ticking) == 0);
    must(uv_timer_start(&ticking, tick, 1, 0) == 0);
    return 0;
}

static void what_a_body_leaves_on_its_loop_goes_on(void **state)
{
    (void)state;
    gate_init(&ticked);
    execq_executor *executor = pool_new(1);
    finish(spawn(executor, leave_a_tick, NULL));
    gate_await(&ticked, 1);
    pool_end(executor);
}

static int32_t note_thread(void *env, void **result)
{
    (void)result;
    *(pthread_t *)env = pthread_self();
    return 0;
}

static void a_blocked_thread_leaves_others_to_a_worker_with_a_loop(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    struct held h;
    struct timed t = {.ms = 1};
    execq_executor *executor = pool_of(2, 1);
    execq_future *future = spawn_held(executor, &h);
    execq_future *blocker = occupy(executor, &g);
    finish_as(spawn_async(executor, start_timer, &t), EXECQ_OK); /* its loop runs meanwhile */
    pthread_t thread;
    finish(spawn(executor, note_thread, &thread)); /* where no other is to be had, it takes them */
    assert_true(pthread_equal(thread, h.thread));
    gate_open(&g, 1);
    finish(blocker);
    let_go(&h);
    finish_as(future, EXECQ_OK);
    pool_end(executor);
}

static void a_worker_that_is_alone_does_both(void **state)
{
    (void)state;
    enum { ROUNDS = SCALED(2000, 4) };
    static struct timed t[ROUNDS];
    counter ran = {0};
    execq_future *futures[ROUNDS];
    execq_executor *executor = pool_new(1);
    for (int i = 0; i < ROUNDS; i++) {
        t[i].ms = (uint64_t)i % 3;
        futures[i] = spawn_async(executor, start_timer, &t[i]);
        assert_status(execq_submit(executor, counter_fn, &ran, NULL), EXECQ_OK);
    }
    for (int i = 0; i < ROUNDS; i++) {
        finish_as(futures[i], EXECQ_OK);
    }
    pool_end(executor);
    assert_int_equal(counter_get(&ran), ROUNDS);
}

static void a_free_thread_takes_what_is_queued_behind_a_body(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_of(2, 1);
    finish_as(spawn_async(executor, resolve_at_once, NULL), EXECQ_OK);
    execq_future *first = occupy(executor, &g); /* perhaps on the thread that has the loop */
    finish_as(spawn_async(executor, resolve_at_once, NULL), EXECQ_OK);
    gate_open(&g, 1);
    finish(first);
    pool_end(executor);
}

/* ---- waits ---- */

struct inner {
    execq_executor *executor;
    struct timed timed;
    int64_t timeout_ns;
    pthread_t thread;
    execq_status status;
};

static int32_t run_inner(void *env, void **result)
{
    (void)result;
    struct inner *inner = env;
    execq_future *future = NULL;
    must(execq_submit_async(inner->executor, NULL, start_timer, &inner->timed, &future) == EXECQ_OK);
    inner->thread = pthread_self();
    inner->status = execq_run_until(future, inner->timeout_ns);
    execq_future_release(future);
    return 0;
}

static void run_until_starts_one_on_the_loop_that_it_drives(void **state)
{
    (void)state;
    static const int64_t timeouts[] = {-1, INT64_C(60000000000)};
    for (size_t i = 0; i < COUNT_OF(timeouts); i++) {
        struct inner inner = {.executor = pool_new(1), .timed = {.ms = 3}, .timeout_ns = timeouts[i]};
        finish(spawn(inner.executor, run_inner, &inner));
        assert_status(inner.status, EXECQ_OK);
        assert_true(pthread_equal(inner.thread, inner.timed.thread));
        pool_end(inner.executor);
    }
}

static int32_t wait_inner(void *env, void **result)
{
    (void)result;
    struct inner *inner = env;
    execq_future *future = NULL;
    must(execq_submit_async(inner->executor, NULL, start_timer, &inner->timed, &future) == EXECQ_OK);
    inner->thread = pthread_self();
    inner->status = execq_future_wait(future, inner->timeout_ns);
    execq_future_release(future);
    return 0;
}

static void a_wait_never_starts_one_in_place(void **state)
{
    (void)state;
    struct inner alone = {.executor = pool_new(1), .timed = {.ms = 1}, .timeout_ns = -1};
    finish(spawn(alone.executor, wait_inner, &alone));
    assert_status(alone.status, EXECQ_EDEADLK); /* nobody else could */
    pool_end(alone.executor);
    struct inner inner = {.executor = pool_new(2), .timed = {.ms = 1}, .timeout_ns = -1};
    finish(spawn(inner.executor, wait_inner, &inner));
    assert_status(inner.status, EXECQ_OK);
    assert_false(pthread_equal(inner.thread, inner.timed.thread));
    pool_end(inner.executor);
}

static execq_future *own_future;
static execq_status own_status;

static void wait_for_itself(execq_promise *promise, uv_loop_t *loop, void *env)
{
    (void)loop;
    gate_pass(env);
    own_status = execq_future_wait(own_future, -1);
    execq_promise_release(promise);
}

static void it_cannot_wait_for_itself(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(2);
    own_future = spawn_async(executor, wait_for_itself, &g);
    gate_await(&g, 1);
    gate_open(&g, 1);
    assert_int_equal(failure_of(own_future), EXECQ_EBROKEN);
    assert_status(own_status, EXECQ_EDEADLK);
    pool_end(executor);
}

/* ---- errors ---- */

static void without_descriptors_one_fails_and_a_later_one_works(void **state)
{
    (void)state;
    struct rlimit saved;
    execq_executor *executor = pool_new(1);
    finish(spawn(executor, do_nothing, NULL)); /* the thread is there */
    descriptors_refuse(&saved);
    execq_future *future = spawn_async(executor, resolve_at_once, NULL);
    const execq_status waited = execq_future_wait(future, -1);
    descriptors_allow(&saved);
    assert_status(waited, EXECQ_OK);
    assert_int_equal(failure_of(future), EXECQ_EMFILE);
    finish_as(spawn_async(executor, resolve_at_once, NULL), EXECQ_OK);
    pool_end(executor);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    counter dropped = {0};
    execq_future *future = UNTOUCHED;
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = counter_hit;
    assert_status(execq_submit_async(executor, &options, NULL, &dropped, &future), EXECQ_EINVAL);
    assert_int_equal(counter_get(&dropped), 1);
    options.uv_identity = "another copy";
    assert_status(execq_submit_async(executor, &options, resolve_at_once, &dropped, &future), EXECQ_ENOTSUP);
    assert_int_equal(counter_get(&dropped), 2);
    assert_ptr_equal(future, UNTOUCHED);
    pool_end(executor);
    execq_executor_options wrong = EXECQ_EXECUTOR_OPTIONS_INIT;
    wrong.max_threads = 2;
    wrong.loop_workers = 3;
    assert_status(execq_executor_new(&wrong, &executor), EXECQ_EINVAL);
}

static void a_table_that_only_attaches_has_no_loops(void **state)
{
    (void)state;
    execq_uv_table table;
    execq_uv_table_here(&table);
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 1;
    options.uv_table = &table;
    execq_executor *executor = NULL;
    assert_status(execq_executor_new(&options, &executor), EXECQ_OK);
    finish_as(spawn_async(executor, resolve_at_once, NULL), EXECQ_OK);
    pool_end(executor);
    table.run = NULL;
    assert_status(execq_executor_new(&options, &executor), EXECQ_ENOTSUP);
    table.async_send = NULL;
    assert_status(execq_executor_new(&options, &executor), EXECQ_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_thousand_timers_end_on_two_workers),
        cmocka_unit_test(and_on_a_worker_that_is_alone),
        cmocka_unit_test(a_thousand_are_open_on_one_loop),
        cmocka_unit_test(the_loop_is_the_workers_own),
        cmocka_unit_test(a_promise_that_is_dropped_is_broken),
        cmocka_unit_test(the_second_completion_is_too_late),
        cmocka_unit_test(its_done_callback_may_give_the_promise_up),
        cmocka_unit_test(the_cancel_callback_runs_on_the_loops_thread),
        cmocka_unit_test(one_that_has_not_started_never_does),
        cmocka_unit_test(a_thread_that_is_lost_fails_what_is_open_on_it),
        cmocka_unit_test(a_cancel_callback_may_end_its_thread),
        cmocka_unit_test(a_drain_waits_for_what_is_open),
        cmocka_unit_test(a_drain_runs_what_is_queued),
        cmocka_unit_test(close_with_cancel_asks_what_is_open_and_cancels_what_is_queued),
        cmocka_unit_test(one_that_never_completes_is_named_in_the_report),
        cmocka_unit_test(handles_that_are_left_hold_nothing_up_and_are_counted),
        cmocka_unit_test(what_a_body_leaves_on_its_loop_goes_on),
        cmocka_unit_test(a_blocked_thread_leaves_others_to_a_worker_with_a_loop),
        cmocka_unit_test(a_worker_that_is_alone_does_both),
        cmocka_unit_test(a_free_thread_takes_what_is_queued_behind_a_body),
        cmocka_unit_test(run_until_starts_one_on_the_loop_that_it_drives),
        cmocka_unit_test(a_wait_never_starts_one_in_place),
        cmocka_unit_test(it_cannot_wait_for_itself),
        cmocka_unit_test(without_descriptors_one_fails_and_a_later_one_works),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(a_table_that_only_attaches_has_no_loops),
    };
    return cmocka_run_group_tests_name("capi.submit_async", tests, NULL, NULL);
}
