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
    EXPECT_TRUE(record->blocked());
    gate.open();
    gate.await();
    EXPECT_FALSE(record->blocked());
    gate.open();
    thread.join();
    EXPECT_FALSE(record->blocked());  // outlives its thread
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

TEST(ThreadWaits, AThreadThatNobodyAsksAboutHasNoRecord)
{
    std::thread([] {
        const ThreadWaits::Scope scope;
        EXPECT_FALSE(ThreadWaits::is_mine(nullptr));
    }).join();
}

}  // namespace
