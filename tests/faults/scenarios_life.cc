// Executors of all kinds, queues and groups: made, changed, ended.
#include <execq/execq.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <iterator>

#include "scenarios.h"
#include "tools.h"

namespace faults {

namespace {

void run_one_task(execq_executor* executor)
{
    execq_future* future = nullptr;
    FAULTS_EXPECT_OK(execq_submit(executor, do_nothing, nullptr, &future));
    finish(future);
}

void executor_new(Run& run)
{
    const std::uint32_t processor = static_cast<std::uint32_t>(sched_getcpu());
    Count dropped;
    Count started;
    execq_executor_options options = executor_options(4);
    options.name = "a name that is long enough to be allocated";
    options.capacity = 8;
    struct Env {
        Count& started;
        Count& dropped;
    } env{started, dropped};
    options.thread_init = [](void* given) -> std::int32_t {
        static_cast<Env*>(given)->started.hit();
        return 0;
    };
    options.thread_env = &env;
    options.thread_drop = [](void* given) { static_cast<Env*>(given)->dropped.hit(); };
    options.stack_size = 262144;
    options.affinity = &processor;
    options.affinity_count = 1;
    execq_executor* executor = untouched<execq_executor>();
    int refused = 0;
    run.attempt(
        nullptr, [&] { return execq_executor_new(&options, &executor); },
        [&] { FAULTS_EXPECT(executor == untouched<execq_executor>() && dropped.get() == ++refused); });
    run_one_task(executor);
    {
        const Pool ends(executor);
    }
    Gate::until([&] { return dropped.get() == refused + 1; });
    FAULTS_EXPECT(started.get() >= 1);
}

void executor_default(Run& run)
{
    execq_executor* executor = untouched<execq_executor>();
    run.attempt(
        nullptr, [&] { return execq_executor_default(&executor); },
        [&] { FAULTS_EXPECT(executor == untouched<execq_executor>()); });
    execq_executor_release(executor);
    execq_future* future = untouched<execq_future>();
    {
        const UnderFaults on;
        run.attempt(
            nullptr, [&] { return execq_submit(nullptr, do_nothing, nullptr, &future); },
            [&] { FAULTS_EXPECT(future == untouched<execq_future>()); });
        FAULTS_EXPECT_OK(execq_future_wait(future, -1));
    }
    finish(future);
    FAULTS_EXPECT_OK(execq_executor_default(&executor));
    const Pool ends(executor);
}

void executor_resize(Run& run)
{
    const Pool pool(1);
    Gate gate;
    Gate others;
    Count ran;
    execq_future* held = occupy(pool, gate);
    for (int i = 0; i < 3; ++i)
        FAULTS_EXPECT_OK(execq_submit(pool, Count::body, &ran, nullptr));
    run.attempt([&] { return execq_executor_resize(pool, 2, 3); });
    run.attempt([&] { return execq_executor_resize(pool, 0, 1); });
    run.attempt([&] { return execq_executor_resize(pool, 0, 2); });
    gate.open();
    finish(held);
    Gate::until([&] { return ran.get() == 3; });
}

void executor_close_and_join(Run& run)
{
    for (const std::int32_t mode : {EXECQ_DRAIN, EXECQ_CANCEL}) {
        execq_executor_options options = executor_options(2);
        execq_executor* executor = nullptr;
        FAULTS_EXPECT_OK(execq_executor_new(&options, &executor));
        Gate gate;
        Count dropped;
        const execq_task_options task = task_options(Count::drop);
        execq_future* held = occupy(executor, gate);
        for (int i = 0; i < 20; ++i)
            FAULTS_EXPECT_OK(execq_submit_with(executor, &task, do_nothing, &dropped, nullptr));
        {
            const UnderFaults on;
            FAULTS_EXPECT_OK(execq_executor_close(executor, mode));
            execq_running_task running[2];
            execq_shutdown_report report = EXECQ_SHUTDOWN_REPORT_INIT;
            report.running = running;
            report.running_max = 2;
            const execq_status status = execq_executor_join(executor, 0, &report);
            FAULTS_EXPECT(status == EXECQ_ETIMEDOUT || run.excused(status));
            gate.open();
            const execq_status joined = execq_executor_join(executor, -1, nullptr);
            FAULTS_EXPECT(joined == EXECQ_OK || run.excused(joined));
        }
        FAULTS_EXPECT_OK(execq_executor_join(executor, -1, nullptr));
        FAULTS_EXPECT(dropped.get() == 20);
        execq_future_release(held);
        execq_executor_release(executor);
    }
}

// The last release, without a join, of an executor with work, and a queue and a delayed task of its own.
void executor_released(Run& /*run*/)
{
    const execq_executor_options options = executor_options(2);
    execq_executor* executor = nullptr;
    FAULTS_EXPECT_OK(execq_executor_new(&options, &executor));
    execq_queue* queue = nullptr;
    FAULTS_EXPECT_OK(execq_queue_new(executor, nullptr, &queue));
    Count dropped;
    execq_task_options task = task_options(Count::drop);
    for (int i = 0; i < 4; ++i) {
        FAULTS_EXPECT_OK(execq_submit_with(executor, &task, do_nothing, &dropped, nullptr));
        task.queue = queue;
        FAULTS_EXPECT_OK(execq_submit_with(executor, &task, do_nothing, &dropped, nullptr));
        task.queue = nullptr;
    }
    task.delay_ns = INT64_MAX / 2;
    FAULTS_EXPECT_OK(execq_submit_with(executor, &task, do_nothing, &dropped, nullptr));
    {
        const UnderFaults on;
        execq_queue_release(queue);
        execq_executor_release(executor);
        Gate::until([&] { return dropped.get() == 9; });
    }
}

void threads_that_end(Run& run)
{
    const Pool pool(2);
    Count ran;
    execq_future* future = nullptr;
    {
        const UnderFaults on;
        run.attempt([&] {
            return execq_submit(
                pool, [](void*, void**) -> std::int32_t { pthread_exit(nullptr); }, nullptr, &future);
        });
        run.attempt([&] { return execq_submit(pool, Count::body, &ran, nullptr); });
        FAULTS_EXPECT_OK(execq_future_wait(future, -1));
    }
    const std::int32_t code = execq_error_code(execq_future_error(future));
    FAULTS_EXPECT(code == EXECQ_EEXITED || run.excused(code));
    execq_future_release(future);
    Gate::until([&] { return ran.get() == 1; });
}

// ---- waits inside of tasks ----

struct Nested {
    Run& run;
    const Pool& pool;
    int depth;
    static std::int32_t body(void* env, void** /*result*/)
    {
        auto* self = static_cast<Nested*>(env);
        if (self->depth == 0)
            return 0;
        Nested child{self->run, self->pool, self->depth - 1};
        execq_future* future = nullptr;
        self->run.attempt([&] { return execq_submit(self->pool, body, &child, &future); });
        FAULTS_EXPECT_OK(execq_future_wait(future, -1));
        execq_future_release(future);
        return 0;
    }
};

void nested_waits(Run& run)
{
    const Pool pool(1);
    Nested outer{run, pool, 4};
    execq_future* future = nullptr;
    {
        const UnderFaults on;
        run.attempt([&] { return execq_submit(pool, Nested::body, &outer, &future); });
        FAULTS_EXPECT_OK(execq_future_wait(future, -1));
    }
    finish(future);
}

// A wait that runs nothing in place needs another thread: without one it says so.
void waits_for_spares(Run& run)
{
    struct Waiter {
        Run& run;
        const Pool& pool;
        static std::int32_t body(void* env, void** /*result*/)
        {
            auto* self = static_cast<Waiter*>(env);
            execq_future* future = nullptr;
            FAULTS_EXPECT_OK(execq_submit(self->pool, do_nothing, nullptr, &future));
            std::size_t index = 9;
            const execq_status status = [&] {
                const UnderFaults on;
                return execq_future_wait_any(&future, 1, -1, &index);
            }();
            FAULTS_EXPECT(status == EXECQ_OK || (self->run.faulty() && status == EXECQ_EDEADLK && index == 9) ||
                          self->run.excused(status));
            FAULTS_EXPECT_OK(execq_future_wait(future, -1));
            execq_future_release(future);
            {
                const UnderFaults on;
                execq_blocking_begin();
                execq_blocking_end();
            }
            return 0;
        }
    };
    execq_executor_options options = executor_options(1);
    options.max_spares = 2;
    const Pool pool(options);
    Waiter waiter{run, pool};
    execq_future* future = nullptr;
    FAULTS_EXPECT_OK(execq_submit(pool, Waiter::body, &waiter, &future));
    finish(future);
}

// ---- queues and groups ----

void queues(Run& run)
{
    const Pool pool(2);
    execq_queue* queue = untouched<execq_queue>();
    execq_queue_options options = EXECQ_QUEUE_OPTIONS_INIT;
    options.name = "a queue with a name to be allocated";
    options.flags = EXECQ_QUEUE_PAUSED;
    options.capacity = 16;
    run.attempt(
        pool, [&] { return execq_queue_new(pool, &options, &queue); },
        [&] { FAULTS_EXPECT(queue == untouched<execq_queue>()); });
    for (std::uint64_t key = 0; key < 4; ++key)
        run.attempt([&] { return execq_queue_set_key(queue, key, 3, 1); });
    run.attempt([&] { return execq_queue_set_key(queue, 2, 1, 0); });
    Count ran;
    execq_task_options task = task_options();
    task.queue = queue;
    for (task.key = 1; task.key < 4; ++task.key) {
        const std::uint64_t before = task.key - 1;
        run.attempt(
            pool, [&] { return execq_submit_with(pool, &task, Count::body, &ran, nullptr); },
            [&] {
                std::uint64_t waiting = 99;
                std::uint64_t running = 99;
                FAULTS_EXPECT_OK(execq_queue_counts(queue, &waiting, &running));
                FAULTS_EXPECT(waiting == before && running == 0);
            });
    }
    // What it starts goes on by itself, whatever the turn did not get.
    run.attempt([&] { return execq_queue_resume(queue); });
    Gate::until([&] { return ran.get() == 3; });
    run.attempt([&] { return execq_queue_pause(queue); });
    execq_future* closed = untouched<execq_future>();
    run.attempt(
        nullptr, [&] { return execq_queue_close(queue, EXECQ_DRAIN, &closed); },
        [&] { FAULTS_EXPECT(closed == untouched<execq_future>()); });
    finish(closed);
    execq_queue_release(queue);
}

// A queue with many tasks, faults on all the while: each turn is had in the end.
void queue_turns(Run& run)
{
    constexpr int n = 24;
    const Pool pool(2);
    execq_queue* queue = nullptr;
    FAULTS_EXPECT_OK(execq_queue_new(pool, nullptr, &queue));
    Count ran;
    execq_task_options task = task_options();
    task.queue = queue;
    {
        const UnderFaults on;
        for (int i = 0; i < n; ++i)
            run.attempt([&] { return execq_submit_with(pool, &task, Count::body, &ran, nullptr); });
    }
    Gate::until([&] { return ran.get() == n; });
    execq_queue_release(queue);
}

// An asynchronous task of a queue ends where its promise is completed, which is on no worker: the turn that its end asks for is
// all that the queue goes on by. The inbox is filled up to where it needs another block.
void queue_turn_from_outside(Run& /*run*/)
{
    constexpr int queues = 24;
    constexpr int fillers = 985;  // of two words each, as turns; a block has 2047
    struct One {
        execq_queue* queue;
        std::atomic<execq_promise*> promise{nullptr};
        static void start(execq_promise* promise, uv_loop_s* /*loop*/, void* env)
        {
            static_cast<One*>(env)->promise.store(promise);
        }
    } all[queues];
    execq_executor_options options = executor_options(2);
    options.reserved_loop_workers = 1;
    const Pool pool(options);
    Count ran;
    execq_task_options task = task_options();
    for (One& one : all) {
        FAULTS_EXPECT_OK(execq_queue_new(pool, nullptr, &one.queue));
        task.queue = one.queue;
        FAULTS_EXPECT_OK(execq_submit_async(pool, &task, One::start, &one, nullptr));
        FAULTS_EXPECT_OK(execq_submit_with(pool, &task, Count::body, &ran, nullptr));
    }
    for (const One& one : all)
        Gate::until([&] { return one.promise.load() != nullptr; });
    Gate gate;
    execq_future* held = occupy(pool, gate);
    for (int i = 0; i < fillers; ++i)
        FAULTS_EXPECT_OK(execq_submit(pool, do_nothing, nullptr, nullptr));
    for (One& one : all) {
        const UnderFaults on;
        FAULTS_EXPECT_OK(execq_promise_resolve(one.promise, nullptr));
    }
    gate.open();
    finish(held);
    Gate::until([&] { return ran.get() == queues; });
    for (One& one : all) {
        execq_promise_release(one.promise);
        execq_queue_release(one.queue);
    }
}

void queue_canceled(Run& run)
{
    const Pool pool(2);
    execq_queue* queue = nullptr;
    FAULTS_EXPECT_OK(execq_queue_new(pool, nullptr, &queue));
    Gate gate;
    Count dropped;
    execq_task_options task = task_options();
    task.queue = queue;
    execq_future* held = nullptr;
    FAULTS_EXPECT_OK(execq_submit_with(pool, &task, Gate::body, &gate, &held));
    gate.await_entered();
    task.drop = Count::drop;
    for (int i = 0; i < 5; ++i)
        FAULTS_EXPECT_OK(execq_submit_with(pool, &task, do_nothing, &dropped, nullptr));
    execq_future* closed = untouched<execq_future>();
    {
        const UnderFaults on;
        run.attempt(
            nullptr, [&] { return execq_queue_close(queue, EXECQ_CANCEL, &closed); },
            [&] { FAULTS_EXPECT(closed == untouched<execq_future>()); });
        gate.open();
        FAULTS_EXPECT_OK(execq_future_wait(held, -1));
    }
    execq_future_release(held);
    finish(closed);
    FAULTS_EXPECT(dropped.get() == 5);
    execq_queue_release(queue);
}

void groups(Run& run)
{
    const Pool pool(2);
    execq_cancel_source* source = nullptr;
    FAULTS_EXPECT_OK(execq_cancel_source_new(nullptr, &source));
    execq_group* outer = untouched<execq_group>();
    execq_group* inner = untouched<execq_group>();
    execq_group_options options = EXECQ_GROUP_OPTIONS_INIT;
    options.name = "a group with a name to be allocated";
    options.timeout_ns = INT64_MAX / 2;
    options.cancel_source = source;
    run.attempt(
        nullptr, [&] { return execq_group_new(&options, &outer); },
        [&] { FAULTS_EXPECT(outer == untouched<execq_group>()); });
    execq_group_options inner_options = EXECQ_GROUP_OPTIONS_INIT;
    inner_options.parent = outer;
    inner_options.executor = pool;
    inner_options.max_in_flight = 2;
    run.attempt(
        pool, [&] { return execq_group_new(&inner_options, &inner); },
        [&] { FAULTS_EXPECT(inner == untouched<execq_group>()); });
    Count ran;
    {
        const UnderFaults on;
        for (int i = 0; i < 6; ++i) {
            execq_group* group = i % 2 == 0 ? outer : inner;
            run.attempt(
                nullptr, [&] { return execq_group_submit(group, pool, nullptr, Count::body, &ran, nullptr); }, [] {});
        }
    }
    run.attempt([&] { return execq_group_join(inner, -1); });
    run.attempt([&] { return execq_group_join(outer, -1); });
    FAULTS_EXPECT(ran.get() == 6);
    execq_group_release(inner);
    execq_group_release(outer);
    execq_cancel_source_release(source);
}

void group_that_fails(Run& run)
{
    const Pool pool(2);
    execq_group* group = nullptr;
    FAULTS_EXPECT_OK(execq_group_new(nullptr, &group));
    const auto body = [](void*, void**) -> std::int32_t { return execq_fail(28, "the disk is full"); };
    {
        const UnderFaults on;
        run.attempt([&] { return execq_group_submit(group, pool, nullptr, body, nullptr, nullptr); });
        FAULTS_EXPECT(execq_group_join(group, -1) == EXECQ_EFAILED);
    }
    const std::int32_t code = execq_error_code(execq_group_error(group));
    FAULTS_EXPECT(code == 28 || run.excused(code));
    execq_group_release(group);
}

// ---- other executors ----

// Runs each task in its submission.
struct Engine {
    Count taken;
    Count dropped;
    bool begins = false;
    static execq_status submit(void* engine, execq_engine_task* task)
    {
        auto* self = static_cast<Engine*>(engine);
        self->taken.hit();
        if (!self->begins) {
            FAULTS_EXPECT_OK(execq_engine_task_run(task));
            return EXECQ_OK;
        }
        const execq_status status = execq_engine_task_begin(task);
        if (status != EXECQ_OK)
            return status;
        FAULTS_EXPECT_OK(execq_engine_task_resolve(task, nullptr));
        return EXECQ_OK;
    }
    static void drop(void* engine) { static_cast<Engine*>(engine)->dropped.hit(); }
};

void engine(Run& run)
{
    for (const bool begins : {false, true}) {
        Engine host;
        host.begins = begins;
        execq_engine_vtable vtable = EXECQ_ENGINE_VTABLE_INIT;
        vtable.drop = Engine::drop;
        vtable.submit = Engine::submit;
        vtable.name = "an engine with a name to be allocated";
        execq_executor* executor = untouched<execq_executor>();
        int refused = 0;
        run.attempt(
            nullptr, [&] { return execq_executor_from_vtable(&vtable, &host, &executor); },
            [&] { FAULTS_EXPECT(executor == untouched<execq_executor>() && host.dropped.get() == ++refused); });
        Count dropped;
        const execq_task_options options = task_options(Count::drop);
        for (int i = 0; i < 2; ++i) {
            execq_future* future = untouched<execq_future>();
            run.attempt(
                executor, [&] { return execq_submit_with(executor, &options, do_nothing, &dropped, &future); },
                [&] { FAULTS_EXPECT(future == untouched<execq_future>()); });
            finish(future);
        }
        execq_queue* queue = nullptr;
        FAULTS_EXPECT_OK(execq_queue_new(executor, nullptr, &queue));
        execq_task_options queued = task_options();
        queued.queue = queue;
        execq_future* future = untouched<execq_future>();
        run.attempt(
            executor, [&] { return execq_submit_with(executor, &queued, do_nothing, nullptr, &future); },
            [&] { FAULTS_EXPECT(future == untouched<execq_future>()); });
        finish_excused(run, future);
        execq_queue_release(queue);
        FAULTS_EXPECT_OK(execq_executor_close(executor, EXECQ_DRAIN));
        FAULTS_EXPECT_OK(execq_executor_join(executor, -1, nullptr));
        execq_executor_release(executor);
        FAULTS_EXPECT(host.dropped.get() == refused + 1);
    }
}

void manual(Run& run)
{
    execq_executor* executor = untouched<execq_executor>();
    execq_manual_options options = EXECQ_MANUAL_OPTIONS_INIT;
    options.seed = 7;
    options.name = "a manual executor with a name to be allocated";
    run.attempt(
        nullptr, [&] { return execq_manual_new(&options, &executor); },
        [&] { FAULTS_EXPECT(executor == untouched<execq_executor>()); });
    Count ran;
    Count dropped;
    execq_queue* queue = untouched<execq_queue>();
    run.attempt(
        executor, [&] { return execq_queue_new(executor, nullptr, &queue); }, [] {});
    execq_task_options task = task_options();
    for (int i = 0; i < 12; ++i) {
        task.priority = i % 3 - 1;
        task.delay_ns = i % 4 == 0 ? 5 : 0;
        task.queue = i % 3 == 1 ? queue : nullptr;
        run.attempt(
            executor, [&] { return execq_submit_with(executor, &task, Count::body, &ran, nullptr); },
            [&] { FAULTS_EXPECT(ran.get() == 0); });
    }
    execq_future* sleep = untouched<execq_future>();
    run.attempt([&] { return execq_sleep(9, &sleep); });
    std::uint64_t n = 0;
    run.attempt([&] { return execq_manual_run(executor, &n); });
    run.attempt([&] { return execq_manual_advance(executor, 6); });
    run.attempt([&] { return execq_manual_run_for(executor, 6, &n); });
    FAULTS_EXPECT(ran.get() == 12);
    finish(sleep);
    execq_queue_release(queue);
    const Pool ends(executor);
}

void manual_waits(Run& run)
{
    execq_executor* executor = nullptr;
    FAULTS_EXPECT_OK(execq_manual_new(nullptr, &executor));
    {
        const Pool ends(executor);
        Count ran;
        execq_future* future = untouched<execq_future>();
        {
            const UnderFaults on;
            run.attempt(
                executor, [&] { return execq_submit(executor, Count::body, &ran, &future); },
                [&] { FAULTS_EXPECT(future == untouched<execq_future>()); });
            FAULTS_EXPECT_OK(execq_future_wait(future, -1));
        }
        finish(future);
        execq_future* timed = untouched<execq_future>();
        execq_task_options options = task_options();
        options.delay_ns = 1'000'000'000'000;
        run.attempt(
            executor, [&] { return execq_submit_with(executor, &options, Count::body, &ran, &timed); },
            [&] { FAULTS_EXPECT(timed == untouched<execq_future>()); });
        run.attempt([&] { return execq_future_wait(timed, -1); });
        finish(timed);
        FAULTS_EXPECT(ran.get() == 2);
    }
}

void manual_async(Run& run)
{
    execq_executor* executor = nullptr;
    FAULTS_EXPECT_OK(execq_manual_new(nullptr, &executor));
    {
        const Pool ends(executor);
        execq_future* future = untouched<execq_future>();
        const auto start = [](execq_promise* promise, uv_loop_s* /*loop*/, void* /*env*/) {
            FAULTS_EXPECT_OK(execq_promise_resolve(promise, nullptr));
            execq_promise_release(promise);
        };
        {
            const UnderFaults on;
            run.attempt(
                nullptr, [&] { return execq_submit_async(executor, nullptr, start, nullptr, &future); },
                [&] { FAULTS_EXPECT(future == untouched<execq_future>()); });
            FAULTS_EXPECT_OK(execq_future_wait(future, -1));
        }
        finish_excused(run, future);
    }
    FAULTS_EXPECT(execq_thread_loop_close() != EXECQ_EBUSY);
}

void configured(Run& run)
{
    const Pool pool(1);
    execq_conf conf = EXECQ_CONF_INIT;
    conf.executor = pool;
    run.attempt([&] { return execq_init_conf(&conf); });
    execq_executor* found = untouched<execq_executor>();
    run.attempt([&] { return execq_executor_default(&found); });
    FAULTS_EXPECT(found == static_cast<execq_executor*>(pool));
    execq_executor_release(found);
    execq_future* future = untouched<execq_future>();
    run.attempt(
        pool, [&] { return execq_submit(nullptr, do_nothing, nullptr, &future); },
        [&] { FAULTS_EXPECT(future == untouched<execq_future>()); });
    finish(future);
    execq_conf clear = EXECQ_CONF_INIT;
    clear.flags = EXECQ_CONF_CLEAR_EXECUTOR;
    run.attempt([&] { return execq_init_conf(&clear); });
}

// In a child of a process that uses the library, an executor of its own.
void forked(Run& run)
{
#ifdef __SANITIZE_THREAD__
    (void)run;  // which does not follow a fork of several threads
#else
    const Pool pool(2);
    run_one_task(pool);
    const pid_t child = fork();
    if (child == 0) {
        const execq_executor_options options = executor_options(2);
        execq_executor* executor = untouched<execq_executor>();
        execq_future* future = untouched<execq_future>();
        run.attempt(
            nullptr, [&] { return execq_executor_new(&options, &executor); },
            [&] { FAULTS_EXPECT(executor == untouched<execq_executor>()); });
        {
            const UnderFaults on;
            run.attempt(
                executor, [&] { return execq_submit(executor, do_nothing, nullptr, &future); },
                [&] { FAULTS_EXPECT(future == untouched<execq_future>()); });
            FAULTS_EXPECT_OK(execq_future_wait(future, -1));
        }
        finish(future);
        {
            const Pool ends(executor);
        }
        _exit(0);
    }
    int status = -1;
    FAULTS_EXPECT(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    run_one_task(pool);
#endif
}

constexpr Scenario scenarios[] = {
    {"executor.new", executor_new},
    {"executor.default", executor_default, true},
    {"executor.resize", executor_resize},
    {"executor.close_and_join", executor_close_and_join},
    {"executor.release", executor_released},
    {"executor.lost_thread", threads_that_end},
    {"executor.configured", configured},
    {"executor.engine", engine},
    {"executor.in_a_forked_child", forked},
    {"wait.nested", nested_waits},
    {"wait.spares", waits_for_spares},
    {"queue.new_keys_pause_close", queues},
    {"queue.turns", queue_turns},
    {"queue.turn_after_an_asynchronous_task", queue_turn_from_outside},
    {"queue.close_cancel", queue_canceled},
    {"group.new_submit_join", groups},
    {"group.failure", group_that_fails},
    {"manual.tasks_and_clock", manual},
    {"manual.waits", manual_waits},
    {"manual.async", manual_async},
};

}  // namespace

Scenarios life_scenarios() { return {scenarios, std::size(scenarios)}; }

}  // namespace faults
