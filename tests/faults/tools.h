// What scenarios are made of. Nothing here allocates by itself.
#pragma once

#include <execq/execq.h>
#include <sched.h>

#include <atomic>
#include <cstdint>

#include "frame.h"

namespace faults {

// How often something ran.
class Count {
public:
    int get() const { return n_.load(); }
    void hit() { n_.fetch_add(1); }
    // A body, a drop, a done callback, a cancel callback with the count as env.
    static std::int32_t body(void* env, void** result)
    {
        static_cast<Count*>(env)->hit();
        *result = env;
        return 0;
    }
    static void drop(void* env) { static_cast<Count*>(env)->hit(); }
    static void done(execq_future* /*future*/, void* env) { static_cast<Count*>(env)->hit(); }

private:
    std::atomic<int> n_{0};
};

inline std::int32_t do_nothing(void* /*env*/, void** /*result*/) { return 0; }

// Holds a body until it is opened. Nothing in it allocates, or sleeps.
class Gate {
public:
    void open() { open_.store(true); }
    void await_entered(int n = 1) const
    {
        until([&] { return entered_.load() >= n; });
    }
    static std::int32_t body(void* env, void** /*result*/)
    {
        auto* gate = static_cast<Gate*>(env);
        gate->entered_.fetch_add(1);
        until([&] { return gate->open_.load(); });
        return 0;
    }
    template <class Condition>
    static void until(const Condition& condition)
    {
        while (!condition())
            yield();
    }

private:
    static void yield() { sched_yield(); }
    std::atomic<int> entered_{0};
    std::atomic<bool> open_{false};
};

inline execq_executor_options executor_options(std::uint32_t threads)
{
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = threads;
    return options;
}

inline execq_task_options task_options(execq_drop_fn drop = nullptr)
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = drop;
    return options;
}

// An executor that ends, by a drain, with its scope.
class Pool {
public:
    explicit Pool(std::uint32_t threads) : Pool(executor_options(threads)) {}
    explicit Pool(const execq_executor_options& options) { FAULTS_EXPECT_OK(execq_executor_new(&options, &executor_)); }
    // Takes it over.
    explicit Pool(execq_executor* executor) : executor_(executor) {}
    ~Pool()
    {
        FAULTS_EXPECT_OK(execq_executor_close(executor_, EXECQ_DRAIN));
        FAULTS_EXPECT_OK(execq_executor_join(executor_, -1, nullptr));
        execq_executor_release(executor_);
    }
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;
    operator execq_executor*() const { return executor_; }

private:
    execq_executor* executor_ = nullptr;
};

// Waits for a future that succeeds, and gives it up.
inline void finish(execq_future* future)
{
    FAULTS_EXPECT_OK(execq_future_wait(future, -1));
    FAULTS_EXPECT_OK(execq_future_result(future, nullptr));
    execq_future_release(future);
}

// The same, where a fault may have come in between: then the failure is one that fits.
inline void finish_excused(const Run& run, execq_future* future)
{
    FAULTS_EXPECT_OK(execq_future_wait(future, -1));
    if (execq_future_result(future, nullptr) != EXECQ_OK)
        FAULTS_EXPECT(run.excused(execq_error_code(execq_future_error(future))));
    execq_future_release(future);
}

inline execq_future* occupy(execq_executor* executor, Gate& gate)
{
    execq_future* future = nullptr;
    FAULTS_EXPECT_OK(execq_submit(executor, Gate::body, &gate, &future));
    gate.await_entered();
    return future;
}

}  // namespace faults
