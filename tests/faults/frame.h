// The frame of a fault test. A scenario is a function: it sets up, acts with the faults on, checks, and tears down. It runs in a
// child of its own for each fault, which fails at the k-th call, once or from then on, for k = 1, 2, 3 … until a run meets no
// fault any more. So each run starts with a library that nobody has used yet, and an abort, a crash or a hang is told from
// all others. After it the same scenario runs once more, without faults ("the next try works"); then what is left of memory,
// descriptors and threads has to be what is left of two runs without any.
#pragma once

#include <execq/execq.h>

#include <atomic>
#include <initializer_list>

#include "interposer.h"

namespace faults {

// Ends the child, saying what was not so.
[[noreturn]] void wrong(const char* file, int line, const char* what);
[[noreturn]] void wrong_status(const char* file, int line, const char* what, execq_status status);

#define FAULTS_EXPECT(condition)                           \
    do {                                                   \
        if (!(condition))                                  \
            faults::wrong(__FILE__, __LINE__, #condition); \
    } while (0)

#define FAULTS_EXPECT_OK(call)                                        \
    do {                                                              \
        const execq_status status_ = (call);                          \
        if (status_ != EXECQ_OK)                                      \
            faults::wrong_status(__FILE__, __LINE__, #call, status_); \
    } while (0)

// What an out-parameter holds that must stay as it is.
template <class T>
T* untouched()
{
    return reinterpret_cast<T*>(0x5a5a5a5a);
}

// Faults are on while it lives.
class UnderFaults {
public:
    UnderFaults() { turn_on(); }
    ~UnderFaults() { turn_off(); }
    UnderFaults(const UnderFaults&) = delete;
    UnderFaults& operator=(const UnderFaults&) = delete;
};

// Faults are off while it lives, however often they were on.
class Calm {
public:
    Calm() : times_(off()) {}
    ~Calm() { restore(times_); }
    Calm(const Calm&) = delete;
    Calm& operator=(const Calm&) = delete;

private:
    const int times_;
};

// Whether a call may answer this where something of that kind has failed.
bool fits(Kind kind, execq_status status);

// The counts of an executor that a call which fails must not change.
class Counts {
public:
    explicit Counts(execq_executor* executor);
    bool operator==(const Counts& other) const;

private:
    std::uint64_t queued_ = 0;
    std::uint64_t queued_async_ = 0;
    std::uint64_t delayed_ = 0;
    std::uint64_t async_open_ = 0;
    std::uint64_t loops_ = 0;
    std::uint64_t completed_ = 0;  // submitted and not ended, where the executor counts that
};

// One run of a scenario.
class Run {
public:
    Run(Kind kind, bool faulty) : kind_(kind), faulty_(faulty) {}

    Kind kind() const { return kind_; }
    // With faults in it.
    bool faulty() const { return faulty_; }
    // Whether a call that did its work may have answered this instead, because of a fault.
    bool excused(execq_status status) const { return faulty_ && fits(kind_, status); }

    // Makes a call with the faults on. Where it fails, it has to do so with a status that fits, and to have changed nothing:
    // neither unchanged() nor the counts of the executor (null: none). Without faults it then succeeds.
    template <class Call, class Unchanged>
    void attempt(execq_executor* executor, const Call& call, const Unchanged& unchanged)
    {
        const Counts before = calmly(executor);
        const execq_status status = [&] {
            const UnderFaults on;
            return call();
        }();
        if (status == EXECQ_OK)
            return;
        const Calm calm;
        if (!excused(status))
            wrong_status(__FILE__, __LINE__, "a call under faults", status);
        unchanged();
        FAULTS_EXPECT(executor == nullptr || before == Counts(executor));
        FAULTS_EXPECT_OK(call());
    }
    template <class Call>
    void attempt(const Call& call)
    {
        attempt(nullptr, call, [] {});
    }

private:
    static Counts calmly(execq_executor* executor)
    {
        const Calm calm;
        return Counts(executor);
    }

    const Kind kind_;
    const bool faulty_;
};

struct Scenario {
    const char* name;
    void (*run)(Run& run);
    bool only_once = false;  // it ends something of the process for good
};

// All there are, from the files of scenarios.
struct Scenarios {
    const Scenario* first;
    std::size_t n;
};

// Runs what the arguments name (all, if nothing), prints what came out; the exit code of main().
int sweep(std::initializer_list<Scenarios> all, int argc, char** argv);

}  // namespace faults
