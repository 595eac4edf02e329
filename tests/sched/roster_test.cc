#include "sched/roster.h"

#include <array>
#include <atomic>
#include <cstring>
#include <gtest/gtest.h>
#include <thread>
#include <vector>

#include "white_box.h"

using namespace execq::core;

namespace {

// Both ways to ask have to agree while nothing else happens.
bool wants_wake(Roster<>& roster, std::uint32_t max_threads)
{
    const bool wanted = roster.wants_wake(max_threads);
    EXPECT_EQ(roster.wants_wake_behind_light_fence(max_threads), wanted);
    return wanted;
}

std::uint32_t futex_value(const Roster<>& roster)
{
    std::uint32_t value = 0;
    std::memcpy(&value, roster.futex_word(), sizeof value);
    return value;
}

TEST(Roster, WantsAThreadStartedWhereThereAreFewerThanAllowed)
{
    Roster<> roster;
    EXPECT_TRUE(wants_wake(roster, 1));
    roster.add_thread();
    EXPECT_FALSE(wants_wake(roster, 1));
    EXPECT_TRUE(wants_wake(roster, 2));
    roster.remove_thread();
    EXPECT_TRUE(wants_wake(roster, 1));
}

TEST(Roster, WantsASleeperWoken)
{
    Roster<> roster;
    roster.add_thread();
    roster.add_thread();
    roster.add_sleeper();
    EXPECT_TRUE(wants_wake(roster, 2));
    roster.add_sleeper();
    roster.remove_sleeper();
    EXPECT_TRUE(wants_wake(roster, 2));
    roster.remove_sleeper();
    EXPECT_FALSE(wants_wake(roster, 2));
}

TEST(Roster, WantsNobodyWokenWhileSomebodyIsOnTheWay)
{
    Roster<> roster;
    roster.add_thread();
    roster.add_sleeper();
    EXPECT_TRUE(roster.try_begin_wake());
    EXPECT_FALSE(wants_wake(roster, 1));
    EXPECT_FALSE(wants_wake(roster, 2));
    EXPECT_TRUE(roster.end_wake(1));
    EXPECT_TRUE(wants_wake(roster, 1));
}

TEST(Roster, GivesTheWakingBitToOneAtATime)
{
    Roster<> roster;
    EXPECT_TRUE(roster.try_begin_wake());
    EXPECT_FALSE(roster.try_begin_wake());
    roster.end_wake(1);
    EXPECT_TRUE(roster.try_begin_wake());
}

TEST(Roster, TellsAtTheEndOfAWakeWhetherAnotherIsWanted)
{
    Roster<> roster;
    roster.add_thread();
    roster.try_begin_wake();
    EXPECT_FALSE(roster.end_wake(1));
    roster.try_begin_wake();
    EXPECT_TRUE(roster.end_wake(2)) << "a thread may be started";
    roster.try_begin_wake();
    EXPECT_FALSE(roster.end_wake(0)) << "no thread can be started";
    roster.try_begin_wake();
    roster.add_sleeper();
    EXPECT_TRUE(roster.end_wake(0)) << "somebody fell asleep";
}

TEST(Roster, CountsThreadsWhateverElseHappens)
{
    Roster<> roster;
    EXPECT_EQ(roster.threads(), 0U);
    roster.add_thread();
    roster.add_sleeper();
    roster.add_thread();
    roster.try_begin_wake();
    EXPECT_EQ(roster.threads(), 2U);
    EXPECT_EQ(futex_value(roster), 2U);
    roster.remove_sleeper();
    roster.remove_thread();
    EXPECT_EQ(roster.threads(), 1U);
    EXPECT_EQ(futex_value(roster), 1U);
    roster.end_wake(1);
    roster.remove_thread();
    EXPECT_EQ(roster.threads(), 0U);
    EXPECT_EQ(futex_value(roster), 0U);
}

// ---- several threads ----

TEST(Roster, GivesTheWakingBitToOneOfThreeThatTryAtOnce)
{
    constexpr unsigned threads = 3;
    Roster<> roster;
    std::array<bool, threads> won{};
    race_rounds(
        threads, sanitized ? 3'000 : 30'000, [](std::size_t) {},
        [&](unsigned role, std::size_t) { won[role] = roster.try_begin_wake(); },
        [&](std::size_t) {
            ASSERT_EQ(won[0] + won[1] + won[2], 1);
            roster.end_wake(1);
        });
}

TEST(Roster, KeepsItsCountsApart)
{
    constexpr unsigned threads = 4;
    const std::size_t rounds = stress_n(200'000, 20'000);
    Roster<> roster;
    int holders = 0;  // guarded by the waking bit
    std::vector<std::thread> others;
    for (unsigned thread = 0; thread < threads; ++thread) {
        others.emplace_back([&] {
            roster.add_thread();
            for (std::size_t i = 0; i < rounds; ++i) {
                roster.add_sleeper();
                CHECK(roster.threads() >= 1 && roster.threads() <= threads);
                if (roster.try_begin_wake()) {
                    CHECK(++holders == 1);
                    --holders;
                    CHECK(roster.end_wake(0));  // this thread is a sleeper itself
                }
                roster.remove_sleeper();
            }
        });
    }
    for (std::thread& other : others)
        other.join();
    EXPECT_EQ(roster.threads(), threads);
    EXPECT_FALSE(roster.wants_wake(threads)) << "a sleeper or the waking bit is left";
    EXPECT_TRUE(roster.try_begin_wake());
}

// A submission and a worker that falls asleep: one of them sees the other, by either way to ask.
template <class Submit, class FallAsleep>
void one_sees_the_other(std::size_t rounds, const Submit& submit, const FallAsleep& fall_asleep)
{
    Roster<> roster;
    roster.add_thread();
    std::atomic<int> task{0};
    std::array<bool, 2> saw{};
    race_rounds(
        2, rounds, [&](std::size_t) { task.store(0); },
        [&](unsigned role, std::size_t) { saw[role] = role == 0 ? submit(roster, task) : fall_asleep(roster, task); },
        [&](std::size_t) {
            CHECK(saw[0] || saw[1]);
            roster.remove_sleeper();
        });
}

TEST(Roster, ShowsASubmissionTheSleeperThatDoesNotSeeIt)
{
    one_sees_the_other(
        sanitized ? 10'000 : 100'000,
        [](Roster<>& roster, std::atomic<int>& task) {
            task.exchange(1);
            return roster.wants_wake(1);
        },
        [](Roster<>& roster, std::atomic<int>& task) {
            roster.add_sleeper();
            return task.load() != 0;
        });
}

TEST(Roster, ShowsAPlainSubmissionTheSleeperThatDoesNotSeeItBehindAHeavyFence)
{
    one_sees_the_other(
        sanitized ? 10'000 : 50'000,
        [](Roster<>& roster, std::atomic<int>& task) {
            task.store(1, std::memory_order_relaxed);
            return roster.wants_wake_behind_light_fence(1);
        },
        [](Roster<>& roster, std::atomic<int>& task) {
            roster.add_sleeper();
            StdAtomics::heavy_fence();
            return task.load(std::memory_order_relaxed) != 0;
        });
}

}  // namespace
