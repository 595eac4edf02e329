// A port for white-box tests.
#pragma once

#include <atomic>

#include "task/callbacks.h"
#include "task/registration.h"

namespace execq::core {

// A port that delivers inside deliver() and counts its uses.
class TestPort final : public Port {
public:
    explicit TestPort(bool lists_all = false) : lists_all_(lists_all) {}

    bool begin_use() override
    {
        uses.fetch_add(open ? 1 : 0);
        return open;
    }
    void end_use() override { uses.fetch_sub(1); }
    void deliver(Registration& registration) noexcept override
    {
        ++delivered;
        HeapRegistration* heap = heap_of(registration);
        if (heap != nullptr && heap->listed) {
            const MutexLock lock(mutex_);
            if (unlist(*heap))
                heap = nullptr;
        } else {
            heap = nullptr;
        }
        if (heap != nullptr) {  // withdrawn before
            finish(registration, this);
            return;
        }
        const CallbackScope scope;
        run_now(registration, this);
    }
    bool lists_all() const override { return lists_all_; }
    void withdraw() { withdraw_listed(nullptr); }

    std::atomic<int> uses{0};
    std::atomic<int> delivered{0};
    bool open = true;

private:
    const bool lists_all_;
};

}  // namespace execq::core
