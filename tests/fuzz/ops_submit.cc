// Submissions of every kind.
#include <execq/uv.h>

#include "task_options.h"

namespace fuzz {

namespace {

// Where the future goes. Some are kept by the oracle too, until all is over; some nobody asks for.
struct Place {
    unsigned slot;
    bool kept;
    bool wanted;

    explicit Place(unsigned bits) : slot(bits % 16), kept((bits & 16) != 0), wanted((bits & 96) != 96) {}
};

Executors::Ref executor_of(World& world, unsigned bits)
{
    const unsigned slot = bits % 5;
    return slot < world.executors.size() ? world.executors[slot].borrow() : Executors::Ref();
}

void finish_submission(World& world, const Place& place, Job& job, execq_status status, execq_future* future)
{
    settle(job, status);
    CHECK((future != nullptr) == (status == EXECQ_OK && place.wanted));
    if (future == nullptr)
        return;
    note_future(job, future);
    if (place.kept) {
        execq_future_retain(future);
        job.audit = future;
    }
    world.futures[place.slot].exchange(Futures::Ref(future, &job));
}

// call(options, out) submits.
template <class Call>
void submission(World& world, JobKind kind, Args& args, const Call& call)
{
    const unsigned where = args.byte();
    const Place place(args.byte());
    Job* job = make_job(kind, current_depth());
    if (job == nullptr)
        return;
    TaskOptions options(world, *job, executor_of(world, where), args);
    job->plan = read_plan(args);
    execq_future* future = nullptr;
    execq_status status = EXECQ_OK;
    if (call(*job, options, where, place.wanted ? &future : nullptr, status))
        finish_submission(world, place, *job, status, future);
}

void submit(World& world, Args& args)
{
    const unsigned where = args.byte();
    const Place place(args.byte());
    const Executors::Ref executor = executor_of(world, where);
    if (executor ? executor->may_block : !world.configured)
        return;
    Job* job = make_job(JobKind::task, current_depth());
    if (job == nullptr)
        return;
    job->exec = executor.model();
    job->plan = read_plan(args);
    execq_future* future = nullptr;
    const execq_status status = execq_submit(executor.get(), task_body, &job->env, place.wanted ? &future : nullptr);
    finish_submission(world, place, *job, status, future);
}

void submit_with(World& world, Args& args)
{
    submission(world, JobKind::task, args,
               [](Job&, TaskOptions& o, unsigned where, execq_future** out, execq_status& status) {
                   o.seal(true);
                   if (o.nowhere())
                       return false;
                   const execq_fn fn = where >= 250 ? nullptr : task_body;
                   status = execq_submit_with(o.executor(), o.get(), fn, o.env(), out);
                   CHECK(fn != nullptr || status != EXECQ_OK);
                   return true;
               });
}

void group_submit(World& world, Args& args)
{
    submission(world, JobKind::task, args,
               [](Job& job, TaskOptions& o, unsigned, execq_future** out, execq_status& status) {
                   execq_group* group = o.group_apart();
                   o.seal(true);
                   if (o.nowhere())
                       return false;
                   status = execq_group_submit(group, o.executor(), o.get(), task_body, o.env(), out);
                   CHECK(job.group != nullptr || status != EXECQ_OK);
                   return true;
               });
}

void submit_async(World& world, Args& args)
{
    submission(world, JobKind::async, args,
               [](Job&, TaskOptions& o, unsigned where, execq_future** out, execq_status& status) {
                   o.seal(true);
                   if (o.nowhere())
                       return false;
                   status = where % 2 == 0 ? execq_submit_async(o.executor(), o.get(), async_start, o.env(), out)
                                           : execq_submit_async_uv(o.executor(), o.get(), async_start, o.env(), out);
                   return true;
               });
}

void submit_periodic(World& world, Args& args)
{
    submission(world, JobKind::series, args,
               [](Job& job, TaskOptions& o, unsigned where, execq_future** out, execq_status& status) {
                   o.seal(false);
                   if (o.nowhere())
                       return false;
                   const std::int64_t period = static_cast<std::int64_t>((where >> 3) % 4) * (ms / 2);
                   const auto mode = static_cast<int32_t>(EXECQ_FIXED_RATE + where % 2);
                   status = execq_submit_periodic(o.executor(), o.get(), period, mode, task_body, o.env(), out);
                   CHECK(status != EXECQ_OK || (period > 0 && job.queue == nullptr));
                   return true;
               });
}

void submit_to_loop(World& world, Args& args)
{
    submission(world, JobKind::task, args,
               [&](Job& job, TaskOptions& o, unsigned where, execq_future**, execq_status& status) {
                   o.seal(true);
                   const Ports::Ref port = world.ports[(where >> 3) % world.ports.size()].borrow();
                   Reg* reg = o.nowhere() ? nullptr : make_reg(RegKind::on_loop, &job, args);
                   if (reg == nullptr)
                       return false;
                   reg->port = port.model();
                   reg->has_drop = o.get() != nullptr;
                   status = execq_submit_to_loop(o.executor(), o.get(), task_body, o.env(), port.get(), reg_done, reg,
                                                 reg->has_drop ? reg_drop : nullptr);
                   settle(*reg, status);
                   settle(job, status);
                   return false;
               });
}

void submit_to_cq(World& world, Args& args)
{
    submission(world, JobKind::task, args,
               [&](Job& job, TaskOptions& o, unsigned where, execq_future**, execq_status& status) {
                   o.seal(true);
                   const Cqs::Ref cq = world.cqs[(where >> 3) % world.cqs.size()].borrow();
                   Reg* reg = o.nowhere() ? nullptr : make_reg(RegKind::to_cq, &job, args);
                   if (reg == nullptr)
                       return false;
                   reg->cq = cq.model();
                   status = execq_submit_to_cq(o.executor(), o.get(), task_body, o.env(), cq.get(), reg);
                   settle(*reg, status);
                   settle(job, status);
                   return false;
               });
}

constexpr unsigned most_at_once = 4;

void submit_many(World& world, Args& args)
{
    submission(world, JobKind::task, args,
               [&](Job& job, TaskOptions& o, unsigned where, execq_future** out, execq_status& status) {
                   const unsigned n = (where >> 3) % (most_at_once + 1);
                   std::array<Job*, most_at_once> jobs{&job};
                   std::array<void*, most_at_once> envs{&job.env};
                   std::array<execq_future*, most_at_once> futures{};
                   o.without_name();
                   o.seal(false);
                   for (unsigned i = 1; i < n; ++i) {
                       jobs[i] = make_job(JobKind::task, current_depth());
                       if (jobs[i] == nullptr)
                           return false;
                       o.seal_as(*jobs[i]);
                       jobs[i]->plan = job.plan;
                       envs[i] = &jobs[i]->env;
                   }
                   if (o.nowhere())
                       return false;
                   status = execq_submit_many(o.executor(), o.get(), n, task_body, envs.data(),
                                              out != nullptr ? futures.data() : nullptr);
                   for (unsigned i = 0; i < n; ++i)
                       finish_submission(world, Place(i + (out != nullptr ? 0 : 96)), *jobs[i], status, futures[i]);
                   return false;
               });
}

void loop_submit(World& world, Args& args)
{
    submission(world, JobKind::loop_task, args,
               [&](Job& job, TaskOptions& o, unsigned where, execq_future** out, execq_status& status) {
                   o.seal(false);
                   job.exec = nullptr;
                   const Ports::Ref port = world.ports[(where >> 3) % world.ports.size()].borrow();
                   status = execq_loop_submit(port.get(), o.get(), task_body, o.env(), out);
                   return true;
               });
}

void loop_submit_async(World& world, Args& args)
{
    submission(world, JobKind::loop_async, args,
               [&](Job& job, TaskOptions& o, unsigned where, execq_future** out, execq_status& status) {
                   o.seal(false);
                   job.exec = nullptr;
                   const Ports::Ref port = world.ports[(where >> 3) % world.ports.size()].borrow();
                   status = execq_loop_submit_async(port.get(), o.get(), async_start, o.env(), out);
                   return true;
               });
}

void loop_call(World& world, Args& args)
{
    const Ports::Ref port = pick(world.ports, args);
    const std::int64_t timeout = short_time(args);
    Job* job = make_job(JobKind::call, current_depth());
    if (job == nullptr)
        return;
    job->plan = read_plan(args);
    void* value = nullptr;
    const execq_status status = execq_loop_call(port.get(), task_body, &job->env, timeout, &value);
    // Its end is told here, and its env is ours again.
    CHECK(job->inside == 0);
    CHECK(job->runs == (status == EXECQ_OK || status == EXECQ_EFAILED ? 1 : 0));
    if (status == EXECQ_OK)
        CHECK(value == &job->value);
    if (status == EXECQ_EFAILED)
        CHECK(execq_loop_call_error() != nullptr);
    job->entry = job->runs != 0 ? Entry::accepted : Entry::refused;
}

void sleep(World& world, Args& args)
{
    const Place place(args.byte());
    const unsigned how_long = args.below(4);
    Job* job = make_job(JobKind::sleep, current_depth());
    if (job == nullptr)
        return;
    execq_future* future = nullptr;
    const execq_status status = execq_sleep(how_long == 3 ? -1 : how_long * (ms / 2), &future);
    settle(*job, status);
    if (status != EXECQ_OK)
        return;
    // One that nobody can cancel any more would go on.
    execq_future_retain(future);
    job->audit = future;
    note_future(*job, future);
    world.futures[place.slot].exchange(Futures::Ref(future, job));
}

// Nothing of this is accepted, by any of them.
void submit_nothing(World& world, Args& args)
{
    const Executors::Ref executor = pick(world.executors, args);
    execq_future* future = nullptr;
    void* value = nullptr;
    CHECK(execq_submit(executor.get(), nullptr, nullptr, &future) == EXECQ_EINVAL);
    CHECK(execq_submit_async(executor.get(), nullptr, nullptr, nullptr, &future) == EXECQ_EINVAL);
    CHECK(execq_loop_submit(nullptr, nullptr, task_body, nullptr, &future) == EXECQ_EINVAL);
    CHECK(execq_loop_call(nullptr, task_body, nullptr, 0, &value) == EXECQ_EINVAL);
    CHECK(execq_submit_periodic(executor.get(), nullptr, 0, EXECQ_FIXED_RATE, task_body, nullptr, &future) ==
          EXECQ_EINVAL);
    CHECK(execq_submit_periodic(executor.get(), nullptr, ms, 7, task_body, nullptr, &future) == EXECQ_EINVAL);
    CHECK(execq_sleep(0, nullptr) == EXECQ_EINVAL);
    CHECK(future == nullptr && value == nullptr);
}

}  // namespace

std::span<const Op> submit_ops()
{
    static constexpr Op ops[] = {
        {"submit", submit, 0},
        {"submit_with", submit_with, 0},
        {"group_submit", group_submit, 0},
        {"submit_async", submit_async, 0},
        {"submit_periodic", submit_periodic, 0},
        {"submit_to_loop", submit_to_loop, 0},
        {"submit_to_cq", submit_to_cq, 0},
        {"submit_many", submit_many, 0},
        {"loop_submit", loop_submit, 0},
        {"loop_submit_async", loop_submit_async, 0},
        {"loop_call", loop_call, op_blocks},
        {"sleep", sleep, 0},
        {"submit_nothing", submit_nothing, 0},
    };
    return ops;
}

}  // namespace fuzz
