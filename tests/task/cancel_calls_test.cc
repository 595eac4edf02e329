// The cancel callbacks of bodies: called or taken back, by node, by executor, and where memory runs out.
#include "task/cancel_calls.h"

#include <gtest/gtest.h>

#include "failing_new.h"
#include "white_box.h"

using namespace execq::core;

namespace {

struct Body {
    explicit Body(const void* executor = nullptr) : node(new_task()), called{&frame, node, executor} {}
    ~Body()
    {
        end_calls(&frame);
        node->discard();
    }
    Body(const Body&) = delete;
    Body& operator=(const Body&) = delete;

    int frame = 0;
    Node* const node;
    const CalledBody called;
};

TEST(CancelCalls, AreCalledOnceAndTokensAreNotUsedAgain)
{
    Counter calls;
    Body body;
    execq_cancel_token first = 0;
    execq_cancel_token second = 0;
    EXPECT_EQ(add_call(body.called, Counter::hit, &calls, &first), EXECQ_OK);
    EXPECT_EQ(add_call(body.called, Counter::hit, &calls, &second), EXECQ_OK);
    EXPECT_LT(first, second);
    tell_calls(*body.node);
    tell_calls(*body.node);
    EXPECT_EQ(calls.n, 2U);
    EXPECT_EQ(remove_call(&body.frame, first), EXECQ_EALREADY);
    EXPECT_EQ(remove_call(&body.frame, first), EXECQ_EINVAL);
    EXPECT_EQ(remove_call(&body.frame, second), EXECQ_EALREADY);
    EXPECT_FALSE(has_calls());
}

TEST(CancelCalls, OnlyTheirOwnBodyTakesThemBack)
{
    Counter calls;
    Body outer;
    execq_cancel_token token = 0;
    EXPECT_EQ(add_call(outer.called, Counter::hit, &calls, &token), EXECQ_OK);
    {
        Body inner;
        EXPECT_EQ(remove_call(&inner.frame, token), EXECQ_EINVAL);
        EXPECT_EQ(add_call(inner.called, Counter::hit, &calls, nullptr), EXECQ_OK);
        tell_calls(*outer.node);
        EXPECT_EQ(calls.n, 1U) << "not that of the inner one";
    }
    EXPECT_EQ(calls.n, 1U);
    EXPECT_EQ(remove_call(&outer.frame, token), EXECQ_EALREADY);
}

TEST(CancelCalls, ACloseCallsThoseOfItsExecutor)
{
    Counter here;
    Counter elsewhere;
    const int one = 0;
    const int other = 0;
    Body body(&one);
    Body stranger(&other);
    EXPECT_EQ(add_call(body.called, Counter::hit, &here, nullptr), EXECQ_OK);
    EXPECT_EQ(add_call(stranger.called, Counter::hit, &elsewhere, nullptr), EXECQ_OK);
    // A plain task has no node.
    int frame = 0;
    EXPECT_EQ(add_call({&frame, nullptr, &one}, Counter::hit, &here, nullptr), EXECQ_OK);
    tell_calls_of(&one);
    EXPECT_EQ(here.n, 2U);
    EXPECT_EQ(elsewhere.n, 0U);
    end_calls(&frame);
    end_calls(&stranger.frame);
    end_calls(&body.frame);
    EXPECT_FALSE(has_calls());
}

TEST(CancelCalls, TheNewestIsCalledByItsOwnThreadUnlessSomebodyElseDid)
{
    Counter calls;
    Body body;
    EXPECT_EQ(add_call(body.called, Counter::hit, &calls, nullptr), EXECQ_OK);
    call_newest();
    EXPECT_EQ(calls.n, 1U);
    call_newest();
    tell_calls(*body.node);
    EXPECT_EQ(calls.n, 1U);
}

TEST(CancelCalls, TheEndWaitsForOneThatRuns)
{
    static Gate gate;
    static std::atomic<bool> over;
    over = false;
    Body body;
    EXPECT_EQ(add_call(
                  body.called,
                  [](void*) {
                      gate.pass();
                      over = true;
                  },
                  nullptr, nullptr),
              EXECQ_OK);
    std::thread teller([&] { tell_calls(*body.node); });
    gate.await();
    std::thread opener([] { gate.open(); });
    end_calls(&body.frame);
    EXPECT_TRUE(over);
    teller.join();
    opener.join();
}

TEST(CancelCalls, AreCalledOrTakenBack)
{
    Counter calls;
    std::uint64_t unused = 0;
    Node* node = new_task();
    int frame = 0;
    // Only the thread that has added one takes it back.
    std::atomic<std::size_t> added{0};
    std::atomic<std::size_t> told{0};
    const std::size_t rounds = stress_n(20'000, 2'000);
    std::thread teller([&] {
        for (std::size_t round = 0; round < rounds; ++round) {
            while (added <= round)
                std::this_thread::yield();
            tell_calls(*node);
            ++told;
        }
    });
    for (std::size_t round = 0; round < rounds; ++round) {
        execq_cancel_token token = 0;
        EXPECT_EQ(add_call({&frame, node, nullptr}, Counter::hit, &calls, &token), EXECQ_OK);
        ++added;
        spin(round % 97);
        unused += remove_call(&frame, token) == EXECQ_OK ? 1 : 0;
        EXPECT_EQ(calls.n + unused, round + 1);
        while (told <= round)
            std::this_thread::yield();
    }
    teller.join();
    node->discard();
}

TEST(CancelCalls, WithoutMemoryNothingIsChanged)
{
    Counter calls;
    Body body;
    execq_cancel_token token = 7;
    EXPECT_EQ(fail_each_allocation([&] { return add_call(body.called, Counter::hit, &calls, &token); }, EXECQ_ENOMEM,
                                   [&] {
                                       EXPECT_EQ(token, 7U);
                                       EXPECT_FALSE(has_calls());
                                       tell_calls(*body.node);
                                   }),
              1);
    EXPECT_EQ(calls.n, 0U);
    tell_calls(*body.node);
    EXPECT_EQ(calls.n, 1U);
}

}  // namespace
