// What observers of an executor are told of its tasks, and in what order.
#include "task/observed.h"

#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <mutex>
#include <pthread.h>
#include <string>

#include "flow/cq.h"
#include "flow/submission.h"
#include "pool.h"
#include "sched/wait.h"
#include "task/cancel.h"

using namespace execq::core;

namespace {

// What each task was told to be, one letter an event: submitted, started, left, rested, and how it ended.
class Log final : public TaskObserver {
public:
    struct Lines {
        std::mutex mutex;
        std::map<std::uint64_t, std::string> of;
        std::map<std::uint64_t, std::uint64_t> parent;
        std::map<std::uint64_t, std::int32_t> worker, code;
        std::map<std::string, std::uint64_t> named;
        bool refuses = false;

        void add(const Observation& task, char letter)
        {
            const std::lock_guard lock(mutex);
            of[task.id()] += letter;
            parent[task.id()] = task.parent();
            worker[task.id()] = task.worker();
            named[task.name()] = task.id();
        }
        std::string named_as(const std::string& name)
        {
            const std::lock_guard lock(mutex);
            return named.count(name) != 0 ? of[named[name]] : "none";
        }
    };

    explicit Log(Lines& lines) : lines_(lines) {}

    bool submitted(Observation& task) noexcept override
    {
        if (!lines_.refuses)
            lines_.add(task, 's');
        return !lines_.refuses;
    }
    void started(Observation& task) noexcept override
    {
        EXPECT_GE(task.started_ns(), task.submitted_ns());
        EXPECT_NE(Observation::current(), &task);
        lines_.add(task, '(');
    }
    void left(Observation& task) noexcept override { lines_.add(task, ')'); }
    void rested(Observation& task) noexcept override { lines_.add(task, '.'); }
    void ended(Observation& task, Ending ending, std::int32_t code) noexcept override
    {
        EXPECT_FALSE(task.node().done());
        EXPECT_TRUE(Observation::telling_of(task.node()));
        lines_.add(task, "OFCR"[static_cast<int>(ending)]);
        const std::lock_guard lock(lines_.mutex);
        lines_.code[task.id()] = code;
    }
    void delivered(Observation& task) noexcept override
    {
        EXPECT_TRUE(task.node().done());
        lines_.add(task, 'd');
    }

private:
    Lines& lines_;
};

struct ObservedTest : testing::Test {
    Log::Lines lines;

    ExecutorSpec spec_of(std::uint32_t threads)
    {
        ExecutorSpec spec;
        spec.name = "seen";
        spec.max_threads = threads;
        spec.observers.all = new Observers;
        spec.observers.all->add(std::make_unique<Log>(lines));
        return spec;
    }
    static TaskSpec task(const char* name, execq_fn fn, void* env = nullptr)
    {
        TaskSpec spec;
        spec.fn = fn;
        spec.env = env;
        spec.name = name;
        return spec;
    }
};

std::int32_t nothing(void*, void**) { return 0; }
std::int32_t fails(void*, void**) { return -7; }

TEST_F(ObservedTest, ABlockingTaskIsSubmittedStartsAndEndsBeforeItsFutureIsDone)
{
    Pool pool(spec_of(1));
    execq_future* future = nullptr;
    ASSERT_EQ(submit(pool.get(), task("ok", nothing), &future), EXECQ_OK);
    EXPECT_EQ(wait_for(*core_of(future), never()), EXECQ_OK);
    EXPECT_EQ(lines.named_as("ok"), "s()O");
    EXPECT_EQ(lines.worker[lines.named["ok"]], 0);
    EXPECT_EQ(lines.code[lines.named["ok"]], EXECQ_OK);
    core_of(future)->release();
}

TEST_F(ObservedTest, AFailureHasItsCode)
{
    Pool pool(spec_of(1));
    execq_future* future = nullptr;
    ASSERT_EQ(submit(pool.get(), task("bad", fails), &future), EXECQ_OK);
    EXPECT_EQ(wait_for(*core_of(future), never()), EXECQ_OK);
    core_of(future)->observe();
    EXPECT_EQ(lines.named_as("bad"), "s()F");
    EXPECT_EQ(lines.code[lines.named["bad"]], -7);
    core_of(future)->release();
}

TEST_F(ObservedTest, AThreadThatExitsEndsItsTaskOnce)
{
    Pool pool(spec_of(1));
    execq_future* future = nullptr;
    const auto exits = [](void*, void**) -> std::int32_t { pthread_exit(nullptr); };
    ASSERT_EQ(submit(pool.get(), task("exits", exits), &future), EXECQ_OK);
    EXPECT_EQ(wait_for(*core_of(future), never()), EXECQ_OK);
    core_of(future)->observe();
    EXPECT_EQ(lines.named_as("exits"), "s()F");
    EXPECT_EQ(lines.code[lines.named["exits"]], EXECQ_EEXITED);
    core_of(future)->release();
}

TEST_F(ObservedTest, WhatIsCanceledBeforeItStartsOnlyEnds)
{
    Gate held;
    {
        Pool pool(spec_of(1));
        execq_future* future = nullptr;
        ASSERT_EQ(submit(pool.get(), task("holds", Gate::body, &held), nullptr), EXECQ_OK);
        held.await();
        ASSERT_EQ(submit(pool.get(), task("never", nothing), &future), EXECQ_OK);
        EXPECT_TRUE(cancel_unstarted(*core_of(future), EXECQ_REASON_CALLER));
        EXPECT_EQ(lines.named_as("never"), "sC");
        held.open();
        core_of(future)->release();
    }
    EXPECT_EQ(lines.named_as("holds"), "s()O");
    EXPECT_EQ(lines.worker[lines.named["never"]], Observation::no_worker);
}

TEST_F(ObservedTest, WhatAClosedExecutorRefusesHasEnded)
{
    Pool pool(spec_of(1));
    pool->close(EXECQ_DRAIN);
    EXPECT_EQ(submit(pool.get(), task("late", nothing), nullptr), EXECQ_ECLOSED);
    EXPECT_EQ(lines.named_as("late"), "sR");
    EXPECT_EQ(submit_many(pool.get(), task("all", nothing), 3, nullptr, nullptr), EXECQ_ECLOSED);
    EXPECT_EQ(lines.named_as("all"), "sR");
    EXPECT_EQ(lines.of.size(), 4U);
}

TEST_F(ObservedTest, EachOfABatchIsTold)
{
    {
        Pool pool(spec_of(2));
        ASSERT_EQ(submit_many(pool.get(), task("", nothing), 100, nullptr, nullptr), EXECQ_OK);
    }
    ASSERT_EQ(lines.of.size(), 100U);
    for (const auto& line : lines.of)
        EXPECT_EQ(line.second, "s()O");
}

TEST_F(ObservedTest, AnAsynchronousTaskEndsWithItsPromise)
{
    Pool pool(spec_of(1));
    static Node* kept;
    static Semaphore started;
    const auto start = [](execq_promise* promise, uv_loop_s*, void*) {
        kept = core_of(promise);
        started.post();
    };
    execq_future* future = nullptr;
    ASSERT_EQ(submit_async(pool.get(), task("async", nullptr), start, nullptr, &future), EXECQ_OK);
    started.take();
    EXPECT_TRUE(kept->resolve(nullptr));
    kept->release_promise();
    EXPECT_EQ(wait_for(*core_of(future), never()), EXECQ_OK);
    core_of(future)->release();
    pool->close(EXECQ_DRAIN);
    EXPECT_EQ(pool->join(never()), EXECQ_OK);
    const std::string line = lines.named_as("async");
    EXPECT_TRUE(line == "s()O" || line == "s(O)") << line;
}

TEST_F(ObservedTest, ATaskInsideOfAnotherHasItForItsParent)
{
    Pool pool(spec_of(1));
    const auto outer = [](void* executor, void**) -> std::int32_t {
        execq_future* future = nullptr;
        EXPECT_EQ(submit(static_cast<Executor*>(executor), task("inner", nothing), &future), EXECQ_OK);
        EXPECT_EQ(wait_for(*core_of(future), never()), EXECQ_OK);  // in place
        core_of(future)->release();
        return 0;
    };
    execq_future* future = nullptr;
    ASSERT_EQ(submit(pool.get(), task("outer", outer, pool.get()), &future), EXECQ_OK);
    EXPECT_EQ(wait_for(*core_of(future), never()), EXECQ_OK);
    core_of(future)->release();
    EXPECT_EQ(lines.named_as("inner"), "s()O");
    EXPECT_EQ(lines.parent[lines.named["inner"]], lines.named["outer"]);
    EXPECT_EQ(lines.parent[lines.named["outer"]], 0U);
}

TEST_F(ObservedTest, ACompletionIsDeliveredWhereItIsDrained)
{
    Cq* cq = nullptr;
    ASSERT_EQ(Cq::make(&cq), EXECQ_OK);
    {
        Pool pool(spec_of(1));
        ASSERT_EQ(submit_with_completion(pool.get(), task("drained", nothing), {nullptr, &lines, nullptr, cq}),
                  EXECQ_OK);
        EXPECT_EQ(cq->wait(never()), EXECQ_OK);
        EXPECT_EQ(lines.named_as("drained"), "s()O");
        execq_completion completion;
        std::size_t n = 0;
        EXPECT_EQ(cq->drain(&completion, 1, &n), EXECQ_OK);
        ASSERT_EQ(n, 1U);
        core_of(completion.future)->release();
    }
    EXPECT_EQ(lines.named_as("drained"), "s()Od");
    cq->release();
}

TEST_F(ObservedTest, WhatTheCallerRunsHasNoWorker)
{
    Gate held;
    ExecutorSpec spec = spec_of(1);
    spec.capacity = 1;
    spec.full_policy = EXECQ_FULL_CALLER_RUNS;
    {
        Pool pool(spec);
        ASSERT_EQ(submit(pool.get(), task("holds", Gate::body, &held), nullptr), EXECQ_OK);
        held.await();
        ASSERT_EQ(submit(pool.get(), task("fills", nothing), nullptr), EXECQ_OK);
        ASSERT_EQ(submit(pool.get(), task("here", nothing), nullptr), EXECQ_OK);
        EXPECT_EQ(lines.named_as("here"), "s()O");
        EXPECT_EQ(lines.worker[lines.named["here"]], Observation::no_worker);
        held.open();
    }
    EXPECT_EQ(lines.named_as("fills"), "s()O");
}

TEST_F(ObservedTest, WhoDoesNotWantATaskHearsNoMoreOfIt)
{
    lines.refuses = true;
    {
        Pool pool(spec_of(1));
        ASSERT_EQ(submit(pool.get(), task("quiet", nothing), nullptr), EXECQ_OK);
    }
    EXPECT_TRUE(lines.of.empty());
}

TEST_F(ObservedTest, AFutureMayOutliveItsExecutor)
{
    execq_future* future = nullptr;
    {
        Pool pool(spec_of(1));
        ASSERT_EQ(submit(pool.get(), task("old", nothing), &future), EXECQ_OK);
    }
    const Observation* task = core_of(future)->observation();
    ASSERT_NE(task, nullptr);
    EXPECT_STREQ(task->observers().executor_name(), "seen");
    EXPECT_EQ(core_of(future)->register_completion({[](execq_future*, void*) {}, nullptr, nullptr, nullptr}), EXECQ_OK);
    EXPECT_EQ(lines.named_as("old"), "s()Od");
    core_of(future)->release();
}

TEST_F(ObservedTest, UnobservedTasksHaveNoObservation)
{
    Pool pool(1);
    execq_future* future = nullptr;
    ASSERT_EQ(submit(pool.get(), task("named", nothing), &future), EXECQ_OK);
    EXPECT_EQ(core_of(future)->observation(), nullptr);
    EXPECT_EQ(wait_for(*core_of(future), never()), EXECQ_OK);
    core_of(future)->release();
}

}  // namespace
