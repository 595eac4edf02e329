#include "faults.h"

#include <chrono>
#include <mutex>
#include <thread>

#include "descriptors.h"
#include "failing_aligned.h"

namespace {
thread_local int hungers = 0;
}  // namespace

Hunger::Hunger(int left)
{
    ++hungers;
    allocations_left = left;
    faults.hungers.fetch_add(1, std::memory_order_relaxed);
}

Hunger::~Hunger()
{
    --hungers;
    allocations_left = -1;
}

bool Hunger::here() { return hungers != 0; }

void exhaust_descriptors()
{
    const std::unique_lock lock(descriptors_are_there);
    rlimit saved{};
    descriptors_refuse(&saved);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    descriptors_allow(&saved);
    faults.exhaustions.fetch_add(1);
}
