// Calls of the system that fail on demand: this program's own definitions stand before those of libc and libstdc++, for the
// library and for libuv as well. Everything here is of the process, and a child that is forked has a copy.
#pragma once

#include <cstddef>
#include <cstdint>

namespace faults {

// What fails: malloc and its kin with mmap; the operators new; pthread_create and timer_create; what makes descriptors.
enum class Kind : std::uint8_t { allocation, operator_new, thread, descriptor };
inline constexpr std::size_t kinds = 4;
const char* name_of(Kind kind);

// The k-th call (from 1) of a kind fails, and with `for_ever` all later ones. k = 0: none does.
struct Plan {
    Kind kind = Kind::allocation;
    bool for_ever = false;
    long k = 0;
};

// One call that was made to fail. In memory that parent and child share, so that it outlives an abort().
struct Injection {
    static constexpr int most_frames = 24;
    const char* call;  // its name
    int frames;
    void* frame[most_frames];  // frame[0]: the caller
};

// What a child tells its parent while it lives. Written by whoever is made to fail, read when the child has ended.
struct Record {
    long calls;     // of the kind, while faults were on
    long injected;  // of these, made to fail
    Injection last;
};

// Before anything else in a child: the plan, and where to tell what happens.
void begin(const Plan& plan, Record& record);
// Faults happen, and calls count, only while they are on (switched on more often than off); on all threads but those that
// are exempt. off() answers how often they were on, for restore().
void turn_on();
void turn_off();
int off();
void restore(int times);
// No call fails or counts from now on, on or not.
void end();

// While one lives, the thread that made it has its calls neither counted nor made to fail: what is the test's own.
class Exempt {
public:
    Exempt();
    ~Exempt();
    Exempt(const Exempt&) = delete;
    Exempt& operator=(const Exempt&) = delete;
};

// Blocks that were allocated since begin(), by anybody, and not freed yet. -1 where the sanitizer sees to that.
long live_blocks();
// Where they come from, on stderr.
void print_live_blocks();
// The addresses as "object(function)+offset" on stderr, each on a line.
void print_frames(void* const* frames, int n);

}  // namespace faults
