// Floor 4: manual.h.
#include "execq/manual.h"

#include "edge.h"
#include "execq/executor.h"
#include "sched/executor.h"
#include "sched/manual.h"

using namespace execq::core;

namespace {

// What a call does with a manual executor; what it counts is told whatever it answers.
template <class Count, class Body>
execq_status with_manual(execq_executor *executor, Count *out, const Body &body)
{
    const execq_status ours = check(core_of(executor));
    if (ours != EXECQ_OK)
        return ours;
    Manual *manual = core_of(executor)->manual();
    if (manual == nullptr)
        return EXECQ_EINVAL;
    std::uint64_t n = 0;
    const execq_status status = guarded([&] { return body(*manual, n); });
    if (out != nullptr)
        *out = static_cast<Count>(n);
    return status;
}

}  // namespace

execq_status execq_manual_new(const execq_manual_options *options, execq_executor **out)
{
    execq_manual_options read;
    const execq_status status = read_options(options, EXECQ_MANUAL_STANDS_STILL, read);
    if (status != EXECQ_OK)
        return status;
    if (out == nullptr || read.capacity > EXECQ_MAX_CAPACITY || read.full_policy > EXECQ_FULL_CALLER_RUNS)
        return EXECQ_EINVAL;
    return guarded([&]() -> execq_status {
        Executor *executor = nullptr;
        const ManualSpec spec{read.seed, (read.flags & EXECQ_MANUAL_STANDS_STILL) != 0};
        const execq_status made = Manual::make({read.name, read.capacity, read.full_policy}, spec, &executor);
        if (made == EXECQ_OK)
            *out = handle_of(executor);
        return made;
    });
}

execq_status execq_manual_step(execq_executor *executor, uint32_t *ran)
{
    return with_manual(executor, ran, [](Manual &manual, std::uint64_t &n) {
        bool one = false;
        const execq_status status = manual.step(one);
        n = one ? 1 : 0;
        return status;
    });
}

execq_status execq_manual_run(execq_executor *executor, uint64_t *n)
{
    return with_manual(executor, n, [](Manual &manual, std::uint64_t &ran) { return manual.run(ran); });
}

execq_status execq_manual_advance(execq_executor *executor, int64_t duration_ns)
{
    if (duration_ns < 0)
        return EXECQ_EINVAL;
    return with_manual<std::uint64_t>(
        executor, nullptr, [=](Manual &manual, std::uint64_t & /*n*/) { return manual.advance(duration_ns); });
}

execq_status execq_manual_run_for(execq_executor *executor, int64_t duration_ns, uint64_t *n)
{
    if (duration_ns < 0)
        return EXECQ_EINVAL;
    return with_manual(executor, n,
                       [=](Manual &manual, std::uint64_t &ran) { return manual.run_for(duration_ns, ran); });
}

execq_status execq_manual_now(execq_executor *executor, int64_t *ns)
{
    const execq_status ours = check(core_of(executor));
    if (ours != EXECQ_OK)
        return ours;
    const Manual *manual = core_of(executor)->manual();
    if (manual == nullptr || ns == nullptr)
        return EXECQ_EINVAL;
    *ns = manual->now();
    return EXECQ_OK;
}
