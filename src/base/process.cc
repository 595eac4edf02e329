#include "base/process.h"

#include <pthread.h>
#include <unistd.h>

namespace execq::core {

// While the library is loaded: no thread of it can be in here when another one forks.
const bool Process::watched_ = pthread_atfork(nullptr, nullptr, Process::enter_child) == 0;

void Process::enter_child()
{
    ++generation_;
    for (const InChild* part = InChild::first_.load(std::memory_order_relaxed); part != nullptr; part = part->next_)
        part->act_(part->env_);
}

void Process::end_child() { _exit(0); }

InChild::InChild(Act act, void* env) : act_(act), env_(env), next_(first_.load(std::memory_order_relaxed))
{
    while (!first_.compare_exchange_weak(next_, this, std::memory_order_release, std::memory_order_relaxed)) {
    }
}

}  // namespace execq::core
