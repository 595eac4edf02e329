#include "sched/inbox.h"

#include <array>
#include <atomic>
#include <gtest/gtest.h>
#include <memory>
#include <thread>
#include <vector>

#include "sched/item.h"
#include "white_box.h"

using namespace execq::core;

namespace {

// A task that is a node: the inbox knows no more of it than its link. Aligned, as the word that stands for it has bits of
// its own.
struct alignas(64) Letter : TaskLink {
    unsigned producer = 0;
    std::size_t id = 0;
};

using Ids = std::vector<std::size_t>;

// Blocks of seven words, which are counted, and of which there are only so many.
struct SmallBlocks {
    using Block = WordBlock<StdAtomics, 7>;
    static Block* allocate()
    {
        if (limit-- <= 0) {
            limit = 0;
            return nullptr;
        }
        ++out;
        return new Block{};
    }
    static void free(Block* block)
    {
        --out;
        delete block;
    }
    static inline std::atomic<long> limit{0};
    static inline std::atomic<long> out{0};
};
constexpr long plenty = 1L << 60;

using Letters = Inbox<Item, Slot, TaskLink, SmallBlocks>;

Item item_of(Letter& letter)
{
    Item item;
    item.word = reinterpret_cast<std::uintptr_t>(static_cast<TaskLink*>(&letter)) | Item::node_bit;
    return item;
}
// A letter that is not a node: two words.
std::int32_t plain_body(void*, void**) { return 0; }
Item plain_item_of(Letter& letter) { return {plain_body, &letter}; }

Letter& letter_of(Item item)
{
    if (item.plain()) {
        CHECK(item.fn() == plain_body);
        return *static_cast<Letter*>(item.env);
    }
    return *static_cast<Letter*>(reinterpret_cast<TaskLink*>(item.word & ~Item::node_bit));
}

struct Box {
    struct Room {
        explicit Room(long blocks) { SmallBlocks::limit = blocks; }
    } room;
    Letters inbox;
    std::array<Letter, 30> letters;

    explicit Box(long blocks = plenty) : room(blocks)
    {
        for (std::size_t i = 0; i < letters.size(); ++i)
            letters[i].id = i;
    }
    bool push(std::size_t i, bool force = false) { return inbox.push(item_of(letters[i]), force) == Accepted::yes; }
    bool push_plain(std::size_t i) { return inbox.push(plain_item_of(letters[i])) == Accepted::yes; }
    void link(std::size_t first, std::size_t last)
    {
        for (std::size_t i = first; i < last; ++i)
            letters[i].next.store(&letters[i + 1]);
        letters[last].next.store(nullptr);
    }
    bool push_chain(std::size_t first, std::size_t last)
    {
        link(first, last);
        return inbox.push_chain(letters[first]) == Accepted::yes;
    }
    Ids take(std::uint32_t n = 30)
    {
        std::array<Slot, 30> taken;
        const std::uint32_t count = inbox.take(taken.data(), n);
        Ids ids;
        for (std::uint32_t i = 0; i < count; ++i)
            ids.push_back(letter_of(taken[i].get()).id);
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
        inbox.for_each([&](Item item) { ids.push_back(letter_of(item).id); });
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

TEST(Inbox, MixesNodesAndPlainTasksOverManyBlocks)
{
    Box box;
    Ids pushed;
    for (std::size_t i = 0; i < box.letters.size(); ++i) {
        EXPECT_TRUE(i % 3 == 1 ? box.push(i) : box.push_plain(i));
        pushed.push_back(i);
    }
    EXPECT_GT(SmallBlocks::out, 3);
    EXPECT_EQ(box.visit(), pushed);
    EXPECT_EQ(box.take_all(), pushed);
    EXPECT_EQ(SmallBlocks::out, 1);
    EXPECT_TRUE(box.inbox.empty());
}

TEST(Inbox, StartsABlockWhereTheLastOneEndsWithEveryOffset)
{
    for (std::size_t before = 0; before < 14; ++before) {
        Box box;
        for (std::size_t i = 0; i < before; ++i) {
            box.push(0);
            EXPECT_EQ(box.take(), (Ids{0}));
        }
        EXPECT_TRUE(box.push_plain(1));
        EXPECT_TRUE(box.push(2));
        EXPECT_EQ(box.take_all(), (Ids{1, 2})) << before;
    }
}

TEST(Inbox, GivesAllItsBlocksBack)
{
    const long before = SmallBlocks::out;
    {
        Box box;
        for (std::size_t i = 0; i < box.letters.size(); ++i)
            box.push_plain(i);
        box.take(3);
    }
    EXPECT_EQ(SmallBlocks::out, before);
}

TEST(Inbox, HasTakenNothingWhereMemoryIsOut)
{
    EXPECT_THROW(Box(0), std::bad_alloc);
    Box box(1);
    std::size_t n = 0;
    while (box.push(n))
        ++n;
    EXPECT_EQ(n, 6U);  // the last word of a block is left to the step to the next one
    EXPECT_EQ(box.inbox.push(item_of(box.letters[20])), Accepted::no_memory);
    EXPECT_EQ(box.inbox.push(plain_item_of(box.letters[20])), Accepted::no_memory);
    box.link(20, 22);
    EXPECT_EQ(box.inbox.push_chain(box.letters[20]), Accepted::no_memory);
    EXPECT_EQ(box.take_all(), (Ids{0, 1, 2, 3, 4, 5}));
    EXPECT_TRUE(box.inbox.empty());
    SmallBlocks::limit = plenty;
    EXPECT_TRUE(box.push(7));
    EXPECT_EQ(box.take_all(), (Ids{7}));
}

TEST(Inbox, SeemsEmptyOnceSomebodyHasFoundItSo)
{
    Box box;
    EXPECT_TRUE(box.inbox.seems_empty());
    box.push(0);
    EXPECT_FALSE(box.inbox.seems_empty());
    box.take();
    EXPECT_TRUE(box.inbox.empty());
    EXPECT_FALSE(box.inbox.seems_empty());
    EXPECT_EQ(box.take(), Ids{});
    EXPECT_TRUE(box.inbox.seems_empty());
    box.inbox.close();
    EXPECT_TRUE(box.inbox.seems_empty());
}

TEST(Inbox, SeemsEmptyToWhoOnlyTakesWhatItHasSeen)
{
    Box box;
    Slot slot;
    EXPECT_TRUE(box.inbox.settle_empty());
    EXPECT_TRUE(box.push(0));
    EXPECT_FALSE(box.inbox.settle_empty());
    EXPECT_EQ(box.inbox.take(&slot, 1), 1U);
    EXPECT_FALSE(box.inbox.seems_empty());
    EXPECT_TRUE(box.inbox.settle_empty());
    EXPECT_TRUE(box.inbox.seems_empty());
    EXPECT_TRUE(box.push(1));
    EXPECT_FALSE(box.inbox.seems_empty());
    EXPECT_EQ(box.inbox.take(&slot, 1), 1U);
}

TEST(Inbox, CountsWhatItHolds)
{
    Box box;
    EXPECT_EQ(box.inbox.count(10), 0U);
    for (std::size_t i = 0; i < 6; ++i)
        EXPECT_TRUE(i % 2 == 0 ? box.push(i) : box.push_plain(i));
    EXPECT_TRUE(box.push_chain(6, 9));
    EXPECT_EQ(box.inbox.count(11), 10U);
    EXPECT_EQ(box.inbox.count(10), 10U) << "all that there is";
    EXPECT_EQ(box.inbox.count(8), 8U) << "of a chain only what was seen";
    EXPECT_EQ(box.take(4).size(), 4U);
    EXPECT_EQ(box.inbox.count(10), 6U);
    EXPECT_EQ(box.take(10).size(), 6U);
    EXPECT_EQ(box.inbox.count(10), 0U);
}

TEST(Inbox, EstimatesWhatIsBeyondWhatItCounts)
{
    for (const bool plain : {false, true}) {
        Box box;
        for (std::size_t i = 0; i < 24; ++i)
            EXPECT_TRUE(plain ? box.push_plain(i) : box.push(i));
        EXPECT_EQ(box.inbox.count(100), 24U);
        const std::uint64_t estimate = box.inbox.count(12);
        EXPECT_GE(estimate, 21U);
        EXPECT_LE(estimate, 27U);
        EXPECT_EQ(box.take(24).size(), 24U);
    }
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

TEST(Inbox, TakesAChainOfAnyLengthForOneWord)
{
    Box box(1);
    EXPECT_TRUE(box.push_chain(0, 29));
    EXPECT_EQ(box.take(1), (Ids{0}));
    EXPECT_EQ(box.take(2), (Ids{1, 2}));
    EXPECT_EQ(box.visit().size(), 27U);
    EXPECT_EQ(box.take_all().size(), 27U);
    EXPECT_EQ(SmallBlocks::limit, 0);
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
    box.inbox.for_each([&](Item) {
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
    Box::Room room{plenty};
    Letters inbox;
    std::vector<Letter> letters = std::vector<Letter>(producers * each);
    std::vector<std::thread> threads;

    // Alone, as a node or plain, and in chains of three.
    void produce(unsigned producer)
    {
        Letter* const own = &letters[producer * each];
        for (std::size_t i = 0; i < each; ++i) {
            own[i].producer = producer;
            own[i].id = i;
        }
        for (std::size_t i = 0; i < each;) {
            if (i % 2 != 0 || i + 3 > each) {
                CHECK(inbox.push(i % 3 == 0 ? item_of(own[i]) : plain_item_of(own[i])) == Accepted::yes);
                ++i;
                continue;
            }
            own[i].next.store(&own[i + 1], std::memory_order_relaxed);
            own[i + 1].next.store(&own[i + 2], std::memory_order_relaxed);
            CHECK(inbox.push_chain(own[i]) == Accepted::yes);
            i += 3;
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
        std::array<Slot, 32> taken;
        const std::uint32_t n = crowd.inbox.take(taken.data(), taken.size());
        for (std::uint32_t i = 0; i < n; ++i) {
            const Letter& letter = letter_of(taken[i].get());
            ASSERT_EQ(letter.id, next[letter.producer]++);
        }
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
            std::array<Slot, 8> some;
            const std::uint32_t n = crowd.inbox.take(some.data(), some.size());
            for (std::uint32_t i = 0; i < n; ++i) {
                const Letter& letter = letter_of(some[i].get());
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
                SmallBlocks::limit = plenty;
                inbox = std::make_unique<Letters>();
                taken.fill(0);
            },
            [&](unsigned role, std::size_t) {
                if (role != 0) {
                    accepted[role] = inbox->push(item_of(letters[role])) == Accepted::yes;
                    return;
                }
                inbox->close();
                // Who finds it closed and empty has all that there will be.
                while (!inbox->empty()) {
                    Slot slot;
                    if (inbox->take(&slot, 1) == 1)
                        ++taken[static_cast<std::size_t>(&letter_of(slot.get()) - letters.data())];
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
