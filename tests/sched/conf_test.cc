#include "sched/conf.h"

#include <gtest/gtest.h>
#include <vector>

#include "pool.h"
#include "sched/cpus.h"

using namespace execq::core;

namespace {

Executor* resolved()
{
    Executor* executor = nullptr;
    EXPECT_EQ(resolve_executor(&executor), EXECQ_OK);
    return executor;
}

struct Conf : testing::Test {
    ~Conf() override { configure_executor(nullptr); }
};

TEST_F(Conf, ResolvesToOneDefaultForTheWholeProcess)
{
    Executor* first = resolved();
    Executor* second = resolved();
    EXPECT_EQ(first, second);
    EXPECT_STREQ(first->name(), "execq");
    first->release();
    second->release();
    Executor* third = resolved();
    EXPECT_EQ(first, third) << "the library itself holds it";
    third->release();
}

TEST_F(Conf, MakesADefaultThatRunsTasksOnAsManyThreadsAsAreUsual)
{
    Executor* executor = resolved();
    const std::uint32_t threads = default_threads();
    Gate gate;
    TaskFifo batch;
    std::vector<Node*> nodes;
    for (std::uint32_t i = 0; i < threads + 1; ++i) {
        TaskSpec spec;
        spec.fn = Gate::body;
        spec.env = &gate;
        nodes.push_back(new_task(spec, 2));
        batch.push(*nodes.back());
    }
    ASSERT_EQ(executor->submit(batch), EXECQ_OK);
    gate.await(static_cast<int>(threads));
    execq_shutdown_report report = EXECQ_SHUTDOWN_REPORT_INIT;
    executor->report(report);
    EXPECT_EQ(report.threads, threads);
    EXPECT_EQ(report.queued, 1U);
    gate.open(static_cast<int>(threads) + 1);
    for (Node* node : nodes)
        finish(node);
    executor->release();
}

TEST_F(Conf, PrefersWhatIsConfigured)
{
    Pool pool(1);
    Pool other(1);
    configure_executor(pool.get());
    Executor* executor = resolved();
    EXPECT_EQ(executor, pool.get());
    executor->release();
    configure_executor(other.get());
    executor = resolved();
    EXPECT_EQ(executor, other.get());
    executor->release();
    configure_executor(nullptr);
    executor = resolved();
    EXPECT_NE(executor, pool.get());
    EXPECT_NE(executor, other.get());
    executor->release();
}

TEST_F(Conf, KeepsWhatIsConfiguredOpenUntilItIsReplaced)
{
    Executor* executor = nullptr;
    ASSERT_EQ(Executor::make({"kept", 1, 0, 0}, &executor), EXECQ_OK);
    configure_executor(executor);
    executor->release();
    Executor* again = resolved();
    ASSERT_EQ(again, executor);
    EXPECT_EQ(again->join(only_look()), EXECQ_EINVAL) << "it was closed";
    configure_executor(nullptr);
    EXPECT_EQ(again->join(only_look()), EXECQ_EINVAL) << "we still hold it";
    again->release();
}

TEST_F(Conf, MayBeTheSameAsBefore)
{
    Executor* executor = nullptr;
    ASSERT_EQ(Executor::make({"same", 1, 0, 0}, &executor), EXECQ_OK);
    configure_executor(executor);
    executor->release();
    configure_executor(executor);
    Executor* again = resolved();
    EXPECT_EQ(again, executor);
    again->release();
}

// What is resolved is never closed under the caller's hands, whoever replaces it meanwhile.
TEST_F(Conf, IsResolvedWhileItIsReplaced)
{
    std::atomic<bool> stop{false};
    std::thread replacer([&] {
        for (std::size_t round = 0; round < stress_n(2'000, 300); ++round) {
            Executor* executor = nullptr;
            CHECK(Executor::make({"short", 1, 0, 0}, &executor) == EXECQ_OK);
            configure_executor(executor);
            executor->release();
        }
        stop = true;
    });
    while (!stop) {
        Executor* executor = resolved();
        ASSERT_EQ(executor->join(only_look()), EXECQ_EINVAL);
        executor->release();
    }
    replacer.join();
}

}  // namespace
