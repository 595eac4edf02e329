/* execq_submit_periodic: tasks that run again and again, and each way in which that ends. */
#include "capi.h"

#include <sched.h>

#include "uv_loop.h"

#define HOUR (INT64_C(3600) * 1000 * MILLISECOND)

static gate g;
static execq_executor *executor;
static counter runs;
static counter drops;

/* drop(env) counts whatever env is. */
static void count_drop(void *env)
{
    (void)env;
    counter_hit(&drops);
}

static int32_t count_run(void *env, void **result)
{
    (void)env;
    (void)result;
    counter_hit(&runs);
    return 0;
}

static execq_task_options counted(void)
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = count_drop;
    return options;
}

static execq_future *repeat_with(const execq_task_options *options, int64_t period_ns, int32_t mode, execq_fn fn,
                                 void *env)
{
    execq_future *future = NULL;
    assert_status(execq_submit_periodic(executor, options, period_ns, mode, fn, env, &future), EXECQ_OK);
    assert_non_null(future);
    return future;
}

static execq_future *repeat(int64_t period_ns, execq_fn fn, void *env)
{
    const execq_task_options options = counted();
    return repeat_with(&options, period_ns, EXECQ_FIXED_RATE, fn, env);
}

static void await_runs(int n)
{
    while (counter_get(&runs) < n)
        sched_yield();
}

/* Until n runs have ended, and the next one is not due for long. */
static void await_rest(execq_future *future, int n)
{
    await_runs(n);
    while (execq_future_state(future) != EXECQ_FUTURE_PENDING)
        sched_yield();
}

/* The series is over for that reason, and env was dropped once. */
static void assert_canceled(execq_future *future, int32_t reason)
{
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_status(execq_future_result(future, NULL), EXECQ_ECANCELED);
    assert_int_equal(execq_future_cancel_reason(future), reason);
    assert_int_equal(counter_get(&drops), 1);
    execq_future_release(future);
}

/* ---- arguments ---- */

static void bad_arguments_are_refused_and_env_is_dropped(void **state)
{
    (void)state;
    const execq_task_options good = counted();
    execq_task_options bad = counted();
    bad.flags = 1U << 31;
    execq_task_options sized = counted();
    sized.env_size = 1;
    const struct {
        const execq_task_options *options;
        int64_t period_ns;
        int32_t mode;
        execq_fn fn;
        void *env;
        execq_status status;
    } calls[] = {
        {&good, 0, EXECQ_FIXED_RATE, count_run, &g, EXECQ_EINVAL},
        {&good, -1, EXECQ_FIXED_DELAY, count_run, &g, EXECQ_EINVAL},
        {&good, INT64_MIN, EXECQ_FIXED_RATE, count_run, &g, EXECQ_EINVAL},
        {&good, 1, 0, count_run, &g, EXECQ_EINVAL},
        {&good, 1, 3, count_run, &g, EXECQ_EINVAL},
        {&good, 1, EXECQ_FIXED_RATE, NULL, &g, EXECQ_EINVAL},
        {&sized, 1, EXECQ_FIXED_RATE, count_run, NULL, EXECQ_EINVAL},
        {&bad, 1, EXECQ_FIXED_RATE, count_run, &g, EXECQ_ENOTSUP},
    };
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        execq_future *out = UNTOUCHED;
        assert_status(execq_submit_periodic(executor, calls[i].options, calls[i].period_ns, calls[i].mode, calls[i].fn,
                                            calls[i].env, &out),
                      calls[i].status);
        assert_ptr_equal(out, UNTOUCHED);
        assert_int_equal(counter_get(&drops), i + 1);
    }
    assert_int_equal(counter_get(&runs), 0);
}

static void without_memory_nothing_is_kept(void **state)
{
    (void)state;
    execq_task_options options = counted();
    options.env_size = UINT64_MAX;
    execq_future *out = UNTOUCHED;
    assert_status(execq_submit_periodic(executor, &options, 1, EXECQ_FIXED_RATE, count_run, &g, &out), EXECQ_ENOMEM);
    assert_ptr_equal(out, UNTOUCHED);
    assert_int_equal(counter_get(&drops), 1);
}

static void a_closed_executor_takes_no_series(void **state)
{
    (void)state;
    execq_executor *closed = pool_new(1);
    assert_status(execq_executor_close(closed, EXECQ_DRAIN), EXECQ_OK);
    const execq_task_options options = counted();
    execq_future *out = UNTOUCHED;
    assert_status(execq_submit_periodic(closed, &options, 1, EXECQ_FIXED_RATE, count_run, &g, &out), EXECQ_ECLOSED);
    assert_ptr_equal(out, UNTOUCHED);
    assert_int_equal(counter_get(&drops), 1);
    execq_executor_release(closed);
}

/* ---- times ---- */

enum { NOTED = 6 };

typedef struct note {
    int64_t began[NOTED];
    int64_t ended[NOTED];
    int n;
} note;

/* Ends the series, with a code of its own, once it has noted enough. */
static int32_t note_times(void *env, void **result)
{
    (void)result;
    note *times = env;
    times->began[times->n] = clock_now();
    if (times->n == 2) /* one that takes longer than its period */
        while (clock_now() < times->began[2] + 5 * MILLISECOND)
            sched_yield();
    times->ended[times->n] = clock_now();
    return ++times->n == NOTED ? 77 : 0;
}

static void no_run_is_early(void **state)
{
    (void)state;
    static const int32_t modes[] = {EXECQ_FIXED_RATE, EXECQ_FIXED_DELAY};
    static const int64_t delays[] = {0, 3 * MILLISECOND, -1};
    const int64_t period = 2 * MILLISECOND;
    for (size_t m = 0; m < COUNT_OF(modes); m++) {
        for (size_t d = 0; d < COUNT_OF(delays); d++) {
            note times = {.n = 0};
            execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
            options.delay_ns = delays[d];
            const int64_t first = clock_now() + (delays[d] > 0 ? delays[d] : 0);
            execq_future *future = repeat_with(&options, period, modes[m], note_times, &times);
            assert_status(execq_future_wait(future, -1), EXECQ_OK);
            assert_int_equal(execq_error_code(execq_future_error(future)), 77);
            execq_future_release(future);
            assert_int_equal(times.n, NOTED);
            for (int i = 0; i < NOTED; i++) {
                assert_true(times.began[i] >= first + i * period);
                if (i > 0 && modes[m] == EXECQ_FIXED_DELAY)
                    assert_true(times.began[i] >= times.ended[i - 1] + period);
            }
            if (modes[m] == EXECQ_FIXED_RATE) /* two periods are over, and no run makes up for them */
                assert_true(times.began[3] >= first + 5 * period);
        }
    }
}

static void a_period_below_a_millisecond_is_one(void **state)
{
    (void)state;
    const int64_t begin = clock_now();
    execq_future *future = repeat(1, count_run, &g);
    await_runs(20);
    assert_true(clock_now() - begin >= 18 * MILLISECOND); /* 20 steps */
    assert_int_not_equal(execq_future_cancel(future), EXECQ_EALREADY);
    assert_canceled(future, EXECQ_REASON_CALLER);
}

static void the_longest_period_has_a_first_run(void **state)
{
    (void)state;
    static const int32_t modes[] = {EXECQ_FIXED_RATE, EXECQ_FIXED_DELAY};
    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        execq_future *future = repeat_with(NULL, INT64_MAX, modes[i], count_run, &g);
        await_rest(future, (int)i + 1);
        assert_status(execq_future_cancel(future), EXECQ_OK);
        execq_future_release(future);
    }
    assert_int_equal(counter_get(&runs), 2);
}

/* ---- cancellation ---- */

static void between_two_runs_a_cancellation_is_for_good_and_goes_to_one(void **state)
{
    (void)state;
    counter done = {0};
    execq_future *future = repeat(HOUR, count_run, &g);
    assert_status(execq_future_on_done(future, count_done, &done, NULL), EXECQ_OK);
    await_rest(future, 1);
    assert_status(execq_future_result(future, NULL), EXECQ_EPENDING);
    assert_int_equal(counter_get(&drops), 0);
    assert_status(execq_future_cancel(future), EXECQ_OK);
    assert_int_equal(counter_get(&drops), 1);
    assert_int_equal(counter_get(&done), 1);
    assert_status(execq_future_cancel(future), EXECQ_EALREADY);
    assert_canceled(future, EXECQ_REASON_CALLER);
    assert_int_equal(counter_get(&runs), 1);
}

static void before_the_first_run_a_cancellation_is_for_good(void **state)
{
    (void)state;
    execq_task_options options = counted();
    options.delay_ns = HOUR;
    execq_future *future = repeat_with(&options, 1, EXECQ_FIXED_DELAY, count_run, &g);
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_PENDING);
    assert_status(execq_future_cancel(future), EXECQ_OK);
    assert_canceled(future, EXECQ_REASON_CALLER);
    assert_int_equal(counter_get(&runs), 0);
}

static void a_run_that_waits_for_a_worker_can_be_canceled(void **state)
{
    (void)state;
    execq_future *blocker[] = {occupy(executor, &g), occupy(executor, &g)};
    execq_future *later = NULL;
    execq_future *future = repeat(MILLISECOND, count_run, &g);
    assert_status(execq_sleep(5 * MILLISECOND, &later), EXECQ_OK);
    finish(later); /* it is due by now */
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_PENDING);
    assert_status(execq_future_cancel(future), EXECQ_OK);
    assert_canceled(future, EXECQ_REASON_CALLER);
    gate_open(&g, 2);
    finish(blocker[0]);
    finish(blocker[1]);
    finish(spawn(executor, do_nothing, NULL));
    assert_int_equal(counter_get(&runs), 0);
}

/* Passes the gate in each run, and returns what it is told to where it was asked to stop. */
static int32_t stop_at_the_gate(void *env, void **result)
{
    (void)result;
    counter_hit(&runs);
    gate_pass(&g);
    return execq_cancel_requested() == 1 ? *(int32_t *)env : 0;
}

static void a_run_under_way_is_asked_to_stop_and_no_other_comes(void **state)
{
    (void)state;
    static int32_t codes[] = {0, EXECQ_ECANCELED};
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        atomic_store(&runs.n, 0);
        atomic_store(&drops.n, 0);
        execq_future *future = repeat(1, stop_at_the_gate, &codes[i]);
        gate_await(&g, 1);
        gate_open(&g, 1);
        gate_await(&g, 1);
        assert_int_equal(execq_future_state(future), EXECQ_FUTURE_RUNNING);
        assert_status(execq_future_cancel(future), EXECQ_EBUSY);
        assert_status(execq_future_cancel(future), EXECQ_EBUSY);
        assert_int_equal(counter_get(&drops), 0);
        gate_open(&g, 1);
        assert_canceled(future, EXECQ_REASON_CALLER);
        assert_int_equal(counter_get(&runs), 2);
    }
}

static void a_run_that_is_asked_to_stop_may_fail_the_series(void **state)
{
    (void)state;
    static int32_t code = 5;
    execq_future *future = repeat(1, stop_at_the_gate, &code);
    gate_await(&g, 1);
    assert_status(execq_future_cancel(future), EXECQ_EBUSY);
    gate_open(&g, 1);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_int_equal(execq_error_code(execq_future_error(future)), 5);
    assert_int_equal(counter_get(&drops), 1);
    execq_future_release(future);
}

/* Its own future comes through a gate, so that it is there. */
static execq_future *own;
static execq_status statuses[4];

static int32_t cancel_itself(void *env, void **result)
{
    (void)env;
    (void)result;
    gate_pass(&g);
    statuses[0] = execq_future_cancel(own);
    counter_hit(&runs);
    return 0;
}

static void a_run_can_end_its_series(void **state)
{
    (void)state;
    own = repeat(1, cancel_itself, &g);
    gate_await(&g, 1);
    gate_open(&g, 1);
    assert_canceled(own, EXECQ_REASON_CALLER);
    assert_status(statuses[0], EXECQ_EBUSY);
    assert_int_equal(counter_get(&runs), 1);
}

/* ---- failure ---- */

static int32_t fail_in_the_third_run(void *env, void **result)
{
    (void)env;
    (void)result;
    counter_hit(&runs);
    if (counter_get(&runs) == 2)
        (void)execq_fail(9, "said, but not returned");
    return counter_get(&runs) == 3 ? execq_fail(42, "worn out") : 0;
}

static void a_run_that_fails_ends_the_series_with_its_error(void **state)
{
    (void)state;
    counter done = {0};
    execq_future *future = repeat(1, fail_in_the_third_run, &g);
    assert_status(execq_future_on_done(future, count_done, &done, counter_hit), EXECQ_OK);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_FAILED);
    assert_int_equal(execq_error_code(execq_future_error(future)), 42);
    assert_string_equal(execq_error_message(execq_future_error(future)), "worn out");
    assert_int_equal(counter_get(&drops), 1);
    assert_status(execq_future_cancel(future), EXECQ_EALREADY);
    while (counter_get(&done) != 2)
        sched_yield();
    execq_future_release(future);
    finish(spawn(executor, do_nothing, NULL));
    assert_int_equal(counter_get(&runs), 3);
}

static int32_t end_the_thread(void *env, void **result)
{
    (void)env;
    (void)result;
    counter_hit(&runs);
    if (counter_get(&runs) == 2)
        pthread_exit(NULL);
    return 0;
}

static void a_run_that_ends_its_thread_ends_the_series(void **state)
{
    (void)state;
    execq_future *future = repeat(1, end_the_thread, &g);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_int_equal(execq_error_code(execq_future_error(future)), EXECQ_EEXITED);
    assert_int_equal(counter_get(&drops), 1);
    assert_int_equal(counter_get(&runs), 2);
    execq_future_release(future);
}

/* ---- waits ---- */

static int32_t wait_for_itself(void *env, void **result)
{
    (void)env;
    (void)result;
    gate_pass(&g);
    statuses[0] = execq_future_wait(own, -1);
    statuses[1] = execq_future_wait_any(&own, 1, -1, NULL);
    statuses[2] = execq_future_wait_all(&own, 1, HOUR);
    statuses[3] = execq_run_until(own, -1);
    return 1;
}

static void a_run_cannot_wait_for_its_own_series(void **state)
{
    (void)state;
    own = repeat(1, wait_for_itself, &g);
    gate_await(&g, 1);
    gate_open(&g, 1);
    finish(own);
    for (size_t i = 0; i < COUNT_OF(statuses); i++)
        assert_status(statuses[i], EXECQ_EDEADLK);
}

static int32_t wait_for_env(void *env, void **result)
{
    (void)result;
    statuses[0] = execq_future_wait(env, -1);
    return 0;
}

/* Waits for a task that waits for the series, which may run in place. */
static int32_t wait_around_a_corner(void *env, void **result)
{
    (void)env;
    (void)result;
    gate_pass(&g);
    execq_future *inner = NULL;
    must(execq_submit(executor, wait_for_env, own, &inner) == EXECQ_OK);
    must(execq_future_wait(inner, -1) == EXECQ_OK);
    execq_future_release(inner);
    return 1;
}

static void nor_can_a_task_that_it_runs_in_place(void **state)
{
    (void)state;
    execq_executor *wide = executor;
    executor = pool_new(1);
    own = repeat(1, wait_around_a_corner, &g);
    gate_await(&g, 1);
    gate_open(&g, 1);
    finish(own);
    assert_status(statuses[0], EXECQ_EDEADLK);
    pool_end(executor);
    executor = wide;
}

static void a_wait_on_the_only_worker_is_a_deadlock_between_two_runs(void **state)
{
    (void)state;
    execq_executor *wide = executor;
    executor = pool_new(1);
    execq_future *future = repeat(HOUR, count_run, &g);
    await_rest(future, 1);
    finish(spawn(executor, wait_for_env, future));
    assert_status(statuses[0], EXECQ_EDEADLK);
    assert_status(execq_future_cancel(future), EXECQ_OK);
    assert_canceled(future, EXECQ_REASON_CALLER);
    assert_int_equal(counter_get(&runs), 1); /* the wait did not run it in place */
    pool_end(executor);
    executor = wide;
}

static void a_wait_on_another_worker_lasts_until_the_end(void **state)
{
    (void)state;
    execq_future *future = repeat(1, fail_in_the_third_run, &g);
    finish(spawn(executor, wait_for_env, future));
    assert_status(statuses[0], EXECQ_OK);
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_FAILED);
    assert_int_equal(counter_get(&runs), 3);
    execq_future_release(future);
}

static void the_end_comes_back_on_a_loop_and_in_a_queue_once(void **state)
{
    (void)state;
    attached host;
    attached_open(&host);
    execq_cq *queue = NULL;
    counter done = {0};
    execq_completion out[2];
    size_t n = 0;
    assert_status(execq_cq_new(&queue), EXECQ_OK);
    execq_future *future = repeat(1, fail_in_the_third_run, &g);
    assert_status(execq_future_on_loop(future, host.port, count_done, &done, NULL), EXECQ_OK);
    assert_status(execq_future_on_cq(future, queue, &g), EXECQ_OK);
    execq_future_release(future);
    assert_int_equal(uv_run(&host.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(counter_get(&done), 1);
    assert_status(execq_cq_wait(queue, -1), EXECQ_OK);
    assert_status(execq_cq_drain(queue, out, COUNT_OF(out), &n), EXECQ_OK);
    assert_int_equal(n, 1);
    assert_int_equal(out[0].status, EXECQ_EFAILED);
    execq_future_release(out[0].future);
    execq_cq_release(queue);
    attached_close(&host);
}

/* ---- closing ---- */

static const int32_t closes[] = {EXECQ_DRAIN, EXECQ_CANCEL};

static void a_close_ends_a_series_that_rests(void **state)
{
    (void)state;
    execq_executor *wide = executor;
    static const int64_t delays[] = {0, HOUR};
    for (size_t i = 0; i < COUNT_OF(closes) * COUNT_OF(delays); i++) {
        atomic_store(&runs.n, 0);
        atomic_store(&drops.n, 0);
        executor = pool_new(2);
        execq_task_options options = counted();
        options.delay_ns = delays[i / 2];
        execq_future *future = repeat_with(&options, HOUR, EXECQ_FIXED_RATE, count_run, &g);
        if (i / 2 == 0)
            await_rest(future, 1);
        assert_status(execq_executor_close(executor, closes[i % 2]), EXECQ_OK);
        assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
        assert_int_equal(execq_future_state(future), EXECQ_FUTURE_CANCELED);
        assert_canceled(future, EXECQ_REASON_SHUTDOWN);
        assert_int_equal(counter_get(&runs), i / 2 == 0);
        execq_executor_release(executor);
    }
    executor = wide;
}

static int32_t note_request_at_the_gate(void *env, void **result)
{
    (void)result;
    counter_hit(&runs);
    gate_pass(&g);
    *(int32_t *)env = execq_cancel_requested();
    return 0;
}

static void a_close_lets_a_run_end_and_reports_it_by_its_name(void **state)
{
    (void)state;
    execq_executor *wide = executor;
    for (size_t i = 0; i < COUNT_OF(closes); i++) {
        int32_t asked = -1;
        atomic_store(&runs.n, 0);
        atomic_store(&drops.n, 0);
        executor = pool_new(2);
        execq_task_options options = counted();
        options.name = "heartbeat";
        execq_future *future = repeat_with(&options, 1, EXECQ_FIXED_RATE, note_request_at_the_gate, &asked);
        gate_await(&g, 1);
        assert_status(execq_executor_close(executor, closes[i]), EXECQ_OK);
        execq_running_task running;
        execq_shutdown_report report = EXECQ_SHUTDOWN_REPORT_INIT;
        report.running = &running;
        report.running_max = 1;
        assert_status(execq_executor_join(executor, 0, &report), EXECQ_ETIMEDOUT);
        assert_int_equal(report.running_total, 1);
        assert_string_equal(running.name, "heartbeat");
        assert_int_equal(report.queued, 0);
        assert_int_equal(counter_get(&drops), 0);
        gate_open(&g, 1);
        assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
        assert_canceled(future, EXECQ_REASON_SHUTDOWN);
        assert_int_equal(asked, closes[i] == EXECQ_CANCEL);
        assert_int_equal(counter_get(&runs), 1);
        execq_executor_release(executor);
    }
    executor = wide;
}

/* The worker is busy when the series becomes due, and the executor closes before it gets to it. */
static void a_close_decides_over_a_run_that_is_due(void **state)
{
    (void)state;
    execq_executor *wide = executor;
    for (size_t i = 0; i < COUNT_OF(closes); i++) {
        atomic_store(&runs.n, 0);
        atomic_store(&drops.n, 0);
        executor = pool_new(1);
        execq_future *blocker = occupy(executor, &g);
        execq_future *future = repeat(1, count_run, &g);
        execq_future *later = NULL;
        assert_status(execq_sleep(5 * MILLISECOND, &later), EXECQ_OK);
        finish(later); /* both are due by now, and timers of one thread */
        assert_status(execq_executor_close(executor, closes[i]), EXECQ_OK);
        gate_open(&g, 1);
        finish(blocker);
        assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
        assert_canceled(future, EXECQ_REASON_SHUTDOWN);
        assert_int_equal(counter_get(&runs), closes[i] == EXECQ_DRAIN);
        execq_executor_release(executor);
    }
    executor = wide;
}

static int32_t submit_a_series(void *env, void **result)
{
    (void)env;
    (void)result;
    const execq_task_options options = counted();
    gate_pass(&g);
    statuses[0] = execq_submit_periodic(executor, &options, 1, EXECQ_FIXED_RATE, count_run, &g, NULL);
    return 0;
}

static void a_drain_takes_no_series_from_its_own_tasks(void **state)
{
    (void)state;
    execq_executor *wide = executor;
    executor = pool_new(1);
    execq_future *future = spawn(executor, submit_a_series, NULL);
    gate_await(&g, 1);
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    gate_open(&g, 1);
    finish(future);
    assert_status(statuses[0], EXECQ_ECLOSED);
    assert_int_equal(counter_get(&drops), 1);
    assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
    execq_executor_release(executor);
    executor = wide;
}

static void without_a_handle_it_goes_on_until_the_executor_closes(void **state)
{
    (void)state;
    execq_executor *wide = executor;
    executor = pool_new(2);
    const execq_task_options options = counted();
    assert_status(execq_submit_periodic(executor, &options, 1, EXECQ_FIXED_DELAY, count_run, &g, NULL), EXECQ_OK);
    execq_future_release(repeat_with(NULL, 1, EXECQ_FIXED_RATE, count_run, &g));
    await_runs(20);
    assert_int_equal(counter_get(&drops), 0);
    execq_executor_release(executor); /* the last reference closes it */
    while (counter_get(&drops) != 1)
        sched_yield();
    executor = wide;
}

static void a_series_runs_on_what_a_null_executor_stands_for(void **state)
{
    (void)state;
    execq_executor *given = executor;
    executor = NULL;
    execq_future *future = repeat(1, fail_in_the_third_run, &g);
    finish(future);
    assert_int_equal(counter_get(&runs), 3);
    executor = given;
}

/* ---- limits ---- */

static void a_timeout_ends_the_whole_series(void **state)
{
    (void)state;
    execq_task_options options = counted();
    options.timeout_ns = 8 * MILLISECOND;
    static const int64_t periods[] = {1, HOUR};
    for (size_t i = 0; i < COUNT_OF(periods); i++) {
        atomic_store(&runs.n, 0);
        atomic_store(&drops.n, 0);
        const int64_t begin = clock_now();
        execq_future *future = repeat_with(&options, periods[i], EXECQ_FIXED_RATE, count_run, &g);
        assert_status(execq_future_wait(future, -1), EXECQ_OK);
        assert_true(clock_now() - begin >= options.timeout_ns);
        assert_canceled(future, EXECQ_REASON_DEADLINE);
    }
}

static void a_timeout_asks_a_run_to_stop(void **state)
{
    (void)state;
    int32_t asked = -1;
    execq_future *later = NULL;
    execq_task_options options = counted();
    options.timeout_ns = 4 * MILLISECOND;
    execq_future *future = repeat_with(&options, HOUR, EXECQ_FIXED_DELAY, note_request_at_the_gate, &asked);
    gate_await(&g, 1);
    assert_status(execq_sleep(8 * MILLISECOND, &later), EXECQ_OK);
    finish(later);
    assert_int_equal(counter_get(&drops), 0);
    gate_open(&g, 1);
    assert_canceled(future, EXECQ_REASON_DEADLINE);
    assert_int_equal(asked, 1);
    assert_int_equal(counter_get(&runs), 1);
}

static void a_limit_that_is_up_already_cancels_inside_the_submission(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        atomic_store(&drops.n, 0);
        execq_task_options options = counted();
        options.timeout_ns = i == 0 ? -1 : 0;
        options.start_within_ns = i == 0 ? 0 : -1;
        execq_future *future = repeat_with(&options, 1, EXECQ_FIXED_RATE, count_run, &g);
        assert_int_equal(execq_future_state(future), EXECQ_FUTURE_CANCELED);
        assert_canceled(future, EXECQ_REASON_DEADLINE);
    }
    finish(spawn(executor, do_nothing, NULL));
    assert_int_equal(counter_get(&runs), 0);
}

static void a_first_run_that_comes_too_late_cancels_the_series(void **state)
{
    (void)state;
    execq_task_options options = counted();
    options.start_within_ns = 3 * MILLISECOND;
    execq_future *blocker[] = {occupy(executor, &g), occupy(executor, &g)};
    execq_future *future = repeat_with(&options, 1, EXECQ_FIXED_RATE, count_run, &g);
    assert_canceled(future, EXECQ_REASON_DEADLINE);
    gate_open(&g, 2);
    finish(blocker[0]);
    finish(blocker[1]);
    assert_int_equal(counter_get(&runs), 0);
}

static void a_limit_for_the_start_is_for_the_first_run_alone(void **state)
{
    (void)state;
    static int32_t code = EXECQ_ECANCELED;
    execq_task_options options = counted();
    options.start_within_ns = 10 * MILLISECOND;
    execq_future *future = NULL;
    for (;;) {
        future = repeat_with(&options, 1, EXECQ_FIXED_RATE, stop_at_the_gate, &code);
        while (execq_future_state(future) == EXECQ_FUTURE_PENDING)
            sched_yield();
        if (execq_future_state(future) == EXECQ_FUTURE_RUNNING)
            break;
        assert_canceled(future, EXECQ_REASON_DEADLINE); /* a busy machine */
        atomic_store(&drops.n, 0);
        options.start_within_ns *= 4;
    }
    gate_await(&g, 1);
    execq_future *later = NULL;
    assert_status(execq_sleep(options.start_within_ns + 5 * MILLISECOND, &later), EXECQ_OK);
    finish(later); /* the limit is over */
    gate_open(&g, 1);
    gate_await(&g, 1); /* and another run comes */
    assert_int_equal(execq_future_cancel_reason(future), EXECQ_REASON_NONE);
    assert_status(execq_future_cancel(future), EXECQ_EBUSY);
    gate_open(&g, 1);
    assert_canceled(future, EXECQ_REASON_CALLER);
}

/* ---- env and values ---- */

struct sum {
    counter *total;
    int next;
};

static int32_t add_up(void *env, void **result)
{
    struct sum *sum = env;
    *result = sum->total;
    return sum->next++ == 4 ? 1 : 0;
}

static void drop_sum(void *env)
{
    struct sum *sum = env;
    must(sum->next == 5);
    counter_hit(sum->total);
}

static void all_runs_share_one_copy_of_env(void **state)
{
    (void)state;
    counter total = {0};
    struct sum sum = {&total, 0};
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.env_size = sizeof sum;
    options.drop = drop_sum;
    finish(repeat_with(&options, 1, EXECQ_FIXED_RATE, add_up, &sum));
    assert_int_equal(sum.next, 0);
    assert_int_equal(counter_get(&total), 1);
}

static void the_value_of_each_run_that_succeeds_is_dropped(void **state)
{
    (void)state;
    counter total = {0};
    struct sum sum = {&total, 0};
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop_result = counter_hit;
    finish(repeat_with(&options, 1, EXECQ_FIXED_DELAY, add_up, &sum));
    assert_int_equal(sum.next, 5);
    assert_int_equal(counter_get(&total), 4);
}

static void a_thousand_series_run_beside_one_another(void **state)
{
    (void)state;
    enum { N = SCALED(1000, 10) };
    execq_future **futures = calloc(N, sizeof *futures);
    assert_non_null(futures);
    const execq_task_options options = counted();
    for (int i = 0; i < N; i++)
        futures[i] = repeat_with(&options, (1 + i % 7) * MILLISECOND, i % 2 ? EXECQ_FIXED_RATE : EXECQ_FIXED_DELAY,
                                 count_run, &g);
    await_runs(5 * N);
    for (int i = 0; i < N; i++)
        assert_int_not_equal(execq_future_cancel(futures[i]), EXECQ_EALREADY);
    assert_status(execq_future_wait_all(futures, N, -1), EXECQ_OK);
    assert_int_equal(counter_get(&drops), N);
    const int ran = counter_get(&runs);
    for (int i = 0; i < N; i++)
        execq_future_release(futures[i]);
    finish(spawn(executor, do_nothing, NULL));
    assert_int_equal(counter_get(&runs), ran);
    free(futures);
}

static int open_all(void **state)
{
    (void)state;
    gate_init(&g);
    atomic_store(&runs.n, 0);
    atomic_store(&drops.n, 0);
    executor = pool_new(2);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    pool_end(executor);
    gate_destroy(&g);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bad_arguments_are_refused_and_env_is_dropped),
        TEST(without_memory_nothing_is_kept),
        TEST(a_closed_executor_takes_no_series),
        TEST(no_run_is_early),
        TEST(a_period_below_a_millisecond_is_one),
        TEST(the_longest_period_has_a_first_run),
        TEST(between_two_runs_a_cancellation_is_for_good_and_goes_to_one),
        TEST(before_the_first_run_a_cancellation_is_for_good),
        TEST(a_run_that_waits_for_a_worker_can_be_canceled),
        TEST(a_run_under_way_is_asked_to_stop_and_no_other_comes),
        TEST(a_run_that_is_asked_to_stop_may_fail_the_series),
        TEST(a_run_can_end_its_series),
        TEST(a_run_that_fails_ends_the_series_with_its_error),
        TEST(a_run_that_ends_its_thread_ends_the_series),
        TEST(a_run_cannot_wait_for_its_own_series),
        TEST(nor_can_a_task_that_it_runs_in_place),
        TEST(a_wait_on_the_only_worker_is_a_deadlock_between_two_runs),
        TEST(a_wait_on_another_worker_lasts_until_the_end),
        TEST(the_end_comes_back_on_a_loop_and_in_a_queue_once),
        TEST(a_close_ends_a_series_that_rests),
        TEST(a_close_lets_a_run_end_and_reports_it_by_its_name),
        TEST(a_close_decides_over_a_run_that_is_due),
        TEST(a_drain_takes_no_series_from_its_own_tasks),
        TEST(without_a_handle_it_goes_on_until_the_executor_closes),
        TEST(a_series_runs_on_what_a_null_executor_stands_for),
        TEST(a_timeout_ends_the_whole_series),
        TEST(a_timeout_asks_a_run_to_stop),
        TEST(a_limit_that_is_up_already_cancels_inside_the_submission),
        TEST(a_first_run_that_comes_too_late_cancels_the_series),
        TEST(a_limit_for_the_start_is_for_the_first_run_alone),
        TEST(all_runs_share_one_copy_of_env),
        TEST(the_value_of_each_run_that_succeeds_is_dropped),
        TEST(a_thousand_series_run_beside_one_another),
    };
    return cmocka_run_group_tests_name("capi.periodic", tests, NULL, NULL);
}
