/* Closing, joining and releasing an executor inside of each kind of callback: a join there answers at once that it cannot be,
 * on threads of the executor, and nothing that was accepted is lost. */
#include "capi.h"

#include <execq/uv.h>

#include "uv_loop.h"

enum place {
    IN_TASK,
    IN_DONE,
    IN_DROP,
    IN_CANCEL,
    IN_START,
    IN_INIT,
    IN_FINAL,
    IN_HOOK,
    IN_PROVIDER,
    ON_OWN_LOOP,
    PLACES
};
enum { TASKS = 20 };

static execq_executor *executor;
static counter ran, dropped, called;
static int32_t how;
static gate here;

static void end_it(void *env)
{
    (void)env;
    if (atomic_fetch_add(&called.n, 1) != 0) {
        return; /* once */
    }
    must(execq_executor_close(executor, how) == EXECQ_OK);
    must(execq_executor_close(executor, how) == EXECQ_OK);
    const execq_status joined = execq_executor_join(executor, 0, NULL);
    must(joined == EXECQ_EDEADLK || joined == EXECQ_ETIMEDOUT || joined == EXECQ_OK);
    execq_executor_release(executor);
}

static void end_done(execq_future *future, void *env)
{
    (void)future;
    end_it(env);
}

static int32_t end_init(void *env)
{
    end_it(env);
    return 0;
}

static int32_t end_task(void *env, void **result)
{
    (void)result;
    end_it(env);
    must(execq_executor_join(executor, -1, NULL) == EXECQ_EDEADLK);
    return 0;
}

static int32_t fail_plainly(void *env, void **result)
{
    (void)env;
    (void)result;
    return 5;
}

static void end_hook(const execq_error *error, const char *name, void *env)
{
    (void)error;
    (void)name;
    end_it(env);
}

static void end_start(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    (void)loop;
    end_it(env);
    execq_promise_resolve(promise, NULL);
    execq_promise_release(promise);
}

static int32_t cancellable(void *env, void **result)
{
    (void)result;
    must(execq_on_cancel(end_it, NULL, NULL) == EXECQ_OK);
    return gate_fn(env, result);
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

static _Thread_local int capturing;
static execq_status end_capture(void *env, void **state)
{
    (void)state;
    if (capturing) {
        end_it(env);
    }
    return EXECQ_OK;
}

static execq_status enter(void *env, void *state, void **entered)
{
    (void)env;
    (void)state;
    (void)entered;
    return EXECQ_OK;
}

static void leave(void *env, void *state, void *entered)
{
    (void)env;
    (void)state;
    (void)entered;
}

static int submit_counted(int n)
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = hit_dropped;
    int accepted = 0;
    for (int i = 0; i < n; i++) {
        const execq_status status = execq_submit_with(executor, &options, hit_ran, NULL, NULL);
        must(status == EXECQ_OK || status == EXECQ_ECLOSED);
        accepted += status == EXECQ_OK ? 1 : 0;
    }
    return accepted;
}

/* The callback's task; its own failures and drops are not counted. */
static void provoke(enum place place)
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    execq_future *future = NULL;
    switch (place) {
    case IN_TASK:
        assert_status(execq_submit(executor, end_task, NULL, NULL), EXECQ_OK);
        break;
    case IN_DONE:
        future = occupy(executor, &here);
        assert_status(execq_future_on_done(future, end_done, NULL, NULL), EXECQ_OK);
        gate_open(&here, 1);
        finish(future);
        break;
    case IN_DROP:
        options.drop = end_it;
        assert_status(execq_submit_with(executor, &options, do_nothing, NULL, NULL), EXECQ_OK);
        break;
    case IN_CANCEL:
        assert_status(execq_submit(executor, cancellable, &here, &future), EXECQ_OK);
        gate_await(&here, 1);
        assert_status(execq_future_cancel(future), EXECQ_EBUSY);
        gate_open(&here, 1);
        finish(future);
        break;
    case IN_START:
        assert_status(execq_submit_async(executor, NULL, end_start, NULL, NULL), EXECQ_OK);
        break;
    case IN_HOOK:
        assert_status(execq_submit(executor, fail_plainly, NULL, NULL), EXECQ_OK);
        break;
    case IN_PROVIDER:
        capturing = 1;
        (void)execq_submit(executor, do_nothing, NULL, NULL);
        capturing = 0;
        break;
    case ON_OWN_LOOP: {
        attached a;
        attached_open(&a);
        assert_status(execq_submit_to_loop(executor, NULL, do_nothing, NULL, a.port, end_done, NULL, NULL), EXECQ_OK);
        uv_run(&a.loop, UV_RUN_DEFAULT);
        attached_close(&a);
        break;
    }
    default: /* with the first thread, or the last */
        break;
    }
}

static void end_inside(enum place place)
{
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 2;
    options.keepalive_ns = -1;
    options.thread_init = place == IN_INIT ? end_init : NULL;
    options.thread_final = place == IN_FINAL ? end_it : NULL;
    assert_status(execq_executor_new(&options, &executor), EXECQ_OK);
    execq_executor_retain(executor); /* the callback's */
    atomic_store(&ran.n, 0);
    atomic_store(&dropped.n, 0);
    atomic_store(&called.n, 0);
    gate_init(&here);
    int accepted = submit_counted(TASKS);
    provoke(place);
    accepted += submit_counted(TASKS);
    if (place == IN_FINAL) { /* a thread may have left before */
        (void)execq_executor_close(executor, how);
    }
    while (counter_get(&called) == 0) {
        sched_yield();
    }
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
    assert_int_equal(counter_get(&dropped) - (2 * TASKS - accepted), accepted);
    if (how == EXECQ_DRAIN) {
        assert_int_equal(counter_get(&ran), accepted);
    }
    execq_executor_release(executor);
}

static void set_hook(execq_unobserved_fn hook)
{
    execq_conf conf = EXECQ_CONF_INIT;
    conf.on_unobserved = hook;
    conf.flags = hook == NULL ? EXECQ_CONF_CLEAR_ON_UNOBSERVED : 0;
    assert_status(execq_init_conf(&conf), EXECQ_OK);
}

static void an_executor_may_be_ended_inside_of_every_callback(void **state)
{
    (void)state;
    for (how = EXECQ_DRAIN; how <= EXECQ_CANCEL; how++) {
        for (enum place place = IN_TASK; place < PLACES; place++) {
            if (place == IN_HOOK) {
                set_hook(end_hook);
            }
            if (place == IN_PROVIDER && how == EXECQ_DRAIN) {
                execq_context_provider provider = EXECQ_CONTEXT_PROVIDER_INIT;
                provider.capture = end_capture;
                provider.enter = enter;
                provider.leave = leave;
                assert_status(execq_context_provider_add(&provider), EXECQ_OK);
            }
            end_inside(place);
            if (place == IN_HOOK) {
                set_hook(NULL);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_executor_may_be_ended_inside_of_every_callback)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
