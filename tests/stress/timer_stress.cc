// Timers fire while others cancel, complete and close: each future ends once, each drop runs once, no timer is left.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <random>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "flow/submission.h"
#include "pool.h"
#include "sched/timekeeper.h"

namespace execq::core {
namespace {

constexpr std::int64_t us = 1'000;

bool cancel(Node& node)
{
    if (node.try_claim_cancel(EXECQ_REASON_CALLER)) {
        node.drop_env();
        node.settle_canceled();
        return true;
    }
    if (node.request_cancel(EXECQ_REASON_CALLER))
        node.tell_cancel();
    return false;
}

void await_no_timers()
{
    while (Timekeeper::get().usage().timers != 0)
        std::this_thread::yield();
    EXPECT_EQ(Timekeeper::get().usage().scheduled, 0U);
}

// What happened, in all.
struct Tally {
    Counter ran;
    Counter dropped;
    Counter done;
    std::uint64_t accepted = 0;
    std::uint64_t refused = 0;
    std::uint64_t canceled_by_us = 0;
    std::uint64_t ok = 0;
    std::uint64_t canceled = 0;
};

TEST(TimerStress, sleeps_fire_or_are_canceled)
{
    const std::size_t rounds = stress_n(200, 30);
    constexpr std::size_t n = 500;
    std::vector<Node*> nodes(n);
    std::atomic<std::uint64_t> canceled{0};
    Counter done;
    std::uint64_t ok = 0;
    std::uint64_t ended_canceled = 0;
    race_rounds(
        3, rounds,
        [&](std::size_t round) {
            for (std::size_t i = 0; i < n; ++i) {
                const auto after = static_cast<std::int64_t>((i * 37 + round) % 3'000) * us;
                CHECK(Timekeeper::get().sleep(now_ns() + after, &nodes[i]) == EXECQ_OK);
                CHECK(nodes[i]->register_completion({Counter::done, &done, nullptr, nullptr}) == EXECQ_OK);
            }
        },
        [&](unsigned role, std::size_t) {
            // Two meet at the same ones, for each of which one is told that it was the one.
            for (std::size_t i = 0; role != 0 && i < n; i += 2)
                canceled += cancel(*nodes[role == 1 ? i : n - 2 - i]) ? 1U : 0U;
        },
        [&](std::size_t) {
            for (Node* node : nodes) {
                CHECK(block_on(*node, never()) == EXECQ_OK);
                ok += node->phase() == Phase::ok ? 1U : 0U;
                ended_canceled += node->phase() == Phase::canceled ? 1U : 0U;
                node->release();
            }
        });
    await_no_timers();
    while (done.n != rounds * n)
        std::this_thread::yield();
    EXPECT_EQ(ok + ended_canceled, rounds * n);
    EXPECT_EQ(canceled, ended_canceled);
}

// Tasks of all kinds of times, from several threads, of which each cancels some of its own; then a close.
void storm(Executor& executor, Tally& tally, unsigned seed, std::size_t n, const std::atomic<bool>& go)
{
    std::minstd_rand random(seed);
    std::vector<Node*> nodes;
    nodes.reserve(n);
    while (!go)
        std::this_thread::yield();
    const auto some = [&](std::int64_t most_us) {
        return static_cast<std::int64_t>(random() % static_cast<std::uint32_t>(most_us)) * us;
    };
    for (std::size_t i = 0; i < n; ++i) {
        TaskSpec spec;
        spec.fn = Counter::body;
        spec.drop = [](void* env) { Counter::hit(static_cast<Counter*>(env) + 1); };
        spec.env = &tally.ran;
        const std::int64_t now = now_ns();
        const std::uint32_t kind = static_cast<std::uint32_t>(random());
        if ((kind & 1) != 0)
            spec.times.due_ns = now + some(4'000);
        if ((kind & 2) != 0)
            spec.times.start_by_ns = now + some(4'000);
        if ((kind & 4) != 0)
            spec.times.end_by_ns = now + some(4'000);
        execq_future* future = nullptr;
        if (submit(&executor, spec, &future) != EXECQ_OK) {
            ++tally.refused;
            continue;
        }
        ++tally.accepted;
        CHECK(core_of(future)->register_completion({Counter::done, &tally.done, nullptr, nullptr}) == EXECQ_OK);
        nodes.push_back(core_of(future));
        if ((kind & 24) == 0 && cancel(*nodes[random() % nodes.size()]))
            ++tally.canceled_by_us;
    }
    for (Node* node : nodes) {
        CHECK(block_on(*node, never()) == EXECQ_OK);
        tally.ok += node->phase() == Phase::ok ? 1U : 0U;
        tally.canceled += node->phase() == Phase::canceled ? 1U : 0U;
        node->release();
    }
}

static_assert(offsetof(Tally, dropped) == sizeof(Counter), "the drop of a task counts beside its body");

TEST(TimerStress, tasks_with_times_against_cancellations_and_a_close)
{
    const std::size_t rounds = stress_n(60, 10);
    constexpr std::size_t n = 2'000;
    constexpr unsigned producers = 3;
    for (std::size_t round = 0; round < rounds; ++round) {
        Executor* executor = nullptr;
        ASSERT_EQ(Executor::make({nullptr, 2, 0, 0}, &executor), EXECQ_OK);
        std::array<Tally, producers> tallies;
        std::atomic<bool> go{false};
        std::vector<std::thread> threads;
        for (unsigned i = 0; i < producers; ++i) {
            threads.emplace_back(
                [&, i] { storm(*executor, tallies[i], static_cast<unsigned>(round) * producers + i + 1, n, go); });
        }
        go = true;
        std::this_thread::sleep_for(std::chrono::microseconds((round * 977) % 12'000));
        executor->close(round % 2 == 0 ? EXECQ_DRAIN : EXECQ_CANCEL);
        ASSERT_EQ(executor->join(never()), EXECQ_OK);
        for (std::thread& thread : threads)
            thread.join();
        executor->release();
        for (Tally& tally : tallies) {
            EXPECT_EQ(tally.accepted + tally.refused, n);
            EXPECT_EQ(tally.ok + tally.canceled, tally.accepted);
            EXPECT_EQ(tally.ran.n, tally.ok);
            EXPECT_EQ(tally.dropped.n, n);  // a refused one's too
            EXPECT_GE(tally.canceled, tally.canceled_by_us);
            while (tally.done.n != tally.accepted)
                std::this_thread::yield();
        }
        await_no_timers();
    }
}

// A timeout that comes just as the body ends.
TEST(TimerStress, timeouts_against_ends)
{
    const std::size_t n = stress_n(20'000, 2'000);
    Pool pool(2);
    Counter dropped;
    std::uint64_t ok = 0;
    std::uint64_t canceled = 0;
    for (std::size_t i = 0; i < n; ++i) {
        TaskSpec spec;
        spec.fn = [](void*, void**) -> std::int32_t { return 0; };
        spec.drop = Counter::hit;
        spec.env = &dropped;
        spec.times.end_by_ns = now_ns() + static_cast<std::int64_t>(i % 40) * us;
        execq_future* future = nullptr;
        ASSERT_EQ(submit(pool.get(), spec, &future), EXECQ_OK);
        Node* node = core_of(future);
        if (i % 16 != 0)
            spin(i % 1'000);
        ASSERT_EQ(block_on(*node, never()), EXECQ_OK);
        ok += node->phase() == Phase::ok ? 1U : 0U;
        canceled += node->phase() == Phase::canceled ? 1U : 0U;
        if (node->phase() == Phase::canceled) {
            EXPECT_EQ(node->cancel_reason(), EXECQ_REASON_DEADLINE);
        }
        node->release();
    }
    EXPECT_EQ(ok + canceled, n);
    EXPECT_EQ(dropped.n, n);
    await_no_timers();
}

}  // namespace
}  // namespace execq::core
