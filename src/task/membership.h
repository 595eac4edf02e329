// Floor 1. A membership: what a task is to a queue, a group, a cancel source or an engine, from before its acceptance to its end.
//
// It lies behind its node, in the same allocation, and holds one reference to the node until its scope has ended it. A task
// has at most one in each kind of scope.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/links.h"
#include "base/process.h"
#include "execq/status.h"

namespace execq::core {

class Node;
struct Membership;

// What tasks belong to. Each admission ends in exactly one way: dismissed or ended.
class TaskScope : public OfProcess {
public:
    TaskScope(const TaskScope&) = delete;
    TaskScope& operator=(const TaskScope&) = delete;

    // The submitting thread, before the task is accepted. Never blocks. On failure nothing is to be undone here.
    virtual execq_status admit(Membership& membership) = 0;
    // It was not accepted after all: nobody knows it. No reference is to be given up.
    virtual void dismiss(Membership& membership) noexcept = 0;
    // It was, and may have ended by now. The caller holds a reference to the node.
    virtual void accepted(Membership& membership) noexcept = 0;
    // Whoever settled the node, once, after its waiters were told and its completions handed over. Takes the membership's
    // reference to the node.
    virtual void ended(Membership& membership) noexcept = 0;

    // True for a future that is not done before all members are: for them, waiting for it would be a deadlock.
    virtual bool waits_for_members(const Node&) const { return false; }

protected:
    TaskScope() = default;
    virtual ~TaskScope() = default;
};

struct Membership : Hook {  // Hook: the scope's, under its mutex
    Membership(TaskScope& owner, Node& member, std::uint64_t given_key, Membership* following)
        : scope(owner), node(member), key(given_key), next_scope(following)
    {}

    TaskScope& scope;
    Node& node;
    const std::uint64_t key;
    Membership* const next_scope;  // the same task's in the next scope
    // The scope's, under its mutex.
    std::uint32_t stage = 0;
    bool enrolled = false;  // accepted() has come by
    bool told = false;      // of a close, or of a cancellation
    void* place = nullptr;
};

// The scopes of a task as it is submitted, in the order in which it is admitted to them and leaves them; borrowed.
struct TaskScopes {
    std::array<TaskScope*, 4> all{};  // the queue, the group, the cancel source, the engine
    std::uint64_t key = 0;            // within the queue

    std::size_t count() const
    {
        std::size_t n = 0;
        for (const TaskScope* scope : all)
            n += scope != nullptr ? 1 : 0;
        return n;
    }
};

}  // namespace execq::core
