/* Cancel callbacks of running tasks, and cancel sources. */
#include "capi.h"

static void hit(void *env) { atomic_fetch_add((atomic_int *)env, 1); }

/* A task that registers a callback, says so, and stays until it is let through. */
typedef struct visit {
    gate inside;
    atomic_int called, dropped;
    atomic_int off; /* what execq_off_cancel answered */
    pthread_t caller;
    int keeps; /* the callback ends with the task */
} visit;

static visit *visit_new(void)
{
    visit *self = calloc(1, sizeof *self);
    must(self != NULL);
    gate_init(&self->inside);
    return self;
}

static void visit_free(visit *self)
{
    gate_destroy(&self->inside);
    free(self);
}

static void visit_called(void *env)
{
    visit *self = env;
    self->caller = pthread_self();
    atomic_fetch_add(&self->called, 1);
}

static int32_t visit_body(void *env, void **result)
{
    (void)result;
    visit *self = env;
    execq_cancel_token token = 0;
    must(execq_on_cancel(visit_called, self, &token) == EXECQ_OK);
    must(token != 0);
    gate_pass(&self->inside);
    if (!self->keeps) {
        atomic_store(&self->off, execq_off_cancel(token));
        must(execq_off_cancel(token) == EXECQ_EINVAL);
    }
    return execq_cancel_requested() ? EXECQ_ECANCELED : 0;
}

static void visit_dropped(void *env)
{
    visit *self = env;
    atomic_fetch_add(&self->dropped, 1);
}

static void start_function(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    (void)loop;
    atomic_int *called = env;
    must(execq_on_cancel(hit, called, NULL) == EXECQ_EINVAL);
    must(execq_off_cancel(1) == EXECQ_EINVAL);
    must(execq_promise_resolve(promise, NULL) == EXECQ_OK);
    execq_promise_release(promise);
}

static int32_t bad_calls(void *env, void **result)
{
    (void)result;
    must(execq_on_cancel(NULL, env, NULL) == EXECQ_EINVAL);
    must(execq_off_cancel(0) == EXECQ_EINVAL);
    must(execq_off_cancel(UINT64_MAX) == EXECQ_EINVAL);
    return 0;
}

static void bad_arguments_are_refused(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    atomic_int called = 0;
    execq_cancel_token token = 77;
    assert_status(execq_on_cancel(hit, &called, &token), EXECQ_EINVAL);
    assert_status(execq_off_cancel(1), EXECQ_EINVAL);
    assert_int_equal(token, 77);
    finish(spawn(executor, bad_calls, NULL));
    execq_future *future = NULL;
    assert_status(execq_submit_async(executor, NULL, start_function, &called, &future), EXECQ_OK);
    finish(future);

    execq_cancel_source *out = UNTOUCHED;
    execq_cancel_source_options options = EXECQ_CANCEL_SOURCE_OPTIONS_INIT;
    assert_status(execq_cancel_source_new(&options, NULL), EXECQ_EINVAL);
    options.flags = 1;
    assert_status(execq_cancel_source_new(&options, &out), EXECQ_ENOTSUP);
    options.flags = 0;
    options.struct_size = 4;
    assert_status(execq_cancel_source_new(&options, &out), EXECQ_EINVAL);
    assert_ptr_equal(out, UNTOUCHED);
    assert_status(execq_cancel_source_cancel(NULL), EXECQ_EINVAL);
    assert_int_equal(execq_cancel_source_requested(NULL), EXECQ_EINVAL);
    assert_status(execq_cancel_source_on_cancel(NULL, hit, &called, hit, NULL), EXECQ_EINVAL);
    assert_int_equal(atomic_load(&called), 1); /* dropped */
    assert_status(execq_cancel_source_off(NULL, 1), EXECQ_EINVAL);
    assert_status(execq_cancel_source_link_future(NULL, NULL), EXECQ_EINVAL);
    execq_cancel_source_retain(NULL);
    execq_cancel_source_release(NULL);
    assert_status(execq_cancel_source_new(NULL, &out), EXECQ_OK);
    assert_status(execq_cancel_source_on_cancel(out, NULL, &called, hit, NULL), EXECQ_EINVAL);
    assert_int_equal(atomic_load(&called), 2);
    assert_status(execq_cancel_source_off(out, 1), EXECQ_EINVAL);
    assert_status(execq_cancel_source_link_future(out, NULL), EXECQ_EINVAL);
    execq_cancel_source_release(out);
    pool_end(executor);
}

static void a_cancellation_calls_on_its_own_thread(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    visit *self = visit_new();
    execq_future *future = spawn(executor, visit_body, self);
    gate_await(&self->inside, 1);
    assert_status(execq_future_cancel(future), EXECQ_EBUSY);
    assert_int_equal(atomic_load(&self->called), 1);
    assert_true(pthread_equal(self->caller, pthread_self()));
    assert_status(execq_future_cancel(future), EXECQ_EBUSY);
    gate_open(&self->inside, 1);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_status(execq_future_result(future, NULL), EXECQ_ECANCELED);
    assert_int_equal(atomic_load(&self->off), EXECQ_EALREADY);
    assert_int_equal(atomic_load(&self->called), 1);
    execq_future_release(future);
    pool_end(executor);
    visit_free(self);
}

static void what_was_taken_back_is_not_called(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    visit *self = visit_new();
    execq_future *future = spawn(executor, visit_body, self);
    gate_await(&self->inside, 1);
    gate_open(&self->inside, 1);
    finish(future);
    assert_int_equal(atomic_load(&self->off), EXECQ_OK);
    assert_int_equal(atomic_load(&self->called), 0);
    pool_end(executor);
    visit_free(self);
}

/* With and without a handle, in a queue, by the executor and by the queue. */
static void a_close_calls_what_runs(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        execq_executor *executor = pool_new(1);
        execq_queue *queue = NULL;
        assert_status(execq_queue_new(executor, NULL, &queue), EXECQ_OK);
        visit *self = visit_new();
        self->keeps = kind & 1;
        execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
        options.queue = kind >= 2 ? queue : NULL;
        assert_status(execq_submit_with(executor, &options, visit_body, self, NULL), EXECQ_OK);
        gate_await(&self->inside, 1);
        if (kind == 3)
            assert_status(execq_queue_close(queue, EXECQ_CANCEL, NULL), EXECQ_OK);
        else
            assert_status(execq_executor_close(executor, EXECQ_CANCEL), EXECQ_OK);
        assert_int_equal(atomic_load(&self->called), 1);
        assert_true(pthread_equal(self->caller, pthread_self()));
        gate_open(&self->inside, 1);
        execq_queue_release(queue);
        pool_end(executor);
        assert_int_equal(atomic_load(&self->called), 1);
        visit_free(self);
    }
}

/* The callback itself lets the body go. */
static void let_go(void *env)
{
    visit *self = env;
    visit_called(self);
    gate_open(&self->inside, 1);
}

static int32_t stay_until_called(void *env, void **result)
{
    (void)result;
    visit *self = env;
    must(execq_on_cancel(let_go, self, NULL) == EXECQ_OK);
    gate_pass(&self->inside);
    return execq_cancel_requested() ? EXECQ_ECANCELED : 0;
}

/* False: it was canceled before it had started. */
static int a_deadline_called(execq_executor *executor, int64_t timeout_ns, int periodic)
{
    visit *self = visit_new();
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.timeout_ns = timeout_ns;
    options.drop = visit_dropped;
    execq_future *future = NULL;
    if (periodic) {
        assert_status(execq_submit_periodic(executor, &options, 1, EXECQ_FIXED_RATE, stay_until_called, self, &future),
                      EXECQ_OK);
    } else {
        assert_status(execq_submit_with(executor, &options, stay_until_called, self, &future), EXECQ_OK);
    }
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_status(execq_future_result(future, NULL), EXECQ_ECANCELED);
    assert_int_equal(execq_future_cancel_reason(future), EXECQ_REASON_DEADLINE);
    assert_int_equal(atomic_load(&self->dropped), 1);
    const int called = atomic_load(&self->called);
    execq_future_release(future);
    visit_free(self);
    return called;
}

static void a_deadline_calls(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    for (int periodic = 0; periodic < 2; periodic++) {
        int64_t timeout_ns = 5 * MILLISECOND;
        while (!a_deadline_called(executor, timeout_ns, periodic)) {
            timeout_ns *= 2;
        }
    }
    pool_end(executor);
}

/* Asked before: called inside the call. Off inside the callback does not wait for it. */
typedef struct inner {
    execq_cancel_token token;
    int called, answered;
} inner;

static void take_itself_back(void *env)
{
    inner *self = env;
    self->called++;
    self->answered = execq_off_cancel(self->token);
}

static int32_t late_body(void *env, void **result)
{
    (void)result;
    gate_pass(env);
    inner at_once[3] = {{0}};
    for (int i = 0; i < 3; i++) {
        must(execq_on_cancel(take_itself_back, &at_once[i], &at_once[i].token) == EXECQ_OK);
        must(at_once[i].called == 1 && at_once[i].answered == EXECQ_EALREADY);
        must(i == 0 || at_once[i].token > at_once[i - 1].token);
    }
    must(execq_off_cancel(at_once[1].token) == EXECQ_EALREADY);
    must(execq_off_cancel(at_once[1].token) == EXECQ_EINVAL);
    return 0;
}

static void late_callbacks_are_called_at_once(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(1);
    execq_future *future = spawn(executor, late_body, &g);
    gate_await(&g, 1);
    assert_status(execq_future_cancel(future), EXECQ_EBUSY);
    gate_open(&g, 1);
    finish(future);
    pool_end(executor);
    gate_destroy(&g);
}

/* All that a callback can do to what it is a callback of. */
typedef struct selfish {
    gate inside;
    execq_future *future;
    execq_cancel_source *source;
    execq_cancel_token token;
    int called, of_future, of_source, off;
    atomic_int other;
} selfish;

static void cancel_all_of_its_own(void *env)
{
    selfish *self = env;
    self->called++;
    self->of_future = execq_future_cancel(self->future);
    self->of_source = execq_cancel_source_cancel(self->source);
    self->off = execq_off_cancel(self->token);
    execq_cancel_source_release(self->source);
    execq_future_release(self->future);
}

static int32_t own_body(void *env, void **result)
{
    (void)result;
    selfish *self = env;
    must(execq_on_cancel(cancel_all_of_its_own, self, &self->token) == EXECQ_OK);
    must(execq_on_cancel(hit, &self->other, NULL) == EXECQ_OK);
    gate_pass(&self->inside);
    must(execq_off_cancel(self->token) == EXECQ_EALREADY); /* that of the callback itself took nothing from the body */
    must(execq_off_cancel(self->token) == EXECQ_EINVAL);
    return 0;
}

static void a_callback_may_cancel_its_own_task(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    for (int by_source = 0; by_source < 2; by_source++) {
        selfish self = {.called = 0};
        gate_init(&self.inside);
        assert_status(execq_cancel_source_new(NULL, &self.source), EXECQ_OK);
        execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
        options.cancel_source = self.source;
        assert_status(execq_submit_with(executor, &options, own_body, &self, &self.future), EXECQ_OK);
        execq_future *future = self.future;
        execq_future_retain(future); /* the callback gives up the first reference */
        gate_await(&self.inside, 1);
        if (by_source) {
            assert_status(execq_cancel_source_cancel(self.source), EXECQ_OK);
        } else {
            assert_status(execq_future_cancel(future), EXECQ_EBUSY);
        }
        assert_int_equal(self.called, 1);
        assert_status(self.of_future, EXECQ_EBUSY);
        assert_status(self.of_source, by_source ? EXECQ_EALREADY : EXECQ_OK);
        assert_status(self.off, EXECQ_EALREADY);
        assert_int_equal(atomic_load(&self.other), 1);
        gate_open(&self.inside, 1);
        finish(future);
        gate_destroy(&self.inside);
    }
    pool_end(executor);
}

/* A body that runs inside another's wait has its own callbacks. */
typedef struct nest {
    execq_executor *executor;
    atomic_int outer, inner_called;
    execq_cancel_token token;
} nest;

static int32_t nested_inside(void *env, void **result)
{
    (void)result;
    nest *self = env;
    must(execq_off_cancel(self->token) == EXECQ_EINVAL);
    must(execq_on_cancel(hit, &self->inner_called, NULL) == EXECQ_OK);
    return 0;
}

static int32_t nested_outside(void *env, void **result)
{
    (void)result;
    nest *self = env;
    must(execq_on_cancel(hit, &self->outer, &self->token) == EXECQ_OK);
    execq_future *future = NULL;
    must(execq_submit(self->executor, nested_inside, self, &future) == EXECQ_OK);
    must(execq_future_wait(future, -1) == EXECQ_OK);
    execq_future_release(future);
    return execq_off_cancel(self->token);
}

static void nested_bodies_have_their_own(void **state)
{
    (void)state;
    nest self = {.executor = pool_new(1)};
    execq_future *future = spawn(self.executor, nested_outside, &self);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_status(execq_future_result(future, NULL), EXECQ_OK);
    execq_future_release(future);
    assert_int_equal(atomic_load(&self.outer), 0);
    assert_int_equal(atomic_load(&self.inner_called), 0);
    pool_end(self.executor);
}

/* The end of the body waits for a callback that runs: env is dropped, and the future done, after it. */
typedef struct slow {
    visit *visit;
    gate callback;
    atomic_int over;
} slow;

static void slow_callback(void *env)
{
    slow *self = env;
    gate_open(&self->visit->inside, 1); /* the body returns */
    gate_pass(&self->callback);
    atomic_store(&self->over, 1);
}

static int32_t slow_body(void *env, void **result)
{
    (void)result;
    slow *self = env;
    must(execq_on_cancel(slow_callback, self, NULL) == EXECQ_OK);
    gate_pass(&self->visit->inside);
    return 0;
}

static void slow_dropped(void *env)
{
    slow *self = env;
    must(atomic_load(&self->over) == 1);
    atomic_fetch_add(&self->visit->dropped, 1);
}

static void *cancel_it(void *future)
{
    must(execq_future_cancel(future) == EXECQ_EBUSY);
    return NULL;
}

static void the_end_waits_for_a_callback(void **state)
{
    (void)state;
    static slow self;
    self.visit = visit_new();
    gate_init(&self.callback);
    execq_executor *executor = pool_new(1);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = slow_dropped;
    execq_future *future = NULL;
    assert_status(execq_submit_with(executor, &options, slow_body, &self, &future), EXECQ_OK);
    gate_await(&self.visit->inside, 1);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, cancel_it, future), 0);
    gate_await(&self.callback, 1);
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_RUNNING);
    gate_open(&self.callback, 1);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_int_equal(atomic_load(&self.visit->dropped), 1);
    pthread_join(thread, NULL);
    execq_future_release(future);
    pool_end(executor);
    gate_destroy(&self.callback);
    visit_free(self.visit);
}

/* ---- sources ---- */

static execq_cancel_source *source_new(execq_cancel_source *parent)
{
    execq_cancel_source_options options = EXECQ_CANCEL_SOURCE_OPTIONS_INIT;
    options.parent = parent;
    execq_cancel_source *source = NULL;
    assert_status(execq_cancel_source_new(&options, &source), EXECQ_OK);
    return source;
}

static execq_future *spawn_with(execq_executor *executor, execq_cancel_source *source, execq_fn fn, void *env)
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.cancel_source = source;
    execq_future *future = NULL;
    assert_status(execq_submit_with(executor, &options, fn, env, &future), EXECQ_OK);
    return future;
}

static void a_source_cancels_its_tasks(void **state)
{
    (void)state;
    enum { WAITING = 20 };
    execq_executor *executor = pool_new(1);
    execq_cancel_source *source = source_new(NULL);
    visit *running = visit_new();
    execq_future *first = spawn_with(executor, source, visit_body, running);
    gate_await(&running->inside, 1);
    execq_future *waiting[WAITING];
    counter ran = {0};
    for (int i = 0; i < WAITING; i++)
        waiting[i] = spawn_with(executor, source, counter_fn, &ran);
    execq_future *other = spawn(executor, counter_fn, &ran);
    assert_int_equal(execq_cancel_source_requested(source), 0);
    assert_status(execq_cancel_source_cancel(source), EXECQ_OK);
    assert_status(execq_cancel_source_cancel(source), EXECQ_EALREADY);
    assert_int_equal(execq_cancel_source_requested(source), 1);
    assert_int_equal(atomic_load(&running->called), 1);
    for (int i = 0; i < WAITING; i++) {
        assert_status(execq_future_result(waiting[i], NULL), EXECQ_ECANCELED);
        assert_int_equal(execq_future_cancel_reason(waiting[i]), EXECQ_REASON_CALLER);
        execq_future_release(waiting[i]);
    }
    gate_open(&running->inside, 1);
    assert_status(execq_future_wait(first, -1), EXECQ_OK);
    assert_status(execq_future_result(first, NULL), EXECQ_ECANCELED);
    execq_future_release(first);
    finish(other);
    assert_int_equal(counter_get(&ran), 1);
    execq_cancel_source_release(source);
    pool_end(executor);
    visit_free(running);
}

/* Of any kind: they are accepted, and have ended canceled when the call returns. */
static void what_comes_later_never_runs(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    execq_queue *queue = NULL;
    assert_status(execq_queue_new(executor, NULL, &queue), EXECQ_OK);
    execq_cancel_source *source = source_new(NULL);
    assert_status(execq_cancel_source_cancel(source), EXECQ_OK);
    counter ran = {0};
    counter dropped = {0};
    for (int kind = 0; kind < 6; kind++) {
        execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
        options.cancel_source = source;
        options.drop = counter_hit;
        options.queue = kind == 1 ? queue : NULL;
        options.delay_ns = kind == 2 ? 1000 * MILLISECOND : 0;
        options.start_within_ns = kind == 3 ? -1 : 0;
        options.priority = kind == 4 ? EXECQ_PRIORITY_HIGH : EXECQ_PRIORITY_NORMAL;
        /* The counter of drops is the env: a run would count there, too. */
        execq_future *future = NULL;
        if (kind == 5)
            assert_status(execq_submit_async(executor, &options, start_function, &dropped, &future), EXECQ_OK);
        else
            assert_status(execq_submit_with(executor, &options, counter_fn, &dropped, &future), EXECQ_OK);
        assert_status(execq_future_result(future, NULL), EXECQ_ECANCELED);
        assert_int_equal(counter_get(&dropped), kind + 1);
        execq_future_release(future);
    }
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.cancel_source = source;
    execq_future *many[3];
    assert_status(execq_submit_many(executor, &options, 3, counter_fn, NULL, many), EXECQ_OK);
    for (int i = 0; i < 3; i++) {
        assert_status(execq_future_result(many[i], NULL), EXECQ_ECANCELED);
        execq_future_release(many[i]);
    }
    assert_int_equal(counter_get(&ran), 0);
    execq_cancel_source_release(source);
    execq_queue_release(queue);
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    /* Refused: it is not the source's. */
    options.drop = counter_hit;
    options.cancel_source = source = source_new(NULL);
    assert_status(execq_cancel_source_cancel(source), EXECQ_OK);
    assert_status(execq_submit_with(executor, &options, counter_fn, &dropped, NULL), EXECQ_ECLOSED);
    assert_int_equal(counter_get(&dropped), 7);
    execq_cancel_source_release(source);
    pool_end(executor);
}

typedef struct reenter {
    execq_cancel_source *source;
    execq_cancel_token token;
    int called, dropped;
} reenter;

static void reenter_all(void *env)
{
    reenter *self = env;
    self->called++;
    must(execq_cancel_source_requested(self->source) == 1);
    must(execq_cancel_source_cancel(self->source) == EXECQ_EALREADY);
    must(execq_cancel_source_off(self->source, self->token) == EXECQ_EALREADY);
    execq_cancel_source_release(self->source);
}

static void reenter_dropped(void *env)
{
    reenter *self = env;
    must(self->called == 1);
    self->dropped++;
}

static void a_callback_may_cancel_and_release(void **state)
{
    (void)state;
    for (int late = 0; late < 2; late++) {
        reenter self = {.source = source_new(NULL)};
        if (late)
            assert_status(execq_cancel_source_cancel(self.source), EXECQ_OK);
        assert_status(execq_cancel_source_on_cancel(self.source, reenter_all, &self, reenter_dropped, &self.token),
                      EXECQ_OK);
        if (!late)
            assert_status(execq_cancel_source_cancel(self.source), EXECQ_OK);
        assert_int_equal(self.called, 1);
        assert_int_equal(self.dropped, 1);
    }
}

static void callbacks_can_be_taken_back(void **state)
{
    (void)state;
    execq_cancel_source *source = source_new(NULL);
    atomic_int called = 0;
    atomic_int dropped[3] = {0};
    execq_cancel_token tokens[3];
    for (int i = 0; i < 3; i++)
        assert_status(execq_cancel_source_on_cancel(source, hit, &dropped[i], hit, &tokens[i]), EXECQ_OK);
    assert_status(execq_cancel_source_off(source, tokens[1]), EXECQ_OK);
    assert_int_equal(atomic_load(&dropped[1]), 1);
    assert_status(execq_cancel_source_off(source, tokens[1]), EXECQ_EINVAL);
    assert_status(execq_cancel_source_cancel(source), EXECQ_OK);
    assert_status(execq_cancel_source_off(source, tokens[0]), EXECQ_EALREADY);
    assert_int_equal(atomic_load(&dropped[0]), 2); /* called, dropped */
    assert_int_equal(atomic_load(&dropped[1]), 1);
    execq_cancel_source_release(source);

    source = source_new(NULL); /* never canceled */
    assert_status(execq_cancel_source_on_cancel(source, hit, &called, hit, NULL), EXECQ_OK);
    execq_cancel_source_release(source);
    assert_int_equal(atomic_load(&called), 1); /* dropped */
}

static void futures_are_linked(void **state)
{
    (void)state;
    execq_cancel_source *source = source_new(NULL);
    execq_promise *promises[3];
    execq_future *futures[3];
    for (int i = 0; i < 3; i++)
        assert_status(execq_promise_new(NULL, &promises[i], &futures[i]), EXECQ_OK);
    assert_status(execq_cancel_source_link_future(source, futures[0]), EXECQ_OK);
    assert_status(execq_cancel_source_link_future(source, futures[1]), EXECQ_OK);
    assert_status(execq_promise_resolve(promises[0], NULL), EXECQ_OK);
    assert_status(execq_cancel_source_link_future(source, futures[0]), EXECQ_OK); /* done */
    assert_status(execq_cancel_source_cancel(source), EXECQ_OK);
    assert_int_equal(execq_promise_cancel_requested(promises[0]), 0);
    assert_int_equal(execq_promise_cancel_requested(promises[1]), 1);
    assert_int_equal(execq_promise_cancel_requested(promises[2]), 0);
    assert_status(execq_cancel_source_link_future(source, futures[2]), EXECQ_OK);
    assert_int_equal(execq_promise_cancel_requested(promises[2]), 1);
    execq_cancel_source_release(source);
    for (int i = 0; i < 3; i++) {
        execq_promise_release(promises[i]);
        execq_future_release(futures[i]);
    }
}

static void sources_are_linked(void **state)
{
    (void)state;
    enum { DEPTH = 20000 };
    execq_cancel_source *root = source_new(NULL);
    execq_cancel_source *last = root;
    execq_cancel_source_retain(last);
    for (int i = 0; i < DEPTH; i++) { /* a chain that only its last one keeps */
        execq_cancel_source *child = source_new(last);
        execq_cancel_source_release(last);
        last = child;
    }
    execq_cancel_source *gone = source_new(root);
    execq_cancel_source_release(gone);
    execq_cancel_source *side = source_new(root);
    execq_cancel_source *own = source_new(side);
    assert_status(execq_cancel_source_cancel(own), EXECQ_OK);
    assert_int_equal(execq_cancel_source_requested(side), 0);
    atomic_int called = 0;
    assert_status(execq_cancel_source_on_cancel(last, hit, &called, NULL, NULL), EXECQ_OK);
    assert_status(execq_cancel_source_cancel(root), EXECQ_OK);
    assert_int_equal(atomic_load(&called), 1);
    assert_int_equal(execq_cancel_source_requested(side), 1);
    assert_status(execq_cancel_source_cancel(last), EXECQ_EALREADY);
    execq_cancel_source *late = source_new(root);
    assert_int_equal(execq_cancel_source_requested(late), 1);
    execq_cancel_source_release(late);
    execq_cancel_source_release(own);
    execq_cancel_source_release(side);
    execq_cancel_source_release(root);
    execq_cancel_source_release(last);
}

static int32_t cancel_own_source(void *env, void **result)
{
    (void)result;
    must(execq_cancel_source_cancel(env) == EXECQ_OK);
    return execq_cancel_requested() ? EXECQ_ECANCELED : 0;
}

/* Also where its submission has not returned yet. */
static void a_task_that_cancels_its_own_source_sees_it_at_once(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(2);
    for (int i = 0; i < SCALED(2000, 4); i++) {
        execq_cancel_source *source = source_new(NULL);
        execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
        options.cancel_source = source;
        execq_future *future = NULL;
        assert_status(execq_submit_with(executor, &options, cancel_own_source, source, &future), EXECQ_OK);
        assert_status(execq_future_wait(future, -1), EXECQ_OK);
        assert_int_equal(execq_future_state(future), EXECQ_FUTURE_CANCELED);
        execq_future_release(future);
        execq_cancel_source_release(source);
    }
    pool_end(executor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_that_cancels_its_own_source_sees_it_at_once),
        cmocka_unit_test(bad_arguments_are_refused),
        cmocka_unit_test(a_cancellation_calls_on_its_own_thread),
        cmocka_unit_test(what_was_taken_back_is_not_called),
        cmocka_unit_test(a_close_calls_what_runs),
        cmocka_unit_test(a_deadline_calls),
        cmocka_unit_test(late_callbacks_are_called_at_once),
        cmocka_unit_test(a_callback_may_cancel_its_own_task),
        cmocka_unit_test(nested_bodies_have_their_own),
        cmocka_unit_test(the_end_waits_for_a_callback),
        cmocka_unit_test(a_source_cancels_its_tasks),
        cmocka_unit_test(what_comes_later_never_runs),
        cmocka_unit_test(a_callback_may_cancel_and_release),
        cmocka_unit_test(callbacks_can_be_taken_back),
        cmocka_unit_test(futures_are_linked),
        cmocka_unit_test(sources_are_linked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
