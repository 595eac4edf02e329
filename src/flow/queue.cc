#include "flow/queue.h"

#include <algorithm>
#include <new>
#include <utility>

#include "base/thread_waits.h"
#include "sched/body.h"
#include "sched/manual.h"
#include "sched/wait.h"
#include "task/callbacks.h"
#include "task/cancel.h"

namespace execq::core {

// ---- life ----

execq_status Queue::make(Executor& executor, const QueueSpec& spec, Queue** out)
{
    Node* closed = Node::make_promise(nullptr, spec.name, {}, executor.id());
    if (closed == nullptr)
        return EXECQ_ENOMEM;
    try {
        *out = new Queue(executor, spec, closed);
    } catch (const std::bad_alloc&) {
        (void)closed->resolve(nullptr);  // broken, it would be reported
        closed->release();               // its future
        closed->release_promise();
        return EXECQ_ENOMEM;
    }
    executor.add_turnstile(**out);
    return EXECQ_OK;
}

Queue::Queue(Executor& executor, const QueueSpec& spec, Node* closed_node)
    : executor_(executor),
      max_in_flight_(spec.max_in_flight),
      full_policy_(spec.full_policy),
      capacity_(spec.capacity),
      closed_node_(closed_node),
      lanes_(spec.key_cap),
      paused_(spec.paused)
{
    executor_.retain();
}

Queue::~Queue()
{
    executor_.remove_turnstile(*this);
    executor_.release();
    closed_node_->release_promise();
    closed_node_->release();
}

void Queue::release()
{
    if (inherited() || handles_.fetch_sub(1, std::memory_order_acq_rel) != 1)
        return;
    close(EXECQ_DRAIN);
    drop_use();
}

bool Queue::try_retain_use() noexcept
{
    std::uint64_t uses = uses_.load(std::memory_order_relaxed);
    while (uses != 0) {
        if (uses_.compare_exchange_weak(uses, uses + 1, std::memory_order_relaxed))
            return true;
    }
    return false;
}

void Queue::drop_use() noexcept
{
    if (uses_.fetch_sub(1, std::memory_order_acq_rel) == 1)
        delete this;
}

execq_status Queue::pause()
{
    const MutexLock lock(mutex_);
    if (life_ != Life::open || executor_life_ != Life::open)
        return EXECQ_ECLOSED;
    paused_ = true;
    return EXECQ_OK;
}

execq_status Queue::resume()
{
    {
        const MutexLock lock(mutex_);
        if (life_ != Life::open)
            return EXECQ_ECLOSED;
        const bool was_paused = std::exchange(paused_, false);
        const execq_status status = ask_for_turns(false);
        if (status != EXECQ_OK && !turns_.any_asked() && in_flight_count_ == 0) {
            paused_ = was_paused;
            return status;
        }
    }
    pump();
    return EXECQ_OK;
}

execq_status Queue::configure(std::uint64_t key, std::uint32_t weight, std::uint32_t cap)
{
    {
        const MutexLock lock(mutex_);
        try {
            lanes_.configure(key, weight, cap);
        } catch (const std::bad_alloc&) {
            return EXECQ_ENOMEM;
        }
        (void)ask_for_turns(true);
    }
    pump();
    return EXECQ_OK;
}

Queue::Counts Queue::counts()
{
    const MutexLock lock(mutex_);
    return {held_.load(std::memory_order_relaxed), in_flight_count_};
}

// ---- admission ----

bool Queue::fits(std::size_t n) const
{
    return capacity_ == 0 || held_.load(std::memory_order_relaxed) + n <= capacity_;
}

bool Queue::cancels() const { return life_ == Life::canceling || executor_life_ == Life::canceling; }

bool Queue::by_own_worker() const { return executor_.runs_on_this_thread(); }

bool Queue::by_own_task() const
{
    return by_own_worker() && (executor_.engine() != nullptr || Worker::current()->in_task());
}

// A drain of the executor goes on accepting what its own running tasks submit.
bool Queue::refuses() const
{
    return life_ != Life::open || executor_life_ == Life::canceling ||
           (executor_life_ == Life::draining && !by_own_task());
}

execq_status Queue::reserve(std::size_t n, bool no_wait)
{
    if (capacity_ != 0 && n > capacity_)
        return EXECQ_EFULL;
    for (;;) {
        {
            const MutexLock lock(mutex_);
            if (refuses())
                return EXECQ_ECLOSED;
            if (fits(n)) {
                held_.fetch_add(n, std::memory_order_relaxed);
                return EXECQ_OK;
            }
        }
        if (no_wait || full_policy_ == EXECQ_FULL_REJECT)
            return EXECQ_EFULL;
        bool again = false;
        execq_status status = full_policy_ == EXECQ_FULL_CALLER_RUNS ? make_room(again) : EXECQ_OK;
        if (status == EXECQ_OK && !again)
            status = await_room(n);
        if (status != EXECQ_OK)
            return status;
    }
}

// The caller runs what is next, so that the order stays and no more run than may.
execq_status Queue::make_room(bool& again)
{
    Worker* worker = by_own_worker() && executor_.engine() == nullptr ? Worker::current() : nullptr;
    if (worker != nullptr && (worker->reserved() || !has_stack_for_another(*worker)))
        return EXECQ_EDEADLK;
    Started started;
    {
        const MutexLock lock(mutex_);
        started = start_next();
    }
    again = started.node != nullptr;
    if (again)
        run(worker, started);
    return EXECQ_OK;
}

execq_status Queue::step_until_room(std::size_t n)
{
    struct RoomAwaited final : Manual::Awaited {
        RoomAwaited(Queue& one, std::size_t size) : queue(one), n(size) {}
        bool done() override
        {
            const MutexLock lock(queue.mutex_);
            return queue.fits(n) || queue.refuses();
        }
        bool ours() override { return Manual::has_here(queue.executor_.id()); }
        bool takes_real_time() override { return !ours(); }
        void sleep(Deadline deadline) override { sleep_until(deadline); }
        Queue& queue;
        const std::size_t n;
    };
    RoomAwaited room(*this, n);
    return Manual::await(room, Deadline::after(-1));
}

execq_status Queue::await_room(std::size_t n)
{
    if (Manual::any_here())
        return step_until_room(n);
    if (by_own_worker())
        return EXECQ_EDEADLK;  // room may depend on this very thread
    run_queued();
    const ThreadWaits::Scope blocked;
    const Worker::WaitScope blocks(Worker::current());
    std::uint32_t turn = 0;
    {
        const MutexLock lock(mutex_);
        if (fits(n) || refuses())
            return EXECQ_OK;
        turn = room_turn_.now();
    }
    room_turn_.sleep(turn, Deadline::after(-1));
    return EXECQ_OK;
}

// Everybody looks: who is first may need more room than there is.
void Queue::leave_room(std::size_t n)
{
    held_.fetch_sub(n, std::memory_order_relaxed);
    if (full_policy_ == EXECQ_FULL_REJECT || capacity_ == 0)
        return;
    room_turn_.advance();
    room_turn_.wake_all();
}

void Queue::give_back(std::size_t n) noexcept
{
    const MutexLock lock(mutex_);
    leave_room(n);
}

execq_status Queue::admit(Membership& member)
{
    const MutexLock lock(mutex_);
    if (refuses())
        return EXECQ_ECLOSED;
    try {
        lanes_.enter(member, member.key);
    } catch (const std::bad_alloc&) {
        return EXECQ_ENOMEM;
    }
    member.stage = apart;
    apart_.push_back(member);
    ++members_;
    uses_.fetch_add(1, std::memory_order_relaxed);
    return EXECQ_OK;
}

void Queue::dismiss(Membership& member) noexcept
{
    bool last = false;
    {
        const MutexLock lock(mutex_);
        apart_.remove(member);
        leave_room(1);
        last = forget(member);
    }
    finish_if(last);
    drop_use();
}

// What is not due when the queue closes is canceled, as by an executor.
void Queue::accepted(Membership& member) noexcept
{
    bool late = false;
    {
        const MutexLock lock(mutex_);
        member.enrolled = true;
        late = member.stage == apart && life_ != Life::open;
    }
    if (late)
        cancel_unstarted(member.node, EXECQ_REASON_SHUTDOWN);
}

// The member is in no list any more. True: it was the last of a closed queue.
bool Queue::forget(Membership& member)
{
    member.stage = over;
    lanes_.leave(member);
    --members_;
    if (members_ != 0 || life_ == Life::open || finished_)
        return false;
    finished_ = true;
    return true;
}

void Queue::finish_if(bool last)
{
    if (last)
        (void)closed_node_->resolve(nullptr);
}

// ---- starting ----

bool Queue::may_start() const
{
    return !cancels() && !paused_ && starting_count_ == 0 && in_flight_count_ < max_in_flight_;
}

execq_status Queue::hand_in(Node* const* nodes, std::size_t n) noexcept
{
    const execq_status status = line_up(nodes, n);
    if (status == EXECQ_OK)
        pump();
    return status;
}

execq_status Queue::line_up(Node* const* nodes, std::size_t n)
{
    const MutexLock lock(mutex_);
    if (cancels())
        return EXECQ_ECLOSED;
    for (std::size_t i = 0; i < n; ++i) {
        Membership& member = member_of(*nodes[i]);
        if (member.stage !=
            apart) {  // alone: it was not due until now, and was canceled meanwhile; its timer still has it
            nodes[i]->release();
            return EXECQ_OK;
        }
        apart_.remove(member);
        member.stage = waits;
        lanes_.push(member);
    }
    const execq_status status = ask_for_turns(false);
    if (status == EXECQ_OK || turns_.any_asked() || in_flight_count_ != 0)
        return EXECQ_OK;  // whoever comes next, or ends, goes on
    for (std::size_t i = n; i != 0; --i) {
        Membership& member = member_of(*nodes[i - 1]);
        lanes_.take_back(member);
        member.stage = apart;
        apart_.push_back(member);
    }
    return status;
}

// One for each that may start; canceled ones are seen to in a turn, too. Where it must, nobody would come later.
execq_status Queue::ask_for_turns(bool must)
{
    if (executor_.engine() != nullptr) {
        turns_.owe();
        return EXECQ_OK;
    }
    turns_.owe(false);
    const std::size_t may = cancels() ? 1 : may_start() ? max_in_flight_ - in_flight_count_ : 0;
    while (turns_.wants_one(may, lanes_.waiting()) && (cancels() || lanes_.next() != nullptr)) {
        const execq_status status = executor_.submit_turn(*this, must);
        if (status != EXECQ_OK) {
            turns_.owe();
            return status;
        }
        turns_.asked();
        uses_.fetch_add(1, std::memory_order_relaxed);
    }
    return EXECQ_OK;
}

void Queue::note_started(Membership& member, Stage stage)
{
    lanes_.start(member);
    member.stage = stage;
    in_flight_.push_back(member);
    ++in_flight_count_;
    starting_count_ += stage == starting ? 1 : 0;
    leave_room(1);
}

// Somebody cancels it just now, and still has to tell us: the membership keeps the node until then.
void Queue::skip(Membership& member)
{
    lanes_.take_back(member);
    member.stage = over;
    leave_room(1);
    member.node.release();  // the executor's
}

Queue::Started Queue::start_next()
{
    while (may_start()) {
        Membership* member = lanes_.next();
        if (member == nullptr)
            break;
        Node& node = member->node;
        if (node.async() || executor_.engine() != nullptr) {
            note_started(*member, starting);
            return {&node, true};
        }
        if (node.try_start()) {
            note_started(*member, running);
            return {&node, false};
        }
        skip(*member);
    }
    return {};
}

void Queue::run(Worker* worker, const Started& started)
{
    Node& node = *started.node;
    if (started.pending) {
        const execq_status status = executor_.hand_on(node);
        if (status != EXECQ_OK)
            Executor::fail_unstarted(node, status);
    } else if (worker != nullptr) {
        worker->run(node, Node::Start::won, Reference::give);
    } else {
        run_body(node, Node::Start::won);
    }
}

void Queue::take_turn(Worker& worker)
{
    bool again = true;
    for (bool first = true; again; first = false) {
        Started started;
        bool canceling = false;
        {
            const MutexLock lock(mutex_);
            if (first)
                turns_.taken();
            canceling = cancels();
            if (!canceling)
                started = start_next();
        }
        if (canceling)
            cancel_waiting();
        if (started.node != nullptr)
            run(&worker, started);
        const MutexLock lock(mutex_);
        again = turns_.owes() && started.node != nullptr;
    }
    drop_use();
}

// Who finds somebody at it leaves it to him, so that an engine that runs a task at once does not nest the next one in it.
void Queue::pump()
{
    if (executor_.engine() == nullptr)
        return;
    {
        const MutexLock lock(mutex_);
        if (!turns_.try_pump())
            return;
    }
    for (;;) {
        Started started;
        bool canceling = false;
        {
            const MutexLock lock(mutex_);
            if (!turns_.pumps_on())
                return;
            canceling = cancels();
            if (!canceling)
                started = start_next();
            turns_.owe(started.node != nullptr);
        }
        if (canceling)
            cancel_waiting();
        if (started.node != nullptr)
            run(nullptr, started);
    }
}

bool Queue::start_in_place(Node& node)
{
    const MutexLock lock(mutex_);
    Membership& member = member_of(node);
    if (member.stage == starting)
        return node.try_start();
    if (member.stage != waits || !may_start() || lanes_.next() != &member || !node.try_start())
        return false;
    note_started(member, running);
    node.release();  // the executor's; the waiter has his own
    return true;
}

void Queue::starts(Node& node) noexcept
{
    {
        const MutexLock lock(mutex_);
        Membership& member = member_of(node);
        if (member.stage != starting)
            return;
        member.stage = running;
        --starting_count_;
        (void)ask_for_turns(true);
    }
    pump();
}

void Queue::ended(Membership& member) noexcept
{
    Node& node = member.node;
    bool waited = false;
    bool last = false;
    {
        const MutexLock lock(mutex_);
        switch (member.stage) {
        case apart:
            apart_.remove(member);
            break;
        case waits:
            lanes_.take_back(member);
            waited = true;
            break;
        case starting:
            --starting_count_;
            [[fallthrough]];
        case running:
            in_flight_.remove(member);
            --in_flight_count_;
            lanes_.end(member);
            break;
        default:
            break;
        }
        if (member.stage == apart || member.stage == waits)
            leave_room(1);
        last = forget(member);
        (void)ask_for_turns(true);
    }
    finish_if(last);
    pump();
    if (waited)
        node.release();  // the executor's
    node.release();
    drop_use();
}

// ---- closing ----

void Queue::close(std::int32_t how)
{
    const Life life = how == EXECQ_CANCEL ? Life::canceling : Life::draining;
    bool last = false;
    execq_status turn = EXECQ_OK;
    {
        const MutexLock lock(mutex_);
        if (life_ >= life)
            return;
        life_ = life;
        paused_ = false;
        leave_room(0);
        turn = ask_for_turns(life == Life::draining);
        last = members_ == 0 && !finished_;
        finished_ = finished_ || last;
    }
    finish_if(last);
    pump();
    cancel_apart();
    if (life == Life::canceling) {
        if (turn != EXECQ_OK)
            cancel_waiting();
        ask_running();
    }
}

void Queue::executor_closed(std::int32_t how) noexcept
{
    execq_status turn = EXECQ_OK;
    {
        const MutexLock lock(mutex_);
        executor_life_ = how == EXECQ_CANCEL ? Life::canceling : std::max(executor_life_, Life::draining);
        paused_ = false;
        leave_room(0);
        turn = ask_for_turns(how != EXECQ_CANCEL);
    }
    pump();
    if (how == EXECQ_CANCEL && turn != EXECQ_OK)
        cancel_waiting();
}

// Cancels what find() finds under the mutex, until that is nothing. Each leaves its list by that.
template <class Find>
void Queue::cancel_each(const Find& find)
{
    for (;;) {
        Node* node = nullptr;
        {
            const MutexLock lock(mutex_);
            Membership* member = find();
            if (member == nullptr)
                return;
            node = &member->node;
            if (!node->try_claim_cancel(EXECQ_REASON_SHUTDOWN)) {
                member->told = true;
                if (member->stage == waits)
                    skip(*member);
                continue;
            }
        }
        end_canceled(*node);
    }
}

void Queue::cancel_waiting()
{
    cancel_each([this]() EXECQ_REQUIRES(mutex_) { return lanes_.any(); });
}

// Those that are just being submitted are told by accepted().
void Queue::cancel_apart()
{
    cancel_each([this]() EXECQ_REQUIRES(mutex_) {
        Membership* found = nullptr;
        apart_.for_each([&found](Membership& member) {
            if (found == nullptr && member.enrolled && !member.told)
                found = &member;
        });
        return found;
    });
}

// Each that is told goes to the back.
void Queue::ask_running()
{
    for (;;) {
        Node* node = nullptr;
        {
            const MutexLock lock(mutex_);
            Membership* member = in_flight_.front();
            if (member == nullptr || member->told)
                return;
            member->told = true;
            in_flight_.remove(*member);
            in_flight_.push_back(*member);
            node = &member->node;
            node->retain();
        }
        (void)cancel(*node, EXECQ_REASON_SHUTDOWN);
        node->release();
    }
}

}  // namespace execq::core
