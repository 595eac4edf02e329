/* Closing an executor while others submit, close, join and release. */
#include "capi.h"

/* Submits until it is refused, and counts what was accepted. */
struct submitter {
    execq_executor *executor;
    counter *ran;
    counter *dropped;
    sem_t *warm;
    int accepted;
    int attempts;
};

struct job {
    counter *ran;
    counter *dropped;
};

static int32_t job_fn(void *env, void **result)
{
    (void)result;
    counter_hit(((struct job *)env)->ran);
    return 0;
}

static void job_drop(void *env)
{
    counter_hit(((struct job *)env)->dropped);
    free(env);
}

static void *submit_until_closed(void *env)
{
    struct submitter *self = env;
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = job_drop;
    for (;;) {
        struct job *job = malloc(sizeof *job);
        job->ran = self->ran;
        job->dropped = self->dropped;
        self->attempts++;
        const execq_status status = execq_submit_with(self->executor, &options, job_fn, job, NULL);
        if (status != EXECQ_OK) {
            must(status == EXECQ_ECLOSED);
            return NULL;
        }
        if (++self->accepted == 100) {
            sem_post(self->warm);
        }
    }
}

static void check_a_race_of_submissions_and_close(int32_t mode)
{
    enum { THREADS = 4 };
    counter ran = {0};
    counter dropped = {0};
    sem_t warm;
    sem_init(&warm, 0, 0);
    execq_executor *executor = pool_new(2);
    struct submitter submitters[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        submitters[i] = (struct submitter){executor, &ran, &dropped, &warm, 0, 0};
        threads[i] = thread_start(submit_until_closed, &submitters[i]);
    }
    sem_take(&warm);
    assert_status(execq_executor_close(executor, mode), EXECQ_OK);
    int accepted = 0;
    int attempts = 0;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        accepted += submitters[i].accepted;
        attempts += submitters[i].attempts;
    }
    assert_status(execq_executor_join(executor, -1, NULL), EXECQ_OK);
    assert_int_equal(counter_get(&dropped), attempts);
    if (mode == EXECQ_DRAIN) {
        assert_int_equal(counter_get(&ran), accepted);
    } else {
        assert_true(counter_get(&ran) <= accepted);
    }
    execq_executor_release(executor);
    sem_destroy(&warm);
}

static void each_submission_is_accepted_and_run_or_refused(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        check_a_race_of_submissions_and_close(EXECQ_DRAIN);
        check_a_race_of_submissions_and_close(EXECQ_CANCEL);
    }
}

static void *close_join_release(void *env)
{
    must(execq_executor_close(env, EXECQ_DRAIN) == EXECQ_OK);
    must(execq_executor_join(env, -1, NULL) == EXECQ_OK);
    execq_executor_release(env);
    return NULL;
}

static void eight_threads_may_close_join_and_release_at_once(void **state)
{
    (void)state;
    enum { THREADS = 8, ROUNDS = 50, TASKS = 20 };
    for (int round = 0; round < ROUNDS; round++) {
        counter ran = {0};
        execq_executor *executor = pool_new(3);
        for (int i = 0; i < TASKS; i++) {
            assert_status(execq_submit(executor, counter_fn, &ran, NULL), EXECQ_OK);
        }
        pthread_t threads[THREADS];
        for (int i = 0; i < THREADS; i++) {
            execq_executor_retain(executor);
            threads[i] = thread_start(close_join_release, executor);
        }
        execq_executor_release(executor);
        for (int i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
        }
        assert_int_equal(counter_get(&ran), TASKS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_submission_is_accepted_and_run_or_refused),
        cmocka_unit_test(eight_threads_may_close_join_and_release_at_once),
    };
    return cmocka_run_group_tests_name("capi.executor_close_race", tests, NULL, NULL);
}
