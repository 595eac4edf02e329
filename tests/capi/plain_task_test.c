/* Tasks without a handle, options or completions: they have no node, and nobody can tell. */
#include "capi.h"

#include <sched.h>

static void spawn_plain(execq_executor *executor, execq_fn fn, void *env)
{
    assert_status(execq_submit(executor, fn, env, NULL), EXECQ_OK);
}

/* Each has its own count: one that ran twice would make up for one that never did. */
static void each_runs_once_whatever_way_it_is_submitted(void **state)
{
    (void)state;
    enum { EACH = 20000 };
    execq_executor *executor = pool_new(2);
    static counter ran[3 * EACH];
    for (int i = 0; i < EACH; i++) {
        counter *next = &ran[3 * i];
        spawn_plain(executor, counter_fn, next);
        assert_status(execq_submit_with(executor, NULL, counter_fn, next + 1, NULL), EXECQ_OK);
        execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
        assert_status(execq_submit_with(executor, &options, counter_fn, next + 2, NULL), EXECQ_OK);
    }
    pool_end(executor);
    for (int i = 0; i < 3 * EACH; i++) {
        assert_int_equal(counter_get(&ran[i]), 1);
    }
}

static int order[4];
static int order_length;

static int32_t note_env(void *env, void **result)
{
    (void)result;
    order[order_length++] = (int)(intptr_t)env;
    return 0;
}

static void one_worker_runs_them_in_order_beside_tasks_with_futures(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    static gate g;
    gate_init(&g);
    execq_future *first = occupy(executor, &g);
    order_length = 0;
    spawn_plain(executor, note_env, (void *)1);
    execq_future *second = spawn(executor, note_env, (void *)2);
    spawn_plain(executor, note_env, (void *)3);
    execq_future *last = spawn(executor, note_env, (void *)4);
    gate_open(&g, 1);
    finish(first);
    finish(second);
    finish(last);
    const int expected[] = {1, 2, 3, 4};
    assert_int_equal(order_length, 4);
    assert_memory_equal(order, expected, sizeof expected);
    pool_end(executor);
    gate_destroy(&g);
}

static int32_t fail_loudly(void *env, void **result)
{
    (void)env;
    (void)result;
    return execq_fail(77, "of the plain task");
}

static int32_t say_but_succeed(void *env, void **result)
{
    (void)env;
    (void)result;
    execq_fail(78, "said in passing");
    return 0;
}

static int32_t return_code(void *env, void **result)
{
    (void)result;
    return (int32_t)(intptr_t)env;
}

static void what_one_said_is_not_the_next_ones_failure(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    const int32_t codes[] = {77, 78};
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        spawn_plain(executor, i == 0 ? fail_loudly : say_but_succeed, NULL);
        execq_future *future = spawn(executor, return_code, (void *)(intptr_t)codes[i]);
        assert_status(execq_future_wait(future, -1), EXECQ_OK);
        const execq_error *error = execq_future_error(future);
        assert_non_null(error);
        assert_int_equal(execq_error_code(error), codes[i]);
        assert_null(strstr(execq_error_message(error), "plain"));
        assert_null(strstr(execq_error_message(error), "passing"));
        execq_future_release(future);
    }
    pool_end(executor);
}

static gate asked;
static atomic_int saw[2];

static int32_t look_for_cancel(void *env, void **result)
{
    (void)env;
    (void)result;
    atomic_store(&saw[0], execq_cancel_requested());
    gate_pass(&asked);
    atomic_store(&saw[1], execq_cancel_requested());
    return EXECQ_ECANCELED;
}

static void a_close_asks_the_running_one_and_drops_the_queued_ones(void **state)
{
    (void)state;
    enum { QUEUED = 5000 };
    execq_executor *executor = pool_new(1);
    static counter ran;
    ran.n = 0;
    gate_init(&asked);
    spawn_plain(executor, look_for_cancel, NULL);
    gate_await(&asked, 1);
    for (int i = 0; i < QUEUED; i++) {
        spawn_plain(executor, counter_fn, &ran);
    }
    assert_status(execq_executor_close(executor, EXECQ_CANCEL), EXECQ_OK);
    assert_status(execq_submit(executor, counter_fn, &ran, NULL), EXECQ_ECLOSED);
    execq_running_task running[2];
    execq_shutdown_report report = EXECQ_SHUTDOWN_REPORT_INIT;
    report.running = running;
    report.running_max = COUNT_OF(running);
    assert_status(execq_executor_join(executor, 0, &report), EXECQ_ETIMEDOUT);
    assert_int_equal(report.running_total, 1);
    assert_string_equal(running[0].name, "");
    assert_int_equal(report.queued, QUEUED);
    gate_open(&asked, 1);
    assert_status(execq_executor_join(executor, -1, &report), EXECQ_OK);
    assert_int_equal(report.queued, 0);
    assert_int_equal(report.running_total, 0);
    execq_executor_release(executor);
    assert_int_equal(counter_get(&ran), 0);
    assert_int_equal(atomic_load(&saw[0]), 0);
    assert_int_equal(atomic_load(&saw[1]), 1);
    gate_destroy(&asked);
}

static int32_t exit_thread(void *env, void **result)
{
    (void)env;
    (void)result;
    pthread_exit(NULL);
}

/* Aligned, as a body at an odd address, which gcc -O1 makes, is no plain task. */
__attribute__((aligned(16))) static int32_t fail_and_exit(void *env, void **result)
{
    (void)env;
    (void)result;
    execq_fail(1, "said by one that did not come to return it");
    pthread_exit(NULL);
}

/* More than an own queue takes, and what it leaves in there. */
static int32_t spawn_and_exit(void *env, void **result)
{
    execq_executor *executor = ((void **)env)[0];
    counter *ran = ((void **)env)[1];
    (void)result;
    for (int i = 0; i < 1000; i++) {
        must(execq_submit(executor, counter_fn, ran, NULL) == EXECQ_OK);
    }
    pthread_exit(NULL);
}

static void one_that_ends_its_thread_takes_no_other_with_it(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    static counter ran;
    ran.n = 0;
    void *env[] = {executor, &ran};
    spawn_plain(executor, exit_thread, NULL);
    for (int i = 0; i < 3; i++) {
        spawn_plain(executor, fail_and_exit, NULL);
    }
    spawn_plain(executor, spawn_and_exit, env);
    spawn_plain(executor, exit_thread, NULL);
    spawn_plain(executor, counter_fn, &ran);
    pool_end(executor);
    assert_int_equal(counter_get(&ran), 1001);
}

/* Inside a plain task a wait runs what it waits for in place; that one's failure is its own. */
static int32_t wait_inside(void *env, void **result)
{
    execq_executor *executor = ((void **)env)[0];
    counter *ran = ((void **)env)[1];
    (void)result;
    execq_future *inner = NULL;
    must(execq_submit(executor, fail_loudly, NULL, &inner) == EXECQ_OK);
    must(execq_future_wait(inner, -1) == EXECQ_OK);
    must(strcmp(execq_error_message(execq_future_error(inner)), "of the plain task") == 0);
    execq_future_release(inner);
    counter_hit(ran);
    return 0;
}

static void a_wait_inside_one_runs_tasks_in_place(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    static counter ran;
    ran.n = 0;
    void *env[] = {executor, &ran};
    spawn_plain(executor, wait_inside, env);
    pool_end(executor);
    assert_int_equal(counter_get(&ran), 1);
}

typedef struct blocker {
    gate g;
    counter *ran;
} blocker;

static int32_t block_and_count(void *env, void **result)
{
    blocker *self = env;
    (void)result;
    gate_pass(&self->g);
    counter_hit(self->ran);
    return 0;
}

static void await_count(counter *ran, int n)
{
    while (counter_get(ran) != n) {
        sched_yield();
    }
}

/* Tasks that were submitted behind one that blocks are not held up by it, wherever they lie. */
static void none_waits_behind_a_blocked_one(void **state)
{
    (void)state;
    enum { TASKS = 500, ROUNDS = SCALED(200, 10) };
    execq_executor *executor = pool_new(2);
    static counter ran;
    static blocker b = {.ran = &ran};
    gate_init(&b.g);
    for (int round = 0; round < ROUNDS; round++) {
        ran.n = 0;
        const int at = round % TASKS;
        for (int i = 0; i < TASKS; i++) {
            if (i == at) {
                spawn_plain(executor, block_and_count, &b);
            } else {
                spawn_plain(executor, counter_fn, &ran);
            }
        }
        gate_await(&b.g, 1);
        await_count(&ran, TASKS - 1); /* ends although the gate is shut */
        gate_open(&b.g, 1);
        await_count(&ran, TASKS);
    }
    pool_end(executor);
    gate_destroy(&b.g);
}

typedef struct flood {
    execq_executor *executor;
    atomic_int over;
    counter ran;
} flood;

static void *keep_submitting(void *env)
{
    flood *self = env;
    int sent = 0;
    while (!atomic_load(&self->over)) {
        must(execq_submit(self->executor, counter_fn, &self->ran, NULL) == EXECQ_OK);
        if (++sent - counter_get(&self->ran) > 1000) {
            sched_yield();
        }
    }
    return NULL;
}

/* Nor where the other workers always have something to do: they look after what stands still beside them. */
static void none_waits_behind_a_blocked_one_while_others_are_kept_busy(void **state)
{
    (void)state;
    enum { TASKS = 100, ROUNDS = SCALED(100, 10) };
    static flood f;
    static counter ran;
    static blocker b = {.ran = &ran};
    f.executor = pool_new(3);
    atomic_store(&f.over, 0);
    f.ran.n = 0;
    gate_init(&b.g);
    const pthread_t producer = thread_start(keep_submitting, &f);
    for (int round = 0; round < ROUNDS; round++) {
        ran.n = 0;
        for (int i = 0; i < TASKS; i++) {
            spawn_plain(f.executor, i == round % TASKS ? block_and_count : counter_fn,
                        i == round % TASKS ? (void *)&b : &ran);
        }
        gate_await(&b.g, 1);
        await_count(&ran, TASKS - 1);
        gate_open(&b.g, 1);
        await_count(&ran, TASKS);
    }
    atomic_store(&f.over, 1);
    assert_int_equal(pthread_join(producer, NULL), 0);
    pool_end(f.executor);
    gate_destroy(&b.g);
}

typedef struct feeder {
    execq_executor *executor;
    atomic_int over;
} feeder;

static int32_t feed(void *env, void **result)
{
    (void)result;
    feeder *self = env;
    if (!atomic_load(&self->over)) {
        must(execq_submit(self->executor, feed, self, NULL) == EXECQ_OK);
    }
    return 0;
}

/* Nor where these never run dry, as their tasks submit others: nobody is idle, so nobody takes what is left for want of work. */
static void none_waits_behind_a_blocked_one_while_others_feed_themselves(void **state)
{
    (void)state;
    enum { TASKS = 100, ROUNDS = SCALED(50, 10), FEEDERS = 16 };
    static feeder self;
    static counter ran;
    static blocker b = {.ran = &ran};
    self.executor = pool_new(3);
    atomic_store(&self.over, 0);
    gate_init(&b.g);
    for (int i = 0; i < FEEDERS; i++) {
        spawn_plain(self.executor, feed, &self);
    }
    for (int round = 0; round < ROUNDS; round++) {
        ran.n = 0;
        for (int i = 0; i < TASKS; i++) {
            spawn_plain(self.executor, i == round % TASKS ? block_and_count : counter_fn,
                        i == round % TASKS ? (void *)&b : &ran);
        }
        gate_await(&b.g, 1);
        await_count(&ran, TASKS - 1);
        gate_open(&b.g, 1);
        await_count(&ran, TASKS);
    }
    atomic_store(&self.over, 1);
    pool_end(self.executor);
    gate_destroy(&b.g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_runs_once_whatever_way_it_is_submitted),
        cmocka_unit_test(one_worker_runs_them_in_order_beside_tasks_with_futures),
        cmocka_unit_test(what_one_said_is_not_the_next_ones_failure),
        cmocka_unit_test(a_close_asks_the_running_one_and_drops_the_queued_ones),
        cmocka_unit_test(one_that_ends_its_thread_takes_no_other_with_it),
        cmocka_unit_test(a_wait_inside_one_runs_tasks_in_place),
        cmocka_unit_test(none_waits_behind_a_blocked_one),
        cmocka_unit_test(none_waits_behind_a_blocked_one_while_others_are_kept_busy),
        cmocka_unit_test(none_waits_behind_a_blocked_one_while_others_feed_themselves),
    };
    return cmocka_run_group_tests_name("capi.plain_task", tests, NULL, NULL);
}
