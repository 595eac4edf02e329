// Capacities, priorities and hints of blocking from C++.
#include "cpp.h"

#include <memory>
#include <string>
#include <thread>

using namespace execq;

namespace {

TEST(CppLimits, a_full_executor_rejects)
{
    scoped_executor pool({.max_threads = 1, .capacity = 1});
    std::atomic<int> alive{0};
    Blocked blocked(pool);
    future<void> waiting = pool.submit([] {});
    EXPECT_EQ(code_of([&] { (void)pool.submit([counted = Counted(alive)] {}); }), EXECQ_EFULL);
    EXPECT_EQ(code_of([&] { pool.post([counted = Counted(alive)] {}); }), EXECQ_EFULL);
    EXPECT_EQ(alive, 0) << "what was refused is gone";
    EXPECT_EQ(waiting.cancel(), cancel_result::prevented);
    waiting = pool.submit([] {});
}

TEST(CppLimits, the_caller_runs_what_does_not_fit)
{
    scoped_executor pool({.max_threads = 1, .capacity = 1, .when_full = full_policy::caller_runs});
    Blocked blocked(pool);
    future<void> waiting = pool.submit([] {});
    EXPECT_EQ(pool.submit([] { return std::this_thread::get_id(); }).get(), std::this_thread::get_id());
    EXPECT_EQ(thrown_by<Oddity>([&] { pool.submit([] { throw Oddity{3}; }).get(); }).number, 3);
    EXPECT_EQ(code_of([&] { (void)pool.submit(task_options{.no_wait = true}, [] {}); }), EXECQ_EFULL);
}

TEST(CppLimits, a_submission_waits_for_room)
{
    scoped_executor pool({.max_threads = 1, .capacity = 1, .when_full = full_policy::block});
    auto blocked = std::make_unique<Blocked>(pool);
    future<void> waiting = pool.submit([] {});
    std::thread submitter([&] { pool.submit([] {}).get(); });
    blocked.reset();
    submitter.join();
}

TEST(CppLimits, priorities_order_what_waits)
{
    std::string order;
    {
        scoped_executor pool({.max_threads = 1});
        Blocked blocked(pool);
        for (const priority chosen : {priority::low, priority::normal, priority::high})
            (void)pool.submit(task_options{.priority = chosen}, [&order, chosen] {
                order += chosen == priority::high ? 'H' : chosen == priority::low ? 'L' : 'N';
            });
    }
    EXPECT_EQ(order, "HNL");
}

TEST(CppLimits, a_task_that_says_it_blocks_has_a_spare_in_its_place)
{
    scoped_executor pool({.max_threads = 1, .max_spares = 1});
    Gate gate;
    future<void> blocks = pool.submit([&] {
        const blocking outer;
        const blocking inner;
        gate.pass();
    });
    gate.await();
    EXPECT_EQ(pool.submit([] { return 4; }).get(), 4);
    gate.open();
    blocks.get();
    const blocking nowhere;
}

}  // namespace
