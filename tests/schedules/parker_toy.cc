// A parker with a fault: between its look at the flag and its sleep it takes no second look, and the wake-up is lost.
#include <atomic>

#include "base/futex.h"
#include "scenario.h"

using namespace schedules;

TOY(parker)
{
    std::atomic<std::uint32_t> flag{0};
    std::atomic<std::uint32_t> sleeping{0};
    explore();
    const Thread wakes([&] {
        flag.store(1);
        if (sleeping.exchange(0) == 1)
            execq::core::futex_wake_all(&sleeping);
    });
    if (flag.load() == 0) {
        sleeping.store(1);
        execq::core::futex_wait(&sleeping, 1, execq::core::Deadline::after(-1));  // without a look at the flag
    }
}
