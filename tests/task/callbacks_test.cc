#include "task/callbacks.h"

#include <array>
#include <gtest/gtest.h>
#include <pthread.h>
#include <stdexcept>
#include <string>
#include <vector>

#include "white_box.h"

using namespace execq::core;

namespace {

std::vector<std::string> log_;  // of the test that runs

using Log = std::vector<std::string>;

struct Callbacks : testing::Test {
    Callbacks() { log_.clear(); }
};

execq_status on_done(Node* node, execq_done_fn done, void* env, execq_drop_fn drop = nullptr)
{
    return node->register_completion({done, env, drop, nullptr});
}

void release_promise(Node* node)
{
    node->release();
    node->release();
}

void settle_inside(execq_future*, void* other)
{
    log_.push_back("outer begins");
    static_cast<Node*>(other)->settle_value(nullptr);
    log_.push_back("outer ends");
}

void note_inner(execq_future*, void*)
{
    log_.push_back("inner");
    EXPECT_TRUE(inside_callback());
}

TEST_F(Callbacks, AreInsideWhileOneRunsAndNotOtherwise)
{
    EXPECT_FALSE(inside_callback());
    Node* node = new_promise();
    ASSERT_EQ(on_done(node, note_inner, nullptr), EXECQ_OK);
    node->settle_value(nullptr);
    EXPECT_EQ(log_, (Log{"inner"}));
    EXPECT_FALSE(inside_callback());
    {
        const CallbackScope outer;
        {
            const CallbackScope inner;
        }
        EXPECT_TRUE(inside_callback());
    }
    EXPECT_FALSE(inside_callback());
    release_promise(node);
}

TEST_F(Callbacks, OfACompletionMadeInsideOneRunAfterItReturned)
{
    Node* outer = new_promise();
    Node* inner = new_promise();
    ASSERT_EQ(on_done(outer, settle_inside, inner, [](void*) { log_.push_back("outer dropped"); }), EXECQ_OK);
    ASSERT_EQ(on_done(inner, note_inner, nullptr), EXECQ_OK);
    outer->settle_value(nullptr);
    EXPECT_EQ(log_, (Log{"outer begins", "outer ends", "outer dropped", "inner"}));
    release_promise(outer);
    release_promise(inner);
}

TEST_F(Callbacks, RunInTheOrderInWhichTheyWereQueued)
{
    static std::array<Node*, 5> nodes;
    static std::vector<void*> seen;
    seen.clear();
    for (Node*& node : nodes) {
        node = new_promise();
        ASSERT_EQ(on_done(
                      node, [](execq_future*, void* env) { seen.push_back(env); }, &node),
                  EXECQ_OK);
    }
    Node* first = new_promise();
    const execq_done_fn settle_all = [](execq_future*, void*) {
        for (Node* node : nodes)
            node->settle_value(nullptr);
        EXPECT_TRUE(seen.empty());
    };
    ASSERT_EQ(on_done(first, settle_all, nullptr), EXECQ_OK);
    first->settle_value(nullptr);
    EXPECT_EQ(seen, (std::vector<void*>{&nodes[0], &nodes[1], &nodes[2], &nodes[3], &nodes[4]}));
    release_promise(first);
    for (Node* node : nodes)
        release_promise(node);
}

TEST_F(Callbacks, ThatAreQueuedRunWhenAWaitAsksForThem)
{
    Node* outer = new_promise();
    Node* inner = new_promise();
    ASSERT_EQ(on_done(inner, note_inner, nullptr), EXECQ_OK);
    const execq_done_fn waits = [](execq_future*, void* other) {
        static_cast<Node*>(other)->settle_value(nullptr);
        EXPECT_TRUE(log_.empty());
        run_queued();
        EXPECT_EQ(log_, (Log{"inner"}));
    };
    ASSERT_EQ(on_done(outer, waits, inner), EXECQ_OK);
    outer->settle_value(nullptr);
    EXPECT_EQ(log_.size(), 1U) << "it ran twice";
    release_promise(outer);
    release_promise(inner);
}

TEST_F(Callbacks, ThatAreQueuedRunWhenTheOutermostScopeEnds)
{
    Node* node = new_promise();
    ASSERT_EQ(on_done(node, note_inner, nullptr), EXECQ_OK);
    {
        const CallbackScope outer;
        {
            const CallbackScope inner;
            node->settle_value(nullptr);
        }
        EXPECT_TRUE(log_.empty());
    }
    EXPECT_EQ(log_, (Log{"inner"}));
    release_promise(node);
}

TEST_F(Callbacks, KeepTheirNodeWhileTheyAreQueued)
{
    Counter drops;
    Node* node = new_promise(Counter::hit);
    ASSERT_EQ(on_done(node, note_inner, nullptr), EXECQ_OK);
    {
        const CallbackScope scope;
        node->settle_value(&drops);
        release_promise(node);
        EXPECT_EQ(drops.n, 0U);
    }
    EXPECT_EQ(log_, (Log{"inner"}));
    EXPECT_EQ(drops.n, 1U);
}

TEST_F(Callbacks, OfOneThreadDoNotWaitForThoseOfAnother)
{
    Node* node = new_promise();
    ASSERT_EQ(on_done(node, note_inner, nullptr), EXECQ_OK);
    const CallbackScope here;
    std::thread other([&] {
        EXPECT_FALSE(inside_callback());
        node->settle_value(nullptr);
    });
    other.join();
    EXPECT_EQ(log_, (Log{"inner"}));
    release_promise(node);
}

TEST_F(Callbacks, ThatThrowAreReportedAndTheNextOnesRun)
{
    Node* node = new_promise();
    const execq_done_fn throws = [](execq_future*, void*) { throw std::runtime_error("of bad weather"); };
    ASSERT_EQ(on_done(node, throws, nullptr, [](void*) { log_.push_back("dropped all the same"); }), EXECQ_OK);
    ASSERT_EQ(on_done(
                  node, [](execq_future*, void*) { throw 42; }, nullptr),
              EXECQ_OK);
    ASSERT_EQ(on_done(node, note_inner, nullptr, [](void*) { throw std::runtime_error("while dropping"); }), EXECQ_OK);
    testing::internal::CaptureStderr();
    node->settle_value(nullptr);
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_NE(said.find("a done callback and was dropped: of bad weather"), std::string::npos) << said;
    EXPECT_NE(said.find("a done callback and was dropped: not a std::exception"), std::string::npos) << said;
    EXPECT_NE(said.find("a drop callback and was dropped: while dropping"), std::string::npos) << said;
    EXPECT_EQ(log_, (Log{"dropped all the same", "inner"}));
    EXPECT_FALSE(inside_callback());
    release_promise(node);
}

TEST_F(Callbacks, OfDropResultMayThrowToo)
{
    Node* node = new_promise([](void*) { throw std::runtime_error("no longer wanted"); });
    node->settle_value(nullptr);
    testing::internal::CaptureStderr();
    release_promise(node);
    EXPECT_NE(testing::internal::GetCapturedStderr().find("no longer wanted"), std::string::npos);
}

TEST_F(Callbacks, WithoutADropNeedNone)
{
    call_drop(nullptr, nullptr);
    EXPECT_FALSE(inside_callback());
}

// Each link of the chain is completed by the callback of the one before.
struct Chain {
    std::size_t left;
    std::size_t ran = 0;

    static void link(execq_future*, void* chain)
    {
        auto* self = static_cast<Chain*>(chain);
        ++self->ran;
        if (--self->left == 0)
            return;
        Node* next = new_promise();
        CHECK(on_done(next, link, chain) == EXECQ_OK);
        next->settle_value(nullptr);
        release_promise(next);
    }
    static void* run(void* chain)
    {
        Node* first = new_promise();
        CHECK(on_done(first, link, chain) == EXECQ_OK);
        first->settle_value(nullptr);
        release_promise(first);
        return nullptr;
    }
};

TEST_F(Callbacks, MakeAChainOfAMillionLinksOnASmallStack)
{
    const std::size_t links = stress_n(1'000'000, 100'000);
    Chain chain{links};
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    ASSERT_EQ(pthread_attr_setstacksize(&attributes, (sanitized ? 512 : 64) * 1024), 0);
    pthread_t thread{};
    ASSERT_EQ(pthread_create(&thread, &attributes, Chain::run, &chain), 0);
    pthread_attr_destroy(&attributes);
    pthread_join(thread, nullptr);
    EXPECT_EQ(chain.ran, links);
}

}  // namespace
