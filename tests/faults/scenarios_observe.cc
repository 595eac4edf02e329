// Who looks on: hooks, the watchdog, times, dumps, statistics, traces.
#include <unistd.h>

#include <cstdio>
#include <iterator>

#include "scenarios.h"
#include "tools.h"

namespace faults {

namespace {

// Counts what hooks are told.
struct Told {
    Count submitted;
    Count started;
    Count ended;
    Count dropped;
    Count stuck;
    Count stuck_dropped;
    execq_hooks hooks() const
    {
        execq_hooks table = EXECQ_HOOKS_INIT;
        table.env = const_cast<Told*>(this);
        table.drop = [](void* env) { static_cast<Told*>(env)->dropped.hit(); };
        table.on_submit = [](const execq_task_event*, void* env) { static_cast<Told*>(env)->submitted.hit(); };
        table.on_start = [](const execq_task_event*, void* env) { static_cast<Told*>(env)->started.hit(); };
        table.on_end = [](const execq_task_event*, void* env) { static_cast<Told*>(env)->ended.hit(); };
        return table;
    }
    void watch(execq_executor_options& options)
    {
        options.stuck_after_ns = 1;
        options.on_stuck = [](const execq_stuck_info*, void* env) { static_cast<Told*>(env)->stuck.hit(); };
        options.stuck_env = this;
        options.stuck_drop = [](void* env) { static_cast<Told*>(env)->stuck_dropped.hit(); };
    }
};

void observed_executor(Run& run)
{
    Told told;
    const execq_hooks hooks = told.hooks();
    execq_executor_options options = executor_options(2);
    options.flags = EXECQ_EXECUTOR_TIMES;
    options.hooks = &hooks;
    told.watch(options);
    options.stuck_after_ns = INT64_MAX / 2;
    execq_executor* executor = untouched<execq_executor>();
    int refused = 0;
    run.attempt(
        nullptr, [&] { return execq_executor_new(&options, &executor); },
        [&] {
            ++refused;
            FAULTS_EXPECT(executor == untouched<execq_executor>());
            Gate::until([&] { return told.dropped.get() == refused && told.stuck_dropped.get() == refused; });
        });
    execq_future* future = nullptr;
    FAULTS_EXPECT_OK(execq_submit(executor, do_nothing, nullptr, &future));
    finish(future);
    {
        const Pool ends(executor);
    }
    Gate::until([&] { return told.dropped.get() == refused + 1 && told.stuck_dropped.get() == refused + 1; });
    FAULTS_EXPECT(told.submitted.get() == 1 && told.started.get() == 1 && told.ended.get() == 1);
}

// Every way in, on an executor that is looked at: each on_submit has its on_end.
void observed_tasks(Run& run)
{
    Told told;
    {
        const execq_hooks hooks = told.hooks();
        execq_executor_options options = executor_options(2);
        options.flags = EXECQ_EXECUTOR_TIMES;
        options.hooks = &hooks;
        const Pool pool(options);
        Count ran;
        Count dropped;
        const UnderFaults on;
        execq_task_options task = task_options();
        task.name = "a task";
        run.attempt(
            pool, [&] { return execq_submit(pool, Count::body, &ran, nullptr); }, [] {});
        Gate::until([&] { return told.ended.get() == told.submitted.get(); });
        for (int i = 0; i < 3; ++i) {
            execq_future* future = untouched<execq_future>();
            task.timeout_ns = i == 1 ? INT64_MAX / 2 : 0;
            task.priority = i - 1;
            run.attempt(
                pool, [&] { return execq_submit_with(pool, &task, Count::body, &ran, &future); },
                [&] { FAULTS_EXPECT(future == untouched<execq_future>()); });
            finish(future);
        }
        execq_future* many[20];
        run.attempt([&] { return execq_submit_many(pool, &task, std::size(many), do_nothing, nullptr, many); });
        for (execq_future* future : many)
            execq_future_release(future);
        Gate::until([&] { return ran.get() == 4; });
    }
    // Some were refused, and told so.
    Gate::until([&] { return told.dropped.get() == 1; });
    FAULTS_EXPECT(told.submitted.get() == told.ended.get() && told.started.get() >= 24);
}

// With the watchdog at work: what it cannot tell for want of memory is not told, and nothing else is lost.
void watchdog(Run& run)
{
    Told told;
    {
        execq_executor_options options = executor_options(2);
        told.watch(options);
        const Pool pool(options);
        Gate gate;
        execq_future* future = untouched<execq_future>();
        {
            const UnderFaults on;
            run.attempt(
                pool, [&] { return execq_submit(pool, Gate::body, &gate, &future); },
                [&] { FAULTS_EXPECT(future == untouched<execq_future>()); });
            gate.await_entered();
            const timespec pause{0, 4'000'000};  // for the watchdog to meet faults in; nothing relies on that it did
            nanosleep(&pause, nullptr);
        }
        if (!run.faulty())
            Gate::until([&] { return told.stuck.get() >= 1; });
        gate.open();
        finish(future);
    }
    Gate::until([&] { return told.stuck_dropped.get() == 1; });
}

void dump(Run& run)
{
    Told told;
    execq_executor_options options = executor_options(2);
    options.flags = EXECQ_EXECUTOR_TIMES;
    options.name = "an executor with a name to be allocated";
    const Pool pool(options);
    Gate gate;
    execq_future* held = occupy(pool, gate);
    execq_queue* queue = nullptr;
    FAULTS_EXPECT_OK(execq_queue_new(pool, nullptr, &queue));
    const auto write = [](const char*, std::size_t, void* env) { static_cast<Count*>(env)->hit(); };
    Count written;
    for (execq_executor* which : {static_cast<execq_executor*>(pool), static_cast<execq_executor*>(nullptr)}) {
        const int before = written.get();
        run.attempt(
            pool, [&] { return execq_dump(which, write, &written); },
            [&] { FAULTS_EXPECT(written.get() == before || which == nullptr); });
        FAULTS_EXPECT(written.get() > before);
    }
    gate.open();
    finish(held);
    execq_queue_release(queue);
}

void statistics(Run& run)
{
    execq_executor_options options = executor_options(2);
    options.flags = EXECQ_EXECUTOR_TIMES;
    const Pool pool(options);
    execq_future* future = nullptr;
    FAULTS_EXPECT_OK(execq_submit(pool, do_nothing, nullptr, &future));
    finish(future);
    execq_worker_stats workers[4];
    execq_stats stats = EXECQ_STATS_INIT;
    stats.workers = workers;
    stats.workers_max = std::size(workers);
    run.attempt([&] { return execq_executor_stats(pool, &stats); });
    FAULTS_EXPECT(stats.completed_ok == 1 && stats.workers_count >= 1);
    const double quantiles[] = {0.5, 1};
    std::int64_t times[2];
    std::uint64_t count = 0;
    run.attempt([&] { return execq_executor_latency(pool, EXECQ_LATENCY_RUN, quantiles, 2, times, &count); });
    FAULTS_EXPECT(count == 1);
}

// A trace is valid, or says that it is not.
void trace(Run& run)
{
    constexpr const char* path = "/tmp/execq_faults_%p.json";
    char name[64];
    std::snprintf(name, sizeof name, "/tmp/execq_faults_%d.json", static_cast<int>(getpid()));
    const execq_status started = [&] {
        const UnderFaults on;
        return execq_trace_start(path);
    }();
    if (started != EXECQ_OK) {
        FAULTS_EXPECT(run.excused(started) || (run.faulty() && started == EXECQ_EUNWRITABLE));
        FAULTS_EXPECT(execq_trace_stop() == EXECQ_EALREADY);
        FAULTS_EXPECT_OK(execq_trace_start(path));
    }
    {
        const execq_executor_options options = executor_options(2);
        execq_executor* executor = untouched<execq_executor>();
        run.attempt(
            nullptr, [&] { return execq_executor_new(&options, &executor); },
            [&] { FAULTS_EXPECT(executor == untouched<execq_executor>()); });
        const Pool ends(executor);
        for (int i = 0; i < 2; ++i) {
            execq_future* future = untouched<execq_future>();
            {
                const UnderFaults on;
                run.attempt(
                    executor, [&] { return execq_submit(executor, do_nothing, nullptr, &future); },
                    [&] { FAULTS_EXPECT(future == untouched<execq_future>()); });
                FAULTS_EXPECT_OK(execq_future_wait(future, -1));
            }
            finish(future);
        }
    }
    const execq_status stopped = [&] {
        const UnderFaults on;
        return execq_trace_stop();
    }();
    FAULTS_EXPECT(stopped == EXECQ_OK || (run.faulty() && stopped == EXECQ_EUNWRITABLE) || run.excused(stopped));
    FAULTS_EXPECT(execq_trace_stop() == EXECQ_EALREADY);
    FAULTS_EXPECT(unlink(name) == 0);
}

constexpr Scenario scenarios[] = {
    {"observe.executor_new", observed_executor},
    {"observe.hooks_and_times", observed_tasks},
    {"observe.watchdog", watchdog},
    {"observe.dump", dump},
    {"observe.stats_and_latency", statistics},
    {"observe.trace", trace},
};

}  // namespace

Scenarios observe_scenarios() { return {scenarios, std::size(scenarios)}; }

}  // namespace faults
