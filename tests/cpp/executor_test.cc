// Submission from C++: values, exceptions by type, ownership of callables, shutdown.
#include "cpp.h"

#include <chrono>
#include <functional>
#include <memory>
#include <pthread.h>
#include <string>

using namespace execq;
using namespace std::chrono_literals;

namespace {

int square(int number) { return number * number; }

struct Account {
    int balance;
    int pay(int amount) { return balance -= amount; }
};

TEST(CppExecutor, takes_and_gives_what_can_only_be_moved)
{
    scoped_executor pool({.max_threads = 2});
    auto made = pool.submit(
        [two = std::make_unique<int>(2)](std::unique_ptr<int> three) { return std::make_unique<int>(*two * *three); },
        std::make_unique<int>(3));
    static_assert(std::is_same_v<decltype(made), future<std::unique_ptr<int>>>);
    EXPECT_EQ(*made.get(), 6);
    EXPECT_FALSE(made.valid());
}

TEST(CppExecutor, runs_functions_members_and_bodies_without_a_value)
{
    scoped_executor pool({.max_threads = 1});
    EXPECT_EQ(pool.submit(square, 12).get(), 144);
    Account account{10};
    EXPECT_EQ(pool.submit(&Account::pay, std::ref(account), 3).get(), 7);
    bool ran = false;
    future<void> nothing = pool.submit([&] { ran = true; });
    nothing.get();
    EXPECT_TRUE(ran);
}

TEST(CppExecutor, a_result_that_is_a_reference_is_copied)
{
    scoped_executor pool({.max_threads = 1});
    std::string text = "kept";
    future<std::string> copy = pool.submit([&]() -> const std::string& { return text; });
    copy.wait();
    text = "changed";
    EXPECT_EQ(copy.get(), "kept");
}

TEST(CppExecutor, exceptions_come_back_by_type)
{
    scoped_executor pool({.max_threads = 1});
    EXPECT_EQ(thrown_by<Oddity>([&] { pool.submit([] { throw Oddity{7}; }).get(); }).number, 7);
    const Mishap mishap = thrown_by<Mishap>([&] { pool.submit([]() -> int { throw Mishap("spilled", 8); }).get(); });
    EXPECT_EQ(mishap.number, 8);
    EXPECT_STREQ(mishap.what(), "spilled");
}

TEST(CppExecutor, c_sees_an_exception_as_a_failure_with_its_text)
{
    scoped_executor pool({.max_threads = 1});
    future<int> mishap = pool.submit([]() -> int { throw Mishap("spilled", 8); });
    mishap.wait();
    EXPECT_EQ(mishap.state(), future_state::failed);
    const execq_error* failure = execq_future_error(mishap.native());
    EXPECT_EQ(execq_error_code(failure), EXECQ_EEXCEPTION);
    EXPECT_STREQ(execq_error_message(failure), "spilled");
    future<void> oddity = pool.submit([] { throw Oddity{1}; });
    oddity.wait();
    EXPECT_EQ(execq_error_code(execq_future_error(oddity.native())), EXECQ_EEXCEPTION);
}

TEST(CppExecutor, an_error_that_is_thrown_has_its_code_and_text_on_both_sides)
{
    scoped_executor pool({.max_threads = 1});
    future<void> failed = pool.submit([] { throw error(42, "forty-two"); });
    failed.wait();
    EXPECT_EQ(execq_error_code(execq_future_error(failed.native())), 42);
    EXPECT_STREQ(execq_error_message(execq_future_error(failed.native())), "forty-two");
    const error seen = thrown_by<error>([&] { failed.get(); });
    EXPECT_EQ(seen.code(), 42);
    EXPECT_STREQ(seen.what(), "forty-two");
    EXPECT_EQ(error(0, "no success").code(), EXECQ_EFAILED);
}

TEST(CppExecutor, c_sees_a_pointer_to_the_value_while_it_has_a_reference)
{
    std::atomic<int> alive{0};
    scoped_executor pool({.max_threads = 1});
    execq_future* kept = nullptr;
    {
        future<std::pair<int, Counted>> made = pool.submit([&] { return std::pair(5, Counted(alive)); });
        made.wait();
        kept = made.native();
        execq_future_retain(kept);
    }
    void* value = nullptr;
    ASSERT_EQ(execq_future_result(kept, &value), EXECQ_OK);
    EXPECT_EQ((static_cast<std::pair<int, Counted>*>(value)->first), 5);
    EXPECT_EQ(alive, 1);
    execq_future_release(kept);
    EXPECT_EQ(alive, 0);
}

TEST(CppExecutor, a_closed_executor_refuses_and_the_callable_is_destroyed_once)
{
    std::atomic<int> alive{0};
    std::atomic<int> ran{0};
    scoped_executor pool({.max_threads = 1});
    pool.close();
    EXPECT_EQ(code_of([&] { pool.submit([c = Counted(alive), &ran] { ++ran; }).get(); }), EXECQ_ECLOSED);
    EXPECT_EQ(code_of([&] { pool.post([c = Counted(alive), &ran](const Counted&) { ++ran; }, Counted(alive)); }),
              EXECQ_ECLOSED);
    EXPECT_EQ(alive, 0);
    EXPECT_EQ(ran, 0);
}

TEST(CppExecutor, a_callable_is_destroyed_before_its_future_is_done)
{
    std::atomic<int> alive{0};
    scoped_executor pool({.max_threads = 1});
    for (int i = 0; i < 100; ++i) {
        future<int> done = pool.submit([c = Counted(alive)] { return 1; });
        done.wait();
        ASSERT_EQ(alive, 0);
    }
}

TEST(CppExecutor, values_that_nobody_takes_are_destroyed)
{
    std::atomic<int> alive{0};
    {
        scoped_executor pool({.max_threads = 1});
        for (int i = 0; i < 100; ++i)
            static_cast<void>(pool.submit([&] { return Counted(alive); }));
        future<Counted> looked_at = pool.submit([&] { return Counted(alive); });
        looked_at.wait();
        EXPECT_GE(alive, 1);
    }
    EXPECT_EQ(alive, 0);
}

TEST(CppExecutor, post_runs_and_drops_what_comes_back)
{
    std::atomic<int> alive{0};
    std::atomic<int> ran{0};
    {
        scoped_executor pool({.max_threads = 2});
        for (int i = 0; i < 100; ++i)
            pool.post([&, c = Counted(alive)] { return ++ran, Counted(alive); });
        pool.post([c = Counted(alive)] { throw Mishap("unseen", 1); });
    }
    EXPECT_EQ(ran, 100);
    EXPECT_EQ(alive, 0);
}

TEST(CppExecutor, cancel_before_the_start_prevents_and_destroys_once)
{
    std::atomic<int> alive{0};
    std::atomic<int> ran{0};
    scoped_executor pool({.max_threads = 1});
    const Blocked blocked(pool);
    future<int> waiting = pool.submit([&, c = Counted(alive)] { return ++ran; });
    EXPECT_EQ(alive, 1);
    EXPECT_EQ(waiting.cancel(), cancel_result::prevented);
    EXPECT_EQ(alive, 0);
    EXPECT_EQ(waiting.cancel(), cancel_result::late);
    EXPECT_EQ(waiting.state(), future_state::canceled);
    EXPECT_EQ(reason_of([&] { waiting.get(); }), cancel_reason::caller);
    EXPECT_EQ(ran, 0);
}

TEST(CppExecutor, a_running_body_that_is_asked_may_end_canceled)
{
    std::atomic<int> alive{0};
    scoped_executor pool({.max_threads = 1});
    Gate gate;
    future<int> running = pool.submit([&, c = Counted(alive)]() -> int {
        EXPECT_FALSE(cancel_requested());
        gate.pass();
        if (cancel_requested())
            throw canceled();
        return 1;
    });
    gate.await();
    EXPECT_EQ(running.cancel(), cancel_result::asked);
    gate.open();
    EXPECT_EQ(reason_of([&] { running.get(); }), cancel_reason::caller);
    EXPECT_EQ(alive, 0);
}

TEST(CppExecutor, a_body_that_was_not_asked_fails_with_canceled)
{
    scoped_executor pool({.max_threads = 1});
    future<void> failed = pool.submit([] { throw canceled(cancel_reason::group); });
    failed.wait();
    EXPECT_EQ(failed.state(), future_state::failed);
    EXPECT_EQ(execq_error_code(execq_future_error(failed.native())), EXECQ_ECANCELED);
    EXPECT_EQ(reason_of([&] { failed.get(); }), cancel_reason::group);
}

TEST(CppExecutor, a_close_with_cancel_cancels_what_waits)
{
    std::atomic<int> alive{0};
    scoped_executor pool({.max_threads = 1});
    Blocked blocked(pool);
    future<void> waiting = pool.submit([c = Counted(alive)] {});
    pool.close(close_mode::cancel);
    blocked.open();
    EXPECT_EQ(reason_of([&] { waiting.get(); }), cancel_reason::shutdown);
    EXPECT_EQ(alive, 0);
}

TEST(CppExecutor, a_body_may_end_its_thread)
{
    std::atomic<int> alive{0};
    scoped_executor pool({.max_threads = 1});
    future<int> exited = pool.submit([c = Counted(alive)]() -> int { pthread_exit(nullptr); });
    EXPECT_EQ(code_of([&] { exited.get(); }), EXECQ_EEXITED);
    EXPECT_EQ(alive, 0);
    EXPECT_EQ(pool.submit([] { return 3; }).get(), 3);
}

TEST(CppExecutor, a_wait_on_a_worker_runs_what_it_waits_for)
{
    scoped_executor pool({.max_threads = 1});
    EXPECT_EQ(pool.submit([&] { return pool.submit([] { return 20; }).get() + 1; }).get(), 21);
}

TEST(CppExecutor, a_scope_drains_at_its_end)
{
    std::atomic<int> ran{0};
    {
        scoped_executor pool({.max_threads = 2});
        for (int i = 0; i < 1000; ++i)
            pool.post([&] { ++ran; });
    }
    EXPECT_EQ(ran, 1000);
}

TEST(CppExecutor, a_scope_that_is_released_hands_an_open_executor_on)
{
    const executor kept = [] {
        scoped_executor pool({.max_threads = 1});
        return pool.release();
    }();
    EXPECT_EQ(kept.submit(square, 5).get(), 25);
    kept.close();
    kept.join();
    EXPECT_EQ(code_of([&] { kept.submit(square, 5).get(); }), EXECQ_ECLOSED);
}

TEST(CppExecutor, a_join_that_gives_up_names_what_runs)
{
    const executor pool({.max_threads = 1});
    EXPECT_EQ(code_of([&] { pool.join(); }), EXECQ_EINVAL);  // open
    Gate gate;
    future<void> running = pool.submit(task_options{.name = "stuck"}, [&] { gate.pass(); });
    gate.await();
    future<void> queued = pool.submit([] {});
    pool.close();
    shutdown_report report;
    EXPECT_FALSE(pool.join_for(0s, &report));
    ASSERT_EQ(report.running.size(), 1U);
    EXPECT_EQ(report.running[0].name, "stuck");
    EXPECT_EQ(report.running_total, 1U);
    EXPECT_EQ(report.queued, 1U);
    gate.open();
    EXPECT_TRUE(pool.join_for(std::chrono::hours::max(), &report));
    EXPECT_TRUE(report.running.empty());
    EXPECT_EQ(report.threads, 0U);
}

TEST(CppExecutor, without_one_the_default_runs_it)
{
    EXPECT_EQ(submit(square, 4).get(), 16);
    EXPECT_EQ(executor::default_executor().submit(square, 3).get(), 9);
}

TEST(CppExecutor, bad_options_throw)
{
    EXPECT_EQ(code_of([] { executor({.max_threads = 1, .min_threads = 2}); }), EXECQ_EINVAL);
}

TEST(CppExecutor, wait_for_is_bounded_and_saturates)
{
    scoped_executor pool({.max_threads = 1});
    Blocked blocked(pool);
    future<int> waiting = pool.submit(square, 2);
    EXPECT_FALSE(waiting.wait_for(0s));
    EXPECT_FALSE(waiting.wait_for(-1h));
    EXPECT_FALSE(waiting.wait_for(std::chrono::duration<double, std::pico>(1)));
    blocked.open();
    EXPECT_TRUE(waiting.wait_for(std::chrono::hours::max()));
    EXPECT_EQ(waiting.get(), 4);
    EXPECT_EQ(detail::to_ns(std::chrono::duration<double, std::pico>(1)), 1);
    EXPECT_EQ(detail::to_ns(std::chrono::nanoseconds::max()), INT64_MAX);
    EXPECT_EQ(detail::to_ns(std::chrono::hours::max()), INT64_MAX);
}

TEST(CppExecutor, one_that_was_moved_from_is_none)
{
    scoped_executor pool({.max_threads = 1});
    const executor other = pool.release();
    std::atomic<int> alive{0};
    EXPECT_EQ(code_of([&] { static_cast<void>(pool.submit([c = Counted(alive)] {})); }), EXECQ_EINVAL);
    EXPECT_EQ(code_of([&] { pool.post([] {}); }), EXECQ_EINVAL);
    EXPECT_EQ(code_of([&] { static_cast<void>(pool.submit_async([](promise<int>, uv_loop_t*) {})); }), EXECQ_EINVAL);
    future<int> passed = other.submit([] { return 1; }).then(pool, [](int one) { return one; });
    EXPECT_EQ(code_of([&] { passed.get(); }), EXECQ_EINVAL);
    EXPECT_EQ(alive, 0);
}

TEST(CppExecutor, options_of_time_are_kept)
{
    scoped_executor pool({.max_threads = 1, .loop_workers = 1});
    Blocked blocked(pool);
    future<int> unstarted = pool.submit({.start_within = 1ms}, [] { return 1; });
    EXPECT_EQ(reason_of([&] { unstarted.get(); }), cancel_reason::deadline);
    future<int> due = pool.submit({.timeout = 0s}, [] { return 1; });  // 0 is due, not unset
    EXPECT_EQ(due.state(), future_state::canceled);
    blocked.open();
    const auto before = std::chrono::steady_clock::now();
    EXPECT_EQ(pool.submit({.delay = 5ms}, [] { return 2; }).get(), 2);
    EXPECT_GE(std::chrono::steady_clock::now() - before, 5ms);
    EXPECT_EQ(pool.submit({.delay = -1s}, [] { return 3; }).get(), 3);
    future<void> asked = pool.submit({.timeout = 1ms}, [] {
        while (!cancel_requested())
            std::this_thread::yield();
        throw canceled();
    });
    EXPECT_EQ(reason_of([&] { asked.get(); }), cancel_reason::deadline);
    const execq_uv_table broken = {};
    EXPECT_EQ(code_of([&] { executor({.uv_table = &broken}); }), EXECQ_EINVAL);
}

}  // namespace
