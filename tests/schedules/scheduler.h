// Threads of the real library, one at a time, in the order that a seed chooses.
//
// A thread that takes part holds the turn or waits for it. At each point, that is before each atomic operation of the
// library, at each step that it names (src/base/sync_point.h), and wherever a thread would block, the holder asks which
// thread is next and hands the turn over. Nothing else decides: the clock is ours (it goes on by a microsecond each time
// it is read, and to the end of a timed wait where nothing else can run), the processors are said to be two, and each
// seed runs in a new copy of one process, at the same addresses. So a seed is an interleaving, and is the same again.
//
// It explores orders of whole steps. What weaker memory orders add is for the models and for ThreadSanitizer.
//
// Threads: whoever has the turn owns all of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <poll.h>
#include <pthread.h>

namespace schedules {

constexpr std::int64_t never_ns = INT64_MAX;
constexpr std::size_t trace_size = 1U << 16;  // a power of two; the last ones are kept

// What a seed did, in memory that the parent shares.
struct Step {
    const char* name;
    std::uintptr_t pc;  // of the operation; 0: the name says it
    std::uint32_t thread;
    std::uint32_t number;
};
struct Report {
    std::uint64_t steps;    // all of them
    std::uint64_t decided;  // those of them at which the seed decided
    std::uint64_t hash;     // of all of them
    std::uint64_t switches;
    std::int64_t waited_ns;  // by how much the clock went on because nothing else could run
    int failed;
    char text[16384];
    Step trace[trace_size];
};

// What decides. A seed stands for one of several ways: a random walk that leaves a thread with some probability, or
// priorities that change at a few steps, drawn among `length` (PCT, Burckhardt et al. 2010).
struct Plan {
    std::uint64_t seed = 0;
    std::uint64_t length = 1;
    bool preempt = true;  // false: each thread runs until it blocks
};

// ---- of a scenario ----
void begin(const Plan& plan, Report& report);  // the calling thread becomes the first
void explore();  // from here on the seed decides; before, each thread runs until it blocks
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));
std::int64_t waited_ns();
std::uint64_t choice(std::uint64_t n);  // one of n cases, by the seed

// ---- of whatever stands in for the system ----
bool taking_part();  // else everything is as it was
void point(const char* name, const void* pc);
void yield(const char* name);
// Until wake() or the deadline, on the clock of now_ns(); false: the deadline.
bool block(const void* address, std::int64_t deadline_ns, const char* name);
bool block_on_descriptors(pollfd* descriptors, std::size_t n, std::int64_t deadline_ns, const char* name);
int wake(const void* address, int most);
void descriptors_changed();
std::int64_t now_ns();
bool returns_early();  // whether a wait that may end for no reason does so now
void hold_turn();      // no switches until let_go()
void let_go();
int start(pthread_t* handle, const pthread_attr_t* attributes, void* (*main)(void*), void* argument);
// ETIMEDOUT at the deadline; 0: has ended, and may be joined.
int await_end(pthread_t handle, std::int64_t deadline_ns);
bool has_ended(pthread_t handle);

// The system's own, past what stands in for it.
namespace real {
long call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0);
int create(pthread_t* thread, const pthread_attr_t* attributes, void* (*main)(void*), void* argument);
}  // namespace real

}  // namespace schedules
