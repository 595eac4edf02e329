/* Storms of forks: several threads fork at the same time while others work, children make executors of their own and
 * fork again under load, and leave work behind. What each call answers in a child is in tests/capi/fork_test.c;
 * tests/stress/fork_stress.cc has one thread fork under load. */
#include "uv_loop.h"

#include <sched.h>
#include <sys/mman.h>

#include "child.h"

enum { CODE = 7, FORKERS = 3, GENERATIONS = 3 };

static char text[4096];

/* In memory that all share. */
static struct tally {
    atomic_int processes; /* that came to their end */
    atomic_int ran;       /* tasks, of all of them */
} * tally;

static int setup(void **state)
{
    (void)state;
    tally = mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (tally == MAP_FAILED) {
        return -1;
    }
    return 0;
}

static int reset(void **state)
{
    (void)state;
    atomic_init(&tally->processes, 0);
    atomic_init(&tally->ran, 0);
    return 0;
}

static int32_t count_ran(void *env, void **result)
{
    (void)env;
    (void)result;
    atomic_fetch_add(&tally->ran, 1);
    return 0;
}

static void must_end_well(pid_t child)
{
    int status = -1;
    must(child > 0 && waitpid(child, &status, 0) == child);
    must(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

enum { TASKS = 40 };

static void submit_and_wait(execq_executor *executor)
{
    execq_future *futures[TASKS];
    for (int i = 0; i < TASKS; i++) {
        must(execq_submit(executor, count_ran, NULL, &futures[i]) == EXECQ_OK);
    }
    for (int i = 0; i < TASKS; i++) {
        must(execq_future_wait(futures[i], -1) == EXECQ_OK && execq_future_result(futures[i], NULL) == EXECQ_OK);
        execq_future_release(futures[i]);
    }
}

/* In a child: an executor, and while that works a child of its own, and so on. What was inherited is refused. */
static void live(execq_executor *inherited, int generations)
{
    alarm(CHILD_LIMIT_S);
    must(execq_submit(inherited, count_ran, NULL, NULL) == EXECQ_EFORKED);
    execq_executor_release(inherited);
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 2;
    execq_executor *own = NULL;
    must(execq_executor_new(&options, &own) == EXECQ_OK);
    for (int i = 0; i < TASKS; i++) {
        must(execq_submit(own, count_ran, NULL, NULL) == EXECQ_OK);
    }
    if (generations > 1) {
        const pid_t child = fork();
        if (child == 0) {
            live(own, generations - 1);
            _exit(0);
        }
        submit_and_wait(own);
        must_end_well(child);
    } else {
        submit_and_wait(own);
    }
    must(execq_executor_close(own, EXECQ_DRAIN) == EXECQ_OK);
    must(execq_executor_join(own, -1, NULL) == EXECQ_OK);
    execq_executor_release(own);
    atomic_fetch_add(&tally->processes, 1);
}

static execq_executor *busy;
static atomic_int over;

static void *keep_busy(void *env)
{
    int *submitted = env;
    while (!atomic_load(&over)) {
        submit_and_wait(busy);
        must(execq_submit(busy, count_ran, NULL, NULL) == EXECQ_OK);
        *submitted += TASKS + 1;
    }
    return NULL;
}

static void *fork_again_and_again(void *env)
{
    const int children = *(int *)env;
    for (int i = 0; i < children; i++) {
        const pid_t child = fork();
        if (child == 0) {
            live(busy, GENERATIONS);
            _exit(0);
        }
        must_end_well(child);
    }
    return NULL;
}

static void storm(void *env)
{
    enum { submitters = 2 };
    pthread_t threads[FORKERS + submitters];
    int submitted[submitters] = {0};
    const int children = *(int *)env;
    busy = pool_new(3);
    for (int i = 0; i < submitters; i++) {
        threads[FORKERS + i] = thread_start(keep_busy, &submitted[i]);
    }
    for (int i = 0; i < FORKERS; i++) {
        threads[i] = thread_start(fork_again_and_again, env);
    }
    for (int i = 0; i < FORKERS; i++) {
        must(pthread_join(threads[i], NULL) == 0);
    }
    atomic_store(&over, 1);
    for (int i = 0; i < submitters; i++) {
        must(pthread_join(threads[FORKERS + i], NULL) == 0);
    }
    pool_end(busy);
    const int processes = FORKERS * GENERATIONS * children;
    must(atomic_load(&tally->processes) == processes);
    must(atomic_load(&tally->ran) == processes * 2 * TASKS + submitted[0] + submitted[1]);
    exit(CODE);
}

static void several_threads_fork_at_once_and_each_generation_works(void **state)
{
    (void)state;
    int children = 25;
    child_exits(storm, &children, CODE, text, sizeof text);
    assert_string_equal(text, "");
}

/* Each task of a full pool forks; the child goes back into the worker, and ends there. */
static int32_t fork_inside(void *env, void **result)
{
    (void)result;
    const pid_t child = fork();
    if (child == 0) {
        live(env, 2);
        return 0;
    }
    must_end_well(child);
    return count_ran(NULL, NULL);
}

static void workers_fork(void *env)
{
    (void)env;
    enum { forks = 40 };
    execq_future *futures[forks];
    execq_executor *executor = pool_new(4);
    for (int i = 0; i < forks; i++) {
        must(execq_submit(executor, fork_inside, executor, &futures[i]) == EXECQ_OK);
    }
    for (int i = 0; i < forks; i++) {
        must(execq_future_wait(futures[i], -1) == EXECQ_OK && execq_future_result(futures[i], NULL) == EXECQ_OK);
        execq_future_release(futures[i]);
    }
    pool_end(executor);
    must(atomic_load(&tally->processes) == 2 * forks);
    must(atomic_load(&tally->ran) == forks + 2 * forks * 2 * TASKS);
    exit(CODE);
}

static void all_workers_may_fork_at_once(void **state)
{
    (void)state;
    child_exits(workers_fork, NULL, CODE, text, sizeof text);
    assert_string_equal(text, "");
}

static int32_t wait_for_ever(void *env, void **result)
{
    (void)result;
    must(sem_post(env) == 0);
    for (;;) {
        pause();
    }
}

/* The child ends in one of three ways while its own default executor is in the midst of work. */
static void leave_work_behind(int way)
{
    static sem_t entered;
    alarm(CHILD_LIMIT_S);
    sem_init(&entered, 0, 0);
    execq_conf conf = EXECQ_CONF_INIT;
    conf.exit_wait_ns = MILLISECOND;
    must(execq_init_conf(&conf) == EXECQ_OK);
    must(execq_submit(NULL, wait_for_ever, &entered, NULL) == EXECQ_OK);
    sem_take(&entered);
    for (int i = 0; i < TASKS; i++) {
        must(execq_submit(NULL, do_nothing, NULL, NULL) == EXECQ_OK);
    }
    atomic_fetch_add(&tally->processes, 1);
    if (way == 0) {
        _exit(0);
    }
    if (way == 1) {
        quick_exit(0);
    }
    (void)freopen("/dev/null", "w", stderr); /* it says what is left */
    exit(0);
}

static void children_leave_work_behind(void *env)
{
    (void)env;
    enum { children = 30 };
    execq_executor *executor = pool_new(2);
    for (int i = 0; i < children; i++) {
        must(execq_submit(executor, count_ran, NULL, NULL) == EXECQ_OK);
        const pid_t child = fork();
        if (child == 0) {
            leave_work_behind(i % 3);
        }
        must_end_well(child);
    }
    pool_end(executor);
    must(atomic_load(&tally->processes) == children && atomic_load(&tally->ran) == children);
    exit(CODE);
}

static void children_may_end_in_the_midst_of_their_work(void **state)
{
    (void)state;
    child_exits(children_leave_work_behind, NULL, CODE, text, sizeof text);
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(several_threads_fork_at_once_and_each_generation_works, reset),
        cmocka_unit_test_setup(all_workers_may_fork_at_once, reset),
        cmocka_unit_test_setup(children_may_end_in_the_midst_of_their_work, reset),
    };
    return cmocka_run_group_tests_name("children.fork", tests, setup, NULL);
}
