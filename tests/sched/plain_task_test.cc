// Tasks without a node: see sched/item.h.
#include <array>
#include <atomic>
#include <cstring>
#include <gtest/gtest.h>
#include <stdexcept>
#include <sys/mman.h>

#include "execq/task.h"
#include "pool.h"
#include "sched/item.h"

using namespace execq::core;

namespace {

struct Odd {
    Odd() : page_(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
    {
        CHECK(page_ != MAP_FAILED);
    }
    ~Odd() { munmap(page_, 4096); }
    Odd(const Odd&) = delete;
    Odd& operator=(const Odd&) = delete;
    void* page_;
};

TEST(PlainTask, IsToldFromANode)
{
    TaskSpec spec;
    spec.fn = Counter::body;
    Node* node = new_task(spec, 1, 0);
    const Item item(*node);
    EXPECT_TRUE(item);
    EXPECT_FALSE(item.plain());
    EXPECT_EQ(&item.node(), node);
    node->discard();
    ASSERT_TRUE(Item::fits(spec.fn));
    int env = 0;
    const Item plain(spec.fn, &env);
    EXPECT_TRUE(plain);
    EXPECT_TRUE(plain.plain());
    EXPECT_EQ(plain.fn(), spec.fn);
    EXPECT_EQ(plain.env, &env);
    EXPECT_FALSE(Item{});
}

TEST(PlainTask, LiesInASlotAsItWasPut)
{
    int env = 0;
    const Item plain(Counter::body, &env);
    Slot slot;
    slot.put(plain);
    EXPECT_EQ(slot.get().word, plain.word);
    EXPECT_EQ(slot.get().env, &env);
    slot.put(Item{});
    EXPECT_FALSE(slot.get());
}

// Compilers put functions that only throw anywhere, odd addresses included.
TEST(PlainTask, FailsAloneWhereItThrows)
{
    Pool pool(1);
    execq_executor* executor = handle_of(pool.get());
    const execq_fn throws[] = {[](void*, void**) -> std::int32_t { throw std::runtime_error("plain"); },
                               [](void*, void**) -> std::int32_t { throw 7; }};
    for (const execq_fn fn : throws)
        ASSERT_EQ(execq_submit(executor, fn, nullptr, nullptr), EXECQ_OK);
    Counter ran;
    ASSERT_EQ(execq_submit(executor, Counter::body, &ran, nullptr), EXECQ_OK);
    EXPECT_EQ(finish(pool.submit(Counter::body, &ran)), EXECQ_OK);
    EXPECT_EQ(ran.n.load(), 2U);
}

#if defined(__x86_64__)
// A body at an odd address, as x86 allows, has the bit that stands for a node.
TEST(PlainTask, MayNotStandForABodyAtAnOddAddress)
{
    Odd odd;
    const std::array<unsigned char, 3> code{0x31, 0xc0, 0xc3};  // return 0
    auto* at = static_cast<unsigned char*>(odd.page_) + 1;
    std::memcpy(at, code.data(), code.size());
    ASSERT_EQ(mprotect(odd.page_, 4096, PROT_READ | PROT_EXEC), 0);
    const auto body = reinterpret_cast<execq_fn>(at);
    EXPECT_FALSE(Item::fits(body));
    Pool pool(1);
    execq_executor* executor = handle_of(pool.get());
    ASSERT_EQ(execq_submit(executor, body, nullptr, nullptr), EXECQ_OK);
    execq_future* future = nullptr;
    ASSERT_EQ(execq_submit(executor, body, nullptr, &future), EXECQ_OK);
    EXPECT_EQ(finish(core_of(future)), EXECQ_OK);
}
#endif

}  // namespace
