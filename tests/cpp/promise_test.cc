// Promises and futures of C++, and futures that C made.
#include "cpp.h"

#include <memory>
#include <string>

using namespace execq;

namespace {

TEST(CppPromise, gives_a_value_once)
{
    promise<std::unique_ptr<int>> writer;
    future<std::unique_ptr<int>> reader = writer.get_future();
    EXPECT_EQ(code_of([&] { static_cast<void>(writer.get_future()); }), EXECQ_EALREADY);
    EXPECT_EQ(reader.state(), future_state::running);
    EXPECT_TRUE(writer.set_value(std::make_unique<int>(4)));
    auto late = std::make_unique<int>(5);
    EXPECT_FALSE(writer.set_value(std::move(late)));
    EXPECT_NE(late, nullptr);
    EXPECT_FALSE(writer.set_exception(std::make_exception_ptr(Oddity{1})));
    EXPECT_FALSE(writer.set_error(1));
    EXPECT_FALSE(writer.set_canceled());
    EXPECT_EQ(*reader.get(), 4);
}

TEST(CppPromise, without_a_value_only_says_that_it_is_done)
{
    promise<void> writer;
    future<void> reader = writer.get_future();
    EXPECT_TRUE(writer.set_value());
    reader.get();
}

TEST(CppPromise, gives_an_exception_by_type)
{
    promise<int> writer;
    future<int> reader = writer.get_future();
    EXPECT_TRUE(writer.set_exception(std::make_exception_ptr(Mishap("dropped", 3))));
    EXPECT_STREQ(execq_error_message(execq_future_error(reader.native())), "dropped");
    EXPECT_EQ(thrown_by<Mishap>([&] { reader.get(); }).number, 3);
}

TEST(CppPromise, gives_a_code)
{
    promise<int> writer;
    future<int> reader = writer.get_future();
    EXPECT_TRUE(writer.set_error(17, "seventeen"));
    const error seen = thrown_by<error>([&] { reader.get(); });
    EXPECT_EQ(seen.code(), 17);
    EXPECT_STREQ(seen.what(), "seventeen");
}

TEST(CppPromise, that_is_dropped_breaks_its_future)
{
    future<int> reader = promise<int>().get_future();
    EXPECT_EQ(code_of([&] { reader.get(); }), EXECQ_EBROKEN);
}

TEST(CppPromise, that_is_dropped_after_a_request_cancels)
{
    future<int> reader;
    {
        promise<int> writer;
        reader = writer.get_future();
        EXPECT_FALSE(writer.cancel_requested());
        EXPECT_EQ(reader.cancel(), cancel_result::asked);
        EXPECT_TRUE(writer.cancel_requested());
    }
    EXPECT_EQ(reason_of([&] { reader.get(); }), cancel_reason::caller);
}

TEST(CppPromise, may_end_canceled_by_itself)
{
    promise<int> writer;
    future<int> reader = writer.get_future();
    EXPECT_TRUE(writer.set_canceled());
    EXPECT_EQ(reader.state(), future_state::canceled);
    promise<int> other;
    future<int> why = other.get_future();
    EXPECT_TRUE(other.set_exception(std::make_exception_ptr(canceled(cancel_reason::deadline))));
    EXPECT_EQ(reason_of([&] { why.get(); }), cancel_reason::deadline);
}

TEST(CppPromise, is_still_open_where_making_the_value_throws)
{
    struct Picky {
        explicit Picky(int given) : number(given)
        {
            if (given < 0)
                throw Oddity{given};
        }
        int number;
    };
    promise<Picky> writer;
    future<Picky> reader = writer.get_future();
    EXPECT_EQ(thrown_by<Oddity>([&] { writer.set_value(-1); }).number, -1);
    EXPECT_FALSE(reader.done());
    EXPECT_TRUE(writer.set_value(2));
    EXPECT_EQ(reader.get().number, 2);
}

TEST(CppPromise, values_and_futures_may_end_in_any_order)
{
    std::atomic<int> alive{0};
    for (const bool reader_first : {true, false}) {
        auto writer = std::make_unique<promise<Counted>>();
        auto reader = std::make_unique<future<Counted>>(writer->get_future());
        if (reader_first)
            reader.reset();
        writer->set_value(alive);
        EXPECT_EQ(alive, reader_first ? 0 : 1);
        writer.reset();
        reader.reset();
        EXPECT_EQ(alive, 0);
    }
}

TEST(CppFuture, that_is_empty_says_so)
{
    future<int> empty;
    EXPECT_FALSE(empty.valid());
    EXPECT_EQ(code_of([&] { empty.get(); }), EXECQ_EINVAL);
    EXPECT_EQ(code_of([&] { empty.wait(); }), EXECQ_EINVAL);
    EXPECT_EQ(code_of([&] { static_cast<void>(empty.exception()); }), EXECQ_EINVAL);
    EXPECT_EQ(empty.cancel(), cancel_result::none);
    EXPECT_EQ(code_of([&] { static_cast<void>(std::move(empty).then([](int) {})); }), EXECQ_EINVAL);
    EXPECT_EQ(code_of([&] { std::move(empty).on_done([](future<int>) {}); }), EXECQ_EINVAL);
}

TEST(CppFuture, exception_looks_without_using_it_up)
{
    promise<int> good;
    promise<int> bad;
    future<int> value = good.get_future();
    future<int> failure = bad.get_future();
    EXPECT_EQ(code_of([&] { static_cast<void>(value.exception()); }), EXECQ_EPENDING);
    good.set_value(1);
    bad.set_exception(std::make_exception_ptr(Oddity{2}));
    EXPECT_EQ(value.exception(), nullptr);
    EXPECT_NE(failure.exception(), nullptr);
    EXPECT_EQ(thrown_by<Oddity>([&] { std::rethrow_exception(failure.exception()); }).number, 2);
    EXPECT_EQ(value.get(), 1);
}

std::int32_t give_env(void* env, void** result)
{
    *result = env;
    return EXECQ_OK;
}
std::int32_t fail(void*, void**) { return execq_fail(33, "made in C"); }

future<void*> submit_c(execq_fn body, void* env)
{
    execq_future* made = nullptr;
    EXPECT_EQ(execq_submit(nullptr, body, env, &made), EXECQ_OK);
    return future<void*>::adopt(made);
}

TEST(CppFuture, adopts_what_c_made)
{
    int here = 0;
    EXPECT_EQ(submit_c(give_env, &here).get(), &here);
    EXPECT_EQ(submit_c(give_env, &here).then([](void* value) { return static_cast<int*>(value); }).get(), &here);
    const error seen = thrown_by<error>([] { submit_c(fail, nullptr).get(); });
    EXPECT_EQ(seen.code(), 33);
    EXPECT_STREQ(seen.what(), "made in C");
    const error passed = thrown_by<error>([] { submit_c(fail, nullptr).then([](void*) { return 1; }).get(); });
    EXPECT_EQ(passed.code(), 33);
    EXPECT_STREQ(passed.what(), "made in C");
}

TEST(CppFuture, on_done_gets_the_future_where_it_is_completed)
{
    std::atomic<int> alive{0};
    promise<int> writer;
    std::thread::id where;
    int seen = 0;
    writer.get_future().on_done([&, c = Counted(alive)](future<int> done) {
        where = std::this_thread::get_id();
        EXPECT_TRUE(done.done());
        seen = done.get();
    });
    EXPECT_EQ(seen, 0);
    std::thread other([&] { writer.set_value(9); });
    const std::thread::id expected = other.get_id();
    other.join();
    EXPECT_EQ(seen, 9);
    EXPECT_EQ(where, expected);
    EXPECT_EQ(alive, 0);
}

TEST(CppFuture, on_done_of_one_that_is_done_runs_inside_the_call)
{
    promise<int> writer;
    future<int> reader = writer.get_future();
    writer.set_error(5);
    std::int32_t code = 0;
    std::move(reader).on_done([&](future<int> done) { code = code_of([&] { done.get(); }); });
    EXPECT_EQ(code, 5);
}

}  // namespace
