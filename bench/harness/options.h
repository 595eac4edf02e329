// bench/harness. The command line, the same for all programs of the suite.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/case.h"

namespace bench {

struct Options {
    Suite suite = Suite::full;
    std::vector<std::string> scenarios;  // empty: all
    std::vector<std::string> peers;      // empty: all
    std::string json;                    // file for the samples; empty: none
    bool list = false;
    bool in_process = false;     // no process of its own for each sample: for profilers
    std::int64_t limit_s = 180;  // a sample that takes longer is ended and counts as failed

    // What replaces the parameters of the suite's cases.
    std::optional<unsigned> threads, producers, repetitions;
    std::optional<std::uint64_t> tasks, window, rounds;
    std::optional<std::int64_t> pause_ms, least_ms;
};

// Ends the program with a usage text where the command line is wrong.
Options read_options(int argc, char** argv);

// The cases to run: those of the suite that were asked for, with the parameters that were given, each one once.
std::vector<Case> chosen_cases(const Family& family, const Options& options);

}  // namespace bench
