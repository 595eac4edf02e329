#include "base/on_stack.h"

#include <cstdlib>
#include <gtest/gtest.h>

using namespace execq::core;

namespace {

int compare(const void*, const void*);

const void* address_of(int (*function)(const void*, const void*)) { return reinterpret_cast<const void*>(function); }

bool seen_by_itself = false;
bool other_seen = false;

[[gnu::noinline]] int other(const void*, const void*) { return 0; }

[[gnu::noinline]] int compare(const void*, const void*)
{
    seen_by_itself = on_stack(address_of(compare));
    other_seen = on_stack(address_of(other));
    return 0;
}

TEST(OnStack, SeesAFunctionThatRunsFurtherUp)
{
    int numbers[2] = {1, 2};
    std::qsort(numbers, 2, sizeof *numbers, compare);  // through a library's frames
    EXPECT_TRUE(seen_by_itself);
    EXPECT_FALSE(other_seen);
    EXPECT_FALSE(on_stack(address_of(compare))) << "it has returned";
}

}  // namespace
