// Node's part that belongs to the holders of a promise, of execq_promise_new or of an asynchronous task.
//
// The cancel callback is a record that hook_cancel() makes, in a slot of the promise (task/cancel_slot.h).
#include <new>

#include "base/atomics.h"
#include "base/futex.h"
#include "base/process.h"
#include "base/sync_point.h"
#include "base/thread_waits.h"
#include "task/callbacks.h"
#include "task/node.h"

namespace execq::core {

namespace {

// `done` is a room for the function only; it is called as what it is.
execq_done_fn as_done(execq_cancel_fn fn) { return reinterpret_cast<execq_done_fn>(reinterpret_cast<void (*)()>(fn)); }
execq_cancel_fn as_cancel(execq_done_fn done)
{
    return reinterpret_cast<execq_cancel_fn>(reinterpret_cast<void (*)()>(done));
}

// The cancel callbacks that this thread is inside of.
class CancelScope {
public:
    explicit CancelScope(const Node& node) : node_(node), outer_(innermost_) { innermost_ = this; }
    ~CancelScope() { innermost_ = outer_; }
    CancelScope(const CancelScope&) = delete;
    CancelScope& operator=(const CancelScope&) = delete;

    static bool inside(const Node& node)
    {
        for (const CancelScope* scope = innermost_; scope != nullptr; scope = scope->outer_) {
            if (&scope->node_ == &node)
                return true;
        }
        return false;
    }

private:
    static inline thread_local constinit const CancelScope* innermost_ = nullptr;
    static const InChild in_child_;
    const Node& node_;
    const CancelScope* const outer_;
};

const InChild CancelScope::in_child_([](void*) { innermost_ = nullptr; });

}  // namespace

// ---- making ----

Node* Node::make_promise(execq_drop_fn drop_result, const char* name, const ContextRef& context,
                         std::uint16_t executor_id)
{
    TaskSpec spec;
    spec.drop_result = drop_result;
    spec.name = name;
    spec.context = context;
    Node* node = make_behind(State::first(2, executor_id, Phase::running), spec, 0, sizeof(PromisePart));
    if (node != nullptr)
        new (&node->promise()) PromisePart;
    return node;
}

Node* Node::make_async(const TaskSpec& spec, execq_async_fn start, std::uint32_t future_references,
                       std::uint16_t executor_id)
{
    Node* node = make_behind(first_word(future_references, executor_id) | State::async_flag, spec,
                             reinterpret_cast<std::uintptr_t>(start), sizeof(PromisePart));
    if (node != nullptr)
        new (&node->promise()) PromisePart;
    return node;
}

// ---- holding and completing ----

Node& Node::of_place_hook(Hook& hook)
{
    return *reinterpret_cast<Node*>(reinterpret_cast<char*>(static_cast<PromisePart*>(&hook)) - cache_line -
                                    sizeof(Extension));
}

Hook& Node::place_hook() { return promise(); }

namespace {

std::uint32_t coarse_now_ms() { return static_cast<std::uint32_t>(coarse_now_ns() / 1'000'000); }

}  // namespace

void Node::note_started() { promise().started_ms = coarse_now_ms(); }

std::int64_t Node::age_ns() const { return std::int64_t{coarse_now_ms() - promise().started_ms} * 1'000'000; }

void Node::retain_promise() { promise().references.add(); }

// Leaves the place once the node is settled, whose callbacks may give up the last reference of everybody else, or end their
// thread.
class Node::Leaving {
public:
    explicit Leaving(Node& node) : node_(node), place_(node.promise().place)
    {
        if (place_ != nullptr)
            node_.retain();
    }
    ~Leaving()
    {
        if (place_ == nullptr)
            return;
        place_->leave(node_);
        node_.release();
    }
    Leaving(const Leaving&) = delete;
    Leaving& operator=(const Leaving&) = delete;

private:
    Node& node_;
    Port* const place_;
};

void Node::release_promise()
{
    if (inherited())
        return;
    if (!promise().references.drop())
        return;
    struct Last {
        Node& node;
        ~Last()
        {
            if (Port* place = node.place())
                place->end_guest();
            node.release();
        }
    };
    const Last last{*this};
    if (!begin_completion())
        return;
    const Leaving leaving(*this);
    if (cancel_requested())
        settle_canceled();
    else
        settle_code(EXECQ_EBROKEN);
}

bool Node::resolve(void* value)
{
    if (!begin_completion())
        return false;
    const Leaving leaving(*this);
    settle_value(value);
    return true;
}

bool Node::reject(std::int32_t code, Error* error)
{
    const bool first = begin_completion();
    const bool canceled = first && code == EXECQ_ECANCELED && cancel_requested();
    if (error != nullptr && (!first || canceled))
        error->release();
    if (!first)
        return false;
    const Leaving leaving(*this);
    if (canceled)
        settle_canceled();
    else if (error != nullptr)
        settle_error(error);
    else
        settle_code(code);
    return true;
}

// False if somebody else has completed this one: then nothing is carried on, and a failure of the source is as it was.
bool Node::end_as(Node& source)
{
    const Phase phase = source.phase();
    if (phase == Phase::canceled)
        request_cancel(source.cancel_reason());
    if (!begin_completion())
        return false;
    const Leaving leaving(*this);
    if (phase == Phase::ok) {
        extension().source.store(reinterpret_cast<std::uintptr_t>(&source) | source_lent, std::memory_order_release);
        settle_value(&source.value_owner());
    } else if (phase == Phase::failed) {
        settle_as_failed(source);
    } else {
        settle_canceled();
    }
    return true;
}

void Node::settle_as_failed(Node& source)
{
    source.observe();
    const std::uintptr_t outcome = source.outcome_.load(std::memory_order_acquire);
    if ((outcome & 1) != 0) {
        settle_code(code_in(outcome));
        return;
    }
    auto* error = reinterpret_cast<Error*>(outcome);
    error->retain();
    settle_error(error);
}

// Claims the outcome, and ends what the promise owns. The caller settles, Leaving.
bool Node::begin_completion()
{
    EXECQ_SYNC_POINT("promise completes");
    State::Word before = 0;
    if (!state_.try_claim_promise(before))
        return false;
    if ((before & State::hooked_flag) != 0)
        close_cancel_slot();
    if (extension().drop != nullptr) {
        const CallbackScope scope;
        drop_env();
    }
    return true;
}

// ---- the cancel callback ----

execq_status Node::hook_cancel(execq_cancel_fn cancel, void* cancel_env, execq_drop_fn drop)
{
    auto* record = new (std::nothrow) HeapRegistration;
    if (record == nullptr)
        return EXECQ_ENOMEM;
    record->cancels = true;
    record->done = as_done(cancel);
    record->env = cancel_env;
    record->drop = drop;
    record->node = this;
    if (!promise().cancel.try_arm(*record)) {
        delete record;
        return EXECQ_EALREADY;
    }
    if (!state_.try_hook()) {
        // Completed. Who looked at the slot, as there is a source, may have ended the record.
        if (!promise().cancel.try_disarm(*record))
            return EXECQ_OK;
        delete record;
        return EXECQ_EALREADY;
    }
    tell_cancel();
    return EXECQ_OK;
}

// The record takes a reference, and a use of the loop, with it.
void Node::send_cancel_callback()
{
    HeapRegistration* record = promise().cancel.try_send();
    if (record == nullptr)
        return;  // somebody else sends it, or the promise is completed
    // Until we are past this stage the promise keeps its use of the loop, which keeps the loop's port.
    Port* place = promise().place;
    if (place != nullptr && !place->begin_use()) {  // detached: nowhere to be called any more
        promise().cancel.take_back(*record);
        return;
    }
    retain();
    promise().cancel.sent(*record);
    if (place != nullptr)
        place->deliver(*record);
    else
        run_or_queue(*record);
}

void Node::end_cancel_callback(HeapRegistration& record, bool wanted)
{
    const CancelScope scope(*this);
    // Also where the callback ends its thread: who completes the promise waits for this.
    struct End {
        HeapRegistration& record;
        BasicCancelSlot<HeapRegistration>& slot;
        ~End()
        {
            call_drop(record.drop, record.env);
            slot.end();
        }
    };
    const End end{record, promise().cancel};
    if (wanted && end.slot.try_run(record))
        call_cancel(as_cancel(record.done), context(), record.env);
}

void Node::close_cancel_slot()
{
    if (CancelScope::inside(*this))
        return;  // who runs it closes the slot
    HeapRegistration* record = promise().cancel.close([](const void* word, std::uint32_t expected) {
        const ThreadWaits::Scope waits;
        futex_wait(word, expected, Deadline::after(-1));
    });
    if (record == nullptr)
        return;
    const CallbackScope scope;
    call_drop(record->drop, record->env);
    delete record;
}

}  // namespace execq::core
