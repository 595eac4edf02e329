// Cancel callbacks and sources from C++.
#include "cpp.h"

#include <cerrno>
#include <csignal>
#include <future>
#include <poll.h>

using namespace execq;

namespace {

TEST(CppCancel, a_guard_is_called_for_as_long_as_it_lives)
{
    scoped_executor pool({.max_threads = 1});
    std::promise<void> inside;
    std::promise<void> asked;
    int called = 0;
    int never = 0;
    future<int> task = pool.submit([&] {
        {
            const on_cancel gone([&] { ++never; });
        }
        const on_cancel guard([&] {
            ++called;
            asked.set_value();
        });
        inside.set_value();
        asked.get_future().wait();
        const on_cancel late([&] { called += 10; });
        return called;
    });
    inside.get_future().wait();
    EXPECT_EQ(task.cancel(), cancel_result::asked);
    EXPECT_EQ(task.get(), 11);
    EXPECT_EQ(never, 0);
    EXPECT_EQ(code_of([] { const on_cancel outside([] {}); }), EXECQ_EINVAL);
}

// Real-time signals that are not blocked here.
int open_signals()
{
    sigset_t mask;
    EXPECT_EQ(pthread_sigmask(SIG_SETMASK, nullptr, &mask), 0);
    int n = 0;
    for (int i = SIGRTMIN; i <= SIGRTMAX; ++i)
        n += sigismember(&mask, i) == 0 ? 1 : 0;
    return n;
}

TEST(CppCancel, a_blocked_call_is_interrupted)
{
    scoped_executor pool({.max_threads = 1});
    std::promise<void> inside;
    future<void> task = pool.submit(task_options{.interrupt = true}, [&] {
        EXPECT_EQ(open_signals(), 1);
        inside.set_value();
        EXPECT_TRUE(poll(nullptr, 0, -1) == -1 && errno == EINTR);
        EXPECT_TRUE(cancel_requested());
        throw Oddity{7};
    });
    inside.get_future().wait();
    EXPECT_EQ(task.cancel(), cancel_result::asked);
    EXPECT_EQ(thrown_by<Oddity>([&] { task.get(); }).number, 7);
    EXPECT_EQ(pool.submit(open_signals).get(), 0) << "what left by an exception, too, has ended";
}

TEST(CppCancel, a_source_cancels_what_is_linked)
{
    scoped_executor pool({.max_threads = 1});
    const cancel_source source;
    const cancel_source child = cancel_source::child_of(source);
    std::atomic<int> alive{0};
    int called = 0;
    promise<int> open;
    future<int> linked = open.get_future();
    child.link(linked);
    const execq_cancel_token token = source.on_cancel([&called, counted = Counted(alive)] { ++called; });
    const execq_cancel_token unused = source.on_cancel([&called, counted = Counted(alive)] { called += 10; });
    EXPECT_EQ(alive, 2);
    EXPECT_TRUE(source.off(unused));
    EXPECT_EQ(alive, 1);
    {
        Blocked blocked(pool);
        future<void> waiting = pool.submit(task_options{.cancel = child.native()}, [&] { called += 100; });
        EXPECT_TRUE(source.cancel());
        EXPECT_FALSE(source.cancel());
        EXPECT_THROW(waiting.get(), canceled);
    }
    EXPECT_TRUE(child.requested());
    EXPECT_TRUE(open.cancel_requested());
    EXPECT_EQ(called, 1);
    EXPECT_EQ(alive, 0);
    EXPECT_FALSE(source.off(token));
    EXPECT_THROW(pool.submit(task_options{.cancel = source.native()}, [] {}).get(), canceled);
}

}  // namespace
