// Floor 1. The state word of a node: every step that several threads may try at once, by name.
//
//   bits 0–2    the phase; node.h says who moves it
//   bits 3–15   flags, each set as is noted with it
//   bits 16–31  the id of the executor that holds the task
//   bits 32–63  references
//
// One word, so that a step and what it depends on are one: who settles learns in the same step who waits, whether
// somebody has registered, and whether the caller's reference was the last; who asks to stop is told in the same step
// whether the body has begun. What a step sees of memory:
//
//   settle()             releases the outcome; whoever finds the node done has acquired it
//   a claim              (try_start, try_claim_…) acquires what the maker, or the run before, has written
//   drop_reference()     the last one comes after all that the others did with the node
//
// The model in tests/model/node_state_model.cc covers it.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/atomics.h"
#include "base/clock.h"

namespace execq::core {

enum class Phase : std::uint64_t { pending = 0, running = 1, settling = 2, ok = 3, failed = 4, canceled = 5 };

// Whether a step takes over the caller's reference.
enum class Reference { keep, give };

template <class Atomics = StdAtomics>
class BasicNodeState {
public:
    using Word = std::uint64_t;

    static constexpr Word phase_mask = 0x7;
    static constexpr Word cancel_flag = 1U << 3;  // set by request_cancel and try_claim_cancel
    static constexpr unsigned reason_shift = 4;   // three bits, set together with cancel_flag
    static constexpr Word waiter_flag = 1U << 7;  // somebody sleeps on the word; set by waiters
    static constexpr Word lot_flag = 1U << 8;     // somebody waits in the wait lot; set by waiters
    // In ok: the value was taken; set by try_take(). In failed: the failure was observed; set by observe().
    static constexpr Word taken_flag = 1U << 9;
    static constexpr Word extended_flag = 1U << 10;    // an Extension follows; set by the maker
    static constexpr Word registered_flag = 1U << 11;  // somebody registered a completion; set by them
    static constexpr Word preset_flag = 1U << 12;      // the maker did; set by the maker
    static constexpr Word async_flag = 1U << 13;       // the body is an execq_async_fn; set by the maker
    static constexpr Word hooked_flag = 1U << 14;      // a cancel callback, or a source; set by who brings it
    static constexpr Word timed_flag = 1U << 15;       // has a timer; set by the maker, cleared as it ends
    static constexpr unsigned executor_shift = 16;     // 16 bits, set by the maker
    static constexpr unsigned reference_shift = 32;
    static constexpr Word one_reference = Word{1} << reference_shift;

    explicit BasicNodeState(Word word) : word_(word) {}

    // ---- what a word says ----
    static Word first(std::uint32_t references, std::uint16_t executor_id, Phase phase)
    {
        return references * one_reference | Word{executor_id} << executor_shift | static_cast<Word>(phase);
    }
    static Phase phase_of(Word word) { return static_cast<Phase>(word & phase_mask); }
    static Word with_phase(Word word, Phase phase) { return (word & ~phase_mask) | static_cast<Word>(phase); }
    static bool is_done(Phase phase) { return phase >= Phase::ok; }
    static std::int32_t reason_in(Word word) { return static_cast<std::int32_t>(word >> reason_shift & 0x7); }
    static bool one_left(Word word) { return word >> reference_shift == 1; }
    static bool extended(Word word) { return (word & extended_flag) != 0; }

    // ---- looking (any thread) ----
    // Who finds it done sees the outcome, who finds it asked to stop what was written before that.
    Word look() const { return word_.load(std::memory_order::acquire); }
    // For what the maker has set, and for who has learned of the rest in another way.
    Word glance() const { return word_.load(std::memory_order::relaxed); }
    const void* address() const { return &word_; }

    // ---- references ----
    // relaxed: who has one cannot lose it meanwhile.
    void retain() { word_.fetch_add(one_reference, std::memory_order::relaxed); }
    // True: it was the last one, the node is the caller's to free. Who holds the only one is alone: no read-modify-write.
    [[nodiscard]] bool drop_reference()
    {
        return one_left(word_.load(std::memory_order::acquire)) ||
               one_left(word_.fetch_sub(one_reference, std::memory_order::acq_rel));
    }

    // ---- before the node is published (its maker only) ----
    // No read-modify-write is needed while nobody else knows the node.
    void preset() { word_.store(glance() | registered_flag | preset_flag, std::memory_order::relaxed); }

    // ---- claims: true for one caller; `before` is the word that was found ----
    [[nodiscard]] bool try_start(Word& before) { return move(Phase::pending, Phase::running, before); }
    // For the executor, once it has taken the task from its queue. Alone: nobody has a handle, nobody is to be told, and
    // nothing is to be dropped, now or later; the state is left as it is.
    enum class Start { lost, won, alone };
    [[nodiscard]] Start start_taken(Word& before)
    {
        constexpr Word asks = ~Word{0} << reference_shift | phase_mask | preset_flag | extended_flag;
        before = word_.load(std::memory_order::acquire);
        if ((before & asks) == (one_reference | static_cast<Word>(Phase::pending))) [[likely]]
            return Start::alone;
        if (!one_left(before))
            return try_start(before) ? Start::won : Start::lost;
        if (phase_of(before) != Phase::pending)
            return Start::lost;
        // relaxed: nobody else has a reference.
        word_.store(with_phase(before, Phase::running), std::memory_order::relaxed);
        return Start::won;
    }
    [[nodiscard]] bool try_claim_cancel(std::int32_t reason, Word& before)
    {
        before = word_.load(std::memory_order::relaxed);
        while (phase_of(before) == Phase::pending) {
            if (exchange_if(before, claimed_for_cancel(before, reason)))
                return true;
        }
        return false;
    }
    // Claims what has not started, and asks what runs to stop: in one step, as between two a series may lie down, which
    // would then run once more. Asked: for as many as ask; the first reason stays. Over: done, or about to be.
    enum class Canceled { claimed, asked, over };
    [[nodiscard]] Canceled cancel(std::int32_t reason, Word& before)
    {
        before = word_.load(std::memory_order::relaxed);
        for (;;) {
            const Phase phase = phase_of(before);
            if (phase >= Phase::settling)
                return Canceled::over;
            if (phase == Phase::running && (before & cancel_flag) != 0)
                return Canceled::asked;
            const bool claims = phase == Phase::pending;
            if (exchange_if(before, claims ? claimed_for_cancel(before, reason) : asked_to_stop(before, reason)))
                return claims ? Canceled::claimed : Canceled::asked;
        }
    }
    // The end of a sleep, which never runs.
    [[nodiscard]] bool try_claim_sleep()
    {
        Word before = 0;
        return move(Phase::pending, Phase::settling, before);
    }
    [[nodiscard]] bool try_claim_promise(Word& before) { return move(Phase::running, Phase::settling, before); }

    // ---- on the way ----
    // Asks to stop; the first reason stays. False: done, or about to be. For who knows that it runs.
    bool request_cancel(std::int32_t reason)
    {
        Word word = word_.load(std::memory_order::relaxed);
        while (phase_of(word) < Phase::settling) {
            if ((word & cancel_flag) != 0)
                return true;
            if (exchange_if(word, asked_to_stop(word, reason)))
                return true;
        }
        return false;
    }
    // Winner of try_start() only. False: it was asked to stop.
    [[nodiscard]] bool try_rest()
    {
        Word word = word_.load(std::memory_order::relaxed);
        while ((word & cancel_flag) == 0) {
            if (exchange_if(word, with_phase(word, Phase::pending)))
                return true;
        }
        return false;
    }
    // From now on who asks to stop, and who completes, looks for a cancel callback or a source. False: no longer running.
    [[nodiscard]] bool try_hook()
    {
        Word word = word_.load(std::memory_order::relaxed);
        do {
            if (phase_of(word) != Phase::running)
                return false;
        } while (!exchange_if(word, word | hooked_flag));
        return true;
    }
    // Takes a reference for a registration, and has settle() look for it. False: done, nobody looks any more.
    [[nodiscard]] bool announce_registration()
    {
        Word word = word_.load(std::memory_order::relaxed);
        for (;;) {
            const bool pending = !is_done(phase_of(word));
            if (exchange_if(word, (word | (pending ? registered_flag : 0)) + one_reference))
                return pending;
        }
    }
    // From now on settle() tells who waits, by the flag. False: done. `word` is what was found, with the flag.
    [[nodiscard]] bool announce(Word flag, Word& word)
    {
        word = word_.load(std::memory_order::acquire);
        if (!is_done(phase_of(word)) && (word & flag) == 0)
            word = word_.fetch_or(flag, std::memory_order::acq_rel) | flag;
        return !is_done(phase_of(word));  // re-check: true
    }
    // Sleeps on the lower half. False: the deadline passed first.
    template <class Sleep>
    [[nodiscard]] bool await_done(Deadline deadline)
    {
        Word word = 0;
        while (announce(waiter_flag, word)) {
            if (deadline.passed())
                return false;
            Sleep::wait(&word_, static_cast<std::uint32_t>(word), deadline);
        }
        return true;
    }
    // relaxed: read by who claims the node, who is the one to call it.
    void forget_timer() { word_.fetch_and(~timed_flag, std::memory_order::relaxed); }

    // ---- the end: by who has the claim, once ----
    // `before` is what it replaced: whom to tell. Last: the reference that was given was the last one, nobody is to be told,
    // and the node is the caller's to free. Without a reference left to the caller the node may be gone.
    struct Settled {
        Word before;
        bool last;
    };
    // `seen` is what look() answered.
    [[nodiscard]] Settled settle(Word seen, Phase phase, Reference reference)
    {
        Word settled = 0;
        do {
            settled = with_phase(seen, phase);
            if (reference == Reference::give && (seen & registered_flag) == 0)
                settled -= one_reference;
        } while (!word_.compare_exchange_weak(seen, settled, std::memory_order::acq_rel, std::memory_order::acquire));
        const bool last = reference == Reference::give && (seen & registered_flag) == 0 && settled < one_reference;
        return {seen, last};
    }
    // With the only reference. relaxed: nobody can look before the registration's port has published the node.
    void settle_alone(Word seen, Phase phase) { word_.store(with_phase(seen, phase), std::memory_order::relaxed); }

    // ---- afterwards ----
    // True for one caller. acq_rel: it may be another one than who was told of the end.
    [[nodiscard]] bool try_take() { return (word_.fetch_or(taken_flag, std::memory_order::acq_rel) & taken_flag) == 0; }
    // Of a failure. Asked again and again, it is written once. relaxed: read by who frees the node, behind the last release.
    void observe()
    {
        const Word word = look();
        if (phase_of(word) == Phase::failed && (word & taken_flag) == 0)
            word_.fetch_or(taken_flag, std::memory_order::relaxed);
    }

private:
    static Word asked_to_stop(Word word, std::int32_t reason)
    {
        return word | cancel_flag | static_cast<Word>(reason) << reason_shift;
    }
    static Word claimed_for_cancel(Word word, std::int32_t reason)
    {
        const Word moved = with_phase(word, Phase::settling);
        return (word & cancel_flag) == 0 ? asked_to_stop(moved, reason) : moved;
    }
    bool exchange_if(Word& word, Word to)
    {
        return word_.compare_exchange_weak(word, to, std::memory_order::acq_rel, std::memory_order::relaxed);
    }
    bool move(Phase from, Phase to, Word& before)
    {
        before = word_.load(std::memory_order::relaxed);
        while (phase_of(before) == from) {
            if (exchange_if(before, with_phase(before, to)))
                return true;
        }
        return false;
    }

    // See the top of the file. Phases: the winner of a step; flags: as noted at each; references: every holder.
    typename Atomics::template Atomic<Word> word_;
};

using NodeState = BasicNodeState<>;

}  // namespace execq::core
