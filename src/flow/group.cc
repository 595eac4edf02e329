#include "flow/group.h"

#include <new>
#include <utility>

#include "base/thread_waits.h"
#include "sched/body.h"
#include "sched/manual.h"
#include "sched/timekeeper.h"
#include "sched/wait.h"
#include "task/callbacks.h"
#include "task/cancel.h"
#include "task/unobserved.h"

namespace execq::core {

struct Group::Rest {
    HookList<Membership> to_tell;  // of their cancellation; each may end, and leave the list, at any time
    Group* over = nullptr;         // finished, with a timer or a source; with a use of each
};

// ---- life ----

execq_status Group::make(const GroupSpec& spec, Group** out)
{
    auto* group = new (std::nothrow) Group(spec);
    if (group == nullptr)
        return EXECQ_ENOMEM;
    const execq_status status = group->begin(spec);
    if (status == EXECQ_OK)
        *out = group;
    else
        group->release();
    return status;
}

execq_status Group::begin(const GroupSpec& spec)
{
    execq_status status = EXECQ_OK;
    if (parent_ != nullptr) {
        parent_->uses_.fetch_add(1, std::memory_order_relaxed);
        root_ = parent_->root_;
        mutex_ = root_->mutex_;
    }
    try {
        name_ = spec.name != nullptr ? spec.name : "";
    } catch (const std::bad_alloc&) {
        status = EXECQ_ENOMEM;
    }
    identity_ = Node::make_promise(nullptr, nullptr);
    if (identity_ == nullptr)
        status = EXECQ_ENOMEM;
    if (status == EXECQ_OK && spec.max_in_flight != 0)
        status = Queue::make(*spec.executor, {spec.name, spec.max_in_flight}, &limit_);
    // Before the parent knows of it, and may finish it.
    if (status == EXECQ_OK && spec.deadline_ns != 0)
        status = start_timer(spec);
    if (status == EXECQ_OK && source_ != nullptr)
        enter_source();
    return status == EXECQ_OK ? enter_parent() : status;
}

execq_status Group::enter_parent()
{
    if (parent_ == nullptr)
        return EXECQ_OK;
    const TreeLock lock(*mutex_);
    if (!parent_->open())
        return EXECQ_ECLOSED;
    parent_->groups_.push_back(*this);
    return EXECQ_OK;
}

execq_status Group::start_timer(const GroupSpec& spec)
{
    Timekeeper& keeper = spec.keeper != nullptr ? *spec.keeper : Timekeeper::get();
    execq_status status = keeper.sleep(spec.deadline_ns, &timer_);
    if (status != EXECQ_OK)
        return status;
    uses_.fetch_add(1, std::memory_order_relaxed);
    timer_->retain();  // the callback's group may have given up its own by the end of this call
    Node* timer = timer_;
    status = timer->register_completion({timer_done, this, nullptr, nullptr});
    if (status != EXECQ_OK) {
        timer_->release();
        timer_ = nullptr;
        drop_use(this);
        (void)cancel_unstarted(*timer, EXECQ_REASON_CALLER);
    }
    timer->release();
    return status;
}

void Group::timer_done(execq_future* sleep, void* group)
{
    auto* self = static_cast<Group*>(group);
    if (core_of(sleep)->phase() == Phase::ok)
        (void)self->cancel(EXECQ_REASON_DEADLINE);
    drop_use(self);
}

// The link takes a use along, which is the source's once that calls it.
void Group::enter_source()
{
    uses_.fetch_add(1, std::memory_order_relaxed);
    if (!source_->link(link_))
        source_canceled(this);
}

void Group::source_canceled(void* group)
{
    auto* self = static_cast<Group*>(group);
    (void)self->cancel(EXECQ_REASON_CALLER);
    drop_use(self);
}

// Nobody else has a use, but the outer group's list may still be walked.
Group::~Group() EXECQ_NO_ANALYSIS
{
    if (first_ != nullptr) {
        if (!observed_)
            report_unobserved(name_.c_str(), *first_);
        first_->release();
    }
    if (parent_ != nullptr) {
        const TreeLock lock(*mutex_);
        if (Hook::next != nullptr)
            parent_->groups_.remove(*this);
    }
    if (limit_ != nullptr)
        limit_->release();
    if (timer_ != nullptr)
        timer_->release();
    if (source_ != nullptr)
        source_->release();
    if (identity_ != nullptr) {
        (void)identity_->resolve(nullptr);
        identity_->release_promise();
        identity_->release();  // its future
    }
}

// In a loop: a chain of groups may have any length.
void Group::drop_use(Group* group)
{
    while (group != nullptr && group->uses_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        Group* parent = group->parent_;
        delete group;
        group = parent;
    }
}

void Group::release()
{
    if (inherited() || handles_.fetch_sub(1, std::memory_order_acq_rel) != 1)
        return;
    Rest rest;
    {
        const TreeLock lock(*mutex_);
        orphaned_ = true;
        finish_if_over(rest);
        pass_on(rest);
    }
    carry_out(rest);
    drop_use(this);
}

// ---- under the mutex ----

// The group that follows this one in the subtree of top, outer ones first; without inside, what is in this one is passed over.
// Null: none.
Group* Group::after_in(const Group& top, bool inside)
{
    if (inside && !groups_.empty())
        return groups_.front();
    for (Group* group = this; group != &top; group = group->parent_) {
        if (Group* sibling = group->parent_->groups_.after(*group))
            return sibling;
    }
    return nullptr;
}

void Group::unlink(Membership& member)
{
    if (member.Hook::next != nullptr)
        HookList<Membership>::unlink(member);
}

void Group::add_busy()
{
    for (Group* group = this; group != nullptr && group->busy_++ == 0; group = group->parent_) {
    }
}

void Group::drop_busy(Rest& rest)
{
    for (Group* group = this; group != nullptr && --group->busy_ == 0; group = group->parent_) {
        group->finish_if_over(rest);
        group->pass_on(rest);
    }
}

void Group::tell_joiners()
{
    turn_.advance();
    turn_.wake_all();
}

// What is inside of it is idle, too. What is inside of one that had finished has: else a chain would cost its length each time.
void Group::finish_if_over(Rest& rest)
{
    if (finished_ || busy_ != 0 || (joiners_ == 0 && !canceled_ && !orphaned_))
        return;
    bool inside = true;
    for (Group* group = this; group != nullptr; group = group->after_in(*this, inside)) {
        inside = !std::exchange(group->finished_, true);
        if (!inside)
            continue;
        if (group->joiners_ != 0)
            group->tell_joiners();
        if (group->timer_ == nullptr && group->source_ == nullptr)
            continue;
        group->uses_.fetch_add(1, std::memory_order_relaxed);  // timer and link may give up their own at any time
        group->next_over_ = std::exchange(rest.over, group);
    }
}

// What nobody can ask for any more is for the outer group, while that can be joined.
void Group::pass_on(Rest& rest)
{
    if (!finished_ || !orphaned_ || observed_ || parent_ == nullptr || parent_->finished_)
        return;
    observed_ = true;
    if (first_ != nullptr)
        parent_->note_failure(*first_, rest);
    else if (canceled_ || lost_reason_ != EXECQ_REASON_NONE)
        parent_->note_canceled(canceled_ ? reason_ : lost_reason_);
}

void Group::mark_canceled(std::int32_t reason, Rest& rest)
{
    if (!open())
        return;
    bool inside = true;
    for (Group* group = this; group != nullptr; group = group->after_in(*this, inside)) {
        inside = group->open();  // else nothing in it is open, either
        if (!inside)
            continue;
        group->canceled_ = true;
        group->reason_ = reason;
        while (Membership* member = group->members_.front()) {
            group->members_.remove(*member);
            rest.to_tell.push_back(*member);
        }
    }
    for (Group* group = this; group != nullptr; group = group->after_in(*this, inside)) {
        group->finish_if_over(rest);
        inside = !group->finished_;
    }
}

void Group::note_failure(Error& error, Rest& rest)
{
    if (first_ == nullptr) {
        error.retain();
        first_ = &error;
    }
    if (!keep_going_)
        mark_canceled(EXECQ_REASON_GROUP, rest);
}

void Group::note_canceled(std::int32_t reason)
{
    if (lost_reason_ == EXECQ_REASON_NONE)
        lost_reason_ = reason;
}

// The next that can be told, with a reference; null: none.
Node* Group::next_to_tell(Rest& rest, std::int32_t& reason)
{
    while (Membership* member = rest.to_tell.front()) {
        rest.to_tell.remove(*member);
        Node& node = member->node;
        // accepted() tells it; but what runs was accepted, and may look for it as soon as we return.
        if (!member->enrolled && node.phase() != Phase::running)
            continue;
        node.retain();
        reason = static_cast<Group&>(member->scope).reason_;
        return &node;
    }
    return nullptr;
}

// Outside of the mutex. The caller's use keeps this group, and with it the tree's mutex.
void Group::carry_out(Rest& rest)
{
    for (;;) {
        Node* node = nullptr;
        std::int32_t reason = EXECQ_REASON_NONE;
        {
            const TreeLock lock(*mutex_);
            node = next_to_tell(rest, reason);
        }
        if (node == nullptr)
            break;
        (void)core::cancel(*node, reason);
        node->release();
    }
    while (Group* group = rest.over) {
        rest.over = group->next_over_;
        if (group->timer_ != nullptr)
            (void)cancel_unstarted(*group->timer_, EXECQ_REASON_CALLER);
        if (group->source_ != nullptr && group->source_->unlink(group->link_))
            drop_use(group);
        drop_use(group);
    }
}

// ---- as a scope ----

execq_status Group::admit(Membership& member)
{
    const TreeLock lock(*mutex_);
    if (!open())
        return EXECQ_ECLOSED;
    members_.push_back(member);
    ++root_->tree_members_;
    add_busy();
    uses_.fetch_add(1, std::memory_order_relaxed);
    return EXECQ_OK;
}

void Group::dismiss(Membership& member) noexcept
{
    Rest rest;
    {
        const TreeLock lock(*mutex_);
        unlink(member);
        --root_->tree_members_;
        drop_busy(rest);
    }
    carry_out(rest);
    drop_use(this);
}

void Group::accepted(Membership& member) noexcept
{
    bool late = false;
    std::int32_t reason = EXECQ_REASON_NONE;
    {
        const TreeLock lock(*mutex_);
        member.enrolled = true;
        late = canceled_;
        reason = reason_;
        for (Group* group = root_->tree_sleepers_ != 0 ? this : nullptr; group != nullptr; group = group->parent_) {
            if (group->sleepers_ != 0)
                group->tell_joiners();
        }
    }
    if (late)
        (void)core::cancel(member.node, reason);
}

void Group::ended(Membership& member) noexcept
{
    Node& node = member.node;
    Error* failure = node.error();
    Rest rest;
    {
        const TreeLock lock(*mutex_);
        unlink(member);
        if (failure != nullptr)
            note_failure(*failure, rest);
        else if (node.phase() == Phase::canceled)
            note_canceled(node.cancel_reason());
    }
    carry_out(rest);
    node.release();  // before who joins goes on: what it owns may end with it
    {
        const TreeLock lock(*mutex_);
        --root_->tree_members_;
        drop_busy(rest);
    }
    carry_out(rest);
    drop_use(this);
}

bool Group::waits_for_members(const Node& node) const
{
    for (const Group* group = this; group != nullptr; group = group->parent_) {
        if (group->identity_ == &node)
            return true;
    }
    return false;
}

// ---- the caller's side ----

execq_status Group::cancel(std::int32_t reason)
{
    Rest rest;
    {
        const TreeLock lock(*mutex_);
        if (!open())
            return EXECQ_EALREADY;
        mark_canceled(reason, rest);
        uses_.fetch_add(1, std::memory_order_relaxed);  // what is dropped meanwhile may be the last handle
    }
    carry_out(rest);
    drop_use(this);
    return EXECQ_OK;
}

Error* Group::error()
{
    const TreeLock lock(*mutex_);
    observed_ = observed_ || first_ != nullptr;
    return first_;
}

std::int32_t Group::cancel_reason()
{
    const TreeLock lock(*mutex_);
    return canceled_ ? reason_ : lost_reason_;
}

// ---- joining ----

class Group::Joining {
public:
    explicit Joining(Group& group) : group_(group)
    {
        Rest rest;
        {
            const TreeLock lock(*group.mutex_);
            ++group.joiners_;
            group.finish_if_over(rest);
        }
        group.carry_out(rest);
    }
    ~Joining()
    {
        const TreeLock lock(*group_.mutex_);
        --group_.joiners_;
    }
    Joining(const Joining&) = delete;
    Joining& operator=(const Joining&) = delete;

private:
    Group& group_;
};

// Tasks that have not started, one of a kind, each with a reference.
struct Group::Waiting {
    Node* blocking = nullptr;
    Node* async = nullptr;

    Waiting() = default;
    ~Waiting()
    {
        for (Node* node : {blocking, async}) {
            if (node != nullptr)
                node->release();
        }
    }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;

    void note(Node& node)
    {
        Node*& of_kind = node.async() ? async : blocking;
        if (of_kind != nullptr)
            return;
        node.retain();
        of_kind = &node;
    }
};

execq_status Group::join(Deadline deadline)
{
    run_queued();
    if (!deadline.only_look() && waits_for_this_thread(*identity_))
        return EXECQ_EDEADLK;
    const Joining joining(*this);
    if (Manual::any_here()) {
        const execq_status status = step_until_finished(deadline);
        return status == EXECQ_OK ? outcome() : status;
    }
    Worker* worker = Worker::current();
    const bool runs = worker != nullptr && deadline.never();
    for (bool finished = false; !finished;) {
        if (runs)
            (void)run_in_place(*worker, deadline);
        const execq_status status = sleep(worker, deadline, finished);
        // What looked hopeless may have come, or come to its turn, since the look for what may be run here.
        if (status == EXECQ_EDEADLK && runs && run_in_place(*worker, deadline))
            continue;
        if (status != EXECQ_OK)
            return status;
    }
    return outcome();
}

// For who steps manual executors.
execq_status Group::step_until_finished(Deadline deadline)
{
    struct End final : Manual::Awaited {
        explicit End(Group& one) : group(one) {}
        bool done() override
        {
            const TreeLock lock(*group.mutex_);
            return group.finished_;
        }
        bool ours() override
        {
            return group.each_member([](const Node& node) { return is_stepped_here(node); });
        }
        bool takes_real_time() override
        {
            return !group.each_member([](const Node& node) { return Manual::has_here(node.executor_id()); });
        }
        void sleep(Deadline until) override
        {
            std::uint32_t turn = 0;
            {
                const TreeLock lock(*group.mutex_);
                if (group.finished_)
                    return;
                turn = group.turn_.now();
            }
            group.turn_.sleep(turn, until);
        }
        Group& group;
    };
    Worker* worker = Worker::current();
    if (worker != nullptr && worker->in_task() && deadline.never())
        (void)run_in_place(*worker, deadline);
    End end(*this);
    return Manual::await(end, deadline);
}

// Of all of the tree below.
template <class Is>
bool Group::each_member(const Is& is)
{
    const TreeLock lock(*mutex_);
    bool each = true;
    for (Group* group = this; group != nullptr; group = group->after_in(*this))
        group->members_.for_each([&](const Membership& member) { each = each && is(member.node); });
    return each;
}

// Until nothing may be run here. True: something was. A task that waits for its turn in a queue may get that from any other.
bool Group::run_in_place(Worker& worker, Deadline deadline)
{
    struct Holder {
        Node& node;
        ~Holder() { node.release(); }  // also where the body ends the thread
    };
    bool ran = false;
    for (std::size_t misses = 0, most = 0; misses <= most;) {
        Node* node = nullptr;
        {
            const TreeLock lock(*mutex_);
            node = next_to_run(worker, deadline);
            most = root_->tree_members_;
        }
        if (node == nullptr)
            break;
        const Holder holder{*node};
        worker.executor().run_in_place(worker, *node);
        const bool missed = node->phase() == Phase::pending;
        misses = missed ? misses + 1 : 0;
        ran = ran || !missed;
    }
    return ran;
}

// With a reference. Whatever was looked at goes to the back.
Node* Group::next_to_run(Worker& worker, Deadline deadline)
{
    for (Group* group = this; group != nullptr; group = group->after_in(*this)) {
        for (std::size_t left = group->busy_; left != 0 && !group->members_.empty(); --left) {
            Membership& member = *group->members_.front();
            group->members_.remove(member);
            group->members_.push_back(member);
            if (!member.enrolled || !may_run_here(worker, member.node, deadline))
                continue;
            member.node.retain();
            return &member.node;
        }
    }
    return nullptr;
}

void Group::find_waiting(Worker& worker, Waiting& waiting)
{
    for (Group* group = this; group != nullptr; group = group->after_in(*this)) {
        group->members_.for_each([&](Membership& member) {
            if (member.enrolled && queued_here(worker, member.node))
                waiting.note(member.node);
        });
    }
}

// Before a sleep, which a worker that is not told to return announces. EXECQ_OK: finished, or to sleep on that turn.
execq_status Group::look(Worker* worker, Deadline deadline, bool& finished, std::uint32_t& turn, Waiting& waiting)
{
    const bool passed = deadline.passed();
    const TreeLock lock(*mutex_);
    finished = finished_;
    turn = turn_.now();
    if (finished || passed)
        return finished ? EXECQ_OK : EXECQ_ETIMEDOUT;
    if (worker != nullptr) {
        find_waiting(*worker, waiting);
        ++sleepers_;
        ++root_->tree_sleepers_;
    }
    return EXECQ_OK;
}

// Until the group is finished or, for a worker, has another member. EXECQ_OK: look again.
execq_status Group::sleep(Worker* worker, Deadline deadline, bool& finished)
{
    // Before the look: of two workers that are about to wait, one sees the other.
    const Worker::WaitScope waits(worker);
    Waiting waiting;
    std::uint32_t turn = 0;
    execq_status status = look(worker, deadline, finished, turn, waiting);
    if (finished || status != EXECQ_OK)
        return status;
    Executor::Relief relief;
    for (Node* node : {waiting.blocking, waiting.async}) {
        if (node != nullptr && would_deadlock(worker, *node, relief))
            status = EXECQ_EDEADLK;
    }
    if (status == EXECQ_OK) {
        const ThreadWaits::Scope blocked;
        turn_.sleep(turn, deadline);
    }
    if (worker != nullptr) {
        const TreeLock lock(*mutex_);
        --sleepers_;
        --root_->tree_sleepers_;
    }
    return status;
}

execq_status Group::outcome()
{
    const TreeLock lock(*mutex_);
    observed_ = true;
    if (first_ != nullptr)
        return EXECQ_EFAILED;
    return canceled_ || lost_reason_ != EXECQ_REASON_NONE ? EXECQ_ECANCELED : EXECQ_OK;
}

}  // namespace execq::core
