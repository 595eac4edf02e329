// Floor 4: cq.h.
#include "execq/cq.h"

#include "edge.h"
#include "flow/cq.h"

using namespace execq::core;

static_assert(sizeof(execq_completion) == 32, "32 bytes for ever");

execq_status execq_cq_new(execq_cq **out)
{
    if (out == nullptr)
        return EXECQ_EINVAL;
    return guarded([&]() -> execq_status {
        Cq *cq = nullptr;
        const execq_status made = Cq::make(&cq);
        if (made == EXECQ_OK)
            *out = handle_of(cq);
        return made;
    });
}

execq_status execq_cq_fd(execq_cq *cq, int *fd)
{
    const execq_status ours = fd != nullptr ? check(core_of(cq)) : EXECQ_EINVAL;
    if (ours != EXECQ_OK)
        return ours;
    *fd = core_of(cq)->fd();
    return EXECQ_OK;
}

execq_status execq_cq_drain(execq_cq *cq, execq_completion *out, size_t max, size_t *n)
{
    if (out == nullptr || max == 0 || n == nullptr)
        return EXECQ_EINVAL;
    const execq_status ours = check(core_of(cq));
    if (ours != EXECQ_OK)
        return ours;
    return guarded([&] { return core_of(cq)->drain(out, max, n); });
}

execq_status execq_cq_wait(execq_cq *cq, int64_t timeout_ns)
{
    const execq_status ours = check(core_of(cq));
    return ours == EXECQ_OK ? guarded([&] { return core_of(cq)->wait(Deadline::after(timeout_ns)); }) : ours;
}

execq_status execq_cq_close(execq_cq *cq, execq_drop_fn drop_tag)
{
    const execq_status ours = check(core_of(cq));
    return ours == EXECQ_OK ? guarded([&] { return core_of(cq)->close(drop_tag); }) : ours;
}

void execq_cq_retain(execq_cq *cq)
{
    if (cq != nullptr)
        core_of(cq)->retain();
}

void execq_cq_release(execq_cq *cq)
{
    if (cq != nullptr)
        core_of(cq)->release();
}
