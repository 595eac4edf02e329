// What a task says of its failure, and which task it is said of.
#include "sched/failure.h"

#include <gtest/gtest.h>
#include <string>

#include "pool.h"
#include "sched/wait.h"

using namespace execq::core;

namespace {

// The message with which a task failed.
std::string message_of(Pool& pool, execq_fn fn, void* env = nullptr)
{
    Node* node = pool.submit(fn, env);
    EXPECT_EQ(block_on(*node, never()), EXECQ_OK);
    const Error* error = node->error();
    std::string message = error != nullptr ? std::to_string(error->code()) + " " + error->message() : "no failure";
    node->release();
    return message;
}

TEST(Failure, GoesWithTheCodeThatTheTaskReturns)
{
    Pool pool(1);
    const execq_fn says_five = [](void*, void**) {
        set_failure(Error::make(5, "five"));
        return std::int32_t{5};
    };
    EXPECT_EQ(message_of(pool, says_five), "5 five");
    const execq_fn says_other = [](void*, void**) {
        set_failure(Error::make(5, "five"));
        return std::int32_t{6};
    };
    EXPECT_EQ(message_of(pool, says_other), "6 ");
}

TEST(Failure, IsTheLastThatWasSaid)
{
    Pool pool(1);
    const execq_fn says_two = [](void*, void**) {
        set_failure(Error::make(5, "first"));
        set_failure(Error::make(5, "second"));
        return std::int32_t{5};
    };
    EXPECT_EQ(message_of(pool, says_two), "5 second");
    const execq_fn takes_back = [](void*, void**) {
        set_failure(Error::make(5, "first"));
        set_failure(Error::make(6, "second"));
        return std::int32_t{5};
    };
    EXPECT_EQ(message_of(pool, takes_back), "5 ");
    const execq_fn says_nothing = [](void*, void**) {
        set_failure(Error::make(5, nullptr));
        return std::int32_t{5};
    };
    EXPECT_EQ(message_of(pool, says_nothing), "5 ");
}

TEST(Failure, IsForgottenByTheNextTask)
{
    Pool pool(1);
    const execq_fn succeeds = [](void*, void**) {
        set_failure(Error::make(5, "but never mind"));
        return std::int32_t{0};
    };
    const execq_fn fails = [](void*, void**) { return std::int32_t{5}; };
    EXPECT_EQ(message_of(pool, succeeds), "no failure");
    EXPECT_EQ(message_of(pool, fails), "5 ");
}

// The outer task says something, then runs the inner one in place on the same thread.
struct Nested {
    Pool* pool;
    execq_fn inner;
    const char* outer_says;
    std::string inner_message;

    static std::int32_t body(void* env, void**)
    {
        auto* self = static_cast<Nested*>(env);
        if (self->outer_says != nullptr)
            set_failure(Error::make(5, self->outer_says));
        Node* node = self->pool->submit(self->inner, nullptr);
        EXPECT_EQ(wait_for(*node, never()), EXECQ_OK);
        self->inner_message = node->error() != nullptr ? node->error()->message() : "no failure";
        node->release();
        return 5;
    }
};

TEST(Failure, OfATaskIsNotDisturbedByOneThatItRunsInPlace)
{
    Pool pool(1);
    const execq_fn fails = [](void*, void**) {
        set_failure(Error::make(5, "inner"));
        return std::int32_t{5};
    };
    Nested nested{&pool, fails, "outer", ""};
    EXPECT_EQ(message_of(pool, Nested::body, &nested), "5 outer");
    EXPECT_EQ(nested.inner_message, "inner");
    nested.inner = [](void*, void**) { return std::int32_t{5}; };
    EXPECT_EQ(message_of(pool, Nested::body, &nested), "5 outer");
    EXPECT_EQ(nested.inner_message, "") << "it did not say that";
}

TEST(Failure, OfATaskDoesNotComeFromOneThatItRunsInPlace)
{
    Pool pool(1);
    const execq_fn succeeds = [](void*, void**) {
        set_failure(Error::make(5, "inner"));
        return std::int32_t{0};
    };
    Nested nested{&pool, succeeds, nullptr, ""};
    EXPECT_EQ(message_of(pool, Nested::body, &nested), "5 ");
    EXPECT_EQ(nested.inner_message, "no failure");
}

}  // namespace
