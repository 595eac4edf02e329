/* Contexts of other kinds: captured, entered, left and released with ours, whatever fails. They are never removed, so the
 * tests share two of them, which mirror a thread-local each. */
#include "capi.h"

#include "uv_loop.h"

/* A foreign context is a number on each thread; 0 is nothing. */
struct kind {
    atomic_int captures;
    atomic_int entered; /* less those that were left */
    atomic_int states;  /* captured, less those that were released */
    _Atomic execq_status capture_answers;
    _Atomic execq_status enter_answers;
};

struct state {
    int number;
};

struct entry {
    int number; /* what was active before */
};

static struct kind first_kind;
static struct kind second_kind;
static _Thread_local int first_number;
static _Thread_local int second_number;
/* The order in which they are entered and left on a thread: digits, the latest last. */
static _Thread_local int order;

static int *number_of(const struct kind *kind) { return kind == &first_kind ? &first_number : &second_number; }

static execq_status capture(void *env, void **out)
{
    struct kind *kind = env;
    must(*out == NULL);
    atomic_fetch_add(&kind->captures, 1);
    const execq_status answer = atomic_load(&kind->capture_answers);
    if (answer != EXECQ_OK || *number_of(kind) == 0)
        return answer;
    struct state *state = malloc(sizeof *state);
    must(state != NULL);
    state->number = *number_of(kind);
    atomic_fetch_add(&kind->states, 1);
    *out = state;
    return EXECQ_OK;
}

static execq_status enter(void *env, void *state, void **out)
{
    struct kind *kind = env;
    must(state != NULL && *out == NULL);
    const execq_status answer = atomic_load(&kind->enter_answers);
    if (answer != EXECQ_OK)
        return answer;
    struct entry *entry = malloc(sizeof *entry);
    must(entry != NULL);
    entry->number = *number_of(kind);
    *number_of(kind) = ((struct state *)state)->number;
    atomic_fetch_add(&kind->entered, 1);
    order = order % 1000 * 10 + (kind == &first_kind ? 1 : 2);
    *out = entry;
    return EXECQ_OK;
}

static void leave(void *env, void *state, void *entered)
{
    struct kind *kind = env;
    must(state != NULL && entered != NULL);
    *number_of(kind) = ((struct entry *)entered)->number;
    free(entered);
    atomic_fetch_sub(&kind->entered, 1);
    order = order % 1000 * 10 + (kind == &first_kind ? 3 : 4);
}

static void release(void *env, void *state)
{
    struct kind *kind = env;
    must(state != NULL);
    free(state);
    atomic_fetch_sub(&kind->states, 1);
}

static execq_context_provider provider_of(struct kind *kind)
{
    execq_context_provider provider = EXECQ_CONTEXT_PROVIDER_INIT;
    provider.name = kind == &first_kind ? "first" : NULL;
    provider.capture = capture;
    provider.enter = enter;
    provider.leave = leave;
    provider.release = release;
    provider.env = kind;
    return provider;
}

static void assert_balanced(void)
{
    assert_int_equal(atomic_load(&first_kind.entered), 0);
    assert_int_equal(atomic_load(&second_kind.entered), 0);
    assert_int_equal(atomic_load(&first_kind.states), 0);
    assert_int_equal(atomic_load(&second_kind.states), 0);
}

/* Activates numbers on this thread. */
static void be(int first, int second)
{
    first_number = first;
    second_number = second;
}

/* What somebody saw. */
struct sight {
    int ran;
    int first;
    int second;
};

static void look(void *env)
{
    struct sight *sight = env;
    sight->ran++;
    sight->first = first_number;
    sight->second = second_number;
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

static void look_start(execq_promise *promise, uv_loop_t *loop, void *env)
{
    (void)loop;
    look(env);
    must(execq_promise_resolve(promise, NULL) == EXECQ_OK);
    execq_promise_release(promise);
}

/* The first test: the others need what it adds. */
static void a_table_is_checked_and_added_once(void **state)
{
    (void)state;
    execq_context_provider provider = provider_of(&first_kind);
    assert_status(execq_context_provider_add(NULL), EXECQ_EINVAL);
    provider.struct_size = 8;
    assert_status(execq_context_provider_add(&provider), EXECQ_EINVAL);
    provider = provider_of(&first_kind);
    provider.flags = 1;
    assert_status(execq_context_provider_add(&provider), EXECQ_ENOTSUP);
    provider = provider_of(&first_kind);
    provider.capture = NULL;
    assert_status(execq_context_provider_add(&provider), EXECQ_EINVAL);
    provider = provider_of(&first_kind);
    provider.enter = NULL;
    assert_status(execq_context_provider_add(&provider), EXECQ_EINVAL);
    provider = provider_of(&first_kind);
    provider.leave = NULL;
    assert_status(execq_context_provider_add(&provider), EXECQ_EINVAL);
    execq_context *context = NULL;
    assert_status(execq_context_capture(&context), EXECQ_OK);
    assert_int_equal(atomic_load(&first_kind.captures), 0); /* nothing was added */
    provider = provider_of(&first_kind);
    assert_status(execq_context_provider_add(&provider), EXECQ_OK);
    assert_status(execq_context_provider_add(&provider), EXECQ_EALREADY);
    provider = provider_of(&second_kind);
    assert_status(execq_context_provider_add(&provider), EXECQ_OK);
    assert_status(execq_context_capture(&context), EXECQ_OK);
    assert_ptr_equal(context, EXECQ_CONTEXT_EMPTY); /* both had nothing */
    assert_int_equal(atomic_load(&first_kind.captures), 1);
    assert_int_equal(atomic_load(&second_kind.captures), 1);
}

static void they_follow_each_way_to_submit(void **state)
{
    (void)state;
    struct sight sights[9] = {{0, 0, 0}};
    execq_executor *executor = pool_new(1);
    attached a;
    attached_open(&a);
    execq_cq *cq = NULL;
    assert_status(execq_cq_new(&cq), EXECQ_OK);
    execq_future *future = NULL;
    be(7, 8);
    assert_status(execq_submit(executor, look_fn, &sights[0], NULL), EXECQ_OK);
    finish(spawn(executor, look_fn, &sights[1]));
    assert_status(execq_submit_with(executor, NULL, look_fn, &sights[2], NULL), EXECQ_OK);
    assert_status(execq_submit_to_loop(executor, NULL, look_fn, &sights[3], a.port, look_done, &sights[4], NULL),
                  EXECQ_OK);
    assert_status(execq_submit_to_cq(executor, NULL, look_fn, &sights[5], cq, NULL), EXECQ_OK);
    assert_status(execq_submit_many(executor, NULL, 1, look_fn, (void *[]){&sights[6]}, NULL), EXECQ_OK);
    assert_status(execq_submit_async_uv(executor, NULL, look_start, &sights[7], &future), EXECQ_OK);
    finish(future);
    assert_status(execq_loop_submit(a.port, NULL, look_fn, &sights[8], NULL), EXECQ_OK);
    be(0, 0);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    pool_end(executor);
    for (size_t i = 0; i < COUNT_OF(sights); i++) {
        assert_int_equal(sights[i].ran, 1);
        assert_int_equal(sights[i].first, 7);
        assert_int_equal(sights[i].second, 8);
    }
    assert_int_equal(first_number, 0);
    assert_int_equal(second_number, 0);
    assert_status(execq_cq_close(cq, NULL), EXECQ_OK);
    execq_cq_release(cq);
    attached_close(&a);
    assert_balanced();
}

static void note_order(void *env) { *(int *)env = order; }

static void they_are_entered_in_order_and_left_in_the_opposite_one(void **state)
{
    (void)state;
    int inside = 0;
    execq_context *context = NULL;
    be(1, 2);
    assert_status(execq_context_capture(&context), EXECQ_OK);
    be(0, 0);
    order = 0;
    assert_status(execq_context_run(context, note_order, &inside), EXECQ_OK);
    assert_int_equal(inside, 12);
    assert_int_equal(order, 1243);
    execq_context_release(context);
    assert_balanced();
}

static void who_has_nothing_is_not_entered(void **state)
{
    (void)state;
    struct sight sight = {0, 0, 0};
    execq_context *context = NULL;
    be(0, 5);
    assert_status(execq_context_capture(&context), EXECQ_OK);
    be(3, 4);
    order = 0;
    assert_status(execq_context_run(context, look, &sight), EXECQ_OK);
    assert_int_equal(order, 24);
    assert_int_equal(sight.first, 3);
    assert_int_equal(sight.second, 5);
    execq_context_release(context);
    be(0, 0);
    assert_balanced();
}

struct nested {
    execq_context *context;
    struct sight sight;
};

static void run_again(void *env)
{
    struct nested *nested = env;
    must(execq_context_run(nested->context, look, &nested->sight) == EXECQ_OK);
}

static void a_state_is_entered_inside_itself(void **state)
{
    (void)state;
    struct nested nested = {NULL, {0, 0, 0}};
    be(6, 0);
    assert_status(execq_context_capture(&nested.context), EXECQ_OK);
    be(0, 0);
    assert_status(execq_context_run(nested.context, run_again, &nested), EXECQ_OK);
    assert_int_equal(nested.sight.first, 6);
    assert_int_equal(first_number, 0);
    execq_context_release(nested.context);
    assert_balanced();
}

/* ---- failures ---- */

static void a_capture_that_fails_refuses_what_captures(void **state)
{
    (void)state;
    counter dropped = {0};
    execq_executor *executor = pool_new(1);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = counter_hit;
    execq_context *context = UNTOUCHED;
    execq_future *future = UNTOUCHED;
    execq_promise *promise = UNTOUCHED;
    be(1, 2); /* the first one's state is released again */
    atomic_store(&second_kind.capture_answers, EXECQ_EMFILE);
    assert_status(execq_context_capture(&context), EXECQ_EMFILE);
    assert_status(execq_submit(executor, do_nothing, NULL, NULL), EXECQ_EMFILE);
    assert_status(execq_submit(executor, do_nothing, NULL, &future), EXECQ_EMFILE);
    assert_status(execq_submit_with(executor, &options, do_nothing, &dropped, &future), EXECQ_EMFILE);
    assert_int_equal(counter_get(&dropped), 1);
    void *envs[] = {&dropped, &dropped};
    assert_status(execq_submit_many(executor, &options, 2, do_nothing, envs, &future), EXECQ_EMFILE);
    assert_int_equal(counter_get(&dropped), 3);
    assert_status(execq_promise_new(NULL, &promise, &future), EXECQ_EMFILE);
    assert_status(execq_sleep(0, &future), EXECQ_EMFILE);
    assert_ptr_equal(context, UNTOUCHED);
    assert_ptr_equal(future, UNTOUCHED);
    assert_ptr_equal(promise, UNTOUCHED);
    /* What names its context captures nothing. */
    options.context = EXECQ_CONTEXT_EMPTY;
    assert_status(execq_submit_with(executor, &options, counter_fn, &dropped, &future), EXECQ_OK);
    finish(future);
    assert_int_equal(counter_get(&dropped), 5);
    atomic_store(&second_kind.capture_answers, EXECQ_OK);
    be(0, 0);
    pool_end(executor);
    assert_balanced();
}

static int32_t failure_of(execq_future *future)
{
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    const int32_t code = execq_error_code(execq_future_error(future));
    execq_future_release(future);
    return code;
}

static void an_enter_that_fails_fails_the_task_and_leaves_what_was_entered(void **state)
{
    (void)state;
    counter dropped = {0};
    struct sight sight = {0, 0, 0};
    execq_executor *executor = pool_new(1);
    attached a;
    attached_open(&a);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = counter_hit;
    execq_context *context = NULL;
    be(1, 2);
    assert_status(execq_context_capture(&context), EXECQ_OK);
    be(0, 0);
    options.context = context;
    atomic_store(&second_kind.enter_answers, EXECQ_EAGAIN);
    order = 0;
    assert_status(execq_context_run(context, look, &sight), EXECQ_EAGAIN);
    assert_int_equal(order, 13);
    execq_future *future = NULL;
    assert_status(execq_submit_with(executor, &options, counter_fn, &dropped, &future), EXECQ_OK);
    assert_int_equal(failure_of(future), EXECQ_EAGAIN);
    assert_int_equal(counter_get(&dropped), 1); /* the body would have counted, too */
    options.drop = NULL;
    assert_status(execq_submit_async_uv(executor, &options, look_start, &sight, &future), EXECQ_OK);
    assert_int_equal(failure_of(future), EXECQ_EAGAIN);
    assert_status(execq_loop_submit(a.port, &options, look_fn, &sight, &future), EXECQ_OK);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(failure_of(future), EXECQ_EAGAIN);
    assert_int_equal(sight.ran, 0);
    atomic_store(&second_kind.enter_answers, EXECQ_OK);
    assert_status(execq_submit_with(executor, &options, look_fn, &sight, &future), EXECQ_OK);
    finish(future);
    assert_int_equal(sight.ran, 1);
    execq_context_release(context);
    pool_end(executor);
    attached_close(&a);
    assert_balanced();
}

static void a_callback_runs_also_where_an_enter_fails(void **state)
{
    (void)state;
    struct sight sight = {0, 0, 0};
    execq_future *future = NULL;
    execq_var *var = NULL;
    assert_status(execq_var_new(NULL, &var), EXECQ_OK);
    be(1, 2);
    execq_promise *promise = promise_new(&future);
    be(0, 0);
    assert_status(execq_future_on_done(future, look_done, &sight, NULL), EXECQ_OK);
    atomic_store(&second_kind.enter_answers, EXECQ_EAGAIN);
    assert_status(execq_promise_resolve(promise, NULL), EXECQ_OK);
    atomic_store(&second_kind.enter_answers, EXECQ_OK);
    assert_int_equal(sight.ran, 1);
    assert_int_equal(sight.first, 0); /* all or nothing */
    assert_int_equal(sight.second, 0);
    execq_promise_release(promise);
    execq_future_release(future);
    execq_var_release(var);
    assert_balanced();
}

static int32_t exit_thread(void *env, void **result)
{
    (void)env;
    (void)result;
    pthread_exit(NULL);
}

static void they_are_left_by_a_task_that_ends_its_thread(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    be(1, 2);
    execq_future *future = spawn(executor, exit_thread, NULL);
    be(0, 0);
    assert_int_equal(failure_of(future), EXECQ_EEXITED);
    pool_end(executor);
    assert_balanced();
}

/* ---- with variables ---- */

static void capture_again(void *env)
{
    be(0, 0); /* who enters need not be who has it active all the time */
    must(execq_context_capture(env) == EXECQ_OK);
    be(1, 0); /* for leave */
}

static void what_is_captured_is_what_is_active_now(void **state)
{
    (void)state;
    counter dropped = {0};
    execq_var_options options = EXECQ_VAR_OPTIONS_INIT;
    options.drop = counter_hit;
    execq_var *var = NULL;
    execq_var_token token = 0;
    execq_context *context = NULL;
    execq_context *again = NULL;
    assert_status(execq_var_new(&options, &var), EXECQ_OK);
    be(1, 0);
    assert_status(execq_context_capture(&context), EXECQ_OK);
    be(0, 0);
    /* Entered, then left by its owner: neither the variables nor the foreign context are anything. */
    assert_status(execq_context_run(context, capture_again, &again), EXECQ_OK);
    assert_ptr_equal(again, EXECQ_CONTEXT_EMPTY);
    execq_context_release(context);
    /* With a variable besides. */
    assert_status(execq_var_set(var, &dropped, &token), EXECQ_OK);
    be(1, 0);
    assert_status(execq_context_capture(&context), EXECQ_OK);
    be(0, 0);
    assert_status(execq_var_reset(var, token), EXECQ_OK);
    assert_status(execq_context_run(context, capture_again, &again), EXECQ_OK);
    assert_ptr_not_equal(again, context);
    execq_context_release(context);
    assert_balanced();
    assert_int_equal(counter_get(&dropped), 0);
    execq_context_release(again);
    assert_int_equal(counter_get(&dropped), 1);
    execq_var_release(var);
}

/* The last test. */
static execq_status capture_nothing(void *env, void **out)
{
    (void)env;
    (void)out;
    return EXECQ_OK;
}

static void there_is_room_for_eight(void **state)
{
    (void)state;
    execq_context_provider provider = provider_of(&first_kind);
    static char envs[8];
    provider.capture = capture_nothing;
    provider.release = NULL;
    for (int i = 2; i < 8; i++) {
        provider.env = &envs[i];
        assert_status(execq_context_provider_add(&provider), EXECQ_OK);
    }
    provider.env = &envs[0];
    assert_status(execq_context_provider_add(&provider), EXECQ_ENOTSUP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_is_checked_and_added_once),
        cmocka_unit_test(they_follow_each_way_to_submit),
        cmocka_unit_test(they_are_entered_in_order_and_left_in_the_opposite_one),
        cmocka_unit_test(who_has_nothing_is_not_entered),
        cmocka_unit_test(a_state_is_entered_inside_itself),
        cmocka_unit_test(a_capture_that_fails_refuses_what_captures),
        cmocka_unit_test(an_enter_that_fails_fails_the_task_and_leaves_what_was_entered),
        cmocka_unit_test(a_callback_runs_also_where_an_enter_fails),
        cmocka_unit_test(they_are_left_by_a_task_that_ends_its_thread),
        cmocka_unit_test(what_is_captured_is_what_is_active_now),
        cmocka_unit_test(there_is_room_for_eight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
