#include "flow/loop_port.h"

#include <array>
#include <gtest/gtest.h>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <uv.h>
#include <vector>

#include "base/uv_table.h"
#include "task/callbacks.h"
#include "white_box.h"

using namespace execq::core;

namespace {

// What happened to the registrations of a test, in order: 'd' delivered, 'x' dropped.
std::vector<std::pair<char, int>> events;

using Events = std::vector<std::pair<char, int>>;

struct Entry {
    int id = 0;
    std::thread::id thread;

    static void done(execq_future*, void* entry)
    {
        auto* self = static_cast<Entry*>(entry);
        self->thread = std::this_thread::get_id();
        events.emplace_back('d', self->id);
    }
    static void drop(void* entry) { events.emplace_back('x', static_cast<Entry*>(entry)->id); }
};

struct LoopTest : testing::Test {
    uv_loop_t loop;
    uv_prepare_t prepare;  // not referenced: tells of each iteration
    LoopPort* port = nullptr;
    std::vector<Node*> nodes;
    std::array<Entry, 8> entries;
    void (*on_iteration)(LoopTest&) = nullptr;
    int iterations = 0;

    LoopTest()
    {
        events.clear();
        for (std::size_t i = 0; i < entries.size(); ++i)
            entries[i].id = static_cast<int>(i);
        CHECK(uv_loop_init(&loop) == 0);
        CHECK(uv_prepare_init(&loop, &prepare) == 0);
        prepare.data = this;
        uv_prepare_start(&prepare, [](uv_prepare_t* handle) {
            auto* self = static_cast<LoopTest*>(handle->data);
            ++self->iterations;
            if (self->on_iteration != nullptr)
                self->on_iteration(*self);
        });
        uv_unref(reinterpret_cast<uv_handle_t*>(&prepare));
        CHECK(LoopPort::attach(&loop, own_uv_table(), &port) == EXECQ_OK);
    }
    ~LoopTest() override
    {
        on_iteration = nullptr;
        if (port != nullptr) {
            port->detach();
            port->release();
        }
        for (Node* node : nodes) {
            node->release_promise();
            node->release();
        }
        uv_close(reinterpret_cast<uv_handle_t*>(&prepare), nullptr);
        EXPECT_EQ(uv_run(&loop, UV_RUN_DEFAULT), 0);
        EXPECT_EQ(uv_loop_close(&loop), 0) << "a handle is left";
    }
    void run() { EXPECT_EQ(uv_run(&loop, UV_RUN_DEFAULT), 0); }
    Node& promise()
    {
        nodes.push_back(new_promise());
        return *nodes.back();
    }
    execq_status add(Node& node, std::size_t i, bool with_drop = false)
    {
        return node.register_completion({Entry::done, &entries[i], with_drop ? Entry::drop : nullptr, port});
    }
};

TEST_F(LoopTest, EndsWhereNothingIsPending)
{
    run();
    run();
    EXPECT_TRUE(events.empty());
}

TEST_F(LoopTest, StaysAliveForWhatIsPendingAndEndsAfterItWasDelivered)
{
    static Semaphore second_iteration;
    run();
    iterations = 0;
    on_iteration = [](LoopTest& test) {
        if (test.iterations == 2)
            second_iteration.post();
    };
    Node& node = promise();
    ASSERT_EQ(add(node, 0), EXECQ_OK);
    std::thread settler([&] {
        second_iteration.take();
        node.settle_value(nullptr);
    });
    // Makes a second iteration certain without keeping the loop alive for it.
    uv_async_t again;
    uv_async_init(&loop, &again, [](uv_async_t*) {});
    uv_unref(reinterpret_cast<uv_handle_t*>(&again));
    uv_async_send(&again);
    run();
    EXPECT_EQ(events, (Events{{'d', 0}}));
    if (events.empty())
        second_iteration.post();
    settler.join();
    uv_close(reinterpret_cast<uv_handle_t*>(&again), nullptr);
    run();
}

TEST_F(LoopTest, DeliversOnItsThreadAndNeverInsideTheRegistration)
{
    Node& node = promise();
    node.settle_value(nullptr);
    ASSERT_EQ(add(node, 0, true), EXECQ_OK);
    ASSERT_EQ(add(node, 1), EXECQ_OK);
    EXPECT_TRUE(events.empty());
    run();
    EXPECT_EQ(events, (Events{{'d', 0}, {'x', 0}, {'d', 1}}));
    EXPECT_EQ(entries[0].thread, std::this_thread::get_id());
}

TEST_F(LoopTest, DeliversInTheOrderOfCompletion)
{
    std::array<Node*, 5> each;
    for (std::size_t i = 0; i < 5; ++i) {
        each[i] = &promise();
        ASSERT_EQ(add(*each[i], i, i % 2 == 0), EXECQ_OK);
    }
    std::thread settler([&] {
        for (const std::size_t i : {3U, 0U, 4U, 1U, 2U})
            each[i]->settle_value(nullptr);
    });
    settler.join();
    run();
    EXPECT_EQ(events, (Events{{'d', 3}, {'d', 0}, {'x', 0}, {'d', 4}, {'x', 4}, {'d', 1}, {'d', 2}, {'x', 2}}));
}

// The bound keeps timers and sockets going, however many completions there are.
TEST_F(LoopTest, Runs256CallbacksPerWakeAtMost)
{
    constexpr std::size_t many = 1000;
    static std::vector<std::size_t> seen;
    seen.clear();
    on_iteration = [](LoopTest&) { seen.push_back(events.size()); };
    for (std::size_t i = 0; i < many; ++i) {
        Node& node = promise();
        ASSERT_EQ(add(node, 0), EXECQ_OK);
        node.settle_value(nullptr);
    }
    run();
    EXPECT_EQ(events.size(), many);
    seen.push_back(events.size());
    std::size_t full = 0;
    for (std::size_t i = 1; i < seen.size(); ++i) {
        EXPECT_LE(seen[i] - seen[i - 1], 256U);
        full += seen[i] - seen[i - 1] == 256 ? 1 : 0;
    }
    EXPECT_EQ(full, many / 256);
}

TEST_F(LoopTest, RunsACompletionMadeInACallbackAfterThatCallback)
{
    Node& inner = promise();
    Node& outer = promise();
    ASSERT_EQ(inner.register_completion({Entry::done, &entries[1], nullptr, nullptr}), EXECQ_OK);
    const execq_done_fn settles = [](execq_future*, void* other) {
        static_cast<Node*>(other)->settle_value(nullptr);
        EXPECT_TRUE(events.empty());
        EXPECT_TRUE(inside_callback());
    };
    ASSERT_EQ(outer.register_completion({settles, &inner, nullptr, port}), EXECQ_OK);
    ASSERT_EQ(add(outer, 2), EXECQ_OK);
    outer.settle_value(nullptr);
    run();
    EXPECT_EQ(events, (Events{{'d', 1}, {'d', 2}}));
}

TEST_F(LoopTest, GoesOnAfterACallbackThatThrows)
{
    Node& node = promise();
    const execq_done_fn throws = [](execq_future*, void*) { throw std::runtime_error("out of luck"); };
    ASSERT_EQ(node.register_completion({throws, nullptr, nullptr, port}), EXECQ_OK);
    ASSERT_EQ(add(node, 1), EXECQ_OK);
    node.settle_value(nullptr);
    testing::internal::CaptureStderr();
    run();
    EXPECT_NE(testing::internal::GetCapturedStderr().find("out of luck"), std::string::npos);
    EXPECT_EQ(events, (Events{{'d', 1}}));
}

// ---- threads ----

TEST_F(LoopTest, StaysAliveForARegistrationMadeByAnotherThread)
{
    run();
    ASSERT_EQ(port->hold(), EXECQ_OK);
    Node& node = promise();
    std::thread other([&] {
        CHECK(add(node, 0) == EXECQ_OK);
        CHECK(port->unhold() == EXECQ_OK);
        node.settle_value(nullptr);
    });
    run();
    EXPECT_EQ(events, (Events{{'d', 0}}));
    other.join();
}

TEST_F(LoopTest, MayBeRunByAnotherThreadThanTheOneThatAttachedIt)
{
    Gate running;
    static Gate* gate;
    gate = &running;
    ASSERT_EQ(port->hold(), EXECQ_OK);
    on_iteration = [](LoopTest& test) {
        if (test.iterations == 2)
            gate->pass();
    };
    std::thread runner([&] { run(); });
    running.await();
    Node& node = promise();
    ASSERT_EQ(add(node, 0), EXECQ_OK);  // the loop is another thread's now, so this must not touch its handles
    ASSERT_EQ(port->unhold(), EXECQ_OK);
    running.open();
    node.settle_value(nullptr);
    const std::thread::id id = runner.get_id();
    runner.join();
    EXPECT_EQ(events, (Events{{'d', 0}}));
    EXPECT_EQ(entries[0].thread, id);
}

TEST_F(LoopTest, HasPortsThatDoNotDisturbEachOther)
{
    LoopPort* other = nullptr;
    ASSERT_EQ(LoopPort::attach(&loop, own_uv_table(), &other), EXECQ_OK);
    Node& node = promise();
    ASSERT_EQ(add(node, 0), EXECQ_OK);
    ASSERT_EQ(node.register_completion({Entry::done, &entries[1], Entry::drop, other}), EXECQ_OK);
    EXPECT_EQ(other->detach(), EXECQ_OK);
    other->release();
    node.settle_value(nullptr);
    run();
    EXPECT_EQ(events, (Events{{'x', 1}, {'d', 0}}));
}

// ---- holds ----

TEST_F(LoopTest, IsHeldAsOftenAsItIsHeld)
{
    EXPECT_EQ(port->unhold(), EXECQ_EINVAL);
    EXPECT_EQ(port->hold(), EXECQ_OK);
    EXPECT_EQ(port->hold(), EXECQ_OK);
    EXPECT_EQ(port->unhold(), EXECQ_OK);
    EXPECT_NE(uv_run(&loop, UV_RUN_NOWAIT), 0) << "alive for the second hold";
    EXPECT_NE(uv_run(&loop, UV_RUN_NOWAIT), 0);
    EXPECT_EQ(port->unhold(), EXECQ_OK);
    EXPECT_EQ(port->unhold(), EXECQ_EINVAL);
    run();
}

TEST_F(LoopTest, EndsWhenAnotherThreadLetsGoOfTheLastHold)
{
    ASSERT_EQ(port->hold(), EXECQ_OK);
    static Semaphore running;
    on_iteration = [](LoopTest&) { running.post(); };
    std::thread other([&] {
        running.take(2);
        CHECK(port->unhold() == EXECQ_OK);
    });
    run();
    other.join();
}

TEST_F(LoopTest, LosesItsHoldsWhenItIsDetached)
{
    ASSERT_EQ(port->hold(), EXECQ_OK);
    EXPECT_EQ(port->detach(), EXECQ_OK);
    EXPECT_EQ(port->hold(), EXECQ_ECLOSED);
    EXPECT_EQ(port->unhold(), EXECQ_ECLOSED);
    run();
}

// ---- detaching ----

TEST_F(LoopTest, DeliversWhatIsCompleteAndWithdrawsTheRestWhenDetached)
{
    std::array<Node*, 6> each;
    for (std::size_t i = 0; i < 6; ++i) {
        each[i] = &promise();
        ASSERT_EQ(add(*each[i], i, i != 5), EXECQ_OK);
    }
    each[4]->settle_value(nullptr);
    each[1]->settle_value(nullptr);
    EXPECT_EQ(port->detach(), EXECQ_OK);
    const Events expected = {{'d', 4}, {'x', 4}, {'d', 1}, {'x', 1}, {'x', 0}, {'x', 2}, {'x', 3}};
    EXPECT_EQ(events, expected);
    EXPECT_EQ(port->detach(), EXECQ_EALREADY);
    EXPECT_EQ(add(*each[1], 6, true), EXECQ_ECLOSED);
    for (const std::size_t i : {0U, 2U, 3U, 5U})
        each[i]->settle_value(nullptr);
    run();
    EXPECT_EQ(events, expected) << "nothing is delivered after it";
}

TEST_F(LoopTest, DeliversMoreThanABatchWhenDetached)
{
    for (int i = 0; i < 700; ++i) {
        Node& node = promise();
        ASSERT_EQ(add(node, 0), EXECQ_OK);
        node.settle_value(nullptr);
    }
    EXPECT_EQ(port->detach(), EXECQ_OK);
    EXPECT_EQ(events.size(), 700U);
}

TEST_F(LoopTest, IsDetachedByOneOfItsCallbacksWhichThenRunsTheOthers)
{
    static LoopPort* detached;
    detached = port;
    Node& node = promise();
    Node& pending = promise();
    ASSERT_EQ(add(node, 0), EXECQ_OK);
    const execq_done_fn detaches = [](execq_future*, void*) {
        EXPECT_EQ(detached->detach(), EXECQ_OK);
        EXPECT_EQ(events, (Events{{'d', 0}, {'d', 1}, {'x', 2}}));
    };
    ASSERT_EQ(node.register_completion({detaches, nullptr, nullptr, port}), EXECQ_OK);
    ASSERT_EQ(add(node, 1), EXECQ_OK);
    ASSERT_EQ(add(pending, 2, true), EXECQ_OK);
    node.settle_value(nullptr);
    run();
    EXPECT_EQ(events.size(), 3U);
}

TEST_F(LoopTest, WithdrawsWhatBecomesCompleteWhileItIsBeingDetached)
{
    static Node* pending;
    static Counter drops;
    drops.n = 0;
    pending = new_promise(Counter::hit);
    ASSERT_EQ(add(*pending, 1, true), EXECQ_OK);
    Node& node = promise();
    const execq_done_fn settles = [](execq_future*, void*) { pending->settle_value(&drops); };
    ASSERT_EQ(node.register_completion({settles, nullptr, nullptr, port}), EXECQ_OK);
    node.settle_value(nullptr);
    EXPECT_EQ(port->detach(), EXECQ_OK);
    EXPECT_EQ(events, (Events{{'x', 1}}));
    pending->release();
    pending->release();
    EXPECT_EQ(drops.n, 1U) << "the port still holds it";
}

TEST_F(LoopTest, DetachesItselfAfterItsLastRelease)
{
    Node& pending = promise();
    ASSERT_EQ(add(pending, 0, true), EXECQ_OK);
    port->retain();
    port->release();
    EXPECT_NE(uv_run(&loop, UV_RUN_NOWAIT), 0) << "alive for what is pending";
    EXPECT_TRUE(events.empty());
    port->release();
    port = nullptr;
    run();
    EXPECT_EQ(events, (Events{{'x', 0}}));
    pending.settle_value(nullptr);
}

TEST_F(LoopTest, DetachesItselfAfterItsLastReleaseByAnotherThread)
{
    Node& pending = promise();
    ASSERT_EQ(add(pending, 0, true), EXECQ_OK);
    std::thread other([&] { port->release(); });
    run();
    other.join();
    port = nullptr;
    EXPECT_EQ(events, (Events{{'x', 0}}));
    pending.settle_value(nullptr);
}

TEST_F(LoopTest, DetachesItselfWhereItIsReleasedByItsLastCallback)
{
    static LoopPort* released;
    released = port;
    Node& node = promise();
    const execq_done_fn releases = [](execq_future*, void*) { released->release(); };
    ASSERT_EQ(node.register_completion({releases, nullptr, nullptr, port}), EXECQ_OK);
    node.settle_value(nullptr);
    port = nullptr;
    run();
}

// Workers deliver, one registers, the loop's thread detaches: each ends once, and nothing comes afterwards.
TEST_F(LoopTest, IsDetachedWhileOthersDeliverAndRegister)
{
    struct Ends {
        std::atomic<int> delivered{0};
        std::atomic<int> dropped{0};
        static void done(execq_future*, void* ends) { ++static_cast<Ends*>(ends)->delivered; }
        static void drop(void* ends) { ++static_cast<Ends*>(ends)->dropped; }
    };
    std::array<Ends, 3> ends;
    std::array<Node*, 3> each{};
    std::array<std::size_t, 3> ways{};
    execq_status late = EXECQ_OK;
    EXPECT_EQ(port->detach(), EXECQ_OK);
    race_rounds(
        4, stress_n(20'000, 2'000),
        [&](std::size_t round) {
            port->release();
            CHECK(LoopPort::attach(&loop, own_uv_table(), &port) == EXECQ_OK);
            for (std::size_t i = 0; i < 3; ++i) {
                each[i] = new_promise();
                ends[i].delivered = ends[i].dropped = 0;
            }
            CHECK(each[0]->register_completion({Ends::done, ends.data(), Ends::drop, port}) == EXECQ_OK);
            CHECK(each[1]->register_completion({Ends::done, &ends[1], round % 2 == 0 ? Ends::drop : nullptr, port}) ==
                  EXECQ_OK);
        },
        [&](unsigned role, std::size_t) {
            if (role == 0) {
                CHECK(port->detach() == EXECQ_OK);
                for (Ends& end : ends)
                    CHECK(end.delivered <= 1);
            } else if (role < 3) {
                each[role - 1]->settle_value(nullptr);
            } else {
                late = each[2]->register_completion({Ends::done, &ends[2], Ends::drop, port});
                each[2]->settle_value(nullptr);
            }
        },
        [&](std::size_t round) {
            uv_run(&loop, UV_RUN_NOWAIT);
            ASSERT_EQ(ends[0].dropped, 1);
            ASSERT_LE(ends[0].delivered, 1);
            ASSERT_LE(ends[1].delivered, 1);
            ASSERT_EQ(ends[1].dropped, round % 2 == 0 ? 1 : 0);
            ASSERT_EQ(ends[2].dropped, late == EXECQ_OK ? 1 : 0);
            ASSERT_LE(ends[2].delivered, ends[2].dropped);
            ++ways[late != EXECQ_OK ? 2U : ends[0].delivered == 1 ? 0U : 1U];
            for (Node* node : each) {
                node->release();
                node->release();
            }
        });
    for (const std::size_t way : ways)
        EXPECT_GT(way, 0U);
}

// ---- failing to attach ----

TEST_F(LoopTest, PassesOnWhyItCannotBeAttached)
{
    const auto attach = [this](int (*init)(uv_loop_t*, uv_async_t*, uv_async_cb)) {
        execq_uv_table table = own_uv_table();
        table.async_init = init;
        LoopPort* other = nullptr;
        const execq_status status = LoopPort::attach(&loop, table, &other);
        EXPECT_EQ(other, nullptr);
        return status;
    };
    EXPECT_EQ(attach([](uv_loop_t*, uv_async_t*, uv_async_cb) -> int { return UV_EMFILE; }), EXECQ_EMFILE);
    EXPECT_EQ(attach([](uv_loop_t*, uv_async_t*, uv_async_cb) -> int { return UV_ENFILE; }), EXECQ_EMFILE);
    EXPECT_EQ(attach([](uv_loop_t*, uv_async_t*, uv_async_cb) -> int { return UV_ENOMEM; }), EXECQ_ENOMEM);
    EXPECT_EQ(attach([](uv_loop_t*, uv_async_t*, uv_async_cb) -> int { return UV_EINVAL; }), EXECQ_EINVAL);
}

}  // namespace
