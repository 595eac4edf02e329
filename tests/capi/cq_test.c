/* Completion queues: outcomes through one descriptor. */
#include "capi.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>

#include "descriptors.h"

static execq_cq *cq_new(void)
{
    execq_cq *cq = NULL;
    assert_status(execq_cq_new(&cq), EXECQ_OK);
    assert_non_null(cq);
    return cq;
}

static int fd_of(execq_cq *cq)
{
    int fd = -1;
    assert_status(execq_cq_fd(cq, &fd), EXECQ_OK);
    assert_true(fd >= 0);
    return fd;
}

static int readable(execq_cq *cq, int timeout_ms)
{
    struct pollfd poller = {.fd = fd_of(cq), .events = POLLIN};
    return poll(&poller, 1, timeout_ms) == 1 && (poller.revents & POLLIN) != 0;
}

/* Puts a completion with this tag into the queue. */
static void complete(execq_cq *cq, void *tag)
{
    execq_future *future = done_future(tag);
    assert_status(execq_future_on_cq(future, cq, tag), EXECQ_OK);
    execq_future_release(future);
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

static void bad_arguments_are_refused(void **state)
{
    (void)state;
    execq_cq *cq = cq_new();
    execq_completion out[1];
    execq_future *future = done_future(NULL);
    int fd = -77;
    size_t n = 99;
    assert_status(execq_cq_new(NULL), EXECQ_EINVAL);
    assert_status(execq_cq_fd(NULL, &fd), EXECQ_EINVAL);
    assert_status(execq_cq_fd(cq, NULL), EXECQ_EINVAL);
    assert_status(execq_cq_drain(NULL, out, 1, &n), EXECQ_EINVAL);
    assert_status(execq_cq_drain(cq, NULL, 1, &n), EXECQ_EINVAL);
    assert_status(execq_cq_drain(cq, out, 0, &n), EXECQ_EINVAL);
    assert_status(execq_cq_drain(cq, out, 1, NULL), EXECQ_EINVAL);
    assert_status(execq_cq_wait(NULL, 0), EXECQ_EINVAL);
    assert_status(execq_cq_close(NULL, NULL), EXECQ_EINVAL);
    assert_status(execq_future_on_cq(NULL, cq, NULL), EXECQ_EINVAL);
    assert_status(execq_future_on_cq(future, NULL, NULL), EXECQ_EINVAL);
    assert_int_equal(fd, -77);
    assert_int_equal(n, 99);
    execq_cq_retain(NULL);
    execq_cq_release(NULL);
    assert_status(execq_cq_drain(cq, out, 1, &n), EXECQ_OK);
    assert_int_equal(n, 0); /* nothing was registered by the failed calls */
    execq_future_release(future);
    execq_cq_release(cq);
}

static void submit_to_cq_refuses_bad_arguments_and_drops_env_once(void **state)
{
    (void)state;
    counter dropped = {0};
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = counter_hit;
    execq_cq *cq = cq_new();
    execq_executor *executor = pool_new(1);
    assert_status(execq_submit_to_cq(executor, &options, NULL, &dropped, cq, NULL), EXECQ_EINVAL);
    assert_status(execq_submit_to_cq(executor, &options, counter_fn, &dropped, NULL, NULL), EXECQ_EINVAL);
    options.flags = 4;
    assert_status(execq_submit_to_cq(executor, &options, counter_fn, &dropped, cq, NULL), EXECQ_ENOTSUP);
    options.flags = 0;
    assert_status(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    assert_status(execq_submit_to_cq(executor, &options, counter_fn, &dropped, cq, NULL), EXECQ_ECLOSED);
    assert_int_equal(counter_get(&dropped), 4);
    pool_end(executor);
    drain_all(cq, 0);
    execq_cq_release(cq);
}

static void a_completion_is_32_bytes_for_ever(void **state)
{
    (void)state;
    assert_int_equal(sizeof(execq_completion), sizeof(void *) == 8 ? 32 : 20);
    assert_int_equal(offsetof(execq_completion, tag), 0);
    assert_int_equal(offsetof(execq_completion, future), sizeof(void *));
    assert_int_equal(offsetof(execq_completion, value), 2 * sizeof(void *));
    assert_int_equal(offsetof(execq_completion, status), 3 * sizeof(void *));
}

static int32_t fail_9(void *env, void **result)
{
    *result = env;
    return execq_fail(9, "nine");
}

static void each_outcome_comes_back_with_its_tag(void **state)
{
    (void)state;
    int tags[3];
    int value = 0;
    static gate g;
    gate_init(&g);
    execq_cq *cq = cq_new();
    execq_executor *executor = pool_new(1);
    execq_future *holder = occupy(executor, &g);
    execq_future *queued = spawn(executor, do_nothing, NULL);
    assert_status(execq_future_on_cq(queued, cq, &tags[0]), EXECQ_OK);
    assert_status(execq_submit_to_cq(executor, NULL, give_env, &value, cq, &tags[1]), EXECQ_OK);
    assert_status(execq_submit_to_cq(executor, NULL, fail_9, &value, cq, &tags[2]), EXECQ_OK);
    assert_status(execq_future_cancel(queued), EXECQ_OK);
    gate_open(&g, 1);
    finish(holder);
    pool_end(executor);
    execq_completion out[8];
    memset(out, 0x7f, sizeof out);
    size_t n = 0;
    assert_status(execq_cq_drain(cq, out, COUNT_OF(out), &n), EXECQ_OK);
    assert_int_equal(n, 3);
    static const execq_status statuses[] = {EXECQ_ECANCELED, EXECQ_OK, EXECQ_EFAILED};
    for (size_t i = 0; i < n; i++) {
        assert_ptr_equal(out[i].tag, &tags[i]);
        assert_status(out[i].status, statuses[i]);
        assert_ptr_equal(out[i].value, out[i].status == EXECQ_OK ? &value : NULL);
        assert_int_equal(out[i].reserved, 0);
        assert_non_null(out[i].future);
    }
    assert_ptr_equal(out[0].future, queued);
    assert_string_equal(execq_error_message(execq_future_error(out[2].future)), "nine");
    for (size_t i = 0; i < n; i++) {
        execq_future_release(out[i].future);
    }
    execq_future_release(queued);
    execq_cq_release(cq);
    gate_destroy(&g);
}

static void the_receiver_owns_a_reference_to_the_future(void **state)
{
    (void)state;
    counter values = {0};
    execq_promise_options options = EXECQ_PROMISE_OPTIONS_INIT;
    options.drop_result = counter_hit;
    execq_cq *cq = cq_new();
    execq_promise *promise = NULL;
    execq_future *future = NULL;
    assert_status(execq_promise_new(&options, &promise, &future), EXECQ_OK);
    assert_status(execq_future_on_cq(future, cq, NULL), EXECQ_OK);
    execq_future_release(future);
    assert_status(execq_promise_resolve(promise, &values), EXECQ_OK);
    execq_promise_release(promise);
    execq_completion out;
    size_t n = 0;
    assert_status(execq_cq_drain(cq, &out, 1, &n), EXECQ_OK);
    assert_int_equal(n, 1);
    assert_ptr_equal(out.value, &values);
    execq_cq_release(cq);
    assert_int_equal(counter_get(&values), 0);
    execq_future_release(out.future);
    assert_int_equal(counter_get(&values), 1);
}

static void completions_are_drained_in_the_order_of_completion(void **state)
{
    (void)state;
    enum { N = 1000, STEP = 7 };
    static execq_promise *promises[N];
    static execq_future *futures[N];
    execq_cq *cq = cq_new();
    for (int i = 0; i < N; i++) {
        promises[i] = promise_new(&futures[i]);
        assert_status(execq_future_on_cq(futures[i], cq, &futures[i]), EXECQ_OK);
    }
    for (int i = 0; i < N; i++) {
        assert_status(execq_promise_resolve(promises[i * STEP % N], NULL), EXECQ_OK);
    }
    for (int i = 0; i < N; i++) {
        execq_completion out;
        size_t n = 0;
        assert_status(execq_cq_drain(cq, &out, 1, &n), EXECQ_OK);
        assert_int_equal(n, 1);
        assert_ptr_equal(out.tag, &futures[i * STEP % N]);
        execq_future_release(out.future);
    }
    for (int i = 0; i < N; i++) {
        execq_promise_release(promises[i]);
        execq_future_release(futures[i]);
    }
    drain_all(cq, 0);
    execq_cq_release(cq);
}

static void a_future_may_be_registered_several_times(void **state)
{
    (void)state;
    int tags[3];
    execq_cq *first = cq_new();
    execq_cq *second = cq_new();
    execq_future *future = NULL;
    execq_promise *promise = promise_new(&future);
    assert_status(execq_future_on_cq(future, first, &tags[0]), EXECQ_OK);
    assert_status(execq_future_on_cq(future, first, &tags[1]), EXECQ_OK);
    assert_status(execq_future_on_cq(future, second, &tags[2]), EXECQ_OK);
    assert_status(execq_promise_resolve(promise, NULL), EXECQ_OK);
    assert_status(execq_future_on_cq(future, second, NULL), EXECQ_OK); /* done already; a NULL tag is a tag */
    execq_completion out[4];
    size_t n = 0;
    assert_status(execq_cq_drain(first, out, 4, &n), EXECQ_OK);
    assert_int_equal(n, 2);
    assert_ptr_equal(out[0].tag, &tags[0]);
    assert_ptr_equal(out[1].tag, &tags[1]);
    assert_status(execq_cq_drain(second, out + 2, 2, &n), EXECQ_OK);
    assert_int_equal(n, 2);
    assert_ptr_equal(out[2].tag, &tags[2]);
    assert_null(out[3].tag);
    for (size_t i = 0; i < COUNT_OF(out); i++) {
        assert_ptr_equal(out[i].future, future);
        execq_future_release(out[i].future);
    }
    execq_promise_release(promise);
    execq_future_release(future);
    execq_cq_release(first);
    execq_cq_release(second);
}

static void the_descriptor_is_readable_while_there_is_something(void **state)
{
    (void)state;
    int tags[3];
    execq_cq *cq = cq_new();
    const int fd = fd_of(cq);
    assert_false(readable(cq, 0));
    for (size_t i = 0; i < COUNT_OF(tags); i++) {
        complete(cq, &tags[i]);
        assert_true(readable(cq, 0));
    }
    for (size_t i = 0; i < COUNT_OF(tags); i++) {
        execq_completion out;
        size_t n = 0;
        assert_true(readable(cq, 0)); /* a partial drain leaves it so */
        assert_status(execq_cq_drain(cq, &out, 1, &n), EXECQ_OK);
        assert_int_equal(n, 1);
        execq_future_release(out.future);
    }
    drain_all(cq, 0);
    assert_false(readable(cq, 0)); /* else a level-triggered poller would spin */
    complete(cq, NULL);
    assert_true(readable(cq, 0));
    assert_int_equal(fd_of(cq), fd);
    drain_all(cq, 1);
    execq_cq_release(cq);
}

static void the_descriptor_wakes_a_poller_for_a_task(void **state)
{
    (void)state;
    execq_cq *cq = cq_new();
    execq_executor *executor = pool_new(1);
    for (int i = 0; i < 1000; i++) {
        assert_status(execq_submit_to_cq(executor, NULL, do_nothing, NULL, cq, NULL), EXECQ_OK);
        size_t n = 0;
        while (n == 0) {
            execq_completion out;
            assert_true(readable(cq, -1));
            assert_status(execq_cq_drain(cq, &out, 1, &n), EXECQ_OK);
            if (n == 1) {
                execq_future_release(out.future);
            }
        }
    }
    pool_end(executor);
    execq_cq_release(cq);
}

static void an_edge_triggered_poller_is_signalled_again_for_what_a_drain_left(void **state)
{
    (void)state;
    execq_cq *cq = cq_new();
    const int poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    assert_int_equal(epoll_ctl(poller, EPOLL_CTL_ADD, fd_of(cq), &event), 0);
    for (int i = 0; i < 5; i++) {
        complete(cq, NULL);
    }
    for (int i = 0; i < 5; i++) {
        execq_completion out;
        size_t n = 0;
        assert_int_equal(epoll_wait(poller, &event, 1, 0), 1);
        assert_status(execq_cq_drain(cq, &out, 1, &n), EXECQ_OK);
        assert_int_equal(n, 1);
        execq_future_release(out.future);
    }
    drain_all(cq, 0);
    close(poller);
    execq_cq_release(cq);
}

static void a_thousand_queues_leak_no_descriptor(void **state)
{
    (void)state;
    const int before = descriptors_open();
    for (int i = 0; i < 1000; i++) {
        execq_cq *cq = cq_new();
        complete(cq, NULL);
        if (i % 3 == 0) {
            drain_all(cq, 1);
        }
        if (i % 2 == 0) {
            assert_status(execq_cq_close(cq, NULL), EXECQ_OK);
        }
        execq_cq_release(cq);
    }
    assert_int_equal(descriptors_open(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_arguments_are_refused),
        cmocka_unit_test(submit_to_cq_refuses_bad_arguments_and_drops_env_once),
        cmocka_unit_test(a_completion_is_32_bytes_for_ever),
        cmocka_unit_test(each_outcome_comes_back_with_its_tag),
        cmocka_unit_test(the_receiver_owns_a_reference_to_the_future),
        cmocka_unit_test(completions_are_drained_in_the_order_of_completion),
        cmocka_unit_test(a_future_may_be_registered_several_times),
        cmocka_unit_test(the_descriptor_is_readable_while_there_is_something),
        cmocka_unit_test(the_descriptor_wakes_a_poller_for_a_task),
        cmocka_unit_test(an_edge_triggered_poller_is_signalled_again_for_what_a_drain_left),
        cmocka_unit_test(a_thousand_queues_leak_no_descriptor),
    };
    return cmocka_run_group_tests_name("capi.cq", tests, NULL, NULL);
}
