// What becomes of a node's outcome: values and their takers, errors, and the last reference.
#include <algorithm>
#include <array>
#include <gtest/gtest.h>
#include <limits>

#include "task/node.h"
#include "white_box.h"

using namespace execq::core;

namespace {

constexpr unsigned racers = 8;

std::size_t rounds() { return stress_n(20'000, 2'000); }

TEST(NodeOutcome, GivesAllItsOutcomes)
{
    Node* ok = new_promise();
    void* value = nullptr;
    ok->settle_value(number(7));
    EXPECT_EQ(ok->result(&value), EXECQ_OK);
    EXPECT_EQ(value, number(7));
    EXPECT_EQ(ok->error(), nullptr);
    Node* failed = new_promise();
    failed->settle_code(5);
    value = number(1);
    EXPECT_EQ(failed->result(&value), EXECQ_EFAILED);
    EXPECT_EQ(failed->take(&value), EXECQ_EFAILED);
    Node* canceled = new_promise();
    canceled->settle_canceled();
    EXPECT_EQ(canceled->result(&value), EXECQ_ECANCELED);
    EXPECT_EQ(canceled->take(&value), EXECQ_ECANCELED);
    EXPECT_EQ(canceled->error(), nullptr);
    EXPECT_EQ(value, number(1)) << "written by a call that failed";
    for (Node* node : {ok, failed, canceled}) {
        node->release();
        node->release();
    }
}

TEST(NodeOutcome, GivesItsValueToOneTaker)
{
    Node* node = new_promise();
    void* value = number(1);
    EXPECT_EQ(node->take(&value), EXECQ_EPENDING);
    EXPECT_EQ(value, number(1));
    node->settle_value(number(7));
    EXPECT_EQ(node->take(&value), EXECQ_OK);
    EXPECT_EQ(value, number(7));
    value = number(1);
    EXPECT_EQ(node->take(&value), EXECQ_EALREADY);
    EXPECT_EQ(node->result(&value), EXECQ_EALREADY);
    EXPECT_EQ(value, number(1));
    EXPECT_EQ(node->phase(), Phase::ok);
    node->release();
    node->release();
}

TEST(NodeOutcome, GivesItsValueToExactlyOneOfEightThreads)
{
    Node* node = nullptr;
    Counter drops;
    std::array<execq_status, racers> status{};
    race_rounds(
        racers, rounds(),
        [&](std::size_t) {
            node = new_promise(Counter::hit);
            node->settle_value(&drops);
        },
        [&](unsigned role, std::size_t) {
            void* value = nullptr;
            status[role] = node->take(&value);
            CHECK((status[role] == EXECQ_OK) == (value == &drops));
        },
        [&](std::size_t) {
            ASSERT_EQ(std::count(status.begin(), status.end(), EXECQ_OK), 1);
            ASSERT_EQ(std::count(status.begin(), status.end(), EXECQ_EALREADY), racers - 1);
            node->release();
            node->release();
        });
    EXPECT_EQ(drops.n, 0U) << "a value that was taken was dropped";
}

TEST(NodeOutcome, GivesItsValueToExactlyOneOfTwoThreads)
{
    Node* node = nullptr;
    std::array<execq_status, 2> status{};
    race_rounds(
        2, stress_n(500'000, 10'000),
        [&](std::size_t) {
            node = new_promise();
            node->settle_value(nullptr);
        },
        [&](unsigned role, std::size_t) {
            void* value = nullptr;
            status[role] = node->take(&value);
        },
        [&](std::size_t) {
            ASSERT_NE(status[0] == EXECQ_OK, status[1] == EXECQ_OK);
            node->release();
            node->release();
        });
}

// ---- errors ----

TEST(NodeOutcome, MakesAnErrorOfAnyCode)
{
    constexpr std::int32_t most = std::numeric_limits<std::int32_t>::max();
    constexpr std::int32_t least = std::numeric_limits<std::int32_t>::min();
    for (const std::int32_t code : {1, -1, 42, most, least, least + 1, std::int32_t{EXECQ_EBROKEN}}) {
        Node* node = new_promise();
        EXPECT_EQ(node->error(), nullptr);
        node->settle_code(code);
        Error* error = node->error();
        ASSERT_NE(error, nullptr);
        EXPECT_EQ(error->code(), code);
        const char* text = status_text(code);
        EXPECT_STREQ(error->message(), text != nullptr ? text : "");
        EXPECT_EQ(node->error(), error);
        node->release();
        node->release();
    }
}

TEST(NodeOutcome, GivesTheErrorThatItWasSettledWith)
{
    Node* node = new_promise();
    Error* error = Error::make(9, "nine");
    error->retain();
    node->settle_error(error);
    EXPECT_EQ(node->error(), error);
    node->release();
    node->release();
    EXPECT_STREQ(error->message(), "nine") << "our reference keeps it";
    error->release();
}

TEST(NodeOutcome, MakesItsErrorOnceForEightThreads)
{
    Node* node = nullptr;
    std::array<Error*, racers> errors{};
    race_rounds(
        racers, rounds(),
        [&](std::size_t) {
            node = new_promise();
            node->settle_code(EXECQ_EEXITED);
        },
        [&](unsigned role, std::size_t) {
            errors[role] = node->error();
            CHECK(errors[role]->code() == EXECQ_EEXITED);
        },
        [&](std::size_t) {
            for (const Error* error : errors)
                ASSERT_EQ(error, errors[0]);
            node->release();
            node->release();
        });
}

TEST(NodeOutcome, MakesItsErrorOnceForTwoThreads)
{
    Node* node = nullptr;
    std::array<Error*, 2> errors{};
    race_rounds(
        2, stress_n(500'000, 10'000),
        [&](std::size_t) {
            node = new_promise();
            node->settle_code(7);
        },
        [&](unsigned role, std::size_t) { errors[role] = node->error(); },
        [&](std::size_t) {
            ASSERT_EQ(errors[0], errors[1]);
            node->release();
            node->release();
        });
}

// ---- references ----

TEST(NodeOutcome, DropsAnUntakenValueAtItsLastRelease)
{
    Counter drops;
    Node* node = new_promise(Counter::hit);
    node->settle_value(&drops);
    node->retain();
    node->release();
    node->release();
    EXPECT_EQ(drops.n, 0U);
    node->release();
    EXPECT_EQ(drops.n, 1U);
}

TEST(NodeOutcome, DropsNoValueThatIsNotThere)
{
    static int drops;
    drops = 0;
    const execq_drop_fn drop = [](void*) { ++drops; };
    Node* failed = new_promise(drop);
    failed->settle_code(1);
    Node* canceled = new_promise(drop);
    canceled->settle_canceled();
    for (Node* node : {failed, canceled}) {
        node->release();
        node->release();
    }
    EXPECT_EQ(drops, 0);
    Node* null = new_promise(drop);
    null->settle_value(nullptr);
    null->release();
    null->release();
    EXPECT_EQ(drops, 1) << "a null value is a value too";
}

TEST(NodeOutcome, IsFreedOnceByEightThreadsThatLetGo)
{
    Node* node = nullptr;
    Counter drops;
    race_rounds(
        racers, rounds(),
        [&](std::size_t) {
            node = new_promise(Counter::hit);
            node->settle_value(&drops);
            for (unsigned i = 2; i < racers; ++i)
                node->retain();
        },
        [&](unsigned, std::size_t) {
            node->retain();
            node->release();
            node->release();
        },
        [&](std::size_t round) { ASSERT_EQ(drops.n, round + 1); });
}

TEST(NodeOutcome, CountsMoreReferencesThanTheStateHasBits)
{
    Counter drops;
    Node* node = new_promise(Counter::hit);
    constexpr int many = 1 << 20;
    for (int i = 0; i < many; ++i)
        node->retain();
    EXPECT_EQ(node->phase(), Phase::running);
    EXPECT_FALSE(node->cancel_requested());
    node->settle_value(&drops);
    for (int i = 0; i < many + 1; ++i)
        node->release();
    EXPECT_EQ(drops.n, 0U);
    node->release();
    EXPECT_EQ(drops.n, 1U);
}

}  // namespace
