#include "base/timer_wheel.h"

#include <array>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <random>
#include <vector>

using namespace execq::core;

namespace {

constexpr std::int64_t ms = TimerWheel::tick_ns;
constexpr std::int64_t year = 365LL * 24 * 3600 * 1000 * ms;

struct Timer : TimerEntry {
    int id = 0;
};

// Advances and notes what came.
std::vector<int> fired(TimerWheel& wheel, std::int64_t now)
{
    std::vector<int> ids;
    wheel.advance(now, [&](TimerEntry& entry) {
        EXPECT_FALSE(entry.scheduled());
        EXPECT_LE(entry.deadline_ns(), now);
        ids.push_back(static_cast<Timer&>(entry).id);
    });
    return ids;
}

using Ids = std::vector<int>;

std::unique_ptr<std::array<Timer, 16>> timers()
{
    auto made = std::make_unique<std::array<Timer, 16>>();
    for (std::size_t i = 0; i < made->size(); ++i)
        (*made)[i].id = static_cast<int>(i);
    return made;
}

TEST(TimerWheel, AnEmptyOneNeverHasToBeWokenFor)
{
    TimerWheel wheel(12345 * ms);
    EXPECT_EQ(wheel.next_deadline(), TimerWheel::never);
    EXPECT_TRUE(fired(wheel, TimerWheel::never).empty());
    EXPECT_EQ(wheel.size(), 0U);
}

TEST(TimerWheel, IsNeverEarlyAndLessThanATickLate)
{
    const std::int64_t start = 1'000'000'007;
    for (const std::int64_t deadline :
         {start + 1, start + ms - 8, start + ms - 7, start + 5 * ms, start + 999'999'999}) {
        TimerWheel wheel(start);
        Timer timer;
        wheel.insert(timer, deadline);
        const std::int64_t at = wheel.next_deadline();
        EXPECT_GE(at, deadline);
        EXPECT_LT(at, deadline + ms);
        EXPECT_TRUE(fired(wheel, deadline - 1).empty());
        EXPECT_TRUE(fired(wheel, at - 1).empty());
        EXPECT_EQ(fired(wheel, at), Ids{0});
    }
}

TEST(TimerWheel, WhatIsDueWhenItIsInsertedComesAtTheNextAdvance)
{
    auto t = timers();
    TimerWheel wheel(100 * ms);
    wheel.insert((*t)[0], 100 * ms);
    wheel.insert((*t)[1], -5);
    wheel.insert((*t)[2], std::numeric_limits<std::int64_t>::min());
    wheel.insert((*t)[3], 0);
    EXPECT_LE(wheel.next_deadline(), 100 * ms);
    EXPECT_EQ(fired(wheel, 100 * ms), (Ids{0, 1, 2, 3}));  // in the order of insertion
    EXPECT_EQ(wheel.next_deadline(), TimerWheel::never);
}

TEST(TimerWheel, HandsOutInTheOrderOfTicksAndWithinOneOfInsertion)
{
    auto t = timers();
    TimerWheel wheel(0);
    wheel.insert((*t)[0], 70 * ms);
    wheel.insert((*t)[1], 5 * ms);
    wheel.insert((*t)[2], 5 * ms - 1);  // the same tick
    wheel.insert((*t)[3], 5000 * ms);
    wheel.insert((*t)[4], 4 * ms);
    wheel.insert((*t)[5], 70 * ms);
    EXPECT_EQ(wheel.size(), 6U);
    EXPECT_EQ(fired(wheel, 5000 * ms), (Ids{4, 1, 2, 0, 5, 3}));
    EXPECT_EQ(wheel.size(), 0U);
}

TEST(TimerWheel, KeepsTheOrderWhereEntriesOfOneTickWereInsertedFromDifferentLevels)
{
    auto t = timers();
    TimerWheel wheel(0);
    wheel.insert((*t)[0], 4100 * ms);
    EXPECT_TRUE(fired(wheel, 4000 * ms).empty());
    wheel.insert((*t)[1], 4100 * ms);
    EXPECT_TRUE(fired(wheel, 4097 * ms).empty());
    wheel.insert((*t)[2], 4100 * ms);
    EXPECT_EQ(fired(wheel, 4100 * ms), (Ids{0, 1, 2}));
}

TEST(TimerWheel, CascadesAtEveryBorderOfALevel)
{
    for (unsigned level = 1; level < 8; ++level) {
        const std::int64_t border = std::int64_t{1} << 6 * level;
        if (border > TimerWheel::never / ms / 2)
            break;
        for (const std::int64_t start : {std::int64_t{0}, std::int64_t{1}, border - 1, border, border + 1}) {
            auto t = timers();
            TimerWheel wheel(start * ms);
            int n = 0;
            std::multimap<std::int64_t, int> expected;
            for (const std::int64_t tick :
                 {border - 1, border, border + 1, 2 * border - 1, 2 * border, 2 * border + 1, start + 1}) {
                if (tick <= start)
                    continue;
                expected.emplace(tick, n);
                wheel.insert((*t)[static_cast<std::size_t>(n++)], tick * ms);
            }
            while (!expected.empty()) {
                const std::int64_t tick = expected.begin()->first;
                EXPECT_EQ(wheel.next_deadline(), tick * ms);  // exact, as nothing is removed
                EXPECT_TRUE(fired(wheel, tick * ms - 1).empty());
                EXPECT_EQ(wheel.next_deadline(), tick * ms);
                for (const int id : fired(wheel, tick * ms)) {
                    ASSERT_EQ(expected.begin()->second, id) << "level " << level << " from " << start;
                    ASSERT_EQ(expected.begin()->first, tick);
                    expected.erase(expected.begin());
                }
                ASSERT_TRUE(expected.empty() || expected.begin()->first > tick);
            }
        }
    }
}

TEST(TimerWheel, FarDeadlinesAreAsGoodAsNearOnes)
{
    auto t = timers();
    const std::int64_t start = 3 * year + 17;
    TimerWheel wheel(start);
    wheel.insert((*t)[0], TimerWheel::never);
    wheel.insert((*t)[1], start + 200 * year);
    wheel.insert((*t)[2], start + 10 * year);
    wheel.insert((*t)[3], TimerWheel::never - 1);
    EXPECT_GE(wheel.next_deadline(), start + 10 * year);
    EXPECT_LT(wheel.next_deadline(), start + 10 * year + ms);
    EXPECT_EQ(fired(wheel, wheel.next_deadline()), Ids{2});
    EXPECT_EQ(fired(wheel, start + 200 * year + ms), Ids{1});
    EXPECT_EQ(wheel.next_deadline(), TimerWheel::never);  // rounded up beyond the end of time
    EXPECT_TRUE(fired(wheel, TimerWheel::never).empty());
    EXPECT_EQ(wheel.size(), 2U);
    wheel.remove((*t)[0]);
    wheel.remove((*t)[3]);
    EXPECT_EQ(wheel.size(), 0U);
}

TEST(TimerWheel, ASleeperIsWokenOncePerTimer)
{
    auto t = timers();
    TimerWheel wheel(0);
    std::int64_t now = 0;
    for (std::size_t i = 0; i < t->size(); ++i)
        wheel.insert((*t)[i], (1 + static_cast<std::int64_t>(i)) * 3'600'123 * ms);
    int wakes = 0;
    for (std::size_t n = 0; n != t->size(); ++wakes) {
        now = wheel.next_deadline();
        n += fired(wheel, now).size();
    }
    EXPECT_EQ(wakes, 16);
}

TEST(TimerWheel, ARemovedEarliestCostsAtMostOneWakeForNothing)
{
    Timer first;
    Timer second;
    TimerWheel wheel(0);
    wheel.insert(first, 5000 * ms);  // in one slot of a higher level
    wheel.insert(second, 5090 * ms);
    wheel.remove(first);
    EXPECT_EQ(wheel.next_deadline(), 5000 * ms);
    EXPECT_TRUE(fired(wheel, 5000 * ms).empty());
    EXPECT_EQ(wheel.next_deadline(), 5090 * ms);
    EXPECT_EQ(fired(wheel, 5090 * ms), Ids{0});
    // A slot that is empty is forgotten at once.
    wheel.insert(first, 9000 * ms);
    wheel.remove(first);
    EXPECT_EQ(wheel.next_deadline(), TimerWheel::never);
}

TEST(TimerWheel, AnEntryMayBeRemovedWhereverItStands)
{
    auto t = timers();
    TimerWheel wheel(1000 * ms);
    wheel.insert((*t)[0], 0);          // due
    wheel.insert((*t)[1], 1001 * ms);  // the lowest level
    wheel.insert((*t)[2], 9999 * ms);  // a higher one
    wheel.insert((*t)[3], 1001 * ms);
    EXPECT_TRUE((*t)[0].scheduled());
    wheel.remove((*t)[0]);
    wheel.remove((*t)[1]);
    wheel.remove((*t)[2]);
    EXPECT_FALSE((*t)[0].scheduled());
    EXPECT_EQ(wheel.size(), 1U);
    wheel.insert((*t)[0], 1002 * ms);  // again
    EXPECT_EQ(fired(wheel, 20'000 * ms), (Ids{3, 0}));
}

TEST(TimerWheel, AVisitMayRemoveWhatIsStillToCome)
{
    auto t = timers();
    TimerWheel wheel(0);
    Ids ids;
    wheel.insert((*t)[0], -1);
    wheel.insert((*t)[1], -1);       // due as well
    wheel.insert((*t)[2], 64 * ms);  // comes down from a higher level and is due then
    wheel.insert((*t)[3], 64 * ms);
    wheel.insert((*t)[4], 70 * ms);
    wheel.insert((*t)[5], 70 * ms);
    wheel.insert((*t)[6], 4096 * ms);
    wheel.advance(5000 * ms, [&](TimerEntry& entry) {
        const int id = static_cast<Timer&>(entry).id;
        ids.push_back(id);
        if (id % 2 == 0 && id < 6)
            wheel.remove((*t)[static_cast<std::size_t>(id) + 1]);
    });
    EXPECT_EQ(ids, (Ids{0, 2, 4, 6}));
    EXPECT_EQ(wheel.size(), 0U);
    EXPECT_EQ(wheel.next_deadline(), TimerWheel::never);
}

TEST(TimerWheel, WhatAVisitInsertsComesInThisAdvanceOnlyIfItsTickIsStillToCome)
{
    auto t = timers();
    TimerWheel wheel(0);
    Ids ids;
    wheel.insert((*t)[0], 10 * ms);
    wheel.advance(100 * ms, [&](TimerEntry& entry) {
        const int id = static_cast<Timer&>(entry).id;
        ids.push_back(id);
        if (id == 0) {
            wheel.insert((*t)[1], 50 * ms);   // on the way
            wheel.insert((*t)[2], 100 * ms);  // the last tick
            wheel.insert((*t)[3], 101 * ms);  // beyond
            wheel.insert((*t)[0], 10 * ms);   // the current tick, itself again
            wheel.insert((*t)[4], 1 * ms);    // an earlier one
        }
    });
    EXPECT_EQ(ids, (Ids{0, 1, 2}));
    EXPECT_LE(wheel.next_deadline(), 100 * ms);
    ids.clear();
    wheel.advance(100 * ms, [&](TimerEntry& entry) {
        ids.push_back(static_cast<Timer&>(entry).id);
        if (ids.size() < 10)
            wheel.insert(entry, 0);  // does not keep this one from ending
    });
    EXPECT_EQ(ids, (Ids{0, 4}));
    EXPECT_EQ(fired(wheel, 101 * ms), (Ids{0, 4, 3}));
}

TEST(TimerWheel, AVisitMayFreeItsEntry)
{
    TimerWheel wheel(0);
    for (int i = 0; i < 200; ++i)
        wheel.insert(*new Timer, i * 41 * ms);
    int freed = 0;
    wheel.advance(10'000 * ms, [&](TimerEntry& entry) {
        delete static_cast<Timer*>(&entry);
        ++freed;
    });
    EXPECT_EQ(freed, 200);
}

TEST(TimerWheel, TimeThatStandsStillOrGoesBackHandsOutOnlyWhatIsDue)
{
    auto t = timers();
    TimerWheel wheel(1000 * ms);
    wheel.insert((*t)[0], 1010 * ms);
    EXPECT_TRUE(fired(wheel, 1005 * ms).empty());
    EXPECT_TRUE(fired(wheel, 1005 * ms).empty());
    EXPECT_TRUE(fired(wheel, 900 * ms).empty());
    wheel.insert((*t)[1], 1004 * ms);
    std::size_t n = 0;
    wheel.advance(900 * ms, [&](TimerEntry&) { ++n; });  // its tick has been handed out
    EXPECT_EQ(n, 1U);
    EXPECT_EQ(fired(wheel, 1010 * ms), Ids{0});
}

// Against a sorted map, with everything at once. The map's key is the tick that an entry counts as.
class Random {
public:
    explicit Random(unsigned seed) : random_(seed), wheel_(start), now_(start), entries_(500)
    {
        for (std::size_t i = 0; i < entries_.size(); ++i)
            entries_[i].id = static_cast<int>(i);
    }

    void run(int steps)
    {
        for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) {
            switch (below(8)) {
            case 0:
            case 1:
            case 2:
                insert(entries_[below(entries_.size())]);
                break;
            case 3:
                remove(entries_[below(entries_.size())]);
                break;
            default:
                advance();
            }
            check_next();
        }
    }

private:
    static constexpr std::int64_t start = 77 * year + 123'456'789;

    std::size_t below(std::size_t n) { return random_() % n; }
    std::int64_t some_time() { return static_cast<std::int64_t>(random_() % (std::uint64_t{1} << (10 + below(45)))); }

    void insert(Timer& timer)
    {
        if (timer.scheduled())
            return;
        const std::int64_t deadline = below(10) == 0 ? now_ - some_time() : now_ + some_time();
        wheel_.insert(timer, deadline);
        const std::int64_t tick = std::max((deadline + ms - 1) / ms, tick_);
        where_[&timer] = expected_.emplace(tick, &timer);
    }

    void remove(Timer& timer)
    {
        if (!timer.scheduled())
            return;
        wheel_.remove(timer);
        expected_.erase(where_[&timer]);
        removed_ = true;
    }

    void advance()
    {
        now_ = below(3) == 0
                   ? std::max(now_, wheel_.next_deadline() == TimerWheel::never ? now_ : wheel_.next_deadline())
                   : now_ + some_time();
        const std::int64_t now_tick = now_ / ms;
        wheel_.advance(now_, [&](TimerEntry& entry) {
            auto& timer = static_cast<Timer&>(entry);
            ASSERT_FALSE(expected_.empty());
            ASSERT_EQ(expected_.begin()->second, &timer);
            tick_ = std::max(tick_, expected_.begin()->first);
            ASSERT_LE(tick_, now_tick);
            expected_.erase(expected_.begin());
            if (below(4) == 0)
                remove(entries_[below(entries_.size())]);
            Timer& other = entries_[below(entries_.size())];
            if (below(4) == 0 && !other.scheduled()) {
                const std::int64_t deadline = tick_ * ms + some_time();
                if ((deadline + ms - 1) / ms > tick_) {
                    wheel_.insert(other, deadline);
                    where_[&other] = expected_.emplace((deadline + ms - 1) / ms, &other);
                }
            }
        });
        tick_ = std::max(tick_, now_tick);
        ASSERT_TRUE(expected_.empty() || expected_.begin()->first > now_tick) << "late";
    }

    void check_next()
    {
        ASSERT_EQ(wheel_.size(), expected_.size());
        if (expected_.empty()) {
            ASSERT_EQ(wheel_.next_deadline(), TimerWheel::never);
            return;
        }
        const std::int64_t first = expected_.begin()->first * ms;
        ASSERT_LE(wheel_.next_deadline(), first);
        if (!removed_) {
            ASSERT_EQ(wheel_.next_deadline(), first);
        } else if (expected_.begin()->first > tick_) {
            ASSERT_GT(wheel_.next_deadline(), tick_ * ms) << "a sleeper would not sleep";
        }
    }

    std::mt19937_64 random_;
    TimerWheel wheel_;
    std::int64_t now_;
    std::int64_t tick_ = start / ms;
    bool removed_ = false;
    std::vector<Timer> entries_;
    std::multimap<std::int64_t, Timer*> expected_;
    std::map<Timer*, std::multimap<std::int64_t, Timer*>::iterator> where_;
};

TEST(TimerWheel, AgreesWithASortedMap)
{
    for (unsigned seed = 1; seed <= 30; ++seed) {
        SCOPED_TRACE(seed);
        Random(seed).run(4000);
        if (HasFailure())
            return;
    }
}

}  // namespace
