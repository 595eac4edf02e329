#include "base/links.h"

#include <array>
#include <gtest/gtest.h>
#include <vector>

using namespace execq::core;

namespace {

struct Item : Link {
    int id = 0;
};

struct FirstLink : Link {};
struct SecondLink : Link {};
struct TwoLinks : FirstLink, SecondLink {
    int id = 0;
};

struct Hooked : Hook {
    int id = 0;
};

template <class T, std::size_t n>
std::array<T, n> numbered()
{
    std::array<T, n> items;
    for (std::size_t i = 0; i < n; ++i)
        items[i].id = static_cast<int>(i);
    return items;
}

template <class List>
std::vector<int> ids(const List& list)
{
    std::vector<int> found;
    list.for_each([&](const auto& item) { found.push_back(item.id); });
    return found;
}

using Ids = std::vector<int>;

TEST(Fifo, GivesBackInTheOrderOfPushing)
{
    auto items = numbered<Item, 3>();
    Fifo<Item> fifo;
    for (Item& item : items)
        fifo.push(item);
    EXPECT_EQ(fifo.size(), 3U);
    for (Item& item : items)
        EXPECT_EQ(fifo.pop(), &item);
    EXPECT_TRUE(fifo.empty());
    EXPECT_EQ(fifo.size(), 0U);
}

TEST(Fifo, HasNothingToGiveWhenEmpty)
{
    Fifo<Item> fifo;
    EXPECT_TRUE(fifo.empty());
    EXPECT_EQ(fifo.pop(), nullptr);
    EXPECT_EQ(fifo.size(), 0U);
}

TEST(Fifo, TakesAnItemAgainAfterItWasPopped)
{
    auto items = numbered<Item, 2>();
    Fifo<Item> fifo;
    fifo.push(items[0]);
    fifo.push(items[1]);
    fifo.push(*fifo.pop());
    EXPECT_EQ(ids(fifo), (Ids{1, 0}));
    fifo.pop();
    fifo.pop();
    EXPECT_TRUE(fifo.empty());
    fifo.push(items[1]);
    EXPECT_EQ(ids(fifo), (Ids{1}));
}

TEST(Fifo, CutsOffWhatAnItemWasLinkedToBefore)
{
    auto items = numbered<Item, 2>();
    items[0].next = &items[1];
    Fifo<Item> fifo;
    fifo.push(items[0]);
    EXPECT_EQ(ids(fifo), (Ids{0}));
}

TEST(Fifo, AppendsAnotherBehindItselfAndLeavesItEmpty)
{
    auto items = numbered<Item, 5>();
    Fifo<Item> front;
    Fifo<Item> back;
    front.push(items[0]);
    front.push(items[1]);
    back.push(items[2]);
    back.push(items[3]);
    front.append(back);
    EXPECT_EQ(ids(front), (Ids{0, 1, 2, 3}));
    EXPECT_EQ(front.size(), 4U);
    EXPECT_TRUE(back.empty());
    EXPECT_EQ(back.size(), 0U);
    back.push(items[4]);
    EXPECT_EQ(ids(back), (Ids{4}));
    front.append(back);
    EXPECT_EQ(ids(front), (Ids{0, 1, 2, 3, 4}));
}

TEST(Fifo, AppendsToAndFromAnEmptyOne)
{
    auto items = numbered<Item, 2>();
    Fifo<Item> fifo;
    Fifo<Item> other;
    fifo.append(other);
    EXPECT_TRUE(fifo.empty());
    other.push(items[0]);
    fifo.append(other);
    EXPECT_EQ(ids(fifo), (Ids{0}));
    fifo.append(other);
    EXPECT_EQ(ids(fifo), (Ids{0}));
    fifo.push(items[1]);
    EXPECT_EQ(ids(fifo), (Ids{0, 1}));
}

TEST(Fifo, LinksAnItemByTheBaseThatItNames)
{
    auto items = numbered<TwoLinks, 3>();
    Fifo<TwoLinks, FirstLink> forward;
    Fifo<TwoLinks, SecondLink> backward;
    for (std::size_t i = 0; i < items.size(); ++i) {
        forward.push(items[i]);
        backward.push(items[items.size() - 1 - i]);
    }
    EXPECT_EQ(ids(forward), (Ids{0, 1, 2}));
    EXPECT_EQ(ids(backward), (Ids{2, 1, 0}));
    EXPECT_EQ(forward.pop(), &items[0]);
    EXPECT_EQ(backward.pop(), &items[2]);
    EXPECT_EQ(ids(backward), (Ids{1, 0}));
}

TEST(HookList, VisitsInTheOrderOfPushing)
{
    auto items = numbered<Hooked, 3>();
    HookList<Hooked> list;
    EXPECT_TRUE(list.empty());
    EXPECT_EQ(list.front(), nullptr);
    for (Hooked& item : items)
        list.push_back(item);
    EXPECT_FALSE(list.empty());
    EXPECT_EQ(list.front(), &items[0]);
    EXPECT_EQ(ids(list), (Ids{0, 1, 2}));
}

TEST(HookList, RemovesFromTheFrontTheMiddleAndTheBack)
{
    auto items = numbered<Hooked, 5>();
    HookList<Hooked> list;
    for (Hooked& item : items)
        list.push_back(item);
    list.remove(items[2]);
    EXPECT_EQ(ids(list), (Ids{0, 1, 3, 4}));
    list.remove(items[0]);
    EXPECT_EQ(ids(list), (Ids{1, 3, 4}));
    list.remove(items[4]);
    EXPECT_EQ(ids(list), (Ids{1, 3}));
    EXPECT_EQ(list.front(), &items[1]);
    list.remove(items[1]);
    list.remove(items[3]);
    EXPECT_TRUE(list.empty());
    EXPECT_EQ(list.front(), nullptr);
}

TEST(HookList, UnlinksWhatItRemovesSoThatItCanBePushedAgain)
{
    auto items = numbered<Hooked, 2>();
    HookList<Hooked> list;
    list.push_back(items[0]);
    list.push_back(items[1]);
    list.remove(items[0]);
    EXPECT_EQ(items[0].previous, nullptr);
    EXPECT_EQ(items[0].next, nullptr);
    list.push_back(items[0]);
    EXPECT_EQ(ids(list), (Ids{1, 0}));
}

}  // namespace
