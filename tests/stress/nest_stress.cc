// Waits inside of tasks: on one worker, to random depths, from several threads at once, each level runs once; the waits
// that can never end are told so, each of them, and nothing else is. And blocked tasks: whatever number of them holds its
// thread, others are done before these are let go.
#include <array>
#include <atomic>
#include <gtest/gtest.h>
#include <random>
#include <thread>
#include <vector>

#include "execq/execq.h"
#include "stress.h"
#include "white_box.h"

namespace {

execq_executor* executor = nullptr;

void make_executor(std::uint32_t threads)
{
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = threads;
    ASSERT_EQ(execq_executor_new(&options, &executor), EXECQ_OK);
}

void end_executor()
{
    ASSERT_EQ(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    ASSERT_EQ(execq_executor_join(executor, -1, nullptr), EXECQ_OK);
    execq_executor_release(executor);
}

struct Level {
    int depth = 0;  // of those below
    int sum = 0;    // of all levels from here downwards
    std::atomic<execq_future*> self{nullptr};
    std::atomic<std::uint64_t>* hopeless = nullptr;
};

// 4 KiB of frame a level.
std::int32_t nest(void* env, void**)
{
    auto* level = static_cast<Level*>(env);
    std::array<volatile char, 4096> frame{};
    frame[static_cast<std::size_t>(level->depth) % frame.size()] = 1;
    level->sum = 1;
    if (level->depth != 0) {
        Level below;
        below.depth = level->depth - 1;
        execq_future* future = nullptr;
        CHECK(execq_submit(executor, nest, &below, &future) == EXECQ_OK);
        CHECK(execq_future_wait(future, -1) == EXECQ_OK && execq_future_result(future, nullptr) == EXECQ_OK);
        execq_future_release(future);
        level->sum += below.sum;
    }
    CHECK(frame[static_cast<std::size_t>(level->depth) % frame.size()] == 1);
    return 0;
}

// Four waits that would never end, and one that does.
std::int32_t wait_in_vain(void* env, void**)
{
    auto* level = static_cast<Level*>(env);
    execq_future* self = nullptr;
    while ((self = level->self.load()) == nullptr)
        std::this_thread::yield();
    const std::array<execq_status, 4> answers{execq_future_wait(self, -1),
                                              execq_future_wait_all(&self, 1, 1'000'000'000),
                                              execq_future_wait_any(&self, 1, -1, nullptr), execq_run_until(self, -1)};
    for (const execq_status answer : answers) {
        CHECK(answer == EXECQ_EDEADLK);
        level->hopeless->fetch_add(1);
    }
    Level child;
    child.depth = 1;
    execq_future* future = nullptr;
    CHECK(execq_submit(executor, nest, &child, &future) == EXECQ_OK);
    CHECK(execq_future_wait(future, -1) == EXECQ_OK);
    execq_future_release(future);
    return 0;
}

}  // namespace

TEST(NestStress, EachLevelRunsOnceOnOneWorker)
{
    const std::size_t rounds = stress_n(300, 20);
    make_executor(1);
    std::vector<std::thread> crowd;
    for (unsigned seed = 1; seed <= 3; ++seed) {
        crowd.emplace_back([seed, rounds] {
            std::mt19937 random(seed);
            for (std::size_t round = 0; round < rounds; ++round) {
                Level top;
                top.depth = static_cast<int>(random() % (round % 50 == 0 ? 1000 : 60)) / (sanitized ? 4 : 1);
                execq_future* future = nullptr;
                CHECK(execq_submit(executor, nest, &top, &future) == EXECQ_OK);
                CHECK(execq_future_wait(future, -1) == EXECQ_OK);
                CHECK(execq_future_result(future, nullptr) == EXECQ_OK && top.sum == top.depth + 1);
                execq_future_release(future);
            }
        });
    }
    for (std::thread& one : crowd)
        one.join();
    end_executor();
}

TEST(NestStress, EachHopelessWaitIsToldSoAndNoOther)
{
    const std::size_t rounds = stress_n(3'000, 200);
    std::atomic<std::uint64_t> hopeless{0};
    make_executor(2);
    std::vector<std::thread> crowd;
    for (int i = 0; i < 3; ++i) {
        crowd.emplace_back([&] {
            for (std::size_t round = 0; round < rounds; ++round) {
                Level level;
                level.hopeless = &hopeless;
                execq_future* future = nullptr;
                CHECK(execq_submit(executor, wait_in_vain, &level, &future) == EXECQ_OK);
                level.self = future;
                CHECK(execq_future_wait(future, -1) == EXECQ_OK);
                CHECK(execq_future_result(future, nullptr) == EXECQ_OK);
                execq_future_release(future);
            }
        });
    }
    for (std::thread& one : crowd)
        one.join();
    EXPECT_EQ(hopeless.load(), 3 * rounds * 4);
    end_executor();
}

TEST(BlockStress, OthersAreDoneBeforeBlockedTasksAreLetGo)
{
    constexpr std::size_t others = 50;
    const std::size_t rounds = stress_n(2'000, 100);
    std::mt19937 random(1);
    Counter ran;
    Gate gate;
    make_executor(4);
    for (std::size_t round = 0; round < rounds; ++round) {
        const int blocked = static_cast<int>(random() % 4);
        std::vector<execq_future*> blockers(static_cast<std::size_t>(blocked));
        std::array<execq_future*, others> futures{};
        const std::size_t when = random() % others;
        const bool at_once = random() % 2 == 0;
        const auto block = [&] {
            for (execq_future*& blocker : blockers)
                CHECK(execq_submit(executor, Gate::body, &gate, &blocker) == EXECQ_OK);
        };
        if (at_once)
            block();
        for (std::size_t i = 0; i < others; ++i) {
            CHECK(execq_submit(executor, Counter::body, &ran, &futures[i]) == EXECQ_OK);
            if (!at_once && i == when)
                block();
        }
        ASSERT_EQ(execq_future_wait_all(futures.data(), others, -1), EXECQ_OK);
        gate.await(blocked);
        EXPECT_EQ(ran.n.load(), (round + 1) * others);
        for (execq_future* future : futures)
            execq_future_release(future);
        gate.open(blocked);
        for (execq_future* blocker : blockers) {
            ASSERT_EQ(execq_future_wait(blocker, -1), EXECQ_OK);
            execq_future_release(blocker);
        }
    }
    end_executor();
}
