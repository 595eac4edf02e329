/* A child of fork(): what it inherited answers EXECQ_EFORKED, what was done stays readable, nothing is freed or dropped, and
 * everything that it makes itself works. */
#include "uv_loop.h"

#include <execq/dump_file.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* Seconds, for a child that hangs. */
enum { CHILD_LIMIT = 300 };

/* ---- children ---- */

typedef void (*child_fn)(void *env);

/* Only where nothing of the library is further up the stack. */
static pid_t start_child(child_fn fn, void *env)
{
    const pid_t child = fork();
    if (child == 0) {
        alarm(CHILD_LIMIT);
        fn(env);
        _exit(0);
    }
    return child;
}

static int status_of(pid_t child)
{
    int status = -1;
    must(child > 0 && waitpid(child, &status, 0) == child);
    return status;
}

static void in_child(child_fn fn, void *env) { assert_int_equal(status_of(start_child(fn, env)), 0); }

/* In memory that a child shares with its parent. */
typedef struct shared_counts {
    pid_t parent;
    atomic_int inside;  /* children that were where they were to be */
    atomic_int strange; /* callbacks that ran in a child */
} shared_counts;

static shared_counts *shared;

static void note_strange(void)
{
    if (getpid() != shared->parent) {
        atomic_fetch_add(&shared->strange, 1);
    }
}

static void strange_drop(void *env)
{
    (void)env;
    note_strange();
}

static void strange_done(execq_future *future, void *env)
{
    (void)future;
    (void)env;
    note_strange();
}

static int32_t strange_task(void *env, void **result)
{
    (void)env;
    (void)result;
    note_strange();
    return 0;
}

static int setup(void **state)
{
    (void)state;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        return -1;
    }
    shared->parent = getpid();
    atomic_init(&shared->inside, 0);
    atomic_init(&shared->strange, 0);
    return 0;
}

/* ---- what a child makes itself works ---- */

static void start_resolving(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    must(uv_loop_alive(loop) == 0 || uv_loop_alive(loop) == 1);
    must(execq_promise_resolve(promise, env) == EXECQ_OK);
    execq_promise_release(promise);
}

static int32_t run_loop_inside(void *env, void **result)
{
    (void)result;
    execq_future *sleep = NULL;
    struct uv_loop_s *loop = NULL;
    must(execq_thread_loop(&loop) == EXECQ_OK);
    must(execq_sleep(MILLISECOND, &sleep) == EXECQ_OK);
    must(execq_run_until(sleep, -1) == EXECQ_OK);
    execq_future_release(sleep);
    counter_hit(env);
    return 0;
}

static void must_succeed(execq_future *future)
{
    must(execq_future_wait(future, -1) == EXECQ_OK);
    must(execq_future_result(future, NULL) == EXECQ_OK);
    execq_future_release(future);
}

static void tasks_work(execq_executor *executor)
{
    enum { tasks = 300 };
    counter ran = {0};
    execq_future *futures[tasks];
    for (int i = 0; i < tasks; i++) {
        must(execq_submit(executor, counter_fn, &ran, NULL) == EXECQ_OK);
        must(execq_submit(executor, counter_fn, &ran, &futures[i]) == EXECQ_OK);
    }
    must(execq_future_wait_all(futures, tasks, -1) == EXECQ_OK);
    for (int i = 0; i < tasks; i++) {
        must_succeed(futures[i]);
    }
    counter dropped = {0};
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = counter_hit;
    options.name = "named";
    options.delay_ns = MILLISECOND;
    options.priority = EXECQ_PRIORITY_HIGH;
    execq_future *future = NULL;
    must(execq_submit_with(executor, &options, do_nothing, &dropped, &future) == EXECQ_OK);
    must_succeed(future);
    must(counter_get(&dropped) == 1);
    must(execq_submit_async(executor, NULL, start_resolving, NULL, &future) == EXECQ_OK);
    must_succeed(future);
    must(execq_submit(executor, run_loop_inside, &ran, &future) == EXECQ_OK);
    must_succeed(future);
    execq_executor *pool = executor;
    if (pool == NULL) {
        must(execq_executor_default(&pool) == EXECQ_OK);
    } else {
        execq_executor_retain(pool);
    }
    execq_stats stats = EXECQ_STATS_INIT;
    must(execq_executor_stats(pool, &stats) == EXECQ_OK);
    must(execq_executor_close(pool, EXECQ_DRAIN) == EXECQ_OK);
    must(execq_executor_join(pool, -1, NULL) == EXECQ_OK);
    execq_executor_release(pool);
    must(counter_get(&ran) == 2 * tasks + 1);
}

static void queues_and_groups_work(execq_executor *executor)
{
    counter ran = {0};
    execq_queue *queue = NULL;
    must(execq_queue_new(executor, NULL, &queue) == EXECQ_OK);
    execq_group *group = NULL;
    must(execq_group_new(NULL, &group) == EXECQ_OK);
    execq_cancel_source *source = NULL;
    must(execq_cancel_source_new(NULL, &source) == EXECQ_OK);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.queue = queue;
    options.cancel_source = source;
    for (int i = 0; i < 50; i++) {
        must(execq_group_submit(group, NULL, &options, counter_fn, &ran, NULL) == EXECQ_OK);
    }
    must(execq_group_join(group, -1) == EXECQ_OK);
    must(counter_get(&ran) == 50);
    must(execq_cancel_source_cancel(source) == EXECQ_OK);
    execq_future *closed = NULL;
    must(execq_queue_close(queue, EXECQ_DRAIN, &closed) == EXECQ_OK);
    must_succeed(closed);
    execq_queue_release(queue);
    execq_group_release(group);
    execq_cancel_source_release(source);
}

static void completions_work(execq_executor *executor)
{
    execq_cq *cq = NULL;
    must(execq_cq_new(&cq) == EXECQ_OK);
    must(execq_submit_to_cq(executor, NULL, do_nothing, NULL, cq, &cq) == EXECQ_OK);
    must(execq_cq_wait(cq, -1) == EXECQ_OK);
    execq_completion completion;
    size_t n = 0;
    must(execq_cq_drain(cq, &completion, 1, &n) == EXECQ_OK && n == 1 && completion.tag == &cq);
    execq_future_release(completion.future);
    execq_cq_release(cq);

    uv_loop_t loop;
    execq_loop *port = NULL;
    counter done = {0};
    must(uv_loop_init(&loop) == 0 && execq_loop_attach(&loop, &port) == EXECQ_OK);
    must(execq_submit_to_loop(executor, NULL, do_nothing, NULL, port, count_done, &done, NULL) == EXECQ_OK);
    must(execq_loop_submit(port, NULL, counter_fn, &done, NULL) == EXECQ_OK);
    must(uv_run(&loop, UV_RUN_DEFAULT) == 0);
    must(counter_get(&done) == 2);
    must(execq_loop_detach(port) == EXECQ_OK);
    execq_loop_release(port);
    must(uv_run(&loop, UV_RUN_DEFAULT) == 0 && uv_loop_close(&loop) == 0);
}

static void variables_work(void)
{
    counter dropped = {0};
    execq_var_options options = EXECQ_VAR_OPTIONS_INIT;
    options.drop = counter_hit;
    execq_var *var = NULL;
    execq_var_token token = 0;
    void *value = NULL;
    must(execq_var_new(&options, &var) == EXECQ_OK);
    must(execq_var_set(var, &dropped, &token) == EXECQ_OK);
    must(execq_var_get(var, &value) == 1 && value == &dropped);
    must(execq_var_reset(var, token) == EXECQ_OK);
    must(counter_get(&dropped) == 1);
    execq_var_release(var);
}

static void all_works(void *env)
{
    (void)env;
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 3;
    execq_executor *executor = NULL;
    must(execq_executor_new(&options, &executor) == EXECQ_OK);
    execq_future *sleep = NULL;
    must(execq_sleep(MILLISECOND, &sleep) == EXECQ_OK);
    must_succeed(sleep);
    queues_and_groups_work(executor);
    completions_work(executor);
    variables_work();
    tasks_work(executor); /* closes it */
    execq_executor_release(executor);
}

static void the_default_works(void *env)
{
    (void)env;
    queues_and_groups_work(NULL);
    completions_work(NULL);
    tasks_work(NULL);
}

static void the_child_of_a_process_that_has_not_used_the_library(void **state)
{
    (void)state;
    in_child(all_works, NULL);
    in_child(the_default_works, NULL);
}

static void a_child_makes_everything_anew(void **state)
{
    (void)state;
    all_works(NULL);
    execq_future *sleep = NULL; /* so that the timer thread sleeps for long */
    assert_status(execq_sleep(INT64_C(3600000000000), &sleep), EXECQ_OK);
    struct uv_loop_s *own = NULL;
    assert_status(execq_thread_loop(&own), EXECQ_OK);
    in_child(all_works, NULL);
    in_child(the_default_works, NULL);
    assert_status(execq_future_cancel(sleep), EXECQ_OK);
    execq_future_release(sleep);
    assert_status(execq_thread_loop_close(), EXECQ_OK);
    all_works(NULL);
}

/* ---- every function ---- */

/* One of everything, of the parent's; nothing of it is done. */
typedef struct things {
    execq_executor *executor;
    execq_queue *queue;
    execq_group *group;
    execq_cancel_source *source;
    execq_var *var;
    execq_context *context;
    execq_cq *cq;
    execq_promise *promise;
    execq_future *future;
    execq_loop *loop;
    const execq_error *error;
    execq_executor *hosted;
    execq_engine_task *task; /* of hosted; begun */
    execq_cancel_token token;
    uv_loop_t uv;
} things;

static things old;
static execq_executor *mine; /* the child's */
static execq_future *out_future;
static counter drops;

static execq_executor *own(void)
{
    must(mine != NULL || execq_executor_new(NULL, &mine) == EXECQ_OK);
    return mine;
}

static int32_t submit_by(execq_executor *executor, const execq_task_options *options)
{
    return execq_submit_with(executor, options, strange_task, NULL, &out_future);
}

static execq_promise *own_promise(void)
{
    execq_promise *promise = NULL;
    execq_future *future = NULL;
    must(execq_promise_new(NULL, &promise, &future) == EXECQ_OK);
    return promise;
}

static execq_future *own_future(void)
{
    execq_promise *promise = NULL;
    execq_future *future = NULL;
    must(execq_promise_new(NULL, &promise, &future) == EXECQ_OK);
    return future;
}

#define CALL(name, expression) \
    static int32_t name(void) { return (expression); }
#define CALL_WITH(name, type, init, field, value, expression) \
    static int32_t name(void)                                 \
    {                                                         \
        type options = init;                                  \
        options.field = (value);                              \
        return (expression);                                  \
    }
#define TASK(name, field, value, expression) \
    CALL_WITH(name, execq_task_options, EXECQ_TASK_OPTIONS_INIT, field, value, expression)

CALL_WITH(source_new, execq_cancel_source_options, EXECQ_CANCEL_SOURCE_OPTIONS_INIT, parent, old.source,
          execq_cancel_source_new(&options, &(execq_cancel_source *){NULL}))
CALL(source_cancel, execq_cancel_source_cancel(old.source))
CALL(source_requested, execq_cancel_source_requested(old.source))
CALL(source_on_cancel, execq_cancel_source_on_cancel(old.source, strange_drop, &drops, counter_hit, NULL))
CALL(source_off, execq_cancel_source_off(old.source, old.token))
CALL(source_link, execq_cancel_source_link_future(old.source, own_future()))
CALL_WITH(conf_executor, execq_conf, EXECQ_CONF_INIT, executor, old.executor, execq_init_conf(&options))
CALL_WITH(conf_loop, execq_conf, EXECQ_CONF_INIT, main_loop, old.loop, execq_init_conf(&options))
CALL(var_set, execq_var_set(old.var, NULL, NULL))
CALL(var_get, execq_var_get(old.var, &(void *){NULL}))
CALL(var_reset, execq_var_reset(old.var, old.token))
CALL(context_run, execq_context_run(old.context, strange_drop, NULL))
CALL(cq_fd, execq_cq_fd(old.cq, &(int){0}))
CALL(cq_drain, execq_cq_drain(old.cq, &(execq_completion){0}, 1, &(size_t){0}))
CALL(cq_wait, execq_cq_wait(old.cq, -1))
CALL(cq_close, execq_cq_close(old.cq, strange_drop))
CALL(executor_close, execq_executor_close(old.executor, EXECQ_CANCEL))
CALL(executor_join, execq_executor_join(old.executor, -1, NULL))
static void write_nothing(const char *text, size_t size, void *env)
{
    (void)text;
    (void)size;
    (void)env;
}
CALL(executor_resize, execq_executor_resize(old.executor, 1, 2))
CALL(executor_latency, execq_executor_latency(old.executor, EXECQ_LATENCY_LOOP_LAG, NULL, 0, NULL, NULL))
CALL(dump, execq_dump(old.executor, write_nothing, NULL))
CALL(dump_file, execq_dump_file(old.executor, stderr))
CALL(manual_step, execq_manual_step(old.executor, NULL))
CALL(manual_run, execq_manual_run(old.executor, NULL))
CALL(manual_advance, execq_manual_advance(old.executor, 1))
CALL(manual_run_for, execq_manual_run_for(old.executor, 1, NULL))
CALL(manual_now, execq_manual_now(old.executor, &(int64_t){0}))
CALL(executor_stats, execq_executor_stats(old.executor, &(execq_stats)EXECQ_STATS_INIT))
CALL(future_state, execq_future_state(old.future))
CALL(future_wait, execq_future_wait(old.future, -1))
CALL(future_wait_all, execq_future_wait_all(&old.future, 1, -1))
CALL(future_wait_any, execq_future_wait_any(&old.future, 1, -1, NULL))
CALL(future_result, execq_future_result(old.future, NULL))
CALL(future_take, execq_future_take(old.future, &(void *){NULL}))
CALL(future_forward, execq_future_forward(old.future, own_promise()))
CALL(future_forward_to, execq_future_forward(own_future(), old.promise))
CALL(future_cancel, execq_future_cancel(old.future))
CALL(future_cancel_reason, execq_future_cancel_reason(old.future))
CALL(future_on_done, execq_future_on_done(old.future, strange_done, &drops, counter_hit))
CALL(future_on_loop, execq_future_on_loop(own_future(), old.loop, strange_done, &drops, counter_hit))
CALL(future_on_loop_old, execq_future_on_loop(old.future, old.loop, strange_done, NULL, NULL))
CALL(future_on_promise, execq_future_on_promise(own_future(), old.promise, strange_done, &drops, counter_hit))
CALL(future_on_cq, execq_future_on_cq(own_future(), old.cq, NULL))
CALL(future_on_cq_old, execq_future_on_cq(old.future, old.cq, NULL))
CALL(loop_detach, execq_loop_detach(old.loop))
CALL(loop_hold, execq_loop_hold(old.loop))
CALL(loop_unhold, execq_loop_unhold(old.loop))
CALL(loop_submit, execq_loop_submit(old.loop, NULL, strange_task, NULL, &out_future))
CALL(loop_submit_async, execq_loop_submit_async(old.loop, NULL, start_resolving, NULL, &out_future))
CALL(loop_call, execq_loop_call(old.loop, strange_task, NULL, -1, NULL))
CALL(promise_resolve, execq_promise_resolve(old.promise, NULL))
CALL(promise_reject, execq_promise_reject(old.promise, 1, "no"))
CALL(promise_reject_error, execq_promise_reject_error(old.promise, old.error))
CALL(promise_cancel_requested, execq_promise_cancel_requested(old.promise))
CALL(promise_on_cancel, execq_promise_on_cancel(old.promise, strange_drop, &drops, counter_hit))
CALL(queue_new, execq_queue_new(old.executor, NULL, &(execq_queue *){NULL}))
CALL(queue_pause, execq_queue_pause(old.queue))
CALL(queue_resume, execq_queue_resume(old.queue))
CALL(queue_set_key, execq_queue_set_key(old.queue, 1, 1, 1))
CALL(queue_counts, execq_queue_counts(old.queue, NULL, NULL))
CALL(queue_close, execq_queue_close(old.queue, EXECQ_DRAIN, &out_future))
CALL_WITH(group_new_inside, execq_group_options, EXECQ_GROUP_OPTIONS_INIT, parent, old.group,
          execq_group_new(&options, &(execq_group *){NULL}))
CALL_WITH(group_new_of_source, execq_group_options, EXECQ_GROUP_OPTIONS_INIT, cancel_source, old.source,
          execq_group_new(&options, &(execq_group *){NULL}))
static int32_t group_new_limited(void)
{
    execq_group_options options = EXECQ_GROUP_OPTIONS_INIT;
    options.executor = old.executor;
    options.max_in_flight = 1;
    return execq_group_new(&options, &(execq_group *){NULL});
}
CALL(group_submit, execq_group_submit(old.group, own(), NULL, strange_task, NULL, &out_future))
CALL(group_cancel, execq_group_cancel(old.group))
CALL(group_join, execq_group_join(old.group, -1))
CALL(group_cancel_reason, execq_group_cancel_reason(old.group))
CALL(submit, execq_submit(old.executor, strange_task, NULL, NULL))
CALL(submit_future, execq_submit(old.executor, strange_task, NULL, &out_future))
TASK(submit_with, drop, NULL, submit_by(old.executor, &options))
TASK(submit_with_queue, queue, old.queue, submit_by(NULL, &options))
TASK(submit_with_group, group, old.group, submit_by(own(), &options))
TASK(submit_with_source, cancel_source, old.source, submit_by(own(), &options))
TASK(submit_with_context, context, old.context, submit_by(own(), &options))
CALL(submit_to_loop, execq_submit_to_loop(own(), NULL, strange_task, NULL, old.loop, strange_done, &drops, counter_hit))
CALL(submit_to_loop_plain, execq_submit_to_loop(own(), NULL, strange_task, NULL, old.loop, strange_done, NULL, NULL))
CALL(submit_to_loop_old,
     execq_submit_to_loop(old.executor, NULL, strange_task, NULL, old.loop, strange_done, NULL, NULL))
CALL(submit_to_cq, execq_submit_to_cq(own(), NULL, strange_task, NULL, old.cq, NULL))
CALL(submit_to_cq_old, execq_submit_to_cq(old.executor, NULL, strange_task, NULL, old.cq, NULL))
CALL(submit_many, execq_submit_many(old.executor, NULL, 1, strange_task, NULL, NULL))
CALL(submit_async, execq_submit_async(old.executor, NULL, start_resolving, NULL, &out_future))
CALL(run_until, execq_run_until(old.future, -1))
CALL(periodic, execq_submit_periodic(old.executor, NULL, 1000, EXECQ_FIXED_RATE, strange_task, NULL, &out_future))

CALL(hosted_submit, execq_submit(old.hosted, strange_task, NULL, &out_future))
CALL(hosted_close, execq_executor_close(old.hosted, EXECQ_CANCEL))
CALL(task_run, execq_engine_task_run(old.task))
CALL(task_begin, execq_engine_task_begin(old.task))
CALL(task_resolve, execq_engine_task_resolve(old.task, NULL))
CALL(task_reject, execq_engine_task_reject(old.task, 1, "no"))
CALL(task_cancel, execq_engine_task_cancel(old.task))
CALL(task_cancel_requested, execq_engine_task_cancel_requested(old.task))
CALL(task_info, execq_engine_task_info_get(old.task, &(execq_engine_task_info)EXECQ_ENGINE_TASK_INFO_INIT))

/* Every name of the export map. Without a call: it has no handle, or says nothing of it; rows with the same name follow. */
static const struct row {
    const char *name;
    int32_t (*call)(void);
} rows[] = {
    {"execq_on_cancel", NULL}, /* of the running task */
    {"execq_off_cancel", NULL},
    {"execq_cancel_source_new", source_new},
    {"execq_cancel_source_retain", NULL},
    {"execq_cancel_source_release", NULL},
    {"execq_cancel_source_cancel", source_cancel},
    {"execq_cancel_source_requested", source_requested},
    {"execq_cancel_source_on_cancel", source_on_cancel},
    {"execq_cancel_source_off", source_off},
    {"execq_cancel_source_link_future", source_link},
    {"execq_init_conf", conf_executor},
    {"execq_init_conf", conf_loop},
    {"execq_main_loop", NULL},
    {"execq_var_new", NULL},
    {"execq_var_retain", NULL},
    {"execq_var_release", NULL},
    {"execq_var_set", var_set},
    {"execq_var_get", var_get},
    {"execq_var_reset", var_reset},
    {"execq_context_capture", NULL},
    {"execq_context_run", context_run},
    {"execq_context_empty", NULL},
    {"execq_context_retain", NULL},
    {"execq_context_release", NULL},
    {"execq_context_provider_add", NULL},
    {"execq_cq_new", NULL},
    {"execq_cq_fd", cq_fd},
    {"execq_cq_drain", cq_drain},
    {"execq_cq_wait", cq_wait},
    {"execq_cq_close", cq_close},
    {"execq_cq_retain", NULL},
    {"execq_cq_release", NULL},
    {"execq_executor_from_vtable", NULL},
    {"execq_engine_task_run", task_run},
    {"execq_engine_task_begin", task_begin},
    {"execq_engine_task_resolve", task_resolve},
    {"execq_engine_task_reject", task_reject},
    {"execq_engine_task_cancel", task_cancel},
    {"execq_engine_task_cancel_requested", task_cancel_requested},
    {"execq_engine_task_info_get", task_info},
    {"execq_engine_task_retain", NULL},
    {"execq_engine_task_release", NULL},
    {"execq_fail", NULL},
    {"execq_fail_error", NULL}, /* an error is done */
    {"execq_error_new", NULL},
    {"execq_error_code", NULL},
    {"execq_error_message", NULL},
    {"execq_error_cause", NULL},
    {"execq_error_payload", NULL},
    {"execq_error_format", NULL},
    {"execq_error_retain", NULL},
    {"execq_error_release", NULL},
    {"execq_executor_new", NULL},
    {"execq_executor_default", NULL},
    {"execq_executor_retain", NULL},
    {"execq_executor_release", NULL},
    {"execq_executor_close", executor_close},
    {"execq_executor_close", hosted_close},
    {"execq_executor_join", executor_join},
    {"execq_future_retain", NULL},
    {"execq_future_release", NULL},
    {"execq_future_state", future_state},
    {"execq_future_wait", future_wait},
    {"execq_future_wait_all", future_wait_all},
    {"execq_future_wait_any", future_wait_any},
    {"execq_future_result", future_result},
    {"execq_future_take", future_take},
    {"execq_future_error", NULL},
    {"execq_future_forward", future_forward},
    {"execq_future_forward", future_forward_to},
    {"execq_future_cancel", future_cancel},
    {"execq_future_cancel_reason", future_cancel_reason},
    {"execq_future_on_done", future_on_done},
    {"execq_future_on_loop", future_on_loop},
    {"execq_future_on_loop", future_on_loop_old},
    {"execq_future_on_promise", future_on_promise},
    {"execq_future_on_cq", future_on_cq},
    {"execq_future_on_cq", future_on_cq_old},
    {"execq_uv_table_load", NULL},
    {"execq_loop_attach_uv", NULL},
    {"execq_loop_detach", loop_detach},
    {"execq_loop_hold", loop_hold},
    {"execq_loop_unhold", loop_unhold},
    {"execq_loop_submit", loop_submit},
    {"execq_loop_submit_async", loop_submit_async},
    {"execq_loop_call", loop_call},
    {"execq_loop_call_error", NULL},
    {"execq_loop_retain", NULL},
    {"execq_loop_release", NULL},
    {"execq_promise_new", NULL},
    {"execq_promise_resolve", promise_resolve},
    {"execq_promise_reject", promise_reject},
    {"execq_promise_reject_error", promise_reject_error},
    {"execq_promise_cancel_requested", promise_cancel_requested},
    {"execq_promise_on_cancel", promise_on_cancel},
    {"execq_promise_retain", NULL},
    {"execq_promise_release", NULL},
    {"execq_queue_new", queue_new},
    {"execq_queue_retain", NULL},
    {"execq_queue_release", NULL},
    {"execq_queue_pause", queue_pause},
    {"execq_queue_resume", queue_resume},
    {"execq_queue_set_key", queue_set_key},
    {"execq_queue_counts", queue_counts},
    {"execq_queue_close", queue_close},
    {"execq_group_new", group_new_inside},
    {"execq_group_new", group_new_of_source},
    {"execq_group_new", group_new_limited},
    {"execq_group_retain", NULL},
    {"execq_group_release", NULL},
    {"execq_group_submit", group_submit},
    {"execq_group_cancel", group_cancel},
    {"execq_group_join", group_join},
    {"execq_group_error", NULL},
    {"execq_group_cancel_reason", group_cancel_reason},
    {"execq_executor_stats", executor_stats},
    {"execq_executor_resize", executor_resize},
    {"execq_manual_new", NULL},
    {"execq_trace_start", NULL},
    {"execq_trace_stop", NULL},
    {"execq_manual_step", manual_step},
    {"execq_manual_run", manual_run},
    {"execq_manual_advance", manual_advance},
    {"execq_manual_run_for", manual_run_for},
    {"execq_manual_now", manual_now},
    {"execq_executor_broken", NULL}, /* it answers 0 */
    {"execq_executor_latency", executor_latency},
    {"execq_dump", dump},
    {"execq_dump_file", dump_file},
    {"execq_status_name", NULL},
    {"execq_status_text", NULL},
    {"execq_submit", submit},
    {"execq_submit", submit_future},
    {"execq_submit", hosted_submit},
    {"execq_submit_with", submit_with},
    {"execq_submit_with", submit_with_queue},
    {"execq_submit_with", submit_with_group},
    {"execq_submit_with", submit_with_source},
    {"execq_submit_with", submit_with_context},
    {"execq_submit_to_loop", submit_to_loop},
    {"execq_submit_to_loop", submit_to_loop_plain},
    {"execq_submit_to_loop", submit_to_loop_old},
    {"execq_submit_to_cq", submit_to_cq},
    {"execq_submit_to_cq", submit_to_cq_old},
    {"execq_submit_many", submit_many},
    {"execq_submit_async", submit_async},
    {"execq_cancel_requested", NULL},
    {"execq_blocking_begin", NULL},
    {"execq_blocking_end", NULL},
    {"execq_thread_loop", NULL},
    {"execq_thread_loop_close", NULL},
    {"execq_run_until", run_until},
    {"execq_sleep", NULL},
    {"execq_submit_periodic", periodic},
    {"execq_version", NULL},
    {"execq_version_string", NULL},
};

static void the_table_has_every_function_of_the_export_map(void **state)
{
    (void)state;
    FILE *map = fopen(EXPORT_MAP, "r");
    assert_non_null(map);
    char line[256];
    size_t names = 0;
    while (fgets(line, sizeof line, map) != NULL) {
        char name[128];
        if (sscanf(line, " execq_%120[a-z0-9_];", name) != 1) {
            continue;
        }
        names++;
        bool found = false;
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
            found = found || strcmp(rows[i].name + strlen("execq_"), name) == 0;
        }
        if (!found) {
            fail_msg("execq_%s is not in the table", name);
        }
    }
    fclose(map);
    size_t rows_of_their_own = 0;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        rows_of_their_own += i == 0 || strcmp(rows[i].name, rows[i - 1].name) != 0 ? 1 : 0;
    }
    assert_int_equal(rows_of_their_own, names);
}

static gate held; /* the worker of old.executor is in there */
static execq_future *holder;
static execq_future *queued; /* behind it, with drops */

static execq_future *begun;

static execq_status keep_task(void *engine, execq_engine_task *task)
{
    note_strange();
    *(execq_engine_task **)engine = task;
    return EXECQ_OK;
}

static void strange_cancel(void *engine, execq_engine_task *task)
{
    (void)engine;
    (void)task;
    note_strange();
}

static void strange_close(void *engine, int32_t mode)
{
    (void)engine;
    (void)mode;
    note_strange();
}

static void host_open(void)
{
    execq_engine_vtable vtable = EXECQ_ENGINE_VTABLE_INIT;
    vtable.submit = keep_task;
    vtable.cancel = strange_cancel;
    vtable.close = strange_close;
    vtable.drop = strange_drop;
    assert_status(execq_executor_from_vtable(&vtable, &old.task, &old.hosted), EXECQ_OK);
    begun = spawn(old.hosted, strange_task, NULL);
    assert_status(execq_engine_task_begin(old.task), EXECQ_OK);
}

static void host_close(void)
{
    assert_status(execq_engine_task_resolve(old.task, NULL), EXECQ_OK);
    finish(begun);
    pool_end(old.hosted);
}

static void things_open(void)
{
    memset(&old, 0, sizeof old);
    host_open();
    old.executor = pool_new(1);
    gate_init(&held);
    holder = occupy(old.executor, &held);
    assert_status(execq_queue_new(old.executor, NULL, &old.queue), EXECQ_OK);
    assert_status(execq_group_new(NULL, &old.group), EXECQ_OK);
    assert_status(execq_cancel_source_new(NULL, &old.source), EXECQ_OK);
    assert_status(execq_cancel_source_on_cancel(old.source, strange_drop, NULL, strange_drop, &old.token), EXECQ_OK);
    execq_var_options var = EXECQ_VAR_OPTIONS_INIT;
    var.drop = strange_drop;
    assert_status(execq_var_new(&var, &old.var), EXECQ_OK);
    execq_var_token token = 0;
    assert_status(execq_var_set(old.var, &old, &token), EXECQ_OK);
    assert_status(execq_context_capture(&old.context), EXECQ_OK);
    assert_status(execq_cq_new(&old.cq), EXECQ_OK);
    execq_promise_options promise = EXECQ_PROMISE_OPTIONS_INIT;
    promise.drop_result = strange_drop;
    assert_status(execq_promise_new(&promise, &old.promise, &old.future), EXECQ_OK);
    assert_status(execq_promise_on_cancel(old.promise, strange_drop, NULL, strange_drop), EXECQ_OK);
    assert_status(execq_future_on_done(old.future, strange_done, NULL, strange_drop), EXECQ_OK);
    assert_status(execq_future_on_cq(old.future, old.cq, &old), EXECQ_OK);
    assert_int_equal(uv_loop_init(&old.uv), 0);
    assert_status(execq_loop_attach(&old.uv, &old.loop), EXECQ_OK);
    assert_status(execq_future_on_loop(old.future, old.loop, strange_done, NULL, strange_drop), EXECQ_OK);
    execq_error_options error = EXECQ_ERROR_OPTIONS_INIT;
    error.code = 5;
    error.message = "five";
    error.drop = strange_drop;
    assert_status(execq_error_new(&error, &old.error), EXECQ_OK);
    execq_task_options task = EXECQ_TASK_OPTIONS_INIT;
    task.queue = old.queue;
    task.group = old.group;
    task.cancel_source = old.source;
    task.drop = strange_drop;
    task.drop_result = strange_drop;
    task.timeout_ns = INT64_C(3600000000000);
    assert_status(execq_submit_with(NULL, &task, strange_task, NULL, &queued), EXECQ_OK);
    execq_conf conf = EXECQ_CONF_INIT;
    conf.executor = old.executor;
    conf.main_loop = old.loop;
    assert_status(execq_init_conf(&conf), EXECQ_OK);
    /* What is left of the set is the context's. */
    assert_status(execq_var_reset(old.var, token), EXECQ_OK);
}

/* All of it goes on in the parent. */
static void things_close(void)
{
    execq_conf conf = EXECQ_CONF_INIT;
    conf.flags = EXECQ_CONF_CLEAR_EXECUTOR | EXECQ_CONF_CLEAR_MAIN_LOOP;
    assert_status(execq_init_conf(&conf), EXECQ_OK);
    gate_open(&held, 1);
    finish(holder);
    assert_status(execq_group_join(old.group, -1), EXECQ_OK);
    finish(queued);
    assert_status(execq_promise_resolve(old.promise, NULL), EXECQ_OK);
    execq_promise_release(old.promise);
    assert_int_equal(uv_run(&old.uv, UV_RUN_DEFAULT), 0);
    execq_completion completion;
    size_t n = 0;
    assert_status(execq_cq_drain(old.cq, &completion, 1, &n), EXECQ_OK);
    assert_int_equal(n, 1);
    assert_ptr_equal(completion.tag, &old);
    execq_future_release(completion.future);
    execq_future_release(old.future);
    assert_status(execq_loop_detach(old.loop), EXECQ_OK);
    execq_loop_release(old.loop);
    assert_int_equal(uv_run(&old.uv, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&old.uv), 0);
    assert_status(execq_queue_close(old.queue, EXECQ_DRAIN, NULL), EXECQ_OK);
    execq_queue_release(old.queue);
    execq_group_release(old.group);
    execq_cancel_source_release(old.source);
    execq_context_release(old.context);
    execq_var_release(old.var);
    execq_cq_release(old.cq);
    execq_error_release(old.error);
    pool_end(old.executor);
    host_close();
    gate_destroy(&held);
}

static void call_every_row(void *env)
{
    (void)env;
    int wrong = 0;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const int32_t status = rows[i].call != NULL ? rows[i].call() : EXECQ_EFORKED;
        if (status != EXECQ_EFORKED) {
            fprintf(stderr, "row %zu, %s: %s (%d)\n", i, rows[i].name, execq_status_name(status), (int)status);
            wrong++;
        }
    }
    must(wrong == 0);
    must(out_future == NULL);
    must(counter_get(&drops) == 6); /* each env that was given with a drop to a call that failed */
    must(execq_future_error(old.future) == NULL && execq_group_error(old.group) == NULL);
}

static void rows_and_no_strange_callback(void *env)
{
    call_every_row(env);
    must(atomic_load(&shared->strange) == 0);
}

static void every_call_on_an_inherited_handle_answers_eforked(void **state)
{
    (void)state;
    things_open();
    in_child(rows_and_no_strange_callback, NULL);
    things_close();
}

/* ---- releases ---- */

static void release_all(void)
{
    execq_executor_release(old.executor);
    execq_executor_release(old.hosted);
    execq_engine_task_release(old.task);
    execq_future_release(begun);
    execq_queue_release(old.queue);
    execq_group_release(old.group);
    execq_cancel_source_release(old.source);
    execq_context_release(old.context);
    execq_var_release(old.var);
    execq_cq_release(old.cq);
    execq_promise_release(old.promise);
    execq_future_release(old.future);
    execq_future_release(queued);
    execq_loop_release(old.loop);
    execq_error_release(old.error);
}

static void releases_do_nothing(void *env)
{
    release_all();
    must(strcmp(execq_error_message(old.error), "five") == 0);
    call_every_row(env); /* all of it is still there */
    release_all();
    all_works(NULL);
    execq_conf conf = EXECQ_CONF_INIT;
    conf.flags = EXECQ_CONF_CLEAR_EXECUTOR | EXECQ_CONF_CLEAR_MAIN_LOOP | EXECQ_CONF_CLEAR_ON_UNOBSERVED;
    must(execq_init_conf(&conf) == EXECQ_OK); /* drops no hook of the parent's */
    must(atomic_load(&shared->strange) == 0);
}

static void an_unobserved_hook(const execq_error *error, const char *name, void *env)
{
    (void)error;
    (void)name;
    (void)env;
}

/* Nothing has come to it: what the child did has not reached what it shares with the parent. */
static void assert_quiet(int fd)
{
    struct pollfd one = {fd, POLLIN, 0};
    assert_int_equal(poll(&one, 1, 0), 0);
}

static void releases_free_nothing_and_run_no_drop(void **state)
{
    (void)state;
    execq_conf conf = EXECQ_CONF_INIT;
    conf.on_unobserved = an_unobserved_hook;
    conf.unobserved_drop = strange_drop;
    assert_status(execq_init_conf(&conf), EXECQ_OK);
    things_open();
    uv_run(&old.uv, UV_RUN_NOWAIT);
    in_child(releases_do_nothing, NULL);
    assert_quiet(uv_backend_fd(&old.uv));
    int fd = -1;
    assert_status(execq_cq_fd(old.cq, &fd), EXECQ_OK);
    assert_quiet(fd);
    things_close();
    conf = (execq_conf)EXECQ_CONF_INIT;
    conf.flags = EXECQ_CONF_CLEAR_ON_UNOBSERVED;
    assert_status(execq_init_conf(&conf), EXECQ_OK);
}

/* ---- what was done ---- */

static int32_t say_no(void *env, void **result)
{
    (void)env;
    (void)result;
    return execq_fail(9, "no");
}

static int32_t fail_by_code(void *env, void **result)
{
    (void)env;
    (void)result;
    return EXECQ_EFULL;
}

typedef struct outcomes {
    execq_future *ok, *failed, *code, *canceled;
    execq_error *error;
} outcomes;

static void read_outcomes(void *env)
{
    outcomes *done = env;
    void *value = NULL;
    must(execq_future_wait(done->ok, 0) == EXECQ_OK && execq_future_wait(done->ok, -1) == EXECQ_OK);
    must(execq_future_result(done->ok, &value) == EXECQ_OK && value == done);
    must(execq_future_state(done->ok) == EXECQ_FUTURE_OK);
    must(execq_run_until(done->ok, -1) == EXECQ_OK);
    must(execq_future_result(done->failed, NULL) == EXECQ_EFAILED);
    must(execq_error_code(execq_future_error(done->failed)) == 9);
    must(strcmp(execq_error_message(execq_future_error(done->failed)), "no") == 0);
    must(execq_error_code(execq_future_error(done->code)) == EXECQ_EFULL);
    must(execq_future_result(done->canceled, NULL) == EXECQ_ECANCELED);
    must(execq_future_cancel_reason(done->canceled) == EXECQ_REASON_CALLER);
    execq_future *all[] = {done->ok, done->failed, done->code, done->canceled};
    size_t index = 99;
    must(execq_future_wait_all(all, COUNT_OF(all), -1) == EXECQ_OK);
    must(execq_future_wait_any(all, COUNT_OF(all), -1, &index) == EXECQ_OK && index == 0);
    must(execq_future_cancel(done->ok) == EXECQ_EFORKED);
    must(execq_future_on_done(done->ok, strange_done, NULL, NULL) == EXECQ_EFORKED);
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        execq_future_release(all[i]);
        execq_future_release(all[i]);
    }
    must(execq_future_take(done->ok, &value) == EXECQ_OK && value == done);
    must(execq_future_take(done->ok, &value) == EXECQ_EALREADY);
    must(atomic_load(&shared->strange) == 0);
}

static void completed_futures_stay_readable(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    outcomes done = {0};
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop_result = strange_drop;
    assert_status(execq_submit_with(executor, &options, give_env, &done, &done.ok), EXECQ_OK);
    done.failed = spawn(executor, say_no, NULL);
    done.code = spawn(executor, fail_by_code, NULL);
    execq_promise *promise = promise_new(&done.canceled);
    assert_status(execq_future_cancel(done.canceled), EXECQ_EBUSY);
    execq_promise_release(promise);
    assert_status(execq_future_wait(done.code, -1), EXECQ_OK);
    in_child(read_outcomes, &done);
    finish(done.ok);
    assert_int_equal(execq_error_code(execq_future_error(done.failed)), 9);
    assert_int_equal(execq_error_code(execq_future_error(done.code)), EXECQ_EFULL);
    finish(done.failed);
    finish(done.code);
    finish(done.canceled);
    pool_end(executor);
}

/* ---- the parent's queue ---- */

static void ask_the_queue(void *env)
{
    execq_completion completion;
    size_t n = 0;
    must(execq_cq_wait(env, -1) == EXECQ_EFORKED);
    must(execq_cq_drain(env, &completion, 1, &n) == EXECQ_EFORKED && n == 0);
    execq_cq_release(env);
    execq_cq_release(env);
}

static void a_child_takes_nothing_from_the_descriptor(void **state)
{
    (void)state;
    execq_cq *cq = NULL;
    int fd = -1;
    assert_status(execq_cq_new(&cq), EXECQ_OK);
    assert_status(execq_cq_fd(cq, &fd), EXECQ_OK);
    execq_future *future = done_future(NULL);
    assert_status(execq_future_on_cq(future, cq, &fd), EXECQ_OK);
    in_child(ask_the_queue, cq);
    struct pollfd readable = {fd, POLLIN, 0};
    assert_int_equal(poll(&readable, 1, 0), 1);
    execq_completion completion;
    size_t n = 0;
    assert_status(execq_cq_drain(cq, &completion, 1, &n), EXECQ_OK);
    assert_int_equal(n, 1);
    assert_ptr_equal(completion.tag, &fd);
    execq_future_release(completion.future);
    execq_future_release(future);
    execq_cq_release(cq);
}

/* ---- grandchildren ---- */

static void grandchild(void *env)
{
    execq_executor **both = env;
    for (int i = 0; i < 2; i++) {
        must(execq_submit(both[i], strange_task, NULL, NULL) == EXECQ_EFORKED);
        execq_executor_release(both[i]);
    }
    all_works(NULL);
}

static void child_with_a_child(void *env)
{
    all_works(NULL);
    execq_executor *both[] = {env, own()};
    counter ran = {0};
    execq_future *future = NULL;
    must(status_of(start_child(grandchild, both)) == 0);
    must(execq_submit(own(), counter_fn, &ran, &future) == EXECQ_OK);
    must_succeed(future);
    must(execq_submit(env, counter_fn, &ran, NULL) == EXECQ_EFORKED);
}

static void a_grandchild_inherits_from_both(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(2);
    in_child(child_with_a_child, executor);
    counter ran = {0};
    finish(spawn(executor, counter_fn, &ran));
    assert_int_equal(counter_get(&ran), 1);
    pool_end(executor);
}

/* ---- forks from inside ---- */

/* The child looks about, and then goes back where it came from. */
typedef struct inner_fork {
    execq_executor *executor;
    pid_t child;
} inner_fork;

static void fork_here(inner_fork *f)
{
    const pid_t child = fork();
    if (child != 0) {
        f->child = child;
        return;
    }
    alarm(CHILD_LIMIT);
    must(execq_cancel_requested() == 0);
    must(execq_submit(f->executor, strange_task, NULL, NULL) == EXECQ_EFORKED);
    counter done = {0};
    execq_future *future = own_future();
    must(execq_future_on_done(future, count_done, &done, NULL) == EXECQ_OK);
    all_works(NULL);
    atomic_fetch_add(&shared->inside, 1);
}

static int32_t fork_in_task(void *env, void **result)
{
    (void)result;
    fork_here(env);
    return 0;
}

static int32_t fork_and_throw_the_thread_away(void *env, void **result)
{
    (void)result;
    inner_fork *f = env;
    fork_here(f);
    if (getpid() != shared->parent) {
        pthread_exit(NULL);
    }
    return 0;
}

static int32_t wait_for_a_fork(void *env, void **result)
{
    (void)result;
    execq_future *inner = NULL;
    must(execq_submit(((inner_fork *)env)->executor, fork_in_task, env, &inner) == EXECQ_OK);
    must_succeed(inner);
    note_strange();
    return 0;
}

static void fork_in_done(execq_future *future, void *env)
{
    (void)future;
    fork_here(env);
}

static void pass_in_done(execq_future *future, void *env)
{
    (void)future;
    must(getpid() == shared->parent);
    gate_pass(env);
}

static void fork_in_callback(void *env) { fork_here(env); }

static void fork_in_start(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    (void)loop;
    fork_here(env);
    note_strange(); /* the start function's own */
    must(execq_promise_resolve(promise, NULL) == (getpid() == shared->parent ? EXECQ_OK : EXECQ_EFORKED));
    execq_promise_release(promise);
}

/* Its child was inside and ended well, and no callback ran in it but `strange`. */
static void check_inside(inner_fork *f, int strange)
{
    assert_int_equal(status_of(f->child), 0);
    assert_int_equal(atomic_exchange(&shared->inside, 0), 1);
    assert_int_equal(atomic_exchange(&shared->strange, 0), strange);
}

static void a_task_may_fork(void **state)
{
    (void)state;
    static const execq_fn bodies[] = {fork_in_task, fork_and_throw_the_thread_away, wait_for_a_fork};
    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        inner_fork f = {pool_new(1), 0};
        gate g;
        gate_init(&g);
        execq_future *first = occupy(f.executor, &g);
        execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
        options.drop = strange_drop;
        options.name = "forks";
        execq_future *future = NULL;
        assert_status(execq_submit_with(f.executor, &options, bodies[i], &f, &future), EXECQ_OK);
        assert_status(execq_future_on_done(future, strange_done, NULL, strange_drop), EXECQ_OK);
        assert_status(execq_submit(f.executor, strange_task, NULL, NULL), EXECQ_OK);
        gate_open(&g, 1);
        finish(first);
        finish(future);
        check_inside(&f, 0);
        pool_end(f.executor);
        gate_destroy(&g);
    }
}

static void a_task_that_may_be_interrupted_may_fork(void **state)
{
    (void)state;
    inner_fork f = {pool_new(1), 0};
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.flags = EXECQ_TASK_INTERRUPT;
    options.drop = strange_drop;
    execq_future *future = NULL;
    assert_status(execq_submit_with(f.executor, &options, fork_in_task, &f, &future), EXECQ_OK);
    must_succeed(future);
    check_inside(&f, 0);
    pool_end(f.executor);
}

static execq_status run_at_once(void *engine, execq_engine_task *task)
{
    (void)engine;
    note_strange();
    const execq_status status = execq_engine_task_run(task);
    note_strange();
    return status;
}

static execq_status fork_in_submit(void *engine, execq_engine_task *task)
{
    fork_here(engine);
    return getpid() == shared->parent ? execq_engine_task_run(task) : EXECQ_OK;
}

static void engines_and_their_tasks_may_fork(void **state)
{
    (void)state;
    inner_fork f = {NULL, 0};
    execq_engine_vtable vtable = EXECQ_ENGINE_VTABLE_INIT;
    vtable.drop = strange_drop;
    execq_status (*const ways[])(void *, execq_engine_task *) = {run_at_once, fork_in_submit};
    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        vtable.submit = ways[i];
        assert_status(execq_executor_from_vtable(&vtable, &f, &f.executor), EXECQ_OK);
        execq_future *future = NULL;
        assert_status(execq_submit(f.executor, i == 0 ? fork_in_task : strange_task, &f, &future), EXECQ_OK);
        must_succeed(future);
        check_inside(&f, 0);
        pool_end(f.executor);
    }
}

static void a_plain_task_may_fork(void **state)
{
    (void)state;
    inner_fork f = {pool_new(1), 0};
    assert_status(execq_submit(f.executor, fork_in_task, &f, NULL), EXECQ_OK);
    assert_status(execq_submit(f.executor, strange_task, NULL, NULL), EXECQ_OK);
    pool_end(f.executor);
    check_inside(&f, 0);
}

static void a_start_function_may_fork(void **state)
{
    (void)state;
    inner_fork f = {pool_new(2), 0};
    execq_future *future = NULL;
    assert_status(execq_submit_async(f.executor, NULL, fork_in_start, &f, &future), EXECQ_OK);
    finish(future);
    check_inside(&f, 1);
    pool_end(f.executor);
}

static void a_done_callback_may_fork(void **state)
{
    (void)state;
    inner_fork f = {pool_new(1), 0};
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future); /* on this thread */
    assert_status(execq_future_on_done(future, fork_in_done, &f, strange_drop), EXECQ_OK);
    assert_status(execq_future_on_done(future, strange_done, NULL, NULL), EXECQ_OK);
    assert_status(execq_promise_resolve(promise, NULL), EXECQ_OK);
    execq_promise_release(promise);
    execq_future_release(future);
    check_inside(&f, 0);

    gate g;
    gate_init(&g);
    future = occupy(f.executor, &g); /* on a worker */
    assert_status(execq_future_on_done(future, fork_in_done, &f, strange_drop), EXECQ_OK);
    gate_open(&g, 1);
    execq_future_release(future);
    pool_end(f.executor);
    check_inside(&f, 0);
    gate_destroy(&g);
}

static void a_callback_of_the_timer_thread_may_fork(void **state)
{
    (void)state;
    inner_fork f = {pool_new(1), 0};
    gate g;
    gate_init(&g);
    execq_future *sleep = NULL;
    assert_status(execq_sleep(20 * MILLISECOND, &sleep), EXECQ_OK);
    assert_status(execq_future_on_done(sleep, fork_in_done, &f, NULL), EXECQ_OK);
    assert_status(execq_future_on_done(sleep, pass_in_done, &g, NULL), EXECQ_OK);
    finish(sleep);
    gate_await(&g, 1); /* the callback that comes after it */
    gate_open(&g, 1);
    check_inside(&f, 0);
    pool_end(f.executor);
    gate_destroy(&g);
}

static void a_callback_on_a_loop_may_fork(void **state)
{
    (void)state;
    inner_fork f = {pool_new(1), 0};
    attached a;
    attached_open(&a);
    assert_status(execq_submit_to_loop(f.executor, NULL, do_nothing, NULL, a.port, fork_in_done, &f, NULL), EXECQ_OK);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    check_inside(&f, 0);
    attached_close(&a);
    pool_end(f.executor);
}

static void cancel_callbacks_and_drops_may_fork(void **state)
{
    (void)state;
    inner_fork f = {pool_new(1), 0};
    execq_cancel_source *source = NULL;
    assert_status(execq_cancel_source_new(NULL, &source), EXECQ_OK);
    assert_status(execq_cancel_source_on_cancel(source, fork_in_callback, &f, strange_drop, NULL), EXECQ_OK);
    assert_status(execq_cancel_source_cancel(source), EXECQ_OK);
    execq_cancel_source_release(source);
    check_inside(&f, 0);

    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = fork_in_callback;
    execq_future *future = NULL;
    assert_status(execq_submit_with(f.executor, &options, do_nothing, &f, &future), EXECQ_OK);
    finish(future);
    check_inside(&f, 0);
    pool_end(f.executor);
}

/* A thread that only runs in a context goes on in the child. */
static void fork_in_context(void *env)
{
    *(pid_t *)env = fork();
    if (*(pid_t *)env == 0) {
        void *value = &old;
        must(execq_var_get(old.var, &value) == EXECQ_EFORKED);
        variables_work();
    }
}

static void who_runs_in_a_context_goes_on_in_the_child(void **state)
{
    (void)state;
    pid_t child = -1;
    execq_var_options options = EXECQ_VAR_OPTIONS_INIT;
    options.drop = strange_drop;
    assert_status(execq_var_new(&options, &old.var), EXECQ_OK);
    execq_var_token token = 0;
    assert_status(execq_var_set(old.var, &child, &token), EXECQ_OK);
    execq_context *context = NULL;
    assert_status(execq_context_capture(&context), EXECQ_OK);
    assert_status(execq_context_run(context, fork_in_context, &child), EXECQ_OK);
    if (child == 0) {
        alarm(CHILD_LIMIT);
        execq_context *active = NULL;
        must(execq_context_capture(&active) == EXECQ_OK && active == EXECQ_CONTEXT_EMPTY);
        all_works(NULL);
        must(atomic_load(&shared->strange) == 0);
        _exit(0);
    }
    assert_int_equal(status_of(child), 0);
    void *value = NULL;
    assert_int_equal(execq_var_get(old.var, &value), 1);
    assert_ptr_equal(value, &child);
    assert_status(execq_var_reset(old.var, token), EXECQ_OK);
    execq_context_release(context);
    execq_var_release(old.var);
}

/* ---- the configuration ---- */

static void null_is_a_new_default(void *env)
{
    execq_executor *executor = NULL;
    must(execq_executor_default(&executor) == EXECQ_OK && executor != env);
    execq_executor_release(executor);
    execq_loop *loop = NULL;
    must(execq_main_loop(&loop) == EXECQ_ECLOSED);
    execq_conf conf = EXECQ_CONF_INIT;
    conf.executor = own();
    must(execq_init_conf(&conf) == EXECQ_OK);
    must(execq_executor_default(&executor) == EXECQ_OK && executor == own());
    execq_executor_release(executor);
    the_default_works(NULL);
}

static void a_child_configures_afresh(void **state)
{
    (void)state;
    execq_executor *executor = pool_new(1);
    execq_conf conf = EXECQ_CONF_INIT;
    conf.executor = executor;
    assert_status(execq_init_conf(&conf), EXECQ_OK);
    in_child(null_is_a_new_default, executor);
    execq_executor *now = NULL;
    assert_status(execq_executor_default(&now), EXECQ_OK);
    assert_ptr_equal(now, executor);
    execq_executor_release(now);
    conf = (execq_conf)EXECQ_CONF_INIT;
    conf.flags = EXECQ_CONF_CLEAR_EXECUTOR;
    assert_status(execq_init_conf(&conf), EXECQ_OK);
    pool_end(executor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_child_of_a_process_that_has_not_used_the_library),
        cmocka_unit_test(the_table_has_every_function_of_the_export_map),
        cmocka_unit_test(a_child_makes_everything_anew),
        cmocka_unit_test(every_call_on_an_inherited_handle_answers_eforked),
        cmocka_unit_test(releases_free_nothing_and_run_no_drop),
        cmocka_unit_test(completed_futures_stay_readable),
        cmocka_unit_test(a_child_takes_nothing_from_the_descriptor),
        cmocka_unit_test(a_grandchild_inherits_from_both),
        cmocka_unit_test(a_task_may_fork),
        cmocka_unit_test(a_task_that_may_be_interrupted_may_fork),
        cmocka_unit_test(engines_and_their_tasks_may_fork),
        cmocka_unit_test(a_plain_task_may_fork),
        cmocka_unit_test(a_start_function_may_fork),
        cmocka_unit_test(a_done_callback_may_fork),
        cmocka_unit_test(a_callback_of_the_timer_thread_may_fork),
        cmocka_unit_test(a_callback_on_a_loop_may_fork),
        cmocka_unit_test(cancel_callbacks_and_drops_may_fork),
        cmocka_unit_test(who_runs_in_a_context_goes_on_in_the_child),
        cmocka_unit_test(a_child_configures_afresh),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
