#include "task/node.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <gtest/gtest.h>
#include <limits>
#include <string>

#include "white_box.h"

using namespace execq::core;

namespace {

constexpr unsigned racers = 8;

std::size_t rounds() { return stress_n(20'000, 2'000); }

TEST(Node, StartsAsPendingOrAsAnOpenPromise)
{
    Node* task = new_task();
    EXPECT_EQ(task->phase(), Phase::pending);
    EXPECT_FALSE(task->done());
    EXPECT_EQ(task->result(nullptr), EXECQ_EPENDING);
    task->release();
    Node* promise = new_promise();
    EXPECT_EQ(promise->phase(), Phase::running);
    promise->release();
    promise->release();
}

TEST(Node, CanBeStartedOnce)
{
    Node* node = new_task();
    EXPECT_TRUE(node->try_start());
    EXPECT_EQ(node->phase(), Phase::running);
    EXPECT_FALSE(node->try_start());
    EXPECT_FALSE(node->try_claim_cancel(EXECQ_REASON_CALLER));
    EXPECT_EQ(node->cancel_reason(), EXECQ_REASON_NONE);
    node->release();
}

TEST(Node, CanBeClaimedForCancelingOnce)
{
    Node* node = new_task();
    EXPECT_TRUE(node->try_claim_cancel(EXECQ_REASON_SHUTDOWN));
    EXPECT_EQ(node->phase(), Phase::settling);
    EXPECT_FALSE(node->done());
    EXPECT_FALSE(node->try_claim_cancel(EXECQ_REASON_CALLER));
    EXPECT_FALSE(node->try_start());
    EXPECT_FALSE(node->try_claim_promise());
    EXPECT_EQ(node->cancel_reason(), EXECQ_REASON_SHUTDOWN);
    node->settle_canceled();
    EXPECT_EQ(node->phase(), Phase::canceled);
    EXPECT_EQ(node->result(nullptr), EXECQ_ECANCELED);
    node->release();
}

TEST(Node, AllowsNoTransitionOnceDone)
{
    Node* node = new_task();
    ASSERT_TRUE(node->try_start());
    node->settle_value(nullptr);
    EXPECT_FALSE(node->try_start());
    EXPECT_FALSE(node->try_claim_cancel(EXECQ_REASON_CALLER));
    EXPECT_FALSE(node->try_claim_promise());
    EXPECT_FALSE(node->request_cancel(EXECQ_REASON_CALLER));
    EXPECT_FALSE(node->cancel_requested());
    EXPECT_EQ(node->phase(), Phase::ok);
    node->release();
}

TEST(Node, IsStartedOrCanceledByExactlyOneOfEightThreads)
{
    Node* node = nullptr;
    std::array<bool, racers> won{};
    std::size_t started = 0;
    race_rounds(
        // Who is alone with a node needs no race: here the others have handles.
        racers, rounds(), [&](std::size_t) { node = new_task({}, 2); },
        [&](unsigned role, std::size_t) {
            won[role] = role % 2 == 0 ? node->try_start() : node->try_claim_cancel(EXECQ_REASON_CALLER);
        },
        [&](std::size_t) {
            ASSERT_EQ(std::count(won.begin(), won.end(), true), 1);
            const bool start_won = node->phase() == Phase::running;
            ASSERT_EQ(start_won, won[0] || won[2] || won[4] || won[6]);
            ASSERT_EQ(node->cancel_requested(), !start_won);
            started += start_won ? 1 : 0;
            node->release();
            node->release();
        });
    EXPECT_GT(started, 0U);
    EXPECT_LT(started, rounds());
}

TEST(Node, IsClaimedAsAPromiseByExactlyOneOfEightThreadsWhileItIsAskedToStop)
{
    Node* node = nullptr;
    std::array<bool, racers> won{};
    std::size_t asked = 0;
    race_rounds(
        racers, rounds(), [&](std::size_t) { node = new_promise(); },
        [&](unsigned role, std::size_t) {
            won[role] = role < 6 ? node->try_claim_promise() : node->request_cancel(EXECQ_REASON_GROUP);
        },
        [&](std::size_t) {
            ASSERT_EQ(std::count(won.begin(), won.begin() + 6, true), 1);
            ASSERT_EQ(node->phase(), Phase::settling);
            ASSERT_EQ(node->cancel_requested(), won[6] || won[7]) << "an answer that is not what was done";
            ASSERT_EQ(node->cancel_reason(), won[6] || won[7] ? EXECQ_REASON_GROUP : EXECQ_REASON_NONE);
            asked += won[6] || won[7] ? 1 : 0;
            node->settle_canceled();
            node->release();
            node->release();
        });
    EXPECT_GT(asked, 0U);
}

TEST(Node, OfASeriesDoesNotLieDownOnceItWasAskedToStop)
{
    Node* node = nullptr;
    bool rests = false;
    std::array<Node::Canceled, 3> answers{};
    race_rounds(
        4, rounds(),
        [&](std::size_t) {
            node = new_task({}, 2);
            ASSERT_TRUE(node->try_start());
        },
        [&](unsigned role, std::size_t) {
            if (role == 0)
                rests = node->try_rest();
            else
                answers[role - 1] = node->claim_or_ask(EXECQ_REASON_CALLER);
        },
        [&](std::size_t) {
            const auto claims = std::count(answers.begin(), answers.end(), Node::Canceled::claimed);
            ASSERT_EQ(claims, rests ? 1 : 0) << "asked to stop, it would lie there for its whole period";
            ASSERT_EQ(node->phase(), rests ? Phase::settling : Phase::running);
            node->settle_canceled();
            node->release();
            node->release();
        });
}

TEST(Node, KeepsTheFirstReasonToCancel)
{
    Node* node = new_task();
    EXPECT_TRUE(node->request_cancel(EXECQ_REASON_GROUP));
    EXPECT_TRUE(node->request_cancel(EXECQ_REASON_DEADLINE));
    EXPECT_EQ(node->cancel_reason(), EXECQ_REASON_GROUP);
    EXPECT_TRUE(node->try_claim_cancel(EXECQ_REASON_CALLER));
    EXPECT_EQ(node->cancel_reason(), EXECQ_REASON_GROUP);
    node->settle_canceled();
    EXPECT_EQ(node->cancel_reason(), EXECQ_REASON_GROUP);
    node->release();
}

TEST(Node, NamesOneReasonWhereTwoThreadsAskAtOnce)
{
    Node* node = nullptr;
    std::array<bool, 3> asked{};
    race_rounds(
        3, rounds(), [&](std::size_t) { node = new_promise(); },
        [&](unsigned role, std::size_t) {
            asked[role] = node->request_cancel(role == 0   ? EXECQ_REASON_CALLER
                                               : role == 1 ? EXECQ_REASON_DEADLINE
                                                           : EXECQ_REASON_GROUP);
        },
        [&](std::size_t) {
            ASSERT_TRUE(asked[0] && asked[1] && asked[2]);
            const std::int32_t reason = node->cancel_reason();
            ASSERT_TRUE(reason == EXECQ_REASON_CALLER || reason == EXECQ_REASON_DEADLINE ||
                        reason == EXECQ_REASON_GROUP)
                << reason;  // two that were or-ed together would be SHUTDOWN or 5 to 7
            node->release();
            node->release();
        });
}

// ---- the state word ----

TEST(Node, KeepsExecutorFlagsAndPhaseApart)
{
    for (const std::uint16_t id : {0x0001, 0x5555, 0xaaaa, 0xffff}) {
        Node* node = new_task({}, 2, id);
        EXPECT_EQ(node->phase(), Phase::pending);
        EXPECT_FALSE(node->await_done(Deadline::after(0)));
        EXPECT_TRUE(node->announce_lot_waiter());
        EXPECT_EQ(node->phase(), Phase::pending);
        EXPECT_FALSE(node->cancel_requested());
        EXPECT_TRUE(node->request_cancel(EXECQ_REASON_GROUP));
        EXPECT_TRUE(node->try_start());
        EXPECT_EQ(node->executor_id(), id);
        EXPECT_EQ(node->cancel_reason(), EXECQ_REASON_GROUP);
        node->settle_value(number(3));
        void* value = nullptr;
        EXPECT_EQ(node->take(&value), EXECQ_OK);
        EXPECT_EQ(node->executor_id(), id);
        EXPECT_EQ(node->phase(), Phase::ok);
        EXPECT_EQ(node->cancel_reason(), EXECQ_REASON_GROUP);
        EXPECT_STREQ(node->name(), "");
        node->release();
        node->release();
    }
}

TEST(NodeState, LetsNobodySleepOnItOnceDone)
{
    NodeState state(NodeState::first(2, 0x5555, Phase::running));
    NodeState::Word pending = 0;
    EXPECT_TRUE(state.announce(NodeState::waiter_flag, pending));
    EXPECT_EQ(static_cast<std::uint32_t>(pending) >> 16, 0x5555U);
    NodeState::Word again = 0;
    EXPECT_TRUE(state.announce(NodeState::waiter_flag, again));
    EXPECT_EQ(pending, again);
    EXPECT_NE(state.settle(state.look(), Phase::ok, Reference::keep).before & NodeState::waiter_flag, 0U);
    NodeState::Word done = 0;
    EXPECT_FALSE(state.announce(NodeState::waiter_flag, done));
    EXPECT_NE(static_cast<std::uint32_t>(done), static_cast<std::uint32_t>(pending)) << "a sleeper would not notice";
    EXPECT_FALSE(state.announce(NodeState::lot_flag, done));
}

TEST(NodeState, GivesSleepersAWordThatReferencesDoNotChange)
{
    NodeState state(NodeState::first(2, 0, Phase::running));
    NodeState::Word before = 0;
    ASSERT_TRUE(state.announce(NodeState::waiter_flag, before));
    state.retain();
    std::uint32_t word = 0;
    std::memcpy(&word, state.address(), sizeof word);
    EXPECT_EQ(word, static_cast<std::uint32_t>(before));
}

// ---- env, name, memory ----

TEST(Node, IsOneCacheLineWhereNothingElseIsAskedFor)
{
    TaskSpec spec;
    spec.fn = Counter::body;
    Node* node = new_task(spec);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(node) % 64, 0U);
    EXPECT_STREQ(node->name(), "");
    node->release();
    void* line = execq::core::node_pool::allocate();
    EXPECT_EQ(line, node) << "it was a line of the pool";
    execq::core::node_pool::free(line);
}

TEST(Node, GivesItsBodyToWhoStartsIt)
{
    Counter counter;
    TaskSpec spec;
    spec.fn = Counter::body;
    spec.env = &counter;
    Node* node = new_task(spec);
    ASSERT_TRUE(node->try_start());
    void* value = nullptr;
    EXPECT_EQ(node->fn(), &Counter::body);
    EXPECT_EQ(node->fn()(node->task_env(), &value), 0);
    EXPECT_EQ(counter.n, 1U);
    node->drop_env();
    EXPECT_EQ(counter.n, 1U) << "there is no drop";
    node->settle_value(value);
    node->release();
}

TEST(Node, CopiesItsNameAndAnEnvOfAnySizeAlignedForAnyType)
{
    std::string bytes;
    for (std::size_t size = 1; size <= 200; ++size) {
        bytes.push_back(static_cast<char>('a' + size % 26));
        const std::string original = bytes;
        std::string name(size % 40, 'n');
        TaskSpec spec;
        spec.env = bytes.data();
        spec.env_size = size;
        spec.name = name.c_str();
        Node* node = new_task(spec);
        const std::string was = name;
        bytes.assign(size, '-');
        name.assign(name.size(), '-');
        EXPECT_NE(node->task_env(), bytes.data());
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(node->task_env()) % alignof(std::max_align_t), 0U);
        EXPECT_EQ(std::memcmp(node->task_env(), original.data(), size), 0);
        EXPECT_EQ(node->name(), was);
        bytes = original;
        node->release();
    }
}

TEST(Node, DropsTheCopyOfItsEnvNotTheOriginal)
{
    static void* dropped;
    dropped = nullptr;
    int env = 17;
    TaskSpec spec;
    spec.env = &env;
    spec.env_size = sizeof env;
    spec.drop = [](void* copy) {
        dropped = copy;
        EXPECT_EQ(*static_cast<int*>(copy), 17);
    };
    Node* node = new_task(spec);
    void* copy = node->task_env();
    ASSERT_TRUE(node->try_start());
    node->drop_env();
    EXPECT_EQ(dropped, copy);
    EXPECT_NE(dropped, &env);
    node->settle_value(nullptr);
    node->release();
}

TEST(Node, KeepsItsNameAsLongAsItLives)
{
    TaskSpec spec;
    spec.name = "compress";
    Node* node = new_task(spec, 2);
    ASSERT_TRUE(node->try_start());
    node->settle_value(nullptr);
    node->release();
    EXPECT_STREQ(node->name(), "compress");
    node->release();
}

TEST(Node, RefusesAnEnvTooLargeForMemory)
{
    int env = 0;
    TaskSpec spec;
    spec.env = &env;
    spec.name = "huge";
    for (const std::uint64_t size : {std::numeric_limits<std::uint64_t>::max(),
                                     std::numeric_limits<std::uint64_t>::max() - 64, std::uint64_t{1} << 63}) {
        spec.env_size = size;
        EXPECT_EQ(Node::make_task(spec, 1), nullptr);
    }
}

TEST(Node, CallsNothingWhenItIsDiscarded)
{
    Counter counter;
    TaskSpec spec;
    spec.env = &counter;
    spec.drop = Counter::hit;
    spec.drop_result = Counter::hit;
    new_task(spec, 2)->discard();
    EXPECT_EQ(counter.n, 0U);
}

TEST(Node, KeepsErrnoWhileItIsSettled)
{
    Node* node = new_promise();
    ASSERT_EQ(node->register_completion({[](execq_future*, void*) { errno = EIO; }, nullptr, nullptr, nullptr}),
              EXECQ_OK);
    errno = EAGAIN;
    node->settle_value(nullptr);
    EXPECT_EQ(errno, EAGAIN);
    node->release();
    node->release();
}

}  // namespace
