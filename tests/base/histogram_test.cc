// Where values are counted, and what percentiles say of them.
#include "base/histogram.h"

#include <gtest/gtest.h>
#include <limits>
#include <memory>
#include <thread>

using namespace execq::core;

namespace {

constexpr std::int64_t top = std::int64_t{1} << histogram_top_bit;

TEST(Histogram, EachValueIsInABucketThatEndsAtOrAboveIt)
{
    std::int64_t before = -1;
    for (std::size_t bucket = 0; bucket < histogram_size - 1; ++bucket) {
        EXPECT_EQ(bucket_of(before + 1), bucket) << "no gap";
        EXPECT_EQ(bucket_of(bucket_end(bucket)), bucket);
        EXPECT_LE((bucket_end(bucket) - before) * 16, std::max<std::int64_t>(before + 1, 16)) << "6.25 %";
        before = bucket_end(bucket);
    }
    EXPECT_EQ(bucket_end(histogram_size - 1), top - 1);
}

TEST(Histogram, ValuesOutsideOfTheRangeAreInTheOuterBuckets)
{
    EXPECT_EQ(bucket_of(-1), 0U);
    EXPECT_EQ(bucket_of(std::numeric_limits<std::int64_t>::min()), 0U);
    EXPECT_EQ(bucket_of(top), histogram_size - 1);
    EXPECT_EQ(bucket_of(std::numeric_limits<std::int64_t>::max()), histogram_size - 1);
}

TEST(Histogram, AnEmptyOneHasOnlyZeros)
{
    const HistogramSum sum;
    EXPECT_EQ(sum.count(), 0U);
    EXPECT_EQ(sum.percentile(0), 0);
    EXPECT_EQ(sum.percentile(500), 0);
    EXPECT_EQ(sum.percentile(1000), 0);
    EXPECT_EQ(sum.max(), 0);
}

HistogramSum sum_of(const Histogram& histogram)
{
    HistogramSum sum;
    histogram.add_to(sum);
    return sum;
}

TEST(Histogram, PercentilesAreThoseOfTheValuesToASixteenth)
{
    Histogram histogram;
    for (std::int64_t value = 1; value <= 10'000; ++value)
        histogram.add(value * 1000);
    const HistogramSum sum = sum_of(histogram);
    EXPECT_EQ(sum.count(), 10'000U);
    EXPECT_EQ(sum.max(), 10'000'000);
    for (const std::uint64_t thousandths : {1U, 10U, 500U, 900U, 990U, 999U}) {
        const auto exact = static_cast<std::int64_t>(thousandths) * 10'000;
        EXPECT_GE(sum.percentile(thousandths), exact);
        EXPECT_LE(sum.percentile(thousandths), exact + exact / 16 + 1);
    }
    EXPECT_EQ(sum.percentile(1000), 10'000'000);
}

TEST(Histogram, APercentileIsNeverAboveTheLargestValue)
{
    Histogram histogram;
    histogram.add(1'000'001);
    EXPECT_EQ(sum_of(histogram).percentile(500), 1'000'001);
    EXPECT_EQ(sum_of(histogram).percentile(0), 1'000'001);
    histogram.add(3 * top);
    EXPECT_EQ(sum_of(histogram).percentile(990), 3 * top) << "beyond the buckets";
}

TEST(Histogram, OneInAHundredIsNotInTheNinetyNinthPercentile)
{
    Histogram histogram;
    for (int i = 0; i < 99; ++i)
        histogram.add(10);
    histogram.add(1'000'000);
    EXPECT_EQ(sum_of(histogram).percentile(990), 10);
    EXPECT_EQ(sum_of(histogram).percentile(991), 1'000'000);
}

TEST(Histogram, SeveralAddUp)
{
    Histogram low;
    Histogram high;
    low.add(5);
    high.add(7);
    high.add(9);
    HistogramSum sum;
    low.add_to(sum);
    high.add_to(sum);
    EXPECT_EQ(sum.count(), 3U);
    EXPECT_EQ(sum.percentile(500), 7);
    EXPECT_EQ(sum.max(), 9);
}

TEST(Histogram, IsReadWhileOneAdds)
{
    constexpr std::uint64_t adds = 100'000;
    Histogram histogram;
    std::thread adder([&] {
        for (std::uint64_t i = 0; i < adds; ++i)
            histogram.add(static_cast<std::int64_t>(i % 1000));
    });
    std::uint64_t before = 0;
    while (before != adds) {
        const std::uint64_t now = sum_of(histogram).count();
        EXPECT_GE(now, before);
        before = now;
    }
    adder.join();
    EXPECT_EQ(sum_of(histogram).max(), 999);
}

}  // namespace
