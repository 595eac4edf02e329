// Threads come on demand and leave after their keepalive; what is accepted meanwhile is never lost between the two.
#include <gtest/gtest.h>

#include "pool.h"

using namespace execq::core;

namespace {

constexpr std::int64_t at_once = -1;
constexpr std::int64_t millisecond = 1'000'000;

// Has n threads at work at the same time, then lets them go.
void occupy(Pool& pool, int n)
{
    Gate gate;
    std::vector<Node*> nodes;
    for (int i = 0; i < n; ++i)
        nodes.push_back(pool.submit(Gate::body, &gate));
    gate.await(n);
    EXPECT_EQ(pool.threads(), static_cast<std::uint64_t>(n));
    gate.open(n);
    for (Node* node : nodes)
        EXPECT_EQ(finish(node), EXECQ_OK);
}

void wait_for_threads(const Pool& pool, std::uint64_t n)
{
    for (std::uint64_t threads = pool.threads(); threads != n; threads = pool.threads()) {
        ASSERT_GT(threads, n);
        std::this_thread::yield();
    }
}

TEST(Elastic, ThreadsBeyondTheLeastLeaveAfterTheirKeepalive)
{
    for (const std::int64_t keepalive : {at_once, millisecond, 30 * millisecond, 150 * millisecond}) {
        Pool pool(ExecutorSpec{nullptr, 5, 2, keepalive});
        EXPECT_EQ(pool.threads(), 0U) << "none starts before it is needed";
        occupy(pool, 5);
        wait_for_threads(pool, 2);
    }
}

TEST(Elastic, OneThreadStays)
{
    Pool pool(ExecutorSpec{nullptr, 3, 0, at_once});
    occupy(pool, 3);
    wait_for_threads(pool, 1);
    // The one that is left has had its turns to leave when this has come round so often.
    for (int i = 0; i < 100; ++i) {
        EXPECT_EQ(finish(pool.submit(Counter::body,
                                     [] {
                                         static Counter counter;
                                         return &counter;
                                     }())),
                  EXECQ_OK);
        EXPECT_GE(pool.threads(), 1U);
    }
}

TEST(Elastic, ThreadsComeBackWhenTheyAreNeeded)
{
    Pool pool(ExecutorSpec{nullptr, 4, 1, at_once});
    for (int round = 0; round < 20; ++round) {
        occupy(pool, 4);
        wait_for_threads(pool, 1);
    }
}

TEST(Elastic, ALongKeepaliveKeepsAllAndAJoinDoesNotWaitForIt)
{
    Pool pool(ExecutorSpec{nullptr, 4, 1, std::numeric_limits<std::int64_t>::max()});
    occupy(pool, 4);
    EXPECT_EQ(pool.threads(), 4U);
}

// Places, and with them the numbers in the threads' names, are used again.
TEST(Elastic, ThreadNumbersStayBelowTheMost)
{
    Pool pool(ExecutorSpec{"el", 3, 1, at_once});
    for (int round = 0; round < 10; ++round) {
        occupy(pool, 3);
        wait_for_threads(pool, 1);
    }
    char name[16] = "";
    TaskSpec spec;
    spec.env = name;
    spec.fn = [](void* env, void**) -> std::int32_t {
        pthread_getname_np(pthread_self(), static_cast<char*>(env), 16);
        return 0;
    };
    EXPECT_EQ(finish(pool.submit(spec)), EXECQ_OK);
    EXPECT_TRUE(std::string(name) == "el/0" || std::string(name) == "el/1" || std::string(name) == "el/2") << name;
}

// Threads leave at every moment at which there is nothing to do, while others submit.
TEST(Elastic, NothingIsLostWhereThreadsLeaveWhileOthersSubmit)
{
    Counter ran;
    constexpr std::uint64_t each = 20'000;
    constexpr std::uint64_t submitters = 3;
    {
        Pool pool(ExecutorSpec{nullptr, 4, 1, at_once});
        std::vector<std::thread> threads;
        for (std::uint64_t t = 0; t < submitters; ++t) {
            threads.emplace_back([&] {
                for (std::uint64_t i = 0; i < each; ++i) {
                    if (i % 16 == 0)
                        EXPECT_EQ(finish(pool.submit(Counter::body, &ran)), EXECQ_OK);
                    else
                        pool.submit_and_forget(Counter::body, &ran);
                }
            });
        }
        for (std::thread& thread : threads)
            thread.join();
    }
    EXPECT_EQ(ran.n, each * submitters);
}

// A task that blocks right after it submitted to its own queue: the other thread, asleep, has to come.
TEST(Elastic, ABlockedTasksOwnSubmissionsAreTakenByAnother)
{
    Pool pool(ExecutorSpec{nullptr, 2, 2, 0});
    occupy(pool, 2);
    struct Env {
        Pool& pool;
        Gate gate;
        Semaphore ran;
    } env{pool, {}, Semaphore()};
    for (int round = 0; round < 300; ++round) {
        Node* node = pool.submit(
            [](void* argument, void**) -> std::int32_t {
                auto& e = *static_cast<Env*>(argument);
                TaskSpec spec;
                spec.fn = [](void* inner, void**) -> std::int32_t {
                    static_cast<Env*>(inner)->ran.post();
                    return 0;
                };
                spec.env = argument;
                // One by one, as into the worker's own queue: a batch is for everybody.
                CHECK(e.pool->hand_in(*new_task(spec, 1, e.pool->id())) == EXECQ_OK);
                e.ran.take();  // only the other thread can give this
                return 0;
            },
            &env);
        EXPECT_EQ(finish(node), EXECQ_OK);
    }
}

}  // namespace
