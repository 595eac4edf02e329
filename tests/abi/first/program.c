/* A program of the time of the first header (include/ beside it, as it was first committed), which calls each of its
 * functions. It is compiled against that header and runs against the library of today. It is frozen as well: where
 * today's library cannot run it any more, the library is wrong, or docs/decisions.md says why. */
#define _GNU_SOURCE

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dlfcn.h>
#include <execq/execq.h>
#include <execq/uv.h>
#include <uv.h>

#define CHECK(condition)                                                                  \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, __func__, #condition); \
            exit(1);                                                                      \
        }                                                                                 \
    } while (0)
#define OK(call) CHECK((call) == EXECQ_OK)

static int dropped, done, canceled_tags;

/* What is called on other threads leaves its trace in what the waits below make visible. */
static void count_drop(void *env) { ++*(int *)env; }

static void count_tag(void *env)
{
    (void)env;
    canceled_tags++;
}

static int32_t give(void *env, void **result)
{
    *result = env;
    return 0;
}

static int32_t add_one(void *env, void **result)
{
    int *copy = env;
    int *sum = malloc(sizeof *sum);
    CHECK(sum);
    *sum = *copy + 1;
    *result = sum;
    return 0;
}

static int32_t fail(void *env, void **result)
{
    (void)env;
    (void)result;
    return execq_fail(77, "seventy-seven");
}

/* Holds a worker until it is asked to stop. */
static int32_t stay(void *env, void **result)
{
    (void)result;
    OK(execq_promise_resolve(env, NULL));
    while (!execq_cancel_requested())
        poll(NULL, 0, 1);
    return EXECQ_ECANCELED;
}

static void on_done(execq_future *future, void *env)
{
    CHECK(execq_future_state(future) == EXECQ_FUTURE_OK);
    done++;
    CHECK(env == &done);
}

static void test_statuses(void)
{
    CHECK(execq_version() >= EXECQ_VERSION);
    CHECK(strchr(execq_version_string(), '.'));
    CHECK(strcmp(execq_status_name(EXECQ_EDEADLK), "EXECQ_EDEADLK") == 0);
    CHECK(strcmp(execq_status_text(EXECQ_OK), "success") == 0);
    execq_executor_retain(NULL);
    execq_executor_release(NULL);
    execq_future_release(NULL);
    CHECK(execq_error_code(NULL) == 0);
}

static void test_tasks(execq_executor *executor)
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    execq_future *plain, *copied, *failed, *many[3];
    void *envs[3] = {&done, &dropped, &canceled_tags}, *value = NULL;
    int number = 41, drops = 0;
    size_t index = 9;
    options.drop_result = free;
    options.name = "add one";
    options.env_size = sizeof number;
    OK(execq_submit(executor, give, &number, &plain));
    OK(execq_submit_with(executor, &options, add_one, &number, &copied));
    OK(execq_submit(executor, fail, NULL, &failed));
    OK(execq_future_wait(plain, -1));
    OK(execq_future_result(plain, &value));
    CHECK(value == &number);
    OK(execq_future_wait(copied, -1));
    OK(execq_future_take(copied, &value));
    CHECK(*(int *)value == 42);
    free(value);
    CHECK(execq_future_take(copied, &value) == EXECQ_EALREADY);
    OK(execq_future_wait(failed, -1));
    CHECK(execq_future_result(failed, NULL) == EXECQ_EFAILED);
    const execq_error *error = execq_future_error(failed);
    execq_error_retain(error);
    execq_future_retain(failed);
    execq_future_release(failed);
    execq_future_release(failed);
    CHECK(execq_error_code(error) == 77 && strcmp(execq_error_message(error), "seventy-seven") == 0);
    execq_error_release(error);
    execq_future_release(plain);
    execq_future_release(copied);

    options = (execq_task_options)EXECQ_TASK_OPTIONS_INIT;
    options.drop = count_drop;
    OK(execq_submit_many(executor, &options, 3, give, (void *[]){&drops, &drops, &drops}, many));
    OK(execq_future_wait_any(many, 3, -1, &index));
    CHECK(index < 3);
    OK(execq_future_wait_all(many, 3, -1));
    CHECK(drops == 3);
    for (int i = 0; i < 3; i++)
        execq_future_release(many[i]);
    OK(execq_submit_many(executor, NULL, 3, give, envs, many));
    for (int i = 0; i < 3; i++) {
        OK(execq_future_wait(many[i], 60000000000));
        OK(execq_future_result(many[i], &value));
        CHECK(value == envs[i]);
        execq_future_release(many[i]);
    }
    CHECK(execq_submit_with(executor, &options, NULL, &drops, NULL) == EXECQ_EINVAL);
    CHECK(drops == 4);
}

static void test_promises(void)
{
    execq_promise_options options = EXECQ_PROMISE_OPTIONS_INIT;
    execq_promise *promise;
    execq_future *future;
    int drops = 0;
    options.drop_result = count_drop;
    options.name = "kept";
    OK(execq_promise_new(&options, &promise, &future));
    done = 0;
    OK(execq_future_on_done(future, on_done, &done, NULL));
    CHECK(execq_future_state(future) == EXECQ_FUTURE_RUNNING);
    CHECK(execq_future_result(future, NULL) == EXECQ_EPENDING);
    OK(execq_promise_resolve(promise, &drops));
    CHECK(done == 1);
    CHECK(execq_promise_reject(promise, 5, "late") == EXECQ_EALREADY);
    execq_promise_release(promise);
    execq_future_release(future);
    CHECK(drops == 1);

    OK(execq_promise_new(NULL, &promise, &future));
    CHECK(execq_promise_cancel_requested(promise) == 0);
    CHECK(execq_future_cancel(future) == EXECQ_EBUSY);
    CHECK(execq_promise_cancel_requested(promise) == 1);
    CHECK(execq_future_cancel_reason(future) == EXECQ_REASON_CALLER);
    execq_promise_retain(promise);
    execq_promise_release(promise);
    OK(execq_promise_reject(promise, EXECQ_ECANCELED, NULL));
    CHECK(execq_future_state(future) == EXECQ_FUTURE_CANCELED);
    execq_promise_release(promise);
    execq_future_release(future);

    OK(execq_promise_new(NULL, &promise, &future));
    execq_promise_release(promise);
    CHECK(execq_error_code(execq_future_error(future)) == EXECQ_EBROKEN);
    execq_future_release(future);
}

static void test_completion_queue(execq_executor *executor)
{
    execq_cq *cq;
    execq_completion completions[4];
    execq_promise *promise;
    execq_future *future;
    size_t n = 0;
    struct pollfd ready = {.events = POLLIN};
    OK(execq_cq_new(&cq));
    execq_cq_retain(cq);
    execq_cq_release(cq);
    OK(execq_cq_fd(cq, &ready.fd));
    OK(execq_submit_to_cq(executor, NULL, give, &done, cq, &dropped));
    OK(execq_cq_wait(cq, -1));
    CHECK(poll(&ready, 1, -1) == 1);
    OK(execq_cq_drain(cq, completions, 4, &n));
    CHECK(n == 1 && completions[0].tag == &dropped && completions[0].value == &done);
    CHECK(completions[0].status == EXECQ_OK);
    execq_future_release(completions[0].future);
    OK(execq_promise_new(NULL, &promise, &future));
    OK(execq_future_on_cq(future, cq, &dropped));
    canceled_tags = 0;
    OK(execq_cq_close(cq, count_tag));
    CHECK(canceled_tags == 1);
    OK(execq_promise_resolve(promise, NULL));
    execq_promise_release(promise);
    execq_future_release(future);
    execq_cq_release(cq);
}

static void *find_symbol(void *env, const char *name) { return dlsym(env, name); }

static void test_loops(execq_executor *executor)
{
    uv_loop_t loop;
    execq_loop *attached, *second;
    execq_future *future;
    execq_uv_table table;
    int drops = 0;
    CHECK(uv_loop_init(&loop) == 0);
    OK(execq_loop_attach(&loop, &attached));
    memset(&table, 0, sizeof table);
    table.struct_size = (uint32_t)sizeof table;
    OK(execq_uv_table_load(&table, find_symbol, RTLD_DEFAULT));
    CHECK(table.version == uv_version() && table.loop_size == sizeof loop && table.unref == uv_unref);
    OK(execq_loop_attach_uv(&loop, &table, &second));
    done = 0;
    OK(execq_submit_to_loop(executor, NULL, give, &done, attached, on_done, &done, NULL));
    OK(execq_submit(executor, give, &done, &future));
    OK(execq_future_on_loop(future, second, on_done, &done, NULL));
    OK(execq_loop_hold(attached));
    OK(execq_loop_unhold(attached));
    CHECK(execq_loop_unhold(attached) == EXECQ_EINVAL);
    CHECK(uv_run(&loop, UV_RUN_DEFAULT) == 0); /* until both are delivered */
    CHECK(done == 2);
    execq_future_release(future);
    OK(execq_loop_detach(second));
    CHECK(execq_submit_to_loop(executor, NULL, give, NULL, second, on_done, &drops, count_drop) == EXECQ_ECLOSED);
    CHECK(drops == 1);
    execq_loop_release(second);
    execq_loop_retain(attached);
    execq_loop_release(attached);
    execq_loop_release(attached); /* of one that is attached: it detaches itself */
    while (uv_loop_close(&loop) == UV_EBUSY)
        uv_run(&loop, UV_RUN_ONCE);
}

static void test_close(void)
{
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    execq_shutdown_report report = EXECQ_SHUTDOWN_REPORT_INIT;
    execq_running_task running[2];
    execq_executor *executor;
    execq_promise *started;
    execq_future *first, *runs, *waits;
    options.name = "first";
    options.max_threads = 1;
    report.running = running;
    report.running_max = 2;
    OK(execq_executor_new(&options, &executor));
    OK(execq_promise_new(NULL, &started, &first));
    execq_task_options named = EXECQ_TASK_OPTIONS_INIT;
    named.name = "stays";
    OK(execq_submit_with(executor, &named, stay, started, &runs));
    OK(execq_future_wait(first, -1));
    OK(execq_submit(executor, give, NULL, &waits));
    CHECK(execq_executor_join(executor, 0, NULL) == EXECQ_EINVAL);
    OK(execq_executor_close(executor, EXECQ_DRAIN));
    CHECK(execq_submit(executor, give, NULL, NULL) == EXECQ_ECLOSED);
    CHECK(execq_executor_join(executor, 0, &report) == EXECQ_ETIMEDOUT);
    CHECK(report.running_count == 1 && report.running_total == 1 && report.queued == 1 && report.threads == 1);
    CHECK(strcmp(running[0].name, "stays") == 0);
    OK(execq_executor_close(executor, EXECQ_CANCEL));
    OK(execq_executor_join(executor, -1, &report));
    CHECK(report.running_total == 0 && report.queued == 0 && report.threads == 0);
    CHECK(execq_future_state(runs) == EXECQ_FUTURE_CANCELED && execq_future_state(waits) == EXECQ_FUTURE_CANCELED);
    CHECK(execq_future_cancel_reason(waits) == EXECQ_REASON_SHUTDOWN);
    CHECK(execq_future_cancel(waits) == EXECQ_EALREADY);
    execq_future_release(first);
    execq_future_release(runs);
    execq_future_release(waits);
    execq_promise_release(started);
    execq_executor_release(executor);
}

static void test_configuration(execq_executor *executor)
{
    execq_conf conf = EXECQ_CONF_INIT;
    execq_executor *found;
    execq_future *future;
    conf.executor = executor;
    OK(execq_init_conf(&conf));
    OK(execq_executor_default(&found));
    CHECK(found == executor);
    execq_executor_release(found);
    OK(execq_submit(NULL, give, NULL, &future));
    OK(execq_future_wait(future, -1));
    execq_future_release(future);
    conf.executor = NULL;
    conf.flags = EXECQ_CONF_CLEAR_EXECUTOR;
    OK(execq_init_conf(&conf));
    OK(execq_executor_default(&found));
    CHECK(found != executor);
    execq_executor_release(found);
}

int main(void)
{
    execq_executor *executor;
    test_statuses();
    OK(execq_executor_new(NULL, &executor));
    execq_executor_retain(executor);
    execq_executor_release(executor);
    test_tasks(executor);
    test_promises();
    test_completion_queue(executor);
    test_loops(executor);
    test_close();
    test_configuration(executor);
    OK(execq_executor_close(executor, EXECQ_DRAIN));
    OK(execq_executor_join(executor, -1, NULL));
    execq_executor_release(executor);
    puts("ok");
    return 0;
}
