/* The watchdog of an executor: what takes too long is told, once, and once more when it has ended. */
#include "capi.h"

#include <unistd.h>

#include <execq/uv.h>

/* What was told, in order. */
typedef struct tale {
    sem_t told;
    execq_stuck_info info[8];
    char name[8][48];
    atomic_int n, drops;
    pthread_t thread;
} tale;

static tale said;

static void on_stuck(const execq_stuck_info *info, void *env)
{
    tale *t = env;
    const int n = atomic_load(&t->n);
    must(n < 8 && info->struct_size == sizeof *info);
    t->info[n] = *info;
    strncpy(t->name[n], info->name, sizeof t->name[n] - 1);
    t->thread = pthread_self();
    atomic_store(&t->n, n + 1);
    sem_post(&t->told);
}

static void drop_tale(void *env)
{
    atomic_fetch_add(&((tale *)env)->drops, 1);
    sem_post(&((tale *)env)->told);
}

static execq_executor *watched(int64_t after_ns, uint32_t threads)
{
    memset(&said, 0, sizeof said);
    sem_init(&said.told, 0, 0);
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.name = "watched";
    options.max_threads = threads;
    options.stuck_after_ns = after_ns;
    options.on_stuck = on_stuck;
    options.stuck_env = &said;
    options.stuck_drop = drop_tale;
    execq_executor *executor = NULL;
    assert_status(execq_executor_new(&options, &executor), EXECQ_OK);
    return executor;
}

static execq_future *occupy_named(execq_executor *executor, gate *g, const char *name)
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    execq_future *future = NULL;
    options.name = name;
    assert_status(execq_submit_with(executor, &options, gate_fn, g, &future), EXECQ_OK);
    gate_await(g, 1);
    return future;
}

static void a_task_that_takes_too_long_is_told_and_so_is_its_end(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = watched(2 * MILLISECOND, 1);
    execq_future *future = occupy_named(executor, &g, "slow");
    sem_take(&said.told);
    assert_int_equal(said.info[0].kind, EXECQ_STUCK_TASK);
    assert_int_equal(said.info[0].ended, 0);
    assert_int_equal(said.info[0].worker, 0);
    assert_int_not_equal(said.info[0].task, 0);
    assert_true(said.info[0].running_ns >= 2 * MILLISECOND);
    assert_string_equal(said.name[0], "slow");
    assert_int_not_equal(said.info[0].thread, getpid()); /* which is the main thread's */
    assert_false(pthread_equal(said.thread, pthread_self()));
    gate_open(&g, 1);
    finish(future);
    sem_take(&said.told);
    assert_int_equal(said.info[1].ended, 1);
    assert_int_equal(said.info[1].task, said.info[0].task);
    assert_true(said.info[1].running_ns >= said.info[0].running_ns);
    assert_int_equal(said.n, 2);
    pool_end(executor);
    sem_take(&said.told);
    assert_int_equal(said.drops, 1);
    assert_int_equal(said.n, 2);
    gate_destroy(&g);
}

/* Each of two that are nested, and no other. */
static int32_t waits_in_place(void *env, void **result)
{
    execq_future *future = NULL;
    (void)result;
    must(execq_submit(NULL, gate_fn, env, &future) == EXECQ_OK);
    must(execq_future_wait(future, -1) == EXECQ_OK);
    execq_future_release(future);
    return 0;
}

static void nested_tasks_are_told_each(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    execq_executor *executor = watched(MILLISECOND, 1);
    execq_conf conf = EXECQ_CONF_INIT;
    conf.executor = executor;
    assert_status(execq_init_conf(&conf), EXECQ_OK);
    execq_future *future = spawn(executor, waits_in_place, &g);
    gate_await(&g, 1);
    sem_take(&said.told);
    sem_take(&said.told);
    assert_int_not_equal(said.info[0].task, said.info[1].task);
    gate_open(&g, 1);
    finish(future);
    conf = (execq_conf)EXECQ_CONF_INIT;
    conf.flags = EXECQ_CONF_CLEAR_EXECUTOR;
    assert_status(execq_init_conf(&conf), EXECQ_OK);
    pool_end(executor);
    for (int i = 0; i < 3; i++) { /* two ends, and the drop */
        sem_take(&said.told);
    }
    assert_int_equal(said.n, 4);
    assert_int_equal(said.info[2].ended, 1);
    assert_int_equal(said.info[3].ended, 1);
    assert_int_equal(said.drops, 1);
    gate_destroy(&g);
}

static void what_ends_in_time_is_not_told(void **state)
{
    (void)state;
    execq_executor *executor = watched((int64_t)3600 * 1000 * MILLISECOND, 2);
    for (int i = 0; i < 100; i++) {
        finish(spawn(executor, do_nothing, NULL));
    }
    pool_end(executor);
    sem_take(&said.told); /* the drop, at once, however long the limit is */
    assert_int_equal(said.drops, 1);
    assert_int_equal(said.n, 0);
}

/* A timer's callback on a worker's loop that holds it up. */
static gate loop_gate;

static void close_timer(uv_handle_t *timer) { free(timer); }

static void hold(uv_timer_t *timer)
{
    gate_pass(&loop_gate);
    must(execq_promise_resolve(timer->data, NULL) == EXECQ_OK);
    execq_promise_release(timer->data);
    uv_close((uv_handle_t *)timer, close_timer);
}

static void start(execq_promise *promise, uv_loop_t *loop, void *env)
{
    (void)env;
    uv_timer_t *timer = malloc(sizeof *timer);
    uv_timer_init(loop, timer);
    timer->data = promise;
    uv_timer_start(timer, hold, 0, 0);
}

static void a_callback_that_blocks_a_loop_is_told(void **state)
{
    (void)state;
    gate_init(&loop_gate);
    execq_executor *executor = watched(MILLISECOND, 1);
    execq_future *future = NULL;
    assert_status(execq_submit_async(executor, NULL, start, NULL, &future), EXECQ_OK);
    gate_await(&loop_gate, 1);
    do { /* where the machine is slow, the start itself may have been told */
        sem_take(&said.told);
    } while (said.info[said.n - 1].kind != EXECQ_STUCK_LOOP);
    assert_int_equal(said.info[said.n - 1].ended, 0);
    assert_int_equal(said.info[said.n - 1].task, 0);
    assert_int_equal(said.info[said.n - 1].worker, 0);
    gate_open(&loop_gate, 1);
    finish(future);
    pool_end(executor);
    while (said.drops == 0) {
        sem_take(&said.told);
    }
    assert_int_equal(said.info[said.n - 1].kind, EXECQ_STUCK_LOOP);
    assert_int_equal(said.info[said.n - 1].ended, 1);
    gate_destroy(&loop_gate);
}

static void without_a_function_there_is_a_line_on_stderr(void **state)
{
    (void)state;
    static gate g;
    gate_init(&g);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const int before = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.name = "lines";
    options.max_threads = 1;
    options.stuck_after_ns = MILLISECOND;
    execq_executor *executor = NULL;
    assert_status(execq_executor_new(&options, &executor), EXECQ_OK);
    execq_future *future = occupy_named(executor, &g, "slow");
    char line[512] = "";
    size_t size = 0;
    while (strchr(line, '\n') == NULL) {
        const ssize_t got = read(ends[0], line + size, sizeof line - 1 - size);
        assert_true(got > 0);
        size += (size_t)got;
    }
    dup2(before, STDERR_FILENO);
    gate_open(&g, 1);
    finish(future);
    pool_end(executor);
    assert_non_null(strstr(line, "execq: task 'slow' on lines/0 (thread "));
    assert_non_null(strstr(line, "has been running for"));
    close(ends[0]);
    close(ends[1]);
    close(before);
    gate_destroy(&g);
}

static void bad_options_are_refused(void **state)
{
    (void)state;
    execq_executor *executor = UNTOUCHED;
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    memset(&said, 0, sizeof said);
    sem_init(&said.told, 0, 0);
    options.stuck_after_ns = -1;
    assert_status(execq_executor_new(&options, &executor), EXECQ_EINVAL);
    options.stuck_after_ns = 0;
    options.on_stuck = on_stuck;
    assert_status(execq_executor_new(&options, &executor), EXECQ_EINVAL);
    options.on_stuck = NULL;
    options.stuck_env = &said;
    options.stuck_drop = drop_tale;
    assert_status(execq_executor_new(&options, &executor), EXECQ_EINVAL);
    assert_int_equal(said.drops, 1);
    assert_ptr_equal(executor, UNTOUCHED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_that_takes_too_long_is_told_and_so_is_its_end),
        cmocka_unit_test(nested_tasks_are_told_each),
        cmocka_unit_test(what_ends_in_time_is_not_told),
        cmocka_unit_test(a_callback_that_blocks_a_loop_is_told),
        cmocka_unit_test(without_a_function_there_is_a_line_on_stderr),
        cmocka_unit_test(bad_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
