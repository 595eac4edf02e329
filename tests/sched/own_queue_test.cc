#include "sched/own_queue.h"

#include <array>
#include <atomic>
#include <gtest/gtest.h>
#include <thread>
#include <vector>

#include "base/biased_lock.h"
#include "white_box.h"

using namespace execq::core;

namespace {

struct Item {
    std::size_t id = 0;
    int taken = 0;
};

using Ids = std::vector<std::size_t>;

struct Own {
    OwnQueue<Item, 4> queue;
    std::array<Item, 8> items;

    Own()
    {
        for (std::size_t i = 0; i < items.size(); ++i)
            items[i].id = i;
    }
    bool push(std::size_t i) { return queue.push(&items[i]); }
    Ids take_oldest(std::uint32_t n)
    {
        std::array<Item*, 8> some{};
        const std::uint32_t taken = queue.take_oldest(some.data(), n);
        Ids ids;
        for (std::uint32_t i = 0; i < taken; ++i)
            ids.push_back(some[i]->id);
        return ids;
    }
    Ids visit() const
    {
        Ids ids;
        queue.for_each([&](const Item& item) { ids.push_back(item.id); });
        return ids;
    }
};

TEST(OwnQueue, IsEmptyAtFirst)
{
    Own own;
    EXPECT_EQ(own.queue.size(), 0U);
    EXPECT_EQ(own.queue.pop(), nullptr);
    EXPECT_EQ(own.take_oldest(4), Ids{});
    EXPECT_EQ(own.visit(), Ids{});
    EXPECT_EQ(own.queue.size(), 0U);
}

TEST(OwnQueue, GivesItsOwnerTheNewest)
{
    Own own;
    own.push(0);
    own.push(1);
    own.push(2);
    EXPECT_EQ(own.queue.pop(), &own.items[2]);
    own.push(3);
    EXPECT_EQ(own.queue.pop(), &own.items[3]);
    EXPECT_EQ(own.queue.pop(), &own.items[1]);
    EXPECT_EQ(own.queue.pop(), &own.items[0]);
    EXPECT_EQ(own.queue.pop(), nullptr);
}

TEST(OwnQueue, GivesOthersTheOldest)
{
    Own own;
    for (std::size_t i = 0; i < 4; ++i)
        own.push(i);
    EXPECT_EQ(own.take_oldest(0), Ids{});
    EXPECT_EQ(own.take_oldest(1), (Ids{0}));
    EXPECT_EQ(own.queue.pop(), &own.items[3]);
    EXPECT_EQ(own.take_oldest(8), (Ids{1, 2}));
    EXPECT_EQ(own.queue.pop(), nullptr);
}

TEST(OwnQueue, RefusesWhatItHasNoRoomFor)
{
    Own own;
    for (std::size_t i = 0; i < 4; ++i)
        EXPECT_TRUE(own.push(i));
    EXPECT_FALSE(own.push(4));
    EXPECT_EQ(own.queue.size(), 4U);
    EXPECT_EQ(own.take_oldest(1), (Ids{0}));
    EXPECT_TRUE(own.push(5));
    EXPECT_EQ(own.take_oldest(4), (Ids{1, 2, 3, 5}));
}

TEST(OwnQueue, TellsItsSizeAfterEachChange)
{
    Own own;
    own.push(0);
    EXPECT_EQ(own.queue.size(), 1U);
    own.push(1);
    own.push(2);
    EXPECT_EQ(own.queue.size(), 3U);
    own.queue.pop();
    EXPECT_EQ(own.queue.size(), 2U);
    own.take_oldest(1);
    EXPECT_EQ(own.queue.size(), 1U);
    own.take_oldest(4);
    EXPECT_EQ(own.queue.size(), 0U);
}

TEST(OwnQueue, GoesRoundFromEveryPlace)
{
    Own own;
    for (std::size_t round = 0; round < 40; ++round) {
        const std::size_t n = 1 + round % 4;
        Ids expected;
        for (std::size_t i = 0; i < n; ++i) {
            EXPECT_TRUE(own.push(round % 5 + i));
            expected.push_back(round % 5 + i);
        }
        EXPECT_EQ(own.visit(), expected);
        EXPECT_EQ(own.queue.pop(), &own.items[expected.back()]);
        expected.pop_back();
        EXPECT_EQ(own.take_oldest(4), expected);
        EXPECT_EQ(own.queue.size(), 0U);
    }
}

// ---- under the lock that guards it ----

TEST(OwnQueue, GivesEachItemOnceToItsOwnerOrOneOfTwoThieves)
{
    const std::size_t count = stress_n(2'000'000, 100'000);
    std::vector<Item> items(count);
    OwnQueue<Item, 64> queue;
    Mutex guests;
    BiasedLock<> lock(guests);
    std::atomic<std::size_t> left{count};
    const auto take = [&](Item* const* some, std::uint32_t n) {
        for (std::uint32_t i = 0; i < n; ++i)
            ++some[i]->taken;
        left.fetch_sub(n);
    };
    const auto steal = [&] {
        while (left.load() != 0) {
            std::array<Item*, 32> some{};
            std::uint32_t n = 0;
            if (queue.size() != 0)
                n = lock.as_guest([&] { return queue.take_oldest(some.data(), some.size()); });
            take(some.data(), n);
            if (n == 0)
                std::this_thread::yield();
        }
    };
    std::thread first(steal);
    std::thread second(steal);
    for (std::size_t next = 0; left.load() != 0;) {
        // Two steps forth, one back.
        for (int step = 0; step < 2 && next < count; ++step)
            next += lock.as_owner([&] { return queue.push(&items[next]); }) ? 1 : 0;
        Item* item = lock.as_owner([&] { return queue.pop(); });
        take(&item, item != nullptr ? 1 : 0);
    }
    first.join();
    second.join();
    EXPECT_EQ(queue.size(), 0U);
    for (const Item& item : items)
        ASSERT_EQ(item.taken, 1);
}

}  // namespace
