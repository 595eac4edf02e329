/* Tasks on an attached loop: their thread, their order, their ends. */
#include "capi.h"

#include "uv_loop.h"

static void bad_arguments_are_refused_and_the_env_dropped(void **state)
{
    (void)state;
    counter dropped = {0};
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    execq_future *future = UNTOUCHED;
    attached a;
    attached_open(&a);
    options.drop = counter_hit;
    assert_status(execq_loop_submit(NULL, &options, do_nothing, &dropped, &future), EXECQ_EINVAL);
    assert_int_equal(counter_get(&dropped), 1);
    assert_status(execq_loop_submit(a.port, &options, NULL, &dropped, &future), EXECQ_EINVAL);
    assert_int_equal(counter_get(&dropped), 2);
    options.flags = 1U << 31;
    assert_status(execq_loop_submit(a.port, &options, do_nothing, &dropped, &future), EXECQ_ENOTSUP);
    assert_int_equal(counter_get(&dropped), 3);
    options = (execq_task_options)EXECQ_TASK_OPTIONS_INIT;
    options.env_size = 8;
    assert_status(execq_loop_submit(a.port, &options, do_nothing, NULL, &future), EXECQ_EINVAL);
    assert_ptr_equal(future, UNTOUCHED);
    attached_close(&a);
    assert_int_equal(counter_get(&dropped), 3);
}

/* A body that notes its place in the order, and its thread. */
typedef struct entry {
    int *clock;
    int ran;
    int dropped;
    int done;
    pthread_t thread;
} entry;

static int32_t entry_fn(void *env, void **result)
{
    entry *e = env;
    must(e->ran == 0 && e->dropped == 0 && e->done == 0);
    e->ran = ++*e->clock;
    e->thread = pthread_self();
    *result = e;
    return 0;
}

static void entry_drop(void *env)
{
    entry *e = env;
    must(e->dropped == 0 && e->done == 0);
    e->dropped = ++*e->clock;
}

static void entry_done(execq_future *future, void *env)
{
    entry *e = env;
    must(e->done == 0 && execq_future_state(future) >= EXECQ_FUTURE_OK);
    e->done = ++*e->clock;
}

static void tasks_run_in_order_on_the_loops_thread_and_never_inside_the_call(void **state)
{
    (void)state;
    enum { N = 3000 }; /* many batches */
    static entry entries[N];
    int ticks = 0;
    attached a;
    attached_open(&a);
    for (int i = 0; i < N; i++) {
        entries[i] = (entry){.clock = &ticks};
        assert_status(execq_loop_submit(a.port, NULL, entry_fn, &entries[i], NULL), EXECQ_OK);
    }
    assert_int_equal(ticks, 0);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0); /* alive until all of them ran */
    for (int i = 0; i < N; i++) {
        assert_int_equal(entries[i].ran, i + 1);
        assert_true(pthread_equal(entries[i].thread, pthread_self()));
    }
    attached_close(&a);
}

static void env_is_dropped_after_the_body_and_before_the_future_is_done(void **state)
{
    (void)state;
    int ticks = 0;
    void *value = NULL;
    entry e = {.clock = &ticks};
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    execq_future *future = NULL;
    attached a;
    attached_open(&a);
    options.drop = entry_drop;
    assert_status(execq_loop_submit(a.port, &options, entry_fn, &e, &future), EXECQ_OK);
    assert_status(execq_future_on_done(future, entry_done, &e, NULL), EXECQ_OK);
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_PENDING);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(e.ran, 1);
    assert_int_equal(e.dropped, 2);
    assert_int_equal(e.done, 3);
    assert_status(execq_future_take(future, &value), EXECQ_OK);
    assert_ptr_equal(value, &e);
    execq_future_release(future);
    attached_close(&a);
}

struct numbers {
    int a, b;
};

static int32_t add(void *env, void **result)
{
    const struct numbers *n = env;
    *result = (void *)(intptr_t)(n->a + n->b);
    return 0;
}

static void a_copied_env_outlives_the_callers(void **state)
{
    (void)state;
    struct numbers n = {40, 2};
    void *value = NULL;
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    execq_future *future = NULL;
    attached a;
    attached_open(&a);
    options.env_size = sizeof n;
    assert_status(execq_loop_submit(a.port, &options, add, &n, &future), EXECQ_OK);
    n = (struct numbers){0, 0};
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_status(execq_future_result(future, &value), EXECQ_OK);
    assert_int_equal((intptr_t)value, 42);
    execq_future_release(future);
    attached_close(&a);
}

static void a_value_that_nobody_takes_is_dropped(void **state)
{
    (void)state;
    counter dropped = {0};
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    attached a;
    attached_open(&a);
    options.drop_result = counter_hit;
    assert_status(execq_loop_submit(a.port, &options, give_env, &dropped, NULL), EXECQ_OK);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(counter_get(&dropped), 1);
    attached_close(&a);
}

static int32_t fail_with_message(void *env, void **result)
{
    (void)env;
    (void)result;
    return execq_fail(77, "the loop said no");
}

static void a_failure_keeps_its_code_and_message(void **state)
{
    (void)state;
    execq_future *future = NULL;
    attached a;
    attached_open(&a);
    assert_status(execq_loop_submit(a.port, NULL, fail_with_message, NULL, &future), EXECQ_OK);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_status(execq_future_result(future, NULL), EXECQ_EFAILED);
    assert_int_equal(execq_error_code(execq_future_error(future)), 77);
    assert_string_equal(execq_error_message(execq_future_error(future)), "the loop said no");
    execq_future_release(future);
    attached_close(&a);
}

static void cancelled_before_it_ran_it_never_runs(void **state)
{
    (void)state;
    enum { N = 5 };
    int ticks = 0;
    entry entries[N];
    execq_future *futures[N];
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    attached a;
    attached_open(&a);
    options.drop = entry_drop;
    for (int i = 0; i < N; i++) {
        entries[i] = (entry){.clock = &ticks};
        assert_status(execq_loop_submit(a.port, &options, entry_fn, &entries[i], &futures[i]), EXECQ_OK);
    }
    /* Its completion is delivered on the very loop that it still waits for. */
    assert_status(execq_future_on_loop(futures[2], a.port, entry_done, &entries[2], NULL), EXECQ_OK);
    assert_status(execq_future_cancel(futures[2]), EXECQ_OK);
    assert_int_equal(entries[2].dropped, 1);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    for (int i = 0; i < N; i++) {
        assert_int_equal(entries[i].ran != 0, i != 2);
        assert_status(execq_future_result(futures[i], NULL), i == 2 ? EXECQ_ECANCELED : EXECQ_OK);
        execq_future_release(futures[i]);
    }
    assert_int_not_equal(entries[2].done, 0);
    attached_close(&a);
    assert_int_equal(ticks, 2 * (N - 1) + 2);
}

struct stoppable {
    execq_future *future;
    int32_t before, after;
};

static int32_t stop_when_asked(void *env, void **result)
{
    struct stoppable *s = env;
    (void)result;
    s->before = execq_cancel_requested();
    must(execq_future_cancel(s->future) == EXECQ_EBUSY);
    s->after = execq_cancel_requested();
    return EXECQ_ECANCELED;
}

static void a_running_body_sees_the_request_and_ends_cancelled(void **state)
{
    (void)state;
    struct stoppable s = {NULL, -1, -1};
    attached a;
    attached_open(&a);
    assert_status(execq_loop_submit(a.port, NULL, stop_when_asked, &s, &s.future), EXECQ_OK);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(s.before, 0);
    assert_int_equal(s.after, 1);
    assert_int_equal(execq_cancel_requested(), 0); /* outside */
    assert_status(execq_future_result(s.future, NULL), EXECQ_ECANCELED);
    assert_int_equal(execq_future_cancel_reason(s.future), EXECQ_REASON_CALLER);
    execq_future_release(s.future);
    attached_close(&a);
}

static int32_t wait_for_itself(void *env, void **result)
{
    execq_future *const *self = env;
    (void)result;
    must(execq_future_wait(*self, 0) == EXECQ_ETIMEDOUT);
    must(execq_future_wait_all(self, 1, -1) == EXECQ_EDEADLK);
    must(execq_future_wait_any(self, 1, -1, NULL) == EXECQ_EDEADLK);
    return execq_future_wait(*self, -1);
}

static void a_body_that_waits_for_itself_is_told(void **state)
{
    (void)state;
    execq_future *future = NULL;
    attached a;
    attached_open(&a);
    assert_status(execq_loop_submit(a.port, NULL, wait_for_itself, &future, &future), EXECQ_OK);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(execq_error_code(execq_future_error(future)), EXECQ_EDEADLK);
    execq_future_release(future);
    attached_close(&a);
}

/* A body that submits itself to its own loop, and counts the iterations between. */
struct again {
    execq_loop *port;
    uv_prepare_t prepare;
    int iterations;
    int left;
    int last_iteration;
};

static void count_iteration(uv_prepare_t *prepare) { ++((struct again *)prepare->data)->iterations; }

static int32_t run_again(void *env, void **result)
{
    struct again *again = env;
    (void)result;
    must(again->iterations != again->last_iteration);
    again->last_iteration = again->iterations;
    return again->left-- > 0 ? execq_loop_submit(again->port, NULL, run_again, again, NULL) : 0;
}

static void a_body_that_submits_to_its_own_loop_lets_it_go_round(void **state)
{
    (void)state;
    enum { TIMES = 500 };
    attached a;
    attached_open(&a);
    struct again again = {.port = a.port, .left = TIMES, .last_iteration = -1};
    assert_int_equal(uv_prepare_init(&a.loop, &again.prepare), 0);
    again.prepare.data = &again;
    uv_prepare_start(&again.prepare, count_iteration);
    uv_unref((uv_handle_t *)&again.prepare);
    assert_status(execq_loop_submit(a.port, NULL, run_again, &again, NULL), EXECQ_OK);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(again.left, -1);
    uv_close((uv_handle_t *)&again.prepare, NULL);
    attached_close(&a);
}

static void a_detachment_cancels_what_has_not_started(void **state)
{
    (void)state;
    enum { N = 1000 };
    static entry entries[N];
    static execq_future *futures[N];
    int ticks = 0;
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    attached a;
    attached_open(&a);
    options.drop = entry_drop;
    for (int i = 0; i < N; i++) {
        entries[i] = (entry){.clock = &ticks};
        assert_status(execq_loop_submit(a.port, &options, entry_fn, &entries[i], &futures[i]), EXECQ_OK);
        assert_status(execq_future_on_loop(futures[i], a.port, entry_done, &entries[i], NULL), EXECQ_OK);
    }
    assert_status(execq_loop_detach(a.port), EXECQ_OK);
    for (int i = 0; i < N; i++) {
        assert_int_equal(entries[i].ran, 0);
        assert_int_equal(entries[i].dropped, i + 1);
        assert_int_equal(entries[i].done, N + i + 1); /* the loop hears of it, as it was complete in time */
        assert_status(execq_future_result(futures[i], NULL), EXECQ_ECANCELED);
        assert_int_equal(execq_future_cancel_reason(futures[i]), EXECQ_REASON_SHUTDOWN);
        execq_future_release(futures[i]);
    }
    execq_loop_release(a.port);
    attached_close_loop(&a);
    assert_int_equal(ticks, 2 * N);
}

static int32_t detach_in_body(void *env, void **result)
{
    *result = env;
    return execq_loop_detach(env);
}

static void a_body_may_detach_its_own_loop(void **state)
{
    (void)state;
    int ticks = 0;
    entry before = {.clock = &ticks};
    entry after = {.clock = &ticks};
    execq_future *first = NULL;
    execq_future *leaver = NULL;
    execq_future *last = NULL;
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    attached a;
    attached_open(&a);
    options.drop = entry_drop;
    assert_status(execq_loop_submit(a.port, &options, entry_fn, &before, &first), EXECQ_OK);
    assert_status(execq_loop_submit(a.port, NULL, detach_in_body, a.port, &leaver), EXECQ_OK);
    assert_status(execq_loop_submit(a.port, &options, entry_fn, &after, &last), EXECQ_OK);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_status(execq_future_result(first, NULL), EXECQ_OK);
    assert_status(execq_future_result(leaver, NULL), EXECQ_OK);
    assert_status(execq_future_result(last, NULL), EXECQ_ECANCELED);
    assert_int_equal(after.ran, 0);
    assert_int_equal(after.dropped, 3);
    execq_future_release(first);
    execq_future_release(leaver);
    execq_future_release(last);
    execq_loop_release(a.port);
    attached_close_loop(&a);
    assert_int_equal(ticks, 3);
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
    assert_status(execq_loop_submit(a.port, &options, counter_fn, &dropped, &future), EXECQ_ECLOSED);
    assert_int_equal(counter_get(&dropped), 1);
    assert_ptr_equal(future, UNTOUCHED);
    execq_loop_release(a.port);
    attached_close_loop(&a);
}

static void the_last_release_cancels_what_waits(void **state)
{
    (void)state;
    int ticks = 0;
    entry e = {.clock = &ticks};
    execq_future *future = NULL;
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    attached a;
    attached_open(&a);
    options.drop = entry_drop;
    assert_status(execq_loop_submit(a.port, &options, entry_fn, &e, &future), EXECQ_OK);
    execq_loop_release(a.port);
    attached_close_loop(&a);
    assert_int_equal(e.ran, 0);
    assert_int_equal(e.dropped, 1);
    assert_status(execq_future_result(future, NULL), EXECQ_ECANCELED);
    execq_future_release(future);
}

/* A worker that lifts work onto the loop and waits for it. */
struct lifter {
    execq_loop *port;
    entry e;
};

static int32_t lift_and_wait(void *env, void **result)
{
    struct lifter *lifter = env;
    execq_future *future = NULL;
    must(execq_loop_submit(lifter->port, NULL, entry_fn, &lifter->e, &future) == EXECQ_OK);
    must(execq_future_wait(future, -1) == EXECQ_OK);
    must(execq_future_take(future, result) == EXECQ_OK);
    execq_future_release(future);
    return 0;
}

static void stop_loop(execq_future *future, void *env)
{
    (void)future;
    must(execq_loop_unhold(env) == EXECQ_OK);
}

static void workers_lift_work_onto_the_loop_and_get_it_back(void **state)
{
    (void)state;
    enum { N = 200 };
    static struct lifter lifters[N];
    static execq_future *futures[N];
    int ticks = 0;
    attached a;
    attached_open(&a);
    execq_executor *executor = pool_new(4);
    for (int i = 0; i < N; i++) {
        assert_status(execq_loop_hold(a.port), EXECQ_OK);
        lifters[i] = (struct lifter){a.port, {.clock = &ticks}};
        futures[i] = spawn(executor, lift_and_wait, &lifters[i]);
        assert_status(execq_future_on_loop(futures[i], a.port, stop_loop, a.port, NULL), EXECQ_OK);
    }
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    for (int i = 0; i < N; i++) {
        void *value = NULL;
        assert_status(execq_future_result(futures[i], &value), EXECQ_OK);
        assert_ptr_equal(value, &lifters[i].e);
        assert_true(pthread_equal(lifters[i].e.thread, pthread_self()));
        execq_future_release(futures[i]);
    }
    assert_int_equal(ticks, N);
    pool_end(executor);
    attached_close(&a);
}

/* Threads that submit while the loop runs: each one's tasks stay in order. */
enum { SENDERS = 4, PER_SENDER = 5000 };

struct sender {
    execq_loop *port;
    int next; /* the loop's thread alone */
    int order_broken;
    struct step {
        struct sender *sender;
        int number;
    } steps[PER_SENDER];
};

static int32_t take_step(void *env, void **result)
{
    const struct step *step = env;
    (void)result;
    step->sender->order_broken += step->number != step->sender->next++;
    return 0;
}

static void *send_steps(void *env)
{
    struct sender *sender = env;
    for (int i = 0; i < PER_SENDER; i++) {
        sender->steps[i] = (struct step){sender, i};
        must(execq_loop_submit(sender->port, NULL, take_step, &sender->steps[i], NULL) == EXECQ_OK);
    }
    must(execq_loop_unhold(sender->port) == EXECQ_OK);
    return NULL;
}

static void what_one_thread_submits_stays_in_order_among_others(void **state)
{
    (void)state;
    static struct sender senders[SENDERS];
    pthread_t threads[SENDERS];
    attached a;
    attached_open(&a);
    for (int i = 0; i < SENDERS; i++) {
        assert_status(execq_loop_hold(a.port), EXECQ_OK);
    }
    for (int i = 0; i < SENDERS; i++) {
        senders[i].port = a.port;
        threads[i] = thread_start(send_steps, &senders[i]);
    }
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    for (int i = 0; i < SENDERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(senders[i].next, PER_SENDER);
        assert_int_equal(senders[i].order_broken, 0);
    }
    attached_close(&a);
}

/* A task of a worker that runs a loop of its own: the bodies in there are the running task, one inside the other. */
struct inner {
    execq_executor *executor;
    execq_future *outer;
    execq_future *lifted;
    execq_future *in_place;
    int32_t seen[4];
};

static int32_t look_in_place(void *env, void **result)
{
    struct inner *inner = env;
    (void)result;
    inner->seen[2] = execq_cancel_requested(); /* of this one: nobody asked */
    must(execq_future_wait(inner->lifted, -1) == EXECQ_EDEADLK);
    must(execq_future_wait(inner->outer, -1) == EXECQ_EDEADLK);
    return 0;
}

static int32_t look_lifted(void *env, void **result)
{
    struct inner *inner = env;
    (void)result;
    inner->seen[0] = execq_cancel_requested();
    must(execq_future_cancel(inner->lifted) == EXECQ_EBUSY);
    inner->seen[1] = execq_cancel_requested();
    must(execq_future_wait(inner->outer, -1) == EXECQ_EDEADLK);
    inner->in_place = spawn(inner->executor, look_in_place, inner);
    must(execq_future_wait(inner->in_place, -1) == EXECQ_OK); /* the only worker is this thread */
    return execq_fail(5, "five");
}

static int32_t run_own_loop(void *env, void **result)
{
    struct inner *inner = env;
    (void)result;
    uv_loop_t loop;
    execq_loop *port = NULL;
    must(uv_loop_init(&loop) == 0);
    must(execq_loop_attach(&loop, &port) == EXECQ_OK);
    must(execq_loop_submit(port, NULL, look_lifted, inner, &inner->lifted) == EXECQ_OK);
    must(uv_run(&loop, UV_RUN_DEFAULT) == 0);
    inner->seen[3] = execq_cancel_requested();
    must(execq_loop_detach(port) == EXECQ_OK);
    execq_loop_release(port);
    must(uv_run(&loop, UV_RUN_DEFAULT) == 0);
    must(uv_loop_close(&loop) == 0);
    return 0;
}

static int32_t start_inner(void *env, void **result)
{
    struct inner *inner = env;
    inner->outer = NULL;
    must(execq_submit(inner->executor, run_own_loop, inner, &inner->outer) == EXECQ_OK);
    (void)result;
    return 0;
}

static void bodies_of_a_loop_and_of_a_worker_may_be_nested(void **state)
{
    (void)state;
    struct inner inner = {.seen = {-1, -1, -1, -1}};
    inner.executor = pool_new(1);
    finish(spawn(inner.executor, start_inner, &inner));
    assert_status(execq_future_wait(inner.outer, -1), EXECQ_OK);
    assert_status(execq_future_result(inner.outer, NULL), EXECQ_OK);
    assert_status(execq_future_result(inner.in_place, NULL), EXECQ_OK);
    assert_string_equal(execq_error_message(execq_future_error(inner.lifted)), "five");
    assert_int_equal(inner.seen[0], 0);
    assert_int_equal(inner.seen[1], 1);
    assert_int_equal(inner.seen[2], 0);
    assert_int_equal(inner.seen[3], 0);
    execq_future_release(inner.outer);
    execq_future_release(inner.lifted);
    execq_future_release(inner.in_place);
    pool_end(inner.executor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_arguments_are_refused_and_the_env_dropped),
        cmocka_unit_test(tasks_run_in_order_on_the_loops_thread_and_never_inside_the_call),
        cmocka_unit_test(env_is_dropped_after_the_body_and_before_the_future_is_done),
        cmocka_unit_test(a_copied_env_outlives_the_callers),
        cmocka_unit_test(a_value_that_nobody_takes_is_dropped),
        cmocka_unit_test(a_failure_keeps_its_code_and_message),
        cmocka_unit_test(cancelled_before_it_ran_it_never_runs),
        cmocka_unit_test(a_running_body_sees_the_request_and_ends_cancelled),
        cmocka_unit_test(a_body_that_waits_for_itself_is_told),
        cmocka_unit_test(a_body_that_submits_to_its_own_loop_lets_it_go_round),
        cmocka_unit_test(a_detachment_cancels_what_has_not_started),
        cmocka_unit_test(a_body_may_detach_its_own_loop),
        cmocka_unit_test(a_detached_loop_refuses_and_drops),
        cmocka_unit_test(the_last_release_cancels_what_waits),
        cmocka_unit_test(workers_lift_work_onto_the_loop_and_get_it_back),
        cmocka_unit_test(what_one_thread_submits_stays_in_order_among_others),
        cmocka_unit_test(bodies_of_a_loop_and_of_a_worker_may_be_nested),
    };
    return cmocka_run_group_tests_name("capi.loop_submit", tests, NULL, NULL);
}
