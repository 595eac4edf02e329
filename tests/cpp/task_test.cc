// Coroutines: values and exceptions by type, where they go on, cancellation that unwinds, a flat stack.
#include "cpp.h"

#include <chrono>
#include <memory>
#include <pthread.h>
#include <string>
#include <sys/syscall.h>
#include <unistd.h>

using namespace execq;

namespace {

constexpr int million = 1'000'000;

task<std::unique_ptr<int>> give(int number) { co_return std::make_unique<int>(number); }
task<int> add(int left, int right)
{
    const std::unique_ptr<int> one = co_await give(left);
    const std::unique_ptr<int> other = co_await give(right);
    co_return *one + *other;
}
task<int> throw_oddity(int number)
{
    co_await give(0);
    throw Oddity{number};
}

TEST(CppTask, is_lazy_and_gives_values_through_tasks)
{
    task<int> sum = add(1, 2);
    EXPECT_TRUE(sum.valid());
    EXPECT_EQ(start(std::move(sum)).get(), 3);
    EXPECT_FALSE(sum.valid());
    EXPECT_EQ(code_of([&] { static_cast<void>(start(std::move(sum))); }), EXECQ_EINVAL);
}

task<int> catch_oddity()
{
    try {
        co_return co_await throw_oddity(4);
    } catch (const Oddity& oddity) {
        co_return oddity.number + 1;
    }
}

TEST(CppTask, exceptions_pass_by_type)
{
    EXPECT_EQ(start(catch_oddity()).get(), 5);
    EXPECT_EQ(thrown_by<Oddity>([] { start(throw_oddity(6)).get(); }).number, 6);
}

task<void> hold_both(Counted argument, future<void> gate)
{
    const Counted local(std::move(argument));
    co_await std::move(gate);
}

TEST(CppTask, that_was_not_started_destroys_its_arguments)
{
    std::atomic<int> alive{0};
    promise<void> gate;
    {
        const task<void> unused = hold_both(Counted(alive), gate.get_future());
        EXPECT_EQ(alive, 1);
    }
    EXPECT_EQ(alive, 0);
    gate.set_value();
}

TEST(CppTask, what_it_holds_is_gone_before_its_future_is_done)
{
    std::atomic<int> alive{0};
    promise<void> gate;
    int left = -1;
    future<void> end = start(hold_both(Counted(alive), gate.get_future()));
    EXPECT_EQ(alive, 2);
    std::move(end).on_done([&](future<void>) { left = alive; });
    gate.set_value();
    EXPECT_EQ(left, 0);
}

task<std::string> read(future<int> number, std::thread::id& where)
{
    const int seen = co_await std::move(number);
    where = std::this_thread::get_id();
    co_return std::to_string(seen);
}

TEST(CppTask, goes_on_where_what_it_awaits_is_completed)
{
    promise<int> writer;
    std::thread::id where;
    future<std::string> end = start(read(writer.get_future(), where));
    EXPECT_FALSE(end.done());
    std::thread other([&] { writer.set_value(12); });
    const std::thread::id expected = other.get_id();
    other.join();
    EXPECT_EQ(end.get(), "12");
    EXPECT_EQ(where, expected);
}

TEST(CppTask, gets_the_failures_of_futures_by_type)
{
    std::thread::id where;
    promise<int> writer;
    future<std::string> mishap = start(read(writer.get_future(), where));
    writer.set_exception(std::make_exception_ptr(Mishap("awaited", 2)));
    EXPECT_EQ(thrown_by<Mishap>([&] { mishap.get(); }).number, 2);
    future<int> broken = promise<int>().get_future();
    EXPECT_EQ(code_of([&] { start(read(std::move(broken), where)).get(); }), EXECQ_EBROKEN);
    EXPECT_EQ(code_of([&] { start(read(future<int>(), where)).get(); }), EXECQ_EINVAL);
    promise<int> stopped;
    future<std::string> end = start(read(stopped.get_future(), where));
    stopped.set_exception(std::make_exception_ptr(canceled(cancel_reason::deadline)));
    EXPECT_EQ(end.state(), future_state::canceled);
    EXPECT_EQ(reason_of([&] { end.get(); }), cancel_reason::deadline);
}

task<std::thread::id> thread_of(executor pool)
{
    co_await schedule(pool);
    co_return std::this_thread::get_id();
}

TEST(CppTask, schedule_moves_it_to_a_worker)
{
    scoped_executor pool({.max_threads = 1});
    const std::thread::id worker = pool.submit([] { return std::this_thread::get_id(); }).get();
    EXPECT_EQ(start(thread_of(pool)).get(), worker);
    EXPECT_EQ(start(pool, thread_of(pool)).get(), worker);
}

TEST(CppTask, schedule_on_a_closed_executor_throws_into_it)
{
    scoped_executor pool({.max_threads = 1});
    pool.close();
    EXPECT_EQ(code_of([&] { start(thread_of(pool)).get(); }), EXECQ_ECLOSED);
}

TEST(CppTask, a_start_that_is_refused_destroys_it_once)
{
    std::atomic<int> alive{0};
    scoped_executor pool({.max_threads = 1});
    pool.close();
    promise<void> gate;
    EXPECT_EQ(code_of([&] { static_cast<void>(start(pool, hold_both(Counted(alive), gate.get_future()))); }),
              EXECQ_ECLOSED);
    EXPECT_EQ(alive, 0);
    gate.set_value();
}

TEST(CppTask, a_start_can_be_canceled_in_the_queue)
{
    std::atomic<int> alive{0};
    scoped_executor pool({.max_threads = 1});
    Blocked blocked(pool);
    promise<void> gate;
    future<void> waiting = start(pool, hold_both(Counted(alive), gate.get_future()));
    EXPECT_EQ(alive, 1);
    EXPECT_EQ(waiting.cancel(), cancel_result::asked);
    EXPECT_EQ(alive, 0);
    EXPECT_EQ(reason_of([&] { waiting.get(); }), cancel_reason::caller);
    future<std::thread::id> scheduled = start(thread_of(pool));
    scheduled.cancel();
    EXPECT_EQ(reason_of([&] { scheduled.get(); }), cancel_reason::caller);
    future<std::thread::id> shut = start(thread_of(pool));
    pool.close(close_mode::cancel);
    blocked.open();
    EXPECT_EQ(reason_of([&] { shut.get(); }), cancel_reason::shutdown);
    gate.set_value();
}

// Not std::this_thread::get_id(): clang takes pthread_self() for a constant of the function, and a coroutine goes on on
// another thread.
pid_t thread_here() { return static_cast<pid_t>(syscall(SYS_gettid)); }

task<int> tour(executor pool, loop port, pid_t home)
{
    co_await schedule(pool);
    int elsewhere = thread_here() != home;
    co_await on_loop(port);
    elsewhere += 10 * (thread_here() == home);
    co_await schedule(pool);
    co_return elsewhere + 100 * (thread_here() != home);
}

TEST(CppTask, on_loop_moves_it_to_the_loops_thread)
{
    TestLoop loop;
    scoped_executor pool({.max_threads = 1});
    for (int round = 0; round < 200; ++round) {
        future<int> end = start(tour(pool, loop.port, thread_here()));
        // a worker that goes on wakes the loop only for the delivery: hold it and look again
        future<void> told = std::move(end).then(loop.port, [](int seen) { ASSERT_EQ(seen, 111); });
        loop.run_until(told);
        told.get();
    }
}

task<void> wait_on_loop(loop port, Counted) { co_await on_loop(port); }

TEST(CppTask, on_loop_of_a_detached_loop_throws_into_it)
{
    std::atomic<int> alive{0};
    TestLoop loop;
    scoped_executor pool({.max_threads = 1});
    future<void> delivered = start(wait_on_loop(loop.port, Counted(alive)));
    EXPECT_FALSE(delivered.done());
    loop.port.detach();
    delivered.get();  // what is complete is delivered by the detachment
    future<void> refused = start(wait_on_loop(loop.port, Counted(alive)));
    EXPECT_EQ(code_of([&] { refused.get(); }), EXECQ_ECLOSED);
    EXPECT_EQ(alive, 0);
}

task<int> nested(future<int> last, std::atomic<int>& alive, int depth)
{
    const Counted local(alive);
    if (depth == 0)
        co_return co_await std::move(last);
    co_return co_await nested(std::move(last), alive, depth - 1) + 1;
}

TEST(CppTask, cancel_unwinds_from_where_it_waits)
{
    std::atomic<int> alive{0};
    promise<int> writer;
    future<int> end = start(nested(writer.get_future(), alive, 10));
    EXPECT_EQ(alive, 11);
    EXPECT_EQ(end.cancel(), cancel_result::asked);
    EXPECT_TRUE(writer.cancel_requested());
    EXPECT_FALSE(end.done());  // what it waits for decides when
    writer.set_value(1);
    EXPECT_EQ(alive, 0);
    EXPECT_EQ(end.state(), future_state::canceled);
    EXPECT_EQ(reason_of([&] { end.get(); }), cancel_reason::caller);
}

TEST(CppTask, cancel_prevents_the_work_that_it_waits_for)
{
    std::atomic<int> alive{0};
    std::atomic<int> ran{0};
    scoped_executor pool({.max_threads = 1});
    const Blocked blocked(pool);
    future<int> end = start(nested(pool.submit([&] { return ++ran; }), alive, 3));
    EXPECT_EQ(alive, 4);
    EXPECT_EQ(end.cancel(), cancel_result::asked);
    EXPECT_EQ(end.state(), future_state::canceled);
    EXPECT_EQ(alive, 0);
    EXPECT_EQ(ran, 0);
}

task<int> clean_up(future<int> first, future<int> second)
{
    int seen = 0;
    try {
        seen = co_await std::move(first);
    } catch (const canceled&) {
        seen = 100;
    }
    co_return seen + co_await std::move(second);
}

TEST(CppTask, cancel_is_thrown_once_so_that_it_may_clean_up)
{
    promise<int> first;
    promise<int> second;
    future<int> end = start(clean_up(first.get_future(), second.get_future()));
    end.cancel();
    first.set_canceled();
    EXPECT_FALSE(second.cancel_requested());
    second.set_value(1);
    EXPECT_EQ(end.get(), 101);
}

task<int> busy(executor pool, Gate& gate, future<int> never, std::atomic<int>& alive)
{
    const Counted local(alive);
    co_await schedule(pool);
    gate.pass();
    co_return co_await std::move(never);
}

TEST(CppTask, cancel_while_it_runs_is_thrown_by_its_next_await)
{
    std::atomic<int> alive{0};
    scoped_executor pool({.max_threads = 1});
    Gate gate;
    promise<int> writer;
    future<int> end = start(busy(pool, gate, writer.get_future(), alive));
    gate.await();
    EXPECT_EQ(end.cancel(), cancel_result::asked);
    gate.open();
    EXPECT_EQ(reason_of([&] { end.get(); }), cancel_reason::caller);
    EXPECT_TRUE(writer.cancel_requested());
    EXPECT_EQ(alive, 0);
}

TEST(CppTask, cancel_races_with_the_completion)
{
    for (int round = 0; round < 2000; ++round) {
        std::atomic<int> alive{0};
        promise<int> writer;
        future<int> end = start(nested(writer.get_future(), alive, 2));
        std::thread completes([&] { writer.set_value(1); });
        end.cancel();
        end.wait();
        completes.join();
        ASSERT_EQ(alive, 0);
        if (end.state() != future_state::canceled) {
            ASSERT_EQ(end.get(), 3);
        }
    }
}

task<long> await_tasks(int times)
{
    long sum = 0;
    for (int i = 0; i < times; ++i)
        sum += co_await add(0, 1);
    co_return sum;
}
task<long> await_futures(int times)
{
    long sum = 0;
    for (int i = 0; i < times; ++i) {
        promise<int> writer;
        future<int> ready = writer.get_future();
        writer.set_value(1);
        sum += co_await std::move(ready);
    }
    co_return sum;
}
task<long> await_pool(executor pool, int times)
{
    long sum = 0;
    for (int i = 0; i < times; ++i)
        sum += co_await pool.submit([] { return 1; });
    co_return sum;
}

TEST(CppTask, a_million_awaits_of_what_is_ready_keep_the_stack_flat)
{
    EXPECT_EQ(start(await_tasks(million)).get(), million);
    EXPECT_EQ(start(await_futures(million)).get(), million);
}

TEST(CppTask, many_awaits_of_work_that_may_be_done_meanwhile_keep_the_stack_flat)
{
    scoped_executor pool({.max_threads = 1});
    EXPECT_EQ(start(await_pool(pool, 20'000)).get(), 20'000);
}

TEST(CppTask, a_million_deep_unwinds_with_a_flat_stack)
{
    std::atomic<int> alive{0};
    promise<int> writer;
    future<int> end = start(nested(writer.get_future(), alive, million));
    EXPECT_EQ(alive, million + 1);
    writer.set_value(0);
    EXPECT_EQ(end.get(), million);
    EXPECT_EQ(alive, 0);
    promise<int> stopped;
    future<int> unwound = start(nested(stopped.get_future(), alive, 10'000));
    unwound.cancel();
    stopped.set_canceled();
    EXPECT_EQ(unwound.state(), future_state::canceled);
    EXPECT_EQ(alive, 0);
}

// A coroutine type of somebody else, with nothing of this library in it.
struct Foreign {
    struct promise_type {
        Foreign get_return_object() { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() { std::abort(); }
    };
};
Foreign foreign(executor pool, future<int> number, promise<int> writer)
{
    const int seen = co_await std::move(number);
    co_await schedule(pool);
    writer.set_value(seen + 1);
}

TEST(CppTask, futures_and_executors_can_be_awaited_by_other_coroutines)
{
    scoped_executor pool({.max_threads = 1});
    promise<int> first;
    promise<int> last;
    future<int> end = last.get_future();
    foreign(pool, first.get_future(), std::move(last));
    first.set_value(4);
    EXPECT_EQ(end.get(), 5);
}

task<void> await_nothing()
{
    task<int> given = add(1, 2);
    EXPECT_EQ(co_await std::move(given), 3);
    co_await std::move(given);
}

TEST(CppTask, one_that_is_empty_cannot_be_awaited)
{
    EXPECT_EQ(code_of([] { start(await_nothing()).get(); }), EXECQ_EINVAL);
    scoped_executor pool({.max_threads = 1});
    const executor other = pool.release();
    EXPECT_EQ(code_of([&] { start(thread_of(pool)).get(); }), EXECQ_EINVAL);  // was moved from
}

task<void> end_thread(executor pool, Counted)
{
    co_await schedule(pool);
    pthread_exit(nullptr);
}
task<void> end_thread_below(executor pool, Counted argument)
{
    const Counted local(std::move(argument));
    co_await end_thread(pool, Counted(std::move(argument)));
}

TEST(CppTask, one_that_ends_its_thread_fails_and_is_destroyed_once)
{
    std::atomic<int> alive{0};
    scoped_executor pool({.max_threads = 1});
    EXPECT_EQ(code_of([&] { start(end_thread_below(pool, Counted(alive))).get(); }), EXECQ_EEXITED);
    EXPECT_EQ(alive, 0);
    EXPECT_EQ(code_of([&] { start(pool, end_thread_below(pool, Counted(alive))).get(); }), EXECQ_EEXITED);
    EXPECT_EQ(alive, 0);
}

task<void> sleep_in_turns(int times)
{
    for (int i = 0; i < times; ++i)
        co_await sleep_for(std::chrono::nanoseconds(1));
    co_await sleep_until(std::chrono::steady_clock::now() + std::chrono::milliseconds(1));
    co_await sleep_until(std::chrono::system_clock::now() - std::chrono::hours(1));
}

TEST(CppTask, sleeps_without_a_thread_and_a_cancellation_ends_it_at_once)
{
    start(sleep_in_turns(3)).get();
    const auto before = std::chrono::steady_clock::now();
    future<void> short_one = execq::sleep(std::chrono::milliseconds(5));
    short_one.get();
    EXPECT_GE(std::chrono::steady_clock::now() - before, std::chrono::milliseconds(5));
    const auto forever = []() -> task<void> { co_await sleep_for(std::chrono::hours(1'000'000)); };
    future<void> end = start(forever());
    EXPECT_EQ(end.cancel(), cancel_result::asked);
    EXPECT_EQ(end.state(), future_state::canceled);  // here and now
    EXPECT_EQ(execq::sleep(std::chrono::hours(1)).cancel(), cancel_result::prevented);
}

}  // namespace
