#include "frame.h"

#include <dirent.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <set>
#include <string>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

namespace faults {

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

// A child that takes longer hangs; what has to go has to be gone after a third of that. FAULTS_SECONDS says otherwise.
unsigned hang_seconds()
{
    const char* given = std::getenv("FAULTS_SECONDS");
    return given != nullptr ? static_cast<unsigned>(std::atoi(given)) : sanitized ? 120 : 45;
}
// No scenario makes so many calls: one that goes on after each fault would go on for ever.
constexpr long most_calls = 2000;

struct Leftovers {
    long blocks;
    long descriptors;
    long threads;
};

// In memory that the child shares.
struct Shared {
    Record record;
    Leftovers left;
};

// ---- in the child ----

long entries_of(const char* directory)
{
    const Exempt counting;
    DIR* dir = opendir(directory);
    if (dir == nullptr)
        return -1;
    long n = 0;
    while (readdir(dir) != nullptr)
        ++n;
    closedir(dir);
    return n;
}

Leftovers leftovers() { return {live_blocks(), entries_of("/proc/self/fd"), entries_of("/proc/self/task")}; }

bool within(const Leftovers& left, const Leftovers& limit)
{
    return left.blocks <= limit.blocks && left.descriptors <= limit.descriptors && left.threads <= limit.threads;
}

std::int64_t now_ns()
{
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return std::int64_t{1'000'000'000} * now.tv_sec + now.tv_nsec;
}

void pause_briefly()
{
    const timespec pause{0, 200'000};
    nanosleep(&pause, nullptr);
}

// What threads that were told to end still hold goes within moments; what is left after seconds stays.
Leftovers settled_within(const Leftovers& limit)
{
    const std::int64_t end = now_ns() + std::int64_t{1'000'000'000} * hang_seconds() / 3;
    Leftovers left = leftovers();
    while (!within(left, limit) && now_ns() < end) {
        pause_briefly();
        left = leftovers();
    }
    return left;
}

// What is left once nothing has gone for a while.
Leftovers settled()
{
    constexpr int looks = 40;
    Leftovers least = leftovers();
    for (int same = 0; same < looks; ++same) {
        pause_briefly();
        const Leftovers left = leftovers();
        if (!within(least, left))
            same = 0;
        least = left;
    }
    return least;
}

void check_leaks()
{
#ifdef __SANITIZE_ADDRESS__
    if (__lsan_do_recoverable_leak_check() != 0)
        _exit(3);
#endif
}

[[noreturn]] void run_child(const Scenario& scenario, const Plan& plan, Shared& shared, const Leftovers* limit)
{
    alarm(hang_seconds());
    begin(plan, shared.record);
    Run faulty(plan.kind, plan.k != 0);
    scenario.run(faulty);
    end();
    Run again(plan.kind, false);
    if (!scenario.only_once)
        scenario.run(again);
    shared.left = limit != nullptr ? settled_within(*limit) : settled();
    if (limit != nullptr && !within(shared.left, *limit)) {
        std::fprintf(stderr, "left: %ld blocks (%ld), %ld descriptors (%ld), %ld threads (%ld)\n", shared.left.blocks,
                     limit->blocks, shared.left.descriptors, limit->descriptors, shared.left.threads, limit->threads);
        print_live_blocks();
        _exit(4);
    }
    check_leaks();
    _exit(0);
}

}  // namespace

void wrong(const char* file, int line, const char* what)
{
    (void)off();
    std::fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
    _exit(2);
}

void wrong_status(const char* file, int line, const char* what, execq_status status)
{
    (void)off();
    std::fprintf(stderr, "%s:%d: %s is %s\n", file, line, what, execq_status_name(status));
    _exit(2);
}

// A thread also needs memory, and libc says EAGAIN where it finds none.
bool fits(Kind kind, execq_status status)
{
    switch (kind) {
    case Kind::allocation:
    case Kind::operator_new:
        return status == EXECQ_ENOMEM || status == EXECQ_EAGAIN;
    case Kind::thread:
        return status == EXECQ_EAGAIN;
    case Kind::descriptor:
        return status == EXECQ_EMFILE;
    }
    return false;
}

Counts::Counts(execq_executor* executor)
{
    if (executor == nullptr)
        return;
    execq_stats stats = EXECQ_STATS_INIT;
    FAULTS_EXPECT_OK(execq_executor_stats(executor, &stats));
    queued_ = stats.queued;
    queued_async_ = stats.queued_async;
    delayed_ = stats.delayed;
    async_open_ = stats.async_open;
    loops_ = stats.loops;
    completed_ = stats.submitted - stats.completed_ok - stats.completed_failed - stats.completed_canceled;
}

bool Counts::operator==(const Counts& other) const
{
    return queued_ == other.queued_ && queued_async_ == other.queued_async_ && delayed_ == other.delayed_ &&
           async_open_ == other.async_open_ && loops_ == other.loops_ && completed_ == other.completed_;
}

// ---- in the parent ----

namespace {

struct Totals {
    long runs = 0;
    long sweeps = 0;  // of scenario, kind and mode, to their end
    long injected = 0;
    long deepest = 0;
    const char* deepest_in = "";
    long aborts = 0;
    long failures = 0;
};

enum class End { clean, faulty, libuv_abort, wrong };

bool in_object(const void* address, const char* name)
{
    Dl_info info{};
    return dladdr(address, &info) != 0 && info.dli_fname != nullptr && std::strstr(info.dli_fname, name) != nullptr;
}

bool in_libuv(void* address) { return in_object(address, "libuv"); }

// Frames of this program come first: how many depends on what was inlined.
bool called_by_libuv(const Injection& injection)
{
    int i = 0;
    while (i < injection.frames && in_object(injection.frame[i], "faults.sweep"))
        ++i;
    return i < injection.frames && in_libuv(injection.frame[i]);
}

// libuv ends the process in two places on these ways: before 1.51 where the table of a loop's watchers cannot grow
// (maybe_resize() of src/unix/core.c, the only one there that calls realloc), and where the pipe cannot be made that all loops of
// a process share (uv__signal_global_reinit() of src/unix/signal.c, the only one that calls pipe2). Nothing else is excused.
bool is_known_abort(const Record& record, int status)
{
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT || record.injected == 0 || !called_by_libuv(record.last))
        return false;
    return std::strcmp(record.last.call, "realloc") == 0 || std::strcmp(record.last.call, "pipe2") == 0;
}

// Says once of each place where libuv ended the process by which of its functions the program came there.
void note_abort(const Record& record)
{
    static std::set<std::string> known;
    for (int i = 0; i < record.last.frames; ++i) {
        Dl_info info{};
        if (!in_libuv(record.last.frame[i]) || dladdr(record.last.frame[i], &info) == 0 || info.dli_sname == nullptr)
            continue;
        const std::string place = std::string(record.last.call) + " in " + info.dli_sname;
        if (known.insert(place).second)
            std::printf("faults: libuv %s aborts where it fails: %s\n", uv_version_string(), place.c_str());
        return;
    }
}

void print_failure(const Scenario& scenario, const Plan& plan, const Record& record, int status)
{
    std::fprintf(stderr, "FAILED %s: %s %ld %s: ", scenario.name, name_of(plan.kind), plan.k,
                 plan.for_ever ? "and for ever after" : "once");
    if (WIFSIGNALED(status))
        std::fprintf(stderr, WTERMSIG(status) == SIGALRM ? "it hangs" : "signal %d", WTERMSIG(status));
    else
        std::fprintf(stderr, "exit code %d", WEXITSTATUS(status));
    if (record.injected == 0) {
        std::fprintf(stderr, ", without a fault\n");
        return;
    }
    std::fprintf(stderr, "; %ld faults, the last one %s of\n", record.injected, record.last.call);
    print_frames(record.last.frame, record.last.frames);
}

// Null limit: it is what says what is normal, and gets that.
End run_one(const Scenario& scenario, const Plan& plan, Leftovers& normal, bool sets_normal, Totals& totals)
{
    static auto* shared =
        static_cast<Shared*>(mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    new (shared) Shared{};
    ++totals.runs;
    const pid_t child = fork();
    if (child == 0)
        run_child(scenario, plan, *shared, sets_normal ? nullptr : &normal);
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
    }
    const Record& record = shared->record;
    totals.injected += record.injected;
    if (sets_normal)
        normal = shared->left;
    if (is_known_abort(record, status)) {
        ++totals.aborts;
        note_abort(record);
        return End::libuv_abort;
    }
    if (status != 0) {
        print_failure(scenario, plan, record, status);
        return End::wrong;
    }
    return record.injected == 0 ? End::clean : End::faulty;
}

void sweep_one(const Scenario& scenario, Kind kind, bool for_ever, Leftovers normal, Totals& totals)
{
    constexpr int most_failures = 3;
    int failures = 0;
    for (long k = 1;; ++k) {
        const End end = run_one(scenario, {kind, for_ever, k}, normal, false, totals);
        if (end == End::clean) {
            ++totals.sweeps;
            if (k - 1 > totals.deepest) {
                totals.deepest = k - 1;
                totals.deepest_in = scenario.name;
            }
            return;
        }
        if (end == End::wrong)
            ++totals.failures;
        if ((end == End::wrong && ++failures == most_failures) || k == most_calls) {
            std::fprintf(stderr, "FAILED %s: given up at %ld\n", scenario.name, k);
            return;
        }
    }
}

// What two runs without faults leave. Twice, as a cache may be filled by chance: the larger counts.
bool find_normal(const Scenario& scenario, Leftovers& normal, Totals& totals)
{
    for (int i = 0; i < 2; ++i) {
        Leftovers left{};
        if (run_one(scenario, {}, left, true, totals) == End::wrong) {
            ++totals.failures;
            return false;
        }
        normal = {std::max(normal.blocks, left.blocks), std::max(normal.descriptors, left.descriptors),
                  std::max(normal.threads, left.threads)};
    }
    return true;
}

void print_totals(const char* what, const Totals& totals, std::size_t scenarios)
{
    std::printf("faults: %s: %zu scenarios, %ld sweeps, %ld runs, %ld faults injected, deepest k %ld (%s), %ld aborts "
                "inside libuv, %ld failures\n",
                what, scenarios, totals.sweeps, totals.runs, totals.injected, totals.deepest, totals.deepest_in,
                totals.aborts, totals.failures);
}

void add(Totals& sum, const Totals& one)
{
    sum.runs += one.runs;
    sum.sweeps += one.sweeps;
    sum.injected += one.injected;
    if (one.deepest > sum.deepest) {
        sum.deepest = one.deepest;
        sum.deepest_in = one.deepest_in;
    }
    sum.aborts += one.aborts;
    sum.failures += one.failures;
}

// What the first unwinding of a process allocates must not be a fault's.
void warm_up()
{
    void* frames[4];
    (void)backtrace(frames, 4);
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
}

// Arguments: a scenario's name, a kind (0 to 3), "once" or "ever", k. All may be left out from the end.
struct Selection {
    explicit Selection(int argc, char** argv)
        : scenario(argc > 1 ? argv[1] : nullptr),
          kind(argc > 2 ? std::atoi(argv[2]) : -1),
          plan{static_cast<Kind>(std::max(kind, 0)), argc > 3 && std::strcmp(argv[3], "ever") == 0,
               argc > 4 ? std::atol(argv[4]) : 0}
    {}
    bool takes(const Scenario& one) const { return scenario == nullptr || std::strcmp(scenario, one.name) == 0; }
    bool takes(std::size_t one) const { return kind < 0 || static_cast<std::size_t>(kind) == one; }

    const char* scenario;
    int kind;
    Plan plan;
};

// All that the arguments select of one scenario.
void sweep_scenario(const Scenario& scenario, const Selection& selection, Totals (&totals)[kinds])
{
    Leftovers normal{};
    if (!find_normal(scenario, normal, totals[0]))
        return;
    if (selection.plan.k != 0) {
        Totals& one = totals[selection.kind];
        one.failures += run_one(scenario, selection.plan, normal, false, one) == End::wrong ? 1 : 0;
        return;
    }
    for (std::size_t kind = 0; kind < kinds; ++kind) {
        for (const bool for_ever : {false, true}) {
            if (selection.takes(kind))
                sweep_one(scenario, static_cast<Kind>(kind), for_ever, normal, totals[kind]);
        }
    }
}

}  // namespace

int sweep(std::initializer_list<Scenarios> all, int argc, char** argv)
{
    warm_up();
    const Selection selection(argc, argv);
    Totals totals[kinds];
    std::size_t scenarios = 0;
    for (const Scenarios& some : all) {
        for (std::size_t i = 0; i < some.n; ++i) {
            if (!selection.takes(some.first[i]))
                continue;
            ++scenarios;
            sweep_scenario(some.first[i], selection, totals);
        }
    }
    Totals sum;
    for (std::size_t kind = 0; kind < kinds; ++kind) {
        print_totals(name_of(static_cast<Kind>(kind)), totals[kind], scenarios);
        add(sum, totals[kind]);
    }
    print_totals("in all", sum, scenarios);
    return sum.failures == 0 && scenarios != 0 ? 0 : 1;
}

}  // namespace faults
