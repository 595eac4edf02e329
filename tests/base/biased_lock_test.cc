#include "base/biased_lock.h"

#include <array>
#include <atomic>
#include <gtest/gtest.h>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "white_box.h"

using namespace execq::core;

namespace {

// A lock with a mutex of its own.
struct Alone {
    Mutex guests;
    BiasedLock<> lock{guests};
};

// Locks with one mutex.
template <std::size_t N>
struct Group {
    Mutex guests;
    std::vector<std::unique_ptr<BiasedLock<>>> locks;

    Group()
    {
        while (locks.size() < N)
            locks.push_back(std::make_unique<BiasedLock<>>(guests));
    }
    void lock_all() { BiasedLock<>::lock_all_as_guest(guests, each()); }
    void unlock_all() { BiasedLock<>::unlock_all_as_guest(guests, each()); }

private:
    auto each()
    {
        return [this](const auto& visit) {
            for (const auto& lock : locks)
                visit(*lock);
        };
    }
};

TEST(BiasedLock, ReturnsWhatTheActionReturns)
{
    Alone alone;
    BiasedLock<>& lock = alone.lock;
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
    Alone alone;
    BiasedLock<>& lock = alone.lock;
    EXPECT_THROW(lock.as_owner([] { throw std::runtime_error("owner"); }), std::runtime_error);
    EXPECT_THROW(lock.as_guest([] { throw std::runtime_error("guest"); }), std::runtime_error);
    EXPECT_EQ(lock.as_owner([] { return 1; }), 1);
    EXPECT_EQ(lock.as_guest([] { return 2; }), 2);
}

// More than ThreadSanitizer lets a thread hold mutexes.
TEST(BiasedLock, LetsOneGuestHoldAHundred)
{
    Group<100> group;
    group.lock_all();
    group.unlock_all();
    for (const auto& lock : group.locks) {
        EXPECT_EQ(lock->as_owner([] { return 1; }), 1);
        EXPECT_EQ(lock->as_guest([] { return 2; }), 2);
    }
}

TEST(BiasedLock, KeepsEachOwnerOutWhileAGuestHoldsAll)
{
    constexpr std::size_t owners = 3;
    Group<owners> group;
    bool left = false;
    group.lock_all();
    Semaphore coming;
    std::vector<std::thread> threads;
    for (const auto& lock : group.locks) {
        threads.emplace_back([&] {
            coming.post();
            lock->as_owner([&] { EXPECT_TRUE(left); });
        });
    }
    coming.take(owners);
    // Long enough for an owner that does not wait.
    for (int i = 0; i < 1000; ++i)
        std::this_thread::yield();
    left = true;
    group.unlock_all();
    for (std::thread& thread : threads)
        thread.join();
}

TEST(BiasedLock, KeepsItsOwnerOutWhileAGuestHoldsIt)
{
    Alone alone;
    BiasedLock<>& lock = alone.lock;
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
    Alone alone;
    BiasedLock<>& lock = alone.lock;
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
    Alone alone;
    BiasedLock<>& lock = alone.lock;
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
    Alone alone;
    BiasedLock<>& lock = alone.lock;
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

// Each thread owns one lock, and now and then takes all of them as a guest, its own too, or the next one's alone.
TEST(BiasedLock, LetsOwnersTakeEachOthers)
{
    constexpr std::size_t owners = 2;
    const std::size_t rounds = stress_n(30'000, 3'000);
    Group<owners> group;
    std::array<std::size_t, owners> counts{};
    const auto own = [&](std::size_t number) {
        const std::size_t next = (number + 1) % owners;
        for (std::size_t i = 0; i < rounds; ++i) {
            for (int turn = 0; turn < 10; ++turn)
                group.locks[number]->as_owner([&] { ++counts[number]; });
            group.lock_all();
            for (std::size_t& count : counts)
                ++count;
            group.unlock_all();
            group.locks[next]->as_guest([&] { ++counts[next]; });
        }
    };
    std::thread other(own, std::size_t{1});
    own(0);
    other.join();
    for (const std::size_t count : counts)
        EXPECT_EQ(count, rounds * (10 + owners + 1));
}

}  // namespace
