/* execq_submit_many: n tasks, all or none. */
#include "capi.h"

#include <sys/resource.h>
#include <unistd.h>

/* Where bodies of one worker note in which order they ran. */
struct row {
    int next;
    int numbers[4000];
};

struct entry {
    struct row *row;
    int number;
};

static int32_t note_entry(void *env, void **result)
{
    struct entry *entry = env;
    entry->row->numbers[entry->row->next++] = entry->number;
    *result = env;
    return 0;
}

static void every_env_gets_a_task_and_a_future_in_order(void **state)
{
    (void)state;
    enum { N = 1000 };
    static struct row row;
    static struct entry entries[N];
    static void *envs[N];
    static execq_future *futures[N];
    for (int i = 0; i < N; i++) {
        entries[i] = (struct entry){&row, i};
        envs[i] = &entries[i];
    }
    execq_executor *executor = pool_new(1);
    assert_status(execq_submit_many(executor, NULL, N, note_entry, envs, futures), EXECQ_OK);
    memset(envs, 0, sizeof envs); /* borrowed for the call only */
    assert_status(execq_future_wait_all(futures, N, -1), EXECQ_OK);
    assert_int_equal(row.next, N);
    for (int i = 0; i < N; i++) {
        void *value = NULL;
        assert_int_equal(row.numbers[i], i);
        assert_status(execq_future_result(futures[i], &value), EXECQ_OK);
        assert_ptr_equal(value, &entries[i]);
        execq_future_release(futures[i]);
    }
    pool_end(executor);
}

static void many_may_be_fired_and_forgotten(void **state)
{
    (void)state;
    counter ran = {0};
    void *envs[50];
    for (size_t i = 0; i < COUNT_OF(envs); i++) {
        envs[i] = &ran;
    }
    execq_executor *executor = pool_new(2);
    assert_status(execq_submit_many(executor, NULL, COUNT_OF(envs), counter_fn, envs, NULL), EXECQ_OK);
    pool_end(executor);
    assert_int_equal(counter_get(&ran), COUNT_OF(envs));
}

static counter null_runs;

static int32_t count_null(void *env, void **result)
{
    (void)result;
    must(env == NULL);
    counter_hit(&null_runs);
    return 0;
}

static void no_envs_are_n_nulls(void **state)
{
    (void)state;
    execq_future *futures[20];
    execq_executor *executor = pool_new(2);
    assert_status(execq_submit_many(executor, NULL, COUNT_OF(futures), count_null, NULL, futures), EXECQ_OK);
    for (size_t i = 0; i < COUNT_OF(futures); i++) {
        finish(futures[i]);
    }
    assert_int_equal(counter_get(&null_runs), COUNT_OF(futures));
    pool_end(executor);
}

static void zero_tasks_are_fine_if_the_rest_is_valid(void **state)
{
    (void)state;
    execq_future *out = UNTOUCHED;
    execq_executor *executor = pool_new(1);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    assert_status(execq_submit_many(executor, NULL, 0, do_nothing, NULL, &out), EXECQ_OK);
    assert_status(execq_submit_many(executor, &options, 0, do_nothing, NULL, NULL), EXECQ_OK);
    assert_status(execq_submit_many(executor, NULL, 0, NULL, NULL, &out), EXECQ_EINVAL);
    options.flags = 1U << 31;
    assert_status(execq_submit_many(executor, &options, 0, do_nothing, NULL, &out), EXECQ_ENOTSUP);
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    assert_status(execq_submit_many(executor, NULL, 0, do_nothing, NULL, &out), EXECQ_ECLOSED);
    assert_ptr_equal(out, UNTOUCHED);
    pool_end(executor);
}

/* Checks that a refused submission of five drops each env once and leaves out alone. */
static void check_refusal(execq_executor *executor, execq_task_options *options, execq_fn fn, execq_status expected)
{
    counter dropped[5] = {{0}};
    void *envs[5];
    execq_future *out[5];
    options->drop = counter_hit;
    for (size_t i = 0; i < COUNT_OF(envs); i++) {
        envs[i] = &dropped[i];
        out[i] = UNTOUCHED;
    }
    assert_status(execq_submit_many(executor, options, COUNT_OF(envs), fn, envs, out), expected);
    for (size_t i = 0; i < COUNT_OF(envs); i++) {
        assert_int_equal(counter_get(&dropped[i]), 1);
        assert_ptr_equal(out[i], UNTOUCHED);
    }
}

static void a_refused_call_drops_each_env_once_and_runs_none(void **state)
{
    (void)state;
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    execq_executor *executor = pool_new(1);
    check_refusal(executor, &options, NULL, EXECQ_EINVAL);
    options.flags = 1U << 31;
    check_refusal(executor, &options, counter_fn, EXECQ_ENOTSUP);
    options.flags = 0;
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    check_refusal(executor, &options, counter_fn, EXECQ_ECLOSED);
    options.env_size = sizeof(counter);
    check_refusal(executor, &options, counter_fn, EXECQ_ECLOSED);
    pool_end(executor);
}

static counter dropped_nulls;
static counter dropped_others;

static void drop_either(void *env) { counter_hit(env == NULL ? &dropped_nulls : &dropped_others); }

static void env_size_with_a_null_among_the_envs_is_refused(void **state)
{
    (void)state;
    int bytes = 0;
    void *envs[] = {&bytes, NULL, &bytes};
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.env_size = sizeof bytes;
    options.drop = drop_either;
    execq_future *out[] = {UNTOUCHED, UNTOUCHED, UNTOUCHED};
    execq_executor *executor = pool_new(1);
    assert_status(execq_submit_many(executor, &options, 3, do_nothing, envs, out), EXECQ_EINVAL);
    assert_int_equal(counter_get(&dropped_nulls), 1);
    assert_int_equal(counter_get(&dropped_others), 2);
    assert_status(execq_submit_many(executor, &options, 3, do_nothing, NULL, out), EXECQ_EINVAL);
    assert_int_equal(counter_get(&dropped_nulls), 4);
    for (size_t i = 0; i < COUNT_OF(out); i++) {
        assert_ptr_equal(out[i], UNTOUCHED);
    }
    pool_end(executor);
}

static int32_t give_number(void *env, void **result)
{
    *result = (void *)(uintptr_t) * (const unsigned *)env;
    return 0;
}

static void env_size_copies_each_env(void **state)
{
    (void)state;
    unsigned numbers[10];
    void *envs[10];
    execq_future *futures[10];
    static gate g;
    gate_init(&g);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.env_size = sizeof numbers[0];
    execq_executor *executor = pool_new(1);
    execq_future *holder = occupy(executor, &g);
    for (unsigned i = 0; i < COUNT_OF(numbers); i++) {
        numbers[i] = 100 + i;
        envs[i] = &numbers[i];
    }
    assert_status(execq_submit_many(executor, &options, COUNT_OF(envs), give_number, envs, futures), EXECQ_OK);
    memset(numbers, 0, sizeof numbers);
    gate_open(&g, 1);
    finish(holder);
    for (unsigned i = 0; i < COUNT_OF(numbers); i++) {
        void *value = NULL;
        assert_status(execq_future_wait(futures[i], -1), EXECQ_OK);
        assert_status(execq_future_result(futures[i], &value), EXECQ_OK);
        assert_int_equal((uintptr_t)value, 100 + i);
        execq_future_release(futures[i]);
    }
    pool_end(executor);
    gate_destroy(&g);
}

static void drops_are_exact_for_env_and_value(void **state)
{
    (void)state;
    enum { N = 500 };
    counter dropped = {0};
    void *envs[N];
    for (int i = 0; i < N; i++) {
        envs[i] = &dropped;
    }
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = counter_hit;
    options.drop_result = counter_hit;
    execq_executor *executor = pool_new(2);
    assert_status(execq_submit_many(executor, &options, N, give_env, envs, NULL), EXECQ_OK);
    pool_end(executor);
    assert_int_equal(counter_get(&dropped), 2 * N);
}

#if !SANITIZED /* sanitizers map far more than they use, and end the program where memory is out */
/* Leaves the process so many bytes of address space beyond what it has, until memory_allow. */
static void memory_ration(size_t bytes, struct rlimit *saved)
{
    unsigned long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    assert_non_null(statm);
    assert_int_equal(fscanf(statm, "%lu", &pages), 1);
    fclose(statm);
    assert_int_equal(getrlimit(RLIMIT_AS, saved), 0);
    struct rlimit tight = *saved;
    tight.rlim_cur = pages * (rlim_t)sysconf(_SC_PAGESIZE) + bytes;
    assert_int_equal(setrlimit(RLIMIT_AS, &tight), 0);
}

static void more_tasks_than_memory_are_refused(void **state)
{
    (void)state;
    static const size_t too_many[] = {20 * 1000 * 1000, SIZE_MAX};
    for (size_t i = 0; i < COUNT_OF(too_many); i++) {
        struct rlimit saved;
        execq_executor *executor = pool_new(1);
        execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
        options.drop = i == 0 ? drop_either : NULL; /* nobody has the time for SIZE_MAX drops */
        atomic_store(&dropped_nulls.n, 0);
        memory_ration((size_t)128 << 20, &saved);
        const execq_status status = execq_submit_many(executor, &options, too_many[i], count_null, NULL, NULL);
        setrlimit(RLIMIT_AS, &saved);
        assert_status(status, EXECQ_ENOMEM);
        assert_int_equal(counter_get(&dropped_nulls), i == 0 ? too_many[0] : 0);
        atomic_store(&null_runs.n, 0);
        finish(spawn(executor, do_nothing, NULL));
        pool_end(executor);
        assert_int_equal(counter_get(&null_runs), 0);
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_env_gets_a_task_and_a_future_in_order),
        cmocka_unit_test(many_may_be_fired_and_forgotten),
        cmocka_unit_test(no_envs_are_n_nulls),
        cmocka_unit_test(zero_tasks_are_fine_if_the_rest_is_valid),
        cmocka_unit_test(a_refused_call_drops_each_env_once_and_runs_none),
        cmocka_unit_test(env_size_with_a_null_among_the_envs_is_refused),
        cmocka_unit_test(env_size_copies_each_env),
        cmocka_unit_test(drops_are_exact_for_env_and_value),
#if !SANITIZED
        cmocka_unit_test(more_tasks_than_memory_are_refused),
#endif
    };
    return cmocka_run_group_tests_name("capi.submit_many", tests, NULL, NULL);
}
