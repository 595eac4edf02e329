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

Node* Node::make_extended(State::Word word, const TaskSpec& spec)
{
    return make_behind(word, spec, reinterpret_cast<std::uintptr_t>(spec.fn), 0);
}

// One allocation: the node, its Extension, what a promise has besides, its timer, its memberships, its observation, the copy
// of env, the name.
Node* Node::make_behind(State::Word word, const TaskSpec& spec, std::uintptr_t body, std::size_t part_size)
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
        word += State::timed_flag + State::one_reference;
    word += (spec.scopes.count() + (spec.observers != nullptr ? 1 : 0)) * State::one_reference;
    Node* node = new (memory) Node(word | State::extended_flag, body, env);
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
    const State::Word word = first_word(1, 0) | State::timed_flag;
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
    free_memory(state_.glance());
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
        const State::Word word = node->state_.glance();
        Node* source = nullptr;
        if (State::extended(word))
            source = reinterpret_cast<Node*>(node->extension().source.load(std::memory_order_relaxed) & source_mask);
        node->drop_outcome(word);
        node->free_memory(word);
        node = source != nullptr && source->state_.drop_reference() ? source : nullptr;
    } while (node != nullptr);
}

void Node::drop_outcome(State::Word word)
{
    const Phase phase = State::phase_of(word);
    if (phase == Phase::failed) {
        if ((word & State::taken_flag) == 0)
            report_failure();
        const std::uintptr_t outcome = outcome_.load(std::memory_order_relaxed);
        if ((outcome & 1) == 0)
            reinterpret_cast<Error*>(outcome)->release();
    } else if (phase == Phase::ok && State::extended(word) && (word & State::taken_flag) == 0 && lender() == nullptr) {
        call_drop(extension().drop_result, reinterpret_cast<void*>(outcome_.load(std::memory_order_relaxed)));
    }
}

void Node::report_failure() { report_unobserved(name(), *materialize()); }

const char* Node::name() const { return extended() ? extension().name : ""; }

std::int32_t Node::cancel_reason() const { return State::reason_in(state_.look()); }

// ---- transitions ----

bool Node::try_claim_cancel(std::int32_t reason)
{
    EXECQ_SYNC_POINT("cancel claims");
    State::Word before = 0;
    if (!state_.try_claim_cancel(reason, before))
        return false;
    if (State::extended(before))
        leave_room();
    return true;
}

Node::Canceled Node::claim_or_ask(std::int32_t reason)
{
    EXECQ_SYNC_POINT("cancel claims or asks");
    State::Word before = 0;
    const Canceled canceled = state_.cancel(reason, before);
    if (canceled == Canceled::claimed && State::extended(before))
        leave_room();
    return canceled;
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

void Node::settle_shared(State::Word word, Phase phase, std::uintptr_t outcome, Reference reference)
{
    EXECQ_SYNC_POINT("future settles");
    const ErrnoKeeper keeper;
    if ((word & State::timed_flag) != 0) [[unlikely]]
        withdraw_timer();
    // They keep the node until we are through.
    Membership* memberships = nullptr;
    Observation* observed = nullptr;
    if (State::extended(word)) [[unlikely]] {
        memberships = extension().memberships;
        observed = extension().observation;
        if (observed != nullptr)
            tell_ended(*observed, phase, outcome);
    }
    outcome_.store(outcome, std::memory_order_relaxed);  // published by the step
    const void* const address = state_.address();
    const auto [before, last] = state_.settle(word, phase, reference);
    // Without a reference left to us the node may be gone: from here on only its address is used.
    if ((before & State::waiter_flag) != 0)
        futex_wake_all(address);
    if ((before & State::lot_flag) != 0)
        tell_lot(this);
    if ((before & State::registered_flag) != 0) {
        hand_over(completions_.close());
        if (reference == Reference::give && (before & State::preset_flag) == 0)
            release();
    } else if (last) {
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
    const State::Word word = state_.look();
    switch (State::phase_of(word)) {
    case Phase::ok:
        if (const Node* owner = lender())
            return owner->look(value);
        if ((word & State::taken_flag) != 0)
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

execq_status Node::take(void** value)
{
    const execq_status status = result(nullptr);
    if (status != EXECQ_OK)
        return status;
    Node& owner = value_owner();
    if (!owner.state_.try_take())
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

}  // namespace execq::core
