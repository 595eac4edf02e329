#include "base/asymmetric.h"

#include <array>
#include <atomic>
#include <gtest/gtest.h>

#include "white_box.h"

using namespace execq::core;

namespace {

// Each thread stores its own word, passes a fence, and loads the others'.
template <unsigned threads>
struct Words {
    std::array<std::atomic<int>, threads> stored{};
    std::array<std::array<int, threads>, threads> seen{};

    void reset()
    {
        for (std::atomic<int>& word : stored)
            word.store(0, std::memory_order_relaxed);
    }
    void act(unsigned role)
    {
        stored[role].store(1, std::memory_order_relaxed);
        if (role == 0)
            AsymmetricFence::heavy();
        else
            AsymmetricFence::light();
        for (unsigned other = 0; other < threads; ++other)
            seen[role][other] = stored[other].load(std::memory_order_relaxed);
    }
    bool blind(unsigned one, unsigned other) const { return seen[one][other] == 0 && seen[other][one] == 0; }
};

TEST(AsymmetricFence, KeepsOneOfTwoThreadsFromMissingTheOther)
{
    Words<2> words;
    race_rounds(
        2, sanitized ? 10'000 : 100'000, [&](std::size_t) { words.reset(); },
        [&](unsigned role, std::size_t) { words.act(role); }, [&](std::size_t) { ASSERT_FALSE(words.blind(0, 1)); });
}

TEST(AsymmetricFence, PairsAHeavyFenceWithEachOfTwoLightOnes)
{
    Words<3> words;
    race_rounds(
        3, sanitized ? 3'000 : 10'000, [&](std::size_t) { words.reset(); },
        [&](unsigned role, std::size_t) { words.act(role); },
        [&](std::size_t) {
            ASSERT_FALSE(words.blind(0, 1));
            ASSERT_FALSE(words.blind(0, 2));
        });
}

}  // namespace
