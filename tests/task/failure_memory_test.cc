// Where memory runs out on the way of a failure: each allocation fails in its turn, and nothing is lost or leaked.
#include <cstdlib>
#include <gtest/gtest.h>
#include <new>
#include <string>

#include "reports.h"
#include "task/cancel.h"
#include "task/node.h"
#include "task/unobserved.h"
#include "white_box.h"

using namespace execq::core;

namespace {

// How many allocations of this thread still succeed; negative: all.
thread_local int left = -1;

bool denied() { return left == 0 || (left > 0 && --left < 0); }

}  // namespace

// The library's two ways to memory, as far as failures go (see failure_memory_test.cmake).
extern "C" {
void* __real_malloc(std::size_t size);
void* __real__ZnwmRKSt9nothrow_t(std::size_t size, const std::nothrow_t& tag);
void* __wrap_malloc(std::size_t size) { return denied() ? nullptr : __real_malloc(size); }
void* __wrap__ZnwmRKSt9nothrow_t(std::size_t size, const std::nothrow_t& tag)
{
    return denied() ? nullptr : __real__ZnwmRKSt9nothrow_t(size, tag);
}
}

namespace {

// While one lives, every allocation fails.
struct NoMemory {
    NoMemory() { left = 0; }
    ~NoMemory() { left = -1; }
    NoMemory(const NoMemory&) = delete;
    NoMemory& operator=(const NoMemory&) = delete;
};

TEST(FailureMemory, AnErrorIsNotMadeAndItsPayloadStaysTheCallers)
{
    Counter drops;
    Error* cause = Error::make(1, "cause");
    {
        const NoMemory none;
        EXPECT_EQ(Error::make(2, "two", cause, {&drops, nullptr, Counter::hit}), nullptr);
        EXPECT_EQ(Error::of_code(3), Error::out_of_memory());
    }
    EXPECT_EQ(drops.n, 0U);
    cause->release();
}

TEST(FailureMemory, AHookIsNotMade)
{
    Counter drops;
    const NoMemory none;
    EXPECT_EQ(make_unobserved_hook([](const execq_error*, const char*, void*) {}, &drops, Counter::hit), nullptr);
    EXPECT_EQ(drops.n, 0U);
}

TEST(FailureMemory, AFailureIsReportedOnceAllTheSame)
{
    Reports reports;
    Node* node = new_promise();
    node->reject(77, nullptr);
    node->release_promise();
    std::uint64_t calls = 0;
    static std::uint64_t* counted = nullptr;
    counted = &calls;
    hook_unobserved(make_unobserved_hook(
        [](const execq_error* error, const char*, void*) {
            ++*counted;
            CHECK(core_of(error) == Error::out_of_memory());
        },
        nullptr, nullptr));
    {
        const NoMemory none;
        node->release();
    }
    EXPECT_EQ(calls, 1U);
}

// The second registration of a node needs a record.
TEST(FailureMemory, AForwardThatNeedsARecordIsRefusedAndLeavesAllAsItWas)
{
    Counter drops;
    Counter delivered;
    Node* source = new_promise(Counter::hit);
    Node* target = new_promise();
    EXPECT_EQ(source->register_completion({Counter::done, &delivered, nullptr, nullptr}), EXECQ_OK);
    for (int allowed = 0; allowed < 3; ++allowed) {
        left = allowed;
        const execq_status status = source->forward_to(*target);
        left = -1;
        if (status == EXECQ_OK)
            break;
        EXPECT_EQ(status, EXECQ_ENOMEM);
        EXPECT_FALSE(target->cancel_requested());
        EXPECT_EQ(cancel(*target, EXECQ_REASON_CALLER), EXECQ_EBUSY);
        EXPECT_FALSE(source->cancel_requested()) << "it has nothing to do with it";
        target->release_promise();
        target->release();
        target = new_promise();
    }
    EXPECT_TRUE(source->resolve(&drops));
    EXPECT_EQ(target->phase(), Phase::ok);
    EXPECT_EQ(delivered.n, 1U);
    for (Node* node : {source, target}) {
        node->release_promise();
        node->release();
    }
    EXPECT_EQ(drops.n, 1U);
}

TEST(FailureMemory, AForwardOfOneThatIsDoneNeedsNone)
{
    for (const bool fails : {true, false}) {
        Node* source = new_promise();
        Node* target = new_promise();
        EXPECT_TRUE(fails ? source->reject(5, nullptr) : source->resolve(nullptr));
        {
            const NoMemory none;
            EXPECT_EQ(source->forward_to(*target), EXECQ_OK);
        }
        EXPECT_EQ(target->result(nullptr), fails ? EXECQ_EFAILED : EXECQ_OK);
        for (Node* node : {source, target}) {
            node->release_promise();
            node->release();
        }
    }
}

}  // namespace
