// Interrupted bodies among others, on the same workers. Bodies are canceled at any moment, most near their end. A system call
// of a body returns EINTR only if that body was asked to stop; no other body, no drop and no done callback finds the signal
// unblocked or pending.
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <ctime>
#include <poll.h>
#include <pthread.h>
#include <random>
#include <thread>
#include <vector>

#include "execq/execq.h"
#include "stress.h"

namespace {

enum class Kind : std::uint32_t { canceled, spared, ordinary, around_ordinary, around_canceled };
constexpr std::uint32_t kinds = 5;

struct Sums {
    std::atomic<std::size_t> interrupted{0}, asked{0}, strangers{0}, bodies{0};
};

execq_executor* executor = nullptr;
Sums sums;

bool real_time_signal_is(const sigset_t& set, int wanted)
{
    for (int i = SIGRTMIN; i <= SIGRTMAX; ++i) {
        if (sigismember(&set, i) == wanted)
            return true;
    }
    return false;
}

// On a worker, outside of bodies that may be interrupted.
void check_silence()
{
    sigset_t mask;
    sigset_t pending;
    CHECK(pthread_sigmask(SIG_SETMASK, nullptr, &mask) == 0 && sigpending(&pending) == 0);
    CHECK(!real_time_signal_is(mask, 0) && !real_time_signal_is(pending, 1));
}

// True: it was interrupted.
bool block_for(long ns)
{
    const timespec time{0, ns};
    const int status = ppoll(nullptr, 0, &time, nullptr);
    CHECK(status == 0 || errno == EINTR);
    return status != 0;
}

void block_unasked(long ns)
{
    if (block_for(ns))
        sums.strangers.fetch_add(1);
}

struct Job {
    Kind kind = Kind::ordinary;
    long block_ns = 0;
    std::uint32_t blocks = 1;
    std::chrono::nanoseconds patience{0};  // of who cancels, once it has started
    std::atomic<bool> started{false};
    bool dropped = false;
    execq_future* future = nullptr;

    static std::int32_t ordinary(void* env, void**)
    {
        const auto* job = static_cast<const Job*>(env);
        check_silence();
        block_unasked(job->block_ns);
        sums.bodies.fetch_add(1);
        return 0;
    }
    static std::int32_t spared(void* env, void**)
    {
        block_unasked(static_cast<const Job*>(env)->block_ns);
        sums.bodies.fetch_add(1);
        return 0;
    }
    void block()
    {
        for (std::uint32_t i = 0; i != blocks; ++i) {
            if (!block_for(block_ns))
                continue;
            if (execq_cancel_requested() == 0)
                sums.strangers.fetch_add(1);
            sums.interrupted.fetch_add(1);
        }
    }
    static std::int32_t canceled(void* env, void**)
    {
        auto* job = static_cast<Job*>(env);
        job->started = true;
        job->block();
        if (job->kind == Kind::around_ordinary)
            job->wait_for(0, ordinary);
        else if (job->kind == Kind::around_canceled)
            job->wait_for(EXECQ_TASK_INTERRUPT, spared);
        job->block();
        sums.asked.fetch_add(execq_cancel_requested() != 0 ? 1 : 0);
        sums.bodies.fetch_add(1);
        return 0;
    }
    // For a task that is nobody's to cancel, and most of the time runs in place.
    void wait_for(std::uint32_t flags, execq_fn fn)
    {
        execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
        execq_future* inner = nullptr;
        options.flags = flags;
        CHECK(execq_submit_with(executor, &options, fn, this, &inner) == EXECQ_OK);
        CHECK(execq_future_wait(inner, -1) == EXECQ_OK);
        execq_future_release(inner);
    }
    static void drop(void* env)
    {
        check_silence();
        static_cast<Job*>(env)->dropped = true;
    }

    bool to_cancel() const { return kind != Kind::spared && kind != Kind::ordinary; }
    void submit()
    {
        execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
        options.flags = kind == Kind::ordinary ? 0 : EXECQ_TASK_INTERRUPT;
        options.drop = drop;
        const execq_fn body = kind == Kind::ordinary ? ordinary : kind == Kind::spared ? spared : canceled;
        CHECK(execq_submit_with(executor, &options, body, this, &future) == EXECQ_OK);
    }
    void cancel()
    {
        while (!started && execq_future_result(future, nullptr) == EXECQ_EPENDING)
            std::this_thread::yield();
        const auto then = std::chrono::steady_clock::now() + patience;
        while (std::chrono::steady_clock::now() < then) {
        }
        const execq_status status = execq_future_cancel(future);
        CHECK(status == EXECQ_EBUSY || status == EXECQ_EALREADY);
    }
};

// How many bodies there were.
std::size_t run_batch(std::mt19937& random)
{
    std::vector<Job> jobs(64);
    std::size_t bodies = 0;
    for (Job& job : jobs) {
        job.kind = static_cast<Kind>(random() % kinds);
        job.block_ns = static_cast<long>(random() % 20'000);
        job.blocks = random() % 3;
        job.patience = std::chrono::nanoseconds(random() % 60'000);
        bodies += job.kind == Kind::around_ordinary || job.kind == Kind::around_canceled ? 2 : 1;
    }
    for (Job& job : jobs)
        job.submit();
    for (Job& job : jobs) {
        if (job.to_cancel())
            job.cancel();
    }
    for (Job& job : jobs) {
        CHECK(execq_future_wait(job.future, -1) == EXECQ_OK);
        CHECK(execq_future_result(job.future, nullptr) == EXECQ_OK && job.dropped);
        execq_future_release(job.future);
    }
    return bodies;
}

}  // namespace

int main()
{
    const std::size_t rounds = stress_n(400, 40);
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 2;
    CHECK(execq_executor_new(&options, &executor) == EXECQ_OK);
    std::mt19937 random(7);
    std::size_t bodies = 0;
    for (std::size_t i = 0; i < rounds || sums.interrupted == 0; ++i)
        bodies += run_batch(random);
    CHECK(execq_executor_close(executor, EXECQ_DRAIN) == EXECQ_OK);
    CHECK(execq_executor_join(executor, -1, nullptr) == EXECQ_OK);
    execq_executor_release(executor);
    CHECK(sums.strangers == 0);
    CHECK(sums.bodies == bodies);
    std::printf("%zu bodies, %zu asked to stop, %zu system calls interrupted\n", bodies, sums.asked.load(),
                sums.interrupted.load());
    return 0;
}
