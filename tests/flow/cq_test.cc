#include "flow/cq.h"

#include <array>
#include <gtest/gtest.h>
#include <poll.h>
#include <vector>

#include "task/callbacks.h"
#include "white_box.h"

using namespace execq::core;

namespace {

Deadline never() { return Deadline::after(-1); }
Deadline only_look() { return Deadline::after(0); }

std::vector<void*> dropped_tags;

void drop_tag(void* tag) { dropped_tags.push_back(tag); }

using Tags = std::vector<void*>;

struct CqTest : testing::Test {
    Cq* cq = nullptr;
    std::vector<Node*> nodes;

    CqTest()
    {
        CHECK(Cq::make(&cq) == EXECQ_OK);
        dropped_tags.clear();
    }
    ~CqTest() override
    {
        for (Node* node : nodes) {
            node->release_promise();
            node->release();
        }
        cq->release();
    }
    Node& promise(std::uintptr_t tag, execq_status expected = EXECQ_OK)
    {
        nodes.push_back(new_promise());
        EXPECT_EQ(nodes.back()->register_completion({nullptr, number(tag), nullptr, cq}), expected);
        return *nodes.back();
    }
    bool readable() const
    {
        pollfd look{cq->fd(), POLLIN, 0};
        return poll(&look, 1, 0) == 1;
    }
    Tags drain(std::size_t max = 100)
    {
        std::vector<execq_completion> out(max);
        std::size_t n = 0;
        EXPECT_EQ(cq->drain(out.data(), max, &n), EXECQ_OK);
        Tags tags;
        for (std::size_t i = 0; i < n; ++i) {
            tags.push_back(out[i].tag);
            EXPECT_EQ(out[i].reserved, 0);
            execq::core::core_of(out[i].future)->release();
        }
        return tags;
    }
};

TEST_F(CqTest, GivesCompletionsInTheOrderOfCompletion)
{
    Node& first = promise(1);
    Node& second = promise(2);
    Node& third = promise(3);
    third.settle_value(nullptr);
    first.settle_value(nullptr);
    second.settle_value(nullptr);
    EXPECT_EQ(drain(), (Tags{number(3), number(1), number(2)}));
    EXPECT_EQ(drain(), Tags{});
}

TEST_F(CqTest, SaysHowEachEnded)
{
    Node& ok = promise(1);
    Node& taken = promise(2);
    Node& failed = promise(3);
    Node& canceled = promise(4);
    ok.settle_value(number(7));
    taken.settle_value(number(8));
    failed.settle_code(5);
    canceled.settle_canceled();
    void* value = nullptr;
    ASSERT_EQ(taken.take(&value), EXECQ_OK);
    std::array<execq_completion, 5> out;
    std::size_t n = 0;
    ASSERT_EQ(cq->drain(out.data(), out.size(), &n), EXECQ_OK);
    ASSERT_EQ(n, 4U);
    const std::array<execq_status, 4> statuses = {EXECQ_OK, EXECQ_OK, EXECQ_EFAILED, EXECQ_ECANCELED};
    for (std::size_t i = 0; i < n; ++i) {
        EXPECT_EQ(out[i].status, statuses[i]);
        EXPECT_EQ(out[i].value, i == 0 ? number(7) : nullptr);
        EXPECT_EQ(out[i].future, future_of(nodes[i]));
        execq::core::core_of(out[i].future)->release();
    }
}

TEST_F(CqTest, GivesAReferenceWithEachCompletion)
{
    Counter drops;
    Node* node = new_promise(Counter::hit);
    ASSERT_EQ(node->register_completion({nullptr, nullptr, nullptr, cq}), EXECQ_OK);
    node->settle_value(&drops);
    node->release();
    node->release();
    execq_completion out;
    std::size_t n = 0;
    ASSERT_EQ(cq->drain(&out, 1, &n), EXECQ_OK);
    ASSERT_EQ(n, 1U);
    EXPECT_EQ(drops.n, 0U);
    execq::core::core_of(out.future)->release();
    EXPECT_EQ(drops.n, 1U);
}

TEST_F(CqTest, TakesARegistrationOfWhatIsDoneAlready)
{
    Node* node = new_promise();
    nodes.push_back(node);
    node->settle_value(nullptr);
    ASSERT_EQ(node->register_completion({nullptr, number(9), nullptr, cq}), EXECQ_OK);
    EXPECT_TRUE(readable());
    EXPECT_EQ(drain(), Tags{number(9)});
}

TEST_F(CqTest, IsReadableWhileThereIsSomethingToDrain)
{
    EXPECT_FALSE(readable());
    Node& first = promise(1);
    Node& second = promise(2);
    EXPECT_FALSE(readable());
    first.settle_value(nullptr);
    EXPECT_TRUE(readable());
    EXPECT_EQ(cq->wait(never()), EXECQ_OK);
    second.settle_value(nullptr);
    EXPECT_EQ(drain(1), Tags{number(1)});
    EXPECT_TRUE(readable()) << "something is left";
    EXPECT_EQ(drain(1), Tags{number(2)});
    EXPECT_FALSE(readable());
    EXPECT_EQ(cq->wait(only_look()), EXECQ_ETIMEDOUT);
    promise(3).settle_value(nullptr);
    EXPECT_TRUE(readable());
}

TEST_F(CqTest, WaitsUntilSomethingComesAndNotLessThanItsLimit)
{
    const std::int64_t before = now_ns();
    EXPECT_EQ(cq->wait(Deadline::after(2'000'000)), EXECQ_ETIMEDOUT);
    EXPECT_GE(now_ns() - before, 2'000'000);
    Node& node = promise(1);
    Gate gate;
    std::thread settler([&] {
        gate.pass();
        node.settle_value(nullptr);
    });
    gate.await();
    gate.open();
    EXPECT_EQ(cq->wait(never()), EXECQ_OK);
    EXPECT_EQ(drain(), Tags{number(1)});
    settler.join();
}

TEST_F(CqTest, RunsTheQueuedCallbacksOfItsThreadBeforeItWaits)
{
    Node& node = promise(1);
    Node* outer = new_promise();
    nodes.push_back(outer);
    const execq_done_fn settle = [](execq_future*, void* other) { static_cast<Node*>(other)->settle_value(nullptr); };
    ASSERT_EQ(outer->register_completion({settle, &node, nullptr, nullptr}), EXECQ_OK);
    const CallbackScope callback;
    outer->settle_value(nullptr);
    EXPECT_EQ(cq->wait(never()), EXECQ_OK) << "or it never comes back";
}

// ---- closing ----

TEST_F(CqTest, DropsTheTagsOfCompleteThenOfPendingOnesWhenItIsClosed)
{
    Node& first = promise(1);
    Node& second = promise(2);
    Node& third = promise(3);
    Node& fourth = promise(4);
    fourth.settle_value(nullptr);
    second.settle_value(nullptr);
    EXPECT_EQ(cq->close(drop_tag), EXECQ_OK);
    EXPECT_EQ(dropped_tags, (Tags{number(4), number(2), number(1), number(3)}));
    EXPECT_EQ(cq->close(drop_tag), EXECQ_EALREADY);
    first.settle_value(nullptr);
    third.settle_value(nullptr);
    EXPECT_EQ(dropped_tags.size(), 4U);
}

TEST_F(CqTest, RefusesEverythingOnceClosedAndStaysReadable)
{
    promise(1).settle_value(nullptr);
    EXPECT_EQ(cq->close(nullptr), EXECQ_OK);
    EXPECT_TRUE(readable());
    execq_completion out;
    std::size_t n = 77;
    EXPECT_EQ(cq->drain(&out, 1, &n), EXECQ_ECLOSED);
    EXPECT_EQ(n, 77U);
    EXPECT_EQ(cq->wait(never()), EXECQ_ECLOSED);
    EXPECT_EQ(cq->wait(only_look()), EXECQ_ECLOSED);
    promise(2, EXECQ_ECLOSED).settle_value(nullptr);
    EXPECT_TRUE(readable());
}

TEST_F(CqTest, WakesWhoWaitsWhenItIsClosed)
{
    std::array<std::thread, 3> waiters;
    Semaphore about_to_wait;
    for (std::thread& waiter : waiters) {
        waiter = std::thread([&] {
            about_to_wait.post();
            EXPECT_EQ(cq->wait(never()), EXECQ_ECLOSED);
        });
    }
    about_to_wait.take(3);
    EXPECT_EQ(cq->close(nullptr), EXECQ_OK);
    for (std::thread& waiter : waiters)
        waiter.join();
}

TEST_F(CqTest, IsClosedByItsLastReleaseWhileRegistrationsArePending)
{
    Cq* other = nullptr;
    ASSERT_EQ(Cq::make(&other), EXECQ_OK);
    Node* node = new_promise();
    ASSERT_EQ(node->register_completion({nullptr, nullptr, nullptr, other}), EXECQ_OK);
    other->retain();
    other->release();
    other->release();
    node->settle_value(nullptr);  // lets go of the queue, which frees it
    node->release();
    node->release();
}

TEST_F(CqTest, MayBeReleasedByItsOwnDropTag)
{
    static Cq* other;
    ASSERT_EQ(Cq::make(&other), EXECQ_OK);
    Node* node = new_promise();
    ASSERT_EQ(node->register_completion({nullptr, nullptr, nullptr, other}), EXECQ_OK);
    other->retain();
    EXPECT_EQ(other->close([](void*) { other->release(); }), EXECQ_OK);
    other->release();
    node->settle_value(nullptr);
    node->release();
    node->release();
}

TEST_F(CqTest, WithdrawsWhatBecomesCompleteWhileItIsBeingClosed)
{
    static Node* pending;
    Counter drops;
    pending = new_promise(Counter::hit);
    promise(1).settle_value(nullptr);
    ASSERT_EQ(pending->register_completion({nullptr, number(2), nullptr, cq}), EXECQ_OK);
    static Counter* value;
    value = &drops;
    const execq_drop_fn settles = [](void* tag) {
        drop_tag(tag);
        if (tag == number(1))
            pending->settle_value(value);
    };
    EXPECT_EQ(cq->close(settles), EXECQ_OK);
    EXPECT_EQ(dropped_tags, (Tags{number(1), number(2)}));
    pending->release();
    pending->release();
    EXPECT_EQ(drops.n, 1U) << "the queue still holds it";
}

// ---- races ----

std::atomic<std::size_t> dropped_in_race{0};

// One registers and one settles, one drains, one closes: the tag comes back by exactly one way.
TEST(CqRace, GivesEachTagBackOnceHoweverDeliveryAndCloseMeet)
{
    const std::size_t rounds = stress_n(50'000, 3'000);
    Cq* cq = nullptr;
    Node* early = nullptr;
    Node* late = nullptr;
    execq_status late_status = EXECQ_OK;
    std::size_t drained = 0;
    std::array<std::size_t, 3> ways{};
    race_rounds(
        4, rounds,
        [&](std::size_t) {
            CHECK(Cq::make(&cq) == EXECQ_OK);
            early = new_promise();
            late = new_promise();
            CHECK(early->register_completion({nullptr, early, nullptr, cq}) == EXECQ_OK);
            drained = 0;
            dropped_in_race = 0;
        },
        [&](unsigned role, std::size_t) {
            if (role == 0) {
                early->settle_value(nullptr);
                late->settle_value(nullptr);
            } else if (role == 1) {
                late_status = late->register_completion({nullptr, late, nullptr, cq});
            } else if (role == 2) {
                CHECK(cq->close([](void*) { ++dropped_in_race; }) == EXECQ_OK);
            } else {
                std::array<execq_completion, 2> out;
                if (cq->drain(out.data(), out.size(), &drained) != EXECQ_OK)
                    CHECK(drained == 0);
                for (std::size_t i = 0; i < drained; ++i)
                    execq::core::core_of(out[i].future)->release();
            }
        },
        [&](std::size_t) {
            const std::size_t accepted = late_status == EXECQ_OK ? 2 : 1;
            ASSERT_TRUE(late_status == EXECQ_OK || late_status == EXECQ_ECLOSED);
            ASSERT_EQ(drained + dropped_in_race, accepted);
            ways[0] += drained;
            ways[1] += dropped_in_race;
            ways[2] += 2 - accepted;
            cq->release();
            for (Node* node : {early, late}) {
                node->release();
                node->release();
            }
        });
    for (const std::size_t way : ways)
        EXPECT_GT(way, 0U);
}

// Level-triggered pollers must see the close, whichever signal a drain cleared meanwhile.
TEST(CqRace, StaysReadableWhereADrainMeetsTheClose)
{
    Cq* cq = nullptr;
    race_rounds(
        2, stress_n(200'000, 5'000), [&](std::size_t) { CHECK(Cq::make(&cq) == EXECQ_OK); },
        [&](unsigned role, std::size_t) {
            execq_completion out;
            std::size_t n = 0;
            if (role == 0)
                cq->drain(&out, 1, &n);
            else
                CHECK(cq->close(nullptr) == EXECQ_OK);
        },
        [&](std::size_t) {
            pollfd look{cq->fd(), POLLIN, 0};
            ASSERT_EQ(poll(&look, 1, 0), 1);
            cq->release();
        });
}

TEST(CqRace, LosesNoSignalBetweenDrainsAndDeliveries)
{
    const std::size_t total = stress_n(200'000, 10'000);
    Cq* cq = nullptr;
    ASSERT_EQ(Cq::make(&cq), EXECQ_OK);
    std::array<std::thread, 2> producers;
    for (std::thread& producer : producers) {
        producer = std::thread([&] {
            for (std::size_t i = 0; i < total / 2; ++i) {
                Node* node = new_promise();
                CHECK(node->register_completion({nullptr, nullptr, nullptr, cq}) == EXECQ_OK);
                node->settle_value(nullptr);
                node->release();
                node->release();
            }
        });
    }
    for (std::size_t left = total / 2 * 2; left != 0;) {
        ASSERT_EQ(cq->wait(never()), EXECQ_OK);
        std::array<execq_completion, 3> out;
        std::size_t n = 0;
        ASSERT_EQ(cq->drain(out.data(), out.size(), &n), EXECQ_OK);
        for (std::size_t i = 0; i < n; ++i)
            execq::core::core_of(out[i].future)->release();
        left -= n;
    }
    for (std::thread& producer : producers)
        producer.join();
    EXPECT_EQ(cq->wait(only_look()), EXECQ_ETIMEDOUT);
    cq->release();
}

}  // namespace
