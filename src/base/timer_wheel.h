// Floor 0. A hierarchical timer wheel: entries by deadline, in ticks of a millisecond or of another length, inserted and
// removed in constant time.
//
// Eleven levels of 64 slots, of which ticks of a millisecond use eight. tick_ is the last tick that was handed out. An entry lies on the level of the highest group of
// six bits in which its tick differs from tick_, in the slot that this group of its tick names. Hence, on every level, the
// slots in use are above tick_'s own and nothing wraps around; all of a lower level is due before anything of a higher
// one; a slot of level 0 is one tick; and 64^11 ticks, of whatever length, are beyond the longest deadline there is. When tick_ reaches the
// beginning of a slot of a higher level, its entries move down.
//
// Where it stands is a function of tick_ and the entry's tick alone. So entries of one tick are always in one slot, in the
// order in which they were inserted.
//
// Never early: a deadline is rounded up to a tick, and the time down. An entry whose tick has passed when it is inserted
// counts as one of the current tick, and is handed out by the next advance().
//
// Ownership: the wheel owns nothing; an entry that is scheduled stays where it is until it is removed or handed out.
// Threads: one at a time.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "base/links.h"

namespace execq::core {

// To be derived from, or held, by whatever has a deadline.
class TimerEntry : public Hook {
public:
    std::int64_t deadline_ns() const { return deadline_ns_; }
    bool scheduled() const { return place_ != nowhere; }

private:
    friend class TimerWheel;

    static constexpr std::uint32_t nowhere = ~std::uint32_t{0};

    std::int64_t deadline_ns_ = 0;
    std::uint32_t place_ = nowhere;  // level * slots + slot, or one of the lists of what is due
};
static_assert(sizeof(TimerEntry) <= 32);

class TimerWheel {
public:
    static constexpr std::int64_t tick_ns = 1'000'000;
    static constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

    explicit TimerWheel(std::int64_t now_ns, std::int64_t length_ns = tick_ns)
        : length_ns_(length_ns), tick_(passed_ticks(now_ns))
    {
        for (auto& level : earliest_)
            level.fill(no_tick);
    }
    TimerWheel(const TimerWheel&) = delete;
    TimerWheel& operator=(const TimerWheel&) = delete;

    std::size_t size() const { return size_; }

    // The entry is not scheduled. Any deadline will do.
    void insert(TimerEntry& entry, std::int64_t deadline_ns)
    {
        entry.deadline_ns_ = deadline_ns;
        ++size_;
        if (tick_of(entry) <= tick_) {
            entry.place_ = in_due;
            due_.push_back(entry);
        } else {
            place(entry);
        }
    }

    // The entry is scheduled.
    void remove(TimerEntry& entry)
    {
        take_out(entry);
        --size_;
    }

    // When to call advance() next; never where nothing is scheduled. Nothing is due before it, and something is at it,
    // unless the earliest of a slot of a higher level was removed: then it may be too early, once.
    std::int64_t next_deadline() const
    {
        if (!due_.empty())
            return time_of(tick_);
        for (std::uint32_t level = 0; level < levels; ++level) {
            if (used_[level] != 0) {
                const auto slot = static_cast<std::uint32_t>(std::countr_zero(used_[level]));
                return time_of(level == 0 ? first_tick(0, slot) : earliest_[level][slot]);
            }
        }
        return never;
    }

    // Hands out what is due, in the order of its ticks, each entry unscheduled by then. visit() may insert and remove any
    // entry, and free the one that it gets. What it inserts for a tick that is still to come up to now is handed out
    // too; what it inserts for the current tick or an earlier one waits for the next call, so that this one ends.
    template <class Visit>
    void advance(std::int64_t now_ns, const Visit& visit)
    {
        while (TimerEntry* entry = due_.front()) {
            due_.remove(*entry);
            entry->place_ = in_draining;
            draining_.push_back(*entry);
        }
        drain(draining_, visit);
        const std::uint64_t now = passed_ticks(now_ns);
        Slot next{};
        while (find_first(next) && first_tick(next.level, next.index) <= now) {
            tick_ = first_tick(next.level, next.index);
            if (next.level != 0)
                move_down(next);
            else
                drain(slots_[0][next.index], visit);
            drain(draining_, visit);
        }
        tick_ = std::max(tick_, now);
    }

private:
    static constexpr std::uint32_t levels = 11;
    static constexpr std::uint32_t bits = 6;
    static constexpr std::uint32_t slots = 1U << bits;
    static constexpr std::uint32_t in_due = levels * slots, in_draining = in_due + 1;
    static constexpr std::uint64_t no_tick = ~std::uint64_t{0};

    struct Slot {
        std::uint32_t level;
        std::uint32_t index;
    };

    std::uint64_t passed_ticks(std::int64_t time_ns) const
    {
        return time_ns > 0 ? static_cast<std::uint64_t>(time_ns / length_ns_) : 0;
    }
    std::uint64_t tick_of(const TimerEntry& entry) const
    {
        const std::int64_t deadline = entry.deadline_ns_;
        return passed_ticks(deadline) + (deadline > 0 && deadline % length_ns_ != 0 ? 1 : 0);
    }
    std::int64_t time_of(std::uint64_t tick) const
    {
        const auto last = static_cast<std::uint64_t>(never / length_ns_);
        return tick <= last ? static_cast<std::int64_t>(tick) * length_ns_ : never;
    }

    // The first tick of a slot, as seen from tick_.
    std::uint64_t first_tick(std::uint32_t level, std::uint32_t index) const
    {
        const std::uint32_t shift = level * bits;
        const std::uint64_t above = tick_ >> shift >> bits << bits;
        return (above | index) << shift;
    }

    bool find_first(Slot& slot) const
    {
        for (std::uint32_t level = 0; level < levels; ++level) {
            if (used_[level] != 0) {
                slot = {level, static_cast<std::uint32_t>(std::countr_zero(used_[level]))};
                return true;
            }
        }
        return false;
    }

    // For an entry whose tick is still to come.
    void place(TimerEntry& entry)
    {
        const std::uint64_t tick = tick_of(entry);
        const std::uint32_t level = (static_cast<std::uint32_t>(std::bit_width(tick ^ tick_)) - 1) / bits;
        const auto index = static_cast<std::uint32_t>(tick >> level * bits) % slots;
        entry.place_ = level * slots + index;
        slots_[level][index].push_back(entry);
        used_[level] |= std::uint64_t{1} << index;
        earliest_[level][index] = std::min(earliest_[level][index], tick);
    }

    void take_out(TimerEntry& entry)
    {
        const std::uint32_t at = entry.place_;
        entry.place_ = TimerEntry::nowhere;
        if (at == in_due) {
            due_.remove(entry);
        } else if (at == in_draining) {
            draining_.remove(entry);
        } else {
            HookList<TimerEntry>& list = slots_[at / slots][at % slots];
            list.remove(entry);
            if (list.empty())
                note_empty({at / slots, at % slots});
        }
    }

    void note_empty(Slot slot)
    {
        used_[slot.level] &= ~(std::uint64_t{1} << slot.index);
        earliest_[slot.level][slot.index] = no_tick;
    }

    // tick_ has reached the slot: each entry goes to a lower level, or is due.
    void move_down(Slot slot)
    {
        HookList<TimerEntry>& list = slots_[slot.level][slot.index];
        note_empty(slot);
        while (TimerEntry* entry = list.front()) {
            list.remove(*entry);
            if (tick_of(*entry) == tick_) {
                entry->place_ = in_draining;
                draining_.push_back(*entry);
            } else {
                place(*entry);
            }
        }
    }

    template <class Visit>
    void drain(HookList<TimerEntry>& list, const Visit& visit)
    {
        while (TimerEntry* entry = list.front()) {
            remove(*entry);
            visit(*entry);
        }
    }

    const std::int64_t length_ns_;
    std::uint64_t tick_;
    std::size_t size_ = 0;
    std::array<std::uint64_t, levels> used_{};  // a bit for each slot that has entries
    // No later than the first tick in each slot; exact until that entry is removed.
    std::array<std::array<std::uint64_t, slots>, levels> earliest_;
    std::array<std::array<HookList<TimerEntry>, slots>, levels> slots_;
    HookList<TimerEntry> due_;       // their tick had passed when they were inserted
    HookList<TimerEntry> draining_;  // about to be handed out by the advance() that runs
};

}  // namespace execq::core
