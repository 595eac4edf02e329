// Four threads submit, completions run on one loop: each exactly once, in any build.
//
// The number of submissions is EXECQ_STRESS_N in the environment, else 10,000,000 (1,000,000 under a sanitizer).
#include <uv.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "execq/execq.h"
#include "execq/uv.h"
#include "stress.h"

namespace {

constexpr unsigned producers = 4;

struct Job {
    std::atomic<std::uint32_t> ran{0};
    std::uint32_t delivered = 0;  // the loop's thread only
};

struct Scenario {
    std::vector<Job> jobs;
    execq_executor* executor = nullptr;
    execq_loop* loop = nullptr;
    std::uint64_t delivered = 0;  // the loop's thread only
    std::atomic<std::uint64_t> accepted{0};
    explicit Scenario(std::size_t n) : jobs(n) {}
};

Scenario* scenario = nullptr;

std::int32_t body(void* env, void** result)
{
    static_cast<Job*>(env)->ran.fetch_add(1, std::memory_order_relaxed);
    *result = env;
    return 0;
}

void done(execq_future* future, void* env)
{
    void* value = nullptr;
    CHECK(execq_future_result(future, &value) == EXECQ_OK);
    CHECK(value == env);
    ++static_cast<Job*>(env)->delivered;
    if (++scenario->delivered == scenario->jobs.size())
        CHECK(execq_loop_unhold(scenario->loop) == EXECQ_OK);
}

void submit_share(unsigned producer)
{
    for (std::size_t i = producer; i < scenario->jobs.size(); i += producers) {
        CHECK(execq_submit_to_loop(scenario->executor, nullptr, body, &scenario->jobs[i], scenario->loop, done,
                                   &scenario->jobs[i], nullptr) == EXECQ_OK);
        scenario->accepted.fetch_add(1, std::memory_order_relaxed);
    }
}

}  // namespace

int main()
{
    Scenario instance(stress_n(10'000'000, 1'000'000));
    scenario = &instance;
    uv_loop_t loop;
    CHECK(uv_loop_init(&loop) == 0);
    CHECK(execq_loop_attach(&loop, &instance.loop) == EXECQ_OK);
    CHECK(execq_loop_hold(instance.loop) == EXECQ_OK);
    CHECK(execq_executor_new(nullptr, &instance.executor) == EXECQ_OK);

    std::array<std::thread, producers> threads;
    for (unsigned i = 0; i < producers; ++i)
        threads[i] = std::thread(submit_share, i);
    uv_run(&loop, UV_RUN_DEFAULT);
    for (std::thread& thread : threads)
        thread.join();

    CHECK(instance.accepted == instance.jobs.size());
    CHECK(instance.delivered == instance.jobs.size());
    for (const Job& job : instance.jobs) {
        CHECK(job.ran == 1);
        CHECK(job.delivered == 1);
    }
    CHECK(execq_loop_detach(instance.loop) == EXECQ_OK);
    execq_loop_release(instance.loop);
    CHECK(execq_executor_close(instance.executor, EXECQ_DRAIN) == EXECQ_OK);
    CHECK(execq_executor_join(instance.executor, -1, nullptr) == EXECQ_OK);
    execq_executor_release(instance.executor);
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&loop) == 0);
    std::printf("%zu submissions from %u threads: each ran once and was delivered once on the loop\n",
                instance.jobs.size(), producers);
    return 0;
}
