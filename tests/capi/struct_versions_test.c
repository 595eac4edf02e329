/* The structs of every version that there was (tests/abi/v1.h), passed to each function that takes one: in memory that ends
 * where the struct ends, so that a byte more that is read or written ends the test. */
#include "capi.h"

#include <sys/mman.h>
#include <unistd.h>

#include "../abi/v1.h"
#include "uv_loop.h"

enum {
    LARGEST = 4096, /* the largest size that is taken (capi/edge.h) */
    CANARY = 0x5a
};

static char *edge; /* from here on nothing may be touched */

/* So many bytes, aligned for any struct, that end at the edge but for what the alignment leaves. */
static char *at_edge(size_t size) { return edge - (size + 7) / 8 * 8; }

static execq_executor *executor;
static execq_executor *ended;
static execq_cq *queue;
static execq_group *group;
static attached host;
static execq_engine_task *held; /* a task that its engine has and has not ended */
static counter dropped;

/* One struct in one function. */
typedef struct passing {
    const char *name;
    const uint32_t *sizes; /* of all versions, oldest first */
    size_t versions;
    void (*fill)(void *options);         /* what is needed, into zeroes, by the layout of the first version */
    execq_status (*pass)(void *options); /* gives back what it got */
    size_t drop;                         /* the offset of drop, which is honoured where it is covered; 0: none */
    int drops;                           /* and its calls */
    int any_flags;                       /* flags are no input */
} passing;

/* Passes size bytes of a struct, of which the one at `set`, if there is one, is not zero. */
static execq_status pass_sized(const passing *p, uint32_t size, uint32_t room, uint32_t flags, size_t set)
{
    static union {
        uint32_t first[2];
        char bytes[LARGEST];
    } whole;
    memset(&whole, 0, sizeof whole);
    p->fill(&whole);
    whole.first[0] = size;
    whole.first[1] = flags;
    if (set != 0)
        whole.bytes[set] = 1;
    char *options = at_edge(room);
    memset(options, CANARY, (size_t)(edge - options));
    memcpy(options, &whole, room);
    atomic_store(&dropped.n, 0);
    const execq_status status = p->pass(options);
    const int covered = p->drop != 0 && size >= p->drop + sizeof(execq_drop_fn);
    assert_int_equal(counter_get(&dropped), covered ? p->drops : 0); /* whatever it answered */
    for (char *rest = options + room; rest < edge; rest++)
        assert_int_equal(*rest, CANARY);
    return status;
}

static void expect(const passing *p, uint32_t size, uint32_t room, uint32_t flags, size_t set, execq_status wanted)
{
    const execq_status status = pass_sized(p, size, room, flags, set);
    if (status != wanted)
        fail_msg("%s of %u bytes, flags %x, byte %zu set: %s", p->name, size, flags, set, execq_status_name(status));
}

static void check_versions(const passing *p)
{
    const uint32_t first = p->sizes[0], now = p->sizes[p->versions - 1];
    for (uint32_t size = first - 1; size + 1 > 4; size--) /* 4: what tells the size has to be there */
        expect(p, size, size, 0, 0, EXECQ_EINVAL);
    expect(p, 0, 4, 0, 0, EXECQ_EINVAL);
    for (uint32_t size = first; size <= now; size++) /* the versions that there were, and whatever lies between */
        expect(p, size, size, 0, 0, EXECQ_OK);
    const uint32_t later[] = {now + 1, now + 8, now + 100, LARGEST};
    for (size_t i = 0; i < COUNT_OF(later); i++) {
        expect(p, later[i], later[i], 0, 0, EXECQ_OK);
        expect(p, later[i], later[i], 0, now, EXECQ_ENOTSUP);
        expect(p, later[i], later[i], 0, later[i] - 1, EXECQ_ENOTSUP);
    }
    expect(p, LARGEST + 1, now, 0, 0, EXECQ_EINVAL); /* told by the size alone: what it stands for is not there */
    expect(p, UINT32_MAX, now, 0, 0, EXECQ_EINVAL);
    for (size_t i = 0; i < p->versions && !p->any_flags; i++)
        expect(p, p->sizes[i], p->sizes[i], UINT32_C(1) << 31, 0, EXECQ_ENOTSUP);
}

static const uint32_t conf_sizes[] = {EXECQ_CONF_SIZES};
static const uint32_t executor_sizes[] = {EXECQ_EXECUTOR_OPTIONS_SIZES};
static const uint32_t hooks_sizes[] = {EXECQ_HOOKS_SIZES};
static const uint32_t uv_table_sizes[] = {EXECQ_UV_TABLE_SIZES};
static const uint32_t report_sizes[] = {EXECQ_SHUTDOWN_REPORT_SIZES};
static const uint32_t promise_sizes[] = {EXECQ_PROMISE_OPTIONS_SIZES};
static const uint32_t task_sizes[] = {EXECQ_TASK_OPTIONS_SIZES};
static const uint32_t queue_sizes[] = {EXECQ_QUEUE_OPTIONS_SIZES};
static const uint32_t stats_sizes[] = {EXECQ_STATS_SIZES};
static const uint32_t error_sizes[] = {EXECQ_ERROR_OPTIONS_SIZES};
static const uint32_t var_sizes[] = {EXECQ_VAR_OPTIONS_SIZES};
static const uint32_t provider_sizes[] = {EXECQ_CONTEXT_PROVIDER_SIZES};
static const uint32_t group_sizes[] = {EXECQ_GROUP_OPTIONS_SIZES};
static const uint32_t source_sizes[] = {EXECQ_CANCEL_SOURCE_OPTIONS_SIZES};
static const uint32_t vtable_sizes[] = {EXECQ_ENGINE_VTABLE_SIZES};
static const uint32_t info_sizes[] = {EXECQ_ENGINE_TASK_INFO_SIZES};
static const uint32_t manual_sizes[] = {EXECQ_MANUAL_OPTIONS_SIZES};
#define SIZES(all) .sizes = (all), .versions = COUNT_OF(all)

static void fill_nothing(void *options) { (void)options; }

/* What a task is given in all its submissions. */
static void fill_task(void *options)
{
    execq_task_options_40 *task = options;
    task->drop = counter_hit;
    task->name = "a name";
}

static execq_status done_with(execq_status status, execq_future *future)
{
    if (status == EXECQ_OK)
        finish(future);
    return status;
}

static execq_status by_submit_with(void *options)
{
    execq_future *future = NULL;
    const execq_status status = execq_submit_with(executor, options, do_nothing, &dropped, &future);
    return done_with(status, future);
}

static execq_status by_submit_many(void *options)
{
    void *envs[] = {&dropped, &dropped};
    execq_future *futures[2] = {NULL, NULL};
    const execq_status status = execq_submit_many(executor, options, 2, do_nothing, envs, futures);
    return done_with(done_with(status, futures[0]), futures[1]);
}

static execq_status by_submit_to_cq(void *options)
{
    execq_completion_32 entry;
    execq_completion *out = (execq_completion *)&entry;
    size_t n = 0;
    const execq_status status = execq_submit_to_cq(executor, options, do_nothing, &dropped, queue, &entry);
    if (status != EXECQ_OK)
        return status;
    assert_status(execq_cq_wait(queue, -1), EXECQ_OK);
    assert_status(execq_cq_drain(queue, out, 1, &n), EXECQ_OK);
    assert_ptr_equal(entry.tag, &entry);
    execq_future_release(entry.future);
    return status;
}

static execq_status by_submit_to_loop(void *options)
{
    counter hits = {0};
    const execq_status status =
        execq_submit_to_loop(executor, options, do_nothing, &dropped, host.port, count_done, &hits, NULL);
    uv_run(&host.loop, UV_RUN_DEFAULT);
    assert_int_equal(counter_get(&hits), status == EXECQ_OK);
    return status;
}

static void resolve(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    (void)loop;
    (void)env;
    must(execq_promise_resolve(promise, NULL) == EXECQ_OK);
    execq_promise_release(promise);
}

static execq_status by_submit_async(void *options)
{
    execq_future *future = NULL;
    const execq_status status = execq_submit_async(executor, options, resolve, &dropped, &future);
    return done_with(status, future);
}

static int32_t once(void *env, void **result)
{
    (void)env;
    (void)result;
    return EXECQ_EFAILED; /* a run that fails is the last one */
}

static execq_status by_submit_periodic(void *options)
{
    execq_future *future = NULL;
    const execq_status status = execq_submit_periodic(executor, options, 1, EXECQ_FIXED_DELAY, once, &dropped, &future);
    return done_with(status, future);
}

static execq_status by_group_submit(void *options)
{
    execq_future *future = NULL;
    const execq_status status = execq_group_submit(group, executor, options, do_nothing, &dropped, &future);
    return done_with(status, future);
}

static execq_status on_loop(execq_status status, execq_future *future)
{
    uv_run(&host.loop, UV_RUN_DEFAULT);
    return done_with(status, future);
}

static execq_status by_loop_submit(void *options)
{
    execq_future *future = NULL;
    const execq_status status = execq_loop_submit(host.port, options, do_nothing, &dropped, &future);
    return on_loop(status, future);
}

static execq_status by_loop_submit_async(void *options)
{
    execq_future *future = NULL;
    const execq_status status = execq_loop_submit_async(host.port, options, resolve, &dropped, &future);
    return on_loop(status, future);
}

static void task_options_of_every_version_are_taken_by_every_submission(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        execq_status (*pass)(void *options);
        int drops;
    } all[] = {{"submit_with", by_submit_with, 1},
               {"submit_many", by_submit_many, 2},
               {"submit_to_cq", by_submit_to_cq, 1},
               {"submit_to_loop", by_submit_to_loop, 1},
               {"submit_async", by_submit_async, 1},
               {"submit_periodic", by_submit_periodic, 1},
               {"group_submit", by_group_submit, 1},
               {"loop_submit", by_loop_submit, 1},
               {"loop_submit_async", by_loop_submit_async, 1}};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        const passing p = {.name = all[i].name,
                           SIZES(task_sizes),
                           .fill = fill_task,
                           .pass = all[i].pass,
                           .drop = offsetof(execq_task_options_40, drop),
                           .drops = all[i].drops};
        check_versions(&p);
    }
}

static execq_status by_init_conf(void *conf) { return execq_init_conf(conf); }

static execq_status by_executor_new(void *options)
{
    execq_executor *made = NULL;
    const execq_status status = execq_executor_new(options, &made);
    execq_executor_release(made);
    return status;
}

static void fill_hooks(void *options)
{
    execq_hooks_48 *hooks = options;
    hooks->drop = counter_hit;
    hooks->env = &dropped;
}

/* The executor is gone, and so is what its hooks belong to, when its last thread is: there is none. */
static execq_status by_executor_hooks(void *hooks)
{
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.hooks = hooks;
    return by_executor_new(&options);
}

static void fill_uv_table(void *options)
{
    execq_uv_table here;
    execq_uv_table_here(&here);
    memcpy(options, &here, sizeof(execq_uv_table_200));
}

static execq_status by_loop_attach_uv(void *table)
{
    execq_loop *port = NULL;
    const execq_status status = execq_loop_attach_uv(&host.loop, table, &port);
    if (status == EXECQ_OK)
        assert_status(execq_loop_detach(port), EXECQ_OK);
    execq_loop_release(port);
    uv_run(&host.loop, UV_RUN_DEFAULT);
    return status;
}

static execq_status by_uv_table_load(void *table) { return execq_uv_table_load(table, NULL, NULL); }

static execq_status by_executor_join(void *report) { return execq_executor_join(ended, 0, report); }

static execq_status by_promise_new(void *options)
{
    execq_promise *promise = NULL;
    execq_future *future = NULL;
    const execq_status status = execq_promise_new(options, &promise, &future);
    execq_future_release(future);
    if (status == EXECQ_OK)
        assert_status(execq_promise_resolve(promise, NULL), EXECQ_OK);
    execq_promise_release(promise);
    return status;
}

static execq_status by_queue_new(void *options)
{
    execq_queue *made = NULL;
    const execq_status status = execq_queue_new(executor, options, &made);
    execq_queue_release(made);
    return status;
}

static execq_status by_executor_stats(void *stats) { return execq_executor_stats(executor, stats); }

static void fill_error(void *options)
{
    execq_error_options_56 *error = options;
    error->drop = counter_hit;
    error->payload = &dropped;
    error->code = 5;
}

static execq_status by_error_new(void *options)
{
    const execq_error *error = NULL;
    const execq_status status = execq_error_new(options, &error);
    execq_error_release(error);
    return status;
}

static execq_status by_var_new(void *options)
{
    execq_var *var = NULL;
    const execq_status status = execq_var_new(options, &var);
    execq_var_release(var);
    return status;
}

static execq_status capture_nothing(void *env, void **state)
{
    (void)env;
    *state = NULL;
    return EXECQ_OK;
}

static execq_status enter_nothing(void *env, void *state, void **entered)
{
    (void)env;
    (void)state;
    (void)entered;
    return EXECQ_OK;
}

static void leave_nothing(void *env, void *state, void *entered)
{
    (void)env;
    (void)state;
    (void)entered;
}

static void fill_provider(void *options)
{
    static char envs[256]; /* each provider has one of its own */
    static size_t next;
    execq_context_provider_56 *provider = options;
    provider->capture = capture_nothing;
    provider->enter = enter_nothing;
    provider->leave = leave_nothing;
    provider->env = &envs[next++ % sizeof envs];
}

static execq_status by_context_provider_add(void *provider) { return execq_context_provider_add(provider); }

static execq_status by_group_new(void *options)
{
    execq_group *made = NULL;
    const execq_status status = execq_group_new(options, &made);
    execq_group_release(made);
    return status;
}

static execq_status by_cancel_source_new(void *options)
{
    execq_cancel_source *source = NULL;
    const execq_status status = execq_cancel_source_new(options, &source);
    execq_cancel_source_release(source);
    return status;
}

static execq_status hold_task(void *engine, execq_engine_task *task)
{
    (void)engine;
    held = task;
    return EXECQ_OK;
}

static void fill_vtable(void *options)
{
    execq_engine_vtable_48 *vtable = options;
    vtable->drop = counter_hit;
    vtable->submit = hold_task;
}

static execq_status by_executor_from_vtable(void *vtable)
{
    execq_executor *made = NULL;
    const execq_status status = execq_executor_from_vtable(vtable, &dropped, &made);
    if (status == EXECQ_OK) {
        assert_status(execq_executor_close(made, EXECQ_DRAIN), EXECQ_OK);
        assert_status(execq_executor_join(made, -1, NULL), EXECQ_OK);
    }
    execq_executor_release(made);
    return status;
}

static execq_status by_engine_task_info_get(void *info) { return execq_engine_task_info_get(held, info); }

static execq_status by_manual_new(void *options)
{
    execq_executor *made = NULL;
    const execq_status status = execq_manual_new(options, &made);
    execq_executor_release(made);
    return status;
}

static void every_other_struct_of_every_version_is_taken(void **state)
{
    (void)state;
    const passing all[] = {
        {.name = "init_conf", SIZES(conf_sizes), .fill = fill_nothing, .pass = by_init_conf},
        {.name = "executor_new", SIZES(executor_sizes), .fill = fill_nothing, .pass = by_executor_new},
        {.name = "executor_new: hooks",
         SIZES(hooks_sizes),
         .fill = fill_hooks,
         .pass = by_executor_hooks,
         .drop = offsetof(execq_hooks_48, env), /* honoured where its env is there, too */
         .drops = 1},
        {.name = "loop_attach_uv", SIZES(uv_table_sizes), .fill = fill_uv_table, .pass = by_loop_attach_uv},
        {.name = "uv_table_load",
         SIZES(uv_table_sizes),
         .fill = fill_nothing,
         .pass = by_uv_table_load,
         .any_flags = 1},
        {.name = "executor_join", SIZES(report_sizes), .fill = fill_nothing, .pass = by_executor_join},
        {.name = "promise_new", SIZES(promise_sizes), .fill = fill_nothing, .pass = by_promise_new},
        {.name = "queue_new", SIZES(queue_sizes), .fill = fill_nothing, .pass = by_queue_new},
        {.name = "executor_stats", SIZES(stats_sizes), .fill = fill_nothing, .pass = by_executor_stats},
        {.name = "error_new",
         SIZES(error_sizes),
         .fill = fill_error,
         .pass = by_error_new,
         .drop = offsetof(execq_error_options_56, payload), /* honoured where that is there, too */
         .drops = 1},
        {.name = "var_new", SIZES(var_sizes), .fill = fill_nothing, .pass = by_var_new},
        {.name = "group_new", SIZES(group_sizes), .fill = fill_nothing, .pass = by_group_new},
        {.name = "cancel_source_new", SIZES(source_sizes), .fill = fill_nothing, .pass = by_cancel_source_new},
        {.name = "executor_from_vtable",
         SIZES(vtable_sizes),
         .fill = fill_vtable,
         .pass = by_executor_from_vtable,
         .drop = offsetof(execq_engine_vtable_48, drop),
         .drops = 1},
        {.name = "engine_task_info_get", SIZES(info_sizes), .fill = fill_nothing, .pass = by_engine_task_info_get},
        {.name = "manual_new", SIZES(manual_sizes), .fill = fill_nothing, .pass = by_manual_new},
        {.name = "context_provider_add",
         SIZES(provider_sizes),
         .fill = fill_provider,
         .pass = by_context_provider_add}, /* last: they stay */
    };
    for (size_t i = 0; i < COUNT_OF(all); i++)
        check_versions(&all[i]);
}

static void a_uv_table_that_is_too_old_to_own_loops_is_refused_by_an_executor(void **state)
{
    (void)state;
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    for (size_t size = 0; size <= sizeof(execq_uv_table_200) + 16; size += 8) {
        uint32_t *table = (void *)at_edge(size < 8 ? 8 : size);
        execq_uv_table_200 here = {0};
        fill_uv_table(&here);
        memset(table, 0, (size_t)(edge - (char *)table));
        memcpy(table, &here, size < sizeof here ? size : sizeof here);
        *table = (uint32_t)size;
        options.uv_table = (const struct execq_uv_table *)table;
        const execq_status status = by_executor_new(&options);
        if (size < sizeof(execq_uv_table_80))
            assert_status(status, EXECQ_EINVAL);
        else
            assert_status(status, size < sizeof here ? EXECQ_ENOTSUP : EXECQ_OK);
    }
}

static void statistics_of_every_version_tell_what_that_version_knew(void **state)
{
    (void)state;
    execq_worker_stats_96 workers[4] = {{0}};
    execq_stats now = EXECQ_STATS_INIT;
    assert_status(execq_executor_stats(executor, &now), EXECQ_OK);
    assert_true(now.threads_started > 0);
    for (size_t i = 0; i < COUNT_OF(stats_sizes); i++) {
        execq_stats_216 *stats = (void *)at_edge(stats_sizes[i]);
        memset(stats, 0, stats_sizes[i]);
        stats->struct_size = stats_sizes[i];
        stats->worker_size = sizeof workers[0];
        stats->workers = (execq_worker_stats *)workers;
        stats->workers_max = COUNT_OF(workers);
        assert_status(execq_executor_stats(executor, (execq_stats *)stats), EXECQ_OK);
        assert_int_equal(stats->struct_size, stats_sizes[i]);
        assert_int_equal(stats->threads_started, now.threads_started);
        assert_int_equal(stats->threads_max, 2);
        assert_int_equal(stats->workers_count, now.workers_total);
        assert_int_not_equal(workers[0].state, EXECQ_WORKER_ABSENT);
    }
}

static void a_report_of_the_first_version_tells_what_still_runs(void **state)
{
    (void)state;
    static gate g;
    execq_running_task_64 running[2];
    execq_shutdown_report_56 *report = (void *)at_edge(sizeof *report);
    execq_executor *busy = pool_new(1);
    gate_init(&g);
    execq_future *future = occupy(busy, &g);
    memset(report, 0, sizeof *report);
    report->struct_size = sizeof *report;
    report->running = (execq_running_task *)running;
    report->running_max = 2;
    assert_status(execq_executor_close(busy, EXECQ_DRAIN), EXECQ_OK);
    assert_status(execq_executor_join(busy, 0, (execq_shutdown_report *)report), EXECQ_ETIMEDOUT);
    assert_int_equal(report->running_count, 1);
    assert_int_equal(report->threads, 1);
    gate_open(&g, 1);
    finish(future);
    assert_status(execq_executor_join(busy, -1, (execq_shutdown_report *)report), EXECQ_OK);
    assert_int_equal(report->threads, 0);
    execq_executor_release(busy);
    gate_destroy(&g);
}

/* A hook that was compiled when the event was of that size. */
static void check_event(const execq_task_event *given, void *env)
{
    const execq_task_event_80 *event = (const execq_task_event_80 *)given;
    must(event->struct_size >= sizeof *event);
    must(event->outcome == EXECQ_ENDED_OK && strcmp(event->name, "seen") == 0 && event->task != 0);
    counter_hit(env);
}

static void an_event_begins_as_it_did_in_its_first_version(void **state)
{
    (void)state;
    counter ends = {0};
    execq_hooks_48 hooks = {.struct_size = sizeof hooks, .env = &ends, .on_end = check_event};
    execq_executor_options_160 options = {.struct_size = sizeof options, .hooks = (const struct execq_hooks *)&hooks};
    execq_task_options_40 task = {.struct_size = sizeof task, .name = "seen"};
    execq_executor *observed = NULL;
    execq_future *future = NULL;
    assert_status(execq_executor_new((const execq_executor_options *)&options, &observed), EXECQ_OK);
    assert_status(execq_submit_with(observed, (const execq_task_options *)&task, do_nothing, NULL, &future), EXECQ_OK);
    finish(future);
    pool_end(observed);
    assert_int_equal(counter_get(&ends), 1);
}

static execq_executor *engine;
static execq_future *of_engine;

static int set_up(void **state)
{
    (void)state;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t room = (LARGEST + page) / page * page;
    char *memory = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(memory != MAP_FAILED);
    edge = memory + room;
    must(mprotect(edge, page, PROT_NONE) == 0);
    executor = pool_new(2);
    ended = pool_new(1);
    assert_status(execq_executor_close(ended, EXECQ_DRAIN), EXECQ_OK);
    assert_status(execq_executor_join(ended, -1, NULL), EXECQ_OK);
    assert_status(execq_cq_new(&queue), EXECQ_OK);
    assert_status(execq_group_new(NULL, &group), EXECQ_OK);
    attached_open(&host);
    execq_engine_vtable vtable = EXECQ_ENGINE_VTABLE_INIT;
    vtable.submit = hold_task;
    assert_status(execq_executor_from_vtable(&vtable, NULL, &engine), EXECQ_OK);
    of_engine = spawn(engine, do_nothing, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_status(execq_engine_task_run(held), EXECQ_OK);
    finish(of_engine);
    pool_end(engine);
    attached_close(&host);
    execq_group_release(group);
    execq_cq_release(queue);
    execq_executor_release(ended);
    pool_end(executor);
    return 0;
}

int main(void)
{
    ignore_failures();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(task_options_of_every_version_are_taken_by_every_submission),
        cmocka_unit_test(a_uv_table_that_is_too_old_to_own_loops_is_refused_by_an_executor),
        cmocka_unit_test(statistics_of_every_version_tell_what_that_version_knew),
        cmocka_unit_test(a_report_of_the_first_version_tells_what_still_runs),
        cmocka_unit_test(an_event_begins_as_it_did_in_its_first_version),
        cmocka_unit_test(every_other_struct_of_every_version_is_taken),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
