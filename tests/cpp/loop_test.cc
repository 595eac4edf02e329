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

}  // namespace
