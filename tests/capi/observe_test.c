/* How long tasks wait and run, how they end, and what an executor says of itself. */
#include "capi.h"

#include <math.h>

#include <execq/dump_file.h>

static execq_executor *timed(uint32_t threads)
{
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.name = "timed";
    options.max_threads = threads;
    options.flags = EXECQ_EXECUTOR_TIMES;
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

static int32_t fails(void *env, void **result)
{
    (void)env;
    (void)result;
    return -1;
}

/* ---- counts and times ---- */

static void outcomes_are_counted_before_a_future_is_done(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = timed(1);
    execq_future *held = occupy(executor, &g);
    execq_future *canceled = spawn(executor, do_nothing, NULL);
    execq_stats stats = stats_of(executor);
    assert_int_equal(stats.submitted, 2);
    assert_int_equal(stats.started, 1);
    assert_int_equal(stats.completed_ok, 0);
    assert_status(execq_future_cancel(canceled), EXECQ_OK);
    assert_int_equal(stats_of(executor).completed_canceled, 1);
    gate_open(&g, 1);
    finish(held);
    assert_int_equal(stats_of(executor).completed_ok, 1);
    execq_future *failed = spawn(executor, fails, NULL);
    assert_status(execq_future_wait(failed, -1), EXECQ_OK);
    assert_non_null(execq_future_error(failed));
    stats = stats_of(executor);
    assert_int_equal(stats.submitted, 3);
    assert_int_equal(stats.started, 2);
    assert_int_equal(stats.completed_failed, 1);
    assert_int_equal(stats.queue_latency.count, 2);
    assert_int_equal(stats.run_time.count, 2);
    assert_true(stats.run_time.p50_ns <= stats.run_time.max_ns);
    execq_future_release(failed);
    execq_future_release(canceled);
    pool_end(executor);
    gate_destroy(&g);
}

static void what_is_refused_is_not_counted(void **state)
{
    (void)state;
    execq_executor *executor = timed(1);
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    assert_status(execq_submit(executor, do_nothing, NULL, NULL), EXECQ_ECLOSED);
    assert_int_equal(stats_of(executor).submitted, 0);
    pool_end(executor);
}

static void without_the_flag_all_are_nothing(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    const double half = 0.5;
    int64_t out = 7;
    finish(spawn(executor, do_nothing, NULL));
    const execq_stats stats = stats_of(executor);
    assert_int_equal(stats.submitted, 0);
    assert_int_equal(stats.started, 0);
    assert_int_equal(stats.run_time.count, 0);
    assert_status(execq_executor_latency(executor, EXECQ_LATENCY_RUN, &half, 1, &out, NULL), EXECQ_ENOTSUP);
    assert_int_equal(out, 7);
    assert_status(execq_executor_latency(executor, EXECQ_LATENCY_LOOP_LAG, &half, 1, &out, NULL), EXECQ_OK);
    assert_int_equal(out, 0);
    pool_end(executor);
}

static void quantiles_rise_to_the_maximum(void **state)
{
    (void)state;
    execq_executor *executor = timed(1);
    const double quantiles[] = {0, 0.5, 0.99, 0.999, 1};
    int64_t out[COUNT_OF(quantiles)];
    uint64_t count = 0;
    for (int i = 0; i < 1000; i++) {
        finish(spawn(executor, do_nothing, NULL));
    }
    for (int32_t kind = EXECQ_LATENCY_QUEUE; kind <= EXECQ_LATENCY_RUN; kind++) {
        assert_status(execq_executor_latency(executor, kind, quantiles, COUNT_OF(quantiles), out, &count), EXECQ_OK);
        assert_int_equal(count, 1000);
        for (size_t i = 1; i < COUNT_OF(quantiles); i++) {
            assert_true(out[i - 1] <= out[i]);
        }
    }
    assert_int_equal(out[4], stats_of(executor).run_time.max_ns);
    assert_int_equal(out[1], stats_of(executor).run_time.p50_ns);
    pool_end(executor);
}

static void resolve(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    (void)loop;
    must(execq_promise_resolve(promise, env) == EXECQ_OK);
    execq_promise_release(promise);
}

static void times_of_loops_are_those_of_the_statistics(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1); /* they need no flag */
    const double max = 1;
    int64_t lag = -1, turn = -1;
    uint64_t lags = 0, turns = 0;
    for (int i = 0; i < 10; i++) {
        execq_future *future = NULL;
        assert_status(execq_submit_async(executor, NULL, resolve, NULL, &future), EXECQ_OK);
        finish(future);
    }
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK); /* nothing is written any more */
    const execq_stats stats = stats_of(executor);
    assert_status(execq_executor_latency(executor, EXECQ_LATENCY_LOOP_LAG, &max, 1, &lag, &lags), EXECQ_OK);
    assert_status(execq_executor_latency(executor, EXECQ_LATENCY_LOOP_TURN, &max, 1, &turn, &turns), EXECQ_OK);
    assert_int_equal(lags, stats.loop_lag.count);
    assert_int_equal(lag, stats.loop_lag.max_ns);
    assert_int_equal(turns, stats.loop_turn.count);
    assert_int_equal(turn, stats.loop_turn.max_ns);
    execq_executor_release(executor);
}

static void a_delay_is_no_queue_latency(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = timed(1);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    execq_future *future = NULL;
    const double max = 1;
    int64_t out = 0;
    options.delay_ns = 300 * MILLISECOND;
    const int64_t before = clock_now();
    assert_status(execq_submit_with(executor, &options, do_nothing, NULL, &future), EXECQ_OK);
    finish(future);
    const int64_t took = clock_now() - before;
    assert_status(execq_executor_latency(executor, EXECQ_LATENCY_QUEUE, &max, 1, &out, NULL), EXECQ_OK);
    assert_true(out <= took - options.delay_ns);
    pool_end(executor);
    gate_destroy(&g);
}

static void bad_arguments_are_refused(void **state)
{
    (void)state;
    execq_executor *executor = timed(1);
    const double bad[] = {-0.1, 1.1, (double)NAN};
    const double good = 0.5;
    int64_t out = 7;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_status(execq_executor_latency(executor, EXECQ_LATENCY_RUN, &bad[i], 1, &out, NULL), EXECQ_EINVAL);
    }
    assert_status(execq_executor_latency(NULL, EXECQ_LATENCY_RUN, &good, 1, &out, NULL), EXECQ_EINVAL);
    assert_status(execq_executor_latency(executor, EXECQ_LATENCY_RUN, NULL, 1, &out, NULL), EXECQ_EINVAL);
    assert_status(execq_executor_latency(executor, EXECQ_LATENCY_RUN, &good, 1, NULL, NULL), EXECQ_EINVAL);
    assert_status(execq_executor_latency(executor, 0, &good, 1, &out, NULL), EXECQ_EINVAL);
    assert_status(execq_executor_latency(executor, 5, &good, 1, &out, NULL), EXECQ_EINVAL);
    assert_status(execq_executor_latency(executor, EXECQ_LATENCY_RUN, NULL, 0, NULL, NULL), EXECQ_OK);
    assert_int_equal(out, 7);
    assert_status(execq_dump(executor, NULL, NULL), EXECQ_EINVAL);
    assert_status(execq_dump_file(executor, NULL), EXECQ_EINVAL);
    pool_end(executor);
}

/* ---- in words ---- */

typedef struct text {
    char all[16384];
    size_t size;
} text;

static void keep(const char *piece, size_t size, void *env)
{
    text *t = env;
    must(size != 0 && piece[size - 1] == '\n');
    must(t->size + size < sizeof t->all);
    memcpy(t->all + t->size, piece, size);
    t->size += size;
    t->all[t->size] = '\0';
}

static text dumped;

static const char *dump_of(execq_executor *executor)
{
    dumped.size = 0;
    assert_status(execq_dump(executor, keep, &dumped), EXECQ_OK);
    return dumped.all;
}

static void every_running_task_is_named(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executors[] = {timed(2), pool_new(2)};
    for (size_t i = 0; i < COUNT_OF(executors); i++) {
        execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
        execq_future *named = NULL;
        options.name = "the named one\nof two lines";
        assert_status(execq_submit_with(executors[i], &options, gate_fn, &g, &named), EXECQ_OK);
        gate_await(&g, 1);
        assert_status(execq_submit(executors[i], gate_fn, &g, NULL), EXECQ_OK);
        gate_await(&g, 1);
        execq_future *waits = spawn(executors[i], do_nothing, NULL);
        const char *all = dump_of(executors[i]);
        assert_non_null(strstr(all, "inside of task 'the named one of two lines'"));
        assert_non_null(strstr(all, "inside of task without a name"));
        assert_non_null(strstr(all, ", open: 2 threads of at most 2"));
        assert_non_null(strstr(all, "waiting: 1 blocking tasks"));
        assert_non_null(strstr(all, "worker 1: running"));
        if (i == 0) {
            assert_non_null(strstr(all, "tasks: 3 submitted, 2 started"));
            assert_null(strstr(all, "at least"));
        } else {
            assert_non_null(strstr(all, "for at least"));
        }
        assert_status(execq_executor_close(executors[i], EXECQ_DRAIN), EXECQ_OK);
        assert_non_null(strstr(dump_of(executors[i]), ", draining: "));
        gate_open(&g, 2);
        finish(named);
        finish(waits);
        assert_status(execq_executor_join(executors[i], -1, NULL), EXECQ_OK);
        assert_non_null(strstr(dump_of(executors[i]), "draining: 0 threads"));
        execq_executor_release(executors[i]);
    }
    gate_destroy(&g);
}

static void null_is_all_of_them(void **state)
{
    (void)state;
    execq_executor *first = timed(1);
    execq_executor *second = pool_new(1);
    const char *all = dump_of(NULL);
    assert_non_null(strstr(all, "executor 'timed'"));
    assert_non_null(strstr(all, "executor 'execq'"));
    pool_end(first);
    assert_null(strstr(dump_of(NULL), "executor 'timed'"));
    pool_end(second);
}

static int32_t dumps_itself(void *env, void **result)
{
    (void)result;
    dumped.size = 0;
    return execq_dump(env, keep, &dumped);
}

static void a_task_may_dump_its_own_executor(void **state)
{
    (void)state;
    execq_executor *executor = timed(1);
    execq_future *future = spawn(executor, dumps_itself, executor);
    finish(future);
    assert_non_null(strstr(dumped.all, "inside of task"));
    pool_end(executor);
}

static execq_promise *kept;

static void start(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    (void)loop;
    kept = promise;
    sem_post(env);
}

static void an_open_asynchronous_task_is_named(void **state)
{
    (void)state;
    sem_t started;
    sem_init(&started, 0, 0);
    execq_executor *executor = pool_new(1);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    execq_future *future = NULL;
    options.name = "fetch";
    assert_status(execq_submit_async(executor, &options, start, &started, &future), EXECQ_OK);
    sem_take(&started);
    assert_non_null(strstr(dump_of(executor), "open: task 'fetch' for"));
    assert_status(execq_promise_resolve(kept, NULL), EXECQ_OK);
    execq_promise_release(kept);
    finish(future);
    pool_end(executor);
    sem_destroy(&started);
}

static void a_stream_gets_the_same(void **state)
{
    (void)state;
    execq_executor *executor = timed(1);
    char *memory = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&memory, &size);
    assert_status(execq_dump_file(executor, file), EXECQ_OK);
    assert_non_null(strstr(memory, "executor 'timed'"));
    fclose(file);
    free(memory);
    pool_end(executor);
}

/* Each dump is whole, whatever happens meanwhile. */
static void *dumps_all(void *stop)
{
    static text own;
    while (!atomic_load((atomic_int *)stop)) {
        own.size = 0;
        must(execq_dump(NULL, keep, &own) == EXECQ_OK);
    }
    return NULL;
}

static void dumps_do_not_mind_what_goes_on(void **state)
{
    (void)state;
    static atomic_int stop;
    atomic_store(&stop, 0);
    pthread_t dumper = thread_start(dumps_all, &stop);
    for (int round = 0; round < SCALED(100, 4); round++) {
        execq_executor *executor = round % 2 == 0 ? timed(3) : pool_new(3);
        counter ran = {0};
        for (int i = 0; i < 200; i++) {
            assert_status(execq_submit(executor, counter_fn, &ran, NULL), EXECQ_OK);
        }
        pool_end(executor);
        assert_int_equal(counter_get(&ran), 200);
    }
    atomic_store(&stop, 1);
    pthread_join(dumper, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outcomes_are_counted_before_a_future_is_done),
        cmocka_unit_test(what_is_refused_is_not_counted),
        cmocka_unit_test(without_the_flag_all_are_nothing),
        cmocka_unit_test(quantiles_rise_to_the_maximum),
        cmocka_unit_test(times_of_loops_are_those_of_the_statistics),
        cmocka_unit_test(a_delay_is_no_queue_latency),
        cmocka_unit_test(bad_arguments_are_refused),
        cmocka_unit_test(every_running_task_is_named),
        cmocka_unit_test(null_is_all_of_them),
        cmocka_unit_test(a_task_may_dump_its_own_executor),
        cmocka_unit_test(an_open_asynchronous_task_is_named),
        cmocka_unit_test(a_stream_gets_the_same),
        cmocka_unit_test(dumps_do_not_mind_what_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
