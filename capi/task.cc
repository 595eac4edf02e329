// Floor 4: task.h.
#include "execq/task.h"

#include "flow/cq.h"
#include "flow/loop_port.h"
#include "flow/submission.h"
#include "sched/body.h"
#include "task_options.h"

using namespace execq::core;

namespace {

// Apart from execq_submit, which has nothing to save for a task without a handle.
[[gnu::noinline]] execq_status submit_node(Executor *executor, execq_fn fn, void *env, execq_future **out)
{
    return guarded([=] { return submit_plain(*executor, fn, env, out); });
}

}  // namespace

// Flat: the look at the active context and the executor's at the worker are at one thread-local then, found once.
[[gnu::flatten]] execq_status execq_submit(execq_executor *executor, execq_fn fn, void *env, execq_future **out)
{
    if (executor == nullptr || fn == nullptr || !core_of(executor)->direct() || !nothing_to_capture()) [[unlikely]]
        return execq_submit_with(executor, nullptr, fn, env, out);
    if (out == nullptr && Item::fits(fn)) [[likely]]
        return core_of(executor)->submit(Item(fn, env));
    return submit_node(core_of(executor), fn, env, out);
}

execq_status execq_submit_with(execq_executor *executor, const execq_task_options *options, execq_fn fn, void *env,
                               execq_future **out)
{
    TaskSpec spec;
    const execq_status status = read_task(core_of(executor), options, fn, env, spec);
    if (status != EXECQ_OK)
        return reject(status, drop_of(options), env);
    return guarded([&] { return submit(core_of(executor), spec, out); });
}

execq_status execq_submit_to_loop(execq_executor *executor, const execq_task_options *options, execq_fn fn, void *env,
                                  execq_loop *loop, execq_done_fn done, void *done_env, execq_drop_fn done_drop)
{
    if (executor != nullptr && options == nullptr && fn != nullptr && loop != nullptr && done != nullptr &&
        done_drop == nullptr && core_of(executor)->direct() && !core_of(loop)->inherited() && nothing_to_capture())
        [[likely]]
        return guarded(
            [=] { return submit_plain_to_loop(*core_of(executor), fn, env, *core_of(loop), done, done_env); });
    TaskSpec spec;
    execq_status status = read_task(core_of(executor), options, fn, env, spec);
    if (status == EXECQ_OK)
        status = done != nullptr ? check(core_of(loop)) : EXECQ_EINVAL;
    if (status != EXECQ_OK) {
        reject(status, drop_of(options), env);
        return reject(status, done_drop, done_env);
    }
    const Completion completion{done, done_env, done_drop, core_of(loop)};
    return guarded([&] { return submit_with_completion(core_of(executor), spec, completion); });
}

execq_status execq_submit_to_cq(execq_executor *executor, const execq_task_options *options, execq_fn fn, void *env,
                                execq_cq *cq, void *tag)
{
    TaskSpec spec;
    execq_status status = read_task(core_of(executor), options, fn, env, spec);
    if (status == EXECQ_OK)
        status = check(core_of(cq));
    if (status != EXECQ_OK)
        return reject(status, drop_of(options), env);
    const Completion completion{nullptr, tag, nullptr, core_of(cq)};
    return guarded([&] { return submit_with_completion(core_of(executor), spec, completion); });
}

execq_status execq_submit_many(execq_executor *executor, const execq_task_options *options, size_t n, execq_fn fn,
                               void *const *envs, execq_future **out)
{
    TaskSpec spec;
    // The copy of an env is checked per task: a null env with a size has nothing to copy.
    execq_status status = read_task(core_of(executor), options, fn, &spec, spec);
    for (size_t i = 0; i < n && status == EXECQ_OK && spec.env_size != 0; ++i) {
        if (envs == nullptr || envs[i] == nullptr)
            status = EXECQ_EINVAL;
    }
    if (status == EXECQ_OK)
        return guarded([&] { return submit_many(core_of(executor), spec, n, envs, out); });
    for (size_t i = 0; i < n && drop_of(options) != nullptr; ++i)
        reject(status, drop_of(options), envs != nullptr ? envs[i] : nullptr);
    return status;
}

execq_status execq_submit_async(execq_executor *executor, const execq_task_options *options, execq_async_fn start,
                                void *env, execq_future **out)
{
    TaskSpec spec;
    const char *uv_identity = nullptr;
    execq_status status = read_task_for(core_of(executor), options, env, spec, &uv_identity);
    if (status == EXECQ_OK && start == nullptr)
        status = EXECQ_EINVAL;
    if (status == EXECQ_OK && spec.interrupt)
        status = EXECQ_ENOTSUP;
    if (status != EXECQ_OK)
        return reject(status, drop_of(options), env);
    return guarded([&] { return submit_async(core_of(executor), spec, start, uv_identity, out); });
}

int32_t execq_cancel_requested(void) { return running_task_is_to_stop() ? 1 : 0; }

void execq_blocking_begin(void)
{
    if (Worker *worker = Worker::current())
        Executor::begin_blocking(*worker);
}

void execq_blocking_end(void)
{
    if (Worker *worker = Worker::current())
        Executor::end_blocking(*worker);
}
