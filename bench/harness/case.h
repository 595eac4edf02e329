// bench/harness. What is measured: scenarios, their parameters, and the figures that one sample gives.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace bench {

// One case of a scenario. A scenario reads what it needs and ignores the rest.
struct Params {
    unsigned threads = 2;
    unsigned producers = 1;
    std::uint64_t tasks = 0;   // tasks (A, B, F, M), completions (E), depth of the tree (C), depth of the queue (drain)
    std::uint64_t window = 0;  // E: in flight. B: futures in hand before they are read, 0 for all
    std::uint64_t rounds = 0;  // D, DC: rounds of one sample
    std::int64_t pause_ms = 0;  // DC: idleness before each round. F: after draining. H: what is measured
    std::int64_t least_ms = 0;  // A, B, C, E: a sample repeats its round until it has lasted this long
};

// Name and value. The name ends with its unit: "mtasks_per_s", "p50_us".
using Figures = std::vector<std::pair<std::string, double>>;

// One sample of one peer. It runs in a process of its own.
using Run = Figures (*)(const Params&);

struct Entry {
    const char* peer;
    std::string (*version)();
    Run run;
};

struct Scenario {
    const char* name;
    const char* what;            // one line for --list
    std::vector<Entry> entries;  // one for each peer that can do it
    bool side_by_side = false;   // all peers at once: only for processes that do nothing
};

struct Case {
    std::string scenario;
    std::string label;  // tells the cases of a scenario apart: "2/1"
    Params params;
    unsigned repetitions = 1;
};

enum class Suite { full, quick, smoke, growth };

// What a program adds to the harness.
struct Family {
    std::vector<Scenario> scenarios;
    std::vector<Case> (*cases)(Suite);
};

}  // namespace bench
