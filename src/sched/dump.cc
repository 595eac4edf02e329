// The part of the executor that describes itself in words, for people; see execq/observe.h.
#include <cinttypes>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "sched/executor.h"
#include "sched/loop_place.h"

namespace execq::core {

namespace {

// One line, cut where it is too long.
[[gnu::format(printf, 2, 3)]] void add_line(std::string& text, const char* format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    for (char* c = line; *c != '\0'; ++c) {
        if (static_cast<unsigned char>(*c) < ' ')
            *c = ' ';  // of a name
    }
    text += line;
    text += '\n';
}

double seconds(std::int64_t ns) { return static_cast<double>(ns) / 1e9; }

void add_latency(std::string& text, const char* what, const HistogramSum& sum)
{
    if (sum.count() == 0)
        return;
    add_line(text, "  %s: p50 %.6f s, p90 %.6f s, p99 %.6f s, p99.9 %.6f s, max %.6f s of %" PRIu64, what,
             seconds(sum.percentile(500)), seconds(sum.percentile(900)), seconds(sum.percentile(990)),
             seconds(sum.percentile(999)), seconds(sum.max()), sum.count());
}

const char* state_name(std::uint32_t state)
{
    switch (state) {
    case EXECQ_WORKER_ABSENT:
        return "no thread";
    case EXECQ_WORKER_IDLE:
        return "idle";
    case EXECQ_WORKER_RUNNING:
        return "running";
    default:
        return "awake";
    }
}

}  // namespace

// Room is made before anything is paused, and once more where there was more.
std::vector<Executor::Running> Executor::running_tasks()
{
    note_running();
    std::vector<Running> found;
    std::size_t total = 16;
    const auto note = [&](std::uint32_t worker, bool open, const Node* node, std::int64_t age_ns) {
        if (++total > found.capacity())
            return;
        const Observation* observation = node != nullptr ? node->observation() : nullptr;
        Running running{worker,
                        open,
                        open || (node != nullptr && (node->named() || observation != nullptr)),
                        {},
                        observation != nullptr ? observation->id() : 0,
                        std::max<std::int64_t>(age_ns, 0)};
        if (node != nullptr)
            std::strncpy(running.name.data(), node->name(), running.name.size() - 1);
        found.push_back(running);
    };
    do {
        found.reserve(total);
        found.clear();
        total = 0;
        const std::int64_t now = now_ns();
        {
            const MutexLock lock(mutex_);
            while_paused([&] {
                for_each_worker([&](Worker& worker) {
                    worker.for_each_frame([&](const Frame& frame) {
                        const std::int64_t started = frame.started_ns.load(std::memory_order_relaxed);
                        note(worker.number(), false, frame.node, started != 0 ? now - started : 0);
                    });
                });
            });
        }
        for_each_worker([&](const Worker& worker) {
            if (LoopPlace* place = worker.place()) {
                place->for_each([&](const Node& node) {
                    if (!node.done())
                        note(worker.number(), true, &node, node.age_ns());
                });
            }
        });
    } while (total > found.size());
    return found;
}

void Executor::describe_counts(const execq_stats& stats, std::string& text)
{
    std::uint64_t waiting = 0;
    {
        const MutexLock lock(mutex_);
        turnstiles_.for_each([&](const Turnstile& turnstile) { waiting += turnstile.waiting(); });
    }
    const char* const modes[] = {"open", "draining", "canceling"};
    add_line(text,
             "executor '%s' (%" PRIu64 "), %s: %" PRIu64 " threads of at most %" PRIu64 ", %" PRIu64 " idle, %" PRIu64
             " running, %" PRIu64 " blocked, %" PRIu64 " spare",
             name(), serial_, modes[static_cast<std::uint32_t>(mode())], stats.threads, stats.threads_max, stats.idle,
             stats.running, stats.blocked, stats.spares);
    add_line(text,
             "  waiting: %" PRIu64 " blocking tasks, %" PRIu64 " asynchronous, %" PRIu64 " delayed, %" PRIu64
             " in queues in front of it",
             stats.queued, stats.queued_async, stats.delayed, waiting);
    add_line(text, "  loops: %" PRIu64 ", with %" PRIu64 " asynchronous tasks open", stats.loops, stats.async_open);
    add_line(text,
             "  so far: %" PRIu64 " threads started, %" PRIu64 " wakes, %" PRIu64 " steals, %" PRIu64
             " loop delays, %" PRIu64 " waits in place, %" PRIu64 " waits refused",
             stats.threads_started, stats.wakes, stats.steals, stats.loop_delays, stats.waits_in_place,
             stats.waits_refused);
    if (observers_.meter == nullptr)
        return;
    add_line(text,
             "  tasks: %" PRIu64 " submitted, %" PRIu64 " started, %" PRIu64 " ended well, %" PRIu64 " failed, %" PRIu64
             " canceled",
             stats.submitted, stats.started, stats.completed_ok, stats.completed_failed, stats.completed_canceled);
    HistogramSum queue;
    HistogramSum run;
    observers_.meter->add_queue_times(queue);
    observers_.meter->add_run_times(run);
    add_latency(text, "queue latency", queue);
    add_latency(text, "run time", run);
}

void Executor::describe(std::string& text)
{
    std::vector<execq_worker_stats> workers(workers_.size());
    execq_stats stats = EXECQ_STATS_INIT;
    stats.workers = workers.data();
    stats.workers_max = workers.size();
    this->stats(stats);
    const std::vector<Running> tasks = running_tasks();
    describe_counts(stats, text);
    HistogramSum lag;
    add_loop_times(lag, &LoopTimes::lag);
    add_latency(text, "loop lag", lag);
    for (std::uint64_t i = 0; i < stats.workers_count; ++i) {
        const execq_worker_stats& worker = workers[i];
        add_line(text, "  worker %u: %s%s%s", worker.number, state_name(worker.state),
                 worker.reserved_for_loops != 0 ? ", reserved for loops" : "",
                 worker.has_loop != 0 ? ", with a loop" : "");
        for (const Running& task : tasks) {
            if (task.worker != worker.number)
                continue;
            char number[32] = "";
            if (task.task != 0)
                std::snprintf(number, sizeof number, " #%" PRIu64, task.task);
            add_line(text, "    %s %s%s%s%s for %s%.3f s", task.open ? "open: task" : "inside of task",
                     task.name[0] != '\0' ? "'" : "", task.name[0] != '\0' ? task.name.data() : "without a name",
                     task.name[0] != '\0' ? "'" : "", number, task.exact ? "" : "at least ", seconds(task.age_ns));
        }
    }
}

}  // namespace execq::core
