/* Signals that are aimed at the library's threads, or come in storms while a thread waits: no handler of the program's ever
 * runs on a thread of the library, no wait ends early, and no write of the library's ends the process. */
#include "uv_loop.h"

#include <dirent.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "child.h"

enum { CODE = 7 };

static char text[4096];
static pthread_t main_thread;
static atomic_int handled, strayed;

static void in_child(void (*act)(void *env), void *env)
{
    child_exits(act, env, CODE, text, sizeof text);
    assert_string_equal(text, "");
}

static void note_where(int signal)
{
    (void)signal;
    atomic_fetch_add(pthread_equal(pthread_self(), main_thread) ? &handled : &strayed, 1);
}

static void handle(int signal, void (*handler)(int))
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    must(sigaction(signal, &action, NULL) == 0);
}

/* Sends the signal to each thread whose name begins as those of the library do; answers how many there are. */
static int aim_at_all(int signal)
{
    char path[64];
    char name[32];
    int aimed = 0;
    DIR *folder = opendir("/proc/self/task");
    must(folder != NULL);
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        const int thread = atoi(entry->d_name);
        if (thread == 0) {
            continue;
        }
        snprintf(path, sizeof path, "/proc/self/task/%d/comm", thread);
        FILE *file = fopen(path, "re");
        if (file == NULL || fgets(name, sizeof name, file) == NULL || strncmp(name, "execq", 5) != 0) {
            name[0] = '\0';
        }
        if (file != NULL) {
            fclose(file);
        }
        if (name[0] != '\0' && thread != getpid() && syscall(SYS_tgkill, getpid(), thread, signal) == 0) {
            aimed++;
        }
    }
    closedir(folder);
    return aimed;
}

static int32_t wait_for_a_child_of_its_own(void *env, void **result)
{
    (void)result;
    execq_future *future = NULL;
    must(execq_submit(env, do_nothing, NULL, &future) == EXECQ_OK);
    must(execq_future_wait(future, -1) == EXECQ_OK);
    execq_future_release(future);
    return 0;
}

static void resolve_later(uv_timer_t *timer)
{
    must(execq_promise_resolve(timer->data, NULL) == EXECQ_OK);
    execq_promise_release(timer->data);
    uv_close((uv_handle_t *)timer, NULL);
}

static void start_timer(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    uv_timer_t *timer = env;
    timer->data = promise;
    must(uv_timer_init(loop, timer) == 0 && uv_timer_start(timer, resolve_later, 5, 0) == 0);
}

static void finish_well(execq_future *future)
{
    must(execq_future_wait(future, -1) == EXECQ_OK && execq_future_result(future, NULL) == EXECQ_OK);
    execq_future_release(future);
}

/* Idle, running, blocked, waiting, driving a loop, keeping times: the signal finds each. */
static void aim_while_they_work(void *env)
{
    const int signal = *(int *)env;
    static gate g;
    static uv_timer_t timers[200];
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    execq_executor *executor = NULL;
    int most = 0;
    main_thread = pthread_self();
    handle(signal, note_where);
    gate_init(&g);
    options.max_threads = 3;
    options.stuck_after_ns = INT64_C(3600) * 1000 * MILLISECOND; /* a watchdog, too */
    must(execq_executor_new(&options, &executor) == EXECQ_OK);
    execq_future *blocked = occupy(executor, &g);
    const int rounds = SCALED(100, 5);
    for (int i = 0; i < rounds; i++) {
        execq_future *futures[4];
        must(execq_submit(executor, wait_for_a_child_of_its_own, executor, &futures[0]) == EXECQ_OK);
        must(execq_submit_async(executor, NULL, start_timer, &timers[i], &futures[1]) == EXECQ_OK);
        must(execq_sleep(2 * MILLISECOND, &futures[2]) == EXECQ_OK);
        must(execq_submit(executor, do_nothing, NULL, &futures[3]) == EXECQ_OK);
        for (int shot = 0; shot < 10; shot++) {
            const int aimed = aim_at_all(signal);
            most = aimed > most ? aimed : most;
        }
        for (size_t k = 0; k < COUNT_OF(futures); k++) {
            finish_well(futures[k]);
        }
    }
    gate_open(&g, 1);
    finish_well(blocked);
    pool_end(executor);
    must(most >= 4); /* workers, and the thread that keeps times, at least */
    must(atomic_load(&handled) == 0 && atomic_load(&strayed) == 0);
    raise(signal);
    must(atomic_load(&handled) == 1); /* the handler is good */
    exit(CODE);
}

static void those_aimed_at_threads_of_the_library_are_never_handled_there(void **state)
{
    (void)state;
    int signals[] = {SIGUSR1, SIGINT, SIGALRM, SIGCHLD};
    for (size_t i = 0; i < COUNT_OF(signals); i++) {
        in_child(aim_while_they_work, &signals[i]);
    }
}

/* ---- storms ---- */

static atomic_int calm;

/* Sends what the process as a whole gets: to the main thread, the only one that takes it. */
static void *storm(void *env)
{
    (void)env;
    while (!atomic_load(&calm)) {
        must(kill(getpid(), SIGINT) == 0);
        const struct timespec pause_for = {0, 100000};
        nanosleep(&pause_for, NULL);
    }
    return NULL;
}

static void begin_storm(pthread_t *thread)
{
    sigset_t set;
    sigset_t old;
    main_thread = pthread_self();
    handle(SIGALRM, note_where);
    handle(SIGINT, note_where);
    sigfillset(&set);
    must(pthread_sigmask(SIG_BLOCK, &set, &old) == 0);
    must(pthread_create(thread, NULL, storm, NULL) == 0);
    must(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
    const struct itimerval often = {{0, 300}, {0, 300}};
    must(setitimer(ITIMER_REAL, &often, NULL) == 0);
}

static void end_storm(pthread_t thread)
{
    const struct itimerval never = {{0, 0}, {0, 0}};
    must(setitimer(ITIMER_REAL, &never, NULL) == 0);
    atomic_store(&calm, 1);
    must(pthread_join(thread, NULL) == 0);
    must(atomic_load(&handled) > 0 && atomic_load(&strayed) == 0);
}

enum { LIMIT = 20 * MILLISECOND };

/* Answers ETIMEDOUT and took as long as that. */
#define must_time_out(call)                           \
    do {                                              \
        const int64_t begin_ = clock_now();           \
        must((call) == EXECQ_ETIMEDOUT);              \
        must(clock_now() - begin_ >= (int64_t)LIMIT); \
    } while (0)

static void waits_in_a_storm(void *env)
{
    (void)env;
    static gate g;
    pthread_t thread;
    size_t index = 99;
    execq_executor *executor = pool_new(2);
    execq_cq *cq = NULL;
    execq_group *group = NULL;
    execq_future *sleep = NULL;
    struct uv_loop_s *loop = NULL;
    gate_init(&g);
    execq_future *blocked = occupy(executor, &g);
    must(execq_cq_new(&cq) == EXECQ_OK && execq_group_new(NULL, &group) == EXECQ_OK);
    must(execq_group_submit(group, executor, NULL, gate_fn, &g, NULL) == EXECQ_OK);
    gate_await(&g, 1);
    begin_storm(&thread);
    must_time_out(execq_future_wait(blocked, LIMIT));
    must_time_out(execq_future_wait_all(&blocked, 1, LIMIT));
    must_time_out(execq_future_wait_any(&blocked, 1, LIMIT, &index));
    must_time_out(execq_cq_wait(cq, LIMIT));
    must_time_out(execq_group_join(group, LIMIT));
    must_time_out(execq_run_until(blocked, LIMIT));
    must(execq_thread_loop(&loop) == EXECQ_OK);
    must_time_out(execq_run_until(blocked, LIMIT));
    must(execq_executor_close(executor, EXECQ_DRAIN) == EXECQ_OK);
    must_time_out(execq_executor_join(executor, LIMIT, NULL));
    for (int i = 0; i < SCALED(20, 4); i++) { /* those without a limit end when it is over, and not before */
        const int64_t begin = clock_now();
        must(execq_sleep(MILLISECOND, &sleep) == EXECQ_OK);
        must(execq_future_on_cq(sleep, cq, NULL) == EXECQ_OK);
        must((i % 2 == 0 ? execq_future_wait(sleep, -1) : execq_run_until(sleep, -1)) == EXECQ_OK);
        must(clock_now() - begin >= MILLISECOND && execq_future_state(sleep) == EXECQ_FUTURE_OK);
        execq_future_release(sleep);
        execq_completion completion;
        size_t n = 0;
        must(execq_cq_wait(cq, -1) == EXECQ_OK && execq_cq_drain(cq, &completion, 1, &n) == EXECQ_OK && n == 1);
        execq_future_release(completion.future);
    }
    gate_open(&g, 2);
    must(execq_group_join(group, -1) == EXECQ_OK && execq_future_wait(blocked, -1) == EXECQ_OK);
    must(execq_executor_join(executor, -1, NULL) == EXECQ_OK);
    end_storm(thread);
    execq_future_release(blocked);
    execq_group_release(group);
    execq_executor_release(executor);
    must(execq_cq_close(cq, NULL) == EXECQ_OK);
    execq_cq_release(cq);
    must(execq_thread_loop_close() == EXECQ_OK);
    exit(CODE);
}

static void no_wait_ends_early_in_a_storm(void **state)
{
    (void)state;
    in_child(waits_in_a_storm, NULL);
}

static int32_t submit_back(void *env, void **result)
{
    (void)result;
    counter_hit(env);
    return 0;
}

/* Submissions, wake-ups and the making of threads are interrupted, too. */
static void work_in_a_storm(void *env)
{
    (void)env;
    static counter ran;
    static counter done;
    pthread_t thread;
    attached a;
    attached_open(&a);
    begin_storm(&thread);
    const int rounds = SCALED(100, 10);
    for (int round = 0; round < rounds; round++) {
        execq_executor *executor = pool_new(3);
        for (int i = 0; i < 20; i++) {
            must(execq_submit(executor, submit_back, &ran, NULL) == EXECQ_OK);
            must(execq_submit_to_loop(executor, NULL, submit_back, &ran, a.port, count_done, &done, NULL) == EXECQ_OK);
        }
        while (counter_get(&done) != 20 * (round + 1)) {
            uv_run(&a.loop, UV_RUN_ONCE);
        }
        pool_end(executor);
    }
    end_storm(thread);
    must(counter_get(&ran) == 40 * rounds);
    attached_close(&a);
    exit(CODE);
}

static void nothing_is_lost_in_a_storm(void **state)
{
    (void)state;
    in_child(work_in_a_storm, NULL);
}

/* ---- SIGPIPE ---- */

/* A worker that writes where nobody reads is told EPIPE, whatever the program does with the signal elsewhere. */
static int32_t write_to_nobody(void *env, void **result)
{
    int ends[2];
    (void)env;
    (void)result;
    must(pipe(ends) == 0 && close(ends[0]) == 0);
    must(write(ends[1], "x", 1) == -1 && errno == EPIPE);
    must(close(ends[1]) == 0);
    return 0;
}

static int to_nobody[2];

static void written(uv_write_t *request, int status)
{
    must(status == UV_EPIPE);
    must(execq_promise_resolve(request->data, NULL) == EXECQ_OK);
    execq_promise_release(request->data);
    uv_close((uv_handle_t *)request->handle, NULL);
}

static void start_writing_to_nobody(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    static uv_write_t request;
    static char letter = 'x';
    const uv_buf_t buffer = uv_buf_init(&letter, 1);
    request.data = promise;
    must(uv_pipe_init(loop, env, 0) == 0 && uv_pipe_open(env, to_nobody[1]) == 0);
    must(uv_write(&request, env, &buffer, 1, written) == 0);
}

/* Senders against closing: each of the library's own descriptors loses its reader at some moment. */
static void close_under_senders(execq_executor *executor)
{
    counter done = {0};
    for (int round = 0; round < SCALED(50, 5); round++) {
        attached a;
        execq_cq *cq = NULL;
        attached_open(&a);
        must(execq_cq_new(&cq) == EXECQ_OK);
        for (int i = 0; i < 20; i++) {
            must(execq_submit_to_cq(executor, NULL, do_nothing, NULL, cq, NULL) == EXECQ_OK);
            must(execq_submit_to_loop(executor, NULL, do_nothing, NULL, a.port, count_done, &done, NULL) == EXECQ_OK);
        }
        must(execq_cq_close(cq, NULL) == EXECQ_OK);
        execq_cq_release(cq);
        attached_close(&a);
    }
}

static void pipes_break(void *env)
{
    static uv_pipe_t handle_of_pipe;
    handle(SIGPIPE, *(int *)env != 0 ? SIG_IGN : SIG_DFL);
    execq_executor *executor = pool_new(2);
    execq_future *future = NULL;
    must(execq_submit(executor, write_to_nobody, NULL, &future) == EXECQ_OK);
    finish_well(future);
    must(pipe(to_nobody) == 0 && close(to_nobody[0]) == 0);
    must(execq_submit_async(executor, NULL, start_writing_to_nobody, &handle_of_pipe, &future) == EXECQ_OK);
    finish_well(future);
    close_under_senders(executor);
    pool_end(executor);
    exit(CODE);
}

static void broken_pipes_end_no_process(void **state)
{
    (void)state;
    for (int ignored = 0; ignored < 2; ignored++) {
        in_child(pipes_break, &ignored);
    }
}

/* ---- SIGCHLD ---- */

#if !defined(__SANITIZE_THREAD__) /* which does not follow libuv's fork */
static void ended(uv_process_t *process, int64_t exit_status, int signal)
{
    must(exit_status == 3 && signal == 0);
    must(execq_promise_resolve(process->data, NULL) == EXECQ_OK);
    execq_promise_release(process->data);
    uv_close((uv_handle_t *)process, NULL);
}

static void start_process(execq_promise *promise, struct uv_loop_s *loop, void *env)
{
    static char shell[] = "sh";
    static char option[] = "-c";
    static char script[] = "exit 3";
    char *arguments[] = {shell, option, script, NULL};
    uv_process_t *process = env;
    uv_process_options_t options;
    memset(&options, 0, sizeof options);
    options.file = "/bin/sh";
    options.args = arguments;
    options.exit_cb = ended;
    process->data = promise;
    must(uv_spawn(loop, process, &options) == 0);
}

/* libuv's handler runs here, as on workers the signal is blocked; it tells the worker's loop. */
static void processes_end(void *env)
{
    (void)env;
    enum { processes = 10 };
    static uv_process_t all[processes];
    execq_future *futures[processes];
    execq_executor *executor = pool_new(2);
    for (int i = 0; i < processes; i++) {
        must(execq_submit_async(executor, NULL, start_process, &all[i], &futures[i]) == EXECQ_OK);
    }
    for (int i = 0; i < processes; i++) {
        finish_well(futures[i]);
    }
    pool_end(executor);
    exit(CODE);
}

static void a_workers_loop_is_told_of_processes_that_end(void **state)
{
    (void)state;
    in_child(processes_end, NULL);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_aimed_at_threads_of_the_library_are_never_handled_there),
        cmocka_unit_test(no_wait_ends_early_in_a_storm),
        cmocka_unit_test(nothing_is_lost_in_a_storm),
        cmocka_unit_test(broken_pipes_end_no_process),
#if !defined(__SANITIZE_THREAD__)
        cmocka_unit_test(a_workers_loop_is_told_of_processes_that_end),
#endif
    };
    return cmocka_run_group_tests_name("children.signals", tests, NULL, NULL);
}
