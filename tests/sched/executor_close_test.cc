// Closing and joining an executor: what still runs, what is refused, what a join finds.
#include <array>
#include <cstring>
#include <gtest/gtest.h>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "pool.h"

using namespace execq::core;

namespace {

TEST(ExecutorClose, RefusesAWholeBatchOnceClosedAndLeavesItAlone)
{
    Pool pool(1);
    pool->close(EXECQ_DRAIN);
    TaskFifo batch;
    for (int i = 0; i < 3; ++i)
        batch.push(*new_task());
    EXPECT_EQ(pool->submit(batch), EXECQ_ECLOSED);
    EXPECT_EQ(batch.size(), 3U);
    EXPECT_EQ(pool.threads(), 0U);
    while (Node* node = batch.pop())
        node->discard();
    TaskFifo nothing;
    EXPECT_EQ(pool->submit(nothing), EXECQ_ECLOSED);
}

// A task that submits another one to an executor while that is closed, and says what came of it.
struct Inner {
    Pool* pool;
    Gate gate;
    execq_status status = EXECQ_EPENDING;
    Counter counter;

    static std::int32_t body(void* env, void**)
    {
        auto* self = static_cast<Inner*>(env);
        self->gate.pass();
        TaskSpec spec;
        spec.fn = Counter::body;
        spec.env = &self->counter;
        if (Node* node = self->pool->submit(spec, &self->status))
            node->release();
        return 0;
    }
};

TEST(ExecutorClose, ThatDrainsRunsWhatItAcceptedAndWhatItsOwnTasksSubmit)
{
    Pool pool(1);
    Inner inner{&pool, {}, EXECQ_EPENDING, {}};
    Counter queued;
    pool.submit_and_forget(Inner::body, &inner);
    inner.gate.await();
    for (int i = 0; i < 10; ++i)
        pool.submit_and_forget(Counter::body, &queued);
    pool->close(EXECQ_DRAIN);
    execq_status status = EXECQ_OK;
    EXPECT_EQ(pool.submit(TaskSpec{}, &status), nullptr);
    EXPECT_EQ(status, EXECQ_ECLOSED) << "from outside";
    inner.gate.open();
    EXPECT_EQ(pool->join(never()), EXECQ_OK);
    EXPECT_EQ(inner.status, EXECQ_OK) << "from inside";
    EXPECT_EQ(inner.counter.n, 1U);
    EXPECT_EQ(queued.n, 10U);
}

TEST(ExecutorClose, ThatDrainsRefusesTheTasksOfAnotherOne)
{
    Pool closed(1);
    Pool pool(1);
    Inner inner{&closed, {}, EXECQ_EPENDING, {}};
    Node* node = pool.submit(Inner::body, &inner);
    inner.gate.await();
    closed->close(EXECQ_DRAIN);
    inner.gate.open();
    finish(node);
    EXPECT_EQ(inner.status, EXECQ_ECLOSED);
}

TEST(ExecutorClose, ThatCancelsRunsNothingMoreAndRefusesItsOwnTasks)
{
    Pool pool(1);
    Inner inner{&pool, {}, EXECQ_EPENDING, {}};
    Counter ran;
    static Counter dropped;
    dropped.n = 0;
    Node* running = pool.submit(Inner::body, &inner);
    inner.gate.await();
    std::vector<Node*> queued;
    for (int i = 0; i < 10; ++i) {
        TaskSpec spec;
        spec.fn = Counter::body;
        spec.env = &ran;
        spec.drop = [](void*) { Counter::hit(&dropped); };
        queued.push_back(pool.submit(spec));
    }
    EXPECT_FALSE(pool->stop_requested(running));
    pool->close(EXECQ_CANCEL);
    EXPECT_TRUE(pool->stop_requested(running));
    inner.gate.open();
    EXPECT_EQ(pool->join(never()), EXECQ_OK);
    EXPECT_EQ(inner.status, EXECQ_ECLOSED);
    EXPECT_EQ(running->result(nullptr), EXECQ_OK) << "it did not stop for the request";
    EXPECT_EQ(ran.n, 0U);
    EXPECT_EQ(dropped.n, 10U);
    for (Node* node : queued) {
        EXPECT_EQ(node->cancel_reason(), EXECQ_REASON_SHUTDOWN);
        EXPECT_EQ(finish(node), EXECQ_ECANCELED);
    }
    running->release();
}

TEST(ExecutorClose, MayCancelAfterItBeganToDrainButNotTheOtherWayRound)
{
    for (const bool cancel_first : {false, true}) {
        Gate gate;
        Counter ran;
        Pool pool(1);
        pool.submit_and_forget(Gate::body, &gate);
        gate.await();
        Node* queued = pool.submit(Counter::body, &ran);
        pool->close(cancel_first ? EXECQ_CANCEL : EXECQ_DRAIN);
        pool->close(cancel_first ? EXECQ_DRAIN : EXECQ_CANCEL);
        gate.open();
        EXPECT_EQ(finish(queued), EXECQ_ECANCELED);
        EXPECT_EQ(ran.n, 0U);
    }
}

// ---- joining ----

TEST(ExecutorClose, CannotBeJoinedWhileOpenNorByItsOwnWorker)
{
    Pool pool(1);
    EXPECT_EQ(pool->join(never()), EXECQ_EINVAL);
    struct Join {
        Executor* executor;
        Gate gate;
        execq_status status = EXECQ_OK;
        static std::int32_t body(void* env, void**)
        {
            auto* self = static_cast<Join*>(env);
            self->gate.pass();
            self->status = self->executor->join(never());
            return 0;
        }
    } join{pool.get(), {}, EXECQ_OK};
    Node* node = pool.submit(Join::body, &join);
    join.gate.await();
    pool->close(EXECQ_DRAIN);
    join.gate.open();
    finish(node);
    EXPECT_EQ(join.status, EXECQ_EDEADLK);
}

TEST(ExecutorClose, ThatNeverHadAThreadIsJoinedAtOnce)
{
    Pool pool(1);
    pool->close(EXECQ_DRAIN);
    EXPECT_EQ(pool->join(only_look()), EXECQ_OK);
    EXPECT_EQ(pool->join(never()), EXECQ_OK);
}

TEST(ExecutorClose, IsJoinedAgainAfterAJoinThatTimedOut)
{
    Gate gate;
    Pool pool(2);
    pool.submit_and_forget(Gate::body, &gate);
    gate.await();
    pool->close(EXECQ_DRAIN);
    EXPECT_EQ(pool->join(only_look()), EXECQ_ETIMEDOUT);
    const std::int64_t before = now_ns();
    EXPECT_EQ(pool->join(Deadline::after(2'000'000)), EXECQ_ETIMEDOUT);
    EXPECT_GE(now_ns() - before, 2'000'000);
    gate.open();
    EXPECT_EQ(pool->join(never()), EXECQ_OK);
    EXPECT_EQ(pool->join(never()), EXECQ_OK);
    EXPECT_EQ(pool.threads(), 0U);
}

TEST(ExecutorClose, IsJoinedByFourThreadsAndEachFindsEverythingDone)
{
    for (std::size_t round = 0; round < stress_n(200, 50); ++round) {
        Counter ran;
        Pool pool(4);
        for (int i = 0; i < 50; ++i)
            pool.submit_and_forget(Counter::body, &ran);
        pool->close(EXECQ_DRAIN);
        std::array<std::thread, 4> joiners;
        for (std::thread& joiner : joiners) {
            joiner = std::thread([&] {
                CHECK(pool->join(never()) == EXECQ_OK);
                CHECK(ran.n == 50);
                CHECK(pool.threads() == 0);
            });
        }
        for (std::thread& joiner : joiners)
            joiner.join();
    }
}

// ThreadSanitizer counts the mutexes that a thread holds, to 64.
TEST(ExecutorClose, LooksIntoAHundredWorkersAtOnce)
{
    constexpr int threads = 100;
    Gate gate;
    Pool pool(threads);
    std::vector<Node*> nodes;
    for (int i = 0; i < threads; ++i) {
        nodes.push_back(pool.submit(Gate::body, &gate));
        gate.await();
    }
    pool->close(EXECQ_CANCEL);
    EXPECT_EQ(pool->join(only_look()), EXECQ_ETIMEDOUT);
    EXPECT_EQ(pool->join(Deadline::after(1'000'000)), EXECQ_ETIMEDOUT);
    EXPECT_EQ(pool.report().running_total, static_cast<std::uint64_t>(threads));
    for (Node* node : nodes)
        EXPECT_TRUE(node->cancel_requested());
    gate.open(threads);
    EXPECT_EQ(pool->join(never()), EXECQ_OK);
    for (Node* node : nodes)
        EXPECT_EQ(finish(node), EXECQ_OK);
}

TEST(ExecutorClose, ReportsWhatRunsAndWhatIsQueued)
{
    Gate gate;
    Pool pool(2);
    const std::string long_name(60, 'n');
    std::vector<Node*> nodes;
    for (const char* name : {"first", long_name.c_str(), static_cast<const char*>(nullptr)}) {
        TaskSpec spec;
        spec.fn = Gate::body;
        spec.env = &gate;
        spec.name = name;
        nodes.push_back(pool.submit(spec));
    }
    gate.await(2);
    std::array<execq_running_task, 4> room;
    std::memset(room.data(), 0xff, sizeof room);
    execq_shutdown_report report = pool.report(room.data(), room.size());
    EXPECT_EQ(report.running_total, 2U);
    EXPECT_EQ(report.running_count, 2U);
    EXPECT_EQ(report.queued, 1U);
    EXPECT_EQ(report.threads, 2U);
    const std::set<std::string> names = {room[0].name, room[1].name};
    EXPECT_EQ(names, (std::set<std::string>{"first", std::string(47, 'n')}));
    EXPECT_GE(room[0].running_ns, 0);
    EXPECT_EQ(room[0].reserved, 0U);
    report = pool.report(room.data(), 1);
    EXPECT_EQ(report.running_total, 2U);
    EXPECT_EQ(report.running_count, 1U);
    report = pool.report(nullptr, 5);
    EXPECT_EQ(report.running_total, 2U);
    EXPECT_EQ(report.running_count, 0U);
    gate.open(3);
    for (Node* node : nodes)
        EXPECT_EQ(finish(node), EXECQ_OK);
}

}  // namespace
