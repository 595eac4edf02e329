// A batch where memory is out for one of its nodes: nothing of it runs, each env is dropped once, and the next try works.
#include <array>
#include <cstdlib>
#include <gtest/gtest.h>

#include "flow/submission.h"
#include "pool.h"

using namespace execq::core;

namespace {

// How many of this thread's still succeed; negative: all.
thread_local int nodes_left = -1;

}  // namespace

// In the place of the system's function where this program itself calls it, as for nodes with an extension.
extern "C" void* __real_aligned_alloc(std::size_t alignment, std::size_t size);
extern "C" void* __wrap_aligned_alloc(std::size_t alignment, std::size_t size)
{
    if (nodes_left == 0)
        return nullptr;
    if (nodes_left > 0)
        --nodes_left;
    return __real_aligned_alloc(alignment, size);
}

namespace {

TEST(BatchMemory, IsAllOrNothingWhicheverNodeIsTheOneTooMany)
{
    constexpr std::size_t n = 3;
    const Pool pool(1);
    Counter ran;
    Counter dropped;
    // Body and drop get the same env.
    struct Both {
        Counter& ran;
        Counter& dropped;
        static std::int32_t body(void* env, void**) { return Counter::body(&static_cast<Both*>(env)->ran, nullptr); }
        static void drop(void* env) { Counter::hit(&static_cast<Both*>(env)->dropped); }
    } both{ran, dropped};
    TaskSpec spec;
    spec.fn = Both::body;
    spec.drop = Both::drop;
    const std::array<void*, n> envs{&both, &both, &both};
    for (const bool with_futures : {true, false}) {
        const std::uint64_t ran_before = ran.n;
        std::array<execq_future*, n> futures{};
        execq_future** out = with_futures ? futures.data() : nullptr;
        for (std::size_t k = 0; k < n; ++k) {
            const std::uint64_t dropped_before = dropped.n;
            nodes_left = static_cast<int>(k);
            EXPECT_EQ(submit_many(pool.get(), spec, n, envs.data(), out), EXECQ_ENOMEM) << k;
            nodes_left = -1;
            EXPECT_EQ(dropped.n, dropped_before + n) << k;
            EXPECT_EQ(futures, (std::array<execq_future*, n>{})) << k;
        }
        EXPECT_EQ(pool.report().queued, 0U);
        EXPECT_EQ(ran.n, ran_before);
        EXPECT_EQ(submit_many(pool.get(), spec, n, envs.data(), out), EXECQ_OK);
        for (execq_future* future : futures) {
            if (with_futures) {
                EXPECT_EQ(finish(core_of(future)), EXECQ_OK);
            }
        }
    }
    pool->close(EXECQ_DRAIN);
    EXPECT_EQ(pool->join(never()), EXECQ_OK);
    EXPECT_EQ(ran.n, 2 * n);
    EXPECT_EQ(dropped.n, 2 * (n * n + n));
}

}  // namespace
