// Floor 2. Who may begin asynchronous tasks: slots, of which there are as many as workers that drive loops at a time.
//
// Who changes a count that a submission has relied on (calls nobody, since each slot is held by, or promised to, somebody
// awake) looks for tasks after that. A submission makes its task visible, then looks at the counts. All of these are
// sequentially consistent, so that of a submission and a look one sees the other. How they are used: see loop_work.cc.
//
// The model in tests/model/loop_slots_model.cc covers it.
#pragma once

#include <cstdint>

#include "base/atomics.h"

namespace execq::core {

template <class Atomics = StdAtomics>
class LoopSlots {
public:
    explicit LoopSlots(std::uint32_t limit) : limit_(limit) {}

    // ---- any thread ----
    // After a task was made visible by a read-modify-write.
    bool wants_worker() const
    {
        return idle_holders_.load(std::memory_order::seq_cst) != 0 ||
               held_.load(std::memory_order::seq_cst) + coming_.load(std::memory_order::seq_cst) < limit();
    }
    bool any_free() const { return held_.load(std::memory_order::seq_cst) < limit(); }
    // 0: no worker ever takes an asynchronous task.
    std::uint32_t limit() const { return limit_.load(std::memory_order::seq_cst); }

    // ---- under the executor's mutex ----
    void set_limit(std::uint32_t limit) { limit_.store(limit, std::memory_order::seq_cst); }
    // For one more than hold one or were called.
    bool has_room() const
    {
        return held_.load(std::memory_order::relaxed) + coming_.load(std::memory_order::relaxed) < limit();
    }
    void take() { held_.fetch_add(1, std::memory_order::seq_cst); }
    // The caller looks for tasks after that.
    void give_back() { held_.fetch_sub(1, std::memory_order::seq_cst); }
    // Of so many workers, one or none, that are woken or started to take one.
    void call(std::uint32_t n = 1) { coming_.fetch_add(n, std::memory_order::seq_cst); }
    void uncall(std::uint32_t n) { coming_.fetch_sub(n, std::memory_order::seq_cst); }
    // A holder announces its sleep, and looks for tasks after that.
    void add_idle_holder() { idle_holders_.fetch_add(1, std::memory_order::seq_cst); }
    void remove_idle_holder() { idle_holders_.fetch_sub(1, std::memory_order::seq_cst); }

    // ---- who was called, before it looks for tasks ----
    void arrive() { coming_.fetch_sub(1, std::memory_order::seq_cst); }

private:
    // 0 where others are reserved for loops. Read by who looks for a slot.
    typename Atomics::template Atomic<std::uint32_t> limit_;
    // Workers that hold a slot, that were called to take one, and of the holders those that sleep. Written under the mutex,
    // but for who arrives; read by submissions.
    typename Atomics::template Atomic<std::uint32_t> held_{0};
    typename Atomics::template Atomic<std::uint32_t> coming_{0};
    typename Atomics::template Atomic<std::uint32_t> idle_holders_{0};
};

}  // namespace execq::core
