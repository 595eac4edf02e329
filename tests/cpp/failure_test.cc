// Failures of the C++ side: what is reported where nobody looked, causes, payloads, and futures that are forwarded.
#include <string>
#include <vector>

#include "cpp.h"

using namespace execq;

namespace {

// While one lives, it is the hook for failures that nobody consumed.
class Reports {
public:
    Reports()
    {
        execq_conf conf = EXECQ_CONF_INIT;
        conf.on_unobserved = [](const execq_error* error, const char*, void* env) {
            auto* self = static_cast<Reports*>(env);
            ++self->count_;
            self->code_ = execq_error_code(error);
        };
        conf.unobserved_env = this;
        EXPECT_EQ(execq_init_conf(&conf), EXECQ_OK);
    }
    ~Reports()
    {
        execq_conf conf = EXECQ_CONF_INIT;
        conf.flags = EXECQ_CONF_CLEAR_ON_UNOBSERVED;
        EXPECT_EQ(execq_init_conf(&conf), EXECQ_OK);
    }
    Reports(const Reports&) = delete;
    Reports& operator=(const Reports&) = delete;

    int taken() { return count_.exchange(0); }
    std::int32_t code() const { return code_; }

private:
    std::atomic<int> count_{0};
    std::atomic<std::int32_t> code_{0};
};

template <class T>
future<T> failed(promise<T>& writer)
{
    writer.set_exception(std::make_exception_ptr(Mishap("mishap", 3)));
    return writer.get_future();
}

TEST(CppFailure, that_nobody_looked_at_is_reported)
{
    Reports reports;
    {
        scoped_executor pool({.max_threads = 1});
        static_cast<void>(pool.submit([]() -> int { throw Mishap("mishap", 3); }));
    }
    EXPECT_EQ(reports.taken(), 1);
    EXPECT_EQ(reports.code(), EXECQ_EEXCEPTION);
    {
        scoped_executor pool({.max_threads = 1});
        pool.post([] { throw error(28); });
    }
    EXPECT_EQ(reports.taken(), 1);
    EXPECT_EQ(reports.code(), 28);
}

TEST(CppFailure, that_was_thrown_or_looked_at_is_not_reported)
{
    Reports reports;
    promise<int> first;
    promise<int> second;
    EXPECT_THROW(failed(first).get(), Mishap);
    EXPECT_NE(failed(second).exception(), nullptr);
    EXPECT_EQ(reports.taken(), 0);
}

task<int> await(future<int> source) { co_return co_await std::move(source); }

TEST(CppFailure, that_was_passed_on_is_reported_where_it_ends_and_only_there)
{
    Reports reports;
    {
        promise<int> writer;
        future<int> last = writer.get_future();
        for (int i = 0; i < 10; ++i)
            last = std::move(last).then([](int number) { return number; });
        last = start(await(std::move(last)));
        writer.set_exception(std::make_exception_ptr(Mishap("mishap", 3)));
        EXPECT_EQ(reports.taken(), 0);
    }
    EXPECT_EQ(reports.taken(), 1);
    promise<int> writer;
    future<int> last = failed(writer).then([](future<int> done) { return done.exception() != nullptr ? 1 : 0; });
    EXPECT_EQ(last.get(), 1);
    EXPECT_EQ(reports.taken(), 0);
}

TEST(CppFailure, that_the_call_itself_tells_of_is_not_reported)
{
    Reports reports;
    promise<int> writer;
    TestLoop loop;
    loop.port.detach();
    EXPECT_EQ(code_of([&] { static_cast<void>(writer.get_future().then(loop.port, [](int) {})); }), EXECQ_ECLOSED);
    scoped_executor pool({.max_threads = 1});
    pool.close();
    promise<int> other;
    EXPECT_EQ(code_of([&] { static_cast<void>(start(pool, await(other.get_future()))); }), EXECQ_ECLOSED);
    writer.set_value(1);
    other.set_value(1);
    EXPECT_EQ(reports.taken(), 0);
    {
        const promise<int> unused;  // nobody ever had its future
    }
    EXPECT_EQ(reports.taken(), 0);
}

void nest()
{
    try {
        throw Mishap("inner", 3);
    } catch (...) {
        std::throw_with_nested(error(28, "outer"));
    }
}

TEST(CppFailure, that_is_nested_is_a_chain_of_causes_in_c)
{
    scoped_executor pool({.max_threads = 1});
    future<void> nested = pool.submit(nest);
    nested.wait();
    const execq_error* outer = execq_future_error(nested.native());
    EXPECT_EQ(execq_error_code(outer), 28);
    EXPECT_STREQ(execq_error_message(outer), "outer");
    const execq_error* inner = execq_error_cause(outer);
    ASSERT_NE(inner, nullptr);
    EXPECT_EQ(execq_error_code(inner), EXECQ_EEXCEPTION);
    EXPECT_STREQ(execq_error_message(inner), "inner");
    EXPECT_EQ(execq_error_cause(inner), nullptr);
    const std::exception_ptr thrown = nested.exception();
    EXPECT_EQ(code_of([&] { std::rethrow_exception(thrown); }), 28);
    const auto inside = thrown_by<std::nested_exception>([&] { std::rethrow_exception(thrown); });
    EXPECT_THROW(inside.rethrow_nested(), Mishap) << "what C++ threw comes back as it was";
}

// An error of C whose cause is an exception of C++.
execq_future* caused_in_cpp()
{
    promise<void> writer;
    future<void> source = failed(writer);
    execq_error_options options = EXECQ_ERROR_OPTIONS_INIT;
    options.code = 28;
    options.message = "outer";
    options.cause = execq_future_error(source.native());
    const execq_error* made = nullptr;
    EXPECT_EQ(execq_error_new(&options, &made), EXECQ_OK);
    execq_promise* promise = nullptr;
    execq_future* failing = nullptr;
    EXPECT_EQ(execq_promise_new(nullptr, &promise, &failing), EXECQ_OK);
    EXPECT_EQ(execq_promise_reject_error(promise, made), EXECQ_OK);
    execq_error_release(made);
    execq_promise_release(promise);
    return failing;
}

TEST(CppFailure, of_c_tells_its_cause_by_type)
{
    const error failure = thrown_by<error>([] { future<void*>::adopt(caused_in_cpp()).get(); });
    EXPECT_EQ(failure.code(), 28);
    ASSERT_NE(failure.cause(), nullptr);
    EXPECT_THROW(std::rethrow_exception(failure.cause()), Mishap);
    EXPECT_EQ(error(28).cause(), nullptr);
    EXPECT_EQ(error(28).native(), nullptr);
}

TEST(CppFailure, of_c_keeps_its_cause_through_a_task)
{
    scoped_executor pool({.max_threads = 1});
    future<void> passed = pool.submit([] { future<void*>::adopt(caused_in_cpp()).get(); });
    passed.wait();
    EXPECT_STREQ(execq_error_message(execq_error_cause(execq_future_error(passed.native()))), "mishap");
    EXPECT_THROW(passed.get(), error);
}

TEST(CppFailure, comes_back_by_type_through_a_forward_in_c)
{
    promise<void> writer;
    future<void> source = failed(writer);
    execq_promise* promise = nullptr;
    execq_future* forwarded = nullptr;
    ASSERT_EQ(execq_promise_new(nullptr, &promise, &forwarded), EXECQ_OK);
    EXPECT_EQ(execq_future_forward(source.native(), promise), EXECQ_OK);
    execq_promise_release(promise);
    EXPECT_EQ(thrown_by<Mishap>([&] { future<void>::adopt(forwarded).get(); }).number, 3);
}

TEST(CppForward, moves_the_value)
{
    std::atomic<int> alive{0};
    for (const bool done : {true, false}) {
        promise<Counted> source;
        promise<Counted> target;
        if (done)
            source.set_value(alive);
        source.get_future().forward(target);
        EXPECT_FALSE(target.set_value(alive)) << "it counts as completed";
        if (!done)
            source.set_value(alive);
        future<Counted> result = target.get_future();
        EXPECT_TRUE(result.done());
        const Counted got = result.get();
        EXPECT_EQ(alive, 1);
    }
    EXPECT_EQ(alive, 0);
}

TEST(CppForward, keeps_the_type_of_a_failure_and_reports_none)
{
    Reports reports;
    promise<int> source;
    promise<int> target;
    source.get_future().forward(target);
    source.set_exception(std::make_exception_ptr(Mishap("mishap", 3)));
    EXPECT_EQ(thrown_by<Mishap>([&] { target.get_future().get(); }).number, 3);
    EXPECT_EQ(reports.taken(), 0);
}

TEST(CppForward, cancels_what_is_forwarded_and_passes_its_end_on)
{
    for (const bool asked_first : {true, false}) {
        promise<int> source;
        promise<int> target;
        future<int> result = target.get_future();
        const auto ask = [&] { EXPECT_EQ(result.cancel(), cancel_result::asked); };
        if (asked_first)
            ask();
        source.get_future().forward(target);
        if (!asked_first)
            ask();
        EXPECT_TRUE(source.cancel_requested());
        source.set_canceled();
        EXPECT_EQ(reason_of([&] { result.get(); }), cancel_reason::caller);
    }
}

TEST(CppForward, is_refused_where_it_can_not_be)
{
    promise<int> source;
    promise<int> target;
    target.set_value(1);
    EXPECT_EQ(code_of([&] { source.get_future().forward(target); }), EXECQ_EALREADY);
    EXPECT_EQ(target.get_future().get(), 1);
    promise<int> own;
    EXPECT_EQ(code_of([&] { own.get_future().forward(own); }), EXECQ_EINVAL);
    EXPECT_EQ(code_of([&] { future<int>().forward(own); }), EXECQ_EINVAL);
    EXPECT_TRUE(own.set_value(2)) << "it stayed open";
    source.set_value(1);
}

TEST(CppForward, passes_a_hundred_thousand_links)
{
    promise<int> first;
    future<int> last = first.get_future();
    for (int i = 0; i < 100'000; ++i) {
        promise<int> next;
        std::move(last).forward(next);
        last = next.get_future();
    }
    first.set_value(7);
    EXPECT_EQ(last.get(), 7);
}

}  // namespace
