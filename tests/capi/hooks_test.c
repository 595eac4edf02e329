/* Hooks of an executor: who is told what of each task, and what hooks may do. */
#include "capi.h"

#include <stdatomic.h>

/* What a table has been told, in all and by outcome. */
typedef struct tale {
    atomic_int submits, starts, ends[6], drops;
    execq_executor *closes; /* in on_submit */
    execq_executor *submits_to;
    execq_future *waits_for;
    atomic_int waited;
    pthread_mutex_t lock; /* of what follows: hooks run on every worker */
    execq_task_event last_end;
    char last_name[48];
    pthread_t submitter;
} tale;

static void on_submit(const execq_task_event *event, void *env)
{
    tale *t = env;
    must(event->struct_size == sizeof *event);
    must(event->task != 0 && event->submitted_ns != 0 && event->started_ns == 0 && event->worker == -1);
    pthread_mutex_lock(&t->lock);
    t->submitter = pthread_self();
    pthread_mutex_unlock(&t->lock);
    atomic_fetch_add(&t->submits, 1);
    if (t->closes != NULL) {
        must(execq_executor_close(t->closes, EXECQ_DRAIN) == EXECQ_OK);
    }
    if (t->submits_to != NULL) {
        must(execq_submit(t->submits_to, do_nothing, NULL, NULL) == EXECQ_OK);
    }
}

static void on_start(const execq_task_event *event, void *env)
{
    tale *t = env;
    must(event->started_ns >= event->submitted_ns && event->ended_ns == 0);
    atomic_fetch_add(&t->starts, 1);
}

static void on_end(const execq_task_event *event, void *env)
{
    tale *t = env;
    must(event->outcome >= EXECQ_ENDED_OK && event->outcome <= EXECQ_ENDED_RUN);
    must(event->ended_ns >= event->submitted_ns);
    if (t->waits_for != NULL) {
        must(execq_future_wait(t->waits_for, -1) == EXECQ_EDEADLK);
        atomic_fetch_add(&t->waited, 1);
    }
    pthread_mutex_lock(&t->lock);
    t->last_end = *event;
    strncpy(t->last_name, event->name, sizeof t->last_name - 1);
    pthread_mutex_unlock(&t->lock);
    atomic_fetch_add(&t->ends[event->outcome], 1);
}

static void drop_tale(void *env) { atomic_fetch_add(&((tale *)env)->drops, 1); }

static execq_hooks hooks_of(tale *t)
{
    execq_hooks hooks = EXECQ_HOOKS_INIT;
    memset(t, 0, sizeof *t);
    pthread_mutex_init(&t->lock, NULL);
    hooks.drop = drop_tale;
    hooks.env = t;
    hooks.on_submit = on_submit;
    hooks.on_start = on_start;
    hooks.on_end = on_end;
    return hooks;
}

static execq_executor *hooked(tale *t, uint32_t threads)
{
    execq_hooks hooks = hooks_of(t);
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.name = "hooked";
    options.max_threads = threads;
    options.hooks = &hooks;
    execq_executor *executor = NULL;
    assert_status(execq_executor_new(&options, &executor), EXECQ_OK);
    return executor;
}

static tale told;

static int32_t fails(void *env, void **result)
{
    (void)env;
    (void)result;
    return execq_fail(-33, "as it should");
}

/* ---- what is told ---- */

static void a_task_is_told_three_times_before_its_future_is_done(void **state)
{
    (void)state;
    execq_executor *executor = hooked(&told, 1);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    execq_future *future = NULL;
    options.name = "one";
    assert_status(execq_submit_with(executor, &options, do_nothing, NULL, &future), EXECQ_OK);
    assert_true(pthread_equal(told.submitter, pthread_self()));
    finish(future);
    assert_int_equal(told.submits, 1);
    assert_int_equal(told.starts, 1);
    assert_int_equal(told.ends[EXECQ_ENDED_OK], 1);
    assert_string_equal(told.last_name, "one");
    assert_string_equal(told.last_end.executor, "hooked");
    assert_int_equal(told.last_end.worker, 0);
    assert_int_equal(told.last_end.code, EXECQ_OK);
    pool_end(executor);
    assert_int_equal(told.drops, 1);
}

static void every_way_to_submit_is_told(void **state)
{
    (void)state;
    execq_executor *executor = hooked(&told, 2);
    execq_future *future = NULL;
    execq_cq *cq = NULL;
    execq_completion completion;
    size_t n = 0;
    assert_status(execq_submit(executor, do_nothing, NULL, NULL), EXECQ_OK); /* a plain one */
    finish(spawn(executor, do_nothing, NULL));
    assert_status(execq_submit_many(executor, NULL, 5, do_nothing, NULL, NULL), EXECQ_OK);
    assert_status(execq_cq_new(&cq), EXECQ_OK);
    assert_status(execq_submit_to_cq(executor, NULL, do_nothing, NULL, cq, NULL), EXECQ_OK);
    assert_status(execq_cq_wait(cq, -1), EXECQ_OK);
    assert_status(execq_cq_drain(cq, &completion, 1, &n), EXECQ_OK);
    execq_future_release(completion.future);
    execq_cq_release(cq);
    future = spawn(executor, fails, NULL);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_int_equal(execq_error_code(execq_future_error(future)), -33);
    execq_future_release(future);
    pool_end(executor);
    assert_int_equal(told.submits, 9);
    assert_int_equal(told.starts, 9);
    assert_int_equal(told.ends[EXECQ_ENDED_OK], 8);
    assert_int_equal(told.ends[EXECQ_ENDED_FAILED], 1);
}

static void what_is_canceled_before_it_starts_only_ends(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = hooked(&told, 1);
    execq_future *first = occupy(executor, &g);
    execq_future *second = spawn(executor, do_nothing, NULL);
    assert_status(execq_future_cancel(second), EXECQ_OK);
    assert_int_equal(told.ends[EXECQ_ENDED_CANCELED], 1);
    assert_int_equal(told.last_end.code, EXECQ_ECANCELED);
    assert_int_equal(told.last_end.worker, -1);
    assert_int_equal(told.last_end.started_ns, 0);
    gate_open(&g, 1);
    finish(first);
    execq_future_release(second);
    pool_end(executor);
    assert_int_equal(told.submits, 2);
    assert_int_equal(told.starts, 1);
    gate_destroy(&g);
}

static int32_t third_run_fails(void *env, void **result)
{
    (void)result;
    return ++*(int *)env == 3 ? -5 : 0;
}

static void runs_of_a_periodic_task_are_told_one_by_one(void **state)
{
    (void)state;
    execq_executor *executor = hooked(&told, 1);
    execq_future *future = NULL;
    int runs = 0;
    assert_status(
        execq_submit_periodic(executor, NULL, MILLISECOND, EXECQ_FIXED_DELAY, third_run_fails, &runs, &future),
        EXECQ_OK);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_non_null(execq_future_error(future));
    assert_int_equal(told.submits, 1);
    assert_int_equal(told.starts, 3);
    assert_int_equal(told.ends[EXECQ_ENDED_RUN], 2);
    assert_int_equal(told.ends[EXECQ_ENDED_FAILED], 1);
    assert_int_equal(told.last_end.code, -5);
    execq_future_release(future);
    pool_end(executor);
}

static void env_stays_until_the_last_future_is_gone(void **state)
{
    (void)state;
    execq_executor *executor = hooked(&told, 1);
    execq_future *future = spawn(executor, do_nothing, NULL);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    pool_end(executor);
    assert_int_equal(told.drops, 0);
    execq_future_release(future);
    assert_int_equal(told.drops, 1);
}

/* ---- what hooks may do ---- */

static void a_hook_that_submits_is_not_told_of_that(void **state)
{
    (void)state;
    execq_executor *executor = hooked(&told, 1);
    told.submits_to = executor;
    finish(spawn(executor, do_nothing, NULL));
    pool_end(executor);
    assert_int_equal(told.submits, 1);
    assert_int_equal(told.starts, 1);
    assert_int_equal(told.ends[EXECQ_ENDED_OK], 1);
}

static void a_hook_that_closes_refuses_the_task(void **state)
{
    (void)state;
    execq_executor *executor = hooked(&told, 1);
    execq_future *future = UNTOUCHED;
    told.closes = executor;
    assert_status(execq_submit(executor, do_nothing, NULL, &future), EXECQ_ECLOSED);
    assert_ptr_equal(future, UNTOUCHED);
    assert_int_equal(told.submits, 1);
    assert_int_equal(told.starts, 0);
    assert_int_equal(told.ends[EXECQ_ENDED_REFUSED], 1);
    pool_end(executor);
    assert_int_equal(told.drops, 1);
}

static void a_hook_that_waits_for_its_own_task_is_told_that_it_never_ends(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = hooked(&told, 1);
    execq_future *first = occupy(executor, &g);
    told.waits_for = first;
    gate_open(&g, 1);
    finish(first);
    assert_int_equal(told.waited, 1);
    told.waits_for = NULL;
    pool_end(executor);
    gate_destroy(&g);
}

/* ---- arguments ---- */

static void a_refused_table_is_dropped_inside_the_call(void **state)
{
    (void)state;
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    execq_executor *executor = UNTOUCHED;
    execq_hooks hooks = hooks_of(&told);
    options.hooks = &hooks;
    hooks.flags = 1;
    assert_status(execq_executor_new(&options, &executor), EXECQ_ENOTSUP);
    hooks.flags = 0;
    hooks.struct_size = sizeof hooks - 8;
    assert_status(execq_executor_new(&options, &executor), EXECQ_EINVAL);
    hooks.struct_size = sizeof hooks;
    options.flags = 0x40;
    assert_status(execq_executor_new(&options, &executor), EXECQ_ENOTSUP);
    options.flags = 0;
    options.max_threads = EXECQ_MAX_THREADS + 1;
    assert_status(execq_executor_new(&options, &executor), EXECQ_EINVAL);
    assert_status(execq_executor_new(&options, NULL), EXECQ_EINVAL);
    assert_int_equal(told.drops, 5);
    options.struct_size = offsetof(execq_executor_options, hooks); /* which is not looked at then */
    options.max_threads = 1;
    assert_status(execq_executor_new(&options, &executor), EXECQ_OK);
    finish(spawn(executor, do_nothing, NULL));
    pool_end(executor);
    assert_int_equal(told.drops, 5);
    assert_int_equal(told.submits, 0);
}

static void functions_may_be_missing(void **state)
{
    (void)state;
    execq_hooks hooks = EXECQ_HOOKS_INIT;
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    execq_executor *executor = NULL;
    options.hooks = &hooks;
    assert_status(execq_executor_new(&options, &executor), EXECQ_OK);
    finish(spawn(executor, do_nothing, NULL));
    pool_end(executor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_is_told_three_times_before_its_future_is_done),
        cmocka_unit_test(every_way_to_submit_is_told),
        cmocka_unit_test(what_is_canceled_before_it_starts_only_ends),
        cmocka_unit_test(runs_of_a_periodic_task_are_told_one_by_one),
        cmocka_unit_test(env_stays_until_the_last_future_is_gone),
        cmocka_unit_test(a_hook_that_submits_is_not_told_of_that),
        cmocka_unit_test(a_hook_that_closes_refuses_the_task),
        cmocka_unit_test(a_hook_that_waits_for_its_own_task_is_told_that_it_never_ends),
        cmocka_unit_test(a_refused_table_is_dropped_inside_the_call),
        cmocka_unit_test(functions_may_be_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
