// Floor 0. A count of references. The model in tests/model/cancel_slot_model.cc covers it.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/atomics.h"

namespace execq::core {

template <class Atomics = StdAtomics>
class BasicRefCount {
public:
    explicit BasicRefCount(std::uint32_t references) : references_(references) {}

    // By who has one. relaxed: it cannot become the last one meanwhile.
    void add() { references_.fetch_add(1, std::memory_order::relaxed); }
    // True: it was the last one. acq_rel: that comes after all that the others did.
    [[nodiscard]] bool drop() { return references_.fetch_sub(1, std::memory_order::acq_rel) == 1; }

private:
    typename Atomics::template Atomic<std::uint32_t> references_;
};

using RefCount = BasicRefCount<>;

}  // namespace execq::core
