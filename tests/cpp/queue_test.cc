// Queues from C++.
#include "cpp.h"

#include <thread>
#include <vector>

using namespace execq;

namespace {

TEST(CppQueue, runs_in_order_and_gives_values)
{
    scoped_executor pool({.max_threads = 3});
    std::vector<int> order;
    {
        scoped_queue strand(pool);
        std::vector<future<int>> squares;
        for (int i = 0; i < 100; ++i)
            squares.push_back(strand.submit([&order, i] {
                order.push_back(i);  // no lock: one at a time, each sees what the one before did
                return i * i;
            }));
        for (int i = 0; i < 100; ++i)
            EXPECT_EQ(squares[static_cast<std::size_t>(i)].get(), i * i);
    }
    ASSERT_EQ(order.size(), 100U);
    for (int i = 0; i < 100; ++i)
        EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

TEST(CppQueue, the_end_of_the_scope_waits)
{
    scoped_executor pool({.max_threads = 2});
    std::atomic<int> ran{0};
    std::atomic<int> alive{0};
    {
        scoped_queue queued(pool, {.max_in_flight = 2, .paused = true});
        for (int i = 0; i < 10; ++i)
            queued.post([&ran, counted = Counted(alive)] { ++ran; });
        EXPECT_EQ(queued.counts().waiting, 10U);
        EXPECT_EQ(alive, 10);
    }
    EXPECT_EQ(ran, 10);
    EXPECT_EQ(alive, 0);
    {
        scoped_queue queued(pool, {.paused = true});
        queued.post([&ran, counted = Counted(alive)] { ++ran; });
        queued.close_with(close_mode::cancel);
    }
    EXPECT_EQ(ran, 10);
    EXPECT_EQ(alive, 0);
}

TEST(CppQueue, a_full_one_rejects)
{
    scoped_executor pool({.max_threads = 1});
    scoped_queue queued(pool, {.capacity = 1, .paused = true});
    std::atomic<int> alive{0};
    future<void> waiting = queued.submit([] {});
    EXPECT_EQ(code_of([&] { (void)queued.submit([counted = Counted(alive)] {}); }), EXECQ_EFULL);
    EXPECT_EQ(alive, 0);
    EXPECT_EQ(waiting.cancel(), cancel_result::prevented);
    waiting = queued.submit([] {});
    queued.resume();
    waiting.get();
}

TEST(CppQueue, closed_inside_its_own_task)
{
    scoped_executor pool({.max_threads = 1});
    queue queued(pool);
    std::int32_t waited = 0;
    std::int32_t refused = 0;
    queued
        .submit([&] {
            future<void> closed = queued.close();
            waited = code_of([&] { closed.wait(); });
            refused = code_of([&] { queued.post([] {}); });
        })
        .get();
    EXPECT_EQ(waited, EXECQ_EDEADLK);
    EXPECT_EQ(refused, EXECQ_ECLOSED);
    queued.close(close_mode::cancel).get();
}

TEST(CppQueue, keys_have_limits)
{
    scoped_executor pool({.max_threads = 2});
    scoped_queue queued(pool, {.max_in_flight = 2, .key_max_in_flight = 1, .paused = true});
    queued.set_key(9, 4);
    std::atomic<int> running{0};
    std::atomic<int> most{0};
    for (int i = 0; i < 20; ++i)
        (void)queued.submit(task_options{.key = 9}, [&] {
            most = std::max(most.load(), ++running);
            --running;
        });
    queued.resume();
    queued.close().get();
    EXPECT_EQ(most, 1);
}

task<int> add_later(int a, int b)
{
    co_await sleep_for(std::chrono::milliseconds(1));
    co_return a + b;
}

TEST(CppQueue, a_coroutine_is_in_flight_until_it_has_ended)
{
    scoped_executor pool({.max_threads = 2});
    scoped_queue queued(pool);
    future<int> sum = queued.submit_async(add_later(2, 3));
    std::atomic<bool> after{false};
    future<void> next = queued.submit([&] { after = sum.done(); });
    next.get();
    EXPECT_TRUE(after);
    EXPECT_EQ(sum.get(), 5);
}

TEST(CppQueue, one_that_was_moved_from_says_so)
{
    scoped_executor pool({.max_threads = 1});
    queue first(pool);
    const queue second = std::move(first);
    EXPECT_EQ(code_of([&] { first.post([] {}); }), EXECQ_EINVAL);  // NOLINT(bugprone-use-after-move): that is the test
    EXPECT_EQ(code_of([&] { first.pause(); }), EXECQ_EINVAL);
    EXPECT_EQ(second.submit([] { return 1; }).get(), 1);
}

}  // namespace
