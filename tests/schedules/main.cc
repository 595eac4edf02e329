// Runs a scenario once for each of many seeds, each in a copy of this process, or one seed with its trace.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <link.h>
#include <malloc.h>
#include <map>
#include <sched.h>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "scenario.h"

using namespace schedules;

namespace {

constexpr unsigned hang_limit_s = 60;  // a thread is blocked where the scheduler does not see it
constexpr std::uint64_t shown_steps = 80;
constexpr std::uint64_t always_twice = 10;  // of the seeds, the first

struct Arguments {
    std::uint64_t seeds = 2'000;
    std::uint64_t first = 0;
    bool one = false;    // --seed
    bool twice = false;  // each seed two times, which have to be the same
    bool trace = false;
};

struct Figures {
    std::uint64_t runs = 0, steps = 0, switches = 0;
    std::map<std::uint64_t, std::uint64_t> schedules;  // by hash

    unsigned long long average(std::uint64_t sum) const { return runs == 0 ? 0 : sum / runs; }
};

Report* report = nullptr;

// Without this, what is hashed by its address lies elsewhere in each process. Where it is refused, only that differs.
void keep_addresses(char** arguments)
{
    const int before = personality(0xffffffff);
    if (before == -1 || (before & ADDR_NO_RANDOMIZE) != 0 || getenv("EXECQ_SCHEDULES_ADDRESSES") != nullptr)
        return;
    setenv("EXECQ_SCHEDULES_ADDRESSES", "1", 1);
    if (personality(static_cast<unsigned long>(before) | ADDR_NO_RANDOMIZE) != -1)
        execv("/proc/self/exe", arguments);
}

// A turn is handed over fastest on one processor.
void stay_on_this_processor()
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<std::size_t>(sched_getcpu()), &set);
    (void)sched_setaffinity(0, sizeof set, &set);
}

[[noreturn]] void run_child(const Plan& plan)
{
    alarm(hang_limit_s);
    stay_on_this_processor();
    begin(plan, *report);
    scenario.run();
    if (waited_ns() > scenario.patience_ns)
        fail("a wake-up is missing: %lld ns of timed waits had to end before the scenario could go on",
             static_cast<long long>(waited_ns()));
    report->failed = 0;
    _exit(0);
}

// False: it failed, and report->text says how.
bool run_once(const Plan& plan)
{
    memset(report, 0, offsetof(Report, trace));
    report->failed = -1;
    std::fflush(stdout);
    const pid_t child = _Fork();  // no handlers: for the library this is the first process
    if (child == 0)
        run_child(plan);
    int status = 0;
    while (waitpid(child, &status, 0) == -1 && errno == EINTR) {
    }
    if (report->failed == -1 && WIFSIGNALED(status))
        std::snprintf(report->text, sizeof report->text, "killed by signal %d (%s)%s\n", WTERMSIG(status),
                      strsignal(WTERMSIG(status)),
                      WTERMSIG(status) == SIGALRM ? ": a thread blocks where the scheduler does not see it" : "");
    return report->failed == 0;
}

// ---- what is shown ----

// Where operations stand, by addr2line; empty where that is not to be had.
class Places {
public:
    explicit Places(const std::vector<std::uintptr_t>& pcs)
    {
        dl_iterate_phdr(
            [](dl_phdr_info* program, std::size_t, void* base) {
                *static_cast<std::uintptr_t*>(base) = program->dlpi_addr;
                return 1;
            },
            &base_);
        std::string command = "addr2line -aCfi -e /proc/" + std::to_string(getpid()) + "/exe";
        for (const std::uintptr_t pc : pcs) {
            char text[32];
            std::snprintf(text, sizeof text, " %#zx", pc - 1 - base_);
            command += text;
        }
        FILE* output = popen((command + " 2>/dev/null").c_str(), "r");
        if (output == nullptr)
            return;
        read(output);
        pclose(output);
    }
    std::string of(std::uintptr_t pc) const
    {
        const auto found = places_.find(pc - 1 - base_);
        return found != places_.end() ? found->second : std::string();
    }

private:
    static bool line(FILE* output, std::string& text)
    {
        char buffer[4096];
        if (std::fgets(buffer, sizeof buffer, output) == nullptr)
            return false;
        text = buffer;
        text.erase(std::remove(text.begin(), text.end(), '\n'), text.end());
        return true;
    }
    // An address, then pairs of a function and its place, the innermost first: the first that is not of the compiler's.
    void read(FILE* output)
    {
        std::string function, place;
        std::uintptr_t at = 0;
        while (line(output, function)) {
            if (function.rfind("0x", 0) == 0) {
                at = std::strtoull(function.c_str(), nullptr, 16);
                continue;
            }
            if (!line(output, place))
                return;
            if (place.rfind("/usr/", 0) == 0 || places_.count(at) != 0)
                continue;
            place = place.substr(place.rfind('/') + 1);
            places_[at] = bare(function) + ", " + place.substr(0, place.find(' '));
        }
    }
    // Without what it takes, what it gives, and what its templates are made with.
    static std::string bare(const std::string& function)
    {
        std::string name;
        int inside = 0;
        for (const char c : function.substr(0, function.find('('))) {
            inside -= c == '>' ? 1 : 0;
            if (inside == 0 && c != '<' && c != '>')
                name += c;
            inside += c == '<' ? 1 : 0;
        }
        name = name.substr(name.rfind(' ') + 1);
        return name.rfind("execq::core::", 0) == 0 ? name.substr(13) : name;
    }

    std::uintptr_t base_ = 0;
    std::map<std::uintptr_t, std::string> places_;
};

void show_trace(std::uint64_t most)
{
    const std::uint64_t shown = std::min({most, report->steps, std::uint64_t{trace_size}});
    std::vector<std::uintptr_t> pcs;
    for (std::uint64_t i = report->steps - shown; i < report->steps; ++i) {
        const Step& step = report->trace[i % trace_size];
        if (step.pc != 0 && std::find(pcs.begin(), pcs.end(), step.pc) == pcs.end())
            pcs.push_back(step.pc);
    }
    const Places places(pcs);
    std::printf("the last %llu of %llu steps:\n", static_cast<unsigned long long>(shown),
                static_cast<unsigned long long>(report->steps));
    for (std::uint64_t i = report->steps - shown; i < report->steps; ++i) {
        const Step& step = report->trace[i % trace_size];
        std::printf("%7u  thread %-2u %s%s%s\n", step.number, step.thread, step.name, step.pc != 0 ? "  " : "",
                    step.pc != 0 ? places.of(step.pc).c_str() : "");
    }
}

void show_failure(std::uint64_t seed, std::uint64_t most)
{
    std::printf("%s: seed %llu: %s", scenario.name, static_cast<unsigned long long>(seed), report->text);
    show_trace(most);
    std::printf("replay: ./run schedules %s --seed %llu\n", scenario.name, static_cast<unsigned long long>(seed));
}

// ---- what is asked for ----

bool same_again(const Plan& plan)
{
    const std::uint64_t hash = report->hash, steps = report->steps;
    const int failed = report->failed;
    run_once(plan);
    if (report->hash == hash && report->steps == steps && report->failed == failed)
        return true;
    std::printf("%s: seed %llu is not the same twice: %llu steps, then %llu\n", scenario.name,
                static_cast<unsigned long long>(plan.seed), static_cast<unsigned long long>(steps),
                static_cast<unsigned long long>(report->steps));
    return false;
}

int run_one(Plan plan, const Arguments& arguments)
{
    plan.seed = arguments.first;
    const bool fine = run_once(plan);
    if (!fine) {
        show_failure(plan.seed, arguments.trace ? trace_size : shown_steps);
    } else {
        if (arguments.trace)
            show_trace(trace_size);
        std::printf("%s: seed %llu passes: %llu steps, %llu switches, trace %016llx\n", scenario.name,
                    static_cast<unsigned long long>(plan.seed), static_cast<unsigned long long>(report->steps),
                    static_cast<unsigned long long>(report->switches), static_cast<unsigned long long>(report->hash));
    }
    return fine == !scenario.faulty ? 0 : 1;
}

int run_many(Plan plan, const Arguments& arguments)
{
    Figures figures;
    for (std::uint64_t i = 0; i < arguments.seeds; ++i) {
        plan.seed = arguments.first + i;
        const unsigned long long number = i + 1;
        const bool fine = run_once(plan);
        figures.runs += 1;
        figures.steps += report->steps;
        figures.switches += report->switches;
        ++figures.schedules[report->hash];
        if ((arguments.twice || i < always_twice) && !same_again(plan))
            return 1;
        if (fine)
            continue;
        if (!scenario.faulty) {
            show_failure(plan.seed, shown_steps);
            std::printf("found by seed number %llu\n", number);
            return 1;
        }
        std::printf("%s: the fault is found by seed number %llu: %s", scenario.name, number, report->text);
        return same_again(plan) ? 0 : 1;
    }
    std::printf("%s: %llu seeds, %zu different schedules, on average %llu steps and %llu switches\n", scenario.name,
                static_cast<unsigned long long>(figures.runs), figures.schedules.size(), figures.average(figures.steps),
                figures.average(figures.switches));
    if (scenario.faulty)
        std::printf("%s: its fault is not found\n", scenario.name);
    return scenario.faulty ? 1 : 0;
}

bool read_arguments(int count, char** values, Arguments& arguments)
{
    for (int i = 1; i < count; ++i) {
        const std::string_view name = values[i];
        const auto number = [&] { return std::strtoull(++i < count ? values[i] : "0", nullptr, 10); };
        if (name == "--seeds") {
            arguments.seeds = number();
        } else if (name == "--first") {
            arguments.first = number();
        } else if (name == "--seed") {
            arguments.first = number();
            arguments.one = true;
        } else if (name == "--twice") {
            arguments.twice = true;
        } else if (name == "--trace") {
            arguments.trace = true;
        } else {
            std::fprintf(stderr, "usage: %s [--seeds N] [--first SEED] [--twice] | --seed SEED [--trace]\n", values[0]);
            return false;
        }
    }
    return true;
}

}  // namespace

int main(int count, char** values)
{
    Arguments arguments;
    if (!read_arguments(count, values, arguments))
        return 2;
    keep_addresses(values);
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_PERTURB, 0xa5);  // what is used after it was freed is nonsense
    void* memory = mmap(nullptr, sizeof(Report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return 2;
    report = static_cast<Report*>(memory);
    // How long it is, which the steps are drawn from at which priorities change.
    Plan plan;
    plan.preempt = false;
    const bool fine = run_once(plan);
    if (!fine && !scenario.faulty) {
        std::printf("without any preemption:\n");
        show_failure(0, shown_steps);
        return 1;
    }
    plan.length = report->decided;
    plan.preempt = true;
    return arguments.one ? run_one(plan, arguments) : run_many(plan, arguments);
}
