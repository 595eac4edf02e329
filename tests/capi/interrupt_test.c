/* EXECQ_TASK_INTERRUPT: system calls of a body that is asked to stop return EINTR, and nobody else's do. */
#include "capi.h"

#include <errno.h>
#include <execq/uv.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int signals_that_are(const sigset_t *mask, int blocked)
{
    int n = 0;
    for (int i = 1; i <= SIGRTMAX; i++) {
        if (i != SIGKILL && i != SIGSTOP && (i < 32 || i >= SIGRTMIN)) {
            n += sigismember(mask, i) == blocked;
        }
    }
    return n;
}

static int unblocked_here(void)
{
    sigset_t mask;
    must(pthread_sigmask(SIG_SETMASK, NULL, &mask) == 0);
    return signals_that_are(&mask, 0);
}

static int pending_here(void)
{
    sigset_t pending;
    must(sigpending(&pending) == 0);
    return signals_that_are(&pending, 1);
}

/* A body that reads from an empty pipe until it is asked to stop. */
typedef struct reader {
    int fds[2];
    sem_t entered;
    int asked_first; /* reads only once it was asked: the first signal comes before the system call */
    atomic_int interrupted, unasked, unblocked, dropped;
} reader;

static void reader_init(reader *self)
{
    memset(self, 0, sizeof *self);
    assert_int_equal(pipe(self->fds), 0);
    sem_init(&self->entered, 0, 0);
}

static void reader_destroy(reader *self)
{
    close(self->fds[0]);
    close(self->fds[1]);
    sem_destroy(&self->entered);
}

static void read_until_asked(reader *self)
{
    char byte;
    do {
        must(read(self->fds[0], &byte, 1) == -1 && errno == EINTR);
        atomic_fetch_add(execq_cancel_requested() ? &self->interrupted : &self->unasked, 1);
    } while (!execq_cancel_requested());
}

static int32_t reader_body(void *env, void **result)
{
    (void)result;
    reader *self = env;
    atomic_store(&self->unblocked, unblocked_here());
    sem_post(&self->entered);
    while (self->asked_first && !execq_cancel_requested()) {
        sched_yield();
    }
    read_until_asked(self);
    return EXECQ_ECANCELED;
}

static void reader_drop(void *env)
{
    reader *self = env;
    must(unblocked_here() == 0 && pending_here() == 0);
    atomic_fetch_add(&self->dropped, 1);
}

static execq_task_options interruptible(void)
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.flags = EXECQ_TASK_INTERRUPT;
    return options;
}

static execq_future *reader_start(execq_executor *executor, const execq_task_options *options, reader *self)
{
    execq_future *future = NULL;
    assert_status(execq_submit_with(executor, options, reader_body, self, &future), EXECQ_OK);
    sem_take(&self->entered);
    return future;
}

static void must_end_canceled(execq_future *future, int32_t reason)
{
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_status(execq_future_result(future, NULL), EXECQ_ECANCELED);
    assert_int_equal(execq_future_cancel_reason(future), reason);
    execq_future_release(future);
}

/* Between two tasks of a worker of one thread. */
static int32_t undisturbed(void *env, void **result)
{
    (void)env;
    (void)result;
    must(unblocked_here() == 0 && pending_here() == 0);
    must(poll(NULL, 0, 1) == 0);
    return 0;
}

static void must_have_been_interrupted(execq_executor *executor, reader *self)
{
    assert_int_equal(atomic_load(&self->interrupted), 1);
    assert_int_equal(atomic_load(&self->unasked), 0);
    assert_int_equal(atomic_load(&self->unblocked), 1);
    if (executor != NULL) {
        finish(spawn(executor, undisturbed, NULL));
    }
}

static void of_the_program(int number) { (void)number; }

/* The first test: no other has had the signal chosen. */
static void a_handler_of_the_program_is_left_alone(void **state)
{
    (void)state;
    struct sigaction mine = {.sa_handler = of_the_program};
    struct sigaction seen;
    counter dropped = {0};
    execq_executor *executor = pool_new(1);
    execq_task_options options = interruptible();
    options.drop = counter_hit;
    for (int i = SIGRTMIN; i <= SIGRTMAX; i++) {
        assert_int_equal(sigaction(i, &mine, NULL), 0);
    }
    assert_status(execq_submit_with(executor, &options, do_nothing, &dropped, NULL), EXECQ_ENOTSUP);
    assert_int_equal(counter_get(&dropped), 1);
    mine.sa_handler = SIG_DFL;
    assert_int_equal(sigaction(SIGRTMAX - 2, &mine, NULL), 0);
    assert_status(execq_submit_with(executor, &options, do_nothing, &dropped, NULL), EXECQ_OK);
    pool_end(executor);
    assert_int_equal(counter_get(&dropped), 2);
    for (int i = SIGRTMIN; i <= SIGRTMAX; i++) {
        assert_int_equal(sigaction(i, NULL, &seen), 0);
        assert_int_equal(seen.sa_handler == of_the_program, i != SIGRTMAX - 2);
        assert_int_equal(seen.sa_flags & SA_RESTART, 0);
    }
}

static void a_cancellation_interrupts(void **state)
{
    (void)state;
    static reader self;
    execq_executor *executor = pool_new(1);
    for (int asked_first = 0; asked_first < 2; asked_first++) {
        reader_init(&self);
        self.asked_first = asked_first;
        execq_task_options options = interruptible();
        options.drop = reader_drop;
        execq_future *future = reader_start(executor, &options, &self);
        assert_status(execq_future_cancel(future), EXECQ_EBUSY);
        must_end_canceled(future, EXECQ_REASON_CALLER);
        must_have_been_interrupted(executor, &self);
        assert_int_equal(atomic_load(&self.dropped), 1);
        reader_destroy(&self);
    }
    pool_end(executor);
}

static void a_deadline_interrupts(void **state)
{
    (void)state;
    static reader self;
    execq_executor *executor = pool_new(1);
    execq_task_options options = interruptible();
    execq_future *future = NULL;
    reader_init(&self);
    options.timeout_ns = 200 * MILLISECOND;
    assert_status(execq_submit_with(executor, &options, reader_body, &self, &future), EXECQ_OK);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    if (sem_trywait(&self.entered) == 0) { /* else the machine was so busy that it never started */
        must_have_been_interrupted(executor, &self);
    }
    must_end_canceled(future, EXECQ_REASON_DEADLINE);
    pool_end(executor);
    reader_destroy(&self);
}

static void a_group_interrupts(void **state)
{
    (void)state;
    static reader self;
    execq_executor *executor = pool_new(1);
    execq_group *group = NULL;
    execq_task_options options = interruptible();
    reader_init(&self);
    assert_status(execq_group_new(NULL, &group), EXECQ_OK);
    options.group = group;
    execq_future *future = reader_start(executor, &options, &self);
    assert_status(execq_group_cancel(group), EXECQ_OK);
    must_end_canceled(future, EXECQ_REASON_GROUP);
    must_have_been_interrupted(executor, &self);
    assert_status(execq_group_join(group, -1), EXECQ_ECANCELED);
    execq_group_release(group);
    pool_end(executor);
    reader_destroy(&self);
}

static void a_close_interrupts(void **state)
{
    (void)state;
    static reader self;
    execq_executor *executor = pool_new(1);
    const execq_task_options options = interruptible();
    reader_init(&self);
    execq_future *future = reader_start(executor, &options, &self);
    assert_status(execq_executor_close(executor, EXECQ_CANCEL), EXECQ_OK);
    must_end_canceled(future, EXECQ_REASON_SHUTDOWN);
    must_have_been_interrupted(NULL, &self);
    assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
    execq_executor_release(executor);
    reader_destroy(&self);
}

/* All ways in, with one source to cancel what they started. */
static void every_submission_of_a_body_can_be_interrupted(void **state)
{
    (void)state;
    enum { ways = 5 };
    static reader all[ways];
    execq_executor *executor = pool_new(ways);
    execq_task_options options = interruptible();
    execq_cancel_source *source = NULL;
    execq_queue *queue = NULL;
    execq_cq *cq = NULL;
    execq_loop *port = NULL;
    uv_loop_t loop;
    counter done = {0};
    for (int i = 0; i < ways; i++) {
        reader_init(&all[i]);
    }
    void *const envs[] = {&all[0], &all[1]};
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_status(execq_loop_attach(&loop, &port), EXECQ_OK);
    assert_status(execq_cq_new(&cq), EXECQ_OK);
    assert_status(execq_queue_new(executor, NULL, &queue), EXECQ_OK);
    assert_status(execq_cancel_source_new(NULL, &source), EXECQ_OK);
    options.cancel_source = source;
    assert_status(execq_submit_many(executor, &options, 2, reader_body, envs, NULL), EXECQ_OK);
    assert_status(execq_submit_to_cq(executor, &options, reader_body, &all[2], cq, NULL), EXECQ_OK);
    assert_status(execq_submit_to_loop(executor, &options, reader_body, &all[3], port, count_done, &done, NULL),
                  EXECQ_OK);
    options.queue = queue;
    assert_status(execq_submit_with(NULL, &options, reader_body, &all[4], NULL), EXECQ_OK);
    for (int i = 0; i < ways; i++) {
        sem_take(&all[i].entered);
    }
    assert_status(execq_cancel_source_cancel(source), EXECQ_OK);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(counter_get(&done), 1);
    execq_queue_release(queue);
    pool_end(executor);
    for (int i = 0; i < ways; i++) {
        must_have_been_interrupted(NULL, &all[i]);
        reader_destroy(&all[i]);
    }
    assert_status(execq_cq_close(cq, NULL), EXECQ_OK);
    execq_cq_release(cq);
    execq_cancel_source_release(source);
    assert_status(execq_loop_detach(port), EXECQ_OK);
    execq_loop_release(port);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

typedef struct series {
    reader in;
    int runs;
} series;

static int32_t series_body(void *env, void **result)
{
    series *self = env;
    must(unblocked_here() == 1 && pending_here() == 0);
    return ++self->runs == 3 ? reader_body(&self->in, result) : 0;
}

static void a_run_of_a_series_is_interrupted(void **state)
{
    (void)state;
    static series self;
    execq_executor *executor = pool_new(1);
    const execq_task_options options = interruptible();
    execq_future *future = NULL;
    reader_init(&self.in);
    assert_status(
        execq_submit_periodic(executor, &options, MILLISECOND, EXECQ_FIXED_DELAY, series_body, &self, &future),
        EXECQ_OK);
    sem_take(&self.in.entered);
    assert_status(execq_future_cancel(future), EXECQ_EBUSY);
    must_end_canceled(future, EXECQ_REASON_CALLER);
    assert_int_equal(self.runs, 3);
    must_have_been_interrupted(executor, &self.in);
    pool_end(executor);
    reader_destroy(&self.in);
}

/* A body that waits for another one, which runs in its place while the outer one is asked to stop. */
typedef struct nest {
    execq_executor *executor;
    execq_future *outer;
    reader in;     /* of the outer */
    reader within; /* of the inner one, if that may be interrupted too */
    uint32_t inner_flags;
    pthread_t thread;
} nest;

static int32_t inner_body(void *env, void **result)
{
    nest *self = env;
    must(pthread_equal(pthread_self(), self->thread));
    must(unblocked_here() == (self->inner_flags != 0 ? 1 : 0));
    must(execq_future_cancel(self->outer) == EXECQ_EBUSY);
    must(!execq_cancel_requested());
    must(poll(NULL, 0, 20) == 0); /* it is for the outer one */
    must(pending_here() == 0);
    return self->inner_flags != 0 ? reader_body(&self->within, result) : 0;
}

static int32_t outer_body(void *env, void **result)
{
    (void)result;
    nest *self = env;
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.flags = self->inner_flags;
    options.timeout_ns = self->inner_flags != 0 ? 500 * MILLISECOND : 0;
    execq_future *inner = NULL;
    self->thread = pthread_self();
    sem_take(&self->in.entered); /* the outer future is known */
    must(execq_submit_with(self->executor, &options, inner_body, self, &inner) == EXECQ_OK);
    must(execq_future_wait(inner, -1) == EXECQ_OK);
    must(execq_future_result(inner, NULL) == (self->inner_flags != 0 ? EXECQ_ECANCELED : EXECQ_OK));
    execq_future_release(inner);
    must(unblocked_here() == 1);
    must(execq_cancel_requested());
    read_until_asked(&self->in);
    return EXECQ_ECANCELED;
}

static void what_runs_in_place_is_not_interrupted(void **state)
{
    (void)state;
    static nest self;
    static const uint32_t flags[] = {0, EXECQ_TASK_INTERRUPT};
    const execq_task_options options = interruptible();
    for (size_t i = 0; i < COUNT_OF(flags); i++) {
        self.executor = pool_new(1);
        self.inner_flags = flags[i];
        reader_init(&self.in);
        reader_init(&self.within);
        assert_status(execq_submit_with(self.executor, &options, outer_body, &self, &self.outer), EXECQ_OK);
        sem_post(&self.in.entered);
        must_end_canceled(self.outer, EXECQ_REASON_CALLER);
        assert_int_equal(atomic_load(&self.in.interrupted), 1);
        assert_int_equal(atomic_load(&self.within.interrupted), flags[i] != 0);
        finish(spawn(self.executor, undisturbed, NULL));
        pool_end(self.executor);
        reader_destroy(&self.in);
        reader_destroy(&self.within);
    }
}

static int32_t read_and_exit(void *env, void **result)
{
    (void)reader_body(env, result);
    pthread_exit(NULL);
}

static void a_body_may_end_its_thread(void **state)
{
    (void)state;
    static reader self;
    execq_executor *executor = pool_new(1);
    execq_task_options options = interruptible();
    execq_future *future = NULL;
    reader_init(&self);
    options.drop = reader_drop;
    assert_status(execq_submit_with(executor, &options, read_and_exit, &self, &future), EXECQ_OK);
    sem_take(&self.entered);
    assert_status(execq_future_cancel(future), EXECQ_EBUSY);
    assert_status(execq_future_wait(future, -1), EXECQ_OK);
    assert_int_equal(execq_error_code(execq_future_error(future)), EXECQ_EEXITED);
    assert_int_equal(atomic_load(&self.dropped), 1);
    must_have_been_interrupted(executor, &self);
    execq_future_release(future);
    pool_end(executor);
    reader_destroy(&self);
}

static void *cancel_the_source(void *env)
{
    execq_cancel_source *source = env;
    must(execq_cancel_source_cancel(source) == EXECQ_OK);
    return NULL;
}

static execq_cancel_source *caller_source;

/* On the caller's thread; another one cancels. */
static int32_t read_here(void *env, void **result)
{
    pthread_t thread;
    must(pthread_create(&thread, NULL, cancel_the_source, caller_source) == 0);
    const int32_t code = reader_body(env, result);
    must(pthread_join(thread, NULL) == 0);
    return code;
}

static void a_caller_that_runs_it_has_its_mask_back(void **state)
{
    (void)state;
    static gate g;
    static reader self;
    execq_executor_options bounds = EXECQ_EXECUTOR_OPTIONS_INIT;
    execq_executor *executor = NULL;
    bounds.max_threads = 1;
    bounds.capacity = 1;
    bounds.full_policy = EXECQ_FULL_CALLER_RUNS;
    gate_init(&g);
    assert_status(execq_executor_new(&bounds, &executor), EXECQ_OK);
    execq_future *running = occupy(executor, &g);
    execq_future *waiting = spawn(executor, do_nothing, NULL);
    sigset_t given;
    sigset_t mask;
    sigset_t own;
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &own), 0);
    for (int blocked = 0; blocked < 2; blocked++) {
        execq_task_options options = interruptible();
        assert_status(execq_cancel_source_new(NULL, &caller_source), EXECQ_OK);
        options.cancel_source = caller_source;
        reader_init(&self);
        if (blocked != 0) {
            sigfillset(&given);
        } else {
            sigemptyset(&given);
            sigaddset(&given, SIGUSR1);
        }
        assert_int_equal(pthread_sigmask(SIG_SETMASK, &given, NULL), 0);
        assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &given), 0); /* as the kernel has it */
        assert_status(execq_submit_with(executor, &options, read_here, &self, NULL), EXECQ_OK);
        assert_int_equal(pthread_sigmask(SIG_SETMASK, &own, &mask), 0);
        assert_memory_equal(&mask, &given, SIGRTMAX / 8); /* the rest of it means nothing */
        assert_int_equal(atomic_load(&self.interrupted), 1);
        assert_int_equal(pending_here(), 0);
        execq_cancel_source_release(caller_source);
        reader_destroy(&self);
    }
    gate_open(&g, 1);
    finish(running);
    finish(waiting);
    pool_end(executor);
    gate_destroy(&g);
}

static void never_started(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    (void)loop;
    (void)env;
    execq_promise_release(promise);
}

static void what_has_no_body_or_no_thread_is_refused(void **state)
{
    (void)state;
    uv_loop_t loop;
    execq_loop *port = NULL;
    counter dropped = {0};
    execq_executor *executor = pool_new(1);
    execq_task_options options = interruptible();
    options.drop = counter_hit;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_status(execq_loop_attach(&loop, &port), EXECQ_OK);
    assert_status(execq_submit_async(executor, &options, never_started, &dropped, NULL), EXECQ_ENOTSUP);
    assert_status(execq_loop_submit(port, &options, do_nothing, &dropped, NULL), EXECQ_ENOTSUP);
    assert_status(execq_loop_submit_async(port, &options, never_started, &dropped, NULL), EXECQ_ENOTSUP);
    assert_status(execq_submit_with(executor, &options, NULL, &dropped, NULL), EXECQ_EINVAL);
    assert_int_equal(counter_get(&dropped), 4);
    assert_status(execq_loop_detach(port), EXECQ_OK);
    execq_loop_release(port);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    pool_end(executor);
}

static int32_t fork_in_the_body(void *env, void **result)
{
    while (!execq_cancel_requested()) {
        sched_yield();
    }
    const pid_t child = fork();
    must(child >= 0);
    if (child == 0) {
        _exit(poll(NULL, 0, 50) == 0 && pending_here() == 0 ? 0 : 1);
    }
    int status = -1;
    while (waitpid(child, &status, 0) == -1 && errno == EINTR) {
    }
    must(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return reader_body(env, result);
}

/* ThreadSanitizer's own threads do not survive a fork. */
static void a_forked_child_gets_no_signal(void **state)
{
    (void)state;
#if defined(__SANITIZE_THREAD__)
    skip();
#endif
    static reader self;
    execq_executor *executor = pool_new(1);
    const execq_task_options options = interruptible();
    execq_future *future = NULL;
    reader_init(&self);
    assert_status(execq_submit_with(executor, &options, fork_in_the_body, &self, &future), EXECQ_OK);
    while (execq_future_cancel(future) == EXECQ_OK) {
        execq_future_release(future); /* before it had started */
        assert_status(execq_submit_with(executor, &options, fork_in_the_body, &self, &future), EXECQ_OK);
    }
    must_end_canceled(future, EXECQ_REASON_CALLER);
    must_have_been_interrupted(executor, &self);
    pool_end(executor);
    reader_destroy(&self);
}

static void without_a_timer_the_task_fails(void **state)
{
    (void)state;
    counter ran = {0};
    execq_executor *executor = pool_new(1);
    const execq_task_options options = interruptible();
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_SIGPENDING, &limit), 0);
    const rlim_t before = limit.rlim_cur;
    for (int i = 0; i < 3; i++) {
        execq_future *future = NULL;
        limit.rlim_cur = i == 1 ? 0 : before;
        assert_int_equal(setrlimit(RLIMIT_SIGPENDING, &limit), 0);
        assert_status(execq_submit_with(executor, &options, counter_fn, &ran, &future), EXECQ_OK);
        assert_status(execq_future_wait(future, -1), EXECQ_OK);
        const execq_error *error = execq_future_error(future);
        assert_int_equal(error != NULL ? execq_error_code(error) : EXECQ_OK, i == 1 ? EXECQ_EAGAIN : EXECQ_OK);
        execq_future_release(future);
        finish(spawn(executor, undisturbed, NULL));
    }
    assert_int_equal(counter_get(&ran), 2);
    pool_end(executor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handler_of_the_program_is_left_alone),
        cmocka_unit_test(a_cancellation_interrupts),
        cmocka_unit_test(a_deadline_interrupts),
        cmocka_unit_test(a_group_interrupts),
        cmocka_unit_test(a_close_interrupts),
        cmocka_unit_test(every_submission_of_a_body_can_be_interrupted),
        cmocka_unit_test(a_run_of_a_series_is_interrupted),
        cmocka_unit_test(what_runs_in_place_is_not_interrupted),
        cmocka_unit_test(a_body_may_end_its_thread),
        cmocka_unit_test(a_caller_that_runs_it_has_its_mask_back),
        cmocka_unit_test(what_has_no_body_or_no_thread_is_refused),
        cmocka_unit_test(a_forked_child_gets_no_signal),
        cmocka_unit_test(without_a_timer_the_task_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
