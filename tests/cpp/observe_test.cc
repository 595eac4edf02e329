// Seeing inside from C++: hooks, watchdog, times, and words.
#include "cpp.h"

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>

using namespace execq;

namespace {

TEST(CppObserve, hooks_see_each_task_and_live_until_all_is_over)
{
    const auto told = std::make_shared<std::atomic<int>>(0);
    const std::weak_ptr<std::atomic<int>> watch = told;
    {
        executor_options options{.max_threads = 1};
        options.hooks.on_submit = [told](const execq_task_event&) { *told += 1; };
        options.hooks.on_start = [told](const execq_task_event& event) {
            EXPECT_EQ(event.worker, 0);
            *told += 10;
        };
        options.hooks.on_end = [told](const execq_task_event& event) {
            EXPECT_EQ(event.outcome, static_cast<std::uint32_t>(EXECQ_ENDED_OK));
            *told += 100;
        };
        const scoped_executor pool(options);
        pool.submit([] {}).get();
        EXPECT_EQ(*told, 111);
        EXPECT_GT(watch.use_count(), 1);
    }
    EXPECT_EQ(watch.use_count(), 1);
}

std::atomic<int> unobserved{0};

TEST(CppObserve, what_a_hook_throws_is_told_as_a_failure_and_changes_nothing)
{
    unobserved = 0;
    execq_conf conf = EXECQ_CONF_INIT;
    conf.on_unobserved = [](const execq_error* error, const char* name, void*) {
        EXPECT_EQ(execq_error_code(error), EXECQ_EEXCEPTION);
        EXPECT_STREQ(execq_error_message(error), "hooked");
        EXPECT_NE(std::string(name).find(" hook"), std::string::npos);
        ++unobserved;
    };
    ASSERT_EQ(execq_init_conf(&conf), EXECQ_OK);
    const auto throws = [](const execq_task_event&) { throw std::runtime_error("hooked"); };
    {
        executor_options options{.max_threads = 1};
        options.hooks = {throws, throws, throws};
        const scoped_executor pool(options);
        EXPECT_EQ(pool.submit([] { return 7; }).get(), 7);
    }
    EXPECT_EQ(unobserved, 3);
    conf = EXECQ_CONF_INIT;
    conf.flags = EXECQ_CONF_CLEAR_ON_UNOBSERVED;
    ASSERT_EQ(execq_init_conf(&conf), EXECQ_OK);
}

TEST(CppObserve, times_are_counted_where_they_are_asked_for)
{
    const scoped_executor pool({.max_threads = 1, .times = true});
    for (int i = 0; i < 10; ++i)
        pool.submit([] {}).get();
    const executor_stats stats = pool.stats();
    EXPECT_EQ(stats.submitted, 10U);
    EXPECT_EQ(stats.started, 10U);
    EXPECT_EQ(stats.completed_ok, 10U);
    EXPECT_EQ(stats.run_time.count, 10U);
    EXPECT_EQ(stats.queue_latency.count, 10U);
    const auto times = pool.quantiles(latency_kind::run, {0.5, 0.999, 1});
    ASSERT_EQ(times.size(), 3U);
    EXPECT_EQ(times[2], stats.run_time.max);
    const scoped_executor plain({.max_threads = 1});
    EXPECT_THROW((void)plain.quantiles(latency_kind::run, {0.5}), error);
}

TEST(CppObserve, what_is_stuck_is_told)
{
    static std::atomic<int> told{0};  // the last call may still be about to return
    {
        executor_options options{.max_threads = 1};
        options.stuck_after = std::chrono::milliseconds(1);
        options.on_stuck = [](const execq_stuck_info& info) {
            told |= info.ended == 0 ? 1 : 2;
            told.notify_all();
        };
        const scoped_executor pool(options);
        pool.submit([] { told.wait(0); }).get();
        while (told != 3)
            told.wait(told == 1 ? 1 : 0);
    }
    EXPECT_EQ(told, 3);
}

// Through the C function, as the C++ side lets nothing through: an executor of C may be given a C++ function.
TEST(CppObserve, what_a_watchdog_s_function_throws_is_told_as_a_failure)
{
    static std::atomic<int> told{0};
    static std::atomic<int> whole{0};
    execq_conf conf = EXECQ_CONF_INIT;
    conf.on_unobserved = [](const execq_error* error, const char* name, void*) {
        EXPECT_EQ(execq_error_code(error), EXECQ_EEXCEPTION);
        EXPECT_STREQ(name, "on_stuck");
        whole += std::string(execq_error_message(error)) == "barked" ? 1 : 100;
        whole.notify_all();
    };
    ASSERT_EQ(execq_init_conf(&conf), EXECQ_OK);
    {
        execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
        options.max_threads = 1;
        options.stuck_after_ns = 1000000;
        options.on_stuck = [](const execq_stuck_info* info, void*) {
            told |= info->ended == 0 ? 1 : 2;
            told.notify_all();
            if (info->ended == 0)
                throw std::runtime_error("barked");
            throw 7;
        };
        execq_executor* made = nullptr;
        ASSERT_EQ(execq_executor_new(&options, &made), EXECQ_OK);
        execq_future* future = nullptr;
        const auto body = [](void*, void**) -> std::int32_t {
            told.wait(0);
            return 0;
        };
        ASSERT_EQ(execq_submit(made, body, nullptr, &future), EXECQ_OK);
        EXPECT_EQ(execq_future_wait(future, -1), EXECQ_OK);
        execq_future_release(future);
        for (int seen = whole; seen != 101; seen = whole)
            whole.wait(seen);
        execq_executor_release(made);
    }
    conf = EXECQ_CONF_INIT;
    conf.flags = EXECQ_CONF_CLEAR_ON_UNOBSERVED;
    ASSERT_EQ(execq_init_conf(&conf), EXECQ_OK);
}

TEST(CppObserve, a_trace_lasts_as_long_as_its_scope)
{
    {
        const scoped_trace trace("/dev/null");
        try {
            const scoped_trace another("/dev/null");
            FAIL() << "there are two";
        } catch (const error& refused) {
            EXPECT_EQ(refused.code(), EXECQ_EALREADY);
        }
        const scoped_executor pool({.max_threads = 1});
        pool.submit([] {}).get();
    }
    EXPECT_EQ(execq_trace_stop(), EXECQ_EALREADY);
}

TEST(CppObserve, an_executor_describes_itself)
{
    const scoped_executor pool({.name = "words", .max_threads = 1});
    const Blocked held(pool);
    EXPECT_NE(pool.dump().find("executor 'words'"), std::string::npos);
    EXPECT_NE(pool.dump().find("worker 0: running"), std::string::npos);
    EXPECT_NE(dump_all().find("executor 'words'"), std::string::npos);
}

}  // namespace
