#include "sched/executor.h"

#include <array>
#include <csignal>
#include <cstring>
#include <gtest/gtest.h>
#include <mutex>
#include <pthread.h>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "pool.h"

using namespace execq::core;

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

TEST(Executor, RefusesAWholeBatchOnceClosedAndLeavesItAlone)
{
    Pool pool(1);
    pool->close(EXECQ_DRAIN);
    TaskFifo batch;
    for (int i = 0; i < 3; ++i)
        batch.push(*new_task());
    EXPECT_EQ(pool->submit(batch), EXECQ_ECLOSED);
    EXPECT_EQ(batch.size(), 3U);
    EXPECT_EQ(pool.threads(), 0U);
    while (Node* node = batch.pop())
        node->discard();
    TaskFifo nothing;
    EXPECT_EQ(pool->submit(nothing), EXECQ_ECLOSED);
}

// A task that submits another one to an executor while that is closed, and says what came of it.
struct Inner {
    Pool* pool;
    Gate gate;
    execq_status status = EXECQ_EPENDING;
    Counter counter;

    static std::int32_t body(void* env, void**)
    {
        auto* self = static_cast<Inner*>(env);
        self->gate.pass();
        TaskSpec spec;
        spec.fn = Counter::body;
        spec.env = &self->counter;
        if (Node* node = self->pool->submit(spec, &self->status))
            node->release();
        return 0;
    }
};

TEST(Executor, ThatDrainsRunsWhatItAcceptedAndWhatItsOwnTasksSubmit)
{
    Pool pool(1);
    Inner inner{&pool, {}, EXECQ_EPENDING, {}};
    Counter queued;
    pool.submit_and_forget(Inner::body, &inner);
    inner.gate.await();
    for (int i = 0; i < 10; ++i)
        pool.submit_and_forget(Counter::body, &queued);
    pool->close(EXECQ_DRAIN);
    execq_status status = EXECQ_OK;
    EXPECT_EQ(pool.submit(TaskSpec{}, &status), nullptr);
    EXPECT_EQ(status, EXECQ_ECLOSED) << "from outside";
    inner.gate.open();
    EXPECT_EQ(pool->join(never()), EXECQ_OK);
    EXPECT_EQ(inner.status, EXECQ_OK) << "from inside";
    EXPECT_EQ(inner.counter.n, 1U);
    EXPECT_EQ(queued.n, 10U);
}

TEST(Executor, ThatDrainsRefusesTheTasksOfAnotherOne)
{
    Pool closed(1);
    Pool pool(1);
    Inner inner{&closed, {}, EXECQ_EPENDING, {}};
    Node* node = pool.submit(Inner::body, &inner);
    inner.gate.await();
    closed->close(EXECQ_DRAIN);
    inner.gate.open();
    finish(node);
    EXPECT_EQ(inner.status, EXECQ_ECLOSED);
}

TEST(Executor, ThatCancelsRunsNothingMoreAndRefusesItsOwnTasks)
{
    Pool pool(1);
    Inner inner{&pool, {}, EXECQ_EPENDING, {}};
    Counter ran;
    static Counter dropped;
    dropped.n = 0;
    Node* running = pool.submit(Inner::body, &inner);
    inner.gate.await();
    std::vector<Node*> queued;
    for (int i = 0; i < 10; ++i) {
        TaskSpec spec;
        spec.fn = Counter::body;
        spec.env = &ran;
        spec.drop = [](void*) { Counter::hit(&dropped); };
        queued.push_back(pool.submit(spec));
    }
    EXPECT_FALSE(pool->stop_requested(*running));
    pool->close(EXECQ_CANCEL);
    EXPECT_TRUE(pool->stop_requested(*running));
    inner.gate.open();
    EXPECT_EQ(pool->join(never()), EXECQ_OK);
    EXPECT_EQ(inner.status, EXECQ_ECLOSED);
    EXPECT_EQ(running->result(nullptr), EXECQ_OK) << "it did not stop for the request";
    EXPECT_EQ(ran.n, 0U);
    EXPECT_EQ(dropped.n, 10U);
    for (Node* node : queued) {
        EXPECT_EQ(node->cancel_reason(), EXECQ_REASON_SHUTDOWN);
        EXPECT_EQ(finish(node), EXECQ_ECANCELED);
    }
    running->release();
}

TEST(Executor, MayCancelAfterItBeganToDrainButNotTheOtherWayRound)
{
    for (const bool cancel_first : {false, true}) {
        Gate gate;
        Counter ran;
        Pool pool(1);
        pool.submit_and_forget(Gate::body, &gate);
        gate.await();
        Node* queued = pool.submit(Counter::body, &ran);
        pool->close(cancel_first ? EXECQ_CANCEL : EXECQ_DRAIN);
        pool->close(cancel_first ? EXECQ_DRAIN : EXECQ_CANCEL);
        gate.open();
        EXPECT_EQ(finish(queued), EXECQ_ECANCELED);
        EXPECT_EQ(ran.n, 0U);
    }
}

// ---- joining ----

TEST(Executor, CannotBeJoinedWhileOpenNorByItsOwnWorker)
{
    Pool pool(1);
    EXPECT_EQ(pool->join(never()), EXECQ_EINVAL);
    struct Join {
        Executor* executor;
        Gate gate;
        execq_status status = EXECQ_OK;
        static std::int32_t body(void* env, void**)
        {
            auto* self = static_cast<Join*>(env);
            self->gate.pass();
            self->status = self->executor->join(never());
            return 0;
        }
    } join{pool.get(), {}, EXECQ_OK};
    Node* node = pool.submit(Join::body, &join);
    join.gate.await();
    pool->close(EXECQ_DRAIN);
    join.gate.open();
    finish(node);
    EXPECT_EQ(join.status, EXECQ_EDEADLK);
}

TEST(Executor, ThatNeverHadAThreadIsJoinedAtOnce)
{
    Pool pool(1);
    pool->close(EXECQ_DRAIN);
    EXPECT_EQ(pool->join(only_look()), EXECQ_OK);
    EXPECT_EQ(pool->join(never()), EXECQ_OK);
}

TEST(Executor, IsJoinedAgainAfterAJoinThatTimedOut)
{
    Gate gate;
    Pool pool(2);
    pool.submit_and_forget(Gate::body, &gate);
    gate.await();
    pool->close(EXECQ_DRAIN);
    EXPECT_EQ(pool->join(only_look()), EXECQ_ETIMEDOUT);
    const std::int64_t before = now_ns();
    EXPECT_EQ(pool->join(Deadline::after(2'000'000)), EXECQ_ETIMEDOUT);
    EXPECT_GE(now_ns() - before, 2'000'000);
    gate.open();
    EXPECT_EQ(pool->join(never()), EXECQ_OK);
    EXPECT_EQ(pool->join(never()), EXECQ_OK);
    EXPECT_EQ(pool.threads(), 0U);
}

TEST(Executor, IsJoinedByFourThreadsAndEachFindsEverythingDone)
{
    for (std::size_t round = 0; round < stress_n(200, 50); ++round) {
        Counter ran;
        Pool pool(4);
        for (int i = 0; i < 50; ++i)
            pool.submit_and_forget(Counter::body, &ran);
        pool->close(EXECQ_DRAIN);
        std::array<std::thread, 4> joiners;
        for (std::thread& joiner : joiners) {
            joiner = std::thread([&] {
                CHECK(pool->join(never()) == EXECQ_OK);
                CHECK(ran.n == 50);
                CHECK(pool.threads() == 0);
            });
        }
        for (std::thread& joiner : joiners)
            joiner.join();
    }
}

TEST(Executor, ReportsWhatRunsAndWhatIsQueued)
{
    Gate gate;
    Pool pool(2);
    const std::string long_name(60, 'n');
    std::vector<Node*> nodes;
    for (const char* name : {"first", long_name.c_str(), static_cast<const char*>(nullptr)}) {
        TaskSpec spec;
        spec.fn = Gate::body;
        spec.env = &gate;
        spec.name = name;
        nodes.push_back(pool.submit(spec));
    }
    gate.await(2);
    std::array<execq_running_task, 4> room;
    std::memset(room.data(), 0xff, sizeof room);
    execq_shutdown_report report = pool.report(room.data(), room.size());
    EXPECT_EQ(report.running_total, 2U);
    EXPECT_EQ(report.running_count, 2U);
    EXPECT_EQ(report.queued, 1U);
    EXPECT_EQ(report.threads, 2U);
    const std::set<std::string> names = {room[0].name, room[1].name};
    EXPECT_EQ(names, (std::set<std::string>{"first", std::string(47, 'n')}));
    EXPECT_GE(room[0].running_ns, 0);
    EXPECT_EQ(room[0].reserved, 0U);
    report = pool.report(room.data(), 1);
    EXPECT_EQ(report.running_total, 2U);
    EXPECT_EQ(report.running_count, 1U);
    report = pool.report(nullptr, 5);
    EXPECT_EQ(report.running_total, 2U);
    EXPECT_EQ(report.running_count, 0U);
    gate.open(3);
    for (Node* node : nodes)
        EXPECT_EQ(finish(node), EXECQ_OK);
}

// ---- its own life ----

TEST(Executor, RunsWhatItAcceptedAfterItsLastRelease)
{
    Executor* executor = nullptr;
    ASSERT_EQ(Executor::make(nullptr, 2, &executor), EXECQ_OK);
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
        ASSERT_EQ(Executor::make(nullptr, 2, &env.executor), EXECQ_OK);
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
        ASSERT_EQ(Executor::make(nullptr, 1, &executor), EXECQ_OK);
        ASSERT_NE(executor->id(), 0);
        ASSERT_TRUE(ids.insert(executor->id()).second);
        executors.push_back(executor);
    }
    Executor* more = nullptr;
    EXPECT_EQ(Executor::make(nullptr, 1, &more), EXECQ_EAGAIN);
    EXPECT_EQ(more, nullptr);
    const std::uint16_t freed = executors[12345]->id();
    executors[12345]->release();
    EXPECT_EQ(Executor::make(nullptr, 1, &executors[12345]), EXECQ_OK);
    EXPECT_EQ(executors[12345]->id(), freed);
    for (Executor* executor : executors)
        executor->release();
}

// ---- how tasks end ----

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

TEST(Executor, MakesAFailureOfAnExceptionAndGoesOn)
{
    Pool pool(1);
    const std::string code = std::to_string(EXECQ_EEXCEPTION) + " ";
    EXPECT_EQ(end_of(pool, [](void*, void**) -> std::int32_t { throw std::runtime_error("the disk is gone"); }),
              code + "the disk is gone");
    EXPECT_EQ(end_of(pool, [](void*, void**) -> std::int32_t { throw 42; }), code + status_text(EXECQ_EEXCEPTION));
    EXPECT_EQ(end_of(pool, [](void*, void**) -> std::int32_t { return 0; }), "no failure");
    EXPECT_EQ(pool.threads(), 1U);
}

TEST(Executor, CancelsATaskThatReturnsSoOnlyWhereItWasAsked)
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

TEST(Executor, DropsTheEnvBeforeTheTaskIsDone)
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

TEST(Executor, FailsATaskThatEndsItsThreadAndReplacesTheThread)
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
    EXPECT_LE(pool.threads(), 2U) << "the one that works, and at most the last one that ended";
}

TEST(Executor, RunsWhatIsQueuedBehindATaskThatEndsItsThread)
{
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
}

TEST(Executor, TellsEverybodyOfATaskThatEndedItsThread)
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
