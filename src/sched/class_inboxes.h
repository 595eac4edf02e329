// Floor 2. Priorities: in what order tasks of the three classes are taken, and the inboxes of those that are not normal.
//
// High tasks are taken first, then normal ones, then low ones; but of every 16 tasks in a row at least one is not high if
// such a one waits, and of every 64 at least one is low if one waits.
//
// The inboxes of high and low tasks are made when the first such task comes: before that, all that is paid is the look
// whether they are there. Producers and look: as for any inbox; whoever looks after a push finds the pair, since it was
// published before.
#pragma once

#include <atomic>
#include <cstdint>
#include <new>

#include "execq/task.h"
#include "sched/inbox.h"

namespace execq::core {

// How long the others have waited, for who takes tasks.
class ClassTurns {
public:
    static constexpr std::uint32_t high_in_a_row = 15;
    static constexpr std::uint32_t above_low_in_a_row = 63;

    // Whether it is the turn of a low task, and whether it may be that of a high one.
    bool low_first() const { return above_low_ >= above_low_in_a_row; }
    bool high_first() const { return high_ < high_in_a_row; }

    void take_high(bool low_waits)
    {
        ++high_;
        count_above_low(low_waits);
    }
    void take_normal(bool low_waits)
    {
        high_ = 0;
        count_above_low(low_waits);
    }
    void take_low() { high_ = above_low_ = 0; }

private:
    void count_above_low(bool low_waits) { above_low_ = low_waits ? above_low_ + 1 : 0; }

    std::uint32_t high_ = 0;       // in a row
    std::uint32_t above_low_ = 0;  // in a row, while low ones waited
};

template <class TheInbox>
class ClassInboxes {
public:
    struct Pair {
        TheInbox high;
        TheInbox low;

        TheInbox& of(std::int32_t priority) { return priority > EXECQ_PRIORITY_NORMAL ? high : low; }
        bool empty() const { return high.empty() && low.empty(); }
        bool seems_empty() const { return high.seems_empty() && low.seems_empty(); }
    };

    ClassInboxes() = default;
    ClassInboxes(const ClassInboxes&) = delete;
    ClassInboxes& operator=(const ClassInboxes&) = delete;
    ~ClassInboxes() { delete pair_.load(std::memory_order_relaxed); }

    // Null before the first such task. seq_cst: who has changed the roster goes on to look here.
    Pair* get() const { return pair_.load(std::memory_order_seq_cst); }
    // Under a mutex of the owner's, under which it closes, too. Null: no memory.
    Pair* make(bool closed)
    {
        if (Pair* pair = get())
            return pair;
        try {
            Pair* pair = new Pair;
            if (closed)
                close(*pair);
            pair_.store(pair, std::memory_order_seq_cst);
            return pair;
        } catch (const std::bad_alloc&) {
            return nullptr;
        }
    }
    void close()
    {
        if (Pair* pair = get())
            close(*pair);
    }

    bool empty() const
    {
        const Pair* pair = get();
        return pair == nullptr || pair->empty();
    }
    // A hint, see Inbox.
    bool seems_empty() const
    {
        const Pair* pair = get();
        return pair == nullptr || pair->seems_empty();
    }
    template <class Visit>
    void for_each(const Visit& visit)
    {
        if (Pair* pair = get()) {
            pair->high.for_each(visit);
            pair->low.for_each(visit);
        }
    }

private:
    static void close(Pair& pair)
    {
        pair.high.close();
        pair.low.close();
    }

    // Written once, under the owner's mutex; read by all.
    std::atomic<Pair*> pair_{nullptr};
};

}  // namespace execq::core
