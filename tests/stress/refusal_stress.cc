// Submissions that fail, for every reason and in every way, among others that do not: each of the failed ones drops its env
// once within the call, runs nothing, and keeps nothing. The same where memory runs out at any allocation of the call.
#include <array>
#include <atomic>
#include <functional>
#include <gtest/gtest.h>
#include <random>
#include <thread>
#include <vector>

#include "execq/execq.h"
#include "execq/uv.h"
#include "failing_aligned.h"
#include "stress.h"

namespace {

constexpr unsigned threads = 3;

struct Job {
    std::atomic<int> runs{0};
    std::atomic<int> drops{0};
    execq_future* future = nullptr;
};

std::int32_t run(void* env, void**)
{
    static_cast<Job*>(env)->runs.fetch_add(1);
    return 0;
}
void start(execq_promise* promise, uv_loop_s*, void* env)
{
    run(env, nullptr);
    CHECK(execq_promise_resolve(promise, nullptr) == EXECQ_OK);
    execq_promise_release(promise);
}
void drop(void* env) { static_cast<Job*>(env)->drops.fetch_add(1); }
void ignore_done(execq_future*, void*) {}
void free_executor(void* freed) { static_cast<std::atomic<int>*>(freed)->fetch_add(1); }
void ignore_thread(void*) {}

execq_executor* new_executor(std::atomic<int>* freed)
{
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 2;
    options.thread_final = ignore_thread;
    options.thread_env = freed;
    options.thread_drop = free_executor;
    execq_executor* executor = nullptr;
    CHECK(execq_executor_new(&options, &executor) == EXECQ_OK);
    return executor;
}

// Open, closed, full, canceled, detached: what submissions go to.
class Places {
public:
    Places()
    {
        open = new_executor(&freed);
        closed = new_executor(&freed);
        CHECK(execq_executor_close(closed, EXECQ_CANCEL) == EXECQ_OK);
        execq_queue_options options = EXECQ_QUEUE_OPTIONS_INIT;
        options.flags = EXECQ_QUEUE_PAUSED;
        options.capacity = 1;
        CHECK(execq_queue_new(open, &options, &full) == EXECQ_OK);
        execq_task_options task = EXECQ_TASK_OPTIONS_INIT;
        task.queue = full;
        task.drop = drop;
        CHECK(execq_submit_with(nullptr, &task, run, &first, nullptr) == EXECQ_OK);
        CHECK(execq_queue_new(open, nullptr, &closed_queue) == EXECQ_OK);
        CHECK(execq_queue_close(closed_queue, EXECQ_DRAIN, nullptr) == EXECQ_OK);
        CHECK(execq_group_new(nullptr, &canceled) == EXECQ_OK);
        CHECK(execq_group_cancel(canceled) == EXECQ_OK);
        CHECK(uv_loop_init(&loop) == 0 && execq_loop_attach(&loop, &detached) == EXECQ_OK);
        CHECK(execq_loop_detach(detached) == EXECQ_OK);
        uv_run(&loop, UV_RUN_DEFAULT);
        CHECK(uv_loop_close(&loop) == 0);
        CHECK(execq_cq_new(&closed_cq) == EXECQ_OK && execq_cq_close(closed_cq, nullptr) == EXECQ_OK);
    }
    ~Places()
    {
        CHECK(execq_executor_join(closed, -1, nullptr) == EXECQ_OK);
        execq_executor_release(closed);
        EXPECT_EQ(freed.load(), 1);  // nobody else keeps it
        execq_queue_release(full);
        execq_queue_release(closed_queue);
        execq_group_release(canceled);
        execq_loop_release(detached);
        execq_cq_release(closed_cq);
        CHECK(execq_executor_close(open, EXECQ_DRAIN) == EXECQ_OK);
        CHECK(execq_executor_join(open, -1, nullptr) == EXECQ_OK);
        execq_executor_release(open);
        EXPECT_EQ(freed.load(), 2);
        EXPECT_EQ(first.runs, 1);
        EXPECT_EQ(first.drops, 1);
    }
    Places(const Places&) = delete;
    Places& operator=(const Places&) = delete;

    std::atomic<int> freed{0};
    Job first;
    execq_executor* open = nullptr;
    execq_executor* closed = nullptr;
    execq_queue* full = nullptr;
    execq_queue* closed_queue = nullptr;
    execq_group* canceled = nullptr;
    execq_cq* closed_cq = nullptr;
    execq_loop* detached = nullptr;
    uv_loop_t loop;
};

// Why it is refused. The options and the executor for that; the answer.
struct Reason {
    execq_status status;
    execq_executor* executor;
    execq_task_options options;
};

Reason reason(const Places& at, unsigned number)
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = drop;
    switch (number) {
    case 0:
        return {EXECQ_ECLOSED, at.closed, options};
    case 1:
        options.queue = at.closed_queue;
        return {EXECQ_ECLOSED, nullptr, options};
    case 2:
        options.queue = at.full;
        return {EXECQ_EFULL, nullptr, options};
    case 3:
        options.group = at.canceled;
        return {EXECQ_ECLOSED, at.open, options};
    case 4:
        options.priority = 9;
        return {EXECQ_EINVAL, at.open, options};
    case 5:
        options.flags = 1U << 30;
        return {EXECQ_ENOTSUP, at.open, options};
    default:
        options.queue = at.full;
        return {EXECQ_EINVAL, at.closed, options};  // which is not that queue's
    }
}
constexpr unsigned reasons = 7;

using Submit = execq_status (*)(const Places& at, execq_executor*, const execq_task_options&, Job&);

const std::array<Submit, 3> ways{
    [](const Places&, execq_executor* executor, const execq_task_options& options, Job& job) {
        return execq_submit_with(executor, &options, run, &job, &job.future);
    },
    [](const Places&, execq_executor* executor, const execq_task_options& options, Job& job) {
        void* const env = &job;
        return execq_submit_many(executor, &options, 1, run, &env, &job.future);
    },
    [](const Places&, execq_executor* executor, const execq_task_options& options, Job& job) {
        return execq_submit_async(executor, &options, start, &job, &job.future);
    },
};

// To what is closed, whatever the options are.
const std::array<Submit, 3> closed_ways{
    [](const Places& at, execq_executor*, const execq_task_options& options, Job& job) {
        return execq_submit_to_loop(at.open, &options, run, &job, at.detached, ignore_done, nullptr, nullptr);
    },
    [](const Places& at, execq_executor*, const execq_task_options& options, Job& job) {
        return execq_submit_to_cq(at.open, &options, run, &job, at.closed_cq, nullptr);
    },
    [](const Places& at, execq_executor*, const execq_task_options& options, Job& job) {
        return execq_loop_submit(at.detached, &options, run, &job, &job.future);
    },
};

void must_be_refused(const Job& job) { CHECK(job.drops == 1 && job.runs == 0 && job.future == nullptr); }

void must_run(Job& job)
{
    CHECK(execq_future_wait(job.future, -1) == EXECQ_OK && execq_future_result(job.future, nullptr) == EXECQ_OK);
    CHECK(job.drops == 1 && job.runs == 1);
    execq_future_release(job.future);
}

void on_all(const std::function<void(unsigned)>& act)
{
    std::vector<std::thread> crowd;
    for (unsigned i = 0; i < threads; ++i)
        crowd.emplace_back(act, i);
    for (std::thread& one : crowd)
        one.join();
}

}  // namespace

TEST(RefusalStress, EachRefusedTaskIsDroppedOnceAndKeepsNothing)
{
    const std::size_t n = stress_n(100'000, 5'000);
    const Places at;
    std::atomic<std::size_t> refused{0};
    on_all([&](unsigned seed) {
        std::mt19937 random(seed);
        for (std::size_t i = 0; i < n; ++i) {
            Job bad;
            if (random() % 3 == 0) {
                execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
                options.drop = drop;
                CHECK(closed_ways[random() % closed_ways.size()](at, nullptr, options, bad) == EXECQ_ECLOSED);
            } else {
                const Reason why = reason(at, random() % reasons);
                CHECK(ways[random() % ways.size()](at, why.executor, why.options, bad) == why.status);
            }
            must_be_refused(bad);
            refused.fetch_add(1);
            if (random() % 8 != 0)
                continue;
            Job good;
            execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
            options.drop = drop;
            CHECK(ways[random() % ways.size()](at, at.open, options, good) == EXECQ_OK);
            must_run(good);
        }
    });
    EXPECT_EQ(refused.load(), threads * n);
}

TEST(RefusalStress, WithoutMemoryForAnyAllocationATaskIsRefusedAndTheNextTryWorks)
{
    const std::size_t n = stress_n(5'000, 300);
    const Places at;
    std::atomic<std::size_t> refused{0};
    on_all([&](unsigned seed) {
        std::mt19937 random(seed);
        for (std::size_t i = 0; i < n; ++i) {
            execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
            options.drop = drop;
            options.name = random() % 2 == 0 ? "named" : nullptr;
            options.timeout_ns = random() % 3 == 0 ? std::int64_t{3'600'000'000'000} : 0;
            const Submit submit = ways[random() % ways.size()];
            for (int k = 0;; ++k) {
                CHECK(k < 100);
                Job job;
                allocations_left = k;
                const execq_status status = submit(at, at.open, options, job);
                allocations_left = -1;
                if (status == EXECQ_OK) {
                    must_run(job);
                    break;
                }
                CHECK(status == EXECQ_ENOMEM || status == EXECQ_EAGAIN);
                must_be_refused(job);
                refused.fetch_add(1);
            }
        }
    });
    EXPECT_GE(refused.load(), sanitized ? 0 : threads * n / 4);  // what stands behind a node takes memory each time
}
