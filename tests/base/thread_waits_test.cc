#include "base/thread_waits.h"

#include <gtest/gtest.h>
#include <thread>

#include "white_box.h"

using namespace execq::core;

namespace {

TEST(ThreadWaits, AreSeenByOtherThreadsAsLongAsTheScopeLives)
{
    Gate gate;
    ThreadWaits* record = nullptr;
    std::thread thread([&] {
        record = ThreadWaits::of_this_thread();
        EXPECT_TRUE(ThreadWaits::is_mine(record));
        {
            const ThreadWaits::Scope outer;
            const ThreadWaits::Scope inner;
            gate.pass();
        }
        gate.pass();
    });
    gate.await();
    EXPECT_FALSE(ThreadWaits::is_mine(record));
    EXPECT_TRUE(record->blocked_for(nullptr));
    gate.open();
    gate.await();
    EXPECT_FALSE(record->blocked_for(nullptr));
    gate.open();
    thread.join();
    EXPECT_FALSE(record->blocked_for(nullptr));  // outlives its thread
    record->release();
}

TEST(ThreadWaits, HasOneRecordPerThread)
{
    ThreadWaits* record = ThreadWaits::of_this_thread();
    ThreadWaits* again = ThreadWaits::of_this_thread();
    EXPECT_EQ(record, again);
    std::thread([&] {
        ThreadWaits* other = ThreadWaits::of_this_thread();
        EXPECT_NE(other, record);
        other->release();
    }).join();
    record->release();
    again->release();
}

TEST(ThreadWaits, WhoDrivesALoopIsBlockedForAllOthers)
{
    const int own = 0;
    const int other = 0;
    ThreadWaits* record = nullptr;
    std::thread([&] {
        {
            const ThreadWaits::Drive drive(&own);
            record = ThreadWaits::of_this_thread();  // as by a callback that attaches a loop
            EXPECT_FALSE(record->blocked_for(&own));
            EXPECT_TRUE(record->blocked_for(&other));
            {
                const ThreadWaits::Drive nested(&own);
                const ThreadWaits::Scope scope;
                EXPECT_TRUE(record->blocked_for(&own));
            }
            EXPECT_FALSE(record->blocked_for(&own));
            EXPECT_TRUE(record->blocked_for(&other));
        }
        EXPECT_FALSE(record->blocked_for(&other));
    }).join();
    record->release();
}

TEST(ThreadWaits, AThreadThatNobodyAsksAboutHasNoRecord)
{
    std::thread([] {
        const ThreadWaits::Scope scope;
        EXPECT_FALSE(ThreadWaits::is_mine(nullptr));
    }).join();
}

}  // namespace
