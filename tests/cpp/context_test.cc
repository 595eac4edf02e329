// Variables and contexts in C++.
#include <memory>
#include <string>

#include "cpp.h"

namespace {

using execq::context;
using execq::scoped_set;
using execq::var;

TEST(Var, HasNoValueUntilItIsSet)
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

TEST(Var, ACopyIsTheSameVariable)
{
    const var<int> one;
    const var<int> same = one;
    const var<int> other;
    const scoped_set set(one, 4);
    EXPECT_EQ(same.get(), 4);
    EXPECT_EQ(other.get(), std::nullopt);
}

TEST(ScopedSet, EndsWithItsScope)
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

TEST(Var, DestroysEachValueOnce)
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

TEST(Context, GivesWhatTheCallReturnsOrThrows)
{
    const context empty;
    int number = 3;
    EXPECT_EQ(empty.run([] { return 7; }), 7);
    EXPECT_EQ(&empty.run([&]() -> int& { return number; }), &number);
    EXPECT_EQ(*empty.run([] { return std::make_unique<int>(5); }), 5);
    EXPECT_THROW(empty.run([] { throw Oddity{2}; }), Oddity);
}

TEST(Context, IsLeftByExceptions)
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

TEST(Context, AnExceptionThatLeavesACallbackOfCIsAStatus)
{
    const auto raise = [](void*) { throw Oddity{4}; };
    EXPECT_EQ(execq_context_run(EXECQ_CONTEXT_EMPTY, raise, nullptr), EXECQ_EEXCEPTION);
}

TEST(Context, FollowsTasksAndContinuations)
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

TEST(Context, OfTheOptionsTakesThePlaceOfTheActiveOne)
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

TEST(Context, IsThatOfTheThrowingTaskToo)
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

}  // namespace
