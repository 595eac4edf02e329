// Detaching while workers deliver: each completion is delivered before the detach returned, or withdrawn; then the loop
// closes with nothing left.
#include <uv.h>

#include <array>
#include <thread>

#include "execq/execq.h"
#include "execq/uv.h"
#include "stress.h"
#include "white_box.h"

namespace {

constexpr std::size_t jobs_per_round = 32;

struct Job {
    std::atomic<std::uint32_t> ran{0};
    std::atomic<std::uint32_t> env_dropped{0};
    std::atomic<std::uint32_t> delivered{0};
    std::atomic<std::uint32_t> done_dropped{0};
};

std::array<Job, jobs_per_round> jobs;
std::atomic<bool> detached{false};
std::thread::id loop_thread;

std::int32_t body(void* env, void**)
{
    static_cast<Job*>(env)->ran.fetch_add(1);
    return 0;
}

void drop_env(void* env) { static_cast<Job*>(env)->env_dropped.fetch_add(1); }

void done(execq_future* future, void* env)
{
    CHECK(!detached);
    CHECK(std::this_thread::get_id() == loop_thread);
    CHECK(execq_future_result(future, nullptr) == EXECQ_OK);
    static_cast<Job*>(env)->delivered.fetch_add(1);
}

void drop_done(void* env)
{
    CHECK(!detached);
    static_cast<Job*>(env)->done_dropped.fetch_add(1);
}

bool has_drop(std::size_t i) { return i % 3 != 0; }

void submit_all(execq_executor* executor, execq_loop* port)
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = drop_env;
    for (std::size_t i = 0; i < jobs_per_round; ++i) {
        CHECK(execq_submit_to_loop(executor, &options, body, &jobs[i], port, done, &jobs[i],
                                   has_drop(i) ? drop_done : nullptr) == EXECQ_OK);
    }
}

// One loop, from its beginning to its end. In some rounds it runs a little before the detach.
void play_round(execq_executor* executor, std::size_t round)
{
    uv_loop_t loop;
    execq_loop* port = nullptr;
    CHECK(uv_loop_init(&loop) == 0);
    CHECK(execq_loop_attach(&loop, &port) == EXECQ_OK);
    detached = false;
    submit_all(executor, port);
    for (std::size_t i = 0; i < round % 4; ++i)
        uv_run(&loop, UV_RUN_NOWAIT);
    spin(round % 29 * 500);
    if (round % 8 == 7)
        uv_run(&loop, UV_RUN_DEFAULT);
    CHECK(execq_loop_detach(port) == EXECQ_OK);
    detached = true;
    execq_loop_release(port);
    CHECK(uv_run(&loop, UV_RUN_DEFAULT) == 0);
    CHECK(uv_loop_close(&loop) == 0);
}

std::size_t account(std::size_t round)
{
    std::size_t delivered = 0;
    for (std::size_t i = 0; i < jobs_per_round; ++i) {
        Job& job = jobs[i];
        while (job.env_dropped == 0)  // its worker may still be at it
            std::this_thread::yield();
        CHECK(job.ran == 1 && job.env_dropped == 1);
        CHECK(job.delivered <= 1);
        CHECK(job.delivered == 1 || round % 8 != 7);
        CHECK(job.done_dropped == (has_drop(i) ? 1 : 0));
        delivered += job.delivered;
        job.ran = job.env_dropped = job.delivered = job.done_dropped = 0;
    }
    return delivered;
}

}  // namespace

int main()
{
    const std::size_t wanted = stress_n(10'000, 1'000);
    loop_thread = std::this_thread::get_id();
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 4;
    execq_executor* executor = nullptr;
    CHECK(execq_executor_new(&options, &executor) == EXECQ_OK);
    std::size_t delivered = 0;
    std::size_t rounds = 0;
    // Goes on until both ends have been seen.
    for (; rounds < wanted || delivered == 0 || delivered == rounds * jobs_per_round; ++rounds) {
        play_round(executor, rounds);
        delivered += account(rounds);
    }
    CHECK(execq_executor_close(executor, EXECQ_DRAIN) == EXECQ_OK);
    CHECK(execq_executor_join(executor, -1, nullptr) == EXECQ_OK);
    execq_executor_release(executor);
    std::printf("%zu loops detached under four workers: %zu completions delivered, %zu withdrawn, none twice\n", rounds,
                delivered, rounds * jobs_per_round - delivered);
    return 0;
}
