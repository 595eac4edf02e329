// manual_executor: callables, coroutines and then() on a clock that stands still.
#include "cpp.h"

#include <chrono>
#include <vector>

using namespace execq;
using namespace std::chrono_literals;

namespace {

TEST(CppManual, callables_run_when_they_are_stepped)
{
    manual_executor manual;
    future<int> answer = manual.submit([](int a, int b) { return a * b; }, 6, 7);
    EXPECT_EQ(answer.state(), future_state::pending);
    EXPECT_TRUE(manual.step());
    EXPECT_FALSE(manual.step());
    EXPECT_EQ(answer.get(), 42);
}

TEST(CppManual, the_clock_moves_by_hand)
{
    manual_executor manual;
    int runs = 0;
    future<void> series = manual.submit_periodic(1h, period_mode::fixed_rate, [&] { ++runs; });
    EXPECT_EQ(manual.run_for(24h), 25U);
    EXPECT_EQ(runs, 25);
    EXPECT_EQ(manual.now(), 24h);
    manual.advance(1h);
    EXPECT_EQ(runs, 25);
    EXPECT_EQ(manual.run(), 1U);
    EXPECT_EQ(series.cancel(), cancel_result::prevented);
    EXPECT_EQ(code_of([&] { manual.advance(-1ns); }), EXECQ_EINVAL);
}

TEST(CppManual, a_get_steps_until_the_value_is_there)
{
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
        manual_executor manual({.seed = seed});
        future<void> nap = sleep(10s);
        future<int> later = manual.submit(task_options{.delay = 5s}, [] { return 5; });
        EXPECT_EQ(later.get(), 5);
        EXPECT_EQ(manual.now(), 5s);
        nap.get();
        EXPECT_EQ(manual.now(), 10s);
    }
}

TEST(CppManual, a_wait_that_could_never_end_says_so)
{
    manual_executor manual({.stands_still = true});
    future<void> later = manual.submit(task_options{.delay = 5s}, [] {});
    EXPECT_EQ(code_of([&] { later.wait(); }), EXECQ_EDEADLK);
    manual.advance(5s);
    later.wait();
}

}  // namespace
