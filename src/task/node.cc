#include "task/node.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <utility>

#include "base/futex.h"
#include "base/sync_point.h"
#include "task/callbacks.h"
#include "task/room.h"
#include "task/unobserved.h"
#include "task/wait.h"

namespace execq::core {

namespace {

constexpr std::size_t env_alignment = alignof(std::max_align_t);

constexpr std::size_t rounded(std::size_t size, std::size_t to) { return (size + to - 1) / to * to; }

// errno is the completing thread's own: nothing that we do on it may change it.
class ErrnoKeeper {
public:
    ErrnoKeeper() : kept_(errno) {}
    ~ErrnoKeeper() { errno = kept_; }
    ErrnoKeeper(const ErrnoKeeper&) = delete;
    ErrnoKeeper& operator=(const ErrnoKeeper&) = delete;

private:
    int kept_;
};

}  // namespace

// ---- making and freeing ----

Node* Node::make_extended(std::uint64_t word, const TaskSpec& spec)
{
    return make_behind(word, spec, reinterpret_cast<std::uintptr_t>(spec.fn), 0);
}

// One allocation: the node, its Extension, what a promise has besides, its timer, its memberships, its observation, the copy
// of env, the name.
Node* Node::make_behind(std::uint64_t word, const TaskSpec& spec, std::uintptr_t body, std::size_t part_size)
{
    const bool timed = spec.times.any();
    const std::size_t timer_at = rounded(cache_line + sizeof(Extension) + part_size, alignof(TaskTimer));
    const std::size_t members_at = rounded(timer_at + (timed ? sizeof(TaskTimer) : 0), alignof(Membership));
    const std::size_t observed_at =
        rounded(members_at + spec.scopes.count() * sizeof(Membership), alignof(Observation));
    const std::size_t env_at =
        rounded(observed_at + (spec.observers != nullptr ? sizeof(Observation) : 0), env_alignment);
    const std::size_t env_size = spec.env_size;
    const std::size_t name_size = spec.name != nullptr ? std::strlen(spec.name) + 1 : 0;
    if (env_size > std::numeric_limits<std::size_t>::max() / 2 - env_at - name_size)
        return nullptr;
    auto* memory =
        static_cast<char*>(std::aligned_alloc(cache_line, rounded(env_at + env_size + name_size, cache_line)));
    if (memory == nullptr)
        return nullptr;
    void* env = env_size != 0 ? std::memcpy(memory + env_at, spec.env, env_size) : spec.env;
    auto* extension = new (memory + cache_line) Extension;
    extension->drop = spec.drop;
    extension->drop_result = spec.drop_result;
    extension->context = spec.context;
    if (spec.name != nullptr)
        extension->name = static_cast<char*>(std::memcpy(memory + env_at + env_size, spec.name, name_size));
    if (timed)
        word += timed_flag + one_reference;
    word += (spec.scopes.count() + (spec.observers != nullptr ? 1 : 0)) * one_reference;
    Node* node = new (memory) Node(word | extended_flag, body, env);
    if (timed)
        extension->timer = new (memory + timer_at) TaskTimer(*node, spec.times);
    char* at = memory + members_at;
    for (auto scope = spec.scopes.all.rbegin(); scope != spec.scopes.all.rend(); ++scope) {
        if (*scope == nullptr)
            continue;
        extension->memberships = new (at) Membership(**scope, *node, spec.scopes.key, extension->memberships);
        at += sizeof(Membership);
    }
    if (spec.observers != nullptr)
        extension->observation = new (memory + observed_at) Observation(*spec.observers, *node);
    extension->turnstile = spec.turnstile;
    extension->room = spec.room;
    extension->inner = spec.inner;
    extension->priority = spec.priority;
    return node;
}

Node::Extension& Node::extension() const
{
    auto* behind = reinterpret_cast<char*>(const_cast<Node*>(this)) + cache_line;
    return *std::launder(reinterpret_cast<Extension*>(behind));
}

Node::PromisePart& Node::promise() const
{
    auto* behind = reinterpret_cast<char*>(const_cast<Node*>(this)) + cache_line + sizeof(Extension);
    return *std::launder(reinterpret_cast<PromisePart*>(behind));
}

Node* Node::make_sleep(const ContextRef& context)
{
    const std::uint64_t word = first_word(1, 0) | timed_flag;
    if (context.get() == nullptr)
        return make_plain(word, nullptr, nullptr);
    TaskSpec spec;
    spec.context = context;
    return make_behind(word, spec, 0, 0);
}

bool Node::made_before_fork() const { return extended() ? extension().inherited() : node_pool::inherited(this); }

void Node::free_extended()
{
    if (Observation* observed = extension().observation)
        std::destroy_at(observed);
    std::destroy_at(&extension());
    this->~Node();
    std::free(this);
}

void Node::discard()
{
    if (extended())
        leave_room();
    if (Observation* observed = observation())
        observed->note_refused();
    free_memory(state_.load(std::memory_order_relaxed));
}

// By who has the node to itself, or has won the step from pending.
void Node::leave_room()
{
    if (Room* room = std::exchange(extension().room, nullptr))
        room->leave();
}

// A promise frees its source with it, and so on: in a loop, as a chain may have any length.
void Node::destroy_chain()
{
    Node* node = this;
    do {
        const std::uint64_t word = node->state_.load(std::memory_order_relaxed);
        Node* source = nullptr;
        if ((word & extended_flag) != 0)
            source = reinterpret_cast<Node*>(node->extension().source.load(std::memory_order_relaxed) & source_mask);
        node->drop_outcome(word);
        node->free_memory(word);
        node = source != nullptr && source->drop_reference() ? source : nullptr;
    } while (node != nullptr);
}

void Node::drop_outcome(std::uint64_t word)
{
    const Phase phase = phase_of(word);
    if (phase == Phase::failed) {
        if ((word & taken_flag) == 0)
            report_failure();
        const std::uintptr_t outcome = outcome_.load(std::memory_order_relaxed);
        if ((outcome & 1) == 0)
            reinterpret_cast<Error*>(outcome)->release();
    } else if (phase == Phase::ok && (word & extended_flag) != 0 && (word & taken_flag) == 0 && lender() == nullptr) {
        call_drop(extension().drop_result, reinterpret_cast<void*>(outcome_.load(std::memory_order_relaxed)));
    }
}

void Node::report_failure() { report_unobserved(name(), *materialize()); }

const char* Node::name() const { return extended() ? extension().name : ""; }

std::int32_t Node::cancel_reason() const
{
    return static_cast<std::int32_t>(state_.load(std::memory_order_acquire) >> reason_shift & 0x7);
}

// ---- transitions ----

bool Node::try_claim_cancel(std::int32_t reason)
{
    EXECQ_SYNC_POINT("cancel claims");
    std::uint64_t word = state_.load(std::memory_order_relaxed);
    while (phase_of(word) == Phase::pending) {
        std::uint64_t moved = with_phase(word, Phase::settling);
        if ((word & cancel_flag) == 0)
            moved |= cancel_flag | static_cast<std::uint64_t>(reason) << reason_shift;
        if (state_.compare_exchange_weak(word, moved, std::memory_order_acq_rel, std::memory_order_relaxed)) {
            if ((word & extended_flag) != 0)
                leave_room();
            return true;
        }
    }
    return false;
}

bool Node::request_cancel(std::int32_t reason)
{
    EXECQ_SYNC_POINT("cancel asks");
    std::uint64_t word = state_.load(std::memory_order_relaxed);
    while (phase_of(word) < Phase::settling) {
        if ((word & cancel_flag) != 0)
            return true;
        const std::uint64_t asked = word | cancel_flag | static_cast<std::uint64_t>(reason) << reason_shift;
        if (state_.compare_exchange_weak(word, asked, std::memory_order_acq_rel, std::memory_order_relaxed))
            return true;
    }
    return false;
}

bool Node::try_rest()
{
    std::uint64_t word = state_.load(std::memory_order_relaxed);
    while ((word & cancel_flag) == 0) {
        const std::uint64_t rested = with_phase(word, Phase::pending);
        if (state_.compare_exchange_weak(word, rested, std::memory_order_acq_rel, std::memory_order_relaxed))
            return true;
    }
    return false;
}

void Node::call_extension_drop() { call_drop(extension().drop, task_env()); }

bool Node::end_extended_run(std::int32_t code, void* value)
{
    const bool goes_on = code == 0 && extension().timer != nullptr && extension().timer->times.repeats();
    if (goes_on)
        call_drop(extension().drop_result, value);
    else
        call_extension_drop();
    return goes_on;
}

void Node::settle_shared(std::uint64_t word, Phase phase, std::uintptr_t outcome, Reference reference)
{
    EXECQ_SYNC_POINT("future settles");
    const ErrnoKeeper keeper;
    if ((word & timed_flag) != 0) [[unlikely]]
        withdraw_timer();
    // They keep the node until we are through.
    Membership* memberships = nullptr;
    Observation* observed = nullptr;
    if ((word & extended_flag) != 0) [[unlikely]] {
        memberships = extension().memberships;
        observed = extension().observation;
        if (observed != nullptr)
            tell_ended(*observed, phase, outcome);
    }
    outcome_.store(outcome, std::memory_order_relaxed);  // published by the release below
    std::uint64_t settled = 0;
    do {
        settled = with_phase(word, phase);
        if (reference == Reference::give && (word & registered_flag) == 0)
            settled -= one_reference;
    } while (!state_.compare_exchange_weak(word, settled, std::memory_order_acq_rel, std::memory_order_acquire));
    // Without a reference left to us the node may be gone: from here on only its address is used.
    if ((word & waiter_flag) != 0)
        futex_wake_all(futex_word());
    if ((word & lot_flag) != 0)
        tell_lot(this);
    if ((word & registered_flag) != 0) {
        hand_over(completions_.exchange(closed, std::memory_order_acq_rel));
        if (reference == Reference::give && (word & preset_flag) == 0)
            release();
    } else if (reference == Reference::give && settled >> reference_shift == 0) {
        destroy();
    }
    if (memberships != nullptr) [[unlikely]]
        end_memberships(memberships);
    if (observed != nullptr) [[unlikely]]
        release();
}

void Node::tell_ended(Observation& observation, Phase phase, std::uintptr_t outcome)
{
    switch (phase) {
    case Phase::ok:
        observation.note_ended(Ending::ok, EXECQ_OK);
        break;
    case Phase::canceled:
        observation.note_ended(Ending::canceled, EXECQ_ECANCELED);
        break;
    default:
        observation.note_ended(Ending::failed,
                               (outcome & 1) != 0 ? code_in(outcome) : reinterpret_cast<Error*>(outcome)->code());
    }
}

void Node::end_memberships(Membership* first)
{
    while (first != nullptr) {
        Membership* next = first->next_scope;  // the node may go with any of them
        first->scope.ended(*first);
        first = next;
    }
}

// The caller has claimed the node and holds a reference; its word may have changed.
void Node::withdraw_timer()
{
    Timer* timer = task_timer();
    if (timer == nullptr)
        timer = reinterpret_cast<Timer*>(Registration::next);  // of a sleep
    timer->withdraw();
}

bool Node::due() const
{
    return !extended() || extension().timer == nullptr || extension().timer->due.load(std::memory_order_acquire);
}

// ---- outcome ----

execq_status Node::look_closely(void** value) const
{
    const std::uint64_t word = state_.load(std::memory_order_acquire);
    switch (phase_of(word)) {
    case Phase::ok:
        if (const Node* owner = lender())
            return owner->look(value);
        if ((word & taken_flag) != 0)
            return EXECQ_EALREADY;
        if (value != nullptr)
            *value = reinterpret_cast<void*>(outcome_.load(std::memory_order_relaxed));
        return EXECQ_OK;
    case Phase::failed:
        return EXECQ_EFAILED;
    case Phase::canceled:
        return EXECQ_ECANCELED;
    default:
        return EXECQ_EPENDING;
    }
}

execq_status Node::result(void** value)
{
    const execq_status status = look(value);
    if (status == EXECQ_EFAILED)
        observe();
    return status;
}

// Asked for the failure again and again, it is written to once.
void Node::observe()
{
    const std::uint64_t word = state_.load(std::memory_order_acquire);
    if (phase_of(word) == Phase::failed && (word & taken_flag) == 0)
        state_.fetch_or(taken_flag, std::memory_order_relaxed);  // read by who frees the node, behind the last release
}

execq_status Node::take(void** value)
{
    const execq_status status = result(nullptr);
    if (status != EXECQ_OK)
        return status;
    Node& owner = value_owner();
    if ((owner.state_.fetch_or(taken_flag, std::memory_order_acq_rel) & taken_flag) != 0)
        return EXECQ_EALREADY;
    *value = reinterpret_cast<void*>(owner.outcome_.load(std::memory_order_relaxed));
    return EXECQ_OK;
}

Error* Node::error()
{
    if (phase() != Phase::failed)
        return nullptr;
    observe();
    return materialize();
}

// The error of a failed node, made of a code where that is all there is.
Error* Node::materialize()
{
    std::uintptr_t outcome = outcome_.load(std::memory_order_acquire);
    if ((outcome & 1) == 0)
        return reinterpret_cast<Error*>(outcome);
    Error* error = Error::of_code(code_in(outcome));
    if (error == Error::out_of_memory())
        return error;
    if (outcome_.compare_exchange_strong(outcome, reinterpret_cast<std::uintptr_t>(error), std::memory_order_acq_rel,
                                         std::memory_order_acquire))
        return error;
    error->release();  // another thread was faster
    return reinterpret_cast<Error*>(outcome);
}

// ---- waiting ----

bool Node::set_flag(std::uint64_t flag, std::uint64_t& word)
{
    word = state_.load(std::memory_order_acquire);
    if (!is_done(phase_of(word)) && (word & flag) == 0)
        word = state_.fetch_or(flag, std::memory_order_acq_rel) | flag;
    return !is_done(phase_of(word));
}

bool Node::announce_waiter(std::uint32_t& word)
{
    EXECQ_SYNC_POINT("waiter announces itself");
    std::uint64_t whole = 0;
    const bool pending = set_flag(waiter_flag, whole);
    word = static_cast<std::uint32_t>(whole);
    return pending;
}

bool Node::announce_lot_waiter()
{
    std::uint64_t whole = 0;
    return set_flag(lot_flag, whole);
}

}  // namespace execq::core
