// Cancel sources: what is linked to one, each way that a link ends, and memory that runs out.
#include "task/cancel_source.h"

#include <gtest/gtest.h>
#include <vector>

#include "failing_new.h"
#include "task/cancel.h"
#include "task/cancel_calls.h"
#include "white_box.h"

using namespace execq::core;

namespace {

// A task of that source, admitted and accepted; one reference for the caller.
Node* member_of(CancelSource& source)
{
    TaskSpec spec;
    spec.scopes.all[2] = &source;
    Node* node = new_task(spec, 2);
    EXPECT_EQ(source.admit(*node->memberships()), EXECQ_OK);
    source.accepted(*node->memberships());
    return node;
}

void release_promise(Node* promise)
{
    promise->release_promise();
    promise->release();
}

TEST(CancelSource, IsCanceledOnce)
{
    CancelSource* source = CancelSource::make(nullptr);
    EXPECT_FALSE(source->requested());
    EXPECT_TRUE(source->cancel());
    EXPECT_TRUE(source->requested());
    EXPECT_FALSE(source->cancel());
    source->release();
}

TEST(CancelSource, AMemberThatIsDismissedLeavesNothing)
{
    CancelSource* source = CancelSource::make(nullptr);
    TaskSpec spec;
    spec.scopes.all[2] = source;
    for (const bool canceled : {false, true}) {
        Node* node = new_task(spec);
        EXPECT_EQ(source->admit(*node->memberships()), EXECQ_OK);
        EXPECT_EQ(source->cancel(), !canceled);
        EXPECT_EQ(node->phase(), canceled ? Phase::settling : Phase::pending)
            << "claimed only where it was canceled before";
        source->dismiss(*node->memberships());
        node->discard();
    }
    source->release();
}

// Whoever cancels comes between the admission and the acceptance.
TEST(CancelSource, WhatIsJustBeingSubmittedIsCanceledAsItIsAccepted)
{
    CancelSource* source = CancelSource::make(nullptr);
    TaskSpec spec;
    spec.scopes.all[2] = source;
    Node* node = new_task(spec, 2);
    EXPECT_EQ(source->admit(*node->memberships()), EXECQ_OK);
    EXPECT_TRUE(source->cancel());
    EXPECT_EQ(node->phase(), Phase::pending);
    source->accepted(*node->memberships());
    EXPECT_EQ(node->phase(), Phase::canceled);
    EXPECT_EQ(node->cancel_reason(), EXECQ_REASON_CALLER);
    node->release();
    node->release();
    source->release();
}

TEST(CancelSource, CallsTheCallbacksThenTheGroupsThenTheTasks)
{
    static std::vector<char> order;
    order.clear();
    CancelSource* source = CancelSource::make(nullptr);
    Node* task = member_of(*source);
    EXPECT_EQ(
        task->register_completion({[](execq_future*, void*) { order.push_back('t'); }, nullptr, nullptr, nullptr}),
        EXECQ_OK);
    SourceLink link([](void*) { order.push_back('g'); }, nullptr);
    EXPECT_TRUE(source->link(link));
    EXPECT_EQ(source->on_cancel([](void*) { order.push_back('c'); }, nullptr, nullptr, nullptr), EXECQ_OK);
    EXPECT_TRUE(source->cancel());
    EXPECT_EQ(order, (std::vector<char>{'c', 'g', 't'}));
    EXPECT_FALSE(source->unlink(link)) << "it was called";
    EXPECT_FALSE(source->link(link)) << "canceled";
    task->release();
    task->release();
    source->release();
}

TEST(CancelSource, ALinkIsCalledOrUnlinked)
{
    Counter calls;
    CancelSource* source = nullptr;
    SourceLink* link = nullptr;
    std::atomic<std::uint64_t> unlinked{0};
    const std::size_t rounds = stress_n(20'000, 2'000);
    race_rounds(
        2, rounds,
        [&](std::size_t) {
            source = CancelSource::make(nullptr);
            link = new SourceLink(Counter::hit, &calls);
            EXPECT_TRUE(source->link(*link));
        },
        [&](unsigned role, std::size_t) {
            if (role == 0)
                EXPECT_TRUE(source->cancel());
            else
                unlinked += source->unlink(*link) ? 1 : 0;
        },
        [&](std::size_t round) {
            EXPECT_EQ(calls.n + unlinked, round + 1);
            delete link;
            source->release();
        });
}

TEST(CancelSource, ItsEndDropsWhatWasNotCalled)
{
    Counter calls;
    Counter drops;
    CancelSource* source = CancelSource::make(nullptr);
    CancelSource* child = CancelSource::make(source);
    Node* promise = new_promise();
    EXPECT_EQ(child->link(*promise), EXECQ_OK);
    EXPECT_EQ(source->on_cancel([](void*) { CHECK(false); }, &drops, Counter::hit, nullptr), EXECQ_OK);
    source->release();
    child->release();
    EXPECT_EQ(drops.n, 0U) << "a future is linked to a child of it";
    EXPECT_TRUE(promise->resolve(nullptr));
    EXPECT_EQ(drops.n, 1U);
    release_promise(promise);
}

TEST(CancelSource, AChainOfAnyLengthIsCanceledAndEnds)
{
    CancelSource* first = CancelSource::make(nullptr);
    CancelSource* last = first;
    for (int i = 0; i < 100'000; ++i) {
        CancelSource* child = CancelSource::make(last);
        if (last != first)
            last->release();
        last = child;
    }
    EXPECT_TRUE(first->cancel());
    EXPECT_TRUE(last->requested());
    first->release();
    last->release();
}

TEST(CancelSource, WithoutMemoryNothingIsChanged)
{
    CancelSource* source = nullptr;
    EXPECT_EQ(fail_each_allocation([&] { return source = CancelSource::make(nullptr); },
                                   static_cast<CancelSource*>(nullptr), [] {}),
              1);
    CancelSource* child = nullptr;
    EXPECT_EQ(fail_each_allocation([&] { return child = CancelSource::make(source); },
                                   static_cast<CancelSource*>(nullptr), [] {}),
              1);
    Counter calls;
    Counter drops;
    execq_cancel_token token = 7;
    EXPECT_EQ(fail_each_allocation([&] { return child->on_cancel(Counter::hit, &calls, Counter::hit, &token); },
                                   EXECQ_ENOMEM, [&] { EXPECT_EQ(token, 7U); }),
              1);
    EXPECT_EQ(child->off(token), EXECQ_OK);
    EXPECT_EQ(calls.n, 1U) << "the drop, of the one that was accepted";
    Node* promise = new_promise();
    EXPECT_EQ(promise->register_completion({Counter::done, &drops, nullptr, nullptr}), EXECQ_OK)
        << "the next needs a record";
    EXPECT_EQ(fail_each_allocation([&] { return child->link(*promise); }, EXECQ_ENOMEM,
                                   [&] { EXPECT_FALSE(promise->cancel_requested()); }),
              3);
    EXPECT_TRUE(source->cancel());
    EXPECT_TRUE(promise->cancel_requested());
    EXPECT_TRUE(promise->resolve(nullptr));
    release_promise(promise);
    child->release();
    source->release();
}

}  // namespace
