// Floor 1. The stage of a cancel callback of a running body, and the lot where who cancels finds it.
//
//   waits ──take()──► runs ──end()──► over          waits ──take_back()──► out of the lot
//                       └─await_end()─► awaited ──end()──► over
//
// Whoever takes a call out of the lot, under its mutex, is the only one to run it. Who takes it back finds it there, or waits
// until it is over: so no callback outlives its body, whose thread frees it. Who registers adds the call first and then looks
// whether to stop; who cancels asks the body to stop and then looks here: of the two one sees the other, as both go through
// the mutex.
//
// The model in tests/model/call_lot_model.cc covers it.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/annotations.h"
#include "base/atomics.h"
#include "base/futex.h"
#include "base/links.h"

namespace execq::core {

template <class Atomics = StdAtomics, class Sleep = FutexSleep>
class BasicCallStage {
public:
    // ---- under the lot's mutex; relaxed: the mutex orders ----
    bool waits() const { return stage_.load(std::memory_order::relaxed) == waiting; }
    void begin() { stage_.store(runs, std::memory_order::relaxed); }

    // ---- by who runs it ----
    // From here on the call may be gone.
    void end()
    {
        const void* const address = &stage_;
        if (stage_.exchange(over, std::memory_order::acq_rel) == awaited)
            Sleep::wake_all(address);
    }

    // ---- by the body's thread, once it was taken out of the lot by somebody else ----
    // sleep(word, expected) sleeps while it runs.
    template <class WhileRuns>
    void await_end(const WhileRuns& sleep)
    {
        for (;;) {
            std::uint32_t stage = stage_.load(std::memory_order::acquire);
            if (stage == over)  // re-check
                return;
            if (stage == runs &&
                !stage_.compare_exchange_strong(stage, awaited, std::memory_order::acq_rel, std::memory_order::acquire))
                continue;
            sleep(&stage_, awaited);
        }
    }

private:
    static constexpr std::uint32_t waiting = 0, runs = 1, awaited = 2, over = 3;

    // Leaves `waiting` together with the lot, under its mutex. Awaited: the body's thread sleeps until it is over.
    typename Atomics::template Atomic<std::uint32_t> stage_{waiting};
};

// Call is a Hook; call.taken() notes, under the mutex, that somebody runs it, and call.waits() says that nobody does.
template <class Call, class Lock = Mutex>
class BasicCallBucket {
public:
    void add(Call& call)
    {
        const ScopedLock<Lock> lock(mutex_);
        calls_.push_back(call);
    }
    // The oldest that matches; null: none.
    template <class Matches>
    Call* take(const Matches& matches)
    {
        Call* found = nullptr;
        const ScopedLock<Lock> lock(mutex_);
        calls_.for_each([&](Call& call) {
            if (found == nullptr && matches(call))
                found = &call;
        });
        if (found != nullptr) {
            calls_.remove(*found);
            found->taken();
        }
        return found;
    }
    // False: it was called, or is being called.
    [[nodiscard]] bool take_back(Call& call)
    {
        const ScopedLock<Lock> lock(mutex_);
        if (!call.waits())  // re-check
            return false;
        calls_.remove(call);
        return true;
    }

private:
    Lock mutex_;
    HookList<Call> calls_ EXECQ_GUARDED_BY(mutex_);
};

}  // namespace execq::core
