/* Calls onto an attached loop that block until they are over. */
#include "capi.h"

#include "uv_loop.h"

/* A loop with a thread of its own. */
typedef struct running {
    attached a;
    pthread_t thread;
} running;

static void *run_until_idle(void *loop)
{
    must(uv_run(loop, UV_RUN_DEFAULT) == 0);
    return NULL;
}

static void running_open(running *r)
{
    attached_open(&r->a);
    assert_status(execq_loop_hold(r->a.port), EXECQ_OK);
    r->thread = thread_start(run_until_idle, &r->a.loop);
    /* Until its first iteration the loop's thread is the one that attached it. */
    execq_future *future = NULL;
    assert_status(execq_loop_submit(r->a.port, NULL, do_nothing, NULL, &future), EXECQ_OK);
    finish(future);
}

static void running_close(running *r)
{
    assert_status(execq_loop_unhold(r->a.port), EXECQ_OK);
    pthread_join(r->thread, NULL);
    attached_close(&r->a);
}

static int32_t give_thread(void *env, void **result)
{
    *(pthread_t *)env = pthread_self();
    *result = env;
    return 0;
}

static void a_call_runs_on_the_loops_thread_and_brings_its_value_back(void **state)
{
    (void)state;
    running r;
    running_open(&r);
    for (int i = 0; i < 100; i++) {
        pthread_t thread = pthread_self();
        void *value = NULL;
        assert_status(execq_loop_call(r.a.port, give_thread, &thread, -1, &value), EXECQ_OK);
        assert_ptr_equal(value, &thread);
        assert_true(pthread_equal(thread, r.thread));
    }
    pthread_t thread;
    assert_status(execq_loop_call(r.a.port, give_thread, &thread, INT64_MAX, NULL), EXECQ_OK);
    running_close(&r);
}

static int32_t fail_with_message(void *env, void **result)
{
    *result = env;
    return execq_fail(-4711, "out of paper");
}

static void a_failure_is_told_with_its_code_and_message(void **state)
{
    (void)state;
    void *value = UNTOUCHED;
    running r;
    running_open(&r);
    assert_null(execq_loop_call_error());
    assert_status(execq_loop_call(r.a.port, fail_with_message, NULL, -1, &value), EXECQ_EFAILED);
    assert_ptr_equal(value, UNTOUCHED);
    const execq_error *error = execq_loop_call_error();
    assert_int_equal(execq_error_code(error), -4711);
    assert_string_equal(execq_error_message(error), "out of paper");
    execq_error_retain(error);
    assert_status(execq_loop_call(r.a.port, do_nothing, NULL, -1, NULL), EXECQ_OK);
    assert_null(execq_loop_call_error());
    assert_string_equal(execq_error_message(error), "out of paper");
    execq_error_release(error);
    running_close(&r);
}

static void *failure_of_this_thread(void *port)
{
    must(execq_loop_call_error() == NULL);
    must(execq_loop_call(port, fail_with_message, NULL, -1, NULL) == EXECQ_EFAILED);
    must(execq_error_code(execq_loop_call_error()) == -4711);
    return NULL; /* and its end frees what is kept */
}

static void each_thread_keeps_its_own_failure(void **state)
{
    (void)state;
    running r;
    running_open(&r);
    pthread_join(thread_start(failure_of_this_thread, r.a.port), NULL);
    assert_null(execq_loop_call_error());
    running_close(&r);
}

static void bad_arguments_are_refused(void **state)
{
    (void)state;
    void *value = UNTOUCHED;
    attached a;
    attached_open(&a);
    assert_status(execq_loop_call(NULL, do_nothing, NULL, -1, &value), EXECQ_EINVAL);
    assert_status(execq_loop_call(a.port, NULL, NULL, -1, &value), EXECQ_EINVAL);
    assert_ptr_equal(value, UNTOUCHED);
    attached_close(&a);
}

static void *call_in_vain(void *env)
{
    attached *a = env;
    static counter ran;
    void *value = UNTOUCHED;
    must(execq_loop_call(a->port, counter_fn, &ran, 0, &value) == EXECQ_ETIMEDOUT);
    must(execq_loop_call(a->port, counter_fn, &ran, MILLISECOND, &value) == EXECQ_ETIMEDOUT);
    must(value == UNTOUCHED);
    return &ran;
}

static void a_call_that_did_not_begin_in_time_never_runs(void **state)
{
    (void)state;
    void *ran = NULL;
    attached a;
    attached_open(&a);
    pthread_join(thread_start(call_in_vain, &a), &ran);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(counter_get(ran), 0);
    attached_close(&a);
}

static int64_t limit;

static int32_t outlast_the_limit(void *env, void **result)
{
    *result = env;
    while (clock_now() <= limit) {
    }
    return 0;
}

static void a_call_that_has_begun_is_waited_for_beyond_the_limit(void **state)
{
    (void)state;
    enum { LIMIT = 50 * MILLISECOND };
    execq_status status = EXECQ_ETIMEDOUT;
    void *value = NULL;
    running r;
    running_open(&r);
    while (status == EXECQ_ETIMEDOUT) { /* where the loop's thread got no processor in time */
        limit = clock_now() + 2 * LIMIT;
        status = execq_loop_call(r.a.port, outlast_the_limit, &r, LIMIT, &value);
    }
    assert_status(status, EXECQ_OK);
    assert_ptr_equal(value, &r);
    running_close(&r);
}

static int32_t call_own_loop(void *env, void **result)
{
    (void)result;
    return execq_loop_call(env, do_nothing, NULL, -1, NULL);
}

static void the_loops_own_thread_is_told_that_it_would_wait_for_ever(void **state)
{
    (void)state;
    attached a;
    attached_open(&a);
    assert_status(execq_loop_call(a.port, do_nothing, NULL, -1, NULL), EXECQ_EDEADLK); /* it attached the loop */
    execq_future *future = NULL;
    assert_status(execq_loop_submit(a.port, NULL, call_own_loop, a.port, &future), EXECQ_OK);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(execq_error_code(execq_future_error(future)), EXECQ_EDEADLK);
    execq_future_release(future);
    attached_close(&a);
}

/* Calls the loop until its thread sits in a wait, then ends that wait. */
struct caller {
    execq_loop *port;
    execq_promise *promise;
    counter ran;
};

static int32_t call_until_deadlock(void *env, void **result)
{
    struct caller *caller = env;
    (void)result;
    execq_status status = EXECQ_OK;
    while ((status = execq_loop_call(caller->port, counter_fn, &caller->ran, 0, NULL)) != EXECQ_EDEADLK) {
        must(status == EXECQ_ETIMEDOUT);
    }
    if (caller->promise != NULL) {
        must(execq_promise_resolve(caller->promise, NULL) == EXECQ_OK);
    }
    return 0;
}

static void a_loop_whose_thread_is_blocked_in_a_wait_is_not_waited_for(void **state)
{
    (void)state;
    attached a;
    attached_open(&a);
    struct caller caller = {.port = a.port};
    execq_future *awaited = NULL;
    void *ran = NULL;
    execq_executor *executor = pool_new(1);

    /* wait for the very task that calls */
    finish(spawn(executor, call_until_deadlock, &caller));

    caller.promise = promise_new(&awaited);
    execq_future *task = spawn(executor, call_until_deadlock, &caller);
    assert_status(execq_future_wait_any(&awaited, 1, -1, NULL), EXECQ_OK);
    finish(task);
    execq_promise_release(caller.promise);
    execq_future_release(awaited);

    execq_cq *cq = NULL;
    execq_completion completion;
    size_t n = 0;
    assert_status(execq_cq_new(&cq), EXECQ_OK);
    caller.promise = NULL;
    assert_status(execq_submit_to_cq(executor, NULL, call_until_deadlock, &caller, cq, NULL), EXECQ_OK);
    assert_status(execq_cq_wait(cq, -1), EXECQ_OK);
    assert_status(execq_cq_drain(cq, &completion, 1, &n), EXECQ_OK);
    assert_int_equal(n, 1);
    execq_future_release(completion.future);
    execq_cq_release(cq);

    task = spawn(executor, call_until_deadlock, &caller);
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
    execq_executor_release(executor);
    finish(task);

    /* no longer blocked: a call is no deadlock any more */
    pthread_join(thread_start(call_in_vain, &a), &ran);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(counter_get(&caller.ran), 0);
    attached_close(&a);
}

/* Two loops whose bodies call each other: if they are about to wait at the same time, one of them is told. */
struct cross {
    execq_loop *other;
    gate *g;
};

static int32_t call_across(void *env, void **result)
{
    struct cross *cross = env;
    (void)result;
    gate_pass(cross->g);
    const execq_status status = execq_loop_call(cross->other, do_nothing, NULL, -1, NULL);
    return status == EXECQ_OK ? 0 : status;
}

static void two_loops_that_call_each_other_do_not_both_wait(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    running r[2];
    running_open(&r[0]);
    running_open(&r[1]);
    struct cross cross[2] = {{r[1].a.port, &g}, {r[0].a.port, &g}};
    for (int round = 0; round < SCALED(2000, 10); round++) {
        execq_future *futures[2];
        assert_status(execq_loop_submit(r[0].a.port, NULL, call_across, &cross[0], &futures[0]), EXECQ_OK);
        assert_status(execq_loop_submit(r[1].a.port, NULL, call_across, &cross[1], &futures[1]), EXECQ_OK);
        gate_await(&g, 2);
        gate_open(&g, 2);
        for (int i = 0; i < 2; i++) {
            assert_status(execq_future_wait(futures[i], -1), EXECQ_OK);
            const int32_t code = execq_error_code(execq_future_error(futures[i]));
            assert_true(code == 0 || code == EXECQ_EDEADLK);
            execq_future_release(futures[i]);
        }
    }
    running_close(&r[0]);
    running_close(&r[1]);
    gate_destroy(&g);
}

/* A task that calls onto a loop, whose thread drives another one. */
struct driving {
    attached other;
    execq_executor *executor;
    execq_promise *promise;
    execq_status status;
};

static int32_t call_other(void *env, void **result)
{
    struct driving *self = env;
    (void)result;
    self->status = execq_loop_call(self->other.port, do_nothing, NULL, -1, NULL);
    must(execq_promise_resolve(self->promise, NULL) == EXECQ_OK);
    return 0;
}

static void attach_other(uv_timer_t *timer)
{
    struct driving *self = timer->data;
    attached_open(&self->other);
    assert_status(execq_submit(self->executor, call_other, self, NULL), EXECQ_OK);
    uv_close((uv_handle_t *)timer, NULL);
}

static void a_loop_whose_thread_drives_its_own_is_not_waited_for(void **state)
{
    (void)state;
    struct driving self = {.executor = pool_new(1)};
    execq_future *future = NULL;
    uv_loop_t *loop = NULL;
    static uv_timer_t timer;
    self.promise = promise_new(&future);
    assert_status(execq_thread_loop(&loop), EXECQ_OK);
    assert_int_equal(uv_timer_init(loop, &timer), 0);
    timer.data = &self;
    assert_int_equal(uv_timer_start(&timer, attach_other, 0, 0), 0);
    assert_status(execq_run_until(future, -1), EXECQ_OK);
    assert_status(self.status, EXECQ_EDEADLK);
    attached_close(&self.other);
    execq_promise_release(self.promise);
    execq_future_release(future);

    /* its own one, attached, is run meanwhile */
    self.other.port = NULL;
    self.promise = promise_new(&future);
    assert_status(execq_loop_attach(loop, &self.other.port), EXECQ_OK);
    assert_status(execq_submit(self.executor, call_other, &self, NULL), EXECQ_OK);
    assert_status(execq_run_until(future, -1), EXECQ_OK);
    assert_status(self.status, EXECQ_OK);
    assert_status(execq_loop_detach(self.other.port), EXECQ_OK);
    execq_loop_release(self.other.port);
    execq_promise_release(self.promise);
    execq_future_release(future);
    pool_end(self.executor);
    assert_status(execq_thread_loop_close(), EXECQ_OK);
}

static void a_detached_loop_is_closed(void **state)
{
    (void)state;
    attached a;
    attached_open(&a);
    assert_status(execq_loop_detach(a.port), EXECQ_OK);
    assert_status(execq_loop_call(a.port, do_nothing, NULL, -1, NULL), EXECQ_ECLOSED);
    execq_loop_release(a.port);
    attached_close_loop(&a);
}

struct waiting {
    execq_loop *port;
    sem_t ready;
    counter ran;
};

static void *call_and_tell(void *env)
{
    struct waiting *waiting = env;
    sem_post(&waiting->ready);
    return (void *)(intptr_t)execq_loop_call(waiting->port, counter_fn, &waiting->ran, -1, NULL);
}

static void a_detachment_ends_the_calls_that_wait(void **state)
{
    (void)state;
    int closed = 0;
    int canceled = 0;
    for (int round = 0; closed == 0 || canceled == 0; round++) {
        struct waiting waiting = {0};
        void *status = NULL;
        attached a;
        attached_open(&a);
        waiting.port = a.port;
        sem_init(&waiting.ready, 0, 0);
        pthread_t thread = thread_start(call_and_tell, &waiting);
        if (round % 2 == 0) {
            sem_take(&waiting.ready);
        }
        for (volatile int i = 0; i < round % 50 * 1000; i++) {
        }
        assert_status(execq_loop_detach(a.port), EXECQ_OK);
        pthread_join(thread, &status);
        closed += (intptr_t)status == EXECQ_ECLOSED;
        canceled += (intptr_t)status == EXECQ_ECANCELED;
        assert_int_equal(closed + canceled, round + 1);
        assert_int_equal(counter_get(&waiting.ran), 0);
        execq_loop_release(a.port);
        attached_close_loop(&a);
        sem_destroy(&waiting.ready);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_runs_on_the_loops_thread_and_brings_its_value_back),
        cmocka_unit_test(a_failure_is_told_with_its_code_and_message),
        cmocka_unit_test(each_thread_keeps_its_own_failure),
        cmocka_unit_test(bad_arguments_are_refused),
        cmocka_unit_test(a_call_that_did_not_begin_in_time_never_runs),
        cmocka_unit_test(a_call_that_has_begun_is_waited_for_beyond_the_limit),
        cmocka_unit_test(the_loops_own_thread_is_told_that_it_would_wait_for_ever),
        cmocka_unit_test(a_loop_whose_thread_is_blocked_in_a_wait_is_not_waited_for),
        cmocka_unit_test(two_loops_that_call_each_other_do_not_both_wait),
        cmocka_unit_test(a_loop_whose_thread_drives_its_own_is_not_waited_for),
        cmocka_unit_test(a_detached_loop_is_closed),
        cmocka_unit_test(a_detachment_ends_the_calls_that_wait),
    };
    return cmocka_run_group_tests_name("capi.loop_call", tests, NULL, NULL);
}
