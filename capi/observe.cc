// Floor 4: observe.h and dump_file.h.
#include "execq/observe.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/histogram.h"
#include "edge.h"
#include "execq/dump_file.h"
#include "sched/executor.h"
#include "sched/thread_loop.h"
#include "task/guarded.h"

using namespace execq::core;

namespace {

// EXECQ_OK, EXECQ_EINVAL (unknown), EXECQ_ENOTSUP.
execq_status read_times(const Executor &executor, std::int32_t kind, HistogramSum &sum)
{
    switch (kind) {
    case EXECQ_LATENCY_QUEUE:
    case EXECQ_LATENCY_RUN:
        if (executor.meter() == nullptr)
            return EXECQ_ENOTSUP;
        if (kind == EXECQ_LATENCY_QUEUE)
            executor.meter()->add_queue_times(sum);
        else
            executor.meter()->add_run_times(sum);
        return EXECQ_OK;
    case EXECQ_LATENCY_LOOP_LAG:
        executor.add_loop_times(sum, &LoopTimes::lag);
        return EXECQ_OK;
    case EXECQ_LATENCY_LOOP_TURN:
        executor.add_loop_times(sum, &LoopTimes::turn);
        return EXECQ_OK;
    default:
        return EXECQ_EINVAL;
    }
}

// Under nothing of the library's, in whole lines. All that exist, and what they say, is found out first.
execq_status dump(execq_executor *one, execq_write_fn write, void *env)
{
    struct Uses {
        std::vector<Executor *> all;
        ~Uses()
        {
            for (Executor *executor : all)
                executor->drop_use();
        }
    } uses;
    std::string text;
    if (one != nullptr) {
        core_of(one)->describe(text);
        guarded_call("write", [&] { write(text.data(), text.size(), env); });
        return EXECQ_OK;
    }
    uses.all = Executor::all();
    for (Executor *executor : uses.all) {
        text.clear();
        executor->describe(text);
        guarded_call("write", [&] { write(text.data(), text.size(), env); });
    }
    return EXECQ_OK;
}

}  // namespace

execq_status execq_executor_latency(execq_executor *executor, int32_t kind, const double *quantiles, size_t n,
                                    int64_t *out, uint64_t *count)
{
    if (n != 0 && (quantiles == nullptr || out == nullptr))
        return EXECQ_EINVAL;
    const execq_status ours = check(core_of(executor));
    if (ours != EXECQ_OK)
        return ours;
    if (!std::all_of(quantiles, quantiles + n, [](double share) { return share >= 0 && share <= 1; }))
        return EXECQ_EINVAL;
    HistogramSum sum;
    const execq_status status = read_times(*core_of(executor), kind, sum);
    if (status != EXECQ_OK)
        return status;
    std::transform(quantiles, quantiles + n, out, [&sum](double share) { return sum.quantile(share); });
    if (count != nullptr)
        *count = sum.count();
    return EXECQ_OK;
}

execq_status execq_dump(execq_executor *executor, execq_write_fn write, void *env)
{
    const execq_status ours = write != nullptr ? check_optional(core_of(executor)) : EXECQ_EINVAL;
    if (ours != EXECQ_OK)
        return ours;
    return guarded([&] { return dump(executor, write, env); });
}

execq_status execq_dump_file(execq_executor *executor, FILE *file)
{
    const execq_status ours = file != nullptr ? check_optional(core_of(executor)) : EXECQ_EINVAL;
    if (ours != EXECQ_OK)
        return ours;
    return guarded([&] {
        const auto write = [](const char *text, size_t size, void *stream) {
            [[maybe_unused]] const size_t written = std::fwrite(text, 1, size, static_cast<FILE *>(stream));
        };
        const execq_status status = dump(executor, write, file);
        std::fflush(file);
        return status;
    });
}
