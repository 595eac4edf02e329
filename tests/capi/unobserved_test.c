/* Failures that nobody consumed: which tasks' they are, who is told, and how that is configured. */
#include "capi.h"

#include "uv_loop.h"

#include <sys/wait.h>
#include <unistd.h>

/* What the hook was told. */
static struct told {
    pthread_mutex_t mutex;
    int n;
    int32_t code;
    char name[32];
    char message[64];
} told = {PTHREAD_MUTEX_INITIALIZER, 0, 0, "", ""};

static void tell(const execq_error *error, const char *name, void *env)
{
    struct told *t = env;
    pthread_mutex_lock(&t->mutex);
    t->n++;
    t->code = execq_error_code(error);
    snprintf(t->name, sizeof t->name, "%s", name);
    snprintf(t->message, sizeof t->message, "%s", execq_error_message(error));
    pthread_mutex_unlock(&t->mutex);
}

/* How often it was told since this was asked last. */
static int told_times(void)
{
    pthread_mutex_lock(&told.mutex);
    const int n = told.n;
    told.n = 0;
    pthread_mutex_unlock(&told.mutex);
    return n;
}

static execq_status configure(execq_unobserved_fn fn, void *env, execq_drop_fn drop, uint32_t flags)
{
    execq_conf conf = EXECQ_CONF_INIT;
    conf.flags = flags;
    conf.on_unobserved = fn;
    conf.unobserved_env = env;
    conf.unobserved_drop = drop;
    return execq_init_conf(&conf);
}

static int hook(void **state)
{
    (void)state;
    told.n = 0;
    return configure(tell, &told, NULL, 0);
}

static int unhook(void **state)
{
    (void)state;
    return configure(NULL, NULL, NULL, EXECQ_CONF_CLEAR_ON_UNOBSERVED);
}

static int32_t fail_with_words(void *env, void **result)
{
    (void)env;
    (void)result;
    return execq_fail(5, "five");
}

static int32_t fail_silently(void *env, void **result)
{
    (void)env;
    (void)result;
    return 6;
}

static int32_t stop_at_once(void *env, void **result)
{
    (void)env;
    (void)result;
    return EXECQ_ECANCELED;
}

static int32_t leave_thread(void *env, void **result)
{
    (void)env;
    (void)result;
    pthread_exit(NULL);
}

static void fire_and_forget_is_reported_at_once(void **state)
{
    (void)state;
    static const struct {
        execq_fn fn;
        int32_t code;
        const char *message;
    } cases[] = {
        {fail_with_words, 5, "five"},
        {fail_silently, 6, ""},
        {stop_at_once, EXECQ_ECANCELED, "canceled"}, /* nobody asked */
        {leave_thread, EXECQ_EEXITED, "the task ended its thread"},
    };
    for (int named = 0; named < 2; named++) {
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            execq_executor *executor = pool_new(1);
            execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
            options.name = "work";
            assert_status(execq_submit_with(executor, named ? &options : NULL, cases[i].fn, NULL, NULL), EXECQ_OK);
            pool_end(executor);
            assert_int_equal(told_times(), 1);
            assert_int_equal(told.code, cases[i].code);
            assert_string_equal(told.message, cases[i].message);
            assert_string_equal(told.name, named ? "work" : "");
        }
    }
}

static void a_success_and_a_task_that_was_never_run_are_not_reported(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(1);
    assert_status(execq_submit(executor, do_nothing, NULL, NULL), EXECQ_OK);
    execq_future *busy = occupy(executor, &g);
    assert_status(execq_submit(executor, fail_silently, NULL, NULL), EXECQ_OK);
    assert_status(execq_executor_close(executor, EXECQ_CANCEL), EXECQ_OK);
    gate_open(&g, 1);
    assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
    execq_executor_release(executor);
    execq_future_release(busy);
    assert_int_equal(told_times(), 0);
    gate_destroy(&g);
}

static int32_t pass_then_stop(void *env, void **result)
{
    (void)result;
    gate_pass(env);
    return execq_cancel_requested() ? execq_fail(EXECQ_ECANCELED, "stopped") : 1;
}

static void a_plain_task_that_stops_as_it_was_asked_to_is_not_reported(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(1);
    assert_status(execq_submit(executor, pass_then_stop, &g, NULL), EXECQ_OK);
    gate_await(&g, 1);
    assert_status(execq_executor_close(executor, EXECQ_CANCEL), EXECQ_OK);
    gate_open(&g, 1);
    assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
    execq_executor_release(executor);
    assert_int_equal(told_times(), 0);
    gate_destroy(&g);
}

/* A future that failed. */
static execq_future *failed(execq_executor *executor)
{
    execq_future *future = spawn(executor, fail_with_words, NULL);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    return future;
}

static void asking_consumes_and_waiting_does_not(void **state)
{
    (void)state;
    void *value = NULL;
    execq_executor *executor = pool_new(1);
    execq_future *future = failed(executor);
    assert_status(execq_future_result(future, NULL), EXECQ_EFAILED);
    execq_future_release(future);
    future = failed(executor);
    assert_status(execq_future_take(future, &value), EXECQ_EFAILED);
    execq_future_release(future);
    future = failed(executor);
    assert_non_null(execq_future_error(future));
    execq_future_release(future);
    assert_int_equal(told_times(), 0);
    future = failed(executor);
    size_t index = 0;
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_FAILED);
    assert_status(execq_future_wait_all(&future, 1, -1), EXECQ_OK);
    assert_status(execq_future_wait_any(&future, 1, -1, &index), EXECQ_OK);
    assert_status(execq_future_cancel(future), EXECQ_EALREADY);
    execq_future_release(future);
    assert_int_equal(told_times(), 1);
    pool_end(executor);
}

static void a_callback_that_does_not_look_leaves_it(void **state)
{
    (void)state;
    static counter done;
    execq_executor *executor = pool_new(1);
    execq_future *future = failed(executor);
    assert_status(execq_future_on_done(future, count_done, &done, NULL), EXECQ_OK);
    execq_future_release(future);
    assert_int_equal(counter_get(&done), 1);
    assert_int_equal(told_times(), 1);
    pool_end(executor);
}

static void look_done(execq_future *future, void *env)
{
    (void)env;
    must(execq_future_result(future, NULL) == EXECQ_EFAILED);
}

static void a_loop_callback_decides(void **state)
{
    (void)state;
    static counter done;
    attached a;
    attached_open(&a);
    execq_executor *executor = pool_new(1);
    for (int looks = 0; looks < 2; looks++) {
        assert_status(execq_submit_to_loop(executor, NULL, fail_silently, NULL, a.port, looks ? look_done : count_done,
                                           &done, NULL),
                      EXECQ_OK);
        uv_run(&a.loop, UV_RUN_DEFAULT);
        assert_int_equal(told_times(), looks ? 0 : 1);
    }
    pool_end(executor);
    attached_close(&a);
}

static void a_completion_is_no_look(void **state)
{
    (void)state;
    execq_cq *cq = NULL;
    assert_status(execq_cq_new(&cq), EXECQ_OK);
    execq_executor *executor = pool_new(1);
    for (int looks = 0; looks < 2; looks++) {
        assert_status(execq_submit_to_cq(executor, NULL, fail_silently, NULL, cq, NULL), EXECQ_OK);
        assert_status(execq_cq_wait(cq, -1), EXECQ_OK);
        execq_completion completion;
        size_t n = 0;
        assert_status(execq_cq_drain(cq, &completion, 1, &n), EXECQ_OK);
        assert_int_equal(n, 1);
        assert_int_equal(completion.status, EXECQ_EFAILED);
        if (looks) {
            assert_non_null(execq_future_error(completion.future));
        }
        assert_int_equal(told_times(), 0);
        execq_future_release(completion.future);
        assert_int_equal(told_times(), looks ? 0 : 1);
    }
    assert_status(execq_submit_to_cq(executor, NULL, fail_silently, NULL, cq, NULL), EXECQ_OK);
    pool_end(executor);
    assert_status(execq_cq_close(cq, NULL), EXECQ_OK);
    assert_int_equal(told_times(), 1); /* withdrawn */
    execq_cq_release(cq);
}

static void drop_promise(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    (void)loop;
    (void)env;
    execq_promise_release(promise);
}

static void an_asynchronous_task_without_a_future_is_reported(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(2);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.name = "async";
    assert_status(execq_submit_async(executor, &options, drop_promise, NULL, NULL), EXECQ_OK);
    pool_end(executor);
    assert_int_equal(told_times(), 1);
    assert_int_equal(told.code, EXECQ_EBROKEN);
    assert_string_equal(told.name, "async");
}

static void submit_from_hook(const execq_error *error, const char *name, void *env)
{
    (void)error;
    (void)name;
    execq_future *future = NULL;
    must(execq_fail(9, "of nobody") == 9);
    must(execq_submit(env, give_env, UNTOUCHED, &future) == EXECQ_OK);
    must(execq_future_wait(future, -1) == EXECQ_OK);
    execq_future_release(future);
}

static void the_hook_may_use_the_library(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    execq_executor *other = pool_new(1);
    assert_status(configure(submit_from_hook, other, NULL, 0), EXECQ_OK);
    assert_status(execq_submit(executor, fail_with_words, NULL, NULL), EXECQ_OK);
    pool_end(executor);
    pool_end(other);
    assert_status(unhook(NULL), EXECQ_OK);
}

static void an_env_is_dropped_once_when_the_hook_goes_and_where_it_is_refused(void **state)
{
    (void)state;
    static counter drops;
    assert_status(configure(tell, &drops, counter_hit, 0), EXECQ_OK);
    assert_status(configure(NULL, NULL, NULL, 0), EXECQ_OK); /* keeps it */
    assert_int_equal(counter_get(&drops), 0);
    assert_status(configure(tell, &drops, counter_hit, 0), EXECQ_OK);
    assert_int_equal(counter_get(&drops), 1);
    assert_status(configure(NULL, NULL, NULL, EXECQ_CONF_IGNORE_UNOBSERVED), EXECQ_OK);
    assert_int_equal(counter_get(&drops), 2);
    static const struct {
        execq_unobserved_fn fn;
        uint32_t flags;
        execq_status status;
    } refused[] = {
        {tell, EXECQ_CONF_CLEAR_ON_UNOBSERVED, EXECQ_EINVAL},
        {tell, EXECQ_CONF_IGNORE_UNOBSERVED, EXECQ_EINVAL},
        {NULL, EXECQ_CONF_CLEAR_ON_UNOBSERVED | EXECQ_CONF_IGNORE_UNOBSERVED, EXECQ_EINVAL},
        {NULL, 0, EXECQ_EINVAL}, /* a drop without a hook */
        {tell, 1U << 31, EXECQ_ENOTSUP},
    };
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        assert_status(configure(refused[i].fn, &drops, counter_hit, refused[i].flags), refused[i].status);
        assert_int_equal(counter_get(&drops), 3 + (int)i);
    }
    assert_status(unhook(NULL), EXECQ_OK);
}

static void a_configuration_of_the_first_version_keeps_the_hook(void **state)
{
    (void)state;
    execq_conf conf = EXECQ_CONF_INIT;
    conf.struct_size = offsetof(execq_conf, main_loop);
    conf.on_unobserved = submit_from_hook; /* beyond its size: not read */
    assert_status(execq_init_conf(&conf), EXECQ_OK);
    execq_executor *executor = pool_new(1);
    assert_status(execq_submit(executor, fail_with_words, NULL, NULL), EXECQ_OK);
    pool_end(executor);
    assert_int_equal(told_times(), 1);
}

/* ---- the end of the process: in children, which start while there are no threads ---- */

static execq_future *left_over;

static void give_up_left_over(void) { execq_future_release(left_over); }

static void write_called(const execq_error *error, const char *name, void *env)
{
    (void)error;
    (void)name;
    (void)env;
    must(write(STDERR_FILENO, "called", 6) == 6);
}

/* Ends a child by exit(), in which the last reference to a failed future goes, and reads what it wrote to stderr. */
static void exit_with_failure(int hook_first, char *text, size_t size)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        execq_promise *promise = NULL;
        must(execq_promise_new(NULL, &promise, &left_over) == EXECQ_OK);
        must(execq_promise_reject(promise, 5, "five") == EXECQ_OK);
        execq_promise_release(promise);
        for (int step = 0; step < 2; step++) {
            if ((step == 0) == hook_first) {
                must(configure(write_called, NULL, NULL, 0) == EXECQ_OK);
            } else {
                must(atexit(give_up_left_over) == 0);
            }
        }
        exit(0);
    }
    close(ends[1]);
    size_t length = 0;
    ssize_t got = 0;
    while ((got = read(ends[0], text + length, size - 1 - length)) > 0) {
        length += (size_t)got;
    }
    text[length] = '\0';
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void while_the_process_ends_the_hook_is_called_only_as_long_as_what_it_needs_is_there(void **state)
{
    (void)state;
    char text[256];
    exit_with_failure(1, text, sizeof text);
    assert_string_equal(text, "called");
    exit_with_failure(0, text, sizeof text);
    assert_string_equal(text, "execq: a task failed and nobody looked: 5: five\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(while_the_process_ends_the_hook_is_called_only_as_long_as_what_it_needs_is_there),
        cmocka_unit_test_setup_teardown(fire_and_forget_is_reported_at_once, hook, unhook),
        cmocka_unit_test_setup_teardown(a_success_and_a_task_that_was_never_run_are_not_reported, hook, unhook),
        cmocka_unit_test_setup_teardown(a_plain_task_that_stops_as_it_was_asked_to_is_not_reported, hook, unhook),
        cmocka_unit_test_setup_teardown(asking_consumes_and_waiting_does_not, hook, unhook),
        cmocka_unit_test_setup_teardown(a_callback_that_does_not_look_leaves_it, hook, unhook),
        cmocka_unit_test_setup_teardown(a_loop_callback_decides, hook, unhook),
        cmocka_unit_test_setup_teardown(a_completion_is_no_look, hook, unhook),
        cmocka_unit_test_setup_teardown(an_asynchronous_task_without_a_future_is_reported, hook, unhook),
        cmocka_unit_test(the_hook_may_use_the_library),
        cmocka_unit_test(an_env_is_dropped_once_when_the_hook_goes_and_where_it_is_refused),
        cmocka_unit_test_setup_teardown(a_configuration_of_the_first_version_keeps_the_hook, hook, unhook),
    };
    return cmocka_run_group_tests_name("capi.unobserved", tests, NULL, NULL);
}
