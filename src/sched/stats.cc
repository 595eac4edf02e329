// The part of the executor that tells what it does; see execq/stats.h. Nothing here is on the way of a task: what is counted
// is counted by the worker that it is about, or under a mutex that is held anyway.
#include <algorithm>
#include <cstring>

#include "base/histogram.h"
#include "sched/executor.h"
#include "sched/loop_place.h"
#include "sched/manual.h"

namespace execq::core {

namespace {

constexpr std::uint64_t counted_exactly = 16'384;  // of an inbox; what is beyond is estimated

execq_latency latency_of(const HistogramSum& sum)
{
    return {sum.count(), sum.percentile(500), sum.percentile(990), sum.max()};
}

execq_latency latency_of(const Histogram& histogram)
{
    HistogramSum sum;
    histogram.add_to(sum);
    return latency_of(sum);
}

execq_worker_stats& entry_of(const execq_stats& stats, std::uint64_t i)
{
    return *reinterpret_cast<execq_worker_stats*>(reinterpret_cast<char*>(stats.workers) + i * stats.worker_size);
}

// The state is there already.
void fill_entry(const execq_stats& stats, std::uint64_t i, execq_worker_stats& entry)
{
    entry.state = entry_of(stats, i).state;
    std::memcpy(&entry_of(stats, i), &entry, std::min<std::size_t>(stats.worker_size, sizeof entry));
}

}  // namespace

std::uint32_t Executor::state_of(const Worker& worker)
{
    if (!worker.present)
        return EXECQ_WORKER_ABSENT;
    if (worker.idle || worker.benched)
        return EXECQ_WORKER_IDLE;
    return worker.in_task() ? EXECQ_WORKER_RUNNING : EXECQ_WORKER_AWAKE;
}

// All states at one time. Answers how many places there are.
std::uint32_t Executor::count_states(execq_stats& stats)
{
    const MutexLock lock(mutex_);
    stats.threads =
        manual_ != nullptr ? 0 : roster_.threads() + reserved_threads_.load(std::memory_order_relaxed) + on_bench_;
    stats.threads_started = started_;
    stats.wakes = wakes_;
    stats.idle = stats.running = stats.workers_count = stats.workers_total = 0;
    for_each_worker([&](const Worker& worker) {
        const std::uint32_t state = state_of(worker);
        stats.idle += state == EXECQ_WORKER_IDLE ? 1 : 0;
        stats.running += state == EXECQ_WORKER_RUNNING ? 1 : 0;
        if (stats.workers != nullptr && stats.workers_count != stats.workers_max)
            entry_of(stats, stats.workers_count++).state = state;
        ++stats.workers_total;
    });
    return static_cast<std::uint32_t>(stats.workers_total);
}

void Executor::count_queued(execq_stats& stats)
{
    stats.queued = 0;
    for (std::uint32_t i = 0; i < shards_; ++i)
        stats.queued += inboxes_[i].empty() ? 0 : inboxes_[i].count(counted_exactly);
    for_each_worker([&](const Worker& worker) { stats.queued += worker.batch_size() + worker.own_size(); });
    stats.queued_async = loop_inbox_.empty() ? 0 : loop_inbox_.count(counted_exactly);
    const auto count_classes = [](TaskClasses& classes) {
        TaskClasses::Pair* pair = classes.get();
        return pair != nullptr ? pair->high.count(counted_exactly) + pair->low.count(counted_exactly) : 0;
    };
    stats.queued += count_classes(classes_);
    stats.queued_async += count_classes(loop_classes_);
    stats.queued += manual_ != nullptr ? manual_->taken() : 0;
    stats.delayed = delayed_count_.load(std::memory_order_relaxed);
}

void Executor::count_tasks(execq_stats& stats) const
{
    const TaskMeter* meter = observers_.meter;
    const TaskMeter::Counts counts = meter != nullptr ? meter->counts() : TaskMeter::Counts{};
    stats.submitted = counts.submitted;
    stats.started = counts.started;
    stats.completed_ok = counts.completed[static_cast<std::size_t>(Ending::ok)];
    stats.completed_failed = counts.completed[static_cast<std::size_t>(Ending::failed)];
    stats.completed_canceled = counts.completed[static_cast<std::size_t>(Ending::canceled)];
    HistogramSum queue;
    HistogramSum run;
    if (meter != nullptr) {
        meter->add_queue_times(queue);
        meter->add_run_times(run);
    }
    stats.queue_latency = latency_of(queue);
    stats.run_time = latency_of(run);
}

void Executor::add_loop_times(HistogramSum& sum, Histogram LoopTimes::*which) const
{
    for_each_worker([&](const Worker& worker) {
        if (const LoopPlace* place = worker.place())
            (place->times().*which).add_to(sum);
    });
}

void Executor::stats(execq_stats& stats)
{
    stats.threads_max = cap_.load(std::memory_order_relaxed) + reserved_;
    const SpareCounts spares = spare_counts();
    stats.spares = spares.spares;
    stats.most_spares = spares.most_spares;
    stats.blocked = spares.blocked;
    stats.blocking_hints = spares.hints;
    stats.waits_in_place = spares.in_place;
    stats.waits_compensated = spares.compensated;
    stats.waits_refused = spares.refused;
    count_tasks(stats);
    count_queued(stats);
    const std::uint32_t places = count_states(stats);
    stats.loops = stats.async_open = stats.steals = stats.loop_delays = 0;
    HistogramSum lag;
    HistogramSum turn;
    for (std::uint32_t i = 0; i < places; ++i) {
        const Worker& worker = workers_[i];
        LoopPlace* place = worker.place();
        execq_worker_stats entry{i,
                                 0,
                                 worker.loop() != nullptr ? 1U : 0U,
                                 worker.reserved() ? 1U : 0U,
                                 place != nullptr ? place->open_count() : 0,
                                 worker.loop_delays(),
                                 {},
                                 {}};
        stats.loops += entry.has_loop;
        stats.async_open += entry.async_open;
        stats.steals += worker.steals();
        stats.loop_delays += entry.loop_delays;
        if (place != nullptr) {
            place->times().lag.add_to(lag);
            place->times().turn.add_to(turn);
        }
        if (i >= stats.workers_count)
            continue;
        if (place != nullptr) {
            entry.loop_lag = latency_of(place->times().lag);
            entry.loop_turn = latency_of(place->times().turn);
        }
        fill_entry(stats, i, entry);
    }
    stats.loop_lag = latency_of(lag);
    stats.loop_turn = latency_of(turn);
    if (engine_ != nullptr)
        engine_->stats(stats);
}

}  // namespace execq::core
