// Floor 3. A group: a scope of tasks, and of inner groups, that is joined, canceled and timed as one.
//
//   open ──cancel──► canceled ──► finished        a failure, the caller, the deadline, a source, the outer group
//     └──────────────────────────► finished        empty, while somebody joins it or nobody has a handle any more
//
// Only open groups take members. A group is busy while it, or a group inside of it, has members; busy_ counts its members and
// those of its inner groups that are busy themselves. A group that finishes takes the idle ones inside of it along.
//
// The groups of one tree share the mutex of its root: a cancellation marks the subtree and takes its members to a list on
// the canceling thread's stack in one step, and a join looks for tasks in all of its subtree. Bodies, drops and callbacks run
// outside of it.
//
// A member is in the list of its group, or of whoever cancels it, or, once told, in none. A joining worker runs what has not
// started by itself, as a wait does, and sleeps until the group is finished, or has a member more.
//
// The handles together, each member, each inner group, the timer and the link to a source are uses of a group; the last one
// frees. Timer and link end when the group is finished, which each group is once nobody has a handle and no member is left.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/annotations.h"
#include "base/clock.h"
#include "base/links.h"
#include "base/turn_word.h"
#include "execq/group.h"
#include "flow/queue.h"
#include "sched/executor.h"
#include "task/cancel_source.h"
#include "task/error.h"
#include "task/membership.h"
#include "task/node.h"

namespace execq::core {

class Group;
class Timekeeper;

// Stands for the mutex of a tree's root: clang's analysis cannot tell that all groups of a tree have the same one.
class EXECQ_CAPABILITY("mutex") GroupTree {};
inline constexpr GroupTree group_tree;

class EXECQ_SCOPED_CAPABILITY TreeLock {
public:
    explicit TreeLock(Mutex& root) EXECQ_ACQUIRE(group_tree) EXECQ_NO_ANALYSIS : mutex_(root) { mutex_.lock(); }
    ~TreeLock() EXECQ_RELEASE() EXECQ_NO_ANALYSIS { mutex_.unlock(); }
    TreeLock(const TreeLock&) = delete;
    TreeLock& operator=(const TreeLock&) = delete;

private:
    Mutex& mutex_;
};

struct GroupSpec {
    const char* name = nullptr;
    Group* parent = nullptr;
    CancelSource* source = nullptr;  // whose cancellation is the group's
    Executor* executor = nullptr;    // of the limit
    std::uint32_t max_in_flight = 0;
    Timekeeper* keeper = nullptr;  // of the deadline; null: the process's
    std::int64_t deadline_ns = 0;  // on its clock; 0: none
    bool keep_going = false;
};

class Group final : public TaskScope, public Hook {  // Hook: the list of the outer group
public:
    // One handle to the caller. EXECQ_OK, EXECQ_ENOMEM, EXECQ_EAGAIN, EXECQ_ECLOSED (the parent).
    static execq_status make(const GroupSpec& spec, Group** out);

    void retain() { handles_.fetch_add(1, std::memory_order_relaxed); }
    void release();

    // What its tasks go through; null: nothing.
    Queue* limit() const { return limit_; }
    // EXECQ_OK or EXECQ_EALREADY.
    execq_status cancel(std::int32_t reason);
    // EXECQ_OK, EXECQ_EFAILED, EXECQ_ECANCELED; EXECQ_ETIMEDOUT, EXECQ_EDEADLK.
    execq_status join(Deadline deadline);
    // Borrowed; null: none so far.
    Error* error();
    std::int32_t cancel_reason();

    // ---- as a scope ----
    execq_status admit(Membership& member) override;
    void dismiss(Membership& member) noexcept override;
    void accepted(Membership& member) noexcept override;
    void ended(Membership& member) noexcept override;
    bool waits_for_members(const Node& node) const override;

private:
    // What a step under the mutex leaves to be done outside of it.
    struct Rest;
    class Joining;
    struct Waiting;

    explicit Group(const GroupSpec& spec)
        : keep_going_(spec.keep_going), parent_(spec.parent), source_(spec.source), link_(source_canceled, this)
    {
        if (source_ != nullptr)
            source_->retain();
    }
    ~Group() override;
    execq_status begin(const GroupSpec& spec);
    execq_status enter_parent();
    execq_status start_timer(const GroupSpec& spec);
    static void timer_done(execq_future* sleep, void* group);
    void enter_source();
    static void source_canceled(void* group);

    bool open() const EXECQ_REQUIRES(group_tree) { return !canceled_ && !finished_; }
    Group* after_in(const Group& top, bool inside = true) EXECQ_REQUIRES(group_tree);
    static void unlink(Membership& member) EXECQ_REQUIRES(group_tree);
    void add_busy() EXECQ_REQUIRES(group_tree);
    void drop_busy(Rest& rest) EXECQ_REQUIRES(group_tree);
    void finish_if_over(Rest& rest) EXECQ_REQUIRES(group_tree);
    void pass_on(Rest& rest) EXECQ_REQUIRES(group_tree);
    void mark_canceled(std::int32_t reason, Rest& rest) EXECQ_REQUIRES(group_tree);
    void note_failure(Error& error, Rest& rest) EXECQ_REQUIRES(group_tree);
    void note_canceled(std::int32_t reason) EXECQ_REQUIRES(group_tree);
    void tell_joiners() EXECQ_REQUIRES(group_tree);
    Node* next_to_tell(Rest& rest, std::int32_t& reason) EXECQ_REQUIRES(group_tree);
    void carry_out(Rest& rest) EXECQ_EXCLUDES(group_tree);
    static void drop_use(Group* group) EXECQ_EXCLUDES(group_tree);

    execq_status step_until_finished(Deadline deadline) EXECQ_EXCLUDES(group_tree);
    template <class Is>
    bool each_member(const Is& is) EXECQ_EXCLUDES(group_tree);
    bool run_in_place(Worker& worker, Deadline deadline) EXECQ_EXCLUDES(group_tree);
    Node* next_to_run(Worker& worker, Deadline deadline) EXECQ_REQUIRES(group_tree);
    void find_waiting(Worker& worker, Waiting& waiting) EXECQ_REQUIRES(group_tree);
    execq_status sleep(Worker* worker, Deadline deadline, bool& finished) EXECQ_EXCLUDES(group_tree);
    execq_status look(Worker* worker, Deadline deadline, bool& finished, std::uint32_t& turn, Waiting& waiting)
        EXECQ_EXCLUDES(group_tree);
    execq_status outcome();

    const bool keep_going_;
    // Set before anybody else knows of the group.
    Group* const parent_;         // with a use
    CancelSource* const source_;  // with a handle
    Mutex own_mutex_;             // used by the root
    Mutex* mutex_ = &own_mutex_;  // the root's, which group_tree stands for
    Group* root_ = this;
    // What a body of ours would wait for, for the search for deadlocks; with both references.
    Node* identity_ = nullptr;
    Queue* limit_ = nullptr;  // with a handle
    Node* timer_ = nullptr;   // a sleep; with a reference
    std::string name_;

    SourceLink link_;  // with a use while it is linked

    HookList<Membership> members_ EXECQ_GUARDED_BY(group_tree);
    HookList<Group> groups_ EXECQ_GUARDED_BY(group_tree);  // inside
    std::size_t busy_ EXECQ_GUARDED_BY(group_tree) = 0;
    std::size_t tree_members_ EXECQ_GUARDED_BY(group_tree) = 0;   // the root's: of all of the tree
    std::size_t tree_sleepers_ EXECQ_GUARDED_BY(group_tree) = 0;  // the root's: workers that sleep in a join
    std::size_t sleepers_ EXECQ_GUARDED_BY(group_tree) = 0;
    std::size_t joiners_ EXECQ_GUARDED_BY(group_tree) = 0;
    bool canceled_ EXECQ_GUARDED_BY(group_tree) = false;
    bool finished_ EXECQ_GUARDED_BY(group_tree) = false;
    bool orphaned_ EXECQ_GUARDED_BY(group_tree) = false;  // nobody has a handle
    // Somebody was told of the outcome, or the outer group was.
    bool observed_ EXECQ_GUARDED_BY(group_tree) = false;
    std::int32_t reason_ EXECQ_GUARDED_BY(group_tree) = EXECQ_REASON_NONE;  // of the cancellation of the group
    // Of the first member that ended canceled.
    std::int32_t lost_reason_ EXECQ_GUARDED_BY(group_tree) = EXECQ_REASON_NONE;
    Error* first_ EXECQ_GUARDED_BY(group_tree) = nullptr;  // failure; with a reference
    Group* next_over_ = nullptr;                           // in Rest

    // Changed under the mutex: joiners sleep on it.
    TurnWord turn_;
    std::atomic<std::uint32_t> handles_{1};
    std::atomic<std::uint64_t> uses_{1};
};

inline execq_group* handle_of(Group* group) { return reinterpret_cast<execq_group*>(group); }
inline Group* core_of(execq_group* group) { return reinterpret_cast<Group*>(group); }

}  // namespace execq::core
