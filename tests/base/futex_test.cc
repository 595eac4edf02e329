#include "base/futex.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <gtest/gtest.h>
#include <thread>

#include "white_box.h"

using namespace execq::core;

namespace {

TEST(Futex, DoesNotSleepOnAWordThatChanged)
{
    const std::atomic<std::uint32_t> word{1};
    futex_wait(&word, 0, Deadline::after(-1));
    SUCCEED() << "it came back";
}

TEST(Futex, SleepsUntilTheDeadlineAndNotLess)
{
    const std::atomic<std::uint32_t> word{0};
    const std::int64_t before = now_ns();
    const Deadline deadline = Deadline::after(2'000'000);
    while (!deadline.passed())
        futex_wait(&word, 0, deadline);
    EXPECT_GE(now_ns() - before, 2'000'000);
}

TEST(Futex, WakesAllWhoSleep)
{
    constexpr int sleepers = 4;
    std::atomic<std::uint32_t> word{0};
    Semaphore awake;
    std::array<std::thread, sleepers> threads;
    for (std::thread& thread : threads) {
        thread = std::thread([&] {
            while (word.load() == 0)
                futex_wait(&word, 0, Deadline::after(-1));
            awake.post();
        });
    }
    word.store(1);
    futex_wake_all(&word);
    awake.take(sleepers);
    for (std::thread& thread : threads)
        thread.join();
}

TEST(Parker, DoesNotParkWithAPermit)
{
    Parker parker;
    parker.unpark();
    parker.park();
    parker.unpark();
    parker.park();
}

TEST(Parker, HoldsOnePermitAtMost)
{
    for (int round = 0; round < 100; ++round) {
        Parker parker;
        parker.unpark();
        parker.unpark();
        parker.park();
        std::atomic<bool> given{false};
        std::thread other([&] {
            given.store(true);
            parker.unpark();
        });
        parker.park();
        EXPECT_TRUE(given.load()) << "the second permit was still there";
        other.join();
    }
}

TEST(Parker, ShowsTheWritesMadeBeforeUnpark)
{
    const std::size_t rounds = sanitized ? 1'000 : 20'000;
    Parker parker;
    Parker reply;
    std::size_t message = 0;  // no atomic: the permit orders it
    std::thread other([&] {
        for (std::size_t round = 1; round <= rounds; ++round) {
            message = round;
            parker.unpark();
            reply.park();
        }
    });
    for (std::size_t round = 1; round <= rounds; ++round) {
        parker.park();
        ASSERT_EQ(message, round);
        reply.unpark();
    }
    other.join();
}

TEST(Parker, PlaysPingPongWithoutLosingAWake)
{
    const std::size_t rounds = stress_n(1'000'000, 10'000) / 2;  // two wakes in each
    Parker ping;
    Parker pong;
    std::thread other([&] {
        for (std::size_t round = 0; round < rounds; ++round) {
            ping.park();
            pong.unpark();
        }
    });
    for (std::size_t round = 0; round < rounds; ++round) {
        ping.unpark();
        pong.park();
    }
    other.join();
}

// Unlike in ping-pong the permit comes at any moment of park(), also while the one before is being taken.
TEST(Parker, LosesNoWakeThatRacesWithParking)
{
    const std::size_t total = sanitized ? 10'000 : 300'000;
    Parker parker;
    std::atomic<std::size_t> offered{0};
    std::atomic<std::size_t> seen{0};
    std::thread other([&] {
        for (std::size_t i = 1; i <= total; ++i) {
            offered.store(i);
            parker.unpark();
            spin(i % 50);
            while (i - seen.load() > 3)
                std::this_thread::yield();
        }
    });
    while (seen.load() != total) {
        parker.park();
        seen.store(offered.load());
    }
    other.join();
}

// A lost wake leaves the thread asleep for ever.
TEST(Parker, WakesOnceForEachPermitHoweverTheyMeet)
{
    Parker parker;
    race_rounds(
        2, stress_n(1'000'000, 20'000), [](std::size_t) {},
        [&](unsigned role, std::size_t) {
            if (role == 0)
                parker.park();
            else
                parker.unpark();
        },
        [](std::size_t) {});
}

}  // namespace
