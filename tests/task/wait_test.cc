#include "task/wait.h"

#include <array>
#include <atomic>
#include <cstring>
#include <gtest/gtest.h>
#include <vector>

#include "task/callbacks.h"
#include "white_box.h"

using namespace execq::core;

namespace {

constexpr std::int64_t millisecond = 1'000'000;

Deadline never() { return Deadline::after(-1); }
Deadline only_look() { return Deadline::after(0); }

struct Promises {
    std::vector<Node*> nodes;

    explicit Promises(std::size_t n)
    {
        for (std::size_t i = 0; i < n; ++i)
            nodes.push_back(new_promise());
    }
    ~Promises()
    {
        for (Node* node : nodes) {
            node->release();
            node->release();
        }
    }
    Promises(const Promises&) = delete;
    Promises& operator=(const Promises&) = delete;

    Node& operator[](std::size_t i) { return *nodes[i]; }
    execq_status any(Deadline deadline, std::size_t* index)
    {
        return block_on_any(nodes.data(), nodes.size(), deadline, index);
    }
};

// Overwrites the stack that calls made before this one used.
[[gnu::noinline]] void overwrite_stack()
{
    std::array<unsigned char, 16 * 1024> bytes;
    std::memset(bytes.data(), 0xff, bytes.size());
    asm volatile("" : : "r"(bytes.data()) : "memory");
}

TEST(Wait, ReturnsAtOnceForWhatIsDone)
{
    Promises promises(1);
    promises[0].settle_code(1);
    EXPECT_EQ(block_on(promises[0], never()), EXECQ_OK);
    EXPECT_EQ(block_on(promises[0], only_look()), EXECQ_OK);
}

TEST(Wait, TimesOutNotEarly)
{
    Promises promises(2);
    std::size_t index = 7;
    EXPECT_EQ(block_on(promises[0], only_look()), EXECQ_ETIMEDOUT);
    EXPECT_EQ(promises.any(only_look(), &index), EXECQ_ETIMEDOUT);
    for (const std::int64_t timeout : {std::int64_t{1}, 3 * millisecond}) {
        std::int64_t before = now_ns();
        EXPECT_EQ(block_on(promises[0], Deadline::after(timeout)), EXECQ_ETIMEDOUT);
        EXPECT_GE(now_ns() - before, timeout);
        before = now_ns();
        EXPECT_EQ(promises.any(Deadline::after(timeout), &index), EXECQ_ETIMEDOUT);
        EXPECT_GE(now_ns() - before, timeout);
    }
    EXPECT_EQ(index, 7U) << "written by a call that failed";
}

TEST(Wait, SleepsThroughARequestToStop)
{
    Promises promises(1);
    Semaphore about_to_wait;
    std::thread other([&] {
        about_to_wait.take();
        promises[0].request_cancel(EXECQ_REASON_CALLER);
        promises[0].settle_value(nullptr);
    });
    about_to_wait.post();
    EXPECT_EQ(block_on(promises[0], never()), EXECQ_OK);
    EXPECT_TRUE(promises[0].done());
    other.join();
}

TEST(Wait, ForAnyNamesTheLowestThatIsDone)
{
    Promises promises(5);
    promises[3].settle_value(nullptr);
    promises[1].settle_canceled();
    std::size_t index = 7;
    EXPECT_EQ(promises.any(only_look(), &index), EXECQ_OK);
    EXPECT_EQ(index, 1U);
    EXPECT_EQ(promises.any(never(), nullptr), EXECQ_OK);
}

TEST(Wait, ForAnyTakesTheSameNodeTwice)
{
    Promises promises(1);
    const std::array<Node*, 3> nodes = {&promises[0], &promises[0], &promises[0]};
    std::size_t index = 7;
    EXPECT_EQ(block_on_any(nodes.data(), nodes.size(), Deadline::after(1), &index), EXECQ_ETIMEDOUT);
    Gate gate;
    std::thread other([&] {
        gate.pass();
        promises[0].settle_value(nullptr);
    });
    gate.await();
    gate.open();
    EXPECT_EQ(block_on_any(nodes.data(), nodes.size(), never(), &index), EXECQ_OK);
    EXPECT_EQ(index, 0U);
    other.join();
}

// A ticket left behind would be on a stack that is overwritten by now, and settling would stumble over it.
TEST(Wait, ForAnyLeavesNoTicketWhenItTimesOut)
{
    for (const std::size_t n : {std::size_t{1}, std::size_t{16}, std::size_t{17}, std::size_t{100}}) {
        Promises promises(n);
        std::size_t index = 0;
        EXPECT_EQ(promises.any(Deadline::after(1), &index), EXECQ_ETIMEDOUT);
        overwrite_stack();
        for (Node* node : promises.nodes)
            node->settle_value(nullptr);
    }
}

TEST(Wait, ForAnyLeavesNoTicketWhenItEndsWell)
{
    Promises promises(20);
    Gate gate;
    std::thread other([&] {
        gate.pass();
        promises[11].settle_value(nullptr);
    });
    gate.await();
    gate.open();
    std::size_t index = 0;
    EXPECT_EQ(promises.any(never(), &index), EXECQ_OK);
    EXPECT_EQ(index, 11U);
    overwrite_stack();
    for (std::size_t i = 0; i < 20; ++i) {
        if (i != 11)
            promises[i].settle_value(nullptr);
    }
    other.join();
}

// More nodes than the lot has lists, so that several share one.
TEST(Wait, ForAnyFindsTheOneAmongManyThatShareItsList)
{
    constexpr std::size_t n = 300;
    for (const std::size_t done : {std::size_t{0}, std::size_t{63}, std::size_t{64}, std::size_t{200}, n - 1}) {
        Promises promises(n);
        Gate gate;
        std::thread other([&] {
            gate.pass();
            promises[done].settle_value(nullptr);
        });
        gate.await();
        gate.open();
        std::size_t index = n;
        ASSERT_EQ(promises.any(never(), &index), EXECQ_OK);
        ASSERT_EQ(index, done);
        other.join();
    }
}

// Who settles goes by the address alone, so a call may be meant for a node that was there before.
TEST(Wait, ForAnyGoesOnAfterACallThatWasNotMeantForIt)
{
    Promises promises(2);
    std::atomic<bool> ended{false};
    execq_status status = EXECQ_EINVAL;
    std::thread waiter([&] {
        status = promises.any(never(), nullptr);
        ended.store(true);
    });
    for (int i = 0; i < 20'000; ++i) {
        tell_lot(&promises[0]);
        ASSERT_FALSE(ended.load());
    }
    ASSERT_TRUE(promises[1].try_claim_promise());
    promises[1].settle_value(nullptr);
    waiter.join();
    EXPECT_EQ(status, EXECQ_OK);
}

TEST(Wait, WakesEveryoneHoweverTheyWait)
{
    constexpr int waiters = 8;
    Promises promises(2);
    Semaphore about_to_wait;
    std::vector<std::thread> threads;
    for (int i = 0; i < waiters; ++i) {
        threads.emplace_back([&, i] {
            about_to_wait.post();
            std::size_t index = 7;
            if (i % 2 == 0)
                EXPECT_EQ(block_on(promises[1], never()), EXECQ_OK);
            else
                EXPECT_EQ(promises.any(never(), &index), EXECQ_OK);
            EXPECT_EQ(index, i % 2 == 0 ? 7U : 1U);
        });
    }
    about_to_wait.take(waiters);
    promises[1].settle_value(nullptr);
    for (std::thread& thread : threads)
        thread.join();
}

TEST(Wait, LosesNoWakeThatRacesWithIt)
{
    const std::size_t rounds = stress_n(60'000, 3'000);
    Node* node = nullptr;
    Node* other = new_promise();
    int written = 0;  // no atomic: the node orders it
    race_rounds(
        3, rounds,
        [&](std::size_t) {
            node = new_promise();
            written = 0;
        },
        [&](unsigned role, std::size_t) {
            std::size_t index = 7;
            const std::array<Node*, 2> both = {other, node};
            if (role == 0) {
                written = 1;
                node->settle_value(nullptr);
            } else if (role == 1) {
                CHECK(block_on(*node, never()) == EXECQ_OK);
                CHECK(written == 1);
            } else {
                CHECK(block_on_any(both.data(), both.size(), never(), &index) == EXECQ_OK);
                CHECK(index == 1);
                CHECK(written == 1);
            }
        },
        [&](std::size_t) {
            node->release();
            node->release();
        });
    other->release();
    other->release();
}

TEST(Wait, WithALimitEndsByOneOrTheOther)
{
    const std::size_t rounds = stress_n(20'000, 2'000);
    Node* node = nullptr;
    std::size_t timed_out = 0;
    execq_status status = EXECQ_OK;
    race_rounds(
        2, rounds, [&](std::size_t) { node = new_promise(); },
        [&](unsigned role, std::size_t round) {
            const std::int64_t timeout = static_cast<std::int64_t>(round % 50) * 200 + 1;
            if (role == 0) {
                spin(round % 400 * 10);
                node->settle_value(nullptr);
            } else if (round % 2 == 0) {
                status = block_on(*node, Deadline::after(timeout));
            } else {
                status = block_on_any(&node, 1, Deadline::after(timeout), nullptr);
            }
        },
        [&](std::size_t) {
            ASSERT_TRUE(status == EXECQ_OK || status == EXECQ_ETIMEDOUT);
            timed_out += status == EXECQ_OK ? 0 : 1;
            node->release();
            node->release();
        });
    EXPECT_GT(timed_out, 0U);
}

TEST(DoneCall, RunsOnceWhereTheNodeIsSettledAndNotWhereItWas)
{
    Promises promises(2);
    Counter first;
    Counter second;
    {
        const DoneCall call(promises[0], Counter::hit, &first);
        const DoneCall twice(promises[0], Counter::hit, &first);
        const DoneCall other(promises[1], Counter::hit, &second);
        EXPECT_EQ(first.n, 0U);
        promises[0].settle_value(nullptr);
        EXPECT_EQ(first.n, 2U);
        EXPECT_EQ(second.n, 0U);
        const DoneCall late(promises[0], Counter::hit, &first);
        EXPECT_TRUE(promises[0].done());
        EXPECT_EQ(first.n, 2U);
    }
    promises[1].settle_value(nullptr);
    EXPECT_EQ(second.n, 0U) << "taken back";
}

// The call comes before callbacks, even inside one, where completions are queued.
TEST(DoneCall, IsNotQueuedBehindCallbacks)
{
    Promises promises(1);
    Counter called;
    const DoneCall call(promises[0], Counter::hit, &called);
    const CallbackScope scope;
    promises[0].settle_value(nullptr);
    EXPECT_EQ(called.n, 1U);
}

TEST(DoneCall, OrALookFindsOut)
{
    const std::size_t rounds = stress_n(50'000, 5'000);
    Node* node = nullptr;
    std::size_t called_first = 0;
    race_rounds(
        2, rounds, [&](std::size_t) { node = new_promise(); },
        [&](unsigned role, std::size_t) {
            if (role == 0) {
                node->settle_value(nullptr);
                return;
            }
            Counter called;  // gone with this frame
            const DoneCall call(*node, Counter::hit, &called);
            if (node->done())
                return;
            while (called.n == 0)
                std::this_thread::yield();
            ++called_first;
        },
        [&](std::size_t) {
            node->release();
            node->release();
        });
    EXPECT_GT(called_first, 0U);
}

}  // namespace
