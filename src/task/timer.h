// Floor 1. What a node has of its times. The timekeeper (sched/timekeeper.h) keeps them; here is what it writes to.
//
// A timer holds one reference to its node until it has ended: with the node's end at the latest, since who settles a node
// with a timer withdraws that first. A task's timer lies behind its node, in the same allocation; that of a sleep is a
// record of its own, which the node's env names.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "base/links.h"
#include "base/timer_wheel.h"
#include "task/timer_stage.h"

namespace execq::core {

class Executor;
class Node;
class Timekeeper;

// Points on the clock of the timekeeper, in nanoseconds.
struct TaskTimes {
    std::int64_t due_ns = 0;                       // does not start before; 0: at once
    std::int64_t start_by_ns = TimerWheel::never;  // is canceled if it has not started by then
    std::int64_t end_by_ns = TimerWheel::never;    // is canceled, or asked to stop
    std::int64_t period_ns = 0;  // of a series, which is due for the first time at due_ns; 0: runs once
    bool fixed_delay = false;    // the period is from the end of a run, not from start to start

    bool any() const { return delayed() || limit_ns() != TimerWheel::never; }
    bool delayed() const { return due_ns > 0; }
    bool repeats() const { return period_ns != 0; }
    // When the run is due that follows the one of due_ns, which ended now.
    std::int64_t next_due_ns(std::int64_t now) const
    {
        if (fixed_delay)
            return now > TimerWheel::never - period_ns ? TimerWheel::never : now + period_ns;
        const std::int64_t periods = std::max<std::int64_t>(now - due_ns, 0) / period_ns + 1;
        return periods > (TimerWheel::never - due_ns) / period_ns ? TimerWheel::never : due_ns + periods * period_ns;
    }
    // The same on another clock, which is ahead by that (or behind). What is set stays so.
    void shift(std::int64_t by_ns)
    {
        for (std::int64_t* time : {&due_ns, &start_by_ns, &end_by_ns}) {
            if (*time <= 0 || *time == TimerWheel::never)
                continue;
            const bool beyond = by_ns > 0 && *time > TimerWheel::never - by_ns;
            *time = beyond ? TimerWheel::never : std::max<std::int64_t>(*time + by_ns, 1);
        }
    }
    // Of a task that has not started.
    std::int64_t limit_ns() const { return std::min(start_by_ns, end_by_ns); }
};

struct Timer : TimerEntry {
    explicit Timer(Node& owner) : node(&owner) {}

    // By who settles the node, once, before the node is done; defined by the timekeeper, as a port's functions are.
    void withdraw();

    TimerStage stage;              // under the timekeeper's mutex
    Node* node;                    // with one reference
    Timekeeper* keeper = nullptr;  // whose clock its times are on; set before the node is published
};

// The list of an executor's tasks that are not due yet.
struct DelayLink : Hook {};

struct TaskTimer : Timer, DelayLink {
    TaskTimer(Node& owner, const TaskTimes& given) : Timer(owner), times(given), due(!given.delayed()) {}

    TaskTimes times;  // the timekeeper's; those of a series, but for its period, under its mutex
    // While the task is not due yet: with one use, and the executor's reference to the node. Under the timekeeper's mutex.
    Executor* executor = nullptr;
    // Written by the timekeeper, before the executor gets the task; read by who would run it in a wait. Never set for a
    // series: no run of it ends the wait.
    std::atomic<bool> due;
};

}  // namespace execq::core
