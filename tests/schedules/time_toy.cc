// A wake-up with a fault that a timed wait hides: it is lost, and found by a look a millisecond later.
#include <atomic>

#include "base/futex.h"
#include "scenario.h"

using namespace schedules;

TOY(time)
{
    std::atomic<std::uint32_t> flag{0};
    std::atomic<std::uint32_t> waits{0};
    explore();
    const Thread wakes([&] {
        flag.store(1);
        if (waits.load() != 0)
            execq::core::futex_wake_all(&flag);
    });
    while (flag.load() == 0) {
        point("before the wait", nullptr);
        waits.store(1);
        execq::core::futex_wait(&waits, 1, execq::core::Deadline::after(1'000'000));  // on the wrong word
    }
}
