/* Asynchronous tasks on an attached loop: started on its thread, completed by their promise; cancel callbacks. */
#include "capi.h"

#include "uv_loop.h"

/* One asynchronous task, and what became of it, on a clock that all of a test share. */
typedef struct work {
    int *clock;
    int started;
    int env_dropped;
    int canceled;       /* the cancel callback */
    int cancel_dropped; /* its env */
    int done;
    execq_promise *promise; /* start's reference */
    struct uv_loop_s *loop;
    pthread_t start_thread;
    pthread_t cancel_thread;
    execq_status hooked; /* what execq_promise_on_cancel answered */
    execq_status completed;
} work;

static void work_drop(void *env)
{
    work *w = env;
    must(w->env_dropped == 0);
    w->env_dropped = ++*w->clock;
}

static void work_done(execq_future *future, void *env)
{
    work *w = env;
    (void)future;
    must(w->done == 0);
    w->done = ++*w->clock;
}

static void work_canceled(void *env)
{
    work *w = env;
    must(w->canceled == 0 && w->cancel_dropped == 0);
    w->canceled = ++*w->clock;
    w->cancel_thread = pthread_self();
}

static void work_cancel_dropped(void *env)
{
    work *w = env;
    must(w->cancel_dropped == 0);
    w->cancel_dropped = ++*w->clock;
}

static void start_and_keep(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    work *w = env;
    must(w->started == 0);
    w->started = ++*w->clock;
    w->promise = promise;
    w->loop = loop;
    w->start_thread = pthread_self();
}

static void start_and_hook(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    start_and_keep(promise, loop, env);
    work *w = env;
    w->hooked = execq_promise_on_cancel(promise, work_canceled, env, work_cancel_dropped);
}

static execq_future *submit(attached *a, execq_async_fn start, work *w)
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    execq_future *future = NULL;
    options.drop = work_drop;
    assert_status(execq_loop_submit_async(a->port, &options, start, w, &future), EXECQ_OK);
    assert_non_null(future);
    assert_int_equal(w->started, 0);
    return future;
}

/* Submits it and lets it start. */
static execq_future *begin(attached *a, execq_async_fn start, work *w)
{
    execq_future *future = submit(a, start, w);
    while (w->started == 0) {
        uv_run(&a->loop, UV_RUN_NOWAIT);
    }
    return future;
}

static void bad_arguments_are_refused_and_the_env_dropped(void **state)
{
    (void)state;
    counter dropped = {0};
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    execq_future *future = UNTOUCHED;
    attached a;
    attached_open(&a);
    options.drop = counter_hit;
    assert_status(execq_loop_submit_async(NULL, &options, start_and_keep, &dropped, &future), EXECQ_EINVAL);
    assert_int_equal(counter_get(&dropped), 1);
    assert_status(execq_loop_submit_async(a.port, &options, NULL, &dropped, &future), EXECQ_EINVAL);
    assert_int_equal(counter_get(&dropped), 2);
    options.flags = 1U << 31;
    assert_status(execq_loop_submit_async(a.port, &options, start_and_keep, &dropped, &future), EXECQ_ENOTSUP);
    assert_int_equal(counter_get(&dropped), 3);
    assert_ptr_equal(future, UNTOUCHED);
    attached_close(&a);
}

static void start_runs_on_the_loops_thread_and_the_promise_ends_the_future(void **state)
{
    (void)state;
    int ticks = 0;
    int thing = 0;
    void *value = NULL;
    work w = {.clock = &ticks};
    attached a;
    attached_open(&a);
    execq_future *future = submit(&a, start_and_keep, &w);
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_PENDING);
    assert_status(execq_future_on_loop(future, a.port, work_done, &w, NULL), EXECQ_OK);
    while (w.started == 0) {
        uv_run(&a.loop, UV_RUN_NOWAIT);
    }
    assert_ptr_equal(w.loop, &a.loop);
    assert_true(pthread_equal(w.start_thread, pthread_self()));
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_RUNNING);
    assert_int_equal(w.env_dropped, 0); /* not when start returned */
    assert_status(execq_promise_resolve(w.promise, &thing), EXECQ_OK);
    assert_status(execq_promise_resolve(w.promise, NULL), EXECQ_EALREADY);
    assert_int_equal(w.env_dropped, 2); /* inside the completion */
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_OK);
    execq_promise_release(w.promise);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(w.done, 3);
    assert_status(execq_future_take(future, &value), EXECQ_OK);
    assert_ptr_equal(value, &thing);
    execq_future_release(future);
    attached_close(&a);
    assert_int_equal(ticks, 3);
}

/* A timer that completes a promise. */
struct timed {
    uv_timer_t timer;
    execq_promise *promise;
    int *fired;
};

static void timer_closed(uv_handle_t *handle) { free(handle->data); }

static void timer_fired(uv_timer_t *timer)
{
    struct timed *t = timer->data;
    ++*t->fired;
    must(execq_promise_resolve(t->promise, t) == EXECQ_OK);
    execq_promise_release(t->promise);
    uv_close((uv_handle_t *)timer, timer_closed);
}

static void start_timer(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    struct timed *t = malloc(sizeof *t);
    must(t != NULL);
    t->promise = promise;
    t->fired = env;
    t->timer.data = t;
    must(uv_timer_init(loop, &t->timer) == 0);
    must(uv_timer_start(&t->timer, timer_fired, 1, 0) == 0);
}

static void thousands_share_the_loop_and_complete_in_its_callbacks(void **state)
{
    (void)state;
    enum { N = 2000 };
    int fired = 0;
    static execq_future *futures[N];
    attached a;
    attached_open(&a);
    for (int i = 0; i < N; i++) {
        assert_status(execq_loop_submit_async(a.port, NULL, start_timer, &fired, i % 2 != 0 ? &futures[i] : NULL),
                      EXECQ_OK);
    }
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(fired, N);
    for (int i = 1; i < N; i += 2) {
        assert_status(execq_future_result(futures[i], NULL), EXECQ_OK);
        execq_future_release(futures[i]);
    }
    attached_close(&a);
}

static void *resolve_later(void *env)
{
    execq_promise *promise = env;
    must(execq_promise_resolve(promise, NULL) == EXECQ_OK);
    execq_promise_release(promise);
    return NULL;
}

static void start_and_hand_over(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    static pthread_t thread;
    start_and_keep(promise, loop, env);
    must(pthread_create(&thread, NULL, resolve_later, promise) == 0);
    pthread_detach(thread);
}

static void the_loop_stays_alive_until_another_thread_completed_the_promise(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        int ticks = 0;
        work w = {.clock = &ticks};
        attached a;
        attached_open(&a);
        execq_future *future = submit(&a, start_and_hand_over, &w);
        assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
        assert_status(execq_future_result(future, NULL), EXECQ_OK);
        assert_int_equal(w.env_dropped, 2);
        execq_future_release(future);
        attached_close(&a);
    }
}

static void start_and_resolve(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    start_and_keep(promise, loop, env);
    work *w = env;
    must(execq_promise_resolve(promise, env) == EXECQ_OK);
    must(w->env_dropped == 2);
    execq_promise_release(promise);
}

static void start_may_complete_the_promise_itself(void **state)
{
    (void)state;
    int ticks = 0;
    work w = {.clock = &ticks};
    attached a;
    attached_open(&a);
    execq_future *future = submit(&a, start_and_resolve, &w);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_status(execq_future_result(future, NULL), EXECQ_OK);
    execq_future_release(future);
    attached_close(&a);
}

static void a_copied_env_lives_until_the_promise_is_completed(void **state)
{
    (void)state;
    int ticks = 0;
    work w = {.clock = &ticks};
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    attached a;
    attached_open(&a);
    w.promise = UNTOUCHED;
    options.env_size = sizeof w;
    options.drop = work_drop;
    options.name = "copied";
    assert_status(execq_loop_submit_async(a.port, &options, start_and_resolve, &w, NULL), EXECQ_OK);
    memset(&w, 0, sizeof w);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(ticks, 2);
    assert_null(w.promise);
    attached_close(&a);
}

static void a_promise_dropped_open_breaks_the_future(void **state)
{
    (void)state;
    int ticks = 0;
    work w = {.clock = &ticks};
    attached a;
    attached_open(&a);
    execq_future *future = begin(&a, start_and_hook, &w);
    execq_promise_release(w.promise);
    assert_status(execq_future_result(future, NULL), EXECQ_EFAILED);
    assert_int_equal(execq_error_code(execq_future_error(future)), EXECQ_EBROKEN);
    assert_int_equal(w.cancel_dropped, 2);
    assert_int_equal(w.env_dropped, 3);
    assert_int_equal(w.canceled, 0);
    execq_future_release(future);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    attached_close(&a);
}

static void cancelled_before_it_started_it_never_runs(void **state)
{
    (void)state;
    int ticks = 0;
    work w = {.clock = &ticks};
    attached a;
    attached_open(&a);
    execq_future *future = submit(&a, start_and_keep, &w);
    assert_status(execq_future_cancel(future), EXECQ_OK);
    assert_int_equal(w.env_dropped, 1);
    assert_status(execq_future_cancel(future), EXECQ_EALREADY);
    assert_status(execq_future_result(future, NULL), EXECQ_ECANCELED);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(w.started, 0);
    execq_future_release(future);
    attached_close(&a);
    assert_int_equal(ticks, 1);
}

static void *cancel_it(void *future)
{
    must(execq_future_cancel(future) == EXECQ_EBUSY);
    must(execq_future_cancel(future) == EXECQ_EBUSY);
    return NULL;
}

static void cancelled_after_it_started_the_callback_runs_once_on_the_loops_thread(void **state)
{
    (void)state;
    int ticks = 0;
    work w = {.clock = &ticks};
    attached a;
    attached_open(&a);
    execq_future *future = begin(&a, start_and_hook, &w);
    assert_status(w.hooked, EXECQ_OK);
    pthread_join(thread_start(cancel_it, future), NULL);
    assert_int_equal(w.canceled, 0); /* not there */
    assert_int_equal(execq_promise_cancel_requested(w.promise), 1);
    while (w.canceled == 0) {
        uv_run(&a.loop, UV_RUN_NOWAIT);
    }
    assert_true(pthread_equal(w.cancel_thread, pthread_self()));
    assert_int_equal(w.cancel_dropped, 3);
    assert_status(execq_future_cancel(future), EXECQ_EBUSY);
    uv_run(&a.loop, UV_RUN_NOWAIT);
    assert_status(execq_promise_reject(w.promise, EXECQ_ECANCELED, NULL), EXECQ_OK);
    assert_status(execq_future_result(future, NULL), EXECQ_ECANCELED);
    assert_int_equal(execq_future_cancel_reason(future), EXECQ_REASON_CALLER);
    execq_promise_release(w.promise);
    execq_future_release(future);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    attached_close(&a);
    assert_int_equal(ticks, 4);
}

static void a_callback_on_its_way_is_not_called_once_the_promise_is_completed(void **state)
{
    (void)state;
    int ticks = 0;
    work w = {.clock = &ticks};
    attached a;
    attached_open(&a);
    execq_future *future = begin(&a, start_and_hook, &w);
    assert_status(execq_future_cancel(future), EXECQ_EBUSY);
    assert_status(execq_promise_resolve(w.promise, NULL), EXECQ_OK);
    execq_promise_release(w.promise);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(w.canceled, 0);
    assert_int_not_equal(w.cancel_dropped, 0);
    assert_status(execq_future_result(future, NULL), EXECQ_OK);
    execq_future_release(future);
    attached_close(&a);
    assert_int_equal(ticks, 3);
}

static void a_callback_registered_after_the_request_runs_soon_but_not_inside(void **state)
{
    (void)state;
    int ticks = 0;
    work w = {.clock = &ticks};
    attached a;
    attached_open(&a);
    execq_future *future = begin(&a, start_and_keep, &w);
    assert_status(execq_future_cancel(future), EXECQ_EBUSY);
    assert_status(execq_promise_on_cancel(w.promise, work_canceled, &w, work_cancel_dropped), EXECQ_OK);
    assert_int_equal(w.canceled, 0);
    while (w.canceled == 0) {
        uv_run(&a.loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(w.cancel_dropped, 3);
    execq_promise_release(w.promise);
    assert_status(execq_future_result(future, NULL), EXECQ_ECANCELED); /* as that was asked for */
    execq_future_release(future);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    attached_close(&a);
}

static void reject_in_callback(void *env)
{
    work *w = env;
    work_canceled(env);
    w->completed = execq_promise_reject(w->promise, EXECQ_ECANCELED, "stopped");
    execq_promise_release(w->promise);
    must(w->cancel_dropped == 0); /* while it runs */
}

static void start_and_hook_reject(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    start_and_keep(promise, loop, env);
    must(execq_promise_on_cancel(promise, reject_in_callback, env, work_cancel_dropped) == EXECQ_OK);
}

static void the_callback_may_complete_the_promise(void **state)
{
    (void)state;
    int ticks = 0;
    work w = {.clock = &ticks};
    attached a;
    attached_open(&a);
    execq_future *future = begin(&a, start_and_hook_reject, &w);
    assert_status(execq_future_cancel(future), EXECQ_EBUSY);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_status(w.completed, EXECQ_OK);
    assert_int_equal(w.canceled, 2);
    assert_int_equal(w.env_dropped, 3);
    assert_int_equal(w.cancel_dropped, 4);
    assert_status(execq_future_result(future, NULL), EXECQ_ECANCELED);
    execq_future_release(future);
    attached_close(&a);
}

static gate callback_gate;
static atomic_int callback_over;

static void callback_at_gate(void *env)
{
    (void)env;
    gate_pass(&callback_gate);
    atomic_store(&callback_over, 1);
}

static void *run_loop(void *loop)
{
    uv_run(loop, UV_RUN_DEFAULT);
    return NULL;
}

/* Lets the callback go once somebody has claimed the outcome. */
static void *open_when_claimed(void *future)
{
    while (execq_future_cancel(future) != EXECQ_EALREADY) {
    }
    gate_open(&callback_gate, 1);
    return NULL;
}

static void a_completion_on_another_thread_waits_for_the_callback(void **state)
{
    (void)state;
    int ticks = 0;
    work w = {.clock = &ticks};
    attached a;
    attached_open(&a);
    gate_init(&callback_gate);
    atomic_store(&callback_over, 0);
    execq_future *future = begin(&a, start_and_keep, &w);
    assert_status(execq_promise_on_cancel(w.promise, callback_at_gate, &w, work_cancel_dropped), EXECQ_OK);
    assert_status(execq_loop_hold(a.port), EXECQ_OK);
    pthread_t loop_thread = thread_start(run_loop, &a.loop);
    assert_status(execq_future_cancel(future), EXECQ_EBUSY);
    gate_await(&callback_gate, 1);
    pthread_t opener = thread_start(open_when_claimed, future);
    assert_status(execq_promise_resolve(w.promise, NULL), EXECQ_OK);
    assert_int_equal(atomic_load(&callback_over), 1);
    assert_int_equal(w.cancel_dropped, 2);
    assert_int_equal(w.env_dropped, 3);
    assert_status(execq_future_result(future, NULL), EXECQ_OK);
    pthread_join(opener, NULL);
    assert_status(execq_loop_unhold(a.port), EXECQ_OK);
    pthread_join(loop_thread, NULL);
    execq_promise_release(w.promise);
    execq_future_release(future);
    attached_close(&a);
    gate_destroy(&callback_gate);
}

static void there_is_one_callback_and_none_for_a_completed_promise(void **state)
{
    (void)state;
    counter dropped = {0};
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future);
    assert_status(execq_promise_on_cancel(NULL, counter_hit, &dropped, counter_hit), EXECQ_EINVAL);
    assert_int_equal(counter_get(&dropped), 1);
    assert_status(execq_promise_on_cancel(promise, NULL, &dropped, counter_hit), EXECQ_EINVAL);
    assert_int_equal(counter_get(&dropped), 2);
    assert_status(execq_promise_on_cancel(promise, counter_hit, &dropped, counter_hit), EXECQ_OK);
    assert_int_equal(counter_get(&dropped), 2);
    assert_status(execq_promise_on_cancel(promise, counter_hit, &dropped, counter_hit), EXECQ_EALREADY);
    assert_int_equal(counter_get(&dropped), 3);
    assert_status(execq_promise_resolve(promise, NULL), EXECQ_OK);
    assert_int_equal(counter_get(&dropped), 4); /* withdrawn, not called */
    assert_status(execq_promise_on_cancel(promise, counter_hit, &dropped, counter_hit), EXECQ_EALREADY);
    assert_int_equal(counter_get(&dropped), 5);
    assert_status(execq_future_cancel(future), EXECQ_EALREADY);
    execq_promise_release(promise);
    execq_future_release(future);
    assert_int_equal(counter_get(&dropped), 5);

    promise = promise_new(&future);
    assert_status(execq_promise_resolve(promise, NULL), EXECQ_OK);
    assert_status(execq_promise_on_cancel(promise, counter_hit, &dropped, NULL), EXECQ_EALREADY);
    assert_int_equal(counter_get(&dropped), 5);
    execq_promise_release(promise);
    execq_future_release(future);
}

static void without_a_loop_the_callback_runs_on_the_cancelling_thread(void **state)
{
    (void)state;
    int ticks = 0;
    work w = {.clock = &ticks};
    execq_future *future = NULL;
    w.promise = promise_new(&future);
    assert_status(execq_promise_on_cancel(w.promise, work_canceled, &w, work_cancel_dropped), EXECQ_OK);
    pthread_t thread = thread_start(cancel_it, future);
    pthread_join(thread, NULL);
    assert_int_equal(w.canceled, 1); /* inside the call */
    assert_int_equal(w.cancel_dropped, 2);
    assert_false(pthread_equal(w.cancel_thread, pthread_self()));
    execq_promise_release(w.promise);
    execq_future_release(future);

    work late = {.clock = &ticks};
    late.promise = promise_new(&future);
    assert_status(execq_future_cancel(future), EXECQ_EBUSY);
    assert_status(execq_promise_on_cancel(late.promise, work_canceled, &late, work_cancel_dropped), EXECQ_OK);
    assert_int_equal(late.canceled, 3); /* inside the registration */
    execq_promise_release(late.promise);
    execq_future_release(future);
    assert_int_equal(ticks, 4);
}

struct nested {
    execq_future *other;
    work *w;
};

static void cancel_another(execq_future *future, void *env)
{
    struct nested *nested = env;
    (void)future;
    must(execq_future_cancel(nested->other) == EXECQ_EBUSY);
    must(nested->w->canceled == 0); /* not nested in this callback */
    ++*nested->w->clock;
}

static void inside_a_done_callback_it_waits_for_its_turn(void **state)
{
    (void)state;
    int ticks = 0;
    work w = {.clock = &ticks};
    struct nested nested = {NULL, &w};
    w.promise = promise_new(&nested.other);
    assert_status(execq_promise_on_cancel(w.promise, work_canceled, &w, work_cancel_dropped), EXECQ_OK);
    execq_future *done = done_future(NULL);
    assert_status(execq_future_on_done(done, cancel_another, &nested, NULL), EXECQ_OK);
    assert_int_equal(w.canceled, 2);
    assert_int_equal(w.cancel_dropped, 3);
    execq_future_release(done);
    execq_promise_release(w.promise);
    execq_future_release(nested.other);
}

static void detached_before_it_started_it_ends_cancelled(void **state)
{
    (void)state;
    int ticks = 0;
    work w = {.clock = &ticks};
    attached a;
    attached_open(&a);
    execq_future *future = submit(&a, start_and_keep, &w);
    assert_status(execq_loop_detach(a.port), EXECQ_OK);
    assert_int_equal(w.env_dropped, 1);
    assert_status(execq_future_result(future, NULL), EXECQ_ECANCELED);
    assert_int_equal(execq_future_cancel_reason(future), EXECQ_REASON_SHUTDOWN);
    execq_loop_release(a.port);
    attached_close_loop(&a);
    execq_future_release(future);
    assert_int_equal(ticks, 1);
}

static void detached_after_it_started_it_goes_on_without_its_callback(void **state)
{
    (void)state;
    int ticks = 0;
    work w = {.clock = &ticks};
    work sent = {.clock = &ticks};
    attached a;
    attached_open(&a);
    execq_future *future = begin(&a, start_and_hook, &w);
    execq_future *asked = begin(&a, start_and_hook, &sent);
    assert_status(execq_future_cancel(asked), EXECQ_EBUSY); /* on its way: delivered by the detachment */
    attached_close(&a);
    assert_int_equal(sent.canceled, 3);
    assert_int_equal(sent.cancel_dropped, 4);
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_RUNNING);
    assert_status(execq_future_cancel(future), EXECQ_EBUSY);
    assert_status(execq_future_cancel(future), EXECQ_EBUSY);
    assert_int_equal(ticks, 4);
    assert_status(execq_promise_resolve(w.promise, NULL), EXECQ_OK);
    assert_int_equal(w.canceled, 0);
    assert_int_equal(w.cancel_dropped, 5);
    assert_int_equal(w.env_dropped, 6);
    execq_promise_release(w.promise);
    execq_promise_release(sent.promise);
    execq_future_release(future);
    execq_future_release(asked);
}

static void a_detached_loop_refuses_and_drops(void **state)
{
    (void)state;
    counter dropped = {0};
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    execq_future *future = UNTOUCHED;
    attached a;
    attached_open(&a);
    options.drop = counter_hit;
    assert_status(execq_loop_detach(a.port), EXECQ_OK);
    assert_status(execq_loop_submit_async(a.port, &options, start_and_keep, &dropped, &future), EXECQ_ECLOSED);
    assert_int_equal(counter_get(&dropped), 1);
    assert_ptr_equal(future, UNTOUCHED);
    execq_loop_release(a.port);
    attached_close_loop(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_arguments_are_refused_and_the_env_dropped),
        cmocka_unit_test(start_runs_on_the_loops_thread_and_the_promise_ends_the_future),
        cmocka_unit_test(thousands_share_the_loop_and_complete_in_its_callbacks),
        cmocka_unit_test(the_loop_stays_alive_until_another_thread_completed_the_promise),
        cmocka_unit_test(start_may_complete_the_promise_itself),
        cmocka_unit_test(a_copied_env_lives_until_the_promise_is_completed),
        cmocka_unit_test(a_promise_dropped_open_breaks_the_future),
        cmocka_unit_test(cancelled_before_it_started_it_never_runs),
        cmocka_unit_test(cancelled_after_it_started_the_callback_runs_once_on_the_loops_thread),
        cmocka_unit_test(a_callback_on_its_way_is_not_called_once_the_promise_is_completed),
        cmocka_unit_test(a_callback_registered_after_the_request_runs_soon_but_not_inside),
        cmocka_unit_test(the_callback_may_complete_the_promise),
        cmocka_unit_test(a_completion_on_another_thread_waits_for_the_callback),
        cmocka_unit_test(there_is_one_callback_and_none_for_a_completed_promise),
        cmocka_unit_test(without_a_loop_the_callback_runs_on_the_cancelling_thread),
        cmocka_unit_test(inside_a_done_callback_it_waits_for_its_turn),
        cmocka_unit_test(detached_before_it_started_it_ends_cancelled),
        cmocka_unit_test(detached_after_it_started_it_goes_on_without_its_callback),
        cmocka_unit_test(a_detached_loop_refuses_and_drops),
    };
    return cmocka_run_group_tests_name("capi.loop_async", tests, NULL, NULL);
}
