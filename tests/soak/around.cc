// Scenarios of what stands around tasks: queues, groups, loops, completion queues, promises, timers.
#include "world.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>

#include "execq/uv.h"

namespace {

constexpr std::int64_t us = 1'000;

}  // namespace

void Actor::queue()
{
    Target& target = any_target();
    execq_queue_options options = EXECQ_QUEUE_OPTIONS_INIT;
    options.max_in_flight = 1 + below(3);
    options.capacity = one_in(3) ? 5 + below(20) : 0;
    options.full_policy = one_in(2) ? EXECQ_FULL_REJECT : EXECQ_FULL_BLOCK;
    options.flags = options.capacity == 0 && one_in(4) ? EXECQ_QUEUE_PAUSED : 0;
    execq_queue* queue = nullptr;
    if (maybe_hungry([&] { return execq_queue_new(target.executor, &options, &queue); }) != EXECQ_OK)
        return;
    int started_last = -1;
    Jobs jobs = make_jobs(target, 50);
    const bool strict = options.max_in_flight == 1;
    const bool may_be_full = target.may_be_full;
    for (Job& job : jobs) {
        execq_task_options task = EXECQ_TASK_OPTIONS_INIT;
        task.drop = drop_job;
        task.queue = queue;
        task.key = strict ? 0 : below(3);
        job.started_last = strict ? &started_last : nullptr;
        execq_status status = EXECQ_OK;
        {
            std::optional<Hunger> hunger;
            if (one_in(10))
                hunger.emplace(static_cast<int>(below(8)));
            status = execq_submit_with(nullptr, &task, run_job, &job, &job.future);
            job.accepted =
                (status == EXECQ_EFULL && (may_be_full || options.capacity != 0)) ? false : took(target, status);
        }
        target.accepted.fetch_add(job.accepted ? 1 : 0);
        if (one_in(30))
            CHECK(execq_queue_pause(queue) == EXECQ_OK && execq_queue_resume(queue) == EXECQ_OK);
    }
    cancel_some(jobs);
    execq_future* closed = nullptr;
    CHECK(execq_queue_close(queue, one_in(3) ? EXECQ_CANCEL : EXECQ_DRAIN, &closed) == EXECQ_OK);
    CHECK(execq_future_wait(closed, -1) == EXECQ_OK);
    for (Job& job : jobs) {
        CHECK(!job.accepted || execq_future_state(job.future) >= EXECQ_FUTURE_OK);
        settle(job);
    }
    execq_future_release(closed);
    execq_queue_release(queue);
    note(3 * jobs.size());
}

void Actor::group()
{
    Target& target = any_target();
    execq_group_options options = EXECQ_GROUP_OPTIONS_INIT;
    options.flags = one_in(2) ? EXECQ_GROUP_KEEP_GOING : 0;
    options.timeout_ns = one_in(8) ? us * (1 + below(2000)) : 0;
    if (one_in(4)) {
        options.max_in_flight = 1 + below(4);
        options.executor = target.executor;
    }
    execq_group* group = nullptr;
    if (maybe_hungry([&] { return execq_group_new(&options, &group); }) != EXECQ_OK)
        return;
    execq_group_options inside = EXECQ_GROUP_OPTIONS_INIT;
    inside.parent = group;
    execq_group* inner = nullptr;
    const bool nested = options.max_in_flight == 0 && execq_group_new(&inside, &inner) == EXECQ_OK;
    Jobs jobs = make_jobs(target, 40);
    const std::size_t when = one_in(5) ? below(static_cast<std::uint32_t>(jobs.size())) : jobs.size();
    for (std::size_t i = 0; i < jobs.size(); ++i) {
        Job& job = jobs[i];
        execq_task_options task = any_options();
        task.delay_ns = 0;
        {
            std::optional<Hunger> hunger;
            if (one_in(10))
                hunger.emplace(static_cast<int>(below(8)));
            const execq_status status = execq_group_submit(nested && one_in(2) ? inner : group, target.executor, &task,
                                                           run_job, &job, &job.future);
            job.accepted = status != EXECQ_ECLOSED && took(target, status);
        }
        target.accepted.fetch_add(job.accepted ? 1 : 0);
        if (i == when) {
            const execq_status status = execq_group_cancel(group);
            CHECK(status == EXECQ_OK || status == EXECQ_EALREADY);
        }
    }
    const execq_status how = execq_group_join(group, -1);
    CHECK(how == EXECQ_OK || how == EXECQ_EFAILED || how == EXECQ_ECANCELED);
    for (Job& job : jobs) {
        CHECK(!job.accepted || execq_future_state(job.future) >= EXECQ_FUTURE_OK);
        CHECK(how != EXECQ_OK || !job.accepted || nested || execq_future_state(job.future) == EXECQ_FUTURE_OK);
        settle(job);
    }
    execq_group_release(inner);
    execq_group_release(group);
    note(2 * jobs.size());
}

// A loop of the actor's own, attached and detached, sometimes before all has come.
void Actor::loop()
{
    uv_loop_t loop;
    {
        const std::shared_lock lock(descriptors_are_there);
        CHECK(uv_loop_init(&loop) == 0);
    }
    execq_loop* port = nullptr;
    if (maybe_hungry([&] { return execq_loop_attach(&loop, &port); }) != EXECQ_OK) {
        uv_run(&loop, UV_RUN_DEFAULT);
        CHECK(uv_loop_close(&loop) == 0);
        return;
    }
    Target& target = any_target();
    Jobs jobs = make_jobs(target, 40);
    for (Job& job : jobs) {
        const execq_task_options options = any_options();
        static_cast<void>(maybe_hungry([&] {
            const execq_status status =
                execq_submit_to_loop(target.executor, &options, run_job, &job, port, tell_job, &job, end_registration);
            job.accepted = took(target, status);
            return status;
        }));
        target.accepted.fetch_add(job.accepted ? 1 : 0);
        if (one_in(10))
            uv_run(&loop, UV_RUN_NOWAIT);
    }
    const bool early = one_in(3);
    if (!early)
        uv_run(&loop, UV_RUN_DEFAULT);
    CHECK(execq_loop_detach(port) == EXECQ_OK);
    execq_loop_release(port);
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&loop) == 0);
    for (Job& job : jobs) {
        settle_by_drop(job);
        CHECK(job.ended == 1);
        CHECK(job.told == (job.accepted ? 1 : 0) || (early && job.told == 0));
    }
    note(2 * jobs.size());
}

void Actor::completion_queue()
{
    execq_cq* cq = nullptr;
    if (maybe_hungry([&] { return execq_cq_new(&cq); }) != EXECQ_OK)
        return;
    Target& target = any_target();
    Jobs jobs = make_jobs(target, 60);
    std::size_t accepted = 0;
    for (Job& job : jobs) {
        const execq_task_options options = any_options();
        static_cast<void>(maybe_hungry([&] {
            const execq_status status = execq_submit_to_cq(target.executor, &options, run_job, &job, cq, &job);
            job.accepted = took(target, status);
            return status;
        }));
        accepted += job.accepted ? 1 : 0;
    }
    target.accepted.fetch_add(accepted);
    std::size_t left = one_in(3) ? accepted / 2 : accepted;
    const bool early = left != accepted;
    while (left != 0) {
        std::array<execq_completion, 16> some{};
        std::size_t n = 0;
        CHECK(execq_cq_wait(cq, -1) == EXECQ_OK);
        CHECK(execq_cq_drain(cq, some.data(), std::min(left, some.size()), &n) == EXECQ_OK);
        for (std::size_t i = 0; i < n; ++i) {
            tell_job(nullptr, some[i].tag);
            end_registration(some[i].tag);
            execq_future_release(some[i].future);
        }
        left -= n;
    }
    CHECK(execq_cq_close(cq, end_registration) == EXECQ_OK);
    execq_cq_release(cq);
    for (Job& job : jobs) {
        settle_by_drop(job);
        CHECK(job.ended == (job.accepted ? 1 : 0));
        CHECK(job.told == job.ended || early);
    }
    note(3 * jobs.size());
}

// Each is resolved by a task, or dropped, or canceled; forwards make chains of them.
void Actor::promises()
{
    constexpr std::size_t n = 20;
    std::array<execq_promise*, n> writers{};
    std::array<execq_future*, n> futures{};
    for (std::size_t i = 0; i < n; ++i)
        CHECK(execq_promise_new(nullptr, &writers[i], &futures[i]) == EXECQ_OK);
    const bool chain = one_in(2);
    for (std::size_t i = 1; chain && i < n; ++i)
        CHECK(execq_future_forward(futures[i - 1], writers[i]) == EXECQ_OK);
    const execq_fn resolve = [](void* promise, void**) -> std::int32_t {
        static_cast<void>(execq_promise_resolve(static_cast<execq_promise*>(promise), nullptr));
        execq_promise_release(static_cast<execq_promise*>(promise));
        return 0;
    };
    Target& target = world_.elastic;
    for (std::size_t i = 0; i < n; ++i) {
        if ((chain && i != 0) || one_in(6)) {
            if (!chain || i != 0) {
                execq_promise_release(writers[i]);
                continue;
            }
        }
        CHECK(took(target, execq_submit(target.executor, resolve, writers[i], nullptr)));
        target.accepted.fetch_add(1);
    }
    if (one_in(3))
        CHECK(execq_future_cancel(futures[n - 1]) != EXECQ_OK);
    CHECK(execq_future_wait_all(futures.data(), n, -1) == EXECQ_OK);
    for (std::size_t i = 0; i < n; ++i) {
        const std::int32_t state = execq_future_state(futures[i]);
        CHECK(!chain || state == EXECQ_FUTURE_OK);
        if (state == EXECQ_FUTURE_FAILED)
            CHECK(execq_error_code(execq_future_error(futures[i])) == EXECQ_EBROKEN);
        execq_future_release(futures[i]);
    }
    note(3 * n);
}

void Actor::async()
{
    Target& target = world_.elastic;
    Jobs jobs = make_jobs(target, 40);
    for (Job& job : jobs) {
        const execq_task_options options = any_options();
        static_cast<void>(maybe_hungry([&] {
            const execq_status status = execq_submit_async(target.executor, &options, start_job, &job, &job.future);
            job.accepted = took(target, status);
            return status;
        }));
        target.accepted.fetch_add(job.accepted ? 1 : 0);
    }
    cancel_some(jobs);
    for (Job& job : jobs)
        settle(job);
    note(2 * jobs.size());
}

void Actor::periodic()
{
    struct Series {
        std::atomic<std::uint64_t> runs{0};
        std::atomic<int> drops{0};
    } series;
    const execq_fn run = [](void* env, void**) -> std::int32_t {
        static_cast<Series*>(env)->runs.fetch_add(1);
        return 0;
    };
    Target& target = any_target();
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = [](void* env) { CHECK(static_cast<Series*>(env)->drops.fetch_add(1) == 0); };
    options.timeout_ns = one_in(3) ? us * (1 + below(8000)) : 0;
    execq_future* future = nullptr;
    const execq_status status =
        execq_submit_periodic(target.executor, &options, 1 + below(1'000'000),
                              one_in(2) ? EXECQ_FIXED_RATE : EXECQ_FIXED_DELAY, run, &series, &future);
    if (!took(target, status)) {
        CHECK(series.drops == 1);
        return;
    }
    const std::uint64_t until = below(5);
    while (series.runs < until && execq_future_state(future) < EXECQ_FUTURE_OK)
        std::this_thread::yield();
    static_cast<void>(execq_future_cancel(future));
    CHECK(execq_future_wait(future, -1) == EXECQ_OK);
    CHECK(execq_future_state(future) == EXECQ_FUTURE_CANCELED && series.drops == 1);
    target.accepted.fetch_add(1);
    execq_future_release(future);
    note(4);
}
