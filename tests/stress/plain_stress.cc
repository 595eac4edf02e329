// Tasks without a handle: four threads submit them, each of which submits two more from inside, while one closes the
// executor. Every accepted one runs, once; every refused one does not.
#include <atomic>
#include <gtest/gtest.h>
#include <memory>
#include <thread>
#include <vector>

#include "execq/execq.h"
#include "stress.h"
#include "white_box.h"

namespace {

constexpr unsigned producers = 4;

struct Round;

struct Job {
    Round* round = nullptr;
    std::atomic<int> ran{0};
    std::atomic<int> inner_accepted{0};
    std::atomic<int> inner_ran{0};
    bool accepted = false;
};

struct Round {
    execq_executor* executor = nullptr;
    std::vector<Job> jobs;
};

std::int32_t inner(void* env, void**)
{
    static_cast<Job*>(env)->inner_ran.fetch_add(1);
    return 0;
}

std::int32_t outer(void* env, void**)
{
    auto* job = static_cast<Job*>(env);
    job->ran.fetch_add(1);
    for (int i = 0; i < 2; ++i) {
        const execq_status status = execq_submit(job->round->executor, inner, job, nullptr);
        CHECK(status == EXECQ_OK);  // a drain accepts what its own running tasks submit
        job->inner_accepted.fetch_add(1);
    }
    return 0;
}

void run_round(std::uint32_t threads, std::size_t each, std::size_t& accepted, std::size_t& refused)
{
    Round round;
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = threads;
    CHECK(execq_executor_new(&options, &round.executor) == EXECQ_OK);
    round.jobs = std::vector<Job>(producers * each);
    std::atomic<std::size_t> submitted{0};
    std::vector<std::thread> crowd;
    for (unsigned producer = 0; producer < producers; ++producer) {
        crowd.emplace_back([&, producer] {
            for (std::size_t i = 0; i < each; ++i) {
                Job& job = round.jobs[producer * each + i];
                job.round = &round;
                job.accepted = execq_submit(round.executor, outer, &job, nullptr) == EXECQ_OK;
                submitted.fetch_add(1);
            }
        });
    }
    while (submitted.load() < producers * each / 2)
        std::this_thread::yield();
    CHECK(execq_executor_close(round.executor, EXECQ_DRAIN) == EXECQ_OK);
    for (std::thread& thread : crowd)
        thread.join();
    CHECK(execq_executor_join(round.executor, -1, nullptr) == EXECQ_OK);
    execq_executor_release(round.executor);
    for (const Job& job : round.jobs) {
        ASSERT_EQ(job.ran.load(), job.accepted ? 1 : 0);
        ASSERT_EQ(job.inner_ran.load(), job.inner_accepted.load());
        ASSERT_EQ(job.inner_ran.load(), job.accepted ? 2 : 0);
        ++(job.accepted ? accepted : refused);
    }
}

TEST(PlainStress, RunsEachAcceptedTaskOnceWhileItIsClosed)
{
    std::size_t accepted = 0;
    std::size_t refused = 0;
    std::size_t rounds = 0;
    // Until both ends have been seen, and often.
    for (; rounds < stress_n(60, 12) || accepted == 0 || refused == 0; ++rounds)
        run_round(1 + static_cast<std::uint32_t>(rounds % 4), stress_n(20'000, 1'000), accepted, refused);
    std::printf("%zu rounds: %zu accepted and run, each with two more; %zu refused\n", rounds, accepted, refused);
}

}  // namespace
