/* Executors: how they are made, sized, named, shared and given up. */
#include "capi.h"

#include <sched.h>
#include <signal.h>

static int32_t tell_thread_name(void *env, void **result)
{
    (void)result;
    pthread_getname_np(pthread_self(), env, 16);
    return 0;
}

/* The name of the thread on which a task of this executor runs. */
static void thread_name_of(execq_executor *executor, char name[16]) { finish(spawn(executor, tell_thread_name, name)); }

static void no_options_make_an_executor(void **state)
{
    (void)state;
    execq_executor *executor = NULL;
    assert_status(execq_executor_new(NULL, &executor), EXECQ_OK);
    finish(spawn(executor, do_nothing, NULL));
    pool_end(executor);
}

static void new_refuses_bad_arguments_and_leaves_out_untouched(void **state)
{
    (void)state;
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    assert_status(execq_executor_new(&options, NULL), EXECQ_EINVAL);
    assert_status(execq_executor_new(NULL, NULL), EXECQ_EINVAL);
    execq_executor *out = UNTOUCHED;
    options.max_threads = EXECQ_MAX_THREADS + 1;
    assert_status(execq_executor_new(&options, &out), EXECQ_EINVAL);
    options.max_threads = UINT32_MAX;
    assert_status(execq_executor_new(&options, &out), EXECQ_EINVAL);
    options.max_threads = 3;
    options.min_threads = 4;
    assert_status(execq_executor_new(&options, &out), EXECQ_EINVAL);
    options.max_threads = 0;
    options.min_threads = EXECQ_MAX_THREADS + 1;
    assert_status(execq_executor_new(&options, &out), EXECQ_EINVAL);
    assert_ptr_equal(out, UNTOUCHED);
}

/* The options as they were before keepalive_ns, frozen. */
static void options_of_the_first_size_are_taken(void **state)
{
    (void)state;
    struct {
        uint32_t struct_size;
        uint32_t flags;
        const char *name;
        uint32_t max_threads;
        uint32_t min_threads;
    } first = {24, 0, "first", 1, 0};
    assert_int_equal(sizeof first, 24);
    execq_executor *executor = NULL;
    assert_status(execq_executor_new((const execq_executor_options *)(const void *)&first, &executor), EXECQ_OK);
    char name[16];
    thread_name_of(executor, name);
    assert_string_equal(name, "first/0");
    pool_end(executor);
    first.struct_size = 23;
    assert_status(execq_executor_new((const execq_executor_options *)(const void *)&first, &executor), EXECQ_EINVAL);
}

/* Threads leave as soon as they are idle, all but min_threads, and come back. */
static void idle_threads_leave_and_come_back(void **state)
{
    (void)state;
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 4;
    options.min_threads = 2;
    options.keepalive_ns = -1;
    execq_executor *executor = NULL;
    assert_status(execq_executor_new(&options, &executor), EXECQ_OK);
    for (int round = 0; round < 10; ++round) {
        static gate g;
        gate_init(&g);
        execq_future *tasks[4];
        for (int i = 0; i < 4; ++i)
            tasks[i] = occupy(executor, &g);
        gate_open(&g, 4);
        for (int i = 0; i < 4; ++i)
            finish(tasks[i]);
    }
    pool_end(executor);
}

static void the_most_threads_that_may_be_asked_for_are_taken(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(EXECQ_MAX_THREADS);
    finish(spawn(executor, do_nothing, NULL));
    pool_end(executor);
}

/* How many threads the executor has started, found by a join that only looks. Closes it. */
static uint64_t threads_of(execq_executor *executor)
{
    execq_shutdown_report report = EXECQ_SHUTDOWN_REPORT_INIT;
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    execq_executor_join(executor, 0, &report);
    return report.threads;
}

static void an_executor_without_work_has_no_threads(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(8);
    assert_int_equal(threads_of(executor), 0);
    assert_status(execq_executor_join(executor, 0, NULL), EXECQ_OK);
    execq_executor_release(executor);
}

static void a_thread_starts_where_a_task_finds_none_idle(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(8);
    static gate g;
    gate_init(&g);
    execq_future *first = occupy(executor, &g);
    execq_future *second = occupy(executor, &g);
    assert_int_equal(threads_of(executor), 2);
    gate_open(&g, 2);
    finish(first);
    finish(second);
    pool_end(executor);
    gate_destroy(&g);
}

static void no_more_threads_start_than_were_asked_for(void **state)
{
    (void)state;
    enum { THREADS = 3, TASKS = 10 };
    execq_executor *executor = pool_new(THREADS);
    static gate g;
    gate_init(&g);
    execq_future *futures[TASKS];
    for (int i = 0; i < TASKS; i++) {
        futures[i] = spawn(executor, gate_fn, &g);
    }
    gate_await(&g, THREADS);
    int pending = 0; /* whichever they are: there is no order */
    for (int i = 0; i < TASKS; i++) {
        pending += execq_future_state(futures[i]) == EXECQ_FUTURE_PENDING;
    }
    assert_int_equal(pending, TASKS - THREADS);
    assert_int_equal(threads_of(executor), THREADS);
    gate_open(&g, TASKS);
    for (int i = 0; i < TASKS; i++) {
        finish(futures[i]);
    }
    pool_end(executor);
    gate_destroy(&g);
}

static void on_one_cpu_the_default_is_five_threads(void **state)
{
    (void)state;
    enum { EXPECTED = 5, TASKS = 40 };
    cpu_set_t all;
    cpu_set_t one;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    CPU_ZERO(&one);
    size_t cpu = 0;
    while (!CPU_ISSET(cpu, &all)) {
        cpu++;
    }
    CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    execq_executor *executor = pool_new(0);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
    static gate g;
    gate_init(&g);
    execq_future *futures[TASKS];
    for (int i = 0; i < TASKS; i++) {
        futures[i] = spawn(executor, gate_fn, &g);
    }
    gate_await(&g, EXPECTED);
    assert_int_equal(threads_of(executor), EXPECTED);
    gate_open(&g, TASKS);
    for (int i = 0; i < TASKS; i++) {
        finish(futures[i]);
    }
    pool_end(executor);
    gate_destroy(&g);
}

static void threads_bear_the_name_and_a_number(void **state)
{
    (void)state;
    char name[16] = "";
    char given[] = "packer";
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.name = given;
    execq_executor *executor = NULL;
    assert_status(execq_executor_new(&options, &executor), EXECQ_OK);
    memset(given, 'x', sizeof given - 1); /* the name was copied, threads start later */
    thread_name_of(executor, name);
    assert_int_equal(strncmp(name, "packer/", 7), 0);
    assert_true(strlen(name) > 7);
    assert_int_equal(strspn(name + 7, "0123456789"), strlen(name + 7));
    pool_end(executor);
}

static void threads_of_a_nameless_executor_are_called_execq(void **state)
{
    (void)state;
    char name[16] = "";
    execq_executor *executor = pool_new(1);
    thread_name_of(executor, name);
    assert_int_equal(strncmp(name, "execq/", 6), 0);
    pool_end(executor);
}

static void a_long_name_is_cut_to_what_the_system_takes(void **state)
{
    (void)state;
    char name[16] = "";
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.name = "a-name-far-longer-than-fifteen-bytes";
    execq_executor *executor = NULL;
    assert_status(execq_executor_new(&options, &executor), EXECQ_OK);
    thread_name_of(executor, name);
    assert_int_equal(strncmp(name, options.name, 10), 0);
    assert_true(strlen(name) <= 15);
    pool_end(executor);
}

static int32_t tell_signal_mask(void *env, void **result)
{
    (void)result;
    return pthread_sigmask(SIG_BLOCK, NULL, env);
}

static void workers_do_not_run_signal_handlers_of_the_program(void **state)
{
    (void)state;
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGCHLD, SIGPIPE};
    sigset_t mask;
    sigemptyset(&mask);
    execq_executor *executor = pool_new(1);
    finish(spawn(executor, tell_signal_mask, &mask));
    for (size_t i = 0; i < COUNT_OF(signals); i++) {
        assert_int_equal(sigismember(&mask, signals[i]), 1);
    }
    pool_end(executor);
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    assert_int_equal(sigismember(&mask, SIGUSR1), 0);
}

static void each_reference_is_given_up_apart(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    execq_executor_retain(executor);
    execq_executor_release(executor);
    finish(spawn(executor, do_nothing, NULL));
    pool_end(executor);
    execq_executor_retain(NULL);
    execq_executor_release(NULL);
}

static void the_last_release_runs_what_was_accepted_and_does_not_wait(void **state)
{
    (void)state;
    enum { TASKS = 10 };
    execq_executor *executor = pool_new(1);
    static gate g;
    gate_init(&g);
    counter ran = {0};
    execq_future *holder = occupy(executor, &g);
    execq_future *futures[TASKS];
    for (int i = 0; i < TASKS; i++) {
        futures[i] = spawn(executor, counter_fn, &ran);
    }
    execq_executor_release(executor);
    assert_int_equal(counter_get(&ran), 0); /* the worker is still held: had it waited, it would hang */
    gate_open(&g, 1);
    finish(holder);
    for (int i = 0; i < TASKS; i++) {
        finish(futures[i]);
    }
    assert_int_equal(counter_get(&ran), TASKS);
    gate_destroy(&g);
}

static int32_t release_executor(void *env, void **result)
{
    (void)result;
    execq_executor_release(env);
    return 0;
}

static void a_worker_may_give_up_the_last_reference(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        execq_executor *executor = pool_new(2);
        execq_executor_retain(executor);
        execq_future *future = spawn(executor, release_executor, executor);
        execq_executor_release(executor);
        finish(future);
    }
}

static void release_in_done(execq_future *future, void *env)
{
    (void)future;
    execq_executor_release(env);
}

static void a_done_callback_may_give_up_the_last_reference(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        execq_executor *executor = pool_new(1);
        static gate g;
        gate_init(&g);
        execq_future *future = occupy(executor, &g);
        execq_executor_retain(executor);
        assert_status(execq_future_on_done(future, release_in_done, executor, NULL), EXECQ_OK);
        execq_executor_release(executor);
        gate_open(&g, 1);
        finish(future);
        gate_destroy(&g);
    }
}

static void the_default_executor_is_one_and_the_same(void **state)
{
    (void)state;
    execq_executor *first = NULL;
    execq_executor *second = NULL;
    assert_status(execq_executor_default(NULL), EXECQ_EINVAL);
    assert_status(execq_executor_default(&first), EXECQ_OK);
    assert_status(execq_executor_default(&second), EXECQ_OK);
    assert_non_null(first);
    assert_ptr_equal(first, second);
    execq_executor_release(first);
    execq_executor_release(second);
    finish(spawn(NULL, do_nothing, NULL)); /* the library still holds its own reference */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_options_make_an_executor),
        cmocka_unit_test(new_refuses_bad_arguments_and_leaves_out_untouched),
        cmocka_unit_test(options_of_the_first_size_are_taken),
        cmocka_unit_test(idle_threads_leave_and_come_back),
        cmocka_unit_test(the_most_threads_that_may_be_asked_for_are_taken),
        cmocka_unit_test(an_executor_without_work_has_no_threads),
        cmocka_unit_test(a_thread_starts_where_a_task_finds_none_idle),
        cmocka_unit_test(no_more_threads_start_than_were_asked_for),
        cmocka_unit_test(on_one_cpu_the_default_is_five_threads),
        cmocka_unit_test(threads_bear_the_name_and_a_number),
        cmocka_unit_test(threads_of_a_nameless_executor_are_called_execq),
        cmocka_unit_test(a_long_name_is_cut_to_what_the_system_takes),
        cmocka_unit_test(workers_do_not_run_signal_handlers_of_the_program),
        cmocka_unit_test(each_reference_is_given_up_apart),
        cmocka_unit_test(the_last_release_runs_what_was_accepted_and_does_not_wait),
        cmocka_unit_test(a_worker_may_give_up_the_last_reference),
        cmocka_unit_test(a_done_callback_may_give_up_the_last_reference),
        cmocka_unit_test(the_default_executor_is_one_and_the_same),
    };
    return cmocka_run_group_tests_name("capi.executor", tests, NULL, NULL);
}
