/* What a NULL executor stands for: explicit, else configured, else the library's own; and the main loop. */
#include "capi.h"

#include "uv_loop.h"

#include <sched.h>

static int32_t tell_thread_name(void *env, void **result)
{
    (void)result;
    pthread_getname_np(pthread_self(), env, 16);
    return 0;
}

static execq_executor *named(const char *name)
{
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    execq_executor *executor = NULL;
    options.name = name;
    options.max_threads = 1;
    assert_status(execq_executor_new(&options, &executor), EXECQ_OK);
    return executor;
}

/* Checks on which executor's thread a submission to this handle runs. */
static void check_runs_on(execq_executor *executor, const char *name)
{
    char found[16] = "";
    finish(spawn(executor, tell_thread_name, found));
    assert_int_equal(strncmp(found, name, strlen(name)), 0);
    assert_int_equal(found[strlen(name)], '/');
}

static execq_status configure(execq_executor *executor, uint32_t flags)
{
    execq_conf conf = EXECQ_CONF_INIT;
    conf.executor = executor;
    conf.flags = flags;
    return execq_init_conf(&conf);
}

static void check_default_is(execq_executor *expected)
{
    execq_executor *executor = NULL;
    assert_status(execq_executor_default(&executor), EXECQ_OK);
    assert_ptr_equal(executor, expected);
    execq_executor_release(executor);
}

static execq_executor *library_default;

/* The library's own executor is made at its first use, from the CPUs that the thread may use then. */
static int find_library_default(void **state)
{
    (void)state;
    cpu_set_t all;
    cpu_set_t one;
    must(sched_getaffinity(0, sizeof all, &all) == 0);
    CPU_ZERO(&one);
    size_t cpu = 0;
    while (!CPU_ISSET(cpu, &all)) {
        cpu++;
    }
    CPU_SET(cpu, &one);
    must(sched_setaffinity(0, sizeof one, &one) == 0);
    const execq_status status = execq_executor_default(&library_default);
    must(sched_setaffinity(0, sizeof all, &all) == 0);
    return status;
}

static int release_library_default(void **state)
{
    (void)state;
    execq_executor_release(library_default);
    return 0;
}

static void unconfigured_null_is_the_librarys_own_executor(void **state)
{
    (void)state;
    check_default_is(library_default);
    check_runs_on(NULL, "execq");
}

static void the_librarys_own_executor_has_five_threads_on_one_cpu(void **state)
{
    (void)state;
    enum { EXPECTED = 5, TASKS = 20 };
    static gate g;
    gate_init(&g);
    execq_future *futures[TASKS];
    for (int i = 0; i < TASKS; i++) {
        futures[i] = spawn(NULL, gate_fn, &g);
    }
    gate_await(&g, EXPECTED);
    int pending = 0; /* whichever they are: there is no order */
    for (int i = 0; i < TASKS; i++) {
        pending += execq_future_state(futures[i]) == EXECQ_FUTURE_PENDING;
    }
    assert_int_equal(pending, TASKS - EXPECTED);
    gate_open(&g, TASKS);
    for (int i = 0; i < TASKS; i++) {
        finish(futures[i]);
    }
    gate_destroy(&g);
}

static void a_configured_executor_comes_before_the_librarys_own(void **state)
{
    (void)state;
    execq_executor *configured = named("configured");
    assert_status(configure(configured, 0), EXECQ_OK);
    check_default_is(configured);
    check_runs_on(NULL, "configured");
    assert_status(configure(NULL, EXECQ_CONF_CLEAR_EXECUTOR), EXECQ_OK);
    pool_end(configured);
}

static void an_explicit_executor_comes_before_the_configured_one(void **state)
{
    (void)state;
    execq_executor *configured = named("configured");
    execq_executor *explicit = named("explicit");
    assert_status(configure(configured, 0), EXECQ_OK);
    check_runs_on(explicit, "explicit");
    check_runs_on(NULL, "configured");
    assert_status(configure(NULL, EXECQ_CONF_CLEAR_EXECUTOR), EXECQ_OK);
    pool_end(configured);
    pool_end(explicit);
}

static void an_unset_field_keeps_the_earlier_value(void **state)
{
    (void)state;
    execq_executor *configured = named("configured");
    assert_status(configure(configured, 0), EXECQ_OK);
    assert_status(configure(NULL, 0), EXECQ_OK);
    check_default_is(configured);
    assert_status(configure(NULL, EXECQ_CONF_CLEAR_EXECUTOR), EXECQ_OK);
    check_default_is(library_default);
    assert_status(configure(NULL, EXECQ_CONF_CLEAR_EXECUTOR), EXECQ_OK); /* nothing there any more */
    check_runs_on(NULL, "execq");
    pool_end(configured);
}

static void a_later_executor_replaces_the_earlier_one(void **state)
{
    (void)state;
    execq_executor *first = named("first");
    execq_executor *second = named("second");
    assert_status(configure(first, 0), EXECQ_OK);
    assert_status(configure(second, 0), EXECQ_OK);
    check_runs_on(NULL, "second");
    assert_status(configure(first, 0), EXECQ_OK);
    assert_status(configure(first, 0), EXECQ_OK);
    check_runs_on(NULL, "first");
    assert_status(configure(NULL, EXECQ_CONF_CLEAR_EXECUTOR), EXECQ_OK);
    pool_end(first);
    pool_end(second);
}

static void what_is_configured_is_retained(void **state)
{
    (void)state;
    execq_executor *configured = named("kept");
    assert_status(configure(configured, 0), EXECQ_OK);
    execq_executor_release(configured);
    check_runs_on(NULL, "kept");
    assert_status(configure(NULL, EXECQ_CONF_CLEAR_EXECUTOR), EXECQ_OK);
    check_runs_on(NULL, "execq");
}

static void a_refused_configuration_changes_nothing(void **state)
{
    (void)state;
    execq_executor *configured = named("configured");
    execq_executor *other = named("other");
    assert_status(configure(configured, 0), EXECQ_OK);
    assert_status(execq_init_conf(NULL), EXECQ_EINVAL);
    assert_status(configure(other, EXECQ_CONF_CLEAR_EXECUTOR), EXECQ_EINVAL);
    assert_status(configure(other, 16), EXECQ_ENOTSUP);
    assert_status(configure(NULL, EXECQ_CONF_CLEAR_EXECUTOR | 0x80000000U), EXECQ_ENOTSUP);
    execq_conf conf = EXECQ_CONF_INIT;
    conf.executor = other;
    conf.struct_size = 4;
    assert_status(execq_init_conf(&conf), EXECQ_EINVAL);
    check_default_is(configured);
    assert_status(configure(NULL, EXECQ_CONF_CLEAR_EXECUTOR), EXECQ_OK);
    pool_end(configured);
    pool_end(other);
}

static void null_resolves_to_a_configured_executor_even_if_it_is_closed(void **state)
{
    (void)state;
    execq_executor *configured = named("configured");
    assert_status(configure(configured, 0), EXECQ_OK);
    assert_status(execq_executor_close(configured, EXECQ_DRAIN), EXECQ_OK);
    assert_status(execq_submit(NULL, do_nothing, NULL, NULL), EXECQ_ECLOSED);
    assert_status(configure(NULL, EXECQ_CONF_CLEAR_EXECUTOR), EXECQ_OK);
    finish(spawn(NULL, do_nothing, NULL));
    pool_end(configured);
}

static execq_status configure_loop(execq_loop *loop, uint32_t flags)
{
    execq_conf conf = EXECQ_CONF_INIT;
    conf.main_loop = loop;
    conf.flags = flags;
    return execq_init_conf(&conf);
}

static void check_main_loop_is(execq_loop *expected)
{
    execq_loop *loop = NULL;
    assert_status(execq_main_loop(&loop), EXECQ_OK);
    assert_ptr_equal(loop, expected);
    execq_loop_release(loop);
}

static void there_is_no_main_loop_unless_one_is_configured(void **state)
{
    (void)state;
    execq_loop *loop = UNTOUCHED;
    assert_status(execq_main_loop(&loop), EXECQ_ECLOSED);
    assert_status(execq_main_loop(NULL), EXECQ_EINVAL);
    assert_ptr_equal(loop, UNTOUCHED);
}

static void the_main_loop_is_kept_until_it_is_replaced_or_cleared(void **state)
{
    (void)state;
    execq_loop *loop = UNTOUCHED;
    attached first;
    attached second;
    attached_open(&first);
    attached_open(&second);
    execq_executor *configured = named("configured");
    assert_status(configure_loop(first.port, 0), EXECQ_OK);
    check_main_loop_is(first.port);
    assert_status(configure(configured, 0), EXECQ_OK); /* the one leaves the other alone */
    check_main_loop_is(first.port);
    assert_status(configure_loop(second.port, 0), EXECQ_OK);
    check_main_loop_is(second.port);
    check_default_is(configured);
    assert_status(configure_loop(first.port, EXECQ_CONF_CLEAR_MAIN_LOOP), EXECQ_EINVAL);
    assert_status(configure_loop(NULL, 0), EXECQ_OK);
    check_main_loop_is(second.port);
    assert_status(configure_loop(NULL, EXECQ_CONF_CLEAR_MAIN_LOOP | EXECQ_CONF_CLEAR_EXECUTOR), EXECQ_OK);
    assert_status(execq_main_loop(&loop), EXECQ_ECLOSED);
    assert_ptr_equal(loop, UNTOUCHED);
    check_default_is(library_default);
    pool_end(configured);
    attached_close(&first);
    attached_close(&second);
}

static void the_main_loop_is_retained(void **state)
{
    (void)state;
    execq_loop *loop = NULL;
    attached a;
    attached_open(&a);
    assert_status(configure_loop(a.port, 0), EXECQ_OK);
    execq_loop_release(a.port);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_status(execq_main_loop(&loop), EXECQ_OK);
    assert_status(execq_loop_submit(loop, NULL, do_nothing, NULL, NULL), EXECQ_OK); /* still attached */
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_status(execq_loop_detach(loop), EXECQ_OK);
    check_main_loop_is(loop); /* what is detached is still given, and refuses */
    assert_status(execq_loop_submit(loop, NULL, do_nothing, NULL, NULL), EXECQ_ECLOSED);
    assert_status(configure_loop(NULL, EXECQ_CONF_CLEAR_MAIN_LOOP), EXECQ_OK);
    execq_loop_release(loop);
    attached_close_loop(&a);
}

/* The struct of the first version, without main_loop. */
static void a_caller_with_the_first_size_leaves_the_main_loop_alone(void **state)
{
    (void)state;
    struct {
        uint32_t struct_size;
        uint32_t flags;
        execq_executor *executor;
        void *behind; /* not the library's to read */
    } first = {offsetof(execq_conf, main_loop), 0, NULL, UNTOUCHED};
    attached a;
    attached_open(&a);
    assert_int_equal(first.struct_size, 16);
    assert_status(configure_loop(a.port, 0), EXECQ_OK);
    first.executor = library_default;
    assert_status(execq_init_conf((const execq_conf *)&first), EXECQ_OK);
    check_main_loop_is(a.port);
    first.executor = NULL;
    first.flags = EXECQ_CONF_CLEAR_EXECUTOR | EXECQ_CONF_CLEAR_MAIN_LOOP;
    assert_status(execq_init_conf((const execq_conf *)&first), EXECQ_OK);
    first.struct_size = 15;
    assert_status(execq_init_conf((const execq_conf *)&first), EXECQ_EINVAL);
    attached_close(&a);
}

static atomic_int stop;

static void *reconfigure(void *env)
{
    while (!atomic_load(&stop)) {
        must(configure(env, 0) == EXECQ_OK);
        must(configure(NULL, EXECQ_CONF_CLEAR_EXECUTOR) == EXECQ_OK);
    }
    return NULL;
}

static void submissions_race_safely_with_configuration(void **state)
{
    (void)state;
    counter ran = {0};
    execq_executor *configured = named("configured");
    pthread_t thread = thread_start(reconfigure, configured);
    enum { N = 2000 };
    for (int i = 0; i < N; i++) {
        finish(spawn(NULL, counter_fn, &ran));
    }
    atomic_store(&stop, 1);
    pthread_join(thread, NULL);
    assert_int_equal(counter_get(&ran), N);
    pool_end(configured);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unconfigured_null_is_the_librarys_own_executor),
        cmocka_unit_test(the_librarys_own_executor_has_five_threads_on_one_cpu),
        cmocka_unit_test(a_configured_executor_comes_before_the_librarys_own),
        cmocka_unit_test(an_explicit_executor_comes_before_the_configured_one),
        cmocka_unit_test(an_unset_field_keeps_the_earlier_value),
        cmocka_unit_test(a_later_executor_replaces_the_earlier_one),
        cmocka_unit_test(what_is_configured_is_retained),
        cmocka_unit_test(a_refused_configuration_changes_nothing),
        cmocka_unit_test(null_resolves_to_a_configured_executor_even_if_it_is_closed),
        cmocka_unit_test(there_is_no_main_loop_unless_one_is_configured),
        cmocka_unit_test(the_main_loop_is_kept_until_it_is_replaced_or_cleared),
        cmocka_unit_test(the_main_loop_is_retained),
        cmocka_unit_test(a_caller_with_the_first_size_leaves_the_main_loop_alone),
        cmocka_unit_test(submissions_race_safely_with_configuration),
    };
    return cmocka_run_group_tests_name("capi.conf", tests, find_library_default, release_library_default);
}
