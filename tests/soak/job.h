// A task whose fate is known exactly: it is refused and dropped, or accepted, run at most once, dropped once and ended once.
#pragma once

#include <atomic>
#include <cstdint>
#include <uv.h>

#include "execq/execq.h"
#include "faults.h"
#include "stress.h"

// Where jobs go, and what it may answer besides EXECQ_OK and what faults bring.
struct Target {
    execq_executor* executor = nullptr;
    bool may_be_full = false;
    bool may_be_closed = false;
    bool may_lose_threads = false;  // nothing is left open on loops of its threads
    std::atomic<std::uint64_t> accepted{0};
};

// What a body does.
enum class Act : std::uint32_t {
    nothing,
    spin,
    nap,          // blocks, and says so
    until_asked,  // stops when it is asked to, or after some milliseconds
    fail,
    raise,        // an exception
    lose_thread,  // pthread_exit
    nest,         // submits others to the same target and waits for them
    use_loop,     // drives a loop of its thread's until a sleep ends
    check_context
};
constexpr std::uint32_t acts = 10;

struct Job {
    Act act = Act::nothing;
    Target* target = nullptr;
    std::atomic<int> runs{0};
    std::atomic<int> drops{0};
    std::atomic<int> told{0};     // deliveries
    std::atomic<int> ended{0};    // registrations that ended, delivered or withdrawn
    int* started_last = nullptr;  // of a queue in which one runs at a time: the number of the job before
    int number = 0;
    bool accepted = false;
    bool canceled_first = false;  // a cancellation answered EXECQ_OK
    execq_future* future = nullptr;
    execq_promise* promise = nullptr;
    uv_timer_t timer;
};

// A variable that jobs of Act::check_context look for, and its value in all of them.
extern execq_var* the_variable;
void* const the_value = &the_variable;

// True: accepted. False: refused, for a reason that there is.
bool took(const Target& target, execq_status status);

std::int32_t run_job(void* job, void** result);
void start_job(execq_promise* promise, uv_loop_s* loop, void* job);
void drop_job(void* job);
void tell_job(execq_future* future, void* job);
void end_registration(void* job);

// Waits for the end of it, sees that it is a possible one, and gives up the reference to its future.
void settle(Job& job);
// The same for one without a future, as far as it can be seen.
void settle_by_drop(Job& job);
