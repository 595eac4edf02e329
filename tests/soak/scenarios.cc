// What an actor does, its parts, and the scenarios of tasks and executors.
#include "world.h"

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <sys/wait.h>
#include <unistd.h>

#include "execq/uv.h"

namespace {

struct Scenario {
    const char* name;
    std::uint32_t weight;
};

constexpr std::array<Scenario, 15> scenarios{{{"plain", 30},
                                              {"mixed", 30},
                                              {"many", 10},
                                              {"linked", 10},
                                              {"queue", 12},
                                              {"group", 12},
                                              {"loop", 8},
                                              {"cq", 10},
                                              {"promises", 10},
                                              {"async", 10},
                                              {"periodic", 4},
                                              {"executor", 4},
                                              {"lift", 8},
                                              {"resize", 4},
                                              {"child", 1}}};

std::array<std::atomic<std::uint64_t>, scenarios.size()> times;
std::atomic<std::uint64_t> calls{0};

constexpr std::int64_t us = 1'000;

}  // namespace

std::uint64_t Actor::operations() { return calls; }

std::string Actor::summary()
{
    std::string text;
    for (std::size_t i = 0; i < scenarios.size(); ++i)
        text += (i == 0 ? "" : ", ") + std::string(scenarios[i].name) + " " + std::to_string(times[i].load());
    return text;
}

void Actor::note(std::uint64_t n) { calls.fetch_add(n, std::memory_order_relaxed); }

void Actor::act()
{
    using Member = void (Actor::*)();
    constexpr std::array<Member, scenarios.size()> members{
        &Actor::plain,    &Actor::mixed,  &Actor::many,     &Actor::linked,
        &Actor::queue,    &Actor::group,  &Actor::loop,     &Actor::completion_queue,
        &Actor::promises, &Actor::async,  &Actor::periodic, &Actor::own_executor,
        &Actor::lift,     &Actor::resize, &Actor::child};
    std::uint32_t sum = 0;
    for (const Scenario& scenario : scenarios)
        sum += scenario.weight;
    std::uint32_t chosen = below(sum);
    std::size_t i = 0;
    while (chosen >= scenarios[i].weight)
        chosen -= scenarios[i++].weight;
    times[i].fetch_add(1, std::memory_order_relaxed);
    (this->*members[i])();
}

// ---- parts ----

Target& Actor::any_target()
{
    switch (below(4)) {
    case 0:
        return world_.single;
    case 1:
        return world_.bounded;
    default:
        return world_.elastic;
    }
}

Act Actor::any_act(const Target& target)
{
    const Act act = static_cast<Act>(below(acts));
    if (act == Act::lose_thread && !(target.may_lose_threads && one_in(8)))
        return Act::nothing;
    if ((act == Act::use_loop && target.may_lose_threads) || act == Act::check_context)
        return Act::spin;
    if ((act == Act::nap || act == Act::until_asked || act == Act::raise) && !one_in(4))
        return Act::nothing;
    return act;
}

Actor::Jobs Actor::make_jobs(Target& target, std::uint32_t most)
{
    Jobs jobs(1 + below(most));
    int number = static_cast<int>(below(1000));
    for (Job& job : jobs) {
        job.target = &target;
        job.act = any_act(target);
        job.number = ++number;
    }
    return jobs;
}

execq_task_options Actor::any_options()
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = drop_job;
    if (one_in(6))
        options.priority = static_cast<std::int32_t>(below(3)) - 1;
    if (one_in(8))
        options.name = "soak";
    if (one_in(24))
        options.delay_ns = us * below(3000);
    if (one_in(12))
        options.start_within_ns = us * below(2000) - 500 * us;
    if (one_in(12))
        options.timeout_ns = us * below(4000) - 500 * us;
    return options;
}

// To be told from those that were refused, and counted where it was accepted. Hunger ends before that is looked at.
void Actor::submit(Job& job, const execq_task_options& options)
{
    bool took_it = false;
    static_cast<void>(maybe_hungry([&] {
        const execq_status status = execq_submit_with(job.target->executor, &options, run_job, &job, &job.future);
        took_it = took(*job.target, status);
        return status;
    }));
    job.accepted = took_it;
    job.target->accepted.fetch_add(took_it ? 1 : 0);
}

void Actor::cancel_some(Jobs& jobs)
{
    for (Job& job : jobs) {
        if (!job.accepted || !one_in(5))
            continue;
        const execq_status status = execq_future_cancel(job.future);
        CHECK(status == EXECQ_OK || status == EXECQ_EBUSY || status == EXECQ_EALREADY);
        job.canceled_first = status == EXECQ_OK;
    }
}

// ---- scenarios ----

void Actor::plain()
{
    const std::uint32_t n = 1 + below(400);
    const execq_fn count = [](void* world, void**) -> std::int32_t {
        static_cast<World*>(world)->plain_ran.fetch_add(1);
        return 0;
    };
    Target& target = any_target();
    std::uint64_t accepted = 0;
    for (std::uint32_t i = 0; i < n; ++i)
        accepted += took(target, execq_submit(target.executor, count, &world_, nullptr)) ? 1 : 0;
    target.accepted.fetch_add(accepted);
    world_.plain_accepted.fetch_add(accepted);
    note(n);
}

void Actor::mixed()
{
    Target& target = any_target();
    Jobs jobs = make_jobs(target, 60);
    for (Job& job : jobs) {
        execq_task_options options = any_options();
        if (one_in(8)) {
            options.context = world_.context;
            job.act = Act::check_context;
        } else if (one_in(10)) {
            options.flags |= EXECQ_TASK_INTERRUPT;
        }
        submit(job, options);
    }
    cancel_some(jobs);
    for (Job& job : jobs)
        settle(job);
    note(3 * jobs.size());
}

void Actor::many()
{
    Target& target = any_target();
    Jobs jobs = make_jobs(target, 60);
    std::vector<void*> envs;
    std::vector<execq_future*> futures(jobs.size());
    for (Job& job : jobs)
        envs.push_back(&job);
    const execq_task_options options = any_options();
    bool all = false;
    static_cast<void>(maybe_hungry([&] {
        // More than the executor could ever hold at once is no argument for it.
        const execq_status status =
            target.may_be_full && jobs.size() > 40
                ? EXECQ_EFULL
                : execq_submit_many(target.executor, &options, jobs.size(), run_job, envs.data(), futures.data());
        all = took(target, status);
        return status;
    }));
    if (target.may_be_full && jobs.size() > 40)
        return;
    for (std::size_t i = 0; i < jobs.size(); ++i) {
        jobs[i].accepted = all;
        jobs[i].future = futures[i];
    }
    target.accepted.fetch_add(all ? jobs.size() : 0);
    cancel_some(jobs);
    for (Job& job : jobs)
        settle(job);
    note(2 * jobs.size());
}

// Tasks, a group and callbacks of one cancel source, which is canceled meanwhile, or not.
void Actor::linked()
{
    execq_cancel_source* source = nullptr;
    if (maybe_hungry([&] { return execq_cancel_source_new(nullptr, &source); }) != EXECQ_OK)
        return;
    Job callback;
    const execq_cancel_fn tell = [](void* job) { tell_job(nullptr, job); };
    const bool listens = maybe_hungry([&] {
                             return execq_cancel_source_on_cancel(source, tell, &callback, end_registration, nullptr);
                         }) == EXECQ_OK;
    Target& target = any_target();
    Jobs jobs = make_jobs(target, 30);
    const bool cancels = one_in(2);
    const std::size_t when = below(static_cast<std::uint32_t>(jobs.size()));
    for (std::size_t i = 0; i < jobs.size(); ++i) {
        execq_task_options options = any_options();
        options.cancel_source = source;
        submit(jobs[i], options);
        if (cancels && i == when)
            CHECK(execq_cancel_source_cancel(source) == EXECQ_OK);
    }
    for (Job& job : jobs)
        settle(job);
    execq_cancel_source_release(source);
    CHECK(callback.ended == 1 || !cancels);  // else with the last task's link, on its worker
    while (callback.ended == 0)
        std::this_thread::yield();
    CHECK(callback.told == (cancels && listens ? 1 : 0));
    note(3 * jobs.size());
}

// An executor for a moment. Some are released and end by themselves.
void Actor::own_executor()
{
    Target own;
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 1 + below(4);
    options.keepalive_ns = one_in(2) ? -1 : us * 200;
    options.capacity = one_in(3) ? 10 : 0;
    options.full_policy = EXECQ_FULL_BLOCK;
    options.stack_size = one_in(3) ? 1024 * 1024 : 0;
    options.flags = EXECQ_EXECUTOR_TIMES;
    own.may_be_full = options.capacity != 0;
    own.may_be_closed = true;
    own.may_lose_threads = true;
    if (maybe_hungry([&] { return execq_executor_new(&options, &own.executor); }) != EXECQ_OK)
        return;
    Jobs jobs = make_jobs(own, 40);
    const std::size_t when = below(2 * static_cast<std::uint32_t>(jobs.size()));
    const std::int32_t mode = one_in(2) ? EXECQ_DRAIN : EXECQ_CANCEL;
    const bool joins = when < jobs.size() || one_in(2);
    for (std::size_t i = 0; i < jobs.size(); ++i) {
        submit(jobs[i], any_options());
        if (i == when)
            CHECK(execq_executor_close(own.executor, mode) == EXECQ_OK);
    }
    if (joins) {
        CHECK(execq_executor_close(own.executor, mode) == EXECQ_OK);
        while (execq_executor_join(own.executor, us * below(3000), nullptr) != EXECQ_OK) {
        }
        must_have_ended(own);
    } else {
        for (Job& job : jobs)
            CHECK(!job.accepted || execq_future_wait(job.future, -1) == EXECQ_OK);
    }
    execq_executor_release(own.executor);
    for (Job& job : jobs)
        settle(job);
    note(2 * jobs.size());
}

// Onto the loop of another thread, and back.
void Actor::lift()
{
    Target host{nullptr, false, false, false, {0}};
    Jobs jobs = make_jobs(host, 20);
    for (Job& job : jobs) {
        job.act = Act::spin;
        execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
        options.drop = drop_job;
        static_cast<void>(maybe_hungry([&] {
            const execq_status status = execq_loop_submit(world_.host, &options, run_job, &job, &job.future);
            job.accepted = took(host, status);
            return status;
        }));
    }
    Job called;
    called.act = Act::spin;
    const execq_status status = execq_loop_call(world_.host, run_job, &called, one_in(4) ? us : -1, nullptr);
    CHECK(status == EXECQ_OK ? called.runs == 1 : status == EXECQ_ETIMEDOUT && called.runs == 0);
    cancel_some(jobs);
    for (Job& job : jobs)
        settle(job);
    note(2 * jobs.size());
}

void Actor::resize()
{
    CHECK(execq_executor_resize(world_.elastic.executor, 0, 1 + below(6)) == EXECQ_OK);
    note(1);
}

// A child cannot use what it inherits, and makes everything anew. Sanitizers do not survive it: see fork_stress.cmake.
void Actor::child()
{
    if (sanitized)
        return;
    const std::shared_lock lock(descriptors_are_there);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(120);
        const execq_fn nothing = [](void*, void**) -> std::int32_t { return 0; };
        CHECK(execq_submit(world_.elastic.executor, nothing, nullptr, nullptr) == EXECQ_EFORKED);
        execq_executor* own = nullptr;
        CHECK(execq_executor_new(nullptr, &own) == EXECQ_OK);
        for (int i = 0; i < 20; ++i) {
            execq_future* future = nullptr;
            CHECK(execq_submit(own, nothing, nullptr, &future) == EXECQ_OK);
            CHECK(execq_future_wait(future, -1) == EXECQ_OK);
            execq_future_release(future);
        }
        CHECK(execq_executor_close(own, EXECQ_DRAIN) == EXECQ_OK);
        CHECK(execq_executor_join(own, -1, nullptr) == EXECQ_OK);
        execq_executor_release(own);
        _exit(0);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    faults.children.fetch_add(1);
    note(1);
}
