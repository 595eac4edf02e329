#include "flow/submission.h"

#include <array>
#include <cstdlib>
#include <gtest/gtest.h>
#include <limits>
#include <new>
#include <uv.h>
#include <vector>

#include "base/uv_table.h"
#include "flow/cq.h"
#include "flow/loop_port.h"
#include "pool.h"
#include "sched/conf.h"

namespace {

// Allocations by `new` on this thread that succeed before one fails; negative: none fails.
thread_local int allocations_left = -1;

void* allocate(std::size_t size, std::size_t alignment = alignof(std::max_align_t))
{
    if (allocations_left == 0)
        return nullptr;
    if (allocations_left > 0)
        --allocations_left;
    return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

}  // namespace

void* operator new(std::size_t size)
{
    if (void* memory = allocate(size))
        return memory;
    throw std::bad_alloc();
}
void* operator new(std::size_t size, std::align_val_t alignment)
{
    if (void* memory = allocate(size, static_cast<std::size_t>(alignment)))
        return memory;
    throw std::bad_alloc();
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return allocate(size); }
void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept
{
    return allocate(size, static_cast<std::size_t>(alignment));
}
// Arrays, too: a sanitizer's operators do not come by the others.
void* operator new[](std::size_t size) { return operator new(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return allocate(size); }
[[gnu::noinline]] void operator delete[](void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
// Not inlined: gcc would see free() meet an operator new, and warn.
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

using namespace execq::core;

namespace {

// More than any allocator gives. A sanitizer's ends the program instead: there only the size's own limit is met.
constexpr std::uint64_t too_large = std::numeric_limits<std::uint64_t>::max() / (sanitized ? 1 : 4);

struct SubmissionTest : testing::Test {
    Counter ran;
    Counter env_drops;
    Counter done_drops;
    Counter delivered;

    ~SubmissionTest() override { allocations_left = -1; }

    // A body that counts, and an env whose drop counts too.
    struct Env {
        SubmissionTest* test;
        static std::int32_t body(void* env, void**)
        {
            Counter::hit(&static_cast<Env*>(env)->test->ran);
            return 0;
        }
        static void drop(void* env) { Counter::hit(&static_cast<Env*>(env)->test->env_drops); }
    } env{this};

    TaskSpec spec()
    {
        TaskSpec spec;
        spec.fn = Env::body;
        spec.env = &env;
        spec.drop = Env::drop;
        return spec;
    }
    static void done(execq_future*, void* test) { Counter::hit(&static_cast<SubmissionTest*>(test)->delivered); }
    static void drop_done(void* test) { Counter::hit(&static_cast<SubmissionTest*>(test)->done_drops); }
};

// A loop with a port, closed at the end.
struct Attached {
    uv_loop_t loop;
    LoopPort* port = nullptr;

    Attached()
    {
        CHECK(uv_loop_init(&loop) == 0);
        CHECK(LoopPort::attach(&loop, own_uv_table(), &port) == EXECQ_OK);
    }
    ~Attached()
    {
        port->detach();
        port->release();
        CHECK(uv_run(&loop, UV_RUN_DEFAULT) == 0);
        CHECK(uv_loop_close(&loop) == 0);
    }
    Attached(const Attached&) = delete;
    Attached& operator=(const Attached&) = delete;
};

TEST_F(SubmissionTest, RunsTheTaskAndDropsItsEnv)
{
    Pool pool(1);
    execq_future* future = nullptr;
    ASSERT_EQ(submit(pool.get(), spec(), &future), EXECQ_OK);
    EXPECT_EQ(execq::core::core_of(future)->executor_id(), pool->id());
    EXPECT_EQ(finish(execq::core::core_of(future)), EXECQ_OK);
    EXPECT_EQ(ran.n, 1U);
    EXPECT_EQ(env_drops.n, 1U);
}

TEST_F(SubmissionTest, MayForgetTheFuture)
{
    {
        Pool pool(1);
        ASSERT_EQ(submit(pool.get(), spec(), nullptr), EXECQ_OK);
    }
    EXPECT_EQ(ran.n, 1U);
    EXPECT_EQ(env_drops.n, 1U);
}

TEST_F(SubmissionTest, WithoutAnExecutorTakesTheConfiguredOne)
{
    Pool pool(1);
    configure_executor(pool.get());
    execq_future* future = nullptr;
    ASSERT_EQ(submit(nullptr, spec(), &future), EXECQ_OK);
    EXPECT_EQ(execq::core::core_of(future)->executor_id(), pool->id());
    finish(execq::core::core_of(future));
    configure_executor(nullptr);
    ASSERT_EQ(submit(nullptr, spec(), &future), EXECQ_OK);
    EXPECT_NE(execq::core::core_of(future)->executor_id(), pool->id());
    finish(execq::core::core_of(future));
}

TEST_F(SubmissionTest, ToALoopDeliversThereAndDrops)
{
    Attached attached;
    Pool pool(1);
    const std::array<Completion, 2> completions = {Completion{done, this, nullptr, attached.port},
                                                   Completion{done, this, drop_done, attached.port}};
    for (const Completion& completion : completions) {
        ASSERT_EQ(submit_with_completion(pool.get(), spec(), completion), EXECQ_OK);
        uv_run(&attached.loop, UV_RUN_DEFAULT);
    }
    EXPECT_EQ(ran.n, 2U);
    EXPECT_EQ(env_drops.n, 2U);
    EXPECT_EQ(delivered.n, 2U);
    EXPECT_EQ(done_drops.n, 1U);
}

TEST_F(SubmissionTest, OfManyKeepsTheirOrderWithNothingBetween)
{
    static std::vector<void*> order;
    order.clear();
    Gate gate;
    Pool pool(1);
    pool.submit_and_forget(Gate::body, &gate);
    gate.await();
    TaskSpec each;
    each.fn = [](void* tag, void**) {
        order.push_back(tag);
        return std::int32_t{0};
    };
    const std::array<void*, 3> envs = {number(1), number(2), number(3)};
    std::array<execq_future*, 3> futures{};
    ASSERT_EQ(submit_many(pool.get(), each, 3, envs.data(), futures.data()), EXECQ_OK);
    ASSERT_EQ(submit_many(pool.get(), each, 2, nullptr, nullptr), EXECQ_OK);
    gate.open();
    for (execq_future* future : futures)
        EXPECT_EQ(finish(execq::core::core_of(future)), EXECQ_OK);
    pool->close(EXECQ_DRAIN);
    EXPECT_EQ(pool->join(never()), EXECQ_OK);
    EXPECT_EQ(order, (std::vector<void*>{number(1), number(2), number(3), nullptr, nullptr}));
}

TEST_F(SubmissionTest, OfNoneIsFineUnlessTheExecutorIsClosed)
{
    Pool pool(1);
    EXPECT_EQ(submit_many(pool.get(), spec(), 0, nullptr, nullptr), EXECQ_OK);
    EXPECT_EQ(pool.threads(), 0U);
    pool->close(EXECQ_DRAIN);
    EXPECT_EQ(submit_many(pool.get(), spec(), 0, nullptr, nullptr), EXECQ_ECLOSED);
    EXPECT_EQ(env_drops.n, 0U);
}

// ---- failures keep nothing: AddressSanitizer would find what was kept ----

TEST_F(SubmissionTest, ToAClosedExecutorOnlyDrops)
{
    Attached attached;
    Cq* cq = nullptr;
    ASSERT_EQ(Cq::make(&cq), EXECQ_OK);
    Pool pool(1);
    pool->close(EXECQ_DRAIN);
    execq_future* future = reinterpret_cast<execq_future*>(&ran);
    EXPECT_EQ(submit(pool.get(), spec(), &future), EXECQ_ECLOSED);
    EXPECT_EQ(future, reinterpret_cast<execq_future*>(&ran)) << "written by a call that failed";
    EXPECT_EQ(env_drops.n, 1U);
    EXPECT_EQ(submit_with_completion(pool.get(), spec(), {done, this, nullptr, attached.port}), EXECQ_ECLOSED);
    EXPECT_EQ(env_drops.n, 2U);
    EXPECT_EQ(submit_with_completion(pool.get(), spec(), {done, this, drop_done, attached.port}), EXECQ_ECLOSED);
    EXPECT_EQ(env_drops.n, 3U);
    EXPECT_EQ(done_drops.n, 1U);
    static int tags;
    tags = 0;
    EXPECT_EQ(submit_with_completion(pool.get(), spec(), {nullptr, this, nullptr, cq}), EXECQ_ECLOSED);
    EXPECT_EQ(env_drops.n, 4U);
    EXPECT_EQ(cq->close([](void*) { ++tags; }), EXECQ_OK);
    EXPECT_EQ(tags, 0) << "the tag is still the caller's";
    cq->release();
    EXPECT_EQ(uv_run(&attached.loop, UV_RUN_DEFAULT), 0) << "the loop waits for nothing";
    EXPECT_EQ(ran.n + delivered.n, 0U);
}

TEST_F(SubmissionTest, ToAClosedPortOnlyDropsAndStartsNoThread)
{
    Attached attached;
    Cq* cq = nullptr;
    ASSERT_EQ(Cq::make(&cq), EXECQ_OK);
    Pool pool(1);
    attached.port->detach();
    cq->close(nullptr);
    EXPECT_EQ(submit_with_completion(pool.get(), spec(), {done, this, drop_done, attached.port}), EXECQ_ECLOSED);
    EXPECT_EQ(submit_with_completion(pool.get(), spec(), {done, this, nullptr, attached.port}), EXECQ_ECLOSED);
    EXPECT_EQ(submit_with_completion(pool.get(), spec(), {nullptr, this, nullptr, cq}), EXECQ_ECLOSED);
    EXPECT_EQ(env_drops.n, 3U);
    EXPECT_EQ(done_drops.n, 1U);
    EXPECT_EQ(pool.threads(), 0U);
    EXPECT_EQ(ran.n + delivered.n, 0U);
    cq->release();
}

TEST_F(SubmissionTest, OfAnEnvTooLargeForMemoryOnlyDrops)
{
    Attached attached;
    Pool pool(1);
    TaskSpec huge = spec();
    huge.env_size = too_large;
    execq_future* future = nullptr;
    EXPECT_EQ(submit(pool.get(), huge, &future), EXECQ_ENOMEM);
    EXPECT_EQ(submit_with_completion(pool.get(), huge, {done, this, drop_done, attached.port}), EXECQ_ENOMEM);
    EXPECT_EQ(future, nullptr);
    EXPECT_EQ(env_drops.n, 2U) << "env itself, as there is no copy";
    EXPECT_EQ(done_drops.n, 1U);
    EXPECT_EQ(pool.threads(), 0U);
    EXPECT_EQ(uv_run(&attached.loop, UV_RUN_DEFAULT), 0);
}

TEST_F(SubmissionTest, OfACopiedEnvDropsTheOriginalWhereItFails)
{
    Pool pool(1);
    pool->close(EXECQ_DRAIN);
    static void* dropped;
    dropped = nullptr;
    int number_to_copy = 5;
    TaskSpec copied;
    copied.fn = Env::body;
    copied.env = &number_to_copy;
    copied.env_size = sizeof number_to_copy;
    copied.drop = [](void* original) { dropped = original; };
    EXPECT_EQ(submit(pool.get(), copied, nullptr), EXECQ_ECLOSED);
    EXPECT_EQ(dropped, &number_to_copy);
}

TEST_F(SubmissionTest, OfManyIsOfAllOrNone)
{
    Pool pool(1);
    const std::array<void*, 3> envs = {&env, &env, &env};
    std::array<execq_future*, 3> futures{};
    TaskSpec huge = spec();
    huge.env_size = too_large;
    EXPECT_EQ(submit_many(pool.get(), huge, 3, envs.data(), futures.data()), EXECQ_ENOMEM);
    EXPECT_EQ(env_drops.n, 3U);
    TaskSpec no_drop;
    no_drop.fn = Env::body;
    EXPECT_EQ(submit_many(pool.get(), no_drop, std::numeric_limits<std::size_t>::max(), nullptr, nullptr),
              EXECQ_ENOMEM);
    pool->close(EXECQ_DRAIN);
    EXPECT_EQ(submit_many(pool.get(), spec(), 3, envs.data(), futures.data()), EXECQ_ECLOSED);
    EXPECT_EQ(env_drops.n, 6U);
    EXPECT_EQ(futures, (std::array<execq_future*, 3>{}));
    EXPECT_EQ(ran.n, 0U);
    EXPECT_EQ(pool.threads(), 0U);
}

// Lets the first, second, third … allocation fail until the call succeeds; answers how often it failed.
template <class Call>
std::uint64_t fail_each_allocation(const Call& call)
{
    for (int k = 0;; ++k) {
        Pool pool(1);
        allocations_left = k;
        const execq_status status = call(pool.get());
        allocations_left = -1;
        if (status == EXECQ_OK)
            return static_cast<std::uint64_t>(k);
        EXPECT_EQ(status, EXECQ_ENOMEM);
        EXPECT_EQ(pool.threads(), 0U);
    }
}

TEST_F(SubmissionTest, WithoutMemoryForAnythingItNeedsOnlyDrops)
{
    Attached attached;
    // A place and a worker for submit; a record too for the one with a drop.
    std::uint64_t failures = fail_each_allocation([&](Executor* e) { return submit(e, spec(), nullptr); });
    EXPECT_EQ(failures, 2U);
    EXPECT_EQ(env_drops.n, failures + 1);
    failures = fail_each_allocation([&](Executor* e) {
        return submit_with_completion(e, spec(), {done, this, drop_done, attached.port});
    });
    EXPECT_EQ(failures, 3U);
    EXPECT_EQ(uv_run(&attached.loop, UV_RUN_DEFAULT), 0);
    EXPECT_EQ(done_drops.n, failures + 1);
    EXPECT_EQ(delivered.n, 1U);
    EXPECT_EQ(env_drops.n, 3U + failures + 1);
    EXPECT_EQ(ran.n, 2U);
}

TEST_F(SubmissionTest, OfManyWithoutMemoryForAnythingItNeedsOnlyDrops)
{
    const std::array<void*, 3> envs = {&env, &env, &env};
    std::array<execq_future*, 3> futures{};
    // The list of futures, a place and a worker; more threads are not needed for success.
    const std::uint64_t failures = fail_each_allocation([&](Executor* e) {
        EXPECT_EQ(futures, (std::array<execq_future*, 3>{}));
        return submit_many(e, spec(), 3, envs.data(), futures.data());
    });
    EXPECT_EQ(failures, 3U);
    for (execq_future* future : futures)
        EXPECT_EQ(finish(execq::core::core_of(future)), EXECQ_OK);
    EXPECT_EQ(ran.n, 3U);
    EXPECT_EQ(env_drops.n, 3 * (failures + 1));
}

}  // namespace
