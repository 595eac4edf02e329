// The making of executors where memory is out, at each of its allocations: nothing is left of one that fails. What is memory
// LeakSanitizer sees.
#include <gtest/gtest.h>

#include "descriptors.h"
#include "execq/execq.h"
#include "failing_new.h"

namespace {

void count_drop(void* env) { ++*static_cast<int*>(env); }

// What answers by how often it failed, and that no descriptor was left then.
template <class Make>
int fail_each(const Make& make)
{
    execq_executor* executor = nullptr;
    const int before = descriptors_open();
    throwing_counts = true;
    const int failures = fail_each_allocation([&] { return make(&executor); }, EXECQ_ENOMEM,
                                              [&] { EXPECT_EQ(descriptors_open(), before); });
    throwing_counts = false;
    EXPECT_NE(executor, nullptr);
    execq_executor_release(executor);
    return failures;
}

TEST(ExecutorMemory, OneWithACapacityAndHooksThatFailsKeepsNothing)
{
    int drops = 0;
    execq_hooks hooks = EXECQ_HOOKS_INIT;
    hooks.env = &drops;
    hooks.drop = count_drop;
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.name = "a name that does not fit into the string itself";
    options.capacity = 4;
    options.hooks = &hooks;
    options.flags = EXECQ_EXECUTOR_TIMES;
    const int failures = fail_each([&](execq_executor** out) { return execq_executor_new(&options, out); });
    EXPECT_GT(failures, 3);
    EXPECT_EQ(drops, failures + 1) << "of each that failed, and of the one that was made";
}

TEST(ExecutorMemory, AManualOneWithACapacityThatFailsKeepsNothing)
{
    execq_manual_options options = EXECQ_MANUAL_OPTIONS_INIT;
    options.capacity = 4;
    EXPECT_GT(fail_each([&](execq_executor** out) { return execq_manual_new(&options, out); }), 3);
}

}  // namespace
