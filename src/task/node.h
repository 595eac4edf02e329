// Floor 1. A node: task, future and first completion in one cache line.
//
// States (the low bits of the state word) and who moves them:
//
//   pending ──try_start()──────────► running ──settle()──► ok | failed | canceled
//      └─────try_claim_cancel()────► settling ──settle()──► canceled
//   running ──try_claim_promise()──► settling ──settle()──► ok | failed | canceled       (promises start as running)
//   running ──try_rest()───────────► pending               (between two runs of a series)
//
// An asynchronous task is task and promise at once: pending like a task; try_start() is followed by its start function,
// and from there on it is a promise, whose holders share the reference that the queue had (task/promise.cc).
//
// Whoever wins one of the try_… steps is the only one to touch fn, env and the outcome until settle() publishes them.
// settle() is called exactly once; after it the outcome is immutable but for `taken` and the error's materialisation.
//
// A failure is observed by whoever takes note of the outcome; one that nobody has observed is reported when the last
// reference goes (task/unobserved.h).
//
// A promise that another future was forwarded to keeps that future, its source, until it is freed itself, and so on down
// a chain. A value is lent by the first of the chain, which owns it (task/forward.cc).
//
// The state word also holds flags, the id of the executor that holds the task, and the reference count (upper half), so
// that waiters can sleep on the lower half and are not disturbed by references. Who holds the only reference is alone
// with the node: a task that nobody has a handle of needs no read-modify-write from its submission to its end.
//
// The state word and its steps are in task/node_state.h.
//
// The room for one registration is the base Registration; its link is the task's env until the body ended.
// completions_ holds the registrations (task/completion_slot.h). Who registers first sets a flag in the state word.
// settle() closes the slot if it finds that flag; who registers and finds the node done, or the slot closed, delivers by
// himself.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

#include "base/process.h"
#include "base/ref_count.h"
#include "execq/future.h"
#include "execq/promise.h"
#include "execq/task.h"
#include "execq/types.h"
#include "task/cancel_calls.h"
#include "task/cancel_slot.h"
#include "task/completion_slot.h"
#include "task/context.h"
#include "task/error.h"
#include "task/membership.h"
#include "task/node_pool.h"
#include "task/node_state.h"
#include "task/observed.h"
#include "task/registration.h"
#include "task/room.h"
#include "task/timer.h"

namespace execq::core {

class Turnstile;

// A task as it is submitted. Everything is borrowed for the call that takes it.
struct TaskSpec {
    execq_fn fn = nullptr;
    execq_fn inner = nullptr;  // the body, where fn is what runs it (sched/interrupt.h)
    void* env = nullptr;
    execq_drop_fn drop = nullptr;
    execq_drop_fn drop_result = nullptr;
    const char* name = nullptr;
    std::uint64_t env_size = 0;
    TaskTimes times;
    std::int64_t times_of_ns =
        0;  // when, on the monotonic clock, they were reckoned; 0: they are on the executor's clock
    TaskScopes scopes;
    Turnstile* turnstile = nullptr;  // if it is one of the scopes, for what stands between the task and its executor
    std::int32_t priority = EXECQ_PRIORITY_NORMAL;
    bool interrupt = false;          // its body is to be interrupted where it is asked to stop
    bool no_wait = false;            // where there is no room, it is refused, whatever the policy
    Room* room = nullptr;            // of a bounded executor: the node takes a place over
    Observers* observers = nullptr;  // of an observed one
    ContextRef context;

    // Nothing but a body and its env.
    bool plain() const
    {
        return inner == nullptr && drop == nullptr && drop_result == nullptr && name == nullptr && env_size == 0 &&
               !times.any() && scopes.count() == 0 && priority == EXECQ_PRIORITY_NORMAL && room == nullptr &&
               observers == nullptr && context.get() == nullptr;
    }
};

// The link that belongs to the executor's queues, which may still hold a canceled node while it is being delivered.
struct TaskLink {
    std::atomic<TaskLink*> next{nullptr};
};

class Node : public TaskLink, public Registration {  // the order is relied on: see Registration
public:
    // One reference for the executor, whose id it gets, `future_references` more, one for the timer if it has times, one for
    // each membership, and one for its observation.
    // Null where memory is out.
    static Node* make_task(const TaskSpec& spec, std::uint32_t future_references, std::uint16_t executor_id = 0)
    {
        const State::Word word = first_word(future_references, executor_id);
        return spec.plain() ? make_plain(word, spec.fn, spec.env) : make_extended(word, spec);
    }
    // The same for a task with nothing but a body and its env.
    static Node* make_task(execq_fn fn, void* env, std::uint32_t future_references, std::uint16_t executor_id)
    {
        return make_plain(first_word(future_references, executor_id), fn, env);
    }
    // One reference for all holders of the promise together, and one for the future.
    // An executor: nothing but its tasks completes it.
    static Node* make_promise(execq_drop_fn drop_result, const char* name, const ContextRef& context = {},
                              std::uint16_t executor_id = 0);
    // An asynchronous task: `start` takes the place of spec.fn. The executor's reference becomes that of the holders of
    // the promise when it starts.
    static Node* make_async(const TaskSpec& spec, execq_async_fn start, std::uint32_t future_references,
                            std::uint16_t executor_id = 0);

    // A future that the timekeeper completes: one reference for its timer, which the caller makes, and one for the future.
    // Pending until then, so that who cancels it is told that it never was.
    static Node* make_sleep(const ContextRef& context = {});

    // ---- references (any thread) ----
    void retain() { state_.retain(); }
    void release()
    {
        if (state_.drop_reference())
            destroy();
    }

    // ---- looking (any thread) ----
    Phase phase() const { return State::phase_of(state_.look()); }
    bool done() const { return is_done(phase()); }
    // Another process's: it may only be looked at, once it is done.
    bool inherited() const { return Process::forked() && made_before_fork(); }
    bool cancel_requested() const { return (state_.look() & State::cancel_flag) != 0; }
    std::int32_t cancel_reason() const;
    std::uint16_t executor_id() const { return static_cast<std::uint16_t>(state_.glance() >> State::executor_shift); }
    const char* name() const;  // "" if none; lives as long as the node
    bool extended() const { return State::extended(state_.glance()); }
    bool named() const { return extended() && name()[0] != '\0'; }
    // Active in its body and its callbacks; null: the empty one.
    Context* context() const { return extended() ? extension().context.get() : nullptr; }

    // ---- times (task/timer.h) ----
    // The maker's, before the node is published, and the timekeeper's; null where it has none.
    TaskTimer* task_timer() const { return extended() ? extension().timer : nullptr; }
    void enter_sleep(Timer& timer) { Registration::next = reinterpret_cast<Link*>(&timer); }
    // Any thread with a reference. False: it must not be started in a wait yet.
    bool due() const;
    // The timekeeper's, once it has claimed the node: its timer is over, nobody is to withdraw it.
    void forget_timer() { state_.forget_timer(); }
    // The end of a sleep, which never runs. True for one caller, who settles it.
    [[nodiscard]] bool try_claim_sleep() { return state_.try_claim_sleep(); }

    // ---- scopes (task/membership.h) ----
    Membership* memberships() const { return extended() ? extension().memberships : nullptr; }
    // What it goes through on its way to the executor; null: nothing. Its maker sets it.
    Turnstile* turnstile() const { return extended() ? extension().turnstile : nullptr; }

    // Null: nobody looks at it (task/observed.h).
    Observation* observation() const { return extended() ? extension().observation : nullptr; }

    std::int32_t priority() const { return extended() ? extension().priority : EXECQ_PRIORITY_NORMAL; }

    // Has a completion that was registered before the task was published: it takes the reference of the one who settles.
    bool preset() const { return (state_.glance() & State::preset_flag) != 0; }

    // Somebody has registered a completion, or is at it.
    bool registered() const { return (state_.glance() & State::registered_flag) != 0; }

    // ---- before the task is published (its maker only) ----
    // Registers a completion with a port, for which the caller has counted a use: in the room inside, or in a record,
    // which the caller has to list and, with the node, to free if the node is not accepted. Null: no memory.
    // It will own the reference of the one who settles.
    void preset_inside(const Completion& completion)
    {
        Registration::done = completion.done;
        Registration::env = completion.env;
        completions_.preset_inside(*completion.port);
        state_.preset();
    }
    HeapRegistration* preset_record(const Completion& completion);
    // Undoes make_task: frees the node, gives its place back, calls nothing.
    void discard();

    // ---- transitions ----
    [[nodiscard]] bool try_start()
    {
        State::Word before = 0;
        if (!state_.try_start(before))
            return false;
        if (State::extended(before)) [[unlikely]]
            leave_room();
        return true;
    }
    // The same for the executor, once it has taken the task from its queue.
    using Start = NodeState::Start;
    [[nodiscard]] Start start_taken()
    {
        State::Word before = 0;
        const Start start = state_.start_taken(before);
        if (start == Start::won && State::extended(before)) [[unlikely]]
            leave_room();
        return start;
    }
    // After a start alone: the end of a task that succeeded.
    void free_alone()
    {
        this->~Node();
        node_pool::free(this);
    }
    [[nodiscard]] bool try_claim_cancel(std::int32_t reason);
    // Claimed: the same. Asked: as request_cancel().
    using Canceled = NodeState::Canceled;
    [[nodiscard]] Canceled claim_or_ask(std::int32_t reason);
    [[nodiscard]] bool try_claim_promise()
    {
        State::Word before = 0;
        return state_.try_claim_promise(before);
    }
    // Asks to stop; the first reason stays. False if the node is done, or about to be. Calls nothing: tell_cancel() has
    // to follow, by somebody who holds a reference and no lock.
    bool request_cancel(std::int32_t reason) { return state_.request_cancel(reason); }

    // Winner of try_start() only.
    execq_fn fn() const { return reinterpret_cast<execq_fn>(outcome_.load(std::memory_order_relaxed)); }
    // What that runs; null: it is the body itself.
    execq_fn inner_fn() const { return extended() ? extension().inner : nullptr; }
    void* task_env() const { return Registration::next; }
    // Winner of try_start() or try_claim_cancel() only: ends the ownership of env.
    void drop_env()
    {
        if (extended()) [[unlikely]]
            call_extension_drop();
    }
    // Winner of try_start() only, after the body: the same, unless the task is a series that goes on (true), whose value
    // is dropped instead.
    [[nodiscard]] bool end_run(std::int32_t code, void* value) { return extended() && end_extended_run(code, value); }
    // Winner of try_start() only, between two runs of a series, under the timekeeper's mutex. False: it was asked to stop.
    [[nodiscard]] bool try_rest() { return state_.try_rest(); }

    // Publishes the outcome, wakes the waiters, hands every registration over. A preset registration takes the caller's
    // reference in any case.
    void settle_value(void* value, Reference reference = Reference::keep)
    {
        settle(Phase::ok, reinterpret_cast<std::uintptr_t>(value), reference);
    }
    void settle_error(Error* error, Reference reference = Reference::keep)
    {
        settle(Phase::failed, reinterpret_cast<std::uintptr_t>(error), reference);
    }
    void settle_code(std::int32_t code, Reference reference = Reference::keep)
    {
        settle(Phase::failed, tag_code(code), reference);
    }
    void settle_canceled(Reference reference = Reference::keep) { settle(Phase::canceled, 0, reference); }

    // ---- outcome (any thread, once done) ----
    // These observe a failure.
    execq_status result(void** value);
    execq_status take(void** value);
    Error* error();
    void observe() { state_.observe(); }
    // Does not.
    execq_status look(void** value) const
    {
        constexpr State::Word asks = State::phase_mask | State::taken_flag | State::extended_flag;
        if ((state_.look() & asks) != static_cast<State::Word>(Phase::ok)) [[unlikely]]
            return look_closely(value);
        if (value != nullptr)
            *value = reinterpret_cast<void*>(outcome_.load(std::memory_order_relaxed));
        return EXECQ_OK;
    }

    // ---- completions (any thread) ----
    // Takes completion.env over only where it answers EXECQ_OK.
    execq_status register_completion(const Completion& completion);

    // Fetches the cache line of a node further down the trail; see leave_trail().
    void prefetch_trail() const { __builtin_prefetch(TaskLink::next.load(std::memory_order_relaxed)); }

    // ---- waiting (task/wait.cc) ----
    // Sleeps until it is done. False: the deadline passed first.
    [[nodiscard]] bool await_done(Deadline deadline) { return state_.await_done<FutexSleep>(deadline); }
    // From now on settle() tells the wait lot; false if the node is done.
    [[nodiscard]] bool announce_lot_waiter()
    {
        State::Word word = 0;
        return state_.announce(State::lot_flag, word);
    }

    // ---- asynchronous tasks (task/promise.cc) ----
    bool async() const { return (state_.glance() & State::async_flag) != 0; }
    // Winner of try_start() only, before the start function: names the loop that it runs on, with one use of it, which
    // the promise gives up when it is completed.
    void enter_place(Port& place)
    {
        place.add_guest();
        promise().place = &place;
    }
    // For who holds the promise: where it was started; null where that was nowhere.
    Port* place() const { return promise().place; }
    // For the place, which lists what is open: under its mutex.
    Hook& place_hook();
    static Node& of_place_hook(Hook& hook);
    void note_started();
    std::int64_t age_ns() const;  // since then, to some milliseconds; starts again at 0 after 49 days
    // Winner of try_start() only.
    execq_async_fn start_fn() const
    {
        return reinterpret_cast<execq_async_fn>(outcome_.load(std::memory_order_relaxed));
    }

    // ---- promise holders (any thread; promises, and asynchronous tasks that have started; task/promise.cc) ----
    void retain_promise();
    // The last one breaks an open promise, or cancels it where that was asked for.
    void release_promise();
    // Complete the future; false if it was completed before. What the promise owns, its env and its cancel callback, has
    // ended before the future is done. reject() takes the error (null: the code says it all) in any case.
    [[nodiscard]] bool resolve(void* value);
    bool reject(std::int32_t code, Error* error);
    // Has cancel(env) called once if cancellation is, or was, asked for while the promise is open. EXECQ_OK,
    // EXECQ_EALREADY (completed, or there is one), EXECQ_ENOMEM; takes env over only where it answers EXECQ_OK.
    execq_status hook_cancel(execq_cancel_fn cancel, void* cancel_env, execq_drop_fn drop);
    // Any thread with a reference, after request_cancel(): hands the cancel callback of a promise to where it runs, and calls
    // those of a body.
    void tell_cancel()
    {
        const State::Word word = state_.look();
        if ((word & State::cancel_flag) == 0)
            return;
        if ((word & State::hooked_flag) != 0)
            pass_cancel();
        else
            tell_calls(*this);
    }
    // The end of a cancel callback's record on its way: calls it if it is wanted and the promise still open.
    void end_cancel_callback(HeapRegistration& record, bool wanted);

    // ---- forwarding (any thread; task/forward.cc) ----
    // Has a promise end as the source does. EXECQ_OK; EXECQ_EALREADY: completed, or something is forwarded to it;
    // EXECQ_EINVAL: its own future; EXECQ_EDEADLK: it would wait for itself; EXECQ_ENOMEM. The caller holds the promise
    // and the source.
    execq_status forward_to(Node& promise);

    static bool is_done(Phase phase) { return NodeState::is_done(phase); }

private:
    using State = NodeState;
    using Completions = BasicCompletionSlot<HeapRegistration, Port>;

    // Everything that most tasks do not need; behind the node, in the same allocation, where extended_flag is set.
    struct Extension : OfProcess {
        execq_drop_fn drop = nullptr;
        execq_drop_fn drop_result = nullptr;
        const char* name = "";
        TaskTimer* timer = nullptr;          // behind it; owned by the timekeeper
        Membership* memberships = nullptr;   // behind it; each owned by its scope
        Turnstile* turnstile = nullptr;      // one of the scopes
        execq_fn inner = nullptr;            // as in TaskSpec
        Room* room = nullptr;                // a place there, until the task has started or is canceled
        Observation* observation = nullptr;  // behind it; destroyed with it
        std::int32_t priority = EXECQ_PRIORITY_NORMAL;
        // The source of a promise, with one reference, and its stage (task/forward.cc). Written by who forwards, then by
        // who settles; read by who cancels and, once that is done, by who looks at the outcome.
        std::atomic<std::uintptr_t> source{0};
        ContextRef context;
    };
    // What a promise has besides; behind the Extension.
    struct PromisePart : Hook {  // Hook: the list of its place
        // Holders of the promise, counted apart from the node's references.
        RefCount references{1};
        std::uint32_t started_ms = 0;  // coarse clock, cut; the place's
        // The loop that the start function ran on, with one use, and as a guest until the last holder is gone; null where
        // there is none. Written before the first holder gets the promise.
        Port* place = nullptr;
        BasicCancelSlot<HeapRegistration> cancel;
    };

    static constexpr std::size_t cache_line = 64;
    // In the low bits of Extension::source. Entering: not yet to be asked to stop; lent: the outcome is the node that owns
    // the value.
    static constexpr std::uintptr_t source_entering = 1, source_lent = 2, source_mask = ~std::uintptr_t{3};

    Node(State::Word word, std::uintptr_t body, void* body_env) : state_(word), outcome_(body)
    {
        Registration::next = static_cast<Link*>(body_env);
    }
    ~Node() = default;

    static std::uint64_t first_word(std::uint32_t future_references, std::uint16_t executor_id)
    {
        return State::first(1 + future_references, executor_id, Phase::pending);
    }
    static Node* make_plain(State::Word word, execq_fn fn, void* env)
    {
        void* memory = node_pool::allocate();
        return memory != nullptr ? new (memory) Node(word, reinterpret_cast<std::uintptr_t>(fn), env) : nullptr;
    }
    static Node* make_extended(State::Word word, const TaskSpec& spec);
    // The body and what follows the Extension are the caller's to set.
    static Node* make_behind(State::Word word, const TaskSpec& spec, std::uintptr_t body, std::size_t part_size);
    bool made_before_fork() const;
    void call_extension_drop();
    bool end_extended_run(std::int32_t code, void* value);
    static std::uintptr_t tag_code(std::int32_t code)
    {
        return (static_cast<std::uintptr_t>(static_cast<std::uint32_t>(code)) << 1) | 1;
    }
    static std::int32_t code_in(std::uintptr_t outcome)
    {
        return static_cast<std::int32_t>(static_cast<std::uint32_t>(outcome >> 1));
    }
    Extension& extension() const;
    PromisePart& promise() const;
    bool begin_completion();
    class Leaving;
    void pass_cancel();
    void send_cancel_callback();
    void close_cancel_slot();
    Node* source() const;
    Node* lender() const;
    Node& value_owner();
    bool waits_for(const Node& other) const;
    bool enter_source(Node& source);
    void leave_source(Node& source);
    bool announce_source();
    static void source_done(execq_future* source, void* promise);
    bool end_as(Node& source);
    void settle_as_failed(Node& source);
    execq_status look_closely(void** value) const;
    void settle(Phase phase, std::uintptr_t outcome, Reference reference)
    {
        const State::Word word = state_.look();
        if (reference == Reference::give && State::one_left(word))
            settle_alone(word, phase, outcome);
        else
            settle_shared(word, phase, outcome, reference);
    }
    void settle_alone(State::Word word, Phase phase, std::uintptr_t outcome)
    {
        // relaxed: nobody can look before the registration's port has published the node.
        outcome_.store(outcome, std::memory_order_relaxed);
        state_.settle_alone(word, phase);
        if ((word & State::preset_flag) == 0) {
            destroy();
            return;
        }
        leave_trail();
        hand_over(completions_.close_alone());
    }
    // Who collects completions meets the newest first, each on a line that is in the completing thread's cache: the
    // trail tells of one further on, to be fetched in time. Only a hint: what it names may be gone.
    void leave_trail()
    {
        ThisThread& mine = this_thread;
        TaskLink*& before = mine.trail[mine.trail_end++ % mine.trail.size()];
        TaskLink::next.store(before, std::memory_order_relaxed);
        before = this;
    }
    void settle_shared(State::Word word, Phase phase, std::uintptr_t outcome, Reference reference);
    void withdraw_timer();
    void tell_ended(Observation& observation, Phase phase, std::uintptr_t outcome);
    void leave_room();
    static void end_memberships(Membership* first);
    void hand_over(Completions::Content completions);
    execq_status register_inside(const Completion& completion);
    execq_status register_record(const Completion& completion);
    execq_status publish(HeapRegistration& record);
    void destroy()
    {
        if (inherited()) [[unlikely]]
            return;
        const State::Word word = state_.glance();
        if (State::extended(word) || State::phase_of(word) == Phase::failed) [[unlikely]]
            destroy_chain();
        else
            free_memory(word);
    }
    void destroy_chain();
    void drop_outcome(State::Word word);
    void report_failure();
    Error* materialize();
    void free_extended();
    void free_memory(State::Word word)
    {
        if (State::extended(word)) [[unlikely]] {
            free_extended();
            return;
        }
        this->~Node();
        node_pool::free(this);
    }

    State state_;
    // The body (a function) until the task ended, then the value, the node that lends it, an Error*, or a tagged code that
    // error() turns into an Error*. Written by the one who settles, published by state_.
    std::atomic<std::uintptr_t> outcome_{0};
    // Producers: register_completion; consumer: settle.
    Completions completions_;
};

static_assert(sizeof(Node) <= 64, "a node is one cache line");
static_assert(std::endian::native == std::endian::little && sizeof(void*) == 8, "futex word: the state's lower half");

// Tasks on their way to an executor, first in, first out.
class TaskFifo {
public:
    bool empty() const { return size_ == 0; }
    std::size_t size() const { return size_; }
    Node& first() const { return *first_; }
    Node& last() const { return *last_; }

    void push(Node& node)
    {
        node.TaskLink::next.store(nullptr, std::memory_order_relaxed);
        if (empty())
            first_ = &node;
        else
            last_->TaskLink::next.store(&node, std::memory_order_relaxed);
        last_ = &node;
        ++size_;
    }

    Node* pop()
    {
        if (empty())
            return nullptr;
        Node* node = first_;
        first_ = after(*node);
        --size_;
        return node;
    }

    template <class Visit>
    void for_each(const Visit& visit) const
    {
        Node* node = first_;
        for (std::size_t left = size_; left != 0; --left) {
            visit(*node);
            node = after(*node);
        }
    }

private:
    static Node* after(const Node& node)
    {
        return static_cast<Node*>(node.TaskLink::next.load(std::memory_order_relaxed));
    }

    Node* first_ = nullptr;
    Node* last_ = nullptr;
    std::size_t size_ = 0;
};

inline execq_future* future_of(Node* node) { return reinterpret_cast<execq_future*>(node); }
inline Node* core_of(execq_future* future) { return reinterpret_cast<Node*>(future); }
inline execq_promise* promise_of(Node* node) { return reinterpret_cast<execq_promise*>(node); }
inline Node* core_of(execq_promise* promise) { return reinterpret_cast<Node*>(promise); }

}  // namespace execq::core
