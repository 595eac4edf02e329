/* Capacities and what a full executor does, priorities, hints of blocking: through the C ABI. */
#include "capi.h"

#include <execq/uv.h>

static execq_executor *bounded_new(uint32_t threads, uint32_t capacity, uint32_t policy)
{
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    execq_executor *executor = NULL;
    options.max_threads = threads;
    options.capacity = capacity;
    options.full_policy = policy;
    assert_status(execq_executor_new(&options, &executor), EXECQ_OK);
    return executor;
}

static execq_task_options task_options(void)
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    return options;
}

static void bad_options_are_refused(void **state)
{
    (void)state;
    struct {
        uint32_t capacity;
        uint32_t policy;
        int32_t spares;
        uint32_t reserved;
        execq_status status;
    } cases[] = {
        {1, EXECQ_FULL_REJECT, 0, 0, EXECQ_OK},
        {EXECQ_MAX_CAPACITY, EXECQ_FULL_CALLER_RUNS, EXECQ_MAX_THREADS, 0, EXECQ_OK},
        {0, EXECQ_FULL_BLOCK, -1, 0, EXECQ_OK},
        {EXECQ_MAX_CAPACITY + 1U, 0, 0, 0, EXECQ_EINVAL},
        {UINT32_MAX, 0, 0, 0, EXECQ_EINVAL},
        {1, UINT32_MAX, 0, 0, EXECQ_EINVAL},
        {1, 3, 0, 0, EXECQ_EINVAL},
        {0, 3, 0, 0, EXECQ_EINVAL},
        {0, 0, EXECQ_MAX_THREADS + 1, 0, EXECQ_EINVAL},
        {0, 0, INT32_MAX, 0, EXECQ_EINVAL},
        {0, 0, 0, 1, EXECQ_EINVAL},
        {0, 0, INT32_MIN, 0, EXECQ_OK},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
        execq_executor *executor = UNTOUCHED;
        options.capacity = cases[i].capacity;
        options.full_policy = cases[i].policy;
        options.max_spares = cases[i].spares;
        options.reserved_2 = cases[i].reserved;
        assert_status(execq_executor_new(&options, &executor), cases[i].status);
        if (cases[i].status == EXECQ_OK) {
            pool_end(executor);
        } else {
            assert_ptr_equal(executor, UNTOUCHED);
        }
    }
}

static void bad_priorities_and_flags_are_refused_with_their_env(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    static const int32_t bad[] = {2, -2, INT32_MAX, INT32_MIN};
    counter dropped = {0};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        execq_task_options options = task_options();
        options.priority = bad[i];
        options.drop = counter_hit;
        assert_status(execq_submit_with(executor, &options, do_nothing, &dropped, NULL), EXECQ_EINVAL);
        assert_int_equal(counter_get(&dropped), (int)i + 1);
    }
    execq_task_options options = task_options();
    options.flags = EXECQ_TASK_INTERRUPT << 1;
    assert_status(execq_submit_with(executor, &options, do_nothing, NULL, NULL), EXECQ_ENOTSUP);
    pool_end(executor);
}

static void a_loop_has_no_priorities(void **state)
{
    (void)state;
    uv_loop_t loop;
    execq_loop *port = NULL;
    execq_task_options options = task_options();
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_status(execq_loop_attach(&loop, &port), EXECQ_OK);
    options.priority = EXECQ_PRIORITY_HIGH;
    assert_status(execq_loop_submit(port, &options, do_nothing, NULL, NULL), EXECQ_ENOTSUP);
    assert_status(execq_loop_detach(port), EXECQ_OK);
    execq_loop_release(port);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

/* ---- rejecting ---- */

static void a_full_executor_refuses_all_kinds_of_submissions(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = bounded_new(1, 2, EXECQ_FULL_REJECT);
    execq_future *holder = occupy(executor, &g);
    counter ran = {0};
    counter dropped = {0};
    void *envs[] = {&ran, &ran, &ran};
    execq_future *out = UNTOUCHED;
    execq_future *outs[3] = {UNTOUCHED, UNTOUCHED, UNTOUCHED};
    execq_cq *cq = NULL;
    execq_task_options options = task_options();
    options.drop = counter_hit;
    assert_status(execq_cq_new(&cq), EXECQ_OK);
    assert_status(execq_submit(executor, counter_fn, &ran, NULL), EXECQ_OK);
    assert_status(execq_submit_many(executor, NULL, 2, counter_fn, envs, NULL), EXECQ_EFULL);
    assert_status(execq_submit(executor, counter_fn, &ran, NULL), EXECQ_OK);
    assert_status(execq_submit(executor, counter_fn, &ran, NULL), EXECQ_EFULL);
    assert_status(execq_submit(executor, counter_fn, &ran, &out), EXECQ_EFULL);
    assert_status(execq_submit_with(executor, &options, do_nothing, &dropped, &out), EXECQ_EFULL);
    assert_status(execq_submit_to_cq(executor, &options, do_nothing, &dropped, cq, NULL), EXECQ_EFULL);
    options.delay_ns = MILLISECOND;
    assert_status(execq_submit_with(executor, &options, do_nothing, &dropped, &out), EXECQ_EFULL);
    options.delay_ns = 0;
    options.start_within_ns = -1;
    assert_status(execq_submit_with(executor, &options, do_nothing, &dropped, &out), EXECQ_EFULL);
    assert_status(execq_submit_many(executor, NULL, 3, counter_fn, envs, outs), EXECQ_EINVAL); /* could never fit */
    assert_status(execq_submit_many(executor, NULL, 0, counter_fn, envs, outs), EXECQ_OK);
    assert_ptr_equal(out, UNTOUCHED);
    assert_ptr_equal(outs[0], UNTOUCHED);
    assert_int_equal(counter_get(&dropped), 4);
    gate_open(&g, 1);
    finish(holder);
    pool_end(executor);
    assert_int_equal(counter_get(&ran), 2);
    assert_status(execq_cq_close(cq, NULL), EXECQ_OK);
    execq_cq_release(cq);
    gate_destroy(&g);
}

static void a_canceled_task_gives_its_room_back_at_once(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = bounded_new(1, 1, EXECQ_FULL_REJECT);
    execq_future *holder = occupy(executor, &g);
    for (int i = 0; i < 10; i++) {
        execq_future *waiting = spawn(executor, do_nothing, NULL);
        assert_status(execq_submit(executor, do_nothing, NULL, NULL), EXECQ_EFULL);
        assert_status(execq_future_cancel(waiting), EXECQ_OK);
        execq_future_release(waiting);
    }
    /* As does one whose time is up. */
    execq_task_options options = task_options();
    execq_future *late = NULL;
    options.start_within_ns = MILLISECOND;
    assert_status(execq_submit_with(executor, &options, do_nothing, NULL, &late), EXECQ_OK);
    finish(late);
    options.start_within_ns = -1;
    assert_status(execq_submit_with(executor, &options, do_nothing, NULL, &late), EXECQ_OK);
    finish(late);
    assert_status(execq_submit(executor, do_nothing, NULL, NULL), EXECQ_OK);
    gate_open(&g, 1);
    finish(holder);
    pool_end(executor);
    gate_destroy(&g);
}

static void a_delayed_task_takes_room_from_its_acceptance_on(void **state)
{
    (void)state;
    execq_executor *executor = bounded_new(1, 1, EXECQ_FULL_REJECT);
    execq_task_options options = task_options();
    execq_future *later = NULL;
    options.delay_ns = INT64_C(3600000000000);
    assert_status(execq_submit_with(executor, &options, do_nothing, NULL, &later), EXECQ_OK);
    assert_status(execq_submit(executor, do_nothing, NULL, NULL), EXECQ_EFULL);
    assert_status(execq_future_cancel(later), EXECQ_OK);
    execq_future_release(later);
    options.delay_ns = MILLISECOND;
    assert_status(execq_submit_with(executor, &options, do_nothing, NULL, &later), EXECQ_OK);
    finish(later);
    finish(spawn(executor, do_nothing, NULL));
    pool_end(executor);
}

/* A task that waits in place for what it has submitted, where there is room for one. */
static int32_t submit_and_wait(void *env, void **result)
{
    (void)result;
    for (int i = 0; i < 10; i++) {
        execq_future *child = NULL;
        must(execq_submit(env, do_nothing, NULL, &child) == EXECQ_OK);
        must(execq_submit(env, do_nothing, NULL, NULL) == EXECQ_EFULL);
        must(execq_future_wait(child, -1) == EXECQ_OK);
        execq_future_release(child);
    }
    return 0;
}

static void what_a_wait_runs_in_place_gives_its_room_back(void **state)
{
    (void)state;
    execq_executor *executor = bounded_new(1, 1, EXECQ_FULL_REJECT);
    finish(spawn(executor, submit_and_wait, executor));
    pool_end(executor);
}

static void complete_at_once(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    (void)loop;
    (void)env;
    must(execq_promise_resolve(promise, NULL) == EXECQ_OK);
    execq_promise_release(promise);
}

static void asynchronous_tasks_take_room_until_they_start(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = bounded_new(1, 1, EXECQ_FULL_REJECT);
    execq_future *holder = occupy(executor, &g);
    execq_future *future = NULL;
    assert_status(execq_submit_async(executor, NULL, complete_at_once, NULL, &future), EXECQ_OK);
    assert_status(execq_submit_async(executor, NULL, complete_at_once, NULL, NULL), EXECQ_EFULL);
    gate_open(&g, 1);
    finish(holder);
    finish(future);
    assert_status(execq_submit_async(executor, NULL, complete_at_once, NULL, &future), EXECQ_OK);
    finish(future);
    pool_end(executor);
    gate_destroy(&g);
}

static void what_a_queue_holds_back_takes_room(void **state)
{
    (void)state;
    execq_executor *executor = bounded_new(1, 2, EXECQ_FULL_CALLER_RUNS);
    execq_queue *queue = NULL;
    execq_queue_options of_queue = EXECQ_QUEUE_OPTIONS_INIT;
    execq_task_options options = task_options();
    execq_future *futures[2];
    counter ran = {0};
    of_queue.flags = EXECQ_QUEUE_PAUSED;
    assert_status(execq_queue_new(executor, &of_queue, &queue), EXECQ_OK);
    options.queue = queue;
    for (size_t i = 0; i < COUNT_OF(futures); i++) {
        assert_status(execq_submit_with(executor, &options, counter_fn, &ran, &futures[i]), EXECQ_OK);
    }
    assert_status(execq_submit_with(executor, &options, counter_fn, &ran, NULL), EXECQ_EFULL); /* not out of turn */
    assert_status(execq_submit(executor, counter_fn, &ran, NULL), EXECQ_OK); /* here, without a queue */
    assert_int_equal(counter_get(&ran), 1);
    assert_status(execq_queue_resume(queue), EXECQ_OK);
    finish(futures[0]);
    finish(futures[1]);
    assert_status(execq_submit_with(executor, &options, counter_fn, &ran, &futures[0]), EXECQ_OK);
    finish(futures[0]);
    execq_queue_release(queue);
    pool_end(executor);
    assert_int_equal(counter_get(&ran), 4);
}

static void a_full_queue_refuses_who_will_not_wait(void **state)
{
    (void)state;
    static const uint32_t policies[] = {EXECQ_FULL_REJECT, EXECQ_FULL_BLOCK, EXECQ_FULL_CALLER_RUNS};
    for (size_t i = 0; i < COUNT_OF(policies); i++) {
        execq_executor *executor = pool_new(1);
        execq_queue *queue = NULL;
        execq_queue_options of_queue = EXECQ_QUEUE_OPTIONS_INIT;
        execq_task_options options = task_options();
        counter ran = {0};
        of_queue.flags = EXECQ_QUEUE_PAUSED;
        of_queue.capacity = 1;
        of_queue.full_policy = policies[i];
        assert_status(execq_queue_new(executor, &of_queue, &queue), EXECQ_OK);
        options.queue = queue;
        options.flags = EXECQ_TASK_NO_WAIT;
        assert_status(execq_submit_with(NULL, &options, counter_fn, &ran, NULL), EXECQ_OK);
        assert_status(execq_submit_with(NULL, &options, counter_fn, &ran, NULL), EXECQ_EFULL);
        execq_queue_release(queue);
        pool_end(executor);
        assert_int_equal(counter_get(&ran), 1);
    }
}

static void a_closed_executor_is_closed_rather_than_full(void **state)
{
    (void)state;
    static const uint32_t policies[] = {EXECQ_FULL_REJECT, EXECQ_FULL_BLOCK, EXECQ_FULL_CALLER_RUNS};
    for (size_t i = 0; i < COUNT_OF(policies); i++) {
        static gate g;
        gate_init(&g);
        execq_executor *executor = bounded_new(1, 1, policies[i]);
        execq_future *holder = occupy(executor, &g);
        counter ran = {0};
        assert_status(execq_submit(executor, counter_fn, &ran, NULL), EXECQ_OK);
        assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
        assert_status(execq_submit(executor, counter_fn, &ran, NULL), EXECQ_ECLOSED);
        gate_open(&g, 1);
        finish(holder);
        pool_end(executor);
        assert_int_equal(counter_get(&ran), 1);
        gate_destroy(&g);
    }
}

/* ---- blocking ---- */

struct submitter {
    execq_executor *executor;
    execq_task_options options;
    size_t n;
    execq_status status;
    gate started;
};

static void *submit_in_thread(void *env)
{
    struct submitter *self = env;
    void *envs[8] = {NULL};
    sem_post(&self->started.entered);
    self->status = execq_submit_many(self->executor, &self->options, self->n, do_nothing, envs, NULL);
    return NULL;
}

static pthread_t start_submitter(struct submitter *self, execq_executor *executor, size_t n)
{
    self->executor = executor;
    self->options = task_options();
    self->n = n;
    self->status = EXECQ_EPENDING;
    gate_init(&self->started);
    pthread_t thread = thread_start(submit_in_thread, self);
    gate_await(&self->started, 1);
    return thread;
}

static void a_blocked_submitter_gets_the_room_that_comes(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = bounded_new(1, 2, EXECQ_FULL_BLOCK);
    execq_future *holder = occupy(executor, &g);
    execq_future *waiting[] = {spawn(executor, do_nothing, NULL), spawn(executor, do_nothing, NULL)};
    static struct submitter submitter;
    pthread_t thread = start_submitter(&submitter, executor, 2);
    assert_status(execq_future_cancel(waiting[1]), EXECQ_OK); /* which is not enough */
    assert_status(execq_future_cancel(waiting[0]), EXECQ_OK);
    pthread_join(thread, NULL); /* although no worker has met what was canceled */
    assert_status(submitter.status, EXECQ_OK);
    execq_future_release(waiting[0]);
    execq_future_release(waiting[1]);
    gate_open(&g, 1);
    finish(holder);
    pool_end(executor);
    gate_destroy(&g);
}

static void a_blocked_submitter_wakes_on_close(void **state)
{
    (void)state;
    static const int32_t modes[] = {EXECQ_DRAIN, EXECQ_CANCEL};
    for (int i = 0; i < 50; i++) {
        static gate g;
        static struct submitter submitters[3];
        pthread_t threads[COUNT_OF(submitters)];
        gate_init(&g);
        execq_executor *executor = bounded_new(1, 1, EXECQ_FULL_BLOCK);
        execq_future *holder = occupy(executor, &g);
        execq_future *waiting = spawn(executor, do_nothing, NULL);
        for (size_t k = 0; k < COUNT_OF(submitters); k++) {
            threads[k] = start_submitter(&submitters[k], executor, 1);
        }
        assert_status(execq_executor_close(executor, modes[i % 2]), EXECQ_OK);
        for (size_t k = 0; k < COUNT_OF(submitters); k++) {
            pthread_join(threads[k], NULL);
            assert_status(submitters[k].status, EXECQ_ECLOSED);
        }
        gate_open(&g, 1);
        finish(holder);
        finish(waiting);
        pool_end(executor);
        gate_destroy(&g);
    }
}

static void a_blocked_submission_lasts_no_longer_than_its_task_may(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = bounded_new(1, 1, EXECQ_FULL_BLOCK);
    execq_future *holder = occupy(executor, &g);
    execq_future *waiting = spawn(executor, do_nothing, NULL);
    counter dropped = {0};
    execq_task_options options = task_options();
    options.drop = counter_hit;
    options.start_within_ns = MILLISECOND;
    assert_status(execq_submit_with(executor, &options, do_nothing, &dropped, NULL), EXECQ_ETIMEDOUT);
    options.start_within_ns = 0;
    options.timeout_ns = MILLISECOND;
    assert_status(execq_submit_with(executor, &options, do_nothing, &dropped, NULL), EXECQ_ETIMEDOUT);
    options.timeout_ns = -1;
    assert_status(execq_submit_with(executor, &options, do_nothing, &dropped, NULL), EXECQ_ETIMEDOUT);
    options.timeout_ns = 0;
    options.flags = EXECQ_TASK_NO_WAIT;
    assert_status(execq_submit_with(executor, &options, do_nothing, &dropped, NULL), EXECQ_EFULL);
    assert_int_equal(counter_get(&dropped), 4);
    gate_open(&g, 1);
    finish(holder);
    finish(waiting);
    pool_end(executor);
    gate_destroy(&g);
}

static int32_t submit_until_it_deadlocks(void *env, void **result)
{
    (void)result;
    must(execq_submit(env, do_nothing, NULL, NULL) == EXECQ_OK);
    must(execq_submit(env, do_nothing, NULL, NULL) == EXECQ_EDEADLK);
    return 0;
}

static int32_t submit_many_times(void *env, void **result)
{
    (void)result;
    for (int i = 0; i < 200; i++) {
        must(execq_submit(env, do_nothing, NULL, NULL) == EXECQ_OK);
    }
    return 0;
}

static void a_worker_blocks_only_where_another_one_can_make_room(void **state)
{
    (void)state;
    execq_executor *one = bounded_new(1, 1, EXECQ_FULL_BLOCK);
    finish(spawn(one, submit_until_it_deadlocks, one));
    pool_end(one);
    execq_executor *two = bounded_new(2, 1, EXECQ_FULL_BLOCK);
    finish(spawn(two, submit_many_times, two));
    pool_end(two);
    execq_executor *spare = NULL;
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 1;
    options.max_spares = 1;
    options.capacity = 1;
    options.full_policy = EXECQ_FULL_BLOCK;
    assert_status(execq_executor_new(&options, &spare), EXECQ_OK);
    finish(spawn(spare, submit_many_times, spare));
    pool_end(spare);
}

/* ---- the caller runs it ---- */

static int32_t note_thread(void *env, void **result)
{
    *(pthread_t *)env = pthread_self();
    *result = env;
    return 0;
}

static int32_t fail_here(void *env, void **result)
{
    (void)env;
    (void)result;
    return execq_fail(77, "here");
}

static void the_caller_runs_what_does_not_fit(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = bounded_new(1, 1, EXECQ_FULL_CALLER_RUNS);
    execq_future *holder = occupy(executor, &g);
    counter waited = {0};
    assert_status(execq_submit(executor, counter_fn, &waited, NULL), EXECQ_OK); /* the one that fits */

    pthread_t thread = 0;
    counter dropped = {0};
    counter done = {0};
    void *value = NULL;
    execq_future *future = spawn(executor, note_thread, &thread);
    assert_true(pthread_equal(thread, pthread_self()));
    assert_status(execq_future_result(future, &value), EXECQ_OK);
    assert_ptr_equal(value, &thread);
    execq_future_release(future);

    counter ran = {0};
    assert_status(execq_submit(executor, counter_fn, &ran, NULL), EXECQ_OK);
    assert_int_equal(counter_get(&ran), 1);
    future = spawn(executor, fail_here, NULL);
    assert_string_equal(execq_error_message(execq_future_error(future)), "here");
    execq_future_release(future);

    execq_task_options options = task_options();
    options.drop = counter_hit;
    options.timeout_ns = INT64_C(3600000000000);
    assert_status(execq_submit_with(executor, &options, do_nothing, &dropped, &future), EXECQ_OK);
    assert_int_equal(counter_get(&dropped), 1);
    assert_status(execq_future_on_done(future, count_done, &done, NULL), EXECQ_OK);
    assert_int_equal(counter_get(&done), 1);
    execq_future_release(future);

    execq_cq *cq = NULL;
    execq_completion completion;
    size_t n = 0;
    assert_status(execq_cq_new(&cq), EXECQ_OK);
    assert_status(execq_submit_to_cq(executor, NULL, give_env, &n, cq, &thread), EXECQ_OK);
    assert_status(execq_cq_drain(cq, &completion, 1, &n), EXECQ_OK);
    assert_int_equal(n, 1);
    assert_ptr_equal(completion.tag, &thread);
    execq_future_release(completion.future);
    assert_status(execq_cq_close(cq, NULL), EXECQ_OK);
    execq_cq_release(cq);

    void *envs[] = {&ran, &ran, &ran};
    execq_future *futures[3];
    assert_status(execq_submit_many(executor, NULL, 3, counter_fn, envs, futures), EXECQ_OK);
    assert_int_equal(counter_get(&ran), 4);
    for (size_t i = 0; i < COUNT_OF(futures); i++) {
        assert_status(execq_future_result(futures[i], NULL), EXECQ_OK);
        execq_future_release(futures[i]);
    }

    /* What the caller cannot run. */
    options = task_options();
    assert_status(execq_submit_async(executor, NULL, complete_at_once, NULL, NULL), EXECQ_EFULL);
    options.delay_ns = MILLISECOND;
    assert_status(execq_submit_with(executor, &options, counter_fn, &ran, NULL), EXECQ_EFULL);
    options.delay_ns = 0;
    options.flags = EXECQ_TASK_NO_WAIT;
    assert_status(execq_submit_with(executor, &options, counter_fn, &ran, NULL), EXECQ_EFULL);
    options.flags = 0;
    options.start_within_ns = -1; /* accepted, and canceled */
    assert_status(execq_submit_with(executor, &options, counter_fn, &ran, &future), EXECQ_OK);
    assert_status(execq_future_result(future, NULL), EXECQ_ECANCELED);
    execq_future_release(future);
    assert_int_equal(counter_get(&ran), 4);
    assert_int_equal(counter_get(&waited), 0);
    gate_open(&g, 1);
    finish(holder);
    pool_end(executor);
    assert_int_equal(counter_get(&waited), 1);
    gate_destroy(&g);
}

struct inside {
    execq_executor *executor;
    pthread_t threads[2];
};

static int32_t fill_from_inside(void *env, void **result)
{
    struct inside *self = env;
    (void)result;
    execq_future *future = NULL;
    self->threads[0] = pthread_self();
    must(execq_submit(self->executor, do_nothing, NULL, NULL) == EXECQ_OK);
    must(execq_submit(self->executor, note_thread, &self->threads[1], &future) == EXECQ_OK);
    must(execq_future_result(future, NULL) == EXECQ_OK);
    execq_future_release(future);
    return 0;
}

static void a_worker_runs_what_does_not_fit_nested(void **state)
{
    (void)state;
    execq_executor *executor = bounded_new(1, 1, EXECQ_FULL_CALLER_RUNS);
    struct inside inside = {executor, {0, 0}};
    finish(spawn(executor, fill_from_inside, &inside));
    assert_true(pthread_equal(inside.threads[0], inside.threads[1]));
    pool_end(executor);
}

static int32_t ask_whether_canceled(void *env, void **result)
{
    (void)result;
    while (!execq_cancel_requested()) {
    }
    counter_hit(env);
    return EXECQ_ECANCELED;
}

static void the_time_limit_of_what_the_caller_runs_is_kept(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = bounded_new(1, 1, EXECQ_FULL_CALLER_RUNS);
    execq_future *holder = occupy(executor, &g);
    execq_future *waiting = spawn(executor, do_nothing, NULL);
    counter asked = {0};
    execq_task_options options = task_options();
    execq_future *future = NULL;
    options.timeout_ns = 5 * MILLISECOND;
    assert_status(execq_submit_with(executor, &options, ask_whether_canceled, &asked, &future), EXECQ_OK);
    assert_true(counter_get(&asked) <= 1); /* none where its time was up before it began */
    assert_status(execq_future_result(future, NULL), EXECQ_ECANCELED);
    assert_int_equal(execq_future_cancel_reason(future), EXECQ_REASON_DEADLINE);
    execq_future_release(future);
    gate_open(&g, 1);
    finish(holder);
    finish(waiting);
    pool_end(executor);
    gate_destroy(&g);
}

struct exiting {
    execq_executor *executor;
    execq_future *futures[3];
};

static int32_t end_this_thread(void *env, void **result)
{
    (void)env;
    (void)result;
    pthread_exit(NULL);
}

static void *submit_and_end(void *env)
{
    struct exiting *self = env;
    (void)execq_submit_many(self->executor, NULL, 3, end_this_thread, NULL, self->futures);
    return env; /* the thread is gone before that */
}

static void where_one_of_a_batch_ends_the_callers_thread_the_rest_is_canceled(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = bounded_new(1, 1, EXECQ_FULL_CALLER_RUNS);
    execq_future *holder = occupy(executor, &g);
    execq_future *waiting = spawn(executor, do_nothing, NULL);
    struct exiting exiting = {executor, {NULL, NULL, NULL}};
    void *returned = UNTOUCHED;
    pthread_join(thread_start(submit_and_end, &exiting), &returned);
    assert_null(returned);
    assert_int_equal(execq_error_code(execq_future_error(exiting.futures[0])), EXECQ_EEXITED);
    assert_status(execq_future_result(exiting.futures[1], NULL), EXECQ_ECANCELED);
    assert_status(execq_future_result(exiting.futures[2], NULL), EXECQ_ECANCELED);
    for (int i = 0; i < 3; i++) {
        execq_future_release(exiting.futures[i]);
    }
    gate_open(&g, 1);
    finish(holder);
    finish(waiting);
    pool_end(executor);
    gate_destroy(&g);
}

/* ---- priorities ---- */

static char diary[32];
static size_t diary_length;

static int32_t write_diary(void *env, void **result)
{
    (void)result;
    diary[diary_length++] = *(const char *)env;
    return 0;
}

static void priorities_order_tasks_of_every_kind(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    diary_length = 0;
    execq_executor *executor = pool_new(1);
    execq_future *holder = occupy(executor, &g);
    execq_cq *cq = NULL;
    assert_status(execq_cq_new(&cq), EXECQ_OK);
    static const struct {
        int32_t priority;
        char name[2];
    } classes[] = {{EXECQ_PRIORITY_LOW, "L"}, {EXECQ_PRIORITY_NORMAL, "N"}, {EXECQ_PRIORITY_HIGH, "H"}};
    for (size_t i = 0; i < COUNT_OF(classes); i++) {
        execq_task_options options = task_options();
        void *env = (void *)(uintptr_t)classes[i].name;
        void *envs[] = {env, env};
        options.priority = classes[i].priority;
        assert_status(execq_submit_with(executor, &options, write_diary, env, NULL), EXECQ_OK);
        assert_status(execq_submit_many(executor, &options, 2, write_diary, envs, NULL), EXECQ_OK);
        assert_status(execq_submit_to_cq(executor, &options, write_diary, env, cq, NULL), EXECQ_OK);
        options.delay_ns = 1;
        assert_status(execq_submit_with(executor, &options, write_diary, env, NULL), EXECQ_OK);
        options.delay_ns = 0;
        options.start_within_ns = -1; /* never runs */
        assert_status(execq_submit_with(executor, &options, write_diary, env, NULL), EXECQ_OK);
    }
    execq_future *past = NULL; /* times are kept in order: when this is over, the delayed ones wait with the others */
    assert_status(execq_sleep(20 * MILLISECOND, &past), EXECQ_OK);
    finish(past);
    gate_open(&g, 1);
    finish(holder);
    pool_end(executor);
    diary[diary_length] = 0;
    assert_int_equal(diary_length, 15);
    for (size_t i = 1; i < diary_length; i++) {
        assert_true(strchr("HNL", diary[i - 1]) <= strchr("HNL", diary[i]));
    }
    assert_status(execq_cq_close(cq, NULL), EXECQ_OK);
    execq_cq_release(cq);
    gate_destroy(&g);
}

/* ---- hints ---- */

static int32_t block_with_a_hint(void *env, void **result)
{
    execq_blocking_begin();
    execq_blocking_begin();
    gate_fn(env, result);
    execq_blocking_end();
    execq_blocking_end();
    execq_blocking_end(); /* one too many */
    return 0;
}

static void a_body_that_says_it_blocks_is_replaced(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_blocking_begin(); /* not on a worker: nothing */
    execq_blocking_end();
    execq_blocking_end();
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    execq_executor *executor = NULL;
    options.max_threads = 1;
    options.max_spares = 2;
    assert_status(execq_executor_new(&options, &executor), EXECQ_OK);
    for (int i = 0; i < 20; i++) {
        execq_future *blocked[] = {spawn(executor, block_with_a_hint, &g), spawn(executor, block_with_a_hint, &g)};
        execq_stats stats = EXECQ_STATS_INIT;
        gate_await(&g, 2);
        finish(spawn(executor, do_nothing, NULL));
        assert_status(execq_executor_stats(executor, &stats), EXECQ_OK);
        assert_int_equal(stats.blocked, 2);
        assert_int_equal(stats.blocking_hints, 2 * (i + 1));
        assert_int_equal(stats.threads_max, 3);
        assert_int_equal(stats.threads, 3);
        assert_int_equal(stats.spares, 2);
        assert_int_equal(stats.most_spares, 2);
        assert_int_equal(stats.waits_in_place + stats.waits_compensated + stats.waits_refused, 0);
        gate_open(&g, 2);
        finish(blocked[0]);
        finish(blocked[1]);
    }
    pool_end(executor);
    gate_destroy(&g);
}

/* One more than may run is left when the block is over; what it has is run by the other, and after a while it leaves. */
static void who_stands_by_leaves_after_the_keepalive(void **state)
{
    (void)state;
    static gate blocks, runs;
    gate_init(&blocks);
    gate_init(&runs);
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    execq_stats stats = EXECQ_STATS_INIT;
    execq_executor *executor = NULL;
    options.max_threads = 1;
    options.max_spares = 1;
    options.keepalive_ns = MILLISECOND;
    assert_status(execq_executor_new(&options, &executor), EXECQ_OK);
    execq_future *blocked = spawn(executor, block_with_a_hint, &blocks);
    gate_await(&blocks, 1);
    execq_future *running = occupy(executor, &runs); /* on the spare */
    gate_open(&blocks, 1);
    finish(blocked);
    do {
        assert_status(execq_executor_stats(executor, &stats), EXECQ_OK);
    } while (stats.threads != 1 || stats.spares != 0);
    assert_int_equal(stats.most_spares, 1);
    assert_int_equal(execq_future_state(running), EXECQ_FUTURE_RUNNING);
    gate_open(&runs, 1);
    finish(running);
    finish(spawn(executor, do_nothing, NULL));
    pool_end(executor);
    gate_destroy(&blocks);
    gate_destroy(&runs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_options_are_refused),
        cmocka_unit_test(bad_priorities_and_flags_are_refused_with_their_env),
        cmocka_unit_test(a_loop_has_no_priorities),
        cmocka_unit_test(a_full_executor_refuses_all_kinds_of_submissions),
        cmocka_unit_test(a_canceled_task_gives_its_room_back_at_once),
        cmocka_unit_test(a_delayed_task_takes_room_from_its_acceptance_on),
        cmocka_unit_test(what_a_wait_runs_in_place_gives_its_room_back),
        cmocka_unit_test(asynchronous_tasks_take_room_until_they_start),
        cmocka_unit_test(what_a_queue_holds_back_takes_room),
        cmocka_unit_test(a_full_queue_refuses_who_will_not_wait),
        cmocka_unit_test(a_closed_executor_is_closed_rather_than_full),
        cmocka_unit_test(a_blocked_submitter_gets_the_room_that_comes),
        cmocka_unit_test(a_blocked_submitter_wakes_on_close),
        cmocka_unit_test(a_blocked_submission_lasts_no_longer_than_its_task_may),
        cmocka_unit_test(a_worker_blocks_only_where_another_one_can_make_room),
        cmocka_unit_test(the_caller_runs_what_does_not_fit),
        cmocka_unit_test(a_worker_runs_what_does_not_fit_nested),
        cmocka_unit_test(the_time_limit_of_what_the_caller_runs_is_kept),
        cmocka_unit_test(where_one_of_a_batch_ends_the_callers_thread_the_rest_is_canceled),
        cmocka_unit_test(priorities_order_tasks_of_every_kind),
        cmocka_unit_test(who_stands_by_leaves_after_the_keepalive),
        cmocka_unit_test(a_body_that_says_it_blocks_is_replaced),
    };
    return cmocka_run_group_tests_name("capi.limits", tests, NULL, NULL);
}
