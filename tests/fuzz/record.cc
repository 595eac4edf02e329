#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "world.h"

namespace fuzz {

thread_local constinit int this_lane = -1;
thread_local constinit int callbacks_here = 0;

World& world()
{
    static World* const one = new World;  // threads that are late find it
    return *one;
}

Job* make_job(JobKind kind, unsigned depth)
{
    Job* job = world().jobs.make();
    if (job == nullptr)
        return nullptr;
    std::snprintf(job->name, sizeof job->name, "j%u", job->index);
    job->kind = kind;
    job->depth = depth;
    job->env.job = job;
    job->value.job = job;
    return job;
}

void settle(Job& job, execq_status status)
{
    CHECK(status != EXECQ_EFORKED);
    if (status != EXECQ_OK) {
        CHECK(job.runs == 0);
        CHECK(job.drops == (job.has_drop ? 1 : 0));
        CHECK(job.result_drops == 0);
        job.entry = Entry::refused;
        return;
    }
    if (job.exec != nullptr)
        ++job.exec->accepted;
    job.entry = Entry::accepted;
    // The group's join has told an outcome: the task was accepted before it, and is over.
    if (job.group != nullptr && job.group->joined != 0 && job.has_drop)
        CHECK(job.drops == 1);
}

void note_future(Job& job, execq_future* future)
{
    const std::int32_t state = execq_future_state(future);
    CHECK(state >= EXECQ_FUTURE_PENDING && state <= EXECQ_FUTURE_CANCELED);
    if (state < EXECQ_FUTURE_OK)
        return;
    std::int32_t expected = 0;
    if (!job.state.compare_exchange_strong(expected, state))
        CHECK(expected == state);
    if (job.has_drop)
        CHECK(job.drops == 1);
    if (job.blocking())
        CHECK(job.inside == 0);
    const std::int32_t reason = execq_future_cancel_reason(future);
    if (state == EXECQ_FUTURE_CANCELED)
        CHECK(reason > EXECQ_REASON_NONE && reason <= EXECQ_REASON_GROUP);
    if (state == EXECQ_FUTURE_OK && job.kind == JobKind::task)
        CHECK(job.ok_returns == 1);
    CHECK(!(job.kind == JobKind::series && state == EXECQ_FUTURE_OK));
}

void note_result(Job& job, execq_status status)
{
    switch (status) {
    case EXECQ_OK:
    case EXECQ_EALREADY:
        CHECK(job.state != EXECQ_FUTURE_FAILED && job.state != EXECQ_FUTURE_CANCELED);
        break;
    case EXECQ_EFAILED:
        CHECK(job.state != EXECQ_FUTURE_OK && job.state != EXECQ_FUTURE_CANCELED);
        ++job.consumed;
        break;
    case EXECQ_ECANCELED:
        CHECK(job.state != EXECQ_FUTURE_OK && job.state != EXECQ_FUTURE_FAILED);
        break;
    default:
        CHECK(status == EXECQ_EPENDING);
    }
}

void note_cancel(Job& job, execq_status status)
{
    if (status != EXECQ_OK) {
        CHECK(status == EXECQ_EBUSY || status == EXECQ_EALREADY);
        return;
    }
    CHECK(job.cancel_ok.fetch_add(1) == 0);
    CHECK(job.kind != JobKind::promise);
    if (job.kind != JobKind::series)
        CHECK(job.runs == 0);
    CHECK(job.inside == 0);
}

Reg* make_reg(RegKind kind, Job* job, Args& args)
{
    Reg* reg = world().regs.make();
    if (reg == nullptr)
        return nullptr;
    reg->kind = kind;
    reg->job = job;
    reg->plan = read_plan(args);
    return reg;
}

void settle(Reg& reg, execq_status status)
{
    if (status == EXECQ_OK) {
        reg.entry = Entry::accepted;
        return;
    }
    CHECK(reg.delivered == 0);
    CHECK(reg.drops == (reg.kind == RegKind::to_cq || !reg.has_drop ? 0 : 1));
    reg.entry = Entry::refused;
}

std::int64_t monotonic_now()
{
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 * ms + now.tv_nsec;
}

// Looks again and again: what it waits for comes from threads of the library, by itself.
void await(const char* what, bool (*done)(World& world, bool aloud))
{
    const std::int64_t begin = monotonic_now();
    while (!done(world(), false)) {
        if (monotonic_now() - begin > hang) {
            done(world(), true);
            std::fprintf(stderr, "this never happened: %s\n", what);
            std::abort();
        }
        const timespec pause = {0, 50 * us};
        nanosleep(&pause, nullptr);
    }
}

// The name tells whose it is. Names that the library gives itself are those of queues and groups, which have none, and of
// executors: "x1".
void on_unobserved(const execq_error* error, const char* name, void*)
{
    World& all = world();
    CHECK(error != nullptr && execq_error_code(error) != 0);
    if (name[0] == 'x') {
        const unsigned long index = std::strtoul(name + 1, nullptr, 10);
        CHECK(index < all.exec_models.size());
        CHECK(all.exec_models[index].fails_init);
        return;
    }
    // A task without a name is told by its code, if that is its own.
    const auto code = static_cast<unsigned long>(execq_error_code(error));
    const unsigned long index = name[0] == 'j' ? std::strtoul(name + 1, nullptr, 10) : code - first_code;
    if (name[0] != 'j' && index >= all.jobs.size())
        return;
    CHECK(index < all.jobs.size());
    Job& job = all.jobs[index];
    CHECK(job.reported.fetch_add(1) == 0);
    CHECK(job.consumed == 0);
    CHECK(job.state == 0 || job.state == EXECQ_FUTURE_FAILED);
}

}  // namespace fuzz
