// Asynchronous tasks as nodes, and the cancel callbacks of promises: who calls, who drops, who waits.
#include <array>
#include <gtest/gtest.h>
#include <stdexcept>
#include <string>
#include <thread>

#include "task/callbacks.h"
#include "task/node.h"
#include "test_port.h"
#include "white_box.h"

using namespace execq::core;

namespace {

void no_start(execq_promise*, uv_loop_s*, void*) {}

Node* new_async(const TaskSpec& spec = {}, std::uint32_t futures = 1)
{
    Node* node = Node::make_async(spec, no_start, futures);
    CHECK(node != nullptr);
    return node;
}

// Started by hand, on a port, for which a use is counted.
Node* new_started(TestPort& port, const TaskSpec& spec = {})
{
    Node* node = new_async(spec);
    CHECK(port.begin_use());
    CHECK(node->try_start());
    node->enter_place(port);
    return node;
}

void ask(Node& node)
{
    node.request_cancel(EXECQ_REASON_CALLER);
    node.tell_cancel();
}

TEST(Async, IsPendingLikeATaskAndRunningLikeAPromise)
{
    TestPort port;
    Node* node = new_async();
    EXPECT_TRUE(node->async());
    EXPECT_EQ(node->phase(), Phase::pending);
    EXPECT_EQ(node->start_fn(), no_start);
    EXPECT_FALSE(node->resolve(nullptr));  // nobody holds the promise yet
    EXPECT_TRUE(port.begin_use());
    EXPECT_EQ(node->start_taken(), Node::Start::won);
    node->enter_place(port);
    EXPECT_FALSE(node->try_claim_cancel(EXECQ_REASON_CALLER));
    EXPECT_TRUE(node->resolve(number(3)));
    EXPECT_FALSE(node->reject(1, nullptr));
    EXPECT_EQ(port.uses, 0);
    node->release_promise();
    void* value = nullptr;
    EXPECT_EQ(node->result(&value), EXECQ_OK);
    EXPECT_EQ(value, number(3));
    node->release();
    Node* task = new_task();
    EXPECT_FALSE(task->async());
    task->discard();
}

TEST(Async, IsNeverStartedAsIfNobodyWereToBeTold)
{
    Node* node = new_async({}, 0);
    EXPECT_EQ(node->start_taken(), Node::Start::won);
    node->release_promise();  // takes the queue's reference with it
}

TEST(Async, CanceledBeforeItsStartItDropsItsEnvOnce)
{
    Counter dropped;
    TaskSpec spec;
    spec.env = &dropped;
    spec.drop = Counter::hit;
    Node* node = new_async(spec);
    ASSERT_TRUE(node->try_claim_cancel(EXECQ_REASON_CALLER));
    node->drop_env();
    node->settle_canceled();
    EXPECT_EQ(node->start_taken(), Node::Start::lost);
    EXPECT_EQ(dropped.n, 1U);
    node->release();
    node->release();
    EXPECT_EQ(dropped.n, 1U);
}

TEST(Async, KeepsItsCopiedEnvAndItsNameBehindThePromise)
{
    TestPort port;
    const std::array<int, 5> numbers{1, 2, 3, 4, 5};
    TaskSpec spec;
    spec.env = const_cast<int*>(numbers.data());
    spec.env_size = sizeof numbers;
    spec.name = "five numbers";
    Node* node = new_started(port, spec);
    EXPECT_NE(node->task_env(), spec.env);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(node->task_env()) % alignof(std::max_align_t), 0U);
    node->retain_promise();
    ASSERT_EQ(node->hook_cancel(Counter::hit, nullptr, nullptr), EXECQ_OK);
    EXPECT_TRUE(std::equal(numbers.begin(), numbers.end(), static_cast<int*>(node->task_env())));
    EXPECT_STREQ(node->name(), "five numbers");
    EXPECT_TRUE(node->named());
    node->release_promise();
    node->release_promise();
    EXPECT_EQ(node->error()->code(), EXECQ_EBROKEN);
    node->release();
}

TEST(CancelCallback, TravelsThroughThePortWithOneUse)
{
    Counter called;
    Counter dropped;
    struct Both {
        Counter *called, *dropped;
        TestPort* port;
    };
    TestPort port;
    Both both{&called, &dropped, &port};
    Node* node = new_started(port);
    ASSERT_EQ(node->hook_cancel(
                  [](void* env) {
                      auto* self = static_cast<Both*>(env);
                      EXPECT_EQ(self->port->uses, 2);
                      EXPECT_TRUE(inside_callback());
                      Counter::hit(self->called);
                  },
                  &both, [](void* env) { Counter::hit(static_cast<Both*>(env)->dropped); }),
              EXECQ_OK);
    EXPECT_EQ(port.delivered, 0);
    ask(*node);
    ask(*node);
    EXPECT_EQ(port.delivered, 1);
    EXPECT_EQ(called.n, 1U);
    EXPECT_EQ(dropped.n, 1U);
    EXPECT_EQ(port.uses, 1);
    node->release_promise();
    EXPECT_EQ(port.uses, 0);
    node->release();
    EXPECT_EQ(dropped.n, 1U);
}

TEST(CancelCallback, OfAClosedPortIsNotCalledAndDroppedAtTheEnd)
{
    Counter hits;
    TestPort port;
    Node* node = new_started(port);
    ASSERT_EQ(node->hook_cancel([](void*) { ADD_FAILURE(); }, &hits, Counter::hit), EXECQ_OK);
    port.open = false;
    ask(*node);
    ask(*node);
    EXPECT_EQ(port.delivered, 0);
    EXPECT_EQ(hits.n, 0U);
    node->release_promise();
    EXPECT_EQ(node->phase(), Phase::canceled);
    EXPECT_EQ(hits.n, 1U);
    node->release();
}

TEST(CancelCallback, ThatItsPortCanTakeNoMoreIsDroppedThere)
{
    // Closes between the use that it gave and the delivery.
    class ClosingPort final : public Port {
    public:
        bool begin_use() override { return true; }
        void end_use() override { ++ended; }
        void deliver(Registration& registration) noexcept override { refuse(registration, this); }
        bool lists_all() const override { return false; }
        int ended = 0;
    };
    Counter hits;
    ClosingPort port;
    Node* node = new_async();
    ASSERT_TRUE(node->try_start());
    node->enter_place(port);
    ASSERT_EQ(node->hook_cancel([](void*) { ADD_FAILURE(); }, &hits, Counter::hit), EXECQ_OK);
    ask(*node);
    EXPECT_EQ(hits.n, 1U);
    EXPECT_EQ(port.ended, 1);
    EXPECT_EQ(node->hook_cancel(Counter::hit, &hits, nullptr), EXECQ_EALREADY);
    node->release_promise();
    node->release();
    EXPECT_EQ(hits.n, 1U);
    EXPECT_EQ(port.ended, 2);
}

TEST(CancelCallback, MayLetThePromiseGoInItsDrop)
{
    Node* node = new_promise();
    ASSERT_EQ(node->hook_cancel([](void*) {}, node, [](void* env) { static_cast<Node*>(env)->release_promise(); }),
              EXECQ_OK);
    ask(*node);
    EXPECT_EQ(node->phase(), Phase::canceled);
    node->release();
}

TEST(CancelCallback, IsEndedBeforeTheEnvAndBothBeforeTheFutureIsDone)
{
    static std::string order;
    order.clear();
    TestPort port;
    TaskSpec spec;
    spec.drop = [](void*) { order += 'e'; };
    Node* node = new_started(port, spec);
    ASSERT_EQ(node->hook_cancel([](void*) {}, nullptr, [](void*) { order += 'c'; }), EXECQ_OK);
    ASSERT_EQ(node->register_completion({[](execq_future*, void*) { order += 'd'; }, nullptr, nullptr, nullptr}),
              EXECQ_OK);
    EXPECT_TRUE(node->reject(5, Error::make(5, "five")));
    EXPECT_EQ(order, "ced");
    node->release_promise();
    node->release();
}

// The races. Each callback's env is dropped once; a callback that ran did so before its promise was completed.
struct Race {
    Node* node = nullptr;
    std::atomic<std::uint32_t> called{0};
    std::atomic<std::uint32_t> dropped{0};
    std::atomic<bool> completed{false};
    execq_status hooked = EXECQ_EINVAL;

    static void call(void* race)
    {
        auto* self = static_cast<Race*>(race);
        EXPECT_FALSE(self->completed);
        self->called.fetch_add(1);
        spin(20);
        EXPECT_FALSE(self->completed);
    }
    static void drop(void* race) { static_cast<Race*>(race)->dropped.fetch_add(1); }
};

constexpr std::size_t rounds = sanitized ? 3'000 : 30'000;

TEST(CancelCallback, AgainstCompletionAndRequestIsCalledOnceOrNever)
{
    Race race;
    std::size_t called = 0;
    std::size_t refused = 0;
    race_rounds(
        3, rounds,
        [&](std::size_t) {
            race.node = new_promise();
            race.node->retain_promise();
            race.called = race.dropped = 0;
            race.completed = false;
        },
        [&](unsigned role, std::size_t round) {
            if (role == 0) {
                race.hooked = race.node->hook_cancel(Race::call, &race, Race::drop);
                race.node->release_promise();
            } else if (role == 1) {
                spin(round % 13 * 20);
                EXPECT_TRUE(race.node->resolve(nullptr));
                race.completed = true;
                race.node->release_promise();
            } else {
                ask(*race.node);
            }
        },
        [&](std::size_t) {
            EXPECT_EQ(race.dropped, race.hooked == EXECQ_OK ? 1U : 0U);
            EXPECT_LE(race.called, race.dropped);
            called += race.called;
            refused += race.hooked == EXECQ_OK ? 0 : 1;
            race.node->release();
        });
    EXPECT_GT(called, 0U);
    EXPECT_GT(refused, 0U);
    EXPECT_LT(called + refused, rounds);
}

TEST(CancelCallback, RegisteredWhileTheRequestComesIsCalledExactlyOnce)
{
    Race race;
    race_rounds(
        3, rounds,
        [&](std::size_t) {
            race.node = new_promise();
            race.called = race.dropped = 0;
            race.completed = false;
        },
        [&](unsigned role, std::size_t) {
            if (role == 0)
                race.hooked = race.node->hook_cancel(Race::call, &race, Race::drop);
            else
                ask(*race.node);
        },
        [&](std::size_t) {
            EXPECT_EQ(race.hooked, EXECQ_OK);
            EXPECT_EQ(race.called, 1U);
            EXPECT_EQ(race.dropped, 1U);
            race.node->release_promise();
            race.node->release();
        });
}

}  // namespace
