// Groups from C++: the scope's end, the first exception, nesting.
#include "cpp.h"

#include <atomic>
#include <thread>

using namespace execq;
using namespace std::chrono_literals;

namespace {

TEST(CppGroup, join_waits_for_all)
{
    scoped_executor pool({.max_threads = 2});
    std::atomic<int> ran{0};
    group all(pool);
    for (int i = 0; i < 100; ++i)
        all.run([&ran](int by) { ran += by; }, 2);
    all.join();
    EXPECT_EQ(ran.load(), 200);
    EXPECT_EQ(thrown_by<error>([&] { all.run([] {}); }).code(), EXECQ_ECLOSED);
}

TEST(CppGroup, join_throws_the_first_exception_by_type)
{
    scoped_executor pool({.max_threads = 1});
    group all(pool);
    all.run([] { throw Oddity{7}; });
    EXPECT_EQ(thrown_by<Oddity>([&] { all.join(); }).number, 7);
    EXPECT_EQ(thrown_by<Oddity>([&] { all.join(); }).number, 7);
}

TEST(CppGroup, the_end_of_the_scope_cancels_and_waits)
{
    scoped_executor pool({.max_threads = 1});
    std::atomic<bool> started{false};
    bool ended = false;
    {
        group all(pool);
        all.run([&] {
            started = true;
            while (!cancel_requested())
                std::this_thread::yield();
            ended = true;
        });
        while (!started)
            std::this_thread::yield();
    }
    EXPECT_TRUE(ended);
}

TEST(CppGroup, an_inner_group_is_canceled_with_the_outer_one)
{
    scoped_executor pool({.max_threads = 1});
    group outer(pool);
    group inner(pool, {.parent = &outer});
    EXPECT_TRUE(outer.cancel());
    EXPECT_FALSE(inner.cancel());
    EXPECT_EQ(thrown_by<canceled>([&] { inner.join(); }).reason(), cancel_reason::group);
}

TEST(CppGroup, a_source_cancels_it)
{
    scoped_executor pool({.max_threads = 1});
    const cancel_source source;
    group all(pool, {.cancel = &source});
    std::atomic<bool> started{false};
    all.run([&] {
        started = true;
        while (!cancel_requested())
            std::this_thread::yield();
        throw canceled();
    });
    while (!started)
        std::this_thread::yield();
    EXPECT_TRUE(source.cancel());
    EXPECT_EQ(thrown_by<canceled>([&] { all.join(); }).reason(), cancel_reason::caller);
    group late(pool, {.cancel = &source});
    EXPECT_EQ(thrown_by<error>([&] { late.run([] {}); }).code(), EXECQ_ECLOSED);
}

}  // namespace
