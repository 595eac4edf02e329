// Delivery on a loop and through a queue.
#include "cpp.h"

#include <array>
#include <poll.h>

using namespace execq;
using namespace std::chrono_literals;

namespace {

TEST(CppLoop, on_loop_delivers_on_its_thread_in_order)
{
    std::atomic<int> alive{0};
    TestLoop loop;
    std::vector<promise<int>> writers(3);
    std::vector<int> seen;
    for (promise<int>& writer : writers) {
        writer.get_future().on_loop(loop.port, [&, c = Counted(alive)](future<int> done) {
            EXPECT_TRUE(done.done());
            seen.push_back(done.get());
        });
    }
    std::thread other([&] {
        for (int i : {2, 0, 1})
            writers[static_cast<std::size_t>(i)].set_value(i);
    });
    loop.run();
    other.join();
    EXPECT_EQ(seen, (std::vector<int>{2, 0, 1}));
    EXPECT_EQ(alive, 0);
}

TEST(CppLoop, detach_withdraws_and_destroys_uncalled)
{
    std::atomic<int> alive{0};
    int calls = 0;
    TestLoop loop;
    promise<int> writer;
    promise<int> late;
    writer.get_future().on_loop(loop.port, [&, c = Counted(alive)](future<int>) { ++calls; });
    EXPECT_EQ(alive, 1);
    loop.port.detach();
    EXPECT_EQ(alive, 0);
    EXPECT_EQ(code_of([&] { late.get_future().on_loop(loop.port, [&, c = Counted(alive)](future<int>) { ++calls; }); }),
              EXECQ_ECLOSED);
    EXPECT_EQ(alive, 0);
    EXPECT_EQ(calls, 0);
    EXPECT_EQ(code_of([&] { loop.port.detach(); }), EXECQ_EALREADY);
    EXPECT_EQ(code_of([&] { static_cast<void>(loop.port.hold()); }), EXECQ_ECLOSED);
}

TEST(CppLoop, a_hold_keeps_it_running_until_the_end_of_its_scope)
{
    TestLoop loop;
    scoped_executor pool({.max_threads = 1});
    int delivered = 0;
    auto hold = std::make_unique<loop_hold>(loop.port.hold());
    future<void> submitter = pool.submit([&] {
        pool.submit([] {}).on_loop(loop.port, [&](future<void>) {
            ++delivered;
            hold.reset();
        });
    });
    loop.run();
    EXPECT_EQ(delivered, 1);
    submitter.get();
}

TEST(CppLoop, attaches_through_a_table_too)
{
    uv_loop_t uv;
    ASSERT_EQ(uv_loop_init(&uv), 0);
    execq_uv_table table;
    execq_uv_table_here(&table);
    loop port(&uv, &table);
    EXPECT_EQ(code_of([&] { loop(nullptr, &table); }), EXECQ_EINVAL);
    port.detach();
    uv_run(&uv, UV_RUN_DEFAULT);
    EXPECT_EQ(uv_loop_close(&uv), 0);
}

TEST(CppCompletionQueue, gives_tags_in_order_and_the_futures_stay)
{
    completion_queue queue;
    std::vector<promise<int>> writers(100);
    std::vector<future<int>> futures;
    for (promise<int>& writer : writers) {
        futures.push_back(writer.get_future());
        queue.add(futures.back(), &writer);
    }
    EXPECT_FALSE(queue.wait_for(0s));
    for (int i = 99; i >= 0; --i)
        i == 50 ? writers[50].set_error(1) : writers[static_cast<std::size_t>(i)].set_value(i);
    queue.wait();
    pollfd readable{queue.fd(), POLLIN, 0};
    EXPECT_EQ(poll(&readable, 1, 0), 1);
    std::array<completion, 99> out;
    ASSERT_EQ(queue.drain(out), 99U);
    for (std::size_t i = 0; i < out.size(); ++i) {
        EXPECT_EQ(out[i].tag(), &writers[99 - i]);
        EXPECT_EQ(out[i].status(), i == 49 ? EXECQ_EFAILED : EXECQ_OK);
        EXPECT_EQ(out[i].native(), futures[99 - i].native());
    }
    EXPECT_EQ(futures[7].get(), 7);
    EXPECT_EQ(queue.drain(out), 1U);
    EXPECT_EQ(queue.drain(out), 0U);
}

TEST(CppCompletionQueue, close_gives_the_tags_back)
{
    completion_queue queue;
    promise<int> open;
    future<int> pending = open.get_future();
    int dropped = 0;
    queue.add(pending, &dropped);
    queue.close([](void* tag) { ++*static_cast<int*>(tag); });
    EXPECT_EQ(dropped, 1);
    EXPECT_EQ(code_of([&] { queue.close(); }), EXECQ_EALREADY);
    EXPECT_EQ(code_of([&] { queue.add(pending, nullptr); }), EXECQ_ECLOSED);
    std::array<completion, 1> out;
    EXPECT_EQ(code_of([&] { queue.drain(out); }), EXECQ_ECLOSED);
}

// ---- work on a loop ----

TEST(CppLoop, submit_runs_on_its_thread_in_order_and_gives_values_and_exceptions)
{
    std::atomic<int> alive{0};
    TestLoop loop;
    const std::thread::id home = std::this_thread::get_id();
    std::vector<int> order;
    future<std::unique_ptr<int>> made = loop.port.submit(
        [&, c = Counted(alive)](std::unique_ptr<int> number) {
            EXPECT_EQ(std::this_thread::get_id(), home);
            order.push_back(1);
            return number;
        },
        std::make_unique<int>(5));
    future<void> threw = loop.port.submit({.name = "throws"}, [&] {
        order.push_back(2);
        throw Oddity{6};
    });
    EXPECT_FALSE(made.done());
    loop.run();
    EXPECT_EQ(*made.get(), 5);
    EXPECT_EQ(thrown_by<Oddity>([&] { threw.get(); }).number, 6);
    EXPECT_EQ(order, (std::vector<int>{1, 2}));
    EXPECT_EQ(alive, 0);
    EXPECT_EQ(code_of([&] { static_cast<void>(loop.port.submit({.delay = 1s}, [] {})); }), EXECQ_ENOTSUP);
    future<void> queued = loop.port.submit([c = Counted(alive)] {});
    loop.port.detach();
    EXPECT_EQ(reason_of([&] { queued.get(); }), cancel_reason::shutdown);
    EXPECT_EQ(code_of([&] { static_cast<void>(loop.port.submit([c = Counted(alive)] {})); }), EXECQ_ECLOSED);
    EXPECT_EQ(alive, 0);
}

TEST(CppLoop, call_waits_and_gives_what_the_call_returns_or_throws)
{
    TestLoop loop;
    scoped_executor pool({.max_threads = 1});
    const std::thread::id home = std::this_thread::get_id();
    future<void> caller = pool.submit([&] {
        EXPECT_EQ(loop.port.call([](int left, int right) { return left + right; }, 1, 2), 3);
        EXPECT_EQ(*loop.port.call([number = std::make_unique<int>(4)]() mutable { return std::move(number); }), 4);
        std::thread::id where;
        loop.port.call([&] { where = std::this_thread::get_id(); });
        EXPECT_EQ(where, home);
        EXPECT_EQ(thrown_by<Oddity>([&] { loop.port.call([] { throw Oddity{7}; }); }).number, 7);
        EXPECT_EQ(
            thrown_by<Mishap>([&] { loop.port.call_within(1h, []() -> int { throw Mishap("on it", 8); }); }).number, 8);
    });
    loop.run_until(caller);
    caller.get();
    EXPECT_EQ(code_of([&] { loop.port.call([] {}); }), EXECQ_EDEADLK);
}

TEST(CppLoop, a_call_that_does_not_begin_in_time_never_runs)
{
    TestLoop loop;
    scoped_executor pool({.max_threads = 1});
    std::atomic<int> ran{0};
    future<void> caller = pool.submit([&] { loop.port.call_within(0s, [&] { ++ran; }); });
    while (!caller.done())  // the loop does not run
        std::this_thread::yield();
    EXPECT_EQ(code_of([&] { caller.get(); }), EXECQ_ETIMEDOUT);
    loop.run();
    EXPECT_EQ(ran, 0);
    loop.port.detach();
    EXPECT_EQ(code_of([&] { pool.submit([&] { loop.port.call([&] { ++ran; }); }).get(); }), EXECQ_ECLOSED);
}

TEST(CppLoop, the_main_loop_and_the_default_executor_are_configured)
{
    EXPECT_EQ(code_of([] { main_loop(); }), EXECQ_ECLOSED);
    TestLoop loop;
    scoped_executor pool({.max_threads = 1});
    init_conf({.executor = &pool, .main_loop = &loop.port});
    EXPECT_EQ(main_loop().native(), loop.port.native());
    EXPECT_EQ(executor::default_executor().native(), pool.native());
    EXPECT_EQ(code_of([&] { init_conf({.main_loop = &loop.port, .clear_main_loop = true}); }), EXECQ_EINVAL);
    init_conf({.clear_executor = true});
    EXPECT_EQ(main_loop().native(), loop.port.native());
    EXPECT_NE(executor::default_executor().native(), pool.native());
    init_conf({.clear_main_loop = true});
    EXPECT_EQ(code_of([] { main_loop(); }), EXECQ_ECLOSED);
}

TEST(CppThreadLoop, is_the_threads_own_and_run_until_drives_it)
{
    uv_loop_t* loop = thread_loop();
    EXPECT_EQ(thread_loop(), loop);
    uv_timer_t timer;
    promise<int> writing;
    future<int> end = writing.get_future();
    timer.data = &writing;
    uv_timer_init(loop, &timer);
    uv_timer_start(
        &timer,
        [](uv_timer_t* due) {
            static_cast<promise<int>*>(due->data)->set_value(3);
            uv_close(reinterpret_cast<uv_handle_t*>(due), nullptr);
        },
        1, 0);
    EXPECT_EQ(code_of([] { thread_loop_close(); }), EXECQ_EBUSY);
    end.run_until();
    EXPECT_EQ(end.get(), 3);
    promise<void> never;
    const future<void> open = never.get_future();
    EXPECT_FALSE(open.run_until(0s));
    EXPECT_FALSE(run_until(open, 1ms));
    const future<void> slept = sleep(1ms);
    EXPECT_TRUE(run_until(slept, 1h));
    run_until(slept);
    EXPECT_EQ(code_of([] { run_until(future<int>()); }), EXECQ_EINVAL);
    thread_loop_close();
    EXPECT_EQ(code_of([] { thread_loop_close(); }), EXECQ_EALREADY);
}

}  // namespace
