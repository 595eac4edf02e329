// Floor 3. Lanes: in which order the tasks of a queue start. One lane per key, each first in, first out; among those whose
// turn it may be, by weight (stride scheduling): a lane's pass grows by 1/weight with each start, the smallest is next. Who
// comes back from having nothing to do begins where the others are, so that nobody saves turns up.
//
// Everything is guarded by the queue's mutex. Only enter() and configure() allocate.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "base/links.h"
#include "task/membership.h"

namespace execq::core {

class Lane;

struct LaneOrder {
    bool operator()(const Lane* a, const Lane* b) const;
};

class Lane {
public:
    Lane() = default;
    Lane(const Lane&) = delete;
    Lane& operator=(const Lane&) = delete;

private:
    friend class Lanes;
    friend struct LaneOrder;
    using Ready = std::set<Lane*, LaneOrder>;

    std::uint64_t key_ = 0;
    std::uint32_t weight_ = 1;
    std::uint32_t cap_ = 0;      // of those in flight; 0: that of the queue
    bool configured_ = false;    // stays without members
    std::size_t members_ = 0;    // admitted and not ended
    std::size_t in_flight_ = 0;  // started and not ended
    std::uint64_t pass_ = 0;
    std::uint64_t turn_ = 0;  // among equal passes, who came first
    HookList<Membership> waiting_;
    Ready::node_type handle_;  // while the lane is not in the order
};

inline bool LaneOrder::operator()(const Lane* a, const Lane* b) const
{
    return std::tie(a->pass_, a->turn_) < std::tie(b->pass_, b->turn_);
}

class Lanes {
public:
    // `cap`: how many of one key may be in flight; 0: any number.
    explicit Lanes(std::uint32_t cap) : default_cap_(cap) {}

    // A member comes, and stays until leave(). Throws std::bad_alloc.
    void enter(Membership& member, std::uint64_t key)
    {
        Lane& lane = find(key);
        ++lane.members_;
        member.place = &lane;
    }
    void leave(Membership& member)
    {
        Lane& lane = lane_of(member);
        --lane.members_;
        remove_if_unused(lane);
    }

    // The member waits from here on, last in its lane.
    void push(Membership& member)
    {
        lane_of(member).waiting_.push_back(member);
        ++waiting_;
        settle(lane_of(member));
    }
    // It does not wait any more, and does not start.
    void take_back(Membership& member)
    {
        Lane& lane = lane_of(member);
        lane.waiting_.remove(member);
        --waiting_;
        settle(lane);
    }
    // Who is to start next; null: nobody waits, or all who do wait for one of their own key.
    Membership* next() { return ready_.empty() ? nullptr : (*ready_.begin())->waiting_.front(); }
    // The next one starts.
    void start(Membership& member)
    {
        Lane& lane = lane_of(member);
        unready(lane);
        lane.waiting_.remove(member);
        --waiting_;
        ++lane.in_flight_;
        now_ = lane.pass_;
        lane.pass_ += stride / lane.weight_;
        settle(lane);
    }
    // One that has started has ended.
    void end(Membership& member)
    {
        Lane& lane = lane_of(member);
        --lane.in_flight_;
        settle(lane);
    }

    std::size_t waiting() const { return waiting_; }
    // One that waits, also where it may not be next; null: nobody does.
    Membership* any()
    {
        if (waiting_ == 0 || !ready_.empty())
            return next();
        for (auto& [key, lane] : lanes_) {
            if (!lane.waiting_.empty())
                return lane.waiting_.front();
        }
        return nullptr;
    }

    // Weight 1 and cap 0 are what a key has that was never configured. Throws std::bad_alloc.
    void configure(std::uint64_t key, std::uint32_t weight, std::uint32_t cap)
    {
        Lane& lane = find(key);
        lane.configured_ = weight != 1 || cap != 0;
        lane.weight_ = weight;
        lane.cap_ = cap;
        settle(lane);
        remove_if_unused(lane);
    }

    std::size_t count() const { return lanes_.size(); }

private:
    static constexpr std::uint64_t stride = std::uint64_t{1} << 32;

    static Lane& lane_of(const Membership& member) { return *static_cast<Lane*>(member.place); }

    Lane& find(std::uint64_t key)
    {
        const auto [at, fresh] = lanes_.try_emplace(key);
        Lane& lane = at->second;
        if (!fresh)
            return lane;
        lane.key_ = key;
        try {
            lane.handle_ = ready_.extract(ready_.insert(&lane).first);
        } catch (...) {
            lanes_.erase(at);
            throw;
        }
        return lane;
    }

    void remove_if_unused(Lane& lane)
    {
        if (lane.members_ == 0 && !lane.configured_)
            lanes_.erase(lane.key_);
    }

    bool capped(const Lane& lane) const
    {
        const std::uint32_t cap = lane.cap_ != 0 ? lane.cap_ : default_cap_;
        return cap != 0 && lane.in_flight_ >= cap;
    }

    void unready(Lane& lane)
    {
        if (lane.handle_.empty())
            lane.handle_ = ready_.extract(ready_.find(&lane));
    }

    // Has the lane in the order if and only if its first may be next.
    void settle(Lane& lane)
    {
        const bool ready = !lane.waiting_.empty() && !capped(lane);
        if (!ready) {
            unready(lane);
        } else if (!lane.handle_.empty()) {
            lane.pass_ = std::max(lane.pass_, now_);
            lane.turn_ = ++turns_;
            ready_.insert(std::move(lane.handle_));
        }
    }

    const std::uint32_t default_cap_;
    std::map<std::uint64_t, Lane> lanes_;
    Lane::Ready ready_;
    std::size_t waiting_ = 0;
    std::uint64_t now_ = 0;  // the pass of who started last
    std::uint64_t turns_ = 0;
};

}  // namespace execq::core
