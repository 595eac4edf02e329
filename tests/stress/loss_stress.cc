// Tasks that throw, or end their thread, among tasks that do not, also inside of each other: each fails alone, with the
// code that says why, those around an ended thread with it; no other task is lost, and at the end there are as many workers
// as before.
#include <array>
#include <atomic>
#include <gtest/gtest.h>
#include <pthread.h>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "execq/execq.h"
#include "stress.h"
#include "white_box.h"

namespace {

constexpr unsigned producers = 3;
constexpr std::uint32_t workers = 3;

enum class End : std::uint32_t { ok, code, exception, oddity, exit, around_exception, around_exit };
constexpr std::uint32_t ends = 7;

execq_executor* executor = nullptr;

struct Job {
    End end = End::ok;
    std::atomic<int> runs{0};
    std::atomic<int> drops{0};
    Job* inner = nullptr;
    execq_future* future = nullptr;
};

void submit(Job& job);
void settle(Job& job);

std::int32_t run(void* env, void**)
{
    auto* job = static_cast<Job*>(env);
    job->runs.fetch_add(1);
    switch (job->end) {
    case End::ok:
        return 0;
    case End::code:
        return 5;
    case End::exception:
        throw std::runtime_error("thrown on purpose");
    case End::oddity:
        throw 5;
    case End::exit:
        pthread_exit(nullptr);
    case End::around_exception:
    case End::around_exit:
        submit(*job->inner);
        CHECK(execq_future_wait(job->inner->future, -1) == EXECQ_OK);  // it may run in place, and end this thread
    }
    return 0;
}

void drop(void* env) { static_cast<Job*>(env)->drops.fetch_add(1); }

void submit(Job& job)
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = drop;
    CHECK(execq_submit_with(executor, &options, run, &job, &job.future) == EXECQ_OK);
}

// What it failed with.
std::int32_t outcome(const Job& job)
{
    const execq_error* error = execq_future_error(job.future);
    return error != nullptr ? execq_error_code(error) : 0;
}

void settle(Job& job)
{
    CHECK(execq_future_wait(job.future, -1) == EXECQ_OK);
    CHECK(job.runs == 1 && job.drops == 1);
    const std::int32_t code = outcome(job);
    switch (job.end) {
    case End::ok:
    case End::around_exception:
        CHECK(code == 0);
        break;
    case End::code:
        CHECK(code == 5);
        break;
    case End::exception:
    case End::oddity:
        CHECK(code == EXECQ_EEXCEPTION);
        break;
    case End::exit:
        CHECK(code == EXECQ_EEXITED);
        break;
    case End::around_exit:
        CHECK(code == 0 || code == EXECQ_EEXITED);  // as it ran elsewhere, or in place
        break;
    }
    execq_future_release(job.future);
    if (job.inner != nullptr)
        settle(*job.inner);
}

void produce(unsigned seed, std::size_t rounds)
{
    constexpr std::size_t batch = 20;
    std::mt19937 random(seed);
    for (std::size_t round = 0; round < rounds; ++round) {
        std::array<Job, batch> jobs;
        std::array<Job, batch> inner;
        for (std::size_t i = 0; i < batch; ++i) {
            jobs[i].end = static_cast<End>(random() % ends);
            if (jobs[i].end == End::around_exception || jobs[i].end == End::around_exit) {
                inner[i].end = jobs[i].end == End::around_exit ? End::exit : End::exception;
                jobs[i].inner = &inner[i];
            }
            submit(jobs[i]);
        }
        for (Job& job : jobs)
            settle(job);
    }
}

}  // namespace

TEST(LossStress, EachTaskFailsAloneAndEachWorkerIsReplaced)
{
    const std::size_t rounds = stress_n(1'000, 15);
    execq_conf conf = EXECQ_CONF_INIT;
    conf.flags = EXECQ_CONF_IGNORE_UNOBSERVED;
    ASSERT_EQ(execq_init_conf(&conf), EXECQ_OK);
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = workers;
    options.max_spares = -1;
    ASSERT_EQ(execq_executor_new(&options, &executor), EXECQ_OK);
    std::vector<std::thread> crowd;
    for (unsigned i = 0; i < producers; ++i)
        crowd.emplace_back(produce, i + 1, rounds);
    for (std::thread& one : crowd)
        one.join();
    Gate gate;  // all places have a worker
    for (std::uint32_t i = 0; i < workers; ++i)
        ASSERT_EQ(execq_submit(executor, Gate::body, &gate, nullptr), EXECQ_OK);
    gate.await(workers);
    gate.open(workers);
    ASSERT_EQ(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    ASSERT_EQ(execq_executor_join(executor, -1, nullptr), EXECQ_OK);
    execq_executor_release(executor);
}
