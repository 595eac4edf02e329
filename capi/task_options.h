// Floor 4. execq_task_options, as every submission reads them.
#pragma once

#include <cstddef>

#include "edge.h"
#include "execq/task.h"
#include "task/callbacks.h"
#include "task/node.h"

namespace execq::core {

// What a submission takes over whatever it answers: honoured as soon as struct_size covers it.
inline execq_drop_fn drop_of(const execq_task_options* options)
{
    constexpr std::size_t covered = offsetof(execq_task_options, drop) + sizeof options->drop;
    return options != nullptr && options->struct_size >= covered ? options->drop : nullptr;
}

// All but the function. uv_identity (may be null): what the options say of it, for who asks.
inline execq_status read_task_options(const execq_task_options* options, void* env, TaskSpec& spec,
                                      const char** uv_identity = nullptr)
{
    spec.env = env;
    if (options == nullptr)
        return EXECQ_OK;
    execq_task_options read;
    const execq_status status = read_options<offsetof(execq_task_options, uv_identity)>(options, 0, read);
    if (status != EXECQ_OK)
        return status;
    if (read.env_size != 0 && env == nullptr)
        return EXECQ_EINVAL;
    spec = {nullptr, env, read.drop, read.drop_result, read.name, read.env_size};
    if (uv_identity != nullptr)
        *uv_identity = read.uv_identity;
    return EXECQ_OK;
}

inline execq_status read_task(const execq_task_options* options, execq_fn fn, void* env, TaskSpec& spec)
{
    const execq_status status = read_task_options(options, env, spec);
    spec.fn = fn;
    return status == EXECQ_OK && fn == nullptr ? EXECQ_EINVAL : status;
}

inline execq_status reject(execq_status status, execq_drop_fn drop, void* env)
{
    const CallbackScope scope;
    call_drop(drop, env);
    return status;
}

}  // namespace execq::core
