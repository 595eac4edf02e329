// Cancel callbacks and sources: registrations and their ends against cancellations and the end of the body. Each callback runs
// at most once, never before its registration nor after it was taken back or its body ended; what off answers is what happened.
#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "execq/execq.h"
#include "stress.h"

namespace {

struct Callback {
    std::atomic<bool> open{false};
    std::atomic<std::uint32_t> calls{0};

    static void call(void* env)
    {
        auto* self = static_cast<Callback*>(env);
        CHECK(self->open);
        self->calls.fetch_add(1);
        CHECK(self->open);  // neither off nor the end of the body has gone on meanwhile
    }
};

struct Job {
    static constexpr std::size_t callbacks = 6;

    std::array<Callback, callbacks> all;
    execq_future* future = nullptr;

    // Every second one is left to the end of the body.
    static std::int32_t body(void* env, void**)
    {
        auto* job = static_cast<Job*>(env);
        for (std::size_t i = 0; i < callbacks; ++i) {
            Callback& one = job->all[i];
            one.open = true;
            execq_cancel_token token = 0;
            CHECK(execq_on_cancel(Callback::call, &one, &token) == EXECQ_OK);
            if (i % 2 == 0)
                continue;
            const execq_status status = execq_off_cancel(token);
            one.open = false;
            CHECK(status == EXECQ_OK || status == EXECQ_EALREADY);
            CHECK(one.calls == (status == EXECQ_OK ? 0 : 1));
        }
        return execq_cancel_requested() != 0 ? EXECQ_ECANCELED : 0;
    }
    static void drop(void* env)
    {
        for (Callback& one : static_cast<Job*>(env)->all)
            one.open = false;
    }
};

struct Sum {
    std::size_t called = 0, unused = 0;
};

constexpr std::size_t batch = 200;

void cancel_from_behind(std::vector<Job>& jobs)
{
    for (std::size_t i = jobs.size(); i != 0; --i)
        (void)execq_future_cancel(jobs[i - 1].future);
}

// Two workers run; single cancellations, and that of the source of all, come in between.
void run_batch(execq_executor* executor, std::size_t round, Sum& sum)
{
    std::vector<Job> jobs(batch);
    execq_cancel_source* source = nullptr;
    CHECK(execq_cancel_source_new(nullptr, &source) == EXECQ_OK);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = Job::drop;
    options.cancel_source = source;
    for (Job& job : jobs)
        CHECK(execq_submit_with(executor, &options, Job::body, &job, &job.future) == EXECQ_OK);
    std::thread other([&] { cancel_from_behind(jobs); });
    CHECK(execq_future_wait(jobs[round % batch].future, -1) == EXECQ_OK);
    CHECK(execq_cancel_source_cancel(source) == EXECQ_OK);
    other.join();
    execq_cancel_source_release(source);
    for (Job& job : jobs) {
        CHECK(execq_future_wait(job.future, -1) == EXECQ_OK);
        std::size_t called = 0;
        for (Callback& one : job.all) {
            CHECK(!one.open && one.calls <= 1);
            called += one.calls;
        }
        sum.called += called;
        sum.unused += Job::callbacks - called;
        execq_future_release(job.future);
    }
}

// ---- callbacks of a source: on and off on two threads, against a cancellation ----

struct SourceCall {
    std::atomic<std::uint32_t> called{0}, dropped{0};

    static void call(void* env)
    {
        auto* self = static_cast<SourceCall*>(env);
        CHECK(self->dropped == 0);
        self->called.fetch_add(1);
    }
    static void drop(void* env) { static_cast<SourceCall*>(env)->dropped.fetch_add(1); }
};

void race_source(std::size_t& called, std::size_t& unused)
{
    constexpr std::size_t n = 40;
    std::array<SourceCall, 2 * n> calls;
    std::atomic<std::uint32_t> ready{0};
    execq_cancel_source* source = nullptr;
    CHECK(execq_cancel_source_new(nullptr, &source) == EXECQ_OK);
    const auto registers = [&](std::size_t from) {
        ready.fetch_add(1);
        for (std::size_t i = from; i < from + n; ++i) {
            execq_cancel_token token = 0;
            CHECK(execq_cancel_source_on_cancel(source, SourceCall::call, &calls[i], SourceCall::drop, &token) ==
                  EXECQ_OK);
            if (i % 2 == 0)
                continue;
            const execq_status status = execq_cancel_source_off(source, token);
            CHECK(status == EXECQ_OK || status == EXECQ_EALREADY);
            CHECK(calls[i].called == (status == EXECQ_OK ? 0 : 1) && calls[i].dropped == 1);
        }
    };
    std::thread first([&] { registers(0); });
    std::thread second([&] { registers(n); });
    while (ready != 2)
        std::this_thread::yield();
    CHECK(execq_cancel_source_cancel(source) == EXECQ_OK);
    first.join();
    second.join();
    execq_cancel_source_release(source);
    for (SourceCall& call : calls) {
        CHECK(call.dropped == 1 && call.called <= 1);
        called += call.called;
        unused += 1 - call.called;
    }
}

// ---- a close against bodies without a node ----

struct PlainJob {
    Callback kept, taken_back;
    std::atomic<std::uint32_t>* running = nullptr;
    bool ran = false;

    // Goes on until the close has asked it, which may be at any step.
    static std::int32_t body(void* env, void**)
    {
        auto* job = static_cast<PlainJob*>(env);
        job->ran = true;
        job->running->fetch_add(1);
        job->kept.open = true;
        CHECK(execq_on_cancel(Callback::call, &job->kept, nullptr) == EXECQ_OK);
        while (execq_cancel_requested() == 0) {
            job->taken_back.open = true;
            const std::uint32_t before = job->taken_back.calls;
            execq_cancel_token token = 0;
            CHECK(execq_on_cancel(Callback::call, &job->taken_back, &token) == EXECQ_OK);
            const execq_status status = execq_off_cancel(token);
            CHECK(job->taken_back.calls - before == (status == EXECQ_EALREADY ? 1 : 0));
            job->taken_back.open = false;
        }
        return EXECQ_ECANCELED;
    }
};

void race_close(std::size_t& called, std::size_t& at_once)
{
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 2;
    execq_executor* executor = nullptr;
    CHECK(execq_executor_new(&options, &executor) == EXECQ_OK);
    std::atomic<std::uint32_t> running{0};
    std::vector<PlainJob> jobs(4);
    for (PlainJob& job : jobs) {
        job.running = &running;
        CHECK(execq_submit(executor, PlainJob::body, &job, nullptr) == EXECQ_OK);
    }
    while (running == 0)
        std::this_thread::yield();
    CHECK(execq_executor_close(executor, EXECQ_CANCEL) == EXECQ_OK);
    CHECK(execq_executor_join(executor, -1, nullptr) == EXECQ_OK);
    execq_executor_release(executor);
    for (PlainJob& job : jobs) {
        CHECK(job.kept.calls <= (job.ran ? 1 : 0));  // the body may see the close, and end, before it is called
        called += job.kept.calls;
        at_once += job.taken_back.calls;
    }
}

}  // namespace

int main()
{
    const std::size_t rounds = stress_n(1'500, 100);
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 2;
    execq_executor* executor = nullptr;
    CHECK(execq_executor_new(&options, &executor) == EXECQ_OK);
    Sum sum;
    for (std::size_t i = 0; i < rounds || sum.called == 0 || sum.unused == 0; ++i)
        run_batch(executor, i, sum);
    CHECK(execq_executor_close(executor, EXECQ_DRAIN) == EXECQ_OK);
    CHECK(execq_executor_join(executor, -1, nullptr) == EXECQ_OK);
    execq_executor_release(executor);
    std::size_t called = 0;
    std::size_t unused = 0;
    for (std::size_t i = 0; i < rounds || called == 0 || unused == 0; ++i)
        race_source(called, unused);
    std::size_t kept = 0;
    std::size_t taken_back = 0;
    for (std::size_t i = 0; i < rounds || kept == 0 || taken_back == 0; ++i)
        race_close(kept, taken_back);
    std::printf("bodies: %zu callbacks called, %zu not; sources: %zu called, %zu not; closes: %zu and %zu called\n",
                sum.called, sum.unused, called, unused, kept, taken_back);
    return 0;
}
