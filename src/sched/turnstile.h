// Floor 2. A turnstile: what stands between submissions and an executor and decides which task starts next (a queue, floor 3).
//
// A turnstile never gives its tasks to the executor. For each one that may start it asks for a turn: an item that names the turnstile,
// and in which a worker starts whatever the turnstile then has in front. What the executor promises of tasks it promises of
// turns: each that was accepted is taken, in a drain too; after a cancel the turnstile uses it to cancel what waits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/links.h"
#include "execq/status.h"

namespace execq::core {

class Executor;
class Node;
class Worker;

class Turnstile : public Hook {  // Hook: the executor's list, under its mutex
public:
    Turnstile(const Turnstile&) = delete;
    Turnstile& operator=(const Turnstile&) = delete;

    virtual Executor& executor() const = 0;
    // The submitting thread, before anything else: room for n tasks, each of which is admitted then or given back. May block.
    // EXECQ_OK, EXECQ_ECLOSED, EXECQ_EFULL, EXECQ_EDEADLK. no_wait: EXECQ_EFULL rather than what the policy says.
    virtual execq_status reserve(std::size_t n, bool no_wait) = 0;
    virtual void give_back(std::size_t n) noexcept = 0;
    // Any thread: takes admitted tasks over, in this order, all or none. EXECQ_OK, EXECQ_ECLOSED, or what the executor answers
    // where no turn can be had.
    virtual execq_status hand_in(Node* const* nodes, std::size_t n) noexcept = 0;
    // A worker of the executor's, at the top of its thread: a turn.
    virtual void take_turn(Worker& worker) = 0;
    // A wait would run the task in place: starts it if it is the one to start next, and may; else false.
    virtual bool start_in_place(Node& node) = 0;
    // An asynchronous task that was given to the executor is starting.
    virtual void starts(Node& node) noexcept = 0;
    // The executor has closed in that way (EXECQ_DRAIN, EXECQ_CANCEL).
    virtual void executor_closed(std::int32_t how) noexcept = 0;
    // How many tasks wait here.
    virtual std::size_t waiting() const = 0;
    // False: it is being freed.
    virtual bool try_retain_use() noexcept = 0;
    virtual void drop_use() noexcept = 0;

    // The executor's, under its mutex.
    std::int32_t told_close = 0;     // of which close it was told last
    std::uint32_t owed = 0;          // turns that no inbox has room for
    Turnstile* next_owed = nullptr;  // the next one that has some

protected:
    Turnstile() = default;
    virtual ~Turnstile() = default;
};

}  // namespace execq::core
