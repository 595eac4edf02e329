// Manual executors from inside: their clock, what they hold, and who may step.
#include "sched/manual.h"

#include <gtest/gtest.h>
#include <set>
#include <thread>
#include <vector>

#include "flow/submission.h"
#include "sched/executor.h"
#include "sched/timekeeper.h"
#include "task/cancel.h"
#include "white_box.h"

using namespace execq::core;

namespace {

constexpr std::int64_t second = 1'000'000'000;

Executor* make_manual(std::uint64_t seed = 0, bool stands_still = false)
{
    Executor* executor = nullptr;
    EXPECT_EQ(Manual::make({}, {seed, stands_still}, &executor), EXECQ_OK);
    return executor;
}

TaskSpec counting(std::vector<int>& order, int)
{
    TaskSpec spec;
    spec.env = &order;
    spec.fn = [](void* env, void**) -> std::int32_t {
        auto& all = *static_cast<std::vector<int>*>(env);
        all.push_back(static_cast<int>(all.size()));
        return 0;
    };
    return spec;
}

TEST(Manual, its_timers_are_none_of_the_process_s)
{
    Executor* executor = make_manual();
    std::vector<int> order;
    TaskSpec spec = counting(order, 0);
    spec.times.due_ns = Timekeeper::manual_start_ns + second;  // on its clock
    const std::size_t before = Timekeeper::get().usage().timers;
    execq_future* future = nullptr;
    ASSERT_EQ(submit(executor, spec, &future), EXECQ_OK);
    EXPECT_EQ(Timekeeper::get().usage().timers, before);
    EXPECT_EQ(executor->keeper().usage().timers, 1U);
    EXPECT_FALSE(executor->keeper().usage().thread);
    ASSERT_EQ(executor->manual()->advance(second - 1), EXECQ_OK);
    EXPECT_EQ(core_of(future)->task_timer()->due.load(), false);
    ASSERT_EQ(executor->manual()->advance(1), EXECQ_OK);
    EXPECT_EQ(core_of(future)->task_timer()->due.load(), true);
    std::uint64_t n = 0;
    ASSERT_EQ(executor->manual()->run(n), EXECQ_OK);
    EXPECT_EQ(n, 1U);
    EXPECT_EQ(executor->keeper().usage().timers, 0U);
    core_of(future)->release();
    executor->release();
}

TEST(Manual, times_that_were_reckoned_elsewhere_are_moved_to_its_clock)
{
    Executor* executor = make_manual();
    std::vector<int> order;
    TaskSpec spec = counting(order, 0);
    spec.times_of_ns = 77 * second;
    spec.times.due_ns = 77 * second + 5;
    execq_future* future = nullptr;
    ASSERT_EQ(submit(executor, spec, &future), EXECQ_OK);
    EXPECT_EQ(core_of(future)->task_timer()->times.due_ns, Timekeeper::manual_start_ns + 5);
    core_of(future)->release();
    executor->release();
}

TEST(Manual, a_shift_keeps_what_has_a_meaning_of_its_own)
{
    TaskTimes times;
    times.due_ns = 0;
    times.start_by_ns = TimerWheel::never;
    times.end_by_ns = TimerWheel::never - 5;
    times.shift(10);
    EXPECT_EQ(times.due_ns, 0);
    EXPECT_EQ(times.start_by_ns, TimerWheel::never);
    EXPECT_EQ(times.end_by_ns, TimerWheel::never);
    times.end_by_ns = 7;
    times.shift(-100);
    EXPECT_EQ(times.end_by_ns, 1);
}

TEST(Manual, what_is_taken_out_for_a_choice_is_still_queued_and_canceled_with_the_rest)
{
    Executor* executor = make_manual(5);
    std::vector<int> order;
    std::vector<execq_future*> futures(10);
    for (execq_future*& future : futures)
        ASSERT_EQ(submit(executor, counting(order, 0), &future), EXECQ_OK);
    bool ran = false;
    ASSERT_EQ(executor->manual()->step(ran), EXECQ_OK);
    EXPECT_TRUE(ran);
    EXPECT_EQ(executor->manual()->taken(), 9U);
    execq_stats stats{};
    executor->stats(stats);
    EXPECT_EQ(stats.queued, 9U);
    executor->close(EXECQ_CANCEL);
    EXPECT_EQ(executor->join(Deadline::after(0)), EXECQ_OK);
    EXPECT_EQ(order.size(), 1U);
    std::size_t canceled = 0;
    for (execq_future* future : futures) {
        canceled += core_of(future)->phase() == Phase::canceled ? 1 : 0;
        core_of(future)->release();
    }
    EXPECT_EQ(canceled, 9U);
    executor->release();
}

TEST(Manual, it_is_the_thread_s_that_stepped_it_last)
{
    Executor* executor = make_manual();
    EXPECT_TRUE(Manual::has_here(executor->id()));
    std::thread([&] {
        EXPECT_FALSE(Manual::any_here());
        bool ran = false;
        EXPECT_EQ(executor->manual()->step(ran), EXECQ_OK);
        EXPECT_TRUE(Manual::has_here(executor->id()));
    }).join();
    EXPECT_FALSE(Manual::any_here());
    executor->release();
}

// Threads step, move the clock, submit and cancel all at once; every task ends once.
TEST(Manual, threads_may_do_everything_at_once)
{
    constexpr int threads = 4;
    constexpr int rounds = 500;
    Executor* executor = make_manual(9);
    std::atomic<int> ran{0};
    std::atomic<int> canceled{0};
    std::vector<std::thread> all;
    for (int t = 0; t < threads; ++t) {
        all.emplace_back([&] {
            for (int i = 0; i < rounds; ++i) {
                TaskSpec spec;
                spec.env = &ran;
                spec.fn = [](void* env, void**) -> std::int32_t {
                    static_cast<std::atomic<int>*>(env)->fetch_add(1);
                    return 0;
                };
                spec.times_of_ns = second;
                spec.times.due_ns = second + i % 7;
                execq_future* future = nullptr;
                EXPECT_EQ(submit(executor, spec, &future), EXECQ_OK);
                std::uint64_t n = 0;
                bool one = false;
                if (i % 3 == 0)
                    (void)executor->manual()->advance(3);
                else if (i % 3 == 1)
                    (void)executor->manual()->run_for(2, n);
                else
                    (void)executor->manual()->step(one);
                if (i % 5 == 0 && cancel(*core_of(future), EXECQ_REASON_CALLER) == EXECQ_OK)
                    canceled.fetch_add(1);
                core_of(future)->release();
            }
        });
    }
    for (std::thread& thread : all)
        thread.join();
    std::uint64_t n = 0;
    ASSERT_EQ(executor->manual()->run_for(100, n), EXECQ_OK);
    EXPECT_EQ(ran + canceled, threads * rounds);
    executor->release();
}

}  // namespace
