// Priorities: in what order tasks of the three classes are taken.
#include <algorithm>
#include <gtest/gtest.h>
#include <string>
#include <uv.h>
#include <vector>

#include "pool.h"
#include "sched/class_inboxes.h"

using namespace execq::core;

namespace {

// Tasks that write down their class.
struct Diary {
    std::string classes;
    std::vector<int> numbers;

    struct Entry {
        Diary& diary;
        char name;
        int number;
    };
    static std::int32_t body(void* env, void**)
    {
        auto* entry = static_cast<Entry*>(env);
        entry->diary.classes += entry->name;
        entry->diary.numbers.push_back(entry->number);
        delete entry;
        return 0;
    }
};

char name_of(std::int32_t priority) { return priority > 0 ? 'H' : priority < 0 ? 'L' : 'N'; }

// From any thread, by the way that all tasks with options take.
void hand_in(Executor& executor, Diary& diary, std::int32_t priority, int number = 0)
{
    TaskSpec spec;
    spec.fn = Diary::body;
    spec.env = new Diary::Entry{diary, name_of(priority), number};
    spec.priority = priority;
    Node* node = Node::make_task(spec, 0, executor.id());
    CHECK(node != nullptr && executor.hand_in(*node) == EXECQ_OK);
}

// Fills a pool of one worker while that is held up, and gives the order in which it then goes on.
template <class Fill>
std::string order_of(const Fill& fill)
{
    Diary diary;
    Gate gate;
    {
        Pool pool(1);
        pool.submit_and_forget(Gate::body, &gate);
        gate.await();
        fill(*pool.get(), diary);
        gate.open();
    }
    return diary.classes;
}

TEST(Priority, HighTasksComeFirstAndLowOnesLast)
{
    EXPECT_EQ(order_of([](Executor& executor, Diary& diary) {
                  for (const int priority : {-1, 0, 1, -1, 0, 1})
                      hand_in(executor, diary, priority);
              }),
              "HHNNLL");
}

TEST(Priority, TasksOfOneClassStartInOrder)
{
    for (const std::int32_t priority : {EXECQ_PRIORITY_HIGH, EXECQ_PRIORITY_NORMAL, EXECQ_PRIORITY_LOW}) {
        Diary diary;
        Gate gate;
        {
            Pool pool(1);
            pool.submit_and_forget(Gate::body, &gate);
            gate.await();
            for (int i = 0; i < 100; ++i)
                hand_in(*pool.get(), diary, priority, i);
            gate.open();
        }
        EXPECT_EQ(diary.numbers.size(), 100U);
        EXPECT_TRUE(std::is_sorted(diary.numbers.begin(), diary.numbers.end()));
    }
}

// At least one of every `window` tasks in a row is of these classes, as long as one of them waits.
void expect_none_starves(const std::string& order, const std::string& classes, std::size_t window)
{
    std::size_t waits = 0;
    const std::size_t last = order.find_last_of(classes);
    for (std::size_t i = 0; i < last; ++i) {
        waits = classes.find(order[i]) == std::string::npos ? waits + 1 : 0;
        ASSERT_LT(waits, window) << "at " << i << " of " << order;
    }
}

TEST(Priority, HighTasksDoNotStarveTheOthers)
{
    const std::string order = order_of([](Executor& executor, Diary& diary) {
        for (int i = 0; i < 300; ++i)
            hand_in(executor, diary, EXECQ_PRIORITY_HIGH);
        for (int i = 0; i < 10; ++i)
            hand_in(executor, diary, EXECQ_PRIORITY_NORMAL);
        for (int i = 0; i < 10; ++i)
            hand_in(executor, diary, EXECQ_PRIORITY_LOW);
    });
    EXPECT_EQ(order.size(), 320U);
    EXPECT_EQ(order.substr(0, 16), "HHHHHHHHHHHHHHHN") << "of 16 tasks 15 are high";
    expect_none_starves(order, "NL", 16);
    expect_none_starves(order, "L", 64);
}

TEST(Priority, NormalTasksDoNotStarveLowOnes)
{
    const std::string order = order_of([](Executor& executor, Diary& diary) {
        for (int i = 0; i < 1000; ++i)
            hand_in(executor, diary, EXECQ_PRIORITY_NORMAL);
        for (int i = 0; i < 10; ++i)
            hand_in(executor, diary, EXECQ_PRIORITY_LOW);
    });
    EXPECT_EQ(order.size(), 1010U);
    expect_none_starves(order, "L", 64);
    EXPECT_EQ(order.find('L'), 63U) << "and not sooner";
}

TEST(Priority, HighTasksGoOnWhereNothingElseWaits)
{
    const std::string order = order_of([](Executor& executor, Diary& diary) {
        for (int i = 0; i < 100; ++i)
            hand_in(executor, diary, EXECQ_PRIORITY_HIGH);
    });
    EXPECT_EQ(order, std::string(100, 'H'));
}

// A body that submits n tasks of each class to its own executor, then hears what runs.
struct Inside {
    Executor* executor = nullptr;
    Diary diary;
    Gate gate;

    static std::int32_t body(void* env, void**)
    {
        auto* self = static_cast<Inside*>(env);
        self->gate.pass();
        for (const int priority : {-1, 0, 0, 1})
            hand_in(*self->executor, self->diary, priority);
        return 0;
    }
};

TEST(Priority, AHighTaskFromInsideOvertakesWhatItsWorkerHasFetchedAndSubmitted)
{
    Inside inside;
    {
        Pool pool(1);
        inside.executor = pool.get();
        pool.submit_and_forget(Inside::body, &inside);
        inside.gate.await();
        for (int i = 0; i < 5; ++i)
            hand_in(*pool.get(), inside.diary, EXECQ_PRIORITY_NORMAL);  // one batch
        inside.gate.open();
    }
    EXPECT_EQ(inside.diary.classes, "HNNNNNNNL");
}

TEST(Priority, ABatchHasOnePriority)
{
    EXPECT_EQ(order_of([](Executor& executor, Diary& diary) {
                  for (const int priority : {-1, 0, 1}) {
                      TaskFifo batch;
                      for (int i = 0; i < 3; ++i) {
                          TaskSpec spec;
                          spec.fn = Diary::body;
                          spec.env = new Diary::Entry{diary, name_of(priority), i};
                          spec.priority = priority;
                          batch.push(*Node::make_task(spec, 0, executor.id()));
                      }
                      CHECK(executor.submit(batch) == EXECQ_OK);
                  }
              }),
              "HHHNNNLLL");
}

TEST(Priority, TheFirstTaskOfAnExecutorMayHaveOne)
{
    for (const std::int32_t priority : {EXECQ_PRIORITY_HIGH, EXECQ_PRIORITY_LOW}) {
        Diary diary;
        {
            Pool pool(2);
            hand_in(*pool.get(), diary, priority);
        }
        EXPECT_EQ(diary.classes.size(), 1U);
    }
}

TEST(Priority, WakesASleeperLikeAnyOther)
{
    Pool pool(1);
    pid_t thread = 0;
    TaskSpec spec;
    spec.env = &thread;
    spec.fn = [](void* env, void**) -> std::int32_t {
        *static_cast<pid_t*>(env) = thread_id();
        return 0;
    };
    for (const std::int32_t priority : {0, 1, -1, 1, -1}) {
        spec.priority = priority;
        EXPECT_EQ(finish(pool.submit(spec)), EXECQ_OK);
        wait_until_asleep(thread);
    }
}

TEST(Priority, IsRefusedByAnExecutorThatHasClosedAndCanceledByOneThatCancels)
{
    Gate gate;
    Pool pool(1);
    TaskSpec spec;
    spec.fn = Counter::body;
    Counter ran;
    spec.env = &ran;
    std::vector<Node*> waiting;
    pool.submit_and_forget(Gate::body, &gate);
    gate.await();
    for (const std::int32_t priority : {1, -1, 0}) {
        spec.priority = priority;
        waiting.push_back(pool.submit(spec));
    }
    EXPECT_EQ(pool.report().queued, 3U);
    pool->close(EXECQ_CANCEL);
    for (const std::int32_t priority : {1, -1}) {
        execq_status status = EXECQ_OK;
        spec.priority = priority;
        EXPECT_EQ(pool.submit(spec, &status), nullptr);
        EXPECT_EQ(status, EXECQ_ECLOSED);
    }
    gate.open();
    for (Node* node : waiting)
        EXPECT_EQ(finish(node), EXECQ_ECANCELED);
    EXPECT_EQ(ran.n, 0U);
}

TEST(Priority, TheFirstOneAfterACloseIsRefusedToo)
{
    Pool pool(1);
    pool->close(EXECQ_DRAIN);
    TaskSpec spec;
    spec.fn = Counter::body;
    spec.priority = EXECQ_PRIORITY_HIGH;
    execq_status status = EXECQ_OK;
    EXPECT_EQ(pool.submit(spec, &status), nullptr);
    EXPECT_EQ(status, EXECQ_ECLOSED);
}

TEST(Priority, ADrainRunsAllClassesAlsoThoseThatItsOwnTasksSubmit)
{
    Inside inside;
    Pool pool(1);
    inside.executor = pool.get();
    pool.submit_and_forget(Inside::body, &inside);
    inside.gate.await();
    pool->close(EXECQ_DRAIN);
    inside.gate.open();
    EXPECT_EQ(pool->join(never()), EXECQ_OK);
    EXPECT_EQ(inside.diary.classes, "HNNL");
}

// ---- asynchronous tasks ----

struct Start {
    Diary* diary;
    char name;

    static void start(execq_promise* promise, uv_loop_s*, void* env)
    {
        auto* self = static_cast<Start*>(env);
        self->diary->classes += self->name;
        CHECK(core_of(promise)->resolve(nullptr));
        core_of(promise)->release_promise();
        delete self;
    }
};

void start_async(Executor& executor, Diary& diary, std::int32_t priority)
{
    TaskSpec spec;
    spec.env = new Start{&diary, static_cast<char>(name_of(priority) + ('a' - 'A'))};
    spec.priority = priority;
    Node* node = Node::make_async(spec, Start::start, 0, executor.id());
    CHECK(node != nullptr && executor.hand_in(*node) == EXECQ_OK);
}

TEST(Priority, OrdersAsynchronousTasksAmongThemselves)
{
    const std::string order = order_of([](Executor& executor, Diary& diary) {
        for (int i = 0; i < 100; ++i)
            start_async(executor, diary, EXECQ_PRIORITY_HIGH);
        for (const int priority : {-1, 0, -1, 0})
            start_async(executor, diary, priority);
    });
    EXPECT_EQ(order.size(), 104U);
    EXPECT_EQ(order[0], 'h');
    expect_none_starves(order, "nl", 16);
    expect_none_starves(order, "l", 64);
    EXPECT_LT(order.find('n'), order.find('l'));
}

TEST(Priority, AHighAsynchronousTaskStartsBeforeOtherTasks)
{
    EXPECT_EQ(order_of([](Executor& executor, Diary& diary) {
                  for (int i = 0; i < 40; ++i)
                      hand_in(executor, diary, EXECQ_PRIORITY_NORMAL);
                  start_async(executor, diary, EXECQ_PRIORITY_HIGH);
              }),
              "h" + std::string(40, 'N'));
}

// ---- the turns themselves ----

TEST(ClassTurns, CountWhatIsTakenWhileOthersWait)
{
    ClassTurns turns;
    for (std::uint32_t i = 0; i < ClassTurns::high_in_a_row; ++i) {
        EXPECT_TRUE(turns.high_first());
        turns.take_high(false);
    }
    EXPECT_FALSE(turns.high_first());
    EXPECT_FALSE(turns.low_first()) << "none waited";
    turns.take_normal(false);
    EXPECT_TRUE(turns.high_first());
    for (std::uint32_t i = 0; i < ClassTurns::above_low_in_a_row; ++i) {
        EXPECT_FALSE(turns.low_first());
        turns.take_normal(true);
    }
    EXPECT_TRUE(turns.low_first());
    turns.take_low();
    EXPECT_FALSE(turns.low_first());
}

}  // namespace
