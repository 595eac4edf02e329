// Floor 0. What sleepers wait for changes under a mutex, and with it a word, on which they sleep outside of it.
//
// Who waits looks under the mutex whether it has come, and takes the word along; the sleep ends once the word is another
// one, also where it changed before the sleep began. The model in tests/model/turn_word_model.cc covers it.
#pragma once

#include <cstdint>

#include "base/atomics.h"
#include "base/clock.h"
#include "base/futex.h"

namespace execq::core {

template <class Atomics = StdAtomics, class Sleep = FutexSleep>
class BasicTurnWord {
public:
    // ---- under the mutex ----
    std::uint32_t now() const { return word_.load(std::memory_order::relaxed); }
    // Wakes nobody yet.
    void advance() { word_.fetch_add(1, std::memory_order::relaxed); }

    // ---- any thread ----
    void wake_one() { Sleep::wake_one(&word_); }
    void wake_all() { Sleep::wake_all(&word_); }
    // While the word is that; may end early: the caller looks again.
    void sleep(std::uint32_t seen, Deadline deadline) { Sleep::wait(&word_, seen, deadline); }

private:
    typename Atomics::template Atomic<std::uint32_t> word_{0};
};

using TurnWord = BasicTurnWord<>;

}  // namespace execq::core
