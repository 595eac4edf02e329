#include "sched/cpus.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <sched.h>
#include <string_view>
#include <thread>
#include <utility>

using namespace execq::core;

namespace {

TEST(Cpus, OfAQuotaAreRoundedUp)
{
    const std::pair<std::string_view, std::uint32_t> table[] = {
        {"100000 100000\n", 1}, {"100000 100000", 1},     {"100001 100000\n", 2},
        {"200000 100000\n", 2}, {"150000 100000\n", 2},   {"1 100000\n", 1},
        {"50000 100000\n", 1},  {"6400000 100000\n", 64}, {"7 3", 3},
        {"1000000 1", 1000000},
    };
    for (const auto& [line, cpus] : table)
        EXPECT_EQ(cpus_of_quota(line), cpus) << line;
}

TEST(Cpus, AreNotLimitedByWhatIsNoQuota)
{
    for (const std::string_view line : {"max 100000\n",
                                        "max",
                                        "",
                                        "\n",
                                        " ",
                                        "100000",
                                        "100000 ",
                                        "100000\n",
                                        "100000 \n",
                                        " 100000 100000",
                                        "-1 100000",
                                        "100000 -1",
                                        "0 100000",
                                        "100000 0",
                                        "abc 100000",
                                        "100000 abc",
                                        "100000,100000",
                                        "99999999999999999999999 100000",
                                        "100000 99999999999999999999999",
                                        "+5 100000",
                                        "0x10 1"})
        EXPECT_EQ(cpus_of_quota(line), 0U) << line;
}

TEST(Cpus, OfAHugeQuotaDoNotOverflow)
{
    EXPECT_EQ(cpus_of_quota("18446744073709551615 1"), 1U << 20);
    EXPECT_EQ(cpus_of_quota("18446744073709551615 18446744073709551615"), 1U);
    EXPECT_EQ(cpus_of_quota("4294967297 1"), 1U << 20) << "cut to 32 bits it would be 1";
}

TEST(Cpus, AreReadFromTheLineAndNotBeyond)
{
    const std::string_view text = "200000 100000";
    EXPECT_EQ(cpus_of_quota(text.substr(0, 12)), 20U);
    EXPECT_EQ(cpus_of_quota(text.substr(0, 7)), 0U);
    EXPECT_EQ(cpus_of_quota(text.substr(0, 6)), 0U);
}

TEST(Cpus, AreAtLeastOneAndAtMostThoseOfTheAffinityMask)
{
    cpu_set_t set;
    ASSERT_EQ(sched_getaffinity(0, sizeof set, &set), 0);
    EXPECT_GE(usable_cpus(), 1U);
    EXPECT_LE(usable_cpus(), static_cast<std::uint32_t>(CPU_COUNT(&set)));
}

TEST(Cpus, FollowTheAffinityMask)
{
    std::thread thread([] {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(static_cast<std::size_t>(sched_getcpu()), &one);
        ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
        EXPECT_EQ(usable_cpus(), 1U);
        EXPECT_EQ(default_threads(), 5U);
    });
    thread.join();
}

TEST(Cpus, MakeTheDefaultNumberOfThreads)
{
    EXPECT_EQ(default_threads(), std::min<std::uint32_t>(32, usable_cpus() + 4));
}

}  // namespace
