// Failures that nobody consumed: which they are, and who is told.
#include "task/unobserved.h"

#include <array>
#include <functional>
#include <gtest/gtest.h>
#include <stdexcept>
#include <string>

#include "reports.h"
#include "task/cancel.h"
#include "task/wait.h"
#include "white_box.h"

using namespace execq::core;

namespace {

// A promise that failed, of which one reference is left.
Node* failed_node(std::int32_t code, const char* message, const char* name = nullptr)
{
    Node* node = Node::make_promise(nullptr, name);
    CHECK(node->reject(code, message != nullptr ? Error::make(code, message) : nullptr));
    node->release_promise();
    return node;
}

std::string printed_by(const std::function<void()>& act)
{
    testing::internal::CaptureStderr();
    act();
    return testing::internal::GetCapturedStderr();
}

TEST(Unobserved, IsAFailureThatNobodyAskedFor)
{
    Reports reports;
    failed_node(5, "five", "resize")->release();
    EXPECT_EQ(reports.taken(), "resize/5/five");
    failed_node(EXECQ_EEXITED, nullptr)->release();
    EXPECT_EQ(reports.taken(), std::string("/-16/") + status_text(EXECQ_EEXITED));
    failed_node(77, nullptr)->release();
    EXPECT_EQ(reports.taken(), "/77/");
}

TEST(Unobserved, IsReportedWhenTheLastReferenceGoes)
{
    Reports reports;
    Node* node = failed_node(5, "five");
    node->retain();
    node->release();
    EXPECT_EQ(reports.taken(), "");
    node->release();
    EXPECT_EQ(reports.taken(), "/5/five");
    // Nobody has a future: with its end.
    Node* alone = new_task();
    EXPECT_TRUE(alone->try_start());
    alone->settle_code(6, Reference::give);
    EXPECT_EQ(reports.taken(), "/6/");
}

TEST(Unobserved, IsNoneThatWasAskedFor)
{
    Reports reports;
    for (const char* message : {static_cast<const char*>(nullptr), "five"}) {
        void* value = nullptr;
        Node* by_result = failed_node(5, message);
        EXPECT_EQ(by_result->result(nullptr), EXECQ_EFAILED);
        by_result->release();
        Node* by_take = failed_node(5, message);
        EXPECT_EQ(by_take->take(&value), EXECQ_EFAILED);
        by_take->release();
        Node* by_error = failed_node(5, message);
        EXPECT_NE(by_error->error(), nullptr);
        by_error->release();
        Node* by_hand = failed_node(5, message);
        by_hand->observe();
        by_hand->release();
        EXPECT_EQ(reports.taken(), "");
    }
}

TEST(Unobserved, IsOneThatWasOnlyWaitedForOrDelivered)
{
    Reports reports;
    Counter delivered;
    Node* node = failed_node(5, "five");
    EXPECT_EQ(block_on(*node, Deadline::after(-1)), EXECQ_OK);
    EXPECT_EQ(node->register_completion({Counter::done, &delivered, nullptr, nullptr}), EXECQ_OK);
    EXPECT_EQ(node->look(nullptr), EXECQ_EFAILED);
    EXPECT_TRUE(node->done());
    EXPECT_EQ(cancel(*node, EXECQ_REASON_CALLER), EXECQ_EALREADY);
    node->release();
    EXPECT_EQ(delivered.n, 1U);
    EXPECT_EQ(reports.taken(), "/5/five");
}

TEST(Unobserved, IsNoneThatWasAskedForTooEarly)
{
    Reports reports;
    Node* node = new_promise();
    EXPECT_EQ(node->result(nullptr), EXECQ_EPENDING);
    EXPECT_EQ(node->error(), nullptr);
    node->observe();
    node->release_promise();  // broken
    node->release();
    EXPECT_EQ(reports.taken(), std::string("/-13/") + status_text(EXECQ_EBROKEN));
}

TEST(Unobserved, IsNoOtherOutcome)
{
    Reports reports;
    Node* ok = new_promise();
    EXPECT_TRUE(ok->resolve(number(1)));
    ok->release_promise();
    ok->release();
    Node* canceled = new_promise();
    EXPECT_TRUE(canceled->request_cancel(EXECQ_REASON_CALLER));
    canceled->release_promise();
    canceled->release();
    Node* refused = new_task();
    refused->discard();
    EXPECT_EQ(reports.taken(), "");
}

TEST(Unobserved, IsALineOnStderrWithoutAHook)
{
    EXPECT_EQ(printed_by([] { failed_node(5, "the disk\nis full", "copy")->release(); }),
              "execq: task 'copy' failed and nobody looked: 5: the disk is full\n");
    EXPECT_EQ(printed_by([] { failed_node(EXECQ_EBROKEN, nullptr)->release(); }),
              std::string("execq: a task failed and nobody looked: EXECQ_EBROKEN: ") + status_text(EXECQ_EBROKEN) +
                  "\n");
    const std::string line = printed_by([] { failed_node(5, std::string(100'000, 'm').c_str())->release(); });
    EXPECT_LT(line.size(), 2'000U);
    EXPECT_EQ(line.substr(line.size() - 5), " ...\n");
}

TEST(Unobserved, IsNothingWhereThatIsWanted)
{
    ignore_unobserved();
    EXPECT_EQ(printed_by([] { failed_node(5, "five")->release(); }), "");
    print_unobserved();
    EXPECT_NE(printed_by([] { failed_node(5, "five")->release(); }), "");
}

TEST(Unobserved, InsideTheHookIsPrinted)
{
    Counter calls;
    hook_unobserved(make_unobserved_hook(
        [](const execq_error*, const char*, void* env) {
            Counter::hit(env);
            failed_node(6, "inner")->release();
        },
        &calls, nullptr));
    EXPECT_EQ(printed_by([] { failed_node(5, "outer")->release(); }),
              "execq: a task failed and nobody looked: 6: inner\n");
    EXPECT_EQ(calls.n, 1U);
    print_unobserved();
}

TEST(Unobserved, ExceptionOfTheHookIsPrintedAndDropped)
{
    hook_unobserved(make_unobserved_hook(
        [](const execq_error*, const char*, void*) { throw std::runtime_error("not today"); }, nullptr, nullptr));
    const std::string line = printed_by([] { failed_node(5, "five")->release(); });
    EXPECT_NE(line.find("not today"), std::string::npos);
    print_unobserved();
}

TEST(Unobserved, ErrorMayBeKept)
{
    const execq_error* kept = nullptr;
    hook_unobserved(make_unobserved_hook(
        [](const execq_error* error, const char*, void* env) {
            core_of(error)->retain();
            *static_cast<const execq_error**>(env) = error;
        },
        &kept, nullptr));
    failed_node(5, "five")->release();
    print_unobserved();
    ASSERT_NE(kept, nullptr);
    EXPECT_STREQ(core_of(kept)->message(), "five");
    core_of(kept)->release();
}

TEST(Unobserved, HookThatReplacesItselfIsDroppedAfterItReturned)
{
    struct Self {
        Counter drops;
        std::uint64_t drops_inside = 9;
    } self;
    hook_unobserved(make_unobserved_hook(
        [](const execq_error*, const char*, void* env) {
            print_unobserved();
            static_cast<Self*>(env)->drops_inside = static_cast<Self*>(env)->drops.n;
        },
        &self, [](void* env) { Counter::hit(&static_cast<Self*>(env)->drops); }));
    failed_node(5, "five")->release();
    EXPECT_EQ(self.drops_inside, 0U);
    EXPECT_EQ(self.drops.n, 1U);
}

TEST(Unobserved, CompletionInsideTheHookIsDeliveredAfterIt)
{
    struct Self {
        Node* node = new_promise();
        bool in_hook = false;
        bool delivered_inside = true;
    } self;
    EXPECT_EQ(self.node->register_completion({[](execq_future*, void* env) {
                                                  auto* s = static_cast<Self*>(env);
                                                  s->delivered_inside = s->in_hook;
                                              },
                                              &self, nullptr, nullptr}),
              EXECQ_OK);
    hook_unobserved(make_unobserved_hook(
        [](const execq_error*, const char*, void* env) {
            auto* s = static_cast<Self*>(env);
            s->in_hook = true;
            EXPECT_TRUE(s->node->resolve(nullptr));
            s->in_hook = false;
        },
        &self, nullptr));
    failed_node(5, "five")->release();
    print_unobserved();
    EXPECT_FALSE(self.delivered_inside);
    self.node->release_promise();
    self.node->release();
}

// Each of two threads lets failures go while a third one replaces the hook: each failure is told to one, and each hook
// ends once, after its last call.
TEST(Unobserved, HookIsReplacedWhileItIsCalled)
{
    struct Hook {
        std::atomic<int> calls{0};
        std::atomic<int> drops{0};
    };
    constexpr std::size_t hooks = 3;
    std::array<Hook, hooks> made;
    std::array<Node*, 2> nodes{};
    std::uint64_t total = 0;
    const auto hook = [&](Hook& one) {
        hook_unobserved(make_unobserved_hook(
            [](const execq_error*, const char*, void* env) {
                CHECK(static_cast<Hook*>(env)->drops == 0);
                ++static_cast<Hook*>(env)->calls;
            },
            &one, [](void* env) { ++static_cast<Hook*>(env)->drops; }));
    };
    race_rounds(
        3, sanitized ? 3'000 : 30'000,
        [&](std::size_t) {
            for (Hook& one : made)
                one.calls = one.drops = 0;
            hook(made[0]);
            for (Node*& node : nodes)
                node = failed_node(5, "five");
        },
        [&](unsigned role, std::size_t) {
            if (role < 2) {
                nodes[role]->release();
            } else {
                hook(made[1]);
                hook(made[2]);
            }
        },
        [&](std::size_t) {
            print_unobserved();
            int calls = 0;
            for (Hook& one : made) {
                calls += one.calls;
                CHECK(one.drops == 1);
            }
            CHECK(calls == 2);
            total += made[0].calls != 2 ? 1 : 0;
        });
    EXPECT_NE(total, 0U) << "the hook was never replaced in time";
}

// The last two holders part: one may have observed, and then it counts.
TEST(Unobserved, IsReportedOnceByTheLastOfTwoHolders)
{
    Counter calls;
    hook_unobserved(
        make_unobserved_hook([](const execq_error*, const char*, void* env) { Counter::hit(env); }, &calls, nullptr));
    Node* node = nullptr;
    race_rounds(
        2, sanitized ? 5'000 : 100'000,
        [&](std::size_t) {
            calls.n = 0;
            node = failed_node(5, nullptr);
            node->retain();
        },
        [&](unsigned role, std::size_t round) {
            if (role == 0 && round % 2 == 0)
                CHECK(node->result(nullptr) == EXECQ_EFAILED);
            node->release();
        },
        [&](std::size_t round) { CHECK(calls.n == round % 2); });
    print_unobserved();
}

}  // namespace
