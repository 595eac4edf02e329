#include "sched/executor.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <set>
#include <string>
#include <vector>

#include "pool.h"

using namespace execq::core;

// The sanitizers need it themselves where a thread starts.
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
#define CAN_REFUSE_ATTRIBUTES 1

namespace {

std::atomic<bool> refuse_attributes;

}  // namespace

// Stands before the system's function of that name, for the executor too.
extern "C" int pthread_getattr_np(pthread_t thread, pthread_attr_t* attributes) noexcept
{
    static const auto original =
        reinterpret_cast<decltype(&pthread_getattr_np)>(dlsym(RTLD_NEXT, "pthread_getattr_np"));
    return refuse_attributes.load() ? ENOMEM : original(thread, attributes);
}

#endif

namespace {

std::int32_t note_thread(void* thread, void**)
{
    *static_cast<pid_t*>(thread) = thread_id();
    return 0;
}

// ---- threads ----

TEST(Executor, StartsNoThreadBeforeItIsNeeded)
{
    Pool pool(4);
    EXPECT_EQ(pool.threads(), 0U);
    TaskFifo nothing;
    EXPECT_EQ(pool->submit(nothing), EXECQ_OK);
    EXPECT_EQ(pool.threads(), 0U);
}

TEST(Executor, StartsAThreadForEachTaskThatFindsNoneIdleUpToItsMaximum)
{
    Gate gate;
    Pool pool(4);
    for (std::uint64_t n = 1; n <= 4; ++n) {
        pool.submit_and_forget(Gate::body, &gate);
        gate.await();
        EXPECT_EQ(pool.threads(), n);
    }
    pool.submit_and_forget(Gate::body, &gate);
    pool.submit_and_forget(Gate::body, &gate);
    EXPECT_EQ(pool.threads(), 4U);
    EXPECT_EQ(pool.report().queued, 2U);
    gate.open(6);
    gate.await(2);
    EXPECT_EQ(pool.threads(), 4U);
}

TEST(Executor, StartsThreadsForAWholeBatch)
{
    Gate gate;
    Pool pool(8);
    TaskFifo batch;
    for (int i = 0; i < 5; ++i) {
        TaskSpec spec;
        spec.fn = Gate::body;
        spec.env = &gate;
        batch.push(*new_task(spec));
    }
    ASSERT_EQ(pool->submit(batch), EXECQ_OK);
    EXPECT_TRUE(batch.empty());
    gate.await(5);
    EXPECT_EQ(pool.threads(), 5U);
    gate.open(5);
}

TEST(Executor, UsesAnIdleThreadAgain)
{
    Pool pool(16);
    pid_t first = 0;
    finish(pool.submit(note_thread, &first));
    for (int i = 0; i < 50; ++i) {
        wait_until_asleep(first);
        pid_t thread = 0;
        finish(pool.submit(note_thread, &thread));
        ASSERT_EQ(thread, first);
    }
    EXPECT_EQ(pool.threads(), 1U);
}

TEST(Executor, WakesAsManyIdleThreadsAsABatchNeeds)
{
    Gate gate;
    Pool pool(3);
    for (int round = 0; round < 20; ++round) {
        TaskFifo batch;
        for (int i = 0; i < 3; ++i) {
            TaskSpec spec;
            spec.fn = Gate::body;
            spec.env = &gate;
            batch.push(*new_task(spec));
        }
        ASSERT_EQ(pool->submit(batch), EXECQ_OK);
        gate.await(3);  // all three at once, or this hangs
        gate.open(3);
    }
    EXPECT_LE(pool.threads(), 3U);
}

TEST(Executor, NamesItsThreadsAndNumbersThem)
{
    struct Name {
        Gate gate;
        char name[16] = "";
        static std::int32_t body(void* env, void**)
        {
            auto* self = static_cast<Name*>(env);
            pthread_getname_np(pthread_self(), self->name, sizeof self->name);
            self->gate.pass();
            return 0;
        }
    } first;
    std::array<Name, 2> names;
    Pool pool(2, "a-rather-long-name");
    pool.submit_and_forget(Name::body, &first);
    first.gate.await();
    EXPECT_STREQ(first.name, "a-rather-long-n");
    first.gate.open();
    Pool shorter(2, "io");
    for (std::size_t i = 0; i < 2; ++i) {
        shorter.submit_and_forget(Name::body, &names[i]);
        names[i].gate.await();
        EXPECT_EQ(names[i].name, "io/" + std::to_string(i));
    }
    names[0].gate.open();
    names[1].gate.open();
}

TEST(Executor, RunsNoSignalHandlerOnItsThreads)
{
    Pool pool(1);
    sigset_t blocked;
    sigemptyset(&blocked);
    const execq_fn body = [](void* set, void**) {
        return std::int32_t{pthread_sigmask(SIG_SETMASK, nullptr, static_cast<sigset_t*>(set))};
    };
    EXPECT_EQ(finish(pool.submit(body, &blocked)), EXECQ_OK);
    for (const int signal : {SIGINT, SIGTERM, SIGUSR1, SIGCHLD, SIGPIPE, SIGALRM})
        EXPECT_EQ(sigismember(&blocked, signal), 1) << signal;
    sigset_t ours;
    pthread_sigmask(SIG_SETMASK, nullptr, &ours);
    EXPECT_EQ(sigismember(&ours, SIGINT), 0) << "the submitter's mask was put back";
}

TEST(Executor, SaysOnWhichWorkerAndInWhichTaskItIs)
{
    EXPECT_EQ(Worker::current(), nullptr);
    Pool pool(1);
    struct Look {
        Executor* executor;
        Node* node = nullptr;
        Gate gate;
        static std::int32_t body(void* env, void**)
        {
            auto* self = static_cast<Look*>(env);
            self->gate.pass();
            Worker* worker = Worker::current();
            EXPECT_EQ(&worker->executor(), self->executor);
            EXPECT_EQ(worker->top_node(), self->node);
            EXPECT_TRUE(worker->is_running(*self->node));
            EXPECT_GT(worker->stack_left(), 1024U * 1024);
            return 0;
        }
    } look{pool.get(), nullptr, {}};
    look.node = pool.submit(Look::body, &look);
    look.gate.open();
    EXPECT_EQ(finish(look.node), EXECQ_OK);
}

#ifdef CAN_REFUSE_ATTRIBUTES
// Its predecessor at the place may have had one at any other address. What is guessed is never more than there is.
TEST(Executor, AThreadThatCanNotFindItsStackGoesByItsSize)
{
    const execq_fn end_thread = [](void*, void**) -> std::int32_t { pthread_exit(nullptr); };
    const execq_fn measure = [](void* left, void**) {
        *static_cast<std::size_t*>(left) = Worker::current()->stack_left();
        return std::int32_t{0};
    };
    Pool pool(1);
    for (int round = 0; round < 20; ++round) {
        std::size_t known = 0;
        for (const bool refused : {false, false, true}) {
            std::size_t left = 0;
            refuse_attributes = refused;
            EXPECT_EQ(finish(pool.submit(end_thread, nullptr)), EXECQ_EFAILED);
            EXPECT_EQ(finish(pool.submit(measure, &left)), EXECQ_OK);
            EXPECT_GT(left, 1024U * 1024);
            EXPECT_TRUE(!refused || left <= known) << left;
            known = left;
        }
    }
    refuse_attributes = false;
}
#endif

// ---- order and acceptance ----

TEST(Executor, StartsTasksInTheOrderOfSubmission)
{
    static std::vector<std::size_t> order;
    order.clear();
    const execq_fn body = [](void* n, void**) {
        order.push_back(reinterpret_cast<std::size_t>(n));
        return std::int32_t{0};
    };
    Gate gate;
    Pool pool(1);
    pool.submit_and_forget(Gate::body, &gate);
    std::vector<std::size_t> expected;
    for (std::size_t i = 0; i < 100; ++i) {
        pool.submit_and_forget(body, number(i));
        expected.push_back(i);
    }
    gate.open();
    finish(pool.submit(body, number(100)));
    expected.push_back(100);
    EXPECT_EQ(order, expected);
}

// ---- its own life ----

TEST(Executor, RunsWhatItAcceptedAfterItsLastRelease)
{
    Executor* executor = nullptr;
    ASSERT_EQ(Executor::make({nullptr, 2, 0, 0}, &executor), EXECQ_OK);
    Semaphore ran;
    const execq_fn body = [](void* semaphore, void**) {
        static_cast<Semaphore*>(semaphore)->post();
        return std::int32_t{0};
    };
    TaskFifo batch;
    for (int i = 0; i < 20; ++i) {
        TaskSpec spec;
        spec.fn = body;
        spec.env = &ran;
        batch.push(*new_task(spec));
    }
    ASSERT_EQ(executor->submit(batch), EXECQ_OK);
    executor->retain();
    executor->release();
    executor->release();
    ran.take(20);
}

TEST(Executor, IsReleasedByItsOwnTask)
{
    Semaphore released;
    struct Env {
        Executor* executor;
        Semaphore* released;
    };
    const execq_fn body = [](void* env, void**) {
        const Env own = *static_cast<Env*>(env);
        own.executor->release();
        own.released->post();
        return std::int32_t{0};
    };
    for (int round = 0; round < 100; ++round) {
        Env env{nullptr, &released};
        ASSERT_EQ(Executor::make({nullptr, 2, 0, 0}, &env.executor), EXECQ_OK);
        TaskSpec spec;
        spec.fn = body;
        spec.env = &env;
        TaskFifo batch;
        batch.push(*new_task(spec));
        ASSERT_EQ(env.executor->submit(batch), EXECQ_OK);
        released.take();
    }
}

TEST(Executor, HasAnIdOfItsOwnThatIsUsedAgainAfterwards)
{
    std::set<std::uint16_t> ids;
    std::vector<Executor*> executors;
    for (int i = 0; i < 65535; ++i) {
        Executor* executor = nullptr;
        ASSERT_EQ(Executor::make({nullptr, 1, 0, 0}, &executor), EXECQ_OK);
        ASSERT_NE(executor->id(), 0);
        ASSERT_TRUE(ids.insert(executor->id()).second);
        executors.push_back(executor);
    }
    Executor* more = nullptr;
    EXPECT_EQ(Executor::make({nullptr, 1, 0, 0}, &more), EXECQ_EAGAIN);
    EXPECT_EQ(more, nullptr);
    const std::uint16_t freed = executors[12345]->id();
    executors[12345]->release();
    EXPECT_EQ(Executor::make({nullptr, 1, 0, 0}, &executors[12345]), EXECQ_OK);
    EXPECT_EQ(executors[12345]->id(), freed);
    for (Executor* executor : executors)
        executor->release();
}

}  // namespace
