// Floor 1. The slot of a promise that holds its cancel callback, a record, with the stage it is in.
//
//   none ──try_arm()──► armed ──try_send()──► sending ──sent()──► posted ──try_run()──► running
//                         ▲────────take_back()────┘
//
// and from none, armed, posted and running to over. Who completes the promise closes the slot first: an armed record is
// then his to drop and free, a posted one that of the thread it is posted to (which finds that it cannot run it), and a
// running one he waits for. So no callback begins or goes on after the promise was completed, and its drop runs once.
//
// Whether there is a callback is a flag in the node's state word (hooked), so that of try_arm() and a request, and of
// try_arm() and a completion, one sees the other, and that a promise without one pays nothing. The flag also stands for a
// source (task/forward.cc), so whoever looks at the slot for it may find none, or a record whose maker has not set it yet.
//
// The model in tests/model/cancel_slot_model.cc covers it.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/atomics.h"
#include "base/futex.h"

namespace execq::core {

// Records are aligned to 16.
template <class Record, class Atomics = StdAtomics, class Sleep = FutexSleep>
class BasicCancelSlot {
public:
    // ---- who brings a callback ----
    // False: there is one, or it is over.
    [[nodiscard]] bool try_arm(Record& record)
    {
        Content seen = none;
        return slot_.compare_exchange_strong(seen, content(record, armed), std::memory_order::acq_rel,
                                             std::memory_order::relaxed);
    }
    // For who has armed it and then found the promise completed. False: somebody looked here all the same, and has the record.
    [[nodiscard]] bool try_disarm(Record& record)
    {
        Content seen = content(record, armed);
        return slot_.compare_exchange_strong(seen, over, std::memory_order::acq_rel, std::memory_order::relaxed);
    }

    // ---- who asks to stop ----
    // The record, for one caller, who goes on with sent() or take_back(); null: there is none that is armed. Until then who
    // completes the promise waits.
    [[nodiscard]] Record* try_send()
    {
        Content seen = slot_.load(std::memory_order::acquire);
        if ((seen & stage_mask) != armed ||
            !slot_.compare_exchange_strong(seen, (seen & record_mask) | sending, std::memory_order::acq_rel,
                                           std::memory_order::relaxed))
            return nullptr;
        return record_in(seen);
    }
    void take_back(Record& record) { slot_.store(content(record, armed), std::memory_order::release); }
    void sent(Record& record) { slot_.store(content(record, posted), std::memory_order::release); }

    // ---- where it was sent to ----
    // True: it is to be called.
    [[nodiscard]] bool try_run(Record& record)
    {
        Content seen = content(record, posted);
        return slot_.compare_exchange_strong(seen, content(record, running), std::memory_order::acq_rel,
                                             std::memory_order::relaxed);
    }
    // After the drop, whether it ran or not. Wakes who waits for it.
    void end()
    {
        if ((slot_.exchange(over, std::memory_order::acq_rel) & waited) != 0)
            Sleep::wake_all(&slot_);
    }

    // ---- who completes the promise, but for the callback itself ----
    // A record that was armed still, which is the caller's to drop and free; null: there was none, or somebody else ends it.
    // sleep(word, expected) sleeps while the running callback has not ended.
    template <class WhileRunning>
    [[nodiscard]] Record* close(const WhileRunning& sleep)
    {
        Content seen = slot_.load(std::memory_order::acquire);
        while (seen != over) {
            switch (seen & stage_mask) {
            case none:  // there is a source only
            case posted:
                if (try_close(seen))
                    return nullptr;
                break;
            case armed:
                if (try_close(seen))
                    return record_in(seen);
                break;
            case running:
                if ((seen & waited) != 0 || slot_.compare_exchange_weak(seen, seen | waited, std::memory_order::acq_rel,
                                                                        std::memory_order::acquire)) {
                    sleep(&slot_, static_cast<std::uint32_t>(seen | waited));
                    seen = slot_.load(std::memory_order::acquire);
                }
                break;
            default:  // being sent: a few steps of another thread
                Atomics::yield();
                seen = slot_.load(std::memory_order::acquire);
            }
        }
        return nullptr;
    }

private:
    using Content = std::uintptr_t;

    // In the low bits; waited: somebody sleeps until a running callback has ended.
    static constexpr Content none = 0, armed = 1, sending = 2, posted = 3, running = 4, over = 5, waited = 8;
    static constexpr Content stage_mask = 7, record_mask = ~Content{15};

    static Content content(Record& record, Content stage) { return reinterpret_cast<Content>(&record) | stage; }
    static Record* record_in(Content content) { return reinterpret_cast<Record*>(content & record_mask); }
    bool try_close(Content& seen)
    {
        return slot_.compare_exchange_weak(seen, over, std::memory_order::acq_rel, std::memory_order::acquire);
    }

    // Written by who brings a callback, who cancels, who calls it and who completes; see the top of the file.
    typename Atomics::template Atomic<Content> slot_{none};
};

}  // namespace execq::core
