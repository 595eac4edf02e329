#include "sched/conf.h"

#include <utility>

#include "base/annotations.h"
#include "base/immortal.h"

namespace execq::core {

namespace {

struct Conf {
    Mutex mutex;
    Executor* configured EXECQ_GUARDED_BY(mutex) = nullptr;
    Executor* own EXECQ_GUARDED_BY(mutex) = nullptr;  // once made, for the life of the process
};

Conf& conf()
{
    static Immortal<Conf> instance;
    return *instance;
}

}  // namespace

void configure_executor(Executor* executor)
{
    if (executor != nullptr)
        executor->retain();
    Executor* before = nullptr;
    {
        Conf& c = conf();
        const MutexLock lock(c.mutex);
        before = std::exchange(c.configured, executor);
    }
    if (before != nullptr)
        before->release();
}

execq_status resolve_executor(Executor** out)
{
    Conf& c = conf();
    const MutexLock lock(c.mutex);
    Executor* executor = c.configured != nullptr ? c.configured : c.own;
    if (executor == nullptr) {
        const execq_status status = Executor::make({}, &c.own);
        if (status != EXECQ_OK)
            return status;
        executor = c.own;
    }
    executor->retain();
    *out = executor;
    return EXECQ_OK;
}

}  // namespace execq::core
