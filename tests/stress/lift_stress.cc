// Lifting onto a loop while others cancel and the loop is detached: each task runs or is canceled, each asynchronous one
// ends by its promise, each env and each cancel callback's env is dropped once, and after the detachment nothing runs.
#include <uv.h>

#include <array>
#include <thread>
#include <vector>

#include "execq/execq.h"
#include "execq/uv.h"
#include "stress.h"
#include "white_box.h"

namespace {

constexpr std::size_t lifters = 2;
constexpr std::size_t jobs_per_lifter = 64;

enum class Kind { body, resolved_inside, resolved_elsewhere, until_canceled };

struct Job {
    Kind kind = Kind::body;
    execq_status submitted = EXECQ_EINVAL;
    execq_future* future = nullptr;
    std::atomic<execq_promise*> promise{nullptr};  // of a kind that is completed elsewhere, with one reference
    std::atomic<std::uint32_t> ran{0};
    std::atomic<std::uint32_t> env_dropped{0};
    std::atomic<std::uint32_t> done{0};
    std::atomic<std::uint32_t> prevented{0};  // cancellations that answered EXECQ_OK
    std::atomic<std::uint32_t> stopped{0};    // calls of the cancel callback
    std::atomic<std::uint32_t> hooks{0};
    std::atomic<std::uint32_t> hook_dropped{0};
};

std::array<std::array<Job, jobs_per_lifter>, lifters> jobs;
std::atomic<bool> detached{false};
std::atomic<std::size_t> submitted{0};  // lifters that are through
std::atomic<std::size_t> accepted{0};   // tasks
std::thread::id loop_thread;

void on_loop_before_the_detachment_ended()
{
    CHECK(!detached);
    CHECK(std::this_thread::get_id() == loop_thread);
}

std::int32_t body(void* env, void** result)
{
    on_loop_before_the_detachment_ended();
    static_cast<Job*>(env)->ran.fetch_add(1);
    *result = env;
    return execq_cancel_requested() != 0 ? EXECQ_ECANCELED : 0;
}

void drop_env(void* env)
{
    Job& job = *static_cast<Job*>(env);
    CHECK(job.done == 0);
    CHECK(job.env_dropped.fetch_add(1) == 0);
}

void drop_hook(void* env) { CHECK(static_cast<Job*>(env)->hook_dropped.fetch_add(1) == 0); }

void stop(void* env)
{
    Job& job = *static_cast<Job*>(env);
    on_loop_before_the_detachment_ended();
    CHECK(job.done == 0 && job.env_dropped == 0 && job.hook_dropped == 0);
    CHECK(job.stopped.fetch_add(1) == 0);
    if (job.kind == Kind::until_canceled) {
        execq_promise* promise = job.promise.exchange(nullptr);
        if (promise != nullptr) {
            CHECK(execq_promise_reject(promise, EXECQ_ECANCELED, nullptr) == EXECQ_OK);
            execq_promise_release(promise);
        }
        CHECK(job.hook_dropped == 0);
        return;
    }
    spin(200);
    CHECK(job.done == 0);  // a completion on another thread waits for us
}

void start(execq_promise* promise, uv_loop_s*, void* env)
{
    Job& job = *static_cast<Job*>(env);
    on_loop_before_the_detachment_ended();
    job.ran.fetch_add(1);
    if (job.kind == Kind::resolved_inside) {
        CHECK(execq_promise_resolve(promise, env) == EXECQ_OK);
        execq_promise_release(promise);
        return;
    }
    job.hooks.fetch_add(1);
    CHECK(execq_promise_on_cancel(promise, stop, env, drop_hook) == EXECQ_OK);
    job.promise.store(promise);
}

void done(execq_future*, void* env)
{
    Job& job = *static_cast<Job*>(env);
    CHECK(job.env_dropped == 1);
    CHECK(job.done.fetch_add(1) == 0);
}

void cancel(Job& job)
{
    const execq_status status = execq_future_cancel(job.future);
    CHECK(status == EXECQ_OK || status == EXECQ_EBUSY || status == EXECQ_EALREADY);
    job.prevented.fetch_add(status == EXECQ_OK ? 1 : 0);
}

void lift_all(execq_loop* port, std::size_t lifter)
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = drop_env;
    for (std::size_t i = 0; i < jobs_per_lifter; ++i) {
        Job& job = jobs[lifter][i];
        job.kind = static_cast<Kind>(i % 4);
        execq_future* future = nullptr;
        job.submitted = job.kind == Kind::body ? execq_loop_submit(port, &options, body, &job, &future)
                                               : execq_loop_submit_async(port, &options, start, &job, &future);
        CHECK(job.submitted == EXECQ_OK || job.submitted == EXECQ_ECLOSED);
        if (job.submitted == EXECQ_OK) {
            CHECK(execq_future_on_done(future, done, &job, nullptr) == EXECQ_OK);
            job.future = future;
            accepted.fetch_add(1);
            if (i % 5 == 0)
                cancel(job);
        }
    }
}

// What has started by now is asked to stop.
void cancel_some(std::size_t lifter)
{
    for (std::size_t i = 0; i < jobs_per_lifter; ++i) {
        if (i % 3 == 0 && jobs[lifter][i].future != nullptr)
            cancel(jobs[lifter][i]);
    }
}

// Another thread than the loop's completes some of the promises, while others ask them to stop.
void complete_some(std::size_t lifter, bool all)
{
    for (Job& job : jobs[lifter]) {
        if (!all && job.kind != Kind::resolved_elsewhere)
            continue;
        execq_promise* promise = job.promise.exchange(nullptr);
        if (promise == nullptr)
            continue;
        const execq_status status = execq_promise_resolve(promise, nullptr);
        CHECK(status == EXECQ_OK);
        CHECK(job.done == 1 && job.env_dropped == 1);
        execq_promise_release(promise);
    }
}

struct Totals {
    std::size_t ran = 0, prevented = 0, shut_down = 0, refused = 0, stopped = 0;
};

void account(Job& job, Totals& totals)
{
    CHECK(job.env_dropped == 1);
    CHECK(job.hook_dropped == job.hooks);
    CHECK(job.stopped <= job.hooks);
    totals.stopped += job.stopped;
    if (job.submitted == EXECQ_ECLOSED) {
        CHECK(job.ran == 0 && job.done == 0 && job.future == nullptr);
        ++totals.refused;
    } else {
        CHECK(job.done == 1);
        const execq_status status = execq_future_result(job.future, nullptr);
        const bool shut_down = execq_future_cancel_reason(job.future) == EXECQ_REASON_SHUTDOWN;
        CHECK(status == EXECQ_OK || status == EXECQ_ECANCELED);
        CHECK(job.ran + job.prevented + (shut_down ? 1 : 0) == 1);
        CHECK(job.ran == 1 || status == EXECQ_ECANCELED);
        totals.ran += job.ran;
        totals.prevented += job.prevented;
        totals.shut_down += shut_down ? 1 : 0;
        execq_future_release(job.future);
    }
    job.future = nullptr;
    job.ran = job.env_dropped = job.done = job.prevented = job.stopped = job.hooks = job.hook_dropped = 0;
}

void play_round(std::size_t round, Totals& totals)
{
    uv_loop_t loop;
    execq_loop* port = nullptr;
    CHECK(uv_loop_init(&loop) == 0);
    CHECK(execq_loop_attach(&loop, &port) == EXECQ_OK);
    detached = false;
    submitted = 0;
    accepted = 0;
    std::vector<std::thread> threads;
    for (std::size_t lifter = 0; lifter < lifters; ++lifter) {
        threads.emplace_back([port, lifter] {
            lift_all(port, lifter);
            cancel_some(lifter);
            complete_some(lifter, false);
            submitted.fetch_add(1);
        });
    }
    // Detaches somewhere on the way, or, in some rounds, when all is through but what is open.
    const std::size_t enough = round * 7 % (lifters * jobs_per_lifter);
    while (submitted != lifters && (round % 4 == 3 || accepted < enough))
        uv_run(&loop, UV_RUN_NOWAIT);
    if (round % 4 == 3)
        uv_run(&loop, UV_RUN_NOWAIT);
    spin(round % 37 * 100);
    CHECK(execq_loop_detach(port) == EXECQ_OK);
    detached = true;
    for (std::thread& thread : threads)
        thread.join();
    execq_loop_release(port);
    CHECK(uv_run(&loop, UV_RUN_DEFAULT) == 0);
    CHECK(uv_loop_close(&loop) == 0);
    for (std::size_t lifter = 0; lifter < lifters; ++lifter) {
        complete_some(lifter, true);
        for (Job& job : jobs[lifter])
            account(job, totals);
    }
}

}  // namespace

int main()
{
    const std::size_t wanted = stress_n(10'000, 1'000);
    loop_thread = std::this_thread::get_id();
    Totals totals;
    std::size_t rounds = 0;
    // Goes on until each end has been seen.
    for (; rounds < wanted || totals.ran == 0 || totals.prevented == 0 || totals.shut_down == 0 ||
           totals.refused == 0 || totals.stopped == 0;
         ++rounds)
        play_round(rounds, totals);
    CHECK(totals.ran + totals.prevented + totals.shut_down + totals.refused == rounds * lifters * jobs_per_lifter);
    std::printf("%zu loops: %zu tasks ran, %zu canceled, %zu canceled by the detachment, %zu refused; %zu cancel "
                "callbacks, none late or twice\n",
                rounds, totals.ran, totals.prevented, totals.shut_down, totals.refused, totals.stopped);
    return 0;
}
