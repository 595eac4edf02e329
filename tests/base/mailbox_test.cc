#include "base/mailbox.h"

#include <array>
#include <atomic>
#include <gtest/gtest.h>
#include <memory>
#include <thread>
#include <vector>

#include "white_box.h"

using namespace execq::core;

namespace {

struct Letter : Link {
    unsigned producer = 0;
    std::size_t id = 0;
};

std::vector<std::size_t> ids(Link* link)
{
    std::vector<std::size_t> found;
    for (; link != nullptr; link = link->next)
        found.push_back(static_cast<Letter*>(link)->id);
    return found;
}

using Ids = std::vector<std::size_t>;

struct Box {
    Mailbox<> mailbox;
    unsigned sends = 0;
    std::array<Letter, 4> letters;

    Box()
    {
        for (std::size_t i = 0; i < letters.size(); ++i)
            letters[i].id = i;
    }
    bool post(std::size_t i)
    {
        return mailbox.post(letters[i], [this] { ++sends; });
    }
    bool poke()
    {
        return mailbox.poke([this] { ++sends; });
    }
};

TEST(Mailbox, GivesTheOldestFirst)
{
    Box box;
    for (std::size_t i = 0; i < 4; ++i)
        EXPECT_TRUE(box.post(i));
    EXPECT_EQ(ids(box.mailbox.take_all()), (Ids{0, 1, 2, 3}));
    EXPECT_EQ(box.mailbox.take_all(), nullptr);
}

TEST(Mailbox, SendsOncePerBatch)
{
    Box box;
    box.post(0);
    EXPECT_EQ(box.sends, 1U);
    box.post(1);
    box.post(2);
    EXPECT_EQ(box.sends, 1U);
    box.mailbox.take_all();
    box.post(3);
    EXPECT_EQ(box.sends, 2U);
    EXPECT_EQ(ids(box.mailbox.take_all()), (Ids{3}));
}

TEST(Mailbox, IsPokedWithoutLeavingAnItem)
{
    Box box;
    EXPECT_TRUE(box.poke());
    EXPECT_TRUE(box.poke());
    EXPECT_EQ(box.sends, 1U);
    EXPECT_EQ(box.mailbox.take_all(), nullptr);
    EXPECT_TRUE(box.poke());
    EXPECT_EQ(box.sends, 2U);
}

TEST(Mailbox, KeepsItsItemsWhenItIsPoked)
{
    Box box;
    box.post(0);
    EXPECT_TRUE(box.poke());
    box.post(1);
    EXPECT_EQ(box.sends, 1U);
    EXPECT_EQ(ids(box.mailbox.take_all()), (Ids{0, 1}));
}

TEST(Mailbox, TakesItemsOnTopOfAPokeWithoutAnotherSend)
{
    Box box;
    box.poke();
    box.post(0);
    box.post(1);
    EXPECT_EQ(box.sends, 1U);
    EXPECT_EQ(ids(box.mailbox.take_all()), (Ids{0, 1}));
    box.poke();
    EXPECT_EQ(box.mailbox.take_all(), nullptr);
}

TEST(Mailbox, ReturnsTheRestWhenItIsClosed)
{
    Box box;
    box.poke();
    box.post(2);
    box.post(1);
    EXPECT_EQ(ids(box.mailbox.close()), (Ids{2, 1}));
}

TEST(Mailbox, RefusesEverythingOnceClosed)
{
    Box box;
    Link other;
    box.letters[0].next = &other;
    EXPECT_EQ(box.mailbox.close(), nullptr);
    EXPECT_FALSE(box.post(0));
    EXPECT_FALSE(box.poke());
    EXPECT_EQ(box.letters[0].next, &other);
    EXPECT_EQ(box.sends, 0U);
}

TEST(Mailbox, WaitsWhileItClosesForASenderStillInsideSend)
{
    Mailbox<> mailbox;
    Letter letter;
    Gate in_send;
    std::atomic<bool> sent{false};
    std::thread producer([&] {
        const bool posted = mailbox.post(letter, [&] {
            in_send.pass();
            // Stays until close() has begun, and long enough for one that does not wait to be over.
            while (mailbox.poke([] {}))
                std::this_thread::yield();
            for (int i = 0; i < 1000; ++i)
                std::this_thread::yield();
            sent.store(true);
        });
        EXPECT_TRUE(posted);
    });
    in_send.await();
    in_send.open();
    EXPECT_EQ(mailbox.close(), &letter);
    EXPECT_TRUE(sent.load());
    producer.join();
}

TEST(Mailbox, LosesNoItemAndNoWakeOfFourProducers)
{
    constexpr unsigned producers = 4;
    const std::size_t each = stress_n(200'000, 20'000);
    Mailbox<> mailbox;
    Semaphore wake;
    std::vector<Letter> letters(each * producers);
    std::vector<std::thread> threads;
    for (unsigned p = 0; p < producers; ++p) {
        threads.emplace_back([&, p] {
            for (std::size_t i = 0; i < each; ++i) {
                Letter& letter = letters[p * each + i];
                letter.producer = p;
                letter.id = i;
                CHECK(mailbox.post(letter, [&] { wake.post(); }));
            }
        });
    }
    std::array<std::size_t, producers> next{};
    for (std::size_t left = letters.size(); left != 0;) {
        wake.take();
        Link* link = mailbox.take_all();
        ASSERT_NE(link, nullptr) << "a wake for nothing";
        for (; link != nullptr; link = link->next, --left) {
            const Letter& letter = *static_cast<Letter*>(link);
            ASSERT_EQ(letter.id, next[letter.producer]++);
        }
    }
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(mailbox.close(), nullptr);
}

TEST(Mailbox, AcceptsOrRefusesEachItemWhileItIsClosed)
{
    constexpr unsigned threads = 3;
    std::array<Letter, threads> letters;
    std::array<bool, threads> accepted{};
    std::unique_ptr<Mailbox<>> mailbox;
    Link* rest = nullptr;
    std::size_t refused = 0;
    race_rounds(
        threads, sanitized ? 3'000 : 100'000, [&](std::size_t) { mailbox = std::make_unique<Mailbox<>>(); },
        [&](unsigned role, std::size_t) {
            letters[role].id = role;
            if (role == 0)
                rest = mailbox->close();
            else
                accepted[role] = mailbox->post(letters[role], [] {});
        },
        [&](std::size_t) {
            std::array<bool, threads> found{};
            for (const std::size_t id : ids(rest))
                found[id] = true;
            for (unsigned thread = 1; thread < threads; ++thread) {
                ASSERT_EQ(found[thread], accepted[thread]);
                refused += accepted[thread] ? 0 : 1;
            }
        });
    EXPECT_GT(refused, 0U) << "nothing ever raced with the close";
}

}  // namespace
