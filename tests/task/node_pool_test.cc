#include "task/node_pool.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fstream>
#include <gtest/gtest.h>
#include <pthread.h>
#include <random>
#include <string>
#include <sys/mman.h>
#include <thread>
#include <vector>

#ifdef EXECQ_POOL_ASAN
#include <sanitizer/lsan_interface.h>
#endif

using namespace execq::core;

// ThreadSanitizer needs its own mmap() before it has started. What is tested by these is a single thread's matter.
#ifndef __SANITIZE_THREAD__
#define CAN_REFUSE_MAPPINGS 1

namespace {

std::atomic<bool> refuse_to_map;
std::atomic<bool> refuse_to_unmap;

bool is_for_slabs(std::size_t size) { return size == node_pool::slab_size || size == 2 * node_pool::slab_size; }

}  // namespace

// These stand before the system's functions of those names, for the pool too.
extern "C" void* mmap(void* address, std::size_t size, int protection, int flags, int file, off_t offset) noexcept
{
    static const auto original = reinterpret_cast<decltype(&mmap)>(dlsym(RTLD_NEXT, "mmap"));
    if (is_for_slabs(size) && refuse_to_map.load()) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return original(address, size, protection, flags, file, offset);
}

extern "C" int munmap(void* address, std::size_t size) noexcept
{
    static const auto original = reinterpret_cast<decltype(&munmap)>(dlsym(RTLD_NEXT, "munmap"));
    if (is_for_slabs(size) && refuse_to_unmap.load()) {
        errno = ENOMEM;
        return -1;
    }
    return original(address, size);
}

#endif

namespace {

using Lines = std::vector<void*>;

std::uintptr_t address_of(const void* line) { return reinterpret_cast<std::uintptr_t>(line); }
std::uintptr_t slab_of(const void* line) { return address_of(line) & ~(node_pool::slab_size - 1); }

void trim_all()
{
    while (node_pool::trim()) {
    }
}

Lines allocate(std::size_t n)
{
    Lines lines(n);
    for (void*& line : lines)
        line = node_pool::allocate();
    EXPECT_EQ(std::count(lines.begin(), lines.end(), nullptr), 0);
    return lines;
}

void free_all(const Lines& lines)
{
    for (void* line : lines)
        node_pool::free(line);
}

void shuffle(Lines& lines)
{
    std::minstd_rand random(1);
    std::shuffle(lines.begin(), lines.end(), random);
}

bool ascend_without_gaps(const Lines& lines)
{
    return std::adjacent_find(lines.begin(), lines.end(), [](void* a, void* b) {
               return address_of(b) != address_of(a) + node_pool::line_size;
           }) == lines.end();
}

// Before and after each test no line is out of its slab.
class NodePool : public ::testing::Test {
protected:
    void SetUp() override { expect_all_back(); }
    void TearDown() override { expect_all_back(); }

private:
    static void expect_all_back()
    {
        trim_all();
        EXPECT_EQ(node_pool::usage().lines, 0U);
        EXPECT_LE(node_pool::usage().slabs, node_pool::reserve_slabs);
    }
};

// ---- lines ----

TEST_F(NodePool, GivesCacheLinesThatAreDistinct)
{
    const Lines lines = allocate(5000);
    for (std::size_t i = 0; i < lines.size(); ++i) {
        ASSERT_EQ(address_of(lines[i]) % node_pool::line_size, 0U);
        std::memset(lines[i], static_cast<int>(i % 251), node_pool::line_size);
    }
    for (std::size_t i = 0; i < lines.size(); ++i) {
        const auto* bytes = static_cast<const unsigned char*>(lines[i]);
        ASSERT_EQ(std::count(bytes, bytes + node_pool::line_size, i % 251), 64) << "line " << i << " was written to";
    }
    Lines sorted = lines;
    std::sort(sorted.begin(), sorted.end());
    EXPECT_EQ(std::unique(sorted.begin(), sorted.end()), sorted.end());
    free_all(lines);
}

TEST_F(NodePool, GivesTheLineFirstThatWasFreedLast)
{
    const Lines lines = allocate(3);
    free_all(lines);
    for (std::size_t i = lines.size(); i-- != 0;)
        EXPECT_EQ(node_pool::allocate(), lines[i]);
    free_all(lines);
}

TEST_F(NodePool, GivesAscendingLinesFromAFreshSlab)
{
    const Lines lines = allocate(node_pool::lines_per_slab);
    EXPECT_TRUE(ascend_without_gaps(lines));
    EXPECT_EQ(slab_of(lines.front()), slab_of(lines.back()));
    free_all(lines);
}

TEST_F(NodePool, GivesAscendingLinesAgainAfterTheyCameBackInAnyOrder)
{
    Lines lines = allocate(node_pool::lines_per_slab);
    void* kept = lines.back();  // keeps the slab in use
    lines.pop_back();
    shuffle(lines);
    free_all(lines);
    trim_all();
    const Lines again = allocate(lines.size());
    EXPECT_TRUE(ascend_without_gaps(again));
    EXPECT_EQ(slab_of(again.front()), slab_of(kept));
    free_all(again);
    node_pool::free(kept);
}

TEST_F(NodePool, FillsTheFullestSlabFirst)
{
    constexpr std::size_t n = node_pool::lines_per_slab;
    constexpr std::array<std::size_t, 3> kept_of = {10, 900, 500};
    const Lines lines = allocate(kept_of.size() * n);
    Lines kept;
    for (std::size_t i = 0; i < lines.size(); ++i) {
        if (i % n < kept_of[i / n])
            kept.push_back(lines[i]);
        else
            node_pool::free(lines[i]);
    }
    trim_all();
    const Lines next = allocate(n - kept_of[1]);
    for (const void* line : next)
        EXPECT_EQ(slab_of(line), slab_of(lines[n]));
    free_all(next);
    free_all(kept);
}

TEST_F(NodePool, GivesAscendingLinesAgainAfterSomeCameBackInAnyOrder)
{
    constexpr std::size_t n = 4 * node_pool::lines_per_slab;
    std::minstd_rand random(3);
    Lines held;
    for (int round = 0; round < 40; ++round) {
        const Lines lines = allocate(n - held.size());
        held.insert(held.end(), lines.begin(), lines.end());
        Lines sorted = held;
        std::sort(sorted.begin(), sorted.end());
        ASSERT_EQ(std::unique(sorted.begin(), sorted.end()), sorted.end());
        for (void* line : held)
            std::memset(line, 0xa5, node_pool::line_size);
        std::shuffle(held.begin(), held.end(), random);
        const std::size_t kept = random() % n;
        free_all(Lines(held.begin() + static_cast<std::ptrdiff_t>(kept), held.end()));
        held.resize(kept);
        trim_all();
        ASSERT_EQ(node_pool::usage().lines, kept);
        // From one slab after the other, in each of them upwards.
        const Lines next = allocate(node_pool::chain_length);
        for (std::size_t i = 1; i < next.size(); ++i)
            ASSERT_TRUE(slab_of(next[i]) != slab_of(next[i - 1]) || address_of(next[i]) > address_of(next[i - 1]));
        held.insert(held.end(), next.begin(), next.end());
    }
    free_all(held);
}

static_assert(static_cast<double>(node_pool::slab_size) / node_pool::lines_per_slab < 64.07, "a line has its price");

#if !defined(EXECQ_POOL_ASAN) && !defined(__SANITIZE_THREAD__)  // which have memory of their own for each line
// By the page tables: the counters that other files show are inexact.
std::size_t resident_bytes()
{
    std::ifstream file("/proc/self/smaps_rollup");
    std::string word;
    std::size_t kibibytes = 0;
    while (word != "Rss:" && file >> word) {
    }
    file >> kibibytes;
    return kibibytes * 1024;
}

TEST_F(NodePool, TouchesNoMemoryBeyondTheLinesItGaveAndALineOfEachSlab)
{
    constexpr std::size_t n = 2'000 * node_pool::lines_per_slab + 100;
    const Lines reserve = allocate(node_pool::reserve_slabs * node_pool::lines_per_slab);
    Lines lines(n, this);
    const std::size_t before = resident_bytes();
    for (void*& line : lines)
        line = node_pool::allocate();
    const std::size_t grown = resident_bytes() - before;
    EXPECT_GE(grown, n * node_pool::line_size);
    EXPECT_LE(grown, (n + 2'001 + node_pool::chain_length) * node_pool::line_size + 10 * 4096);
    free_all(lines);
    free_all(reserve);
}
#endif

// ---- giving back ----

TEST_F(NodePool, GivesAMillionLinesBackDownToTheReserve)
{
    constexpr std::size_t n = 1'000'000;
    Lines lines = allocate(n);
    EXPECT_GE(node_pool::usage().slabs, n / node_pool::lines_per_slab);
    EXPECT_GE(node_pool::usage().lines, n);
    shuffle(lines);
    free_all(lines);
    EXPECT_GE(node_pool::usage().slabs, n / node_pool::lines_per_slab) << "only trim() unmaps";
    trim_all();
    EXPECT_EQ(node_pool::usage().slabs, node_pool::reserve_slabs);
    EXPECT_EQ(node_pool::usage().lines, 0U);
}

TEST_F(NodePool, KeepsASlabInWhichALineIsInUse)
{
    constexpr std::size_t slabs = 3 * node_pool::reserve_slabs;
    Lines lines = allocate(slabs * node_pool::lines_per_slab);
    Lines kept;
    for (std::size_t i = 0; i < slabs; ++i)
        kept.push_back(std::exchange(lines[i * node_pool::lines_per_slab], nullptr));
    lines.erase(std::remove(lines.begin(), lines.end(), nullptr), lines.end());
    for (void* line : kept)
        std::memset(line, 7, node_pool::line_size);
    free_all(lines);
    trim_all();
    EXPECT_GE(node_pool::usage().slabs, slabs);
    EXPECT_EQ(node_pool::usage().lines, slabs);
    for (const void* line : kept)
        EXPECT_EQ(*static_cast<const unsigned char*>(line), 7);
    free_all(kept);
}

// It may be long until a worker trims again.
TEST_F(NodePool, KeepsNothingThatIsFreedOnceAllIsTrimmed)
{
    constexpr std::size_t n = 100'000;
    Lines lines = allocate(n);
    trim_all();
    free_all(lines);
    EXPECT_LE(node_pool::usage().slabs, node_pool::reserve_slabs + 2);  // these have what this thread caches
    lines = allocate(n);
    shuffle(lines);
    trim_all();
    std::thread([&] { free_all(lines); }).join();  // nor does a thread that ends cache anything
    EXPECT_EQ(node_pool::usage().slabs, node_pool::reserve_slabs);
    EXPECT_EQ(node_pool::usage().lines, 0U);
}

TEST_F(NodePool, KeepsWhatWasTakenSinceAllWasTrimmed)
{
    constexpr std::size_t n = 100'000;
    const Lines old = allocate(n);
    trim_all();
    const Lines fresh = allocate(n);
    const std::size_t slabs = node_pool::usage().slabs;
    free_all(fresh);
    EXPECT_EQ(node_pool::usage().slabs, slabs) << "only trim() unmaps";
    free_all(allocate(n));
    free_all(old);
}

TEST_F(NodePool, TrimsTheCacheOfTheThreadThatAsks)
{
    EXPECT_FALSE(node_pool::trim());
    node_pool::free(node_pool::allocate());
    EXPECT_EQ(node_pool::usage().lines, node_pool::chain_length);
    EXPECT_TRUE(node_pool::trim());
    EXPECT_EQ(node_pool::usage().lines, 0U);
    EXPECT_FALSE(node_pool::trim());
}

TEST_F(NodePool, CachesTwoChainsAtMost)
{
    const Lines lines = allocate(20 * node_pool::chain_length);
    free_all(lines);
    EXPECT_EQ(node_pool::usage().lines, 2 * node_pool::chain_length);
}

TEST_F(NodePool, LivesOnItsCacheAtTheBorderOfAChain)
{
    constexpr std::size_t n = 2 * node_pool::chain_length;
    for (int round = 0; round < 3; ++round) {
        const Lines lines = allocate(n);
        EXPECT_EQ(node_pool::usage().lines, n) << "lines came from the depot while some were cached";
        free_all(lines);
        EXPECT_EQ(node_pool::usage().lines, n) << "lines went to the depot while the cache had room";
    }
}

// ---- threads ----

// Blocks of lines on their way from one thread to another, a bounded number.
class Pipe {
public:
    static constexpr std::size_t block_size = 256;
    static constexpr std::size_t blocks = 16;

    // fill(block) or drain(block), for n blocks.
    template <class Fill>
    void send(std::size_t n, const Fill& fill)
    {
        for (std::size_t i = 0; i < n; ++i) {
            for (std::size_t taken = taken_.load(); i - taken == blocks; taken = taken_.load())
                taken_.wait(taken);
            fill(ring_[i % blocks]);
            sent_.store(i + 1);
            sent_.notify_one();
        }
    }
    template <class Drain>
    void receive(std::size_t n, const Drain& drain)
    {
        for (std::size_t i = 0; i < n; ++i) {
            sent_.wait(i);
            drain(ring_[i % blocks]);
            taken_.store(i + 1);
            taken_.notify_one();
        }
    }

private:
    std::array<std::array<void*, block_size>, blocks> ring_{};
    std::atomic<std::size_t> sent_{0};
    std::atomic<std::size_t> taken_{0};
};

TEST_F(NodePool, ReusesTheMemoryThatAnotherThreadFreed)
{
    constexpr std::size_t lines = 10'000'000;
    constexpr std::size_t n = lines / Pipe::block_size;
    // What is in the pipe, in both caches and on its way between two lists.
    constexpr std::size_t most = Pipe::block_size * Pipe::blocks + 6 * node_pool::chain_length;
    const std::size_t slabs = std::max(node_pool::usage().slabs, most / node_pool::lines_per_slab + 1);
    Pipe pipe;
    std::thread consumer([&] {
        std::uintptr_t next = 0;
        pipe.receive(n, [&](auto& block) {
            for (void* line : block) {
                EXPECT_EQ(*static_cast<std::uintptr_t*>(line), next);
                ++next;
                node_pool::free(line);
            }
        });
    });
    std::uintptr_t next = 0;
    pipe.send(n, [&](auto& block) {
        for (void*& line : block) {
            line = node_pool::allocate();
            *static_cast<std::uintptr_t*>(line) = next++;
        }
    });
    consumer.join();
    EXPECT_LE(node_pool::usage().slabs, slabs);
}

TEST_F(NodePool, GetsTheCacheOfAThreadThatEnds)
{
    std::size_t cached = 0;
    std::thread([&] {
        free_all(allocate(20 * node_pool::chain_length + 5));
        cached = node_pool::usage().lines;
    }).join();
    EXPECT_GE(cached, node_pool::chain_length);
    EXPECT_EQ(node_pool::usage().lines, 0U);
}

TEST_F(NodePool, TakesALineFromADestructorOfAThreadLocal)
{
    struct Holder {
        void* line = nullptr;
        ~Holder()
        {
            node_pool::free(line);
            node_pool::free(node_pool::allocate());
        }
    };
    std::thread([] {
        thread_local Holder holder;  // made before the cache's first use
        holder.line = node_pool::allocate();
    }).join();
    EXPECT_EQ(node_pool::usage().lines, 0U);
}

// Runs as the destructor of a key that is younger than the pool's, hence after it.
void free_late(void* line)
{
    EXPECT_EQ(this_thread.cache.life, node_pool::Cache::Life::over);
    void* other = node_pool::allocate();
    EXPECT_NE(other, nullptr);
    EXPECT_NE(other, line);
    std::memset(other, 1, node_pool::line_size);
    EXPECT_EQ(node_pool::usage().lines, 2U) << "nothing is cached any more";
    node_pool::free(line);
    node_pool::free(other);
    EXPECT_EQ(node_pool::usage().lines, 0U);
}

TEST_F(NodePool, ServesAThreadThatHasGivenItsCacheBack)
{
    node_pool::free(node_pool::allocate());  // makes the pool's key
    trim_all();
    static std::atomic<int> runs{0};
    pthread_key_t key{};
    ASSERT_EQ(pthread_key_create(&key,
                                 [](void* line) {
                                     free_late(line);
                                     ++runs;
                                 }),
              0);
    std::thread([key] { pthread_setspecific(key, node_pool::allocate()); }).join();
    pthread_key_delete(key);
    EXPECT_EQ(runs, 1);
}

// ---- scarcity ----

#ifdef CAN_REFUSE_MAPPINGS
TEST_F(NodePool, HasNoLineWhereMemoryIsOutAndHasOneLater)
{
    Lines lines = allocate(1);  // there is a slab, in whatever order the tests run
    refuse_to_map = true;
    while (void* line = node_pool::allocate())
        lines.push_back(line);
    EXPECT_EQ(lines.size(), node_pool::usage().slabs * node_pool::lines_per_slab) << "not every line was used";
    EXPECT_EQ(node_pool::allocate(), nullptr);
    node_pool::free(lines.back());
    EXPECT_EQ(node_pool::allocate(), lines.back());
    refuse_to_map = false;
    lines.push_back(node_pool::allocate());
    EXPECT_NE(lines.back(), nullptr);
    free_all(lines);
}

TEST_F(NodePool, MakesNoChainOfFewerLines)
{
    constexpr std::size_t n = node_pool::reserve_slabs * node_pool::lines_per_slab;
    static_assert(n % node_pool::chain_length > 5, "the last lines are fewer than a chain");
    free_all(allocate(n));
    trim_all();
    refuse_to_map = true;
    const Lines lines = allocate(n - 5);
    EXPECT_EQ(node_pool::usage().lines, n);
    free_all(lines);
    refuse_to_map = false;
    // All other lines are in chains, each of which counts in full.
    const std::size_t spare = this_thread.cache.spare != nullptr ? node_pool::chain_length : 0;
    EXPECT_EQ(node_pool::usage().lines, node_pool::chain_length - this_thread.cache.room + spare);
}

TEST_F(NodePool, KeepsWhatTheSystemDoesNotTakeBack)
{
    constexpr std::size_t slabs = 2 * node_pool::reserve_slabs;
    const Lines lines = allocate(slabs * node_pool::lines_per_slab);
    const std::size_t mapped = node_pool::usage().slabs;
    EXPECT_GE(mapped, slabs);
    free_all(lines);
    refuse_to_unmap = true;
    trim_all();
    EXPECT_GT(node_pool::usage().slabs, node_pool::reserve_slabs);
    EXPECT_EQ(node_pool::usage().slabs, mapped) << "a slab was lost";
    free_all(allocate(slabs * node_pool::lines_per_slab));
    EXPECT_EQ(node_pool::usage().slabs, mapped) << "a slab that was kept is not used";
    refuse_to_unmap = false;
}
#endif

// ---- AddressSanitizer ----

#ifdef EXECQ_POOL_ASAN
using NodePoolDeathTest = NodePool;

TEST_F(NodePoolDeathTest, HasAddressSanitizerReportTheUseOfAFreeLine)
{
    for (std::size_t at = 0; at < node_pool::Line::poisoned_size; ++at) {
        auto* line = static_cast<volatile unsigned char*>(node_pool::allocate());
        node_pool::free(const_cast<unsigned char*>(line));
        EXPECT_TRUE(__asan_address_is_poisoned(const_cast<unsigned char*>(line) + at));
    }
    auto* line = static_cast<volatile unsigned char*>(node_pool::allocate());
    node_pool::free(const_cast<unsigned char*>(line));
    EXPECT_DEATH(line[0] = 1, "use-after-poison");
    EXPECT_DEATH(node_pool::free(const_cast<unsigned char*>(line)), "use-after-poison");
}

TEST_F(NodePoolDeathTest, UnpoisonsALineWhereverItComesFrom)
{
    for (int round = 0; round < 2; ++round) {
        const Lines lines = allocate(3 * node_pool::lines_per_slab);
        for (void* line : lines)
            EXPECT_EQ(__asan_region_is_poisoned(line, node_pool::line_size), nullptr);
        free_all(lines);
        for (void* line : lines)
            EXPECT_TRUE(__asan_address_is_poisoned(line));
        trim_all();
    }
}

TEST_F(NodePoolDeathTest, LeavesACleanShadowWhereASlabWas)
{
    constexpr std::size_t slabs = 3 * node_pool::reserve_slabs;
    const Lines lines = allocate(slabs * node_pool::lines_per_slab);
    free_all(lines);
    trim_all();
    std::size_t clean = 0;
    for (std::size_t i = 0; i < slabs; ++i) {
        auto* slab = reinterpret_cast<void*>(slab_of(lines[i * node_pool::lines_per_slab]));
        clean += __asan_region_is_poisoned(slab, node_pool::slab_size) == nullptr ? 1 : 0;
    }
    EXPECT_GE(clean, slabs - node_pool::reserve_slabs);
}

// Allocations of the user's that only the lines know.
[[gnu::noinline]] void hang_on(const Lines& lines)
{
    for (void* line : lines)
        *static_cast<void**>(line) = std::malloc(10);
}

TEST_F(NodePoolDeathTest, HidesNoLeakAndInventsNone)
{
    const auto leaks_after = [](bool freed) {
        const Lines lines = allocate(500);
        hang_on(lines);
        if (freed)
            free_all(lines);
        std::_Exit(__lsan_do_recoverable_leak_check() != 0 ? 1 : 0);
    };
    EXPECT_EXIT(leaks_after(false), ::testing::ExitedWithCode(0), "");
    EXPECT_EXIT(leaks_after(true), ::testing::ExitedWithCode(1), "detected memory leaks");
}

// Maps something else where a slab was; null if all slabs are still there.
void* map_where_a_slab_was(const Lines& lines)
{
    for (void* line : lines) {
        void* memory = mmap(reinterpret_cast<void*>(slab_of(line)), node_pool::slab_size, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        if (memory != MAP_FAILED)
            return memory;
    }
    return nullptr;
}

TEST_F(NodePoolDeathTest, LeavesNoRootOfLeaksWhereASlabWas)
{
    const auto leaks_there = [] {
        const Lines lines = allocate(3 * node_pool::reserve_slabs * node_pool::lines_per_slab);
        free_all(lines);
        trim_all();
        auto* others = static_cast<char*>(map_where_a_slab_was(lines));
        if (others == nullptr)
            std::_Exit(2);
        for (std::size_t i = 0; i < 500; ++i)
            hang_on({others + i * node_pool::line_size});
        std::_Exit(__lsan_do_recoverable_leak_check() != 0 ? 1 : 0);
    };
    EXPECT_EXIT(leaks_there(), ::testing::ExitedWithCode(1), "detected memory leaks");
}
#endif

}  // namespace
