// How tasks end on an executor: with a code, by an exception, canceled, or with their thread.
#include <gtest/gtest.h>
#include <pthread.h>
#include <stdexcept>
#include <string>

#include "pool.h"
#include "task/unobserved.h"

using namespace execq::core;

namespace {

// Runs one task and answers its code and message.
std::string end_of(Pool& pool, execq_fn fn)
{
    Node* node = pool.submit(fn, nullptr);
    EXPECT_EQ(block_on(*node, never()), EXECQ_OK);
    std::string end = "no failure";
    if (const Error* error = node->error())
        end = std::to_string(error->code()) + " " + error->message();
    node->release();
    return end;
}

TEST(TaskEnd, MakesAFailureOfAnExceptionAndGoesOn)
{
    Pool pool(1);
    const std::string code = std::to_string(EXECQ_EEXCEPTION) + " ";
    EXPECT_EQ(end_of(pool, [](void*, void**) -> std::int32_t { throw std::runtime_error("the disk is gone"); }),
              code + "the disk is gone");
    EXPECT_EQ(end_of(pool, [](void*, void**) -> std::int32_t { throw 42; }), code + status_text(EXECQ_EEXCEPTION));
    EXPECT_EQ(end_of(pool, [](void*, void**) -> std::int32_t { return 0; }), "no failure");
    EXPECT_EQ(pool.threads(), 1U);
}

TEST(TaskEnd, CancelsATaskThatReturnsSoOnlyWhereItWasAsked)
{
    Pool pool(1);
    EXPECT_EQ(end_of(pool, [](void*, void**) -> std::int32_t { return EXECQ_ECANCELED; }),
              std::to_string(EXECQ_ECANCELED) + " " + status_text(EXECQ_ECANCELED));
    struct Stops {
        Gate gate;
        static std::int32_t body(void* env, void**)
        {
            static_cast<Stops*>(env)->gate.pass();
            return EXECQ_ECANCELED;
        }
    } stops;
    Node* node = pool.submit(Stops::body, &stops);
    stops.gate.await();
    EXPECT_TRUE(node->request_cancel(EXECQ_REASON_CALLER));
    stops.gate.open();
    EXPECT_EQ(finish(node), EXECQ_ECANCELED);
    node = pool.submit(Stops::body, &stops);
    stops.gate.await();
    pool->close(EXECQ_CANCEL);
    stops.gate.open();
    EXPECT_EQ(block_on(*node, never()), EXECQ_OK);
    EXPECT_EQ(node->cancel_reason(), EXECQ_REASON_SHUTDOWN);
    EXPECT_EQ(finish(node), EXECQ_ECANCELED);
}

TEST(TaskEnd, DropsTheEnvBeforeTheTaskIsDone)
{
    struct Env {
        std::atomic<int> step{0};
        Node* node = nullptr;
        Gate gate;
        static std::int32_t body(void* env, void**)
        {
            auto* self = static_cast<Env*>(env);
            self->gate.pass();
            EXPECT_EQ(self->step.exchange(1), 0);
            return 0;
        }
        static void drop(void* env)
        {
            auto* self = static_cast<Env*>(env);
            EXPECT_EQ(self->step.exchange(2), 1);
            EXPECT_FALSE(self->node->done());
        }
        static void done(execq_future*, void* env) { EXPECT_EQ(static_cast<Env*>(env)->step.exchange(3), 2); }
    } env;
    Pool pool(1);
    TaskSpec spec;
    spec.fn = Env::body;
    spec.env = &env;
    spec.drop = Env::drop;
    env.node = pool.submit(spec);
    env.gate.await();
    ASSERT_EQ(env.node->register_completion({Env::done, &env, nullptr, nullptr}), EXECQ_OK);
    env.gate.open();
    finish(env.node);
    pool->close(EXECQ_DRAIN);
    EXPECT_EQ(pool->join(never()), EXECQ_OK);
    EXPECT_EQ(env.step, 3);
}

// ---- tasks that end their thread ----

std::int32_t exit_thread(void*, void**) { pthread_exit(nullptr); }

TEST(TaskEnd, FailsATaskThatEndsItsThreadAndReplacesTheThread)
{
    Pool pool(1);
    static Counter drops;
    drops.n = 0;
    for (std::uint64_t round = 1; round <= 20; ++round) {
        TaskSpec spec;
        spec.fn = exit_thread;
        spec.env = &drops;
        spec.drop = Counter::hit;
        Node* node = pool.submit(spec);
        ASSERT_EQ(block_on(*node, never()), EXECQ_OK);
        ASSERT_EQ(node->result(nullptr), EXECQ_EFAILED);
        EXPECT_EQ(node->error()->code(), EXECQ_EEXITED);
        EXPECT_EQ(drops.n, round);
        node->release();
        Counter ran;
        ASSERT_EQ(finish(pool.submit(Counter::body, &ran)), EXECQ_OK);
        EXPECT_EQ(ran.n, 1U);
    }
    EXPECT_EQ(pool.threads(), 1U) << "only the one that works";
}

TEST(TaskEnd, RunsWhatIsQueuedBehindATaskThatEndsItsThread)
{
    ignore_unobserved();  // of the threads that end
    for (std::size_t round = 0; round < stress_n(300, 50); ++round) {
        Gate gate;
        Counter ran;
        Pool pool(1);
        pool.submit_and_forget(Gate::body, &gate);
        gate.await();
        for (int i = 0; i < 5; ++i) {
            pool.submit_and_forget(exit_thread, nullptr);
            pool.submit_and_forget(Counter::body, &ran);
        }
        pool->close(EXECQ_DRAIN);
        gate.open();
        ASSERT_EQ(pool->join(never()), EXECQ_OK);
        ASSERT_EQ(ran.n, 5U) << "the join came back before the work was done";
        ASSERT_EQ(pool.threads(), 0U);
    }
    print_unobserved();
}

TEST(TaskEnd, TellsEverybodyOfATaskThatEndedItsThread)
{
    Counter delivered;
    Gate gate;
    Pool pool(1);
    const execq_fn body = [](void* env, void**) -> std::int32_t {
        static_cast<Gate*>(env)->pass();
        pthread_exit(nullptr);
    };
    Node* node = pool.submit(body, &gate);
    gate.await();
    ASSERT_EQ(node->register_completion({Counter::done, &delivered, nullptr, nullptr}), EXECQ_OK);
    gate.open();
    EXPECT_EQ(finish(node), EXECQ_EFAILED);
    pool->close(EXECQ_DRAIN);
    EXPECT_EQ(pool->join(never()), EXECQ_OK);
    EXPECT_EQ(delivered.n, 1U);
}

}  // namespace
