// Times under load: sleeps, delays, limits of waits and of starts, periods, by the thousand and of all lengths. Each ends once,
// and none early.
#include <array>
#include <atomic>
#include <gtest/gtest.h>
#include <random>
#include <thread>
#include <time.h>
#include <vector>

#include "execq/execq.h"
#include "stress.h"

namespace {

constexpr std::int64_t us = 1'000;

execq_executor* executor = nullptr;

std::int64_t now()
{
    timespec time{};
    CHECK(clock_gettime(CLOCK_MONOTONIC, &time) == 0);
    return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

struct Timed {
    std::int64_t begin = 0;
    std::int64_t after_ns = 0;
    std::atomic<int> ended{0};
    execq_future* future = nullptr;

    void end()
    {
        CHECK(now() - begin >= after_ns);
        CHECK(ended.fetch_add(1) == 0);
    }
};

void end_done(execq_future*, void* timed) { static_cast<Timed*>(timed)->end(); }
std::int32_t end_body(void* timed, void**)
{
    static_cast<Timed*>(timed)->end();
    return 0;
}
std::int32_t nothing(void*, void**) { return 0; }

struct Series {
    std::int64_t begin = 0;
    std::int64_t period_ns = 0;
    std::int64_t runs = 0;  // each run sees what the one before wrote

    static std::int32_t run(void* env, void**)
    {
        auto* series = static_cast<Series*>(env);
        CHECK(now() - series->begin >= series->period_ns * series->runs);
        ++series->runs;
        return 0;
    }
};

void finish(execq_future* future)
{
    CHECK(execq_future_wait(future, -1) == EXECQ_OK);
    execq_future_release(future);
}

void pass_time(unsigned seed, std::size_t rounds)
{
    constexpr std::size_t batch = 40;
    std::mt19937 random(seed);
    execq_future* open = nullptr;
    execq_promise* promise = nullptr;
    execq_cq* cq = nullptr;
    CHECK(execq_promise_new(nullptr, &promise, &open) == EXECQ_OK && execq_cq_new(&cq) == EXECQ_OK);
    for (std::size_t round = 0; round < rounds; ++round) {
        std::array<Timed, batch> all;
        for (Timed& timed : all) {
            timed.begin = now();
            timed.after_ns = static_cast<std::int64_t>(random() % (3000 * us));
            execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
            options.delay_ns = timed.after_ns;
            if (random() % 2 == 0) {
                CHECK(execq_sleep(timed.after_ns, &timed.future) == EXECQ_OK);
                CHECK(execq_future_on_done(timed.future, end_done, &timed, nullptr) == EXECQ_OK);
            } else {
                CHECK(execq_submit_with(executor, &options, end_body, &timed, &timed.future) == EXECQ_OK);
            }
        }
        Series series{now(), static_cast<std::int64_t>(500 * us + random() % (1000 * us)), 0};
        execq_future* running = nullptr;
        CHECK(execq_submit_periodic(executor, nullptr, series.period_ns, EXECQ_FIXED_RATE, Series::run, &series,
                                    &running) == EXECQ_OK);
        for (int i = 0; i < 4; ++i) {
            const std::int64_t begin = now();
            const auto limit = static_cast<std::int64_t>(random() % (700 * us));
            const execq_status status = i == 0   ? execq_future_wait(open, limit)
                                        : i == 1 ? execq_future_wait_any(&open, 1, limit, nullptr)
                                        : i == 2 ? execq_cq_wait(cq, limit)
                                                 : execq_run_until(open, limit);
            CHECK(status == EXECQ_ETIMEDOUT && now() - begin >= limit);
        }
        // One that is canceled as it had not started in time was not canceled before.
        Timed late;
        late.begin = now();
        late.after_ns = static_cast<std::int64_t>(random() % (1000 * us)) + 1;
        execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
        options.start_within_ns = late.after_ns;
        CHECK(execq_submit_with(executor, &options, nothing, nullptr, &late.future) == EXECQ_OK);
        CHECK(execq_future_wait(late.future, -1) == EXECQ_OK);
        if (execq_future_result(late.future, nullptr) == EXECQ_ECANCELED)
            late.end();
        execq_future_release(late.future);
        for (Timed& timed : all) {
            CHECK(execq_future_wait(timed.future, -1) == EXECQ_OK);
            while (timed.ended == 0)  // a callback comes after the waiters
                std::this_thread::yield();
            CHECK(timed.ended == 1);
            execq_future_release(timed.future);
        }
        static_cast<void>(execq_future_cancel(running));
        finish(running);
    }
    CHECK(execq_promise_resolve(promise, nullptr) == EXECQ_OK);
    execq_promise_release(promise);
    finish(open);
    CHECK(execq_cq_close(cq, nullptr) == EXECQ_OK);
    execq_cq_release(cq);
}

}  // namespace

TEST(EarlyStress, NothingEndsEarlyAndAllEndOnce)
{
    const std::size_t rounds = stress_n(250, 30);
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 3;
    ASSERT_EQ(execq_executor_new(&options, &executor), EXECQ_OK);
    std::vector<std::thread> crowd;
    for (unsigned i = 0; i < 3; ++i)
        crowd.emplace_back(pass_time, i + 1, rounds);
    for (std::thread& one : crowd)
        one.join();
    ASSERT_EQ(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    ASSERT_EQ(execq_executor_join(executor, -1, nullptr), EXECQ_OK);
    execq_executor_release(executor);
}
