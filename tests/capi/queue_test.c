/* Queues: order, limits, pausing, keys, closing. */
#include "capi.h"

#include <sched.h>

static execq_queue *queue_new(execq_executor *executor, const execq_queue_options *options)
{
    execq_queue *queue = NULL;
    assert_status(execq_queue_new(executor, options, &queue), EXECQ_OK);
    assert_non_null(queue);
    return queue;
}

static execq_status queue_submit(execq_queue *queue, uint64_t key, execq_fn fn, void *env, execq_future **out)
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.queue = queue;
    options.key = key;
    return execq_submit_with(NULL, &options, fn, env, out);
}

static execq_future *queue_spawn(execq_queue *queue, execq_fn fn, void *env)
{
    execq_future *future = NULL;
    assert_status(queue_submit(queue, 0, fn, env, &future), EXECQ_OK);
    return future;
}

static void queue_end(execq_queue *queue, int32_t how)
{
    execq_future *closed = NULL;
    assert_status(execq_queue_close(queue, how, &closed), EXECQ_OK);
    finish(closed);
    execq_queue_release(queue);
}

/* What started, in order. */
enum { LOG_SIZE = 4096 };
typedef struct log_of_starts {
    atomic_int n;
    int entries[LOG_SIZE];
} log_of_starts;

typedef struct job {
    log_of_starts *log;
    int number;
} job;

static int32_t log_start(void *env, void **result)
{
    (void)result;
    const job *self = env;
    const int at = atomic_fetch_add(&self->log->n, 1);
    must(at < LOG_SIZE);
    self->log->entries[at] = self->number;
    return 0;
}

static void start_nothing(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    (void)promise;
    (void)loop;
    (void)env;
    must(!"called");
}

static void bad_arguments_are_refused(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    execq_executor *other = pool_new(1);
    execq_queue *out = UNTOUCHED;
    execq_queue_options options = EXECQ_QUEUE_OPTIONS_INIT;
    assert_status(execq_queue_new(executor, &options, NULL), EXECQ_EINVAL);
    options.full_policy = EXECQ_FULL_CALLER_RUNS + 1;
    assert_status(execq_queue_new(executor, &options, &out), EXECQ_EINVAL);
    options.full_policy = 0;
    options.reserved = 1;
    assert_status(execq_queue_new(executor, &options, &out), EXECQ_EINVAL);
    options.reserved = 0;
    options.flags = 2;
    assert_status(execq_queue_new(executor, &options, &out), EXECQ_ENOTSUP);
    options.flags = 0;
    options.struct_size = 7;
    assert_status(execq_queue_new(executor, &options, &out), EXECQ_EINVAL);
    assert_ptr_equal(out, UNTOUCHED);

    assert_status(execq_queue_pause(NULL), EXECQ_EINVAL);
    assert_status(execq_queue_resume(NULL), EXECQ_EINVAL);
    assert_status(execq_queue_set_key(NULL, 1, 1, 1), EXECQ_EINVAL);
    assert_status(execq_queue_counts(NULL, NULL, NULL), EXECQ_EINVAL);
    assert_status(execq_queue_close(NULL, EXECQ_DRAIN, NULL), EXECQ_EINVAL);
    execq_queue_retain(NULL);
    execq_queue_release(NULL);

    execq_queue *queue = queue_new(executor, NULL);
    assert_status(execq_queue_close(queue, 0, NULL), EXECQ_EINVAL);
    assert_status(execq_queue_close(queue, 3, NULL), EXECQ_EINVAL);
    assert_status(execq_queue_set_key(queue, 1, 0, 0), EXECQ_EINVAL);
    assert_status(execq_queue_set_key(queue, 1, EXECQ_MAX_WEIGHT + 1, 0), EXECQ_EINVAL);
    execq_task_options task = EXECQ_TASK_OPTIONS_INIT;
    counter dropped = {0};
    execq_future *future = UNTOUCHED;
    task.drop = counter_hit;
    task.key = 1; /* without a queue */
    assert_status(execq_submit_with(executor, &task, do_nothing, &dropped, &future), EXECQ_EINVAL);
    task.queue = queue; /* of another executor */
    assert_status(execq_submit_with(other, &task, do_nothing, &dropped, &future), EXECQ_EINVAL);
    assert_status(execq_submit_async(other, &task, start_nothing, &dropped, &future), EXECQ_EINVAL);
    void *envs[] = {&dropped, &dropped};
    execq_future *futures[] = {UNTOUCHED, UNTOUCHED};
    assert_status(execq_submit_many(other, &task, 2, do_nothing, envs, futures), EXECQ_EINVAL);
    execq_cq *cq = NULL;
    assert_status(execq_cq_new(&cq), EXECQ_OK);
    assert_status(execq_submit_to_cq(other, &task, do_nothing, &dropped, cq, NULL), EXECQ_EINVAL);
    assert_status(execq_cq_close(cq, NULL), EXECQ_OK);
    execq_cq_release(cq);
    assert_ptr_equal(future, UNTOUCHED);
    assert_ptr_equal(futures[0], UNTOUCHED);
    assert_ptr_equal(futures[1], UNTOUCHED);
    assert_int_equal(counter_get(&dropped), 6);
    queue_end(queue, EXECQ_DRAIN);
    pool_end(other);
    pool_end(executor);
}

static atomic_int present;
static atomic_int meetings; /* of tasks that ran at once */

static int32_t log_alone(void *env, void **result)
{
    if (atomic_fetch_add(&present, 1) != 0) {
        atomic_fetch_add(&meetings, 1);
    }
    const int32_t code = log_start(env, result);
    sched_yield();
    atomic_fetch_sub(&present, 1);
    return code;
}

static void tasks_start_in_order_one_at_a_time(void **state)
{
    (void)state;
    enum { N = 2000 };
    execq_executor *executor = pool_new(4);
    execq_queue *queue = queue_new(executor, NULL);
    static log_of_starts log;
    static job jobs[N];
    atomic_store(&log.n, 0);
    for (int i = 0; i < N; i++) {
        jobs[i] = (job){&log, i};
        assert_status(queue_submit(queue, 0, log_alone, &jobs[i], NULL), EXECQ_OK);
    }
    queue_end(queue, EXECQ_DRAIN);
    assert_int_equal(atomic_load(&meetings), 0);
    assert_int_equal(atomic_load(&log.n), N);
    for (int i = 0; i < N; i++) {
        assert_int_equal(log.entries[i], i);
    }
    pool_end(executor);
}

static void a_batch_keeps_its_order(void **state)
{
    (void)state;
    enum { N = 500 };
    execq_executor *executor = pool_new(2);
    execq_queue *queue = queue_new(executor, NULL);
    static log_of_starts log;
    static job jobs[N];
    static void *envs[N];
    static execq_future *futures[N];
    atomic_store(&log.n, 0);
    for (int i = 0; i < N; i++) {
        jobs[i] = (job){&log, i};
        envs[i] = &jobs[i];
    }
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.queue = queue;
    assert_status(execq_submit_many(NULL, &options, N, log_start, envs, futures), EXECQ_OK);
    assert_status(execq_future_wait_all(futures, N, -1), EXECQ_OK);
    for (int i = 0; i < N; i++) {
        assert_int_equal(log.entries[i], i);
        execq_future_release(futures[i]);
    }
    queue_end(queue, EXECQ_DRAIN);
    pool_end(executor);
}

static void no_more_run_than_may(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(4);
    execq_queue_options options = EXECQ_QUEUE_OPTIONS_INIT;
    options.max_in_flight = 2;
    execq_queue *queue = queue_new(executor, &options);
    static gate g;
    gate_init(&g);
    execq_future *futures[6];
    for (size_t i = 0; i < COUNT_OF(futures); i++) {
        futures[i] = queue_spawn(queue, gate_fn, &g);
    }
    gate_await(&g, 2);
    /* A task beside the queue gets through: threads are there, the queue alone holds the others. */
    finish(spawn(executor, do_nothing, NULL));
    uint64_t waiting = 0;
    uint64_t running = 0;
    assert_status(execq_queue_counts(queue, &waiting, &running), EXECQ_OK);
    assert_int_equal(running, 2);
    assert_int_equal(waiting, 4);
    for (size_t i = 2; i < COUNT_OF(futures); i++) {
        assert_int_equal(execq_future_state(futures[i]), EXECQ_FUTURE_PENDING);
    }
    gate_open(&g, 1);
    gate_await(&g, 1); /* the third */
    assert_status(execq_queue_counts(queue, &waiting, &running), EXECQ_OK);
    assert_int_equal(running, 2);
    gate_open(&g, 5);
    for (size_t i = 0; i < COUNT_OF(futures); i++) {
        finish(futures[i]);
    }
    queue_end(queue, EXECQ_DRAIN);
    pool_end(executor);
    gate_destroy(&g);
}

static void a_full_queue_rejects(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    execq_queue_options options = EXECQ_QUEUE_OPTIONS_INIT;
    options.capacity = 2;
    options.flags = EXECQ_QUEUE_PAUSED;
    execq_queue *queue = queue_new(executor, &options);
    counter ran = {0};
    execq_future *canceled = queue_spawn(queue, counter_fn, &ran);
    execq_future *kept = queue_spawn(queue, counter_fn, &ran);
    execq_future *out = UNTOUCHED;
    assert_status(queue_submit(queue, 0, counter_fn, &ran, &out), EXECQ_EFULL);
    assert_ptr_equal(out, UNTOUCHED);
    /* A batch that can never fit; then one that does not fit now. */
    execq_task_options task = EXECQ_TASK_OPTIONS_INIT;
    task.queue = queue;
    assert_status(execq_submit_many(NULL, &task, 3, counter_fn, NULL, NULL), EXECQ_EFULL);
    /* What is canceled gives its room back at once. */
    assert_status(execq_future_cancel(canceled), EXECQ_OK);
    assert_status(execq_submit_many(NULL, &task, 2, do_nothing, NULL, NULL), EXECQ_EFULL);
    assert_status(queue_submit(queue, 0, counter_fn, &ran, NULL), EXECQ_OK);
    assert_status(queue_submit(queue, 0, counter_fn, &ran, NULL), EXECQ_EFULL);
    assert_status(execq_queue_resume(queue), EXECQ_OK);
    finish(kept);
    execq_future_release(canceled);
    queue_end(queue, EXECQ_DRAIN);
    assert_int_equal(counter_get(&ran), 2);
    pool_end(executor);
}

typedef struct submitter {
    execq_queue *queue;
    counter *ran;
    execq_status status;
    gate *before;
} submitter;

static void *submit_one(void *env)
{
    submitter *self = env;
    gate_pass(self->before);
    self->status = queue_submit(self->queue, 0, counter_fn, self->ran, NULL);
    return NULL;
}

static void a_blocked_submitter_goes_on_when_room_comes(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    execq_queue_options options = EXECQ_QUEUE_OPTIONS_INIT;
    options.capacity = 1;
    options.flags = EXECQ_QUEUE_PAUSED;
    options.full_policy = EXECQ_FULL_BLOCK;
    execq_queue *queue = queue_new(executor, &options);
    counter ran = {0};
    static gate before;
    gate_init(&before);
    assert_status(queue_submit(queue, 0, counter_fn, &ran, NULL), EXECQ_OK);
    submitter late = {queue, &ran, 1, &before};
    const pthread_t thread = thread_start(submit_one, &late);
    gate_await(&before, 1);
    gate_open(&before, 1);
    assert_status(execq_queue_resume(queue), EXECQ_OK);
    pthread_join(thread, NULL);
    assert_status(late.status, EXECQ_OK);
    queue_end(queue, EXECQ_DRAIN);
    assert_int_equal(counter_get(&ran), 2);
    pool_end(executor);
    gate_destroy(&before);
}

static void a_blocked_submitter_wakes_on_close(void **state)
{
    (void)state;
    /* Each way in which the room will never come: the queue closes, or the executor. */
    for (int how = 0; how < 4; how++) {
        execq_executor *executor = pool_new(1);
        execq_queue_options options = EXECQ_QUEUE_OPTIONS_INIT;
        options.capacity = 1;
        options.full_policy = EXECQ_FULL_BLOCK;
        execq_queue *queue = queue_new(executor, &options);
        static gate busy;
        static gate before;
        gate_init(&busy);
        gate_init(&before);
        counter ran = {0};
        execq_future *running = queue_spawn(queue, gate_fn, &busy);
        gate_await(&busy, 1);
        assert_status(queue_submit(queue, 0, do_nothing, NULL, NULL), EXECQ_OK);
        submitter late = {queue, &ran, 1, &before};
        const pthread_t thread = thread_start(submit_one, &late);
        gate_await(&before, 1);
        gate_open(&before, 1);
        if (how < 2) {
            assert_status(execq_queue_close(queue, how == 0 ? EXECQ_DRAIN : EXECQ_CANCEL, NULL), EXECQ_OK);
        } else {
            assert_status(execq_executor_close(executor, how == 2 ? EXECQ_DRAIN : EXECQ_CANCEL), EXECQ_OK);
        }
        pthread_join(thread, NULL); /* while the queue is as full as before */
        assert_status(late.status, EXECQ_ECLOSED);
        assert_int_equal(counter_get(&ran), 0);
        gate_open(&busy, 1);
        finish(running);
        queue_end(queue, EXECQ_DRAIN);
        pool_end(executor);
        gate_destroy(&busy);
        gate_destroy(&before);
    }
}

static int32_t submit_to_own_queue(void *env, void **result)
{
    submitter *self = env;
    (void)result;
    self->status = queue_submit(self->queue, 0, counter_fn, self->ran, NULL);
    return 0;
}

static void an_own_worker_never_blocks_on_a_full_queue(void **state)
{
    (void)state;
    static const uint32_t policies[] = {EXECQ_FULL_BLOCK, EXECQ_FULL_CALLER_RUNS};
    for (size_t i = 0; i < COUNT_OF(policies); i++) {
        execq_executor *executor = pool_new(1);
        execq_queue_options options = EXECQ_QUEUE_OPTIONS_INIT;
        options.capacity = 1;
        options.full_policy = policies[i];
        options.flags = EXECQ_QUEUE_PAUSED;
        execq_queue *queue = queue_new(executor, &options);
        counter ran = {0};
        submitter inside = {queue, &ran, 1, NULL};
        assert_status(queue_submit(queue, 0, counter_fn, &ran, NULL), EXECQ_OK);
        finish(spawn(executor, submit_to_own_queue, &inside));
        assert_status(inside.status, EXECQ_EDEADLK); /* paused: nothing may start */
        queue_end(queue, EXECQ_DRAIN);
        assert_int_equal(counter_get(&ran), 1);
        pool_end(executor);
    }
}

static void a_caller_runs_what_is_next(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    execq_queue_options options = EXECQ_QUEUE_OPTIONS_INIT;
    options.capacity = 3;
    options.full_policy = EXECQ_FULL_CALLER_RUNS;
    execq_queue *queue = queue_new(executor, &options);
    static gate busy;
    gate_init(&busy);
    execq_future *blocker = occupy(executor, &busy); /* no worker will help */
    static log_of_starts log;
    static job jobs[100];
    atomic_store(&log.n, 0);
    for (int i = 0; i < 100; i++) {
        jobs[i] = (job){&log, i};
        assert_status(queue_submit(queue, 0, log_start, &jobs[i], NULL), EXECQ_OK);
        assert_int_equal(atomic_load(&log.n), i < 3 ? 0 : i - 2);
    }
    gate_open(&busy, 1);
    finish(blocker);
    queue_end(queue, EXECQ_DRAIN);
    assert_int_equal(atomic_load(&log.n), 100);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(log.entries[i], i);
    }
    pool_end(executor);
    gate_destroy(&busy);
}

static void a_paused_queue_starts_nothing(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(2);
    execq_queue *queue = queue_new(executor, NULL);
    static gate g;
    gate_init(&g);
    counter ran = {0};
    execq_future *running = queue_spawn(queue, gate_fn, &g);
    gate_await(&g, 1);
    execq_future *held = queue_spawn(queue, counter_fn, &ran);
    assert_status(execq_queue_pause(queue), EXECQ_OK);
    assert_status(execq_queue_pause(queue), EXECQ_OK);
    gate_open(&g, 1);
    finish(running);
    finish(spawn(executor, do_nothing, NULL));
    assert_int_equal(execq_future_state(held), EXECQ_FUTURE_PENDING);
    assert_status(execq_future_wait(held, 0), EXECQ_ETIMEDOUT);
    assert_status(execq_queue_resume(queue), EXECQ_OK);
    assert_status(execq_queue_resume(queue), EXECQ_OK);
    finish(held);
    assert_int_equal(counter_get(&ran), 1);
    /* A drain of the executor ends every pause. */
    assert_status(execq_queue_pause(queue), EXECQ_OK);
    assert_status(queue_submit(queue, 0, counter_fn, &ran, NULL), EXECQ_OK);
    pool_end(executor);
    assert_int_equal(counter_get(&ran), 2);
    assert_status(execq_queue_pause(queue), EXECQ_ECLOSED);
    queue_end(queue, EXECQ_DRAIN);
    gate_destroy(&g);
}

static void closing_says_when_the_last_one_ended(void **state)
{
    (void)state;
    static const int32_t modes[] = {EXECQ_DRAIN, EXECQ_CANCEL};
    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        execq_executor *executor = pool_new(2);
        execq_queue *queue = queue_new(executor, NULL);
        static gate g;
        gate_init(&g);
        counter ran = {0};
        counter dropped = {0};
        execq_future *running = queue_spawn(queue, gate_fn, &g);
        gate_await(&g, 1);
        execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
        options.queue = queue;
        options.drop = counter_hit;
        execq_future *second = NULL;
        assert_status(execq_submit_with(NULL, &options, do_nothing, &dropped, &second), EXECQ_OK);
        options.delay_ns = INT64_MAX;
        execq_future *delayed = NULL;
        assert_status(execq_submit_with(NULL, &options, do_nothing, &dropped, &delayed), EXECQ_OK);
        execq_future *closed = NULL;
        assert_status(execq_queue_close(queue, modes[i], &closed), EXECQ_OK);
        assert_int_equal(execq_future_state(closed), EXECQ_FUTURE_RUNNING);
        assert_int_equal(execq_future_state(delayed), EXECQ_FUTURE_CANCELED);
        assert_int_equal(execq_future_cancel_reason(delayed), EXECQ_REASON_SHUTDOWN);
        execq_future *out = UNTOUCHED;
        assert_status(queue_submit(queue, 0, counter_fn, &ran, &out), EXECQ_ECLOSED);
        assert_ptr_equal(out, UNTOUCHED);
        assert_status(execq_queue_resume(queue), EXECQ_ECLOSED);
        execq_future *again = NULL;
        assert_status(execq_queue_close(queue, EXECQ_DRAIN, &again), EXECQ_OK);
        assert_ptr_equal(again, closed);
        execq_future_release(again);
        gate_open(&g, 1);
        finish(closed);
        assert_int_equal(execq_future_state(second), modes[i] == EXECQ_DRAIN ? EXECQ_FUTURE_OK : EXECQ_FUTURE_CANCELED);
        assert_int_equal(execq_future_cancel_reason(running),
                         modes[i] == EXECQ_DRAIN ? EXECQ_REASON_NONE : EXECQ_REASON_SHUTDOWN);
        assert_int_equal(counter_get(&dropped), 2);
        assert_int_equal(counter_get(&ran), 0);
        finish(running);
        finish(second);
        finish(delayed);
        execq_queue_release(queue);
        /* The executor is open still. */
        finish(spawn(executor, do_nothing, NULL));
        pool_end(executor);
        gate_destroy(&g);
    }
}

typedef struct inside_job {
    execq_queue *queue;
    execq_status waited;
    execq_status submitted;
} inside_job;

static int32_t close_inside(void *env, void **result)
{
    (void)result;
    inside_job *self = env;
    execq_future *closed = NULL;
    must(execq_queue_close(self->queue, EXECQ_DRAIN, &closed) == EXECQ_OK);
    self->waited = execq_future_wait(closed, -1);
    self->submitted = queue_submit(self->queue, 0, close_inside, NULL, NULL);
    execq_future_release(closed);
    return 0;
}

static void a_queue_may_be_closed_inside_its_own_task(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    execq_queue *queue = queue_new(executor, NULL);
    inside_job inside = {queue, 1, 1};
    finish(queue_spawn(queue, close_inside, &inside));
    assert_status(inside.waited, EXECQ_EDEADLK);
    assert_status(inside.submitted, EXECQ_ECLOSED);
    queue_end(queue, EXECQ_CANCEL);
    pool_end(executor);
}

static int32_t cancel_inside(void *env, void **result)
{
    (void)result;
    inside_job *self = env;
    execq_future *closed = NULL;
    must(execq_queue_pause(self->queue) == EXECQ_OK);
    must(!execq_cancel_requested());
    must(execq_queue_close(self->queue, EXECQ_CANCEL, &closed) == EXECQ_OK);
    must(execq_cancel_requested());
    must(execq_queue_pause(self->queue) == EXECQ_ECLOSED);
    must(execq_queue_resume(self->queue) == EXECQ_ECLOSED);
    self->waited = execq_future_wait(closed, -1);
    self->submitted = queue_submit(self->queue, 0, cancel_inside, NULL, NULL);
    execq_future_release(closed);
    return 0;
}

/* Paused, too: what waits does not wait for a resume that cannot come. */
static void a_queue_may_be_paused_and_canceled_inside_its_own_task(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    execq_queue_options paused = EXECQ_QUEUE_OPTIONS_INIT;
    paused.flags = EXECQ_QUEUE_PAUSED;
    execq_queue *queue = queue_new(executor, &paused);
    inside_job inside = {queue, 1, 1};
    execq_future *first = queue_spawn(queue, cancel_inside, &inside);
    counter dropped = {0};
    execq_future *waiting[3];
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.queue = queue;
    options.drop = counter_hit;
    for (size_t i = 0; i < COUNT_OF(waiting); i++) {
        assert_status(execq_submit_with(NULL, &options, counter_fn, &dropped, &waiting[i]), EXECQ_OK);
    }
    assert_status(execq_queue_resume(queue), EXECQ_OK);
    finish(first);
    assert_status(inside.waited, EXECQ_EDEADLK);
    assert_status(inside.submitted, EXECQ_ECLOSED);
    for (size_t i = 0; i < COUNT_OF(waiting); i++) {
        assert_status(execq_future_wait(waiting[i], -1), EXECQ_OK);
        assert_status(execq_future_result(waiting[i], NULL), EXECQ_ECANCELED);
        assert_int_equal(execq_future_cancel_reason(waiting[i]), EXECQ_REASON_SHUTDOWN);
        execq_future_release(waiting[i]);
    }
    queue_end(queue, EXECQ_CANCEL);
    assert_int_equal(counter_get(&dropped), COUNT_OF(waiting)); /* dropped, not run */
    pool_end(executor);
}

static void the_last_release_drains(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    execq_queue_options options = EXECQ_QUEUE_OPTIONS_INIT;
    options.flags = EXECQ_QUEUE_PAUSED;
    execq_queue *queue = queue_new(executor, &options);
    counter ran = {0};
    execq_future *last = queue_spawn(queue, counter_fn, &ran);
    execq_queue_retain(queue);
    execq_queue_release(queue);
    assert_int_equal(execq_future_state(last), EXECQ_FUTURE_PENDING);
    execq_queue_release(queue);
    finish(last);
    assert_int_equal(counter_get(&ran), 1);
    pool_end(executor);
}

/* ---- waits ---- */

typedef struct chain {
    execq_queue *queue;
    execq_executor *executor;
    log_of_starts *log;
    execq_status overtaking;
    execq_status last;
    execq_status first;
} chain;

static int32_t wait_for_the_last(void *env, void **result)
{
    (void)result;
    chain *self = env;
    job jobs[2] = {{self->log, 1}, {self->log, 2}};
    execq_future *first = queue_spawn(self->queue, log_start, &jobs[0]);
    execq_future *last = queue_spawn(self->queue, log_start, &jobs[1]);
    self->overtaking = execq_future_wait(last, -1); /* not next: may not be run in place */
    self->first = execq_future_wait(first, -1);
    self->last = execq_future_wait(last, -1);
    execq_future_release(first);
    execq_future_release(last);
    return 0;
}

static void a_wait_never_overtakes(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    execq_queue *queue = queue_new(executor, NULL);
    static log_of_starts log;
    atomic_store(&log.n, 0);
    chain self = {queue, executor, &log, 1, 1, 1};
    finish(spawn(executor, wait_for_the_last, &self));
    /* With one thread the last one could only run by overtaking: refused; the first one is next, and runs in place. */
    assert_status(self.overtaking, EXECQ_EDEADLK);
    assert_status(self.first, EXECQ_OK);
    assert_status(self.last, EXECQ_OK);
    assert_int_equal(atomic_load(&log.n), 2);
    assert_int_equal(log.entries[0], 1);
    assert_int_equal(log.entries[1], 2);
    queue_end(queue, EXECQ_DRAIN);
    pool_end(executor);
}

/* ---- keys ---- */

static void keys_share_by_weight(void **state)
{
    (void)state;
    enum { N = 400 };
    execq_executor *executor = pool_new(1);
    execq_queue_options options = EXECQ_QUEUE_OPTIONS_INIT;
    options.flags = EXECQ_QUEUE_PAUSED;
    execq_queue *queue = queue_new(executor, &options);
    assert_status(execq_queue_set_key(queue, 7, 3, 0), EXECQ_OK);
    static log_of_starts log;
    static job jobs[2][N];
    atomic_store(&log.n, 0);
    /* All of one key come before any of the other. */
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < N; i++) {
            jobs[k][i] = (job){&log, k * N + i};
            assert_status(queue_submit(queue, k == 0 ? 7 : 8, log_start, &jobs[k][i], NULL), EXECQ_OK);
        }
    }
    assert_status(execq_queue_resume(queue), EXECQ_OK);
    queue_end(queue, EXECQ_DRAIN);
    assert_int_equal(atomic_load(&log.n), 2 * N);
    int seen[2] = {0, 0};
    for (int i = 0; i < 2 * N; i++) {
        const int k = log.entries[i] / N;
        assert_int_equal(log.entries[i] % N, seen[k]); /* in order within the key */
        seen[k]++;
        if (i < N) { /* both have tasks waiting: three to one, off by one turn at most */
            assert_true(seen[0] - 3 * seen[1] <= 3 && 3 * seen[1] - seen[0] <= 3);
        }
    }
    pool_end(executor);
}

static void a_key_has_its_own_limit(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(4);
    execq_queue_options options = EXECQ_QUEUE_OPTIONS_INIT;
    options.max_in_flight = 4;
    options.key_max_in_flight = 1;
    execq_queue *queue = queue_new(executor, &options);
    static gate g;
    gate_init(&g);
    execq_future *futures[5];
    static const uint64_t keys[] = {1, 1, 1, 2, 0};
    for (size_t i = 0; i < COUNT_OF(futures); i++) {
        assert_status(queue_submit(queue, keys[i], gate_fn, &g, &futures[i]), EXECQ_OK);
    }
    gate_await(&g, 3); /* one of each key: that of key 2 did not wait for those of key 1 */
    assert_int_equal(execq_future_state(futures[1]), EXECQ_FUTURE_PENDING);
    assert_int_equal(execq_future_state(futures[2]), EXECQ_FUTURE_PENDING);
    /* A key of its own limit. */
    assert_status(execq_queue_set_key(queue, 1, 1, 2), EXECQ_OK);
    gate_await(&g, 1);
    assert_int_equal(execq_future_state(futures[2]), EXECQ_FUTURE_PENDING);
    gate_open(&g, 5);
    for (size_t i = 0; i < COUNT_OF(futures); i++) {
        finish(futures[i]);
    }
    queue_end(queue, EXECQ_DRAIN);
    pool_end(executor);
    gate_destroy(&g);
}

static void a_key_without_a_limit_has_that_of_the_queue(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(4);
    execq_queue_options options = EXECQ_QUEUE_OPTIONS_INIT;
    options.max_in_flight = 3;
    execq_queue *queue = queue_new(executor, &options);
    static gate g;
    gate_init(&g);
    execq_future *futures[4];
    assert_status(execq_queue_set_key(queue, 7, 1, 1), EXECQ_OK);
    for (size_t i = 0; i < COUNT_OF(futures); i++) {
        assert_status(queue_submit(queue, 7, gate_fn, &g, &futures[i]), EXECQ_OK);
    }
    gate_await(&g, 1);
    uint64_t running = 0;
    assert_status(execq_queue_counts(queue, NULL, &running), EXECQ_OK);
    assert_int_equal(running, 1);
    assert_status(execq_queue_set_key(queue, 7, 2, 0), EXECQ_OK);
    gate_await(&g, 2);
    assert_status(execq_queue_counts(queue, NULL, &running), EXECQ_OK);
    assert_int_equal(running, 3);
    gate_open(&g, 4);
    for (size_t i = 0; i < COUNT_OF(futures); i++) {
        finish(futures[i]);
    }
    queue_end(queue, EXECQ_DRAIN);
    pool_end(executor);
    gate_destroy(&g);
}

/* ---- asynchronous tasks ---- */

typedef struct kept {
    execq_promise *promise;
    sem_t started;
} kept;

static void keep_promise(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    (void)loop;
    kept *self = env;
    self->promise = promise;
    sem_post(&self->started);
}

static void an_asynchronous_task_is_in_flight_until_its_promise_is_completed(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(2);
    execq_queue *queue = queue_new(executor, NULL);
    kept first = {0};
    sem_init(&first.started, 0, 0);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.queue = queue;
    execq_future *async = NULL;
    counter ran = {0};
    assert_status(execq_submit_async(NULL, &options, keep_promise, &first, &async), EXECQ_OK);
    execq_future *next = queue_spawn(queue, counter_fn, &ran);
    sem_take(&first.started);
    finish(spawn(executor, do_nothing, NULL));
    assert_int_equal(execq_future_state(next), EXECQ_FUTURE_PENDING);
    assert_status(execq_promise_resolve(first.promise, NULL), EXECQ_OK);
    execq_promise_release(first.promise);
    finish(next);
    finish(async);
    assert_int_equal(counter_get(&ran), 1);
    /* Closing with CANCEL reaches it. */
    assert_status(execq_submit_async(NULL, &options, keep_promise, &first, &async), EXECQ_OK);
    sem_take(&first.started);
    execq_future *closed = NULL;
    assert_status(execq_queue_close(queue, EXECQ_CANCEL, &closed), EXECQ_OK);
    assert_int_equal(execq_promise_cancel_requested(first.promise), 1);
    execq_promise_release(first.promise);
    finish(closed);
    assert_int_equal(execq_future_state(async), EXECQ_FUTURE_CANCELED);
    finish(async);
    execq_queue_release(queue);
    pool_end(executor);
    sem_destroy(&first.started);
}

/* ---- the executor ---- */

static void a_drain_of_the_executor_runs_what_the_queue_accepted(void **state)
{
    (void)state;
    enum { N = 100 };
    static const int32_t modes[] = {EXECQ_DRAIN, EXECQ_CANCEL};
    for (size_t m = 0; m < COUNT_OF(modes); m++) {
        execq_executor *executor = pool_new(2);
        execq_queue *queue = queue_new(executor, NULL);
        static gate g;
        gate_init(&g);
        counter ran = {0};
        execq_future *running = queue_spawn(queue, gate_fn, &g);
        gate_await(&g, 1);
        execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
        options.queue = queue;
        options.drop = counter_hit;
        for (int i = 0; i < N; i++) {
            assert_status(execq_submit_with(NULL, &options, counter_fn, &ran, NULL), EXECQ_OK);
        }
        execq_shutdown_report report = EXECQ_SHUTDOWN_REPORT_INIT;
        assert_status(execq_executor_close(executor, modes[m]), EXECQ_OK);
        assert_status(execq_executor_join(executor, 0, &report), EXECQ_ETIMEDOUT);
        assert_true(modes[m] == EXECQ_CANCEL || report.queued == N);
        assert_status(queue_submit(queue, 0, counter_fn, &ran, NULL), EXECQ_ECLOSED);
        gate_open(&g, 1);
        assert_status(execq_executor_join(executor, -1, &report), EXECQ_OK);
        assert_int_equal(report.queued, 0);
        /* Bodies and drops count on the same counter. */
        assert_int_equal(counter_get(&ran), modes[m] == EXECQ_DRAIN ? 2 * N : N);
        finish(running);
        queue_end(queue, EXECQ_DRAIN);
        execq_executor_release(executor);
        gate_destroy(&g);
    }
}

static void the_default_executor_is_resolved_once(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    execq_conf conf = EXECQ_CONF_INIT;
    conf.executor = executor;
    assert_status(execq_init_conf(&conf), EXECQ_OK);
    execq_queue *queue = queue_new(NULL, NULL);
    conf = (execq_conf)EXECQ_CONF_INIT;
    conf.flags = EXECQ_CONF_CLEAR_EXECUTOR;
    assert_status(execq_init_conf(&conf), EXECQ_OK);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.queue = queue;
    execq_future *future = NULL;
    assert_status(execq_submit_with(executor, &options, do_nothing, NULL, &future), EXECQ_OK);
    finish(future);
    queue_end(queue, EXECQ_DRAIN);
    pool_end(executor);
    /* On a closed executor a queue accepts nothing. */
    executor = pool_new(1);
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    queue = queue_new(executor, NULL);
    assert_status(queue_submit(queue, 0, do_nothing, NULL, NULL), EXECQ_ECLOSED);
    queue_end(queue, EXECQ_DRAIN);
    pool_end(executor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_arguments_are_refused),
        cmocka_unit_test(tasks_start_in_order_one_at_a_time),
        cmocka_unit_test(a_batch_keeps_its_order),
        cmocka_unit_test(no_more_run_than_may),
        cmocka_unit_test(a_full_queue_rejects),
        cmocka_unit_test(a_blocked_submitter_goes_on_when_room_comes),
        cmocka_unit_test(a_blocked_submitter_wakes_on_close),
        cmocka_unit_test(an_own_worker_never_blocks_on_a_full_queue),
        cmocka_unit_test(a_caller_runs_what_is_next),
        cmocka_unit_test(a_paused_queue_starts_nothing),
        cmocka_unit_test(closing_says_when_the_last_one_ended),
        cmocka_unit_test(a_queue_may_be_closed_inside_its_own_task),
        cmocka_unit_test(a_queue_may_be_paused_and_canceled_inside_its_own_task),
        cmocka_unit_test(the_last_release_drains),
        cmocka_unit_test(a_wait_never_overtakes),
        cmocka_unit_test(keys_share_by_weight),
        cmocka_unit_test(a_key_has_its_own_limit),
        cmocka_unit_test(a_key_without_a_limit_has_that_of_the_queue),
        cmocka_unit_test(an_asynchronous_task_is_in_flight_until_its_promise_is_completed),
        cmocka_unit_test(a_drain_of_the_executor_runs_what_the_queue_accepted),
        cmocka_unit_test(the_default_executor_is_resolved_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
