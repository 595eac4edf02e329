// A stack with a fault (ABA): what is popped may have been popped, and pushed again, meanwhile. It takes three changes of
// threads at the right steps.
#include <atomic>

#include "scenario.h"

using namespace schedules;

namespace {

struct Entry {
    std::atomic<Entry*> next{nullptr};
    int held = 0;
};

std::atomic<Entry*> top{nullptr};

void push(Entry& entry)
{
    Entry* seen = top.load();
    do
        entry.next.store(seen);
    while (!top.compare_exchange_strong(seen, &entry));
}

Entry* pop()
{
    Entry* seen = top.load();
    while (seen != nullptr && !top.compare_exchange_strong(seen, seen->next.load())) {
    }
    if (seen != nullptr)
        CHECK(++seen->held == 1);
    return seen;
}

}  // namespace

TOY(stack)
{
    std::array<Entry, 3> entries;
    for (Entry& entry : entries)
        push(entry);
    explore();
    const Thread other([&] {
        Entry* one = pop();
        Entry* two = pop();
        if (one != nullptr) {
            --one->held;
            push(*one);
        }
        if (two != nullptr)
            point("still held", nullptr);
    });
    (void)pop();
    (void)pop();
    (void)pop();
}
