// Floor 2. What keeps a worker's place, and its worker, alive: one word.
//
//   bits 0–31   uses: promises that are open here, and callbacks on their way; the worker drives its loop for them
//   bit 32      the worker, or who owns it
//   bits 33–63  guests, which keep the place alone: promises that somebody still holds, and who is inside of a call
//
// At 0 the place is freed, by who took the last unit. Who ends the last use is a guest until it has woken the loop, whose
// thread looks at the uses whenever it is woken, and leaves once there are none.
//
// The model in tests/model/place_model.cc covers it.
#pragma once

#include <cstdint>

#include "base/atomics.h"

namespace execq::core {

template <class Atomics = StdAtomics>
class PlaceUses {
public:
    bool used() const { return (word_.load(std::memory_order::acquire) & use_mask) != 0; }

    // By who keeps the place already.
    void begin() { word_.fetch_add(1, std::memory_order::relaxed); }
    void add_guest() { word_.fetch_add(guest_unit, std::memory_order::relaxed); }

    // The caller's use is over, and it is a guest instead. True: that was the last one, and the loop is to be woken.
    [[nodiscard]] bool end_as_guest()
    {
        return (word_.fetch_add(guest_unit - 1, std::memory_order::acq_rel) & use_mask) == 1;
    }
    // True: nobody is left, the caller frees.
    [[nodiscard]] bool end_guest() { return give_up(guest_unit); }
    [[nodiscard]] bool end_owner() { return give_up(owner_unit); }

private:
    static constexpr std::uint64_t owner_unit = std::uint64_t{1} << 32;
    static constexpr std::uint64_t guest_unit = std::uint64_t{1} << 33;
    static constexpr std::uint64_t use_mask = owner_unit - 1;

    bool give_up(std::uint64_t units) { return word_.fetch_sub(units, std::memory_order::acq_rel) == units; }

    // See the top of the file.
    typename Atomics::template Atomic<std::uint64_t> word_{owner_unit};
};

}  // namespace execq::core
