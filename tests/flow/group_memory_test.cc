// A group where memory is out, at each of its allocations: a status, nothing is kept, and the next try works.
#include <array>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <vector>

#include "failing_new.h"
#include "flow/group.h"
#include "flow/submission.h"
#include "pool.h"
#include "reports.h"
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

// Everything that a group may need memory for.
struct Setting {
    Setting() : pool(1), source(CancelSource::make(nullptr)), outer(make({}))
    {
        spec.name = "a name that is too long for a string without memory of its own";
        spec.parent = outer;
        spec.source = source;
        spec.executor = pool.get();
        spec.max_in_flight = 1;
        spec.deadline_ns = TimerWheel::never;
    }
    ~Setting()
    {
        while (Timekeeper::get().usage().timers != 0)  // its thread may still be at one that was canceled
            std::this_thread::yield();
        outer->release();
        EXPECT_TRUE(source->cancel());  // what were still linked would be called, and gone
        source->release();
    }
    Setting(const Setting&) = delete;
    Setting& operator=(const Setting&) = delete;

    static Group* make(const GroupSpec& spec)
    {
        Group* group = nullptr;
        EXPECT_EQ(Group::make(spec, &group), EXECQ_OK);
        return group;
    }
    void use_and_end(Group* group)
    {
        Counter ran;
        TaskSpec task;
        task.fn = Counter::body;
        task.env = &ran;
        task.scopes.all = {group->limit(), group, nullptr};
        task.turnstile = group->limit();
        EXPECT_EQ(submit(nullptr, task, nullptr), EXECQ_OK);
        EXPECT_EQ(group->join(never()), EXECQ_OK);
        EXPECT_EQ(ran.n, 1U);
        group->release();
        EXPECT_EQ(outer->join(only_look()), EXECQ_OK) << "what was refused left nothing in it";
    }

    Pool pool;
    CancelSource* source;
    Group* outer;
    GroupSpec spec;
};

TEST(GroupMemory, NoAllocationThatFailsLeavesAnything)
{
    Reports reports;
    Setting setting;
    Group* group = nullptr;
    throwing_counts = true;
    const int failures = fail_each_allocation([&] { return Group::make(setting.spec, &group); }, EXECQ_ENOMEM,
                                              [&] {
                                                  EXPECT_EQ(group, nullptr);
                                                  EXPECT_EQ(setting.outer->cancel_reason(), EXECQ_REASON_NONE);
                                              });
    throwing_counts = false;
    EXPECT_GE(failures, 3) << "the group, its name, its queue";
    EXPECT_EQ(reports.taken(), "") << "the promise of a queue that could not be made is not broken";
    EXPECT_LT(failures, 100);
    setting.use_and_end(group);
}

TEST(GroupMemory, NorDoesALineThatIsNotThere)
{
    Setting setting;
    setting.use_and_end(setting.make(setting.spec));  // starts what is started once
    setting.outer->release();
    setting.spec.parent = setting.outer = Setting::make({});
    std::vector<void*> lines;
    lines.reserve(std::size_t{1} << 16);
    lines.push_back(node_pool::allocate());  // has a slab mapped
    const auto use_up = [&] {
        while (void* line = node_pool::allocate())
            lines.push_back(line);
    };
    refuse_memory = true;
    use_up();
    Group* group = nullptr;
    std::size_t allowed = 0;
    for (;; ++allowed) {
        for (std::size_t i = 0; i < allowed; ++i) {
            node_pool::free(lines.back());
            lines.pop_back();
        }
        const std::size_t held = lines.size();
        const execq_status status = Group::make(setting.spec, &group);
        if (status == EXECQ_OK || allowed == 100)
            break;
        EXPECT_EQ(status, EXECQ_ENOMEM);
        EXPECT_EQ(group, nullptr);
        use_up();
        EXPECT_EQ(lines.size(), held + allowed) << "what it had got is given back";
    }
    refuse_memory = false;
    EXPECT_GE(allowed, 2U) << "its timer's record and sleep";
    EXPECT_LT(allowed, 100U);
    setting.use_and_end(group);
    for (void* line : lines)
        node_pool::free(line);
}

// All or none, at each allocation.
TEST(GroupMemory, ASubmissionThatFailsLeavesNoMember)
{
    Pool pool(1);
    Group* group = Setting::make({});
    Counter ran;
    TaskSpec task;
    task.fn = Counter::body;
    task.scopes.all[1] = group;
    const std::array<void*, 3> envs{&ran, &ran, &ran};
    throwing_counts = true;
    const int failures =
        fail_each_allocation([&] { return submit_many(pool.get(), task, envs.size(), envs.data(), nullptr); },
                             EXECQ_ENOMEM, [&] { EXPECT_EQ(ran.n, 0U); });
    throwing_counts = false;
    EXPECT_GE(failures, 1);
    EXPECT_LT(failures, 100);
    EXPECT_EQ(group->join(never()), EXECQ_OK);
    EXPECT_EQ(ran.n, 3U);
    group->release();
}

}  // namespace
