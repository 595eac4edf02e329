/* Waiting inside tasks: what is run in place, and which waits could never end. */
#include "capi.h"

#include <alloca.h>
#include <execq/uv.h>

/* A task that waits for another future, and how that ended. */
struct wait_in_task {
    execq_future *target;
    int64_t timeout;
    execq_status status;
};

static int32_t wait_for_target(void *env, void **result)
{
    struct wait_in_task *self = env;
    *result = NULL;
    self->status = execq_future_wait(self->target, self->timeout);
    return 0;
}

/* Runs wait_for_target with its own future as the target, by this wait. */
static execq_status status_of_waiting_on_oneself(execq_fn fn, int64_t timeout)
{
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(1);
    execq_future *holder = occupy(executor, &g);
    struct wait_in_task self = {NULL, timeout, EXECQ_OK};
    assert_status(execq_submit(executor, fn, &self, &self.target), EXECQ_OK);
    gate_open(&g, 1);
    finish(holder);
    finish(self.target);
    pool_end(executor);
    gate_destroy(&g);
    return self.status;
}

static int32_t wait_for_all_with_oneself(void *env, void **result)
{
    struct wait_in_task *self = env;
    *result = NULL;
    self->status = execq_future_wait_all(&self->target, 1, self->timeout);
    return 0;
}

static int32_t wait_for_any_of_oneself(void *env, void **result)
{
    struct wait_in_task *self = env;
    execq_future *list[] = {self->target, self->target};
    *result = NULL;
    self->status = execq_future_wait_any(list, COUNT_OF(list), self->timeout, NULL);
    return 0;
}

static void a_task_may_not_wait_for_itself(void **state)
{
    (void)state;
    static const int64_t timeouts[] = {-1, INT64_C(3600000000000), INT64_MAX};
    for (size_t i = 0; i < COUNT_OF(timeouts); i++) {
        assert_status(status_of_waiting_on_oneself(wait_for_target, timeouts[i]), EXECQ_EDEADLK);
        assert_status(status_of_waiting_on_oneself(wait_for_all_with_oneself, timeouts[i]), EXECQ_EDEADLK);
        assert_status(status_of_waiting_on_oneself(wait_for_any_of_oneself, timeouts[i]), EXECQ_EDEADLK);
    }
}

static int32_t wait_for_any_with_hope(void *env, void **result)
{
    struct wait_in_task *self = env;
    execq_future *done = NULL;
    execq_promise *promise = NULL;
    must(execq_promise_new(NULL, &promise, &done) == EXECQ_OK);
    execq_future *list[] = {self->target, done};
    size_t index = 99;
    *result = NULL;
    must(execq_future_wait_any(list, COUNT_OF(list), MILLISECOND, &index) == EXECQ_ETIMEDOUT);
    must(execq_promise_resolve(promise, NULL) == EXECQ_OK);
    self->status = execq_future_wait_any(list, COUNT_OF(list), self->timeout, &index);
    must(index == 1);
    execq_promise_release(promise);
    execq_future_release(done);
    return 0;
}

static void a_wait_for_any_is_hopeless_only_if_each_is(void **state)
{
    (void)state;
    assert_status(status_of_waiting_on_oneself(wait_for_any_with_hope, -1), EXECQ_OK);
}

/* A line of tasks, each waiting in place for the next; the last one waits for the first. */
struct ring {
    execq_executor *executor;
    execq_future *first;
    int depth;
    execq_status status;
};

static int32_t wait_round_the_ring(void *env, void **result)
{
    struct ring *ring = env;
    *result = NULL;
    if (ring->depth-- == 0) {
        ring->status = execq_future_wait(ring->first, -1);
        return 0;
    }
    execq_future *next = NULL;
    must(execq_submit(ring->executor, wait_round_the_ring, ring, &next) == EXECQ_OK);
    must(execq_future_wait(next, -1) == EXECQ_OK);
    execq_future_release(next);
    return 0;
}

static void a_task_may_not_wait_for_one_that_it_is_nested_in(void **state)
{
    (void)state;
    for (int depth = 1; depth <= 5; depth++) {
        static gate g;
        gate_init(&g);
        execq_executor *executor = pool_new(1);
        execq_future *holder = occupy(executor, &g);
        struct ring ring = {executor, NULL, depth, EXECQ_OK};
        assert_status(execq_submit(executor, wait_round_the_ring, &ring, &ring.first), EXECQ_OK);
        gate_open(&g, 1);
        finish(holder);
        finish(ring.first);
        assert_status(ring.status, EXECQ_EDEADLK);
        pool_end(executor);
        gate_destroy(&g);
    }
}

/* Nested submit-and-wait with 4 KiB of frame a level. */
struct nest {
    execq_executor *executor;
    int depth;
};

static int32_t nest_deeper(void *env, void **result)
{
    volatile char frame[4096];
    struct nest *self = env;
    struct nest child = {self->executor, self->depth - 1};
    frame[0] = (char)self->depth;
    frame[sizeof frame - 1] = frame[0];
    if (self->depth == 0) {
        return 0;
    }
    void *below = NULL;
    execq_future *future = NULL;
    must(execq_submit(self->executor, nest_deeper, &child, &future) == EXECQ_OK);
    must(execq_future_wait(future, -1) == EXECQ_OK);
    must(execq_future_result(future, &below) == EXECQ_OK);
    execq_future_release(future);
    must(frame[sizeof frame - 1] == (char)self->depth);
    *result = (char *)below + 1;
    return 0;
}

static void one_worker_survives_a_thousand_nested_waits(void **state)
{
    (void)state;
    static const uint32_t threads[] = {1, 2, 4};
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        void *levels = NULL;
        execq_executor *executor = pool_new(threads[i]);
        struct nest top = {executor, 1000};
        execq_future *future = spawn(executor, nest_deeper, &top);
        assert_status(execq_future_wait(future, -1), EXECQ_OK);
        assert_status(execq_future_result(future, &levels), EXECQ_OK);
        assert_int_equal((uintptr_t)levels, 1000);
        execq_future_release(future);
        pool_end(executor);
    }
}

/* A task that submits children and waits for all of them. */
struct family {
    execq_executor *executor;
    counter born;
    execq_status status;
};

static int32_t wait_for_children(void *env, void **result)
{
    struct family *family = env;
    execq_future *children[50];
    *result = NULL;
    for (size_t i = 0; i < COUNT_OF(children); i++) {
        must(execq_submit(family->executor, counter_fn, &family->born, &children[i]) == EXECQ_OK);
    }
    family->status = execq_future_wait_all(children, COUNT_OF(children), -1);
    for (size_t i = 0; i < COUNT_OF(children); i++) {
        execq_future_release(children[i]);
    }
    return 0;
}

static void a_wait_for_all_runs_children_in_place(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    struct family family = {executor, {0}, EXECQ_EINVAL};
    finish(spawn(executor, wait_for_children, &family));
    assert_status(family.status, EXECQ_OK);
    assert_int_equal(counter_get(&family.born), 50);
    pool_end(executor);
}

/* A task that submits a child to its executor and waits for it in some way. */
struct parent {
    execq_executor *executor;
    int64_t timeout;
    execq_status status;
};

static int32_t wait_for_child(void *env, void **result)
{
    struct parent *parent = env;
    execq_future *child = NULL;
    *result = NULL;
    must(execq_submit(parent->executor, do_nothing, NULL, &child) == EXECQ_OK);
    parent->status = execq_future_wait(child, parent->timeout);
    execq_future_release(child);
    return 0;
}

static execq_status status_of_child(execq_fn fn, int64_t timeout, uint32_t threads)
{
    execq_executor *executor = pool_new(threads);
    struct parent parent = {executor, timeout, EXECQ_EINVAL};
    finish(spawn(executor, fn, &parent));
    pool_end(executor);
    return parent.status;
}

/* With a second thread the wait must never be refused, whether that thread is starting, waking or taking the child. */
static void check_that_a_second_thread_comes(execq_fn fn, int64_t timeout)
{
    for (int i = 0; i < 300; i++) {
        assert_status(status_of_child(fn, timeout, 2), EXECQ_OK);
    }
}

static void a_wait_with_a_limit_is_refused_where_no_thread_can_come(void **state)
{
    (void)state;
    assert_status(status_of_child(wait_for_child, -1, 1), EXECQ_OK);
    assert_status(status_of_child(wait_for_child, INT64_C(3600000000000), 1), EXECQ_EDEADLK);
    check_that_a_second_thread_comes(wait_for_child, INT64_C(3600000000000));
    assert_status(status_of_child(wait_for_child, 0, 1), EXECQ_ETIMEDOUT); /* only looks */
}

static int32_t wait_with_little_stack(void *env, void **result)
{
    pthread_attr_t attributes;
    void *lowest = NULL;
    size_t size = 0;
    must(pthread_getattr_np(pthread_self(), &attributes) == 0);
    pthread_attr_getstack(&attributes, &lowest, &size);
    pthread_attr_destroy(&attributes);
    const size_t left = (size_t)((char *)&attributes - (char *)lowest);
    volatile char *eaten = alloca(left - 192 * 1024);
    eaten[0] = 1;
    return wait_for_child(env, result);
}

static void a_wait_with_little_stack_left_is_refused_too(void **state)
{
    (void)state;
    assert_status(status_of_child(wait_with_little_stack, -1, 1), EXECQ_EDEADLK);
    check_that_a_second_thread_comes(wait_with_little_stack, -1);
}

static void wait_in_loop_callback(execq_future *future, void *env)
{
    void *ignored = NULL;
    (void)future;
    must(wait_for_child(env, &ignored) == 0);
}

static int32_t run_a_loop(void *env, void **result)
{
    uv_loop_t loop;
    execq_loop *port = NULL;
    execq_future *future = NULL;
    execq_promise *promise = NULL;
    *result = NULL;
    must(uv_loop_init(&loop) == 0);
    must(execq_loop_attach(&loop, &port) == EXECQ_OK);
    must(execq_promise_new(NULL, &promise, &future) == EXECQ_OK);
    must(execq_promise_resolve(promise, NULL) == EXECQ_OK);
    must(execq_future_on_loop(future, port, wait_in_loop_callback, env, NULL) == EXECQ_OK);
    uv_run(&loop, UV_RUN_DEFAULT);
    must(execq_loop_detach(port) == EXECQ_OK);
    execq_loop_release(port);
    uv_run(&loop, UV_RUN_DEFAULT);
    must(uv_loop_close(&loop) == 0);
    execq_promise_release(promise);
    execq_future_release(future);
    return 0;
}

static void nothing_is_run_in_place_in_a_loop_callback(void **state)
{
    (void)state;
    assert_status(status_of_child(run_a_loop, -1, 1), EXECQ_EDEADLK);
    check_that_a_second_thread_comes(run_a_loop, -1);
}

/* The own loop is run by the worker, between two tasks, or by the body. */
struct own_timer {
    uv_timer_t timer;
    void *env;
    execq_promise *promise;
};

static void wait_when_due(uv_timer_t *timer)
{
    struct own_timer *self = timer->data;
    void *ignored = NULL;
    must(wait_for_child(self->env, &ignored) == 0);
    must(execq_promise_resolve(self->promise, NULL) == EXECQ_OK);
    uv_close((uv_handle_t *)timer, NULL);
}

static int32_t wait_in_own_loop(void *env, void **result)
{
    static struct own_timer self; /* closed by the worker, which ends before the next one */
    uv_loop_t *loop = NULL;
    execq_future *due = NULL;
    *result = NULL;
    self.env = env;
    must(execq_thread_loop(&loop) == EXECQ_OK);
    must(execq_promise_new(NULL, &self.promise, &due) == EXECQ_OK);
    must(uv_timer_init(loop, &self.timer) == 0);
    self.timer.data = &self;
    must(uv_timer_start(&self.timer, wait_when_due, 0, 0) == 0);
    must(execq_run_until(due, -1) == EXECQ_OK);
    execq_promise_release(self.promise);
    execq_future_release(due);
    return 0;
}

static void nothing_is_run_in_place_in_a_callback_of_the_own_loop(void **state)
{
    (void)state;
    assert_status(status_of_child(wait_in_own_loop, -1, 1), EXECQ_EDEADLK);
    check_that_a_second_thread_comes(wait_in_own_loop, -1);
}

static void a_task_may_wait_for_another_executors_task(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *here = pool_new(1);
    execq_executor *there = pool_new(1);
    execq_future *holder = occupy(there, &g);
    struct wait_in_task self = {spawn(there, do_nothing, NULL), INT64_C(3600000000000), EXECQ_EINVAL};
    execq_future *waiter = spawn(here, wait_for_target, &self);
    gate_open(&g, 1);
    finish(waiter);
    assert_status(self.status, EXECQ_OK);
    finish(holder);
    finish(self.target);
    pool_end(here);
    pool_end(there);
    gate_destroy(&g);
}

/* An outer task that waits for an inner one, which asks whether it was canceled. */
struct onion {
    execq_executor *executor;
    execq_future *inner;
    gate *gate;
    int inner_asked;
    int outer_asked;
};

static int32_t inner_layer(void *env, void **result)
{
    struct onion *onion = env;
    *result = NULL;
    gate_pass(onion->gate);
    onion->inner_asked = execq_cancel_requested();
    return onion->inner_asked ? EXECQ_ECANCELED : 0;
}

static int32_t outer_layer(void *env, void **result)
{
    struct onion *onion = env;
    *result = NULL;
    must(execq_submit(onion->executor, inner_layer, onion, &onion->inner) == EXECQ_OK);
    must(execq_future_wait(onion->inner, -1) == EXECQ_OK);
    onion->outer_asked = execq_cancel_requested();
    return 0;
}

static void a_request_reaches_the_nested_task_alone(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(1);
    struct onion onion = {executor, NULL, &g, -1, -1};
    execq_future *outer = spawn(executor, outer_layer, &onion);
    gate_await(&g, 1);
    assert_status(execq_future_cancel(onion.inner), EXECQ_EBUSY);
    gate_open(&g, 1);
    finish(outer);
    assert_int_equal(onion.inner_asked, 1);
    assert_int_equal(onion.outer_asked, 0);
    assert_int_equal(execq_future_state(onion.inner), EXECQ_FUTURE_CANCELED);
    execq_future_release(onion.inner);
    pool_end(executor);
    gate_destroy(&g);
}

static int32_t end_the_thread(void *env, void **result)
{
    (void)env;
    (void)result;
    pthread_exit(NULL);
}

static int32_t wait_for_the_end(void *env, void **result)
{
    struct onion *onion = env;
    *result = NULL;
    must(execq_submit(onion->executor, end_the_thread, NULL, &onion->inner) == EXECQ_OK);
    execq_future_wait(onion->inner, -1);
    must(!"the thread has ended");
    return 0;
}

static void a_task_that_ends_its_thread_fails_those_it_is_nested_in(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    struct onion onion = {executor, NULL, NULL, -1, -1};
    execq_future *outer = spawn(executor, wait_for_the_end, &onion);
    assert_status(execq_future_wait(outer, -1), EXECQ_OK);
    assert_int_equal(execq_error_code(execq_future_error(outer)), EXECQ_EEXITED);
    assert_int_equal(execq_error_code(execq_future_error(onion.inner)), EXECQ_EEXITED);
    execq_future_release(outer);
    execq_future_release(onion.inner);
    finish(spawn(executor, do_nothing, NULL));
    pool_end(executor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_may_not_wait_for_itself),
        cmocka_unit_test(a_wait_for_any_is_hopeless_only_if_each_is),
        cmocka_unit_test(a_task_may_not_wait_for_one_that_it_is_nested_in),
        cmocka_unit_test(one_worker_survives_a_thousand_nested_waits),
        cmocka_unit_test(a_wait_for_all_runs_children_in_place),
        cmocka_unit_test(a_wait_with_a_limit_is_refused_where_no_thread_can_come),
        cmocka_unit_test(a_wait_with_little_stack_left_is_refused_too),
        cmocka_unit_test(nothing_is_run_in_place_in_a_loop_callback),
        cmocka_unit_test(nothing_is_run_in_place_in_a_callback_of_the_own_loop),
        cmocka_unit_test(a_task_may_wait_for_another_executors_task),
        cmocka_unit_test(a_request_reaches_the_nested_task_alone),
        cmocka_unit_test(a_task_that_ends_its_thread_fails_those_it_is_nested_in),
    };
    return cmocka_run_group_tests_name("capi.nested_wait", tests, NULL, NULL);
}
