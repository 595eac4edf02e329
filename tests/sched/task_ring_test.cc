#include "sched/task_ring.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <gtest/gtest.h>
#include <thread>
#include <vector>

#include "white_box.h"

using namespace execq::core;

namespace {

struct Item {
    std::size_t id = 0;
    std::size_t copy = 0;  // of the id, so that an item that was seen early is noticed
    std::atomic<int> taken{0};
};

using Ids = std::vector<std::size_t>;

template <std::uint32_t capacity>
struct Batch {
    TaskRing<Item, capacity> ring;
    std::array<Item, 2 * capacity> items;

    Batch()
    {
        for (std::size_t i = 0; i < items.size(); ++i)
            items[i].id = i;
    }
    void fill(std::size_t first, std::uint32_t n)
    {
        std::array<Item*, capacity> some{};
        for (std::uint32_t i = 0; i < n; ++i)
            some[i] = &items[first + i];
        ring.fill(some.data(), n);
    }
    static Ids ids(const std::array<Item*, capacity + 1>& some, std::uint32_t n)
    {
        Ids ids;
        for (std::uint32_t i = 0; i < n; ++i)
            ids.push_back(some[i]->id);
        return ids;
    }
    Ids take(std::uint32_t n = capacity + 1)
    {
        std::array<Item*, capacity + 1> some{};
        const std::uint32_t taken = ring.take(some.data(), n);
        return ids(some, taken);
    }
    Ids take_half(std::uint32_t n = capacity + 1)
    {
        std::array<Item*, capacity + 1> some{};
        const std::uint32_t taken = ring.take_half(some.data(), n);
        return ids(some, taken);
    }
    Ids visit()
    {
        Ids ids;
        ring.for_each([&](const Item& item) { ids.push_back(item.id); });
        return ids;
    }
};

TEST(TaskRing, IsEmptyAtFirst)
{
    Batch<4> batch;
    EXPECT_TRUE(batch.ring.empty());
    EXPECT_EQ(batch.ring.take(), nullptr);
    EXPECT_EQ(batch.take(), Ids{});
    EXPECT_EQ(batch.take_half(), Ids{});
    EXPECT_EQ(batch.visit(), Ids{});
}

TEST(TaskRing, GivesTheOldestFirst)
{
    Batch<4> batch;
    batch.fill(0, 4);
    EXPECT_FALSE(batch.ring.empty());
    EXPECT_EQ(batch.ring.take(), &batch.items[0]);
    EXPECT_EQ(batch.take(2), (Ids{1, 2}));
    EXPECT_EQ(batch.ring.take(), &batch.items[3]);
    EXPECT_TRUE(batch.ring.empty());
}

TEST(TaskRing, GivesNoMoreThanIsAskedForOrThere)
{
    Batch<4> batch;
    batch.fill(0, 3);
    EXPECT_EQ(batch.take(0), Ids{});
    EXPECT_EQ(batch.take_half(0), Ids{});
    EXPECT_EQ(batch.take(), (Ids{0, 1, 2}));
}

TEST(TaskRing, GivesHalfRoundedUp)
{
    const std::array<std::size_t, 9> halves{0, 1, 1, 2, 2, 3, 3, 4, 4};
    for (std::uint32_t n = 0; n < halves.size(); ++n) {
        Batch<8> batch;
        batch.fill(0, n);
        EXPECT_EQ(batch.take_half().size(), halves[n]);
        EXPECT_EQ(batch.take().size(), n - halves[n]);
    }
}

TEST(TaskRing, GivesHalfButNoMoreThanIsAskedFor)
{
    Batch<8> batch;
    batch.fill(0, 8);
    EXPECT_EQ(batch.take_half(1), (Ids{0}));
    EXPECT_EQ(batch.take_half(3), (Ids{1, 2, 3}));
    EXPECT_EQ(batch.take_half(3), (Ids{4, 5}));
    EXPECT_EQ(batch.take_half(), (Ids{6}));
    EXPECT_EQ(batch.take_half(), (Ids{7}));
}

TEST(TaskRing, StaysAsItIsWhereNothingIsFilledIn)
{
    Batch<4> batch;
    batch.fill(0, 0);
    EXPECT_TRUE(batch.ring.empty());
}

TEST(TaskRing, GoesRoundFromEveryPlace)
{
    Batch<4> batch;
    for (std::uint32_t round = 0; round < 20; ++round) {
        const std::uint32_t n = 1 + round % 4;
        batch.fill(round % 5, n);
        Ids expected;
        for (std::uint32_t i = 0; i < n; ++i)
            expected.push_back(round % 5 + i);
        EXPECT_EQ(batch.visit(), expected);
        EXPECT_EQ(batch.take(), expected);
        EXPECT_TRUE(batch.ring.empty());
    }
}

TEST(TaskRing, ShowsWhatItHoldsAndKeepsIt)
{
    Batch<4> batch;
    batch.fill(2, 4);
    batch.ring.take();
    EXPECT_EQ(batch.visit(), (Ids{3, 4, 5}));
    EXPECT_EQ(batch.take(), (Ids{3, 4, 5}));
}

TEST(TaskRing, HoldsOneWhereItsCapacityIsOne)
{
    Batch<1> batch;
    for (std::size_t round = 0; round < 3; ++round) {
        batch.fill(round % 2, 1);
        EXPECT_EQ(batch.take_half(), (Ids{round % 2}));
        EXPECT_TRUE(batch.ring.empty());
    }
}

// ---- several threads ----

struct Shared {
    static constexpr std::uint32_t capacity = 8;
    const std::size_t rounds = stress_n(200'000, 20'000);
    TaskRing<Item, capacity> ring;
    std::vector<Item> items = std::vector<Item>(rounds * capacity);
    std::atomic<std::size_t> left{items.size()};

    struct Taker {
        Shared& shared;
        std::size_t next = 0;
        void take(Item* const* some, std::uint32_t n)
        {
            for (std::uint32_t i = 0; i < n; ++i) {
                Item& item = *some[i];
                CHECK(item.copy == item.id);
                CHECK(item.id >= next);
                next = item.id + 1;
                item.taken.fetch_add(1, std::memory_order_relaxed);
            }
            shared.left.fetch_sub(n);
        }
    };

    // Fills whenever the ring is empty, and takes one by one.
    void own()
    {
        Taker taker{*this};
        std::size_t filled = 0;
        std::size_t n = 1;
        while (left.load() != 0) {
            if (Item* item = ring.take()) {
                taker.take(&item, 1);
                continue;
            }
            n = std::min<std::size_t>(n % capacity + 1, items.size() - filled);
            std::array<Item*, capacity> some{};
            for (std::size_t i = 0; i < n; ++i) {
                some[i] = &items[filled + i];
                some[i]->id = some[i]->copy = filled + i;
            }
            ring.fill(some.data(), static_cast<std::uint32_t>(n));
            filled += n;
            if (n == 0)
                std::this_thread::yield();
        }
    }
    void steal(bool half)
    {
        Taker taker{*this};
        while (left.load() != 0) {
            std::array<Item*, capacity> some{};
            const std::uint32_t n = half ? ring.take_half(some.data(), capacity) : ring.take(some.data(), 2);
            taker.take(some.data(), n);
            if (n == 0)
                std::this_thread::yield();
        }
    }
};

TEST(TaskRing, GivesEachItemOnceToItsOwnerOrOneOfTwoThieves)
{
    Shared shared;
    std::thread first([&] { shared.steal(true); });
    std::thread second([&] { shared.steal(false); });
    shared.own();
    first.join();
    second.join();
    for (const Item& item : shared.items)
        ASSERT_EQ(item.taken.load(), 1);
    EXPECT_TRUE(shared.ring.empty());
}

TEST(TaskRing, IsVisitedWhileItsOwnerAndAThiefGoOn)
{
    Shared shared;
    std::thread thief([&] { shared.steal(true); });
    std::thread visitor([&] {
        while (shared.left.load() != 0) {
            std::uint32_t visited = 0;
            shared.ring.for_each([&](const Item& item) {
                CHECK(item.copy == item.id);
                ++visited;
            });
            CHECK(visited <= Shared::capacity);
        }
    });
    shared.own();
    thief.join();
    visitor.join();
    for (const Item& item : shared.items)
        ASSERT_EQ(item.taken.load(), 1);
}

}  // namespace
