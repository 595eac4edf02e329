// Queues under load: producers with policies of their own, cancels, pauses, keys, asynchronous tasks, and a close that races
// with all of it. Each accepted task ended once, no more ran at once than may, each producer's tasks started in order.
#include <array>
#include <atomic>
#include <cstdint>
#include <gtest/gtest.h>
#include <random>
#include <thread>
#include <vector>

#include "execq/execq.h"
#include "stress.h"
#include "white_box.h"

namespace {

constexpr std::uint32_t producers = 3;
constexpr std::uint32_t per_producer = 200;

struct Round {
    execq_queue* queue = nullptr;
    std::uint32_t max_in_flight = 1;
    std::uint32_t key_cap = 0;
    std::atomic<std::uint32_t> running{0};
    std::array<std::atomic<std::uint32_t>, producers> running_of_key{};
    std::array<std::atomic<std::uint32_t>, producers> last_start{};
    std::atomic<std::uint64_t> ran{0};
    std::atomic<std::uint64_t> dropped{0};
    std::atomic<std::uint64_t> accepted{0};
    std::atomic<std::uint64_t> refused{0};
};

struct Job {
    Round* round = nullptr;
    std::uint32_t producer = 0;
    std::uint32_t number = 0;

    void start()
    {
        CHECK(round->running.fetch_add(1) < round->max_in_flight);
        const std::uint32_t of_key = round->running_of_key[producer].fetch_add(1);
        CHECK(round->key_cap == 0 || of_key < round->key_cap);
        if (round->max_in_flight == 1)  // else bodies may be late to note what the queue did in order
            CHECK(round->last_start[producer].exchange(number) < number);
    }
    void end()
    {
        round->running_of_key[producer].fetch_sub(1);
        round->running.fetch_sub(1);
        round->ran.fetch_add(1);
    }
    static std::int32_t body(void* env, void**)
    {
        auto* job = static_cast<Job*>(env);
        job->start();
        job->end();
        return 0;
    }
    static void begin(execq_promise* promise, uv_loop_s*, void* env)
    {
        auto* job = static_cast<Job*>(env);
        job->start();
        job->end();
        execq_promise_resolve(promise, nullptr);
        execq_promise_release(promise);
    }
    static void drop(void* env) { static_cast<Job*>(env)->round->dropped.fetch_add(1); }
};

void produce(Round& round, std::uint32_t producer, std::vector<Job>& jobs, std::uint32_t seed)
{
    std::mt19937 random(seed);
    execq_future* last = nullptr;
    for (std::uint32_t i = 0; i < per_producer; ++i) {
        jobs[i] = {&round, producer, i + 1};
        execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
        options.queue = round.queue;
        options.key = producer;
        options.drop = Job::drop;
        execq_future* future = nullptr;
        const execq_status status = random() % 8 == 0
                                        ? execq_submit_async(nullptr, &options, Job::begin, &jobs[i], &future)
                                        : execq_submit_with(nullptr, &options, Job::body, &jobs[i], &future);
        CHECK(status == EXECQ_OK || status == EXECQ_EFULL || status == EXECQ_ECLOSED);
        (status == EXECQ_OK ? round.accepted : round.refused).fetch_add(1);
        if (status != EXECQ_OK)
            continue;
        if (random() % 4 == 0)
            execq_future_cancel(future);
        execq_future_release(last);
        last = future;
    }
    if (last != nullptr) {
        CHECK(execq_future_wait(last, -1) == EXECQ_OK);
        execq_future_release(last);
    }
}

void one_round(execq_executor* executor, std::uint32_t seed)
{
    std::mt19937 random(seed);
    Round round;
    round.max_in_flight = 1 + random() % 3;
    round.key_cap = random() % 3;
    execq_queue_options options = EXECQ_QUEUE_OPTIONS_INIT;
    options.max_in_flight = round.max_in_flight;
    options.key_max_in_flight = round.key_cap;
    options.capacity = random() % 2 == 0 ? 0 : 1 + random() % 64;
    options.full_policy = random() % 3;
    CHECK(execq_queue_new(executor, &options, &round.queue) == EXECQ_OK);
    std::vector<std::vector<Job>> jobs(producers, std::vector<Job>(per_producer));
    std::vector<std::thread> threads;
    for (std::uint32_t p = 0; p < producers; ++p)
        threads.emplace_back([&, p] { produce(round, p, jobs[p], seed + p); });
    for (unsigned i = random() % 50; i != 0; --i) {
        CHECK(execq_queue_pause(round.queue) == EXECQ_OK);
        if (random() % 2 == 0)
            std::this_thread::yield();
        CHECK(execq_queue_resume(round.queue) == EXECQ_OK);
    }
    execq_future* closed = nullptr;
    if (random() % 2 == 0)  // in the midst of it
        CHECK(execq_queue_close(round.queue, random() % 2 == 0 ? EXECQ_DRAIN : EXECQ_CANCEL, nullptr) == EXECQ_OK);
    for (std::thread& thread : threads)
        thread.join();
    CHECK(execq_queue_close(round.queue, EXECQ_DRAIN, &closed) == EXECQ_OK);
    CHECK(execq_future_wait(closed, -1) == EXECQ_OK);
    execq_future_release(closed);
    CHECK(round.accepted + round.refused == producers * per_producer);
    CHECK(round.dropped == producers * per_producer);
    CHECK(round.ran <= round.accepted);
    CHECK(round.running == 0);
    execq_queue_release(round.queue);
}

}  // namespace

TEST(Queue, EachAcceptedTaskEndsOnce)
{
    const std::size_t rounds = stress_n(400, 40);
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 3;
    execq_executor* executor = nullptr;
    CHECK(execq_executor_new(&options, &executor) == EXECQ_OK);
    for (std::size_t i = 0; i < rounds; ++i)
        one_round(executor, static_cast<std::uint32_t>(i) * 101 + 7);
    CHECK(execq_executor_close(executor, EXECQ_DRAIN) == EXECQ_OK);
    CHECK(execq_executor_join(executor, -1, nullptr) == EXECQ_OK);
    execq_executor_release(executor);
}

// The executor closes while queues are at work: nothing is lost, and the join sees all of it.
TEST(Queue, ExecutorsCloseUnderQueues)
{
    const std::size_t rounds = stress_n(300, 30);
    for (std::size_t i = 0; i < rounds; ++i) {
        std::mt19937 random(static_cast<std::uint32_t>(i));
        execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
        options.max_threads = 1 + random() % 3;
        execq_executor* executor = nullptr;
        CHECK(execq_executor_new(&options, &executor) == EXECQ_OK);
        Round round;
        round.max_in_flight = 1 + random() % 2;
        execq_queue_options queue_options = EXECQ_QUEUE_OPTIONS_INIT;
        queue_options.max_in_flight = round.max_in_flight;
        queue_options.capacity = random() % 2 == 0 ? 0 : 16;
        queue_options.full_policy = random() % 3;
        CHECK(execq_queue_new(executor, &queue_options, &round.queue) == EXECQ_OK);
        std::vector<std::vector<Job>> jobs(2, std::vector<Job>(per_producer));
        std::vector<std::thread> threads;
        for (std::uint32_t p = 0; p < 2; ++p)
            threads.emplace_back([&, p] { produce(round, p, jobs[p], static_cast<std::uint32_t>(i) + p); });
        for (unsigned spins = random() % 2000; spins != 0; --spins)
            std::this_thread::yield();
        const bool drains = random() % 2 == 0;
        CHECK(execq_executor_close(executor, drains ? EXECQ_DRAIN : EXECQ_CANCEL) == EXECQ_OK);
        for (std::thread& thread : threads)
            thread.join();
        CHECK(execq_executor_join(executor, -1, nullptr) == EXECQ_OK);
        CHECK(round.accepted + round.refused == 2 * per_producer);
        CHECK(round.dropped == 2 * per_producer);
        CHECK(round.running == 0);
        execq_queue_release(round.queue);
        execq_executor_release(executor);
    }
}
