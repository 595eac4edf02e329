#include "sched/conf.h"

#include <atomic>

#include "base/annotations.h"
#include "base/immortal.h"
#include "sched/exit.h"

namespace execq::core {

namespace {

// Both are written under the mutex, and read without it by lasting_executor().
struct Conf {
    Mutex mutex;
    std::atomic<Executor*> configured{nullptr};
    std::atomic<Executor*> own{nullptr};  // once made, for the life of the process
    bool over EXECQ_GUARDED_BY(mutex) = false;
};

Conf& conf()
{
    static PerProcess<Conf> instance;
    return *instance;
}

[[maybe_unused]] Conf& made_when_loaded = conf();

}  // namespace

void configure_executor(Executor* executor)
{
    if (executor != nullptr) {
        executor->retain();
        expect_exit();
    }
    Executor* before = nullptr;
    {
        Conf& c = conf();
        const MutexLock lock(c.mutex);
        before = c.configured.exchange(executor, std::memory_order_acq_rel);
    }
    if (before != nullptr)
        before->release();
}

Executor* lasting_executor()
{
    Conf& c = conf();
    if (c.configured.load(std::memory_order_acquire) != nullptr)
        return nullptr;
    return c.own.load(std::memory_order_acquire);
}

execq_status resolve_executor(Executor** out)
{
    Conf& c = conf();
    const MutexLock lock(c.mutex);
    Executor* executor = c.configured.load(std::memory_order_relaxed);
    if (executor == nullptr)
        executor = c.own.load(std::memory_order_relaxed);
    if (executor == nullptr) {
        if (c.over)
            return EXECQ_ECLOSED;
        ExecutorSpec spec;
        execq_status status = make_observers({}, spec.observers);
        if (status == EXECQ_OK)
            status = Executor::make(spec, &executor);
        if (status != EXECQ_OK)
            return status;
        expect_exit();
        c.own.store(executor, std::memory_order_release);
    }
    executor->retain();
    *out = executor;
    return EXECQ_OK;
}

StandingExecutors end_configuration()
{
    Conf& c = conf();
    const MutexLock lock(c.mutex);
    c.over = true;
    const StandingExecutors standing{c.configured.load(std::memory_order_relaxed),
                                     c.own.load(std::memory_order_relaxed)};
    for (Executor* executor : standing) {
        if (executor != nullptr)
            executor->retain();
    }
    return standing;
}

}  // namespace execq::core
