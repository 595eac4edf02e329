// Tasks on an attached loop, from inside: what is thrown, who owns what, and the two queues of a port beside each other.
#include "flow/lift.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <stdexcept>
#include <string>
#include <thread>
#include <uv.h>
#include <vector>

#include "base/uv_table.h"
#include "task/callbacks.h"
#include "task/wait.h"
#include "white_box.h"

using namespace execq::core;

namespace {

struct LiftTest : testing::Test {
    uv_loop_t loop;
    LoopPort* port = nullptr;
    Counter dropped;

    LiftTest()
    {
        CHECK(uv_loop_init(&loop) == 0);
        CHECK(LoopPort::attach(&loop, own_uv_table(), &port) == EXECQ_OK);
    }
    ~LiftTest() override
    {
        if (port != nullptr) {
            port->detach();
            port->release();
        }
        EXPECT_EQ(uv_run(&loop, UV_RUN_DEFAULT), 0);
        EXPECT_EQ(uv_loop_close(&loop), 0) << "a handle is left";
    }
    void run() { EXPECT_EQ(uv_run(&loop, UV_RUN_DEFAULT), 0); }
    TaskSpec spec(execq_fn fn)
    {
        TaskSpec spec;
        spec.fn = fn;
        spec.env = &dropped;
        spec.drop = Counter::hit;
        return spec;
    }
    Node& submit(execq_fn fn)
    {
        execq_future* future = nullptr;
        CHECK(lift(*port, spec(fn), &future) == EXECQ_OK);
        return *core_of(future);
    }
    Node& submit_async(execq_async_fn start)
    {
        execq_future* future = nullptr;
        CHECK(lift_async(*port, spec(nullptr), start, &future) == EXECQ_OK);
        return *core_of(future);
    }
};

void expect_failure(Node& node, std::int32_t code, const char* message)
{
    ASSERT_EQ(node.phase(), Phase::failed);
    EXPECT_EQ(node.error()->code(), code);
    EXPECT_STREQ(node.error()->message(), message);
    node.release();
}

TEST_F(LiftTest, ABodyThatThrowsFailsAlone)
{
    Node& thrower = submit([](void*, void**) -> std::int32_t { throw std::runtime_error("thrown"); });
    Node& stranger = submit([](void*, void**) -> std::int32_t { throw 7; });
    Node& next = submit([](void*, void**) -> std::int32_t { return 0; });
    run();
    expect_failure(thrower, EXECQ_EEXCEPTION, "thrown");
    expect_failure(stranger, EXECQ_EEXCEPTION, status_text(EXECQ_EEXCEPTION));
    EXPECT_EQ(next.phase(), Phase::ok);
    next.release();
    EXPECT_EQ(dropped.n, 3U);
}

TEST_F(LiftTest, AStartThatThrowsRejectsThePromise)
{
    // As a wrapper that holds its reference in an object: it lets go while the exception leaves it.
    struct Holder {
        execq_promise* promise;
        ~Holder() { core_of(promise)->release_promise(); }
    };
    Node& thrower = submit_async([](execq_promise* promise, uv_loop_s*, void*) {
        const Holder holder{promise};
        throw std::runtime_error("no start");
    });
    Node& stranger = submit_async([](execq_promise* promise, uv_loop_s*, void*) {
        const Holder holder{promise};
        throw 7;
    });
    run();
    expect_failure(thrower, EXECQ_EEXCEPTION, "no start");
    expect_failure(stranger, EXECQ_EEXCEPTION, status_text(EXECQ_EEXCEPTION));
    EXPECT_EQ(dropped.n, 2U);
}

TEST_F(LiftTest, AStartThatThrowsAfterItCompletedThePromiseChangesNothing)
{
    Node& node = submit_async([](execq_promise* promise, uv_loop_s*, void*) {
        EXPECT_TRUE(core_of(promise)->resolve(number(5)));
        core_of(promise)->release_promise();
        throw std::runtime_error("too late");
    });
    run();
    void* value = nullptr;
    EXPECT_EQ(node.result(&value), EXECQ_OK);
    EXPECT_EQ(value, number(5));
    EXPECT_EQ(dropped.n, 1U);
    node.release();
}

execq_promise* kept = nullptr;

void keep(execq_promise* promise, uv_loop_s*, void*) { kept = promise; }

TEST_F(LiftTest, AStartThatThrowsStillOwnsItsReference)
{
    Node& node = submit_async([](execq_promise* promise, uv_loop_s*, void*) {
        kept = promise;
        throw std::runtime_error("kept");
    });
    run();
    EXPECT_FALSE(core_of(kept)->resolve(nullptr));
    core_of(kept)->release_promise();
    expect_failure(node, EXECQ_EEXCEPTION, "kept");
}

TEST_F(LiftTest, WhatExecqFailSaidInAStartIsForgotten)
{
    Node& starter = submit_async([](execq_promise* promise, uv_loop_s*, void*) {
        execq_fail(9, "said in a start");
        core_of(promise)->release_promise();
    });
    Node& next = submit([](void*, void**) -> std::int32_t { return 9; });
    run();
    expect_failure(starter, EXECQ_EBROKEN, status_text(EXECQ_EBROKEN));
    ASSERT_EQ(next.phase(), Phase::failed);
    EXPECT_STRNE(next.error()->message(), "said in a start");
    next.release();
}

TEST_F(LiftTest, TheLoopLivesAsLongAsThePromiseIsOpen)
{
    Node& node = submit_async(keep);
    kept = nullptr;
    while (kept == nullptr)
        EXPECT_NE(uv_run(&loop, UV_RUN_NOWAIT), 0);
    for (int i = 0; i < 5; ++i)
        EXPECT_NE(uv_run(&loop, UV_RUN_NOWAIT), 0);
    core_of(kept)->retain_promise();
    EXPECT_TRUE(core_of(kept)->resolve(nullptr));
    run();  // with both references still there
    core_of(kept)->release_promise();
    core_of(kept)->release_promise();
    node.release();
}

TEST_F(LiftTest, APromiseMayOutliveItsPort)
{
    Node& node = submit_async(keep);
    kept = nullptr;
    while (kept == nullptr)
        uv_run(&loop, UV_RUN_NOWAIT);
    ASSERT_EQ(core_of(kept)->hook_cancel([](void*) { ADD_FAILURE(); }, &dropped, Counter::hit), EXECQ_OK);
    port->detach();
    port->release();
    port = nullptr;
    run();
    EXPECT_TRUE(node.request_cancel(EXECQ_REASON_CALLER));
    node.tell_cancel();
    EXPECT_EQ(dropped.n, 0U);
    core_of(kept)->release_promise();
    EXPECT_EQ(node.phase(), Phase::canceled);
    EXPECT_EQ(dropped.n, 2U);
    node.release();
}

TEST_F(LiftTest, ACancelCallbackThatThrowsIsReportedAndDropped)
{
    Node& node = submit_async(keep);
    kept = nullptr;
    while (kept == nullptr)
        uv_run(&loop, UV_RUN_NOWAIT);
    ASSERT_EQ(core_of(kept)->hook_cancel([](void*) { throw std::runtime_error("stop"); }, &dropped, Counter::hit),
              EXECQ_OK);
    EXPECT_TRUE(node.request_cancel(EXECQ_REASON_CALLER));
    testing::internal::CaptureStderr();
    node.tell_cancel();
    while (dropped.n == 0)
        uv_run(&loop, UV_RUN_NOWAIT);
    EXPECT_NE(testing::internal::GetCapturedStderr().find("cancel callback"), std::string::npos);
    core_of(kept)->release_promise();
    node.release();
    EXPECT_EQ(dropped.n, 2U);
}

TEST_F(LiftTest, CompletionsAndTasksHaveTheirTurnsBesideEachOther)
{
    static std::vector<char> order;
    order.clear();
    constexpr std::size_t many = 600;  // more than two batches
    std::vector<Node*> promises;
    for (std::size_t i = 0; i < many; ++i) {
        ASSERT_EQ(lift(*port, spec([](void*, void**) -> std::int32_t {
                      order.push_back('t');
                      return 0;
                  }),
                       nullptr),
                  EXECQ_OK);
        promises.push_back(new_promise());
        ASSERT_EQ(promises.back()->register_completion(
                      {[](execq_future*, void*) { order.push_back('c'); }, nullptr, nullptr, port}),
                  EXECQ_OK);
        EXPECT_TRUE(promises.back()->resolve(nullptr));
    }
    run();
    ASSERT_EQ(order.size(), 2 * many);
    // Neither kind had to wait until the other was through.
    EXPECT_LT(std::find(order.begin(), order.end(), 't') - order.begin(), std::ptrdiff_t{many});
    EXPECT_LT(std::find(order.begin(), order.end(), 'c') - order.begin(), std::ptrdiff_t{many});
    EXPECT_EQ(dropped.n, many);
    for (Node* node : promises) {
        node->release_promise();
        node->release();
    }
}

TEST_F(LiftTest, ACallBringsAnExceptionBack)
{
    ASSERT_EQ(port->hold(), EXECQ_OK);
    std::thread thread([&] { run(); });
    Node& first = submit([](void*, void**) -> std::int32_t { return 0; });
    ASSERT_EQ(block_on(first, Deadline::after(-1)), EXECQ_OK);  // from here on the loop's thread is known
    first.release();
    Error* failure = nullptr;
    EXPECT_EQ(call_on_loop(
                  *port, [](void*, void**) -> std::int32_t { throw std::runtime_error("called"); }, nullptr,
                  Deadline::after(-1), nullptr, &failure),
              EXECQ_EFAILED);
    ASSERT_NE(failure, nullptr);
    EXPECT_EQ(failure->code(), EXECQ_EEXCEPTION);
    EXPECT_STREQ(failure->message(), "called");
    failure->release();
    EXPECT_EQ(port->unhold(), EXECQ_OK);
    thread.join();
}

TEST_F(LiftTest, APortOfAThreadThatEndedCountsAsNotBlocked)
{
    ASSERT_EQ(port->hold(), EXECQ_OK);
    for (int i = 0; i < 3; ++i) {
        std::thread thread([&] { uv_run(&loop, UV_RUN_NOWAIT); });
        thread.join();
        EXPECT_FALSE(port->thread_is_blocked());
        submit([](void*, void**) -> std::int32_t { return 0; }).release();
    }
    EXPECT_EQ(port->unhold(), EXECQ_OK);
    run();
}

}  // namespace
