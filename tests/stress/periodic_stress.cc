// Series of runs while others cancel them, their time is up and their executor closes: no two runs of one at a time, none
// after its end, each ends once, each drop runs once, no timer is left.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "flow/submission.h"
#include "pool.h"
#include "sched/timekeeper.h"
#include "task/cancel.h"

namespace execq::core {
namespace {

constexpr std::int64_t us = 1'000;
constexpr std::int64_t ms = 1'000'000;

void await_no_timers()
{
    while (Timekeeper::get().usage().timers != 0)
        std::this_thread::yield();
    EXPECT_EQ(Timekeeper::get().usage().scheduled, 0U);
}

struct Series {
    std::atomic<int> inside{0};
    std::atomic<int> drops{0};
    std::atomic<int> done{0};
    std::atomic<int> prevented{0};  // cancelers that were told that no run is under way, and none will come
    std::size_t runs = 0;           // by one run after the other, with nothing else to order them
    std::size_t fails_at = ~std::size_t{0};
    Node* node = nullptr;

    static std::int32_t body(void* env, void**)
    {
        auto& self = *static_cast<Series*>(env);
        CHECK(self.inside.fetch_add(1) == 0);
        CHECK(self.drops == 0 && self.prevented == 0);
        const std::size_t run = self.runs++;
        spin(run * 37 % 400);
        CHECK(self.inside.fetch_sub(1) == 1);
        return run == self.fails_at ? 3 : 0;
    }
    static void drop(void* env)
    {
        auto& self = *static_cast<Series*>(env);
        CHECK(self.inside == 0 && self.done == 0);
        ++self.drops;
    }
    static void on_done(execq_future*, void* env)
    {
        auto& self = *static_cast<Series*>(env);
        CHECK(self.inside == 0 && self.drops == 1);
        ++self.done;
    }

    TaskSpec spec(std::int64_t due_ns, std::int64_t period_ns, bool fixed_delay)
    {
        TaskSpec made;
        made.fn = body;
        made.drop = drop;
        made.env = this;
        made.times.due_ns = due_ns;
        made.times.period_ns = period_ns;
        made.times.fixed_delay = fixed_delay;
        return made;
    }
    // False: refused.
    bool begin(Executor& executor, const TaskSpec& made)
    {
        execq_future* future = nullptr;
        const execq_status status = submit(&executor, made, &future);
        CHECK(status == EXECQ_OK || status == EXECQ_ECLOSED);
        if (status != EXECQ_OK)
            return false;
        node = core_of(future);
        CHECK(node->register_completion({on_done, this, nullptr, nullptr}) == EXECQ_OK);
        return true;
    }
    void try_cancel()
    {
        if (cancel(*node, EXECQ_REASON_CALLER) == EXECQ_OK)
            CHECK(prevented.fetch_add(1) == 0);
    }
    // Waits for its end; answers how it ended.
    Phase await_end()
    {
        CHECK(block_on(*node, never()) == EXECQ_OK);
        const Phase phase = node->phase();
        while (done == 0)
            std::this_thread::yield();
        CHECK(done == 1 && drops == 1 && inside == 0);
        CHECK(prevented == 0 || phase == Phase::canceled);
        node->release();
        return phase;
    }
};

// Two cancel, at the moment when a run is due, is handed in, runs or ends.
TEST(PeriodicStress, cancellations_against_ticks)
{
    const std::size_t rounds = stress_n(4'000, 400);
    constexpr std::size_t n = 4;
    Pool pool(2);
    std::array<std::unique_ptr<Series>, n> series;
    std::int64_t tick = 0;
    std::size_t prevented = 0;
    std::size_t runs = 0;
    race_rounds(
        3, rounds,
        [&](std::size_t) {
            tick = now_ns() + 2 * ms;
            for (std::size_t i = 0; i < n; ++i) {
                series[i] = std::make_unique<Series>();
                // Most have had a run before.
                CHECK(series[i]->begin(*pool.get(), series[i]->spec(i == 0 ? tick : tick - ms, ms, i % 2 == 0)));
            }
        },
        [&](unsigned role, std::size_t round) {
            if (role == 2)
                return;
            const std::int64_t at = tick + static_cast<std::int64_t>((round * 131) % 1'500) * us - 200 * us;
            while (now_ns() < at)
                std::this_thread::yield();
            for (std::size_t i = 0; i < n; ++i)
                series[role == 0 ? i : n - 1 - i]->try_cancel();
        },
        [&](std::size_t) {
            for (const auto& each : series) {
                CHECK(each->await_end() == Phase::canceled);
                prevented += static_cast<std::size_t>(each->prevented.load());
                runs += each->runs;
            }
        });
    await_no_timers();
    EXPECT_GT(prevented, 0U);
    EXPECT_GT(runs, 0U);
}

// Of each series either the limit, or a failure, or a canceler, is the first; they meet at ticks.
TEST(PeriodicStress, limits_and_failures_and_cancellations)
{
    const std::size_t rounds = stress_n(300, 40);
    constexpr std::size_t n = 64;
    Pool pool(3);
    std::minstd_rand random(1);
    std::array<std::size_t, 6> ends{};
    for (std::size_t round = 0; round < rounds; ++round) {
        std::vector<std::unique_ptr<Series>> series;
        const std::int64_t now = now_ns();
        for (std::size_t i = 0; i < n; ++i) {
            Series& each = *series.emplace_back(std::make_unique<Series>());
            TaskSpec spec = each.spec(now + static_cast<std::int64_t>(random() % 2) * ms,
                                      1 + static_cast<std::int64_t>(random() % 3) * ms / 2, random() % 2 == 0);
            if (random() % 2 == 0)
                spec.times.end_by_ns = now + ms + static_cast<std::int64_t>(random() % 4'000) * us;
            if (random() % 4 == 0)
                spec.times.start_by_ns = now + static_cast<std::int64_t>(random() % 3'000) * us;
            each.fails_at = random() % 6;
            CHECK(each.begin(*pool.get(), spec));
        }
        for (std::size_t i = 0; i < n; i += 3) {
            if (i % 8 == 0)
                std::this_thread::sleep_for(std::chrono::microseconds(random() % 300));
            series[i]->try_cancel();
        }
        for (const auto& each : series)
            ++ends[static_cast<std::size_t>(each->await_end())];
    }
    await_no_timers();
    EXPECT_EQ(ends[static_cast<std::size_t>(Phase::failed)] + ends[static_cast<std::size_t>(Phase::canceled)],
              rounds * n);
    EXPECT_GT(ends[static_cast<std::size_t>(Phase::failed)], 0U);
}

TEST(PeriodicStress, a_close_against_ticks_and_submissions)
{
    const std::size_t rounds = stress_n(400, 60);
    constexpr std::size_t n = 60;
    for (std::size_t round = 0; round < rounds; ++round) {
        Executor* executor = nullptr;
        ASSERT_EQ(Executor::make({nullptr, 2, 0, 0}, &executor), EXECQ_OK);
        std::vector<std::unique_ptr<Series>> series;
        for (std::size_t i = 0; i < n; ++i)
            series.push_back(std::make_unique<Series>());
        std::atomic<std::size_t> accepted{0};
        std::thread producer([&] {
            for (std::size_t i = 0; i < n; ++i) {
                Series& each = *series[i];
                if (each.begin(*executor, each.spec(now_ns() + static_cast<std::int64_t>(i % 3) * ms, 1, i % 2 == 0)))
                    ++accepted;
                spin(i * round % 2'000);
            }
        });
        std::this_thread::sleep_for(std::chrono::microseconds((round * 977) % 6'000));
        executor->close(round % 2 == 0 ? EXECQ_DRAIN : EXECQ_CANCEL);
        ASSERT_EQ(executor->join(never()), EXECQ_OK);
        // Nobody but the close ends them, so that all that were accepted are terminal.
        std::size_t terminal = 0;
        producer.join();
        for (const auto& each : series) {
            if (each->node == nullptr) {
                EXPECT_EQ(each->drops, 1);
                EXPECT_EQ(each->runs, 0U);
                continue;
            }
            EXPECT_EQ(each->node->phase(), Phase::canceled);
            EXPECT_EQ(each->node->cancel_reason(), EXECQ_REASON_SHUTDOWN);
            EXPECT_EQ(each->await_end(), Phase::canceled);
            ++terminal;
        }
        EXPECT_EQ(terminal, accepted);
        executor->release();
    }
    await_no_timers();
}

}  // namespace
}  // namespace execq::core
