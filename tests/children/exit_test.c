/* Processes that end in the midst of work of every kind, in each of the C library's ways and from several places at once, and
 * handlers that use the library meanwhile. What each exit policy promises is in tests/capi/exit_test.c. */
#include "uv_loop.h"

#include "child.h"

enum { CODE = 7 };
static const int64_t hour_ns = INT64_C(3600) * 1000000000;

static char text[4096];

/* ---- work of every kind ---- */

/* Kept in one place, so that nothing of it counts as lost. */
static struct everything {
    execq_executor *executor;
    gate running;
    execq_future *futures[8];
    execq_queue *queue;
    execq_group *group;
    execq_cq *cq;
    execq_cancel_source *source;
    attached at;
    uv_timer_t timer;
} all;

static int32_t until_canceled(void *env, void **result)
{
    (void)result;
    sem_post(&((gate *)env)->entered);
    while (execq_cancel_requested() == 0) {
        sched_yield();
    }
    return EXECQ_ECANCELED;
}

static int32_t sleep_until_interrupted(void *env, void **result)
{
    (void)result;
    sem_post(&((gate *)env)->entered);
    while (execq_cancel_requested() == 0) {
        pause();
    }
    return EXECQ_ECANCELED;
}

static void reject_when_asked(void *promise)
{
    must(execq_promise_reject(promise, EXECQ_ECANCELED, NULL) == EXECQ_OK);
    execq_promise_release(promise);
}

static void never(uv_timer_t *timer) { must(timer == NULL); }

static void start_timer_of_an_hour(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    must(uv_timer_init(loop, &all.timer) == 0 && uv_timer_start(&all.timer, never, 3600 * 1000, 0) == 0);
    must(execq_promise_on_cancel(promise, reject_when_asked, promise, NULL) == EXECQ_OK);
    sem_post(&((gate *)env)->entered);
}

/* Returns when all that can run runs. The executor stands for NULL. */
static void start_everything(void)
{
    execq_conf conf = EXECQ_CONF_INIT;
    all.executor = pool_new(4);
    conf.executor = all.executor;
    conf.exit_wait_ns = hour_ns;
    must(execq_init_conf(&conf) == EXECQ_OK);
    gate_init(&all.running);
    execq_future **next = all.futures;
    must(execq_submit(NULL, until_canceled, &all.running, next++) == EXECQ_OK);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.flags = EXECQ_TASK_INTERRUPT;
    must(execq_submit_with(NULL, &options, sleep_until_interrupted, &all.running, next++) == EXECQ_OK);
    must(execq_submit_async(NULL, NULL, start_timer_of_an_hour, &all.running, next++) == EXECQ_OK);
    must(execq_submit_periodic(NULL, NULL, MILLISECOND, EXECQ_FIXED_RATE, do_nothing, NULL, next++) == EXECQ_OK);
    must(execq_sleep(hour_ns, next++) == EXECQ_OK);
    options.flags = 0;
    options.delay_ns = hour_ns;
    must(execq_submit_with(NULL, &options, do_nothing, NULL, next++) == EXECQ_OK);
    options.delay_ns = 0;
    execq_queue_options paused = EXECQ_QUEUE_OPTIONS_INIT;
    paused.flags = EXECQ_QUEUE_PAUSED;
    must(execq_queue_new(NULL, &paused, &all.queue) == EXECQ_OK);
    options.queue = all.queue;
    must(execq_submit_with(NULL, &options, do_nothing, NULL, next++) == EXECQ_OK);
    must(execq_cancel_source_new(NULL, &all.source) == EXECQ_OK);
    execq_group_options linked = EXECQ_GROUP_OPTIONS_INIT;
    linked.cancel_source = all.source;
    must(execq_group_new(&linked, &all.group) == EXECQ_OK);
    must(execq_group_submit(all.group, NULL, NULL, until_canceled, &all.running, next++) == EXECQ_OK);
    must(next == all.futures + COUNT_OF(all.futures));
    must(execq_cq_new(&all.cq) == EXECQ_OK && execq_future_on_cq(all.futures[0], all.cq, NULL) == EXECQ_OK);
    attached_open(&all.at);
    must(execq_future_on_loop(all.futures[0], all.at.port, count_done, NULL, NULL) == EXECQ_OK);
    gate_await(&all.running, 4);
}

/* ---- ways and places ---- */

typedef void (*way_fn)(int code);

static void return_from_main_thread(int code) { exit(code); /* what a return from main() is */ }

static const way_fn ways[] = {return_from_main_thread, _exit, quick_exit};

struct ending {
    way_fn way;
    gate g;
};

static void *end_on_thread(void *env)
{
    struct ending *e = env;
    gate_pass(&e->g);
    e->way(CODE);
    return NULL;
}

static int32_t end_in_task(void *env, void **result)
{
    (void)result;
    end_on_thread(env);
    return 0;
}

static int32_t end_on_caller(void *env, void **result)
{
    (void)result;
    ((struct ending *)env)->way(CODE);
    return 0;
}

static void end_in_done(execq_future *future, void *env)
{
    (void)future;
    end_on_caller(env, NULL);
}

static void end_everything_from_main(void *env)
{
    start_everything();
    ((struct ending *)env)->way(CODE);
}

static void end_everything_from_a_thread(void *env)
{
    struct ending *e = env;
    start_everything();
    gate_init(&e->g);
    pthread_detach(thread_start(end_on_thread, e));
    gate_await(&e->g, 1);
    gate_open(&e->g, 1);
    for (;;) {
        (void)execq_future_wait(all.futures[2], 10 * MILLISECOND);
    }
}

/* On an executor of its own: one that is waited for can not take the turn of a task that keeps its thread. */
static void end_everything_from_a_task(void *env)
{
    struct ending *e = env;
    start_everything();
    gate_init(&e->g);
    must(execq_executor_resize(all.executor, 0, 5) == EXECQ_OK);
    must(execq_submit(NULL, end_in_task, e, NULL) == EXECQ_OK);
    gate_await(&e->g, 1);
    gate_open(&e->g, 1);
    for (;;) {
        (void)execq_future_wait(all.futures[2], 10 * MILLISECOND);
    }
}

static void end_everything_from_a_done_callback(void *env)
{
    start_everything();
    must(execq_future_on_done(all.futures[0], end_in_done, env, NULL) == EXECQ_OK);
    must(execq_future_cancel(all.futures[0]) == EXECQ_EBUSY);
    for (;;) {
        (void)execq_future_wait(all.futures[2], 10 * MILLISECOND);
    }
}

/* Nobody else can see to what is delayed, or comes again and again. */
static void end_everything_from_a_timer(void *env)
{
    execq_future *sleep = NULL;
    start_everything();
    must(execq_sleep(MILLISECOND, &sleep) == EXECQ_OK);
    must(execq_future_on_done(sleep, end_in_done, env, NULL) == EXECQ_OK);
    execq_future_release(sleep);
    for (;;) {
        pause();
    }
}

static void work_of_every_kind_ends_with_the_process(void **state)
{
    (void)state;
    static void (*const places[])(void *) = {end_everything_from_main, end_everything_from_a_thread,
                                             end_everything_from_a_task, end_everything_from_a_done_callback,
                                             end_everything_from_a_timer};
    for (size_t place = 0; place < COUNT_OF(places); place++) {
        for (size_t way = 0; way < COUNT_OF(ways); way++) {
            struct ending e;
            e.way = ways[way];
            child_exits(places[place], &e, CODE, text, sizeof text);
            if (text[0] != '\0') {
                fail_msg("place %zu, way %zu: %s", place, way, text);
            }
        }
    }
}

/* ---- while others submit ---- */

static void *submit_until_refused(void *env)
{
    execq_status status = EXECQ_OK;
    sem_post(&((gate *)env)->entered);
    while (status == EXECQ_OK) {
        execq_future *future = NULL;
        status = execq_submit(NULL, do_nothing, NULL, &future);
        if (status == EXECQ_OK) {
            status = execq_future_wait(future, -1);
            execq_future_release(future);
        }
    }
    must(status == EXECQ_ECLOSED);
    return NULL;
}

static void end_while_threads_submit(void *env)
{
    static gate g;
    execq_conf conf = EXECQ_CONF_INIT;
    conf.exit_policy = *(int32_t *)env;
    conf.exit_wait_ns = hour_ns;
    must(execq_init_conf(&conf) == EXECQ_OK);
    gate_init(&g);
    for (int i = 0; i < 4; i++) {
        pthread_detach(thread_start(submit_until_refused, &g));
    }
    gate_await(&g, 4);
    exit(CODE);
}

static void threads_that_submit_are_refused_and_keep_nobody(void **state)
{
    (void)state;
    for (int i = 0; i < SCALED(20, 4); i++) {
        int32_t policy = i % 2 == 0 ? EXECQ_EXIT_CANCEL : EXECQ_EXIT_DRAIN;
        child_exits(end_while_threads_submit, &policy, CODE, text, sizeof text);
        assert_string_equal(text, "");
    }
}

/* ---- handlers ---- */

static execq_executor *own;
static execq_future *done_before, *open_at_exit;
static execq_cq *queue_of_completions;

/* Called after the library's handler: the default executor has ended, everything else works as ever. */
static void use_after(void)
{
    execq_future *future = NULL;
    must(execq_submit(NULL, do_nothing, NULL, NULL) == EXECQ_ECLOSED);
    must(execq_future_wait(done_before, -1) == EXECQ_OK && execq_future_result(done_before, NULL) == EXECQ_OK);
    must(execq_future_wait(open_at_exit, -1) == EXECQ_OK && execq_future_result(open_at_exit, NULL) == EXECQ_ECANCELED);
    must(execq_future_cancel_reason(open_at_exit) == EXECQ_REASON_SHUTDOWN);
    execq_completion completion;
    size_t n = 0;
    must(execq_cq_wait(queue_of_completions, -1) == EXECQ_OK);
    must(execq_cq_drain(queue_of_completions, &completion, 1, &n) == EXECQ_OK && n == 1);
    must(completion.future == open_at_exit && completion.status == EXECQ_ECANCELED);
    execq_future_release(completion.future);
    must(execq_cq_close(queue_of_completions, NULL) == EXECQ_OK);
    execq_cq_release(queue_of_completions);
    execq_future_release(done_before);
    execq_future_release(open_at_exit);
    /* An executor of the program's own is its own. */
    must(execq_submit(own, do_nothing, NULL, &future) == EXECQ_OK);
    must(execq_future_wait(future, -1) == EXECQ_OK);
    execq_future_release(future);
    must(execq_sleep(MILLISECOND, &future) == EXECQ_OK && execq_future_wait(future, -1) == EXECQ_OK);
    execq_future_release(future);
    must(execq_executor_close(own, EXECQ_DRAIN) == EXECQ_OK);
    must(execq_executor_join(own, -1, NULL) == EXECQ_OK);
    execq_executor_release(own);
    must(write(STDERR_FILENO, "after ", 6) == 6);
}

/* Called before it: all is as it was. */
static void use_before(void)
{
    execq_future *future = NULL;
    must(execq_submit(NULL, do_nothing, NULL, &future) == EXECQ_OK);
    must(execq_future_wait(future, -1) == EXECQ_OK && execq_future_result(future, NULL) == EXECQ_OK);
    execq_future_release(future);
    must(execq_submit(NULL, do_nothing, NULL, NULL) == EXECQ_OK);
    must(write(STDERR_FILENO, "before ", 7) == 7);
}

/* Called before it, too, and takes its work away. */
static void close_before(void)
{
    execq_executor *standing = NULL;
    must(execq_executor_default(&standing) == EXECQ_OK);
    must(execq_executor_close(standing, EXECQ_CANCEL) == EXECQ_OK);
    must(execq_executor_join(standing, -1, NULL) == EXECQ_OK);
    execq_executor_release(standing);
    must(write(STDERR_FILENO, "closed ", 7) == 7);
}

static void end_with_handlers(void *env)
{
    must(atexit(use_after) == 0);
    own = pool_new(2);
    execq_conf conf = EXECQ_CONF_INIT;
    conf.exit_wait_ns = hour_ns;
    must(execq_init_conf(&conf) == EXECQ_OK);
    must(execq_submit(NULL, do_nothing, NULL, &done_before) == EXECQ_OK);
    must(execq_future_wait(done_before, -1) == EXECQ_OK);
    execq_task_options later = EXECQ_TASK_OPTIONS_INIT;
    later.delay_ns = hour_ns;
    must(execq_submit_with(NULL, &later, do_nothing, NULL, &open_at_exit) == EXECQ_OK);
    must(execq_cq_new(&queue_of_completions) == EXECQ_OK);
    must(execq_future_on_cq(open_at_exit, queue_of_completions, NULL) == EXECQ_OK);
    if (*(int *)env != 0) {
        must(atexit(close_before) == 0);
    }
    must(atexit(use_before) == 0);
    exit(CODE);
}

static void handlers_before_and_after_the_librarys_own_may_submit_and_wait_and_close(void **state)
{
    (void)state;
    int closes = 0;
    child_exits(end_with_handlers, &closes, CODE, text, sizeof text);
    assert_string_equal(text, "before after ");
    closes = 1;
    child_exits(end_with_handlers, &closes, CODE, text, sizeof text);
    assert_string_equal(text, "before closed after ");
}

static void use_first_in_handler(void)
{
    use_before(); /* what is submitted here is canceled, or runs, by a handler registered now */
}

static void end_with_a_first_use(void *env)
{
    (void)env;
    must(atexit(use_first_in_handler) == 0);
    exit(CODE);
}

static void the_first_use_may_be_in_a_handler(void **state)
{
    (void)state;
    child_exits(end_with_a_first_use, NULL, CODE, text, sizeof text);
    assert_string_equal(text, "before ");
}

static void tell_closed(void)
{
    must(execq_submit(NULL, do_nothing, NULL, NULL) == EXECQ_ECLOSED);
    must(write(STDERR_FILENO, "refused ", 8) == 8);
}

static void quick_end_with_handlers(void *env)
{
    (void)env;
    must(execq_submit(NULL, do_nothing, NULL, NULL) == EXECQ_OK);
    /* The last one is called first. */
    must(at_quick_exit(tell_closed) == 0 && at_quick_exit(close_before) == 0 && at_quick_exit(use_before) == 0);
    quick_exit(CODE);
}

static void the_quick_exit_closes_nothing_and_its_handlers_find_all_as_it_was(void **state)
{
    (void)state;
    child_exits(quick_end_with_handlers, NULL, CODE, text, sizeof text);
    assert_string_equal(text, "before closed refused ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_of_every_kind_ends_with_the_process),
        cmocka_unit_test(threads_that_submit_are_refused_and_keep_nobody),
        cmocka_unit_test(handlers_before_and_after_the_librarys_own_may_submit_and_wait_and_close),
        cmocka_unit_test(the_first_use_may_be_in_a_handler),
        cmocka_unit_test(the_quick_exit_closes_nothing_and_its_handlers_find_all_as_it_was),
    };
    return cmocka_run_group_tests_name("children.exit", tests, NULL, NULL);
}
