/* What an executor's threads begin and end with, and what they are made of. */
#include "capi.h"

#include <execq/uv.h>
#include <sched.h>
#include <unistd.h>

static counter inits, finals, drops, ran;

static int32_t init_ok(void *env)
{
    must(env == &drops);
    counter_hit(&inits);
    return 0;
}

static void final_ok(void *env)
{
    must(env == &drops && counter_get(&drops) == 0);
    counter_hit(&finals);
}

static void reset(void)
{
    atomic_store(&inits.n, 0);
    atomic_store(&finals.n, 0);
    atomic_store(&drops.n, 0);
    atomic_store(&ran.n, 0);
}

static execq_executor_options planned(uint32_t threads)
{
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = threads;
    options.thread_init = init_ok;
    options.thread_final = final_ok;
    options.thread_env = &drops;
    options.thread_drop = counter_hit;
    reset();
    return options;
}

static execq_executor *made(const execq_executor_options *options)
{
    execq_executor *executor = NULL;
    assert_status(execq_executor_new(options, &executor), EXECQ_OK);
    return executor;
}

static void each_thread_begins_and_ends_once(void **state)
{
    (void)state;
    static gate g;
    execq_executor_options options = planned(3);
    execq_executor *executor = made(&options);
    assert_int_equal(counter_get(&inits), 0);
    gate_init(&g);
    execq_future *running[3];
    for (int i = 0; i < 3; i++) {
        running[i] = spawn(executor, gate_fn, &g);
    }
    gate_await(&g, 3);
    assert_int_equal(counter_get(&inits), 3);
    assert_int_equal(counter_get(&finals), 0);
    gate_open(&g, 3);
    for (int i = 0; i < 3; i++) {
        finish(running[i]);
    }
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
    assert_int_equal(counter_get(&inits), counter_get(&finals));
    assert_int_equal(counter_get(&drops), 0);
    execq_executor_release(executor);
    assert_int_equal(counter_get(&drops), 1);
}

static void resolve_at_once(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    (void)loop;
    must(execq_promise_resolve(promise, env) == EXECQ_OK);
    execq_promise_release(promise);
}

static int32_t wait_for_another(void *env, void **result)
{
    execq_future *future = NULL;
    (void)result;
    must(execq_submit(env, do_nothing, NULL, &future) == EXECQ_OK);
    must(execq_future_wait(future, INT64_C(3600) * 1000000000) == EXECQ_OK); /* not in place, as it has a limit */
    execq_future_release(future);
    return 0;
}

/* Those that leave after their keepalive, spares, and those reserved for loops. */
static void threads_of_every_kind_begin_and_end(void **state)
{
    (void)state;
    execq_executor_options options = planned(2);
    options.reserved_loop_workers = 1;
    options.keepalive_ns = -1;
    options.max_spares = 1;
    execq_executor *executor = made(&options);
    static gate g;
    gate_init(&g);
    execq_future *first = spawn(executor, gate_fn, &g);
    gate_await(&g, 1);
    assert_int_equal(counter_get(&inits), 1);
    execq_future *asynchronous = NULL;
    assert_status(execq_submit_async(executor, NULL, resolve_at_once, NULL, &asynchronous), EXECQ_OK);
    finish(asynchronous);
    assert_int_equal(counter_get(&inits), 2);
    gate_open(&g, 1);
    finish(first);
    /* Blocked in a wait for another one, it has a spare beside it. */
    finish(spawn(executor, wait_for_another, executor));
    assert_int_equal(counter_get(&inits), 3);
    pool_end(executor);
    assert_int_equal(counter_get(&inits), counter_get(&finals));
    assert_int_equal(counter_get(&drops), 1);
}

static char order[64];
static void note(const char *what) { strcat(order, what); }
static void note_close(uv_handle_t *handle)
{
    (void)handle;
    note("closed ");
}
static void note_key(void *env)
{
    (void)env;
    note("locals ");
}

static pthread_key_t key;

static int32_t init_noting(void *env)
{
    (void)env;
    note("init ");
    must(pthread_setspecific(key, &key) == 0);
    return 0;
}

static void final_noting(void *env)
{
    (void)env;
    note("final ");
}

static int32_t leave_a_handle(void *env, void **result)
{
    static uv_timer_t timer;
    struct uv_loop_s *loop = NULL;
    (void)env;
    (void)result;
    note("task ");
    must(execq_thread_loop(&loop) == EXECQ_OK && uv_timer_init(loop, &timer) == 0);
    uv_close((uv_handle_t *)&timer, note_close);
    return 0;
}

static void initializers_come_first_and_finalizers_after_the_loop(void **state)
{
    (void)state;
    assert_int_equal(pthread_key_create(&key, note_key), 0);
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 1;
    options.thread_init = init_noting;
    options.thread_final = final_noting;
    execq_executor *executor = made(&options);
    order[0] = '\0';
    assert_status(execq_submit(executor, leave_a_handle, NULL, NULL), EXECQ_OK);
    pool_end(executor);
    assert_string_equal(order, "init task closed final locals ");
    pthread_key_delete(key);
}

static int32_t init_fails(void *env)
{
    counter_hit(&inits);
    (void)env;
    return 77;
}

static int32_t init_exits(void *env)
{
    (void)env;
    pthread_exit(NULL);
}

static counter told;
static void tell(const execq_error *error, const char *name, void *env)
{
    must(strcmp(name, "brittle") == 0 && execq_error_code(error) == *(int32_t *)env);
    counter_hit(&told);
}

static void an_initializer_that_fails_breaks_the_executor(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        int32_t code = i == 0 ? 77 : EXECQ_EEXITED;
        execq_conf conf = EXECQ_CONF_INIT;
        conf.on_unobserved = tell;
        conf.unobserved_env = &code;
        assert_status(execq_init_conf(&conf), EXECQ_OK);
        execq_executor_options options = planned(2);
        atomic_store(&told.n, 0);
        options.name = "brittle";
        options.thread_init = i == 0 ? init_fails : init_exits;
        execq_executor *executor = made(&options);
        assert_int_equal(execq_executor_broken(executor), 0);
        execq_future *future = spawn(executor, counter_fn, &ran);
        assert_status(execq_future_wait(future, -1), EXECQ_OK);
        assert_status(execq_future_result(future, NULL), EXECQ_ECANCELED);
        assert_int_equal(execq_future_cancel_reason(future), EXECQ_REASON_SHUTDOWN);
        execq_future_release(future);
        assert_int_equal(execq_executor_broken(executor), code);
        assert_status(execq_submit(executor, counter_fn, &ran, NULL), EXECQ_ECLOSED);
        pool_end(executor);
        assert_int_equal(counter_get(&ran), 0);
        assert_int_equal(counter_get(&finals), 0);
        assert_int_equal(counter_get(&drops), 1);
        assert_int_equal(counter_get(&told), 1);
        conf = (execq_conf)EXECQ_CONF_INIT;
        conf.flags = EXECQ_CONF_CLEAR_ON_UNOBSERVED;
        assert_status(execq_init_conf(&conf), EXECQ_OK);
    }
    assert_int_equal(execq_executor_broken(NULL), 0);
}

static execq_executor *submitted_to;
static int32_t init_submits(void *env)
{
    (void)env;
    must(execq_submit(submitted_to, counter_fn, &ran, NULL) == EXECQ_OK);
    return 0;
}

static void final_submits(void *env)
{
    (void)env;
    const execq_status status = execq_submit(submitted_to, counter_fn, &ran, NULL);
    must(status == EXECQ_OK || status == EXECQ_ECLOSED);
    counter_hit(status == EXECQ_OK ? &inits : &finals);
    must(execq_executor_close(submitted_to, EXECQ_DRAIN) == EXECQ_OK);
    must(execq_executor_join(submitted_to, -1, NULL) == EXECQ_EDEADLK);
}

static void both_may_submit(void **state)
{
    (void)state;
    reset();
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 1;
    options.thread_init = init_submits;
    options.thread_final = final_submits;
    submitted_to = made(&options);
    execq_future *future = spawn(submitted_to, counter_fn, &ran);
    finish(future);
    pool_end(submitted_to);
    assert_int_equal(counter_get(&ran), 2);
    assert_int_equal(counter_get(&inits), 0);
    assert_int_equal(counter_get(&finals), 1);
}

/* ---- stacks and processors ---- */

static int32_t read_stack(void *env, void **result)
{
    (void)result;
    pthread_attr_t attributes;
    void *bottom = NULL;
    must(pthread_getattr_np(pthread_self(), &attributes) == 0);
    must(pthread_attr_getstack(&attributes, &bottom, env) == 0);
    pthread_attr_destroy(&attributes);
    return 0;
}

static void a_stack_has_the_size_that_was_chosen(void **state)
{
    (void)state;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    /* Ascending, as the C library uses larger stacks again. */
    for (size_t size = 16 * 1024 * 1024; size < 128 * 1024 * 1024; size = size * 2 + 1) {
        execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
        options.max_threads = 1;
        options.stack_size = size;
        execq_executor *executor = made(&options);
        size_t got = 0;
        finish(spawn(executor, read_stack, &got));
        assert_true(got >= (size + page - 1) / page * page);
        pool_end(executor);
    }
}

static void a_small_stack_is_enough_for_the_library(void **state)
{
    (void)state;
    if (SANITIZED) {
        return; /* their frames are larger */
    }
    reset();
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 2;
    options.stack_size = EXECQ_MIN_STACK_SIZE;
    execq_executor *executor = made(&options);
    size_t got = 0;
    finish(spawn(executor, read_stack, &got));
    assert_int_equal(got, EXECQ_MIN_STACK_SIZE);
    for (int i = 0; i < 1000; i++) {
        assert_status(execq_submit(executor, counter_fn, &ran, NULL), EXECQ_OK);
    }
    execq_future *future = spawn(executor, leave_a_handle, NULL);
    order[0] = '\0';
    finish(future);
    pool_end(executor);
    assert_int_equal(counter_get(&ran), 1000);
}

static int32_t read_cpus(void *env, void **result)
{
    (void)result;
    must(pthread_getaffinity_np(pthread_self(), sizeof(cpu_set_t), env) == 0);
    return 0;
}

static void threads_run_where_they_may(void **state)
{
    (void)state;
    cpu_set_t mine;
    cpu_set_t got;
    assert_int_equal(sched_getaffinity(0, sizeof mine, &mine), 0);
    for (uint32_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &mine)) {
            continue;
        }
        execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
        options.affinity = &cpu;
        options.affinity_count = 1;
        execq_executor *executor = made(&options);
        finish(spawn(executor, read_cpus, &got));
        assert_int_equal(CPU_COUNT(&got), 1);
        assert_true(CPU_ISSET(cpu, &got));
        pool_end(executor);
    }
    assert_int_equal(sched_getaffinity(0, sizeof got, &got), 0);
    assert_true(CPU_EQUAL(&mine, &got)); /* the trial was not made here */
}

static void refuse(const execq_executor_options *options)
{
    execq_executor *executor = UNTOUCHED;
    assert_status(execq_executor_new(options, &executor), EXECQ_EINVAL);
    assert_ptr_equal(executor, UNTOUCHED);
    assert_int_equal(counter_get(&drops), 1);
}

static void what_cannot_be_is_refused_and_the_env_dropped(void **state)
{
    (void)state;
    execq_executor_options options = planned(1);
    options.stack_size = 1;
    refuse(&options);
    options = planned(1);
    options.stack_size = EXECQ_MIN_STACK_SIZE - 1;
    refuse(&options);
    options = planned(1);
    options.stack_size = (uint64_t)EXECQ_MAX_STACK_SIZE + 1;
    refuse(&options);
    options = planned(1);
    options.stack_size = UINT64_MAX;
    refuse(&options);
    const uint32_t absent[] = {0, CPU_SETSIZE - 1, CPU_SETSIZE, UINT32_MAX};
    for (size_t i = 1; i < COUNT_OF(absent); i++) {
        options = planned(1);
        options.affinity = &absent[i];
        options.affinity_count = 1;
        refuse(&options);
    }
    options = planned(1);
    options.affinity = absent; /* one that is there and one that is not */
    options.affinity_count = 2;
    refuse(&options);
    options = planned(1);
    options.affinity_count = 1;
    refuse(&options);
    options = planned(1);
    options.affinity = absent;
    refuse(&options);
    options = planned(1);
    options.thread_init = NULL;
    options.thread_final = NULL;
    refuse(&options);
    options = planned(EXECQ_MAX_THREADS + 1);
    refuse(&options);
    /* Below it the caller's struct ends. */
    options = planned(1);
    options.struct_size = offsetof(execq_executor_options, thread_init);
    execq_executor *executor = made(&options);
    pool_end(executor);
    assert_int_equal(counter_get(&inits) + counter_get(&drops), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_stack_is_enough_for_the_library), /* first: no larger one is there to be used again */
        cmocka_unit_test(each_thread_begins_and_ends_once),
        cmocka_unit_test(threads_of_every_kind_begin_and_end),
        cmocka_unit_test(initializers_come_first_and_finalizers_after_the_loop),
        cmocka_unit_test(an_initializer_that_fails_breaks_the_executor),
        cmocka_unit_test(both_may_submit),
        cmocka_unit_test(a_stack_has_the_size_that_was_chosen),
        cmocka_unit_test(threads_run_where_they_may),
        cmocka_unit_test(what_cannot_be_is_refused_and_the_env_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
