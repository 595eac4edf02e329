// Floor 3. Submitting: from a function and its env to a node in an executor's queue, or to nothing at all.
#pragma once

#include <cstddef>

#include "flow/loop_port.h"
#include "sched/executor.h"
#include "task/node.h"

namespace execq::core {

// One task. `given` null: resolved now. `out` null: fire and forget. On failure spec.drop has run, and nothing else
// happened.
execq_status submit(Executor* given, const TaskSpec& spec, execq_future** out);

// The same for a task that is nothing but a body and its env, on an executor that is given.
inline execq_status submit_plain(Executor& executor, execq_fn fn, void* env, execq_future** out)
{
    Node* node = Node::make_task(fn, env, out != nullptr ? 1 : 0, executor.id());
    if (node == nullptr) [[unlikely]]
        return EXECQ_ENOMEM;
    const execq_status status = executor.submit(Item(*node));
    if (status != EXECQ_OK) [[unlikely]]
        node->discard();
    else if (out != nullptr)
        *out = future_of(node);  // its reference is ours until now
    return status;
}

// The same with a completion that has no drop and goes to a loop.
inline execq_status submit_plain_to_loop(Executor& executor, execq_fn fn, void* env, LoopPort& port, execq_done_fn done,
                                         void* done_env)
{
    if (!port.begin_use()) [[unlikely]]
        return EXECQ_ECLOSED;
    execq_status status = EXECQ_ENOMEM;
    if (Node* node = Node::make_task(fn, env, 0, executor.id())) [[likely]] {
        node->preset_inside({done, done_env, nullptr, &port});
        status = executor.submit(Item(*node));
        if (status == EXECQ_OK) [[likely]]
            return EXECQ_OK;
        node->discard();
    }
    port.end_use();
    return status;
}

// One task whose completion goes to a port. On failure both drops have run, and nothing else happened.
execq_status submit_with_completion(Executor* given, const TaskSpec& spec, const Completion& completion);

// An asynchronous task, for the libuv of that identity (null: unchecked).
execq_status submit_async(Executor* given, const TaskSpec& spec, execq_async_fn start, const char* uv_identity,
                          execq_future** out);

// n tasks, all or none; envs null: n nulls. On failure spec.drop has run for each.
execq_status submit_many(Executor* given, const TaskSpec& spec, std::size_t n, void* const* envs, execq_future** out);

}  // namespace execq::core
