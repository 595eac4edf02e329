/* Submits tasks of all kinds, for traces of them: kinds <mode> [file]. trace_test.py runs it, and has the modes. */
#include "uv_loop.h"

#include <execq/trace.h>
#include <poll.h>
#include <sched.h>

enum { THREADS = 2, BATCH = 5 };

static int32_t work(void *env, void **result)
{
    (void)env;
    *result = NULL;
    return 0;
}

static int32_t fails(void *env, void **result)
{
    (void)env;
    (void)result;
    return execq_fail(7, "as it should");
}

static int32_t nests(void *env, void **result)
{
    execq_future *inner = NULL;
    (void)result;
    must(execq_submit(env, work, NULL, &inner) == EXECQ_OK);
    must(execq_future_wait(inner, -1) == EXECQ_OK);
    execq_future_release(inner);
    return 0;
}

static void note(execq_future *future, void *env)
{
    (void)future;
    atomic_fetch_add((atomic_int *)env, 1);
}

static void at_once(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    (void)loop;
    (void)env;
    must(execq_promise_resolve(promise, NULL) == EXECQ_OK);
    execq_promise_release(promise);
}

static _Atomic(execq_promise *) kept;
static void later(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    (void)loop;
    atomic_store(&kept, promise);
    sem_post(env);
}

static execq_executor *named_pool(const char *name)
{
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.name = name;
    options.max_threads = THREADS;
    options.min_threads = THREADS;
    execq_executor *pool = NULL;
    must(execq_executor_new(&options, &pool) == EXECQ_OK);
    return pool;
}

static void named(execq_executor *pool, const char *name)
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    execq_future *future = NULL;
    options.name = name;
    must(execq_submit_with(pool, &options, work, NULL, &future) == EXECQ_OK);
    finish(future);
}

static void blocking_ones(execq_executor *pool)
{
    execq_future *batch[BATCH];
    must(execq_submit(pool, work, NULL, NULL) == EXECQ_OK);
    finish(spawn(pool, work, NULL));
    finish(spawn(pool, nests, pool));
    must(execq_submit_many(pool, NULL, BATCH, work, NULL, batch) == EXECQ_OK);
    for (int i = 0; i < BATCH; i++) {
        finish(batch[i]);
    }
    named(pool, "a name");
    named(pool, "\"quoted\" back\\slash\n\t\x01 \xc3\xa9 \xff\xc3");
    char *endless = malloc(100000);
    must(endless != NULL);
    memset(endless, '\x02', 99999);
    endless[99999] = '\0';
    named(pool, endless);
    free(endless);
    execq_future *failed = spawn(pool, fails, NULL);
    must(execq_future_wait(failed, -1) == EXECQ_OK && execq_future_error(failed) != NULL);
    execq_future_release(failed);
}

/* Both workers are held up meanwhile. */
static void canceled_one(execq_executor *pool)
{
    static gate held;
    gate_init(&held);
    execq_future *holders[THREADS];
    for (int i = 0; i < THREADS; i++) {
        holders[i] = occupy(pool, &held);
    }
    execq_future *never = spawn(pool, work, NULL);
    must(execq_future_cancel(never) == EXECQ_OK);
    execq_future_release(never);
    gate_open(&held, THREADS);
    for (int i = 0; i < THREADS; i++) {
        finish(holders[i]);
    }
    gate_destroy(&held);
}

static void timed_ones(execq_executor *pool)
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    execq_future *delayed = NULL;
    options.delay_ns = MILLISECOND;
    must(execq_submit_with(pool, &options, work, NULL, &delayed) == EXECQ_OK);
    finish(delayed);

    static gate runs;
    gate_init(&runs);
    execq_future *series = NULL;
    must(execq_submit_periodic(pool, NULL, MILLISECOND, EXECQ_FIXED_DELAY, gate_fn, &runs, &series) == EXECQ_OK);
    for (int i = 0; i < 3; i++) {
        gate_await(&runs, 1);
        gate_open(&runs, 1);
    }
    gate_open(&runs, 1000); /* whatever comes before it is canceled */
    execq_future_cancel(series);
    must(execq_future_wait(series, -1) == EXECQ_OK);
    execq_future_release(series);
    must(execq_executor_close(pool, EXECQ_DRAIN) == EXECQ_OK);
    must(execq_executor_join(pool, -1, NULL) == EXECQ_OK);
    gate_destroy(&runs);
}

static void asynchronous_ones(execq_executor *pool)
{
    execq_future *future = NULL;
    sem_t begun;
    sem_init(&begun, 0, 0);
    must(execq_submit_async(pool, NULL, at_once, NULL, &future) == EXECQ_OK);
    finish(future);
    must(execq_submit_async(pool, NULL, later, &begun, &future) == EXECQ_OK);
    sem_take(&begun);
    must(execq_promise_resolve(atomic_load(&kept), NULL) == EXECQ_OK);
    execq_promise_release(atomic_load(&kept));
    finish(future);
    sem_destroy(&begun);
}

/* To a loop, to a queue, to more than one callback, and to those that are withdrawn. */
static void delivered_ones(execq_executor *pool)
{
    static atomic_int calls;
    attached here;
    attached_open(&here);
    must(execq_submit_to_loop(pool, NULL, work, NULL, here.port, note, &calls, NULL) == EXECQ_OK);
    execq_future *future = spawn(pool, work, NULL);
    must(execq_future_on_loop(future, here.port, note, &calls, NULL) == EXECQ_OK);
    must(execq_future_on_done(future, note, &calls, NULL) == EXECQ_OK);
    uv_run(&here.loop, UV_RUN_DEFAULT);
    finish(future);
    while (atomic_load(&calls) != 3) { /* who waits is woken before callbacks run */
        sched_yield();
    }

    static gate held;
    gate_init(&held);
    must(execq_submit_to_loop(pool, NULL, gate_fn, &held, here.port, note, &calls, NULL) == EXECQ_OK);
    gate_await(&held, 1);
    attached_close(&here); /* withdraws it */
    gate_open(&held, 1);
    must(atomic_load(&calls) == 3);

    execq_cq *cq = NULL;
    execq_completion got;
    size_t n = 0;
    must(execq_cq_new(&cq) == EXECQ_OK);
    must(execq_submit_to_cq(pool, NULL, work, NULL, cq, &calls) == EXECQ_OK);
    must(execq_cq_wait(cq, -1) == EXECQ_OK && execq_cq_drain(cq, &got, 1, &n) == EXECQ_OK && n == 1);
    execq_future_release(got.future);
    must(execq_submit_to_cq(pool, NULL, work, NULL, cq, &calls) == EXECQ_OK);
    must(execq_cq_wait(cq, -1) == EXECQ_OK);
    must(execq_cq_close(cq, NULL) == EXECQ_OK);
    execq_cq_release(cq);
}

static void all_kinds(void)
{
    execq_executor *pool = named_pool("kinds");
    blocking_ones(pool);
    canceled_one(pool);
    asynchronous_ones(pool);
    delivered_ones(pool);
    finish(spawn(NULL, work, NULL));
    timed_ones(pool); /* and closes */
    must(execq_submit(pool, work, NULL, NULL) == EXECQ_ECLOSED);
    execq_executor_release(pool);
}

static int32_t exits(void *env, void **result)
{
    (void)env;
    (void)result;
    exit(0);
}

static int32_t submits(void *env, void **result)
{
    (void)result;
    for (int i = 0; i < 500; i++) {
        must(execq_submit(env, work, NULL, NULL) == EXECQ_OK);
    }
    return 0;
}

/* Traces come and go while two threads submit; the last file is of all, the others of some. */
static void restarts(const char *prefix)
{
    char path[4096];
    snprintf(path, sizeof path, "%s.first", prefix);
    must(execq_trace_start(path) == EXECQ_OK);
    execq_executor *pool = named_pool("kinds");
    must(execq_trace_stop() == EXECQ_OK);
    for (int i = 0; i < 8; i++) {
        execq_future *one = spawn(pool, submits, pool);
        execq_future *other = spawn(pool, submits, pool);
        snprintf(path, sizeof path, "%s.%d", prefix, i);
        must(execq_trace_start(path) == EXECQ_OK);
        must(execq_trace_start(path) == EXECQ_EALREADY);
        if (i % 2 == 0) {
            finish(one);
        }
        must(execq_trace_stop() == EXECQ_OK);
        if (i % 2 != 0) {
            finish(one);
        }
        finish(other);
    }
    pool_end(pool);
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    const char *file = argc > 2 ? argv[2] : "";
    if (strcmp(mode, "start") == 0) {
        must(execq_trace_start(file) == EXECQ_OK);
        all_kinds();
        must(execq_trace_stop() == EXECQ_OK);
    } else if (strcmp(mode, "run") == 0) {
        all_kinds();
    } else if (strcmp(mode, "exit") == 0) { /* in a task, while others wait */
        execq_executor *pool = named_pool("kinds");
        finish(spawn(pool, work, NULL));
        must(execq_submit(pool, exits, NULL, NULL) == EXECQ_OK);
        for (;;) {
            pause();
        }
    } else if (strcmp(mode, "restarts") == 0) {
        restarts(file);
    } else {
        fprintf(stderr, "kinds: no mode %s\n", mode);
        return 2;
    }
    return 0;
}
