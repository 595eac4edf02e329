/* Closing a completion queue, waiting on it, and giving it up. */
#include "capi.h"

#include <fcntl.h>
#include <poll.h>

static execq_cq *cq_new(void)
{
    execq_cq *cq = NULL;
    assert_status(execq_cq_new(&cq), EXECQ_OK);
    return cq;
}

static void complete(execq_cq *cq, void *tag)
{
    execq_future *future = done_future(tag);
    assert_status(execq_future_on_cq(future, cq, tag), EXECQ_OK);
    execq_future_release(future);
}

static int withdrawn;
static int order[2000];

/* A drop_tag: tags point into `order`, where the turn of each is noted. */
static void note_tag(void *tag)
{
    must(*(int *)tag == 0);
    *(int *)tag = ++withdrawn;
}

static void no_tag_expected(void *tag)
{
    (void)tag;
    must(!"no tag was left to drop");
}

static void a_close_withdraws_ready_ones_and_then_pending_ones(void **state)
{
    (void)state;
    enum { N = 1000 };
    static execq_promise *promises[N];
    static execq_future *futures[N];
    execq_cq *cq = cq_new();
    for (int i = 0; i < N; i++) {
        promises[i] = promise_new(&futures[i]);
        assert_status(execq_future_on_cq(futures[i], cq, &order[i]), EXECQ_OK);
    }
    for (int i = N - 2; i >= 0; i -= 2) { /* the even ones, backwards */
        assert_status(execq_promise_resolve(promises[i], NULL), EXECQ_OK);
    }
    assert_int_equal(withdrawn, 0);
    assert_status(execq_cq_close(cq, note_tag), EXECQ_OK);
    assert_int_equal(withdrawn, N);
    for (int i = 0; i < N; i += 2) {
        assert_int_equal(order[i], (N - i) / 2);
        assert_int_equal(order[i + 1], N / 2 + i / 2 + 1);
    }
    for (int i = 0; i < N; i++) {
        execq_promise_resolve(promises[i], NULL); /* late ones find nobody */
        execq_promise_release(promises[i]);
        execq_future_release(futures[i]);
    }
    assert_int_equal(withdrawn, N);
    execq_cq_release(cq);
}

static void a_closed_queue_says_so(void **state)
{
    (void)state;
    counter dropped = {0};
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = counter_hit;
    execq_executor *executor = pool_new(1);
    execq_cq *cq = cq_new();
    execq_completion out;
    size_t n = 99;
    int fd = -1;
    complete(cq, NULL);
    assert_status(execq_cq_close(cq, NULL), EXECQ_OK);
    assert_status(execq_cq_close(cq, no_tag_expected), EXECQ_EALREADY);
    assert_status(execq_cq_drain(cq, &out, 1, &n), EXECQ_ECLOSED);
    assert_int_equal(n, 99);
    assert_status(execq_cq_wait(cq, 0), EXECQ_ECLOSED);
    assert_status(execq_cq_wait(cq, -1), EXECQ_ECLOSED);
    execq_future *future = done_future(NULL);
    assert_status(execq_future_on_cq(future, cq, NULL), EXECQ_ECLOSED);
    assert_status(execq_submit_to_cq(executor, &options, counter_fn, &dropped, cq, NULL), EXECQ_ECLOSED);
    assert_int_equal(counter_get(&dropped), 1);
    assert_status(execq_cq_fd(cq, &fd), EXECQ_OK);
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&poller, 1, 0), 1);
    assert_true((poller.revents & POLLIN) != 0);
    execq_future_release(future);
    pool_end(executor);
    assert_int_equal(counter_get(&dropped), 1);
    execq_cq_release(cq);
}

static void the_descriptor_lives_until_the_last_reference_goes(void **state)
{
    (void)state;
    execq_cq *cq = cq_new();
    int fd = -1;
    assert_status(execq_cq_fd(cq, &fd), EXECQ_OK);
    execq_cq_retain(cq);
    execq_cq_release(cq);
    assert_int_not_equal(fcntl(fd, F_GETFD), -1);
    assert_status(execq_cq_close(cq, NULL), EXECQ_OK);
    assert_int_not_equal(fcntl(fd, F_GETFD), -1);
    execq_cq_release(cq);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void the_descriptor_is_not_inherited_by_programs(void **state)
{
    (void)state;
    execq_cq *cq = cq_new();
    int fd = -1;
    assert_status(execq_cq_fd(cq, &fd), EXECQ_OK);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    execq_cq_release(cq);
}

static void the_last_release_closes_and_the_work_goes_on(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    counter ran = {0};
    execq_executor *executor = pool_new(1);
    execq_future *holder = occupy(executor, &g);
    execq_cq *cq = cq_new();
    complete(cq, NULL);
    for (int i = 0; i < 10; i++) {
        assert_status(execq_submit_to_cq(executor, NULL, counter_fn, &ran, cq, NULL), EXECQ_OK);
    }
    execq_cq_release(cq);
    gate_open(&g, 1);
    finish(holder);
    pool_end(executor);
    assert_int_equal(counter_get(&ran), 10);
    gate_destroy(&g);
}

static void a_wait_with_a_limit_never_ends_early(void **state)
{
    (void)state;
    static const int64_t limits[] = {0, 1, MILLISECOND, 20 * MILLISECOND};
    execq_cq *cq = cq_new();
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        const int64_t start = clock_now();
        assert_status(execq_cq_wait(cq, limits[i]), EXECQ_ETIMEDOUT);
        assert_true(clock_now() - start >= limits[i]);
    }
    execq_cq_release(cq);
}

static void a_wait_finds_what_is_there(void **state)
{
    (void)state;
    static const int64_t limits[] = {0, 1, -1, INT64_MIN, INT64_MAX};
    execq_cq *cq = cq_new();
    complete(cq, NULL);
    complete(cq, NULL);
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        assert_status(execq_cq_wait(cq, limits[i]), EXECQ_OK);
    }
    execq_completion out;
    size_t n = 0;
    assert_status(execq_cq_drain(cq, &out, 1, &n), EXECQ_OK);
    execq_future_release(out.future);
    assert_status(execq_cq_wait(cq, 0), EXECQ_OK); /* one is left */
    execq_cq_release(cq);
}

/* Threads that wait for ever. */
struct waiter {
    execq_cq *cq;
    sem_t started;
    execq_status status;
    int64_t timeout;
};

static void *wait_in_thread(void *env)
{
    struct waiter *waiter = env;
    sem_post(&waiter->started);
    waiter->status = execq_cq_wait(waiter->cq, waiter->timeout);
    return NULL;
}

static void a_close_wakes_every_waiter(void **state)
{
    (void)state;
    for (int round = 0; round < 100; round++) {
        execq_cq *cq = cq_new();
        struct waiter waiters[4];
        pthread_t threads[COUNT_OF(waiters)];
        for (size_t i = 0; i < COUNT_OF(waiters); i++) {
            waiters[i].cq = cq;
            waiters[i].timeout = i % 2 ? INT64_MAX : -1;
            sem_init(&waiters[i].started, 0, 0);
            threads[i] = thread_start(wait_in_thread, &waiters[i]);
            sem_take(&waiters[i].started);
        }
        assert_status(execq_cq_close(cq, NULL), EXECQ_OK);
        for (size_t i = 0; i < COUNT_OF(waiters); i++) {
            pthread_join(threads[i], NULL);
            assert_status(waiters[i].status, EXECQ_ECLOSED);
            sem_destroy(&waiters[i].started);
        }
        execq_cq_release(cq);
    }
}

static void a_completion_wakes_a_waiter(void **state)
{
    (void)state;
    const int rounds = SCALED(1000, 4);
    for (int round = 0; round < rounds; round++) {
        execq_cq *cq = cq_new();
        struct waiter waiter = {.cq = cq, .timeout = -1};
        sem_init(&waiter.started, 0, 0);
        pthread_t thread = thread_start(wait_in_thread, &waiter);
        sem_take(&waiter.started);
        complete(cq, NULL);
        pthread_join(thread, NULL);
        assert_status(waiter.status, EXECQ_OK);
        sem_destroy(&waiter.started);
        execq_cq_release(cq);
    }
}

/* A done callback that completes another promise and then waits on a queue. */
struct queued {
    execq_cq *cq;
    execq_promise *promise;
    counter called;
    int before;
    int after;
};

static void resolve_and_wait(execq_future *future, void *env)
{
    struct queued *queued = env;
    (void)future;
    must(execq_promise_resolve(queued->promise, NULL) == EXECQ_OK);
    queued->before = counter_get(&queued->called);
    must(execq_cq_wait(queued->cq, 0) == EXECQ_ETIMEDOUT);
    queued->after = counter_get(&queued->called);
}

static void a_wait_runs_callbacks_that_are_queued_on_its_thread_first(void **state)
{
    (void)state;
    execq_future *future = NULL;
    struct queued queued = {cq_new(), promise_new(&future), {0}, -1, -1};
    assert_status(execq_future_on_done(future, count_done, &queued.called, NULL), EXECQ_OK);
    execq_future *trigger = done_future(NULL);
    assert_status(execq_future_on_done(trigger, resolve_and_wait, &queued, NULL), EXECQ_OK);
    assert_int_equal(queued.before, 0);
    assert_int_equal(queued.after, 1);
    execq_future_release(trigger);
    execq_future_release(future);
    execq_promise_release(queued.promise);
    execq_cq_release(queued.cq);
}

/* Senders that race with the close: each tag is drained, withdrawn or was never taken. */
struct sender {
    execq_executor *executor;
    execq_cq *cq;
    sem_t *warm;
    int accepted;
    counter *tag;
};

static void *send_until_closed(void *env)
{
    struct sender *sender = env;
    for (;;) {
        const execq_status status =
            execq_submit_to_cq(sender->executor, NULL, do_nothing, NULL, sender->cq, sender->tag);
        if (status != EXECQ_OK) {
            must(status == EXECQ_ECLOSED);
            return NULL;
        }
        if (++sender->accepted == 50) {
            sem_post(sender->warm);
        }
    }
}

static void every_tag_of_senders_that_race_with_the_close_is_accounted_for(void **state)
{
    (void)state;
    enum { SENDERS = 4 };
    const int rounds = SCALED(40, 2);
    for (int round = 0; round < rounds; round++) {
        counter seen = {0};
        int accepted = 0;
        sem_t warm;
        sem_init(&warm, 0, 0);
        execq_executor *executor = pool_new(2);
        execq_cq *cq = cq_new();
        struct sender senders[SENDERS];
        pthread_t threads[SENDERS];
        for (int i = 0; i < SENDERS; i++) {
            senders[i] = (struct sender){executor, cq, &warm, 0, &seen};
            threads[i] = thread_start(send_until_closed, &senders[i]);
        }
        sem_take(&warm);
        execq_completion out[20];
        size_t n = 0;
        assert_status(execq_cq_drain(cq, out, COUNT_OF(out), &n), EXECQ_OK);
        for (size_t i = 0; i < n; i++) {
            counter_hit(out[i].tag);
            execq_future_release(out[i].future);
        }
        assert_status(execq_cq_close(cq, counter_hit), EXECQ_OK);
        const int at_close = counter_get(&seen);
        for (int i = 0; i < SENDERS; i++) {
            pthread_join(threads[i], NULL);
            accepted += senders[i].accepted;
        }
        pool_end(executor);
        assert_int_equal(at_close, accepted);
        assert_int_equal(counter_get(&seen), accepted);
        execq_cq_release(cq);
        sem_destroy(&warm);
    }
}

/* Submissions that the executor refuses, while the queue is closed: their tags stay the caller's. */
struct refused {
    execq_executor *executor;
    execq_cq *cq;
    pthread_barrier_t *start;
};

static void *submit_in_vain(void *env)
{
    struct refused *refused = env;
    pthread_barrier_wait(refused->start);
    for (int i = 0; i < 50; i++) {
        must(execq_submit_to_cq(refused->executor, NULL, do_nothing, NULL, refused->cq, refused) == EXECQ_ECLOSED);
    }
    return NULL;
}

static void the_tag_of_a_failed_call_never_reaches_drop_tag(void **state)
{
    (void)state;
    enum { SUBMITTERS = 3 };
    const int rounds = SCALED(4000, 8);
    execq_executor *executor = pool_new(1);
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    for (int round = 0; round < rounds; round++) {
        pthread_barrier_t start;
        pthread_barrier_init(&start, NULL, SUBMITTERS + 1);
        struct refused refused = {executor, cq_new(), &start};
        pthread_t threads[SUBMITTERS];
        for (int i = 0; i < SUBMITTERS; i++) {
            threads[i] = thread_start(submit_in_vain, &refused);
        }
        pthread_barrier_wait(&start);
        assert_status(execq_cq_close(refused.cq, no_tag_expected), EXECQ_OK);
        for (int i = 0; i < SUBMITTERS; i++) {
            pthread_join(threads[i], NULL);
        }
        execq_cq_release(refused.cq);
        pthread_barrier_destroy(&start);
    }
    pool_end(executor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_close_withdraws_ready_ones_and_then_pending_ones),
        cmocka_unit_test(a_closed_queue_says_so),
        cmocka_unit_test(the_descriptor_lives_until_the_last_reference_goes),
        cmocka_unit_test(the_descriptor_is_not_inherited_by_programs),
        cmocka_unit_test(the_last_release_closes_and_the_work_goes_on),
        cmocka_unit_test(a_wait_with_a_limit_never_ends_early),
        cmocka_unit_test(a_wait_finds_what_is_there),
        cmocka_unit_test(a_close_wakes_every_waiter),
        cmocka_unit_test(a_completion_wakes_a_waiter),
        cmocka_unit_test(a_wait_runs_callbacks_that_are_queued_on_its_thread_first),
        cmocka_unit_test(every_tag_of_senders_that_race_with_the_close_is_accounted_for),
        cmocka_unit_test(the_tag_of_a_failed_call_never_reaches_drop_tag),
    };
    return cmocka_run_group_tests_name("capi.cq_close", tests, NULL, NULL);
}
