/* Completion queues under traffic: every completion exactly once, for pollers and for waiters. */
#include "capi.h"

#include <poll.h>

static execq_cq *cq_new(void)
{
    execq_cq *cq = NULL;
    assert_status(execq_cq_new(&cq), EXECQ_OK);
    return cq;
}

static int readable(execq_cq *cq)
{
    int fd = -1;
    must(execq_cq_fd(cq, &fd) == EXECQ_OK);
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    return poll(&poller, 1, -1) == 1 && (poller.revents & POLLIN) != 0;
}

/* Takes out all that is there, which must be n completions. */
static void drain_all(execq_cq *cq, size_t n)
{
    execq_completion out[64];
    size_t taken = 0;
    size_t sum = 0;
    do {
        assert_status(execq_cq_drain(cq, out, COUNT_OF(out), &taken), EXECQ_OK);
        for (size_t i = 0; i < taken; i++) {
            execq_future_release(out[i].future);
        }
        sum += taken;
    } while (taken > 0);
    assert_int_equal(sum, n);
}

/* Producers that race with one consumer; every tag comes exactly once. */
struct producer {
    execq_executor *executor;
    execq_cq *cq;
    unsigned char *seen;
};

enum { PRODUCERS = 4, EACH = SCALED(100000, 20) };

static void *produce(void *env)
{
    struct producer *producer = env;
    for (int i = 0; i < EACH; i++) {
        must(execq_submit_to_cq(producer->executor, NULL, give_env, &producer->seen[i], producer->cq,
                                &producer->seen[i]) == EXECQ_OK);
    }
    return NULL;
}

/* Drains until n completions were seen, waiting by the descriptor or by execq_cq_wait. */
static void consume(execq_cq *cq, int n, int by_descriptor)
{
    while (n > 0) {
        execq_completion out[100];
        size_t taken = 0;
        if (by_descriptor) {
            must(readable(cq));
        } else {
            must(execq_cq_wait(cq, -1) == EXECQ_OK);
        }
        must(execq_cq_drain(cq, out, COUNT_OF(out), &taken) == EXECQ_OK);
        for (size_t i = 0; i < taken; i++) {
            must(out[i].status == EXECQ_OK && out[i].value == out[i].tag);
            ++*(unsigned char *)out[i].tag;
            execq_future_release(out[i].future);
        }
        n -= (int)taken;
    }
}

static void check_that_producers_lose_and_double_nothing(int by_descriptor)
{
    execq_cq *cq = cq_new();
    execq_executor *executor = pool_new(2);
    struct producer producers[PRODUCERS];
    pthread_t threads[PRODUCERS];
    for (int t = 0; t < PRODUCERS; t++) {
        producers[t] = (struct producer){executor, cq, calloc(EACH, 1)};
        threads[t] = thread_start(produce, &producers[t]);
    }
    consume(cq, PRODUCERS * EACH, by_descriptor);
    for (int t = 0; t < PRODUCERS; t++) {
        pthread_join(threads[t], NULL);
        for (int i = 0; i < EACH; i++) {
            assert_int_equal(producers[t].seen[i], 1);
        }
        free(producers[t].seen);
    }
    pool_end(executor);
    drain_all(cq, 0);
    execq_cq_release(cq);
}

static void four_producers_lose_and_double_nothing_for_a_poller(void **state)
{
    (void)state;
    check_that_producers_lose_and_double_nothing(1);
}

static void four_producers_lose_and_double_nothing_for_a_waiter(void **state)
{
    (void)state;
    check_that_producers_lose_and_double_nothing(0);
}

/* Several threads that drain one queue until it is closed. */
struct drainer {
    execq_cq *cq;
    counter *taken;
    sem_t *all;
    int expected;
};

static void *drain_until_closed(void *env)
{
    struct drainer *drainer = env;
    for (;;) {
        execq_completion out[10];
        size_t n = 0;
        if (execq_cq_drain(drainer->cq, out, COUNT_OF(out), &n) == EXECQ_ECLOSED) {
            return NULL;
        }
        for (size_t i = 0; i < n; i++) {
            execq_future_release(out[i].future);
            if (atomic_fetch_add(&drainer->taken->n, 1) + 1 == drainer->expected) {
                sem_post(drainer->all);
            }
        }
        if (n == 0 && execq_cq_wait(drainer->cq, -1) == EXECQ_ECLOSED) {
            return NULL;
        }
    }
}

static void several_threads_may_drain(void **state)
{
    (void)state;
    enum { N = 20000 };
    counter taken = {0};
    sem_t all;
    sem_init(&all, 0, 0);
    execq_cq *cq = cq_new();
    execq_executor *executor = pool_new(2);
    struct drainer drainer = {cq, &taken, &all, N};
    pthread_t threads[3];
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        threads[i] = thread_start(drain_until_closed, &drainer);
    }
    for (int i = 0; i < N; i++) {
        assert_status(execq_submit_to_cq(executor, NULL, do_nothing, NULL, cq, NULL), EXECQ_OK);
    }
    sem_take(&all);
    assert_status(execq_cq_close(cq, NULL), EXECQ_OK);
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(counter_get(&taken), N);
    pool_end(executor);
    execq_cq_release(cq);
    sem_destroy(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(four_producers_lose_and_double_nothing_for_a_poller),
        cmocka_unit_test(four_producers_lose_and_double_nothing_for_a_waiter),
        cmocka_unit_test(several_threads_may_drain),
    };
    return cmocka_run_group_tests_name("capi.cq_traffic", tests, NULL, NULL);
}
