#include "base/atomics.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

using namespace execq::core;

namespace {

// A yield is an involuntary switch of contexts, a sleep a voluntary one.
long sleeps_of_thread()
{
    rusage usage{};
    EXPECT_EQ(getrusage(RUSAGE_THREAD, &usage), 0);
    return usage.ru_nvcsw;
}

// Else a thread of a real-time class would keep those of lower priority, for which it waits, from running.
TEST(StdAtomics, AThreadThatYieldsAgainAndAgainSleepsNowAndThen)
{
    constexpr long sleeps = 10;
    const long before = sleeps_of_thread();
    for (std::uint32_t i = 0; i < sleeps * StdAtomics::yields_per_sleep; ++i)
        StdAtomics::yield();
    // Who is preempted on its way to sleep is counted with the others.
    EXPECT_GE(sleeps_of_thread() - before, sleeps / 2);
}

}  // namespace
