// when_all and when_any: values in order, the first failure once all are done, cancellation of each.
#include "cpp.h"

#include <memory>
#include <string>

using namespace execq;

namespace {

template <class T>
std::vector<future<T>> futures_of(std::vector<promise<T>>& writers)
{
    std::vector<future<T>> futures;
    for (promise<T>& writer : writers)
        futures.push_back(writer.get_future());
    return futures;
}

TEST(CppWhenAll, gives_a_tuple_in_order)
{
    promise<int> number;
    promise<void> nothing;
    promise<std::unique_ptr<int>> owned;
    future<std::tuple<int, std::monostate, std::unique_ptr<int>>> all =
        when_all(number.get_future(), nothing.get_future(), owned.get_future());
    owned.set_value(std::make_unique<int>(3));
    number.set_value(1);
    EXPECT_FALSE(all.done());
    nothing.set_value();
    auto [one, none, three] = all.get();
    EXPECT_EQ(one, 1);
    EXPECT_EQ(*three, 3);
    static_cast<void>(none);
}

TEST(CppWhenAll, gives_a_vector_in_order)
{
    std::vector<promise<std::unique_ptr<int>>> writers(100);
    future<std::vector<std::unique_ptr<int>>> all = when_all(futures_of(writers));
    for (int i = 99; i >= 0; --i)
        writers[static_cast<std::size_t>(i)].set_value(std::make_unique<int>(i));
    const auto values = all.get();
    ASSERT_EQ(values.size(), 100U);
    for (int i = 0; i < 100; ++i)
        EXPECT_EQ(*values[static_cast<std::size_t>(i)], i);
}

TEST(CppWhenAll, of_none_is_done_and_of_void_has_no_value)
{
    EXPECT_TRUE(when_all(std::vector<future<int>>()).get().empty());
    std::vector<promise<void>> writers(2);
    future<void> all = when_all(futures_of(writers));
    writers[0].set_value();
    EXPECT_FALSE(all.done());
    writers[1].set_value();
    all.get();
}

TEST(CppWhenAll, the_first_failure_wins_after_all_are_done)
{
    std::atomic<int> alive{0};
    {
        std::vector<promise<Counted>> writers(4);
        future<std::vector<Counted>> all = when_all(futures_of(writers));
        writers[3].set_value(alive);
        writers[2].set_exception(std::make_exception_ptr(Oddity{2}));
        writers[0].set_exception(std::make_exception_ptr(Mishap("late", 0)));
        EXPECT_FALSE(all.done());
        writers[1].set_canceled();
        EXPECT_EQ(thrown_by<Oddity>([&] { all.get(); }).number, 2);
    }
    EXPECT_EQ(alive, 0);
}

TEST(CppWhenAll, cancel_asks_each)
{
    std::vector<promise<int>> writers(3);
    future<std::vector<int>> all = when_all(futures_of(writers));
    writers[0].set_value(1);
    EXPECT_EQ(all.cancel(), cancel_result::asked);
    EXPECT_TRUE(writers[1].cancel_requested());
    EXPECT_TRUE(writers[2].cancel_requested());
    writers.clear();
    EXPECT_EQ(reason_of([&] { all.get(); }), cancel_reason::caller);
}

TEST(CppWhenAll, refuses_an_empty_future)
{
    promise<int> writer;
    EXPECT_EQ(code_of([&] { static_cast<void>(when_all(writer.get_future(), future<int>())); }), EXECQ_EINVAL);
    std::vector<future<int>> futures(1);
    EXPECT_EQ(code_of([&] { static_cast<void>(when_all(std::move(futures))); }), EXECQ_EINVAL);
}

TEST(CppWhenAll, gathers_from_workers)
{
    scoped_executor pool({.max_threads = 2});
    for (int round = 0; round < 200; ++round) {
        std::vector<future<int>> futures;
        for (int i = 0; i < 20; ++i)
            futures.push_back(pool.submit([i] { return i; }));
        int sum = 0;
        for (int value : when_all(std::move(futures)).get())
            sum += value;
        ASSERT_EQ(sum, 190);
    }
}

TEST(CppWhenAny, tells_the_first_and_gives_all_back)
{
    std::vector<promise<int>> writers(3);
    future<when_any_result<int>> any = when_any(futures_of(writers));
    writers[1].set_error(7);
    when_any_result<int> found = any.get();
    EXPECT_EQ(found.index, 1U);
    ASSERT_EQ(found.futures.size(), 3U);
    EXPECT_EQ(code_of([&] { found.futures[1].get(); }), 7);
    EXPECT_FALSE(found.futures[0].done());
    writers[0].set_value(10);
    EXPECT_EQ(found.futures[0].get(), 10);
}

TEST(CppWhenAny, finds_one_that_is_done_already)
{
    std::vector<promise<int>> writers(2);
    std::vector<future<int>> futures = futures_of(writers);
    writers[1].set_value(5);
    when_any_result<int> found = when_any(std::move(futures)).get();
    EXPECT_EQ(found.index, 1U);
    EXPECT_EQ(found.futures[1].get(), 5);
}

TEST(CppWhenAny, cancel_asks_each)
{
    std::vector<promise<int>> writers(2);
    future<when_any_result<int>> any = when_any(futures_of(writers));
    EXPECT_EQ(any.cancel(), cancel_result::asked);
    EXPECT_TRUE(writers[0].cancel_requested());
    EXPECT_TRUE(writers[1].cancel_requested());
    writers[0].set_canceled();
    EXPECT_EQ(any.get().index, 0U);
}

TEST(CppWhenAny, of_none_is_refused)
{
    EXPECT_EQ(code_of([] { static_cast<void>(when_any(std::vector<future<int>>())); }), EXECQ_EINVAL);
}

TEST(CppWhenAny, keeps_nothing_once_all_are_done)
{
    std::atomic<int> alive{0};
    scoped_executor pool({.max_threads = 2});
    for (int round = 0; round < 200; ++round) {
        std::vector<future<Counted>> futures;
        for (int i = 0; i < 3; ++i)
            futures.push_back(pool.submit([&] { return Counted(alive); }));
        when_any_result<Counted> found = when_any(std::move(futures)).get();
        ASSERT_TRUE(found.futures[found.index].done());
        for (future<Counted>& each : found.futures)
            each.wait();
    }
    pool.close();
    pool.join();  // the last callbacks have returned
    EXPECT_EQ(alive, 0);
}

}  // namespace
