// Floor 4: engine.h.
#include "execq/engine.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>

#include "edge.h"
#include "sched/executor.h"
#include "sched/host_engine.h"
#include "task/callbacks.h"

using namespace execq::core;

namespace {

// taken: the engine belongs to what was made of it, and its drop has run where that failed.
execq_status make_executor(const execq_engine_vtable *vtable, void *engine, execq_executor **out, bool &taken)
{
    execq_engine_vtable read;
    if (vtable == nullptr)
        return EXECQ_EINVAL;
    const execq_status status = read_options(vtable, EXECQ_ENGINE_HELPS, read);
    if (status != EXECQ_OK)
        return status;
    if (read.submit == nullptr || out == nullptr)
        return EXECQ_EINVAL;
    ExecutorSpec spec;
    spec.name = read.name;
    spec.max_threads = 1;
    auto host = std::make_unique<HostEngine>(read, engine);
    taken = true;
    const execq_status observed = make_observers({}, spec.observers);
    if (observed != EXECQ_OK)
        return observed;
    Executor *executor = nullptr;
    const execq_status made = Executor::make(spec, std::move(host), &executor);
    if (made == EXECQ_OK)
        *out = handle_of(executor);
    return made;
}

}  // namespace

execq_status execq_executor_from_vtable(const execq_engine_vtable *vtable, void *engine, execq_executor **out)
{
    bool taken = false;
    const execq_status status = guarded([&] { return make_executor(vtable, engine, out, taken); });
    constexpr std::size_t covered = offsetof(execq_engine_vtable, drop) + sizeof vtable->drop;
    if (status != EXECQ_OK && !taken && vtable != nullptr && vtable->struct_size >= covered) {
        const CallbackScope scope;
        call_drop(vtable->drop, engine);
    }
    return status;
}

execq_status execq_engine_task_run(execq_engine_task *task)
{
    const execq_status ours = check(core_of(task));
    return ours == EXECQ_OK ? guarded([&] { return core_of(task)->run(); }) : ours;
}

execq_status execq_engine_task_begin(execq_engine_task *task)
{
    const execq_status ours = check(core_of(task));
    return ours == EXECQ_OK ? guarded([&] { return core_of(task)->begin(); }) : ours;
}

execq_status execq_engine_task_resolve(execq_engine_task *task, void *value)
{
    const execq_status ours = check(core_of(task));
    return ours == EXECQ_OK ? guarded([&] { return core_of(task)->end(0, value, nullptr); }) : ours;
}

execq_status execq_engine_task_reject(execq_engine_task *task, int32_t code, const char *message)
{
    const execq_status ours = code != 0 ? check(core_of(task)) : EXECQ_EINVAL;
    if (ours != EXECQ_OK)
        return ours;
    return guarded([&]() -> execq_status {
        // Made before the claim: where memory is out, the task is as it was.
        Error *error = message != nullptr ? Error::make(code, message) : nullptr;
        if (message != nullptr && error == nullptr)
            return EXECQ_ENOMEM;
        const execq_status status = core_of(task)->end(code, nullptr, error);
        if (status != EXECQ_OK && error != nullptr)
            error->release();
        return status;
    });
}

execq_status execq_engine_task_cancel(execq_engine_task *task)
{
    const execq_status ours = check(core_of(task));
    return ours == EXECQ_OK ? guarded([&] { return core_of(task)->cancel(); }) : ours;
}

int32_t execq_engine_task_cancel_requested(execq_engine_task *task)
{
    const execq_status ours = check(core_of(task));
    if (ours != EXECQ_OK)
        return ours;
    return core_of(task)->cancel_requested() ? 1 : 0;
}

execq_status execq_engine_task_info_get(execq_engine_task *task, execq_engine_task_info *out)
{
    const execq_status ours = out != nullptr ? check(core_of(task)) : EXECQ_EINVAL;
    if (ours != EXECQ_OK)
        return ours;
    execq_engine_task_info read;
    execq_status status = read_options(out, 0, read);
    if (status == EXECQ_OK)
        status = core_of(task)->describe(read);
    if (status == EXECQ_OK)
        std::memcpy(out, &read, std::min<std::size_t>(read.struct_size, sizeof read));
    return status;
}

void execq_engine_task_retain(execq_engine_task *task)
{
    if (task != nullptr)
        core_of(task)->retain();
}

void execq_engine_task_release(execq_engine_task *task)
{
    if (task != nullptr)
        core_of(task)->release();
}
