/* The rules of struct_size and flags, for every struct that the library reads. */
#include "capi.h"

#include "uv_loop.h"

/* The bytes that a later version might add. */
enum { MORE = 24 };

/* A struct with room for what a later version might add. */
#define GROWN(type)                      \
    union {                              \
        type known;                      \
        char bytes[sizeof(type) + MORE]; \
    }

static uint32_t *size_of(void *options) { return options; /* struct_size comes first everywhere */ }

static uint32_t *flags_of(void *options) { return (uint32_t *)options + 1; /* and flags second */ }

/* A call that reads the struct; it gives back what it made, and says how it went. */
typedef execq_status (*reader)(void *options);

/* Checks one struct, given as its init value in a grown room, against the rules. It had first_size at first. */
static void check_grown(reader read, void *options, uint32_t first_size, uint32_t size, int first_unknown_flag)
{
    char *bytes = options;
    const uint32_t wrong[] = {0, 1, 4, 8, first_size - 1};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        *size_of(options) = wrong[i];
        assert_status(read(options), EXECQ_EINVAL);
    }
    for (uint32_t more = 1; more <= MORE; more++) {
        *size_of(options) = size + more;
        assert_status(read(options), EXECQ_OK);
        bytes[size + more - 1] = 1;
        assert_status(read(options), EXECQ_ENOTSUP);
        *size_of(options) = size + more - 1; /* beyond the struct: not looked at */
        assert_status(read(options), EXECQ_OK);
        bytes[size + more - 1] = 0;
    }
    *size_of(options) = size;
    for (int bit = first_unknown_flag; bit < 32; bit++) {
        *flags_of(options) = UINT32_C(1) << bit;
        assert_status(read(options), EXECQ_ENOTSUP);
    }
    *flags_of(options) = 0;
    assert_status(read(options), EXECQ_OK);
    *size_of(options) = first_size;
    assert_status(read(options), EXECQ_OK);
    *size_of(options) = size;
}

/* The same for a struct that is as it was in its first version. */
static void check_rules(reader read, void *options, uint32_t size, int first_unknown_flag)
{
    check_grown(read, options, size, size, first_unknown_flag);
}

static execq_executor *executor;
static execq_cq *queue;
static attached host;

static execq_status read_executor_options(void *options)
{
    execq_executor *made = UNTOUCHED;
    const execq_status status = execq_executor_new(options, &made);
    if (status == EXECQ_OK) {
        execq_executor_release(made);
    } else {
        assert_ptr_equal(made, UNTOUCHED);
    }
    return status;
}

static void executor_options_follow_the_rules(void **state)
{
    (void)state;
    GROWN(execq_executor_options) options = {.bytes = {0}};
    options.known = (execq_executor_options)EXECQ_EXECUTOR_OPTIONS_INIT;
    check_grown(read_executor_options, &options, offsetof(execq_executor_options, keepalive_ns), sizeof options.known,
                EXECQ_EXECUTOR_TIMES);
}

static execq_status read_promise_options(void *options)
{
    execq_promise *promise = UNTOUCHED;
    execq_future *future = UNTOUCHED;
    const execq_status status = execq_promise_new(options, &promise, &future);
    if (status == EXECQ_OK) {
        execq_promise_release(promise);
        execq_future_release(future);
    } else {
        assert_ptr_equal(promise, UNTOUCHED);
        assert_ptr_equal(future, UNTOUCHED);
    }
    return status;
}

static void promise_options_follow_the_rules(void **state)
{
    (void)state;
    GROWN(execq_promise_options) options = {.bytes = {0}};
    options.known = (execq_promise_options)EXECQ_PROMISE_OPTIONS_INIT;
    check_rules(read_promise_options, &options, sizeof options.known, 0);
}

static execq_status read_conf(void *conf) { return execq_init_conf(conf); }

static void conf_follows_the_rules(void **state)
{
    (void)state;
    GROWN(execq_conf) conf = {.bytes = {0}};
    conf.known = (execq_conf)EXECQ_CONF_INIT;
    check_grown(read_conf, &conf, offsetof(execq_conf, main_loop), sizeof conf.known, 4);
}

/* Counts what the submissions below drop; each of them must drop exactly what it was given. */
static counter dropped;
static int envs_given;

static void check_drops(execq_status status, const void *options)
{
    const execq_task_options *task = options;
    /* drop is honoured wherever struct_size covers it. */
    const int drop_is_covered = task->struct_size >= offsetof(execq_task_options, drop) + sizeof task->drop;
    if (status != EXECQ_OK) {
        assert_int_equal(counter_get(&dropped), drop_is_covered ? envs_given : 0);
    }
}

static execq_status read_by_submit_with(void *options)
{
    execq_future *future = UNTOUCHED;
    atomic_store(&dropped.n, 0);
    envs_given = 1;
    const execq_status status = execq_submit_with(executor, options, do_nothing, &dropped, &future);
    check_drops(status, options);
    if (status == EXECQ_OK) {
        finish(future);
        assert_int_equal(counter_get(&dropped), envs_given);
    } else {
        assert_ptr_equal(future, UNTOUCHED);
    }
    return status;
}

static void resolve_at_once(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    (void)loop;
    must(execq_promise_resolve(promise, env) == EXECQ_OK);
    execq_promise_release(promise);
}

static execq_status read_by_submit_async(void *options)
{
    execq_future *future = UNTOUCHED;
    atomic_store(&dropped.n, 0);
    envs_given = 1;
    const execq_status status = execq_submit_async(executor, options, resolve_at_once, &dropped, &future);
    check_drops(status, options);
    if (status == EXECQ_OK) {
        finish(future);
        assert_int_equal(counter_get(&dropped), envs_given);
    } else {
        assert_ptr_equal(future, UNTOUCHED);
    }
    return status;
}

static execq_status read_by_submit_many(void *options)
{
    void *envs[] = {&dropped, &dropped, &dropped};
    execq_future *futures[] = {UNTOUCHED, UNTOUCHED, UNTOUCHED};
    atomic_store(&dropped.n, 0);
    envs_given = 3;
    const execq_status status = execq_submit_many(executor, options, COUNT_OF(envs), do_nothing, envs, futures);
    check_drops(status, options);
    for (size_t i = 0; i < COUNT_OF(futures); i++) {
        if (status == EXECQ_OK) {
            finish(futures[i]);
        } else {
            assert_ptr_equal(futures[i], UNTOUCHED);
        }
    }
    return status;
}

static execq_status read_by_submit_to_cq(void *options)
{
    atomic_store(&dropped.n, 0);
    envs_given = 1;
    const execq_status status = execq_submit_to_cq(executor, options, do_nothing, &dropped, queue, NULL);
    check_drops(status, options);
    execq_completion out;
    size_t n = 0;
    if (status == EXECQ_OK) {
        assert_status(execq_cq_wait(queue, -1), EXECQ_OK);
        assert_status(execq_cq_drain(queue, &out, 1, &n), EXECQ_OK);
        execq_future_release(out.future);
    } else {
        assert_status(execq_cq_wait(queue, 0), EXECQ_ETIMEDOUT);
    }
    return status;
}

static execq_status read_by_submit_to_loop(void *options)
{
    counter hits = {0}; /* one for done, one for its drop */
    atomic_store(&dropped.n, 0);
    envs_given = 1;
    const execq_status status =
        execq_submit_to_loop(executor, options, do_nothing, &dropped, host.port, count_done, &hits, counter_hit);
    check_drops(status, options);
    if (status != EXECQ_OK) {
        assert_int_equal(counter_get(&hits), 1); /* the drop, inside the failing call */
    }
    assert_int_equal(uv_run(&host.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(counter_get(&hits), status == EXECQ_OK ? 2 : 1);
    return status;
}

static void task_options_follow_the_rules_in_every_submission(void **state)
{
    (void)state;
    static const reader readers[] = {read_by_submit_with, read_by_submit_many, read_by_submit_to_cq,
                                     read_by_submit_to_loop, read_by_submit_async};
    for (size_t i = 0; i < COUNT_OF(readers); i++) {
        GROWN(execq_task_options) options = {.bytes = {0}};
        options.known = (execq_task_options)EXECQ_TASK_OPTIONS_INIT;
        options.known.drop = counter_hit;
        check_grown(readers[i], &options, offsetof(execq_task_options, delay_ns), sizeof options.known, 2);
    }
}

static void drop_is_honoured_where_the_rest_is_rejected(void **state)
{
    (void)state;
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = counter_hit;
    options.flags = 1U << 31;
    atomic_store(&dropped.n, 0);
    assert_status(execq_submit_with(executor, &options, do_nothing, &dropped, NULL), EXECQ_ENOTSUP);
    assert_int_equal(counter_get(&dropped), 1);
    options.flags = 0;
    options.struct_size = offsetof(execq_task_options, drop_result);
    assert_status(execq_submit_with(executor, &options, do_nothing, &dropped, NULL), EXECQ_EINVAL);
    assert_int_equal(counter_get(&dropped), 2);
    options.struct_size--; /* no longer covers all of drop */
    assert_status(execq_submit_with(executor, &options, do_nothing, &dropped, NULL), EXECQ_EINVAL);
    assert_int_equal(counter_get(&dropped), 2);
}

static execq_status read_report(void *report) { return execq_executor_join(executor, 0, report); }

static void a_shutdown_report_follows_the_rules(void **state)
{
    (void)state;
    GROWN(execq_shutdown_report) report = {.bytes = {0}};
    report.known = (execq_shutdown_report)EXECQ_SHUTDOWN_REPORT_INIT;
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
    check_grown(read_report, &report, offsetof(execq_shutdown_report, left_loops), sizeof report.known, 0);
}

static void a_rejected_report_is_not_written(void **state)
{
    (void)state;
    execq_shutdown_report report = EXECQ_SHUTDOWN_REPORT_INIT;
    report.queued = report.threads = report.running_count = report.running_total = 99;
    report.flags = 1;
    assert_status(execq_executor_join(executor, 0, &report), EXECQ_ENOTSUP);
    report.flags = 0;
    report.struct_size = 8;
    assert_status(execq_executor_join(executor, 0, &report), EXECQ_EINVAL);
    assert_int_equal(report.queued, 99);
    assert_int_equal(report.threads, 99);
    assert_int_equal(report.running_count, 99);
    assert_int_equal(report.running_total, 99);
}

static execq_status read_uv_table(void *table)
{
    execq_loop *port = UNTOUCHED;
    const execq_status status = execq_loop_attach_uv(&host.loop, table, &port);
    if (status == EXECQ_OK) {
        assert_status(execq_loop_detach(port), EXECQ_OK);
        execq_loop_release(port);
    } else {
        assert_ptr_equal(port, UNTOUCHED);
    }
    assert_int_equal(uv_run(&host.loop, UV_RUN_DEFAULT), 0);
    return status;
}

static void a_uv_table_follows_the_rules(void **state)
{
    (void)state;
    GROWN(execq_uv_table) table = {.bytes = {0}};
    execq_uv_table_here(&table.known);
    check_grown(read_uv_table, &table, offsetof(execq_uv_table, timer_size), sizeof table.known, 0);
}

static execq_status read_stats(void *stats) { return execq_executor_stats(executor, stats); }

static void stats_follow_the_rules(void **state)
{
    (void)state;
    GROWN(execq_stats) stats = {.bytes = {0}};
    stats.known = (execq_stats)EXECQ_STATS_INIT;
    check_grown(read_stats, &stats, offsetof(execq_stats, spares), sizeof stats.known, 0);
}

static int open_all(void **state)
{
    (void)state;
    executor = pool_new(1);
    assert_status(execq_cq_new(&queue), EXECQ_OK);
    attached_open(&host);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    pool_end(executor);
    execq_cq_release(queue);
    attached_close(&host);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(executor_options_follow_the_rules, open_all, close_all),
        cmocka_unit_test_setup_teardown(promise_options_follow_the_rules, open_all, close_all),
        cmocka_unit_test_setup_teardown(conf_follows_the_rules, open_all, close_all),
        cmocka_unit_test_setup_teardown(task_options_follow_the_rules_in_every_submission, open_all, close_all),
        cmocka_unit_test_setup_teardown(drop_is_honoured_where_the_rest_is_rejected, open_all, close_all),
        cmocka_unit_test_setup_teardown(a_shutdown_report_follows_the_rules, open_all, close_all),
        cmocka_unit_test_setup_teardown(a_rejected_report_is_not_written, open_all, close_all),
        cmocka_unit_test_setup_teardown(a_uv_table_follows_the_rules, open_all, close_all),
        cmocka_unit_test_setup_teardown(stats_follow_the_rules, open_all, close_all),
    };
    ignore_failures();
    return cmocka_run_group_tests_name("capi.options", tests, NULL, NULL);
}
