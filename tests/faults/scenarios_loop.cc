// Loops, one's own and others'; completion queues; asynchronous tasks.
#include <execq/uv.h>

#include <iterator>

#include "scenarios.h"
#include "tools.h"

namespace faults {

namespace {

// A loop of the test's own, made without faults.
class Loop {
public:
    Loop() { FAULTS_EXPECT(uv_loop_init(&loop_) == 0); }
    ~Loop()
    {
        while (uv_run(&loop_, UV_RUN_DEFAULT) != 0) {
        }
        FAULTS_EXPECT(uv_loop_close(&loop_) == 0);
    }
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;
    uv_loop_t* get() { return &loop_; }

private:
    uv_loop_t loop_{};
};

// The same with a port; attached without faults.
class Attached {
public:
    Attached() { FAULTS_EXPECT_OK(execq_loop_attach(loop_.get(), &port_)); }
    ~Attached()
    {
        FAULTS_EXPECT_OK(execq_loop_detach(port_));
        execq_loop_release(port_);
    }
    Attached(const Attached&) = delete;
    Attached& operator=(const Attached&) = delete;
    execq_loop* port() { return port_; }
    void run()
    {
        const UnderFaults on;
        FAULTS_EXPECT(uv_run(loop_.get(), UV_RUN_DEFAULT) == 0);
    }

private:
    Loop loop_;
    execq_loop* port_ = nullptr;
};

// An env that counts apart what is done with it.
struct Env {
    Count ran;
    Count done;
    Count dropped;
    Count done_dropped;
    static std::int32_t body(void* env, void** result) { return Count::body(&static_cast<Env*>(env)->ran, result); }
    static void on_done(execq_future* /*future*/, void* env) { static_cast<Env*>(env)->done.hit(); }
    static void drop(void* env) { static_cast<Env*>(env)->dropped.hit(); }
    static void drop_done(void* env) { static_cast<Env*>(env)->done_dropped.hit(); }
};

void attach_and_detach(Run& run)
{
    Loop loop;
    execq_loop* port = untouched<execq_loop>();
    run.attempt(
        nullptr, [&] { return execq_loop_attach(loop.get(), &port); },
        [&] {
            FAULTS_EXPECT(port == untouched<execq_loop>());
            (void)uv_run(loop.get(), UV_RUN_NOWAIT);
            FAULTS_EXPECT(uv_loop_alive(loop.get()) == 0);
        });
    run.attempt([&] { return execq_loop_hold(port); });
    run.attempt([&] { return execq_loop_unhold(port); });
    {
        const UnderFaults on;
        (void)uv_run(loop.get(), UV_RUN_NOWAIT);
        FAULTS_EXPECT_OK(execq_loop_detach(port));
        execq_loop_release(port);
    }
}

void submit_to_loop(Run& run)
{
    const Pool pool(2);
    for (const bool detached : {false, true}) {
        Env env;
        int refused = 0;
        {
            Attached loop;
            const execq_task_options options = task_options(Env::drop);
            run.attempt(
                pool,
                [&] {
                    return execq_submit_to_loop(pool, &options, Env::body, &env, loop.port(), Env::on_done, &env,
                                                Env::drop_done);
                },
                [&] {
                    ++refused;
                    FAULTS_EXPECT(env.ran.get() == 0 && env.dropped.get() == refused);
                    FAULTS_EXPECT(env.done.get() == 0 && env.done_dropped.get() == refused);
                });
            if (!detached) {
                loop.run();
                FAULTS_EXPECT(env.done.get() == 1);
            }
        }
        FAULTS_EXPECT(env.done_dropped.get() == refused + 1);
        Gate::until([&] { return env.dropped.get() == refused + 1; });
        FAULTS_EXPECT(env.ran.get() == 1);
    }
}

void on_loop(Run& run)
{
    Attached loop;
    execq_promise* promise = nullptr;
    execq_future* future = nullptr;
    FAULTS_EXPECT_OK(execq_promise_new(nullptr, &promise, &future));
    Env env;
    int refused = 0;
    for (int i = 0; i < 3; ++i) {
        run.attempt(
            nullptr, [&] { return execq_future_on_loop(future, loop.port(), Env::on_done, &env, Env::drop); },
            [&] { FAULTS_EXPECT(env.dropped.get() == ++refused && env.done.get() == 0); });
    }
    {
        const UnderFaults on;
        FAULTS_EXPECT_OK(execq_promise_resolve(promise, nullptr));
    }
    loop.run();
    FAULTS_EXPECT(env.done.get() == 3 && env.dropped.get() == refused + 3);
    execq_promise_release(promise);
    execq_future_release(future);
}

void loop_submit(Run& run)
{
    Attached loop;
    Env env;
    int refused = 0;
    execq_future* future = untouched<execq_future>();
    const execq_task_options options = task_options(Env::drop);
    run.attempt(
        nullptr, [&] { return execq_loop_submit(loop.port(), &options, Env::body, &env, &future); },
        [&] {
            FAULTS_EXPECT(future == untouched<execq_future>());
            FAULTS_EXPECT(env.dropped.get() == ++refused && env.ran.get() == 0);
        });
    loop.run();
    finish(future);
    FAULTS_EXPECT(env.ran.get() == 1 && env.dropped.get() == refused + 1);
}

void loop_submit_async(Run& run)
{
    Attached loop;
    Env env;
    int refused = 0;
    execq_future* future = untouched<execq_future>();
    const auto start = [](execq_promise* promise, uv_loop_t* /*loop*/, void* given) {
        static_cast<Env*>(given)->ran.hit();
        FAULTS_EXPECT_OK(execq_promise_resolve(promise, nullptr));
        execq_promise_release(promise);
    };
    const execq_task_options options = task_options(Env::drop);
    run.attempt(
        nullptr, [&] { return execq_loop_submit_async(loop.port(), &options, start, &env, &future); },
        [&] {
            FAULTS_EXPECT(future == untouched<execq_future>());
            FAULTS_EXPECT(env.dropped.get() == ++refused && env.ran.get() == 0);
        });
    loop.run();
    finish(future);
    FAULTS_EXPECT(env.ran.get() == 1 && env.dropped.get() == refused + 1);
}

// From a task, onto the loop that this thread runs.
void loop_call(Run& run)
{
    struct Caller {
        Run& run;
        execq_loop* port;
        Count ran;
        static std::int32_t body(void* env, void** /*result*/)
        {
            auto* self = static_cast<Caller*>(env);
            void* value = untouched<void>();
            self->run.attempt(
                nullptr, [&] { return execq_loop_call(self->port, Count::body, &self->ran, -1, &value); },
                [&] { FAULTS_EXPECT(value == untouched<void>() && self->ran.get() == 0); });
            FAULTS_EXPECT(value == &self->ran);
            FAULTS_EXPECT_OK(execq_loop_unhold(self->port));
            return 0;
        }
    };
    const Pool pool(1);
    Attached loop;
    FAULTS_EXPECT_OK(execq_loop_hold(loop.port()));
    Caller caller{run, loop.port(), {}};
    execq_future* future = nullptr;
    FAULTS_EXPECT_OK(execq_submit(pool, Caller::body, &caller, &future));
    loop.run();
    finish(future);
    FAULTS_EXPECT(caller.ran.get() == 1);
}

void completion_queue(Run& run)
{
    const Pool pool(2);
    execq_cq* cq = untouched<execq_cq>();
    run.attempt(
        nullptr, [&] { return execq_cq_new(&cq); }, [&] { FAULTS_EXPECT(cq == untouched<execq_cq>()); });
    Env env;
    int refused = 0;
    const execq_task_options options = task_options(Env::drop);
    run.attempt(
        pool, [&] { return execq_submit_to_cq(pool, &options, Env::body, &env, cq, &env); },
        [&] { FAULTS_EXPECT(env.dropped.get() == ++refused && env.ran.get() == 0); });
    execq_future* future = nullptr;
    FAULTS_EXPECT_OK(execq_submit(pool, Env::body, &env, &future));
    for (int i = 0; i < 2; ++i)
        run.attempt([&] { return execq_future_on_cq(future, cq, &future); });
    std::size_t drained = 0;
    while (drained < 3) {
        execq_completion completions[4];
        std::size_t n = 0;
        const UnderFaults on;
        FAULTS_EXPECT_OK(execq_cq_wait(cq, -1));
        FAULTS_EXPECT_OK(execq_cq_drain(cq, completions, std::size(completions), &n));
        for (std::size_t i = 0; i < n; ++i) {
            FAULTS_EXPECT(completions[i].tag == &env || completions[i].tag == &future);
            execq_future_release(completions[i].future);
        }
        drained += n;
    }
    FAULTS_EXPECT(env.ran.get() == 2 && env.dropped.get() == refused + 1);
    execq_future_release(future);
    execq_cq_release(cq);
}

void completion_queue_closed(Run& run)
{
    execq_cq* cq = nullptr;
    FAULTS_EXPECT_OK(execq_cq_new(&cq));
    execq_promise* promise = nullptr;
    execq_future* future = nullptr;
    FAULTS_EXPECT_OK(execq_promise_new(nullptr, &promise, &future));
    Count tags;
    for (int i = 0; i < 3; ++i)
        run.attempt(
            nullptr, [&] { return execq_future_on_cq(future, cq, &tags); }, [&] { FAULTS_EXPECT(tags.get() == 0); });
    run.attempt([&] { return execq_cq_close(cq, Count::drop); });
    FAULTS_EXPECT(tags.get() == 3);
    FAULTS_EXPECT_OK(execq_promise_resolve(promise, nullptr));
    execq_promise_release(promise);
    execq_future_release(future);
    execq_cq_release(cq);
}

// ---- asynchronous tasks, and a thread's own loop ----

// Begins a timer that completes the promise.
struct Timed {
    uv_timer_t timer{};
    execq_promise* promise = nullptr;
    Count started;
    Count dropped;
    static void start(execq_promise* promise, uv_loop_t* loop, void* env)
    {
        auto* self = static_cast<Timed*>(env);
        self->started.hit();
        self->promise = promise;
        self->timer.data = self;
        FAULTS_EXPECT(uv_timer_init(loop, &self->timer) == 0);
        FAULTS_EXPECT(uv_timer_start(&self->timer, fire, 1, 0) == 0);
    }
    static void fire(uv_timer_t* timer)
    {
        uv_close(reinterpret_cast<uv_handle_t*>(timer), [](uv_handle_t* handle) {
            execq_promise* promise = static_cast<Timed*>(handle->data)->promise;
            FAULTS_EXPECT_OK(execq_promise_resolve(promise, nullptr));  // with that its env may be gone
            execq_promise_release(promise);
        });
    }
    static void drop(void* env) { static_cast<Timed*>(env)->dropped.hit(); }
};

// Where no loop can be made the task fails with why; then with a loop it works.
void submit_async(Run& run)
{
    const Pool pool(2);
    for (int i = 0; i < 2; ++i) {
        Timed timed;
        const execq_task_options options = task_options(Timed::drop);
        execq_future* future = untouched<execq_future>();
        int refused = 0;
        {
            const UnderFaults on;
            run.attempt(
                nullptr, [&] { return execq_submit_async_uv(pool, &options, Timed::start, &timed, &future); },
                [&] { FAULTS_EXPECT(future == untouched<execq_future>() && timed.dropped.get() == ++refused); });
            FAULTS_EXPECT_OK(execq_future_wait(future, -1));
        }
        const bool ok = execq_future_result(future, nullptr) == EXECQ_OK;
        FAULTS_EXPECT(ok == (timed.started.get() == 1));
        if (!ok)
            FAULTS_EXPECT(run.excused(execq_error_code(execq_future_error(future))));
        FAULTS_EXPECT(timed.dropped.get() == refused + 1);
        execq_future_release(future);
    }
}

void async_on_reserved_workers(Run& run)
{
    execq_executor_options executor_opts = executor_options(2);
    executor_opts.reserved_loop_workers = 1;
    const Pool pool(executor_opts);
    Timed timed;
    const execq_task_options options = task_options(Timed::drop);
    execq_future* future = untouched<execq_future>();
    int refused = 0;
    {
        const UnderFaults on;
        run.attempt(
            nullptr, [&] { return execq_submit_async(pool, &options, Timed::start, &timed, &future); },
            [&] { FAULTS_EXPECT(future == untouched<execq_future>() && timed.dropped.get() == ++refused); });
        FAULTS_EXPECT_OK(execq_future_wait(future, -1));
    }
    finish_excused(run, future);
    FAULTS_EXPECT(timed.dropped.get() == refused + 1);
}

// What an asynchronous task registers comes back to its loop.
void on_promise(Run& run)
{
    struct Waiting {
        Run& run;
        execq_future* awaited;
        Count told;
        Count dropped;
        execq_promise* promise = nullptr;
        int refused = 0;
        static void start(execq_promise* promise, uv_loop_t* /*loop*/, void* env)
        {
            auto* self = static_cast<Waiting*>(env);
            self->promise = promise;
            const auto drop = [](void* given) { static_cast<Waiting*>(given)->dropped.hit(); };
            self->run.attempt(
                nullptr, [&] { return execq_future_on_promise(self->awaited, promise, done, self, drop); },
                [&] { FAULTS_EXPECT(self->dropped.get() == ++self->refused); });
            self->run.attempt(
                nullptr,
                [&] {
                    return execq_promise_on_cancel(
                        promise, [](void*) {}, self, drop);
                },
                [&] { FAULTS_EXPECT(self->dropped.get() == ++self->refused); });
        }
        static void done(execq_future* /*future*/, void* env)
        {
            auto* self = static_cast<Waiting*>(env);
            execq_promise* promise = self->promise;
            self->told.hit();
            FAULTS_EXPECT_OK(execq_promise_resolve(promise, nullptr));
            execq_promise_release(promise);
        }
    };
    const Pool pool(2);
    execq_promise* promise = nullptr;
    execq_future* awaited = nullptr;
    FAULTS_EXPECT_OK(execq_promise_new(nullptr, &promise, &awaited));
    Waiting waiting{run, awaited, {}, {}};
    execq_future* future = nullptr;
    FAULTS_EXPECT_OK(execq_submit_async(pool, nullptr, Waiting::start, &waiting, &future));
    {
        const UnderFaults on;
        FAULTS_EXPECT_OK(execq_promise_resolve(promise, nullptr));
        FAULTS_EXPECT_OK(execq_future_wait(future, -1));
    }
    const bool ok = execq_future_result(future, nullptr) == EXECQ_OK;  // else there was no loop for it
    FAULTS_EXPECT(waiting.told.get() == (ok ? 1 : 0));
    Gate::until([&] { return waiting.dropped.get() == (ok ? waiting.refused + 2 : 0); });
    finish_excused(run, future);
    execq_promise_release(promise);
    execq_future_release(awaited);
}

void thread_loop(Run& run)
{
    uv_loop_t* loop = untouched<uv_loop_t>();
    run.attempt(
        nullptr, [&] { return execq_thread_loop(&loop); }, [&] { FAULTS_EXPECT(loop == untouched<uv_loop_t>()); });
    FAULTS_EXPECT(uv_loop_alive(loop) == 0);
    execq_future* future = nullptr;
    FAULTS_EXPECT_OK(execq_sleep(1, &future));
    run.attempt([&] { return execq_run_until(future, -1); });
    finish(future);
    run.attempt([&] { return execq_thread_loop_close(); });
}

void thread_loop_of_a_worker(Run& run)
{
    const auto body = [](void* env, void** /*result*/) -> std::int32_t {
        auto* the_run = static_cast<Run*>(env);
        uv_loop_t* loop = untouched<uv_loop_t>();
        the_run->attempt(
            nullptr, [&] { return execq_thread_loop(&loop); }, [&] { FAULTS_EXPECT(loop == untouched<uv_loop_t>()); });
        FAULTS_EXPECT(uv_loop_alive(loop) == 0);
        return 0;
    };
    const Pool pool(1);
    execq_future* future = nullptr;
    FAULTS_EXPECT_OK(execq_submit(pool, body, &run, &future));
    finish(future);
}

// In a task, for an asynchronous one of the same executor, which it starts on its own loop.
void run_until(Run& run)
{
    struct Driver {
        Run& run;
        const Pool& pool;
        Timed timed;
        static std::int32_t body(void* env, void** /*result*/)
        {
            auto* self = static_cast<Driver*>(env);
            uv_loop_t* loop = nullptr;
            FAULTS_EXPECT_OK(execq_thread_loop(&loop));
            execq_future* future = untouched<execq_future>();
            self->run.attempt(
                nullptr, [&] { return execq_submit_async(self->pool, nullptr, Timed::start, &self->timed, &future); },
                [&] { FAULTS_EXPECT(future == untouched<execq_future>()); });
            self->run.attempt([&] { return execq_run_until(future, -1); });
            finish_excused(self->run, future);
            return 0;
        }
    };
    const Pool pool(1);
    Driver driver{run, pool, {}};
    execq_future* future = nullptr;
    FAULTS_EXPECT_OK(execq_submit(pool, Driver::body, &driver, &future));
    finish(future);
}

constexpr Scenario scenarios[] = {
    {"loop.attach_hold_detach", attach_and_detach},
    {"loop.submit_to_loop", submit_to_loop},
    {"loop.future_on_loop", on_loop},
    {"loop.submit", loop_submit},
    {"loop.submit_async", loop_submit_async},
    {"loop.call", loop_call},
    {"cq.submit_on_cq_drain", completion_queue},
    {"cq.close", completion_queue_closed},
    {"async.submit", submit_async},
    {"async.reserved_workers", async_on_reserved_workers},
    {"async.future_on_promise", on_promise},
    {"thread_loop.own", thread_loop},
    {"thread_loop.of_a_worker", thread_loop_of_a_worker},
    {"thread_loop.run_until", run_until},
};

}  // namespace

Scenarios loop_scenarios() { return {scenarios, std::size(scenarios)}; }

}  // namespace faults
