// bench/harness. See runner.h.
#include "harness/runner.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>

#include "harness/isolate.h"
#include "harness/options.h"
#include "harness/statistics.h"

namespace bench {
namespace {

// The samples as JSON, an object a line. No name in the suite holds a character that JSON would want escaped.
class SampleFile {
public:
    explicit SampleFile(const std::string& path)
    {
        if (!path.empty() && (file_ = std::fopen(path.c_str(), "ae")) == nullptr) {
            std::perror(path.c_str());
            std::exit(2);
        }
    }
    SampleFile(const SampleFile&) = delete;
    SampleFile& operator=(const SampleFile&) = delete;
    ~SampleFile()
    {
        if (file_ != nullptr)
            std::fclose(file_);
    }

    void write(const Case& one, const Entry& entry, unsigned repetition, const std::optional<Figures>& figures)
    {
        if (file_ == nullptr)
            return;
        const Params& p = one.params;
        std::fprintf(file_, R"({"scenario":"%s","case":"%s","peer":"%s","version":"%s","repetition":%u,"failed":%s,)",
                     one.scenario.c_str(), one.label.c_str(), entry.peer, entry.version().c_str(), repetition,
                     figures ? "false" : "true");
        std::fprintf(file_, R"("params":{"threads":%u,"producers":%u,"tasks":%llu,"window":%llu,"rounds":%llu,)",
                     p.threads, p.producers, static_cast<unsigned long long>(p.tasks),
                     static_cast<unsigned long long>(p.window), static_cast<unsigned long long>(p.rounds));
        std::fprintf(file_, R"("pause_ms":%lld,"least_ms":%lld},"figures":{)", static_cast<long long>(p.pause_ms),
                     static_cast<long long>(p.least_ms));
        const char* between = "";
        for (const auto& [name, value] : figures.value_or(Figures{})) {
            std::fprintf(file_, "%s\"%s\":%.9g", between, name.c_str(), value);
            between = ",";
        }
        std::fprintf(file_, "}}\n");
        std::fflush(file_);
    }

private:
    std::FILE* file_ = nullptr;
};

// Figures of one peer in one case, by their names, in the order in which the scenario gives them.
struct Row {
    std::vector<std::string> names;
    std::map<std::string, std::vector<double>> values;
    unsigned failed = 0;

    void add(const std::optional<Figures>& figures)
    {
        if (!figures) {
            ++failed;
            return;
        }
        for (const auto& [name, value] : *figures) {
            if (values.count(name) == 0)
                names.push_back(name);
            values[name].push_back(value);
        }
    }
    void print(const char* peer) const
    {
        std::printf("  %-16s", peer);
        for (const std::string& name : names) {
            const std::vector<double>& figures = values.at(name);
            const auto [least, most] = std::minmax_element(figures.begin(), figures.end());
            std::printf(" %s %.4g (%.4g-%.4g)", name.c_str(), median(figures), *least, *most);
        }
        if (failed > 0)
            std::printf("  FAILED %u times", failed);
        std::printf("\n");
    }
};

class CaseRunner {
public:
    CaseRunner(const Scenario& scenario, const Case& one, const Options& options, SampleFile& file)
        : one_(one), options_(options), file_(file), side_by_side_(scenario.side_by_side)
    {
        for (const Entry& entry : scenario.entries) {
            if (options.peers.empty() ||
                std::find(options.peers.begin(), options.peers.end(), entry.peer) != options.peers.end())
                entries_.push_back(entry);
        }
        rows_.resize(entries_.size());
    }

    // Answers how many samples failed.
    unsigned run()
    {
        std::printf("%s %s\n", one_.scenario.c_str(), one_.label.c_str());
        std::fflush(stdout);
        for (unsigned repetition = 0; repetition < one_.repetitions && !entries_.empty(); ++repetition) {
            if (side_by_side_ && !options_.in_process)
                all_at_once(repetition);
            else
                in_turn(repetition);
        }
        unsigned failed = 0;
        for (std::size_t i = 0; i < entries_.size(); ++i) {
            rows_[i].print(entries_[i].peer);
            failed += rows_[i].failed;
        }
        std::fflush(stdout);
        return failed;
    }

private:
    void keep(std::size_t i, unsigned repetition, const std::optional<Figures>& figures)
    {
        rows_[i].add(figures);
        file_.write(one_, entries_[i], repetition, figures);
    }

    void in_turn(unsigned repetition)
    {
        for (std::size_t turn = 0; turn < entries_.size(); ++turn) {
            const std::size_t i = (turn + repetition) % entries_.size();
            if (options_.in_process)
                keep(i, repetition, entries_[i].run(one_.params));
            else
                keep(i, repetition, Child(entries_[i].run, one_.params).figures(options_.limit_s));
        }
    }

    void all_at_once(unsigned repetition)
    {
        std::vector<Child> children;
        children.reserve(entries_.size());
        for (const Entry& entry : entries_)
            children.emplace_back(entry.run, one_.params);
        for (std::size_t i = 0; i < entries_.size(); ++i)
            keep(i, repetition, children[i].figures(options_.limit_s));
    }

    const Case& one_;
    const Options& options_;
    SampleFile& file_;
    bool side_by_side_;
    std::vector<Entry> entries_;
    std::vector<Row> rows_;
};

void list(const Family& family)
{
    for (const Scenario& scenario : family.scenarios) {
        std::printf("%-8s %s\n        ", scenario.name, scenario.what);
        for (const Entry& entry : scenario.entries)
            std::printf(" %s", entry.peer);
        std::printf("\n");
    }
}

// A name that nothing has is a mistake of the command line: it must not pass as a run without failures.
bool names_are_known(const Family& family, const Options& options)
{
    const auto known = [&family](auto matches) {
        return std::any_of(family.scenarios.begin(), family.scenarios.end(), matches);
    };
    for (const std::string& name : options.scenarios) {
        if (!known([&name](const Scenario& scenario) { return scenario.name == name; })) {
            std::fprintf(stderr, "no scenario %s here; see --list\n", name.c_str());
            return false;
        }
    }
    for (const std::string& name : options.peers) {
        const auto is_it = [&name](const Entry& entry) { return entry.peer == name; };
        if (!known([&is_it](const Scenario& scenario) {
                return std::any_of(scenario.entries.begin(), scenario.entries.end(), is_it);
            })) {
            std::fprintf(stderr, "no peer %s here; see --list\n", name.c_str());
            return false;
        }
    }
    return true;
}

}  // namespace

int run_family(const Family& family, int argc, char** argv)
{
    const Options options = read_options(argc, argv);
    if (options.list) {
        list(family);
        return 0;
    }
    if (!names_are_known(family, options))
        return 2;
    SampleFile file(options.json);
    unsigned failed = 0;
    for (const Case& one : chosen_cases(family, options)) {
        for (const Scenario& scenario : family.scenarios) {
            if (one.scenario == scenario.name)
                failed += CaseRunner(scenario, one, options, file).run();
        }
    }
    return failed == 0 ? 0 : 1;
}

}  // namespace bench
