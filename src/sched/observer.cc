#include "sched/observer.h"

#include <algorithm>
#include <bit>
#include <exception>
#include <new>
#include <utility>

#include "base/process.h"
#include "sched/cpus.h"
#include "sched/tracer.h"
#include "sched/watchdog.h"
#include "task/callbacks.h"
#include "task/context.h"
#include "task/error.h"
#include "task/unobserved.h"

namespace execq::core {

namespace {

constexpr std::uint32_t most_shards = 8;

}  // namespace

// ---- counting ----

TaskMeter::TaskMeter()
    : shards_(std::min(std::bit_ceil(usable_cpus()), most_shards)), all_(std::make_unique<Shard[]>(shards_))
{}

TaskMeter::Shard& TaskMeter::shard() const
{
    return all_[static_cast<std::uint64_t>(current_thread_id()) & (shards_ - 1)];
}

TaskMeter::Counts TaskMeter::counts() const
{
    Counts counts;
    for (std::uint32_t i = 0; i < shards_; ++i) {
        const Shard& shard = all_[i];
        counts.submitted += shard.submitted.load(std::memory_order_relaxed);
        counts.started += shard.started.load(std::memory_order_relaxed);
        for (std::size_t ending = 0; ending < counts.completed.size(); ++ending)
            counts.completed[ending] += shard.completed[ending].load(std::memory_order_relaxed);
    }
    return counts;
}

void TaskMeter::add_queue_times(HistogramSum& sum) const
{
    for (std::uint32_t i = 0; i < shards_; ++i)
        all_[i].queue.add_to(sum);
}

void TaskMeter::add_run_times(HistogramSum& sum) const
{
    for (std::uint32_t i = 0; i < shards_; ++i)
        all_[i].run.add_to(sum);
}

bool TaskMeter::submitted(Observation&) noexcept
{
    shard().submitted.fetch_add(1, std::memory_order_relaxed);
    return true;
}

void TaskMeter::started(Observation& task) noexcept
{
    Shard& mine = shard();
    mine.started.fetch_add(1, std::memory_order_relaxed);
    mine.queue.add_shared(task.started_ns() - task.ready_ns());
}

void TaskMeter::rested(Observation& task) noexcept
{
    if (task.running())  // else the host of an engine ran it
        shard().run.add_shared(task.left_ns() - task.started_ns());
}

// A run of a series that was told by rested() is over: what ended then is the wait for the next one.
void TaskMeter::ended(Observation& task, Ending ending, std::int32_t) noexcept
{
    Shard& mine = shard();
    if (ending == Ending::refused) {
        mine.submitted.fetch_sub(1, std::memory_order_relaxed);
        return;
    }
    mine.completed[static_cast<std::size_t>(ending)].fetch_add(1, std::memory_order_relaxed);
    if (task.running())
        mine.run.add_shared(task.ended_ns() - task.started_ns());
}

// ---- hooks ----

namespace {

// The hook that this thread is inside of, innermost; and what ran here when it was called.
thread_local constinit bool inside_hook = false;
thread_local constinit const Observation* hooked_in = nullptr;

const InChild in_child([](void*) {
    inside_hook = false;
    hooked_in = nullptr;
});

bool submits_in_hook() { return inside_hook && Observation::current() == hooked_in; }

execq_task_event event_of(const Observation& task)
{
    return {sizeof(execq_task_event),
            0,
            task.id(),
            task.parent(),
            task.name(),
            task.observers().executor_name(),
            task.worker(),
            EXECQ_OK,
            current_thread_id(),
            task.submitted_ns(),
            task.started_ns(),
            task.ended_ns()};
}

void report_failure(const char* where, const char* what)
{
    Error* error = Error::make(EXECQ_EEXCEPTION, what);
    report_unobserved(where, *error);
    error->release();
}

void call_hook(execq_task_hook hook, const char* where, const execq_task_event& event, void* env) noexcept
{
    if (hook == nullptr)
        return;
    const bool inside_before = inside_hook;
    const Observation* const hooked_before = hooked_in;
    {
        const CallbackScope scope;
        const ContextScope context(nullptr);
        inside_hook = true;
        hooked_in = Observation::current();
        try {
            const UserCode user;
            hook(&event, env);
        } catch (const std::exception& exception) {
            report_failure(where, exception.what());
        } catch (...) {
            report_failure(where, "not a std::exception");
        }
        inside_hook = inside_before;
        hooked_in = hooked_before;
    }
}

}  // namespace

Hooks::~Hooks()
{
    const CallbackScope scope;
    call_drop(table_.drop, table_.env);
}

bool Hooks::submitted(Observation& task) noexcept
{
    if (submits_in_hook())
        return false;
    call_hook(table_.on_submit, "on_submit hook", event_of(task), table_.env);
    return true;
}

void Hooks::started(Observation& task) noexcept
{
    call_hook(table_.on_start, "on_start hook", event_of(task), table_.env);
}

void Hooks::rested(Observation& task) noexcept
{
    execq_task_event event = event_of(task);
    event.outcome = EXECQ_ENDED_RUN;
    event.ended_ns = task.left_ns();
    call_hook(table_.on_end, "on_end hook", event, table_.env);
}

void Hooks::ended(Observation& task, Ending ending, std::int32_t code) noexcept
{
    execq_task_event event = event_of(task);
    event.outcome = EXECQ_ENDED_OK + static_cast<std::uint32_t>(ending);
    event.code = code;
    call_hook(table_.on_end, "on_end hook", event, table_.env);
}

static_assert(EXECQ_ENDED_OK + static_cast<int>(Ending::failed) == EXECQ_ENDED_FAILED &&
              EXECQ_ENDED_OK + static_cast<int>(Ending::canceled) == EXECQ_ENDED_CANCELED &&
              EXECQ_ENDED_OK + static_cast<int>(Ending::refused) == EXECQ_ENDED_REFUSED);

// ---- making ----

namespace {

// Drops an env unless somebody has taken it over.
class Owned {
public:
    Owned(execq_drop_fn drop, void* env) : drop_(drop), env_(env) {}
    ~Owned()
    {
        if (drop_ == nullptr)
            return;
        const CallbackScope scope;
        call_drop(drop_, env_);
    }
    Owned(const Owned&) = delete;
    Owned& operator=(const Owned&) = delete;
    void pass_on() { drop_ = nullptr; }

private:
    execq_drop_fn drop_;
    void* env_;
};

}  // namespace

execq_status make_observers(const ObserverSpec& spec, MadeObservers& out)
{
    Owned hooks_env(spec.hooks != nullptr ? spec.hooks->drop : nullptr,
                    spec.hooks != nullptr ? spec.hooks->env : nullptr);
    Owned stuck_env(spec.stuck_drop, spec.stuck_env);
    const bool traced = Tracer::wanted();
    if (!spec.times && spec.hooks == nullptr && spec.stuck_after_ns == 0 && !traced)
        return EXECQ_OK;
    struct Release {
        void operator()(Observers* all) const { all->release(); }
    };
    try {
        std::unique_ptr<Observers, Release> all(new Observers);
        MadeObservers made;
        if (traced)  // first: what the others do comes later on their thread
            all->add(std::make_unique<Tracer>());
        if (spec.times) {
            auto meter = std::make_unique<TaskMeter>();
            made.meter = meter.get();
            all->add(std::move(meter));
        }
        if (spec.hooks != nullptr) {
            auto hooks = std::make_unique<Hooks>(*spec.hooks);
            hooks_env.pass_on();
            all->add(std::move(hooks));
        }
        if (spec.stuck_after_ns != 0) {
            auto list = std::make_unique<WatchList>(
                WatchSpec{spec.executor_name != nullptr ? spec.executor_name : "execq", spec.stuck_after_ns,
                          spec.on_stuck, spec.stuck_env, spec.stuck_drop});
            stuck_env.pass_on();
            std::unique_ptr<WatchObserver> watch;
            const execq_status status = WatchObserver::make(std::move(list), watch);
            if (status != EXECQ_OK)
                return status;
            made.watch = watch.get();
            all->add(std::move(watch));
        }
        made.all = all.release();
        out = made;
    } catch (const std::bad_alloc&) {
        return EXECQ_ENOMEM;
    }
    return EXECQ_OK;
}

}  // namespace execq::core
