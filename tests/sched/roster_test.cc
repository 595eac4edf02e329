#include "sched/roster.h"

#include <array>
#include <atomic>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
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

TEST(Roster, WantsNobodyWokenWhileOneNapsAndAnotherIsAwake)
{
    Roster<> roster;
    roster.add_thread();
    roster.add_thread();
    roster.add_thread();
    roster.add_sleeper();
    roster.add_sleeper(true);
    EXPECT_FALSE(wants_wake(roster, 3));
    EXPECT_FALSE(wants_wake(roster, 4));
    roster.add_sleeper();
    EXPECT_TRUE(wants_wake(roster, 3)) << "nobody is awake";
    roster.remove_sleeper();
    roster.remove_sleeper(true);
    EXPECT_TRUE(wants_wake(roster, 3));
    roster.remove_sleeper();
    EXPECT_FALSE(wants_wake(roster, 3));
}

TEST(Roster, CountsWhoIsAwake)
{
    Roster<> roster;
    EXPECT_EQ(roster.awake(), 0U);
    roster.add_thread();
    roster.add_thread();
    EXPECT_EQ(roster.awake(), 2U);
    roster.add_sleeper(true);
    roster.try_begin_wake();
    EXPECT_EQ(roster.awake(), 1U);
    roster.add_sleeper();
    EXPECT_EQ(roster.awake(), 0U);
    roster.end_wake(2);
    roster.remove_sleeper(true);
    EXPECT_EQ(roster.awake(), 1U);
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

TEST(Roster, GivesTheWakingBitToOneOfTwoThatTryAtOnce)
{
    Roster<> roster;
    std::array<bool, 2> won{};
    race_rounds(
        2, sanitized ? 10'000 : 200'000, [](std::size_t) {},
        [&](unsigned role, std::size_t) { won[role] = roster.try_begin_wake(); },
        [&](std::size_t) {
            CHECK(won[0] != won[1]);
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

// Submissions by one thread, as fast as it can, and a worker that falls asleep and gets up: a submission that the sleeper
// does not see when it looks sees the sleeper. They do not wait for each other, so that the steps of one meet those of
// the other in every way.
class Meeting {
public:
    explicit Meeting(std::size_t sleeps) : sleeps_left_(sleeps) { roster_.add_thread(); }

    // submit(roster, task, number): whether it saw a sleeper.
    template <class Submit>
    void submit_all(const Submit& submit)
    {
        for (std::uint64_t number = 1; !over_.load(std::memory_order_relaxed); ++number) {
            const bool saw = submit(roster_, task_, number);
            saw_[number % saw_.size()].store(number * 2 + (saw ? 1 : 0), std::memory_order_relaxed);
            done_.store(number, std::memory_order_release);
            if (number % 256 == 0)
                std::this_thread::yield();  // for where there is one processor
        }
    }
    // look(task): the last submission that the sleeper sees.
    template <class Look>
    void sleep_all(const Look& look)
    {
        while (sleeps_left_ != 0) {
            roster_.add_sleeper();
            const std::uint64_t missed = look(task_) + 1;
            while (done_.load(std::memory_order_acquire) < missed)
                std::this_thread::yield();
            const std::uint64_t saw = saw_[missed % saw_.size()].load(std::memory_order_relaxed);
            if (saw / 2 == missed) {  // not overwritten yet
                CHECK(saw % 2 == 1);
                --sleeps_left_;
            }
            roster_.remove_sleeper();
        }
        over_.store(true, std::memory_order_relaxed);
    }

private:
    Roster<> roster_;
    alignas(64) std::atomic<std::uint64_t> task_{0};  // the newest
    alignas(64) std::atomic<std::uint64_t> done_{0};
    std::array<std::atomic<std::uint64_t>, 1 << 16> saw_{};
    std::size_t sleeps_left_;
    std::atomic<bool> over_{false};
};

TEST(Roster, ShowsASubmissionTheSleeperThatDoesNotSeeIt)
{
    const auto meeting = std::make_unique<Meeting>(sanitized ? 10'000 : 100'000);
    std::thread sleeper(
        [&] { meeting->sleep_all([](const std::atomic<std::uint64_t>& task) { return task.load(); }); });
    meeting->submit_all([](const Roster<>& roster, std::atomic<std::uint64_t>& task, std::uint64_t number) {
        task.exchange(number);
        return roster.wants_wake(1);
    });
    sleeper.join();
}

TEST(Roster, ShowsAPlainSubmissionTheSleeperThatDoesNotSeeItBehindAHeavyFence)
{
    const auto meeting = std::make_unique<Meeting>(sanitized ? 10'000 : 100'000);
    std::thread sleeper([&] {
        meeting->sleep_all([](const std::atomic<std::uint64_t>& task) {
            StdAtomics::heavy_fence();
            return task.load(std::memory_order_relaxed);
        });
    });
    meeting->submit_all([](Roster<>& roster, std::atomic<std::uint64_t>& task, std::uint64_t number) {
        task.store(number, std::memory_order_relaxed);
        return roster.wants_wake_behind_light_fence(1);
    });
    sleeper.join();
}

}  // namespace
