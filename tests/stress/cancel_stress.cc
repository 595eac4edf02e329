// Canceling against starting: each task ran or was canceled, never both; its env was dropped once.
#include <array>
#include <thread>
#include <vector>

#include "execq/execq.h"
#include "stress.h"
#include "white_box.h"

namespace {

struct Job {
    std::atomic<std::uint32_t> ran{0};
    std::atomic<std::uint32_t> dropped{0};
    std::atomic<std::uint32_t> canceled{0};  // by how many callers with EXECQ_OK
    execq_future* future = nullptr;

    static std::int32_t body(void* env, void**)
    {
        auto* job = static_cast<Job*>(env);
        CHECK(job->dropped == 0);
        job->ran.fetch_add(1);
        return 0;
    }
    static void drop(void* env) { static_cast<Job*>(env)->dropped.fetch_add(1); }
};

constexpr std::size_t batch = 1000;

void cancel_all(std::vector<Job>& jobs, bool backwards)
{
    for (std::size_t i = 0; i < jobs.size(); ++i) {
        Job& job = jobs[backwards ? jobs.size() - 1 - i : i];
        const execq_status status = execq_future_cancel(job.future);
        CHECK(status == EXECQ_OK || status == EXECQ_EBUSY || status == EXECQ_EALREADY);
        if (status == EXECQ_OK)
            job.canceled.fetch_add(1);
    }
}

// The main thread submits, two others cancel what it submitted, from both ends, while two workers run it.
void run_batch(execq_executor* executor, std::size_t& ran, std::size_t& canceled)
{
    std::vector<Job> jobs(batch);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = Job::drop;
    for (Job& job : jobs)
        CHECK(execq_submit_with(executor, &options, Job::body, &job, &job.future) == EXECQ_OK);
    std::thread other([&] { cancel_all(jobs, true); });
    cancel_all(jobs, false);
    other.join();
    for (Job& job : jobs) {
        CHECK(execq_future_wait(job.future, -1) == EXECQ_OK);
        CHECK(job.ran + job.canceled == 1);
        CHECK(job.dropped == 1);
        CHECK(execq_future_state(job.future) == (job.ran == 1 ? EXECQ_FUTURE_OK : EXECQ_FUTURE_CANCELED));
        ran += job.ran;
        canceled += job.canceled;
        execq_future_release(job.future);
    }
}

}  // namespace

int main()
{
    const std::size_t wanted = stress_n(1'000'000, 50'000);
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 2;
    execq_executor* executor = nullptr;
    CHECK(execq_executor_new(&options, &executor) == EXECQ_OK);
    std::size_t ran = 0;
    std::size_t canceled = 0;
    std::size_t n = 0;
    for (; n < wanted || ran == 0 || canceled == 0; n += batch)  // goes on until both have been seen
        run_batch(executor, ran, canceled);
    CHECK(ran + canceled == n);
    CHECK(execq_executor_close(executor, EXECQ_DRAIN) == EXECQ_OK);
    CHECK(execq_executor_join(executor, -1, nullptr) == EXECQ_OK);
    execq_executor_release(executor);
    std::printf("%zu tasks: %zu ran, %zu were canceled, each env was dropped once\n", n, ran, canceled);
    return 0;
}
