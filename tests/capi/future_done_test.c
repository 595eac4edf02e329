/* execq_future_on_done: when, where and in which order callbacks run. */
#include "capi.h"

static counter dropped_envs;

static void count_drop(void *env)
{
    (void)env;
    counter_hit(&dropped_envs);
}

static void on_done_refuses_bad_arguments_and_drops_env_once(void **state)
{
    (void)state;
    counter dropped = {0};
    execq_future *future = done_future(NULL);
    assert_status(execq_future_on_done(NULL, count_done, &dropped, counter_hit), EXECQ_EINVAL);
    assert_int_equal(counter_get(&dropped), 1);
    assert_status(execq_future_on_done(future, NULL, &dropped, counter_hit), EXECQ_EINVAL);
    assert_int_equal(counter_get(&dropped), 2);
    assert_status(execq_future_on_done(NULL, NULL, &dropped, counter_hit), EXECQ_EINVAL);
    assert_int_equal(counter_get(&dropped), 3);
    assert_status(execq_future_on_done(NULL, count_done, &dropped, NULL), EXECQ_EINVAL);
    assert_int_equal(counter_get(&dropped), 3);
    execq_future_release(future);
}

/* What a callback saw, and its place in the order of events. */
struct call {
    int *clock;
    int called;
    int dropped;
    execq_future *future;
    pthread_t thread;
};

static void note_call(execq_future *future, void *env)
{
    struct call *call = env;
    must(call->called == 0);
    call->called = ++*call->clock;
    call->future = future;
    call->thread = pthread_self();
}

static void note_drop(void *env)
{
    struct call *call = env;
    must(call->dropped == 0);
    call->dropped = ++*call->clock;
}

static void of_a_done_future_it_runs_inside_the_call(void **state)
{
    (void)state;
    int clock = 0;
    struct call call = {&clock, 0, 0, NULL, pthread_self()};
    execq_future *future = done_future(NULL);
    assert_status(execq_future_on_done(future, note_call, &call, note_drop), EXECQ_OK);
    assert_int_equal(call.called, 1);
    assert_int_equal(call.dropped, 2);
    assert_ptr_equal(call.future, future);
    assert_true(pthread_equal(call.thread, pthread_self()));
    execq_future_release(future);
}

static void callbacks_run_in_the_order_of_registration(void **state)
{
    (void)state;
    enum { N = 1000 };
    static struct call calls[N];
    int clock = 0;
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future);
    for (int i = 0; i < N; i++) {
        calls[i].clock = &clock;
        assert_status(execq_future_on_done(future, note_call, &calls[i], note_drop), EXECQ_OK);
    }
    assert_int_equal(clock, 0);
    assert_status(execq_promise_resolve(promise, NULL), EXECQ_OK);
    for (int i = 0; i < N; i++) {
        assert_int_equal(calls[i].called, 2 * i + 1);
        assert_int_equal(calls[i].dropped, 2 * i + 2); /* each env right after its callback */
        assert_true(pthread_equal(calls[i].thread, pthread_self()));
    }
    execq_promise_release(promise);
    execq_future_release(future);
}

static int32_t tell_thread(void *env, void **result)
{
    gate_pass(env);
    pthread_t *thread = malloc(sizeof *thread);
    *thread = pthread_self();
    *result = thread;
    return 0;
}

static void they_run_on_the_thread_that_completes(void **state)
{
    (void)state;
    int clock = 0;
    struct call call = {&clock, 0, 0, NULL, pthread_self()};
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(1);
    execq_future *future = spawn(executor, tell_thread, &g);
    gate_await(&g, 1);
    assert_status(execq_future_on_done(future, note_call, &call, NULL), EXECQ_OK);
    gate_open(&g, 1);
    pool_end(executor);
    void *worker = NULL;
    assert_status(execq_future_take(future, &worker), EXECQ_OK);
    assert_int_equal(call.called, 1);
    assert_true(pthread_equal(call.thread, *(pthread_t *)worker));
    free(worker);
    execq_future_release(future);
    gate_destroy(&g);
}

static void pass_gate(execq_future *future, void *env)
{
    (void)future;
    gate_pass(env);
}

static void waiters_are_woken_before_callbacks_run(void **state)
{
    (void)state;
    static gate body;
    static gate callback;
    gate_init(&body);
    gate_init(&callback);
    execq_executor *executor = pool_new(1);
    execq_future *future = occupy(executor, &body);
    assert_status(execq_future_on_done(future, pass_gate, &callback, NULL), EXECQ_OK);
    gate_open(&body, 1);
    assert_status(execq_future_wait(future, -1), EXECQ_OK); /* the callback can not end before this does */
    gate_open(&callback, 1);
    execq_future_release(future);
    pool_end(executor);
    gate_destroy(&body);
    gate_destroy(&callback);
}

static void release_future(execq_future *future, void *env)
{
    must(execq_future_state(future) == EXECQ_FUTURE_OK);
    counter_hit(env);
    execq_future_release(future);
}

static void a_future_may_be_released_in_its_own_callback(void **state)
{
    (void)state;
    counter called = {0};
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future);
    assert_status(execq_future_on_done(future, release_future, &called, count_drop), EXECQ_OK);
    assert_status(execq_promise_resolve(promise, NULL), EXECQ_OK);
    execq_promise_release(promise);
    assert_int_equal(counter_get(&called), 1);

    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(1);
    future = occupy(executor, &g);
    assert_status(execq_future_on_done(future, release_future, &called, NULL), EXECQ_OK);
    gate_open(&g, 1);
    pool_end(executor);
    assert_int_equal(counter_get(&called), 2);

    future = done_future(NULL);
    assert_status(execq_future_on_done(future, release_future, &called, NULL), EXECQ_OK);
    assert_int_equal(counter_get(&called), 3);
    gate_destroy(&g);
}

static void a_callback_outlives_the_callers_reference(void **state)
{
    (void)state;
    counter called = {0};
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(1);
    execq_future *future = occupy(executor, &g);
    for (int i = 0; i < 10; i++) {
        assert_status(execq_future_on_done(future, count_done, &called, counter_hit), EXECQ_OK);
    }
    execq_future_release(future);
    gate_open(&g, 1);
    pool_end(executor);
    assert_int_equal(counter_get(&called), 20);
    gate_destroy(&g);
}

/* A callback that completes another promise, and what it saw of that one's callback. */
struct inner {
    execq_promise *promise;
    execq_future *future;
    int wait;
    struct call call;
    int called_inside;
    int called_after_wait;
    int called_after_late_registration;
    struct call late;
};

static void complete_inside(execq_future *future, void *env)
{
    (void)future;
    struct inner *inner = env;
    must(execq_promise_resolve(inner->promise, NULL) == EXECQ_OK);
    inner->called_inside = inner->call.called;
    if (inner->wait) {
        must(execq_future_wait(inner->future, 0) == EXECQ_OK);
        inner->called_after_wait = inner->call.called;
    } else {
        must(execq_future_on_done(inner->future, note_call, &inner->late, note_drop) == EXECQ_OK);
        inner->called_after_late_registration = inner->late.called;
    }
}

static void check_a_completion_inside_a_callback(struct inner *inner)
{
    inner->promise = promise_new(&inner->future);
    assert_status(execq_future_on_done(inner->future, note_call, &inner->call, note_drop), EXECQ_OK);
    execq_future *outer = done_future(NULL);
    assert_status(execq_future_on_done(outer, complete_inside, inner, NULL), EXECQ_OK);
    assert_int_equal(inner->called_inside, 0);
    assert_int_not_equal(inner->call.called, 0);
    assert_int_equal(inner->call.dropped, inner->call.called + 1);
    execq_future_release(outer);
    execq_promise_release(inner->promise);
    execq_future_release(inner->future);
}

static void a_completion_inside_a_callback_is_queued_behind_it(void **state)
{
    (void)state;
    int clock = 0;
    struct inner inner = {.call = {.clock = &clock}, .late = {.clock = &clock}};
    check_a_completion_inside_a_callback(&inner);
    assert_int_equal(inner.called_after_late_registration, 0); /* done already, but inside a callback: queued too */
    assert_int_equal(inner.late.dropped, inner.late.called + 1);
}

static void a_wait_runs_the_queued_callbacks_first(void **state)
{
    (void)state;
    int clock = 0;
    struct inner inner = {.wait = 1, .call = {.clock = &clock}};
    check_a_completion_inside_a_callback(&inner);
    assert_int_not_equal(inner.called_after_wait, 0);
}

/* Chains: each future's callback resolves the next promise. */
enum { LINKS = SCALED(1000000, 10) };

static execq_promise **links;
static execq_future **link_futures;

static void resolve_next(execq_future *future, void *env)
{
    (void)future;
    must(execq_promise_resolve(env, NULL) == EXECQ_OK);
}

static void *run_the_chain(void *env)
{
    (void)env;
    must(execq_promise_resolve(links[0], NULL) == EXECQ_OK);
    return NULL;
}

static pthread_t thread_of_small_stack(void *(*fn)(void *), void *env)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    /* Sanitizers keep their own data on the stack; the links still outnumber its bytes by far. */
    pthread_attr_setstacksize(&attributes, SANITIZED ? 1024 * 1024 : 64 * 1024);
    assert_int_equal(pthread_create(&thread, &attributes, fn, env), 0);
    pthread_attr_destroy(&attributes);
    return thread;
}

static void a_chain_of_a_million_links_keeps_a_small_stack_flat(void **state)
{
    (void)state;
    counter ends = {0};
    links = calloc(LINKS, sizeof(execq_promise *));
    link_futures = calloc(LINKS, sizeof(execq_future *));
    for (int i = 0; i < LINKS; i++) {
        links[i] = promise_new(&link_futures[i]);
    }
    for (int i = 0; i < LINKS - 1; i++) {
        assert_status(execq_future_on_done(link_futures[i], resolve_next, links[i + 1], NULL), EXECQ_OK);
    }
    assert_status(execq_future_on_done(link_futures[LINKS - 1], count_done, &ends, NULL), EXECQ_OK);
    pthread_join(thread_of_small_stack(run_the_chain, NULL), NULL);
    assert_int_equal(counter_get(&ends), 1);
    for (int i = 0; i < LINKS; i++) {
        assert_int_equal(execq_future_state(link_futures[i]), EXECQ_FUTURE_OK);
        execq_promise_release(links[i]);
        execq_future_release(link_futures[i]);
    }
    free(links);
    free(link_futures);
}

/* A chain of late registrations: each callback registers the next one on the same future, which is done. */
static void register_again(execq_future *future, void *env)
{
    int *left = env;
    if ((*left)-- != 0) {
        must(execq_future_on_done(future, register_again, left, NULL) == EXECQ_OK);
    }
}

static void *run_the_late_chain(void *env)
{
    execq_future *done = done_future(NULL);
    must(execq_future_on_done(done, register_again, env, NULL) == EXECQ_OK);
    execq_future_release(done);
    return NULL;
}

static void a_million_late_registrations_keep_a_small_stack_flat(void **state)
{
    (void)state;
    int left = LINKS;
    pthread_join(thread_of_small_stack(run_the_late_chain, &left), NULL);
    assert_int_equal(left, -1);
}

/* A chain that grows as it runs: each callback makes, watches and completes the next promise. */
static void grow_chain(execq_future *future, void *env)
{
    int *left = env;
    execq_future_release(future);
    if ((*left)-- == 0) {
        return;
    }
    execq_future *next = NULL;
    execq_promise *promise = NULL;
    must(execq_promise_new(NULL, &promise, &next) == EXECQ_OK);
    must(execq_future_on_done(next, grow_chain, left, NULL) == EXECQ_OK);
    must(execq_promise_resolve(promise, NULL) == EXECQ_OK);
    execq_promise_release(promise);
}

static void *run_the_growing_chain(void *env)
{
    execq_future *first = NULL;
    execq_promise *promise = NULL;
    must(execq_promise_new(NULL, &promise, &first) == EXECQ_OK);
    must(execq_promise_resolve(promise, NULL) == EXECQ_OK);
    execq_promise_release(promise);
    must(execq_future_on_done(first, grow_chain, env, NULL) == EXECQ_OK);
    return NULL;
}

static void a_chain_that_grows_as_it_runs_keeps_the_stack_flat_too(void **state)
{
    (void)state;
    int left = LINKS;
    pthread_join(thread_of_small_stack(run_the_growing_chain, &left), NULL);
    assert_int_equal(left, -1);
}

/* Registrations racing with a completion. */
struct registrar {
    pthread_barrier_t *start;
    execq_future *future;
    execq_promise *promise; /* to be completed, or NULL: register */
    counter *called;
};

enum { REGISTRATIONS = 20 };

static void *register_or_complete(void *env)
{
    struct registrar *self = env;
    pthread_barrier_wait(self->start);
    if (self->promise != NULL) {
        must(execq_promise_resolve(self->promise, NULL) == EXECQ_OK);
        return NULL;
    }
    for (int i = 0; i < REGISTRATIONS; i++) {
        must(execq_future_on_done(self->future, count_done, self->called, count_drop) == EXECQ_OK);
    }
    return NULL;
}

static void a_callback_added_while_completing_runs_exactly_once(void **state)
{
    (void)state;
    const int rounds = SCALED(500, 2);
    atomic_store(&dropped_envs.n, 0);
    for (int round = 0; round < rounds; round++) {
        counter called = {0};
        execq_future *future = NULL;
        execq_promise *promise = promise_new(&future);
        pthread_barrier_t start;
        pthread_barrier_init(&start, NULL, 3);
        struct registrar registrars[3];
        pthread_t threads[3];
        for (int i = 0; i < 3; i++) {
            registrars[i] = (struct registrar){&start, future, i == 0 ? promise : NULL, &called};
            threads[i] = thread_start(register_or_complete, &registrars[i]);
        }
        for (int i = 0; i < 3; i++) {
            pthread_join(threads[i], NULL);
        }
        assert_int_equal(counter_get(&called), 2 * REGISTRATIONS);
        assert_int_equal(counter_get(&dropped_envs), (round + 1) * 2 * REGISTRATIONS);
        execq_promise_release(promise);
        execq_future_release(future);
        pthread_barrier_destroy(&start);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(on_done_refuses_bad_arguments_and_drops_env_once),
        cmocka_unit_test(of_a_done_future_it_runs_inside_the_call),
        cmocka_unit_test(callbacks_run_in_the_order_of_registration),
        cmocka_unit_test(they_run_on_the_thread_that_completes),
        cmocka_unit_test(waiters_are_woken_before_callbacks_run),
        cmocka_unit_test(a_future_may_be_released_in_its_own_callback),
        cmocka_unit_test(a_callback_outlives_the_callers_reference),
        cmocka_unit_test(a_completion_inside_a_callback_is_queued_behind_it),
        cmocka_unit_test(a_wait_runs_the_queued_callbacks_first),
        cmocka_unit_test(a_chain_of_a_million_links_keeps_a_small_stack_flat),
        cmocka_unit_test(a_million_late_registrations_keep_a_small_stack_flat),
        cmocka_unit_test(a_chain_that_grows_as_it_runs_keeps_the_stack_flat_too),
        cmocka_unit_test(a_callback_added_while_completing_runs_exactly_once),
    };
    return cmocka_run_group_tests_name("capi.future_done", tests, NULL, NULL);
}
