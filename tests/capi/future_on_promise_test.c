/* Completions that come back to the loop of an asynchronous task. */
#include "capi.h"

#include <execq/uv.h>

#include "uv_loop.h"

enum { MANY = SCALED(2000, 4) };

/* An asynchronous task that is open, and the completion that it waits for. */
struct waiting {
    execq_promise *promise;
    pthread_t thread;
    gate started;
    gate called;
    counter calls;
    counter drops;
    int calls_at_drop;
};

static void keep(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    struct waiting *w = env;
    (void)loop;
    w->promise = promise;
    w->thread = pthread_self();
    sem_post(&w->started.entered);
}

static void come_back(execq_future *future, void *env)
{
    struct waiting *w = env;
    must(execq_future_state(future) >= EXECQ_FUTURE_OK);
    must(pthread_equal(w->thread, pthread_self()));
    counter_hit(&w->calls);
}

static void dropped(void *env)
{
    struct waiting *w = env;
    w->calls_at_drop = counter_get(&w->calls);
    counter_hit(&w->drops);
    sem_post(&w->called.entered);
}

static void init(struct waiting *w)
{
    memset(w, 0, sizeof *w);
    gate_init(&w->started);
    gate_init(&w->called);
}

static execq_future *begin(execq_executor *executor, struct waiting *w)
{
    execq_future *future = NULL;
    init(w);
    assert_status(execq_submit_async(executor, NULL, keep, w, &future), EXECQ_OK);
    gate_await(&w->started, 1);
    return future;
}

static void complete(struct waiting *w, execq_future *future)
{
    assert_status(execq_promise_resolve(w->promise, NULL), EXECQ_OK);
    execq_promise_release(w->promise);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    execq_future_release(future);
}

static void it_is_delivered_on_the_workers_thread_then_dropped(void **state)
{
    (void)state;
    static struct waiting w;
    execq_executor *executor = pool_new(2);
    execq_future *task = begin(executor, &w);
    execq_promise *promise = NULL;
    execq_future *future = NULL;
    assert_status(execq_promise_new(NULL, &promise, &future), EXECQ_OK);
    assert_status(execq_future_on_promise(future, w.promise, come_back, &w, dropped), EXECQ_OK);
    assert_int_equal(counter_get(&w.calls), 0);
    assert_status(execq_promise_resolve(promise, NULL), EXECQ_OK);
    gate_await(&w.called, 1);
    assert_int_equal(w.calls_at_drop, 1);
    /* one that is done already comes by the same way */
    assert_status(execq_future_on_promise(future, w.promise, come_back, &w, dropped), EXECQ_OK);
    gate_await(&w.called, 1);
    assert_int_equal(counter_get(&w.calls), 2);
    assert_int_equal(counter_get(&w.drops), 2);
    execq_promise_release(promise);
    execq_future_release(future);
    complete(&w, task);
    pool_end(executor);
}

static void without_a_drop_many_are_delivered_each_once(void **state)
{
    (void)state;
    static struct waiting w;
    execq_executor *executor = pool_new(2);
    execq_future *task = begin(executor, &w);
    for (int i = 0; i < MANY; i++) {
        execq_future *work = NULL;
        counter ran = {0};
        assert_status(execq_submit(executor, counter_fn, &ran, &work), EXECQ_OK);
        assert_status(execq_future_on_promise(work, w.promise, come_back, &w, NULL), EXECQ_OK);
        assert_status(execq_future_wait(work, -1), EXECQ_OK);
        execq_future_release(work);
    }
    complete(&w, task); /* the loop is driven until all have come back */
    pool_end(executor);
    assert_int_equal(counter_get(&w.calls), MANY);
}

static void a_drain_waits_for_it_though_the_promise_is_completed(void **state)
{
    (void)state;
    static struct waiting w;
    execq_executor *executor = pool_new(1);
    execq_future *task = begin(executor, &w);
    execq_promise *promise = NULL;
    execq_future *future = NULL;
    assert_status(execq_promise_new(NULL, &promise, &future), EXECQ_OK);
    assert_status(execq_future_on_promise(future, w.promise, come_back, &w, dropped), EXECQ_OK);
    complete(&w, task);
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    assert_status(execq_executor_join(executor, 0, NULL), EXECQ_ETIMEDOUT);
    assert_status(execq_promise_resolve(promise, NULL), EXECQ_OK);
    assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
    assert_int_equal(w.calls_at_drop, 1);
    assert_int_equal(counter_get(&w.drops), 1);
    execq_promise_release(promise);
    execq_future_release(future);
    execq_executor_release(executor);
}

static void exit_thread(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    (void)loop;
    (void)env;
    execq_promise_release(promise);
    pthread_exit(NULL);
}

static void a_thread_that_is_lost_withdraws_it(void **state)
{
    (void)state;
    static struct waiting w;
    execq_executor *executor = pool_new(1);
    execq_future *task = begin(executor, &w);
    execq_promise *promise = NULL;
    execq_future *future = NULL;
    execq_future *lost = NULL;
    assert_status(execq_promise_new(NULL, &promise, &future), EXECQ_OK);
    assert_status(execq_future_on_promise(future, w.promise, come_back, &w, dropped), EXECQ_OK);
    assert_status(execq_submit_async(executor, NULL, exit_thread, NULL, &lost), EXECQ_OK);
    gate_await(&w.called, 1);
    assert_int_equal(w.calls_at_drop, 0);
    assert_int_equal(execq_error_code(execq_future_error(task)), EXECQ_EEXITED);
    assert_status(execq_future_on_promise(future, w.promise, come_back, &w, dropped), EXECQ_ECLOSED);
    assert_status(execq_promise_resolve(promise, NULL), EXECQ_OK); /* nobody is there to hear of it */
    assert_int_equal(counter_get(&w.calls), 0);
    assert_int_equal(counter_get(&w.drops), 2);
    execq_promise_release(w.promise);
    execq_promise_release(promise);
    execq_future_release(future);
    execq_future_release(task);
    execq_future_release(lost);
    task = begin(executor, &w); /* the thread that replaces it has the place again */
    assert_status(execq_sleep(0, &future), EXECQ_OK);
    assert_status(execq_future_on_promise(future, w.promise, come_back, &w, dropped), EXECQ_OK);
    gate_await(&w.called, 1);
    assert_int_equal(w.calls_at_drop, 1);
    execq_future_release(future);
    complete(&w, task);
    pool_end(executor);
}

static execq_future *spawn_on(attached *a, struct waiting *w)
{
    execq_future *task = NULL;
    init(w);
    assert_status(execq_loop_submit_async(a->port, NULL, keep, w, &task), EXECQ_OK);
    while (w->promise == NULL) {
        uv_run(&a->loop, UV_RUN_NOWAIT);
    }
    return task;
}

static void on_an_attached_loop_it_is_delivered_or_withdrawn(void **state)
{
    (void)state;
    static struct waiting w;
    attached a;
    attached_open(&a);
    execq_future *task = spawn_on(&a, &w);
    execq_future *soon = NULL;
    execq_future *never = NULL;
    assert_status(execq_sleep(0, &soon), EXECQ_OK);
    assert_status(execq_sleep(-1, &never), EXECQ_OK);
    assert_status(execq_future_on_promise(soon, w.promise, come_back, &w, dropped), EXECQ_OK);
    assert_status(execq_future_on_promise(never, w.promise, come_back, &w, dropped), EXECQ_OK);
    while (counter_get(&w.drops) == 0) {
        uv_run(&a.loop, UV_RUN_ONCE);
    }
    assert_int_equal(counter_get(&w.calls), 1);
    assert_status(execq_loop_detach(a.port), EXECQ_OK);
    assert_int_equal(counter_get(&w.drops), 2);
    assert_status(execq_future_on_promise(soon, w.promise, come_back, &w, dropped), EXECQ_ECLOSED);
    assert_int_equal(counter_get(&w.drops), 3);
    assert_int_equal(counter_get(&w.calls), 1);
    execq_loop_release(a.port); /* the promise keeps what it needs of it */
    a.port = NULL;
    uv_run(&a.loop, UV_RUN_DEFAULT);
    assert_status(execq_future_on_promise(soon, w.promise, come_back, &w, dropped), EXECQ_ECLOSED);
    execq_future_cancel(never);
    execq_future_release(never);
    execq_future_release(soon);
    complete(&w, task);
    assert_int_equal(uv_loop_close(&a.loop), 0);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    static struct waiting w;
    execq_executor *executor = pool_new(1);
    execq_future *task = begin(executor, &w);
    execq_promise *promise = NULL;
    execq_future *future = NULL;
    assert_status(execq_promise_new(NULL, &promise, &future), EXECQ_OK);
    assert_status(execq_future_on_promise(NULL, w.promise, come_back, &w, dropped), EXECQ_EINVAL);
    assert_status(execq_future_on_promise(future, NULL, come_back, &w, dropped), EXECQ_EINVAL);
    assert_status(execq_future_on_promise(future, w.promise, NULL, &w, dropped), EXECQ_EINVAL);
    assert_status(execq_future_on_promise(future, promise, come_back, &w, dropped), EXECQ_EINVAL); /* has no loop */
    assert_int_equal(counter_get(&w.drops), 4);
    assert_status(execq_promise_resolve(w.promise, NULL), EXECQ_OK);
    assert_status(execq_future_on_promise(future, w.promise, come_back, &w, dropped), EXECQ_ECLOSED);
    assert_int_equal(counter_get(&w.drops), 5);
    execq_promise_release(w.promise);
    execq_promise_release(promise);
    execq_future_release(future);
    execq_future_release(task);
    pool_end(executor);
    assert_int_equal(counter_get(&w.calls), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_delivered_on_the_workers_thread_then_dropped),
        cmocka_unit_test(without_a_drop_many_are_delivered_each_once),
        cmocka_unit_test(a_drain_waits_for_it_though_the_promise_is_completed),
        cmocka_unit_test(a_thread_that_is_lost_withdraws_it),
        cmocka_unit_test(on_an_attached_loop_it_is_delivered_or_withdrawn),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
