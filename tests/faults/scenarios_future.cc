// Promises, futures, errors, cancellation, contexts.
#include <iterator>
#include <utility>

#include "scenarios.h"
#include "tools.h"

namespace faults {

namespace {

struct Promised {
    execq_promise* promise = untouched<execq_promise>();
    execq_future* future = untouched<execq_future>();

    void make(Run& run, const execq_promise_options* options = nullptr)
    {
        run.attempt(
            nullptr, [&] { return execq_promise_new(options, &promise, &future); },
            [&] { FAULTS_EXPECT(promise == untouched<execq_promise>() && future == untouched<execq_future>()); });
    }
    void end()
    {
        (void)execq_promise_resolve(promise, nullptr);
        execq_promise_release(promise);
        execq_future_release(future);
    }
};

void promise_resolved(Run& run)
{
    Count dropped;
    execq_promise_options options = EXECQ_PROMISE_OPTIONS_INIT;
    options.name = "a promise";
    options.drop_result = Count::drop;
    for (int i = 1; i <= 2; ++i) {
        Promised one;
        one.make(run, &options);
        {
            const UnderFaults on;
            FAULTS_EXPECT_OK(execq_promise_resolve(one.promise, &dropped));
        }
        void* value = nullptr;
        FAULTS_EXPECT_OK(execq_future_result(one.future, &value));
        FAULTS_EXPECT(value == &dropped);
        one.end();
        FAULTS_EXPECT(dropped.get() == i);
    }
}

void promise_rejected(Run& run)
{
    Promised one;
    one.make(run);
    run.attempt(
        nullptr, [&] { return execq_promise_reject(one.promise, 28, "the disk is full"); },
        [&] { FAULTS_EXPECT(execq_future_state(one.future) == EXECQ_FUTURE_RUNNING); });
    FAULTS_EXPECT(execq_error_code(execq_future_error(one.future)) == 28);
    one.end();
}

void promise_broken(Run& run)
{
    Promised one;
    one.make(run);
    {
        const UnderFaults on;
        execq_promise_release(one.promise);
    }
    FAULTS_EXPECT(execq_future_state(one.future) == EXECQ_FUTURE_FAILED);
    const std::int32_t code = execq_error_code(execq_future_error(one.future));
    FAULTS_EXPECT(code == EXECQ_EBROKEN || run.excused(code));
    execq_future_release(one.future);
}

void promise_on_cancel(Run& run)
{
    for (const bool cancel : {true, false}) {
        Promised one;
        Count called;
        Count dropped;
        struct Env {
            Count& called;
            Count& dropped;
        } env{called, dropped};
        one.make(run);
        int refused = 0;
        run.attempt(
            nullptr,
            [&] {
                return execq_promise_on_cancel(
                    one.promise, [](void* given) { static_cast<Env*>(given)->called.hit(); }, &env,
                    [](void* given) { static_cast<Env*>(given)->dropped.hit(); });
            },
            [&] { FAULTS_EXPECT(dropped.get() == ++refused); });
        if (cancel) {
            const UnderFaults on;
            FAULTS_EXPECT(execq_future_cancel(one.future) == EXECQ_EBUSY);
        }
        FAULTS_EXPECT_OK(execq_promise_resolve(one.promise, nullptr));
        FAULTS_EXPECT(called.get() == (cancel ? 1 : 0) && dropped.get() == refused + 1);
        one.end();
    }
}

void forwarded(Run& run)
{
    Promised from;
    Promised to;
    from.make(run);
    to.make(run);
    run.attempt(
        nullptr, [&] { return execq_future_forward(from.future, to.promise); },
        [&] { FAULTS_EXPECT(execq_future_state(to.future) == EXECQ_FUTURE_RUNNING); });
    {
        const UnderFaults on;
        FAULTS_EXPECT_OK(execq_promise_resolve(from.promise, &from));
    }
    void* value = nullptr;
    FAULTS_EXPECT_OK(execq_future_result(to.future, &value));
    FAULTS_EXPECT(value == &from);
    from.end();
    to.end();
}

void told_when_done(Run& run)
{
    constexpr int callbacks = 3;
    Promised one;
    one.make(run);
    Count called;
    Count dropped;
    struct Env {
        Count& called;
        Count& dropped;
    } env{called, dropped};
    const auto done = [](execq_future* /*future*/, void* given) { static_cast<Env*>(given)->called.hit(); };
    const auto drop = [](void* given) { static_cast<Env*>(given)->dropped.hit(); };
    int refused = 0;
    for (int i = 0; i < callbacks; ++i) {
        run.attempt(
            nullptr, [&] { return execq_future_on_done(one.future, done, &env, drop); },
            [&] { FAULTS_EXPECT(dropped.get() == ++refused && called.get() == 0); });
    }
    {
        const UnderFaults on;
        FAULTS_EXPECT_OK(execq_promise_resolve(one.promise, nullptr));
    }
    FAULTS_EXPECT(called.get() == callbacks && dropped.get() == callbacks + refused);
    run.attempt([&] { return execq_future_on_done(one.future, done, &env, nullptr); });  // done already
    FAULTS_EXPECT(called.get() == callbacks + 1);
    one.end();
}

// What is completed and registered inside a callback is queued on the thread.
void told_inside_of_callbacks(Run& run)
{
    struct Chain {
        Run& run;
        Promised outer;
        Promised inner;
        Count called;
        int registered = 0;
        static void done(execq_future* /*future*/, void* env)
        {
            auto* self = static_cast<Chain*>(env);
            const UnderFaults on;
            self->run.attempt(
                [&] { return execq_future_on_done(self->inner.future, Count::done, &self->called, nullptr); });
            FAULTS_EXPECT_OK(execq_promise_resolve(self->inner.promise, nullptr));
            self->run.attempt(
                [&] { return execq_future_on_done(self->inner.future, Count::done, &self->called, nullptr); });
            FAULTS_EXPECT(self->called.get() == 0);
        }
    } chain{run, {}, {}, {}};
    chain.outer.make(run);
    chain.inner.make(run);
    FAULTS_EXPECT_OK(execq_future_on_done(chain.outer.future, Chain::done, &chain, nullptr));
    FAULTS_EXPECT_OK(execq_promise_resolve(chain.outer.promise, nullptr));
    FAULTS_EXPECT(chain.called.get() == 2);
    chain.outer.end();
    chain.inner.end();
}

void wait_any(Run& run)
{
    constexpr std::size_t n = 20;  // more than lie on the stack
    Promised all[n];
    execq_future* futures[n];
    for (std::size_t i = 0; i < n; ++i) {
        all[i].make(run);
        futures[i] = all[i].future;
    }
    std::size_t index = 99;
    const auto late = [&] { return execq_future_wait_any(futures, n, 1, &index); };
    const execq_status status = [&] {
        const UnderFaults on;
        return late();
    }();
    FAULTS_EXPECT(status == EXECQ_ETIMEDOUT || run.excused(status));
    FAULTS_EXPECT(index == 99);
    FAULTS_EXPECT_OK(execq_promise_resolve(all[7].promise, nullptr));
    run.attempt(
        nullptr, [&] { return execq_future_wait_any(futures, n, -1, &index); }, [&] { FAULTS_EXPECT(index == 99); });
    FAULTS_EXPECT(index == 7);
    for (Promised& one : all)
        one.end();
}

void errors(Run& run)
{
    Count dropped;
    int refused = 0;
    const execq_error* cause = untouched<const execq_error>();
    const execq_error* error = untouched<const execq_error>();
    execq_error_options options = EXECQ_ERROR_OPTIONS_INIT;
    options.code = 5;
    options.message = "the cause";
    options.drop = Count::drop;
    options.payload = &dropped;
    options.kind = &dropped;
    const auto unchanged = [&] { FAULTS_EXPECT(dropped.get() == ++refused); };
    run.attempt(
        nullptr, [&] { return execq_error_new(&options, &cause); }, unchanged);
    options.cause = cause;
    options.message = "what it led to";
    run.attempt(
        nullptr, [&] { return execq_error_new(&options, &error); }, unchanged);
    execq_error_release(cause);
    FAULTS_EXPECT(execq_error_cause(error) == cause);
    execq_error_release(error);
    FAULTS_EXPECT(dropped.get() == refused + 2);
}

// The code of a failure is never lost; its message may be.
void failing_tasks(Run& run)
{
    const Pool pool(1);
    execq_future* future = nullptr;
    const auto body = [](void* /*env*/, void** /*result*/) -> std::int32_t {
        return execq_fail(28, "the disk is full");
    };
    {
        const UnderFaults on;
        run.attempt([&] { return execq_submit(pool, body, nullptr, &future); });
        FAULTS_EXPECT_OK(execq_future_wait(future, -1));
    }
    FAULTS_EXPECT(execq_future_result(future, nullptr) == EXECQ_EFAILED);
    const execq_error* error = execq_future_error(future);
    FAULTS_EXPECT(execq_error_code(error) == 28 || run.excused(execq_error_code(error)));
    execq_future_release(future);
}

void exceptions(Run& run)
{
    const Pool pool(1);
    execq_future* future = nullptr;
    const auto body = [](void* /*env*/, void** /*result*/) -> std::int32_t { throw "thrown"; };
    {
        const UnderFaults on;
        run.attempt([&] { return execq_submit(pool, body, nullptr, &future); });
        FAULTS_EXPECT_OK(execq_future_wait(future, -1));
    }
    const std::int32_t code = execq_error_code(execq_future_error(future));
    FAULTS_EXPECT(code == EXECQ_EEXCEPTION || run.excused(code));
    execq_future_release(future);
}

// A failure that nobody looks at is told to the hook once, whatever there is no memory for.
void unobserved(Run& run)
{
    struct Told {
        Count calls;
        Count drops;
    } told;
    execq_conf conf = EXECQ_CONF_INIT;
    conf.on_unobserved = [](const execq_error* /*error*/, const char* /*name*/, void* env) {
        static_cast<Told*>(env)->calls.hit();
    };
    conf.unobserved_env = &told;
    conf.unobserved_drop = [](void* env) { static_cast<Told*>(env)->drops.hit(); };
    int refused = 0;
    run.attempt(
        nullptr, [&] { return execq_init_conf(&conf); }, [&] { FAULTS_EXPECT(told.drops.get() == ++refused); });
    {
        const Pool pool(1);
        const UnderFaults on;
        run.attempt([&] {
            return execq_submit(
                pool, [](void*, void**) -> std::int32_t { return execq_fail(3, "nobody looks"); }, nullptr, nullptr);
        });
        Gate::until([&] { return told.calls.get() == 1; });
    }
    FAULTS_EXPECT(told.calls.get() == 1);
    execq_conf clear = EXECQ_CONF_INIT;
    clear.flags = EXECQ_CONF_CLEAR_ON_UNOBSERVED;
    run.attempt([&] { return execq_init_conf(&clear); });
    FAULTS_EXPECT(told.drops.get() == refused + 1);
}

void cancel_sources(Run& run)
{
    execq_cancel_source* parent = untouched<execq_cancel_source>();
    execq_cancel_source* child = untouched<execq_cancel_source>();
    execq_cancel_source_options options = EXECQ_CANCEL_SOURCE_OPTIONS_INIT;
    run.attempt(
        nullptr, [&] { return execq_cancel_source_new(nullptr, &parent); },
        [&] { FAULTS_EXPECT(parent == untouched<execq_cancel_source>()); });
    options.parent = parent;
    run.attempt(
        nullptr, [&] { return execq_cancel_source_new(&options, &child); },
        [&] { FAULTS_EXPECT(child == untouched<execq_cancel_source>()); });

    Count called;
    Count dropped;
    struct Env {
        Count& called;
        Count& dropped;
    } env{called, dropped};
    const auto call = [](void* given) { static_cast<Env*>(given)->called.hit(); };
    const auto drop = [](void* given) { static_cast<Env*>(given)->dropped.hit(); };
    execq_cancel_token tokens[2] = {};
    int refused = 0;
    for (execq_cancel_token& token : tokens) {
        run.attempt(
            nullptr, [&] { return execq_cancel_source_on_cancel(child, call, &env, drop, &token); },
            [&] { FAULTS_EXPECT(dropped.get() == ++refused && token == 0); });
    }
    run.attempt([&] { return execq_cancel_source_off(child, tokens[0]); });
    Promised linked;
    linked.make(run);
    run.attempt(
        nullptr, [&] { return execq_cancel_source_link_future(child, linked.future); },
        [&] { FAULTS_EXPECT(execq_promise_cancel_requested(linked.promise) == 0); });
    run.attempt([&] { return execq_cancel_source_cancel(parent); });
    FAULTS_EXPECT(called.get() == 1 && dropped.get() == refused + 2);
    FAULTS_EXPECT(execq_promise_cancel_requested(linked.promise) == 1);
    linked.end();
    execq_cancel_source_release(child);
    execq_cancel_source_release(parent);
}

void cancel_callbacks(Run& run)
{
    struct Body {
        Run& run;
        Count called;
        Gate gate;
        static std::int32_t body(void* env, void** result)
        {
            auto* self = static_cast<Body*>(env);
            execq_cancel_token token = 0;
            const auto call = [](void* count) { static_cast<Count*>(count)->hit(); };
            for (int i = 0; i < 2; ++i) {
                self->run.attempt(
                    nullptr, [&] { return execq_on_cancel(call, &self->called, &token); },
                    [&] { FAULTS_EXPECT(token == 0 || i == 1); });
            }
            FAULTS_EXPECT_OK(execq_off_cancel(token));
            (void)Gate::body(&self->gate, result);
            return EXECQ_ECANCELED;
        }
    } body{run, {}, {}};
    const Pool pool(1);
    execq_future* future = nullptr;
    FAULTS_EXPECT_OK(execq_submit(pool, Body::body, &body, &future));
    body.gate.await_entered();
    {
        const UnderFaults on;
        FAULTS_EXPECT(execq_future_cancel(future) == EXECQ_EBUSY);
    }
    FAULTS_EXPECT(body.called.get() == 1);
    body.gate.open();
    FAULTS_EXPECT_OK(execq_future_wait(future, -1));
    FAULTS_EXPECT(execq_future_state(future) == EXECQ_FUTURE_CANCELED);
    execq_future_release(future);
}

void variables(Run& run)
{
    constexpr int n = 6;
    Count dropped;
    execq_var* vars[n];
    execq_var_token tokens[n] = {};
    execq_var_options options = EXECQ_VAR_OPTIONS_INIT;
    options.name = "a variable";
    options.drop = Count::drop;
    for (int i = 0; i < n; ++i) {
        vars[i] = untouched<execq_var>();
        run.attempt(
            nullptr, [&] { return execq_var_new(&options, &vars[i]); },
            [&] { FAULTS_EXPECT(vars[i] == untouched<execq_var>()); });
    }
    for (int i = 0; i < n; ++i) {
        void* value = nullptr;
        run.attempt(
            nullptr, [&] { return execq_var_set(vars[i], &dropped, &tokens[i]); },
            [&] { FAULTS_EXPECT(dropped.get() == 0 && execq_var_get(vars[i], &value) == 0 && tokens[i] == 0); });
        FAULTS_EXPECT(execq_var_get(vars[i], &value) == 1 && value == &dropped);
    }
    execq_context* context = untouched<execq_context>();
    run.attempt([&] { return execq_context_capture(&context); });
    // Not in the opposite order: then it may need memory.
    for (int i = 0; i < n; ++i) {
        void* value = nullptr;
        run.attempt(
            nullptr, [&] { return execq_var_reset(vars[i], tokens[i]); },
            [&] { FAULTS_EXPECT(execq_var_get(vars[i], &value) == 1); });
        FAULTS_EXPECT(execq_var_get(vars[i], &value) == 0);
    }
    Count called;
    run.attempt([&] { return execq_context_run(context, Count::drop, &called); });
    FAULTS_EXPECT(called.get() == 1 && dropped.get() == 0);
    execq_context_release(context);
    FAULTS_EXPECT(dropped.get() == n);
    for (execq_var* var : vars)
        execq_var_release(var);
}

// A provider is for ever: the second run has it already.
void context_providers(Run& run)
{
    static Count captured;
    static Count released;
    execq_context_provider provider = EXECQ_CONTEXT_PROVIDER_INIT;
    provider.name = "a provider";
    provider.capture = [](void*, void** state) -> execq_status {
        captured.hit();
        *state = &captured;
        return EXECQ_OK;
    };
    provider.enter = [](void*, void*, void**) -> execq_status { return EXECQ_OK; };
    provider.leave = [](void*, void*, void*) {};
    provider.release = [](void*, void*) { released.hit(); };
    static bool added = false;
    if (!std::exchange(added, true))
        run.attempt([&] { return execq_context_provider_add(&provider); });
    execq_context* context = untouched<execq_context>();
    run.attempt(
        nullptr, [&] { return execq_context_capture(&context); },
        [&] { FAULTS_EXPECT(context == untouched<execq_context>() && captured.get() == released.get()); });
    Count ran;
    {
        const Pool pool(1);
        execq_future* future = untouched<execq_future>();
        const UnderFaults on;
        run.attempt(
            pool, [&] { return execq_submit(pool, Count::body, &ran, &future); },
            [&] { FAULTS_EXPECT(future == untouched<execq_future>()); });
        FAULTS_EXPECT_OK(execq_future_wait(future, -1));
        execq_future_release(future);
    }
    FAULTS_EXPECT(ran.get() == 1);
    execq_context_release(context);
    FAULTS_EXPECT(captured.get() == released.get());
}

void sleeps(Run& run)
{
    execq_future* future = untouched<execq_future>();
    Count called;
    {
        const UnderFaults on;
        run.attempt(
            nullptr, [&] { return execq_sleep(1, &future); },
            [&] { FAULTS_EXPECT(future == untouched<execq_future>()); });
        run.attempt([&] { return execq_future_on_done(future, Count::done, &called, nullptr); });
        FAULTS_EXPECT_OK(execq_future_wait(future, -1));
        Gate::until([&] { return called.get() == 1; });
    }
    finish(future);
    execq_future* never = untouched<execq_future>();
    run.attempt([&] { return execq_sleep(-1, &never); });
    {
        const UnderFaults on;
        FAULTS_EXPECT_OK(execq_future_cancel(never));
    }
    execq_future_release(never);
}

constexpr Scenario scenarios[] = {
    {"promise.resolved", promise_resolved},
    {"promise.rejected", promise_rejected},
    {"promise.broken", promise_broken},
    {"promise.on_cancel", promise_on_cancel},
    {"future.forward", forwarded},
    {"future.on_done", told_when_done},
    {"future.on_done_inside_of_callbacks", told_inside_of_callbacks},
    {"future.wait_any", wait_any},
    {"error.new_with_cause", errors},
    {"error.fail", failing_tasks},
    {"error.exception", exceptions},
    {"conf.unobserved_hook", unobserved},
    {"cancel.source", cancel_sources},
    {"cancel.on_cancel", cancel_callbacks},
    {"context.variables", variables},
    {"context.provider", context_providers},
    {"timer.sleep", sleeps},
};

}  // namespace

Scenarios future_scenarios() { return {scenarios, std::size(scenarios)}; }

}  // namespace faults
