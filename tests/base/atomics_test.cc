#include "base/atomics.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

using namespace execq::core;

namespace {

thread_local long sleeps = 0;

}  // namespace

// Stands before the system's function of that name.
extern "C" int nanosleep(const timespec* time, timespec* left)
{
    static const auto original = reinterpret_cast<decltype(&nanosleep)>(dlsym(RTLD_NEXT, "nanosleep"));
    ++sleeps;
    return original(time, left);
}

namespace {

// Else a thread of a real-time class would keep those of lower priority, for which it waits, from running.
TEST(StdAtomics, AThreadThatYieldsAgainAndAgainSleepsNowAndThen)
{
    constexpr long wanted = 10;
    const long before = sleeps;
    for (std::uint32_t i = 0; i < wanted * StdAtomics::yields_per_sleep; ++i)
        StdAtomics::yield();
    EXPECT_EQ(sleeps - before, wanted);
}

}  // namespace
