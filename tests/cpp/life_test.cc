// An executor's threads and its size.
#include <atomic>
#include <gtest/gtest.h>
#include <memory>
#include <sched.h>
#include <stdexcept>
#include <utility>

#include "cpp.h"

namespace {

TEST(CppLife, threads_begin_and_end_with_what_was_given)
{
    auto alive = std::make_shared<int>(0);
    const std::weak_ptr<int> watched = alive;
    std::atomic<int> begun{0};
    std::atomic<int> ended{0};
    {
        execq::executor_options options;
        options.max_threads = 2;
        options.stack_size = 1 << 20;
        options.thread_init = [&begun, alive] { ++begun; };
        options.thread_final = [&ended, alive] { ++ended; };
        alive.reset();
        const execq::scoped_executor pool(std::move(options));
        EXPECT_EQ(pool.submit([&begun] { return begun.load(); }).get(), 1);
        EXPECT_FALSE(watched.expired());
        EXPECT_EQ(pool.broken(), 0);
    }
    EXPECT_EQ(begun, ended);
    EXPECT_TRUE(watched.expired());
}

TEST(CppLife, an_initializer_that_throws_breaks_the_executor)
{
    execq_conf conf = EXECQ_CONF_INIT;
    conf.flags = EXECQ_CONF_IGNORE_UNOBSERVED;
    ASSERT_EQ(execq_init_conf(&conf), EXECQ_OK);
    execq::executor_options options;
    options.thread_init = [] { throw std::runtime_error("no"); };
    const execq::scoped_executor pool(std::move(options));
    auto future = pool.submit([] {});
    EXPECT_THROW(future.get(), execq::canceled);
    EXPECT_EQ(pool.broken(), EXECQ_EEXCEPTION);
    EXPECT_THROW((void)pool.submit([] {}), execq::error);
}

TEST(CppLife, what_cannot_be_is_refused_and_destroyed)
{
    auto alive = std::make_shared<int>(0);
    execq::executor_options options;
    options.affinity = {CPU_SETSIZE};
    options.thread_init = [alive] {};
    EXPECT_THROW(execq::executor{std::move(options)}, execq::error);
    EXPECT_EQ(alive.use_count(), 1 + (options.thread_init ? 1 : 0));
}

TEST(CppLife, an_executor_is_resized)
{
    execq::executor_options options;
    options.max_threads = 1;
    execq::scoped_executor pool(options);
    pool.resize(0, 3);
    EXPECT_EQ(pool.stats().threads_max, 3U);
    EXPECT_THROW(pool.resize(4, 3), execq::error);
    const execq::executor open = pool.release();
    EXPECT_EQ(open.submit([] { return 5; }).get(), 5);
    EXPECT_EQ(pool.native(), nullptr);
    open.close();
    execq::shutdown_report report;
    EXPECT_TRUE(open.join_for(std::chrono::hours(1), &report));
    EXPECT_EQ(report.threads + report.left_loops + report.left_handles, 0U);
}

}  // namespace
