/* Variables, snapshots, and how they follow the work. */
#include "capi.h"

#include <sched.h>

#include "uv_loop.h"

static execq_var *var;
static counter drops; /* a value, which counts its drops, as do the others */
static counter own;
static counter other;
static sem_t told;

/* What somebody saw of the variable, somewhere. */
struct sight {
    int32_t found;
    void *value;
    void *own; /* not NULL: what it sets then */
    int tells; /* then it raises `told` */
    pthread_t thread;
};

static void look(struct sight *sight)
{
    sight->found = execq_var_get(var, &sight->value);
    sight->thread = pthread_self();
    if (sight->own != NULL)
        must(execq_var_set(var, sight->own, NULL) == EXECQ_OK);
    if (sight->tells)
        sem_post(&told);
}

static int32_t look_fn(void *env, void **result)
{
    (void)result;
    look(env);
    return 0;
}

static void look_done(execq_future *future, void *env)
{
    (void)future;
    look(env);
}

static void look_run(void *env) { look(env); }

#define assert_saw(sight, expected)                          \
    do {                                                     \
        assert_int_equal((sight).found, (expected) != NULL); \
        assert_ptr_equal((sight).value, (void *)(expected)); \
    } while (0)

static void set(void *value) { assert_status(execq_var_set(var, value, NULL), EXECQ_OK); }

static void assert_active(void *value)
{
    struct sight sight = {-1, UNTOUCHED, NULL, 0, 0};
    look(&sight);
    assert_saw(sight, value);
}

static execq_context *captured(void)
{
    execq_context *context = NULL;
    assert_status(execq_context_capture(&context), EXECQ_OK);
    assert_non_null(context);
    return context;
}

/* A context in which the variable has this value. */
static void capture_with(void *env)
{
    void **value_and_context = env;
    must(execq_var_set(var, value_and_context[0], NULL) == EXECQ_OK);
    must(execq_context_capture((execq_context **)&value_and_context[1]) == EXECQ_OK);
}

static execq_context *context_with(void *value)
{
    void *value_and_context[2] = {value, NULL};
    assert_status(execq_context_run(EXECQ_CONTEXT_EMPTY, capture_with, value_and_context), EXECQ_OK);
    return value_and_context[1];
}

/* Each test runs with a variable of its own, and outside of it nothing is active. */
static void (*body)(void);

static void run_body(void *env)
{
    (void)env;
    body();
}

static void in_a_context_of_its_own(void (*test)(void))
{
    execq_var_options options = EXECQ_VAR_OPTIONS_INIT;
    options.drop = counter_hit;
    options.name = "var";
    assert_status(execq_var_new(&options, &var), EXECQ_OK);
    atomic_store(&drops.n, 0);
    atomic_store(&own.n, 0);
    atomic_store(&other.n, 0);
    body = test;
    assert_status(execq_context_run(EXECQ_CONTEXT_EMPTY, run_body, NULL), EXECQ_OK);
    assert_active(NULL);
    execq_var_release(var);
}

#define TEST(name)                        \
    static void name##_(void);            \
    static void name(void **state)        \
    {                                     \
        (void)state;                      \
        in_a_context_of_its_own(name##_); \
    }                                     \
    static void name##_(void)

/* ---- variables ---- */

TEST(a_variable_has_no_value_until_it_is_set)
{
    void *value = UNTOUCHED;
    assert_int_equal(execq_var_get(var, &value), 0);
    assert_null(value);
    set(&drops);
    assert_int_equal(execq_var_get(var, &value), 1);
    assert_ptr_equal(value, &drops);
}

TEST(null_is_a_value)
{
    execq_var *plain = NULL;
    void *value = UNTOUCHED;
    assert_status(execq_var_new(NULL, &plain), EXECQ_OK);
    assert_status(execq_var_set(plain, NULL, NULL), EXECQ_OK);
    assert_int_equal(execq_var_get(plain, &value), 1);
    assert_null(value);
    execq_var_release(plain);
}

TEST(bad_input_to_variables_has_a_status_and_no_effect)
{
    execq_var *out = UNTOUCHED;
    void *value = UNTOUCHED;
    execq_var_token token = 77;
    execq_var_options options = EXECQ_VAR_OPTIONS_INIT;
    assert_status(execq_var_new(NULL, NULL), EXECQ_EINVAL);
    options.flags = 1;
    assert_status(execq_var_new(&options, &out), EXECQ_ENOTSUP);
    options.flags = 0;
    options.struct_size = 4;
    assert_status(execq_var_new(&options, &out), EXECQ_EINVAL);
    assert_ptr_equal(out, UNTOUCHED);
    assert_status(execq_var_set(NULL, &drops, &token), EXECQ_EINVAL);
    assert_int_equal(token, 77);
    assert_status(execq_var_get(NULL, &value), EXECQ_EINVAL);
    assert_status(execq_var_get(var, NULL), EXECQ_EINVAL);
    assert_ptr_equal(value, UNTOUCHED);
    assert_status(execq_var_reset(NULL, 1), EXECQ_EINVAL);
    assert_status(execq_var_reset(var, 0), EXECQ_EINVAL);
    assert_status(execq_var_reset(var, UINT64_MAX), EXECQ_EINVAL);
    execq_var_retain(NULL);
    execq_var_release(NULL);
    assert_int_equal(counter_get(&drops), 0);
}

TEST(a_token_undoes_its_set_once)
{
    execq_var_token first = 0;
    execq_var_token second = 0;
    assert_status(execq_var_set(var, &drops, &first), EXECQ_OK);
    assert_status(execq_var_set(var, &other, &second), EXECQ_OK);
    assert_status(execq_var_reset(var, second), EXECQ_OK);
    assert_active(&drops);
    assert_int_equal(counter_get(&other), 1);
    assert_status(execq_var_reset(var, second), EXECQ_EINVAL);
    assert_active(&drops);
    assert_status(execq_var_reset(var, first), EXECQ_OK);
    assert_active(NULL);
    assert_int_equal(counter_get(&drops), 1);
    assert_ptr_equal(captured(), EXECQ_CONTEXT_EMPTY);
}

TEST(a_token_of_another_variable_is_refused)
{
    execq_var *second = NULL;
    execq_var_token token = 0;
    assert_status(execq_var_new(NULL, &second), EXECQ_OK);
    assert_status(execq_var_set(var, &drops, &token), EXECQ_OK);
    assert_status(execq_var_reset(second, token), EXECQ_EINVAL);
    assert_active(&drops);
    assert_status(execq_var_reset(var, token), EXECQ_OK);
    execq_var_release(second);
}

static execq_var_token shared_token;

static void reset_elsewhere(void *env)
{
    (void)env;
    must(execq_var_reset(var, shared_token) == EXECQ_EINVAL);
}

static int32_t reset_in_a_task(void *env, void **result)
{
    (void)result;
    reset_elsewhere(env);
    return 0;
}

static void set_with_token(void *env) { must(execq_var_set(var, env, &shared_token) == EXECQ_OK); }

TEST(a_token_is_good_only_where_it_was_made)
{
    execq_executor *executor = pool_new(1);
    assert_status(execq_var_set(var, &drops, &shared_token), EXECQ_OK);
    execq_context *context = captured();
    assert_status(execq_context_run(context, reset_elsewhere, NULL), EXECQ_OK);
    finish(spawn(executor, reset_in_a_task, NULL));
    assert_status(execq_var_reset(var, shared_token), EXECQ_OK);
    execq_context_release(context);
    assert_status(execq_context_run(EXECQ_CONTEXT_EMPTY, set_with_token, &drops), EXECQ_OK);
    reset_elsewhere(NULL); /* its context is gone */
    pool_end(executor);
}

static int32_t set_for_the_next_task(void *env, void **result)
{
    (void)result;
    set_with_token(env);
    return 0;
}

TEST(a_token_of_a_plain_task_is_not_good_in_the_next_one)
{
    execq_executor *executor = pool_new(1);
    assert_status(execq_submit(executor, set_for_the_next_task, &drops, NULL), EXECQ_OK);
    assert_status(execq_submit(executor, reset_in_a_task, NULL, NULL), EXECQ_OK);
    pool_end(executor);
    assert_int_equal(counter_get(&drops), 1);
}

/* ---- snapshots ---- */

TEST(a_snapshot_stays_as_it_was)
{
    struct sight sight = {-1, NULL, NULL, 0, 0};
    set(&drops);
    execq_context *context = captured();
    set(&other);
    assert_int_equal(counter_get(&drops), 0);
    assert_status(execq_context_run(context, look_run, &sight), EXECQ_OK);
    assert_saw(sight, &drops);
    assert_active(&other);
    execq_context_retain(context);
    execq_context_release(context);
    assert_int_equal(counter_get(&drops), 0);
    execq_context_release(context);
    assert_int_equal(counter_get(&drops), 1);
}

TEST(what_is_set_inside_run_is_gone_behind_it)
{
    struct sight sight = {-1, NULL, &other, 0, 0};
    set(&drops);
    execq_context *context = captured();
    assert_status(execq_context_run(context, look_run, &sight), EXECQ_OK);
    assert_int_equal(counter_get(&other), 1);
    assert_active(&drops);
    assert_status(execq_context_run(context, look_run, &sight), EXECQ_OK);
    assert_saw(sight, &drops);
    execq_context_release(context);
}

struct nested {
    execq_context *context;
    struct sight inside;
};

static void run_nested(void *env)
{
    struct nested *nested = env;
    must(execq_context_run(nested->context, look_run, &nested->inside) == EXECQ_OK);
}

TEST(a_context_may_be_run_inside_itself)
{
    struct nested nested = {context_with(&drops), {-1, NULL, NULL, 0, 0}};
    assert_status(execq_context_run(nested.context, run_nested, &nested), EXECQ_OK);
    assert_saw(nested.inside, &drops);
    execq_context_release(nested.context);
}

TEST(the_empty_context_is_a_constant_that_needs_no_references)
{
    struct sight sight = {-1, NULL, NULL, 0, 0};
    assert_ptr_equal(execq_context_empty(), EXECQ_CONTEXT_EMPTY);
    assert_ptr_equal(captured(), EXECQ_CONTEXT_EMPTY);
    set(&drops);
    assert_status(execq_context_run(EXECQ_CONTEXT_EMPTY, look_run, &sight), EXECQ_OK);
    assert_saw(sight, NULL);
    for (int i = 0; i < 3; i++)
        execq_context_release(EXECQ_CONTEXT_EMPTY);
    execq_context_retain(EXECQ_CONTEXT_EMPTY);
    assert_status(execq_context_run(EXECQ_CONTEXT_EMPTY, look_run, &sight), EXECQ_OK);
}

TEST(bad_input_to_contexts_has_a_status_and_no_effect)
{
    struct sight sight = {-1, NULL, NULL, 0, 0};
    assert_status(execq_context_capture(NULL), EXECQ_EINVAL);
    assert_status(execq_context_run(NULL, look_run, &sight), EXECQ_EINVAL);
    assert_status(execq_context_run(EXECQ_CONTEXT_EMPTY, NULL, &sight), EXECQ_EINVAL);
    assert_int_equal(sight.found, -1);
    execq_context_retain(NULL);
    execq_context_release(NULL);
}

/* ---- tasks ---- */

/* Each way to submit, with a context active and without one. */
static execq_executor *executor;
static attached a;

static void submit_and_forget(struct sight *sight)
{
    sight->tells = 1;
    assert_status(execq_submit(executor, look_fn, sight, NULL), EXECQ_OK);
    sem_take(&told);
}

static void submit(struct sight *sight) { finish(spawn(executor, look_fn, sight)); }

static void submit_with_options(struct sight *sight)
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.name = "looks";
    execq_future *future = NULL;
    assert_status(execq_submit_with(executor, &options, look_fn, sight, &future), EXECQ_OK);
    finish(future);
}

static void submit_with_nothing_but_a_size(struct sight *sight)
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    execq_future *future = NULL;
    assert_status(execq_submit_with(executor, &options, look_fn, sight, &future), EXECQ_OK);
    finish(future);
}

static void submit_to_a_loop(struct sight *sight)
{
    struct sight done = {-1, NULL, sight->own, 0, 0};
    assert_status(execq_submit_to_loop(executor, NULL, look_fn, sight, a.port, look_done, &done, NULL), EXECQ_OK);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(done.found, sight->found);
    assert_ptr_equal(done.value, sight->value);
}

static void submit_to_a_queue(struct sight *sight)
{
    execq_cq *cq = NULL;
    execq_completion completion;
    size_t n = 0;
    assert_status(execq_cq_new(&cq), EXECQ_OK);
    assert_status(execq_submit_to_cq(executor, NULL, look_fn, sight, cq, NULL), EXECQ_OK);
    assert_status(execq_cq_wait(cq, -1), EXECQ_OK);
    assert_status(execq_cq_drain(cq, &completion, 1, &n), EXECQ_OK);
    assert_int_equal(n, 1);
    execq_future_release(completion.future);
    assert_status(execq_cq_close(cq, NULL), EXECQ_OK);
    execq_cq_release(cq);
}

static void submit_many(struct sight *sight)
{
    struct sight second = {-1, NULL, NULL, 0, 0};
    void *envs[] = {sight, &second};
    execq_future *futures[2];
    assert_status(execq_submit_many(executor, NULL, 2, look_fn, envs, futures), EXECQ_OK);
    finish(futures[0]);
    finish(futures[1]);
    assert_ptr_equal(second.value, sight->value);
}

static void look_start(execq_promise *promise, uv_loop_t *loop, void *env)
{
    (void)loop;
    look(env);
    must(execq_promise_resolve(promise, NULL) == EXECQ_OK);
    execq_promise_release(promise);
}

static void submit_async(struct sight *sight)
{
    execq_future *future = NULL;
    assert_status(execq_submit_async_uv(executor, NULL, look_start, sight, &future), EXECQ_OK);
    finish(future);
}

static void submit_to_the_loops_thread(struct sight *sight)
{
    execq_future *future = NULL;
    assert_status(execq_loop_submit(a.port, NULL, look_fn, sight, &future), EXECQ_OK);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    finish(future);
}

static void start_on_the_loops_thread(struct sight *sight)
{
    execq_future *future = NULL;
    assert_status(execq_loop_submit_async(a.port, NULL, look_start, sight, &future), EXECQ_OK);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    finish(future);
}

static int32_t wait_in_place(void *env, void **result)
{
    (void)result;
    execq_future *inner = NULL;
    must(execq_submit(executor, look_fn, env, &inner) == EXECQ_OK);
    must(execq_future_wait(inner, -1) == EXECQ_OK);
    execq_future_release(inner);
    return 0;
}

static void submit_nested(struct sight *sight) { finish(spawn(executor, wait_in_place, sight)); }

/* Twice; the second run sees what the first one did, whatever that set, and ends the series. */
static int32_t look_again(void *env, void **result)
{
    static int runs;
    static struct sight before;
    struct sight *sight = env;
    (void)result;
    look(sight);
    if (++runs % 2 != 0) {
        before = *sight;
        return 0;
    }
    must(sight->found == before.found && sight->value == before.value);
    return 7;
}

static void submit_a_series(struct sight *sight)
{
    execq_future *future = NULL;
    assert_status(execq_submit_periodic(executor, NULL, MILLISECOND, EXECQ_FIXED_DELAY, look_again, sight, &future),
                  EXECQ_OK);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_int_equal(execq_error_code(execq_future_error(future)), 7);
    execq_future_release(future);
}

static void submit_through_a_queue(struct sight *sight)
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    execq_queue *queue = NULL;
    execq_future *future = NULL;
    assert_status(execq_queue_new(executor, NULL, &queue), EXECQ_OK);
    options.queue = queue;
    assert_status(execq_submit_with(executor, &options, look_fn, sight, &future), EXECQ_OK);
    finish(future);
    execq_queue_release(queue);
}

static const struct {
    void (*submit)(struct sight *sight);
    const char *name;
} ways[] = {
    {submit_and_forget, "and forget"},
    {submit, "with a future"},
    {submit_with_options, "with options"},
    {submit_with_nothing_but_a_size, "with empty options"},
    {submit_to_a_loop, "to a loop"},
    {submit_to_a_queue, "to a queue"},
    {submit_many, "many"},
    {submit_async, "async"},
    {submit_to_the_loops_thread, "lifted"},
    {start_on_the_loops_thread, "lifted, async"},
    {submit_nested, "nested"},
    {submit_a_series, "a series"},
    {submit_through_a_queue, "through a queue"},
};

static void set_up_pool(void)
{
    executor = pool_new(1);
    attached_open(&a);
}

static void tear_pool_down(void)
{
    pool_end(executor);
    attached_close(&a);
}

TEST(a_task_has_the_context_that_was_active_when_it_was_submitted)
{
    int sets = 0;
    set_up_pool();
    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        print_message("%s\n", ways[i].name);
        struct sight without = {-1, UNTOUCHED, &own, 0, 0};
        ways[i].submit(&without);
        assert_saw(without, NULL);
        execq_var_token token = 0;
        assert_status(execq_var_set(var, &drops, &token), EXECQ_OK);
        struct sight with = {-1, UNTOUCHED, &own, 0, 0};
        ways[i].submit(&with);
        assert_saw(with, &drops);
        assert_active(&drops); /* what the task set is the task's */
        assert_status(execq_var_reset(var, token), EXECQ_OK);
        /* And nobody else's who comes later. */
        struct sight later = {-1, UNTOUCHED, NULL, 0, 0};
        ways[i].submit(&later);
        assert_saw(later, NULL);
        sets += ways[i].submit == submit_to_a_loop || ways[i].submit == submit_a_series ? 4 : 2;
    }
    tear_pool_down();
    assert_int_equal(counter_get(&own), sets);
    assert_int_equal(counter_get(&drops), COUNT_OF(ways));
}

TEST(a_context_of_the_options_takes_the_place_of_the_active_one)
{
    struct sight sight = {-1, NULL, NULL, 0, 0};
    set_up_pool();
    execq_context *context = context_with(&other);
    set(&drops);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    execq_future *future = NULL;
    options.context = context;
    assert_status(execq_submit_with(executor, &options, look_fn, &sight, &future), EXECQ_OK);
    execq_context_release(context); /* borrowed for the call */
    finish(future);
    assert_saw(sight, &other);
    assert_int_equal(counter_get(&other), 1);
    options.context = EXECQ_CONTEXT_EMPTY;
    assert_status(execq_submit_with(executor, &options, look_fn, &sight, &future), EXECQ_OK);
    finish(future);
    assert_saw(sight, NULL);
    assert_active(&drops);
    tear_pool_down();
}

TEST(a_refused_submission_keeps_no_context)
{
    execq_executor *closed = pool_new(1);
    assert_status(execq_executor_close(closed, EXECQ_DRAIN), EXECQ_OK);
    execq_context *context = context_with(&drops);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.context = context;
    assert_status(execq_submit_with(closed, &options, do_nothing, NULL, NULL), EXECQ_ECLOSED);
    assert_status(execq_submit_with(closed, &options, NULL, NULL, NULL), EXECQ_EINVAL);
    assert_status(execq_submit_many(closed, &options, 3, do_nothing, NULL, NULL), EXECQ_ECLOSED);
    execq_context_release(context);
    assert_int_equal(counter_get(&drops), 1);
    assert_status(execq_executor_join(closed, -1, NULL), EXECQ_OK);
    execq_executor_release(closed);
}

static int32_t wait_for_another_context(void *env, void **result)
{
    struct sight *sights = env; /* in place, and behind it */
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    execq_future *inner = NULL;
    (void)result;
    must(execq_var_set(var, &drops, NULL) == EXECQ_OK);
    options.context = EXECQ_CONTEXT_EMPTY;
    must(execq_submit_with(executor, &options, look_fn, &sights[0], &inner) == EXECQ_OK);
    must(execq_future_wait(inner, -1) == EXECQ_OK);
    execq_future_release(inner);
    look(&sights[1]);
    return 0;
}

TEST(a_task_that_waits_for_another_one_in_place_has_its_context_back)
{
    struct sight sights[2] = {{-1, UNTOUCHED, &own, 0, 0}, {-1, NULL, NULL, 0, 0}};
    set_up_pool();
    finish(spawn(executor, wait_for_another_context, sights));
    assert_saw(sights[0], NULL);
    assert_saw(sights[1], &drops);
    assert_int_equal(counter_get(&own), 1);
    assert_int_equal(counter_get(&drops), 1);
    tear_pool_down();
}

static int32_t set_and_exit(void *env, void **result)
{
    (void)result;
    must(execq_var_set(var, env, NULL) == EXECQ_OK);
    pthread_exit(NULL);
}

TEST(a_task_that_ends_its_thread_gives_up_its_values)
{
    struct sight sight = {-1, NULL, NULL, 0, 0};
    set_up_pool();
    set(&drops);
    execq_future *future = spawn(executor, set_and_exit, &own);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_int_equal(execq_error_code(execq_future_error(future)), EXECQ_EEXITED);
    assert_int_equal(counter_get(&own), 1);
    execq_future_release(future);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.context = EXECQ_CONTEXT_EMPTY;
    assert_status(execq_submit_with(executor, &options, set_and_exit, &own, NULL), EXECQ_OK); /* a plain one */
    assert_status(execq_submit_with(executor, &options, look_fn, &sight, &future), EXECQ_OK);
    finish(future);
    assert_saw(sight, NULL);
    tear_pool_down();
    assert_int_equal(counter_get(&own), 2); /* by now its thread has ended */
}

/* ---- callbacks ---- */

TEST(a_done_callback_has_the_context_of_its_future)
{
    struct sight sights[3] = {{-1, NULL, &own, 0, 0}, {-1, NULL, &own, 0, 0}, {-1, NULL, &own, 0, 0}};
    execq_future *future = NULL;
    set(&drops);
    execq_promise *promise = promise_new(&future);
    set(&own);
    assert_status(execq_future_on_done(future, look_done, &sights[0], NULL), EXECQ_OK);
    assert_status(execq_future_on_done(future, look_done, &sights[1], NULL), EXECQ_OK);
    assert_status(execq_promise_resolve(promise, NULL), EXECQ_OK);
    assert_status(execq_future_on_done(future, look_done, &sights[2], NULL), EXECQ_OK); /* inside this call */
    for (size_t i = 0; i < COUNT_OF(sights); i++)
        assert_saw(sights[i], &drops);
    assert_active(&own);
    assert_int_equal(counter_get(&own), 3);
    assert_int_equal(counter_get(&drops), 0);
    execq_promise_release(promise);
    execq_future_release(future);
    assert_int_equal(counter_get(&drops), 1);
}

TEST(a_callback_of_a_future_without_a_context_has_the_empty_one)
{
    struct sight sight = {-1, UNTOUCHED, &drops, 0, 0};
    execq_future *future = done_future(NULL);
    set(&own);
    assert_status(execq_future_on_done(future, look_done, &sight, NULL), EXECQ_OK);
    assert_saw(sight, NULL);
    assert_int_equal(counter_get(&drops), 1);
    assert_active(&own);
    execq_future_release(future);
}

TEST(a_done_callback_on_a_loop_has_the_context_of_its_future)
{
    struct sight first = {-1, NULL, &own, 0, 0};
    struct sight second = {-1, UNTOUCHED, NULL, 0, 0};
    attached_open(&a);
    execq_context *context = context_with(&drops);
    execq_executor *pool = pool_new(1);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    execq_future *future = NULL;
    options.context = context;
    assert_status(execq_submit_with(pool, &options, do_nothing, NULL, &future), EXECQ_OK);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_status(execq_future_on_loop(future, a.port, look_done, &first, NULL), EXECQ_OK);
    execq_future *plain = spawn(pool, do_nothing, NULL);
    assert_status(execq_future_wait(plain, -1), EXECQ_OK);
    assert_status(execq_future_on_loop(plain, a.port, look_done, &second, NULL), EXECQ_OK);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_saw(first, &drops);
    assert_saw(second, NULL);
    assert_int_equal(counter_get(&own), 1);
    execq_future_release(future);
    execq_future_release(plain);
    execq_context_release(context);
    pool_end(pool);
    attached_close(&a);
    assert_int_equal(counter_get(&drops), 1);
}

TEST(a_sleep_has_the_context_of_its_caller)
{
    struct sight sight = {-1, NULL, &own, 0, 0};
    sight.tells = 1;
    set(&drops);
    execq_future *future = NULL;
    assert_status(execq_sleep(0, &future), EXECQ_OK);
    assert_status(execq_future_on_done(future, look_done, &sight, NULL), EXECQ_OK);
    sem_take(&told);
    assert_saw(sight, &drops);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    execq_future_release(future);
    /* And one that never ends by itself. */
    assert_status(execq_sleep(-1, &future), EXECQ_OK);
    sight.tells = 0;
    assert_status(execq_future_on_done(future, look_done, &sight, NULL), EXECQ_OK);
    assert_status(execq_future_cancel(future), EXECQ_OK);
    assert_saw(sight, &drops);
    execq_future_release(future);
    assert_active(&drops);
    while (counter_get(&own) < 2) { /* what the callback set goes behind it, on the thread that keeps times */
        sched_yield();
    }
}

static void cancel_look(void *env) { look(env); }

TEST(a_cancel_callback_has_the_context_of_its_promise)
{
    struct sight sight = {-1, NULL, &own, 0, 0};
    execq_future *future = NULL;
    set(&drops);
    execq_promise *promise = promise_new(&future);
    set(&own);
    assert_status(execq_promise_on_cancel(promise, cancel_look, &sight, NULL), EXECQ_OK);
    assert_status(execq_future_cancel(future), EXECQ_EBUSY);
    assert_saw(sight, &drops);
    assert_active(&own);
    execq_promise_release(promise);
    execq_future_release(future);
}

/* An asynchronous task whose cancel callback and whose timer look, on the worker's loop. */
struct looker {
    struct sight at_start;
    struct sight at_cancel;
    struct sight in_timer;
    uv_timer_t timer;
    execq_promise *promise;
    gate started;
};

static void looker_closed(uv_handle_t *timer)
{
    struct looker *looker = timer->data;
    must(execq_promise_reject(looker->promise, EXECQ_ECANCELED, NULL) == EXECQ_OK);
    execq_promise_release(looker->promise);
}

static void looker_timer(uv_timer_t *timer)
{
    struct looker *looker = timer->data;
    look(&looker->in_timer);
    uv_close((uv_handle_t *)timer, looker_closed);
}

static void looker_cancel(void *env)
{
    struct looker *looker = env;
    look(&looker->at_cancel);
    must(uv_timer_start(&looker->timer, looker_timer, 0, 0) == 0);
}

static void looker_start(execq_promise *promise, uv_loop_t *loop, void *env)
{
    struct looker *looker = env;
    look(&looker->at_start);
    looker->promise = promise;
    looker->timer.data = looker;
    must(uv_timer_init(loop, &looker->timer) == 0);
    must(execq_promise_on_cancel(promise, looker_cancel, looker, NULL) == EXECQ_OK);
    sem_post(&looker->started.entered);
}

TEST(on_a_workers_loop_callbacks_of_the_task_have_its_context_and_those_of_libuv_none)
{
    static struct looker looker;
    memset(&looker, 0, sizeof looker);
    gate_init(&looker.started);
    looker.at_start.own = looker.at_cancel.own = looker.in_timer.own = &own;
    struct sight later = {-1, UNTOUCHED, NULL, 0, 0};
    execq_executor *pool = pool_new(1);
    execq_future *future = NULL;
    set(&drops);
    assert_status(execq_submit_async_uv(pool, NULL, looker_start, &looker, &future), EXECQ_OK);
    gate_await(&looker.started, 1);
    assert_status(execq_future_cancel(future), EXECQ_EBUSY);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_saw(looker.at_start, &drops);
    assert_saw(looker.at_cancel, &drops);
    assert_saw(looker.in_timer, NULL);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.context = EXECQ_CONTEXT_EMPTY;
    execq_future *plain = NULL;
    assert_status(execq_submit_with(pool, &options, look_fn, &later, &plain), EXECQ_OK);
    finish(plain);
    assert_saw(later, NULL);
    execq_future_release(future);
    pool_end(pool);
    assert_int_equal(counter_get(&own), 3);
}

static void *call_with_a_value(void *env)
{
    must(execq_var_set(var, &drops, NULL) == EXECQ_OK);
    must(execq_loop_call(a.port, look_fn, env, -1, NULL) == EXECQ_OK);
    must(execq_loop_unhold(a.port) == EXECQ_OK);
    return NULL;
}

TEST(a_call_onto_a_loop_has_the_context_of_its_caller)
{
    struct sight sight = {-1, NULL, &own, 0, 0};
    attached_open(&a);
    assert_status(execq_loop_hold(a.port), EXECQ_OK);
    const pthread_t caller = thread_start(call_with_a_value, &sight);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    pthread_join(caller, NULL);
    assert_saw(sight, &drops);
    assert_int_equal(counter_get(&own), 1);
    assert_int_equal(counter_get(&drops), 1); /* its thread has ended */
    attached_close(&a);
}

/* ---- drops ---- */

static struct sight at_drop;

static void look_drop(void *env)
{
    (void)env;
    look(&at_drop);
}

TEST(a_drop_has_the_empty_context_and_leaves_nothing)
{
    execq_executor *pool = pool_new(1);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = look_drop;
    execq_future *future = NULL;
    at_drop = (struct sight){-1, UNTOUCHED, &own, 0, 0};
    set(&drops);
    assert_status(execq_submit_with(pool, &options, do_nothing, NULL, &future), EXECQ_OK);
    finish(future);
    assert_saw(at_drop, NULL);
    assert_int_equal(counter_get(&own), 1);
    at_drop.found = -1;
    assert_status(execq_submit_with(pool, &options, NULL, NULL, &future), EXECQ_EINVAL); /* inside this call */
    assert_saw(at_drop, NULL);
    assert_active(&drops);
    pool_end(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_variable_has_no_value_until_it_is_set),
        cmocka_unit_test(null_is_a_value),
        cmocka_unit_test(bad_input_to_variables_has_a_status_and_no_effect),
        cmocka_unit_test(a_token_undoes_its_set_once),
        cmocka_unit_test(a_token_of_another_variable_is_refused),
        cmocka_unit_test(a_token_is_good_only_where_it_was_made),
        cmocka_unit_test(a_token_of_a_plain_task_is_not_good_in_the_next_one),
        cmocka_unit_test(a_snapshot_stays_as_it_was),
        cmocka_unit_test(what_is_set_inside_run_is_gone_behind_it),
        cmocka_unit_test(a_context_may_be_run_inside_itself),
        cmocka_unit_test(the_empty_context_is_a_constant_that_needs_no_references),
        cmocka_unit_test(bad_input_to_contexts_has_a_status_and_no_effect),
        cmocka_unit_test(a_task_has_the_context_that_was_active_when_it_was_submitted),
        cmocka_unit_test(a_context_of_the_options_takes_the_place_of_the_active_one),
        cmocka_unit_test(a_refused_submission_keeps_no_context),
        cmocka_unit_test(a_task_that_waits_for_another_one_in_place_has_its_context_back),
        cmocka_unit_test(a_task_that_ends_its_thread_gives_up_its_values),
        cmocka_unit_test(a_done_callback_has_the_context_of_its_future),
        cmocka_unit_test(a_callback_of_a_future_without_a_context_has_the_empty_one),
        cmocka_unit_test(a_done_callback_on_a_loop_has_the_context_of_its_future),
        cmocka_unit_test(a_sleep_has_the_context_of_its_caller),
        cmocka_unit_test(a_cancel_callback_has_the_context_of_its_promise),
        cmocka_unit_test(on_a_workers_loop_callbacks_of_the_task_have_its_context_and_those_of_libuv_none),
        cmocka_unit_test(a_call_onto_a_loop_has_the_context_of_its_caller),
        cmocka_unit_test(a_drop_has_the_empty_context_and_leaves_nothing),
    };
    sem_init(&told, 0, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
