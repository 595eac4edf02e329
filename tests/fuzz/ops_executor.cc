// Executors: pools and manual ones, their sizes, closes and figures.
#include <cstdio>
#include <cstring>
#include <mutex>

#include "ops.h"

namespace fuzz {

namespace {

void on_submit(const execq_task_event*, void* env) { ++static_cast<Exec*>(env)->submits; }

void on_end(const execq_task_event* event, void* env)
{
    Exec& exec = *static_cast<Exec*>(env);
    if (event->outcome == EXECQ_ENDED_REFUSED)
        ++exec.refusals;
    else if (event->outcome != EXECQ_ENDED_RUN)
        ++exec.ends;
}

void hooks_drop(void* env)
{
    Exec& exec = *static_cast<Exec*>(env);
    CHECK(exec.hook_drops.fetch_add(1) == 0);
    CHECK(exec.submits == exec.ends + exec.refusals);
}

void on_stuck(const execq_stuck_info* info, void* env)
{
    Exec& exec = *static_cast<Exec*>(env);
    ++(info->ended != 0 ? exec.unstuck : exec.stuck);
    CHECK(exec.unstuck <= exec.stuck);
}

void stuck_drop(void* env)
{
    Exec& exec = *static_cast<Exec*>(env);
    CHECK(exec.stuck == exec.unstuck);
    CHECK(exec.stuck_drops.fetch_add(1) == 0);
}

int32_t thread_init(void* env)
{
    Exec& exec = *static_cast<Exec*>(env);
    if (++exec.inits < 2 || !exec.fails_init)
        return 0;
    ++exec.failed_inits;
    return 77;
}

void thread_final(void* env)
{
    Exec& exec = *static_cast<Exec*>(env);
    CHECK(++exec.finals <= exec.inits);
}

void thread_drop(void* env)
{
    Exec& exec = *static_cast<Exec*>(env);
    CHECK(exec.finals + exec.failed_inits == exec.inits);
    CHECK(exec.thread_drops.fetch_add(1) == 0);
}

Exec* make_exec(World& world)
{
    Exec* exec = world.exec_models.make();
    if (exec != nullptr)
        std::snprintf(exec->name, sizeof exec->name, "x%u", exec->index);
    return exec;
}

void keep(World& world, Exec& exec, execq_executor* executor, unsigned slot)
{
    exec.audit.exchange(Executors::Ref::share(executor, &exec));
    world.executors[slot % world.executors.size()].exchange(Executors::Ref(executor, &exec));
}

void size_pool(execq_executor_options& options, Args& args)
{
    static constexpr std::int64_t keepalives[] = {0, -1, ms, 0};
    const unsigned size = args.byte();
    options.max_threads = 1 + size % 3;
    options.min_threads = (size >> 2) % 2;
    options.keepalive_ns = keepalives[(size >> 3) % 4];
    options.max_spares = static_cast<std::int32_t>((size >> 5) % 4) - 1;
    const unsigned loops = args.byte();
    options.loop_workers = loops % 2;
    if (options.max_threads > 1 && (loops & 6) == 6) {
        options.reserved_loop_workers = 1;
        options.loop_workers = 0;
    }
    options.stack_size = (loops & 24) == 24 ? 512 * 1024 : 0;
    static constexpr std::uint32_t capacities[] = {0, 0, 1, 4};
    options.capacity = capacities[(loops >> 5) % 4];
    options.full_policy = args.below(3);
}

void observe(execq_executor_options& options, execq_hooks& hooks, Exec& exec, Args& args)
{
    const unsigned bits = args.byte();
    exec.times = (bits & 1) != 0;
    options.flags = exec.times ? EXECQ_EXECUTOR_TIMES : 0;
    if ((exec.hooked = (bits & 2) != 0)) {
        hooks.drop = hooks_drop;
        hooks.env = &exec;
        hooks.on_submit = on_submit;
        hooks.on_end = on_end;
        options.hooks = &hooks;
    }
    if ((exec.watched = (bits & 28) == 28)) {
        options.stuck_after_ns = ms;
        options.on_stuck = on_stuck;
        options.stuck_env = &exec;
        options.stuck_drop = stuck_drop;
    }
    if ((exec.threads_told = (bits & 96) == 96)) {
        exec.fails_init = (bits & 128) != 0;
        options.thread_init = thread_init;
        options.thread_final = thread_final;
        options.thread_env = &exec;
        options.thread_drop = thread_drop;
    }
}

// What was taken is dropped inside of a call that fails.
void refused(Exec& exec, execq_status status)
{
    CHECK(status == EXECQ_EINVAL || status == EXECQ_ENOTSUP || status == EXECQ_ENOMEM || status == EXECQ_EAGAIN);
    CHECK(exec.hook_drops == (exec.hooked ? 1 : 0));
    if (exec.threads_told)
        CHECK(exec.thread_drops == 1);
}

void executor_new(World& world, Args& args)
{
    Exec* exec = make_exec(world);
    if (exec == nullptr)
        return;
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    execq_hooks hooks = EXECQ_HOOKS_INIT;
    const unsigned slot = args.byte();
    size_pool(options, args);
    observe(options, hooks, *exec, args);
    options.name = exec->name;
    if (slot >= 0xf0)
        options.reserved_2 = 1;  // none of ours
    exec->max_threads = options.max_threads;
    exec->may_block = options.capacity != 0 && options.full_policy == EXECQ_FULL_BLOCK;
    execq_executor* executor = nullptr;
    const execq_status status = execq_executor_new(&options, &executor);
    if (status == EXECQ_OK)
        keep(world, *exec, executor, slot);
    else
        refused(*exec, status);
}

void manual_new(World& world, Args& args)
{
    Exec* exec = make_exec(world);
    if (exec == nullptr)
        return;
    execq_manual_options options = EXECQ_MANUAL_OPTIONS_INIT;
    const unsigned slot = args.byte();
    options.seed = args.byte();
    const unsigned bits = args.byte();
    options.flags = (bits & 3) == 3 ? EXECQ_MANUAL_STANDS_STILL : 0;
    options.capacity = (bits & 12) == 12 ? 2 : 0;
    options.full_policy = (bits & 16) != 0 ? EXECQ_FULL_CALLER_RUNS : EXECQ_FULL_REJECT;
    options.name = exec->name;
    exec->manual = true;
    exec->max_threads = 1;
    execq_executor* executor = nullptr;
    if (execq_manual_new(&options, &executor) == EXECQ_OK)
        keep(world, *exec, executor, slot);
}

void executor_close(World& world, Args& args)
{
    const Executors::Ref executor = pick(world.executors, args);
    const int32_t mode = static_cast<int32_t>(args.below(4));
    const execq_status status = execq_executor_close(executor.get(), mode);
    CHECK(status == (executor && mode >= EXECQ_DRAIN && mode <= EXECQ_CANCEL ? EXECQ_OK : EXECQ_EINVAL));
}

void executor_join(World& world, Args& args)
{
    const Executors::Ref executor = pick(world.executors, args);
    execq_running_task running[2];
    execq_shutdown_report report = EXECQ_SHUTDOWN_REPORT_INIT;
    report.running = running;
    report.running_max = 2;
    const std::int64_t timeout = short_time(args);
    const execq_status status = execq_executor_join(executor.get(), timeout, args.chance(2) ? &report : nullptr);
    CHECK(status != EXECQ_ENOTSUP && status != EXECQ_ECLOSED);
    if (status == EXECQ_OK)
        CHECK(report.running_total == 0 && report.queued == 0 && report.threads == 0);
}

void executor_resize(World& world, Args& args)
{
    const Executors::Ref executor = pick(world.executors, args);
    const std::uint32_t least = args.below(3);
    const std::uint32_t most = args.below(4);
    const execq_status status = execq_executor_resize(executor.get(), least, most);
    CHECK(status == EXECQ_OK || status == EXECQ_EINVAL || status == EXECQ_ECLOSED || status == EXECQ_ENOTSUP ||
          status == EXECQ_ENOMEM);
}

// One that NULL stands for is not given up, nor the other way round: nobody could tell when it ends.
std::mutex who_keeps;

// The slot's reference alone, or with it the oracle's: then nobody can join it.
void executor_release(World& world, Args& args)
{
    const Executors::Ref executor = world.executors[args.below(world.executors.size())].take();
    if (!executor || executor->manual || !args.chance(4))
        return;
    Executors::Ref last;
    const std::lock_guard lock(who_keeps);
    if (executor->nameless == 0) {
        executor->orphaned = 1;
        last = executor->audit.take();
    }
}

void executor_stats(World& world, Args& args)
{
    const Executors::Ref executor = pick(world.executors, args);
    execq_worker_stats workers[4];
    execq_stats stats = EXECQ_STATS_INIT;
    stats.workers = workers;
    stats.workers_max = args.below(5);
    const execq_status status = execq_executor_stats(executor.get(), &stats);
    CHECK(status == (executor ? EXECQ_OK : EXECQ_EINVAL));
    if (!executor)
        return;
    CHECK(stats.workers_count <= stats.workers_max);
    const double quantiles[] = {0, 0.5, 1};
    int64_t times[3];
    const auto kind = static_cast<int32_t>(args.below(6));
    const execq_status read = execq_executor_latency(executor.get(), kind, quantiles, 3, times, nullptr);
    CHECK(read == EXECQ_OK || read == EXECQ_EINVAL || read == EXECQ_ENOTSUP);
    if (read == EXECQ_OK)
        CHECK(times[0] <= times[1] && times[1] <= times[2]);
    execq_executor_broken(executor.get());
}

void write_nothing(const char* text, size_t size, void* env)
{
    const auto* bytes = static_cast<const char*>(memchr(text, '\n', size));
    *static_cast<bool*>(env) = bytes != nullptr;
}

void executor_dump(World& world, Args& args)
{
    const Executors::Ref executor = pick(world.executors, args);
    bool whole_lines = false;
    const execq_status status = execq_dump(executor.get(), write_nothing, &whole_lines);
    CHECK(status == EXECQ_ENOMEM || (status == EXECQ_OK && (whole_lines || !executor)));
}

void manual_step(World& world, Args& args)
{
    const Executors::Ref executor = pick(world.executors, args);
    execq_status status = EXECQ_OK;
    std::uint32_t ran = 2;
    std::uint64_t n = 0;
    std::int64_t now = 0;
    switch (args.below(5)) {
    case 0:
        status = execq_manual_step(executor.get(), &ran);
        break;
    case 1:
        status = execq_manual_run(executor.get(), &n);
        break;
    case 2:
        status = execq_manual_advance(executor.get(), args.byte() * (ms / 8));
        break;
    case 3:
        status = execq_manual_run_for(executor.get(), args.byte() * (ms / 8), &n);
        break;
    default:
        status = execq_manual_now(executor.get(), &now);
    }
    const bool ours = executor && executor->manual;
    CHECK(ours ? status == EXECQ_OK || status == EXECQ_EBUSY || status == EXECQ_ENOMEM : status == EXECQ_EINVAL);
}

void configure(World& world, Args& args)
{
    const Executors::Ref executor = pick(world.executors, args);
    execq_conf conf = EXECQ_CONF_INIT;
    if (args.chance(4))
        conf.flags = EXECQ_CONF_CLEAR_EXECUTOR;  // together with one it is an error
    const std::lock_guard lock(who_keeps);
    if (!executor || executor->may_block || !executor->audit.borrow())
        return;
    conf.executor = executor.get();
    ++executor->nameless;
    const execq_status status = execq_init_conf(&conf);
    CHECK(status == (conf.flags != 0 ? EXECQ_EINVAL : EXECQ_OK) || status == EXECQ_ENOMEM);
    if (status != EXECQ_OK)
        return;
    world.configured = true;
    execq_executor* found = nullptr;
    CHECK(execq_executor_default(&found) == EXECQ_OK);
    execq_executor_release(found);
}

}  // namespace

std::span<const Op> executor_ops()
{
    static constexpr Op ops[] = {
        {"executor_new", executor_new, 0},       {"manual_new", manual_new, 0},
        {"executor_close", executor_close, 0},   {"executor_join", executor_join, op_blocks},
        {"executor_resize", executor_resize, 0}, {"executor_release", executor_release, 0},
        {"executor_stats", executor_stats, 0},   {"executor_dump", executor_dump, op_outermost},
        {"manual_step", manual_step, op_blocks}, {"configure", configure, 0},
    };
    return ops;
}

}  // namespace fuzz
