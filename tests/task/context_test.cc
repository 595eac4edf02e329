// What is active on a thread: sets, resets and scopes, also where memory is out.
#include <stdexcept>
#include <thread>

#include <gtest/gtest.h>

#include "failing_new.h"
#include "task/callbacks.h"
#include "task/context.h"

using namespace execq::core;

namespace {

struct Value {
    int drops = 0;

    static void drop(void* value) { ++static_cast<Value*>(value)->drops; }
};

class ContextTest : public testing::Test {
protected:
    ~ContextTest() override
    {
        forget_changes(this_thread);
        a.release();
        b.release();
    }

    void* value_of(const Var& var) const
    {
        const Binding* binding = find_var(var);
        return binding != nullptr ? binding->value() : nullptr;
    }
    static ContextRef captured()
    {
        ContextRef context;
        EXPECT_EQ(capture_context(context), EXECQ_OK);
        return context;
    }

    Var& a = *Var::make(Value::drop, "a");
    Var& b = *Var::make(Value::drop, nullptr);
    Value one, two, three;
};

TEST_F(ContextTest, IsNullWhereNothingIsSet)
{
    EXPECT_TRUE(nothing_to_capture());
    EXPECT_EQ(captured().get(), nullptr);
    EXPECT_EQ(find_var(a), nullptr);
}

TEST_F(ContextTest, IsNullAgainOnceEverythingIsReset)
{
    std::uint64_t first = 0, second = 0;
    ASSERT_EQ(set_var(a, &one, &first), EXECQ_OK);
    ASSERT_EQ(set_var(b, &two, &second), EXECQ_OK);
    EXPECT_FALSE(nothing_to_capture());
    // Not in the opposite order: nothing can simply be put back.
    EXPECT_EQ(reset_var(a, first), EXECQ_OK);
    EXPECT_EQ(value_of(a), nullptr);
    EXPECT_EQ(value_of(b), &two);
    EXPECT_EQ(reset_var(b, second), EXECQ_OK);
    EXPECT_TRUE(nothing_to_capture());
    EXPECT_EQ(one.drops + two.drops, 2);
}

TEST_F(ContextTest, IsCapturedWithoutACopy)
{
    ASSERT_EQ(set_var(a, &one, nullptr), EXECQ_OK);
    const ContextRef first = captured();
    EXPECT_EQ(captured().get(), first.get());
    EXPECT_EQ(first.get(), this_thread.context);
}

TEST_F(ContextTest, GivesEachTokenOnce)
{
    std::uint64_t first = 0, second = 0;
    ASSERT_EQ(set_var(a, &one, &first), EXECQ_OK);
    ASSERT_EQ(set_var(a, &two, &second), EXECQ_OK);
    EXPECT_NE(first, 0U);
    EXPECT_NE(second, first);
    EXPECT_EQ(reset_var(a, second), EXECQ_OK);
    EXPECT_EQ(reset_var(a, second), EXECQ_EINVAL);
    EXPECT_EQ(reset_var(a, 0), EXECQ_EINVAL);
    EXPECT_EQ(reset_var(b, first), EXECQ_EINVAL);
    EXPECT_EQ(value_of(a), &one);
    EXPECT_EQ(reset_var(a, first), EXECQ_OK);
    EXPECT_EQ(value_of(a), nullptr);
}

// As in Python's contextvars: what the variable was before that set, whatever happened since.
TEST_F(ContextTest, IsResetInAnyOrder)
{
    std::uint64_t first = 0, second = 0, third = 0;
    ASSERT_EQ(set_var(a, &one, &first), EXECQ_OK);
    ASSERT_EQ(set_var(a, &two, &second), EXECQ_OK);
    ASSERT_EQ(set_var(a, &three, &third), EXECQ_OK);
    EXPECT_EQ(reset_var(a, second), EXECQ_OK);
    EXPECT_EQ(value_of(a), &one);
    EXPECT_EQ(reset_var(a, third), EXECQ_OK);
    EXPECT_EQ(value_of(a), &two);
    EXPECT_EQ(reset_var(a, first), EXECQ_OK);
    EXPECT_EQ(value_of(a), nullptr);
    EXPECT_EQ(one.drops, 1);
    EXPECT_EQ(two.drops, 1);
    EXPECT_EQ(three.drops, 1);
}

TEST_F(ContextTest, AResetLeavesOtherVariablesAsTheyAre)
{
    std::uint64_t token = 0;
    ASSERT_EQ(set_var(a, &one, &token), EXECQ_OK);
    ASSERT_EQ(set_var(b, &two, nullptr), EXECQ_OK);
    EXPECT_EQ(reset_var(a, token), EXECQ_OK);
    EXPECT_EQ(value_of(a), nullptr);
    EXPECT_EQ(value_of(b), &two);
}

TEST_F(ContextTest, DropsWhatWasSetOverUnlessATokenKeepsIt)
{
    std::uint64_t token = 0;
    ASSERT_EQ(set_var(a, &one, nullptr), EXECQ_OK);
    ASSERT_EQ(set_var(a, &two, nullptr), EXECQ_OK);
    EXPECT_EQ(one.drops, 1);
    ASSERT_EQ(set_var(a, &three, &token), EXECQ_OK);
    EXPECT_EQ(two.drops, 0);
    forget_changes(this_thread);
    EXPECT_EQ(two.drops, 1);
    EXPECT_EQ(three.drops, 1);
}

TEST_F(ContextTest, AScopeHidesWhatIsOutsideAndGivesItBack)
{
    std::uint64_t outer = 0, inner = 0;
    ASSERT_EQ(set_var(a, &one, &outer), EXECQ_OK);
    const ContextRef before = captured();
    {
        const ContextScope scope(nullptr);
        EXPECT_TRUE(nothing_to_capture());
        EXPECT_EQ(reset_var(a, outer), EXECQ_EINVAL);
        ASSERT_EQ(set_var(a, &two, &inner), EXECQ_OK);
        EXPECT_EQ(value_of(a), &two);
    }
    EXPECT_EQ(two.drops, 1);
    EXPECT_EQ(this_thread.context, before.get());
    EXPECT_EQ(reset_var(a, inner), EXECQ_EINVAL);
    EXPECT_EQ(reset_var(a, outer), EXECQ_OK);
}

TEST_F(ContextTest, AScopeNeedsNoReferenceOfItsOwn)
{
    ASSERT_EQ(set_var(a, &one, nullptr), EXECQ_OK);
    {
        const ContextRef context = captured();
        forget_changes(this_thread);
        const ContextScope scope(context.get());
        EXPECT_EQ(value_of(a), &one);
        // Back to what was entered, and over it.
        std::uint64_t token = 0;
        ASSERT_EQ(set_var(a, &two, &token), EXECQ_OK);
        EXPECT_EQ(reset_var(a, token), EXECQ_OK);
        EXPECT_EQ(this_thread.context, context.get());
        ASSERT_EQ(set_var(a, &three, &token), EXECQ_OK);
        EXPECT_EQ(one.drops, 0);
    }
    EXPECT_EQ(one.drops, 1);
    EXPECT_EQ(two.drops, 1);
    EXPECT_EQ(three.drops, 1);
    EXPECT_FALSE(has_changes(this_thread));
}

TEST_F(ContextTest, TheSameContextMayBeEnteredInItself)
{
    ASSERT_EQ(set_var(a, &one, nullptr), EXECQ_OK);
    const ContextRef context = captured();
    const ContextScope first(context.get());
    {
        const ContextScope second(context.get());
        ASSERT_EQ(set_var(a, &two, nullptr), EXECQ_OK);
    }
    EXPECT_EQ(value_of(a), &one);
}

TEST_F(ContextTest, AScopeIsLeftByExceptions)
{
    ASSERT_EQ(set_var(a, &one, nullptr), EXECQ_OK);
    const ContextRef before = captured();
    try {
        const ContextScope scope(nullptr);
        ASSERT_EQ(set_var(a, &two, nullptr), EXECQ_OK);
        throw std::runtime_error("left");
    } catch (const std::runtime_error&) {
    }
    EXPECT_EQ(this_thread.context, before.get());
    EXPECT_EQ(two.drops, 1);
}

// Values that set variables while they are dropped, wherever that happens.
TEST_F(ContextTest, WhatADropSetsIsGoneWithIt)
{
    struct Setter {
        Var* var;
        Value value;
        int drops = 0;

        static void drop(void* env)
        {
            auto* self = static_cast<Setter*>(env);
            ++self->drops;
            EXPECT_TRUE(nothing_to_capture());
            EXPECT_EQ(set_var(*self->var, &self->value, nullptr), EXECQ_OK);
        }
    };
    Var& var = *Var::make(Setter::drop, nullptr);
    Setter setter{&a, {}, 0};
    ASSERT_EQ(set_var(var, &setter, nullptr), EXECQ_OK);
    forget_changes(this_thread);
    EXPECT_EQ(setter.drops, 1);
    EXPECT_EQ(setter.value.drops, 1);
    ASSERT_EQ(set_var(b, &one, nullptr), EXECQ_OK);
    call_drop(Setter::drop, &setter);
    EXPECT_EQ(value_of(b), &one);
    EXPECT_EQ(setter.value.drops, 2);
    EXPECT_EQ(value_of(a), nullptr);
    {
        const ContextScope scope(nullptr);
        ASSERT_EQ(set_var(var, &setter, nullptr), EXECQ_OK);
    }
    EXPECT_EQ(setter.drops, 3);
    EXPECT_EQ(value_of(b), &one);
    var.release();
}

TEST_F(ContextTest, AThreadGivesUpWhatItSetWhenItEnds)
{
    std::thread([&] {
        std::uint64_t token = 0;
        EXPECT_EQ(set_var(a, &one, nullptr), EXECQ_OK);
        EXPECT_EQ(set_var(a, &two, &token), EXECQ_OK);
    }).join();
    EXPECT_EQ(one.drops, 1);
    EXPECT_EQ(two.drops, 1);
}

TEST_F(ContextTest, ATokenIsGoodOnItsThreadOnly)
{
    std::uint64_t token = 0;
    ASSERT_EQ(set_var(a, &one, &token), EXECQ_OK);
    std::thread([&] { EXPECT_EQ(reset_var(a, token), EXECQ_EINVAL); }).join();
    EXPECT_EQ(reset_var(a, token), EXECQ_OK);
}

TEST_F(ContextTest, ASetChangesNothingWhereMemoryIsOut)
{
    ASSERT_EQ(set_var(b, &two, nullptr), EXECQ_OK);
    const ContextRef before = captured();
    std::uint64_t token = 0;
    const int failed = fail_each_allocation([&] { return set_var(a, &one, &token); }, EXECQ_ENOMEM,
                                            [&] {
                                                EXPECT_EQ(this_thread.context, before.get());
                                                EXPECT_EQ(this_thread.changes, nullptr);
                                                EXPECT_EQ(one.drops, 0);  // the caller's
                                                EXPECT_EQ(token, 0U);
                                            });
    EXPECT_GE(failed, 4);  // the change, the context, the binding, the map
    EXPECT_EQ(value_of(a), &one);
}

TEST_F(ContextTest, AResetKeepsItsTokenWhereMemoryIsOut)
{
    std::uint64_t first = 0;
    ASSERT_EQ(set_var(a, &one, nullptr), EXECQ_OK);
    ASSERT_EQ(set_var(a, &two, &first), EXECQ_OK);
    ASSERT_EQ(set_var(b, &three, nullptr), EXECQ_OK);
    const int failed =
        fail_each_allocation([&] { return reset_var(a, first); }, EXECQ_ENOMEM, [&] { EXPECT_EQ(value_of(a), &two); });
    EXPECT_GE(failed, 2);
    EXPECT_EQ(value_of(a), &one);
    EXPECT_EQ(reset_var(a, first), EXECQ_EINVAL);
}

TEST_F(ContextTest, TheResetOfTheLastChangeNeedsNoMemory)
{
    std::uint64_t first = 0, second = 0;
    ASSERT_EQ(set_var(a, &one, &first), EXECQ_OK);
    ASSERT_EQ(set_var(a, &two, &second), EXECQ_OK);
    allocations_left = 0;
    const execq_status inner = reset_var(a, second);
    const execq_status outer = reset_var(a, first);
    allocations_left = -1;
    EXPECT_EQ(inner, EXECQ_OK);
    EXPECT_EQ(outer, EXECQ_OK);
    EXPECT_EQ(this_thread.context, nullptr);
}

// ---- providers: from here on there is one, which has something to carry only while it is asked to ----

struct Carrier {
    bool carries = false;
    int states = 0;
    int entered = 0;

    static execq_status capture(void* env, void** state)
    {
        auto* self = static_cast<Carrier*>(env);
        if (self->carries) {
            ++self->states;
            *state = self;
        }
        return EXECQ_OK;
    }
    static execq_status enter(void* env, void*, void**)
    {
        ++static_cast<Carrier*>(env)->entered;
        return EXECQ_OK;
    }
    static void leave(void* env, void*, void*) { --static_cast<Carrier*>(env)->entered; }
    static void release(void* env, void*) { --static_cast<Carrier*>(env)->states; }
};

Carrier carrier;

TEST_F(ContextTest, WithProvidersWhoHaveNothingIsStillCapturedWithoutACopy)
{
    execq_context_provider provider = EXECQ_CONTEXT_PROVIDER_INIT;
    provider.capture = Carrier::capture;
    provider.enter = Carrier::enter;
    provider.leave = Carrier::leave;
    provider.release = Carrier::release;
    provider.env = &carrier;
    ASSERT_EQ(add_provider(provider), EXECQ_OK);
    EXPECT_FALSE(nothing_to_capture());
    EXPECT_EQ(captured().get(), nullptr);
    ASSERT_EQ(set_var(a, &one, nullptr), EXECQ_OK);
    EXPECT_EQ(captured().get(), this_thread.context);
}

TEST_F(ContextTest, ACaptureWithProvidersLeavesNothingWhereMemoryIsOut)
{
    ASSERT_EQ(set_var(a, &one, nullptr), EXECQ_OK);
    carrier.carries = true;
    ContextRef context;
    const int failed = fail_each_allocation([&] { return capture_context(context); }, EXECQ_ENOMEM,
                                            [&] {
                                                EXPECT_EQ(context.get(), nullptr);
                                                EXPECT_EQ(carrier.states, 0);
                                            });
    carrier.carries = false;
    EXPECT_EQ(failed, 2);
    EXPECT_EQ(carrier.states, 1);
    {
        const ContextScope scope(context.get());
        EXPECT_EQ(carrier.entered, 1);
        EXPECT_EQ(value_of(a), &one);
    }
    EXPECT_EQ(carrier.entered, 0);
    context = {};
    EXPECT_EQ(carrier.states, 0);
}

}  // namespace
