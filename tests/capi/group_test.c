/* Groups: joins, failures, cancellation, deadlines, limits, nesting. */
#include "capi.h"

typedef struct family {
    execq_executor *executor;
    execq_group *group;
    atomic_int count;
    int levels;
    execq_status seen;
} family;

static execq_group *group_new(const execq_group_options *options)
{
    execq_group *group = NULL;
    assert_status(execq_group_new(options, &group), EXECQ_OK);
    assert_non_null(group);
    return group;
}

static execq_group *group_in(execq_group *parent)
{
    execq_group_options options = EXECQ_GROUP_OPTIONS_INIT;
    options.parent = parent;
    return group_new(&options);
}

static int32_t count_up(void *env, void **result)
{
    (void)result;
    atomic_fetch_add((atomic_int *)env, 1);
    return 0;
}

static int32_t fail_with_seven(void *env, void **result)
{
    (void)env;
    (void)result;
    return execq_fail(7, "seven");
}

/* Runs until it is asked to stop. */
static int32_t until_asked(void *env, void **result)
{
    (void)result;
    atomic_fetch_add((atomic_int *)env, 1);
    while (!execq_cancel_requested())
        sched_yield();
    return EXECQ_ECANCELED;
}

static void await_count(atomic_int *count, int n)
{
    while (atomic_load(count) < n)
        sched_yield();
}

static void bad_arguments_are_refused(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    execq_group *out = UNTOUCHED;
    execq_group_options options = EXECQ_GROUP_OPTIONS_INIT;
    assert_status(execq_group_new(NULL, NULL), EXECQ_EINVAL);
    options.struct_size = 3;
    assert_status(execq_group_new(&options, &out), EXECQ_EINVAL);
    options = (execq_group_options)EXECQ_GROUP_OPTIONS_INIT;
    options.flags = 2;
    assert_status(execq_group_new(&options, &out), EXECQ_ENOTSUP);
    options.flags = 0;
    options.reserved = 1;
    assert_status(execq_group_new(&options, &out), EXECQ_EINVAL);
    options.reserved = 0;
    options.executor = executor;
    assert_status(execq_group_new(&options, &out), EXECQ_EINVAL);
    assert_ptr_equal(out, UNTOUCHED);

    assert_status(execq_group_submit(NULL, executor, NULL, give_env, NULL, NULL), EXECQ_EINVAL);
    assert_status(execq_group_cancel(NULL), EXECQ_EINVAL);
    assert_status(execq_group_join(NULL, 0), EXECQ_EINVAL);
    assert_null(execq_group_error(NULL));
    assert_int_equal(execq_group_cancel_reason(NULL), EXECQ_EINVAL);
    execq_group_retain(NULL);
    execq_group_release(NULL);

    execq_group *one = group_new(NULL);
    execq_group *other = group_new(NULL);
    execq_task_options task = EXECQ_TASK_OPTIONS_INIT;
    task.group = other;
    assert_status(execq_group_submit(one, executor, NULL, NULL, NULL, NULL), EXECQ_EINVAL);
    assert_status(execq_group_submit(one, executor, &task, give_env, NULL, NULL), EXECQ_EINVAL);
    assert_status(execq_group_submit(other, executor, &task, give_env, NULL, NULL), EXECQ_OK);
    assert_status(execq_group_join(other, -1), EXECQ_OK);
    execq_group_release(one);
    execq_group_release(other);
    pool_end(executor);
}

static void a_join_waits_for_all_and_closes(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(2);
    execq_group *group = group_new(NULL);
    atomic_int ran = 0;
    for (int i = 0; i < 100; ++i)
        assert_status(execq_group_submit(group, executor, NULL, count_up, &ran, NULL), EXECQ_OK);
    assert_status(execq_group_join(group, -1), EXECQ_OK);
    assert_int_equal(atomic_load(&ran), 100);
    assert_status(execq_group_join(group, -1), EXECQ_OK);
    assert_status(execq_group_submit(group, executor, NULL, count_up, &ran, NULL), EXECQ_ECLOSED);
    assert_status(execq_group_cancel(group), EXECQ_EALREADY);
    execq_group_options inner = EXECQ_GROUP_OPTIONS_INIT;
    inner.parent = group;
    execq_group *none = UNTOUCHED;
    assert_status(execq_group_new(&inner, &none), EXECQ_ECLOSED);
    assert_ptr_equal(none, UNTOUCHED);
    execq_group_release(group);
    pool_end(executor);
}

static void the_first_failure_cancels_the_others(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(2);
    execq_group *group = group_new(NULL);
    atomic_int running = 0;
    execq_future *asked = NULL;
    assert_status(execq_group_submit(group, executor, NULL, until_asked, &running, &asked), EXECQ_OK);
    await_count(&running, 1);
    gate g;
    gate_init(&g);
    execq_future *busy = occupy(executor, &g);
    execq_future *failed = NULL;
    execq_future *unstarted = NULL;
    assert_status(execq_group_submit(group, executor, NULL, fail_with_seven, NULL, &failed), EXECQ_OK);
    assert_status(execq_group_submit(group, executor, NULL, count_up, &running, &unstarted), EXECQ_OK);
    /* Both workers are taken: nothing has started. */
    assert_status(execq_group_join(group, 0), EXECQ_ETIMEDOUT);
    gate_open(&g, 1);
    assert_status(execq_group_join(group, -1), EXECQ_EFAILED);
    assert_int_equal(execq_error_code(execq_group_error(group)), 7);
    assert_string_equal(execq_error_message(execq_group_error(group)), "seven");
    assert_int_equal(execq_future_state(asked), EXECQ_FUTURE_CANCELED);
    assert_int_equal(execq_future_cancel_reason(asked), EXECQ_REASON_GROUP);
    assert_int_equal(execq_group_cancel_reason(group), EXECQ_REASON_GROUP);
    assert_true(execq_future_state(unstarted) >= EXECQ_FUTURE_OK);
    finish(busy);
    execq_future_release(asked);
    execq_future_release(failed);
    execq_future_release(unstarted);
    execq_group_release(group);
    pool_end(executor);
}

/* One worker: the failure comes first, those behind it never start, whatever else there is. */
static void what_has_not_started_never_runs_after_a_failure(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    gate g;
    gate_init(&g);
    execq_future *busy = occupy(executor, &g);
    execq_group *group = group_new(NULL);
    execq_group *inner = group_in(group);
    atomic_int ran = 0;
    execq_future *failed = NULL;
    execq_future *siblings[4] = {NULL};
    assert_status(execq_group_submit(group, executor, NULL, fail_with_seven, NULL, &failed), EXECQ_OK);
    for (size_t i = 0; i < COUNT_OF(siblings); ++i)
        assert_status(execq_group_submit(i % 2 == 0 ? group : inner, executor, NULL, count_up, &ran, &siblings[i]),
                      EXECQ_OK);
    execq_future *stranger = spawn(executor, count_up, &ran);
    gate_open(&g, 1);
    assert_status(execq_group_join(group, -1), EXECQ_EFAILED);
    for (size_t i = 0; i < COUNT_OF(siblings); ++i) {
        assert_int_equal(execq_future_state(siblings[i]), EXECQ_FUTURE_CANCELED);
        assert_int_equal(execq_future_cancel_reason(siblings[i]), EXECQ_REASON_GROUP);
        execq_future_release(siblings[i]);
    }
    finish(stranger);
    assert_int_equal(atomic_load(&ran), 1);
    assert_int_equal(execq_group_cancel_reason(inner), EXECQ_REASON_GROUP);
    finish(busy);
    execq_future_release(failed);
    execq_group_release(inner);
    execq_group_release(group);
    pool_end(executor);
}

/* The join finds the task, which has a completion from before its submission, and runs it in place. */
static int32_t join_with_a_completion(void *env, void **result)
{
    (void)result;
    family *self = env;
    execq_cq *cq = NULL;
    must(execq_cq_new(&cq) == EXECQ_OK);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.group = self->group;
    must(execq_submit_to_cq(self->executor, &options, count_up, &self->count, cq, self) == EXECQ_OK);
    must(execq_group_join(self->group, -1) == EXECQ_OK);
    execq_completion got;
    size_t n = 0;
    must(execq_cq_drain(cq, &got, 1, &n) == EXECQ_OK && n == 1 && got.tag == self && got.status == EXECQ_OK);
    execq_future_release(got.future);
    execq_cq_release(cq);
    return 0;
}

static void a_join_may_run_what_goes_to_a_queue(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    family all = {.executor = executor, .group = group_new(NULL)};
    for (int i = 0; i < 3; ++i)
        finish(spawn(executor, do_nothing, NULL));
    finish(spawn(executor, join_with_a_completion, &all));
    assert_int_equal(atomic_load(&all.count), 1);
    execq_group_release(all.group);
    pool_end(executor);
}

static void a_group_may_keep_going(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    execq_group_options options = EXECQ_GROUP_OPTIONS_INIT;
    options.flags = EXECQ_GROUP_KEEP_GOING;
    execq_group *group = group_new(&options);
    atomic_int ran = 0;
    assert_status(execq_group_submit(group, executor, NULL, fail_with_seven, NULL, NULL), EXECQ_OK);
    for (int i = 0; i < 10; ++i)
        assert_status(execq_group_submit(group, executor, NULL, count_up, &ran, NULL), EXECQ_OK);
    assert_status(execq_group_join(group, -1), EXECQ_EFAILED);
    assert_int_equal(atomic_load(&ran), 10);
    execq_group_release(group);
    pool_end(executor);
}

static int32_t join_own_group(void *env, void **result)
{
    (void)result;
    family *self = env;
    self->seen = execq_group_join(self->group, -1);
    return 0;
}

static void a_join_by_an_own_task_is_a_deadlock(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    family all = {.executor = executor, .group = group_new(NULL)};
    execq_group *inner = group_in(all.group);
    assert_status(execq_group_submit(inner, executor, NULL, join_own_group, &all, NULL), EXECQ_OK);
    assert_status(execq_group_join(inner, -1), EXECQ_OK);
    assert_status(all.seen, EXECQ_EDEADLK);
    all.seen = EXECQ_OK;
    assert_status(execq_group_submit(all.group, executor, NULL, join_own_group, &all, NULL), EXECQ_OK);
    assert_status(execq_group_join(all.group, -1), EXECQ_OK);
    assert_status(all.seen, EXECQ_EDEADLK);
    execq_group_release(inner);
    execq_group_release(all.group);
    pool_end(executor);
}

static int32_t cancel_own_group(void *env, void **result)
{
    (void)result;
    family *self = env;
    must(!execq_cancel_requested());
    must(execq_group_cancel(self->group) == EXECQ_OK);
    must(execq_group_cancel(self->group) == EXECQ_EALREADY);
    must(execq_cancel_requested());
    self->seen = execq_group_submit(self->group, self->executor, NULL, give_env, NULL, NULL);
    return EXECQ_ECANCELED;
}

static void a_group_may_be_canceled_by_its_own_task(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    /* Often: it may do so before its own submission has returned. */
    for (int i = 0; i < 500; ++i) {
        family all = {.executor = executor, .group = group_new(NULL)};
        assert_status(execq_group_submit(all.group, executor, NULL, cancel_own_group, &all, NULL), EXECQ_OK);
        assert_status(execq_group_join(all.group, -1), EXECQ_ECANCELED);
        assert_status(all.seen, EXECQ_ECLOSED);
        execq_group_release(all.group);
    }
    pool_end(executor);
}

static int32_t add_siblings(void *env, void **result)
{
    (void)result;
    family *self = env;
    if (atomic_fetch_add(&self->count, 1) < self->levels)
        must(execq_group_submit(self->group, self->executor, NULL, add_siblings, self, NULL) == EXECQ_OK);
    return 0;
}

static void tasks_may_add_others(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(2);
    family all = {.executor = executor, .group = group_new(NULL), .levels = 1000};
    assert_status(execq_group_submit(all.group, executor, NULL, add_siblings, &all, NULL), EXECQ_OK);
    assert_status(execq_group_join(all.group, -1), EXECQ_OK);
    assert_int_equal(atomic_load(&all.count), 1001);
    execq_group_release(all.group);
    pool_end(executor);
}

static void canceling_the_outer_group_cancels_the_inner_one(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    execq_group *outer = group_new(NULL);
    execq_group *middle = group_in(outer);
    execq_group *inner = group_in(middle);
    atomic_int running = 0;
    execq_future *future = NULL;
    assert_status(execq_group_submit(inner, executor, NULL, until_asked, &running, &future), EXECQ_OK);
    await_count(&running, 1);
    assert_status(execq_group_join(outer, MILLISECOND), EXECQ_ETIMEDOUT);
    assert_status(execq_group_cancel(outer), EXECQ_OK);
    assert_status(execq_group_submit(inner, executor, NULL, count_up, &running, NULL), EXECQ_ECLOSED);
    assert_status(execq_group_join(outer, -1), EXECQ_ECANCELED);
    assert_int_equal(execq_future_state(future), EXECQ_FUTURE_CANCELED);
    assert_status(execq_group_join(inner, -1), EXECQ_ECANCELED);
    assert_int_equal(execq_group_cancel_reason(inner), EXECQ_REASON_GROUP);
    execq_future_release(future);
    execq_group_release(outer);
    execq_group_release(middle);
    execq_group_release(inner);
    pool_end(executor);
}

static void what_an_inner_group_leaves_goes_to_the_outer_one(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    execq_group *outer = group_new(NULL);
    execq_group *inner = group_in(outer);
    assert_status(execq_group_submit(inner, executor, NULL, fail_with_seven, NULL, NULL), EXECQ_OK);
    execq_group_release(inner);
    assert_status(execq_group_join(outer, -1), EXECQ_EFAILED);
    assert_int_equal(execq_error_code(execq_group_error(outer)), 7);
    execq_group_release(outer);
    pool_end(executor);
}

static void a_deadline_cancels(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    execq_group_options options = EXECQ_GROUP_OPTIONS_INIT;
    options.timeout_ns = MILLISECOND;
    execq_group *group = group_new(&options);
    atomic_int running = 0;
    /* Either way it ends by the deadline: before it began, or in it. */
    const execq_status status = execq_group_submit(group, executor, NULL, until_asked, &running, NULL);
    assert_true(status == EXECQ_OK || status == EXECQ_ECLOSED);
    while (execq_group_cancel_reason(group) == EXECQ_REASON_NONE)
        sched_yield();
    assert_status(execq_group_join(group, -1), EXECQ_ECANCELED);
    assert_int_equal(execq_group_cancel_reason(group), EXECQ_REASON_DEADLINE);
    execq_group_release(group);

    options.timeout_ns = INT64_MAX; /* its timer goes with the join */
    group = group_new(&options);
    assert_status(execq_group_join(group, -1), EXECQ_OK);
    execq_group_release(group);
    pool_end(executor);
}

static void a_deadline_that_is_over_cancels_from_the_start(void **state)
{
    (void)state;
    execq_group_options options = EXECQ_GROUP_OPTIONS_INIT;
    options.timeout_ns = -1;
    execq_group *group = group_new(&options);
    execq_group_retain(group);
    execq_group_release(group);
    while (execq_group_cancel_reason(group) == EXECQ_REASON_NONE)
        sched_yield();
    assert_int_equal(execq_group_cancel_reason(group), EXECQ_REASON_DEADLINE);
    assert_status(execq_group_submit(group, NULL, NULL, give_env, NULL, NULL), EXECQ_ECLOSED);
    assert_status(execq_group_join(group, -1), EXECQ_ECANCELED);
    execq_group_release(group);
}

/* A limit without an executor is for the one that NULL stands for when the group is made. */
static void a_limit_is_for_the_default_executor_where_none_is_given(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = pool_new(4);
    execq_conf conf = EXECQ_CONF_INIT;
    conf.executor = executor;
    assert_status(execq_init_conf(&conf), EXECQ_OK);
    execq_group_options options = EXECQ_GROUP_OPTIONS_INIT;
    options.max_in_flight = 1;
    execq_group *group = group_new(&options);
    execq_future *second = NULL;
    assert_status(execq_group_submit(group, executor, NULL, gate_fn, &g, NULL), EXECQ_OK);
    assert_status(execq_group_submit(group, NULL, NULL, do_nothing, NULL, &second), EXECQ_OK);
    gate_await(&g, 1);
    assert_int_equal(execq_future_state(second), EXECQ_FUTURE_PENDING);
    gate_open(&g, 1);
    assert_status(execq_group_join(group, -1), EXECQ_OK);
    assert_int_equal(execq_future_state(second), EXECQ_FUTURE_OK);
    execq_future_release(second);
    execq_group_release(group);
    conf = (execq_conf)EXECQ_CONF_INIT;
    conf.flags = EXECQ_CONF_CLEAR_EXECUTOR;
    assert_status(execq_init_conf(&conf), EXECQ_OK);
    pool_end(executor);
    gate_destroy(&g);
}

typedef struct meter {
    atomic_int now;
    atomic_int most;
} meter;

static int32_t note_most(void *env, void **result)
{
    (void)result;
    meter *self = env;
    const int now = atomic_fetch_add(&self->now, 1) + 1;
    int most = atomic_load(&self->most);
    while (most < now && !atomic_compare_exchange_weak(&self->most, &most, now)) {
    }
    sched_yield();
    atomic_fetch_sub(&self->now, 1);
    return 0;
}

static void a_limit_is_kept(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(4);
    execq_executor *other = pool_new(1);
    execq_group_options options = EXECQ_GROUP_OPTIONS_INIT;
    options.executor = executor;
    options.max_in_flight = 2;
    execq_group *group = group_new(&options);
    meter all = {0, 0};
    for (int i = 0; i < 500; ++i)
        assert_status(execq_group_submit(group, NULL, NULL, note_most, &all, NULL), EXECQ_OK);
    assert_status(execq_group_submit(group, other, NULL, note_most, &all, NULL), EXECQ_EINVAL);
    execq_queue *queue = NULL;
    assert_status(execq_queue_new(executor, NULL, &queue), EXECQ_OK);
    execq_task_options task = EXECQ_TASK_OPTIONS_INIT;
    task.queue = queue;
    assert_status(execq_group_submit(group, NULL, &task, note_most, &all, NULL), EXECQ_EINVAL);
    assert_status(execq_group_join(group, -1), EXECQ_OK);
    assert_true(atomic_load(&all.most) <= 2);
    execq_queue_release(queue);
    execq_group_release(group);
    pool_end(other);
    pool_end(executor);
}

static int32_t nest(void *env, void **result)
{
    (void)result;
    family *self = env;
    if (atomic_fetch_add(&self->count, 1) == self->levels)
        return 0;
    family inner = {.executor = self->executor, .levels = self->levels};
    atomic_store(&inner.count, atomic_load(&self->count));
    execq_group_options options = EXECQ_GROUP_OPTIONS_INIT;
    options.parent = self->group;
    must(execq_group_new(&options, &inner.group) == EXECQ_OK);
    must(execq_group_submit(inner.group, self->executor, NULL, nest, &inner, NULL) == EXECQ_OK);
    const execq_status status = execq_group_join(inner.group, -1);
    execq_group_release(inner.group);
    atomic_store(&self->count, atomic_load(&inner.count));
    return status;
}

static void a_thousand_nested_groups_need_one_worker(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    family outer = {.executor = executor, .group = group_new(NULL), .levels = 1000};
    assert_status(execq_group_submit(outer.group, executor, NULL, nest, &outer, NULL), EXECQ_OK);
    assert_status(execq_group_join(outer.group, -1), EXECQ_OK);
    assert_int_equal(atomic_load(&outer.count), 1001);
    execq_group_release(outer.group);
    pool_end(executor);
}

static void *join_on_thread(void *env)
{
    family *self = env;
    must(execq_group_join(self->group, -1) == EXECQ_EFAILED);
    must(execq_error_code(execq_group_error(self->group)) == 7);
    return NULL;
}

static void several_may_join(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    family all = {.executor = executor, .group = group_new(NULL)};
    gate g;
    gate_init(&g);
    execq_future *busy = occupy(executor, &g);
    assert_status(execq_group_submit(all.group, executor, NULL, fail_with_seven, NULL, NULL), EXECQ_OK);
    pthread_t threads[4];
    for (size_t i = 0; i < COUNT_OF(threads); ++i)
        threads[i] = thread_start(join_on_thread, &all);
    gate_open(&g, 1);
    for (size_t i = 0; i < COUNT_OF(threads); ++i)
        pthread_join(threads[i], NULL);
    finish(busy);
    execq_group_release(all.group);
    pool_end(executor);
}

static void released_without_a_join_its_tasks_go_on(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    execq_group *group = group_new(NULL);
    atomic_int ran = 0;
    for (int i = 0; i < 10; ++i)
        assert_status(execq_group_submit(group, executor, NULL, count_up, &ran, NULL), EXECQ_OK);
    execq_group_release(group);
    pool_end(executor);
    assert_int_equal(atomic_load(&ran), 10);
}

/* Nobody can join it any more, so that it ends with its last task, and what is inside of it does. */
static void an_outer_group_that_is_given_up_closes_the_idle_ones_inside(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    static gate g;
    for (int busy = 0; busy < 2; busy++) {
        gate_init(&g);
        execq_group *outer = group_new(NULL);
        execq_group *inner = group_in(outer);
        execq_group *sibling = group_in(outer);
        atomic_int ran = 0;
        if (busy) {
            assert_status(execq_group_submit(inner, executor, NULL, gate_fn, &g, NULL), EXECQ_OK);
            gate_await(&g, 1);
        }
        execq_group_release(outer);
        const execq_status answer = busy ? EXECQ_OK : EXECQ_ECLOSED;
        assert_status(execq_group_submit(inner, executor, NULL, count_up, &ran, NULL), answer);
        assert_status(execq_group_submit(sibling, executor, NULL, count_up, &ran, NULL), answer);
        gate_open(&g, 1);
        assert_status(execq_group_join(inner, -1), EXECQ_OK);
        assert_status(execq_group_join(sibling, -1), EXECQ_OK);
        assert_int_equal(atomic_load(&ran), busy ? 2 : 0);
        execq_group_options options = EXECQ_GROUP_OPTIONS_INIT;
        options.parent = sibling;
        execq_group *late = NULL;
        assert_status(execq_group_new(&options, &late), EXECQ_ECLOSED);
        assert_null(late);
        execq_group_release(inner);
        execq_group_release(sibling);
        gate_destroy(&g);
    }
    pool_end(executor);
}

static void a_task_that_was_canceled_alone_is_told_of(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    execq_group *group = group_new(NULL);
    gate g;
    gate_init(&g);
    execq_future *busy = occupy(executor, &g);
    atomic_int ran = 0;
    execq_future *one = NULL;
    assert_status(execq_group_submit(group, executor, NULL, count_up, &ran, &one), EXECQ_OK);
    assert_status(execq_group_submit(group, executor, NULL, count_up, &ran, NULL), EXECQ_OK);
    assert_status(execq_future_cancel(one), EXECQ_OK);
    gate_open(&g, 1);
    assert_status(execq_group_join(group, -1), EXECQ_ECANCELED);
    assert_int_equal(execq_group_cancel_reason(group), EXECQ_REASON_CALLER);
    assert_int_equal(atomic_load(&ran), 1);
    finish(busy);
    execq_future_release(one);
    execq_group_release(group);
    pool_end(executor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_arguments_are_refused),
        cmocka_unit_test(a_join_waits_for_all_and_closes),
        cmocka_unit_test(the_first_failure_cancels_the_others),
        cmocka_unit_test(what_has_not_started_never_runs_after_a_failure),
        cmocka_unit_test(a_join_may_run_what_goes_to_a_queue),
        cmocka_unit_test(a_group_may_keep_going),
        cmocka_unit_test(a_join_by_an_own_task_is_a_deadlock),
        cmocka_unit_test(a_group_may_be_canceled_by_its_own_task),
        cmocka_unit_test(tasks_may_add_others),
        cmocka_unit_test(canceling_the_outer_group_cancels_the_inner_one),
        cmocka_unit_test(what_an_inner_group_leaves_goes_to_the_outer_one),
        cmocka_unit_test(a_deadline_cancels),
        cmocka_unit_test(a_deadline_that_is_over_cancels_from_the_start),
        cmocka_unit_test(a_limit_is_for_the_default_executor_where_none_is_given),
        cmocka_unit_test(a_limit_is_kept),
        cmocka_unit_test(a_thousand_nested_groups_need_one_worker),
        cmocka_unit_test(several_may_join),
        cmocka_unit_test(released_without_a_join_its_tasks_go_on),
        cmocka_unit_test(an_outer_group_that_is_given_up_closes_the_idle_ones_inside),
        cmocka_unit_test(a_task_that_was_canceled_alone_is_told_of),
    };
    return cmocka_run_group_tests_name("capi.group", tests, NULL, NULL);
}
