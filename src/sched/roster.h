// Floor 2. Who is awake: the word by which submissions and workers agree on who wakes whom.
//
//   bits 0–31   threads: workers that have not signed off, nor stand by (joins sleep on this half)
//   bits 32–61  sleepers: workers that wait to be woken
//   bit 62      napping: one of the sleepers will look by itself within a moment
//   bit 63      waking: somebody is on the way to look for work, because of a wake or because it spins
//
// A submission makes its task visible, then reads this word, and wakes one worker (or starts one) only if nobody is on
// the way. Who is on the way gives the bit back *before* it looks for work; who falls asleep announces that before its
// last look. So of a submission and a look, one sees the other, and a burst of submissions pays for one wake.
//
// A worker that was woken, and finds work while more is there, wakes the next one: see schedule.cc.
//
// While one naps, it is not woken as long as another worker is awake: where tasks are so small that the other one has
// taken them before a wake takes effect, waking would cost more than the tasks. If the other one is blocked instead, they
// wait for the end of the nap.
//
// The model in tests/model/roster_model.cc covers it.
#pragma once

#include <cstdint>

#include "base/atomics.h"

namespace execq::core {

template <class Atomics = StdAtomics>
class Roster {
public:
    // ---- for a submission ----

    // After the task was made visible by a read-modify-write or behind a full fence.
    bool wants_wake(std::uint32_t max_threads) const
    {
        return wants_wake(word_.load(std::memory_order::seq_cst), max_threads);
    }

    // After the task was made visible by a plain store: whoever falls asleep passes a heavy fence, but who is about to
    // look, being woken or at the end of a nap, does not, so those bits are not to be trusted before a full fence.
    bool wants_wake_behind_light_fence(std::uint32_t max_threads)
    {
        Atomics::light_fence();
        std::uint64_t word = word_.load(std::memory_order::relaxed);
        if ((word & (waking | napping)) != 0)  // re-check
            word = word_.fetch_add(0, std::memory_order::seq_cst);
        return wants_wake(word, max_threads);
    }

    // True: the caller holds the waking bit now, for whom it wakes or for itself.
    bool try_begin_wake() { return (word_.fetch_or(waking, std::memory_order::seq_cst) & waking) == 0; }

    // By the one who was woken (before it looks for work), or by who found nobody to wake. Where the answer is true, the
    // latter has to look again: somebody fell asleep or left meanwhile, after others had relied on the bit. Who has just
    // failed to start a thread says max_threads 0, so that only sleepers count.
    bool end_wake(std::uint32_t max_threads)
    {
        const std::uint64_t before = word_.fetch_and(~waking, std::memory_order::seq_cst);
        return wants_wake(before & ~waking, max_threads);  // re-check
    }

    // ---- for a worker, under the executor's mutex ----

    // At most one sleeper naps.
    void add_sleeper(bool naps = false) { word_.fetch_add(sleeper(naps), std::memory_order::seq_cst); }
    void remove_sleeper(bool naps = false) { word_.fetch_sub(sleeper(naps), std::memory_order::seq_cst); }
    void add_thread() { word_.fetch_add(1, std::memory_order::seq_cst); }
    void remove_thread() { word_.fetch_sub(1, std::memory_order::seq_cst); }

    std::uint32_t threads() const { return threads_in(word_.load(std::memory_order::acquire)); }
    // Somebody sleeps or may be started, after something was made visible as for wants_wake().
    bool may_wake(std::uint32_t max_threads) const
    {
        const std::uint64_t word = word_.load(std::memory_order::seq_cst);
        return (word & ~(waking | napping)) >= one_sleeper || threads_in(word) < max_threads;
    }
    // Somebody is on the way to look for work. For a worker that has announced its sleep: who gives the bit back sees it.
    bool waking_one() const { return (word_.load(std::memory_order::seq_cst) & waking) != 0; }
    // Threads that do not sleep; a hint.
    std::uint32_t awake() const { return awake_in(word_.load(std::memory_order::relaxed)); }
    // The half of the word that counts threads.
    const void* futex_word() const { return &word_; }

private:
    static constexpr std::uint64_t one_sleeper = std::uint64_t{1} << 32;
    static constexpr std::uint64_t napping = std::uint64_t{1} << 62;
    static constexpr std::uint64_t waking = std::uint64_t{1} << 63;

    static std::uint64_t sleeper(bool naps) { return one_sleeper + (naps ? napping : 0); }
    static std::uint32_t threads_in(std::uint64_t word) { return static_cast<std::uint32_t>(word); }
    static std::uint32_t awake_in(std::uint64_t word)
    {
        return threads_in(word) - (static_cast<std::uint32_t>(word >> 32) & 0x3fff'ffff);
    }
    static bool wants_wake(std::uint64_t word, std::uint32_t max_threads)
    {
        if ((word & waking) != 0 || ((word & napping) != 0 && awake_in(word) != 0))
            return false;
        return word >= one_sleeper || threads_in(word) < max_threads;
    }

    // See the top of the file.
    alignas(64) typename Atomics::template Atomic<std::uint64_t> word_{0};
};

}  // namespace execq::core
