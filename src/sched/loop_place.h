// Floor 2. The place of a worker's own loop: what asynchronous tasks that run there are entered in, and the way to them.
//
// A promise may be completed, and a cancellation asked for, on any thread and at any time, also when the worker's thread
// is about to end, or gone. So the place outlives both, the thread and the executor: uses_ counts what keeps it (see
// place_uses.h). Once all are gone it frees itself.
//
// The worker stays, and drives its loop, as long as there are uses: who ends the last one elsewhere wakes the loop.
//
// Tasks that are open are listed, so that a close can ask them to stop, a report name them, and a thread that is lost
// fail them. The list has two parts, so that each is asked once; a task takes itself off when it is completed.
#pragma once

#include <cstdint>

#include "base/annotations.h"
#include "base/links.h"
#include "sched/place_uses.h"
#include "sched/thread_loop.h"
#include "task/node.h"
#include "task/registration.h"

namespace execq::core {

class LoopPlace final : public Port {
public:
    LoopPlace() = default;
    // Its worker's thread, or who frees the worker: instead of a delete.
    void let_go() { free_if(uses_.end_owner()); }

    // ---- the thread that has the place ----
    // From now on deliveries go to this loop.
    void open(ThreadLoop& loop);
    // No more of them; what is on its way is given up, what is registered withdrawn.
    void close();
    // Before its start function: counts it and lists it. False: it is to stop at once.
    [[nodiscard]] bool enter(Node& node);
    // Fails everything that is open here: the thread is lost.
    void fail_all();

    // ---- any thread ----
    // True while promises are open, or callbacks registered or under way.
    bool used() const { return uses_.used(); }
    // Asks everything that is open here, or will be, to stop.
    void ask_all();
    // Has the thread come out of its sleep in the loop, if it is there or on its way.
    void wake();
    // How many tasks are open here.
    std::uint64_t open_count()
    {
        const MutexLock lock(place_mutex_);
        return open_count_;
    }
    // Added to by the thread that has the place.
    const LoopTimes& times() const { return times_; }
    // Visits the tasks that are open here, under the place's mutex.
    template <class Visit>
    void for_each(const Visit& visit)
    {
        const MutexLock lock(place_mutex_);
        const auto each = [&visit](Hook& hook) { visit(Node::of_place_hook(hook)); };
        open_.for_each(each);
        asked_.for_each(each);
    }

    bool begin_use() override
    {
        uses_.begin();  // the caller's promise keeps the place
        return true;
    }
    void end_use() override;
    void add_guest() override { uses_.add_guest(); }
    void end_guest() override { free_if(uses_.end_guest()); }
    void leave(Node& node) override;
    void deliver(Registration& registration) noexcept override;
    bool lists_all() const override { return false; }

private:
    ~LoopPlace() override = default;
    void free_if(bool over)
    {
        if (over)
            delete this;
    }

    PlaceUses<> uses_;
    // The innermost of all: nothing else is taken under it. Not Port's, which is the outermost.
    Mutex place_mutex_;
    ThreadLoop* loop_ EXECQ_GUARDED_BY(place_mutex_) = nullptr;  // null: closed
    bool asks_ EXECQ_GUARDED_BY(place_mutex_) = false;
    HookList<Hook> open_ EXECQ_GUARDED_BY(place_mutex_);
    HookList<Hook> asked_ EXECQ_GUARDED_BY(place_mutex_);  // or failed
    std::uint64_t open_count_ EXECQ_GUARDED_BY(place_mutex_) = 0;
    LoopTimes times_;
};

}  // namespace execq::core
