// Statistics from C++: each figure comes from where it should.
#include "cpp.h"

#include <memory>
#include <vector>

using namespace execq;

namespace {

TEST(CppStats, a_new_executor_has_no_workers)
{
    const scoped_executor pool({.max_threads = 3});
    const executor_stats stats = pool.stats();
    EXPECT_TRUE(stats.workers.empty());
    EXPECT_EQ(stats.threads_max, 3U);
    EXPECT_EQ(stats.threads, 0U);
}

TEST(CppStats, workers_and_queues_are_told)
{
    const scoped_executor pool({.max_threads = 2});
    std::vector<future<void>> queued;
    {
        const Blocked first(pool);
        const Blocked second(pool);
        for (int i = 0; i < 3; ++i)
            queued.push_back(pool.submit([] {}));
        const executor_stats stats = pool.stats();
        EXPECT_EQ(stats.threads, 2U);
        EXPECT_EQ(stats.running, 2U);
        EXPECT_EQ(stats.idle, 0U);
        EXPECT_EQ(stats.queued, 3U);
        EXPECT_EQ(stats.queued_async, 0U);
        EXPECT_EQ(stats.delayed, 0U);
        EXPECT_EQ(stats.threads_started, 2U);
        ASSERT_EQ(stats.workers.size(), 2U);
        for (std::uint32_t i = 0; i < 2; ++i) {
            EXPECT_EQ(stats.workers[i].number, i);
            EXPECT_EQ(stats.workers[i].state, worker_state::running);
            EXPECT_FALSE(stats.workers[i].has_loop);
            EXPECT_FALSE(stats.workers[i].reserved_for_loops);
        }
    }
    for (future<void>& one : queued)
        one.get();
    EXPECT_EQ(pool.stats().queued, 0U);
}

struct Held {
    execq_promise* promise = nullptr;
    std::binary_semaphore started{0};
};

void hold(execq_promise* promise, uv_loop_s*, void* env)
{
    auto* held = static_cast<Held*>(env);
    held->promise = promise;
    held->started.release();
}

TEST(CppStats, loops_are_told)
{
    const scoped_executor pool({.max_threads = 2, .reserved_loop_workers = 1});
    Held held;
    execq_future* open = nullptr;
    ASSERT_EQ(execq_submit_async(pool.native(), nullptr, hold, &held, &open), EXECQ_OK);
    held.started.acquire();
    executor_stats stats = pool.stats();
    EXPECT_EQ(stats.loops, 1U);
    EXPECT_EQ(stats.async_open, 1U);
    ASSERT_EQ(stats.workers.size(), 1U);
    EXPECT_TRUE(stats.workers[0].has_loop);
    EXPECT_TRUE(stats.workers[0].reserved_for_loops);
    EXPECT_EQ(stats.workers[0].async_open, 1U);
    while (stats.loop_lag.count == 0) {
        execq_future* more = nullptr;
        ASSERT_EQ(execq_submit_async(
                      pool.native(), nullptr,
                      [](execq_promise* promise, uv_loop_s*, void*) { execq_promise_release(promise); }, nullptr,
                      &more),
                  EXECQ_OK);
        EXPECT_EQ(execq_future_wait(more, -1), EXECQ_OK);
        execq_future_release(more);
        stats = pool.stats();
    }
    EXPECT_GT(stats.loop_lag.max.count(), 0);
    EXPECT_LE(stats.loop_lag.p50, stats.loop_lag.p99);
    EXPECT_LE(stats.loop_lag.p99, stats.loop_lag.max);
    EXPECT_EQ(stats.workers[0].loop_lag.max, stats.loop_lag.max);
    EXPECT_EQ(stats.workers[0].loop_turn.max, stats.loop_turn.max);
    EXPECT_EQ(stats.loop_delays, 0U);
    EXPECT_EQ(execq_promise_resolve(held.promise, nullptr), EXECQ_OK);
    execq_promise_release(held.promise);
    EXPECT_EQ(execq_future_wait(open, -1), EXECQ_OK);
    execq_future_release(open);
}

TEST(CppStats, options_that_do_not_agree_throw)
{
    EXPECT_EQ(thrown_by<error>([] { scoped_executor({.max_threads = 1, .reserved_loop_workers = 1}); }).code(),
              EXECQ_EINVAL);
    EXPECT_EQ(thrown_by<error>([] {
                  scoped_executor({.max_threads = 4, .loop_workers = 3, .reserved_loop_workers = 2});
              }).code(),
              EXECQ_EINVAL);
}

}  // namespace
