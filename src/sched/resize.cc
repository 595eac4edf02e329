// The part of the executor about how many threads it may have, at first and later.
//
// A growth is a change of cap_ (see spares.cc), after which whoever resizes wakes or starts a thread if there is work, which
// does the same. A shrink leaves more threads than cap_: the surplus bit says so, and whoever comes by between two tasks, or
// is about to sleep, hands back what waits with it and leaves; sleepers are woken for that. Who drives a loop stays until
// nothing is left on it. There is room for any number of places (places.h), and the inboxes stay as many as there were.
#include <algorithm>

#include "sched/cpus.h"
#include "sched/executor.h"

namespace execq::core {

namespace {

// Asynchronous tasks leave one thread to those that block.
std::uint32_t loop_workers_of(const ExecutorSpec& spec, std::uint32_t max_threads)
{
    if (spec.reserved_loop_workers != 0)
        return 0;
    return std::min(spec.loop_workers != 0 ? spec.loop_workers : std::max(1U, std::min(usable_cpus(), max_threads - 1)),
                    max_threads);
}

// Without the reserved ones; one for blocking tasks at least.
std::uint32_t max_threads_of(const ExecutorSpec& spec)
{
    const std::uint32_t reserved = spec.reserved_loop_workers;
    if (spec.max_threads != 0)
        return spec.max_threads - reserved;
    const std::uint32_t usual = default_threads();
    return std::max({usual > reserved ? usual - reserved : 0, spec.min_threads, 1U});
}

// Enough for a pool whose threads are all blocked at once, and not more than 64, as each has a stack. None for an executor of
// one thread: of its tasks never two run side by side, as they would when the one whose place a spare took goes on.
std::uint32_t spares_for(std::int32_t chosen, std::uint32_t max_threads)
{
    constexpr std::uint32_t most = 64;
    if (chosen != 0)
        return chosen < 0 ? 0 : static_cast<std::uint32_t>(chosen);
    return max_threads == 1 ? 0 : std::min(max_threads, most);
}

}  // namespace

Executor::Size Executor::size_of(const ExecutorSpec& spec)
{
    const std::uint32_t max_threads = max_threads_of(spec);
    // One thread stays: what was accepted must not depend on whether a thread can be started later.
    return {max_threads, std::max(spec.min_threads, 1U), loop_workers_of(spec, max_threads),
            spares_for(spec.max_spares, max_threads)};
}

execq_status Executor::resize(std::uint32_t min_threads, std::uint32_t max_threads)
{
    if (engine_ != nullptr || manual_ != nullptr)
        return EXECQ_ENOTSUP;  // neither has threads, and the second must never get one
    if (max_threads != 0 && max_threads < reserved_ + std::max(min_threads, 1U))
        return EXECQ_EINVAL;
    ExecutorSpec spec;
    spec.max_threads = max_threads;
    spec.min_threads = min_threads;
    spec.loop_workers = loop_workers_chosen_;
    spec.reserved_loop_workers = reserved_;
    spec.max_spares = max_spares_chosen_;
    {
        const MutexLock lock(mutex_);
        if (mode() != Mode::open)
            return EXECQ_ECLOSED;
        take_size(size_of(spec));
    }
    if (work_visible())
        wake_if_wanted();
    if (loop_tasks_wait())
        wake_for_loop();
    return EXECQ_OK;
}

void Executor::take_size(const Size& size)
{
    max_threads_ = size.max_threads;
    min_threads_ = size.min_threads;
    max_spares_ = size.max_spares;
    loop_slots_.set_limit(size.loop_workers);
    spares_wanted_ = 0;
    set_cap();
    // Who is too many leaves now, and who has slept for its keepalive may be beyond min_threads from now on.
    while (roster_.threads() - leaving_ + on_bench_ > max_threads_ + spares_wanted_ && call_up(false, Call::any)) {
    }
    while (Worker* worker = take_idle())
        worker->wake();
}

}  // namespace execq::core
