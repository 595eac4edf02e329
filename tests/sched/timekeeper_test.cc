// The timekeeper: what is in its wheel when, who ends a timer, its thread.
#include "sched/timekeeper.h"

#include <gtest/gtest.h>

#include <limits>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "flow/submission.h"
#include "pool.h"
#include "sched/wait.h"

namespace execq::core {
namespace {

using ::finish;  // of pool.h

constexpr std::int64_t ms = 1'000'000;
constexpr std::int64_t hour = 3'600'000 * ms;

Timekeeper& keeper() { return Timekeeper::get(); }

Node* sleep_for(std::int64_t duration_ns)
{
    Node* node = nullptr;
    CHECK(keeper().sleep(now_ns() + duration_ns, &node) == EXECQ_OK);
    return node;
}

bool cancel(Node& node)
{
    if (!node.try_claim_cancel(EXECQ_REASON_CALLER))
        return false;
    node.drop_env();
    node.settle_canceled();
    return true;
}

TaskSpec spec_of(execq_fn fn, void* env)
{
    TaskSpec spec;
    spec.fn = fn;
    spec.env = env;
    return spec;
}

TaskSpec limited(execq_fn fn, void* env, std::int64_t timeout_ns = hour)
{
    TaskSpec spec = spec_of(fn, env);
    spec.times.end_by_ns = now_ns() + timeout_ns;
    return spec;
}

TaskSpec delayed(execq_fn fn, void* env, std::int64_t delay_ns = hour)
{
    TaskSpec spec = spec_of(fn, env);
    spec.times.due_ns = now_ns() + delay_ns;
    return spec;
}

Node* submit_to(Pool& pool, const TaskSpec& spec)
{
    execq_future* future = nullptr;
    CHECK(submit(pool.get(), spec, &future) == EXECQ_OK);
    return core_of(future);
}

void await_no_timers()
{
    while (keeper().usage().timers != 0)
        std::this_thread::yield();
}

std::int32_t note_time(void* at, void**)
{
    *static_cast<std::int64_t*>(at) = now_ns();
    return 0;
}

TEST(Timekeeper, a_sleep_ends_with_a_null_value_and_not_early)
{
    for (const std::int64_t duration : {0 * ms, 1 * ms, 7 * ms}) {
        const std::int64_t begin = now_ns();
        Node* node = nullptr;
        ASSERT_EQ(keeper().sleep(begin + duration, &node), EXECQ_OK);
        ASSERT_EQ(block_on(*node, never()), EXECQ_OK);
        EXPECT_GE(now_ns() - begin, duration);
        void* value = &node;
        EXPECT_EQ(node->result(&value), EXECQ_OK);
        EXPECT_EQ(value, nullptr);
        node->release();
    }
    await_no_timers();
}

TEST(Timekeeper, a_later_sleep_does_not_hold_up_an_earlier_one)
{
    Node* late = sleep_for(hour);
    Node* never_ending = nullptr;
    ASSERT_EQ(keeper().sleep(TimerWheel::never, &never_ending), EXECQ_OK);
    EXPECT_EQ(finish(sleep_for(2 * ms)), EXECQ_OK);
    EXPECT_EQ(late->phase(), Phase::pending);
    EXPECT_TRUE(cancel(*late));
    EXPECT_TRUE(cancel(*never_ending));
    EXPECT_EQ(keeper().usage().scheduled, 0U);
    EXPECT_EQ(finish(late), EXECQ_ECANCELED);
    EXPECT_EQ(finish(never_ending), EXECQ_ECANCELED);
    await_no_timers();
}

TEST(Timekeeper, a_canceled_sleep_leaves_the_wheel_at_once)
{
    std::vector<Node*> nodes;
    for (int i = 0; i < 1'000; ++i)
        nodes.push_back(sleep_for(hour + i * ms));
    EXPECT_EQ(keeper().usage().timers, nodes.size());
    EXPECT_EQ(keeper().usage().scheduled, nodes.size());
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        EXPECT_TRUE(cancel(*nodes[i]));
        EXPECT_EQ(keeper().usage().timers, nodes.size() - i - 1);
        EXPECT_EQ(keeper().usage().scheduled, nodes.size() - i - 1);
        EXPECT_FALSE(cancel(*nodes[i]));
        nodes[i]->release();
    }
}

TEST(Timekeeper, a_sleep_without_a_handle_ends_all_the_same)
{
    sleep_for(1 * ms)->release();
    await_no_timers();
}

TEST(Timekeeper, sleeps_of_one_step_end_in_order)
{
    static std::vector<std::size_t> order;
    order.clear();
    constexpr std::size_t n = 100;
    Semaphore ended;
    static Semaphore* told;
    told = &ended;
    const std::int64_t until = now_ns() + 20 * ms;
    for (std::size_t i = 0; i < n; ++i) {
        Node* node = nullptr;
        ASSERT_EQ(keeper().sleep(until, &node), EXECQ_OK);
        const execq_done_fn done = [](execq_future*, void* i_of) {
            order.push_back(reinterpret_cast<std::uintptr_t>(i_of));
            told->post();
        };
        ASSERT_EQ(node->register_completion({done, number(i), nullptr, nullptr}), EXECQ_OK);
        node->release();
    }
    ended.take(n);
    for (std::size_t i = 0; i < n; ++i)
        EXPECT_EQ(order[i], i);
}

TEST(Timekeeper, a_task_that_ends_takes_its_timer_along)
{
    Pool pool(1);
    Counter ran;
    for (int i = 0; i < 1'000; ++i) {
        EXPECT_EQ(finish(submit_to(pool, limited(Counter::body, &ran))), EXECQ_OK);
        EXPECT_EQ(keeper().usage().scheduled, 0U);
    }
    EXPECT_EQ(ran.n, 1'000U);
    EXPECT_EQ(keeper().usage().timers, 0U);
}

TEST(Timekeeper, a_timer_of_a_running_task_stays_until_the_task_ends)
{
    Pool pool(1);
    static Gate gate;
    Node* node = submit_to(pool, limited(Gate::body, &gate));
    gate.await();
    EXPECT_EQ(keeper().usage().scheduled, 1U);
    gate.open();
    EXPECT_EQ(finish(node), EXECQ_OK);
    EXPECT_EQ(keeper().usage().timers, 0U);
}

TEST(Timekeeper, a_delayed_task_is_in_no_queue_and_leaves_with_its_cancellation)
{
    Pool pool(1);
    Counter ran;
    Node* node = submit_to(pool, delayed(Counter::body, &ran));
    EXPECT_FALSE(node->due());
    EXPECT_EQ(pool.threads(), 0U);
    EXPECT_EQ(pool.report().queued, 1U);
    EXPECT_EQ(keeper().usage().scheduled, 1U);
    EXPECT_TRUE(cancel(*node));
    EXPECT_EQ(keeper().usage().timers, 0U);
    EXPECT_EQ(pool.report().queued, 0U);
    EXPECT_EQ(finish(node), EXECQ_ECANCELED);
    EXPECT_EQ(ran.n, 0U);
}

TEST(Timekeeper, a_delayed_task_runs_and_not_early)
{
    Pool pool(1);
    std::int64_t at = 0;
    const TaskSpec spec = delayed(note_time, &at, 5 * ms);
    EXPECT_EQ(finish(submit_to(pool, spec)), EXECQ_OK);
    EXPECT_GE(at, spec.times.due_ns);
    await_no_timers();
}

TEST(Timekeeper, a_delayed_task_keeps_its_limits_when_it_is_due)
{
    Pool pool(1);
    static Gate gate;
    TaskSpec spec = delayed(Gate::body, &gate, 1 * ms);
    spec.times.end_by_ns = now_ns() + hour;
    spec.times.start_by_ns = now_ns() + hour;
    Node* node = submit_to(pool, spec);
    gate.await();
    while (keeper().usage().scheduled != 1)
        std::this_thread::yield();
    gate.open();
    EXPECT_EQ(finish(node), EXECQ_OK);
    await_no_timers();
}

TEST(Timekeeper, a_limit_before_the_delay_cancels)
{
    Pool pool(1);
    Counter ran;
    TaskSpec spec = delayed(Counter::body, &ran);
    spec.times.start_by_ns = now_ns() + 2 * ms;
    Node* node = submit_to(pool, spec);
    EXPECT_EQ(block_on(*node, never()), EXECQ_OK);
    EXPECT_GE(now_ns(), spec.times.start_by_ns);
    EXPECT_EQ(node->cancel_reason(), EXECQ_REASON_DEADLINE);
    EXPECT_EQ(finish(node), EXECQ_ECANCELED);
    EXPECT_EQ(ran.n, 0U);
    await_no_timers();
}

TEST(Timekeeper, a_close_cancels_what_is_not_due_before_a_join_returns)
{
    for (const std::int32_t how : {EXECQ_DRAIN, EXECQ_CANCEL}) {
        constexpr int n = 100;
        Counter dropped;
        Executor* executor = nullptr;
        ASSERT_EQ(Executor::make({nullptr, 1, 0, 0}, &executor), EXECQ_OK);
        std::vector<Node*> nodes;
        for (int i = 0; i < n; ++i) {
            TaskSpec spec = delayed(Counter::body, &dropped);
            spec.drop = Counter::hit;
            execq_future* future = nullptr;
            ASSERT_EQ(submit(executor, spec, &future), EXECQ_OK);
            nodes.push_back(core_of(future));
        }
        executor->close(how);
        ASSERT_EQ(executor->join(never()), EXECQ_OK);
        EXPECT_EQ(dropped.n, static_cast<std::uint64_t>(n));
        for (Node* node : nodes) {
            EXPECT_EQ(node->phase(), Phase::canceled);
            EXPECT_EQ(node->cancel_reason(), EXECQ_REASON_SHUTDOWN);
            node->release();
        }
        EXPECT_EQ(submit(executor, delayed(Counter::body, &dropped), nullptr), EXECQ_ECLOSED);
        executor->release();
        await_no_timers();
    }
}

TEST(Timekeeper, an_executor_lives_until_its_delayed_tasks_are_canceled)
{
    Counter dropped;
    Executor* executor = nullptr;
    ASSERT_EQ(Executor::make({nullptr, 1, 0, 0}, &executor), EXECQ_OK);
    TaskSpec spec = delayed(Counter::body, &dropped);
    spec.drop = Counter::hit;
    ASSERT_EQ(submit(executor, spec, nullptr), EXECQ_OK);
    executor->release();
    await_no_timers();
    EXPECT_EQ(dropped.n, 1U);
}

TEST(Timekeeper, a_wait_on_the_own_worker_does_not_run_what_is_not_due)
{
    Pool pool(2);
    struct Env {
        Pool* pool;
        std::int64_t due_ns = 0;
        std::int64_t at = 0;
    } env{&pool};
    const auto body = [](void* argument, void**) -> std::int32_t {
        auto& mine = *static_cast<Env*>(argument);
        const TaskSpec spec = delayed(note_time, &mine.at, 5 * ms);
        mine.due_ns = spec.times.due_ns;
        Node* node = submit_to(*mine.pool, spec);
        CHECK(wait_for(*node, never()) == EXECQ_OK);
        node->release();
        return 0;
    };
    EXPECT_EQ(finish(pool.submit(body, &env)), EXECQ_OK);
    EXPECT_GE(env.at, env.due_ns);
}

TaskSpec series(execq_fn fn, void* env, std::int64_t period_ns = hour)
{
    TaskSpec spec = spec_of(fn, env);
    spec.times.due_ns = now_ns();
    spec.times.period_ns = period_ns;
    return spec;
}

void await_rest(const Node& node, const Counter& ran, std::uint64_t n)
{
    while (ran.n < n || node.phase() != Phase::pending)
        std::this_thread::yield();
}

TEST(Timekeeper, a_run_at_a_fixed_rate_is_due_at_the_next_multiple_that_is_to_come)
{
    TaskTimes times;
    times.due_ns = 1'000;
    times.period_ns = 100;
    EXPECT_EQ(times.next_due_ns(1'000), 1'100);
    EXPECT_EQ(times.next_due_ns(1'099), 1'100);
    EXPECT_EQ(times.next_due_ns(1'100), 1'200);  // as late as that it would have been missed
    EXPECT_EQ(times.next_due_ns(1'150), 1'200);
    EXPECT_EQ(times.next_due_ns(9'999), 10'000);
    times.period_ns = 1;
    EXPECT_EQ(times.next_due_ns(5'000), 5'001);
    times.period_ns = TimerWheel::never - 1'000;
    EXPECT_EQ(times.next_due_ns(2'000), TimerWheel::never);
    times.period_ns = TimerWheel::never;
    EXPECT_EQ(times.next_due_ns(2'000), TimerWheel::never);
}

TEST(Timekeeper, a_run_after_a_fixed_delay_is_due_a_period_after_the_end)
{
    TaskTimes times;
    times.fixed_delay = true;
    times.due_ns = 1'000;
    times.period_ns = 100;
    EXPECT_EQ(times.next_due_ns(1'000), 1'100);
    EXPECT_EQ(times.next_due_ns(1'150), 1'250);
    times.period_ns = TimerWheel::never - 1'000;
    EXPECT_EQ(times.next_due_ns(1'000), TimerWheel::never);
    EXPECT_EQ(times.next_due_ns(1'001), TimerWheel::never);
}

TEST(Timekeeper, a_series_that_rests_is_in_the_wheel_and_counts_as_queued_until_it_is_canceled)
{
    Pool pool(1);
    Counter ran;
    Node* node = submit_to(pool, series(Counter::body, &ran));
    await_rest(*node, ran, 1);
    EXPECT_EQ(keeper().usage().timers, 1U);
    EXPECT_EQ(keeper().usage().scheduled, 1U);
    while (pool.report().queued != 1U)  // it counts twice while its worker puts it away
        std::this_thread::yield();
    EXPECT_FALSE(node->due());
    EXPECT_TRUE(cancel(*node));
    EXPECT_EQ(keeper().usage().timers, 0U);
    EXPECT_EQ(keeper().usage().scheduled, 0U);
    EXPECT_EQ(pool.report().queued, 0U);
    EXPECT_EQ(finish(node), EXECQ_ECANCELED);
}

TEST(Timekeeper, a_run_of_a_series_is_in_no_wheel_but_for_its_limit)
{
    Pool pool(1);
    for (const bool limited : {false, true}) {
        static Gate gate;
        TaskSpec spec = series(Gate::body, &gate, 1);
        if (limited)
            spec.times.end_by_ns = now_ns() + hour;
        Node* node = submit_to(pool, spec);
        for (int run = 0; run < 3; ++run) {
            gate.await();
            while (pool.report().queued !=
                   0)  // the timekeeper handed it in, and may not have taken it off its own account
                std::this_thread::yield();
            EXPECT_EQ(keeper().usage().timers, 1U);
            while (keeper().usage().scheduled != (limited ? 1U : 0U))
                std::this_thread::yield();
            EXPECT_EQ(pool.report().running_total, 1U);
            if (run == 2) {
                EXPECT_FALSE(cancel(*node));
                EXPECT_TRUE(node->request_cancel(EXECQ_REASON_CALLER));
            }
            gate.open();
        }
        EXPECT_EQ(finish(node), EXECQ_ECANCELED);
        EXPECT_EQ(keeper().usage().timers, 0U);
    }
}

TEST(Timekeeper, a_series_without_a_handle_keeps_its_executor_until_it_is_canceled)
{
    Counter ran;
    Counter dropped;
    Executor* executor = nullptr;
    ASSERT_EQ(Executor::make({nullptr, 1, 0, 0}, &executor), EXECQ_OK);
    struct Env {
        Counter* ran;
        Counter* dropped;
    } env{&ran, &dropped};
    TaskSpec spec =
        series([](void* both, void** result) { return Counter::body(static_cast<Env*>(both)->ran, result); }, &env, 1);
    spec.drop = [](void* both) { Counter::hit(static_cast<Env*>(both)->dropped); };
    ASSERT_EQ(submit(executor, spec, nullptr), EXECQ_OK);
    while (ran.n < 10)
        std::this_thread::yield();
    EXPECT_EQ(dropped.n, 0U);
    executor->release();
    await_no_timers();
    EXPECT_EQ(dropped.n, 1U);
}

TEST(Timekeeper, its_thread_ends_when_nothing_is_left_and_comes_again)
{
    await_no_timers();
    keeper().set_idle(0);
    EXPECT_EQ(finish(sleep_for(1 * ms)), EXECQ_OK);
    while (keeper().usage().thread)
        std::this_thread::yield();
    Node* node = sleep_for(5 * ms);
    EXPECT_TRUE(keeper().usage().thread);
    EXPECT_EQ(finish(node), EXECQ_OK);
    while (keeper().usage().thread)
        std::this_thread::yield();
    keeper().set_idle(10'000 * ms);
}

}  // namespace
}  // namespace execq::core
