#include "world.h"

#include <cstdio>

#include "lanes.h"
#include "ops.h"
#include "process.h"

namespace fuzz {

namespace {

// Records from..to, of which each thread makes those that are its own.
struct Segment {
    const Stream* stream;
    std::size_t from;
    std::size_t to;
    unsigned lanes;
};

void run_own(void* env)
{
    const Segment& segment = *static_cast<Segment*>(env);
    for (std::size_t i = segment.from; i < segment.to; ++i) {
        const Record record = segment.stream->record(i);
        if (record.lane % segment.lanes == static_cast<unsigned>(this_lane))
            run_record(record, true);
    }
}

// What is set in there is gone afterwards.
void run_in_empty_context(void* env) { CHECK(execq_context_run(EXECQ_CONTEXT_EMPTY, run_own, env) == EXECQ_OK); }

void for_each_lane(LaneWork work) { Lanes::all().run_all(max_lanes, work, nullptr); }

template <class Slots>
void empty(Slots& slots)
{
    for (auto& slot : slots)
        slot.take();
}

void configure_hook()
{
    execq_conf conf = EXECQ_CONF_INIT;
    conf.on_unobserved = on_unobserved;
    CHECK(execq_init_conf(&conf) == EXECQ_OK);
}

}  // namespace

void World::run(const Stream& stream)
{
    static const bool once = (configure_hook(), true);
    (void)once;
    constexpr std::size_t longest = 80;
    const unsigned used = 1 + stream.header(0) % max_lanes;
    cancels_at_end = stream.header(1) % 2 != 0;
    const std::size_t n = std::min(stream.records(), longest);
    for (std::size_t from = 0; from < n;) {
        std::size_t to = from;
        while (to < n && !is_barrier(stream.record(to)))
            ++to;
        Segment segment{&stream, from, to, used};
        Lanes::all().run_all(used, run_in_empty_context, &segment);
        from = to + 1;
    }
    finish();
    audit();
}

// ---- the end: everything is closed, joined, and given up ----

namespace {

void close_work(World& world)
{
    empty(world.promises);
    world.jobs.each([](Job& job) {
        if (job.kind == JobKind::sleep && job.accepted())
            note_cancel(job, execq_future_cancel(job.audit));
    });
    for (auto& slot : world.queues) {
        const auto queue = slot.take();
        if (queue)
            CHECK(execq_queue_close(queue.get(), world.cancels_at_end ? EXECQ_CANCEL : EXECQ_DRAIN, nullptr) ==
                  EXECQ_OK);
    }
    if (!world.cancels_at_end)
        return;
    for (auto& slot : world.groups) {
        const auto group = slot.borrow();
        if (group)
            execq_group_cancel(group.get());
    }
}

// The ports that are left in the table; others were given up and see to themselves in the next turn.
void detach_ports(void*)
{
    World& all = world();
    for (auto& slot : all.ports) {
        const auto port = slot.borrow();
        if (!port || static_cast<int>(port->lane) != this_lane)
            continue;
        const execq_status status = execq_loop_detach(port.get());
        CHECK(status == (port->detached != 0 ? EXECQ_EALREADY : EXECQ_OK));
        slot.take();
    }
}

std::size_t handles_of(uv_loop_t& loop)
{
    std::size_t n = 0;
    uv_walk(
        &loop, [](uv_handle_t*, void* env) { ++*static_cast<std::size_t*>(env); }, &n);
    return n;
}

// Turns the loop until all on it has ended by itself: timers of tasks, and ports that were given up.
void close_loop(void*)
{
    LaneState& lane = world().lanes[static_cast<unsigned>(this_lane)];
    if (!lane.has_loop)
        return;
    uv_timer_t turns;  // so that a loop is turned that nothing holds
    CHECK(uv_timer_init(&lane.loop, &turns) == 0);
    CHECK(uv_timer_start(
              &turns, [](uv_timer_t*) {}, 1, 1) == 0);
    const std::int64_t begin = monotonic_now();
    while (handles_of(lane.loop) > 1) {
        CHECK(monotonic_now() - begin < hang);
        uv_run(&lane.loop, UV_RUN_NOWAIT);
        std::this_thread::yield();
    }
    uv_close(reinterpret_cast<uv_handle_t*>(&turns), nullptr);
    uv_run(&lane.loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&lane.loop) == 0);
    lane.has_loop = false;
}

void close_thread_loop(void*)
{
    const execq_status status = execq_thread_loop_close();
    CHECK(status == EXECQ_OK || status == EXECQ_EALREADY);
}

void join(Exec& exec, execq_executor* executor)
{
    CHECK(execq_executor_close(executor, EXECQ_DRAIN) == EXECQ_OK);  // it may have been made a moment ago
    const execq_status status = execq_executor_join(executor, hang, nullptr);
    if (status != EXECQ_OK) {
        std::fprintf(stderr, "executor %s: the join was answered %s\n", exec.name, execq_status_name(status));
        execq_dump(
            nullptr, [](const char* text, size_t size, void*) { std::fwrite(text, 1, size, stderr); }, nullptr);
    }
    CHECK(status == EXECQ_OK);
    exec.joined = 1;
}

// Those that this thread may step.
void join_manual(void*)
{
    world().exec_models.each([](Exec& exec) {
        const auto executor = exec.audit.borrow();
        if (!exec.manual || !executor || exec.joined != 0)
            return;
        const execq_status status = execq_manual_run(executor.get(), nullptr);
        if (status == EXECQ_OK)
            join(exec, executor.get());
        else
            CHECK(status == EXECQ_EBUSY);
    });
}

void check_figures(Exec& exec, execq_executor* executor)
{
    execq_stats stats = EXECQ_STATS_INIT;
    CHECK(execq_executor_stats(executor, &stats) == EXECQ_OK);
    CHECK(stats.queued == 0 && stats.queued_async == 0 && stats.delayed == 0 && stats.threads == 0);
    if (!exec.times)
        return;
    CHECK(stats.submitted == stats.completed_ok + stats.completed_failed + stats.completed_canceled);
    if (exec.nameless == 0)
        CHECK(stats.submitted == exec.accepted);
}

// Those of threads first: their tasks may be on their way to manual ones.
void join_all(World& world)
{
    bool orphans = false;
    world.exec_models.each([&](Exec& exec) {
        const auto executor = exec.audit.borrow();
        if (executor)
            CHECK(execq_executor_close(executor.get(), world.cancels_at_end ? EXECQ_CANCEL : EXECQ_DRAIN) == EXECQ_OK);
        orphans = orphans || exec.orphaned != 0;
    });
    world.exec_models.each([&](Exec& exec) {
        const auto executor = exec.audit.borrow();
        if (executor && !exec.manual)
            join(exec, executor.get());
    });
    for (unsigned lane = 0; lane < max_lanes; ++lane)
        Lanes::all().run_on(lane, join_manual, nullptr);
    empty(world.executors);
    empty(world.queues);
    if (orphans)
        await("the threads of an executor that was given up end", [](World&, bool) { return worker_threads() == 0; });
}

void end_executors(World& world)
{
    std::size_t n = 0;
    do {
        n = world.exec_models.size();
        join_all(world);
    } while (n != world.exec_models.size());  // a body that was on its way may have made one
    world.exec_models.each([](Exec& exec) {
        const auto executor = exec.audit.borrow();
        if (!executor)
            return;
        CHECK(exec.joined == 1);
        check_figures(exec, executor.get());
    });
}

void end_cqs(World& world)
{
    for (auto& slot : world.cqs) {
        const auto cq = slot.take();
        if (!cq)
            continue;
        while (drain(cq.get(), 4) != 0) {
        }
        const execq_status status = execq_cq_close(cq.get(), tag_drop);
        CHECK(status == EXECQ_OK || status == EXECQ_EALREADY);
    }
}

void end_groups(World& world)
{
    for (auto& slot : world.groups) {
        const auto group = slot.take();
        if (!group)
            continue;
        const execq_status status = execq_group_join(group.get(), hang);
        CHECK(status == EXECQ_OK || status == EXECQ_EFAILED || status == EXECQ_ECANCELED);
    }
}

void await_future(Job& job, execq_future* future)
{
    const std::int32_t state = execq_future_state(future);
    const execq_status status = execq_future_wait(future, hang);
    if (status != EXECQ_OK)
        std::fprintf(stderr, "%s of kind %d is in state %d, then %d; its wait was answered %s\n", job.name,
                     static_cast<int>(job.kind), state, execq_future_state(future), execq_status_name(status));
    CHECK(status == EXECQ_OK);
    note_future(job, future);
}

void end_futures(World& world)
{
    for (auto& slot : world.futures) {
        const auto future = slot.take();
        if (!future)
            continue;
        await_future(*future.model(), future.get());
    }
    world.jobs.each([](Job& job) {
        execq_future* future = job.audit;
        if (future == nullptr)
            return;
        await_future(job, future);
        if (job.cancel_ok != 0)
            CHECK(job.state == EXECQ_FUTURE_CANCELED);
        job.audit = nullptr;
        execq_future_release(future);
    });
}

bool reg_over(const Reg& reg)
{
    if (reg.entry != Entry::accepted)
        return true;
    switch (reg.kind) {
    case RegKind::done:
        return reg.delivered == 1 && reg.drops == 1;
    case RegKind::to_cq:
        return reg.delivered + reg.drops == 1 || (reg.cq != nullptr && reg.cq->orphaned != 0);
    default:
        return reg.drops == 1 || !reg.has_drop;
    }
}

// What is said of a thing that has not come to its end; answers whether it has.
bool over(bool is, bool aloud, const char* what, std::uint32_t index, std::uint32_t kind = 0)
{
    if (!is && aloud)
        std::fprintf(stderr, "missing: %s %u (%u)\n", what, index, kind);
    return is;
}

bool all_over(World& world, bool aloud)
{
    bool all = true;
    world.regs.each([&](Reg& reg) {
        all &= over(reg_over(reg), aloud, "registration", reg.index, static_cast<std::uint32_t>(reg.kind));
    });
    world.exec_models.each([&](Exec& exec) {
        all &= over(exec.hook_drops == (exec.hooked ? 1 : 0), aloud, "drop of the hooks of executor", exec.index);
        all &= over(exec.stuck_drops == (exec.watched ? 1 : 0), aloud, "drop of the watchdog of executor", exec.index);
        all &= over(exec.thread_drops == (exec.threads_told ? 1 : 0), aloud, "drop of the threads of executor",
                    exec.index);
    });
    world.var_models.each(
        [&](VarModel& var) { all &= over(var.sets == var.drops, aloud, "drop of a value of variable", var.index); });
    world.error_models.each(
        [&](ErrorModel& error) { all &= over(error.payload_drops == 1, aloud, "drop of error", error.index); });
    return all;
}

}  // namespace

void World::finish()
{
    closing = true;
    execq_conf conf = EXECQ_CONF_INIT;
    conf.flags = EXECQ_CONF_CLEAR_MAIN_LOOP;
    CHECK(execq_init_conf(&conf) == EXECQ_OK);
    close_work(*this);
    for_each_lane(detach_ports);
    for_each_lane(close_loop);
    end_executors(*this);
    conf.flags = EXECQ_CONF_CLEAR_EXECUTOR;
    CHECK(execq_init_conf(&conf) == EXECQ_OK);
    empty(promises);  // started tasks may have left some
    end_groups(*this);
    for_each_lane(close_thread_loop);
    end_futures(*this);
    end_cqs(*this);
    empty(sources);
    empty(errors);
    empty(contexts);
    empty(vars);
    exec_models.each([](Exec& exec) { exec.audit.take(); });
    await("each drop and each callback", all_over);
}

// ---- what is true then ----

namespace {

void audit_values(const Job& job)
{
    CHECK(job.taken <= 1);
    if (!job.has_drop_result)
        CHECK(job.result_drops == 0);
    else if (job.kind == JobKind::series)
        CHECK(job.result_drops == job.ok_returns);
    else
        CHECK(job.result_drops + job.taken == job.ok_returns);
}

void audit_report(const Job& job)
{
    CHECK(job.reported <= 1);
    if (job.reported != 0)
        CHECK(job.consumed == 0);
    const bool told_apart = job.named || (job.blocking() && (job.plan.act % 16 == 2 || job.plan.act % 16 == 7));
    const bool failed = job.failures == 1 && job.unclear_ends == 0 && job.kind != JobKind::call;
    if (failed && told_apart && job.group == nullptr && job.forwarded == 0)
        CHECK(job.reported + (job.consumed != 0 ? 1 : 0) == 1);
}

void audit_job(const Job& job)
{
    if (job.entry != Entry::accepted) {
        CHECK(job.runs == 0);
        return;
    }
    CHECK(job.inside == 0);
    CHECK(job.drops == (job.has_drop ? 1 : 0));
    if (job.kind != JobKind::series) {
        CHECK(job.runs <= 1);
        CHECK(job.cancel_ok == 0 || job.runs == 0);
    }
    if (job.kind != JobKind::call)
        audit_values(job);
    audit_report(job);
}

void audit_reg(const Reg& reg)
{
    CHECK(reg.delivered <= 1);
    CHECK(reg.drops <= 1);
    if (reg.kind == RegKind::to_cq)
        CHECK(reg.delivered + reg.drops <= 1);
    if (reg.entry == Entry::pending)
        CHECK(reg.delivered == 0 && reg.drops == 0);
}

}  // namespace

void World::audit()
{
    jobs.each(audit_job);
    regs.each(audit_reg);
    exec_models.clear();
    jobs.clear();
    regs.clear();
    queue_models.clear();
    group_models.clear();
    source_models.clear();
    cq_models.clear();
    port_models.clear();
    var_models.clear();
    error_models.clear();
    for (LaneState& lane : lanes)
        lane.turn = 0;
    configured = false;
    closing = false;
}

}  // namespace fuzz
