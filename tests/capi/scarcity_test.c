/* When threads, descriptors or numbers run out: a status, nothing changed, and later it works. */
#include "capi.h"

#include <dlfcn.h>
#include <sched.h>

#include "descriptors.h"

static atomic_int refuse_threads;
static atomic_int refused_threads;

/* Stands before the system's function of that name, for the library too. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*fn)(void *), void *env)
{
    static int (*original)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (atomic_load(&refuse_threads)) {
        atomic_fetch_add(&refused_threads, 1);
        return EAGAIN;
    }
    if (original == NULL) {
        /* A function pointer from dlsym needs a detour in ISO C. */
        *(void **)&original = dlsym(RTLD_NEXT, "pthread_create");
    }
    return original(thread, attributes, fn, env);
}

static void without_a_first_thread_a_submission_is_refused(void **state)
{
    (void)state;
    counter dropped = {0};
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = counter_hit;
    execq_future *out = UNTOUCHED;
    void *envs[] = {&dropped, &dropped, &dropped};
    execq_future *outs[] = {UNTOUCHED, UNTOUCHED, UNTOUCHED};
    execq_executor *executor = pool_new(2);
    atomic_store(&refuse_threads, 1);
    const execq_status one = execq_submit_with(executor, &options, counter_fn, &dropped, &out);
    const int dropped_by_one = counter_get(&dropped);
    const execq_status many = execq_submit_many(executor, &options, COUNT_OF(envs), counter_fn, envs, outs);
    atomic_store(&refuse_threads, 0);
    assert_status(one, EXECQ_EAGAIN);
    assert_status(many, EXECQ_EAGAIN);
    assert_int_equal(dropped_by_one, 1);
    assert_int_equal(counter_get(&dropped), 4);
    assert_ptr_equal(out, UNTOUCHED);
    assert_ptr_equal(outs[0], UNTOUCHED);
    assert_ptr_equal(outs[2], UNTOUCHED);
    finish(spawn(executor, do_nothing, NULL)); /* later it works */
    pool_end(executor);
    assert_int_equal(counter_get(&dropped), 4); /* what was refused never ran */
}

/* The first test: no other has had the thread started that keeps times. */
static void without_the_thread_that_keeps_times_nothing_that_needs_it_is_accepted(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    counter dropped = {0};
    execq_executor *executor = pool_new(1);
    execq_future *blocker = occupy(executor, &g);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = counter_hit;
    void *envs[] = {&dropped, &dropped, &dropped};
    execq_future *outs[] = {UNTOUCHED, UNTOUCHED, UNTOUCHED};
    execq_future *out = UNTOUCHED;
    execq_status statuses[6];
    atomic_store(&refuse_threads, 1);
    statuses[0] = execq_sleep(1, &out);
    options.delay_ns = 1;
    statuses[1] = execq_submit_with(executor, &options, counter_fn, &dropped, &out);
    options.delay_ns = 0;
    options.timeout_ns = INT64_MAX / 2;
    statuses[2] = execq_submit_with(executor, &options, counter_fn, &dropped, &out);
    options.timeout_ns = 0;
    options.start_within_ns = -1;
    statuses[3] = execq_submit_with(executor, &options, counter_fn, &dropped, &out);
    statuses[4] = execq_submit_many(executor, &options, COUNT_OF(envs), counter_fn, envs, outs);
    options.start_within_ns = 0;
    statuses[5] = execq_submit_periodic(executor, &options, 1, EXECQ_FIXED_RATE, counter_fn, &dropped, &out);
    atomic_store(&refuse_threads, 0);
    for (size_t i = 0; i < COUNT_OF(statuses); i++)
        assert_status(statuses[i], EXECQ_EAGAIN);
    assert_int_equal(counter_get(&dropped), 7);
    assert_ptr_equal(out, UNTOUCHED);
    assert_ptr_equal(outs[0], UNTOUCHED);
    assert_ptr_equal(outs[2], UNTOUCHED);
    assert_status(execq_sleep(1, &out), EXECQ_OK); /* later it works */
    finish(out);
    gate_open(&g, 1);
    finish(blocker);
    pool_end(executor);
    assert_int_equal(counter_get(&dropped), 7); /* what was refused never ran */
    gate_destroy(&g);
}

/* While it lives, the thread that keeps times does. */
static execq_future *hold_times(void)
{
    execq_future *future = NULL;
    assert_status(execq_sleep(-1, &future), EXECQ_OK);
    return future;
}

static void let_times_go(execq_future *held)
{
    assert_status(execq_future_cancel(held), EXECQ_OK);
    execq_future_release(held);
}

/* Its runs are late, but it is not lost. */
static void without_a_first_thread_a_series_waits_for_one(void **state)
{
    (void)state;
    counter ran = {0};
    execq_future *futures[] = {NULL, NULL};
    execq_future *held = hold_times();
    execq_executor *executor = pool_new(1);
    const int before = atomic_load(&refused_threads);
    atomic_store(&refuse_threads, 1);
    execq_status statuses[COUNT_OF(futures)];
    for (size_t i = 0; i < COUNT_OF(futures); i++)
        statuses[i] = execq_submit_periodic(executor, NULL, 1, EXECQ_FIXED_RATE, counter_fn, &ran, &futures[i]);
    while (atomic_load(&refused_threads) < before + 6) { /* each was tried, and at least one again and again */
        sched_yield();
    }
    const int ran_without = counter_get(&ran);
    const execq_status canceled = execq_future_cancel(futures[0]);
    atomic_store(&refuse_threads, 0);
    let_times_go(held);
    assert_status(statuses[0], EXECQ_OK);
    assert_status(statuses[1], EXECQ_OK);
    assert_int_equal(ran_without, 0);
    assert_status(canceled, EXECQ_OK);
    execq_future_release(futures[0]);
    while (counter_get(&ran) < 3) { /* nobody submits anything */
        sched_yield();
    }
    assert_int_equal(execq_future_cancel_reason(futures[1]), EXECQ_REASON_NONE);
    pool_end(executor);
    assert_int_equal(execq_future_cancel_reason(futures[1]), EXECQ_REASON_SHUTDOWN);
    finish(futures[1]);
}

static void without_a_first_thread_a_close_ends_a_series(void **state)
{
    (void)state;
    counter dropped = {0};
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = counter_hit;
    execq_future *future = NULL;
    execq_future *held = hold_times();
    execq_executor *executor = pool_new(1);
    const int before = atomic_load(&refused_threads);
    atomic_store(&refuse_threads, 1);
    const execq_status status =
        execq_submit_periodic(executor, &options, 1, EXECQ_FIXED_DELAY, counter_fn, &dropped, &future);
    while (atomic_load(&refused_threads) == before) {
        sched_yield();
    }
    const execq_status closed = execq_executor_close(executor, EXECQ_DRAIN);
    const execq_status joined = execq_executor_join(executor, -1, NULL);
    atomic_store(&refuse_threads, 0);
    let_times_go(held);
    assert_status(status, EXECQ_OK);
    assert_status(closed, EXECQ_OK);
    assert_status(joined, EXECQ_OK);
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_CANCELED);
    assert_int_equal(execq_future_cancel_reason(future), EXECQ_REASON_SHUTDOWN);
    assert_int_equal(counter_get(&dropped), 1);
    execq_future_release(future);
    execq_executor_release(executor);
}

static void without_a_further_thread_a_submission_is_queued(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    counter ran = {0};
    execq_executor *executor = pool_new(4);
    execq_future *holder = occupy(executor, &g);
    atomic_store(&refuse_threads, 1);
    for (int i = 0; i < 10; i++) {
        assert_status(execq_submit(executor, counter_fn, &ran, NULL), EXECQ_OK);
    }
    gate_open(&g, 1);
    finish(holder);
    pool_end(executor);
    atomic_store(&refuse_threads, 0);
    assert_int_equal(counter_get(&ran), 10);
    gate_destroy(&g);
}

static void a_thread_that_can_not_start_is_not_tried_at_each_submission(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    counter ran = {0};
    execq_executor *executor = pool_new(4);
    execq_future *holder = occupy(executor, &g);
    const int before = atomic_load(&refused_threads);
    const int64_t start = clock_now();
    atomic_store(&refuse_threads, 1);
    for (int i = 0; i < 10000; i++) {
        assert_status(execq_submit(executor, counter_fn, &ran, NULL), EXECQ_OK);
    }
    const int tries = atomic_load(&refused_threads) - before;
    atomic_store(&refuse_threads, 0);
    assert_in_range(tries, 1, 2 + (clock_now() - start) / (50 * MILLISECOND));
    /* Soon enough, if work still comes, the next thread starts while the first one is held. */
    while (counter_get(&ran) == 0) {
        assert_status(execq_submit(executor, counter_fn, &ran, NULL), EXECQ_OK);
        sched_yield();
    }
    gate_open(&g, 1);
    finish(holder);
    pool_end(executor);
    assert_true(counter_get(&ran) > 10000);
    gate_destroy(&g);
}

/* A lost thread makes room for another one at once. */
static int32_t end_the_thread(void *env, void **result)
{
    (void)result;
    gate_pass(env);
    pthread_exit(NULL);
}

static void after_a_refused_start_a_lost_thread_is_replaced_at_once(void **state)
{
    (void)state;
    static gate g;
    static gate lost;
    gate_init(&g);
    gate_init(&lost);
    counter ran = {0};
    execq_executor *executor = pool_new(3);
    execq_future *holder = occupy(executor, &g);
    execq_future *last = spawn(executor, end_the_thread, &lost);
    gate_await(&lost, 1);
    atomic_store(&refuse_threads, 1);
    assert_status(execq_submit(executor, counter_fn, &ran, NULL), EXECQ_OK);
    atomic_store(&refuse_threads, 0);
    assert_int_equal(counter_get(&ran), 0);
    gate_open(&lost, 1);
    while (counter_get(&ran) == 0) { /* nobody submits, and the first thread is held */
        sched_yield();
    }
    gate_open(&g, 1);
    finish(holder);
    finish(last);
    pool_end(executor);
    gate_destroy(&g);
    gate_destroy(&lost);
}

/* A task whose child finds no thread, and which may not run it in place. */
struct stranded {
    execq_executor *executor;
    execq_status by_limit;
    execq_status by_any;
};

static int32_t wait_for_a_child_without_threads(void *env, void **result)
{
    struct stranded *self = env;
    execq_future *child = NULL;
    *result = NULL;
    atomic_store(&refuse_threads, 1);
    must(execq_submit(self->executor, do_nothing, NULL, &child) == EXECQ_OK);
    self->by_limit = execq_future_wait(child, INT64_C(3600000000000));
    self->by_any = execq_future_wait_any(&child, 1, -1, NULL);
    atomic_store(&refuse_threads, 0);
    execq_future_release(child);
    return 0;
}

static void a_wait_for_a_thread_that_can_not_start_is_refused(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(4);
    struct stranded self = {executor, EXECQ_OK, EXECQ_OK};
    finish(spawn(executor, wait_for_a_child_without_threads, &self));
    assert_status(self.by_limit, EXECQ_EDEADLK);
    assert_status(self.by_any, EXECQ_EDEADLK);
    pool_end(executor);
}

/* The same, but threads can be started again by the time of the wait. */
static int32_t wait_for_a_child_with_threads_again(void *env, void **result)
{
    struct stranded *self = env;
    execq_future *child = NULL;
    *result = NULL;
    atomic_store(&refuse_threads, 1);
    must(execq_submit(self->executor, do_nothing, NULL, &child) == EXECQ_OK);
    atomic_store(&refuse_threads, 0);
    self->by_limit = execq_future_wait(child, INT64_C(3600000000000));
    execq_future_release(child);
    return 0;
}

static void a_wait_starts_the_thread_that_the_submission_could_not(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(4);
    struct stranded self = {executor, EXECQ_EINVAL, EXECQ_EINVAL};
    finish(spawn(executor, wait_for_a_child_with_threads_again, &self));
    assert_status(self.by_limit, EXECQ_OK);
    pool_end(executor);
}

static void without_descriptors_a_queue_is_refused(void **state)
{
    (void)state;
    struct rlimit saved;
    execq_cq *cq = UNTOUCHED;
    const int before = descriptors_open();
    descriptors_refuse(&saved);
    const execq_status status = execq_cq_new(&cq);
    descriptors_allow(&saved);
    assert_status(status, EXECQ_EMFILE);
    assert_ptr_equal(cq, UNTOUCHED);
    assert_int_equal(descriptors_open(), before);
    assert_status(execq_cq_new(&cq), EXECQ_OK);
    execq_cq_release(cq);
    assert_int_equal(descriptors_open(), before);
}

static void the_number_of_executors_is_limited_and_numbers_come_back(void **state)
{
    (void)state;
    enum { MOST = 65535 };
    execq_executor **executors = calloc(MOST + 1, sizeof(execq_executor *));
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 1;
    for (int round = 0; round < 2; round++) {
        int n = 0;
        execq_status status = EXECQ_OK;
        while (n <= MOST && (status = execq_executor_new(&options, &executors[n])) == EXECQ_OK) {
            n++;
        }
        assert_status(status, EXECQ_EAGAIN);
        assert_int_equal(n, MOST);
        assert_null(executors[n]);
        while (n > 0) {
            execq_executor_release(executors[--n]);
            executors[n] = NULL;
        }
    }
    free(executors);
    execq_executor *executor = pool_new(1);
    finish(spawn(executor, do_nothing, NULL));
    pool_end(executor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_the_thread_that_keeps_times_nothing_that_needs_it_is_accepted),
        cmocka_unit_test(the_number_of_executors_is_limited_and_numbers_come_back),
        cmocka_unit_test(without_a_first_thread_a_submission_is_refused),
        cmocka_unit_test(without_a_first_thread_a_series_waits_for_one),
        cmocka_unit_test(without_a_first_thread_a_close_ends_a_series),
        cmocka_unit_test(without_a_further_thread_a_submission_is_queued),
        cmocka_unit_test(a_thread_that_can_not_start_is_not_tried_at_each_submission),
        cmocka_unit_test(after_a_refused_start_a_lost_thread_is_replaced_at_once),
        cmocka_unit_test(without_descriptors_a_queue_is_refused),
        cmocka_unit_test(a_wait_for_a_thread_that_can_not_start_is_refused),
        cmocka_unit_test(a_wait_starts_the_thread_that_the_submission_could_not),
    };
    return cmocka_run_group_tests_name("capi.scarcity", tests, NULL, NULL);
}
