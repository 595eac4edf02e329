// submit_periodic() from C++: callables that are called again and again, and how that ends; times of tasks.
#include "cpp.h"

#include <chrono>
#include <memory>
#include <string>

using namespace execq;
using namespace std::chrono_literals;

namespace {

TEST(CppPeriodic, a_callable_that_can_only_be_moved_is_called_again_and_again_and_destroyed_once)
{
    std::atomic<int> alive{0};
    std::atomic<int> ran{0};
    scoped_executor pool({.max_threads = 2});
    for (const period_mode mode : {period_mode::fixed_rate, period_mode::fixed_delay}) {
        ran = 0;
        future<void> series = pool.submit_periodic(
            1ns, mode, [&ran, count = std::make_unique<int>(0), c = Counted(alive)]() mutable { ran = ++*count; });
        while (ran < 5)
            std::this_thread::yield();
        EXPECT_EQ(alive, 1);
        EXPECT_NE(series.cancel(), cancel_result::late);
        EXPECT_EQ(reason_of([&] { series.get(); }), cancel_reason::caller);
        EXPECT_EQ(alive, 0);
    }
}

TEST(CppPeriodic, between_two_runs_it_is_prevented)
{
    std::atomic<int> alive{0};
    std::atomic<int> ran{0};
    scoped_executor pool({.max_threads = 1});
    future<void> series = pool.submit_periodic(1h, period_mode::fixed_rate, [&ran, c = Counted(alive)] { ++ran; });
    while (ran == 0 || series.state() != future_state::pending)
        std::this_thread::yield();
    EXPECT_EQ(series.cancel(), cancel_result::prevented);
    EXPECT_EQ(alive, 0);
    EXPECT_EQ(series.cancel(), cancel_result::late);
    EXPECT_EQ(ran, 1);
}

TEST(CppPeriodic, an_exception_ends_it_and_arrives_by_type)
{
    std::atomic<int> alive{0};
    int runs = 0;
    scoped_executor pool({.max_threads = 2});
    future<void> series = pool.submit_periodic(1ms, period_mode::fixed_delay, [&runs, c = Counted(alive)] {
        if (++runs == 3)
            throw Mishap("worn out", 3);
    });
    series.wait();
    EXPECT_EQ(alive, 0);
    EXPECT_STREQ(execq_error_message(execq_future_error(series.native())), "worn out");
    EXPECT_EQ(thrown_by<Mishap>([&] { series.get(); }).number, 3);
    EXPECT_EQ(runs, 3);
    EXPECT_EQ(thrown_by<Oddity>([&] {
                  pool.submit_periodic(1ns, period_mode::fixed_rate, [] { throw Oddity{8}; }).get();
              }).number,
              8);
    EXPECT_EQ(code_of([&] { pool.submit_periodic(1ns, period_mode::fixed_rate, [] { throw error(42); }).get(); }), 42);
}

TEST(CppPeriodic, a_run_that_is_asked_to_stop_may_throw_that_it_does)
{
    Gate gate;
    scoped_executor pool({.max_threads = 1});
    future<void> series = pool.submit_periodic(1ns, period_mode::fixed_rate, [&] {
        gate.pass();
        if (cancel_requested())
            throw canceled();
    });
    gate.await();
    EXPECT_EQ(series.cancel(), cancel_result::asked);
    gate.open();
    EXPECT_EQ(reason_of([&] { series.get(); }), cancel_reason::caller);
}

TEST(CppPeriodic, its_own_future_is_a_deadlock)
{
    Gate gate;
    future<void> series;
    scoped_executor pool({.max_threads = 2});
    series = pool.submit_periodic(1ns, period_mode::fixed_rate, [&] {
        gate.pass();
        series.wait();
    });
    gate.await();
    gate.open();
    ASSERT_EQ(execq_future_wait(series.native(), -1), EXECQ_OK);
    EXPECT_EQ(code_of([&] { series.get(); }), EXECQ_EDEADLK);
}

TEST(CppPeriodic, without_its_future_it_goes_on_until_the_executor_is_closed)
{
    std::atomic<int> alive{0};
    std::atomic<int> ran{0};
    {
        scoped_executor pool({.max_threads = 1});
        static_cast<void>(pool.submit_periodic(1ns, period_mode::fixed_rate, [&ran, c = Counted(alive)] {
            ++ran;
            return std::string("dropped");
        }));
        while (ran < 5)
            std::this_thread::yield();
        EXPECT_EQ(alive, 1);
    }
    EXPECT_EQ(alive, 0);
}

TEST(CppPeriodic, what_is_refused_is_destroyed_at_once)
{
    std::atomic<int> alive{0};
    scoped_executor pool({.max_threads = 1});
    const auto submit = [&](auto period) {
        pool.submit_periodic(period, period_mode::fixed_rate, [c = Counted(alive)] {}).get();
    };
    EXPECT_EQ(code_of([&] { submit(0ns); }), EXECQ_EINVAL);
    EXPECT_EQ(code_of([&] { submit(-1h); }), EXECQ_EINVAL);
    pool.close();
    EXPECT_EQ(code_of([&] { submit(1h); }), EXECQ_ECLOSED);
    EXPECT_EQ(alive, 0);
}

TEST(CppPeriodic, its_end_can_be_continued)
{
    scoped_executor pool({.max_threads = 2});
    const int reason = pool.submit_periodic({.timeout = 2ms}, 1ns, period_mode::fixed_rate, [] {})
                           .then([](future<void> ended) { return static_cast<int>(reason_of([&] { ended.get(); })); })
                           .get();
    EXPECT_EQ(reason, static_cast<int>(cancel_reason::deadline));
}

TEST(CppPeriodic, options_have_times)
{
    using clock = std::chrono::steady_clock;
    scoped_executor pool({.max_threads = 1});
    const auto begin = clock::now();
    EXPECT_GE(pool.submit({.delay = 3ms}, [] { return clock::now(); }).get() - begin, 3ms);
    EXPECT_EQ(reason_of([&] { pool.submit({.delay = 1h, .timeout = 1ms}, [] {}).get(); }), cancel_reason::deadline);
    Blocked blocked(pool);
    EXPECT_EQ(reason_of([&] { pool.submit({.name = "late", .start_within = 1ms}, [] {}).get(); }),
              cancel_reason::deadline);
    clock::time_point first;
    const auto submitted = clock::now();
    future<void> series = pool.submit_periodic({.delay = 4ms}, 1h, period_mode::fixed_delay, [&] {
        first = clock::now();
        throw canceled();  // nobody asked
    });
    blocked.open();
    thrown_by<canceled>([&] { series.get(); });
    EXPECT_GE(first - submitted, 4ms);
}

}  // namespace
