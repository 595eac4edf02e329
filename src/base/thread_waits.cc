#include "base/thread_waits.h"

#include <new>
#include <utility>

namespace execq::core {

const InChild ThreadWaits::in_child_([](void*) {
    mine_ = nullptr;
    driving_ = nullptr;
});

const AtThreadEnd ThreadWaits::at_thread_end_([] {
    if (ThreadWaits* record = std::exchange(mine_, nullptr))
        record->release();
});

// Where the thread is past its end, the caller's reference is the only one to be: nothing releases another.
ThreadWaits* ThreadWaits::of_this_thread()
{
    ThreadWaits* record = mine_;
    if (record == nullptr) {
        record = new (std::nothrow) ThreadWaits;
        if (record == nullptr || !AtThreadEnd::watch())
            return record;
        mine_ = record;
    }
    record->references_.fetch_add(1, std::memory_order_relaxed);
    return record;
}

void ThreadWaits::release()
{
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1)
        delete this;
}

}  // namespace execq::core
