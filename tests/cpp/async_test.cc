// Asynchronous tasks and coroutines on loops: values, exceptions by type, where they run, cancellation, lost threads.
#include "cpp.h"

#include <chrono>
#include <memory>
#include <pthread.h>
#include <set>
#include <string>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

using namespace execq;
using namespace std::chrono_literals;

namespace {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int rounds = 200;
#else
constexpr int rounds = 2000;
#endif
constexpr int sleepers = 10'000;

// Not std::this_thread::get_id(): see task_test.cc.
pid_t thread_here() { return static_cast<pid_t>(syscall(SYS_gettid)); }

// ---- f(promise<T>, uv_loop_t*) ----

struct Timer {
    uv_timer_t handle;
    promise<std::unique_ptr<int>> writing;
};

void start_timer(promise<std::unique_ptr<int>> writing, uv_loop_t* loop)
{
    auto* timer = new Timer{{}, std::move(writing)};
    uv_timer_init(loop, &timer->handle);
    timer->handle.data = timer;
    uv_timer_start(
        &timer->handle,
        [](uv_timer_t* due) {
            uv_close(reinterpret_cast<uv_handle_t*>(due), [](uv_handle_t* closed) {
                const std::unique_ptr<Timer> ended(static_cast<Timer*>(closed->data));
                ended->writing.set_value(std::make_unique<int>(7));
            });
        },
        1, 0);
}

TEST(CppAsync, a_function_starts_work_on_the_workers_loop)
{
    scoped_executor pool({.max_threads = 1});
    future<std::unique_ptr<int>> made = pool.submit_async(start_timer);
    EXPECT_EQ(*made.get(), 7);
    const task_options checked{.name = "timer", .uv_identity = uv_version_string()};
    EXPECT_EQ(*pool.submit_async(checked, start_timer).get(), 7);
    EXPECT_EQ(code_of([&] { static_cast<void>(pool.submit_async({.uv_identity = "another"}, start_timer)); }),
              EXECQ_ENOTSUP);
}

TEST(CppAsync, callables_need_no_more_than_a_move_and_may_take_any_type)
{
    scoped_executor pool({.max_threads = 1});
    auto told = pool.submit_async([two = std::make_unique<int>(2)](promise<int> writing, uv_loop_t* loop) mutable {
        EXPECT_EQ(loop, thread_loop());
        writing.set_value(*two);
    });
    static_assert(std::is_same_v<decltype(told), future<int>>);
    EXPECT_EQ(told.get(), 2);
    EXPECT_EQ(pool.submit_async<std::string>([](auto writing, auto*) { writing.set_value("any"); }).get(), "any");
    EXPECT_EQ(pool.submit_async<int>({.name = "named"}, [](auto&& writing, auto*) { writing.set_value(3); }).get(), 3);
    submit_async([](promise<void> writing, uv_loop_t*) noexcept { writing.set_value(); }).get();  // the default one
    const std::function<void(promise<int>, uv_loop_t*)> erased = [](promise<int> writing, uv_loop_t*) {
        writing.set_value(4);
    };
    EXPECT_EQ(pool.submit_async(erased).get(), 4);
}

TEST(CppAsync, what_start_throws_fails_the_future_with_its_type)
{
    scoped_executor pool({.max_threads = 1});
    EXPECT_EQ(
        thrown_by<Oddity>([&] { pool.submit_async([](promise<int>, uv_loop_t*) { throw Oddity{4}; }).get(); }).number,
        4);
    future<void> failed = pool.submit_async([](promise<void>, uv_loop_t*) { throw error(42, "forty-two"); });
    failed.wait();
    EXPECT_EQ(execq_error_code(execq_future_error(failed.native())), 42);
    EXPECT_STREQ(execq_error_message(execq_future_error(failed.native())), "forty-two");
    EXPECT_STREQ(thrown_by<error>([&] { failed.get(); }).what(), "forty-two");
    future<void> stopped =
        pool.submit_async([](promise<void>, uv_loop_t*) { throw canceled(cancel_reason::deadline); });
    EXPECT_EQ(reason_of([&] { stopped.get(); }), cancel_reason::deadline);
    EXPECT_EQ(code_of([&] { pool.submit_async([](promise<int>, uv_loop_t*) {}).get(); }), EXECQ_EBROKEN);
}

TEST(CppAsync, the_first_of_what_start_throws_and_what_its_promise_says_counts)
{
    scoped_executor pool({.max_threads = 1});
    EXPECT_EQ(pool.submit_async([](promise<int> writing, uv_loop_t*) {
                      writing.set_value(5);
                      throw Oddity{1};
                  })
                  .get(),
              5);
    promise<int> kept;
    future<int> failed = pool.submit_async([&](promise<int> writing, uv_loop_t*) {
        kept = std::move(writing);
        throw Oddity{2};
    });
    EXPECT_EQ(thrown_by<Oddity>([&] { failed.get(); }).number, 2);
    EXPECT_FALSE(kept.set_value(6));
}

TEST(CppAsync, a_throw_races_with_the_promise)
{
    scoped_executor pool({.max_threads = 1});
    for (int round = 0; round < rounds; ++round) {
        std::binary_semaphore handed{0};
        promise<int> kept;
        future<int> end = pool.submit_async([&](promise<int> writing, uv_loop_t*) {
            kept = std::move(writing);
            handed.release();
            throw Oddity{2};
        });
        handed.acquire();
        const bool first = kept.set_exception(std::make_exception_ptr(Mishap("kept", 3)));
        end.wait();
        if (first) {
            ASSERT_EQ(thrown_by<Mishap>([&] { end.get(); }).number, 3);
        } else {
            ASSERT_EQ(thrown_by<Oddity>([&] { end.get(); }).number, 2);
        }
    }
}

TEST(CppAsync, the_callable_is_destroyed_once_whatever_becomes_of_it)
{
    std::atomic<int> alive{0};
    scoped_executor pool({.max_threads = 1});
    const auto work = [&](auto c) {
        return [c = std::move(c)](promise<void> writing, uv_loop_t*) mutable { writing.set_value(); };
    };
    pool.submit_async(work(Counted(alive))).get();
    pool.submit([] {}).get();  // the start has returned
    EXPECT_EQ(alive, 0);
    {
        const Blocked blocked(pool);
        future<void> prevented = pool.submit_async(work(Counted(alive)));
        EXPECT_EQ(alive, 1);
        EXPECT_EQ(prevented.cancel(), cancel_result::prevented);
        EXPECT_EQ(alive, 0);
        EXPECT_EQ(reason_of([&] { prevented.get(); }), cancel_reason::caller);
    }
    future<void> late = pool.submit_async({.timeout = 0s}, work(Counted(alive)));
    EXPECT_EQ(reason_of([&] { late.get(); }), cancel_reason::deadline);
    EXPECT_EQ(alive, 0);
    pool.close();
    EXPECT_EQ(code_of([&] { static_cast<void>(pool.submit_async(work(Counted(alive)))); }), EXECQ_ECLOSED);
    EXPECT_EQ(alive, 0);
}

TEST(CppAsync, a_promise_hears_of_a_cancellation_on_its_loop)
{
    std::atomic<int> alive{0};
    scoped_executor pool({.max_threads = 1});
    Gate gate;
    promise<int> kept;
    pid_t started = 0;
    pid_t asked = 0;
    future<int> end = pool.submit_async([&](promise<int> writing, uv_loop_t*) {
        kept = std::move(writing);
        started = thread_here();
        kept.on_cancel([&, c = Counted(alive)] {
            asked = thread_here();
            EXPECT_TRUE(kept.cancel_requested());
            kept.set_canceled();
        });
        EXPECT_EQ(code_of([&] { kept.on_cancel([] {}); }), EXECQ_EALREADY);
        gate.pass();
    });
    gate.await();
    EXPECT_EQ(end.cancel(), cancel_result::asked);
    EXPECT_FALSE(end.done());
    gate.open();
    EXPECT_EQ(reason_of([&] { end.get(); }), cancel_reason::caller);
    EXPECT_EQ(asked, started);
    pool.close();
    pool.join();
    EXPECT_EQ(alive, 0);
}

TEST(CppAsync, a_promise_of_its_own_hears_of_it_where_it_is_asked)
{
    std::atomic<int> alive{0};
    int calls = 0;
    promise<int> writing;
    future<int> end = writing.get_future();
    writing.on_cancel([&, c = Counted(alive)] {
        ++calls;
        writing.set_error(9);
    });
    EXPECT_EQ(alive, 1);
    EXPECT_EQ(end.cancel(), cancel_result::asked);
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(alive, 0);
    EXPECT_EQ(code_of([&] { end.get(); }), 9);
    EXPECT_EQ(code_of([&] { writing.on_cancel([c = Counted(alive)] {}); }), EXECQ_EALREADY);
    promise<int> unasked;
    unasked.on_cancel([&, c = Counted(alive)] { ++calls; });
    unasked.set_value(1);
    EXPECT_EQ(alive, 0);
    EXPECT_EQ(calls, 1);
}

// ---- coroutines ----

// How many are inside, and how many were at most.
struct Meter {
    std::atomic<int> inside{0};
    std::atomic<int> most{0};
    void enter()
    {
        const int now = inside.fetch_add(1) + 1;
        int seen = most.load();
        while (seen < now && !most.compare_exchange_weak(seen, now)) {
        }
    }
    void leave() { inside.fetch_sub(1); }
};

// Sleeps, and goes on sleeping until all others sleep, too.
task<pid_t> sleep_among(Meter& meter)
{
    const pid_t before = thread_here();
    meter.enter();
    do
        co_await sleep_for(100ms);
    while (meter.most < sleepers);
    meter.leave();
    co_return thread_here() == before ? before : 0;
}

TEST(CppAsync, ten_thousand_coroutines_sleep_at_once_on_two_workers)
{
    scoped_executor pool({.max_threads = 2, .loop_workers = 2});
    Meter meter;
    std::vector<future<pid_t>> ends;
    ends.reserve(sleepers);
    for (int i = 0; i < sleepers; ++i)
        ends.push_back(pool.submit_async(sleep_among(meter)));
    std::set<pid_t> threads;
    for (future<pid_t>& end : ends)
        threads.insert(end.get());
    EXPECT_FALSE(threads.contains(0));  // each came back to where it began
    EXPECT_LE(threads.size(), 2U);
    EXPECT_EQ(meter.most, sleepers);
    EXPECT_EQ(meter.inside, 0);
}

task<void> sleep_for_ever(Meter& meter, pid_t& thread, promise<void>& all)
{
    thread = thread_here();
    meter.enter();
    if (meter.most == sleepers)
        all.set_value();
    try {
        co_await sleep_for(std::chrono::hours(1'000'000));
    } catch (const canceled&) {
        meter.leave();
        throw;
    }
}

TEST(CppAsync, ten_thousand_sleeps_are_under_way_until_each_is_canceled)
{
    scoped_executor pool({.max_threads = 2, .loop_workers = 1});
    Meter meter;
    promise<void> all;
    std::vector<pid_t> threads(sleepers);
    std::vector<future<void>> ends;
    ends.reserve(sleepers);
    for (pid_t& thread : threads)
        ends.push_back(pool.submit_async(sleep_for_ever(meter, thread, all)));
    all.get_future().get();
    EXPECT_EQ(meter.inside, sleepers);
    for (const future<void>& end : ends)
        EXPECT_EQ(end.cancel(), cancel_result::asked);
    for (future<void>& end : ends)
        EXPECT_EQ(reason_of([&] { end.get(); }), cancel_reason::caller);
    EXPECT_EQ(meter.inside, 0);
    EXPECT_EQ(std::set<pid_t>(threads.begin(), threads.end()).size(), 1U);
}

task<std::unique_ptr<int>> half(int whole)
{
    co_await sleep_for(1ms);
    co_return std::make_unique<int>(whole / 2);
}
task<int> quarter(int whole)
{
    const std::unique_ptr<int> first = co_await half(whole);
    const std::unique_ptr<int> second = co_await half(*first);
    co_return *second;
}

TEST(CppAsync, coroutines_give_values_and_exceptions)
{
    scoped_executor pool({.max_threads = 1});
    EXPECT_EQ(pool.submit_async(quarter(40)).get(), 10);
    EXPECT_EQ(*pool.submit_async({.name = "half"}, half(4)).get(), 2);
    EXPECT_EQ(*submit_async(half(8)).get(), 4);
    const auto throws = [](int number) -> task<int> {
        co_await sleep_for(0ms);
        throw Oddity{number};
    };
    EXPECT_EQ(thrown_by<Oddity>([&] { pool.submit_async(throws(3)).get(); }).number, 3);
    EXPECT_EQ(code_of([&] { static_cast<void>(pool.submit_async(task<int>())); }), EXECQ_EINVAL);
}

TEST(CppAsync, a_callable_that_gives_a_coroutine_lives_as_long_as_that)
{
    std::atomic<int> alive{0};
    scoped_executor pool({.max_threads = 1});
    future<int> end = pool.submit_async([number = std::make_unique<int>(6), c = Counted(alive)]() -> task<int> {
        co_await sleep_for(1ms);
        co_return *number;
    });
    EXPECT_EQ(end.get(), 6);
    EXPECT_EQ(alive, 0);
    future<int> failed = pool.submit_async([c = Counted(alive)]() -> task<int> { throw Oddity{1}; });
    EXPECT_EQ(thrown_by<Oddity>([&] { failed.get(); }).number, 1);
    EXPECT_EQ(alive, 0);
    const auto fails = [](Counted) -> task<int> {
        return task<int>();  // no coroutine
    };
    EXPECT_EQ(code_of([&] { pool.submit_async([&] { return fails(Counted(alive)); }).get(); }), EXECQ_EINVAL);
    future<int> threw = pool.submit_async([c = Counted(alive)]() -> task<int> {
        if (c.self() != nullptr)
            throw Oddity{2};
        return task<int>();
    });
    EXPECT_EQ(thrown_by<Oddity>([&] { threw.get(); }).number, 2);
    EXPECT_EQ(alive, 0);
}

task<bool> come_back(executor other, future<int> elsewhere)
{
    const pid_t home = thread_here();
    co_await std::move(elsewhere);
    bool there = thread_here() == home;
    co_await schedule(other);
    there = there && thread_here() != home;
    co_await sleep_for(1ms);
    co_return there&& thread_here() == home;
}

TEST(CppAsync, a_coroutine_comes_back_to_its_thread_from_where_it_was)
{
    scoped_executor pool({.max_threads = 1});
    scoped_executor other({.max_threads = 1});
    Gate gate;
    future<bool> end = pool.submit_async(come_back(other, other.submit([&] {
        gate.pass();
        return 1;
    })));
    gate.await();
    gate.open();
    EXPECT_TRUE(end.get());
}

task<void> wait_for(future<int> source, Counted, std::binary_semaphore& begun)
{
    begun.release();
    co_await std::move(source);
}

TEST(CppAsync, cancelling_a_coroutine_unwinds_it_and_asks_what_it_waits_for)
{
    std::atomic<int> alive{0};
    std::binary_semaphore begun{0};
    scoped_executor pool({.max_threads = 1});
    promise<int> writing;
    future<void> end = pool.submit_async(wait_for(writing.get_future(), Counted(alive), begun));
    begun.acquire();
    EXPECT_EQ(end.cancel(), cancel_result::asked);
    while (!writing.cancel_requested())
        std::this_thread::yield();
    writing.set_value(1);
    EXPECT_EQ(reason_of([&] { end.get(); }), cancel_reason::caller);
    EXPECT_EQ(alive, 0);
    const Blocked blocked(pool);
    future<void> prevented = pool.submit_async(wait_for(promise<int>().get_future(), Counted(alive), begun));
    EXPECT_EQ(prevented.cancel(), cancel_result::prevented);
    EXPECT_EQ(alive, 0);
}

TEST(CppAsync, time_limits_and_a_close_cancel_a_coroutine_too)
{
    scoped_executor pool({.max_threads = 1});
    const auto forever = []() -> task<void> { co_await sleep_for(24h); };
    future<void> late = pool.submit_async({.timeout = 5ms}, forever());
    EXPECT_EQ(reason_of([&] { late.get(); }), cancel_reason::deadline);
    future<void> delayed = pool.submit_async({.delay = 1ms}, quarter(4)).then([](int one) { EXPECT_EQ(one, 1); });
    delayed.get();
    std::binary_semaphore begun{0};
    future<void> shut = pool.submit_async([&]() -> task<void> {
        begun.release();
        co_await sleep_for(24h);
    });
    begun.acquire();
    pool.close(close_mode::cancel);
    EXPECT_EQ(reason_of([&] { shut.get(); }), cancel_reason::shutdown);
    pool.join();
}

TEST(CppAsync, cancelling_races_with_the_sleep)
{
    std::atomic<int> alive{0};
    scoped_executor pool({.max_threads = 2});
    int slept = 0;
    for (int round = 0; round < rounds; ++round) {
        future<void> end = pool.submit_async([&, c = Counted(alive)]() -> task<void> {
            const Counted local(alive);
            co_await sleep_for(0ms);
            co_await schedule(pool);
            co_await sleep_for(0ms);
        });
        if (round % 2 == 0)
            std::this_thread::sleep_for(
                std::chrono::microseconds(round % 100 * 20));  // where it meets it does not matter
        end.cancel();
        end.wait();
        ASSERT_NE(end.state(), future_state::failed);
        slept += end.state() == future_state::ok;
        ASSERT_EQ(alive, 0);
    }
    EXPECT_LE(slept, rounds);
}

task<void> end_thread()
{
    co_await sleep_for(1ms);
    pthread_exit(nullptr);
}
task<void> end_thread_below(Counted) { co_await end_thread(); }

TEST(CppAsync, a_coroutine_that_ends_its_thread_fails_and_so_do_those_that_wait_there)
{
    std::atomic<int> alive{0};
    std::binary_semaphore begun{0};
    scoped_executor pool({.max_threads = 1});
    promise<int> never;
    future<void> waiting = pool.submit_async(wait_for(never.get_future(), Counted(alive), begun));
    begun.acquire();
    future<void> ends = pool.submit_async(end_thread_below(Counted(alive)));
    EXPECT_EQ(code_of([&] { ends.get(); }), EXECQ_EEXITED);
    EXPECT_EQ(code_of([&] { waiting.get(); }), EXECQ_EEXITED);
    EXPECT_EQ(*pool.submit_async(half(2)).get(), 1);  // on the thread that replaces it
    EXPECT_EQ(alive, 0);
    never.set_value(1);
}

TEST(CppAsync, what_outlives_its_thread_is_completed_to_no_effect)
{
    scoped_executor pool({.max_threads = 1});
    promise<std::unique_ptr<int>> kept;
    future<std::unique_ptr<int>> lost =
        pool.submit_async([&](promise<std::unique_ptr<int>> writing, uv_loop_t*) { kept = std::move(writing); });
    future<int> exits = pool.submit_async([](promise<int>, uv_loop_t*) { pthread_exit(nullptr); });
    EXPECT_EQ(code_of([&] { exits.get(); }), EXECQ_EEXITED);
    EXPECT_EQ(code_of([&] { lost.get(); }), EXECQ_EEXITED);
    EXPECT_FALSE(kept.set_value(std::make_unique<int>(1)));
    lost = pool.submit_async([&](promise<std::unique_ptr<int>> writing, uv_loop_t*) { kept = std::move(writing); });
    EXPECT_EQ(code_of([&] { pool.submit_async([](promise<int>, uv_loop_t*) { pthread_exit(nullptr); }).get(); }),
              EXECQ_EEXITED);
    lost.wait();
    EXPECT_FALSE(kept.set_exception(std::make_exception_ptr(Oddity{1})));
    EXPECT_EQ(code_of([&] { lost.get(); }), EXECQ_EEXITED);
}

// ---- on attached loops ----

task<int> hop(executor pool, pid_t home)
{
    int there = thread_here() == home;
    co_await sleep_for(1ms);
    there += thread_here() == home;
    co_await schedule(pool);
    there += thread_here() != home;
    co_await pool.submit([] {});
    co_return there;
}

TEST(CppAsync, a_loop_runs_coroutines_and_work)
{
    TestLoop loop;
    scoped_executor pool({.max_threads = 1});
    future<int> end = loop.port.submit_async(hop(pool, thread_here()));
    loop.run_until(end);
    EXPECT_EQ(end.get(), 3);
    future<std::unique_ptr<int>> timed = loop.port.submit_async({.name = "timer"}, start_timer);
    loop.run();  // it stays alive for that
    EXPECT_EQ(*timed.get(), 7);
    future<int> any = loop.port.submit_async<int>([](auto writing, auto*) { writing.set_value(1); });
    loop.run();
    EXPECT_EQ(any.get(), 1);
}

TEST(CppAsync, a_coroutine_whose_loop_is_detached_throws_where_it_waits)
{
    std::atomic<int> alive{0};
    std::binary_semaphore begun{0};
    TestLoop loop;
    future<void> waiting = loop.port.submit_async([&, c = Counted(alive)]() -> task<void> {
        begun.release();
        try {
            co_await sleep_for(24h);
        } catch (const error& failure) {
            EXPECT_EQ(failure.code(), EXECQ_ECLOSED);
        }
        co_await sleep_for(24h);
    });
    uv_run(loop.uv(), UV_RUN_NOWAIT);
    begun.acquire();
    future<void> queued = loop.port.submit_async(end_thread());
    loop.port.detach();
    EXPECT_EQ(code_of([&] { waiting.get(); }), EXECQ_ECLOSED);
    EXPECT_EQ(reason_of([&] { queued.get(); }), cancel_reason::shutdown);
    EXPECT_EQ(code_of([&] { static_cast<void>(loop.port.submit_async(end_thread())); }), EXECQ_ECLOSED);
    EXPECT_EQ(alive, 0);
}

}  // namespace
