/* What becomes of env and value: when each is dropped, and what env_size copies. */
#include "capi.h"

#include <stdalign.h>

/* The order in which a body, its drop and its done callback happened. */
struct life {
    counter clock;
    int body;
    int drop;
    int done;
};

static int life_tick(struct life *life) { return atomic_fetch_add(&life->clock.n, 1) + 1; }

static int32_t life_fn(void *env, void **result)
{
    (void)result;
    struct life *life = env;
    life->body = life_tick(life);
    return 0;
}

static void life_drop(void *env)
{
    struct life *life = env;
    must(life->drop == 0);
    life->drop = life_tick(life);
}

static void life_done(execq_future *future, void *env)
{
    (void)future;
    struct life *life = env;
    life->done = life_tick(life);
}

static void env_is_dropped_after_the_body_and_before_the_future_is_done(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = life_drop;
    for (int i = 0; i < 100; i++) {
        static gate g;
        gate_init(&g);
        struct life life = {{0}, 0, 0, 0};
        execq_future *holder = occupy(executor, &g);
        execq_future *future = NULL;
        assert_status(execq_submit_with(executor, &options, life_fn, &life, &future), EXECQ_OK);
        assert_status(execq_future_on_done(future, life_done, &life, NULL), EXECQ_OK);
        gate_open(&g, 1);
        assert_status(execq_future_wait(future, -1), EXECQ_OK);
        assert_int_equal(life.body, 1);
        assert_int_equal(life.drop, 2);
        finish(spawn(executor, do_nothing, NULL)); /* on the one worker after the callback */
        assert_int_equal(life.done, 3);
        execq_future_release(future);
        finish(holder);
        gate_destroy(&g);
    }
    pool_end(executor);
}

static counter nulls_dropped;

static void drop_null(void *env)
{
    must(env == NULL);
    counter_hit(&nulls_dropped);
}

static void a_null_env_is_dropped_like_any_other(void **state)
{
    (void)state;
    atomic_store(&nulls_dropped.n, 0);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = drop_null;
    execq_executor *executor = pool_new(1);
    execq_future *future = NULL;
    assert_status(execq_submit_with(executor, &options, do_nothing, NULL, &future), EXECQ_OK);
    finish(future);
    assert_int_equal(counter_get(&nulls_dropped), 1);
    assert_status(execq_submit_with(executor, &options, NULL, NULL, &future), EXECQ_EINVAL);
    assert_int_equal(counter_get(&nulls_dropped), 2);
    pool_end(executor);
}

/* Submits give_env with drop_result counting on `values`. */
static execq_future *spawn_value(execq_executor *executor, execq_fn fn, counter *values)
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    execq_future *future = NULL;
    options.drop_result = counter_hit;
    assert_status(execq_submit_with(executor, &options, fn, values, &future), EXECQ_OK);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    return future;
}

static void a_value_nobody_took_is_dropped_at_the_last_release(void **state)
{
    (void)state;
    counter values = {0};
    void *value = NULL;
    execq_executor *executor = pool_new(1);
    execq_future *future = spawn_value(executor, give_env, &values);
    finish(spawn(executor, do_nothing, NULL));                    /* the worker is through with the first task */
    assert_status(execq_future_result(future, &value), EXECQ_OK); /* looking is not taking */
    execq_future_retain(future);
    execq_future_release(future);
    assert_int_equal(counter_get(&values), 0);
    execq_future_release(future);
    assert_int_equal(counter_get(&values), 1);
    pool_end(executor);
}

static pthread_t dropped_on;

static void note_dropping_thread(void *value)
{
    (void)value;
    dropped_on = pthread_self();
}

static void a_value_is_dropped_on_the_thread_of_the_last_release(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    execq_future *future = NULL;
    options.drop_result = note_dropping_thread;
    assert_status(execq_submit_with(executor, &options, do_nothing, NULL, &future), EXECQ_OK);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    pool_end(executor);
    memset(&dropped_on, 0, sizeof dropped_on);
    execq_future_release(future);
    assert_true(pthread_equal(dropped_on, pthread_self()));
}

static void a_null_value_is_dropped_like_any_other(void **state)
{
    (void)state;
    atomic_store(&nulls_dropped.n, 0);
    execq_executor *executor = pool_new(1);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    execq_future *future = NULL;
    options.drop_result = drop_null;
    assert_status(execq_submit_with(executor, &options, do_nothing, NULL, &future), EXECQ_OK);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    pool_end(executor);
    execq_future_release(future);
    assert_int_equal(counter_get(&nulls_dropped), 1);
}

static int32_t fail_with_value(void *env, void **result)
{
    *result = env;
    return 7;
}

static void the_value_of_a_failed_task_is_ignored(void **state)
{
    (void)state;
    counter values = {0};
    void *value = UNTOUCHED;
    execq_executor *executor = pool_new(1);
    execq_future *future = spawn_value(executor, fail_with_value, &values);
    assert_status(execq_future_result(future, &value), EXECQ_EFAILED);
    assert_status(execq_future_take(future, &value), EXECQ_EFAILED);
    assert_ptr_equal(value, UNTOUCHED);
    execq_future_release(future);
    pool_end(executor);
    assert_int_equal(counter_get(&values), 0);
}

static void a_canceled_task_drops_its_env_and_no_value(void **state)
{
    (void)state;
    counter dropped = {0};
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(1);
    execq_future *holder = occupy(executor, &g);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    execq_future *future = NULL;
    options.drop = counter_hit;
    options.drop_result = counter_hit; /* of env too, were it ever the value */
    assert_status(execq_submit_with(executor, &options, give_env, &dropped, &future), EXECQ_OK);
    assert_status(execq_future_cancel(future), EXECQ_OK);
    assert_int_equal(counter_get(&dropped), 1);
    gate_open(&g, 1);
    finish(holder);
    execq_future_release(future);
    pool_end(executor);
    assert_int_equal(counter_get(&dropped), 1);
    gate_destroy(&g);
}

/* A body's report on the copy of its env. */
struct copy_seen {
    void *address;
    unsigned char first;
    unsigned char last;
};

static size_t copied_size;
static struct copy_seen copy_in_body;
static void *copy_in_drop;

static int32_t look_at_copy(void *env, void **result)
{
    (void)result;
    const unsigned char *bytes = env;
    copy_in_body.address = env;
    copy_in_body.first = bytes[0];
    copy_in_body.last = bytes[copied_size - 1];
    return 0;
}

static void note_dropped(void *env) { copy_in_drop = env; }

static void env_size_hands_the_body_an_aligned_copy(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 8, 17, 64, 100, 4096, 1 << 20};
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(1);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        copied_size = sizes[i];
        unsigned char *bytes = malloc(sizes[i]);
        memset(bytes, 1, sizes[i]);
        bytes[sizes[i] - 1] = 2;
        bytes[0] = 3;
        const unsigned char last = bytes[sizes[i] - 1];
        execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
        execq_future *future = NULL;
        options.env_size = sizes[i];
        options.drop = note_dropped;
        execq_future *holder = occupy(executor, &g);
        assert_status(execq_submit_with(executor, &options, look_at_copy, bytes, &future), EXECQ_OK);
        memset(bytes, 0xee, sizes[i]);
        gate_open(&g, 1);
        finish(holder);
        finish(future);
        assert_ptr_not_equal(copy_in_body.address, bytes);
        assert_int_equal((uintptr_t)copy_in_body.address % alignof(max_align_t), 0);
        assert_int_equal(copy_in_body.first, 3);
        assert_int_equal(copy_in_body.last, last);
        assert_ptr_equal(copy_in_drop, copy_in_body.address);
        free(bytes);
    }
    pool_end(executor);
    gate_destroy(&g);
}

static void where_the_submission_fails_drop_gets_env_itself(void **state)
{
    (void)state;
    int bytes = 0;
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.env_size = sizeof bytes;
    options.drop = note_dropped;
    execq_executor *executor = pool_new(1);
    copy_in_drop = NULL;
    assert_status(execq_submit_with(executor, &options, NULL, &bytes, NULL), EXECQ_EINVAL);
    assert_ptr_equal(copy_in_drop, &bytes);
    copy_in_drop = NULL;
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    assert_status(execq_submit_with(executor, &options, do_nothing, &bytes, NULL), EXECQ_ECLOSED);
    assert_ptr_equal(copy_in_drop, &bytes);
    pool_end(executor);
}

static void env_size_without_env_is_refused(void **state)
{
    (void)state;
    atomic_store(&nulls_dropped.n, 0);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.env_size = 1;
    options.drop = drop_null;
    execq_future *out = UNTOUCHED;
    execq_executor *executor = pool_new(1);
    assert_status(execq_submit_with(executor, &options, do_nothing, NULL, &out), EXECQ_EINVAL);
    assert_int_equal(counter_get(&nulls_dropped), 1);
    assert_ptr_equal(out, UNTOUCHED);
    pool_end(executor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(env_is_dropped_after_the_body_and_before_the_future_is_done),
        cmocka_unit_test(a_null_env_is_dropped_like_any_other),
        cmocka_unit_test(a_value_nobody_took_is_dropped_at_the_last_release),
        cmocka_unit_test(a_value_is_dropped_on_the_thread_of_the_last_release),
        cmocka_unit_test(a_null_value_is_dropped_like_any_other),
        cmocka_unit_test(the_value_of_a_failed_task_is_ignored),
        cmocka_unit_test(a_canceled_task_drops_its_env_and_no_value),
        cmocka_unit_test(env_size_hands_the_body_an_aligned_copy),
        cmocka_unit_test(where_the_submission_fails_drop_gets_env_itself),
        cmocka_unit_test(env_size_without_env_is_refused),
    };
    return cmocka_run_group_tests_name("capi.task_drop", tests, NULL, NULL);
}
