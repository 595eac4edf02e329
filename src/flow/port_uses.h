// Floor 3. What keeps a port, and its loop, alive: one word, and beside it who runs the loop.
//
//   bits 0–31   pending: registrations and holds; the loop has to be kept alive
//   bit 32      attached
//   bit 33      the handles of the C surface together
//   bits 34–63  guests, which keep the port, not the loop: a call, a promise that was started here and is still held
//
// At 0 the port is freed, by who took the last unit. While anything is pending the loop is kept alive by a uv handle that is
// referenced, which only the loop's thread may do. So who begins the first use elsewhere wakes the loop, and who ends the
// last one does, too: the loop's thread looks at the end of each turn.
//
// A loop may move to another thread. Its thread notes itself at the beginning of each turn and looks at what is pending at the
// end; who begins a use counts it, then looks who the loop's thread is. All four are sequentially consistent, so that of a
// registration on the thread that was the loop's until now and a turn on the new one, one sees the other: they never
// touch the handle both.
//
// The model in tests/model/port_model.cc covers it.
#pragma once

#include <cstdint>

#include "base/atomics.h"

namespace execq::core {

template <class Thread, class Atomics = StdAtomics>
class PortUses {
public:
    static constexpr std::uint64_t attached_unit = std::uint64_t{1} << 32;
    static constexpr std::uint64_t handles_unit = std::uint64_t{1} << 33;
    static constexpr std::uint64_t guest_unit = std::uint64_t{1} << 34;

    // Attached, with one unit for the handles; the thread is the loop's for now.
    explicit PortUses(Thread thread) : loop_thread_(thread) {}

    // ---- any thread ----
    bool attached() const { return attached_in(word_.load(std::memory_order::acquire)); }
    bool runs_on(Thread thread) const { return loop_thread_.load(std::memory_order::seq_cst) == thread; }

    // Refused: the caller has one unit to give up. Here: on the loop's thread, which is to reference the handle. First:
    // the loop has to be woken, to do so.
    enum class Begun { refused, here, first, later };
    Begun begin(Thread thread)
    {
        const std::uint64_t before = word_.fetch_add(1, std::memory_order::seq_cst);
        if (!attached_in(before))
            return Begun::refused;
        if (runs_on(thread))
            return Begun::here;
        return pending_in(before) ? Begun::later : Begun::first;
    }
    // The caller's use is over, and it is a guest instead, until it has woken the loop if that is due (true).
    bool end_as_guest()
    {
        const std::uint64_t before = word_.fetch_add(guest_unit - 1, std::memory_order::seq_cst);
        return attached_in(before) && (before & pending_mask) == 1;
    }
    // `begun`: uses that the loop's thread began aside, which count from here on.
    std::uint64_t enter(std::uint64_t begun = 0)
    {
        return word_.fetch_add(guest_unit + begun, std::memory_order::relaxed);
    }
    // True: it was the last one, the caller frees.
    [[nodiscard]] bool give_up(std::uint64_t units)
    {
        return word_.fetch_sub(units, std::memory_order::seq_cst) == units;
    }

    // ---- the loop's thread, as a guest ----
    void note_thread(Thread thread) { loop_thread_.store(thread, std::memory_order::seq_cst); }
    // One step for a whole batch.
    void settle(std::uint64_t begun, std::uint64_t over) { word_.fetch_add(begun - over, std::memory_order::seq_cst); }
    // At the end of a turn, as the word was in one moment.
    struct Sight {
        bool attached;
        bool pending;
    };
    Sight look() const
    {
        const std::uint64_t word = word_.load(std::memory_order::seq_cst);
        return {attached_in(word), pending_in(word)};
    }
    // True for one caller.
    bool try_detach() { return attached_in(word_.fetch_sub(attached_unit, std::memory_order::acq_rel)); }

    static bool attached_in(std::uint64_t word) { return (word & attached_unit) != 0; }

private:
    static constexpr std::uint64_t pending_mask = attached_unit - 1;

    static bool pending_in(std::uint64_t word) { return (word & pending_mask) != 0; }

    // See the top of the file.
    typename Atomics::template Atomic<std::uint64_t> word_{attached_unit + handles_unit};
    // Written by the loop's thread, read by whoever registers.
    typename Atomics::template Atomic<Thread> loop_thread_;
};

}  // namespace execq::core
