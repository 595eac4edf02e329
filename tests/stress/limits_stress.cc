// Bounded executors, priorities and hints of blocking, all at once, against cancellations and a close: what was accepted ends,
// what was refused is dropped, and nobody stays blocked. (That never more than the capacity wait is the room's
// own test.)
#include <array>
#include <thread>
#include <vector>

#include "execq/execq.h"
#include "stress.h"
#include "white_box.h"

namespace {

constexpr unsigned submitters = 3;
constexpr std::uint32_t capacity = 5;

struct Counts {
    std::atomic<std::uint64_t> tried{0};
    std::atomic<std::uint64_t> accepted{0};
    std::atomic<std::uint64_t> refused{0};
    std::atomic<std::uint64_t> ran{0};
    std::atomic<std::uint64_t> canceled{0};
    std::atomic<std::uint64_t> dropped{0};
    std::atomic<std::uint64_t> inner{0};
} counts;

execq_executor* executor = nullptr;
void settle(execq_future* future)
{
    CHECK(execq_future_wait(future, -1) == EXECQ_OK);
    const execq_status status = execq_future_result(future, nullptr);
    CHECK(status == EXECQ_OK || status == EXECQ_ECANCELED);
    counts.canceled.fetch_add(status == EXECQ_ECANCELED ? 1 : 0);
    execq_future_release(future);
}

std::int32_t inner(void*, void**)
{
    counts.inner.fetch_add(1);
    return 0;
}

// Every fourth says that it blocks, every eighth forgets to take that back, every sixteenth submits and waits.
std::int32_t body(void*, void**)
{
    const std::uint64_t n = counts.ran.fetch_add(1);
    if (n % 4 == 0) {
        execq_blocking_begin();
        std::this_thread::yield();
        if (n % 8 != 0)
            execq_blocking_end();
    }
    if (n % 16 == 1) {
        execq_future* future = nullptr;
        const execq_status status = execq_submit(executor, inner, nullptr, &future);
        CHECK(status == EXECQ_OK || status == EXECQ_EFULL || status == EXECQ_EDEADLK || status == EXECQ_ECLOSED);
        if (status == EXECQ_OK) {
            const execq_status waited = execq_future_wait(future, n % 32 == 1 ? -1 : 3'600'000'000'000);
            CHECK(waited == EXECQ_OK || waited == EXECQ_EDEADLK);
            execq_future_release(future);
        }
    }
    return 0;
}

void drop(void*) { counts.dropped.fetch_add(1); }

void submit_until_closed(unsigned role)
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = drop;
    for (unsigned i = role;; ++i) {
        const std::size_t n = 1 + i % 3;
        std::array<execq_future*, 3> futures{};
        options.priority = static_cast<std::int32_t>(i % 3) - 1;
        options.flags = i % 5 == 0 ? EXECQ_TASK_NO_WAIT : 0;
        options.start_within_ns = i % 7 == 0 ? 50'000 : 0;
        counts.tried.fetch_add(n);
        const execq_status status = execq_submit_many(executor, &options, n, body, nullptr, futures.data());
        if (status != EXECQ_OK) {
            CHECK(status == EXECQ_ECLOSED || status == EXECQ_EFULL || status == EXECQ_ETIMEDOUT);
            CHECK(status != EXECQ_ETIMEDOUT || options.start_within_ns != 0);
            counts.refused.fetch_add(n);
            if (status == EXECQ_ECLOSED)
                return;
            continue;
        }
        counts.accepted.fetch_add(n);
        for (std::size_t k = 0; k < n; ++k) {
            if (i % 4 == 0)
                (void)execq_future_cancel(futures[k]);
            settle(futures[k]);
        }
    }
}

void play(std::uint32_t policy, std::int32_t mode, std::uint32_t threads, std::uint64_t enough)
{
    for (auto* count : {&counts.tried, &counts.accepted, &counts.refused, &counts.ran, &counts.canceled,
                        &counts.dropped, &counts.inner})
        count->store(0);
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = threads;
    options.max_spares = 3;
    options.capacity = capacity;
    options.full_policy = policy;
    CHECK(execq_executor_new(&options, &executor) == EXECQ_OK);
    std::vector<std::thread> others;
    for (unsigned role = 0; role < submitters; ++role)
        others.emplace_back(submit_until_closed, role * 11);
    while (counts.accepted.load() < enough)
        std::this_thread::yield();
    CHECK(execq_executor_close(executor, mode) == EXECQ_OK);
    for (std::thread& other : others)
        other.join();
    execq_shutdown_report report = EXECQ_SHUTDOWN_REPORT_INIT;
    CHECK(execq_executor_join(executor, -1, &report) == EXECQ_OK);
    CHECK(report.queued == 0 && report.running_total == 0 && report.threads <= 1);
    CHECK(counts.tried == counts.accepted + counts.refused);
    CHECK(counts.accepted == counts.ran + counts.canceled);
    CHECK(counts.dropped == counts.tried);
    execq_executor_release(executor);
}

}  // namespace

int main()
{
    const std::size_t enough = stress_n(3'000, 300);
    for (const std::uint32_t policy : {EXECQ_FULL_REJECT, EXECQ_FULL_BLOCK, EXECQ_FULL_CALLER_RUNS}) {
        for (const std::int32_t mode : {EXECQ_DRAIN, EXECQ_CANCEL}) {
            for (const std::uint32_t threads : {1U, 2U, 4U})
                play(policy, mode, threads, enough);
        }
    }
    return 0;
}
