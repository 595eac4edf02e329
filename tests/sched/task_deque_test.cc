#include "sched/task_deque.h"

#include <array>
#include <atomic>
#include <gtest/gtest.h>
#include <thread>
#include <vector>

#include "base/biased_lock.h"
#include "white_box.h"

using namespace execq::core;

namespace {

// A task that is known by its env.
Item item_of(std::size_t id)
{
    return {[](void*, void**) { return 0; }, reinterpret_cast<void*>(id + 1)};
}
std::size_t id_of(Item item) { return reinterpret_cast<std::size_t>(item.env) - 1; }

using Ids = std::vector<std::size_t>;

constexpr std::size_t none = static_cast<std::size_t>(-1);

struct Own {
    TaskDeque<4> queue;

    bool push(std::size_t i) { return queue.push(item_of(i)); }
    void fill(const Ids& ids)
    {
        std::array<Slot, 4> slots;
        for (std::size_t i = 0; i < ids.size(); ++i)
            slots[i].put(item_of(ids[i]));
        queue.fill(slots.data(), static_cast<std::uint32_t>(ids.size()));
    }
    std::size_t pop()
    {
        const Item item = queue.pop();
        return item ? id_of(item) : none;
    }
    std::size_t pop_oldest()
    {
        const Item item = queue.pop_oldest();
        return item ? id_of(item) : none;
    }
    Ids take_oldest(std::uint32_t n)
    {
        std::array<Slot, 8> some;
        const std::uint32_t taken = queue.take_oldest(some.data(), n);
        Ids ids;
        for (std::uint32_t i = 0; i < taken; ++i)
            ids.push_back(id_of(some[i].get()));
        return ids;
    }
    Ids visit() const
    {
        Ids ids;
        queue.for_each([&](Item item) { ids.push_back(id_of(item)); });
        return ids;
    }
};

TEST(TaskDeque, IsEmptyAtFirst)
{
    Own own;
    EXPECT_EQ(own.queue.size(), 0U);
    EXPECT_EQ(own.pop(), none);
    EXPECT_EQ(own.take_oldest(4), Ids{});
    EXPECT_EQ(own.visit(), Ids{});
    EXPECT_EQ(own.queue.size(), 0U);
}

TEST(TaskDeque, GivesItsOwnerTheNewest)
{
    Own own;
    own.push(0);
    own.push(1);
    own.push(2);
    EXPECT_EQ(own.pop(), 2U);
    own.push(3);
    EXPECT_EQ(own.pop(), 3U);
    EXPECT_EQ(own.pop(), 1U);
    EXPECT_EQ(own.pop(), 0U);
    EXPECT_EQ(own.pop(), none);
}

TEST(TaskDeque, GivesOthersTheOldest)
{
    Own own;
    for (std::size_t i = 0; i < 4; ++i)
        own.push(i);
    EXPECT_EQ(own.take_oldest(0), Ids{});
    EXPECT_EQ(own.take_oldest(1), (Ids{0}));
    EXPECT_EQ(own.pop(), 3U);
    EXPECT_EQ(own.take_oldest(8), (Ids{1, 2}));
    EXPECT_EQ(own.pop(), none);
}

TEST(TaskDeque, RefusesWhatItHasNoRoomFor)
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

TEST(TaskDeque, TellsItsSizeAfterEachChange)
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

TEST(TaskDeque, GoesRoundFromEveryPlace)
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
        EXPECT_EQ(own.pop(), expected.back());
        expected.pop_back();
        EXPECT_EQ(own.take_oldest(4), expected);
        EXPECT_EQ(own.queue.size(), 0U);
    }
}

TEST(TaskDeque, GivesTheOldestOneByOneAndCountsThem)
{
    Own own;
    EXPECT_EQ(own.pop_oldest(), none);
    own.fill({0, 1, 2});
    EXPECT_EQ(own.queue.taken(), 0U);
    EXPECT_EQ(own.pop_oldest(), 0U);
    EXPECT_EQ(own.queue.taken(), 1U);
    EXPECT_EQ(own.pop(), 2U);
    EXPECT_EQ(own.queue.taken(), 1U) << "the newest is not from that end";
    EXPECT_EQ(own.take_oldest(4), (Ids{1}));
    EXPECT_EQ(own.queue.taken(), 2U);
}

TEST(TaskDeque, IsFilledBehindWhatItHolds)
{
    Own own;
    own.push(7);
    own.fill({8, 9});
    own.fill({});
    EXPECT_EQ(own.visit(), (Ids{7, 8, 9}));
    EXPECT_EQ(own.queue.size(), 3U);
    own.fill({3});
    EXPECT_FALSE(own.push(4));
    EXPECT_EQ(own.take_oldest(4), (Ids{7, 8, 9, 3}));
}

// ---- under the lock that guards it ----

TEST(TaskDeque, GivesEachItemOnceToItsOwnerOrOneOfTwoThieves)
{
    const std::size_t count = stress_n(2'000'000, 100'000);
    std::vector<int> times(count);
    TaskDeque<64> queue;
    Mutex guests;
    BiasedLock<> lock(guests);
    std::atomic<std::size_t> left{count};
    const auto note = [&](Item item) {
        ++times[id_of(item)];
        left.fetch_sub(1);
    };
    const auto steal = [&] {
        while (left.load() != 0) {
            std::array<Slot, 32> some;
            std::uint32_t n = 0;
            if (queue.size() != 0)
                n = lock.as_guest([&] { return queue.take_oldest(some.data(), some.size()); });
            for (std::uint32_t i = 0; i < n; ++i)
                note(some[i].get());
            if (n == 0)
                std::this_thread::yield();
        }
    };
    std::thread first(steal);
    std::thread second(steal);
    for (std::size_t next = 0; left.load() != 0;) {
        // Two steps forth, one back, at this end or at that.
        for (int step = 0; step < 2 && next < count; ++step)
            next += lock.as_owner([&] { return queue.push(item_of(next)); }) ? 1 : 0;
        const Item item = next % 8 == 0 ? lock.as_owner([&] { return queue.pop_oldest(); })
                                        : lock.as_owner([&] { return queue.pop(); });
        if (item)
            note(item);
    }
    first.join();
    second.join();
    EXPECT_EQ(queue.size(), 0U);
    for (const int n : times)
        ASSERT_EQ(n, 1);
}

}  // namespace
