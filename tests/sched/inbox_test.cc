#include "sched/inbox.h"

#include <array>
#include <atomic>
#include <gtest/gtest.h>
#include <memory>
#include <thread>
#include <vector>

#include "white_box.h"

using namespace execq::core;

namespace {

struct Letter {
    std::atomic<Letter*> next{nullptr};
    unsigned producer = 0;
    std::size_t id = 0;
};

using Ids = std::vector<std::size_t>;
using Letters = Inbox<Letter>;

struct Box {
    Letters inbox;
    std::array<Letter, 6> letters;

    Box()
    {
        for (std::size_t i = 0; i < letters.size(); ++i)
            letters[i].id = i;
    }
    bool push(std::size_t i, bool force = false) { return inbox.push(letters[i], letters[i], force); }
    void link(std::size_t first, std::size_t last)
    {
        for (std::size_t i = first; i < last; ++i)
            letters[i].next.store(&letters[i + 1]);
    }
    bool push_chain(std::size_t first, std::size_t last)
    {
        link(first, last);
        return inbox.push(letters[first], letters[last]);
    }
    Ids take(std::uint32_t n = 6)
    {
        std::array<Letter*, 6> taken{};
        const std::uint32_t count = inbox.take(taken.data(), n);
        Ids ids;
        for (std::uint32_t i = 0; i < count; ++i)
            ids.push_back(taken[i]->id);
        return ids;
    }
    Ids take_all()
    {
        Ids all;
        while (!inbox.empty()) {
            const Ids some = take();
            all.insert(all.end(), some.begin(), some.end());
        }
        return all;
    }
    Ids visit()
    {
        Ids ids;
        inbox.for_each([&](const Letter& letter) { ids.push_back(letter.id); });
        return ids;
    }
};

TEST(Inbox, IsEmptyAtFirst)
{
    Box box;
    EXPECT_TRUE(box.inbox.empty());
    EXPECT_EQ(box.take(), Ids{});
    EXPECT_EQ(box.visit(), Ids{});
}

TEST(Inbox, GivesTheOldestFirst)
{
    Box box;
    for (std::size_t i = 0; i < 4; ++i)
        EXPECT_TRUE(box.push(i));
    EXPECT_FALSE(box.inbox.empty());
    EXPECT_EQ(box.take_all(), (Ids{0, 1, 2, 3}));
    EXPECT_TRUE(box.inbox.empty());
}

TEST(Inbox, LeavesTheLastWhereItGivesMany)
{
    Box box;
    for (std::size_t i = 0; i < 4; ++i)
        box.push(i);
    EXPECT_EQ(box.take(), (Ids{0, 1, 2}));
    box.push(4);
    EXPECT_EQ(box.take(), (Ids{3}));
    EXPECT_EQ(box.take(), (Ids{4}));
    EXPECT_TRUE(box.inbox.empty());
}

TEST(Inbox, SeemsEmptyWhereItIs)
{
    Box box;
    EXPECT_TRUE(box.inbox.seems_empty());
    box.push(0);
    box.push(1);
    EXPECT_FALSE(box.inbox.seems_empty());
    box.take();
    EXPECT_FALSE(box.inbox.seems_empty());
    box.take();
    EXPECT_TRUE(box.inbox.seems_empty());
    box.inbox.close();
    EXPECT_TRUE(box.inbox.seems_empty());
}

TEST(Inbox, GivesNoMoreThanIsAskedFor)
{
    Box box;
    for (std::size_t i = 0; i < 4; ++i)
        box.push(i);
    EXPECT_EQ(box.take(0), Ids{});
    EXPECT_EQ(box.take(1), (Ids{0}));
    EXPECT_EQ(box.take(2), (Ids{1, 2}));
    EXPECT_FALSE(box.inbox.empty());
    EXPECT_EQ(box.take(2), (Ids{3}));
}

TEST(Inbox, KeepsChainsInTheirOrder)
{
    Box box;
    box.push(0);
    EXPECT_TRUE(box.push_chain(1, 3));
    box.push(4);
    EXPECT_EQ(box.take(3), (Ids{0, 1, 2}));
    EXPECT_EQ(box.take_all(), (Ids{3, 4}));
}

TEST(Inbox, EndsAChainAtItsLastItem)
{
    Box box;
    box.link(0, 5);  // goes on after the item that is said to be the last
    EXPECT_TRUE(box.inbox.push(box.letters[0], box.letters[2]));
    EXPECT_EQ(box.take_all(), (Ids{0, 1, 2}));
    EXPECT_TRUE(box.inbox.empty());
}

TEST(Inbox, TakesAnItemBackThatItHasGivenAway)
{
    Box box;
    for (int round = 0; round < 3; ++round) {
        box.push(0);
        EXPECT_EQ(box.take_all(), (Ids{0}));
        box.push(1);
        box.push(0);
        EXPECT_EQ(box.take(1), (Ids{1}));
        box.push(1);
        EXPECT_EQ(box.take_all(), (Ids{0, 1}));
    }
}

TEST(Inbox, RefusesWhatComesOnceItIsClosed)
{
    Box box;
    box.push(0);
    box.inbox.close();
    EXPECT_FALSE(box.push(1));
    EXPECT_FALSE(box.push_chain(2, 4));
    EXPECT_EQ(box.letters[2].next.load(), &box.letters[3]);
    EXPECT_EQ(box.letters[3].next.load(), &box.letters[4]);
    EXPECT_EQ(box.take_all(), (Ids{0}));
    EXPECT_TRUE(box.inbox.empty());
    EXPECT_FALSE(box.push(1)) << "the last item has taken the closed bit with it";
}

TEST(Inbox, IsEmptyWhereItWasClosedEmpty)
{
    Box box;
    box.inbox.close();
    box.inbox.close();
    EXPECT_TRUE(box.inbox.empty());
    EXPECT_EQ(box.take(), Ids{});
    EXPECT_FALSE(box.push(0));
}

TEST(Inbox, AcceptsByForceThoughClosedAndStaysClosed)
{
    Box box;
    box.push(0);
    box.inbox.close();
    EXPECT_TRUE(box.push(1, true));
    EXPECT_FALSE(box.push(2));
    EXPECT_EQ(box.take_all(), (Ids{0, 1}));
    EXPECT_TRUE(box.push(2, true));
    EXPECT_FALSE(box.push(3));
    EXPECT_EQ(box.take_all(), (Ids{2}));
}

TEST(Inbox, ShowsWhatItHoldsAndKeepsIt)
{
    Box box;
    box.push(0);
    box.push_chain(1, 2);
    EXPECT_EQ(box.visit(), (Ids{0, 1, 2}));
    EXPECT_EQ(box.take(1), (Ids{0}));
    EXPECT_EQ(box.visit(), (Ids{1, 2}));
    EXPECT_EQ(box.take_all(), (Ids{1, 2}));
    EXPECT_EQ(box.visit(), Ids{});
}

TEST(Inbox, GivesNothingWhileAnotherOneIsAtItButIsNotEmpty)
{
    Box box;
    box.push(0);
    int visits = 0;
    box.inbox.for_each([&](const Letter&) {
        EXPECT_EQ(box.take(), Ids{});
        EXPECT_FALSE(box.inbox.empty());
        ++visits;
    });
    EXPECT_EQ(visits, 1);
    EXPECT_EQ(box.take_all(), (Ids{0}));
}

// ---- several threads ----

struct Crowd {
    static constexpr unsigned producers = 3;
    const std::size_t each = stress_n(500'000, 50'000);
    Letters inbox;
    std::vector<Letter> letters = std::vector<Letter>(producers * each);
    std::vector<std::thread> threads;

    // Alone and in chains of three.
    void produce(unsigned producer)
    {
        Letter* const own = &letters[producer * each];
        for (std::size_t i = 0; i < each; ++i) {
            own[i].producer = producer;
            own[i].id = i;
        }
        for (std::size_t i = 0; i < each;) {
            const std::size_t n = i % 2 == 0 && i + 3 <= each ? 3 : 1;
            for (std::size_t k = 1; k < n; ++k)
                own[i + k - 1].next.store(&own[i + k], std::memory_order_relaxed);
            CHECK(inbox.push(own[i], own[i + n - 1]));
            i += n;
        }
    }
    void start_producers()
    {
        for (unsigned producer = 0; producer < producers; ++producer)
            threads.emplace_back([this, producer] { produce(producer); });
    }
    void join()
    {
        for (std::thread& thread : threads)
            thread.join();
    }
};

TEST(Inbox, KeepsTheOrderOfEachOfThreeProducers)
{
    Crowd crowd;
    crowd.start_producers();
    std::array<std::size_t, Crowd::producers> next{};
    for (std::size_t left = crowd.letters.size(); left != 0;) {
        std::array<Letter*, 32> taken{};
        const std::uint32_t n = crowd.inbox.take(taken.data(), taken.size());
        for (std::uint32_t i = 0; i < n; ++i)
            ASSERT_EQ(taken[i]->id, next[taken[i]->producer]++);
        left -= n;
        if (n == 0)
            std::this_thread::yield();
    }
    crowd.join();
    EXPECT_TRUE(crowd.inbox.empty());
}

TEST(Inbox, GivesEachItemOnceToOneOfTwoConsumers)
{
    constexpr unsigned consumers = 2;
    Crowd crowd;
    std::vector<std::atomic<int>> taken(crowd.letters.size());
    std::atomic<std::size_t> left{crowd.letters.size()};
    std::array<bool, consumers> ordered{};
    const auto consume = [&](unsigned consumer) {
        std::array<std::size_t, Crowd::producers> next{};
        bool in_order = true;
        while (left.load() != 0) {
            std::array<Letter*, 8> some{};
            const std::uint32_t n = crowd.inbox.take(some.data(), some.size());
            for (std::uint32_t i = 0; i < n; ++i) {
                const Letter& letter = *some[i];
                in_order = in_order && letter.id >= next[letter.producer];
                next[letter.producer] = letter.id + 1;
                taken[letter.producer * crowd.each + letter.id].fetch_add(1);
            }
            left.fetch_sub(n);
            if (n == 0)
                std::this_thread::yield();
        }
        ordered[consumer] = in_order;
    };
    crowd.start_producers();
    for (unsigned consumer = 0; consumer < consumers; ++consumer)
        crowd.threads.emplace_back(consume, consumer);
    crowd.join();
    for (unsigned consumer = 0; consumer < consumers; ++consumer)
        EXPECT_TRUE(ordered[consumer]);
    for (const std::atomic<int>& times : taken)
        ASSERT_EQ(times.load(), 1);
}

TEST(Inbox, LosesNothingThatComesWhileItsLastItemIsTaken)
{
    Box box;
    Ids taken;
    race_rounds(
        2, sanitized ? 10'000 : 400'000,
        [&](std::size_t) {
            box.push(0);
            taken.clear();
        },
        [&](unsigned role, std::size_t) {
            if (role == 0)
                taken = box.take(1);
            else
                box.push(1);
        },
        [&](std::size_t) {
            const Ids rest = box.take_all();
            taken.insert(taken.end(), rest.begin(), rest.end());
            CHECK(taken == (Ids{0, 1}));
            CHECK(box.inbox.empty());
        });
}

TEST(Inbox, AcceptsOrRefusesEachItemWhileItIsClosed)
{
    constexpr unsigned threads = 3;
    std::array<Letter, threads> letters;
    std::array<bool, threads> accepted{};
    std::array<int, threads> taken{};
    std::unique_ptr<Letters> inbox;
    // Until both outcomes have been seen, and often.
    std::size_t refused = 0;
    std::size_t let_in = 0;
    do {
        race_rounds(
            threads, sanitized ? 1'000 : 10'000,
            [&](std::size_t) {
                inbox = std::make_unique<Letters>();
                taken.fill(0);
            },
            [&](unsigned role, std::size_t) {
                if (role != 0) {
                    accepted[role] = inbox->push(letters[role], letters[role]);
                    return;
                }
                inbox->close();
                // Who finds it closed and empty has all that there will be.
                while (!inbox->empty()) {
                    Letter* letter = nullptr;
                    if (inbox->take(&letter, 1) == 1)
                        ++taken[static_cast<std::size_t>(letter - letters.data())];
                }
            },
            [&](std::size_t) {
                for (unsigned thread = 1; thread < threads; ++thread) {
                    CHECK(taken[thread] == (accepted[thread] ? 1 : 0));
                    ++(accepted[thread] ? let_in : refused);
                }
                CHECK(inbox->empty());
            });
    } while (refused == 0 || let_in == 0);
}

}  // namespace
