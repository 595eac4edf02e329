// Floor 0. Waiting for a moment without giving the processor away, for what is about to happen on another one.
#pragma once

#include <cstdint>
#include <sched.h>

#include "base/clock.h"

namespace execq::core {

inline void pause_processor()
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// False on a single processor, where nothing else happens while one spins.
inline bool spinning_helps()
{
    static const bool several = [] {
        cpu_set_t set;
        return sched_getaffinity(0, sizeof set, &set) != 0 || CPU_COUNT(&set) > 1;
    }();
    return several;
}

// Spins until ready() or for so many nanoseconds, with so many pauses between two looks: each look at what others write
// costs them something too.
template <class Ready>
bool spin_for(std::int64_t ns, unsigned pauses, const Ready& ready)
{
    const std::int64_t end = now_ns() + ns;
    while (!ready()) {
        for (unsigned i = 0; i < pauses; ++i)
            pause_processor();
        if (now_ns() >= end)
            return ready();
    }
    return true;
}

}  // namespace execq::core
