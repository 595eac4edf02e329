// Nodes without a task: who holds the promise, and what becomes of one that nobody holds any more.
#include <gtest/gtest.h>

#include "task/node.h"
#include "white_box.h"

using namespace execq::core;

namespace {

struct Outcome {
    int delivered = 0;
    execq_status status = EXECQ_EPENDING;

    static void note(execq_future* future, void* outcome)
    {
        auto* self = static_cast<Outcome*>(outcome);
        ++self->delivered;
        self->status = execq::core::core_of(future)->result(nullptr);
    }
};

TEST(Promise, IsBrokenWhenItsLastHolderLetsGo)
{
    Outcome outcome;
    Node* node = new_promise();
    ASSERT_EQ(node->register_completion({Outcome::note, &outcome, nullptr, nullptr}), EXECQ_OK);
    node->retain_promise();
    node->release_promise();
    EXPECT_EQ(node->phase(), Phase::running);
    EXPECT_EQ(outcome.delivered, 0);
    node->release_promise();
    EXPECT_EQ(node->phase(), Phase::failed);
    EXPECT_EQ(node->error()->code(), EXECQ_EBROKEN);
    EXPECT_STREQ(node->error()->message(), status_text(EXECQ_EBROKEN));
    EXPECT_EQ(outcome.delivered, 1);
    EXPECT_EQ(outcome.status, EXECQ_EFAILED);
    node->release();
}

TEST(Promise, EndsCanceledWhereThatWasAskedForBeforeItWasDropped)
{
    Outcome outcome;
    Node* node = new_promise();
    ASSERT_EQ(node->register_completion({Outcome::note, &outcome, nullptr, nullptr}), EXECQ_OK);
    EXPECT_TRUE(node->request_cancel(EXECQ_REASON_CALLER));
    node->release_promise();
    EXPECT_EQ(node->phase(), Phase::canceled);
    EXPECT_EQ(outcome.delivered, 1);
    EXPECT_EQ(outcome.status, EXECQ_ECANCELED);
    node->release();
}

TEST(Promise, KeepsItsOutcomeWhenItsHoldersLetGoAfterwards)
{
    Node* node = new_promise();
    ASSERT_TRUE(node->try_claim_promise());
    node->settle_value(number(4));
    node->release_promise();
    void* value = nullptr;
    EXPECT_EQ(node->result(&value), EXECQ_OK);
    EXPECT_EQ(value, number(4));
    node->release();
}

TEST(Promise, OutlivesItsFuture)
{
    Counter drops;
    Node* node = new_promise(Counter::hit);
    node->release();
    ASSERT_TRUE(node->try_claim_promise());
    node->settle_value(&drops);
    EXPECT_EQ(drops.n, 0U);
    node->release_promise();
    EXPECT_EQ(drops.n, 1U);
}

TEST(Promise, IsBrokenEvenWhereNobodyHoldsItsFuture)
{
    Outcome outcome;
    Node* node = new_promise();
    ASSERT_EQ(node->register_completion({Outcome::note, &outcome, nullptr, nullptr}), EXECQ_OK);
    node->release();
    node->release_promise();
    EXPECT_EQ(outcome.delivered, 1);
    EXPECT_EQ(outcome.status, EXECQ_EFAILED);
}

TEST(Promise, IsBrokenOnceByEightHoldersThatLetGo)
{
    Outcome outcome;
    Node* node = nullptr;
    race_rounds(
        8, sanitized ? 2'000 : 20'000,
        [&](std::size_t) {
            outcome = {};
            node = new_promise();
            for (int i = 1; i < 8; ++i)
                node->retain_promise();
            CHECK(node->register_completion({Outcome::note, &outcome, nullptr, nullptr}) == EXECQ_OK);
        },
        [&](unsigned, std::size_t) {
            node->retain_promise();
            node->release_promise();
            node->release_promise();
        },
        [&](std::size_t) {
            ASSERT_EQ(outcome.delivered, 1);
            ASSERT_EQ(node->error()->code(), EXECQ_EBROKEN);
            node->release();
        });
}

// The holder that resolves is never the last: whoever drops the promise must not break it under its hands.
TEST(Promise, IsResolvedOrBrokenButNotBoth)
{
    Outcome outcome;
    Node* node = nullptr;
    race_rounds(
        3, sanitized ? 3'000 : 50'000,
        [&](std::size_t) {
            outcome = {};
            node = new_promise();
            node->retain_promise();
            node->retain_promise();
            CHECK(node->register_completion({Outcome::note, &outcome, nullptr, nullptr}) == EXECQ_OK);
        },
        [&](unsigned role, std::size_t) {
            if (role == 0 && node->try_claim_promise())
                node->settle_value(nullptr);
            node->release_promise();
        },
        [&](std::size_t) {
            ASSERT_EQ(outcome.delivered, 1);
            ASSERT_EQ(outcome.status, EXECQ_OK);
            node->release();
        });
}

}  // namespace
