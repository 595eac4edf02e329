// Floor 4: stats.h.
#include "execq/stats.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "edge.h"
#include "sched/executor.h"

using namespace execq::core;

namespace {

constexpr std::size_t first_stats_size = offsetof(execq_stats, spares);

// An entry of a newer caller is wider, and what is new in it stays as it is.
bool fits_entry(std::uint32_t size)
{
    constexpr std::uint32_t first = sizeof(execq_worker_stats);
    constexpr std::uint32_t largest = 4096;
    return size >= first && size <= largest && size % alignof(execq_worker_stats) == 0;
}

}  // namespace

execq_status execq_executor_stats(execq_executor *executor, execq_stats *out)
{
    const execq_status ours = out != nullptr ? check(core_of(executor)) : EXECQ_EINVAL;
    if (ours != EXECQ_OK)
        return ours;
    execq_stats stats;
    const execq_status status = read_options<first_stats_size>(out, 0, stats);
    if (status != EXECQ_OK)
        return status;
    if (stats.workers != nullptr && !fits_entry(stats.worker_size))
        return EXECQ_EINVAL;
    if (stats.reserved != 0)
        return EXECQ_ENOTSUP;
    return guarded([&]() -> execq_status {
        core_of(executor)->stats(stats);
        std::memcpy(out, &stats, std::min<std::size_t>(stats.struct_size, sizeof stats));
        return EXECQ_OK;
    });
}
