// Floor 3. A queue in front of an executor: which of its tasks start, and when.
//
// A task is a member from its admission to its end, and in one of these stages meanwhile, each a list or none:
//
//   apart ──hand_in()──► waiting ──► [starting ──►] running ──► ended
//
//   apart      admitted, and not here yet: being submitted, or not due
//   starting   asynchronous: the executor has it, and finds a worker with a loop for it; nobody may overtake it until then.
//              On an executor that has an engine each task is given to that in this way
//
// Who may start is up to Lanes. For each task that may start and has no turn yet the queue asks its executor for one
// (sched/turnstile.h). Both happen under the mutex, so that tasks start in order; bodies run outside of it. An engine is given
// tasks instead, outside of the mutex, by one thread at a time: whoever changed what may start, until nothing may (pump()).
//
// The handles together, each member and each turn are uses of the queue; the last one frees. The queue has a handle of its
// executor for as long as it lives.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/annotations.h"
#include "base/links.h"
#include "base/turn_word.h"
#include "execq/queue.h"
#include "flow/lanes.h"
#include "flow/queue_turns.h"
#include "sched/executor.h"
#include "sched/turnstile.h"
#include "task/membership.h"
#include "task/node.h"

namespace execq::core {

struct QueueSpec {
    const char* name = nullptr;
    std::uint32_t max_in_flight = 1;
    std::uint32_t full_policy = EXECQ_FULL_REJECT;
    std::uint64_t capacity = 0;  // 0: unbounded
    std::uint32_t key_cap = 0;   // 0: none
    bool paused = false;
};

class Queue final : public TaskScope, public Turnstile {
public:
    // One handle to the caller. EXECQ_OK or EXECQ_ENOMEM.
    static execq_status make(Executor& executor, const QueueSpec& spec, Queue** out);

    void retain() { handles_.fetch_add(1, std::memory_order_relaxed); }
    void release();

    std::uint64_t capacity() const { return capacity_; }
    // EXECQ_OK or EXECQ_ECLOSED.
    execq_status pause();
    execq_status resume();
    // EXECQ_OK or EXECQ_ENOMEM.
    execq_status configure(std::uint64_t key, std::uint32_t weight, std::uint32_t cap);
    void close(std::int32_t how);
    // Done once the queue is closed and its last task has ended; the queue's own reference.
    Node& closed() const { return *closed_node_; }
    struct Counts {
        std::uint64_t waiting = 0;
        std::uint64_t running = 0;
    };
    Counts counts();

    // ---- as a scope ----
    execq_status admit(Membership& member) override;
    void dismiss(Membership& member) noexcept override;
    void accepted(Membership& member) noexcept override;
    void ended(Membership& member) noexcept override;
    bool waits_for_members(const Node& node) const override { return &node == closed_node_; }

    // ---- as a turnstile ----
    Executor& executor() const override { return executor_; }
    execq_status reserve(std::size_t n, bool no_wait) override;
    void give_back(std::size_t n) noexcept override;
    execq_status hand_in(Node* const* nodes, std::size_t n) noexcept override;
    void take_turn(Worker& worker) override;
    bool start_in_place(Node& node) override;
    void starts(Node& node) noexcept override;
    void executor_closed(std::int32_t how) noexcept override;
    std::size_t waiting() const override { return held_.load(std::memory_order_relaxed); }
    bool try_retain_use() noexcept override;
    void drop_use() noexcept override;

private:
    enum Stage : std::uint32_t { apart, waits, starting, running, over };
    // Steps that are never taken back.
    enum class Life { open, draining, canceling };
    // A task that was started, and what there is to do with it.
    struct Started {
        Node* node = nullptr;  // with the executor's reference; null: nobody may start
        bool pending = false;  // it is to be given to the executor, which starts it
    };

    Queue(Executor& executor, const QueueSpec& spec, Node* closed_node);
    ~Queue() override;

    static Membership& member_of(Node& node) { return *node.memberships(); }  // the queue is the first scope
    bool fits(std::size_t n) const EXECQ_REQUIRES(mutex_);
    bool refuses() const EXECQ_REQUIRES(mutex_);
    bool may_start() const EXECQ_REQUIRES(mutex_);
    bool by_own_worker() const;
    bool by_own_task() const;
    execq_status make_room(bool& again);
    execq_status await_room(std::size_t n);
    execq_status step_until_room(std::size_t n);
    void leave_room(std::size_t n) EXECQ_REQUIRES(mutex_);
    Started start_next() EXECQ_REQUIRES(mutex_);
    void note_started(Membership& member, Stage stage) EXECQ_REQUIRES(mutex_);
    void run(Worker* worker, const Started& started);
    execq_status line_up(Node* const* nodes, std::size_t n);
    execq_status ask_for_turns(bool must) EXECQ_REQUIRES(mutex_);
    void pump();
    bool cancels() const EXECQ_REQUIRES(mutex_);
    void skip(Membership& member) EXECQ_REQUIRES(mutex_);
    bool forget(Membership& member) EXECQ_REQUIRES(mutex_);
    void finish_if(bool last);
    template <class Find>
    void cancel_each(const Find& find);
    void cancel_waiting();
    void cancel_apart();
    void ask_running();

    Executor& executor_;  // with a handle
    const std::uint32_t max_in_flight_;
    const std::uint32_t full_policy_;
    const std::uint64_t capacity_;
    Node* const closed_node_;  // with the promise's reference and one of the future

    Mutex mutex_;
    Lanes lanes_ EXECQ_GUARDED_BY(mutex_);
    HookList<Membership> apart_ EXECQ_GUARDED_BY(mutex_);
    HookList<Membership> in_flight_ EXECQ_GUARDED_BY(mutex_);  // starting or running
    std::size_t in_flight_count_ EXECQ_GUARDED_BY(mutex_) = 0;
    std::size_t starting_count_ EXECQ_GUARDED_BY(mutex_) = 0;
    std::size_t members_ EXECQ_GUARDED_BY(mutex_) = 0;
    QueueTurns turns_ EXECQ_GUARDED_BY(mutex_);
    Life life_ EXECQ_GUARDED_BY(mutex_) = Life::open;
    Life executor_life_ EXECQ_GUARDED_BY(mutex_) = Life::open;
    bool paused_ EXECQ_GUARDED_BY(mutex_);
    bool finished_ EXECQ_GUARDED_BY(mutex_) = false;

    // Members that have not started, and room that is reserved for some. Written under the mutex; read without it by reports.
    std::atomic<std::size_t> held_{0};
    // Changed under the mutex when room comes, or will not; submitters that are blocked sleep on it.
    TurnWord room_turn_;
    std::atomic<std::uint32_t> handles_{1};
    std::atomic<std::uint64_t> uses_{1};
};

inline execq_queue* handle_of(Queue* queue) { return reinterpret_cast<execq_queue*>(queue); }
inline Queue* core_of(execq_queue* queue) { return reinterpret_cast<Queue*>(queue); }

}  // namespace execq::core
