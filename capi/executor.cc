// Floor 4: executor.h and conf.h.
#include "execq/executor.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "base/uv_table.h"
#include "edge.h"
#include "execq/conf.h"
#include "flow/main_loop.h"
#include "sched/conf.h"
#include "sched/executor.h"
#include "sched/exit.h"
#include "sched/observer.h"
#include "task/callbacks.h"
#include "task/unobserved.h"

using namespace execq::core;

namespace {

// A null table is for the executor to replace.
execq_status read_owning_table(const execq_uv_table *given, execq_uv_table &table)
{
    if (given == nullptr)
        return EXECQ_OK;
    execq_status status = read_options<first_uv_table_size>(given, 0, table);
    if (status == EXECQ_OK)
        status = check_uv_table(table);
    return status == EXECQ_OK && !can_own_loops(table) ? EXECQ_ENOTSUP : status;
}

// With reserved ones one thread at least is left for blocking tasks.
bool threads_agree(const execq_executor_options &options)
{
    constexpr std::uint32_t most = EXECQ_MAX_THREADS;
    const std::uint32_t reserved = options.reserved_loop_workers;
    if (options.max_threads > most || options.min_threads > most || options.loop_workers > most || reserved > most)
        return false;
    const std::uint32_t max = options.max_threads != 0 ? options.max_threads : most;
    return options.min_threads + reserved <= max && options.loop_workers <= max && reserved < max &&
           (reserved == 0 || options.loop_workers == 0 || options.loop_workers == reserved);
}

bool options_agree(const execq_executor_options &options)
{
    return threads_agree(options) && options.max_spares <= EXECQ_MAX_THREADS &&
           options.capacity <= EXECQ_MAX_CAPACITY && options.full_policy <= EXECQ_FULL_CALLER_RUNS &&
           options.reserved_2 == 0 && options.reserved_3 == 0 && options.stuck_after_ns >= 0 &&
           (options.thread_drop == nullptr || options.thread_init != nullptr || options.thread_final != nullptr) &&
           (options.stuck_after_ns != 0 || (options.on_stuck == nullptr && options.stuck_drop == nullptr));
}

bool covers(std::size_t size, std::size_t offset) { return size >= offset + sizeof(void *); }

// The envs that the call has taken, whatever it answers, where it came to nothing before anybody else had them.
void drop_observer_envs(const execq_executor_options *options)
{
    if (options == nullptr)
        return;
    const CallbackScope scope;
    const execq_hooks *hooks =
        covers(options->struct_size, offsetof(execq_executor_options, hooks)) ? options->hooks : nullptr;
    if (hooks != nullptr && covers(hooks->struct_size, offsetof(execq_hooks, env)))
        call_drop(hooks->drop, hooks->env);
    if (covers(options->struct_size, offsetof(execq_executor_options, stuck_drop)))
        call_drop(options->stuck_drop, options->stuck_env);
}

// The executor has it only once that is made.
void drop_thread_env(const execq_executor_options *options)
{
    if (options == nullptr || !covers(options->struct_size, offsetof(execq_executor_options, thread_drop)))
        return;
    const CallbackScope scope;
    call_drop(options->thread_drop, options->thread_env);
}

// `taken`: the envs of the observers are not the caller's any more.
execq_status make_executor(const execq_executor_options *options, execq_executor **out, bool &taken)
{
    execq_executor_options read;
    execq_status status =
        read_options<offsetof(execq_executor_options, keepalive_ns)>(options, EXECQ_EXECUTOR_TIMES, read);
    if (status != EXECQ_OK)
        return status;
    if (out == nullptr || !options_agree(read))
        return EXECQ_EINVAL;
    execq_uv_table table;
    status = read_owning_table(read.uv_table, table);
    execq_hooks hooks;
    if (status == EXECQ_OK)
        status = read_options(read.hooks, 0, hooks);
    const ThreadSpec threads{read.thread_init, read.thread_final, read.thread_env,    read.thread_drop,
                             read.stack_size,  read.affinity,     read.affinity_count};
    if (status == EXECQ_OK)
        status = ThreadPlan::check(threads);
    if (status != EXECQ_OK)
        return status;
    taken = true;
    MadeObservers observers;
    status =
        make_observers({read.name, (read.flags & EXECQ_EXECUTOR_TIMES) != 0, read.hooks != nullptr ? &hooks : nullptr,
                        read.stuck_after_ns, read.on_stuck, read.stuck_env, read.stuck_drop},
                       observers);
    if (status != EXECQ_OK)
        return status;
    Executor *executor = nullptr;
    status = Executor::make({read.name, read.max_threads, read.min_threads, read.keepalive_ns, read.loop_workers,
                             read.uv_table != nullptr ? &table : nullptr, read.reserved_loop_workers, read.capacity,
                             read.full_policy, read.max_spares, observers, threads},
                            &executor);
    if (status == EXECQ_OK)
        *out = handle_of(executor);
    return status;
}

}  // namespace

execq_status execq_executor_new(const execq_executor_options *options, execq_executor **out)
{
    return guarded([&]() -> execq_status {
        bool taken = false;
        const execq_status status = make_executor(options, out, taken);
        if (!taken)
            drop_observer_envs(options);
        if (status != EXECQ_OK)
            drop_thread_env(options);
        return status;
    });
}

execq_status execq_executor_resize(execq_executor *executor, uint32_t min_threads, uint32_t max_threads)
{
    const execq_status ours = check(core_of(executor));
    if (ours != EXECQ_OK)
        return ours;
    if (min_threads > EXECQ_MAX_THREADS || max_threads > EXECQ_MAX_THREADS)
        return EXECQ_EINVAL;
    return guarded([&]() -> execq_status { return core_of(executor)->resize(min_threads, max_threads); });
}

int32_t execq_executor_broken(execq_executor *executor)
{
    return check(core_of(executor)) == EXECQ_OK ? core_of(executor)->broken() : 0;
}

execq_status execq_executor_default(execq_executor **out)
{
    if (out == nullptr)
        return EXECQ_EINVAL;
    return guarded([&]() -> execq_status {
        Executor *executor = nullptr;
        const execq_status resolved = resolve_executor(&executor);
        if (resolved == EXECQ_OK)
            *out = handle_of(executor);
        return resolved;
    });
}

void execq_executor_retain(execq_executor *executor)
{
    if (executor != nullptr)
        core_of(executor)->retain();
}

void execq_executor_release(execq_executor *executor)
{
    if (executor != nullptr)
        core_of(executor)->release();
}

execq_status execq_executor_close(execq_executor *executor, int32_t mode)
{
    const execq_status ours = mode == EXECQ_DRAIN || mode == EXECQ_CANCEL ? check(core_of(executor)) : EXECQ_EINVAL;
    if (ours != EXECQ_OK)
        return ours;
    return guarded([&]() -> execq_status {
        core_of(executor)->close(mode);
        return EXECQ_OK;
    });
}

execq_status execq_executor_join(execq_executor *executor, int64_t timeout_ns, execq_shutdown_report *report)
{
    const execq_status ours = check(core_of(executor));
    if (ours != EXECQ_OK)
        return ours;
    execq_shutdown_report read;
    const execq_status status = read_options<offsetof(execq_shutdown_report, left_loops)>(report, 0, read);
    if (status != EXECQ_OK)
        return status;
    return guarded([&]() -> execq_status {
        const execq_status joined = core_of(executor)->join(Deadline::after(timeout_ns));
        if (report != nullptr && (joined == EXECQ_OK || joined == EXECQ_ETIMEDOUT)) {
            core_of(executor)->report(read);
            std::memcpy(report, &read, std::min<std::size_t>(read.struct_size, sizeof read));
        }
        return joined;
    });
}

namespace {

constexpr uint32_t conf_flags = EXECQ_CONF_CLEAR_EXECUTOR | EXECQ_CONF_CLEAR_MAIN_LOOP |
                                EXECQ_CONF_CLEAR_ON_UNOBSERVED | EXECQ_CONF_IGNORE_UNOBSERVED;

// At most one of the answers to a failure that nobody consumed; a drop belongs to a hook.
bool one_answer(const execq_conf &conf)
{
    const bool clears = (conf.flags & EXECQ_CONF_CLEAR_ON_UNOBSERVED) != 0;
    const bool ignores = (conf.flags & EXECQ_CONF_IGNORE_UNOBSERVED) != 0;
    const bool hooks = conf.on_unobserved != nullptr;
    return clears + ignores + hooks <= 1 && (hooks || conf.unobserved_drop == nullptr);
}

execq_status configure(const execq_conf *conf)
{
    if (conf == nullptr)
        return EXECQ_EINVAL;
    execq_conf read;
    const execq_status status = read_options<offsetof(execq_conf, main_loop)>(conf, conf_flags, read);
    if (status != EXECQ_OK)
        return status;
    const bool clear_executor = (read.flags & EXECQ_CONF_CLEAR_EXECUTOR) != 0;
    const bool clear_loop = (read.flags & EXECQ_CONF_CLEAR_MAIN_LOOP) != 0;
    if ((clear_executor && read.executor != nullptr) || (clear_loop && read.main_loop != nullptr) ||
        !one_answer(read) || read.exit_policy < 0 || read.exit_policy > EXECQ_EXIT_ABANDON || read.reserved != 0)
        return EXECQ_EINVAL;
    const execq_status ours = check_optional(core_of(read.executor), core_of(read.main_loop));
    if (ours != EXECQ_OK)
        return ours;
    UnobservedHook *hook = nullptr;
    if (read.on_unobserved != nullptr) {
        hook = make_unobserved_hook(read.on_unobserved, read.unobserved_env, read.unobserved_drop);
        if (hook == nullptr)
            return EXECQ_ENOMEM;
    }
    set_exit_policy(read.exit_policy, read.exit_wait_ns);
    if (clear_executor || read.executor != nullptr)
        configure_executor(core_of(read.executor));
    if (clear_loop || read.main_loop != nullptr)
        configure_main_loop(core_of(read.main_loop));
    if (hook != nullptr)
        hook_unobserved(hook);
    else if ((read.flags & EXECQ_CONF_IGNORE_UNOBSERVED) != 0)
        ignore_unobserved();
    else if ((read.flags & EXECQ_CONF_CLEAR_ON_UNOBSERVED) != 0)
        print_unobserved();
    return EXECQ_OK;
}

}  // namespace

execq_status execq_init_conf(const execq_conf *conf)
{
    return guarded([&]() -> execq_status {
        const execq_status status = configure(conf);
        constexpr size_t covered = offsetof(execq_conf, unobserved_drop) + sizeof conf->unobserved_drop;
        if (status != EXECQ_OK && conf != nullptr && conf->struct_size >= covered) {
            const CallbackScope scope;
            call_drop(conf->unobserved_drop, conf->unobserved_env);
        }
        return status;
    });
}

execq_status execq_main_loop(execq_loop **out)
{
    if (out == nullptr)
        return EXECQ_EINVAL;
    return guarded([&]() -> execq_status {
        LoopPort *port = main_loop();
        if (port == nullptr)
            return EXECQ_ECLOSED;
        *out = handle_of(port);
        return EXECQ_OK;
    });
}
