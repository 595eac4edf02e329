/* Each kind of submission as a member of a group: until its end, canceled, refused by a closed one; groups of sources. */
#include "capi.h"

#include "uv_loop.h"

typedef struct scene {
    execq_executor *executor;
    attached loop;
    execq_cq *cq;
    execq_group *group;
    gate inside;
    counter ran;
    counter dropped;
    counter told;      /* done callbacks */
    counter forgotten; /* done_env drops */
    execq_promise *promise;
} scene;

static execq_group *group_new(const execq_group_options *options)
{
    execq_group *group = NULL;
    assert_status(execq_group_new(options, &group), EXECQ_OK);
    return group;
}

static execq_cancel_source *source_new(execq_cancel_source *parent)
{
    execq_cancel_source_options options = EXECQ_CANCEL_SOURCE_OPTIONS_INIT;
    options.parent = parent;
    execq_cancel_source *source = NULL;
    assert_status(execq_cancel_source_new(&options, &source), EXECQ_OK);
    return source;
}

static execq_group *group_of(execq_cancel_source *source, execq_group *parent)
{
    execq_group_options options = EXECQ_GROUP_OPTIONS_INIT;
    options.cancel_source = source;
    options.parent = parent;
    return group_new(&options);
}

static scene *scene_new(void)
{
    scene *s = calloc(1, sizeof *s);
    s->executor = pool_new(2);
    attached_open(&s->loop);
    assert_status(execq_cq_new(&s->cq), EXECQ_OK);
    s->group = group_new(NULL);
    gate_init(&s->inside);
    return s;
}

static void scene_end(scene *s)
{
    execq_group_release(s->group);
    pool_end(s->executor);
    attached_close(&s->loop);
    execq_completion got[8];
    size_t n = 0;
    do {
        assert_status(execq_cq_drain(s->cq, got, COUNT_OF(got), &n), EXECQ_OK);
        for (size_t i = 0; i < n; i++)
            execq_future_release(got[i].future);
    } while (n != 0);
    execq_cq_release(s->cq);
    gate_destroy(&s->inside);
    free(s);
}

static void dropped(void *env) { counter_hit(&((scene *)env)->dropped); }
static void forgotten(void *env) { counter_hit(&((scene *)env)->forgotten); }

static void told(execq_future *future, void *env)
{
    (void)future;
    counter_hit(&((scene *)env)->told);
}

/* Says that it runs, and goes on when it is let, or asked to stop. */
static int32_t body(void *env, void **result)
{
    scene *s = env;
    (void)result;
    counter_hit(&s->ran);
    gate_pass(&s->inside);
    return execq_cancel_requested() ? EXECQ_ECANCELED : 0;
}

static void start(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    scene *s = env;
    (void)loop;
    counter_hit(&s->ran);
    s->promise = promise;
    gate_pass(&s->inside);
}

typedef execq_status (*submission)(scene *s, const execq_task_options *options, execq_future **out);

static execq_status by_submit(scene *s, const execq_task_options *options, execq_future **out)
{
    return execq_submit_with(s->executor, options, body, s, out);
}
static execq_status by_to_loop(scene *s, const execq_task_options *options, execq_future **out)
{
    (void)out;
    return execq_submit_to_loop(s->executor, options, body, s, s->loop.port, told, s, forgotten);
}
static execq_status by_to_cq(scene *s, const execq_task_options *options, execq_future **out)
{
    (void)out;
    return execq_submit_to_cq(s->executor, options, body, s, s->cq, s);
}
static execq_status by_many(scene *s, const execq_task_options *options, execq_future **out)
{
    void *env = s;
    return execq_submit_many(s->executor, options, 1, body, &env, out);
}
static execq_status by_async(scene *s, const execq_task_options *options, execq_future **out)
{
    return execq_submit_async(s->executor, options, start, s, out);
}
static execq_status by_periodic(scene *s, const execq_task_options *options, execq_future **out)
{
    return execq_submit_periodic(s->executor, options, MILLISECOND, EXECQ_FIXED_DELAY, body, s, out);
}
static execq_status by_loop(scene *s, const execq_task_options *options, execq_future **out)
{
    return execq_loop_submit(s->loop.port, options, body, s, out);
}

static const submission on_workers[] = {by_submit, by_to_loop, by_to_cq, by_many};
static const submission all_kinds[] = {by_submit, by_to_loop, by_to_cq, by_many, by_async, by_periodic, by_loop};

static execq_task_options in_group(const scene *s)
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.group = s->group;
    options.drop = dropped;
    return options;
}

static void each_is_a_member_until_it_ends(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(on_workers); i++) {
        scene *s = scene_new();
        const execq_task_options options = in_group(s);
        assert_status(on_workers[i](s, &options, NULL), EXECQ_OK);
        gate_await(&s->inside, 1);
        assert_status(execq_group_join(s->group, 0), EXECQ_ETIMEDOUT);
        gate_open(&s->inside, 1);
        assert_status(execq_group_join(s->group, -1), EXECQ_OK);
        assert_int_equal(counter_get(&s->ran), 1);
        assert_int_equal(counter_get(&s->dropped), 1);
        scene_end(s);
    }
}

static void each_that_runs_is_asked_to_stop(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(on_workers); i++) {
        scene *s = scene_new();
        const execq_task_options options = in_group(s);
        assert_status(on_workers[i](s, &options, NULL), EXECQ_OK);
        gate_await(&s->inside, 1);
        assert_status(execq_group_cancel(s->group), EXECQ_OK);
        assert_status(execq_group_join(s->group, 0), EXECQ_ETIMEDOUT);
        gate_open(&s->inside, 1);
        assert_status(execq_group_join(s->group, -1), EXECQ_ECANCELED);
        assert_int_equal(counter_get(&s->dropped), 1);
        scene_end(s);
    }
}

/* No thread is free, and the loop does not run. */
static void each_that_has_not_started_never_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(all_kinds); i++) {
        scene *s = scene_new();
        gate busy;
        gate_init(&busy);
        execq_future *blockers[] = {occupy(s->executor, &busy), occupy(s->executor, &busy)};
        const execq_task_options options = in_group(s);
        assert_status(all_kinds[i](s, &options, NULL), EXECQ_OK);
        assert_status(execq_group_join(s->group, 0), EXECQ_ETIMEDOUT);
        assert_status(execq_group_cancel(s->group), EXECQ_OK);
        assert_status(execq_group_join(s->group, -1), EXECQ_ECANCELED);
        assert_int_equal(counter_get(&s->ran), 0);
        assert_int_equal(counter_get(&s->dropped), 1);
        gate_open(&busy, 2);
        finish(blockers[0]);
        finish(blockers[1]);
        if (all_kinds[i] == by_to_loop) {
            while (counter_get(&s->forgotten) == 0)
                uv_run(&s->loop.loop, UV_RUN_ONCE);
            assert_int_equal(counter_get(&s->told), 1);
        }
        scene_end(s);
        gate_destroy(&busy);
    }
}

static void a_closed_group_refuses_each(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(all_kinds); i++) {
        for (int joined = 0; joined < 2; joined++) {
            scene *s = scene_new();
            const execq_task_options options = in_group(s);
            execq_future *out = UNTOUCHED;
            if (joined)
                assert_status(execq_group_join(s->group, -1), EXECQ_OK);
            else
                assert_status(execq_group_cancel(s->group), EXECQ_OK);
            assert_status(all_kinds[i](s, &options, &out), EXECQ_ECLOSED);
            assert_ptr_equal(out, UNTOUCHED);
            assert_int_equal(counter_get(&s->dropped), 1);
            assert_int_equal(counter_get(&s->forgotten), all_kinds[i] == by_to_loop ? 1 : 0);
            assert_int_equal(counter_get(&s->told), 0);
            assert_status(execq_group_join(s->group, 0), joined ? EXECQ_OK : EXECQ_ECANCELED);
            scene_end(s);
        }
    }
}

static void an_asynchronous_task_is_a_member_until_its_promise_is_completed(void **state)
{
    (void)state;
    for (int canceled = 0; canceled < 2; canceled++) {
        scene *s = scene_new();
        const execq_task_options options = in_group(s);
        assert_status(by_async(s, &options, NULL), EXECQ_OK);
        gate_await(&s->inside, 1);
        gate_open(&s->inside, 1);
        if (canceled)
            assert_status(execq_group_cancel(s->group), EXECQ_OK);
        assert_status(execq_group_join(s->group, 0), EXECQ_ETIMEDOUT);
        assert_int_equal(execq_promise_cancel_requested(s->promise), canceled);
        assert_status(canceled ? execq_promise_reject(s->promise, EXECQ_ECANCELED, NULL)
                               : execq_promise_resolve(s->promise, NULL),
                      EXECQ_OK);
        execq_promise_release(s->promise);
        assert_status(execq_group_join(s->group, -1), canceled ? EXECQ_ECANCELED : EXECQ_OK);
        assert_int_equal(counter_get(&s->dropped), 1);
        scene_end(s);
    }
}

static void a_series_is_a_member_from_run_to_run(void **state)
{
    (void)state;
    scene *s = scene_new();
    const execq_task_options options = in_group(s);
    assert_status(by_periodic(s, &options, NULL), EXECQ_OK);
    for (int i = 0; i < 3; i++) {
        assert_status(execq_group_join(s->group, 0), EXECQ_ETIMEDOUT);
        gate_await(&s->inside, 1);
        gate_open(&s->inside, 1);
    }
    gate_await(&s->inside, 1);
    assert_status(execq_group_cancel(s->group), EXECQ_OK);
    gate_open(&s->inside, 1);
    assert_status(execq_group_join(s->group, -1), EXECQ_ECANCELED);
    assert_int_equal(counter_get(&s->ran), 4);
    assert_int_equal(counter_get(&s->dropped), 1);
    scene_end(s);
}

static void *open_one(void *env)
{
    scene *s = env;
    gate_await(&s->inside, 1);
    must(execq_group_join(s->group, 0) == EXECQ_ETIMEDOUT);
    gate_open(&s->inside, 1);
    must(execq_group_join(s->group, -1) == EXECQ_OK);
    return NULL;
}

static void a_task_on_a_loop_is_a_member_until_it_ends(void **state)
{
    (void)state;
    scene *s = scene_new();
    const execq_task_options options = in_group(s);
    assert_status(by_loop(s, &options, NULL), EXECQ_OK);
    pthread_t other = thread_start(open_one, s);
    while (counter_get(&s->dropped) == 0)
        uv_run(&s->loop.loop, UV_RUN_ONCE);
    pthread_join(other, NULL);
    assert_int_equal(counter_get(&s->ran), 1);
    scene_end(s);
}

/* A place is wanting for the third: none of them is a member. */
static void a_batch_is_in_the_group_in_full_or_not_at_all(void **state)
{
    (void)state;
    scene *s = scene_new();
    void *envs[] = {s, s, s};
    execq_executor_options small = EXECQ_EXECUTOR_OPTIONS_INIT;
    small.max_threads = 1;
    small.capacity = 3;
    small.full_policy = EXECQ_FULL_REJECT;
    execq_executor *bounded = NULL;
    assert_status(execq_executor_new(&small, &bounded), EXECQ_OK);
    gate busy;
    gate_init(&busy);
    execq_future *blocker = occupy(bounded, &busy);
    execq_future *waiting = spawn(bounded, do_nothing, NULL); /* takes a place */
    const execq_task_options options = in_group(s);
    execq_future *outs[] = {UNTOUCHED, UNTOUCHED, UNTOUCHED};
    assert_status(execq_submit_many(bounded, &options, 3, body, envs, outs), EXECQ_EFULL);
    assert_int_equal(counter_get(&s->dropped), 3);
    assert_ptr_equal(outs[0], UNTOUCHED);
    assert_status(execq_submit_many(bounded, &options, 2, body, envs, NULL), EXECQ_OK);
    assert_status(execq_group_join(s->group, 0), EXECQ_ETIMEDOUT);
    gate_open(&busy, 1);
    gate_open(&s->inside, 2);
    assert_status(execq_group_join(s->group, -1), EXECQ_OK);
    assert_status(execq_submit_many(bounded, &options, 2, body, envs, outs), EXECQ_ECLOSED);
    assert_int_equal(counter_get(&s->ran), 2);
    assert_int_equal(counter_get(&s->dropped), 7);
    finish(blocker);
    finish(waiting);
    gate_destroy(&busy);
    pool_end(bounded);
    scene_end(s);
}

/* The limit delays, it refuses nothing; what has an order of its own does not go through it. */
static void a_limit_is_for_tasks_on_workers(void **state)
{
    (void)state;
    scene *s = scene_new();
    execq_group_release(s->group);
    execq_group_options limited = EXECQ_GROUP_OPTIONS_INIT;
    limited.executor = s->executor;
    limited.max_in_flight = 1;
    s->group = group_new(&limited);
    const execq_task_options options = in_group(s);
    assert_status(by_periodic(s, &options, NULL), EXECQ_ENOTSUP);
    assert_status(by_loop(s, &options, NULL), EXECQ_ENOTSUP);
    assert_int_equal(counter_get(&s->dropped), 2);
    void *envs[] = {s, s, s};
    assert_status(execq_submit_many(s->executor, &options, 3, body, envs, NULL), EXECQ_OK);
    for (int i = 1; i <= 3; i++) {
        gate_await(&s->inside, 1);
        assert_int_equal(counter_get(&s->ran), i);
        gate_open(&s->inside, 1);
    }
    assert_status(execq_group_join(s->group, -1), EXECQ_OK);
    assert_int_equal(counter_get(&s->dropped), 5);
    scene_end(s);
}

/* ---- with a source ---- */

static void a_source_cancels_its_groups(void **state)
{
    (void)state;
    scene *s = scene_new();
    execq_cancel_source *top = source_new(NULL);
    execq_cancel_source *source = source_new(top);
    execq_group_release(s->group);
    s->group = group_of(source, NULL);
    execq_group *inner = group_of(NULL, s->group);
    execq_task_options options = in_group(s);
    options.group = inner;
    execq_future *running = NULL;
    assert_status(by_submit(s, &options, &running), EXECQ_OK);
    gate_await(&s->inside, 1);
    assert_status(execq_cancel_source_cancel(top), EXECQ_OK);
    assert_int_equal(execq_group_cancel_reason(s->group), EXECQ_REASON_CALLER);
    assert_int_equal(execq_group_cancel_reason(inner), EXECQ_REASON_CALLER);
    assert_status(by_submit(s, &options, NULL), EXECQ_ECLOSED);
    assert_status(execq_group_cancel(s->group), EXECQ_EALREADY);
    gate_open(&s->inside, 1);
    assert_status(execq_group_join(s->group, -1), EXECQ_ECANCELED);
    assert_int_equal(execq_future_state(running), EXECQ_FUTURE_CANCELED);
    assert_int_equal(execq_future_cancel_reason(running), EXECQ_REASON_CALLER);
    execq_future_release(running);
    execq_group_release(inner);
    execq_cancel_source_release(source);
    execq_cancel_source_release(top);
    scene_end(s);
}

static void a_source_of_an_inner_group_leaves_the_outer_one_alone(void **state)
{
    (void)state;
    execq_cancel_source *source = source_new(NULL);
    execq_group *outer = group_new(NULL);
    execq_group *inner = group_of(source, outer);
    assert_status(execq_cancel_source_cancel(source), EXECQ_OK);
    assert_status(execq_group_join(inner, -1), EXECQ_ECANCELED);
    assert_int_equal(execq_group_cancel_reason(outer), EXECQ_REASON_NONE);
    assert_status(execq_group_join(outer, -1), EXECQ_OK);
    execq_cancel_source_release(source);
    execq_group_release(inner);
    execq_group_release(outer);
}

static void a_group_of_a_canceled_source_is_canceled_from_the_start(void **state)
{
    (void)state;
    scene *s = scene_new();
    execq_cancel_source *source = source_new(NULL);
    assert_status(execq_cancel_source_cancel(source), EXECQ_OK);
    execq_group_release(s->group);
    execq_group_options options = EXECQ_GROUP_OPTIONS_INIT;
    options.cancel_source = source;
    options.timeout_ns = INT64_MAX; /* its timer ends, too */
    s->group = group_new(&options);
    const execq_task_options task = in_group(s);
    assert_status(by_submit(s, &task, NULL), EXECQ_ECLOSED);
    assert_status(execq_group_join(s->group, 0), EXECQ_ECANCELED);
    assert_int_equal(execq_group_cancel_reason(s->group), EXECQ_REASON_CALLER);
    options.parent = s->group;
    execq_group *none = UNTOUCHED;
    assert_status(execq_group_new(&options, &none), EXECQ_ECLOSED);
    assert_ptr_equal(none, UNTOUCHED);
    execq_cancel_source_release(source);
    scene_end(s);
}

/* The caller's references to the source may go first; and one that outlives its groups has nothing to do. */
static void the_link_ends_with_the_group(void **state)
{
    (void)state;
    counter gone = {0};
    execq_cancel_source *source = source_new(NULL);
    assert_status(execq_cancel_source_on_cancel(source, counter_hit, &gone, counter_hit, NULL), EXECQ_OK);
    execq_group *joined = group_of(source, NULL);
    execq_group *given_up = group_of(source, NULL);
    assert_status(execq_group_join(joined, -1), EXECQ_OK);
    execq_group_release(joined);
    execq_cancel_source_release(source);
    assert_int_equal(counter_get(&gone), 0);
    execq_group_release(given_up);
    assert_int_equal(counter_get(&gone), 1); /* dropped, not called */
}

/* Whichever cancels first says why, and it happens once. */
static void a_task_of_a_group_and_a_source_is_canceled_once(void **state)
{
    (void)state;
    for (int by_source = 0; by_source < 2; by_source++) {
        scene *s = scene_new();
        gate busy;
        gate_init(&busy);
        execq_future *blockers[] = {occupy(s->executor, &busy), occupy(s->executor, &busy)};
        execq_cancel_source *source = source_new(NULL);
        execq_task_options options = in_group(s);
        options.cancel_source = source;
        execq_future *future = NULL;
        assert_status(by_submit(s, &options, &future), EXECQ_OK);
        assert_status(execq_future_on_done(future, told, s, forgotten), EXECQ_OK);
        if (by_source)
            assert_status(execq_cancel_source_cancel(source), EXECQ_OK);
        else
            assert_status(execq_group_cancel(s->group), EXECQ_OK);
        const int32_t reason = by_source ? EXECQ_REASON_CALLER : EXECQ_REASON_GROUP;
        assert_int_equal(execq_future_cancel_reason(future), reason);
        assert_status(execq_group_cancel(s->group), by_source ? EXECQ_OK : EXECQ_EALREADY);
        assert_status(execq_cancel_source_cancel(source), by_source ? EXECQ_EALREADY : EXECQ_OK);
        assert_status(execq_group_join(s->group, -1), EXECQ_ECANCELED);
        assert_int_equal(execq_future_cancel_reason(future), reason);
        gate_open(&busy, 2);
        finish(blockers[0]);
        finish(blockers[1]);
        assert_int_equal(counter_get(&s->ran), 0);
        assert_int_equal(counter_get(&s->dropped), 1);
        assert_int_equal(counter_get(&s->told), 1);
        assert_int_equal(counter_get(&s->forgotten), 1);
        execq_future_release(future);
        execq_cancel_source_release(source);
        scene_end(s);
        gate_destroy(&busy);
    }
}

static void a_running_task_of_both_is_told_once(void **state)
{
    (void)state;
    for (int by_source = 0; by_source < 2; by_source++) {
        scene *s = scene_new();
        execq_cancel_source *source = source_new(NULL);
        execq_task_options options = in_group(s);
        options.cancel_source = source;
        execq_future *future = NULL;
        assert_status(by_submit(s, &options, &future), EXECQ_OK);
        gate_await(&s->inside, 1);
        if (by_source)
            assert_status(execq_cancel_source_cancel(source), EXECQ_OK);
        assert_status(execq_group_cancel(s->group), EXECQ_OK);
        if (!by_source)
            assert_status(execq_cancel_source_cancel(source), EXECQ_OK);
        gate_open(&s->inside, 1);
        assert_status(execq_group_join(s->group, -1), EXECQ_ECANCELED);
        assert_int_equal(execq_future_cancel_reason(future), by_source ? EXECQ_REASON_CALLER : EXECQ_REASON_GROUP);
        assert_int_equal(counter_get(&s->dropped), 1);
        execq_future_release(future);
        execq_cancel_source_release(source);
        scene_end(s);
    }
}

/* What was compiled before there was cancel_source. */
static void the_first_size_of_the_options_is_accepted(void **state)
{
    (void)state;
    execq_group_options options = EXECQ_GROUP_OPTIONS_INIT;
    options.struct_size = offsetof(execq_group_options, cancel_source);
    options.cancel_source = UNTOUCHED; /* is not its */
    execq_group *group = group_new(&options);
    assert_status(execq_group_join(group, -1), EXECQ_OK);
    execq_group_release(group);
    options.struct_size = offsetof(execq_group_options, cancel_source) - 1;
    group = UNTOUCHED;
    assert_status(execq_group_new(&options, &group), EXECQ_EINVAL);
    assert_ptr_equal(group, UNTOUCHED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_a_member_until_it_ends),
        cmocka_unit_test(each_that_runs_is_asked_to_stop),
        cmocka_unit_test(each_that_has_not_started_never_does),
        cmocka_unit_test(a_closed_group_refuses_each),
        cmocka_unit_test(an_asynchronous_task_is_a_member_until_its_promise_is_completed),
        cmocka_unit_test(a_series_is_a_member_from_run_to_run),
        cmocka_unit_test(a_task_on_a_loop_is_a_member_until_it_ends),
        cmocka_unit_test(a_batch_is_in_the_group_in_full_or_not_at_all),
        cmocka_unit_test(a_limit_is_for_tasks_on_workers),
        cmocka_unit_test(a_source_cancels_its_groups),
        cmocka_unit_test(a_source_of_an_inner_group_leaves_the_outer_one_alone),
        cmocka_unit_test(a_group_of_a_canceled_source_is_canceled_from_the_start),
        cmocka_unit_test(the_link_ends_with_the_group),
        cmocka_unit_test(a_task_of_a_group_and_a_source_is_canceled_once),
        cmocka_unit_test(a_running_task_of_both_is_told_once),
        cmocka_unit_test(the_first_size_of_the_options_is_accepted),
    };
    return cmocka_run_group_tests_name("capi.group_members", tests, NULL, NULL);
}
