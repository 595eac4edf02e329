// What a process that runs for long must not use more and more of: counted, and judged at the end.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "stress.h"

struct Vitals {
    std::size_t descriptors = 0;
    std::size_t threads = 0;
    std::uint64_t resident = 0;  // bytes
};

// Counts what this process has now.
Vitals take_vitals();

// What was counted: once before the work, each second during it, and each time that everything had been joined.
class Chart {
public:
    // Patience is for threads of what was released and not joined, at each rest.
    Chart(const Vitals& before, std::chrono::seconds patience) : before_(before), patience_(patience) {}

    void note_busy(const Vitals& vitals) { busy_.push_back(vitals); }
    // Says and notes what is left over.
    void note_rest();

    // Prints the figures. True where each rest had as many descriptors and threads as before the work, and the median of what
    // was resident in the second half of the busy seconds is within the bound of that of the first half.
    bool judge() const;

    // The second half may have a tenth more, and 8 MiB; with a sanitizer, which remembers each thread that there was, a half
    // more, and 64 MiB.
    static constexpr std::uint64_t resident_bound(std::uint64_t first)
    {
        constexpr std::uint64_t mebibyte = std::uint64_t{1024} * 1024;
        return sanitized ? first + first / 2 + 64 * mebibyte : first + first / 10 + 8 * mebibyte;
    }

private:
    Vitals before_;
    std::chrono::seconds patience_;
    std::vector<Vitals> busy_;
    std::size_t rests_ = 0;
    std::size_t unequal_ = 0;
};
