// bench/harness. See options.h.
#include "harness/options.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string_view>

namespace bench {
namespace {

constexpr const char* usage = R"(usage: %s [OPTION…]

  --full | --quick | --smoke | --growth   which cases (default: --full)
  --scenario A,B     only these            --peers execq,tbb  only these
  --threads N        these values take the place of the suite's:
  --producers N  --tasks N  --window N  --rounds N  --pause-ms N  --least-ms N  --reps N
  --json FILE        append one JSON object for each sample
  --limit-s N        end a sample that takes longer (default 180)
  --in-process       all samples in this process: for profilers, with one peer and one repetition
  --list             what there is

Each sample runs in a process of its own; the peers take turns within each repetition.
)";

[[noreturn]] void fail(const char* program, const std::string& why)
{
    std::fprintf(stderr, "%s: %s\n", program, why.c_str());
    std::fprintf(stderr, usage, program);
    std::exit(2);
}

std::vector<std::string> split(const std::string& text)
{
    std::vector<std::string> parts;
    std::istringstream stream(text);
    for (std::string part; std::getline(stream, part, ',');)
        parts.push_back(part);
    return parts;
}

class Reader {
public:
    Reader(int argc, char** argv) : program_(argv[0]), next_(argv + 1), end_(argv + argc) {}

    Options read()
    {
        while (next_ != end_)
            take(*next_++);
        return options_;
    }

private:
    const char* value(std::string_view name)
    {
        if (next_ == end_)
            fail(program_, std::string(name) + " needs a value");
        return *next_++;
    }

    template <class Number>
    Number number(std::string_view name)
    {
        const char* text = value(name);
        Number result{};
        const char* end = text + std::strlen(text);
        if (std::from_chars(text, end, result).ptr != end || text == end)
            fail(program_, std::string(name) + " needs a number");
        return result;
    }

    void take(std::string_view name)
    {
        if (!take_flag(name) && !take_value(name))
            fail(program_, "unknown option " + std::string(name));
    }

    bool take_flag(std::string_view name)
    {
        if (name == "--full")
            options_.suite = Suite::full;
        else if (name == "--quick")
            options_.suite = Suite::quick;
        else if (name == "--smoke")
            options_.suite = Suite::smoke;
        else if (name == "--growth")
            options_.suite = Suite::growth;
        else if (name == "--list")
            options_.list = true;
        else if (name == "--in-process")
            options_.in_process = true;
        else
            return false;
        return true;
    }

    bool take_value(std::string_view name)
    {
        if (name == "--scenario")
            options_.scenarios = split(value(name));
        else if (name == "--peers")
            options_.peers = split(value(name));
        else if (name == "--json")
            options_.json = value(name);
        else if (name == "--limit-s")
            options_.limit_s = number<std::int64_t>(name);
        else
            return take_parameter(name);
        return true;
    }

    bool take_parameter(std::string_view name)
    {
        if (name == "--threads")
            options_.threads = number<unsigned>(name);
        else if (name == "--producers")
            options_.producers = number<unsigned>(name);
        else if (name == "--reps")
            options_.repetitions = number<unsigned>(name);
        else if (name == "--tasks")
            options_.tasks = number<std::uint64_t>(name);
        else if (name == "--window")
            options_.window = number<std::uint64_t>(name);
        else if (name == "--rounds")
            options_.rounds = number<std::uint64_t>(name);
        else if (name == "--pause-ms")
            options_.pause_ms = number<std::int64_t>(name);
        else if (name == "--least-ms")
            options_.least_ms = number<std::int64_t>(name);
        else
            return false;
        return true;
    }

    const char* program_;
    char** next_;
    char** end_;
    Options options_;
};

void replace(Case& one, const Options& options)
{
    Params& params = one.params;
    params.threads = options.threads.value_or(params.threads);
    params.producers = options.producers.value_or(params.producers);
    params.tasks = options.tasks.value_or(params.tasks);
    params.window = options.window.value_or(params.window);
    params.rounds = options.rounds.value_or(params.rounds);
    params.pause_ms = options.pause_ms.value_or(params.pause_ms);
    params.least_ms = options.least_ms.value_or(params.least_ms);
    one.repetitions = options.repetitions.value_or(one.repetitions);
    if ((options.threads || options.producers) && one.label.find('/') != std::string::npos)
        one.label = std::to_string(params.threads) + "/" + std::to_string(params.producers);
}

bool wanted(const std::vector<std::string>& names, const std::string& name)
{
    return names.empty() || std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

Options read_options(int argc, char** argv) { return Reader(argc, argv).read(); }

std::vector<Case> chosen_cases(const Family& family, const Options& options)
{
    std::vector<Case> chosen;
    for (Case& one : family.cases(options.suite)) {
        if (!wanted(options.scenarios, one.scenario))
            continue;
        replace(one, options);
        const auto same = [&one](const Case& other) {
            return other.scenario == one.scenario && other.label == one.label;
        };
        if (std::none_of(chosen.begin(), chosen.end(), same))
            chosen.push_back(one);
    }
    return chosen;
}

}  // namespace bench
