// Forks under load: while threads submit, wait, sleep and fork inside of tasks, another one forks children that each make an
// executor, run tasks on it and check them. The parent's accounting is exact, and every child ends well.
#include <array>
#include <atomic>
#include <cstdint>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "execq/execq.h"
#include "stress.h"
#include "white_box.h"

namespace {

constexpr unsigned submitters = 2;
constexpr unsigned child_limit_s = 600;
constexpr unsigned child_tasks = 100;

struct Counts {
    std::atomic<std::uint64_t> submitted{0};
    std::atomic<std::uint64_t> ran{0};
    std::atomic<std::uint64_t> dropped{0};
    std::atomic<std::uint64_t> with_drop{0};
    std::atomic<std::uint64_t> inner_children{0};
} counts;

execq_executor* executor = nullptr;
std::atomic<bool> over{false};

std::int32_t body(void*, void**)
{
    counts.ran.fetch_add(1);
    return 0;
}

void drop(void*) { counts.dropped.fetch_add(1); }

std::int32_t count_own(void* env, void**)
{
    static_cast<std::atomic<unsigned>*>(env)->fetch_add(1);
    return 0;
}

void settle(execq_future* future)
{
    CHECK(execq_future_wait(future, -1) == EXECQ_OK);
    CHECK(execq_future_result(future, nullptr) == EXECQ_OK);
    execq_future_release(future);
}

// In a child, on its only thread.
void live()
{
    alarm(child_limit_s);
    const std::uint64_t ran = counts.ran.load();
    CHECK(execq_submit(executor, body, nullptr, nullptr) == EXECQ_EFORKED);
    execq_executor* own = nullptr;
    CHECK(execq_executor_new(nullptr, &own) == EXECQ_OK);
    std::atomic<unsigned> own_ran{0};
    std::array<execq_future*, child_tasks> futures{};
    for (execq_future*& future : futures)
        CHECK(execq_submit(own, count_own, &own_ran, &future) == EXECQ_OK);
    execq_future* sleep = nullptr;
    CHECK(execq_sleep(1000, &sleep) == EXECQ_OK);
    settle(sleep);
    for (execq_future* future : futures)
        settle(future);
    CHECK(execq_executor_close(own, EXECQ_DRAIN) == EXECQ_OK);
    CHECK(execq_executor_join(own, -1, nullptr) == EXECQ_OK);
    execq_executor_release(own);
    execq_executor_release(executor);
    CHECK(own_ran.load() == child_tasks);
    CHECK(counts.ran.load() == ran);  // nothing of the parent's goes on here
}

void await(pid_t child)
{
    int status = -1;
    CHECK(child > 0);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}

// The child of a task goes back into the worker, and ends there.
std::int32_t fork_body(void*, void**)
{
    const pid_t child = fork();
    if (child == 0) {
        live();
        return 0;
    }
    await(child);
    counts.inner_children.fetch_add(1);
    counts.ran.fetch_add(1);
    return 0;
}

void submit_until_over()
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = drop;
    options.delay_ns = 1000;
    execq_queue* queue = nullptr;
    CHECK(execq_queue_new(executor, nullptr, &queue) == EXECQ_OK);
    options.queue = queue;
    while (!over.load()) {
        for (unsigned i = 0; i < 30; ++i)
            CHECK(execq_submit(executor, body, nullptr, nullptr) == EXECQ_OK);
        execq_future* plain = nullptr;
        execq_future* delayed = nullptr;
        CHECK(execq_submit(executor, body, nullptr, &plain) == EXECQ_OK);
        CHECK(execq_submit_with(nullptr, &options, body, nullptr, &delayed) == EXECQ_OK);
        settle(plain);
        settle(delayed);
        counts.submitted.fetch_add(32);
        counts.with_drop.fetch_add(1);
    }
    CHECK(execq_queue_close(queue, EXECQ_DRAIN, nullptr) == EXECQ_OK);
    execq_queue_release(queue);
}

}  // namespace

TEST(ForkStress, children_of_a_busy_process_work_and_the_parent_loses_nothing)
{
    const std::size_t children = stress_n(200, 200);
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 4;
    ASSERT_EQ(execq_executor_new(&options, &executor), EXECQ_OK);
    std::array<std::thread, submitters> threads;
    for (std::thread& thread : threads)
        thread = std::thread(submit_until_over);
    std::uint64_t inner = 0;
    for (std::size_t i = 0; i < children; ++i) {
        if (i % 8 == 7) {
            execq_future* future = nullptr;
            ASSERT_EQ(execq_submit(executor, fork_body, nullptr, &future), EXECQ_OK);
            settle(future);
            counts.submitted.fetch_add(1);
            ++inner;
            continue;
        }
        const pid_t child = fork();
        if (child == 0) {
            live();
            _exit(0);
        }
        await(child);
    }
    over.store(true);
    for (std::thread& thread : threads)
        thread.join();
    ASSERT_EQ(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    ASSERT_EQ(execq_executor_join(executor, -1, nullptr), EXECQ_OK);
    execq_executor_release(executor);
    EXPECT_EQ(counts.ran.load(), counts.submitted.load());
    EXPECT_EQ(counts.dropped.load(), counts.with_drop.load());
    EXPECT_EQ(counts.inner_children.load(), inner);
}
