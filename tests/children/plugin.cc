// A plug-in that is linked to libexecq.so, as those of a host that knows nothing of it.
#include "plugin.h"

#include <cstdint>

#include "execq/execq.h"
#include "stress.h"

namespace {

execq_executor* new_executor()
{
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 2;
    options.name = "plugin";
    execq_executor* executor = nullptr;
    CHECK(execq_executor_new(&options, &executor) == EXECQ_OK);
    return executor;
}

std::int32_t count(void* env, void**)
{
    __atomic_fetch_add(static_cast<int*>(env), 1, __ATOMIC_RELAXED);
    return 0;
}

struct AtThreadEnd {
    int* ended = nullptr;
    AtThreadEnd() = default;
    AtThreadEnd(const AtThreadEnd&) = delete;
    AtThreadEnd& operator=(const AtThreadEnd&) = delete;
    ~AtThreadEnd()
    {
        if (ended != nullptr)
            __atomic_fetch_add(ended, 1, __ATOMIC_RELEASE);
    }
};

thread_local AtThreadEnd at_thread_end;

std::int32_t arm(void* ended, void**)
{
    at_thread_end.ended = static_cast<int*>(ended);
    return 0;
}

void run(execq_executor* executor, execq_fn fn, void* env)
{
    execq_future* future = nullptr;
    CHECK(execq_submit(executor, fn, env, &future) == EXECQ_OK);
    CHECK(execq_future_wait(future, -1) == EXECQ_OK);
    execq_future_release(future);
}

// Joined when the plug-in is unloaded, within dlclose().
struct Kept {
    execq_executor* executor = nullptr;
    Kept() = default;
    Kept(const Kept&) = delete;
    Kept& operator=(const Kept&) = delete;
    ~Kept()
    {
        if (executor != nullptr)
            plugin_stop(executor);
    }
};

Kept kept;

}  // namespace

execq_executor* plugin_start(int* ran)
{
    execq_executor* executor = new_executor();
    for (int i = 0; i < PLUGIN_TASKS; ++i)
        run(executor, count, ran);
    return executor;
}

execq_executor* plugin_arm(int* ended)
{
    execq_executor* executor = new_executor();
    run(executor, arm, ended);
    return executor;
}

void plugin_stop(execq_executor* executor)
{
    CHECK(execq_executor_close(executor, EXECQ_DRAIN) == EXECQ_OK);
    CHECK(execq_executor_join(executor, -1, nullptr) == EXECQ_OK);
    execq_executor_release(executor);
}

void plugin_keep(int* ran)
{
    kept.executor = new_executor();
    for (int i = 0; i < PLUGIN_TASKS; ++i)
        CHECK(execq_submit(kept.executor, count, ran, nullptr) == EXECQ_OK);
}
