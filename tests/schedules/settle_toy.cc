// A promise with a fault: that it is not completed yet is looked at in one step, and noted in another.
#include <atomic>

#include "scenario.h"

using namespace schedules;

TOY(settle)
{
    std::atomic<int> done{0};
    int value = 0;
    int winners = 0;
    explore();
    {
        const auto complete = [&](int with) {
            if (done.load() != 0)
                return;
            value = with;
            done.store(1);
            ++winners;
        };
        const Thread one([&] { complete(1); });
        const Thread two([&] { complete(2); });
    }
    CHECK(value != 0 && winners == 1);
}
