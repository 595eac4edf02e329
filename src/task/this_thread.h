// Floor 1. What each thread has of its own, in one thread-local: from a shared library the way to each is a call.
//
// Each part belongs to the file that is named beside it, which alone reads and writes it.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/links.h"

namespace execq::core {

class Context;
class Error;
class Interrupter;
class LoopPort;
class Worker;
struct CancelCall;
struct Registration;
struct TaskLink;
struct VarChange;

namespace node_pool {

inline constexpr std::size_t line_size = 64;

// A free line. AddressSanitizer reports every access to it but those to the links, so these stand at the end, where a
// node's least used fields are.
struct Line {
    static constexpr std::size_t poisoned_size = line_size - 2 * sizeof(std::uint64_t);

    unsigned char poisoned[poisoned_size];
    union {
        Line* next_chain;        // in the depot, from the first line of a chain to that of the next one
        std::uint64_t returned;  // in its slab, if it is the highest free one of its group: the group's free ones
    };
    Line* next;
};
static_assert(sizeof(Line) == line_size);

// A thread's own free lines.
struct Cache {
    Line* lines = nullptr;
    Line* spare = nullptr;   // a full chain, so that work at a border does not go back and forth
    std::uint32_t room = 0;  // how many more lines the list may take; 0 without registration
    enum class Life : std::uint32_t { unregistered, registered, over } life = Life::unregistered;
};

}  // namespace node_pool

// What bodies have left behind on a worker, for it to look at when the task has ended.
enum Left : std::uint8_t {
    failure_left = 1,  // that was said since a plain task began
    calls_left = 2,    // cancel callbacks, of any task
    forked_left = 8,   // they forked, and this is the child: it must not come back into the library
    context_left = 4   // variables were set, perhaps by a plain task, which has no scope of its own
};

struct ThisThread {
    node_pool::Cache cache;              // task/node_pool
    std::array<TaskLink*, 8> trail{};    // task/node: the last nodes that it completed
    std::uint32_t trail_end = 0;         //
    bool in_callback = false;            // task/callbacks: a callback of the user runs
    Fifo<Registration, Link> callbacks;  // task/callbacks: those that wait for it to return
    Context* context = nullptr;          // task/context: the active one
    Context* entered = nullptr;          // task/context: what the innermost scope entered
    VarChange* changes = nullptr;        // task/context: what tokens can undo there
    std::uint8_t* left = nullptr;        // sched/worker: what the task of a worker has left behind; see Left
    std::uint32_t number = 0;            // sched/schedule: by which it chooses an inbox; 0: none yet
    std::uint64_t served = 0;            // sched/worker: the serial of the executor that it works, or has worked, for
    Worker* worker = nullptr;            // sched/worker: the one whose thread this is
    Worker* place = nullptr;             // sched/worker: the one whose place it has, until it has left
    Error* failure = nullptr;            // sched/failure: what the running task said, owned by its scope
    CancelCall* calls = nullptr;         // task/cancel_calls: of the bodies that this thread runs, newest first
    LoopPort* working_port = nullptr;    // flow/loop_port: whose batch of callbacks runs
    // sched/interrupt: of the body that may be interrupted now. Its signal handler looks at it, on this thread.
    std::atomic<Interrupter*> interrupter{nullptr};
};

inline thread_local constinit ThisThread this_thread;

}  // namespace execq::core
