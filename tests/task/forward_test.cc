// One future that ends as another one does.
#include <array>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "reports.h"
#include "small_stack.h"
#include "task/cancel.h"
#include "task/node.h"
#include "white_box.h"

using namespace execq::core;

namespace {

// A source and the promise that it is forwarded to; each with the reference of its future and that of its promise.
struct Pair {
    explicit Pair(execq_drop_fn drop_source = nullptr, execq_drop_fn drop_target = nullptr)
        : source(new_promise(drop_source)), target(new_promise(drop_target))
    {}
    // The promise's side of the target is not needed once something is forwarded to it.
    execq_status forward() const
    {
        const execq_status status = source->forward_to(*target);
        target->release_promise();
        return status;
    }
    void release() const
    {
        source->release();
        target->release();
    }

    Node* source;
    Node* target;
};

TEST(Forward, LendsTheValue)
{
    Counter source_drops;
    Counter target_drops;
    const Pair pair(Counter::hit, Counter::hit);
    ASSERT_EQ(pair.forward(), EXECQ_OK);
    EXPECT_FALSE(pair.target->done());
    EXPECT_TRUE(pair.source->resolve(&source_drops));
    pair.source->release_promise();
    void* value = nullptr;
    EXPECT_EQ(pair.target->result(&value), EXECQ_OK);
    EXPECT_EQ(value, &source_drops);
    EXPECT_EQ(pair.target->phase(), Phase::ok);
    pair.source->release();
    EXPECT_EQ(source_drops.n, 0U) << "it is lent, still";
    pair.target->release();
    EXPECT_EQ(source_drops.n, 1U);
    EXPECT_EQ(target_drops.n, 0U);
}

TEST(Forward, OfOneThatIsDoneIsDoneAtOnce)
{
    Counter drops;
    const Pair pair(Counter::hit);
    EXPECT_TRUE(pair.source->resolve(&drops));
    pair.source->release_promise();
    ASSERT_EQ(pair.forward(), EXECQ_OK);
    void* value = nullptr;
    EXPECT_EQ(pair.target->result(&value), EXECQ_OK);
    EXPECT_EQ(value, &drops);
    pair.release();
    EXPECT_EQ(drops.n, 1U);
}

TEST(Forward, GivesTheValueOnceWhoeverTakesIt)
{
    for (const bool from_target : {true, false}) {
        Counter drops;
        const Pair pair(Counter::hit);
        ASSERT_EQ(pair.forward(), EXECQ_OK);
        EXPECT_TRUE(pair.source->resolve(&drops));
        pair.source->release_promise();
        Node* first = from_target ? pair.target : pair.source;
        Node* second = from_target ? pair.source : pair.target;
        void* value = nullptr;
        EXPECT_EQ(first->take(&value), EXECQ_OK);
        EXPECT_EQ(value, &drops);
        EXPECT_EQ(second->take(&value), EXECQ_EALREADY);
        EXPECT_EQ(second->result(&value), EXECQ_EALREADY);
        EXPECT_EQ(first->result(&value), EXECQ_EALREADY);
        pair.release();
        EXPECT_EQ(drops.n, 0U);
    }
}

TEST(Forward, SharesTheFailureAndConsumesIt)
{
    Reports reports;
    const Pair pair;
    ASSERT_EQ(pair.forward(), EXECQ_OK);
    EXPECT_TRUE(pair.source->reject(5, Error::make(5, "five")));
    pair.source->release_promise();
    pair.source->release();
    EXPECT_EQ(reports.taken(), "") << "it was passed on";
    EXPECT_STREQ(pair.target->error()->message(), "five");
    pair.target->release();
    EXPECT_EQ(reports.taken(), "");
}

TEST(Forward, ReportsAFailureThatNobodyConsumedOnceInAll)
{
    Reports reports;
    for (const bool coded : {true, false}) {
        for (const bool done : {true, false}) {
            const Pair pair;
            if (!done) {
                ASSERT_EQ(pair.forward(), EXECQ_OK);
            }
            EXPECT_TRUE(pair.source->reject(5, coded ? nullptr : Error::make(5, "five")));
            if (done) {
                ASSERT_EQ(pair.forward(), EXECQ_OK);
            }
            pair.source->release_promise();
            pair.release();
            EXPECT_EQ(reports.taken(), coded ? "/5/" : "/5/five");
        }
    }
}

TEST(Forward, PassesACancellationOnWithItsReason)
{
    const Pair pair;
    ASSERT_EQ(pair.forward(), EXECQ_OK);
    EXPECT_TRUE(pair.source->request_cancel(EXECQ_REASON_DEADLINE));
    pair.source->release_promise();
    EXPECT_EQ(pair.target->phase(), Phase::canceled);
    EXPECT_EQ(pair.target->cancel_reason(), EXECQ_REASON_DEADLINE);
    pair.release();
}

TEST(Forward, AsksTheSourceToStop)
{
    const Pair pair;
    Counter told;
    EXPECT_EQ(pair.source->hook_cancel(Counter::hit, &told, nullptr), EXECQ_OK);
    ASSERT_EQ(pair.forward(), EXECQ_OK);
    EXPECT_EQ(cancel(*pair.target, EXECQ_REASON_GROUP), EXECQ_EBUSY);
    EXPECT_TRUE(pair.source->cancel_requested());
    EXPECT_EQ(pair.source->cancel_reason(), EXECQ_REASON_GROUP);
    EXPECT_EQ(told.n, 1U);
    EXPECT_FALSE(pair.target->done()) << "the source decides";
    EXPECT_TRUE(pair.source->resolve(number(3)));
    EXPECT_EQ(pair.target->phase(), Phase::ok);
    pair.source->release_promise();
    pair.release();
}

TEST(Forward, CancelsASourceThatHasNotStarted)
{
    Counter drops;
    TaskSpec spec;
    spec.drop = Counter::hit;
    spec.env = &drops;
    Node* task = new_task(spec, 2);
    Node* target = new_promise();
    ASSERT_EQ(task->forward_to(*target), EXECQ_OK);
    target->release_promise();
    EXPECT_EQ(cancel(*target, EXECQ_REASON_CALLER), EXECQ_EBUSY);
    EXPECT_EQ(task->phase(), Phase::canceled);
    EXPECT_EQ(target->phase(), Phase::canceled);
    EXPECT_EQ(target->cancel_reason(), EXECQ_REASON_CALLER);
    EXPECT_EQ(drops.n, 1U);
    task->release();
    task->release();
    target->release();
}

TEST(Forward, AsksForWhatWasAskedBefore)
{
    const Pair pair;
    EXPECT_TRUE(pair.target->request_cancel(EXECQ_REASON_CALLER));
    ASSERT_EQ(pair.forward(), EXECQ_OK);
    EXPECT_TRUE(pair.source->cancel_requested());
    pair.source->release_promise();
    EXPECT_EQ(pair.target->phase(), Phase::canceled);
    pair.release();
}

TEST(Forward, StandsBesideACancelCallback)
{
    for (const bool hooked_first : {true, false}) {
        const Pair pair;
        Counter told;
        Counter drops;
        const auto hook = [&] { EXPECT_EQ(pair.target->hook_cancel(Counter::hit, &told, nullptr), EXECQ_OK); };
        if (hooked_first)
            hook();
        ASSERT_EQ(pair.source->forward_to(*pair.target), EXECQ_OK);
        if (!hooked_first)
            hook();
        EXPECT_EQ(cancel(*pair.target, EXECQ_REASON_CALLER), EXECQ_EBUSY);
        EXPECT_EQ(told.n, 1U);
        EXPECT_TRUE(pair.source->cancel_requested());
        pair.source->release_promise();
        EXPECT_EQ(pair.target->phase(), Phase::canceled);
        EXPECT_EQ(pair.target->hook_cancel(Counter::hit, &told, Counter::hit), EXECQ_EALREADY);
        pair.target->release_promise();
        pair.release();
    }
}

TEST(Forward, LosesAgainstAnEarlierCompletion)
{
    Reports reports;
    Counter drops;
    const Pair pair(Counter::hit);
    ASSERT_EQ(pair.source->forward_to(*pair.target), EXECQ_OK);
    EXPECT_TRUE(pair.target->resolve(number(7)));
    pair.target->release_promise();
    EXPECT_TRUE(pair.source->reject(5, Error::make(5, "five")));
    pair.source->release_promise();
    void* value = nullptr;
    EXPECT_EQ(pair.target->result(&value), EXECQ_OK);
    EXPECT_EQ(value, number(7));
    pair.source->release();
    EXPECT_EQ(reports.taken(), "") << "the target still has it";
    pair.target->release();
    EXPECT_EQ(reports.taken(), "/5/five") << "it was passed on to nobody";
}

TEST(Forward, IsRefusedWhereItCanNotBe)
{
    const Pair pair;
    EXPECT_EQ(pair.source->forward_to(*pair.source), EXECQ_EINVAL);
    EXPECT_EQ(pair.source->forward_to(*pair.target), EXECQ_OK);
    Node* second = new_promise();
    EXPECT_EQ(second->forward_to(*pair.target), EXECQ_EALREADY) << "it has a source";
    EXPECT_EQ(pair.target->forward_to(*pair.source), EXECQ_EDEADLK);
    EXPECT_EQ(pair.target->forward_to(*second), EXECQ_OK);
    EXPECT_EQ(second->forward_to(*pair.source), EXECQ_EDEADLK);
    EXPECT_TRUE(pair.source->resolve(number(1)));
    Node* late = new_promise();
    EXPECT_EQ(late->forward_to(*pair.source), EXECQ_EALREADY) << "it is completed";
    EXPECT_EQ(second->phase(), Phase::ok);
    EXPECT_EQ(second->forward_to(*late), EXECQ_OK) << "what was refused left it open";
    for (Node* node : {pair.source, pair.target, second, late}) {
        void* value = nullptr;
        EXPECT_EQ(node->result(&value), EXECQ_OK);
        EXPECT_EQ(value, number(1));
        node->release_promise();
        node->release();
    }
}

TEST(Forward, GoesToSeveralFromOne)
{
    Counter drops;
    Node* source = new_promise(Counter::hit);
    std::array<Node*, 3> targets{};
    for (Node*& target : targets) {
        target = new_promise();
        ASSERT_EQ(source->forward_to(*target), EXECQ_OK);
        target->release_promise();
    }
    EXPECT_TRUE(source->resolve(&drops));
    source->release_promise();
    source->release();
    for (Node* target : targets) {
        EXPECT_EQ(target->phase(), Phase::ok);
        EXPECT_EQ(drops.n, 0U);
        target->release();
    }
    EXPECT_EQ(drops.n, 1U);
}

constexpr std::size_t links = sanitized ? 50'000 : 1'000'000;

// source → … → last; of all but these two only the chain has references.
Node* chain_from(Node* source, bool backwards)
{
    std::vector<Node*> nodes{source};
    for (std::size_t i = 0; i < links; ++i)
        nodes.push_back(new_promise());
    for (std::size_t i = 0; i < links; ++i) {
        const std::size_t at = backwards ? links - 1 - i : i;
        CHECK(nodes[at]->forward_to(*nodes[at + 1]) == EXECQ_OK);
    }
    for (std::size_t i = 1; i <= links; ++i) {
        nodes[i]->release_promise();
        if (i != links)
            nodes[i]->release();
    }
    return nodes.back();
}

TEST(Forward, PassesAMillionLinksOnASmallStack)
{
    for (const bool backwards : {false, true}) {
        Counter drops;
        Node* source = new_promise(Counter::hit);
        Node* last = chain_from(source, backwards);
        on_small_stack([&] {
            CHECK(source->resolve(&drops));
            source->release_promise();
            source->release();
            void* value = nullptr;
            CHECK(last->result(&value) == EXECQ_OK && value == &drops);
            CHECK(drops.n == 0);
            last->release();
        });
        EXPECT_EQ(drops.n, 1U);
    }
}

TEST(Forward, CancelsAMillionLinksOnASmallStack)
{
    Node* source = new_task({}, 2);
    Node* last = chain_from(source, false);
    on_small_stack([&] {
        CHECK(cancel(*last, EXECQ_REASON_CALLER) == EXECQ_EBUSY);
        CHECK(source->phase() == Phase::canceled && last->phase() == Phase::canceled);
        last->release();
    });
    source->release();
    source->release();
}

TEST(Forward, ReportsTheFailureOfAMillionLinksOnce)
{
    Reports reports;
    Node* source = new_promise();
    Node* last = chain_from(source, false);
    on_small_stack([&] {
        source->reject(5, Error::make(5, "five"));
        source->release_promise();
        source->release();
        last->release();
    });
    EXPECT_EQ(reports.taken(), "/5/five");
}

// Forward, completion of the source, cancellation of the target, another completion of the target, a cancel callback and
// the last releases, all at once.
TEST(Forward, RacesWithEverythingAtOnce)
{
    Counter drops;
    Counter reported;
    hook_unobserved(make_unobserved_hook([](const execq_error*, const char*, void* env) { Counter::hit(env); },
                                         &reported, nullptr));
    Node* source = nullptr;
    Node* target = nullptr;
    execq_status forwarded = EXECQ_OK;
    bool resolved = false;
    Counter ended;
    std::uint64_t lent = 0;
    std::uint64_t own = 0;
    race_rounds(
        4, sanitized ? 4'000 : 50'000,
        [&](std::size_t) {
            drops.n = reported.n = ended.n = 0;
            source = new_promise(Counter::hit);
            target = new_promise();
            for (int i = 0; i < 2; ++i)
                target->retain_promise();  // of roles 0, 2 and 3
            target->retain();              // of role 1, and the end's
            source->retain();              // of role 0, and the end's
        },
        [&](unsigned role, std::size_t round) {
            const bool fails = round % 3 == 0;
            switch (role) {
            case 0:
                forwarded = source->forward_to(*target);
                target->release_promise();
                source->release();
                break;
            case 1:
                cancel(*target, EXECQ_REASON_CALLER);
                target->release();
                break;
            case 2:
                if (fails)
                    source->reject(5, round % 2 == 0 ? Error::make(5, "five") : nullptr);
                else
                    CHECK(source->resolve(&drops));
                source->release_promise();
                target->release_promise();
                break;
            default:
                if (round % 4 == 0)
                    resolved = target->resolve(nullptr);
                else
                    resolved = false;
                if (target->hook_cancel([](void*) {}, &ended, Counter::hit) != EXECQ_OK)
                    Counter::hit(&ended);
                target->release_promise();
            }
        },
        [&](std::size_t round) {
            CHECK(forwarded == EXECQ_OK || (forwarded == EXECQ_EALREADY && resolved));
            CHECK(target->done() && source->done());
            CHECK(ended.n == 1);
            const bool fails = round % 3 == 0;
            void* value = nullptr;
            const bool ok = target->phase() == Phase::ok;
            CHECK(ok == (resolved || !fails));
            if (ok) {
                CHECK(target->result(&value) == EXECQ_OK);
                CHECK(value == (resolved ? nullptr : &drops));
                ++(resolved ? own : lent);
            }
            source->release();
            CHECK(drops.n == (fails || (ok && !resolved) || forwarded == EXECQ_OK ? 0 : 1));
            target->release();
            CHECK(drops.n == (fails ? 0 : 1));
            CHECK(reported.n == (fails ? 1 : 0));
        });
    print_unobserved();
    EXPECT_NE(lent, 0U);
    EXPECT_NE(own, 0U);
}

}  // namespace
