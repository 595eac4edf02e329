/* Detaching a loop: what is complete is delivered, the rest is withdrawn, and then there is silence. */
#include "capi.h"

#include "uv_loop.h"

enum { PENDING = 10000 };

static execq_promise *promises[PENDING];
static execq_future *futures[PENDING];
static delivery deliveries[PENDING];

static void open_promises(execq_loop *port, int *ticks)
{
    for (int i = 0; i < PENDING; i++) {
        deliveries[i] = (delivery){.clock = ticks};
        promises[i] = promise_new(&futures[i]);
        assert_status(execq_future_on_loop(futures[i], port, delivery_done, &deliveries[i], delivery_drop), EXECQ_OK);
    }
}

static void release_promises(void)
{
    for (int i = 0; i < PENDING; i++) {
        execq_promise_release(promises[i]);
        execq_future_release(futures[i]);
    }
}

static void ten_thousand_pending_are_withdrawn_and_dropped_once(void **state)
{
    (void)state;
    int ticks = 0;
    attached a;
    attached_open(&a);
    open_promises(a.port, &ticks);
    assert_int_not_equal(uv_run(&a.loop, UV_RUN_NOWAIT), 0);
    assert_status(execq_loop_detach(a.port), EXECQ_OK);
    for (int i = 0; i < PENDING; i++) {
        assert_int_equal(deliveries[i].delivered, 0);
        assert_int_not_equal(deliveries[i].dropped, 0); /* inside detach */
        assert_true(pthread_equal(deliveries[i].thread, pthread_self()));
    }
    assert_int_equal(ticks, PENDING);
    for (int i = 0; i < PENDING; i += 2) {
        assert_status(execq_promise_resolve(promises[i], NULL), EXECQ_OK);
    }
    execq_loop_release(a.port);
    attached_close_loop(&a);
    release_promises();
    assert_int_equal(ticks, PENDING); /* neither delivered nor dropped again */
}

static void what_is_complete_is_delivered_in_order_and_the_rest_withdrawn(void **state)
{
    (void)state;
    int ticks = 0;
    attached a;
    attached_open(&a);
    open_promises(a.port, &ticks);
    for (int i = PENDING - 2; i >= 0; i -= 2) { /* the even ones, backwards */
        assert_status(execq_promise_resolve(promises[i], NULL), EXECQ_OK);
    }
    assert_int_equal(ticks, 0);
    assert_status(execq_loop_detach(a.port), EXECQ_OK);
    assert_int_equal(ticks, PENDING / 2 * 3);
    for (int i = 0; i < PENDING; i += 2) {
        assert_int_equal(deliveries[i].delivered, PENDING - 1 - i); /* 1, 3, 5 … from the last one down */
        assert_int_equal(deliveries[i].dropped, deliveries[i].delivered + 1);
        assert_int_equal(deliveries[i + 1].delivered, 0);
        assert_true(deliveries[i + 1].dropped > PENDING);
    }
    execq_loop_release(a.port);
    attached_close_loop(&a);
    release_promises();
    assert_int_equal(ticks, PENDING / 2 * 3);
}

static void a_detached_loop_takes_nothing_more(void **state)
{
    (void)state;
    counter dropped = {0};
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = counter_hit;
    attached a;
    attached_open(&a);
    execq_executor *executor = pool_new(1);
    execq_future *done = done_future(NULL);
    execq_future *open = NULL;
    execq_promise *promise = promise_new(&open);
    assert_status(execq_loop_detach(a.port), EXECQ_OK);
    assert_status(execq_loop_detach(a.port), EXECQ_EALREADY);
    assert_status(execq_future_on_loop(done, a.port, count_done, &dropped, counter_hit), EXECQ_ECLOSED);
    assert_int_equal(counter_get(&dropped), 1);
    assert_status(execq_future_on_loop(open, a.port, count_done, &dropped, counter_hit), EXECQ_ECLOSED);
    assert_int_equal(counter_get(&dropped), 2);
    assert_status(
        execq_submit_to_loop(executor, &options, counter_fn, &dropped, a.port, count_done, &dropped, counter_hit),
        EXECQ_ECLOSED);
    assert_int_equal(counter_get(&dropped), 4); /* env and done_env */
    assert_status(execq_loop_hold(a.port), EXECQ_ECLOSED);
    assert_status(execq_loop_unhold(a.port), EXECQ_ECLOSED);
    execq_promise_release(promise);
    pool_end(executor);
    execq_loop_release(a.port);
    attached_close_loop(&a);
    execq_future_release(open);
    execq_future_release(done);
    assert_int_equal(counter_get(&dropped), 4);
}

/* A task that is no more than a body, for a loop, has a way of its own: it keeps nothing either where it is refused. */
static void the_short_way_to_a_loop_is_refused_as_the_long_one(void **state)
{
    (void)state;
    counter ran = {0}, done = {0};
    attached a;
    attached_open(&a);
    execq_executor *executor = pool_new(1);
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    assert_status(execq_submit_to_loop(executor, NULL, counter_fn, &ran, a.port, count_done, &done, NULL),
                  EXECQ_ECLOSED);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0); /* nothing keeps it alive */
    execq_executor_release(executor);
    assert_status(execq_loop_detach(a.port), EXECQ_OK);
    executor = pool_new(1);
    assert_status(execq_submit_to_loop(executor, NULL, counter_fn, &ran, a.port, count_done, &done, NULL),
                  EXECQ_ECLOSED);
    pool_end(executor);
    execq_loop_release(a.port);
    attached_close_loop(&a);
    assert_int_equal(counter_get(&ran) + counter_get(&done), 0);
}

static void a_hold_ends_with_the_detachment(void **state)
{
    (void)state;
    attached a;
    attached_open(&a);
    assert_status(execq_loop_hold(a.port), EXECQ_OK);
    assert_status(execq_loop_hold(a.port), EXECQ_OK);
    assert_int_not_equal(uv_run(&a.loop, UV_RUN_NOWAIT), 0);
    attached_close(&a);
}

/* A callback that detaches its own loop, among others that wait for delivery. */
struct leaver {
    execq_loop *port;
    int *clock;
    int before;
    int after;
    execq_status status;
};

static void leave(execq_future *future, void *env)
{
    struct leaver *leaver = env;
    (void)future;
    leaver->before = *leaver->clock;
    leaver->status = execq_loop_detach(leaver->port);
    leaver->after = *leaver->clock;
}

static void a_callback_may_detach_its_own_loop(void **state)
{
    (void)state;
    enum { N = 10 };
    int ticks = 0;
    delivery complete[N];
    delivery open[N];
    execq_promise *open_ones[N];
    execq_future *open_futures[N];
    attached a;
    attached_open(&a);
    struct leaver leaver = {a.port, &ticks, -1, -1, EXECQ_EINVAL};
    execq_future *done = done_future(NULL);
    assert_status(execq_future_on_loop(done, a.port, leave, &leaver, NULL), EXECQ_OK);
    for (int i = 0; i < N; i++) {
        complete[i] = (delivery){.clock = &ticks};
        open[i] = (delivery){.clock = &ticks};
        open_ones[i] = promise_new(&open_futures[i]);
        assert_status(execq_future_on_loop(done, a.port, delivery_done, &complete[i], delivery_drop), EXECQ_OK);
        assert_status(execq_future_on_loop(open_futures[i], a.port, delivery_done, &open[i], delivery_drop), EXECQ_OK);
    }
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_status(leaver.status, EXECQ_OK);
    assert_int_equal(leaver.before, 0);
    assert_int_equal(leaver.after, 3 * N); /* all of it inside detach */
    for (int i = 0; i < N; i++) {
        assert_int_equal(complete[i].delivered, 2 * i + 1);
        assert_int_equal(complete[i].dropped, 2 * i + 2);
        assert_int_equal(open[i].delivered, 0);
        assert_true(open[i].dropped > 2 * N);
        execq_promise_release(open_ones[i]);
        execq_future_release(open_futures[i]);
    }
    execq_loop_release(a.port);
    execq_future_release(done);
    attached_close_loop(&a);
    assert_int_equal(ticks, 3 * N);
}

static void leave_for_good(execq_future *future, void *env)
{
    leave(future, env);
    execq_loop_release(((struct leaver *)env)->port);
}

static void a_callback_may_detach_and_release_its_own_loop(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        int ticks = 0;
        attached a;
        attached_open(&a);
        struct leaver leaver = {a.port, &ticks, -1, -1, EXECQ_EINVAL};
        execq_future *done = done_future(NULL);
        assert_status(execq_future_on_loop(done, a.port, leave_for_good, &leaver, NULL), EXECQ_OK);
        execq_future_release(done);
        assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
        assert_status(leaver.status, EXECQ_OK);
        attached_close_loop(&a);
    }
}

static void detach_in_timer(uv_timer_t *timer)
{
    struct leaver *leaver = timer->data;
    leave(NULL, leaver);
    uv_close((uv_handle_t *)timer, NULL);
}

static void a_timer_callback_may_detach_the_loop(void **state)
{
    (void)state;
    int ticks = 0;
    delivery d = {.clock = &ticks};
    uv_timer_t timer;
    attached a;
    attached_open(&a);
    struct leaver leaver = {a.port, &ticks, -1, -1, EXECQ_EINVAL};
    timer.data = &leaver;
    assert_int_equal(uv_timer_init(&a.loop, &timer), 0);
    assert_int_equal(uv_timer_start(&timer, detach_in_timer, 1, 0), 0);
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future);
    assert_status(execq_future_on_loop(future, a.port, delivery_done, &d, delivery_drop), EXECQ_OK);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_status(leaver.status, EXECQ_OK);
    assert_int_equal(d.delivered, 0);
    assert_int_equal(d.dropped, 1);
    execq_promise_release(promise);
    execq_future_release(future);
    execq_loop_release(a.port);
    attached_close_loop(&a);
}

static void running_tasks_survive_the_detachment_of_their_loop(void **state)
{
    (void)state;
    int ticks = 0;
    delivery d = {.clock = &ticks};
    static gate g;
    gate_init(&g);
    counter ran = {0};
    attached a;
    attached_open(&a);
    execq_executor *executor = pool_new(1);
    assert_status(execq_submit_to_loop(executor, NULL, gate_fn, &g, a.port, delivery_done, &d, delivery_drop),
                  EXECQ_OK);
    assert_status(execq_submit_to_loop(executor, NULL, counter_fn, &ran, a.port, count_done, &ran, NULL), EXECQ_OK);
    gate_await(&g, 1);
    attached_close(&a); /* the loop and the port are gone while both tasks live on */
    assert_int_equal(d.delivered, 0);
    assert_int_equal(d.dropped, 1);
    gate_open(&g, 1);
    pool_end(executor);
    assert_int_equal(counter_get(&ran), 1);
    assert_int_equal(ticks, 1);
    gate_destroy(&g);
}

/* Senders that race with the detachment: each registration ends in one way, each env is dropped once. */
struct sender {
    execq_executor *executor;
    execq_loop *port;
    sem_t *warm;
    struct tally *tally;
    int attempts;
};

struct tally {
    int delivered; /* the loop's thread alone */
    counter dropped;
};

static void tally_done(execq_future *future, void *env)
{
    (void)future;
    ((struct tally *)env)->delivered++;
}

static void tally_drop(void *env) { counter_hit(&((struct tally *)env)->dropped); }

static void *send_until_closed(void *env)
{
    struct sender *sender = env;
    for (;;) {
        sender->attempts++;
        const execq_status status = execq_submit_to_loop(sender->executor, NULL, do_nothing, NULL, sender->port,
                                                         tally_done, sender->tally, tally_drop);
        if (sender->attempts == 50) {
            sem_post(sender->warm);
        }
        if (status != EXECQ_OK) {
            must(status == EXECQ_ECLOSED);
            if (sender->attempts < 50) {
                sem_post(sender->warm);
            }
            return NULL;
        }
    }
}

static void senders_may_race_with_the_detachment(void **state)
{
    (void)state;
    enum { SENDERS = 4 };
    const int rounds = SCALED(40, 2);
    for (int round = 0; round < rounds; round++) {
        struct tally tally = {0, {0}};
        sem_t warm;
        sem_init(&warm, 0, 0);
        attached a;
        attached_open(&a);
        execq_executor *executor = pool_new(2);
        struct sender senders[SENDERS];
        pthread_t threads[SENDERS];
        for (int i = 0; i < SENDERS; i++) {
            senders[i] = (struct sender){executor, a.port, &warm, &tally, 0};
            threads[i] = thread_start(send_until_closed, &senders[i]);
        }
        sem_take(&warm);
        uv_run(&a.loop, UV_RUN_NOWAIT);
        assert_status(execq_loop_detach(a.port), EXECQ_OK);
        const int delivered = tally.delivered;
        int attempts = 0;
        for (int i = 0; i < SENDERS; i++) {
            pthread_join(threads[i], NULL);
            attempts += senders[i].attempts;
        }
        pool_end(executor);
        execq_loop_release(a.port);
        attached_close_loop(&a);
        assert_int_equal(counter_get(&tally.dropped), attempts);
        assert_int_equal(tally.delivered, delivered); /* nothing after detach */
        assert_true(delivered <= attempts - SENDERS);
        sem_destroy(&warm);
    }
}

static void *submit_in_vain(void *env)
{
    struct sender *sender = env;
    sem_post(sender->warm);
    for (int i = 0; i < 50; i++) {
        sender->attempts++;
        must(execq_submit_to_loop(sender->executor, NULL, do_nothing, NULL, sender->port, tally_done, sender->tally,
                                  tally_drop) == EXECQ_ECLOSED);
    }
    return NULL;
}

static void refused_submissions_drop_once_while_the_loop_is_detached(void **state)
{
    (void)state;
    const int rounds = SCALED(500, 2);
    execq_executor *executor = pool_new(1);
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    for (int round = 0; round < rounds; round++) {
        struct tally tally = {0, {0}};
        sem_t warm;
        sem_init(&warm, 0, 0);
        attached a;
        attached_open(&a);
        struct sender sender = {executor, a.port, &warm, &tally, 0};
        pthread_t thread = thread_start(submit_in_vain, &sender);
        sem_take(&warm);
        assert_status(execq_loop_detach(a.port), EXECQ_OK);
        pthread_join(thread, NULL);
        assert_int_equal(tally.delivered, 0);
        assert_int_equal(counter_get(&tally.dropped), sender.attempts);
        execq_loop_release(a.port);
        attached_close_loop(&a);
        sem_destroy(&warm);
    }
    pool_end(executor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_thousand_pending_are_withdrawn_and_dropped_once),
        cmocka_unit_test(what_is_complete_is_delivered_in_order_and_the_rest_withdrawn),
        cmocka_unit_test(a_detached_loop_takes_nothing_more),
        cmocka_unit_test(the_short_way_to_a_loop_is_refused_as_the_long_one),
        cmocka_unit_test(a_hold_ends_with_the_detachment),
        cmocka_unit_test(a_callback_may_detach_its_own_loop),
        cmocka_unit_test(a_callback_may_detach_and_release_its_own_loop),
        cmocka_unit_test(a_timer_callback_may_detach_the_loop),
        cmocka_unit_test(running_tasks_survive_the_detachment_of_their_loop),
        cmocka_unit_test(senders_may_race_with_the_detachment),
        cmocka_unit_test(refused_submissions_drop_once_while_the_loop_is_detached),
    };
    ignore_failures();
    return cmocka_run_group_tests_name("capi.loop_detach", tests, NULL, NULL);
}
