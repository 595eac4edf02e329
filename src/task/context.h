// Floor 1. Contexts: what is active on each thread, what sets and resets make of it, and scopes that make another one active
// for as long as they live.
//
// A context is immutable and counted. The empty one is null, so that whoever knows nothing of contexts pays for one look at
// a thread-local: a task submitted under it carries nothing.
//
// What is active is ThisThread::context. A scope borrows the context that it enters from its maker and notes it as
// ThisThread::entered; what is active and not that was made by a set, and is owned by the thread. ThisThread::changes are
// the sets of the innermost scope that a token can undo. All three are saved and restored by scopes. Outside of all scopes a
// worker has none of them: it looks after each task (Worker::work), as plain tasks have no scope.
#pragma once

#include <cstdint>
#include <utility>

#include "base/process.h"
#include "execq/context.h"
#include "execq/status.h"
#include "task/binding_map.h"
#include "task/context_provider.h"
#include "task/this_thread.h"

namespace execq::core {

class Context : public OfProcess {
public:
    // One reference for the caller; null: no memory. Takes the foreign part (may be null), where it succeeds.
    static Context* make(std::uint64_t serial, Foreign* foreign = nullptr);

    void retain() { references_.fetch_add(1, std::memory_order_relaxed); }
    void release();

    const BindingMap& map() const { return map_; }
    // The maker's, before anybody else knows it.
    BindingMap& map() { return map_; }
    // The token of the set that made it; 0: none.
    std::uint64_t serial() const { return serial_; }
    Foreign* foreign() const { return foreign_; }

private:
    Context(std::uint64_t token, Foreign* captured) : serial_(token), foreign_(captured) {}
    ~Context();

    // Counted by all holders; the last one frees.
    std::atomic<std::uint32_t> references_{1};
    const std::uint64_t serial_;
    Foreign* const foreign_;  // owned; null: none
    BindingMap map_;
};

// One reference, or none: the empty context.
class ContextRef {
public:
    ContextRef() = default;
    // Takes the caller's reference over.
    explicit ContextRef(Context* owned) : context_(owned) {}
    static ContextRef share(Context* context)
    {
        if (context != nullptr)
            context->retain();
        return ContextRef(context);
    }
    ContextRef(const ContextRef& other) : ContextRef(share(other.context_)) {}
    ContextRef(ContextRef&& other) noexcept : context_(other.give()) {}
    ContextRef& operator=(ContextRef other) noexcept
    {
        std::swap(context_, other.context_);
        return *this;
    }
    ~ContextRef()
    {
        if (context_ != nullptr) [[unlikely]]
            context_->release();
    }

    Context* get() const { return context_; }
    Context* give() { return std::exchange(context_, nullptr); }

private:
    Context* context_ = nullptr;
};

// The handle of the empty context is no address.
inline execq_context* handle_of(Context* context)
{
    return context != nullptr ? reinterpret_cast<execq_context*>(context) : EXECQ_CONTEXT_EMPTY;
}
inline Context* core_of(execq_context* context)
{
    return context != EXECQ_CONTEXT_EMPTY ? reinterpret_cast<Context*>(context) : nullptr;
}

// ---- the calling thread ----

inline bool nothing_to_capture() { return this_thread.context == nullptr && !has_providers(); }

execq_status capture_foreign(ContextRef& out);
// EXECQ_OK, and only where there are providers EXECQ_ENOMEM or what one of them answered.
inline execq_status capture_context(ContextRef& out)
{
    if (has_providers()) [[unlikely]]
        return capture_foreign(out);
    out = ContextRef::share(this_thread.context);
    return EXECQ_OK;
}

// EXECQ_OK or EXECQ_ENOMEM; takes the value where it succeeds. The token may be null.
execq_status set_var(Var& var, void* value, std::uint64_t* token);
// Null: it has none.
inline const Binding* find_var(const Var& var)
{
    const Context* context = this_thread.context;
    return context != nullptr ? context->map().find(var.id()) : nullptr;
}
// EXECQ_OK, EXECQ_EINVAL, EXECQ_ENOMEM.
execq_status reset_var(const Var& var, std::uint64_t token);

inline bool has_changes(const ThisThread& mine) { return mine.context != nullptr || mine.changes != nullptr; }
// Outside of all scopes: makes the empty context active.
void forget_changes(ThisThread& mine);

// Makes a context active on this thread. Borrows it.
class ContextScope {
public:
    // mine: the calling thread's.
    explicit ContextScope(Context* context, ThisThread& mine = this_thread) : mine_(mine)
    {
        if (context != nullptr || has_changes(mine_)) [[unlikely]]
            enter(context);
    }
    ~ContextScope()
    {
        if (entered_ || has_changes(mine_)) [[unlikely]]
            leave();
    }
    ContextScope(const ContextScope&) = delete;
    ContextScope& operator=(const ContextScope&) = delete;

    // What the provider answered that could not enter; the variables are active then, but nothing foreign.
    execq_status status() const { return status_; }

private:
    void enter(Context* context);
    void leave();

    ThisThread& mine_;
    bool entered_ = false;
    std::uint32_t entered_in_ = 0;  // the generation of processes
    execq_status status_ = EXECQ_OK;
    // What was active outside.
    Context* outer_ = nullptr;
    Context* outer_entered_ = nullptr;
    VarChange* outer_changes_ = nullptr;
    Foreign::Entered foreign_;  // undefined unless entered_ and the context has a foreign part
};

}  // namespace execq::core
