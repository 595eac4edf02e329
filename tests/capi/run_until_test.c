/* Driving one's own loop until a future is done. */
#include "capi.h"

#include "uv_loop.h"

static const int64_t hour = INT64_C(3600000000000);

static uv_loop_t *own_loop(void)
{
    uv_loop_t *loop = NULL;
    must(execq_thread_loop(&loop) == EXECQ_OK);
    return loop;
}

static void close_own_loop(void) { assert_status(execq_thread_loop_close(), EXECQ_OK); }

/* A timer that counts, and may act in its callback. */
typedef struct ticker {
    uv_timer_t timer;
    int ticks;
    void (*act)(struct ticker *self);
    void *env;
} ticker;

static void ticker_tick(uv_timer_t *timer)
{
    ticker *self = timer->data;
    self->ticks++;
    if (self->act != NULL) {
        self->act(self);
    }
}

static void ticker_start(ticker *self, uint64_t timeout, uint64_t repeat)
{
    self->ticks = 0;
    must(uv_timer_init(own_loop(), &self->timer) == 0);
    self->timer.data = self;
    must(uv_timer_start(&self->timer, ticker_tick, timeout, repeat) == 0);
}

static void ticker_close(ticker *self) { uv_close((uv_handle_t *)&self->timer, NULL); }

/* Resolves the promise which is its env at the third tick. */
static void resolve_at_three(ticker *self)
{
    if (self->ticks == 3) {
        must(execq_promise_resolve(self->env, self) == EXECQ_OK);
    }
}

static void null_is_no_future(void **state)
{
    (void)state;
    assert_status(execq_run_until(NULL, 0), EXECQ_EINVAL);
    assert_status(execq_run_until(NULL, -1), EXECQ_EINVAL);
}

static void without_a_loop_it_is_a_wait(void **state)
{
    (void)state;
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future);
    assert_status(execq_run_until(future, 0), EXECQ_ETIMEDOUT);
    const int64_t start = clock_now();
    assert_status(execq_run_until(future, 2 * MILLISECOND), EXECQ_ETIMEDOUT);
    assert_true(clock_now() - start >= 2 * MILLISECOND);
    assert_status(execq_promise_resolve(promise, NULL), EXECQ_OK);
    assert_status(execq_run_until(future, 0), EXECQ_OK);
    assert_status(execq_run_until(future, -1), EXECQ_OK);
    assert_status(execq_thread_loop_close(), EXECQ_EALREADY); /* none was made */
    execq_promise_release(promise);
    execq_future_release(future);
}

static void the_loop_goes_on_meanwhile(void **state)
{
    (void)state;
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future);
    ticker t = {.act = resolve_at_three, .env = promise};
    ticker_start(&t, 0, 1);
    assert_status(execq_run_until(future, -1), EXECQ_OK);
    assert_int_equal(t.ticks, 3);
    assert_status(execq_future_result(future, NULL), EXECQ_OK);
    assert_status(execq_run_until(future, -1), EXECQ_OK); /* at once */
    assert_int_equal(t.ticks, 3);
    ticker_close(&t);
    close_own_loop();
    execq_promise_release(promise);
    execq_future_release(future);
}

/* Opens the gate which is its env at the third tick. */
static void open_at_three(ticker *self)
{
    if (self->ticks == 3) {
        gate_open(self->env, 1);
    }
}

static void a_task_that_needs_the_loop_to_go_on_ends(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(1);
    execq_future *future = occupy(executor, &g);
    ticker t = {.act = open_at_three, .env = &g};
    ticker_start(&t, 0, 1);
    assert_status(execq_run_until(future, -1), EXECQ_OK);
    assert_in_range(t.ticks, 3, 1000000);
    ticker_close(&t);
    close_own_loop();
    execq_future_release(future);
    pool_end(executor);
    gate_destroy(&g);
}

static int32_t fail_3(void *env, void **result)
{
    (void)env;
    (void)result;
    return 3;
}

static void every_outcome_ends_it(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    own_loop();
    execq_executor *executor = pool_new(1);
    execq_future *failed = spawn(executor, fail_3, NULL);
    assert_status(execq_run_until(failed, -1), EXECQ_OK);
    assert_status(execq_future_result(failed, NULL), EXECQ_EFAILED);
    execq_future *holder = occupy(executor, &g);
    execq_future *queued = spawn(executor, do_nothing, NULL);
    assert_status(execq_run_until(queued, 1), EXECQ_ETIMEDOUT);
    assert_status(execq_future_cancel(queued), EXECQ_OK);
    assert_status(execq_run_until(queued, -1), EXECQ_OK);
    assert_status(execq_future_result(queued, NULL), EXECQ_ECANCELED);
    gate_open(&g, 1);
    finish(holder);
    execq_future_release(failed);
    execq_future_release(queued);
    pool_end(executor);
    close_own_loop();
    gate_destroy(&g);
}

static void timeouts_are_never_early_and_leave_nothing_behind(void **state)
{
    (void)state;
    static const int64_t timeouts[] = {1, 999999, 2 * MILLISECOND, 5 * MILLISECOND + 1};
    own_loop();
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future);
    for (size_t i = 0; i < COUNT_OF(timeouts); i++) {
        const int64_t start = clock_now();
        assert_status(execq_run_until(future, timeouts[i]), EXECQ_ETIMEDOUT);
        assert_true(clock_now() - start >= timeouts[i]);
    }
    for (int i = 0; i < 10000; i++) {
        assert_status(execq_run_until(future, 0), EXECQ_ETIMEDOUT);
        assert_status(execq_run_until(future, i % 2), EXECQ_ETIMEDOUT);
    }
    close_own_loop();
    assert_status(execq_promise_resolve(promise, NULL), EXECQ_OK); /* calls nobody: the loop is gone */
    execq_promise_release(promise);
    execq_future_release(future);
}

static void a_look_turns_the_loop_once(void **state)
{
    (void)state;
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future);
    ticker t = {.act = resolve_at_three, .env = promise};
    ticker_start(&t, 0, 1);
    while (execq_run_until(future, 0) != EXECQ_OK) {
        assert_in_range(t.ticks, 0, 2);
    }
    assert_int_equal(t.ticks, 3);
    ticker_close(&t);
    close_own_loop();
    execq_promise_release(promise);
    execq_future_release(future);
}

static void *resolve_it(void *env)
{
    must(execq_promise_resolve(env, NULL) == EXECQ_OK);
    return NULL;
}

static void a_completion_on_another_thread_wakes_the_loop(void **state)
{
    (void)state;
    static const int64_t timeouts[] = {-1, INT64_C(3600000000000), INT64_MAX};
    own_loop();
    for (int i = 0; i < 300; i++) {
        execq_future *future = NULL;
        execq_promise *promise = promise_new(&future);
        pthread_t thread = thread_start(resolve_it, promise);
        assert_status(execq_run_until(future, timeouts[i % 3]), EXECQ_OK);
        pthread_join(thread, NULL);
        execq_promise_release(promise);
        execq_future_release(future);
    }
    close_own_loop();
}

static void thousands_of_tasks_one_after_the_other(void **state)
{
    (void)state;
    enum { N = SCALED(20000, 10) };
    counter ran = {0};
    own_loop();
    execq_executor *executor = pool_new(2);
    for (int i = 0; i < N; i++) {
        execq_future *future = spawn(executor, counter_fn, &ran);
        assert_status(execq_run_until(future, i % 2 == 0 ? -1 : hour), EXECQ_OK);
        execq_future_release(future);
    }
    assert_int_equal(counter_get(&ran), N);
    pool_end(executor);
    close_own_loop();
}

/* What run_until answers inside a callback of the loop. */
typedef struct inside {
    execq_future *future;
    execq_future *done;
    execq_status for_ever;
    execq_status limited;
    execq_status look;
    execq_status of_done;
} inside;

static void ask_inside(inside *self)
{
    self->for_ever = execq_run_until(self->future, -1);
    self->limited = execq_run_until(self->future, hour);
    self->look = execq_run_until(self->future, 0);
    self->of_done = execq_run_until(self->done, -1);
}

static void inside_begin(inside *self, execq_promise **promise)
{
    *promise = promise_new(&self->future);
    self->done = done_future(NULL);
}

static void inside_check(inside *self, execq_promise *promise)
{
    assert_status(self->for_ever, EXECQ_EDEADLK);
    assert_status(self->limited, EXECQ_EDEADLK);
    assert_status(self->look, EXECQ_ETIMEDOUT);
    assert_status(self->of_done, EXECQ_OK);
    execq_promise_release(promise);
    execq_future_release(self->future);
    execq_future_release(self->done);
}

static void ask_and_resolve(ticker *self)
{
    inside *asked = ((void **)self->env)[0];
    ask_inside(asked);
    must(execq_promise_resolve(((void **)self->env)[1], NULL) == EXECQ_OK);
}

static void in_a_callback_of_the_loop_it_would_deadlock(void **state)
{
    (void)state;
    inside asked;
    execq_promise *promise = NULL;
    inside_begin(&asked, &promise);
    void *env[] = {&asked, promise};
    ticker t = {.act = ask_and_resolve, .env = env};
    ticker_start(&t, 0, 0);
    assert_status(execq_run_until(asked.future, -1), EXECQ_OK);
    inside_check(&asked, promise);
    ticker_close(&t);
    close_own_loop();
}

static void in_a_callback_of_ones_own_uv_run_it_would_deadlock(void **state)
{
    (void)state;
    inside asked;
    execq_promise *promise = NULL;
    inside_begin(&asked, &promise);
    void *env[] = {&asked, promise};
    ticker t = {.act = ask_and_resolve, .env = env};
    ticker_start(&t, 0, 0);
    assert_int_equal(uv_run(own_loop(), UV_RUN_DEFAULT), 0);
    inside_check(&asked, promise);
    ticker_close(&t);
    close_own_loop();
}

static void on_the_thread_of_an_attached_loop_it_would_deadlock(void **state)
{
    (void)state;
    for (int with_own = 0; with_own < 2; with_own++) {
        inside asked;
        execq_promise *promise = NULL;
        inside_begin(&asked, &promise);
        if (with_own) {
            own_loop();
        }
        attached a;
        attached_open(&a);
        ask_inside(&asked);
        attached_close(&a);
        assert_status(execq_run_until(asked.future, 1), EXECQ_ETIMEDOUT); /* not any more */
        inside_check(&asked, promise);
    }
    close_own_loop();
}

static void ask_in_done(execq_future *future, void *env)
{
    (void)future;
    ask_inside(env);
}

static void in_a_delivery_of_an_attached_loop_it_would_deadlock(void **state)
{
    (void)state;
    inside asked;
    execq_promise *promise = NULL;
    inside_begin(&asked, &promise);
    attached a;
    attached_open(&a);
    assert_status(execq_future_on_loop(asked.done, a.port, ask_in_done, &asked, NULL), EXECQ_OK);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    attached_close(&a);
    inside_check(&asked, promise);
}

static void *run_attached(void *env)
{
    attached *a = env;
    must(uv_run(&a->loop, UV_RUN_DEFAULT) == 0);
    return NULL;
}

static void a_loop_that_another_thread_has_taken_over_is_in_nobodys_way(void **state)
{
    (void)state;
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future);
    attached a;
    attached_open(&a);
    assert_status(execq_run_until(future, 1), EXECQ_EDEADLK);
    pthread_join(thread_start(run_attached, &a), NULL);
    assert_status(execq_run_until(future, 1), EXECQ_ETIMEDOUT);
    attached_close(&a);
    execq_promise_release(promise);
    execq_future_release(future);
}

static void deliveries_on_ones_own_loop_go_on(void **state)
{
    (void)state;
    enum { N = 100 };
    counter done = {0};
    execq_loop *port = NULL;
    assert_status(execq_loop_attach(own_loop(), &port), EXECQ_OK);
    execq_executor *executor = pool_new(2);
    for (int i = 0; i < N; i++) {
        assert_status(execq_submit_to_loop(executor, NULL, do_nothing, NULL, port, count_done, &done, NULL), EXECQ_OK);
    }
    while (counter_get(&done) != N) {
        execq_future *future = spawn(executor, do_nothing, NULL);
        assert_status(execq_run_until(future, -1), EXECQ_OK);
        execq_future_release(future);
    }
    pool_end(executor);
    assert_status(execq_loop_detach(port), EXECQ_OK);
    execq_loop_release(port);
    close_own_loop();
}

static void resolve_next(execq_future *future, void *env)
{
    (void)future;
    must(execq_promise_resolve(env, NULL) == EXECQ_OK);
}

/* first is resolved by the loop's timer, and its done callback resolves second. */
static void run_until_second(execq_future *future, void *env)
{
    execq_future *second = env;
    (void)future;
    must(execq_run_until(second, -1) == EXECQ_OK);
}

static void inside_a_done_callback_those_of_the_loop_are_run(void **state)
{
    (void)state;
    execq_future *first = NULL;
    execq_future *second = NULL;
    execq_promise *promises[] = {promise_new(&first), promise_new(&second)};
    assert_status(execq_future_on_done(first, resolve_next, promises[1], NULL), EXECQ_OK);
    ticker t = {.act = resolve_at_three, .env = promises[0]};
    ticker_start(&t, 0, 1);
    execq_future *done = done_future(NULL);
    assert_status(execq_future_on_done(done, run_until_second, second, NULL), EXECQ_OK);
    assert_int_equal(t.ticks, 3);
    assert_int_equal(execq_future_state(second), EXECQ_FUTURE_OK);
    ticker_close(&t);
    close_own_loop();
    execq_future_release(done);
    execq_promise_release(promises[0]);
    execq_promise_release(promises[1]);
    execq_future_release(first);
    execq_future_release(second);
}

/* ---- on workers ---- */

typedef struct scene {
    execq_executor *executor;
    execq_future *self;
    gate go;
    execq_status status;
    execq_status look;
    pthread_t thread;
    pthread_t child_thread;
    ticker ticker;
} scene;

static int32_t scene_child(void *env, void **result)
{
    (void)result;
    ((scene *)env)->child_thread = pthread_self();
    return 0;
}

static scene stage;

static void scene_play(uint32_t threads, execq_fn body)
{
    memset(&stage, 0, sizeof stage);
    gate_init(&stage.go);
    stage.executor = pool_new(threads);
    assert_status(execq_submit(stage.executor, body, &stage, &stage.self), EXECQ_OK);
    gate_open(&stage.go, 1);
    finish(stage.self);
    pool_end(stage.executor);
    gate_destroy(&stage.go);
}

static int32_t run_until_oneself(void *env, void **result)
{
    scene *self = env;
    (void)result;
    gate_pass(&self->go); /* self is known by now */
    own_loop();
    self->status = execq_run_until(self->self, -1);
    self->look = execq_run_until(self->self, 0);
    return 0;
}

static void a_task_may_not_run_until_its_own_end(void **state)
{
    (void)state;
    scene_play(2, run_until_oneself);
    assert_status(stage.status, EXECQ_EDEADLK);
    assert_status(stage.look, EXECQ_ETIMEDOUT);
}

static int32_t run_until_a_child(void *env, void **result)
{
    scene *self = env;
    execq_future *child = NULL;
    (void)result;
    self->thread = pthread_self();
    own_loop();
    must(execq_submit(self->executor, scene_child, self, &child) == EXECQ_OK);
    self->status = execq_run_until(child, -1);
    execq_future_release(child);
    return 0;
}

static void an_unstarted_task_is_run_in_place_by_an_idle_loop(void **state)
{
    (void)state;
    scene_play(1, run_until_a_child);
    assert_status(stage.status, EXECQ_OK);
    assert_true(pthread_equal(stage.thread, stage.child_thread));
}

static int32_t run_until_a_child_with_a_timer(void *env, void **result)
{
    scene *self = env;
    ticker_start(&self->ticker, 3600000, 0);
    run_until_a_child(env, result);
    ticker_close(&self->ticker);
    return 0;
}

static void no_task_is_run_in_place_where_it_would_block_the_loop(void **state)
{
    (void)state;
    scene_play(1, run_until_a_child_with_a_timer);
    assert_status(stage.status, EXECQ_EDEADLK);
    scene_play(2, run_until_a_child_with_a_timer);
    assert_status(stage.status, EXECQ_OK);
    assert_false(pthread_equal(stage.thread, stage.child_thread));
}

static int32_t run_a_timer(void *env, void **result)
{
    scene *self = env;
    execq_future *future = NULL;
    execq_promise *promise = NULL;
    (void)result;
    must(execq_promise_new(NULL, &promise, &future) == EXECQ_OK);
    self->ticker.act = resolve_at_three;
    self->ticker.env = promise;
    ticker_start(&self->ticker, 0, 1);
    self->status = execq_run_until(future, -1);
    ticker_close(&self->ticker);
    execq_promise_release(promise);
    execq_future_release(future);
    return 0;
}

static void a_worker_drives_its_loop(void **state)
{
    (void)state;
    scene_play(1, run_a_timer);
    assert_status(stage.status, EXECQ_OK);
    assert_int_equal(stage.ticker.ticks, 3);
}

/* Queued by a callback of the loop that is driven inside a done callback, this runs between two turns. */
static void close_and_go_on(execq_future *future, void *env)
{
    (void)future;
    must(execq_thread_loop_close() == EXECQ_EBUSY);
    must(execq_promise_resolve(env, NULL) == EXECQ_OK);
}

static void resolve_and_close(ticker *self)
{
    must(execq_promise_resolve(self->env, self) == EXECQ_OK);
    ticker_close(self);
}

static void drive_inside(execq_future *future, void *env)
{
    execq_future *first = NULL;
    execq_future *second = NULL;
    execq_promise *first_promise = NULL;
    execq_promise *second_promise = NULL;
    (void)future;
    must(execq_promise_new(NULL, &first_promise, &first) == EXECQ_OK);
    must(execq_promise_new(NULL, &second_promise, &second) == EXECQ_OK);
    must(execq_future_on_done(first, close_and_go_on, second_promise, NULL) == EXECQ_OK);
    static ticker t;
    t.act = resolve_and_close;
    t.env = first_promise;
    ticker_start(&t, 0, 0);
    must(execq_run_until(second, -1) == EXECQ_OK);
    execq_promise_release(first_promise);
    execq_promise_release(second_promise);
    execq_future_release(first);
    execq_future_release(second);
    counter_hit(env);
}

static void the_loop_is_not_closed_while_it_is_driven(void **state)
{
    (void)state;
    counter over = {0};
    execq_future *done = done_future(NULL);
    assert_status(execq_future_on_done(done, drive_inside, &over, NULL), EXECQ_OK);
    assert_int_equal(counter_get(&over), 1);
    execq_future_release(done);
    close_own_loop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(null_is_no_future),
        cmocka_unit_test(without_a_loop_it_is_a_wait),
        cmocka_unit_test(the_loop_goes_on_meanwhile),
        cmocka_unit_test(a_task_that_needs_the_loop_to_go_on_ends),
        cmocka_unit_test(every_outcome_ends_it),
        cmocka_unit_test(timeouts_are_never_early_and_leave_nothing_behind),
        cmocka_unit_test(a_look_turns_the_loop_once),
        cmocka_unit_test(a_completion_on_another_thread_wakes_the_loop),
        cmocka_unit_test(thousands_of_tasks_one_after_the_other),
        cmocka_unit_test(in_a_callback_of_the_loop_it_would_deadlock),
        cmocka_unit_test(in_a_callback_of_ones_own_uv_run_it_would_deadlock),
        cmocka_unit_test(on_the_thread_of_an_attached_loop_it_would_deadlock),
        cmocka_unit_test(in_a_delivery_of_an_attached_loop_it_would_deadlock),
        cmocka_unit_test(a_loop_that_another_thread_has_taken_over_is_in_nobodys_way),
        cmocka_unit_test(deliveries_on_ones_own_loop_go_on),
        cmocka_unit_test(inside_a_done_callback_those_of_the_loop_are_run),
        cmocka_unit_test(a_task_may_not_run_until_its_own_end),
        cmocka_unit_test(an_unstarted_task_is_run_in_place_by_an_idle_loop),
        cmocka_unit_test(no_task_is_run_in_place_where_it_would_block_the_loop),
        cmocka_unit_test(a_worker_drives_its_loop),
        cmocka_unit_test(the_loop_is_not_closed_while_it_is_driven),
    };
    return cmocka_run_group_tests_name("capi.run_until", tests, NULL, NULL);
}
