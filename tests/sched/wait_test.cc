#include "sched/wait.h"

#include <array>
#include <gtest/gtest.h>
#include <pthread.h>
#include <vector>

#include "pool.h"
#include "task/callbacks.h"

using namespace execq::core;

namespace {

constexpr std::int64_t hour = 3600LL * 1'000'000'000;

// A task that submits others and waits: each test fills in what it does there.
struct Scene {
    void (*act)(Scene&);
    Node* self = nullptr;
    execq_status status = EXECQ_EPENDING;
    pid_t thread = 0;
    pid_t inner_thread = 0;
    Gate gate;
    Counter ran;
    Pool pool;  // the last member: what is still queued may use the others

    Scene(std::uint32_t threads, void (*does)(Scene&)) : act(does), pool(threads) {}

    static std::int32_t body(void* env, void**)
    {
        auto* scene = static_cast<Scene*>(env);
        scene->gate.pass();  // self is known by now
        scene->thread = thread_id();
        scene->act(*scene);
        return 0;
    }
    static std::int32_t inner(void* env, void**)
    {
        static_cast<Scene*>(env)->inner_thread = thread_id();
        return 0;
    }
    execq_status play()
    {
        self = pool.submit(body, this);
        gate.open();
        const execq_status end = finish(self);
        gate.await();
        return end;
    }
};

TEST(WaitOnAWorker, RunsAnUnstartedTaskInPlace)
{
    Scene scene{1, [](Scene& s) {
                    Node* node = s.pool.submit(Scene::inner, &s);
                    s.status = wait_for(*node, never());
                    EXPECT_EQ(node->phase(), Phase::ok);
                    node->release();
                }};
    EXPECT_EQ(scene.play(), EXECQ_OK);
    EXPECT_EQ(scene.status, EXECQ_OK);
    EXPECT_EQ(scene.inner_thread, scene.thread);
}

TEST(WaitOnAWorker, RunsItOnceAlthoughItStaysInTheQueue)
{
    Scene scene{1, [](Scene& s) {
                    std::vector<Node*> nodes;
                    for (int i = 0; i < 10; ++i)
                        nodes.push_back(s.pool.submit(Counter::body, &s.ran));
                    EXPECT_EQ(wait_for(*nodes[7], never()), EXECQ_OK);
                    EXPECT_EQ(s.ran.n, 1U);
                    s.status = wait_for_all(nodes.data(), nodes.size(), never());
                    EXPECT_EQ(s.ran.n, 10U);
                    for (Node* node : nodes)
                        node->release();
                }};
    EXPECT_EQ(scene.play(), EXECQ_OK);
    EXPECT_EQ(scene.status, EXECQ_OK);
    scene.pool->close(EXECQ_DRAIN);
    EXPECT_EQ(scene.pool->join(never()), EXECQ_OK);
    EXPECT_EQ(scene.ran.n, 10U);
}

struct Deep {
    Pool& pool;
    std::size_t left;
    std::size_t reached = 0;

    static std::int32_t body(void* env, void**)
    {
        std::array<volatile char, 4096> frame;
        frame[0] = 1;
        frame[4095] = 1;
        auto* self = static_cast<Deep*>(env);
        ++self->reached;
        if (self->left-- == 0)
            return 0;
        Node* node = self->pool.submit(body, env);
        CHECK(wait_for(*node, never()) == EXECQ_OK);
        node->release();
        return frame[0] - frame[4095];
    }
};

TEST(WaitOnAWorker, NestsAThousandDeepOnOneThread)
{
    Pool pool(1);
    Deep deep{pool, sanitized ? 100U : 1000U};
    const std::size_t depth = deep.left + 1;
    EXPECT_EQ(finish(pool.submit(Deep::body, &deep)), EXECQ_OK);
    EXPECT_EQ(deep.reached, depth);
    EXPECT_EQ(pool.threads(), 1U);
}

TEST(WaitOnAWorker, RunsNothingInPlaceWithALimitWhichNoThreadCouldKeep)
{
    Scene scene{1, [](Scene& s) {
                    Node* node = s.pool.submit(Scene::inner, &s);
                    s.status = wait_for(*node, Deadline::after(hour));
                    EXPECT_EQ(node->phase(), Phase::pending);
                    EXPECT_EQ(wait_for(*node, only_look()), EXECQ_ETIMEDOUT) << "a look is no wait";
                    node->release();
                }};
    EXPECT_EQ(scene.play(), EXECQ_OK);
    EXPECT_EQ(scene.status, EXECQ_EDEADLK);
}

TEST(WaitOnAWorker, WithALimitIsFineWhileAnotherThreadMayStartOrIsOnItsWay)
{
    for (int round = 0; round < 100; ++round) {
        Scene scene{2, [](Scene& s) {
                        for (int i = 0; i < 3; ++i) {
                            Node* node = s.pool.submit(Scene::inner, &s);
                            s.status = wait_for(*node, Deadline::after(hour));
                            node->release();
                            if (s.status != EXECQ_OK)
                                return;
                        }
                    }};
        ASSERT_EQ(scene.play(), EXECQ_OK);
        ASSERT_EQ(scene.status, EXECQ_OK) << "in round " << round;
        EXPECT_NE(scene.inner_thread, scene.thread);
    }
}

TEST(WaitOnAWorker, ForAnyNeverRunsATaskInPlace)
{
    Scene scene{1, [](Scene& s) {
                    Node* node = s.pool.submit(Scene::inner, &s);
                    const std::array<Node*, 2> nodes = {node, s.self};
                    s.status = wait_for_any(nodes.data(), nodes.size(), never(), nullptr);
                    EXPECT_EQ(node->phase(), Phase::pending);
                    EXPECT_EQ(wait_for_any(nodes.data(), nodes.size(), only_look(), nullptr), EXECQ_ETIMEDOUT);
                    node->release();
                }};
    EXPECT_EQ(scene.play(), EXECQ_OK);
    EXPECT_EQ(scene.status, EXECQ_EDEADLK);
}

TEST(WaitOnAWorker, ForAnyIsFineIfOneOfThemCanEnd)
{
    Scene scene{1, [](Scene& s) {
                    Node* task = s.pool.submit(Scene::inner, &s);
                    Node* promise = new_promise();
                    const std::array<Node*, 3> nodes = {s.self, task, promise};
                    std::thread resolver([&] {
                        CHECK(promise->try_claim_promise());
                        promise->settle_value(nullptr);
                    });
                    std::size_t index = 9;
                    s.status = wait_for_any(nodes.data(), nodes.size(), never(), &index);
                    EXPECT_EQ(index, 2U);
                    resolver.join();
                    task->release();
                    promise->release();
                    promise->release();
                }};
    EXPECT_EQ(scene.play(), EXECQ_OK);
    EXPECT_EQ(scene.status, EXECQ_OK);
}

TEST(WaitOnAWorker, ForItsOwnTaskIsADeadlock)
{
    Scene scene{4, [](Scene& s) {
                    s.status = wait_for(*s.self, never());
                    EXPECT_EQ(wait_for(*s.self, Deadline::after(hour)), EXECQ_EDEADLK);
                    EXPECT_EQ(wait_for(*s.self, only_look()), EXECQ_ETIMEDOUT);
                    EXPECT_EQ(wait_for_all(&s.self, 1, never()), EXECQ_EDEADLK);
                    EXPECT_EQ(wait_for_any(&s.self, 1, never(), nullptr), EXECQ_EDEADLK);
                }};
    EXPECT_EQ(scene.play(), EXECQ_OK);
    EXPECT_EQ(scene.status, EXECQ_EDEADLK);
}

TEST(WaitOnAWorker, ForATaskThatItIsNestedInIsADeadlock)
{
    static Scene* outer;
    Scene scene{1, [](Scene& s) {
                    const execq_fn nested = [](void*, void**) {
                        outer->status = wait_for(*outer->self, never());
                        return std::int32_t{0};
                    };
                    Node* node = s.pool.submit(nested, nullptr);
                    EXPECT_EQ(wait_for(*node, never()), EXECQ_OK);
                    node->release();
                }};
    outer = &scene;
    EXPECT_EQ(scene.play(), EXECQ_OK);
    EXPECT_EQ(scene.status, EXECQ_EDEADLK);
}

TEST(WaitOnAWorker, RunsNothingInPlaceInsideACallback)
{
    Scene scene{1, [](Scene& s) {
                    Node* node = s.pool.submit(Scene::inner, &s);
                    {
                        const CallbackScope callback;
                        s.status = wait_for(*node, never());
                        EXPECT_EQ(node->phase(), Phase::pending);
                    }
                    EXPECT_EQ(wait_for(*node, never()), EXECQ_OK);
                    node->release();
                }};
    EXPECT_EQ(scene.play(), EXECQ_OK);
    EXPECT_EQ(scene.status, EXECQ_EDEADLK);
}

// Uses the stack up to a given rest, then waits.
[[gnu::noinline]] execq_status wait_with_little_stack(Node& node, std::size_t rest)
{
    if (Worker::current()->stack_left() < rest)
        return wait_for(node, never());
    auto* room = static_cast<volatile char*>(__builtin_alloca(16 * 1024));
    room[0] = 0;
    const execq_status status = wait_with_little_stack(node, rest);
    return room[0] == 0 ? status : EXECQ_EINVAL;
}

TEST(WaitOnAWorker, RunsNothingInPlaceWithLessThan256KibOfStackLeft)
{
    Scene scene{1, [](Scene& s) {
                    Node* node = s.pool.submit(Scene::inner, &s);
                    s.status = wait_with_little_stack(*node, 255 * 1024);
                    EXPECT_EQ(node->phase(), Phase::pending);
                    EXPECT_EQ(wait_with_little_stack(*node, 320 * 1024), EXECQ_OK);
                    node->release();
                }};
    EXPECT_EQ(scene.play(), EXECQ_OK);
    EXPECT_EQ(scene.status, EXECQ_EDEADLK);
}

TEST(WaitOnAWorker, ForATaskOfAnotherExecutorJustBlocks)
{
    static Pool* other;
    Pool another(1);
    other = &another;
    Scene scene{1, [](Scene& s) {
                    Gate gate;
                    other->submit_and_forget(Gate::body, &gate);
                    gate.await();
                    Node* node = other->submit(Scene::inner, &s);
                    EXPECT_EQ(wait_for(*node, Deadline::after(1'000'000)), EXECQ_ETIMEDOUT);
                    gate.open();
                    s.status = wait_for(*node, never());
                    node->release();
                }};
    EXPECT_EQ(scene.play(), EXECQ_OK);
    EXPECT_EQ(scene.status, EXECQ_OK);
    EXPECT_NE(scene.inner_thread, scene.thread);
}

TEST(WaitOnAWorker, CancelsInPlaceWhatAnExecutorThatCancelsHasNotStarted)
{
    Scene scene{1, [](Scene& s) {
                    Node* node = s.pool.submit(Scene::inner, &s);
                    s.pool->close(EXECQ_CANCEL);
                    EXPECT_EQ(wait_for(*node, never()), EXECQ_OK);
                    s.status = node->result(nullptr);
                    node->release();
                }};
    EXPECT_EQ(scene.play(), EXECQ_OK);
    EXPECT_EQ(scene.status, EXECQ_ECANCELED);
    EXPECT_EQ(scene.inner_thread, 0);
}

TEST(WaitOnAWorker, ShowsNestedTasksInItsReport)
{
    static std::array<execq_running_task, 3> room;
    static execq_shutdown_report report;
    Scene scene{1, [](Scene& s) {
                    TaskSpec spec;
                    spec.name = "inner";
                    spec.env = &s;
                    spec.fn = [](void* env, void**) {
                        report = static_cast<Scene*>(env)->pool.report(room.data(), room.size());
                        return std::int32_t{0};
                    };
                    Node* node = s.pool.submit(spec);
                    s.status = wait_for(*node, never());
                    node->release();
                }};
    EXPECT_EQ(scene.play(), EXECQ_OK);
    EXPECT_EQ(report.running_total, 2U);
    EXPECT_STREQ(room[0].name, "inner");
    EXPECT_STREQ(room[1].name, "");
    EXPECT_EQ(report.queued, 0U) << "what runs in place is not queued any more";
}

// pthread_exit in a nested task: every task around it fails, the thread is replaced.
struct Exits {
    Pool& pool;
    int depth;
    std::vector<Node*> nodes;

    static std::int32_t body(void* env, void**)
    {
        auto* self = static_cast<Exits*>(env);
        if (self->depth-- == 0)
            pthread_exit(nullptr);
        Node* node = self->pool.submit(body, env);
        self->nodes.push_back(node);
        wait_for(*node, never());
        ADD_FAILURE() << "the thread is gone";
        return 0;
    }
};

TEST(WaitOnAWorker, EndsWithAllNestedTasksWhereOneEndsTheThread)
{
    Pool pool(1);
    Exits exits{pool, 3, {}};
    Node* outermost = pool.submit(Exits::body, &exits);
    Counter ran;
    EXPECT_EQ(finish(pool.submit(Counter::body, &ran)), EXECQ_OK);
    EXPECT_EQ(ran.n, 1U);
    exits.nodes.push_back(outermost);
    EXPECT_EQ(exits.nodes.size(), 4U);
    for (Node* node : exits.nodes) {
        EXPECT_EQ(block_on(*node, never()), EXECQ_OK);
        ASSERT_EQ(node->result(nullptr), EXECQ_EFAILED);
        EXPECT_EQ(node->error()->code(), EXECQ_EEXITED);
        node->release();
    }
}

// ---- on any thread ----

TEST(Wait, RunsTheCallbacksThatAreQueuedOnItsThread)
{
    Node* node = new_promise();
    Node* waited_for = new_promise();
    const execq_done_fn settle = [](execq_future*, void* other) { static_cast<Node*>(other)->settle_value(nullptr); };
    ASSERT_EQ(node->register_completion({settle, waited_for, nullptr, nullptr}), EXECQ_OK);
    {
        const CallbackScope callback;
        node->settle_value(nullptr);
        EXPECT_FALSE(waited_for->done());
        EXPECT_EQ(wait_for(*waited_for, never()), EXECQ_OK) << "or it never comes back";
    }
    for (Node* each : {node, waited_for}) {
        each->release();
        each->release();
    }
}

TEST(Wait, ForAllEndsWithTheFirstThatIsNotDoneInTime)
{
    std::array<Node*, 3> nodes;
    for (Node*& node : nodes)
        node = new_promise();
    nodes[0]->settle_value(nullptr);
    nodes[2]->settle_value(nullptr);
    EXPECT_EQ(wait_for_all(nodes.data(), nodes.size(), Deadline::after(1)), EXECQ_ETIMEDOUT);
    nodes[1]->settle_code(1);
    EXPECT_EQ(wait_for_all(nodes.data(), nodes.size(), only_look()), EXECQ_OK);
    EXPECT_EQ(wait_for_all(nullptr, 0, never()), EXECQ_OK);
    for (Node* node : nodes) {
        node->release();
        node->release();
    }
}

}  // namespace
