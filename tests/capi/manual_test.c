/* Manual executors: stepped by the caller, on a clock that he moves. */
#include "capi.h"

#include <uv.h>

#define SECOND (INT64_C(1000) * MILLISECOND)

static execq_executor *manual_new(uint64_t seed)
{
    execq_manual_options options = EXECQ_MANUAL_OPTIONS_INIT;
    options.seed = seed;
    execq_executor *executor = NULL;
    assert_status(execq_manual_new(&options, &executor), EXECQ_OK);
    return executor;
}

static int64_t now_of(execq_executor *executor)
{
    int64_t now = -1;
    assert_status(execq_manual_now(executor, &now), EXECQ_OK);
    return now;
}

static uint64_t run_all(execq_executor *executor)
{
    uint64_t n = 99;
    assert_status(execq_manual_run(executor, &n), EXECQ_OK);
    return n;
}

/* What ran, in order. */
static int order[4096];
static int ordered;

static int32_t note(void *env, void **result)
{
    (void)result;
    order[ordered++] = (int)(intptr_t)env;
    return 0;
}

static execq_future *submit_at(execq_executor *executor, int64_t delay_ns, execq_fn fn, void *env)
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.delay_ns = delay_ns;
    execq_future *future = NULL;
    assert_status(execq_submit_with(executor, &options, fn, env, &future), EXECQ_OK);
    return future;
}

static void wait_and_release(execq_future *future)
{
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    execq_future_release(future);
}

static void bad_calls_are_refused(void **state)
{
    (void)state;
    execq_executor *executor = NULL;
    execq_manual_options options = EXECQ_MANUAL_OPTIONS_INIT;
    options.flags = 2;
    assert_status(execq_manual_new(&options, &executor), EXECQ_ENOTSUP);
    options.flags = 0;
    options.full_policy = EXECQ_FULL_CALLER_RUNS + 1;
    assert_status(execq_manual_new(&options, &executor), EXECQ_EINVAL);
    options.full_policy = 0;
    options.struct_size = 4;
    assert_status(execq_manual_new(&options, &executor), EXECQ_EINVAL);
    assert_status(execq_manual_new(NULL, NULL), EXECQ_EINVAL);
    assert_null(executor);

    execq_executor *pool = pool_new(1);
    execq_executor *const none[] = {pool, NULL};
    for (size_t i = 0; i < COUNT_OF(none); i++) {
        int64_t now = 0;
        assert_status(execq_manual_step(none[i], NULL), EXECQ_EINVAL);
        assert_status(execq_manual_run(none[i], NULL), EXECQ_EINVAL);
        assert_status(execq_manual_advance(none[i], 1), EXECQ_EINVAL);
        assert_status(execq_manual_run_for(none[i], 1, NULL), EXECQ_EINVAL);
        assert_status(execq_manual_now(none[i], &now), EXECQ_EINVAL);
    }
    execq_executor_release(pool);

    assert_status(execq_manual_new(NULL, &executor), EXECQ_OK);
    assert_status(execq_manual_now(executor, NULL), EXECQ_EINVAL);
    assert_status(execq_manual_advance(executor, -1), EXECQ_EINVAL);
    assert_status(execq_manual_run_for(executor, -1, NULL), EXECQ_EINVAL);
    assert_int_equal(now_of(executor), 0);
    execq_executor_release(executor);
}

static void nothing_runs_before_it_is_stepped_and_then_in_order(void **state)
{
    (void)state;
    execq_executor *executor = manual_new(0);
    ordered = 0;
    for (intptr_t i = 0; i < 100; i++)
        assert_status(execq_submit(executor, note, (void *)i, NULL), EXECQ_OK);
    assert_int_equal(ordered, 0);
    uint32_t ran = 9;
    assert_status(execq_manual_step(executor, &ran), EXECQ_OK);
    assert_int_equal(ran, 1);
    assert_int_equal(ordered, 1);
    assert_int_equal(run_all(executor), 99);
    for (int i = 0; i < 100; i++)
        assert_int_equal(order[i], i);
    assert_status(execq_manual_step(executor, &ran), EXECQ_OK);
    assert_int_equal(ran, 0);
    execq_stats stats = EXECQ_STATS_INIT;
    assert_status(execq_executor_stats(executor, &stats), EXECQ_OK);
    assert_int_equal(stats.threads, 0);
    assert_int_equal(stats.threads_started, 0);
    execq_executor_release(executor);
}

static void order_of(uint64_t seed, int *out, int n)
{
    execq_executor *executor = manual_new(seed);
    ordered = 0;
    for (intptr_t i = 0; i < n; i++)
        assert_status(execq_submit(executor, note, (void *)i, NULL), EXECQ_OK);
    assert_int_equal(run_all(executor), n);
    memcpy(out, order, (size_t)n * sizeof *out);
    execq_executor_release(executor);
}

static void one_seed_is_one_order_and_another_seed_another(void **state)
{
    (void)state;
    enum { N = 200 };
    int first[N];
    int again[N];
    int other[N];
    order_of(7, first, N);
    order_of(7, again, N);
    order_of(8, other, N);
    assert_memory_equal(first, again, sizeof first);
    assert_memory_not_equal(first, other, sizeof first);
    int seen[N] = {0};
    for (int i = 0; i < N; i++)
        seen[first[i]]++;
    for (int i = 0; i < N; i++)
        assert_int_equal(seen[i], 1);
}

static void a_queue_keeps_its_order_whatever_the_seed(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        execq_executor *executor = manual_new(seed);
        execq_queue *queue = NULL;
        assert_status(execq_queue_new(executor, NULL, &queue), EXECQ_OK);
        execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
        options.queue = queue;
        ordered = 0;
        for (intptr_t i = 0; i < 50; i++) {
            assert_status(execq_submit_with(executor, &options, note, (void *)i, NULL), EXECQ_OK);
            assert_status(execq_submit(executor, note, (void *)(i + 1000), NULL), EXECQ_OK);
        }
        execq_future *closed = NULL;
        assert_status(execq_queue_close(queue, EXECQ_DRAIN, &closed), EXECQ_OK);
        wait_and_release(closed);
        run_all(executor);
        assert_int_equal(ordered, 100);
        int next = 0;
        for (int i = 0; i < 100; i++) {
            if (order[i] < 1000)
                assert_int_equal(order[i], next++);
        }
        assert_int_equal(next, 50);
        execq_queue_release(queue);
        execq_executor_release(executor);
    }
}

static void the_clock_is_exact_and_moves_by_hand(void **state)
{
    (void)state;
    execq_executor *executor = manual_new(0);
    ordered = 0;
    execq_future_release(submit_at(executor, 1500001, note, (void *)2));
    execq_future_release(submit_at(executor, 1500000, note, (void *)1));
    execq_future_release(submit_at(executor, 365 * 86400 * SECOND, note, (void *)3));
    assert_status(execq_manual_advance(executor, 1499999), EXECQ_OK);
    assert_int_equal(run_all(executor), 0);
    assert_status(execq_manual_advance(executor, 1), EXECQ_OK);
    assert_int_equal(ordered, 0); /* due, and not run */
    assert_int_equal(run_all(executor), 1);
    assert_int_equal(now_of(executor), 1500000);
    assert_status(execq_manual_advance(executor, 1), EXECQ_OK);
    assert_int_equal(run_all(executor), 1);
    uint64_t n = 0;
    assert_status(execq_manual_run_for(executor, 366 * 86400 * SECOND, &n), EXECQ_OK);
    assert_int_equal(n, 1);
    assert_int_equal(now_of(executor), 366 * 86400 * SECOND + 1500001);
    for (int i = 0; i < 3; i++)
        assert_int_equal(order[i], i + 1);
    assert_status(execq_manual_advance(executor, INT64_MAX), EXECQ_OK);
    const int64_t end = now_of(executor);
    assert_status(execq_manual_run_for(executor, INT64_MAX, NULL), EXECQ_OK);
    assert_int_equal(now_of(executor), end);
    execq_executor_release(executor);
}

static void time_limits_are_on_the_clock(void **state)
{
    (void)state;
    execq_executor *executor = manual_new(0);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.start_within_ns = SECOND;
    execq_future *late = NULL;
    execq_future *never_due = NULL;
    execq_future *past = NULL;
    ordered = 0;
    assert_status(execq_submit_with(executor, &options, note, NULL, &late), EXECQ_OK);
    options.start_within_ns = 0;
    options.timeout_ns = SECOND;
    options.delay_ns = 2 * SECOND;
    assert_status(execq_submit_with(executor, &options, note, NULL, &never_due), EXECQ_OK);
    options.delay_ns = 0;
    options.timeout_ns = -1;
    assert_status(execq_submit_with(executor, &options, note, NULL, &past), EXECQ_OK);
    assert_int_equal(execq_future_state(past), EXECQ_FUTURE_CANCELED);
    assert_status(execq_manual_advance(executor, SECOND - 1), EXECQ_OK);
    assert_int_equal(execq_future_state(late), EXECQ_FUTURE_PENDING);
    assert_status(execq_manual_advance(executor, 1), EXECQ_OK);
    execq_future *const all[] = {late, never_due, past};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        assert_int_equal(execq_future_state(all[i]), EXECQ_FUTURE_CANCELED);
        assert_int_equal(execq_future_cancel_reason(all[i]), EXECQ_REASON_DEADLINE);
        execq_future_release(all[i]);
    }
    assert_int_equal(run_all(executor), 0);
    assert_int_equal(ordered, 0);
    execq_executor_release(executor);
}

static void a_series_runs_by_the_clock(void **state)
{
    (void)state;
    static const int32_t modes[] = {EXECQ_FIXED_RATE, EXECQ_FIXED_DELAY};
    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        execq_executor *executor = manual_new(0);
        execq_future *series = NULL;
        ordered = 0;
        assert_status(execq_submit_periodic(executor, NULL, 10 * MILLISECOND, modes[i], note, NULL, &series), EXECQ_OK);
        uint64_t n = 0;
        assert_status(execq_manual_run_for(executor, SECOND, &n), EXECQ_OK);
        assert_int_equal(n, 101);
        assert_int_equal(ordered, 101);
        assert_status(execq_manual_advance(executor, SECOND), EXECQ_OK); /* due once, and the rest is left out */
        assert_int_equal(run_all(executor), 1);
        assert_status(execq_future_cancel(series), EXECQ_OK);
        execq_future_release(series);
        execq_executor_release(executor);
    }
}

static void a_sleep_of_its_thread_is_on_its_clock_and_a_wait_jumps_there(void **state)
{
    (void)state;
    execq_executor *executor = manual_new(0);
    execq_future *sleep = NULL;
    assert_status(execq_sleep(3600 * SECOND, &sleep), EXECQ_OK);
    assert_status(execq_future_wait(sleep, 1800 * SECOND), EXECQ_ETIMEDOUT);
    assert_int_equal(now_of(executor), 1800 * SECOND);
    wait_and_release(sleep);
    assert_int_equal(now_of(executor), 3600 * SECOND);
    execq_executor_release(executor);
}

static void a_sleep_outlives_no_clock(void **state)
{
    (void)state;
    execq_executor *executor = manual_new(0);
    execq_future *sleep = NULL;
    execq_future *other = NULL;
    assert_status(execq_sleep(SECOND, &sleep), EXECQ_OK);
    assert_status(execq_sleep(-1, &other), EXECQ_OK);
    assert_status(execq_future_cancel(other), EXECQ_OK);
    execq_executor_release(executor);
    assert_int_equal(execq_future_state(sleep), EXECQ_FUTURE_CANCELED);
    assert_int_equal(execq_future_cancel_reason(sleep), EXECQ_REASON_SHUTDOWN);
    execq_future_release(sleep);
    execq_future_release(other);
}

static void a_wait_steps_and_jumps_and_knows_a_deadlock(void **state)
{
    (void)state;
    execq_executor *executor = manual_new(0);
    ordered = 0;
    execq_future *future = submit_at(executor, 5 * SECOND, note, NULL);
    assert_status(execq_future_wait(future, 0), EXECQ_ETIMEDOUT);
    assert_status(execq_future_wait(future, SECOND), EXECQ_ETIMEDOUT);
    assert_int_equal(now_of(executor), SECOND);
    wait_and_release(future);
    assert_int_equal(now_of(executor), 5 * SECOND);
    future = submit_at(executor, 0, note, NULL);
    assert_status(execq_future_wait(future, 0), EXECQ_OK); /* one that is due runs */
    execq_future_release(future);

    execq_queue_options paused = EXECQ_QUEUE_OPTIONS_INIT;
    paused.flags = EXECQ_QUEUE_PAUSED;
    execq_queue *queue = NULL;
    assert_status(execq_queue_new(executor, &paused, &queue), EXECQ_OK);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.queue = queue;
    assert_status(execq_submit_with(executor, &options, note, NULL, &future), EXECQ_OK);
    size_t index = 9;
    assert_status(execq_future_wait(future, -1), EXECQ_EDEADLK);
    assert_status(execq_future_wait_any(&future, 1, -1, &index), EXECQ_EDEADLK);
    assert_status(execq_future_wait_all(&future, 1, SECOND), EXECQ_ETIMEDOUT);
    assert_int_equal(now_of(executor), 6 * SECOND);
    assert_status(execq_queue_resume(queue), EXECQ_OK);
    assert_status(execq_future_wait_any(&future, 1, -1, &index), EXECQ_OK);
    assert_int_equal(index, 0);
    execq_future_release(future);
    execq_queue_release(queue);
    execq_executor_release(executor);
}

static void a_clock_that_stands_still_is_moved_by_no_wait(void **state)
{
    (void)state;
    execq_manual_options options = EXECQ_MANUAL_OPTIONS_INIT;
    options.flags = EXECQ_MANUAL_STANDS_STILL;
    execq_executor *executor = NULL;
    assert_status(execq_manual_new(&options, &executor), EXECQ_OK);
    ordered = 0;
    execq_future *future = submit_at(executor, SECOND, note, NULL);
    assert_status(execq_future_wait(future, -1), EXECQ_EDEADLK);
    assert_status(execq_future_wait(future, 2 * SECOND), EXECQ_EDEADLK);
    assert_int_equal(now_of(executor), 0);
    assert_status(execq_manual_advance(executor, SECOND), EXECQ_OK);
    wait_and_release(future);
    execq_executor_release(executor);
}

typedef struct {
    execq_executor *executor;
    execq_future *mine;
    execq_status nested;
    execq_status on_itself;
    uint32_t ran;
} stepper;

static int32_t step_inside(void *env, void **result)
{
    (void)result;
    stepper *self = env;
    self->on_itself = execq_executor_join(self->executor, -1, NULL);
    self->nested = execq_manual_step(self->executor, &self->ran);
    order[ordered++] = 1;
    return 0;
}

static void a_step_inside_a_body_runs_the_next_task_inside_it(void **state)
{
    (void)state;
    execq_executor *executor = manual_new(0);
    stepper inside = {executor, NULL, 1, 1, 0};
    ordered = 0;
    assert_status(execq_submit(executor, step_inside, &inside, NULL), EXECQ_OK);
    assert_status(execq_submit(executor, note, (void *)2, NULL), EXECQ_OK);
    uint32_t ran = 0;
    assert_status(execq_manual_step(executor, &ran), EXECQ_OK);
    assert_status(inside.nested, EXECQ_OK);
    assert_status(inside.on_itself, EXECQ_EINVAL); /* open */
    assert_int_equal(inside.ran, 1);
    assert_int_equal(ordered, 2);
    assert_int_equal(order[0], 2);
    assert_int_equal(order[1], 1);
    assert_int_equal(run_all(executor), 0);
    execq_executor_release(executor);
}

static int32_t wait_for_others(void *env, void **result)
{
    stepper *self = env;
    (void)result;
    execq_future *future = NULL;
    must(execq_submit(self->executor, note, (void *)5, &future) == EXECQ_OK);
    must(execq_future_wait(future, -1) == EXECQ_OK);
    execq_future_release(future);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.delay_ns = SECOND;
    must(execq_submit_with(self->executor, &options, note, (void *)6, &future) == EXECQ_OK);
    must(execq_future_wait(future, -1) == EXECQ_OK);
    execq_future_release(future);
    self->on_itself = execq_future_wait(self->mine, -1);
    return 0;
}

static void a_wait_inside_a_body_goes_on(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 5; seed++) {
        execq_executor *executor = manual_new(seed);
        stepper inside = {executor, NULL, 1, 1, 0};
        ordered = 0;
        assert_status(execq_submit(executor, wait_for_others, &inside, &inside.mine), EXECQ_OK);
        wait_and_release(inside.mine);
        assert_status(inside.on_itself, EXECQ_EDEADLK);
        assert_int_equal(ordered, 2);
        assert_int_equal(order[0], 5);
        assert_int_equal(now_of(executor), SECOND);
        execq_executor_release(executor);
    }
}

static void *step_elsewhere(void *env)
{
    uint32_t ran = 0;
    must(execq_manual_step(env, &ran) == EXECQ_OK);
    must(ran == 1);
    return NULL;
}

static void one_thread_steps_at_a_time(void **state)
{
    (void)state;
    static gate inside;
    gate_init(&inside);
    execq_executor *executor = manual_new(0);
    assert_status(execq_submit(executor, gate_fn, &inside, NULL), EXECQ_OK);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, step_elsewhere, executor), 0);
    gate_await(&inside, 1);
    uint32_t ran = 9;
    uint64_t n = 9;
    assert_status(execq_manual_step(executor, &ran), EXECQ_EBUSY);
    assert_int_equal(ran, 0);
    assert_status(execq_manual_run(executor, &n), EXECQ_EBUSY);
    assert_int_equal(n, 0);
    assert_status(execq_manual_advance(executor, 1), EXECQ_EBUSY);
    assert_status(execq_manual_run_for(executor, 1, &n), EXECQ_EBUSY);
    gate_open(&inside, 1);
    pthread_join(thread, NULL);
    assert_status(execq_manual_step(executor, &ran), EXECQ_OK);
    assert_int_equal(ran, 0);
    execq_executor_release(executor);
    gate_destroy(&inside);
}

static void *wait_elsewhere(void *env)
{
    must(execq_future_wait(env, -1) == EXECQ_OK);
    return NULL;
}

static void a_wait_of_another_thread_blocks_until_somebody_steps(void **state)
{
    (void)state;
    execq_executor *executor = manual_new(3);
    execq_future *future = submit_at(executor, SECOND, note, NULL);
    ordered = 0;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wait_elsewhere, future), 0);
    assert_int_equal(run_all(executor), 0);
    assert_status(execq_manual_run_for(executor, SECOND, NULL), EXECQ_OK);
    pthread_join(thread, NULL);
    assert_int_equal(ordered, 1);
    execq_future_release(future);
    execq_executor_release(executor);
}

static int32_t resolve_it(void *env, void **result)
{
    (void)result;
    return execq_promise_resolve(env, NULL);
}

static void what_comes_from_elsewhere_is_waited_for(void **state)
{
    (void)state;
    execq_executor *executor = manual_new(0);
    execq_executor *pool = pool_new(1);
    execq_promise *promise = NULL;
    execq_future *future = NULL;
    assert_status(execq_promise_new(NULL, &promise, &future), EXECQ_OK);
    assert_status(execq_future_wait(future, SECOND), EXECQ_ETIMEDOUT);
    assert_int_equal(now_of(executor), SECOND);
    execq_future *of_pool = NULL;
    assert_status(execq_submit(pool, resolve_it, promise, &of_pool), EXECQ_OK);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    wait_and_release(of_pool);
    assert_int_equal(now_of(executor), SECOND); /* that took no time of ours */
    execq_promise_release(promise);
    execq_future_release(future);
    execq_executor_release(pool);
    execq_executor_release(executor);
}

static void a_group_is_joined_and_its_deadline_kept(void **state)
{
    (void)state;
    execq_executor *executor = manual_new(11);
    execq_group_options options = EXECQ_GROUP_OPTIONS_INIT;
    options.timeout_ns = 10 * SECOND;
    execq_group *group = NULL;
    assert_status(execq_group_new(&options, &group), EXECQ_OK);
    ordered = 0;
    execq_task_options delayed = EXECQ_TASK_OPTIONS_INIT;
    for (int i = 1; i <= 5; i++) {
        delayed.delay_ns = i * SECOND;
        assert_status(execq_group_submit(group, executor, &delayed, note, NULL, NULL), EXECQ_OK);
    }
    assert_status(execq_group_join(group, 2 * SECOND), EXECQ_ETIMEDOUT);
    assert_int_equal(ordered, 2);
    assert_status(execq_group_join(group, -1), EXECQ_OK);
    assert_int_equal(ordered, 5);
    execq_group_release(group);

    assert_status(execq_group_new(&options, &group), EXECQ_OK);
    delayed.delay_ns = 11 * SECOND;
    assert_status(execq_group_submit(group, executor, &delayed, note, NULL, NULL), EXECQ_OK);
    assert_status(execq_group_join(group, -1), EXECQ_ECANCELED);
    assert_int_equal(execq_group_cancel_reason(group), EXECQ_REASON_DEADLINE);
    assert_int_equal(now_of(executor), 15 * SECOND);
    execq_group_release(group);
    execq_executor_release(executor);
}

static void a_close_is_joined(void **state)
{
    (void)state;
    static const int32_t modes[] = {EXECQ_DRAIN, EXECQ_CANCEL};
    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        execq_executor *executor = manual_new(i);
        ordered = 0;
        execq_future *delayed = submit_at(executor, SECOND, note, NULL);
        execq_future *queued = submit_at(executor, 0, note, NULL);
        execq_shutdown_report report = EXECQ_SHUTDOWN_REPORT_INIT;
        assert_status(execq_executor_join(executor, -1, NULL), EXECQ_EINVAL);
        assert_status(execq_executor_close(executor, modes[i]), EXECQ_OK);
        assert_status(execq_executor_join(executor, -1, &report), EXECQ_OK);
        assert_int_equal(report.queued, 0);
        assert_int_equal(report.threads, 0);
        assert_int_equal(ordered, modes[i] == EXECQ_DRAIN ? 1 : 0);
        assert_int_equal(execq_future_cancel_reason(delayed), EXECQ_REASON_SHUTDOWN);
        assert_int_equal(execq_future_state(queued), modes[i] == EXECQ_DRAIN ? EXECQ_FUTURE_OK : EXECQ_FUTURE_CANCELED);
        execq_future *refused = NULL;
        assert_status(execq_submit(executor, note, NULL, &refused), EXECQ_ECLOSED);
        execq_future_release(delayed);
        execq_future_release(queued);
        execq_executor_release(executor);
    }
}

static int32_t release_it(void *env, void **result)
{
    (void)result;
    execq_executor_release(env);
    return 0;
}

static void the_last_release_runs_what_is_due_and_cancels_the_rest(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 3; seed++) {
        execq_executor *executor = manual_new(seed);
        ordered = 0;
        execq_future *due = submit_at(executor, 0, note, NULL);
        execq_future *delayed = submit_at(executor, SECOND, note, NULL);
        execq_executor_release(executor);
        assert_int_equal(execq_future_state(due), EXECQ_FUTURE_OK);
        assert_int_equal(execq_future_state(delayed), EXECQ_FUTURE_CANCELED);
        execq_future_release(due);
        execq_future_release(delayed);

        executor = manual_new(seed);
        execq_future *releases = submit_at(executor, 0, release_it, executor);
        assert_int_equal(run_all(executor) >= 1, 1);
        assert_int_equal(execq_future_state(releases), EXECQ_FUTURE_OK);
        execq_future_release(releases);
    }
}

static void as_the_default_it_stands_for_null(void **state)
{
    (void)state;
    execq_executor *executor = manual_new(0);
    execq_conf conf = EXECQ_CONF_INIT;
    conf.executor = executor;
    assert_status(execq_init_conf(&conf), EXECQ_OK);
    ordered = 0;
    execq_future *future = submit_at(NULL, SECOND, note, NULL);
    assert_status(execq_manual_run_for(executor, SECOND, NULL), EXECQ_OK);
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_OK);
    execq_future_release(future);
    conf.executor = NULL;
    conf.flags = EXECQ_CONF_CLEAR_EXECUTOR;
    assert_status(execq_init_conf(&conf), EXECQ_OK);
    execq_executor_release(executor);
}

static void room_is_waited_for_by_stepping(void **state)
{
    (void)state;
    execq_manual_options bounded = EXECQ_MANUAL_OPTIONS_INIT;
    bounded.capacity = 2;
    bounded.full_policy = EXECQ_FULL_BLOCK;
    execq_executor *executor = NULL;
    assert_status(execq_manual_new(&bounded, &executor), EXECQ_OK);
    ordered = 0;
    for (intptr_t i = 0; i < 10; i++)
        assert_status(execq_submit(executor, note, (void *)i, NULL), EXECQ_OK);
    assert_int_equal(ordered, 8);
    execq_queue_options narrow = EXECQ_QUEUE_OPTIONS_INIT;
    narrow.capacity = 1;
    narrow.full_policy = EXECQ_FULL_BLOCK;
    execq_queue *queue = NULL;
    run_all(executor);
    assert_status(execq_queue_new(executor, &narrow, &queue), EXECQ_OK);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.queue = queue;
    for (intptr_t i = 10; i < 20; i++)
        assert_status(execq_submit_with(executor, &options, note, (void *)i, NULL), EXECQ_OK);
    run_all(executor);
    assert_int_equal(ordered, 20);
    for (int i = 0; i < 20; i++)
        assert_int_equal(order[i], i);
    execq_queue_release(queue);
    execq_executor_release(executor);
}

/* An asynchronous task: a timer of the loop, twice. */
typedef struct {
    uv_timer_t timer;
    execq_promise *promise;
    int left;
} ticking;

static void ticking_closed(uv_handle_t *handle)
{
    ticking *self = handle->data;
    must(execq_promise_resolve(self->promise, NULL) == EXECQ_OK);
    execq_promise_release(self->promise);
}

static void tick(uv_timer_t *timer)
{
    ticking *self = timer->data;
    if (--self->left == 0)
        uv_close((uv_handle_t *)timer, ticking_closed);
}

static void start_ticking(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    ticking *self = env;
    self->promise = promise;
    self->timer.data = self;
    must(uv_timer_init(loop, &self->timer) == 0);
    must(uv_timer_start(&self->timer, tick, 1, 1) == 0);
}

static void asynchronous_tasks_run_on_the_stepping_thread(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 2; seed++) {
        execq_executor *executor = manual_new(seed);
        ticking both[2] = {{.left = 2}, {.left = 3}};
        execq_future *futures[2];
        ordered = 0;
        for (int i = 0; i < 2; i++)
            assert_status(execq_submit_async(executor, NULL, start_ticking, &both[i], &futures[i]), EXECQ_OK);
        assert_status(execq_submit(executor, note, NULL, NULL), EXECQ_OK);
        assert_status(execq_future_wait_all(futures, 2, -1), EXECQ_OK);
        assert_int_equal(ordered, 1);
        for (int i = 0; i < 2; i++)
            execq_future_release(futures[i]);

        both[0].left = both[1].left = 1;
        assert_status(execq_submit_async(executor, NULL, start_ticking, &both[0], &futures[0]), EXECQ_OK);
        assert_status(execq_submit_async(executor, NULL, start_ticking, &both[1], NULL), EXECQ_OK);
        while (execq_future_state(futures[0]) != EXECQ_FUTURE_OK)
            run_all(executor);
        execq_future_release(futures[0]);
        assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
        assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
        execq_executor_release(executor);
        assert_status(execq_thread_loop_close(), EXECQ_OK);
    }
}

/* One program, whatever runs it: what comes of it must be the same. */
typedef struct {
    int64_t sum;
    int queue_ok;
    int32_t group;
    int32_t deadline_reason;
    int32_t canceled_reason;
    int enough_ticks;
    int32_t closed;
} outcome;

typedef struct {
    execq_executor *executor;
    int n;
    int64_t *sum;
} part;

static int32_t square(void *env, void **result)
{
    *result = (void *)((intptr_t)env * (intptr_t)env);
    return 0;
}

/* Fans out and waits. */
static int32_t sum_of_squares(void *env, void **result)
{
    const part *self = env;
    execq_future *futures[8];
    intptr_t sum = 0;
    for (intptr_t i = 0; i < 8; i++)
        must(execq_submit(self->executor, square, (void *)(self->n + i), &futures[i]) == EXECQ_OK);
    must(execq_future_wait_all(futures, 8, -1) == EXECQ_OK);
    for (int i = 0; i < 8; i++) {
        void *value = NULL;
        must(execq_future_result(futures[i], &value) == EXECQ_OK);
        sum += (intptr_t)value;
        execq_future_release(futures[i]);
    }
    *result = (void *)sum;
    return 0;
}

typedef struct {
    int next;
    int ok;
} line;

typedef struct {
    line *line;
    int place;
} line_entry;

static int32_t in_line(void *env, void **result)
{
    line_entry *self = env;
    (void)result;
    self->line->ok &= self->line->next++ == self->place;
    return 0;
}

static int32_t fail_now(void *env, void **result)
{
    (void)env, (void)result;
    return execq_fail(77, "as it should");
}

static int32_t count_tick(void *env, void **result)
{
    (void)result;
    counter_hit(env);
    return 0;
}

static outcome program(execq_executor *executor)
{
    outcome out = {0};
    part parts[6];
    execq_future *futures[6];
    for (int i = 0; i < 6; i++) {
        parts[i] = (part){executor, i, NULL};
        must(execq_submit(executor, sum_of_squares, &parts[i], &futures[i]) == EXECQ_OK);
    }
    execq_queue *queue = NULL;
    must(execq_queue_new(executor, NULL, &queue) == EXECQ_OK);
    line one = {0, 1};
    line_entry entries[20];
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.queue = queue;
    for (int i = 0; i < 20; i++) {
        entries[i] = (line_entry){&one, i};
        must(execq_submit_with(executor, &options, in_line, &entries[i], NULL) == EXECQ_OK);
    }
    counter ticks = {0};
    execq_future *series = NULL;
    must(execq_submit_periodic(executor, NULL, 2 * MILLISECOND, EXECQ_FIXED_DELAY, count_tick, &ticks, &series) ==
         EXECQ_OK);

    execq_task_options limited = EXECQ_TASK_OPTIONS_INIT;
    limited.delay_ns = 3600 * SECOND;
    limited.timeout_ns = 5 * MILLISECOND;
    execq_future *limit = NULL;
    must(execq_submit_with(executor, &limited, square, NULL, &limit) == EXECQ_OK);
    limited.timeout_ns = 0;
    execq_future *canceled = NULL;
    must(execq_submit_with(executor, &limited, square, NULL, &canceled) == EXECQ_OK);

    execq_group *group = NULL;
    must(execq_group_new(NULL, &group) == EXECQ_OK);
    must(execq_group_submit(group, executor, &limited, square, NULL, NULL) == EXECQ_OK);
    must(execq_group_submit(group, executor, NULL, fail_now, NULL, NULL) == EXECQ_OK);
    out.group = execq_group_join(group, -1);
    must(execq_error_code(execq_group_error(group)) == 77);
    execq_group_release(group);

    must(execq_future_wait_all(futures, 6, -1) == EXECQ_OK);
    for (int i = 0; i < 6; i++) {
        void *value = NULL;
        must(execq_future_result(futures[i], &value) == EXECQ_OK);
        out.sum += (intptr_t)value;
        execq_future_release(futures[i]);
    }
    must(execq_future_wait(limit, -1) == EXECQ_OK);
    out.deadline_reason = execq_future_cancel_reason(limit);
    must(execq_future_cancel(canceled) == EXECQ_OK);
    out.canceled_reason = execq_future_cancel_reason(canceled);
    execq_future_release(limit);
    execq_future_release(canceled);

    execq_future *nap = NULL;
    must(execq_sleep(10 * MILLISECOND, &nap) == EXECQ_OK);
    must(execq_future_wait(nap, -1) == EXECQ_OK);
    execq_future_release(nap);
    while (counter_get(&ticks) < 3) { /* on a busy machine threads may be late */
        must(execq_sleep(MILLISECOND, &nap) == EXECQ_OK);
        must(execq_future_wait(nap, -1) == EXECQ_OK);
        execq_future_release(nap);
    }
    (void)execq_future_cancel(series);
    must(execq_future_wait(series, -1) == EXECQ_OK);
    out.enough_ticks = counter_get(&ticks) >= 3;
    execq_future_release(series);

    execq_future *closed = NULL;
    must(execq_queue_close(queue, EXECQ_DRAIN, &closed) == EXECQ_OK);
    out.closed = execq_future_wait(closed, -1);
    execq_future_release(closed);
    execq_queue_release(queue);
    out.queue_ok = one.ok && one.next == 20;
    must(execq_executor_close(executor, EXECQ_DRAIN) == EXECQ_OK);
    must(execq_executor_join(executor, -1, NULL) == EXECQ_OK);
    execq_executor_release(executor);
    return out;
}

static void the_same_program_comes_to_the_same_on_a_pool_and_with_any_seed(void **state)
{
    (void)state;
    const outcome expected = program(pool_new(3));
    assert_int_equal(expected.group, EXECQ_EFAILED);
    assert_int_equal(expected.deadline_reason, EXECQ_REASON_DEADLINE);
    assert_int_equal(expected.canceled_reason, EXECQ_REASON_CALLER);
    assert_true(expected.queue_ok && expected.enough_ticks && expected.closed == EXECQ_OK);
    for (uint64_t seed = 0; seed <= 200; seed++) {
        const outcome got = program(manual_new(seed));
        assert_int_equal(got.sum, expected.sum);
        assert_memory_equal(&got.queue_ok, &expected.queue_ok, sizeof got - offsetof(outcome, queue_ok));
    }
}

static execq_status cq_waited(execq_cq *cq, int64_t timeout_ns, size_t *n)
{
    const execq_status status = execq_cq_wait(cq, timeout_ns);
    execq_completion completion = {0};
    *n = 0;
    if (status == EXECQ_OK) {
        must(execq_cq_drain(cq, &completion, 1, n) == EXECQ_OK);
        execq_future_release(completion.future);
    }
    return status;
}

static void a_completion_queue_is_waited_for_by_stepping(void **state)
{
    (void)state;
    execq_executor *executor = manual_new(0);
    execq_cq *cq = NULL;
    size_t n = 0;
    ordered = 0;
    assert_status(execq_cq_new(&cq), EXECQ_OK);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.delay_ns = SECOND;
    assert_status(execq_submit_to_cq(executor, &options, note, NULL, cq, NULL), EXECQ_OK);
    assert_status(cq_waited(cq, SECOND / 2, &n), EXECQ_ETIMEDOUT);
    assert_status(cq_waited(cq, -1, &n), EXECQ_OK);
    assert_int_equal(n, 1);
    assert_int_equal(now_of(executor), SECOND);
    assert_status(execq_cq_close(cq, NULL), EXECQ_OK);
    execq_cq_release(cq);
    execq_executor_release(executor);
}

static void two_of_one_thread_share_its_waits_and_the_time(void **state)
{
    (void)state;
    execq_executor *first = manual_new(1);
    execq_executor *second = manual_new(2);
    part across = {second, 3, NULL};
    execq_future *future = NULL;
    void *value = NULL;
    assert_status(execq_submit(first, sum_of_squares, &across, &future), EXECQ_OK);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_status(execq_future_result(future, &value), EXECQ_OK);
    assert_int_equal((intptr_t)value, 380); /* 3² + … + 10² */
    execq_future_release(future);
    ordered = 0;
    wait_and_release(submit_at(first, SECOND, note, NULL));
    assert_int_equal(now_of(first), SECOND);
    assert_int_equal(now_of(second), SECOND);
    execq_executor_release(first);
    execq_executor_release(second);
}

static void it_is_never_given_a_thread(void **state)
{
    (void)state;
    execq_executor *executor = manual_new(0);
    assert_status(execq_executor_resize(executor, 1, 3), EXECQ_ENOTSUP);
    ordered = 0;
    execq_future *future = NULL;
    assert_status(execq_submit(executor, note, NULL, &future), EXECQ_OK);
    execq_stats stats = EXECQ_STATS_INIT;
    assert_status(execq_executor_stats(executor, &stats), EXECQ_OK);
    assert_int_equal(stats.threads_started, 0);
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_PENDING);
    assert_int_equal(run_all(executor), 1);
    assert_int_equal(ordered, 1);
    execq_future_release(future);
    execq_executor_release(executor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_calls_are_refused),
        cmocka_unit_test(it_is_never_given_a_thread),
        cmocka_unit_test(nothing_runs_before_it_is_stepped_and_then_in_order),
        cmocka_unit_test(one_seed_is_one_order_and_another_seed_another),
        cmocka_unit_test(a_queue_keeps_its_order_whatever_the_seed),
        cmocka_unit_test(the_clock_is_exact_and_moves_by_hand),
        cmocka_unit_test(time_limits_are_on_the_clock),
        cmocka_unit_test(a_series_runs_by_the_clock),
        cmocka_unit_test(a_sleep_of_its_thread_is_on_its_clock_and_a_wait_jumps_there),
        cmocka_unit_test(a_sleep_outlives_no_clock),
        cmocka_unit_test(a_wait_steps_and_jumps_and_knows_a_deadlock),
        cmocka_unit_test(a_clock_that_stands_still_is_moved_by_no_wait),
        cmocka_unit_test(a_step_inside_a_body_runs_the_next_task_inside_it),
        cmocka_unit_test(a_wait_inside_a_body_goes_on),
        cmocka_unit_test(one_thread_steps_at_a_time),
        cmocka_unit_test(a_wait_of_another_thread_blocks_until_somebody_steps),
        cmocka_unit_test(what_comes_from_elsewhere_is_waited_for),
        cmocka_unit_test(a_group_is_joined_and_its_deadline_kept),
        cmocka_unit_test(a_close_is_joined),
        cmocka_unit_test(the_last_release_runs_what_is_due_and_cancels_the_rest),
        cmocka_unit_test(as_the_default_it_stands_for_null),
        cmocka_unit_test(room_is_waited_for_by_stepping),
        cmocka_unit_test(asynchronous_tasks_run_on_the_stepping_thread),
        cmocka_unit_test(the_same_program_comes_to_the_same_on_a_pool_and_with_any_seed),
        cmocka_unit_test(a_completion_queue_is_waited_for_by_stepping),
        cmocka_unit_test(two_of_one_thread_share_its_waits_and_the_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
