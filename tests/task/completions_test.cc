#include <algorithm>
#include <array>
#include <gtest/gtest.h>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "task/callbacks.h"
#include "task/node.h"
#include "test_port.h"
#include "white_box.h"

using namespace execq::core;

namespace {

// What happened, in order: "delivered 3", "dropped 3" …
struct Log {
    std::vector<std::pair<char, int>> events;
};

using Events = std::vector<std::pair<char, int>>;

// An env that says in the log what happens to it.
struct Entry {
    Log* log = nullptr;
    int id = 0;
    execq_future* future = nullptr;

    static void done(execq_future* future, void* entry)
    {
        auto* self = static_cast<Entry*>(entry);
        self->future = future;
        self->log->events.emplace_back('d', self->id);
    }
    static void drop(void* entry)
    {
        auto* self = static_cast<Entry*>(entry);
        self->log->events.emplace_back('x', self->id);
    }
};

struct Fixture : testing::Test {
    Log log;
    std::array<Entry, 10> entries;
    Node* node = new_promise();

    Fixture()
    {
        for (std::size_t i = 0; i < entries.size(); ++i)
            entries[i] = {&log, static_cast<int>(i), nullptr};
    }
    execq_status add(int i, bool with_drop, Port* port = nullptr)
    {
        Entry& entry = entries[static_cast<std::size_t>(i)];
        return node->register_completion({Entry::done, &entry, with_drop ? Entry::drop : nullptr, port});
    }
    void release_both()
    {
        node->release();
        node->release();
    }
};

struct Completions : Fixture {};

TEST_F(Completions, AreDeliveredWhenTheNodeIsSettled)
{
    EXPECT_EQ(add(0, false), EXECQ_OK);
    EXPECT_TRUE(log.events.empty());
    node->settle_value(nullptr);
    EXPECT_EQ(log.events, (Events{{'d', 0}}));
    EXPECT_EQ(entries[0].future, future_of(node));
    release_both();
    EXPECT_EQ(log.events, (Events{{'d', 0}}));
}

TEST_F(Completions, AreDeliveredInsideTheCallOnceTheNodeIsDone)
{
    node->settle_value(nullptr);
    EXPECT_EQ(add(0, false), EXECQ_OK);
    EXPECT_EQ(log.events, (Events{{'d', 0}}));
    EXPECT_EQ(add(1, true), EXECQ_OK);
    EXPECT_EQ(log.events, (Events{{'d', 0}, {'d', 1}, {'x', 1}}));
    release_both();
}

TEST_F(Completions, AreDroppedOnceAfterTheyWereDelivered)
{
    EXPECT_EQ(add(0, true), EXECQ_OK);
    node->settle_code(3);
    EXPECT_EQ(log.events, (Events{{'d', 0}, {'x', 0}}));
    release_both();
    EXPECT_EQ(log.events.size(), 2U);
}

// The first fills the room inside the node, the second moves it to a record, later ones join the chain.
TEST_F(Completions, KeepTheOrderOfRegistrationWhereverTheyAreKept)
{
    const std::array<std::array<bool, 4>, 4> with_drop = {{{false, false, false, false},
                                                           {false, true, false, true},
                                                           {true, false, false, true},
                                                           {true, true, true, true}}};
    for (const auto& drops : with_drop) {
        Node* each = new_promise();
        log.events.clear();
        Events expected;
        for (int i = 0; i < 4; ++i) {
            const bool drop = drops[static_cast<std::size_t>(i)];
            Entry& entry = entries[static_cast<std::size_t>(i)];
            ASSERT_EQ(each->register_completion({Entry::done, &entry, drop ? Entry::drop : nullptr, nullptr}),
                      EXECQ_OK);
            expected.emplace_back('d', i);
            if (drop)
                expected.emplace_back('x', i);
        }
        each->settle_value(nullptr);
        EXPECT_EQ(log.events, expected);
        each->release();
        each->release();
    }
    release_both();
}

TEST_F(Completions, KeepTheirPortsWhenTheRoomInsideMovesToARecord)
{
    TestPort first;
    TestPort second;
    EXPECT_EQ(add(0, false, &first), EXECQ_OK);
    EXPECT_EQ(add(1, false, &second), EXECQ_OK);
    EXPECT_EQ(add(2, false), EXECQ_OK);
    EXPECT_EQ(add(3, true, &first), EXECQ_OK);
    EXPECT_EQ(first.uses, 2);
    EXPECT_EQ(second.uses, 1);
    node->settle_value(nullptr);
    EXPECT_EQ(first.delivered, 2);
    EXPECT_EQ(second.delivered, 1);
    EXPECT_EQ(log.events, (Events{{'d', 0}, {'d', 1}, {'d', 2}, {'d', 3}, {'x', 3}}));
    EXPECT_EQ(first.uses, 0);
    EXPECT_EQ(second.uses, 0);
    release_both();
}

TEST_F(Completions, KeepTheirNodeUntilTheyAreOver)
{
    Counter drops;
    Node* own = new_promise(Counter::hit);
    const execq_done_fn done = [](execq_future* future, void* n) {
        void* value = nullptr;
        EXPECT_EQ(execq::core::core_of(future)->result(&value), EXECQ_OK);
        EXPECT_EQ(static_cast<Counter*>(value)->n, 0U) << "freed before its callback";
        static_cast<Node*>(n)->release();  // the future's reference
    };
    ASSERT_EQ(own->register_completion({done, own, nullptr, nullptr}), EXECQ_OK);
    ASSERT_EQ(own->register_completion({[](execq_future*, void*) {}, nullptr, nullptr, nullptr}), EXECQ_OK);
    own->settle_value(&drops);
    EXPECT_EQ(drops.n, 0U);
    own->release();
    EXPECT_EQ(drops.n, 1U);
    release_both();
}

TEST_F(Completions, MayBeAddedByTheCallbacksOfTheirNode)
{
    struct Adder {
        Completions* test;
        static void done(execq_future*, void* adder) { static_cast<Adder*>(adder)->test->add(1, true); }
    } adder{this};
    ASSERT_EQ(node->register_completion({Adder::done, &adder, nullptr, nullptr}), EXECQ_OK);
    ASSERT_EQ(add(0, false), EXECQ_OK);
    node->settle_value(nullptr);
    // Either order of 0 and 1 would do; each comes once.
    std::sort(log.events.begin(), log.events.end());
    EXPECT_EQ(log.events, (Events{{'d', 0}, {'d', 1}, {'x', 1}}));
    release_both();
}

// ---- ports that refuse ----

TEST_F(Completions, KeepNothingWhereThePortIsClosed)
{
    TestPort port;
    port.open = false;
    EXPECT_EQ(add(0, true, &port), EXECQ_ECLOSED);
    EXPECT_EQ(add(1, false, &port), EXECQ_ECLOSED);
    EXPECT_EQ(port.uses, 0);
    node->settle_value(nullptr);
    EXPECT_EQ(port.delivered, 0);
    EXPECT_TRUE(log.events.empty()) << "the env stays the caller's";
    release_both();
}

TEST_F(Completions, KeepNothingWhereThePortWithdrewAllJustBefore)
{
    TestPort port(true);
    port.withdraw();
    EXPECT_EQ(add(0, true, &port), EXECQ_ECLOSED);
    EXPECT_EQ(add(1, false, &port), EXECQ_ECLOSED);
    EXPECT_EQ(port.uses, 0);
    node->settle_value(nullptr);
    EXPECT_TRUE(log.events.empty());
    release_both();
}

TEST_F(Completions, AreDroppedInsteadOfDeliveredWhereThePortWithdrawsThem)
{
    TestPort port;
    EXPECT_EQ(add(0, true, &port), EXECQ_OK);
    EXPECT_EQ(add(1, true, &port), EXECQ_OK);
    port.withdraw();
    EXPECT_EQ(log.events, (Events{{'x', 0}, {'x', 1}}));
    EXPECT_EQ(port.uses, 2) << "the node still has to let go";
    node->settle_value(nullptr);
    EXPECT_EQ(log.events.size(), 2U);
    EXPECT_EQ(port.uses, 0);
    release_both();
}

// ---- before the task is published ----

// Registers a completion with a task that nobody knows yet, as a submission does; accept() publishes it.
template <class Accept>
execq_status preset(Node& task, const Completion& completion, const Accept& accept)
{
    if (!completion.port->begin_use())
        return EXECQ_ECLOSED;
    if (!needs_record(completion)) {
        task.preset_inside(completion);
        return accept();
    }
    HeapRegistration* record = task.preset_record(completion);
    CHECK(record != nullptr);
    const execq_status status = completion.port->list_if(*record, accept);
    if (status != EXECQ_OK)
        delete record;
    return status;
}

TEST_F(Completions, CanBeSetBeforeTheTaskIsPublished)
{
    for (const bool with_drop : {false, true}) {
        TestPort port;
        log.events.clear();
        Node* task = new_task();
        const Completion completion{Entry::done, entries.data(), with_drop ? Entry::drop : nullptr, &port};
        ASSERT_EQ(preset(*task, completion, [] { return EXECQ_OK; }), EXECQ_OK);
        EXPECT_EQ(port.uses, 1);
        EXPECT_TRUE(log.events.empty());
        ASSERT_TRUE(task->try_start());
        task->settle_value(nullptr);
        EXPECT_EQ(log.events, with_drop ? (Events{{'d', 0}, {'x', 0}}) : (Events{{'d', 0}}));
        EXPECT_EQ(port.uses, 0);  // and the task is gone: the registration had its reference
    }
    release_both();
}

TEST_F(Completions, LeaveTheTasksEnvAloneWhenTheyAreSetBefore)
{
    TestPort port;
    TaskSpec spec;
    spec.env = &port;
    Node* task = new_task(spec);
    const Completion completion{Entry::done, entries.data(), nullptr, &port};
    ASSERT_EQ(preset(*task, completion, [] { return EXECQ_OK; }), EXECQ_OK);
    EXPECT_EQ(task->task_env(), &port);
    ASSERT_TRUE(task->try_start());
    task->settle_value(nullptr, execq::core::Reference::give);
    EXPECT_EQ(log.events.size(), 1U);
    release_both();
}

TEST_F(Completions, KeepNothingOfATaskThatIsNotAccepted)
{
    for (const bool with_drop : {false, true}) {
        TestPort port;
        Node* task = new_task();
        const Completion completion{Entry::done, entries.data(), with_drop ? Entry::drop : nullptr, &port};
        EXPECT_EQ(preset(*task, completion, [] { return EXECQ_EAGAIN; }), EXECQ_EAGAIN);
        task->discard();
        port.end_use();
        port.withdraw();
        EXPECT_TRUE(log.events.empty()) << "its env is still the caller's";
    }
    release_both();
}

TEST_F(Completions, AreNotOfferedToAnExecutorWhereThePortWithdrewAll)
{
    TestPort port;
    port.withdraw();
    Node* task = new_task();
    bool offered = false;
    const Completion completion{Entry::done, entries.data(), Entry::drop, &port};
    const auto accept = [&] {
        offered = true;
        return EXECQ_OK;
    };
    EXPECT_EQ(preset(*task, completion, accept), EXECQ_ECLOSED);
    EXPECT_FALSE(offered);
    EXPECT_TRUE(log.events.empty());
    EXPECT_EQ(task->phase(), Phase::pending);
    task->discard();
    release_both();
}

TEST_F(Completions, MayBeDeliveredBeforeTheirAcceptanceReturns)
{
    TestPort port;
    Node* task = new_task();
    const Completion completion{Entry::done, entries.data(), Entry::drop, &port};
    Gate started;
    std::thread worker;
    const auto accept = [&] {
        worker = std::thread([&] {
            CHECK(task->try_start());
            started.pass();
            task->settle_value(nullptr);
        });
        started.await();
        started.open();
        return EXECQ_OK;
    };
    EXPECT_EQ(preset(*task, completion, accept), EXECQ_OK);
    worker.join();
    EXPECT_EQ(log.events, (Events{{'d', 0}, {'x', 0}}));
    EXPECT_EQ(port.uses, 0);
    release_both();
}

}  // namespace
