// Variables and contexts in C++.
#include <memory>
#include <string>
#include <vector>

#include "cpp.h"

namespace {

using execq::context;
using execq::scoped_set;
using execq::task;
using execq::var;

TEST(CppVar, has_no_value_until_it_is_set)
{
    const var<std::string> name("name");
    EXPECT_EQ(name.get(), std::nullopt);
    EXPECT_EQ(name.get_or("nobody"), "nobody");
    context().run([&] {
        name.set("alice");
        EXPECT_EQ(name.get(), "alice");
        EXPECT_EQ(name.get_or("nobody"), "alice");
    });
    EXPECT_EQ(name.get(), std::nullopt);
}

TEST(CppVar, a_copy_is_the_same_variable)
{
    const var<int> one;
    const var<int> same = one;
    const var<int> other;
    const scoped_set set(one, 4);
    EXPECT_EQ(same.get(), 4);
    EXPECT_EQ(other.get(), std::nullopt);
}

TEST(CppScopedSet, ends_with_its_scope)
{
    const var<std::string> name;
    {
        const scoped_set outer(name, "alice");
        {
            const scoped_set inner(name, "bob");
            EXPECT_EQ(name.get(), "bob");
        }
        EXPECT_EQ(name.get(), "alice");
        try {
            const scoped_set inner(name, "carol");
            throw Oddity{1};
        } catch (const Oddity&) {
        }
        EXPECT_EQ(name.get(), "alice");
    }
    EXPECT_EQ(name.get(), std::nullopt);
    EXPECT_EQ(context::capture().native(), EXECQ_CONTEXT_EMPTY);
}

TEST(CppVar, destroys_each_value_once)
{
    auto shared = std::make_shared<int>(1);
    {
        const var<std::shared_ptr<int>> pointer;
        context kept;
        {
            const scoped_set outer(pointer, shared);
            const scoped_set inner(pointer, shared);
            kept = context::capture();
            EXPECT_EQ(shared.use_count(), 3);
        }
        EXPECT_EQ(shared.use_count(), 2);  // the captured one
        kept.run([&] { EXPECT_EQ(pointer.get(), shared); });
    }
    EXPECT_EQ(shared.use_count(), 1);
}

TEST(CppContext, gives_what_the_call_returns_or_throws)
{
    const context empty;
    int number = 3;
    EXPECT_EQ(empty.run([] { return 7; }), 7);
    EXPECT_EQ(&empty.run([&]() -> int& { return number; }), &number);
    EXPECT_EQ(*empty.run([] { return std::make_unique<int>(5); }), 5);
    EXPECT_THROW(empty.run([] { throw Oddity{2}; }), Oddity);
}

TEST(CppContext, is_left_by_exceptions)
{
    const var<int> number;
    const scoped_set set(number, 1);
    try {
        context().run([&] {
            number.set(2);
            throw Oddity{3};
        });
    } catch (const Oddity&) {
    }
    EXPECT_EQ(number.get(), 1);
}

TEST(CppContext, an_exception_that_leaves_a_callback_of_c_is_a_status)
{
    const auto raise = [](void*) { throw Oddity{4}; };
    EXPECT_EQ(execq_context_run(EXECQ_CONTEXT_EMPTY, raise, nullptr), EXECQ_EEXCEPTION);
}

TEST(CppContext, follows_tasks_and_continuations)
{
    const var<std::string> name;
    const execq::scoped_executor pool({.max_threads = 2});
    const scoped_set set(name, "alice");
    const auto look = [&] { return name.get_or("nobody"); };
    EXPECT_EQ(pool.submit(look).get(), "alice");
    EXPECT_EQ(execq::submit(look).get(), "alice");
    EXPECT_EQ(
        pool.submit([] {}).then(look).then([&](const std::string& seen) { return seen + name.get_or("-"); }).get(),
        "alicealice");
    EXPECT_EQ(pool.submit([] {}).then(pool, look).get(), "alice");
    // A task's own value is in what it submits, and nowhere else.
    EXPECT_EQ(pool.submit([&] {
                      name.set("bob");
                      return pool.submit(look).get();
                  })
                  .get(),
              "bob");
    EXPECT_EQ(name.get(), "alice");
}

TEST(CppContext, of_the_options_takes_the_place_of_the_active_one)
{
    const var<int> number;
    const execq::scoped_executor pool({.max_threads = 1});
    const context with_two = context().run([&] {
        number.set(2);
        return context::capture();
    });
    const context empty;
    const scoped_set set(number, 1);
    const auto look = [&] { return number.get_or(0); };
    EXPECT_EQ(pool.submit({.context = &with_two}, look).get(), 2);
    EXPECT_EQ(pool.submit({.context = &empty}, look).get(), 0);
    EXPECT_EQ(pool.submit(look).get(), 1);
}

TEST(CppContext, is_that_of_the_throwing_task_too)
{
    const var<int> number;
    const execq::scoped_executor pool({.max_threads = 1});
    const scoped_set set(number, 1);
    EXPECT_THROW(pool.submit([&] {
                         number.set(5);
                         throw Oddity{number.get_or(0)};
                     })
                     .get(),
                 Oddity);
    EXPECT_EQ(pool.submit([&] { return number.get_or(0); }).get(), 1);
}

// ---- coroutines ----

task<void> look_twice(const var<int>& number, execq::executor pool, std::vector<int>& seen)
{
    seen.push_back(number.get_or(0));
    co_await execq::schedule(pool);
    seen.push_back(number.get_or(0));
}

task<void> go_around(const var<int>& number, execq::executor pool, execq::future<void> awaited, std::vector<int>& seen)
{
    seen.push_back(number.get_or(0));
    number.set(2);
    co_await execq::schedule(pool);
    seen.push_back(number.get_or(0));
    {
        const scoped_set inner(number, 3);
        co_await std::move(awaited);
        seen.push_back(number.get_or(0));
        co_await look_twice(number, pool, seen);
    }
    seen.push_back(number.get_or(0));
}

TEST(CppContextOfCoroutine, keeps_its_context_wherever_it_goes_on)
{
    const var<int> number;
    const execq::scoped_executor pool({.max_threads = 2});
    std::vector<int> seen;
    const scoped_set outside(number, 1);
    {
        execq::promise<void> promise;
        execq::future<void> done = execq::start(go_around(number, pool, promise.get_future(), seen));
        EXPECT_EQ(number.get(), 1);  // what it set is its own
        const scoped_set elsewhere(number, 9);
        promise.set_value();
        done.get();
        EXPECT_EQ(number.get(), 9);
    }
    EXPECT_EQ(seen, (std::vector<int>{1, 2, 3, 3, 3, 2}));
    EXPECT_EQ(pool.submit([&] { return number.get_or(0); }).get(), 1);
}

TEST(CppContextOfCoroutine, leaves_nothing_on_the_threads_that_it_was_on)
{
    const var<int> number;
    const execq::scoped_executor pool({.max_threads = 1});
    std::vector<int> seen;
    execq::promise<void> promise;
    promise.set_value();
    execq::start(pool, go_around(number, pool, promise.get_future(), seen)).get();
    EXPECT_EQ(seen, (std::vector<int>{0, 2, 3, 3, 3, 2}));
    EXPECT_EQ(number.get(), std::nullopt);
    EXPECT_EQ(pool.submit([&] { return number.get_or(0); }).get(), 0);
}

task<int> move_to(execq::loop where, const var<int>& number)
{
    number.set(5);
    co_await execq::on_loop(where);
    co_return number.get_or(0);
}

TEST(CppContextOfCoroutine, keeps_its_context_on_a_loop)
{
    const var<int> number;
    TestLoop loop;
    const scoped_set outside(number, 1);
    execq::future<int> moved = execq::start(move_to(loop.port, number));
    loop.run();
    EXPECT_EQ(moved.get(), 5);
    EXPECT_EQ(number.get(), 1);
}

task<std::vector<int>> sleep_on(const var<int>& number)
{
    std::vector<int> seen{number.get_or(0)};
    number.set(6);
    co_await execq::sleep_for(std::chrono::milliseconds(1));
    seen.push_back(number.get_or(0));
    co_return seen;
}

TEST(CppContextOfCoroutine, is_its_own_on_a_workers_loop)
{
    const var<int> number;
    const execq::scoped_executor pool({.max_threads = 1});
    const scoped_set outside(number, 1);
    execq::future<std::vector<int>> first = pool.submit_async([&] { return sleep_on(number); });
    execq::future<std::vector<int>> second = pool.submit_async([&] { return sleep_on(number); });
    EXPECT_EQ(first.get(), (std::vector<int>{1, 6}));
    EXPECT_EQ(second.get(), (std::vector<int>{1, 6}));
    EXPECT_EQ(pool.submit([&] { return number.get_or(0); }).get(), 1);
}

}  // namespace
