// Threads in the place of those that are blocked.
#include <gtest/gtest.h>
#include <memory>
#include <vector>

#include "pool.h"
#include "sched/wait.h"

using namespace execq::core;

namespace {

constexpr std::int64_t hour = 3600LL * 1'000'000'000;
constexpr std::int64_t at_once = -1;

ExecutorSpec spec_of(std::uint32_t threads, std::int32_t spares, std::int64_t keepalive_ns = 0)
{
    ExecutorSpec spec;
    spec.max_threads = threads;
    spec.max_spares = spares;
    spec.keepalive_ns = keepalive_ns;
    return spec;
}

// A body that says it blocks, and does.
struct Blocker {
    Gate gate;
    std::uint32_t hints = 1;

    static std::int32_t body(void* env, void**)
    {
        auto* self = static_cast<Blocker*>(env);
        Worker& worker = *Worker::current();
        for (std::uint32_t i = 0; i < self->hints; ++i)
            Executor::begin_blocking(worker);
        self->gate.pass();
        for (std::uint32_t i = 0; i < self->hints; ++i)
            Executor::end_blocking(worker);
        return 0;
    }
};

TEST(Spares, HaveADefaultThatLeavesAnExecutorOfOneThreadAlone)
{
    struct Case {
        std::uint32_t threads;
        std::int32_t chosen;
        std::uint32_t spares;
    };
    for (const Case& c : {Case{1, 0, 0}, Case{2, 0, 2}, Case{3, -1, 0}, Case{1, 2, 2}}) {
        Pool pool(spec_of(c.threads, c.chosen));
        std::vector<std::unique_ptr<Blocker>> blockers;
        std::vector<Node*> nodes;
        for (std::uint32_t i = 0; i < c.threads + c.spares; ++i) {
            blockers.push_back(std::make_unique<Blocker>());
            nodes.push_back(pool.submit(Blocker::body, blockers.back().get()));
        }
        for (auto& blocker : blockers)
            blocker->gate.await();
        Counter ran;
        Node* none_left = pool.submit(Counter::body, &ran);
        EXPECT_EQ(pool->spare_counts().spares, c.spares) << c.threads << " " << c.chosen;
        EXPECT_EQ(pool.threads(), c.threads + c.spares);
        EXPECT_EQ(none_left->phase(), Phase::pending);
        for (auto& blocker : blockers)
            blocker->gate.open();
        for (Node* node : nodes)
            EXPECT_EQ(finish(node), EXECQ_OK);
        EXPECT_EQ(finish(none_left), EXECQ_OK);
        EXPECT_EQ(pool->spare_counts().most_spares, c.spares);
        EXPECT_EQ(pool->spare_counts().hints, c.threads + c.spares);
    }
}

TEST(Spares, AHintHasWhatWaitsAlreadyRunAtOnce)
{
    Pool pool(spec_of(1, 1));
    struct Env {
        Gate before;
        Blocker blocker;
    } env;
    Node* node = pool.submit(
        [](void* argument, void**) -> std::int32_t {
            auto* e = static_cast<Env*>(argument);
            e->before.pass();
            return Blocker::body(&e->blocker, nullptr);
        },
        &env);
    env.before.await();
    Counter ran;
    Node* waiting = pool.submit(Counter::body, &ran);
    EXPECT_EQ(pool->spare_counts().spares, 0U);
    env.before.open();
    EXPECT_EQ(finish(waiting), EXECQ_OK) << "while the only thread is blocked";
    env.blocker.gate.await();
    env.blocker.gate.open();
    EXPECT_EQ(finish(node), EXECQ_OK);
}

TEST(Spares, HintsNestAndTheOutermostCounts)
{
    Pool pool(spec_of(1, 2));
    Blocker blocker;
    blocker.hints = 5;
    Node* node = pool.submit(Blocker::body, &blocker);
    blocker.gate.await();
    EXPECT_EQ(pool->spare_counts().blocked, 1U);
    EXPECT_EQ(pool->spare_counts().hints, 1U);
    blocker.gate.open();
    EXPECT_EQ(finish(node), EXECQ_OK);
    EXPECT_EQ(pool->spare_counts().blocked, 0U);
}

// How many threads run a body at the same time.
struct Crowd {
    std::atomic<std::uint32_t> now{0};
    std::atomic<std::uint32_t> most{0};
    std::atomic<std::uint64_t> ran{0};

    void enter()
    {
        const std::uint32_t n = now.fetch_add(1) + 1;
        for (std::uint32_t seen = most.load(); seen < n && !most.compare_exchange_weak(seen, n);) {
        }
    }
    void leave() { now.fetch_sub(1); }
    static std::int32_t body(void* env, void**)
    {
        auto* crowd = static_cast<Crowd*>(env);
        crowd->enter();
        std::this_thread::yield();
        crowd->ran.fetch_add(1);
        crowd->leave();
        return 0;
    }
};

TEST(Spares, StandByOnceTheBlockedOneGoesOn)
{
    Pool pool(spec_of(1, 1));
    for (int round = 0; round < 200; ++round) {
        Blocker blocker;
        Node* node = pool.submit(Blocker::body, &blocker);
        blocker.gate.await();
        Counter meanwhile;
        EXPECT_EQ(finish(pool.submit(Counter::body, &meanwhile)), EXECQ_OK);
        blocker.gate.open();
        EXPECT_EQ(finish(node), EXECQ_OK);
        while (pool->spare_counts().standing_by == 0)  // whichever of the two comes by first
            EXPECT_EQ(finish(pool.submit(Counter::body, &meanwhile)), EXECQ_OK);
        Crowd crowd;
        std::vector<Node*> nodes;
        for (int i = 0; i < 20; ++i)
            nodes.push_back(pool.submit(Crowd::body, &crowd));
        for (Node* each : nodes)
            EXPECT_EQ(finish(each), EXECQ_OK);
        ASSERT_EQ(crowd.most, 1U) << "in round " << round;
        ASSERT_EQ(crowd.ran, 20U);
    }
    EXPECT_EQ(pool->spare_counts().most_spares, 1U) << "no thread more, however often";
    EXPECT_EQ(pool.threads(), 2U) << "one stands by";
}

TEST(Spares, LeaveAfterTheirKeepalive)
{
    Pool pool(spec_of(1, 3, at_once));
    std::vector<std::unique_ptr<Blocker>> blockers;
    std::vector<Node*> nodes;
    for (int i = 0; i < 4; ++i) {
        blockers.push_back(std::make_unique<Blocker>());
        nodes.push_back(pool.submit(Blocker::body, blockers.back().get()));
        blockers.back()->gate.await();
    }
    EXPECT_EQ(pool.threads(), 4U);
    for (auto& blocker : blockers)
        blocker->gate.open();
    for (Node* node : nodes)
        EXPECT_EQ(finish(node), EXECQ_OK);
    while (pool.threads() != 1)
        std::this_thread::yield();
    EXPECT_EQ(pool->spare_counts().spares, 0U);
    Counter ran;
    EXPECT_EQ(finish(pool.submit(Counter::body, &ran)), EXECQ_OK);
}

TEST(Spares, AHintThatIsLeftOpenEndsWithItsBody)
{
    Pool pool(spec_of(1, 1));
    const execq_fn forgets = [](void*, void**) -> std::int32_t {
        Executor::begin_blocking(*Worker::current());
        Executor::begin_blocking(*Worker::current());
        return 0;
    };
    const execq_fn too_many = [](void*, void**) -> std::int32_t {
        Executor::end_blocking(*Worker::current());
        Executor::begin_blocking(*Worker::current());
        for (int i = 0; i < 3; ++i)
            Executor::end_blocking(*Worker::current());
        return 0;
    };
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(finish(pool.submit(forgets, nullptr)), EXECQ_OK);
        EXPECT_EQ(finish(pool.submit(too_many, nullptr)), EXECQ_OK);
    }
    EXPECT_EQ(pool->spare_counts().hints, 6U);
    while (pool->spare_counts().blocked != 0)  // it ends between two tasks, after the future is done
        std::this_thread::yield();
    const execq_fn exits = [](void*, void**) -> std::int32_t {
        Executor::begin_blocking(*Worker::current());
        pthread_exit(nullptr);
    };
    EXPECT_EQ(finish(pool.submit(exits, nullptr)), EXECQ_EFAILED);
    Counter ran;
    EXPECT_EQ(finish(pool.submit(Counter::body, &ran)), EXECQ_OK);
    pool->close(EXECQ_DRAIN);
    EXPECT_EQ(pool->join(never()), EXECQ_OK);
    EXPECT_EQ(pool->spare_counts().blocked, 0U);
}

TEST(Spares, ATaskThatRunsInPlaceIsNotBlocked)
{
    static Executor* executor;
    static std::uint32_t inside;
    Pool pool(spec_of(1, -1));  // nobody else is to run the inner task
    executor = pool.get();
    const execq_fn outer = [](void* env, void**) -> std::int32_t {
        Worker& worker = *Worker::current();
        Node* node = static_cast<Pool*>(env)->submit(
            [](void*, void**) -> std::int32_t {
                inside = executor->spare_counts().blocked;
                Executor::begin_blocking(*Worker::current());  // and does not take it back
                return 0;
            },
            nullptr);
        Executor::begin_blocking(worker);
        Executor::begin_blocking(worker);
        EXPECT_EQ(executor->spare_counts().blocked, 1U);
        EXPECT_EQ(wait_for(*node, never()), EXECQ_OK);
        EXPECT_EQ(executor->spare_counts().blocked, 1U);
        EXPECT_EQ(worker.blocking, 2U);
        Executor::end_blocking(worker);
        Executor::end_blocking(worker);
        EXPECT_EQ(executor->spare_counts().blocked, 0U);
        node->release();
        return 0;
    };
    EXPECT_EQ(finish(pool.submit(outer, &pool)), EXECQ_OK);
    EXPECT_EQ(inside, 0U);
    EXPECT_EQ(pool->spare_counts().in_place, 1U);
    EXPECT_EQ(pool->spare_counts().hints, 3U) << "begun again after the inner task's";
}

// A body that submits another task and waits for it in a way in which it may not run it.
struct Parent {
    Pool& pool;
    execq_status status = EXECQ_EPENDING;

    static std::int32_t body(void* env, void**)
    {
        auto* self = static_cast<Parent*>(env);
        Node* child = self->pool.submit(Counter::body, &ran());
        self->status = wait_for(*child, Deadline::after(hour));
        child->release();
        return 0;
    }
    static Counter& ran()
    {
        static Counter counter;
        return counter;
    }
};

TEST(Spares, AWaitThatNobodyWouldComeForGetsOne)
{
    Pool pool(spec_of(1, 1));
    for (int round = 0; round < 100; ++round) {
        Parent parent{pool};
        EXPECT_EQ(finish(pool.submit(Parent::body, &parent)), EXECQ_OK);
        ASSERT_EQ(parent.status, EXECQ_OK) << "in round " << round;
    }
    const SpareCounts counts = pool->spare_counts();
    EXPECT_EQ(counts.blocked, 0U);
    EXPECT_EQ(counts.most_spares, 1U);
    EXPECT_GE(counts.compensated, 1U);
    EXPECT_EQ(counts.refused, 0U);
}

// A line of bodies, each waiting with a limit for the next: each takes a thread.
struct Line {
    Pool& pool;
    int left;
    execq_status innermost = EXECQ_EPENDING;

    static std::int32_t body(void* env, void**)
    {
        auto* self = static_cast<Line*>(env);
        if (self->left-- == 0)
            return 0;
        Node* next = self->pool.submit(body, env);
        const execq_status status = wait_for(*next, Deadline::after(hour));
        if (self->innermost == EXECQ_EPENDING)
            self->innermost = status;
        next->release();
        return 0;
    }
};

TEST(Spares, NoMoreThanThereMayBeTakeTheirPlace)
{
    for (const int depth : {1, 5, 6, 9}) {
        Pool pool(spec_of(2, 4));
        Line line{pool, depth};
        EXPECT_EQ(finish(pool.submit(Line::body, &line)), EXECQ_OK);
        EXPECT_EQ(line.innermost, depth <= 5 ? EXECQ_OK : EXECQ_EDEADLK) << depth;
        pool->close(EXECQ_DRAIN);
        EXPECT_EQ(pool->join(never()), EXECQ_OK) << "what was not waited for is run all the same";
        EXPECT_LE(pool->spare_counts().most_spares, 4U);
        EXPECT_EQ(pool->spare_counts().refused != 0, depth > 5);
    }
}

TEST(Spares, ForAnyAndInACallbackToo)
{
    Pool pool(spec_of(1, 1));
    Node* node = pool.submit(
        [](void* env, void**) -> std::int32_t {
            Pool& own = *static_cast<Pool*>(env);
            Node* child = own.submit(Counter::body, &Parent::ran());
            EXPECT_EQ(wait_for_any(&child, 1, never(), nullptr), EXECQ_OK);
            child->release();
            return 0;
        },
        &pool);
    EXPECT_EQ(finish(node), EXECQ_OK);
    EXPECT_EQ(pool->spare_counts().in_place, 0U);
}

TEST(Spares, ThoseThatStandByAreEndedByAClose)
{
    for (const std::int32_t mode : {EXECQ_DRAIN, EXECQ_CANCEL}) {
        Pool pool(spec_of(1, 1));
        Parent parent{pool};
        EXPECT_EQ(finish(pool.submit(Parent::body, &parent)), EXECQ_OK);
        pool->close(mode);
        EXPECT_EQ(pool->join(never()), EXECQ_OK);
        EXPECT_EQ(pool.threads(), 0U);
    }
}

TEST(Spares, WhatWaitsWithOneThatStandsAsideIsRun)
{
    // The spare fetches a batch, and submits to its own queue, before it has to stand aside.
    for (int round = 0; round < 50; ++round) {
        Pool pool(spec_of(1, 1));
        Blocker blocker;
        Node* node = pool.submit(Blocker::body, &blocker);
        blocker.gate.await();
        struct Env {
            Pool& pool;
            Gate gate;
            Counter ran;
        } env{pool, {}, {}};
        Node* spare = pool.submit(
            [](void* argument, void**) -> std::int32_t {
                auto& e = *static_cast<Env*>(argument);
                e.gate.pass();
                for (int i = 0; i < 20; ++i)
                    e.pool.submit_and_forget(Counter::body, &e.ran);
                return 0;
            },
            &env);
        for (int i = 0; i < 20; ++i)
            pool.submit_and_forget(Counter::body, &env.ran);
        env.gate.await();
        blocker.gate.open();
        EXPECT_EQ(finish(node), EXECQ_OK);
        env.gate.open();
        EXPECT_EQ(finish(spare), EXECQ_OK);
        pool->close(EXECQ_DRAIN);
        EXPECT_EQ(pool->join(never()), EXECQ_OK);
        ASSERT_EQ(env.ran.n, 40U);
    }
}

}  // namespace
