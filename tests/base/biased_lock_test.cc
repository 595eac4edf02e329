#include "base/biased_lock.h"

#include <array>
#include <atomic>
#include <gtest/gtest.h>
#include <stdexcept>
#include <thread>
#include <vector>

#include "white_box.h"

using namespace execq::core;

namespace {

TEST(BiasedLock, ReturnsWhatTheActionReturns)
{
    BiasedLock<> lock;
    EXPECT_EQ(lock.as_owner([] { return 1; }), 1);
    EXPECT_EQ(lock.as_guest([] { return 2; }), 2);
    int runs = 0;
    lock.as_owner([&] { ++runs; });
    lock.as_guest([&] { ++runs; });
    EXPECT_EQ(runs, 2);
}

// Each step would wait for ever if the one before had left the lock taken.
TEST(BiasedLock, IsFreeAfterAnActionThatThrows)
{
    BiasedLock<> lock;
    EXPECT_THROW(lock.as_owner([] { throw std::runtime_error("owner"); }), std::runtime_error);
    EXPECT_THROW(lock.as_guest([] { throw std::runtime_error("guest"); }), std::runtime_error);
    EXPECT_EQ(lock.as_owner([] { return 1; }), 1);
    EXPECT_EQ(lock.as_guest([] { return 2; }), 2);
}

TEST(BiasedLock, LetsOneGuestHoldSeveral)
{
    std::array<BiasedLock<>, 3> locks;
    for (BiasedLock<>& lock : locks)
        lock.lock_as_guest();
    for (BiasedLock<>& lock : locks)
        lock.unlock_as_guest();
    for (BiasedLock<>& lock : locks)
        EXPECT_EQ(lock.as_owner([] { return 1; }), 1);
}

TEST(BiasedLock, KeepsItsOwnerOutWhileAGuestHoldsIt)
{
    BiasedLock<> lock;
    bool left = false;
    lock.lock_as_guest();
    Semaphore coming;
    std::thread owner([&] {
        coming.post();
        lock.as_owner([&] { EXPECT_TRUE(left); });
    });
    coming.take();
    // Long enough for an owner that does not wait.
    for (int i = 0; i < 1000; ++i)
        std::this_thread::yield();
    left = true;
    lock.unlock_as_guest();
    owner.join();
}

TEST(BiasedLock, IsFreeAfterAnOwnerThatThrowsWhereItHadToWait)
{
    BiasedLock<> lock;
    // Until the owner has once found a guest's request, and taken the slow way.
    for (bool waited = false; !waited;) {
        std::atomic<bool> held{true};
        lock.lock_as_guest();
        Semaphore coming;
        std::thread owner([&] {
            coming.post();
            waited = held.load();
            EXPECT_THROW(lock.as_owner([] { throw std::runtime_error("owner"); }), std::runtime_error);
            EXPECT_EQ(lock.as_owner([] { return 1; }), 1);
        });
        coming.take();
        for (int i = 0; i < 1000; ++i)
            std::this_thread::yield();
        held.store(false);
        lock.unlock_as_guest();
        owner.join();
    }
    EXPECT_EQ(lock.as_guest([] { return 2; }), 2);
}

TEST(BiasedLock, KeepsGuestsOutWhileItsOwnerActs)
{
    BiasedLock<> lock;
    bool acted = false;
    Gate inside;
    std::thread owner([&] {
        lock.as_owner([&] {
            inside.pass();
            for (int i = 0; i < 1000; ++i)
                std::this_thread::yield();
            acted = true;
        });
    });
    inside.await();
    inside.open();
    lock.as_guest([&] { EXPECT_TRUE(acted); });
    owner.join();
}

// The owner goes in and out as fast as it can, until the guests have had their turns.
TEST(BiasedLock, CountsEachTurnOfItsOwnerAndTwoGuests)
{
    constexpr unsigned guests = 2;
    const std::size_t guest_turns = stress_n(150'000, 5'000);
    BiasedLock<> lock;
    std::size_t count = 0;
    std::atomic<unsigned> guests_left{guests};
    std::vector<std::thread> threads;
    for (unsigned guest = 0; guest < guests; ++guest) {
        threads.emplace_back([&] {
            for (std::size_t i = 0; i < guest_turns; ++i)
                lock.as_guest([&] { ++count; });
            guests_left.fetch_sub(1);
        });
    }
    std::size_t owner_turns = 0;
    for (; guests_left.load() != 0; ++owner_turns) {
        lock.as_owner([&] { ++count; });
        if (owner_turns % 256 == 0)
            std::this_thread::yield();  // for where there is one processor
    }
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(count, owner_turns + guests * guest_turns);
}

// Each thread owns one lock, and now and then takes all of them as a guest, its own too.
TEST(BiasedLock, LetsOwnersTakeEachOthersInOneOrder)
{
    constexpr unsigned owners = 2;
    const std::size_t rounds = stress_n(30'000, 3'000);
    std::array<BiasedLock<>, owners> locks;
    std::array<std::size_t, owners> counts{};
    const auto own = [&](unsigned number) {
        for (std::size_t i = 0; i < rounds; ++i) {
            for (int turn = 0; turn < 10; ++turn)
                locks[number].as_owner([&] { ++counts[number]; });
            for (BiasedLock<>& lock : locks)
                lock.lock_as_guest();
            for (std::size_t& count : counts)
                ++count;
            for (BiasedLock<>& lock : locks)
                lock.unlock_as_guest();
        }
    };
    std::thread other(own, 1U);
    own(0);
    other.join();
    for (const std::size_t count : counts)
        EXPECT_EQ(count, rounds * (10 + owners));
}

}  // namespace
