// An executor that is resized at random while tasks are submitted to it: each runs once, and whenever all is quiet it has no
// more threads than it may.
#include <atomic>
#include <gtest/gtest.h>
#include <random>
#include <thread>
#include <vector>

#include "pool.h"
#include "stress.h"

using namespace execq::core;

namespace {

constexpr std::uint32_t most = 40;

struct Ran {
    std::vector<std::atomic<std::uint8_t>> times;
    explicit Ran(std::size_t n) : times(n) {}
};

std::int32_t hit(void* env, void**)
{
    static_cast<std::atomic<std::uint8_t>*>(env)->fetch_add(1, std::memory_order_relaxed);
    return 0;
}

// Blocks now and then, or submits another one from inside.
struct Inside {
    Executor* executor;
    std::atomic<std::uint8_t>* own;
    std::atomic<std::uint8_t>* other;
};

std::int32_t hit_and_submit(void* env, void**)
{
    auto& inside = *static_cast<Inside*>(env);
    Executor::begin_blocking(*Worker::current());
    inside.own->fetch_add(1, std::memory_order_relaxed);
    CHECK(inside.executor->submit(Item(hit, inside.other)) == EXECQ_OK);
    Executor::end_blocking(*Worker::current());
    return 0;
}

void submit_all(Executor& executor, Ran& ran, std::vector<Inside>& insides, std::size_t from, std::size_t to)
{
    for (std::size_t i = from; i < to; i += 2) {
        insides[i / 2] = {&executor, &ran.times[i], &ran.times[i + 1]};
        if (i % 6 == 0) {
            CHECK(executor.submit(Item(hit_and_submit, &insides[i / 2])) == EXECQ_OK);
        } else {
            CHECK(executor.submit(Item(hit, &ran.times[i])) == EXECQ_OK);
            CHECK(executor.submit(Item(hit, &ran.times[i + 1])) == EXECQ_OK);
        }
    }
}

void round(std::uint32_t seed, std::size_t tasks)
{
    constexpr std::size_t producers = 3;
    Pool pool(ExecutorSpec{nullptr, 1 + seed % 4, 0, seed % 2 == 0 ? -1 : 0});
    Ran ran(tasks * producers);
    std::vector<Inside> insides(tasks * producers / 2);
    std::atomic<bool> over{false};
    std::thread resizer([&] {
        std::mt19937 random(seed);
        while (!over.load(std::memory_order_acquire)) {
            const std::uint32_t max = 1 + random() % most;
            CHECK(pool->resize(random() % (max + 1), max) == EXECQ_OK);
            spin(random() % 2000);
        }
    });
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < producers; ++i)
        threads.emplace_back([&, i] { submit_all(*pool.get(), ran, insides, i * tasks, (i + 1) * tasks); });
    for (std::thread& thread : threads)
        thread.join();
    over.store(true, std::memory_order_release);
    resizer.join();
    for (const auto& times : ran.times) {
        while (times.load(std::memory_order_relaxed) == 0)
            std::this_thread::yield();
    }
    // Quiet: it comes down to what it may have, whatever it had.
    for (const std::uint32_t max : {most, 5U, 1U}) {
        CHECK(pool->resize(0, max) == EXECQ_OK);
        while (pool.threads() > max)
            std::this_thread::yield();
    }
    for (const auto& times : ran.times)
        CHECK(times.load(std::memory_order_relaxed) == 1);
}

TEST(Resize, each_task_runs_once_and_threads_stay_within_the_bounds)
{
    const std::size_t rounds = stress_n(40, 6);
    for (std::uint32_t seed = 0; seed < rounds; ++seed)
        round(seed, stress_n(12'000, 1'200));
}

}  // namespace
