// Ways in: every kind of submission.
#include <time.h>

#include <algorithm>
#include <iterator>

#include "scenarios.h"
#include "tools.h"

namespace faults {

namespace {

// One task with these options, by whatever call, and its body and drop: refused, it runs not at all and is dropped once.
struct OneTask {
    Count ran;
    Count dropped;
    execq_future* future = untouched<execq_future>();
    int refused = 0;

    template <class Call>
    void submit(Run& run, execq_executor* executor, const Call& call)
    {
        run.attempt(executor, call, [&] {
            ++refused;
            FAULTS_EXPECT(future == untouched<execq_future>());
            FAULTS_EXPECT(ran.get() == 0);
            FAULTS_EXPECT(dropped.get() == refused);
        });
    }
    void finish_ran(int times = 1)
    {
        finish(future);
        FAULTS_EXPECT(ran.get() == times);
        FAULTS_EXPECT(dropped.get() == refused + 1);
    }
};

// The body has env, and so has the drop: one pointer for two counts.
struct Both {
    OneTask task;
    static std::int32_t body(void* env, void** result)
    {
        return Count::body(&static_cast<Both*>(env)->task.ran, result);
    }
    static void drop(void* env) { static_cast<Both*>(env)->task.dropped.hit(); }
};

// Submits with the options given, faults on until it is done.
void with_options(Run& run, execq_executor* executor, execq_task_options options)
{
    Both both;
    options.drop = Both::drop;
    {
        const UnderFaults on;
        both.task.submit(run, executor,
                         [&] { return execq_submit_with(executor, &options, Both::body, &both, &both.task.future); });
        FAULTS_EXPECT_OK(execq_future_wait(both.task.future, -1));
    }
    both.task.finish_ran();
}

void plain(Run& run)
{
    Count ran;
    {
        const Pool pool(2);
        const UnderFaults on;
        for (int i = 1; i <= 3; ++i) {
            run.attempt(
                pool, [&] { return execq_submit(pool, Count::body, &ran, nullptr); }, [] {});
            Gate::until([&] { return ran.get() == i; });  // so that nothing else changes the counts
        }
    }
    FAULTS_EXPECT(ran.get() == 3);
}

void with_a_future(Run& run)
{
    const Pool pool(2);
    for (int i = 0; i < 2; ++i) {
        Count ran;
        execq_future* future = untouched<execq_future>();
        {
            const UnderFaults on;
            run.attempt(
                pool, [&] { return execq_submit(pool, Count::body, &ran, &future); },
                [&] { FAULTS_EXPECT(future == untouched<execq_future>()); });
            FAULTS_EXPECT_OK(execq_future_wait(future, -1));
        }
        finish(future);
        FAULTS_EXPECT(ran.get() == 1);
    }
}

void with_name_and_copied_env(Run& run)
{
    static Count ran;
    static Count dropped;
    struct Env {
        std::uint64_t words[8];
    };
    const Pool pool(2);
    execq_task_options options = task_options([](void* env) {
        FAULTS_EXPECT(static_cast<Env*>(env)->words[7] == 7);
        dropped.hit();
    });
    options.name = "a name that is copied";
    options.env_size = sizeof(Env);
    Env env{{0, 1, 2, 3, 4, 5, 6, 7}};
    execq_future* future = untouched<execq_future>();
    const int dropped_before = dropped.get();
    const int ran_before = ran.get();
    int refused = 0;
    const auto body = [](void* copy, void** /*result*/) -> std::int32_t {
        FAULTS_EXPECT(static_cast<Env*>(copy)->words[7] == 7);
        ran.hit();
        return 0;
    };
    {
        const UnderFaults on;
        run.attempt(
            pool, [&] { return execq_submit_with(pool, &options, body, &env, &future); },
            [&] {
                ++refused;
                FAULTS_EXPECT(future == untouched<execq_future>() && dropped.get() - dropped_before == refused);
            });
        FAULTS_EXPECT_OK(execq_future_wait(future, -1));
    }
    finish(future);
    FAULTS_EXPECT(ran.get() - ran_before == 1 && dropped.get() - dropped_before == refused + 1);
}

void with_priorities(Run& run)
{
    const Pool pool(2);
    for (const std::int32_t priority : {EXECQ_PRIORITY_HIGH, EXECQ_PRIORITY_LOW}) {
        execq_task_options options = task_options();
        options.priority = priority;
        with_options(run, pool, options);
    }
}

void with_a_delay(Run& run)
{
    const Pool pool(2);
    execq_task_options options = task_options();
    options.delay_ns = 1;
    Both both;
    options.drop = Both::drop;
    {
        const UnderFaults on;
        both.task.submit(run, pool,
                         [&] { return execq_submit_with(pool, &options, Both::body, &both, &both.task.future); });
        FAULTS_EXPECT_OK(execq_future_wait(both.task.future, -1));
    }
    // Where the executor cannot take it when it is due it is canceled, and dropped.
    const execq_status status = execq_future_result(both.task.future, nullptr);
    FAULTS_EXPECT(status == EXECQ_OK || (run.faulty() && status == EXECQ_ECANCELED));
    FAULTS_EXPECT(both.task.ran.get() == (status == EXECQ_OK ? 1 : 0));
    FAULTS_EXPECT(both.task.dropped.get() == both.task.refused + 1);
    execq_future_release(both.task.future);
}

void with_limits(Run& run)
{
    const Pool pool(2);
    execq_task_options options = task_options();
    options.start_within_ns = INT64_MAX / 2;
    options.timeout_ns = INT64_MAX / 2;
    with_options(run, pool, options);
}

void with_a_limit_that_is_up(Run& run)
{
    const Pool pool(1);
    Both both;
    execq_task_options options = task_options(Both::drop);
    options.start_within_ns = -1;
    both.task.submit(run, pool,
                     [&] { return execq_submit_with(pool, &options, Both::body, &both, &both.task.future); });
    FAULTS_EXPECT_OK(execq_future_wait(both.task.future, -1));
    FAULTS_EXPECT(execq_future_result(both.task.future, nullptr) == EXECQ_ECANCELED);
    FAULTS_EXPECT(both.task.ran.get() == 0 && both.task.dropped.get() == both.task.refused + 1);
    execq_future_release(both.task.future);
}

void into_a_queue(Run& run)
{
    const Pool pool(2);
    execq_queue* queue = nullptr;
    FAULTS_EXPECT_OK(execq_queue_new(pool, nullptr, &queue));
    execq_task_options options = task_options();
    options.queue = queue;
    for (int i = 0; i < 2; ++i)
        with_options(run, pool, options);
    execq_queue_release(queue);
}

void into_a_queue_by_keys(Run& run)
{
    const Pool pool(2);
    execq_queue_options queue_options = EXECQ_QUEUE_OPTIONS_INIT;
    queue_options.max_in_flight = 2;
    queue_options.key_max_in_flight = 1;
    execq_queue* queue = nullptr;
    FAULTS_EXPECT_OK(execq_queue_new(pool, &queue_options, &queue));
    execq_task_options options = task_options();
    options.queue = queue;
    for (const std::uint64_t key : {1, 2, 1}) {
        options.key = key;
        with_options(run, pool, options);
    }
    execq_queue_release(queue);
}

void into_a_group(Run& run)
{
    const Pool pool(2);
    execq_group* group = nullptr;
    FAULTS_EXPECT_OK(execq_group_new(nullptr, &group));
    Both both;
    const execq_task_options options = task_options(Both::drop);
    {
        const UnderFaults on;
        both.task.submit(
            run, pool, [&] { return execq_group_submit(group, pool, &options, Both::body, &both, &both.task.future); });
        FAULTS_EXPECT_OK(execq_group_join(group, -1));
    }
    both.task.finish_ran();
    execq_group_release(group);
}

void with_a_cancel_source(Run& run)
{
    const Pool pool(2);
    execq_cancel_source* source = nullptr;
    FAULTS_EXPECT_OK(execq_cancel_source_new(nullptr, &source));
    execq_task_options options = task_options();
    options.cancel_source = source;
    with_options(run, pool, options);
    execq_cancel_source_release(source);
}

void with_a_context(Run& run)
{
    const Pool pool(2);
    execq_var* var = nullptr;
    FAULTS_EXPECT_OK(execq_var_new(nullptr, &var));
    execq_var_token token = 0;
    FAULTS_EXPECT_OK(execq_var_set(var, &token, &token));
    with_options(run, pool, task_options());
    FAULTS_EXPECT_OK(execq_var_reset(var, token));
    execq_var_release(var);
}

void with_everything(Run& run)
{
    const Pool pool(2);
    execq_queue* queue = nullptr;
    execq_group* group = nullptr;
    execq_cancel_source* source = nullptr;
    FAULTS_EXPECT_OK(execq_queue_new(pool, nullptr, &queue));
    FAULTS_EXPECT_OK(execq_group_new(nullptr, &group));
    FAULTS_EXPECT_OK(execq_cancel_source_new(nullptr, &source));
    execq_task_options options = task_options();
    options.name = "everything";
    options.start_within_ns = INT64_MAX / 2;
    options.timeout_ns = INT64_MAX / 2;
    options.queue = queue;
    options.key = 3;
    options.group = group;
    options.cancel_source = source;
    with_options(run, pool, options);
    FAULTS_EXPECT_OK(execq_group_join(group, -1));
    execq_group_release(group);
    execq_cancel_source_release(source);
    execq_queue_release(queue);
}

// n tasks with one env: all or none.
void many(Run& run, execq_executor* executor, const execq_task_options& given, bool futures)
{
    constexpr int n = 24;
    Both both;
    execq_task_options options = given;
    options.drop = Both::drop;
    void* envs[n];
    execq_future* out[n];
    std::fill(std::begin(envs), std::end(envs), &both);
    std::fill(std::begin(out), std::end(out), untouched<execq_future>());
    int refused = 0;
    {
        const UnderFaults on;
        run.attempt(
            executor,
            [&] { return execq_submit_many(executor, &options, n, Both::body, envs, futures ? out : nullptr); },
            [&] {
                refused += n;
                FAULTS_EXPECT(both.task.ran.get() == 0 && both.task.dropped.get() == refused);
                for (execq_future* future : out)
                    FAULTS_EXPECT(future == untouched<execq_future>());
            });
        Gate::until([&] { return both.task.dropped.get() == refused + n; });
    }
    FAULTS_EXPECT(both.task.ran.get() == n);
    for (execq_future* future : out) {
        if (futures)
            finish(future);
    }
}

void many_without_futures(Run& run)
{
    const Pool pool(2);
    many(run, pool, task_options(), false);
}

void many_with_futures_and_a_group(Run& run)
{
    const Pool pool(2);
    execq_group* group = nullptr;
    FAULTS_EXPECT_OK(execq_group_new(nullptr, &group));
    execq_task_options options = task_options();
    options.group = group;
    options.timeout_ns = INT64_MAX / 2;
    many(run, pool, options, true);
    FAULTS_EXPECT_OK(execq_group_join(group, -1));
    execq_group_release(group);
}

void many_into_a_queue(Run& run)
{
    const Pool pool(2);
    execq_queue_options queue_options = EXECQ_QUEUE_OPTIONS_INIT;
    queue_options.max_in_flight = 2;
    execq_queue* queue = nullptr;
    FAULTS_EXPECT_OK(execq_queue_new(pool, &queue_options, &queue));
    execq_task_options options = task_options();
    options.queue = queue;
    options.key = 1;
    many(run, pool, options, true);
    execq_queue_release(queue);
}

// From inside a task: onto the worker's own queue, with more than that holds at first.
void from_a_worker(Run& run)
{
    constexpr static int children = 600;
    struct Parent {
        Run& run;
        const Pool& pool;
        Count ran;
        static std::int32_t body(void* env, void** /*result*/)
        {
            auto* self = static_cast<Parent*>(env);
            const UnderFaults on;
            for (int i = 0; i < children; ++i) {
                self->run.attempt(
                    nullptr, [&] { return execq_submit(self->pool, Count::body, &self->ran, nullptr); }, [] {});
            }
            return 0;
        }
    };
    const Pool pool(2);
    Parent parent{run, pool, {}};
    execq_future* future = nullptr;
    FAULTS_EXPECT_OK(execq_submit(pool, Parent::body, &parent, &future));
    finish(future);
    Gate::until([&] { return parent.ran.get() == children; });
}

void into_a_bounded_executor(Run& run)
{
    execq_executor_options options = executor_options(1);
    options.capacity = 4;
    options.full_policy = EXECQ_FULL_CALLER_RUNS;
    const Pool pool(options);
    Gate gate;
    execq_future* held = occupy(pool, gate);
    Count ran;
    for (int i = 1; i <= 6; ++i)
        run.attempt(
            pool, [&] { return execq_submit(pool, Count::body, &ran, nullptr); }, [] {});
    FAULTS_EXPECT(ran.get() == 2);
    gate.open();
    finish(held);
    Gate::until([&] { return ran.get() == 6; });
}

void interruptible(Run& run)
{
    const Pool pool(2);
    execq_task_options options = task_options(Both::drop);
    options.flags = EXECQ_TASK_INTERRUPT;
    Both both;
    {
        const UnderFaults on;
        both.task.submit(run, pool,
                         [&] { return execq_submit_with(pool, &options, Both::body, &both, &both.task.future); });
        FAULTS_EXPECT_OK(execq_future_wait(both.task.future, -1));
    }
    // Without its timer it fails, and the body does not run.
    const bool ran = both.task.ran.get() == 1;
    FAULTS_EXPECT(ran == (execq_future_result(both.task.future, nullptr) == EXECQ_OK));
    if (!ran)
        FAULTS_EXPECT(run.excused(execq_error_code(execq_future_error(both.task.future))));
    FAULTS_EXPECT(both.task.dropped.get() == both.task.refused + 1);
    execq_future_release(both.task.future);
}

void periodic(Run& run)
{
    const Pool pool(1);
    Both both;
    const execq_task_options options = task_options(Both::drop);
    {
        const UnderFaults on;
        both.task.submit(run, pool, [&] {
            return execq_submit_periodic(pool, &options, 1, EXECQ_FIXED_RATE, Both::body, &both, &both.task.future);
        });
        const timespec pause{0, 3'000'000};  // for runs to meet faults in; nothing relies on that they did
        nanosleep(&pause, nullptr);
    }
    Gate::until([&] { return both.task.ran.get() >= 3; });  // late, but not lost
    (void)execq_future_cancel(both.task.future);
    FAULTS_EXPECT_OK(execq_future_wait(both.task.future, -1));
    FAULTS_EXPECT(both.task.dropped.get() == both.task.refused + 1);
    execq_future_release(both.task.future);
}

constexpr Scenario scenarios[] = {
    {"submit.plain", plain},
    {"submit.future", with_a_future},
    {"submit.name_and_copied_env", with_name_and_copied_env},
    {"submit.priorities", with_priorities},
    {"submit.delay", with_a_delay},
    {"submit.limits", with_limits},
    {"submit.limit_that_is_up", with_a_limit_that_is_up},
    {"submit.queue", into_a_queue},
    {"submit.queue_keys", into_a_queue_by_keys},
    {"submit.group", into_a_group},
    {"submit.cancel_source", with_a_cancel_source},
    {"submit.context", with_a_context},
    {"submit.everything", with_everything},
    {"submit.from_a_worker", from_a_worker},
    {"submit.bounded_caller_runs", into_a_bounded_executor},
    {"submit.interruptible", interruptible},
    {"submit_many.plain", many_without_futures},
    {"submit_many.futures_group_limits", many_with_futures_and_a_group},
    {"submit_many.queue_and_key", many_into_a_queue},
    {"submit_periodic", periodic},
};

}  // namespace

Scenarios task_scenarios() { return {scenarios, std::size(scenarios)}; }

}  // namespace faults
