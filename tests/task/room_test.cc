#include "task/room.h"

#include <array>
#include <atomic>
#include <gtest/gtest.h>
#include <optional>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "task/cancel.h"
#include "white_box.h"

using namespace execq::core;

namespace {

constexpr std::int64_t hour = 3600LL * 1'000'000'000;
Deadline never() { return Deadline::after(-1); }

// A room that the test owns.
struct Own {
    explicit Own(std::uint32_t capacity) : room(*new Room(capacity)) {}
    ~Own() { room.release(); }
    Own(const Own&) = delete;
    Own& operator=(const Own&) = delete;
    Room& room;
};

// A thread that waits for room.
struct Waiter {
    Waiter(Room& room, std::uint32_t n, Deadline deadline = never())
        : thread([this, &room, n, deadline] { status = room.enter(n, deadline); })
    {}
    execq_status join()
    {
        thread.join();
        return status;
    }
    std::atomic<execq_status> status{EXECQ_EPENDING};
    std::thread thread;
};

// Until the waiter waits: then nobody else gets in, though there would be room. False if its limit was up before that was seen.
bool await_waiting(Room& room, const Waiter& waiter)
{
    while (room.try_enter(1)) {
        room.leave();
        if (waiter.status != EXECQ_EPENDING)
            return false;
        std::this_thread::yield();
    }
    return true;
}

TEST(Room, HasAsManyPlacesAsItsCapacity)
{
    Own own(3);
    EXPECT_TRUE(own.room.try_enter(2));
    EXPECT_FALSE(own.room.try_enter(2)) << "all or none";
    EXPECT_TRUE(own.room.try_enter(1));
    EXPECT_FALSE(own.room.try_enter(1));
    EXPECT_EQ(own.room.inside(), 3U);
    own.room.leave();
    EXPECT_TRUE(own.room.try_enter(1));
    own.room.leave(3);
    EXPECT_EQ(own.room.inside(), 0U);
}

TEST(Room, TheLargestCapacityDoesNotRunOver)
{
    Own own(Room::most);
    EXPECT_TRUE(own.room.try_enter(Room::most));
    EXPECT_FALSE(own.room.try_enter(1));
    own.room.leave(Room::most);
    EXPECT_EQ(own.room.inside(), 0U);
}

TEST(Room, WhoWaitsGetsThePlaceThatIsGivenBack)
{
    Own own(1);
    ASSERT_TRUE(own.room.try_enter(1));
    Waiter waiter(own.room, 1);
    own.room.leave();
    EXPECT_EQ(waiter.join(), EXECQ_OK);
    EXPECT_EQ(own.room.inside(), 1U);
    own.room.leave();
}

TEST(Room, NobodyGetsInBeforeThoseThatWait)
{
    Own own(2);
    ASSERT_TRUE(own.room.try_enter(1));
    Waiter waiter(own.room, 2);
    ASSERT_TRUE(await_waiting(own.room, waiter));
    EXPECT_FALSE(own.room.try_enter(1)) << "there is a place, but somebody waits for two";
    own.room.leave();
    EXPECT_EQ(waiter.join(), EXECQ_OK);
    own.room.leave(2);
}

TEST(Room, WhoGivesUpMakesWayForThoseBehind)
{
    Own own(2);
    ASSERT_TRUE(own.room.try_enter(1));
    bool seen = false;
    for (std::int64_t limit = 20'000'000; !seen; limit *= 2) {  // a busy machine may take longer to look
        Waiter large(own.room, 2, Deadline::after(limit));
        seen = await_waiting(own.room, large);
        std::optional<Waiter> small;
        if (seen)
            small.emplace(own.room, 1);
        EXPECT_EQ(large.join(), EXECQ_ETIMEDOUT);
        if (small.has_value()) {
            EXPECT_EQ(small->join(), EXECQ_OK);
        }
    }
    EXPECT_EQ(own.room.inside(), 2U);
    own.room.leave(2);
}

TEST(Room, ALimitThatIsUpWaitsForNothing)
{
    Own own(1);
    ASSERT_TRUE(own.room.try_enter(1));
    EXPECT_EQ(own.room.enter(1, Deadline::after(0)), EXECQ_ETIMEDOUT);
    EXPECT_EQ(own.room.enter(1, Deadline::at(1)), EXECQ_ETIMEDOUT);
    own.room.leave();
    EXPECT_EQ(own.room.enter(1, Deadline::after(0)), EXECQ_OK) << "it need not wait";
    own.room.leave();
}

TEST(Room, ACloseWakesAllThatWaitAndNobodyWaitsAfterIt)
{
    Own own(1);
    ASSERT_TRUE(own.room.try_enter(1));
    std::vector<std::unique_ptr<Waiter>> waiters;
    for (int i = 0; i < 4; ++i)
        waiters.push_back(std::make_unique<Waiter>(own.room, 1, i % 2 == 0 ? never() : Deadline::after(hour)));
    own.room.close();
    for (auto& waiter : waiters)
        EXPECT_EQ(waiter->join(), EXECQ_ECLOSED);
    EXPECT_EQ(own.room.enter(1, never()), EXECQ_ECLOSED);
    own.room.leave();
    EXPECT_TRUE(own.room.try_enter(1)) << "its own tasks may still submit in a drain";
    own.room.leave();
}

TEST(Room, LivesUntilTheLastThatIsInside)
{
    Room* room = new Room(2);
    ASSERT_TRUE(room->try_enter(2));
    room->release();
    room->leave();
    EXPECT_EQ(room->inside(), 1U);
    room->leave();  // the leak checker, and AddressSanitizer, see to the rest
}

TEST(Room, NeverHoldsMoreThanItsCapacityWhereManyWait)
{
    const std::size_t rounds = sanitized ? 2'000 : 20'000;
    constexpr std::uint32_t capacity = 3;
    Own own(capacity);
    std::atomic<std::uint32_t> inside{0};
    std::atomic<std::uint64_t> entered{0};
    std::atomic<std::uint64_t> timeouts{0};
    std::vector<std::thread> threads;
    for (unsigned role = 0; role < 4; ++role) {
        threads.emplace_back([&, role] {
            for (std::size_t i = 0; i < rounds; ++i) {
                const std::uint32_t n = 1 + static_cast<std::uint32_t>(i + role) % capacity;
                const bool limited = (i + role) % 5 == 0;
                const execq_status status = own.room.enter(n, limited ? Deadline::after(1000) : never());
                if (status == EXECQ_ETIMEDOUT) {
                    CHECK(limited);
                    timeouts.fetch_add(1);
                    continue;
                }
                CHECK(status == EXECQ_OK);
                CHECK(inside.fetch_add(n) + n <= capacity);
                entered.fetch_add(1);
                inside.fetch_sub(n);
                own.room.leave(n);
            }
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(entered + timeouts, 4 * rounds);
    EXPECT_EQ(own.room.inside(), 0U);
    EXPECT_TRUE(own.room.try_enter(capacity)) << "nobody is taken for waiting any more";
    own.room.leave(capacity);
}

// ---- a task's place ----

Node* task_in(Room& room, std::uint32_t references = 1)
{
    CHECK(room.try_enter(1));
    TaskSpec spec;
    spec.room = &room;
    return new_task(spec, references);
}

TEST(ATasksPlace, IsGivenBackWhenTheTaskStartsInAnyWay)
{
    Own own(1);
    Node* alone = task_in(own.room);
    EXPECT_EQ(alone->start_taken(), Node::Start::won) << "a task that has a room is more than a body";
    EXPECT_EQ(own.room.inside(), 0U);
    alone->settle_value(nullptr, Reference::give);

    Node* shared = task_in(own.room, 2);
    EXPECT_EQ(shared->start_taken(), Node::Start::won);
    EXPECT_EQ(own.room.inside(), 0U);
    EXPECT_EQ(shared->start_taken(), Node::Start::lost);
    EXPECT_EQ(own.room.inside(), 0U) << "once";
    shared->settle_value(nullptr, Reference::give);
    shared->release();

    Node* waited_for = task_in(own.room, 2);
    EXPECT_TRUE(waited_for->try_start());
    EXPECT_EQ(own.room.inside(), 0U);
    waited_for->settle_value(nullptr, Reference::give);
    waited_for->release();
}

TEST(ATasksPlace, IsGivenBackWhenTheTaskIsCanceled)
{
    Own own(1);
    Node* node = task_in(own.room, 2);
    EXPECT_TRUE(cancel_unstarted(*node, EXECQ_REASON_CALLER));
    EXPECT_EQ(own.room.inside(), 0U);
    EXPECT_FALSE(cancel_unstarted(*node, EXECQ_REASON_CALLER));
    EXPECT_EQ(own.room.inside(), 0U);
    node->release();
    node->release();
}

TEST(ATasksPlace, IsGivenBackWhereTheTaskIsNotAccepted)
{
    Own own(1);
    task_in(own.room)->discard();
    EXPECT_EQ(own.room.inside(), 0U);
    Node* late = task_in(own.room);
    EXPECT_TRUE(late->try_claim_cancel(EXECQ_REASON_DEADLINE));
    EXPECT_EQ(own.room.inside(), 0U);
    late->discard();
    EXPECT_EQ(own.room.inside(), 0U) << "not twice";
}

}  // namespace
