#include "sched/loop_place.h"

#include <array>
#include <gtest/gtest.h>
#include <stdexcept>
#include <thread>

#include "pool.h"
#include "sched/body.h"
#include "sched/thread_loop.h"
#include "task/callbacks.h"

namespace execq::core {
namespace {

struct Open {
    Node* node = nullptr;
    pid_t thread = 0;
    Semaphore started;
};

void hold(execq_promise* promise, uv_loop_s*, void* env)
{
    auto* open = static_cast<Open*>(env);
    open->node = core_of(promise);
    open->thread = thread_id();
    open->started.post();
}

Node* submit_async(const Pool& pool, execq_async_fn start, void* env)
{
    TaskSpec spec;
    spec.env = env;
    Node* node = Node::make_async(spec, start, 1, pool->id());
    CHECK(node != nullptr && pool->submit_async(*node) == EXECQ_OK);
    return node;
}

void end(Open& open)
{
    CHECK(open.node->resolve(nullptr));
    open.node->release_promise();
}

// A task that has started on a loop of this thread, without an executor.
Node* started(LoopPlace& place, uv_loop_s* loop, Open& open)
{
    TaskSpec spec;
    spec.env = &open;
    Node* node = Node::make_async(spec, hold, 1);
    CHECK(node != nullptr && node->try_start());
    if (!place.enter(*node))
        node->request_cancel(EXECQ_REASON_SHUTDOWN);
    run_start(*node, place, loop);
    return node;
}

class OfThisThread : public testing::Test {
protected:
    OfThisThread()
    {
        CHECK(ThreadLoop::open(&loop) == EXECQ_OK);
        place->open(*loop);
    }
    ~OfThisThread() override
    {
        place->close();
        place->let_go();
        CHECK(ThreadLoop::close() == EXECQ_OK);
    }
    Node* start() { return started(*place, loop->loop(), open); }

    LoopPlace* place = new LoopPlace;
    ThreadLoop* loop = nullptr;
    Open open;
};

TEST_F(OfThisThread, IsUsedAsLongAsAPromiseIsOpen)
{
    EXPECT_FALSE(place->used());
    Node* node = start();
    EXPECT_TRUE(place->used());
    end(open);
    EXPECT_FALSE(place->used());
    EXPECT_EQ(::finish(node), EXECQ_OK);
}

TEST_F(OfThisThread, IsWokenWhenTheLastPromiseEndsElsewhere)
{
    Node* node = start();
    while (loop->quiet_ms() == 0)
        loop->run_nowait();
    std::thread other([this] { end(open); });
    EXPECT_TRUE(loop->sleep(-1));
    loop->run_nowait();
    other.join();
    EXPECT_FALSE(place->used());
    EXPECT_EQ(::finish(node), EXECQ_OK);
}

TEST_F(OfThisThread, RunsACancelCallbackInTheLoop)
{
    Counter calls;
    Node* node = start();
    ASSERT_EQ(node->hook_cancel(Counter::hit, &calls, nullptr), EXECQ_OK);
    ASSERT_TRUE(node->request_cancel(EXECQ_REASON_CALLER));
    node->tell_cancel();
    EXPECT_EQ(calls.n, 0U);
    loop->run_nowait();
    EXPECT_EQ(calls.n, 1U);
    open.node->release_promise();
    EXPECT_EQ(::finish(node), EXECQ_ECANCELED);
    EXPECT_FALSE(place->used());
}

TEST_F(OfThisThread, AsksEachTaskOnce)
{
    Counter calls;
    Node* node = start();
    ASSERT_EQ(node->hook_cancel(Counter::hit, &calls, nullptr), EXECQ_OK);
    place->ask_all();
    place->ask_all();
    EXPECT_EQ(node->cancel_reason(), EXECQ_REASON_SHUTDOWN);
    loop->run_nowait();
    EXPECT_EQ(calls.n, 1U);
    open.node->release_promise();
    EXPECT_EQ(::finish(node), EXECQ_ECANCELED);
}

TEST_F(OfThisThread, AsksTasksThatComeLater)
{
    place->ask_all();
    Node* node = start();
    EXPECT_TRUE(node->cancel_requested());
    open.node->release_promise();
    EXPECT_EQ(::finish(node), EXECQ_ECANCELED);
}

TEST_F(OfThisThread, CallsNothingOnceItIsClosed)
{
    Counter calls;
    Node* node = start();
    ASSERT_EQ(node->hook_cancel(Counter::hit, &calls, nullptr), EXECQ_OK);
    place->close();
    ASSERT_TRUE(node->request_cancel(EXECQ_REASON_CALLER));
    node->tell_cancel();
    end(open);
    EXPECT_EQ(::finish(node), EXECQ_OK);
    EXPECT_EQ(calls.n, 0U);
}

TEST_F(OfThisThread, GivesUpWhatIsOnItsWayWhenItIsClosed)
{
    std::array<Counter, 2> counts;  // calls and drops
    Node* node = start();
    ASSERT_EQ(
        node->hook_cancel(Counter::hit, counts.data(), [](void* env) { Counter::hit(static_cast<Counter*>(env) + 1); }),
        EXECQ_OK);
    ASSERT_TRUE(node->request_cancel(EXECQ_REASON_CALLER));
    node->tell_cancel();
    place->close();
    EXPECT_EQ(counts[1].n, 1U);
    loop->run_nowait();
    EXPECT_EQ(counts[0].n, 0U);
    open.node->release_promise();
    EXPECT_EQ(::finish(node), EXECQ_ECANCELED);
}

TEST_F(OfThisThread, FailsWhatIsOpenWhenItsThreadIsLost)
{
    Node* node = start();
    Open second;
    Node* asked = started(*place, loop->loop(), second);
    place->fail_all();
    EXPECT_FALSE(place->used());
    EXPECT_EQ(node->error()->code(), EXECQ_EEXITED);
    EXPECT_EQ(asked->error()->code(), EXECQ_EEXITED);
    EXPECT_FALSE(open.node->resolve(nullptr));
    open.node->release_promise();
    second.node->release_promise();
    node->release();
    asked->release();
}

TEST_F(OfThisThread, NamesWhatIsOpen)
{
    Node* node = start();
    std::size_t n = 0;
    place->for_each([&](const Node& listed) {
        EXPECT_EQ(&listed, node);
        EXPECT_GE(listed.age_ns(), 0);
        ++n;
    });
    EXPECT_EQ(n, 1U);
    end(open);
    place->for_each([&](const Node&) { ++n; });
    EXPECT_EQ(n, 1U);
    EXPECT_EQ(::finish(node), EXECQ_OK);
}

void start_that_throws(execq_promise*, uv_loop_s*, void*) { throw std::runtime_error("no"); }
void start_that_throws_a_number(execq_promise*, uv_loop_s*, void*) { throw 5; }

TEST(LoopWork, AStartThatThrowsFailsItsTaskAlone)
{
    Pool pool(1);
    Open open;
    Node* other = submit_async(pool, hold, &open);
    open.started.take();
    for (const auto start : {start_that_throws, start_that_throws_a_number}) {
        Node* node = submit_async(pool, start, nullptr);
        CHECK(block_on(*node, never()) == EXECQ_OK);
        EXPECT_EQ(node->error()->code(), EXECQ_EEXCEPTION);
        // The reference that start got and did not give up.
        node->release_promise();
        node->release();
    }
    end(open);
    EXPECT_EQ(::finish(other), EXECQ_OK);
}

std::int32_t note_thread(void* env, void**)
{
    *static_cast<pid_t*>(env) = thread_id();
    return 0;
}

TEST(LoopWork, BlockingTasksKeepOffWorkersThatDriveALoop)
{
    Pool pool(ExecutorSpec{nullptr, 2, 0, 0, 1});
    Open open;
    Node* other = submit_async(pool, hold, &open);
    open.started.take();
    for (int i = 0; i < 50; ++i) {  // the first one where the other thread has to be started
        pid_t thread = 0;
        EXPECT_EQ(::finish(pool.submit(note_thread, &thread)), EXECQ_OK);
        EXPECT_NE(thread, open.thread);
        wait_until_asleep(thread);
    }
    end(open);
    EXPECT_EQ(::finish(other), EXECQ_OK);
}

TEST(LoopWork, WhatALoopsCallbackSubmitsIsTakenByOthers)
{
    Pool pool(ExecutorSpec{nullptr, 2, 0, 0, 1});
    struct Shared {
        Pool* pool;
        pid_t starter = 0;
        pid_t runner = 0;
        Node* inner = nullptr;
        Semaphore submitted;
    } shared{&pool, 0, 0, nullptr, Semaphore()};
    Open open;
    Node* first = submit_async(pool, hold, &open);
    open.started.take();
    Node* node = submit_async(
        pool,
        [](execq_promise* promise, uv_loop_s*, void* env) {
            auto* s = static_cast<Shared*>(env);
            s->starter = thread_id();
            s->inner = s->pool->submit(note_thread, &s->runner);
            core_of(promise)->release_promise();
            s->submitted.post();
        },
        &shared);
    shared.submitted.take();
    EXPECT_EQ(::finish(shared.inner), EXECQ_OK);
    EXPECT_EQ(shared.starter, open.thread);
    EXPECT_NE(shared.runner, open.thread);
    EXPECT_EQ(::finish(node), EXECQ_EFAILED);
    end(open);
    EXPECT_EQ(::finish(first), EXECQ_OK);
}

// A promise may outlive its executor's threads where one of those is lost.
TEST(LoopWork, APlaceOutlivesItsExecutor)
{
    Open open;
    Node* node = nullptr;
    {
        Pool pool(1);
        node = submit_async(pool, hold, &open);
        open.started.take();
        pool.submit_and_forget([](void*, void**) -> std::int32_t { pthread_exit(nullptr); }, nullptr);
        CHECK(block_on(*node, never()) == EXECQ_OK);
    }
    EXPECT_EQ(node->error()->code(), EXECQ_EEXITED);
    EXPECT_FALSE(open.node->resolve(nullptr));
    open.node->release_promise();
    node->release();
}

TEST(LoopWork, AtMostSoManyWorkersHaveThem)
{
    Pool pool(ExecutorSpec{nullptr, 8, 0, 0, 2});
    std::array<Open, 64> open;
    std::array<Node*, 64> nodes{};
    for (std::size_t i = 0; i < open.size(); ++i)
        nodes[i] = submit_async(pool, hold, &open[i]);
    std::array<pid_t, 2> seen{};
    for (Open& each : open) {
        each.started.take();
        if (seen[0] == 0 || seen[0] == each.thread)
            seen[0] = each.thread;
        else if (seen[1] == 0 || seen[1] == each.thread)
            seen[1] = each.thread;
        else
            ADD_FAILURE() << "a third worker";
    }
    for (std::size_t i = 0; i < open.size(); ++i) {
        end(open[i]);
        EXPECT_EQ(::finish(nodes[i]), EXECQ_OK);
    }
}

}  // namespace
}  // namespace execq::core
