// Two locks that two threads take in different orders: a deadlock.
#include "scenario.h"

using namespace schedules;

TOY(locks)
{
    std::mutex first, second;
    explore();
    const Thread other([&] {
        const std::lock_guard one(second);
        const std::lock_guard two(first);
    });
    const std::lock_guard one(first);
    const std::lock_guard two(second);
}
