// What the calls share: picking things and times, and the lists of them.
#pragma once

#include <array>
#include <span>

#include "world.h"

namespace fuzz {

// What is at the place that a byte names, with a reference; empty where there is nothing.
template <class Slots>
auto pick(Slots& slots, Args& args)
{
    return slots[args.byte() % slots.size()].borrow();
}

inline std::int64_t short_time(Args& args)
{
    static constexpr std::int64_t times[] = {0, 1, 100 * us, ms};
    return times[args.below(4)];
}

// Where the depth of nested calls stands (bodies.cc).
unsigned current_depth();

// Takes what is there, at most max at a time, out of a completion queue; answers how much it was.
std::size_t drain(execq_cq* cq, std::size_t max);

// Each list ends up in one table (ops.cc), in this order. Functions, as lists in other files are made at an unknown time.
std::span<const Op> executor_ops();
std::span<const Op> submit_ops();
std::span<const Op> future_ops();
std::span<const Op> promise_ops();
std::span<const Op> flow_ops();
std::span<const Op> loop_ops();
std::span<const Op> context_ops();

}  // namespace fuzz
