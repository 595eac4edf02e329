// Hooks, counts and a watchdog while tasks of every kind are submitted, canceled and refused: each task is told once that it is
// submitted and once that it ended, in order, and all counts agree.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include <execq/execq.h>

#include "stress.h"

namespace {

// What each task was told last, by its number; a number stands for one task of a round.
enum class Told : int { nothing, submitted, started, ended };
constexpr std::size_t most_tasks = 1 << 16;
std::array<std::atomic<Told>, most_tasks> tasks;

struct Counts {
    std::atomic<std::uint64_t> submits{0}, starts{0}, runs{0}, bodies{0}, drops{0}, stuck{0}, freed{0};
    std::array<std::atomic<std::uint64_t>, 6> ends{};
};

void step(const execq_task_event& event, Told from, Told to)
{
    CHECK(tasks[event.task % most_tasks].exchange(to) == from);
}

void on_submit(const execq_task_event* event, void* env)
{
    CHECK(tasks[event->task % most_tasks].exchange(Told::submitted) != Told::submitted);
    static_cast<Counts*>(env)->submits.fetch_add(1);
}
void on_start(const execq_task_event* event, void* env)
{
    step(*event, Told::submitted, Told::started);
    static_cast<Counts*>(env)->starts.fetch_add(1);
}
void on_end(const execq_task_event* event, void* env)
{
    auto& counts = *static_cast<Counts*>(env);
    counts.ends.at(event->outcome).fetch_add(1);
    if (event->outcome == EXECQ_ENDED_RUN) {
        step(*event, Told::started, Told::submitted);
        counts.runs.fetch_add(1);
        return;
    }
    const Told before = tasks[event->task % most_tasks].exchange(Told::ended);
    CHECK(before == Told::submitted || before == Told::started);
    // A task that never started did not end well, and one that was refused never started.
    CHECK(event->outcome != EXECQ_ENDED_REFUSED || before == Told::submitted);
    CHECK(event->outcome != EXECQ_ENDED_OK || before == Told::started);
}

std::int32_t body(void* env, void**)
{
    const auto n = static_cast<Counts*>(env)->bodies.fetch_add(1);
    for (std::size_t i = 0; i < n * 37 % 400; ++i)
        asm volatile("");
    return n % 17 == 0 ? -1 : 0;
}
void start(execq_promise* promise, uv_loop_s*, void* env)
{
    const auto n = static_cast<Counts*>(env)->bodies.fetch_add(1);
    if (n % 5 != 0)  // else it is broken
        CHECK(execq_promise_resolve(promise, nullptr) == EXECQ_OK);
    execq_promise_release(promise);
}
void drop(void* env) { static_cast<Counts*>(env)->drops.fetch_add(1); }

struct Round {
    Counts counts;
    execq_executor* executor = nullptr;
    execq_queue* queue = nullptr;
    execq_cq* cq = nullptr;
    std::atomic<std::uint64_t> accepted{0};

    void note(execq_status status, std::uint64_t n = 1)
    {
        CHECK(status == EXECQ_OK || status == EXECQ_ECLOSED || status == EXECQ_EFULL);
        accepted += status == EXECQ_OK ? n : 0;
    }
    void submit_one(std::minstd_rand& random, std::vector<execq_future*>& futures)
    {
        execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
        options.drop = random() % 2 == 0 ? drop : nullptr;
        execq_future* future = nullptr;
        std::array<void*, 3> envs{&counts, &counts, &counts};
        switch (random() % 9) {
        case 0:
            note(execq_submit(executor, body, &counts, nullptr));
            break;
        case 1:
            note(execq_submit(executor, body, &counts, &future));
            break;
        case 2:
            note(execq_submit_many(executor, &options, envs.size(), body, envs.data(), nullptr), envs.size());
            break;
        case 3:
            note(execq_submit_to_cq(executor, &options, body, &counts, cq, nullptr));
            break;
        case 4:
            note(execq_submit_async(executor, &options, start, &counts, &future));
            break;
        case 5:
            options.queue = queue;
            note(execq_submit_with(nullptr, &options, body, &counts, &future));
            break;
        case 6:
            options.delay_ns = static_cast<std::int64_t>(random() % 200'000);
            note(execq_submit_with(executor, &options, body, &counts, &future));
            break;
        case 7:
            options.timeout_ns = static_cast<std::int64_t>(random() % 200'000) + 1;
            note(execq_submit_with(executor, &options, body, &counts, &future));
            break;
        default:
            note(execq_submit_periodic(executor, &options, 50'000, EXECQ_FIXED_DELAY, body, &counts, &future));
        }
        if (future != nullptr)
            futures.push_back(future);
        if (futures.size() > 8 || (!futures.empty() && random() % 3 == 0)) {
            (void)execq_future_cancel(futures.back());
            execq_future_release(futures.back());
            futures.pop_back();
        }
    }
    void produce(std::size_t seed, std::size_t n)
    {
        std::minstd_rand random(static_cast<unsigned>(seed));
        std::vector<execq_future*> futures;
        for (std::size_t i = 0; i < n; ++i)
            submit_one(random, futures);
        for (execq_future* future : futures) {
            (void)execq_future_cancel(future);
            execq_future_release(future);
        }
    }
    void open(std::size_t seed)
    {
        execq_hooks hooks = EXECQ_HOOKS_INIT;
        hooks.env = &counts;
        hooks.drop = [](void* env) { static_cast<Counts*>(env)->freed.fetch_add(1); };
        hooks.on_submit = on_submit;
        hooks.on_start = on_start;
        hooks.on_end = on_end;
        execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
        options.max_threads = 1 + static_cast<std::uint32_t>(seed % 3);
        options.flags = EXECQ_EXECUTOR_TIMES;
        options.hooks = &hooks;
        options.stuck_after_ns = 1'000'000;
        options.on_stuck = [](const execq_stuck_info*, void* env) { static_cast<Counts*>(env)->stuck.fetch_add(1); };
        options.stuck_env = &counts;
        options.stuck_drop = hooks.drop;
        if (seed % 4 == 3) {
            options.capacity = 16;
            options.full_policy = seed % 8 == 3 ? EXECQ_FULL_CALLER_RUNS : EXECQ_FULL_REJECT;
        }
        ASSERT_EQ(execq_executor_new(&options, &executor), EXECQ_OK);
        execq_queue_options in_turn = EXECQ_QUEUE_OPTIONS_INIT;
        ASSERT_EQ(execq_queue_new(executor, &in_turn, &queue), EXECQ_OK);
        ASSERT_EQ(execq_cq_new(&cq), EXECQ_OK);
    }
    void close()
    {
        execq_queue_release(queue);
        ASSERT_EQ(execq_executor_join(executor, -1, nullptr), EXECQ_OK);
        ASSERT_EQ(execq_cq_close(cq, nullptr), EXECQ_OK);
        execq_cq_release(cq);
    }
    void check() const
    {
        execq_stats stats = EXECQ_STATS_INIT;
        ASSERT_EQ(execq_executor_stats(executor, &stats), EXECQ_OK);
        const auto ended = [this](int outcome) { return counts.ends[static_cast<std::size_t>(outcome)].load(); };
        EXPECT_EQ(counts.submits - ended(EXECQ_ENDED_REFUSED), accepted);
        EXPECT_EQ(ended(EXECQ_ENDED_OK) + ended(EXECQ_ENDED_FAILED) + ended(EXECQ_ENDED_CANCELED), accepted);
        EXPECT_EQ(counts.starts, counts.bodies);
        EXPECT_EQ(stats.submitted, accepted);
        EXPECT_EQ(stats.started, counts.starts);
        EXPECT_EQ(stats.completed_ok, ended(EXECQ_ENDED_OK));
        EXPECT_EQ(stats.completed_failed, ended(EXECQ_ENDED_FAILED));
        EXPECT_EQ(stats.completed_canceled, ended(EXECQ_ENDED_CANCELED));
        EXPECT_EQ(stats.queue_latency.count, counts.starts);
        EXPECT_EQ(stats.run_time.count, counts.starts);
    }
};

TEST(ObserveStress, EachTaskIsToldOnceAndAllCountsAgree)
{
    execq_conf conf = EXECQ_CONF_INIT;
    conf.flags = EXECQ_CONF_IGNORE_UNOBSERVED;
    ASSERT_EQ(execq_init_conf(&conf), EXECQ_OK);
    const std::size_t rounds = stress_n(200, 40);
    for (std::size_t seed = 0; seed < rounds; ++seed) {
        auto round = std::make_unique<Round>();
        round->open(seed);
        constexpr std::size_t each = 300;
        std::thread other([&] { round->produce(seed * 2 + 1, each); });
        round->produce(seed * 2 + 2, each / (1 + seed % 3));
        if (seed % 2 == 0)
            other.join();
        ASSERT_EQ(execq_executor_close(round->executor, seed % 3 == 0 ? EXECQ_CANCEL : EXECQ_DRAIN), EXECQ_OK);
        if (seed % 2 != 0)
            other.join();
        round->close();
        round->check();
        execq_executor_release(round->executor);
        // The watchdog gives up what it has when it gets to it.
        while (round->counts.freed != 2)
            std::this_thread::yield();
        if (HasFailure())
            break;
    }
}

}  // namespace
