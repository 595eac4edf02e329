// The timekeeper where memory is out, at each of its allocations.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <vector>

#include "base/clock.h"
#include "pool.h"
#include "sched/timekeeper.h"
#include "task/node_pool.h"

using namespace execq::core;

namespace {

std::atomic<bool> refuse_memory{false};

}  // namespace

// In the place of the system's function where this program itself calls it, as the node pool does.
extern "C" void* __real_mmap(void* address, std::size_t size, int protection, int flags, int fd, off_t offset);
extern "C" void* __wrap_mmap(void* address, std::size_t size, int protection, int flags, int fd, off_t offset)
{
    return refuse_memory ? MAP_FAILED : __real_mmap(address, size, protection, flags, fd, offset);
}

namespace {

// Takes all lines that can be had without new memory.
void use_up(std::vector<void*>& lines)
{
    while (void* line = node_pool::allocate())
        lines.push_back(line);
}

TEST(TimekeeperMemory, ASleepThatFindsNoneIsRefusedAndKeepsNothing)
{
    std::vector<void*> lines;
    lines.reserve(std::size_t{1} << 16);
    Node* node = nullptr;
    lines.push_back(node_pool::allocate());  // has a slab mapped
    refuse_memory = true;
    use_up(lines);
    for (unsigned left = 0; left < 2; ++left) {  // for its record, and for its node
        EXPECT_EQ(Timekeeper::get().sleep(now_ns(), &node), EXECQ_ENOMEM) << left;
        EXPECT_EQ(node, nullptr);
        const std::size_t held = lines.size();
        use_up(lines);
        EXPECT_EQ(lines.size(), held + left) << "what it had got is given back";
        for (unsigned i = 0; i <= left; ++i) {
            node_pool::free(lines.back());
            lines.pop_back();
        }
    }
    EXPECT_EQ(Timekeeper::get().usage().timers, 0U);
    EXPECT_EQ(Timekeeper::get().sleep(now_ns(), &node), EXECQ_OK) << "two lines are enough";
    refuse_memory = false;
    EXPECT_EQ(finish(node), EXECQ_OK);
    for (void* line : lines)
        node_pool::free(line);
}

}  // namespace
