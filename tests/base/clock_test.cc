#include "base/clock.h"

#include <gtest/gtest.h>

using namespace execq::core;

namespace {

constexpr std::int64_t second = 1'000'000'000;
constexpr std::int64_t largest = std::numeric_limits<std::int64_t>::max();

TEST(Deadline, OfANegativeTimeoutIsNever)
{
    for (const std::int64_t timeout : {std::int64_t{-1}, -second, std::numeric_limits<std::int64_t>::min()}) {
        const Deadline deadline = Deadline::after(timeout);
        EXPECT_TRUE(deadline.never());
        EXPECT_FALSE(deadline.only_look());
        EXPECT_FALSE(deadline.passed());
        EXPECT_GT(deadline.left_ns(), second);
    }
}

TEST(Deadline, OfZeroOnlyLooks)
{
    const Deadline deadline = Deadline::after(0);
    EXPECT_TRUE(deadline.only_look());
    EXPECT_TRUE(deadline.passed());
    EXPECT_FALSE(deadline.never());
    EXPECT_EQ(deadline.left_ns(), 0);
}

TEST(Deadline, SaturatesToNeverInsteadOfOverflowing)
{
    EXPECT_TRUE(Deadline::after(largest).never());
    EXPECT_TRUE(Deadline::after(largest - 1).never());
    EXPECT_TRUE(Deadline::after(largest - now_ns()).never());
}

TEST(Deadline, BelowSaturationIsALongTimeAwayAndNotNever)
{
    const std::int64_t timeout = largest - now_ns() - 1000 * second;
    const Deadline deadline = Deadline::after(timeout);
    EXPECT_FALSE(deadline.never());
    EXPECT_FALSE(deadline.passed());
    EXPECT_GT(deadline.left_ns(), timeout - 1000 * second);
    EXPECT_GE(deadline.absolute().tv_sec, largest / second - 1001);
}

TEST(Deadline, OfOneNanosecondIsNotALook)
{
    const Deadline deadline = Deadline::after(1);
    EXPECT_FALSE(deadline.only_look());
    EXPECT_FALSE(deadline.never());
}

TEST(Deadline, IsNeverEarly)
{
    for (const std::int64_t timeout : {1, 999, 50'000, 3'000'000}) {
        const std::int64_t before = now_ns();
        const Deadline deadline = Deadline::after(timeout);
        while (!deadline.passed()) {
        }
        EXPECT_GE(now_ns() - before, timeout);
        EXPECT_EQ(deadline.left_ns(), 0);
    }
}

TEST(Deadline, LeavesNoMoreThanItsTimeout)
{
    const Deadline deadline = Deadline::after(3600 * second);
    const std::int64_t first = deadline.left_ns();
    EXPECT_LE(first, 3600 * second);
    EXPECT_GT(first, 0);
    EXPECT_LE(deadline.left_ns(), first);
}

TEST(Deadline, SplitsIntoWholeSecondsAndTheRest)
{
    const std::int64_t before = now_ns();
    const timespec at = Deadline::after(3600 * second + 7).absolute();
    const std::int64_t after = now_ns();
    EXPECT_GE(at.tv_nsec, 0);
    EXPECT_LT(at.tv_nsec, second);
    const std::int64_t whole = std::int64_t{at.tv_sec} * second + at.tv_nsec;
    EXPECT_GE(whole, before + 3600 * second + 7);
    EXPECT_LE(whole, after + 3600 * second + 7);
}

TEST(Clock, GoesForward)
{
    std::int64_t last = now_ns();
    for (int i = 0; i < 10'000; ++i) {
        const std::int64_t now = now_ns();
        ASSERT_GE(now, last);
        last = now;
    }
}

TEST(Clock, IsNotOvertakenByTheCoarseOne)
{
    for (int i = 0; i < 10'000; ++i) {
        const std::int64_t coarse = coarse_now_ns();
        ASSERT_LE(coarse, now_ns());
    }
}

}  // namespace
