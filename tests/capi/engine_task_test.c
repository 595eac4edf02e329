/* What an engine may do with its tasks, and what it must not: the test itself is the engine, and ends each by hand. */
#include "capi.h"

#include <sched.h>

enum { MOST = 64 };

typedef struct hand {
    execq_executor *executor;
    execq_engine_task *taken[MOST];
    int n;
    execq_status answer; /* of the next submit */
    int answers_after;   /* so many are taken before that */
    execq_engine_task *told[MOST];
    int n_told;
    int ends_told; /* the cancel function ends what it is told of */
    int drains;
    int cancels;
    int closes_inside;
    counter drops;
    sem_t dropped; /* by whoever lets go last, which may be the thread that keeps times */
} hand;

static execq_status hand_submit(void *env, execq_engine_task *task)
{
    hand *h = env;
    if (h->closes_inside) {
        must(execq_executor_close(h->executor, EXECQ_CANCEL) == EXECQ_OK);
    }
    if (h->answer != EXECQ_OK && h->answers_after == 0) {
        return h->answer;
    }
    h->answers_after -= h->answers_after != 0 ? 1 : 0;
    h->taken[h->n++] = task;
    return EXECQ_OK;
}

static void hand_cancel(void *env, execq_engine_task *task)
{
    hand *h = env;
    h->told[h->n_told++] = task;
    if (h->ends_told) {
        const execq_status status = execq_engine_task_cancel(task);
        must(status == EXECQ_OK || status == EXECQ_ECANCELED);
    }
}

static void hand_close(void *env, int32_t mode)
{
    hand *h = env;
    ++*(mode == EXECQ_DRAIN ? &h->drains : &h->cancels);
}

static void hand_drop(void *env)
{
    hand *h = env;
    counter_hit(&h->drops);
    sem_post(&h->dropped);
}

static execq_engine_vtable hand_vtable(void)
{
    execq_engine_vtable vtable = EXECQ_ENGINE_VTABLE_INIT;
    vtable.drop = hand_drop;
    vtable.submit = hand_submit;
    vtable.cancel = hand_cancel;
    vtable.close = hand_close;
    vtable.name = "hand";
    return vtable;
}

static void hand_open(hand *h, uint32_t flags)
{
    memset(h, 0, sizeof *h);
    sem_init(&h->dropped, 0, 0);
    execq_engine_vtable vtable = hand_vtable();
    vtable.flags = flags;
    assert_status(execq_executor_from_vtable(&vtable, h, &h->executor), EXECQ_OK);
}

/* Everything was ended. */
static void hand_end(hand *h)
{
    assert_status(execq_executor_close(h->executor, EXECQ_CANCEL), EXECQ_OK);
    assert_status(execq_executor_join(h->executor, 0, NULL), EXECQ_OK);
    assert_int_equal(counter_get(&h->drops), 0);
    execq_executor_release(h->executor);
    sem_take(&h->dropped);
    assert_int_equal(counter_get(&h->drops), 1);
    assert_int_equal(h->cancels, 1);
}

static execq_future *submit(hand *h, counter *runs, counter *drops)
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = drops != NULL ? counter_hit : NULL;
    execq_future *future = NULL;
    /* The env is one counter for both: its body counts ones, its drop another. */
    assert_status(execq_submit_with(h->executor, &options, counter_fn, drops != NULL ? drops : runs, &future),
                  EXECQ_OK);
    return future;
}

static void a_task_runs_once(void **state)
{
    (void)state;
    hand h;
    counter runs = {0};
    hand_open(&h, 0);
    execq_future *future = submit(&h, &runs, NULL);
    execq_engine_task *task = h.taken[0];
    execq_engine_task_retain(task);
    assert_status(execq_future_wait(future, 0), EXECQ_ETIMEDOUT);
    assert_status(execq_engine_task_run(task), EXECQ_OK);
    assert_status(execq_future_result(future, NULL), EXECQ_OK);
    assert_status(execq_engine_task_run(task), EXECQ_EALREADY);
    assert_status(execq_engine_task_begin(task), EXECQ_EALREADY);
    assert_status(execq_engine_task_resolve(task, NULL), EXECQ_EALREADY);
    assert_status(execq_engine_task_reject(task, 1, "late"), EXECQ_EALREADY);
    assert_status(execq_engine_task_cancel(task), EXECQ_EALREADY);
    execq_engine_task_info info = EXECQ_ENGINE_TASK_INFO_INIT;
    assert_status(execq_engine_task_info_get(task, &info), EXECQ_EALREADY);
    assert_int_equal(counter_get(&runs), 1);
    execq_future_release(future);
    hand_end(&h);
    assert_status(execq_engine_task_run(task), EXECQ_EALREADY); /* beyond its executor, too */
    assert_int_equal(execq_engine_task_cancel_requested(task), 0);
    execq_engine_task_release(task);
}

static void a_task_may_end_elsewhere(void **state)
{
    (void)state;
    hand h;
    counter drops = {0};
    int value = 0;
    void *found = NULL;
    hand_open(&h, 0);
    execq_future *future = submit(&h, NULL, &drops);
    assert_status(execq_engine_task_begin(h.taken[0]), EXECQ_OK);
    assert_status(execq_engine_task_run(h.taken[0]), EXECQ_EALREADY);
    assert_status(execq_engine_task_begin(h.taken[0]), EXECQ_EALREADY);
    assert_status(execq_future_cancel(future), EXECQ_EBUSY);
    assert_int_equal(execq_engine_task_cancel_requested(h.taken[0]), 1);
    assert_int_equal(h.n_told, 1);
    assert_ptr_equal(h.told[0], h.taken[0]);
    assert_int_equal(counter_get(&drops), 0);
    assert_status(execq_engine_task_resolve(h.taken[0], &value), EXECQ_OK);
    assert_int_equal(counter_get(&drops), 1); /* dropped, and never run */
    assert_status(execq_future_result(future, &found), EXECQ_OK);
    assert_ptr_equal(found, &value);
    execq_future_release(future);
    /* Not begun before, and with a failure. */
    future = submit(&h, NULL, &drops);
    assert_status(execq_engine_task_reject(h.taken[1], 0, "no code"), EXECQ_EINVAL);
    assert_status(execq_engine_task_reject(h.taken[1], 12, "elsewhere"), EXECQ_OK);
    assert_status(execq_future_result(future, NULL), EXECQ_EFAILED);
    assert_string_equal(execq_error_message(execq_future_error(future)), "elsewhere");
    assert_int_equal(counter_get(&drops), 2);
    execq_future_release(future);
    hand_end(&h);
}

static void a_task_that_is_asked_to_stop_may_end_canceled(void **state)
{
    (void)state;
    hand h;
    hand_open(&h, 0);
    counter runs = {0};
    execq_future *future = submit(&h, &runs, NULL);
    h.ends_told = 1;
    assert_status(execq_engine_task_begin(h.taken[0]), EXECQ_OK);
    assert_status(execq_future_cancel(future), EXECQ_EBUSY); /* the engine ends it inside */
    assert_status(execq_future_result(future, NULL), EXECQ_ECANCELED);
    assert_int_equal(execq_future_cancel_reason(future), EXECQ_REASON_CALLER);
    execq_future_release(future);
    future = submit(&h, &runs, NULL);
    assert_status(execq_engine_task_cancel(h.taken[1]), EXECQ_OK);
    assert_status(execq_future_result(future, NULL), EXECQ_ECANCELED);
    assert_int_equal(execq_future_cancel_reason(future), EXECQ_REASON_SHUTDOWN);
    execq_future_release(future);
    assert_int_equal(counter_get(&runs), 0);
    hand_end(&h);
}

static void the_engine_hears_of_a_task_that_is_canceled_before_it_begins(void **state)
{
    (void)state;
    hand h;
    counter drops = {0};
    hand_open(&h, 0);
    execq_future *future = submit(&h, NULL, &drops);
    assert_status(execq_future_cancel(future), EXECQ_OK);
    assert_int_equal(counter_get(&drops), 1);
    assert_int_equal(h.n_told, 1);
    assert_ptr_equal(h.told[0], h.taken[0]);
    assert_status(execq_executor_close(h.executor, EXECQ_DRAIN), EXECQ_OK);
    assert_status(execq_executor_join(h.executor, 0, NULL), EXECQ_ETIMEDOUT); /* it still has it */
    assert_status(execq_engine_task_run(h.taken[0]), EXECQ_ECANCELED);
    assert_int_equal(counter_get(&drops), 1);
    execq_future_release(future);
    hand_end(&h);
}

static void a_deadline_cancels_what_has_not_begun_and_asks_what_has(void **state)
{
    (void)state;
    hand h;
    counter runs = {0};
    hand_open(&h, 0);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.start_within_ns = MILLISECOND;
    execq_future *future = NULL;
    assert_status(execq_submit_with(h.executor, &options, counter_fn, &runs, &future), EXECQ_OK);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_status(execq_future_result(future, NULL), EXECQ_ECANCELED);
    assert_int_equal(execq_future_cancel_reason(future), EXECQ_REASON_DEADLINE);
    execq_future_release(future);
    assert_status(execq_engine_task_run(h.taken[0]), EXECQ_ECANCELED);
    assert_int_equal(counter_get(&runs), 0);
    /* One that has begun, however late this thread comes to it. */
    options.start_within_ns = 0;
    options.timeout_ns = MILLISECOND;
    for (;;) {
        assert_status(execq_submit_with(h.executor, &options, counter_fn, &runs, &future), EXECQ_OK);
        execq_engine_task *task = h.taken[--h.n];
        if (execq_engine_task_begin(task) == EXECQ_OK) {
            while (execq_engine_task_cancel_requested(task) == 0) {
                sched_yield();
            }
            assert_status(execq_engine_task_reject(task, EXECQ_ECANCELED, NULL), EXECQ_OK);
            break;
        }
        execq_future_release(future);
        options.timeout_ns *= 2;
    }
    assert_status(execq_future_result(future, NULL), EXECQ_ECANCELED);
    assert_int_equal(execq_future_cancel_reason(future), EXECQ_REASON_DEADLINE);
    execq_future_release(future);
    hand_end(&h);
}

static void hints_come_with_the_task(void **state)
{
    (void)state;
    hand h;
    counter runs = {0};
    hand_open(&h, 0);
    execq_queue *queue = NULL;
    assert_status(execq_queue_new(h.executor, NULL, &queue), EXECQ_OK);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.name = "important";
    options.priority = EXECQ_PRIORITY_HIGH;
    options.queue = queue;
    options.key = 17;
    assert_status(execq_submit_with(NULL, &options, counter_fn, &runs, NULL), EXECQ_OK);
    execq_engine_task_info info = EXECQ_ENGINE_TASK_INFO_INIT;
    assert_status(execq_engine_task_info_get(h.taken[0], &info), EXECQ_OK);
    assert_string_equal(info.name, "important");
    assert_int_equal(info.priority, EXECQ_PRIORITY_HIGH);
    assert_int_equal(info.key, 17);
    assert_int_equal(info.begun, 0);
    assert_true(info.fn == NULL);
    assert_status(execq_engine_task_begin(h.taken[0]), EXECQ_OK);
    assert_status(execq_engine_task_info_get(h.taken[0], &info), EXECQ_OK);
    assert_int_equal(info.begun, 1);
    assert_true(info.fn == counter_fn);
    assert_ptr_equal(info.env, &runs);
    assert_status(execq_engine_task_resolve(h.taken[0], NULL), EXECQ_OK);
    execq_queue_release(queue);
    hand_end(&h);
}

static void a_queue_hands_over_the_next_once_the_one_before_has_begun(void **state)
{
    (void)state;
    hand h;
    counter runs = {0};
    hand_open(&h, 0);
    execq_queue *queue = NULL;
    execq_queue_options two = EXECQ_QUEUE_OPTIONS_INIT;
    two.max_in_flight = 2;
    assert_status(execq_queue_new(h.executor, &two, &queue), EXECQ_OK);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.queue = queue;
    for (int i = 0; i < 4; ++i) {
        assert_status(execq_submit_with(NULL, &options, counter_fn, &runs, NULL), EXECQ_OK);
    }
    assert_int_equal(h.n, 1);
    assert_status(execq_engine_task_begin(h.taken[0]), EXECQ_OK);
    assert_int_equal(h.n, 2);
    assert_status(execq_engine_task_begin(h.taken[1]), EXECQ_OK);
    assert_int_equal(h.n, 2); /* two are in flight */
    assert_status(execq_engine_task_resolve(h.taken[1], NULL), EXECQ_OK);
    assert_int_equal(h.n, 3);
    h.answer = 33; /* what is refused later fails, and the queue goes on */
    assert_status(execq_engine_task_run(h.taken[2]), EXECQ_OK);
    h.answer = EXECQ_OK;
    assert_int_equal(h.n, 3);
    assert_int_equal(counter_get(&runs), 1);
    assert_status(execq_engine_task_resolve(h.taken[0], NULL), EXECQ_OK);
    uint64_t waiting = 1;
    uint64_t running = 1;
    assert_status(execq_queue_counts(queue, &waiting, &running), EXECQ_OK);
    assert_int_equal(waiting + running, 0);
    execq_queue_release(queue);
    hand_end(&h);
}

static void what_the_engine_refuses_is_refused(void **state)
{
    (void)state;
    hand h;
    counter env = {0};
    hand_open(&h, 0);
    h.answer = EXECQ_EFULL;
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = counter_hit;
    execq_future *future = NULL;
    assert_status(execq_submit_with(h.executor, &options, counter_fn, &env, &future), EXECQ_EFULL);
    assert_null(future);
    assert_int_equal(counter_get(&env), 1); /* the drop, inside the call */
    execq_cq *cq = NULL;
    assert_status(execq_cq_new(&cq), EXECQ_OK);
    assert_status(execq_submit_to_cq(h.executor, &options, counter_fn, &env, cq, NULL), EXECQ_EFULL);
    assert_int_equal(counter_get(&env), 2);
    assert_status(execq_cq_close(cq, NULL), EXECQ_OK);
    execq_cq_release(cq);
    /* Of a batch, the first decides; one that is refused later fails. */
    execq_future *futures[3] = {NULL, NULL, NULL};
    assert_status(execq_submit_many(h.executor, NULL, 3, counter_fn, NULL, futures), EXECQ_EFULL);
    assert_null(futures[0]);
    void *envs[3] = {&env, &env, &env};
    h.answers_after = 1;
    assert_status(execq_submit_many(h.executor, NULL, 3, counter_fn, envs, futures), EXECQ_OK);
    assert_status(execq_engine_task_run(h.taken[0]), EXECQ_OK);
    assert_status(execq_future_result(futures[0], NULL), EXECQ_OK);
    assert_int_equal(h.n, 1);
    for (int i = 1; i < 3; ++i) {
        assert_status(execq_future_result(futures[i], NULL), EXECQ_EFAILED);
        assert_int_equal(execq_error_code(execq_future_error(futures[i])), EXECQ_EFULL);
    }
    for (int i = 0; i < 3; ++i) {
        execq_future_release(futures[i]);
    }
    hand_end(&h);
}

static void a_close_with_cancel_cancels_here_and_asks_the_rest(void **state)
{
    (void)state;
    hand h;
    counter runs = {0};
    hand_open(&h, 0);
    execq_future *begun = submit(&h, &runs, NULL);
    execq_future *waiting = submit(&h, &runs, NULL);
    assert_status(execq_engine_task_begin(h.taken[0]), EXECQ_OK);
    assert_status(execq_executor_join(h.executor, 0, NULL), EXECQ_EINVAL);
    assert_status(execq_executor_close(h.executor, EXECQ_DRAIN), EXECQ_OK);
    assert_status(execq_executor_close(h.executor, EXECQ_CANCEL), EXECQ_OK);
    assert_status(execq_executor_close(h.executor, EXECQ_CANCEL), EXECQ_OK);
    assert_int_equal(h.drains, 1);
    assert_int_equal(h.cancels, 1);
    assert_status(execq_future_result(waiting, NULL), EXECQ_ECANCELED);
    assert_int_equal(execq_future_cancel_reason(waiting), EXECQ_REASON_SHUTDOWN);
    assert_status(execq_future_result(begun, NULL), EXECQ_EPENDING);
    assert_int_equal(execq_engine_task_cancel_requested(h.taken[0]), 1);
    assert_int_equal(h.n_told, 2);
    execq_shutdown_report report = EXECQ_SHUTDOWN_REPORT_INIT;
    assert_status(execq_executor_join(h.executor, 0, &report), EXECQ_ETIMEDOUT);
    assert_int_equal(report.running_total, 1);
    assert_int_equal(report.queued, 0);
    assert_int_equal(report.threads, 0);
    assert_status(execq_engine_task_reject(h.taken[0], EXECQ_ECANCELED, NULL), EXECQ_OK);
    assert_status(execq_future_result(begun, NULL), EXECQ_ECANCELED);
    assert_status(execq_engine_task_run(h.taken[1]), EXECQ_ECANCELED);
    assert_int_equal(counter_get(&runs), 0);
    execq_future_release(begun);
    execq_future_release(waiting);
    hand_end(&h);
}

static void a_close_inside_of_submit_cancels_that_task(void **state)
{
    (void)state;
    hand h;
    counter runs = {0};
    hand_open(&h, 0);
    h.closes_inside = 1;
    execq_future *future = submit(&h, &runs, NULL);
    assert_status(execq_future_result(future, NULL), EXECQ_ECANCELED);
    assert_status(execq_engine_task_run(h.taken[0]), EXECQ_ECANCELED);
    assert_status(execq_submit(h.executor, counter_fn, &runs, NULL), EXECQ_ECLOSED);
    execq_future_release(future);
    assert_int_equal(counter_get(&runs), 0);
    hand_end(&h);
}

static void tasks_keep_a_released_executor(void **state)
{
    (void)state;
    hand h;
    counter runs = {0};
    hand_open(&h, 0);
    execq_future *future = submit(&h, &runs, NULL);
    execq_executor_release(h.executor);
    assert_int_equal(h.drains, 1);
    assert_int_equal(counter_get(&h.drops), 0);
    assert_status(execq_engine_task_run(h.taken[0]), EXECQ_OK);
    assert_int_equal(counter_get(&h.drops), 1);
    assert_status(execq_future_result(future, NULL), EXECQ_OK);
    execq_future_release(future);
}

typedef struct nested {
    hand *h;
    execq_future *inner;
    int64_t timeout_ns;
    execq_status waited;
} nested;

static int32_t waits_for_inner(void *env, void **result)
{
    nested *n = env;
    (void)result;
    n->waited = execq_future_wait(n->inner, n->timeout_ns);
    return 0;
}

static void an_engine_that_helps_runs_in_a_wait_what_is_waited_for(void **state)
{
    (void)state;
    for (uint32_t flags = 0; flags <= EXECQ_ENGINE_HELPS; ++flags) {
        hand h;
        counter runs = {0};
        hand_open(&h, flags);
        nested n = {&h, submit(&h, &runs, NULL), flags == EXECQ_ENGINE_HELPS ? -1 : 0, EXECQ_OK};
        assert_status(execq_submit(h.executor, waits_for_inner, &n, NULL), EXECQ_OK);
        assert_status(execq_engine_task_run(h.taken[1]), EXECQ_OK);
        if (flags == EXECQ_ENGINE_HELPS) {
            assert_status(n.waited, EXECQ_OK);
            assert_int_equal(counter_get(&runs), 1);
            assert_ptr_equal(h.told[0], h.taken[0]);
            assert_status(execq_engine_task_run(h.taken[0]), EXECQ_ECANCELED);
        } else {
            assert_status(n.waited, EXECQ_ETIMEDOUT);
            assert_status(execq_engine_task_run(h.taken[0]), EXECQ_OK);
        }
        assert_int_equal(counter_get(&runs), 1);
        execq_future_release(n.inner);
        hand_end(&h);
    }
}

static void a_report_and_the_statistics_tell_what_the_engine_has(void **state)
{
    (void)state;
    hand h;
    execq_running_task running[1];
    execq_shutdown_report report = EXECQ_SHUTDOWN_REPORT_INIT;
    execq_stats stats = EXECQ_STATS_INIT;
    hand_open(&h, 0);
    for (int i = 0; i < 3; i++) {
        execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
        options.name = i == 0 ? "begun" : "a name that is longer than what a report has room for, by far";
        assert_status(execq_submit_with(h.executor, &options, do_nothing, NULL, NULL), EXECQ_OK);
    }
    assert_status(execq_engine_task_begin(h.taken[0]), EXECQ_OK);
    assert_status(execq_executor_stats(h.executor, &stats), EXECQ_OK);
    assert_int_equal(stats.running, 1);
    assert_int_equal(stats.queued, 2);
    assert_int_equal(stats.threads_max, 0); /* none of the library */
    assert_status(execq_executor_close(h.executor, EXECQ_DRAIN), EXECQ_OK);
    report.running = running;
    report.running_max = COUNT_OF(running);
    assert_status(execq_executor_join(h.executor, 0, &report), EXECQ_ETIMEDOUT);
    assert_int_equal(report.running_total, 1);
    assert_int_equal(report.queued, 2);
    assert_string_equal(running[0].name, "begun");
    assert_true(running[0].running_ns >= 0);
    assert_status(execq_engine_task_begin(h.taken[1]), EXECQ_OK);
    assert_status(execq_executor_join(h.executor, 0, &report), EXECQ_ETIMEDOUT);
    assert_int_equal(report.running_total, 2); /* and there is room for one */
    assert_int_equal(report.running_count, 1);
    for (int i = 0; i < 3; i++)
        assert_status(execq_engine_task_resolve(h.taken[i], NULL), EXECQ_OK);
    assert_status(execq_executor_join(h.executor, 0, &report), EXECQ_OK);
    assert_int_equal(report.running_total + report.queued, 0);
    hand_end(&h);
}

static void bad_tables_are_rejected_and_the_engine_is_dropped(void **state)
{
    (void)state;
    hand h;
    memset(&h, 0, sizeof h);
    sem_init(&h.dropped, 0, 0);
    execq_executor *executor = NULL;
    execq_engine_vtable vtable = hand_vtable();
    assert_status(execq_executor_from_vtable(NULL, &h, &executor), EXECQ_EINVAL);
    assert_int_equal(counter_get(&h.drops), 0); /* nobody said how */
    vtable.submit = NULL;
    assert_status(execq_executor_from_vtable(&vtable, &h, &executor), EXECQ_EINVAL);
    assert_int_equal(counter_get(&h.drops), 1);
    vtable = hand_vtable();
    assert_status(execq_executor_from_vtable(&vtable, &h, NULL), EXECQ_EINVAL);
    assert_int_equal(counter_get(&h.drops), 2);
    vtable.flags = 1U << 9;
    assert_status(execq_executor_from_vtable(&vtable, &h, &executor), EXECQ_ENOTSUP);
    assert_int_equal(counter_get(&h.drops), 3);
    vtable = hand_vtable();
    vtable.struct_size = 8;
    assert_status(execq_executor_from_vtable(&vtable, &h, &executor), EXECQ_EINVAL);
    assert_int_equal(counter_get(&h.drops), 3); /* too small for a drop */
    struct {
        execq_engine_vtable vtable;
        uint64_t more;
    } larger = {hand_vtable(), 1};
    larger.vtable.struct_size = (uint32_t)sizeof larger;
    assert_status(execq_executor_from_vtable(&larger.vtable, &h, &executor), EXECQ_ENOTSUP);
    assert_int_equal(counter_get(&h.drops), 4);
    assert_null(executor);
    assert_status(execq_engine_task_run(NULL), EXECQ_EINVAL);
    assert_status(execq_engine_task_begin(NULL), EXECQ_EINVAL);
    assert_status(execq_engine_task_resolve(NULL, NULL), EXECQ_EINVAL);
    assert_status(execq_engine_task_reject(NULL, 1, NULL), EXECQ_EINVAL);
    assert_status(execq_engine_task_cancel(NULL), EXECQ_EINVAL);
    assert_status(execq_engine_task_cancel_requested(NULL), EXECQ_EINVAL);
    assert_status(execq_engine_task_info_get(NULL, NULL), EXECQ_EINVAL);
    execq_engine_task_retain(NULL);
    execq_engine_task_release(NULL);
}

static void all_but_submit_may_be_missing(void **state)
{
    (void)state;
    hand h;
    counter runs = {0};
    memset(&h, 0, sizeof h);
    execq_engine_vtable vtable = EXECQ_ENGINE_VTABLE_INIT;
    vtable.submit = hand_submit;
    assert_status(execq_executor_from_vtable(&vtable, &h, &h.executor), EXECQ_OK);
    execq_future *future = submit(&h, &runs, NULL);
    assert_status(execq_future_cancel(future), EXECQ_OK);
    assert_status(execq_engine_task_run(h.taken[0]), EXECQ_ECANCELED);
    execq_future_release(future);
    assert_status(execq_executor_close(h.executor, EXECQ_CANCEL), EXECQ_OK);
    assert_status(execq_executor_join(h.executor, 0, NULL), EXECQ_OK);
    execq_executor_release(h.executor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_runs_once),
        cmocka_unit_test(a_task_may_end_elsewhere),
        cmocka_unit_test(a_task_that_is_asked_to_stop_may_end_canceled),
        cmocka_unit_test(the_engine_hears_of_a_task_that_is_canceled_before_it_begins),
        cmocka_unit_test(a_deadline_cancels_what_has_not_begun_and_asks_what_has),
        cmocka_unit_test(hints_come_with_the_task),
        cmocka_unit_test(a_queue_hands_over_the_next_once_the_one_before_has_begun),
        cmocka_unit_test(what_the_engine_refuses_is_refused),
        cmocka_unit_test(a_close_with_cancel_cancels_here_and_asks_the_rest),
        cmocka_unit_test(a_close_inside_of_submit_cancels_that_task),
        cmocka_unit_test(tasks_keep_a_released_executor),
        cmocka_unit_test(an_engine_that_helps_runs_in_a_wait_what_is_waited_for),
        cmocka_unit_test(a_report_and_the_statistics_tell_what_the_engine_has),
        cmocka_unit_test(bad_tables_are_rejected_and_the_engine_is_dropped),
        cmocka_unit_test(all_but_submit_may_be_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
