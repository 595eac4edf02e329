/* What exit() does with the executors that NULL stands for, from wherever it is called: in children, which have to end by
 * themselves although nobody would wait less than an hour for what runs. */
#include "capi.h"

#include <execq/uv.h>

#include "child.h"

enum { CODE = 7, QUEUED = 10 };
static const int64_t hour_ns = INT64_C(3600) * 1000000000;

static char text[4096];
static counter ran, dropped;
static gate here;

static execq_status configure(int32_t policy, int64_t wait_ns, execq_executor *executor)
{
    execq_conf conf = EXECQ_CONF_INIT;
    conf.exit_policy = policy;
    conf.exit_wait_ns = wait_ns;
    conf.executor = executor;
    return execq_init_conf(&conf);
}

/* Registered before the library's handler, so called after it. */
static void tell(void)
{
    const execq_status late = execq_submit(NULL, do_nothing, NULL, NULL);
    char line[128];
    const int n = snprintf(line, sizeof line, "ran %d dropped %d late %s\n", counter_get(&ran), counter_get(&dropped),
                           execq_status_name(late));
    must(write(STDERR_FILENO, line, (size_t)n) == n);
}

static void expect_tale(int ran_n, int dropped_n, const char *late)
{
    char line[128];
    snprintf(line, sizeof line, "ran %d dropped %d late %s\n", ran_n, dropped_n, late);
    assert_string_equal(text, line);
}

/* The process's executor has one thread. */
static execq_executor *configure_one(int32_t policy)
{
    must(atexit(tell) == 0);
    execq_executor *executor = pool_new(1);
    must(configure(policy, hour_ns, executor) == EXECQ_OK);
    return executor;
}

static int32_t hit_ran(void *env, void **result)
{
    (void)env;
    (void)result;
    counter_hit(&ran);
    return 0;
}

static void hit_dropped(void *env)
{
    (void)env;
    counter_hit(&dropped);
}

static void submit_some(execq_executor *executor)
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = hit_dropped;
    for (int i = 0; i < QUEUED; i++) {
        must(execq_submit_with(executor, &options, hit_ran, NULL, NULL) == EXECQ_OK);
    }
}

/* ---- policies ---- */

static int32_t until_canceled(void *env, void **result)
{
    (void)result;
    gate_pass(env);
    while (execq_cancel_requested() == 0) {
        sched_yield();
    }
    counter_hit(&ran);
    return EXECQ_ECANCELED;
}

static void end_while_work_waits(void *env)
{
    execq_executor *executor = configure_one(*(int32_t *)env);
    gate_init(&here);
    must(execq_submit(executor, *(int32_t *)env == EXECQ_EXIT_DRAIN ? gate_fn : until_canceled, &here, NULL) ==
         EXECQ_OK);
    gate_await(&here, 1);
    submit_some(executor);
    gate_open(&here, 1);
    exit(CODE);
}

static void by_default_what_has_not_started_is_canceled_and_what_runs_is_asked_to_stop(void **state)
{
    (void)state;
    int32_t policy = 0;
    child_exits(end_while_work_waits, &policy, CODE, text, sizeof text);
    expect_tale(1, QUEUED, "EXECQ_ECLOSED");
}

static void a_drain_runs_what_was_accepted(void **state)
{
    (void)state;
    int32_t policy = EXECQ_EXIT_DRAIN;
    child_exits(end_while_work_waits, &policy, CODE, text, sizeof text);
    expect_tale(QUEUED, QUEUED, "EXECQ_ECLOSED");
}

static void end_beside_a_stuck_task(void *env)
{
    const int32_t policy = *(int32_t *)env;
    execq_executor *executor = configure_one(policy);
    must(configure(0, 50 * MILLISECOND, NULL) == EXECQ_OK);
    gate_init(&here);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.name = "stuck";
    must(execq_submit_with(executor, &options, gate_fn, &here, NULL) == EXECQ_OK);
    gate_await(&here, 1);
    submit_some(executor);
    exit(CODE);
}

static void what_is_left_at_the_limit_is_named_in_one_line(void **state)
{
    (void)state;
    for (int32_t policy = EXECQ_EXIT_CANCEL; policy <= EXECQ_EXIT_DRAIN; policy++) {
        child_exits(end_beside_a_stuck_task, &policy, CODE, text, sizeof text);
        assert_ptr_equal(strstr(text, "execq: exit leaves 1 running and 10 queued tasks and 1 threads of"), text);
        assert_non_null(strstr(text, " behind: 'stuck' ("));
        const char *line = strchr(text, '\n');
        assert_non_null(line);
        assert_string_equal(line + 1, "ran 0 dropped 0 late EXECQ_ECLOSED\n");
    }
}

static void what_is_abandoned_is_not_even_closed(void **state)
{
    (void)state;
    int32_t policy = EXECQ_EXIT_ABANDON;
    child_exits(end_beside_a_stuck_task, &policy, CODE, text, sizeof text);
    expect_tale(0, 0, "EXECQ_OK");
}

static void end_at_once(void *env)
{
    execq_executor *executor = configure_one(0);
    gate_init(&here);
    must(execq_submit(executor, gate_fn, &here, NULL) == EXECQ_OK);
    gate_await(&here, 1);
    (void)env;
    _exit(CODE);
}

static void the_short_exit_waits_for_nothing(void **state)
{
    (void)state;
    child_exits(end_at_once, NULL, CODE, text, sizeof text);
    assert_string_equal(text, "");
}

static void end_with_the_default_one(void *env)
{
    (void)env;
    must(atexit(tell) == 0);
    must(configure(0, hour_ns, NULL) == EXECQ_OK);
    execq_future *future = NULL;
    must(execq_submit(NULL, hit_ran, NULL, &future) == EXECQ_OK);
    finish(future);
    /* It is ended also where another one stands for NULL now. */
    must(configure(0, 0, pool_new(1)) == EXECQ_OK);
    /* One that is neither keeps nobody. */
    execq_executor *other = pool_new(1);
    gate_init(&here);
    must(execq_submit(other, gate_fn, &here, NULL) == EXECQ_OK);
    gate_await(&here, 1);
    exit(CODE);
}

static void the_default_executor_ends_and_others_are_abandoned(void **state)
{
    (void)state;
    child_exits(end_with_the_default_one, NULL, CODE, text, sizeof text);
    expect_tale(1, 0, "EXECQ_ECLOSED");
}

static void clear_and_tell(void)
{
    execq_conf conf = EXECQ_CONF_INIT;
    conf.flags = EXECQ_CONF_CLEAR_EXECUTOR;
    must(execq_init_conf(&conf) == EXECQ_OK);
    execq_executor *executor = NULL;
    must(execq_executor_default(&executor) == EXECQ_ECLOSED);
}

static void none_after_the_end(void *env)
{
    (void)env;
    must(atexit(clear_and_tell) == 0);
    execq_executor_release(configure_one(0));
    exit(CODE);
}

static void no_default_executor_is_made_after_the_end(void **state)
{
    (void)state;
    child_exits(none_after_the_end, NULL, CODE, text, sizeof text);
    expect_tale(0, 0, "EXECQ_ECLOSED");
}

/* ---- from where it is called ---- */

static int32_t exit_in_task(void *env, void **result)
{
    (void)result;
    gate_pass(env);
    exit(CODE);
}

static void task_ends(void *env)
{
    execq_executor *executor = configure_one(*(int32_t *)env);
    gate_init(&here);
    must(execq_submit(executor, exit_in_task, &here, NULL) == EXECQ_OK);
    gate_await(&here, 1);
    submit_some(executor);
    gate_open(&here, 1);
    for (;;) {
        pause();
    }
}

/* Behind it waits what only its own thread would have run. */
static void a_task_may_exit(void **state)
{
    (void)state;
    int32_t policy = EXECQ_EXIT_CANCEL;
    child_exits(task_ends, &policy, CODE, text, sizeof text);
    expect_tale(0, QUEUED, "EXECQ_ECLOSED");
    policy = EXECQ_EXIT_DRAIN;
    child_exits(task_ends, &policy, CODE, text, sizeof text);
    expect_tale(QUEUED, QUEUED, "EXECQ_ECLOSED");
}

static void exit_done(execq_future *future, void *env)
{
    (void)future;
    (void)env;
    exit(CODE);
}

static void exit_env(void *env)
{
    (void)env;
    exit(CODE);
}

static int32_t exit_init(void *env)
{
    exit_env(env);
    return 0;
}

static void exit_hook(const execq_error *error, const char *name, void *env)
{
    (void)error;
    (void)name;
    exit_env(env);
}

static void exit_start(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    (void)promise;
    (void)loop;
    exit_env(env);
}

static void exit_timer(uv_timer_t *timer) { exit_env(timer); }

static void start_timer(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    static uv_timer_t timer;
    (void)promise;
    (void)env;
    must(uv_timer_init(loop, &timer) == 0 && uv_timer_start(&timer, exit_timer, 0, 0) == 0);
}

static int32_t exit_at_thread_end(void *env, void **result)
{
    static pthread_key_t key;
    (void)env;
    (void)result;
    must(pthread_key_create(&key, exit_env) == 0 && pthread_setspecific(key, &key) == 0);
    return 0;
}

static int32_t wait_for_cancel(void *env, void **result)
{
    (void)result;
    must(execq_on_cancel(exit_env, NULL, NULL) == EXECQ_OK);
    gate_pass(env);
    for (;;) {
        pause();
    }
}

enum place {
    IN_DONE,
    IN_DROP,
    IN_HOOK,
    IN_START,
    IN_LOOP_CALLBACK,
    IN_OWN_LOOP,
    IN_CANCEL,
    ON_TIMEKEEPER,
    IN_INIT,
    IN_FINAL,
    IN_THREAD_LOCAL,
    PLACES
};

static void exit_on_own_loop(execq_executor *executor)
{
    uv_loop_t loop;
    execq_loop *port = NULL;
    must(uv_loop_init(&loop) == 0 && execq_loop_attach(&loop, &port) == EXECQ_OK);
    must(execq_submit_to_loop(executor, NULL, hit_ran, NULL, port, exit_done, NULL, NULL) == EXECQ_OK);
    uv_run(&loop, UV_RUN_DEFAULT);
}

static void place_ends(void *env)
{
    const enum place place = *(enum place *)env;
    must(atexit(tell) == 0);
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 2;
    options.keepalive_ns = place == IN_FINAL || place == IN_THREAD_LOCAL ? -1 : 0;
    options.thread_init = place == IN_INIT ? exit_init : NULL;
    options.thread_final = place == IN_FINAL ? exit_env : NULL;
    execq_executor *executor = NULL;
    must(execq_executor_new(&options, &executor) == EXECQ_OK && configure(0, hour_ns, executor) == EXECQ_OK);
    execq_task_options task = EXECQ_TASK_OPTIONS_INIT;
    execq_future *future = NULL;
    gate_init(&here);
    switch (place) {
    case IN_DONE:
        must(execq_submit(executor, gate_fn, &here, &future) == EXECQ_OK);
        must(execq_future_on_done(future, exit_done, NULL, NULL) == EXECQ_OK);
        gate_await(&here, 1);
        gate_open(&here, 1);
        break;
    case IN_DROP:
        task.drop = exit_env;
        must(execq_submit_with(executor, &task, do_nothing, NULL, NULL) == EXECQ_OK);
        break;
    case IN_HOOK: {
        execq_conf conf = EXECQ_CONF_INIT;
        conf.on_unobserved = exit_hook;
        must(execq_init_conf(&conf) == EXECQ_OK);
        static execq_promise *promise;
        must(execq_promise_new(NULL, &promise, &future) == EXECQ_OK);
        must(execq_promise_reject(promise, 5, "five") == EXECQ_OK);
        execq_promise_release(promise);
        execq_future_release(future);
        break;
    }
    case IN_START:
        must(execq_submit_async(executor, NULL, exit_start, NULL, NULL) == EXECQ_OK);
        break;
    case IN_LOOP_CALLBACK:
        must(execq_submit_async(executor, NULL, start_timer, NULL, NULL) == EXECQ_OK);
        break;
    case IN_OWN_LOOP:
        exit_on_own_loop(executor);
        break;
    case IN_CANCEL:
        /* The body is not over before its callback is: it is left at the limit. */
        must(configure(0, 50 * MILLISECOND, NULL) == EXECQ_OK);
        must(execq_submit(executor, wait_for_cancel, &here, &future) == EXECQ_OK);
        gate_await(&here, 1);
        gate_open(&here, 1);
        must(execq_future_cancel(future) == EXECQ_EBUSY);
        break;
    case ON_TIMEKEEPER:
        must(execq_sleep(MILLISECOND, &future) == EXECQ_OK);
        must(execq_future_on_done(future, exit_done, NULL, NULL) == EXECQ_OK);
        break;
    case IN_THREAD_LOCAL:
        must(execq_submit(executor, exit_at_thread_end, NULL, NULL) == EXECQ_OK);
        must(execq_executor_close(executor, EXECQ_DRAIN) == EXECQ_OK);
        break;
    default:
        must(execq_submit(executor, hit_ran, NULL, NULL) == EXECQ_OK);
        must(place == IN_INIT || execq_executor_close(executor, EXECQ_DRAIN) == EXECQ_OK);
    }
    for (;;) {
        pause();
    }
}

static void every_callback_may_exit(void **state)
{
    (void)state;
    for (enum place place = IN_DONE; place < PLACES; place++) {
        child_exits(place_ends, &place, CODE, text, sizeof text);
        const char *tale = strstr(text, "ran ");
        if (tale == NULL || strstr(tale, "late EXECQ_ECLOSED\n") == NULL || (tale != text && place != IN_CANCEL)) {
            fail_msg("place %d: %s", (int)place, text);
        }
    }
}

#if !defined(__SANITIZE_THREAD__) /* which calls threads leaked that the first one would have joined */
static void *exit_on_thread(void *env)
{
    gate_pass(env);
    exit(CODE);
}

static void two_end(void *env)
{
    execq_executor *executor = configure_one(0);
    const int in_tasks = *(int *)env;
    must(execq_executor_resize(executor, 0, 2) == EXECQ_OK);
    gate_init(&here);
    for (int i = 0; i < 2; i++) {
        if (i < in_tasks) {
            must(execq_submit(executor, exit_in_task, &here, NULL) == EXECQ_OK);
        } else {
            thread_start(exit_on_thread, &here);
        }
    }
    gate_await(&here, 2);
    gate_open(&here, 2);
    for (;;) {
        pause();
    }
}

/* One of them may end the process while the other one is still at it: then nobody tells anything. */
static void two_threads_may_exit(void **state)
{
    (void)state;
    for (int round = 0; round < SCALED(30, 5); round++) {
        int in_tasks = round % 3;
        child_exits(two_end, &in_tasks, CODE, text, sizeof text);
        assert_null(strstr(text, "execq:"));
    }
}

#endif

static execq_status run_inside(void *engine, execq_engine_task *task)
{
    must(execq_executor_resize(*(execq_executor **)engine, 0, 2) == EXECQ_ENOTSUP);
    execq_engine_task_run(task);
    return EXECQ_OK;
}

static int32_t exit_on_engine(void *env, void **result)
{
    (void)env;
    (void)result;
    exit(CODE);
}

static void engine_ends(void *env)
{
    static execq_executor *executor;
    (void)env;
    must(atexit(tell) == 0);
    execq_engine_vtable vtable = EXECQ_ENGINE_VTABLE_INIT;
    vtable.submit = run_inside;
    must(execq_executor_from_vtable(&vtable, &executor, &executor) == EXECQ_OK);
    must(configure(0, hour_ns, executor) == EXECQ_OK);
    (void)execq_submit(executor, exit_on_engine, NULL, NULL);
}

static void a_task_of_an_engine_may_exit(void **state)
{
    (void)state;
    child_exits(engine_ends, NULL, CODE, text, sizeof text);
    expect_tale(0, 0, "EXECQ_ECLOSED");
}

/* ---- late submissions ---- */

static void submit_late(void *expected) { must(execq_submit(NULL, hit_ran, NULL, NULL) == *(execq_status *)expected); }

static void submit_from_handler(void)
{
    execq_status accepted = EXECQ_OK;
    submit_late(&accepted);
}

static void end_with_late_submissions(void *env)
{
    (void)env;
    configure_one(EXECQ_EXIT_DRAIN);
    must(atexit(submit_from_handler) == 0); /* registered later, so called earlier */
    exit(CODE);
}

static void what_comes_before_the_handler_is_accepted(void **state)
{
    (void)state;
    child_exits(end_with_late_submissions, NULL, CODE, text, sizeof text);
    expect_tale(1, 0, "EXECQ_ECLOSED");
}

#if !defined(__SANITIZE_THREAD__)
/* Its parent's threads are not there to be waited for. */
static void parent_of_one(void *env)
{
    (void)env;
    must(configure(0, hour_ns, NULL) == EXECQ_OK);
    execq_future *future = NULL;
    must(execq_submit(NULL, hit_ran, NULL, &future) == EXECQ_OK);
    finish(future);
    const pid_t child = fork();
    if (child == 0) {
        alarm(CHILD_LIMIT_S);
        exit(3);
    }
    int status = 0;
    must(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 3);
    exit(CODE);
}

static void a_child_does_not_wait_for_the_threads_of_its_parent(void **state)
{
    (void)state;
    child_exits(parent_of_one, NULL, CODE, text, sizeof text);
    assert_null(strstr(text, "execq:"));
}
#endif

static void a_policy_that_is_none_is_refused(void **state)
{
    (void)state;
    assert_status(configure(4, 0, NULL), EXECQ_EINVAL);
    assert_status(configure(-1, 0, NULL), EXECQ_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_default_what_has_not_started_is_canceled_and_what_runs_is_asked_to_stop),
        cmocka_unit_test(a_drain_runs_what_was_accepted),
        cmocka_unit_test(what_is_left_at_the_limit_is_named_in_one_line),
        cmocka_unit_test(what_is_abandoned_is_not_even_closed),
        cmocka_unit_test(the_short_exit_waits_for_nothing),
        cmocka_unit_test(the_default_executor_ends_and_others_are_abandoned),
        cmocka_unit_test(no_default_executor_is_made_after_the_end),
        cmocka_unit_test(a_task_may_exit),
        cmocka_unit_test(every_callback_may_exit),
        cmocka_unit_test(a_task_of_an_engine_may_exit),
        cmocka_unit_test(what_comes_before_the_handler_is_accepted),
#if !defined(__SANITIZE_THREAD__)
        cmocka_unit_test(two_threads_may_exit),
        cmocka_unit_test(a_child_does_not_wait_for_the_threads_of_its_parent),
#endif
        cmocka_unit_test(a_policy_that_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
