/* Executors on engines of the host: one that runs tasks inside of the submission, one on uv_queue_work, and one that forwards
 * them to another process over a pipe. What composes has to hold on each. */
#include "capi.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <execq/uv.h>

#include "uv_loop.h"

/* ---- the functions, which the other process knows by their names ---- */

static int32_t twice(void *env, void **result)
{
    *result = (void *)(2 * *(intptr_t *)env);
    return 0;
}

static int32_t fails(void *env, void **result)
{
    (void)result;
    return execq_fail((int32_t) * (intptr_t *)env, "as it was told to");
}

static const struct {
    const char *name;
    execq_fn fn;
} functions[] = {{"twice", twice}, {"fails", fails}};

/* ---- the other process ---- */

typedef struct request {
    uint32_t id;
    uint32_t function;
    int64_t argument;
} request;

typedef struct answer {
    uint32_t id;
    int32_t code;
    int64_t value;
} answer;

static int transfer(int fd, void *data, size_t size, int writes)
{
    char *at = data;
    while (size != 0) {
        const ssize_t n = writes ? write(fd, at, size) : read(fd, at, size);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return 0;
        }
        at += n;
        size -= (size_t)n;
    }
    return 1;
}

static int serve(void)
{
    request r;
    while (transfer(STDIN_FILENO, &r, sizeof r, 0)) {
        intptr_t argument = (intptr_t)r.argument;
        void *value = NULL;
        answer a = {r.id, functions[r.function].fn(&argument, &value), 0};
        a.value = (int64_t)(intptr_t)value;
        if (!transfer(STDOUT_FILENO, &a, sizeof a, 1)) {
            return 1;
        }
    }
    return 0;
}

/* ---- the engines ---- */

enum { MOST = 512 };

typedef struct engine {
    execq_executor *executor;
    sem_t dropped;
    int closes[2];
    pthread_t thread;
    pthread_mutex_t mutex;
    execq_engine_task *tasks[MOST]; /* under the mutex: to be queued; of the pipe: by their ids */
    uint32_t n_tasks;
    /* uv_queue_work */
    uv_loop_t loop;
    uv_async_t async;
    atomic_int woken;
    atomic_int over;
    /* the pipe */
    pid_t child;
    int to_child;
    int from_child;
} engine;

static void engine_dropped(void *env) { sem_post(&((engine *)env)->dropped); }

static void engine_close(void *env, int32_t mode)
{
    engine *e = env;
    pthread_mutex_lock(&e->mutex);
    ++e->closes[mode == EXECQ_CANCEL];
    pthread_mutex_unlock(&e->mutex);
}

static execq_status inline_submit(void *env, execq_engine_task *task)
{
    (void)env;
    must(execq_engine_task_run(task) == EXECQ_OK);
    return EXECQ_OK;
}

typedef struct work {
    uv_work_t request;
    execq_engine_task *task;
} work;

static void work_run(uv_work_t *req)
{
    const execq_status status = execq_engine_task_run(((work *)req->data)->task);
    must(status == EXECQ_OK || status == EXECQ_ECANCELED);
}

static void work_ended(uv_work_t *req, int status)
{
    (void)status;
    free(req->data);
}

static void uv_wake(engine *e)
{
    if (atomic_exchange(&e->woken, 1) == 0) {
        uv_async_send(&e->async);
    }
}

static void uv_woken(uv_async_t *async)
{
    engine *e = async->data;
    atomic_exchange(&e->woken, 0);
    pthread_mutex_lock(&e->mutex);
    for (uint32_t i = 0; i < e->n_tasks; ++i) {
        work *w = malloc(sizeof *w);
        w->request.data = w;
        w->task = e->tasks[i];
        must(uv_queue_work(&e->loop, &w->request, work_run, work_ended) == 0);
    }
    e->n_tasks = 0;
    pthread_mutex_unlock(&e->mutex);
    if (atomic_load(&e->over)) {
        uv_close((uv_handle_t *)async, NULL);
    }
}

static void *uv_thread(void *env)
{
    engine *e = env;
    uv_run(&e->loop, UV_RUN_DEFAULT);
    return NULL;
}

static execq_status uv_submit(void *env, execq_engine_task *task)
{
    engine *e = env;
    pthread_mutex_lock(&e->mutex);
    must(e->n_tasks != MOST);
    e->tasks[e->n_tasks++] = task;
    pthread_mutex_unlock(&e->mutex);
    uv_wake(e);
    return EXECQ_OK;
}

static execq_status pipe_submit(void *env, execq_engine_task *task)
{
    engine *e = env;
    const execq_status begun = execq_engine_task_begin(task);
    if (begun != EXECQ_OK) {
        return begun == EXECQ_ECANCELED ? EXECQ_OK : begun;
    }
    execq_engine_task_info info = EXECQ_ENGINE_TASK_INFO_INIT;
    must(execq_engine_task_info_get(task, &info) == EXECQ_OK);
    must(info.begun == 1 && info.fn != NULL);
    request r = {0, 0, (int64_t) * (intptr_t *)info.env};
    while (functions[r.function].fn != info.fn) {
        ++r.function;
    }
    must(info.name[0] == '\0' || strcmp(info.name, functions[r.function].name) == 0);
    pthread_mutex_lock(&e->mutex);
    while (e->tasks[r.id] != NULL) {
        must(++r.id != MOST);
    }
    e->tasks[r.id] = task;
    must(transfer(e->to_child, &r, sizeof r, 1));
    pthread_mutex_unlock(&e->mutex);
    return EXECQ_OK;
}

static void *pipe_thread(void *env)
{
    engine *e = env;
    answer a;
    while (transfer(e->from_child, &a, sizeof a, 0)) {
        pthread_mutex_lock(&e->mutex);
        execq_engine_task *task = e->tasks[a.id];
        e->tasks[a.id] = NULL;
        pthread_mutex_unlock(&e->mutex);
        const execq_status status = a.code == 0 ? execq_engine_task_resolve(task, (void *)(intptr_t)a.value)
                                                : execq_engine_task_reject(task, a.code, "as it was told to");
        must(status == EXECQ_OK);
    }
    return NULL;
}

static void pipe_open(engine *e)
{
    int down[2];
    int up[2];
    assert_int_equal(pipe2(down, O_CLOEXEC), 0);
    assert_int_equal(pipe2(up, O_CLOEXEC), 0);
    e->child = fork();
    assert_true(e->child >= 0);
    if (e->child == 0) {
        dup2(down[0], STDIN_FILENO);
        dup2(up[1], STDOUT_FILENO);
        execl("/proc/self/exe", "engine_child", "--serve", (char *)NULL);
        _exit(127);
    }
    close(down[0]);
    close(up[1]);
    e->to_child = down[1];
    e->from_child = up[0];
}

enum { INLINE, UV, PIPE, KINDS };

static void engine_open(engine *e, int kind)
{
    memset(e, 0, sizeof *e);
    sem_init(&e->dropped, 0, 0);
    pthread_mutex_init(&e->mutex, NULL);
    execq_engine_vtable vtable = EXECQ_ENGINE_VTABLE_INIT;
    vtable.drop = engine_dropped;
    vtable.close = engine_close;
    vtable.submit = kind == INLINE ? inline_submit : kind == UV ? uv_submit : pipe_submit;
    if (kind == UV) {
        assert_int_equal(uv_loop_init(&e->loop), 0);
        assert_int_equal(uv_async_init(&e->loop, &e->async, uv_woken), 0);
        e->async.data = e;
        assert_int_equal(pthread_create(&e->thread, NULL, uv_thread, e), 0);
    } else if (kind == PIPE) {
        pipe_open(e);
        assert_int_equal(pthread_create(&e->thread, NULL, pipe_thread, e), 0);
    }
    assert_status(execq_executor_from_vtable(&vtable, e, &e->executor), EXECQ_OK);
}

/* Drains it, joins it, and waits for its drop. */
static void engine_end(engine *e, int kind)
{
    assert_status(execq_executor_close(e->executor, EXECQ_DRAIN), EXECQ_OK);
    assert_status(execq_executor_join(e->executor, -1, NULL), EXECQ_OK);
    execq_executor_release(e->executor);
    sem_take(&e->dropped);
    assert_int_equal(e->closes[0], 1);
    if (kind == UV) {
        atomic_store(&e->over, 1);
        uv_wake(e);
        pthread_join(e->thread, NULL);
        assert_int_equal(uv_loop_close(&e->loop), 0);
    } else if (kind == PIPE) {
        int status = 0;
        close(e->to_child);
        pthread_join(e->thread, NULL);
        close(e->from_child);
        assert_int_equal(waitpid(e->child, &status, 0), e->child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    pthread_mutex_destroy(&e->mutex);
    sem_destroy(&e->dropped);
}

#define ON_EACH_ENGINE(scenario)                   \
    static void scenario##_on_each(void **state)   \
    {                                              \
        (void)state;                               \
        for (int kind = 0; kind < KINDS; ++kind) { \
            static engine e;                       \
            engine_open(&e, kind);                 \
            scenario(&e, kind);                    \
            engine_end(&e, kind);                  \
        }                                          \
    }

/* ---- what has to hold ---- */

static void futures_get_the_outcome(engine *e, int kind)
{
    (void)kind;
    enum { N = 50 };
    execq_future *futures[N];
    intptr_t numbers[N];
    for (int i = 0; i < N; ++i) {
        numbers[i] = i + 1;
        assert_status(execq_submit(e->executor, twice, &numbers[i], &futures[i]), EXECQ_OK);
    }
    for (int i = 0; i < N; ++i) {
        void *value = NULL;
        assert_status(execq_future_wait(futures[i], -1), EXECQ_OK);
        assert_status(execq_future_result(futures[i], &value), EXECQ_OK);
        assert_int_equal((intptr_t)value, 2 * (i + 1));
        execq_future_release(futures[i]);
    }
}
ON_EACH_ENGINE(futures_get_the_outcome)

typedef struct dropping {
    intptr_t number; /* first: what the functions read */
    counter drops;
} dropping;

static void dropping_drop(void *env) { counter_hit(&((dropping *)env)->drops); }

static void a_failure_keeps_its_code_and_message_and_env_is_dropped_first(engine *e, int kind)
{
    (void)kind;
    dropping env = {77, {0}};
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.name = "fails";
    options.drop = dropping_drop;
    execq_future *future = NULL;
    assert_status(execq_submit_with(e->executor, &options, fails, &env, &future), EXECQ_OK);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_int_equal(counter_get(&env.drops), 1);
    assert_status(execq_future_result(future, NULL), EXECQ_EFAILED);
    assert_int_equal(execq_error_code(execq_future_error(future)), 77);
    assert_string_equal(execq_error_message(execq_future_error(future)), "as it was told to");
    execq_future_release(future);
}
ON_EACH_ENGINE(a_failure_keeps_its_code_and_message_and_env_is_dropped_first)

static void completions_come_to_the_loop(engine *e, int kind)
{
    (void)kind;
    enum { N = 20 };
    attached a;
    int clock = 0;
    delivery deliveries[N];
    intptr_t number = 4;
    attached_open(&a);
    for (int i = 0; i < N; ++i) {
        deliveries[i] = (delivery){&clock, 0, 0, 0, 0};
        assert_status(execq_submit_to_loop(e->executor, NULL, twice, &number, a.port, delivery_done, &deliveries[i],
                                           delivery_drop),
                      EXECQ_OK);
    }
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    for (int i = 0; i < N; ++i) {
        assert_true(deliveries[i].delivered != 0 && deliveries[i].dropped > deliveries[i].delivered);
        assert_status(deliveries[i].status, EXECQ_OK);
    }
    attached_close(&a);
}
ON_EACH_ENGINE(completions_come_to_the_loop)

static void completions_come_to_the_queue(engine *e, int kind)
{
    (void)kind;
    enum { N = 20 };
    execq_cq *cq = NULL;
    intptr_t number = 21;
    int seen[N] = {0};
    assert_status(execq_cq_new(&cq), EXECQ_OK);
    for (intptr_t i = 0; i < N; ++i) {
        assert_status(execq_submit_to_cq(e->executor, NULL, twice, &number, cq, (void *)i), EXECQ_OK);
    }
    for (size_t total = 0; total < N;) {
        execq_completion done[N];
        size_t n = 0;
        assert_status(execq_cq_wait(cq, -1), EXECQ_OK);
        assert_status(execq_cq_drain(cq, done, N, &n), EXECQ_OK);
        for (size_t i = 0; i < n; ++i) {
            ++seen[(intptr_t)done[i].tag];
            assert_status(done[i].status, EXECQ_OK);
            assert_int_equal((intptr_t)done[i].value, 42);
            execq_future_release(done[i].future);
        }
        total += n;
    }
    for (int i = 0; i < N; ++i) {
        assert_int_equal(seen[i], 1);
    }
    assert_status(execq_cq_close(cq, NULL), EXECQ_OK);
    execq_cq_release(cq);
}
ON_EACH_ENGINE(completions_come_to_the_queue)

static struct {
    pthread_mutex_t mutex;
    int order[256];
    int n;
} ended_in = {PTHREAD_MUTEX_INITIALIZER, {0}, 0};

static void note_end(void *env)
{
    pthread_mutex_lock(&ended_in.mutex);
    ended_in.order[ended_in.n++] = (int)((dropping *)env)->number;
    pthread_mutex_unlock(&ended_in.mutex);
}

static void a_strand_keeps_its_order(engine *e, int kind)
{
    (void)kind;
    enum { N = 200 };
    static dropping envs[N];
    execq_future *futures[N];
    execq_queue *queue = NULL;
    ended_in.n = 0;
    assert_status(execq_queue_new(e->executor, NULL, &queue), EXECQ_OK);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.queue = queue;
    options.drop = note_end;
    for (int i = 0; i < N; ++i) {
        envs[i].number = i;
        assert_status(execq_submit_with(NULL, &options, twice, &envs[i], &futures[i]), EXECQ_OK);
    }
    assert_status(execq_future_wait_all(futures, N, -1), EXECQ_OK);
    assert_int_equal(ended_in.n, N);
    for (int i = 0; i < N; ++i) {
        void *value = NULL;
        assert_int_equal(ended_in.order[i], i);
        assert_status(execq_future_result(futures[i], &value), EXECQ_OK);
        assert_int_equal((intptr_t)value, 2 * i);
        execq_future_release(futures[i]);
    }
    execq_queue_release(queue);
}
ON_EACH_ENGINE(a_strand_keeps_its_order)

static void a_queue_that_was_paused_is_run_to_its_end_by_a_drain(engine *e, int kind)
{
    (void)kind;
    enum { N = 100 };
    static intptr_t numbers[N];
    execq_future *futures[N];
    execq_queue *queue = NULL;
    execq_queue_options paused = EXECQ_QUEUE_OPTIONS_INIT;
    paused.flags = EXECQ_QUEUE_PAUSED;
    paused.max_in_flight = 3;
    assert_status(execq_queue_new(e->executor, &paused, &queue), EXECQ_OK);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.queue = queue;
    for (int i = 0; i < N; ++i) {
        numbers[i] = i;
        assert_status(execq_submit_with(NULL, &options, twice, &numbers[i], &futures[i]), EXECQ_OK);
        assert_status(execq_future_wait(futures[i], 0), EXECQ_ETIMEDOUT);
    }
    assert_status(execq_executor_close(e->executor, EXECQ_DRAIN), EXECQ_OK);
    assert_status(execq_future_wait_all(futures, N, -1), EXECQ_OK);
    for (int i = 0; i < N; ++i) {
        assert_status(execq_future_result(futures[i], NULL), EXECQ_OK);
        execq_future_release(futures[i]);
    }
    assert_status(execq_submit_with(NULL, &options, twice, &numbers[0], NULL), EXECQ_ECLOSED);
    execq_queue_release(queue);
}
ON_EACH_ENGINE(a_queue_that_was_paused_is_run_to_its_end_by_a_drain)

static void the_first_failure_of_a_group_cancels_what_waits(engine *e, int kind)
{
    (void)kind;
    execq_group *group = NULL;
    execq_queue *queue = NULL;
    execq_queue_options paused = EXECQ_QUEUE_OPTIONS_INIT;
    paused.flags = EXECQ_QUEUE_PAUSED;
    assert_status(execq_queue_new(e->executor, &paused, &queue), EXECQ_OK);
    assert_status(execq_group_new(NULL, &group), EXECQ_OK);
    intptr_t code = 5;
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    execq_future *waiting = NULL;
    options.queue = queue;
    assert_status(execq_group_submit(group, NULL, &options, twice, &code, &waiting), EXECQ_OK);
    assert_status(execq_group_submit(group, e->executor, NULL, fails, &code, NULL), EXECQ_OK);
    assert_status(execq_group_join(group, -1), EXECQ_EFAILED);
    assert_int_equal(execq_error_code(execq_group_error(group)), 5);
    assert_status(execq_future_result(waiting, NULL), EXECQ_ECANCELED);
    assert_int_equal(execq_future_cancel_reason(waiting), EXECQ_REASON_GROUP);
    execq_future_release(waiting);
    execq_group_release(group);
    execq_queue_release(queue);
}
ON_EACH_ENGINE(the_first_failure_of_a_group_cancels_what_waits)

static void a_batch_runs_whole(engine *e, int kind)
{
    (void)kind;
    enum { N = 100 };
    static intptr_t numbers[N];
    void *envs[N];
    execq_future *futures[N];
    for (int i = 0; i < N; ++i) {
        numbers[i] = i;
        envs[i] = &numbers[i];
    }
    assert_status(execq_submit_many(e->executor, NULL, N, twice, envs, futures), EXECQ_OK);
    assert_status(execq_future_wait_all(futures, N, -1), EXECQ_OK);
    for (int i = 0; i < N; ++i) {
        void *value = NULL;
        assert_status(execq_future_result(futures[i], &value), EXECQ_OK);
        assert_int_equal((intptr_t)value, 2 * i);
        execq_future_release(futures[i]);
    }
}
ON_EACH_ENGINE(a_batch_runs_whole)

static void a_delayed_task_is_handed_over_when_it_is_due(engine *e, int kind)
{
    (void)kind;
    intptr_t number = 8;
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.delay_ns = 2 * MILLISECOND;
    const int64_t before = clock_now();
    execq_future *future = NULL;
    assert_status(execq_submit_with(e->executor, &options, twice, &number, &future), EXECQ_OK);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_true(clock_now() - before >= options.delay_ns);
    assert_status(execq_future_result(future, NULL), EXECQ_OK);
    execq_future_release(future);
}
ON_EACH_ENGINE(a_delayed_task_is_handed_over_when_it_is_due)

static void async_tasks_are_not_supported(engine *e, int kind)
{
    (void)kind;
    assert_status(execq_submit_async(e->executor, NULL, (execq_async_fn)(void (*)(void))twice, NULL, NULL),
                  EXECQ_ENOTSUP);
}
ON_EACH_ENGINE(async_tasks_are_not_supported)

/* ---- where bodies run in this process ---- */

static execq_var *var;

static int32_t read_var(void *env, void **result)
{
    (void)env;
    return execq_var_get(var, result) == 1 ? 0 : 1;
}

static void the_context_is_that_of_the_submission(void **state)
{
    (void)state;
    assert_status(execq_var_new(NULL, &var), EXECQ_OK);
    for (int kind = INLINE; kind <= UV; ++kind) {
        static engine e;
        execq_var_token token;
        engine_open(&e, kind);
        assert_status(execq_var_set(var, &e, &token), EXECQ_OK);
        execq_future *future = NULL;
        assert_status(execq_submit(e.executor, read_var, NULL, &future), EXECQ_OK);
        assert_status(execq_var_reset(var, token), EXECQ_OK);
        void *value = NULL;
        assert_status(execq_future_wait(future, -1), EXECQ_OK);
        assert_status(execq_future_result(future, &value), EXECQ_OK);
        assert_ptr_equal(value, &e);
        execq_future_release(future);
        engine_end(&e, kind);
    }
    execq_var_release(var);
}

typedef struct series {
    execq_executor *executor;
    atomic_int runs;
} series;

static int32_t run_of_series(void *env, void **result)
{
    (void)result;
    series *s = env;
    return atomic_fetch_add(&s->runs, 1) + 1 == 5 ? execq_fail(9, "enough") : 0;
}

static void a_series_goes_on_until_it_fails(void **state)
{
    (void)state;
    for (int kind = INLINE; kind <= UV; ++kind) {
        static engine e;
        engine_open(&e, kind);
        series s = {e.executor, 0};
        execq_future *future = NULL;
        assert_status(
            execq_submit_periodic(e.executor, NULL, MILLISECOND, EXECQ_FIXED_RATE, run_of_series, &s, &future),
            EXECQ_OK);
        assert_status(execq_future_wait(future, -1), EXECQ_OK);
        assert_status(execq_future_result(future, NULL), EXECQ_EFAILED);
        assert_int_equal(execq_error_code(execq_future_error(future)), 9);
        assert_int_equal(atomic_load(&s.runs), 5);
        execq_future_release(future);
        engine_end(&e, kind);
    }
}

static void inline_is_done_when_the_submission_returns(void **state)
{
    (void)state;
    static engine e;
    engine_open(&e, INLINE);
    intptr_t number = 3;
    execq_future *future = NULL;
    assert_status(execq_submit(e.executor, twice, &number, &future), EXECQ_OK);
    assert_status(execq_future_result(future, NULL), EXECQ_OK);
    execq_future_release(future);
    engine_end(&e, INLINE);
}

/* A task of the drained executor submits to it, and joins nothing of its own. */
static int32_t submits_inside(void *env, void **result)
{
    engine *e = env;
    static intptr_t number = 6;
    must(execq_executor_close(e->executor, EXECQ_DRAIN) == EXECQ_OK);
    must(execq_executor_join(e->executor, -1, NULL) == EXECQ_EDEADLK);
    must(execq_submit(e->executor, twice, &number, NULL) == EXECQ_OK);
    *result = env;
    return 0;
}

static void a_drain_accepts_what_its_own_tasks_submit(void **state)
{
    (void)state;
    for (int kind = INLINE; kind <= UV; ++kind) {
        static engine e;
        intptr_t number = 6;
        engine_open(&e, kind);
        execq_future *future = NULL;
        assert_status(execq_submit(e.executor, submits_inside, &e, &future), EXECQ_OK);
        assert_status(execq_future_wait(future, -1), EXECQ_OK);
        assert_status(execq_future_result(future, NULL), EXECQ_OK);
        assert_status(execq_submit(e.executor, twice, &number, NULL), EXECQ_ECLOSED);
        execq_future_release(future);
        engine_end(&e, kind);
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--serve") == 0) {
        return serve();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(futures_get_the_outcome_on_each),
        cmocka_unit_test(a_failure_keeps_its_code_and_message_and_env_is_dropped_first_on_each),
        cmocka_unit_test(completions_come_to_the_loop_on_each),
        cmocka_unit_test(completions_come_to_the_queue_on_each),
        cmocka_unit_test(a_strand_keeps_its_order_on_each),
        cmocka_unit_test(a_queue_that_was_paused_is_run_to_its_end_by_a_drain_on_each),
        cmocka_unit_test(the_first_failure_of_a_group_cancels_what_waits_on_each),
        cmocka_unit_test(a_batch_runs_whole_on_each),
        cmocka_unit_test(a_delayed_task_is_handed_over_when_it_is_due_on_each),
        cmocka_unit_test(async_tasks_are_not_supported_on_each),
        cmocka_unit_test(the_context_is_that_of_the_submission),
        cmocka_unit_test(a_series_goes_on_until_it_fails),
        cmocka_unit_test(inline_is_done_when_the_submission_returns),
        cmocka_unit_test(a_drain_accepts_what_its_own_tasks_submit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
