// bench/harness. A sample in a process of its own, so that no peer meets what another one left behind: threads, arenas
// of malloc, resident memory, the pool of libuv whose size is set once for all.
//
// Threads: the measuring process has one thread only while it does this, so that a fork is whole.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

#include "harness/case.h"

namespace bench {

class Child {
public:
    // Forks; the child runs the sample and ends.
    Child(Run run, const Params& params);
    Child(Child&& other) noexcept;
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    Child& operator=(Child&&) = delete;
    ~Child();

    // Waits for the figures; nothing if the sample crashed, or was still running after limit_s and was killed.
    std::optional<Figures> figures(std::int64_t limit_s);

private:
    pid_t pid_ = -1;
    int pipe_ = -1;
};

}  // namespace bench
