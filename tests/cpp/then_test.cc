// Continuations: order, failures that pass by, cancellation that goes upstream, where they run, chains of any length.
#include "cpp.h"

#include <memory>
#include <pthread.h>
#include <string>

using namespace execq;

namespace {

constexpr int million = 1'000'000;

TEST(CppThen, gets_the_value_and_gives_its_own)
{
    promise<std::unique_ptr<int>> writer;
    future<std::string> end =
        writer.get_future().then([](std::unique_ptr<int> number) { return *number + 1; }).then([](int number) {
            return std::to_string(number);
        });
    EXPECT_FALSE(end.done());
    writer.set_value(std::make_unique<int>(6));
    EXPECT_EQ(end.get(), "7");
}

TEST(CppThen, works_without_values)
{
    promise<void> writer;
    int calls = 0;
    future<void> end = writer.get_future().then([&] { ++calls; }).then([&] { ++calls; });
    writer.set_value();
    end.get();
    EXPECT_EQ(calls, 2);
}

TEST(CppThen, of_one_that_is_done_runs_inside_the_call)
{
    promise<int> writer;
    future<int> done = writer.get_future();
    writer.set_value(1);
    bool ran = false;
    future<void> end = std::move(done).then([&](int) { ran = true; });
    EXPECT_TRUE(ran);
    EXPECT_TRUE(end.done());
}

TEST(CppThen, a_failure_passes_by_with_its_type_and_text)
{
    std::atomic<int> alive{0};
    promise<int> writer;
    int calls = 0;
    future<int> end = writer.get_future()
                          .then([&, c = Counted(alive)](int number) { return ++calls, number; })
                          .then([&, c = Counted(alive)](int number) { return ++calls, number; });
    EXPECT_EQ(alive, 2);
    writer.set_exception(std::make_exception_ptr(Mishap("upstream", 5)));
    EXPECT_EQ(alive, 0);
    EXPECT_EQ(calls, 0);
    EXPECT_STREQ(execq_error_message(execq_future_error(end.native())), "upstream");
    EXPECT_EQ(thrown_by<Mishap>([&] { end.get(); }).number, 5);
}

TEST(CppThen, a_throw_fails_its_own_future)
{
    std::atomic<int> alive{0};
    promise<int> writer;
    future<int> end = writer.get_future().then([c = Counted(alive)](int number) -> int { throw Oddity{number}; });
    writer.set_value(8);
    EXPECT_EQ(alive, 0);
    EXPECT_EQ(thrown_by<Oddity>([&] { end.get(); }).number, 8);
}

TEST(CppThen, that_takes_a_future_sees_every_outcome)
{
    promise<int> good;
    promise<int> bad;
    promise<void> stopped;
    const auto look = [](future<int> done) { return done.exception() == nullptr ? done.get() : -1; };
    future<int> value = good.get_future().then(look);
    future<int> failure = bad.get_future().then(look);
    future<bool> end =
        stopped.get_future().then([](future<void> done) { return done.state() == future_state::canceled; });
    good.set_value(3);
    bad.set_error(4);
    stopped.set_canceled();
    EXPECT_EQ(value.get(), 3);
    EXPECT_EQ(failure.get(), -1);
    EXPECT_TRUE(end.get());
}

TEST(CppThen, a_broken_promise_passes_by)
{
    future<int> end = promise<int>().get_future().then([](int number) { return number; });
    EXPECT_EQ(code_of([&] { end.get(); }), EXECQ_EBROKEN);
}

TEST(CppThen, a_cancellation_passes_by_with_its_reason)
{
    scoped_executor pool({.max_threads = 1});
    Blocked blocked(pool);
    future<int> end = pool.submit([] { return 1; }).then([](int number) { return number; });
    pool.close(close_mode::cancel);
    blocked.open();
    EXPECT_EQ(reason_of([&] { end.get(); }), cancel_reason::shutdown);
}

TEST(CppThen, cancel_goes_upstream_and_prevents)
{
    std::atomic<int> alive{0};
    std::atomic<int> ran{0};
    scoped_executor pool({.max_threads = 1});
    const Blocked blocked(pool);
    future<int> end = pool.submit([&, c = Counted(alive)] { return ++ran; })
                          .then([&, c = Counted(alive)](int) { return ++ran; })
                          .then([&, c = Counted(alive)](int) { return ++ran; });
    EXPECT_EQ(alive, 3);
    EXPECT_EQ(end.cancel(), cancel_result::asked);
    EXPECT_EQ(end.state(), future_state::canceled);
    EXPECT_EQ(alive, 0);
    EXPECT_EQ(ran, 0);
    EXPECT_EQ(reason_of([&] { end.get(); }), cancel_reason::caller);
}

TEST(CppThen, cancel_while_what_it_waits_for_runs_prevents_the_continuation)
{
    scoped_executor pool({.max_threads = 1});
    Gate gate;
    bool asked = false;
    int calls = 0;
    future<void> end = pool.submit([&] {
                               gate.pass();
                               asked = cancel_requested();
                           })
                           .then([&] { ++calls; });
    gate.await();
    EXPECT_EQ(end.cancel(), cancel_result::asked);
    gate.open();
    EXPECT_EQ(reason_of([&] { end.get(); }), cancel_reason::caller);
    EXPECT_TRUE(asked);
    EXPECT_EQ(calls, 0);
}

TEST(CppThen, with_an_executor_runs_on_a_worker)
{
    scoped_executor pool({.max_threads = 1});
    const std::thread::id worker = pool.submit([] { return std::this_thread::get_id(); }).get();
    promise<int> writer;
    future<std::thread::id> end = writer.get_future().then(pool, [](int) { return std::this_thread::get_id(); });
    writer.set_value(1);
    EXPECT_EQ(end.get(), worker);
    promise<int> bad;
    future<int> failure = bad.get_future().then(pool, [](int number) { return number; });
    bad.set_exception(std::make_exception_ptr(Oddity{2}));
    EXPECT_EQ(thrown_by<Oddity>([&] { failure.get(); }).number, 2);
}

TEST(CppThen, with_a_closed_executor_fails_and_destroys_once)
{
    std::atomic<int> alive{0};
    scoped_executor pool({.max_threads = 1});
    pool.close();
    promise<int> writer;
    future<int> end = writer.get_future().then(pool, [c = Counted(alive)](int number) { return number; });
    EXPECT_EQ(alive, 1);
    writer.set_value(1);
    EXPECT_EQ(alive, 0);
    EXPECT_EQ(code_of([&] { end.get(); }), EXECQ_ECLOSED);
}

TEST(CppThen, with_an_executor_can_be_canceled_in_its_queue)
{
    std::atomic<int> alive{0};
    scoped_executor pool({.max_threads = 1});
    Blocked blocked(pool);
    promise<Counted> writer;
    future<int> end = writer.get_future().then(pool, [c = Counted(alive)](const Counted&) { return 1; });
    writer.set_value(alive);
    EXPECT_EQ(alive, 2);
    EXPECT_EQ(end.cancel(), cancel_result::asked);
    EXPECT_EQ(end.state(), future_state::canceled);
    EXPECT_EQ(alive, 0);
    promise<int> other;
    future<int> shut = other.get_future().then(pool, [c = Counted(alive)](int number) { return number; });
    other.set_value(1);
    pool.close(close_mode::cancel);
    blocked.open();
    EXPECT_EQ(reason_of([&] { shut.get(); }), cancel_reason::shutdown);
    EXPECT_EQ(alive, 0);
}

TEST(CppThen, with_an_executor_survives_a_thread_that_ends)
{
    std::atomic<int> alive{0};
    scoped_executor pool({.max_threads = 1});
    promise<int> writer;
    future<int> end = writer.get_future().then(pool, [c = Counted(alive)](int) -> int { pthread_exit(nullptr); });
    writer.set_value(1);
    EXPECT_EQ(code_of([&] { end.get(); }), EXECQ_EEXITED);
    EXPECT_EQ(alive, 0);
}

TEST(CppThen, with_a_loop_runs_on_its_thread)
{
    TestLoop loop;
    scoped_executor pool({.max_threads = 1});
    const auto here = [](int) { return std::this_thread::get_id(); };
    future<std::thread::id> end = pool.submit([] { return 1; }).then(loop.port, here);
    future<int> failure =
        pool.submit([]() -> int { throw Oddity{6}; }).then(loop.port, [](int number) { return number; });
    loop.run();
    EXPECT_EQ(end.get(), std::this_thread::get_id());
    EXPECT_EQ(thrown_by<Oddity>([&] { failure.get(); }).number, 6);
}

TEST(CppThen, with_a_loop_that_is_detached_fails_and_destroys_once)
{
    std::atomic<int> alive{0};
    TestLoop loop;
    promise<int> writer;
    promise<int> second;
    future<int> withdrawn = writer.get_future().then(loop.port, [c = Counted(alive)](int number) { return number; });
    loop.port.detach();
    EXPECT_EQ(alive, 0);
    EXPECT_EQ(code_of([&] { withdrawn.get(); }), EXECQ_ECLOSED);
    EXPECT_EQ(code_of([&] {
                  static_cast<void>(second.get_future().then(loop.port, [c = Counted(alive)](int) { return 1; }));
              }),
              EXECQ_ECLOSED);
    EXPECT_EQ(alive, 0);
    writer.set_value(1);
    second.set_value(1);
}

future<int> chain(future<int> first, int links)
{
    for (int i = 0; i < links; ++i)
        first = std::move(first).then([](int number) { return number + 1; });
    return first;
}

TEST(CppThen, a_million_links_keep_the_stack_flat)
{
    promise<int> writer;
    future<int> end = chain(writer.get_future(), million);
    EXPECT_FALSE(end.done());
    writer.set_value(0);
    EXPECT_EQ(end.get(), million);
}

TEST(CppThen, a_million_links_on_what_is_done_keep_the_stack_flat)
{
    promise<int> writer;
    future<int> done = writer.get_future();
    writer.set_value(0);
    EXPECT_EQ(chain(std::move(done), million).get(), million);
}

TEST(CppThen, a_million_links_fail_break_and_cancel_with_a_flat_stack)
{
    promise<int> failing;
    future<int> failed = chain(failing.get_future(), million);
    failing.set_error(9);
    EXPECT_EQ(code_of([&] { failed.get(); }), 9);
    future<int> broken;
    {
        promise<int> dropped;
        broken = chain(dropped.get_future(), million);
    }
    EXPECT_EQ(code_of([&] { broken.get(); }), EXECQ_EBROKEN);
    promise<int> asked;
    future<int> stopped = chain(asked.get_future(), million);
    EXPECT_EQ(stopped.cancel(), cancel_result::asked);
    EXPECT_TRUE(asked.cancel_requested());
    asked.set_value(1);
    EXPECT_EQ(reason_of([&] { stopped.get(); }), cancel_reason::caller);
}

TEST(CppThen, cancel_races_with_the_completion)
{
    for (int round = 0; round < 2000; ++round) {
        std::atomic<int> alive{0};
        promise<int> writer;
        future<int> end = chain(writer.get_future().then([c = Counted(alive)](int number) { return number; }), 3);
        std::thread completes([&] { writer.set_value(1); });
        end.cancel();
        end.wait();
        completes.join();
        ASSERT_EQ(alive, 0);
        if (end.state() != future_state::canceled) {
            ASSERT_EQ(end.get(), 4);
        }
    }
}

TEST(CppThen, a_continuation_that_ends_its_thread_fails)
{
    promise<int> writer;
    std::atomic<int> alive{0};
    future<void> end = writer.get_future().then([c = Counted(alive)](int) { pthread_exit(nullptr); });
    std::thread completes([&] { writer.set_value(1); });
    completes.join();
    EXPECT_EQ(code_of([&] { end.get(); }), EXECQ_EEXITED);
    scoped_executor pool({.max_threads = 1});
    future<void> there = pool.submit([] { return 1; }).then(pool, [c = Counted(alive)](int) { pthread_exit(nullptr); });
    EXPECT_EQ(code_of([&] { there.get(); }), EXECQ_EEXITED);
    EXPECT_EQ(alive, 0);
}

TEST(CppThen, a_listener_that_ends_its_thread_is_destroyed_once)
{
    std::atomic<int> alive{0};
    std::thread registers([&] {
        promise<int> writer;
        future<int> ready = writer.get_future();
        writer.set_value(1);
        std::move(ready).on_done([c = Counted(alive)](future<int>) { pthread_exit(nullptr); });
    });
    registers.join();
    EXPECT_EQ(alive, 0);
}

TEST(CppThen, a_future_may_end_inside_its_own_cancel)
{
    promise<int> writer;
    auto end = std::make_unique<future<int>>(writer.get_future().then([](int one) { return one; }));
    writer.on_cancel([&] {
        end.reset();
        writer.set_canceled();
    });
    EXPECT_EQ(end->cancel(), cancel_result::asked);
    EXPECT_EQ(end, nullptr);
    promise<int> alone;
    auto owned = std::make_unique<future<int>>(alone.get_future());
    alone.on_cancel([&] {
        owned.reset();
        alone.set_canceled();
    });
    EXPECT_EQ(owned->cancel(), cancel_result::asked);
    EXPECT_EQ(owned, nullptr);
}

}  // namespace
