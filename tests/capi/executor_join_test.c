/* Joining an executor: whom it waits for, what it reports, who may not. */
#include "capi.h"

static void join_refuses_bad_arguments(void **state)
{
    (void)state;
    execq_shutdown_report report = EXECQ_SHUTDOWN_REPORT_INIT;
    execq_executor *executor = pool_new(1);
    assert_status(execq_executor_join(NULL, 0, NULL), EXECQ_EINVAL);
    assert_status(execq_executor_join(NULL, -1, &report), EXECQ_EINVAL);
    assert_status(execq_executor_join(executor, 0, NULL), EXECQ_EINVAL); /* not closed */
    assert_status(execq_executor_join(executor, -1, &report), EXECQ_EINVAL);
    assert_int_equal(report.threads, 0);
    finish(spawn(executor, do_nothing, NULL));
    pool_end(executor);
}

static void a_join_of_an_idle_executor_reports_nothing_left(void **state)
{
    (void)state;
    execq_running_task room[2];
    execq_shutdown_report report = EXECQ_SHUTDOWN_REPORT_INIT;
    report.running = room;
    report.running_max = COUNT_OF(room);
    report.running_count = report.running_total = report.queued = report.threads = 99;
    execq_executor *executor = pool_new(2);
    finish(spawn(executor, do_nothing, NULL));
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    assert_status(execq_executor_join(executor, -1, &report), EXECQ_OK);
    assert_int_equal(report.running_count, 0);
    assert_int_equal(report.running_total, 0);
    assert_int_equal(report.queued, 0);
    assert_int_equal(report.threads, 0);
    assert_ptr_equal(report.running, room);
    assert_int_equal(report.running_max, COUNT_OF(room));
    assert_status(execq_executor_join(executor, 0, &report), EXECQ_OK); /* joining again is fine */
    execq_executor_release(executor);
}

static void a_join_with_a_limit_never_ends_early(void **state)
{
    (void)state;
    static const int64_t limits[] = {0, 1, MILLISECOND, 20 * MILLISECOND};
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(1);
    execq_future *holder = occupy(executor, &g);
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        const int64_t start = clock_now();
        assert_status(execq_executor_join(executor, limits[i], NULL), EXECQ_ETIMEDOUT);
        assert_true(clock_now() - start >= limits[i]);
    }
    gate_open(&g, 1);
    assert_status(execq_executor_join(executor, INT64_MAX, NULL), EXECQ_OK);
    finish(holder);
    execq_executor_release(executor);
    gate_destroy(&g);
}

static execq_future *occupy_as(execq_executor *executor, const char *name, gate *g)
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    execq_future *future = NULL;
    options.name = name;
    assert_status(execq_submit_with(executor, &options, gate_fn, g, &future), EXECQ_OK);
    gate_await(g, 1);
    return future;
}

/* The entry of this name in a report, or NULL. */
static const execq_running_task *entry_of(const execq_shutdown_report *report, const char *name)
{
    for (uint64_t i = 0; i < report->running_count; i++) {
        if (strcmp(report->running[i].name, name) == 0) {
            return &report->running[i];
        }
    }
    return NULL;
}

static void a_join_that_gives_up_names_what_still_runs(void **state)
{
    (void)state;
    char name[] = "reads the disk";
    char longest[48];
    char longer[100];
    memset(longest, 'n', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    memset(longer, 'n', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    static gate g;
    gate_init(&g);
    const int64_t before = clock_now();
    execq_executor *executor = pool_new(3);
    execq_future *named = occupy_as(executor, name, &g);
    execq_future *cut = occupy_as(executor, longer, &g);
    execq_future *nameless = occupy_as(executor, NULL, &g);
    execq_future *queued[5];
    for (size_t i = 0; i < COUNT_OF(queued); i++) {
        queued[i] = spawn(executor, do_nothing, NULL);
    }
    memset(name, 'x', sizeof name - 1); /* names were copied */
    memset(longer, 'x', sizeof longer - 1);
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    execq_running_task room[8];
    memset(room, 0x7f, sizeof room);
    execq_shutdown_report report = EXECQ_SHUTDOWN_REPORT_INIT;
    report.running = room;
    report.running_max = COUNT_OF(room);
    const int64_t started = clock_now();
    assert_status(execq_executor_join(executor, 30 * MILLISECOND, &report), EXECQ_ETIMEDOUT);
    assert_int_equal(report.running_count, 3);
    assert_int_equal(report.running_total, 3);
    assert_int_equal(report.queued, COUNT_OF(queued));
    assert_int_equal(report.threads, 3);
    assert_non_null(entry_of(&report, "reads the disk"));
    assert_non_null(entry_of(&report, longest));
    assert_non_null(entry_of(&report, ""));
    struct timespec tick;
    clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
    const int64_t now = clock_now();
    for (uint64_t i = 0; i < report.running_count; i++) {
        assert_true(report.running[i].running_ns >= 30 * MILLISECOND - 2 * tick.tv_nsec);
        assert_true(report.running[i].running_ns <= now - before + 2 * tick.tv_nsec);
    }
    assert_true(now - started >= 30 * MILLISECOND);
    gate_open(&g, 3);
    assert_status(execq_executor_join(executor, -1, &report), EXECQ_OK);
    assert_int_equal(report.running_total + report.queued + report.threads, 0);
    finish(named);
    finish(cut);
    finish(nameless);
    for (size_t i = 0; i < COUNT_OF(queued); i++) {
        finish(queued[i]);
    }
    execq_executor_release(executor);
    gate_destroy(&g);
}

static void a_report_fills_no_more_than_its_room(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(3);
    execq_future *futures[3];
    for (size_t i = 0; i < COUNT_OF(futures); i++) {
        futures[i] = occupy_as(executor, "stays", &g);
    }
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    execq_running_task room[3];
    memset(room, 0x7f, sizeof room);
    execq_shutdown_report report = EXECQ_SHUTDOWN_REPORT_INIT;
    report.running = room;
    report.running_max = 2;
    assert_status(execq_executor_join(executor, 0, &report), EXECQ_ETIMEDOUT);
    assert_int_equal(report.running_count, 2);
    assert_int_equal(report.running_total, 3);
    assert_int_equal(room[2].name[0], 0x7f);
    report.running_max = 0;
    assert_status(execq_executor_join(executor, 0, &report), EXECQ_ETIMEDOUT);
    assert_int_equal(report.running_count, 0);
    assert_int_equal(report.running_total, 3);
    report.running = NULL;
    assert_status(execq_executor_join(executor, 0, &report), EXECQ_ETIMEDOUT);
    assert_int_equal(report.running_count, 0);
    assert_int_equal(report.running_total, 3);
    gate_open(&g, 3);
    for (size_t i = 0; i < COUNT_OF(futures); i++) {
        finish(futures[i]);
    }
    pool_end(executor);
    gate_destroy(&g);
}

static void what_was_canceled_is_no_longer_queued(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(1);
    execq_future *holder = occupy(executor, &g);
    execq_future *queued[4];
    for (size_t i = 0; i < COUNT_OF(queued); i++) {
        queued[i] = spawn(executor, do_nothing, NULL);
    }
    assert_status(execq_future_cancel(queued[1]), EXECQ_OK);
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    execq_shutdown_report report = EXECQ_SHUTDOWN_REPORT_INIT;
    assert_status(execq_executor_join(executor, 0, &report), EXECQ_ETIMEDOUT);
    assert_int_equal(report.queued, 3);
    assert_int_equal(report.running_total, 1);
    gate_open(&g, 1);
    finish(holder);
    for (size_t i = 0; i < COUNT_OF(queued); i++) {
        finish(queued[i]);
    }
    pool_end(executor);
    gate_destroy(&g);
}

static void pass_in_done(execq_future *future, void *env)
{
    (void)future;
    gate_pass(env);
}

static void a_join_waits_for_done_callbacks_on_workers(void **state)
{
    (void)state;
    static gate body;
    static gate callback;
    gate_init(&body);
    gate_init(&callback);
    execq_executor *executor = pool_new(1);
    execq_future *future = occupy(executor, &body);
    assert_status(execq_future_on_done(future, pass_in_done, &callback, NULL), EXECQ_OK);
    gate_open(&body, 1);
    gate_await(&callback, 1);
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_OK);
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    assert_status(execq_executor_join(executor, 0, NULL), EXECQ_ETIMEDOUT);
    gate_open(&callback, 1);
    assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
    execq_future_release(future);
    execq_executor_release(executor);
    gate_destroy(&body);
    gate_destroy(&callback);
}

static int32_t join_in_task(void *env, void **result)
{
    (void)result;
    return execq_executor_join(env, -1, NULL);
}

static void a_worker_may_not_join_its_own_executor(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(1);
    execq_future *holder = occupy(executor, &g);
    execq_future *joiner = spawn(executor, join_in_task, executor);
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    gate_open(&g, 1);
    assert_status(execq_future_wait(joiner, -1), EXECQ_OK);
    assert_int_equal(execq_error_code(execq_future_error(joiner)), EXECQ_EDEADLK);
    finish(holder);
    execq_future_release(joiner);
    pool_end(executor);
    gate_destroy(&g);
}

struct done_join {
    execq_executor *executor;
    execq_status status;
};

static void join_in_done(execq_future *future, void *env)
{
    (void)future;
    struct done_join *self = env;
    must(execq_executor_close(self->executor, EXECQ_DRAIN) == EXECQ_OK);
    self->status = execq_executor_join(self->executor, -1, NULL);
}

static void a_done_callback_on_a_worker_may_not_join_either(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(1);
    struct done_join self = {executor, EXECQ_OK};
    execq_future *future = occupy(executor, &g);
    assert_status(execq_future_on_done(future, join_in_done, &self, NULL), EXECQ_OK);
    gate_open(&g, 1);
    finish(future);
    pool_end(executor);
    assert_status(self.status, EXECQ_EDEADLK);
    gate_destroy(&g);
}

static void a_worker_of_another_executor_may_join(void **state)
{
    (void)state;
    execq_executor *joined = pool_new(1);
    execq_executor *other = pool_new(1);
    counter ran = {0};
    assert_status(execq_submit(joined, counter_fn, &ran, NULL), EXECQ_OK);
    assert_status(execq_executor_close(joined, EXECQ_DRAIN), EXECQ_OK);
    execq_future *joiner = spawn(other, join_in_task, joined);
    assert_status(execq_future_wait(joiner, -1), EXECQ_OK);
    assert_int_equal(execq_future_state(joiner), EXECQ_FUTURE_OK);
    assert_int_equal(counter_get(&ran), 1);
    execq_future_release(joiner);
    execq_executor_release(joined);
    pool_end(other);
}

static void *join_for_ever(void *env)
{
    must(execq_executor_join(env, -1, NULL) == EXECQ_OK);
    return NULL;
}

static void several_threads_may_join(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(1);
    execq_future *holder = occupy(executor, &g);
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    pthread_t threads[4];
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        threads[i] = thread_start(join_for_ever, executor);
    }
    gate_open(&g, 1);
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(execq_future_state(holder), EXECQ_FUTURE_OK);
    finish(holder);
    execq_executor_release(executor);
    gate_destroy(&g);
}

static int32_t end_the_thread(void *env, void **result)
{
    (void)env;
    (void)result;
    pthread_exit(NULL);
}

static void a_join_waits_for_the_worker_that_replaces_a_lost_one(void **state)
{
    (void)state;
    const int rounds = SCALED(500, 2);
    for (int round = 0; round < rounds; round++) {
        counter ran = {0};
        execq_executor *executor = pool_new(1);
        for (int i = 0; i < 3; i++) {
            assert_status(execq_submit(executor, end_the_thread, NULL, NULL), EXECQ_OK);
            assert_status(execq_submit(executor, counter_fn, &ran, NULL), EXECQ_OK);
        }
        assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
        assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
        assert_int_equal(counter_get(&ran), 3);
        execq_executor_release(executor);
    }
}

static pthread_key_t leaving;

static void pass_when_leaving(void *env) { gate_pass(env); }

static int32_t arrange_to_leave_slowly(void *env, void **result)
{
    (void)result;
    return pthread_setspecific(leaving, env);
}

static void a_join_with_a_limit_does_not_wait_for_a_thread_that_leaves_slowly(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    assert_int_equal(pthread_key_create(&leaving, pass_when_leaving), 0);
    execq_shutdown_report report = EXECQ_SHUTDOWN_REPORT_INIT;
    execq_executor *executor = pool_new(1);
    finish(spawn(executor, arrange_to_leave_slowly, &g));
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    gate_await(&g, 1);
    assert_status(execq_executor_join(executor, 0, &report), EXECQ_ETIMEDOUT);
    assert_int_equal(report.threads, 1);
    assert_status(execq_executor_join(executor, MILLISECOND, NULL), EXECQ_ETIMEDOUT);
    gate_open(&g, 1);
    assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
    execq_executor_release(executor);
    pthread_key_delete(leaving);
    gate_destroy(&g);
}

struct late_join {
    execq_executor *executor;
    execq_status status;
    gate g;
};

static pthread_key_t late;

static void join_late(void *env)
{
    struct late_join *self = env;
    gate_pass(&self->g);
    self->status = execq_executor_join(self->executor, MILLISECOND, NULL);
}

static int32_t arrange_to_join_late(void *env, void **result)
{
    (void)result;
    return pthread_setspecific(late, env);
}

static int32_t arrange_to_join_late_and_exit(void *env, void **result)
{
    (void)result;
    must(pthread_setspecific(late, env) == 0);
    pthread_exit(NULL);
}

/* The thread signed off before; what is left of it must not wait for its own end. */
static void a_destructor_of_a_workers_thread_local_may_not_join(void **state)
{
    (void)state;
    static const execq_fn bodies[] = {arrange_to_join_late, arrange_to_join_late_and_exit};
    static struct late_join self;
    assert_int_equal(pthread_key_create(&late, join_late), 0);
    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        self.executor = pool_new(1);
        self.status = EXECQ_OK;
        gate_init(&self.g);
        execq_future *future = spawn(self.executor, bodies[i], &self);
        assert_status(execq_future_wait(future, -1), EXECQ_OK);
        execq_future_release(future);
        assert_status(execq_executor_close(self.executor, EXECQ_DRAIN), EXECQ_OK);
        gate_await(&self.g, 1);
        gate_open(&self.g, 1);
        assert_status(execq_executor_join(self.executor, -1, NULL), EXECQ_OK);
        assert_status(self.status, EXECQ_EDEADLK);
        execq_executor_release(self.executor);
        gate_destroy(&self.g);
    }
    pthread_key_delete(late);
}

static void a_destructor_of_a_workers_thread_local_may_join_another_executor(void **state)
{
    (void)state;
    static struct late_join self;
    self.executor = pool_new(1);
    self.status = EXECQ_EINVAL;
    gate_init(&self.g);
    assert_int_equal(pthread_key_create(&late, join_late), 0);
    execq_executor *other = pool_new(1);
    finish(spawn(other, arrange_to_join_late, &self));
    assert_status(execq_executor_close(other, EXECQ_DRAIN), EXECQ_OK);
    finish(spawn(self.executor, do_nothing, NULL));
    assert_status(execq_executor_close(self.executor, EXECQ_DRAIN), EXECQ_OK);
    assert_status(execq_executor_join(self.executor, -1, NULL), EXECQ_OK);
    gate_await(&self.g, 1);
    gate_open(&self.g, 1);
    assert_status(execq_executor_join(other, -1, NULL), EXECQ_OK);
    assert_status(self.status, EXECQ_OK);
    execq_executor_release(self.executor);
    execq_executor_release(other);
    pthread_key_delete(late);
    gate_destroy(&self.g);
}

static void pass_in_drop(void *env) { gate_pass(env); }

static void *cancel_first(void *env)
{
    must(execq_future_cancel(env) == EXECQ_OK);
    return NULL;
}

/* By a thread of the program, or the one that keeps times. A worker finds the task taken, and passes it by. */
static void a_join_waits_for_a_task_that_another_thread_cancels(void **state)
{
    (void)state;
    static gate running;
    static gate dropping;
    for (int by_time = 0; by_time < 2; by_time++) {
        gate_init(&running);
        gate_init(&dropping);
        pthread_t thread;
        execq_future *future = NULL;
        execq_executor *executor = pool_new(1);
        execq_future *holder = occupy(executor, &running);
        execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
        options.drop = pass_in_drop;
        options.timeout_ns = by_time != 0 ? MILLISECOND : 0;
        assert_status(execq_submit_with(executor, &options, do_nothing, &dropping, &future), EXECQ_OK);
        if (by_time == 0) {
            thread = thread_start(cancel_first, future);
        }
        gate_await(&dropping, 1);
        gate_open(&running, 1);
        assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
        assert_status(execq_executor_join(executor, 0, NULL), EXECQ_ETIMEDOUT);
        assert_status(execq_executor_join(executor, 20 * MILLISECOND, NULL), EXECQ_ETIMEDOUT);
        gate_open(&dropping, 1);
        assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
        assert_int_equal(execq_future_state(future), EXECQ_FUTURE_CANCELED);
        if (by_time == 0) {
            pthread_join(thread, NULL);
        }
        execq_future_release(future);
        finish(holder);
        execq_executor_release(executor);
        gate_destroy(&running);
        gate_destroy(&dropping);
    }
}

static execq_executor *joined_in_drop;

/* The worker is let go here, so that it cannot have taken the task. */
static void join_in_drop(void *env)
{
    gate_open(env, 1);
    must(execq_executor_join(joined_in_drop, -1, NULL) == EXECQ_OK);
}

static void a_drop_on_the_canceling_thread_may_join_as_its_own_task_does_not_count(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_future *future = NULL;
    execq_executor *executor = pool_new(1);
    joined_in_drop = executor;
    execq_future *holder = occupy(executor, &g);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = join_in_drop;
    assert_status(execq_submit_with(executor, &options, do_nothing, &g, &future), EXECQ_OK);
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    assert_status(execq_future_cancel(future), EXECQ_OK);
    assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
    execq_future_release(future);
    finish(holder);
    execq_executor_release(executor);
    gate_destroy(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(join_refuses_bad_arguments),
        cmocka_unit_test(a_join_of_an_idle_executor_reports_nothing_left),
        cmocka_unit_test(a_join_with_a_limit_never_ends_early),
        cmocka_unit_test(a_join_that_gives_up_names_what_still_runs),
        cmocka_unit_test(a_report_fills_no_more_than_its_room),
        cmocka_unit_test(what_was_canceled_is_no_longer_queued),
        cmocka_unit_test(a_join_waits_for_done_callbacks_on_workers),
        cmocka_unit_test(a_worker_may_not_join_its_own_executor),
        cmocka_unit_test(a_done_callback_on_a_worker_may_not_join_either),
        cmocka_unit_test(a_worker_of_another_executor_may_join),
        cmocka_unit_test(several_threads_may_join),
        cmocka_unit_test(a_join_waits_for_the_worker_that_replaces_a_lost_one),
        cmocka_unit_test(a_join_with_a_limit_does_not_wait_for_a_thread_that_leaves_slowly),
        cmocka_unit_test(a_destructor_of_a_workers_thread_local_may_not_join),
        cmocka_unit_test(a_destructor_of_a_workers_thread_local_may_join_another_executor),
        cmocka_unit_test(a_join_waits_for_a_task_that_another_thread_cancels),
        cmocka_unit_test(a_drop_on_the_canceling_thread_may_join_as_its_own_task_does_not_count),
    };
    ignore_failures();
    return cmocka_run_group_tests_name("capi.executor_join", tests, NULL, NULL);
}
