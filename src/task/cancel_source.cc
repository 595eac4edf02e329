#include "task/cancel_source.h"

#include <new>

#include "base/futex.h"
#include "base/thread_waits.h"
#include "task/callbacks.h"
#include "task/cancel.h"
#include "task/cancel_calls.h"

namespace execq::core {

struct CancelSource::Call : Hook {
    execq_cancel_fn fn = nullptr;
    void* env = nullptr;
    execq_drop_fn drop = nullptr;
    execq_cancel_token token = 0;
};

// Ends with a completion of the future, which keeps it until then.
struct CancelSource::FutureLink : Hook {
    FutureLink(CancelSource& owner, Node& future) : source(owner), node(future) {}

    CancelSource& source;  // with a use
    Node& node;
    bool linked = true;  // under the mutex
};

// ---- life ----

CancelSource* CancelSource::make(CancelSource* parent)
{
    auto* source = new (std::nothrow) CancelSource(parent);
    if (source == nullptr || parent == nullptr)
        return source;
    parent->retain_use();
    const MutexLock lock(parent->mutex_);
    if (parent->requested())
        source->canceled_.store(true, std::memory_order_relaxed);
    else
        parent->children_.push_back(*source);
    return source;
}

CancelSource::~CancelSource()
{
    const CallbackScope scope;
    for (;;) {
        Call* call = nullptr;
        {
            const MutexLock lock(mutex_);
            call = calls_.front();
            if (call == nullptr)
                return;
            calls_.remove(*call);
        }
        call_drop(call->drop, call->env);
        delete call;
    }
}

bool CancelSource::try_retain_use()
{
    std::uint64_t uses = uses_.load(std::memory_order_relaxed);
    while (uses != 0) {
        if (uses_.compare_exchange_weak(uses, uses + 1, std::memory_order_relaxed))
            return true;
    }
    return false;
}

// A chain of parents, of any length, may go with it.
void CancelSource::drop_use() noexcept
{
    CancelSource* source = this;
    while (source != nullptr && source->uses_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        CancelSource* parent = source->parent_;
        if (parent != nullptr) {
            const MutexLock lock(parent->mutex_);
            if (source->Hook::next != nullptr)
                parent->children_.remove(*source);
        }
        delete source;
        source = parent;
    }
}

// ---- canceling ----

bool CancelSource::flip()
{
    const MutexLock lock(mutex_);
    return !canceled_.exchange(true, std::memory_order_release);
}

// A tree of any depth, in a loop. Who has flipped a source owns its next_.
bool CancelSource::cancel()
{
    if (!flip())
        return false;
    retain_use();
    CancelSource* rest = this;
    while (rest != nullptr) {
        CancelSource* source = rest;
        rest = source->next_;
        source->run_calls();
        source->cancel_whole();
        source->cancel_members();
        source->cancel_links();
        rest = source->cancel_children(rest);
        source->drop_use();
    }
    return true;
}

void CancelSource::run_calls()
{
    for (;;) {
        Call* call = nullptr;
        {
            const MutexLock lock(mutex_);
            call = calls_.front();
            if (call == nullptr)
                return;
            calls_.remove(*call);
            running_.push_back(*call);
        }
        run(*call);
    }
}

void CancelSource::cancel_whole()
{
    for (;;) {
        SourceLink* link = nullptr;
        {
            const MutexLock lock(mutex_);
            link = whole_.front();
            if (link == nullptr)
                return;
            whole_.remove(*link);
        }
        link->cancel(link->env);
    }
}

// Those that are just being submitted are told by accepted().
void CancelSource::cancel_members()
{
    for (;;) {
        Node* node = nullptr;
        {
            const MutexLock lock(mutex_);
            Membership* member = members_.front();
            if (member == nullptr)
                return;
            members_.remove(*member);
            passed_.push_back(*member);
            member->stage = passed;
            // accepted() tells the others; but what runs was accepted, and may look for it as soon as we return.
            member->told = member->enrolled || member->node.phase() == Phase::running;
            if (!member->told)
                continue;
            node = &member->node;
            node->retain();
        }
        (void)core::cancel(*node, EXECQ_REASON_CALLER);
        node->release();
    }
}

void CancelSource::cancel_links()
{
    for (;;) {
        Node* node = nullptr;
        {
            const MutexLock lock(mutex_);
            FutureLink* link = links_.front();
            if (link == nullptr)
                return;
            links_.remove(*link);
            link->linked = false;
            node = &link->node;
            node->retain();
        }
        (void)core::cancel(*node, EXECQ_REASON_CALLER);
        node->release();
    }
}

// Puts those that nobody else has canceled in front of the rest.
CancelSource* CancelSource::cancel_children(CancelSource* rest)
{
    for (;;) {
        CancelSource* child = nullptr;
        {
            const MutexLock lock(mutex_);
            child = children_.front();
            if (child == nullptr)
                return rest;
            children_.remove(*child);
            if (!child->try_retain_use())
                continue;  // it is about to end, and finds itself in no list
        }
        if (child->flip()) {
            child->next_ = rest;
            rest = child;
        } else {
            child->drop_use();
        }
    }
}

// ---- callbacks ----

// One that is in the list of those that run; takes it. The caller has a use.
void CancelSource::run(Call& call)
{
    const CallbackScope callbacks;
    struct End {
        CancelSource& source;
        Call& call;
        ~End()
        {
            call_drop(call.drop, call.env);
            {
                const MutexLock lock(source.mutex_);
                source.running_.remove(call);
                source.call_turn_.fetch_add(1, std::memory_order_relaxed);  // who sleeps has read it under the mutex
            }
            futex_wake_all(&source.call_turn_);
            delete &call;
        }
    };
    const End end{*this, call};
    const InsideCall inside(call.token);
    call_cancel(call.fn, nullptr, call.env);
}

execq_status CancelSource::on_cancel(execq_cancel_fn fn, void* env, execq_drop_fn drop, execq_cancel_token* token)
{
    auto* call = new (std::nothrow) Call;
    if (call == nullptr)
        return EXECQ_ENOMEM;
    call->fn = fn;
    call->env = env;
    call->drop = drop;
    call->token = next_cancel_token();
    if (token != nullptr)
        *token = call->token;
    {
        const MutexLock lock(mutex_);
        if (!requested()) {
            calls_.push_back(*call);
            return EXECQ_OK;
        }
        running_.push_back(*call);
    }
    retain_use();  // the callback may give up the caller's handle
    run(*call);
    drop_use();
    return EXECQ_OK;
}

execq_status CancelSource::off(execq_cancel_token token)
{
    const auto find = [token](const HookList<Call>& calls) {
        Call* found = nullptr;
        calls.for_each([&](Call& call) { found = call.token == token ? &call : found; });
        return found;
    };
    if (InsideCall::of(token))
        return EXECQ_EALREADY;
    Call* unused = nullptr;
    for (;;) {
        std::uint32_t turn = 0;
        {
            const MutexLock lock(mutex_);
            unused = find(calls_);
            if (unused != nullptr) {
                calls_.remove(*unused);
                break;
            }
            if (find(running_) == nullptr)
                return requested() ? EXECQ_EALREADY : EXECQ_EINVAL;
            turn = call_turn_.load(std::memory_order_relaxed);
        }
        const ThreadWaits::Scope waits;
        futex_wait(&call_turn_, turn, Deadline::after(-1));
    }
    const CallbackScope scope;
    call_drop(unused->drop, unused->env);
    delete unused;
    return EXECQ_OK;
}

// ---- groups ----

bool CancelSource::link(SourceLink& link)
{
    const MutexLock lock(mutex_);
    if (requested())
        return false;
    whole_.push_back(link);
    return true;
}

bool CancelSource::unlink(SourceLink& link)
{
    const MutexLock lock(mutex_);
    if (link.Hook::next == nullptr)
        return false;
    whole_.remove(link);
    return true;
}

// ---- futures ----

execq_status CancelSource::link(Node& future)
{
    auto* link = new (std::nothrow) FutureLink(*this, future);
    if (link == nullptr)
        return EXECQ_ENOMEM;
    bool late = false;
    {
        const MutexLock lock(mutex_);
        late = requested();
        if (!late)
            links_.push_back(*link);
    }
    if (late) {
        delete link;
        (void)core::cancel(future, EXECQ_REASON_CALLER);
        return EXECQ_OK;
    }
    retain_use();
    const execq_status status = future.register_completion({link_done, link, nullptr, nullptr});
    if (status != EXECQ_OK)
        link_done(nullptr, link);
    return status;
}

void CancelSource::link_done(execq_future*, void* env)
{
    auto* link = static_cast<FutureLink*>(env);
    CancelSource& source = link->source;
    {
        const MutexLock lock(source.mutex_);
        if (link->linked)
            source.links_.remove(*link);
    }
    delete link;
    source.drop_use();
}

// ---- tasks ----

// What comes after the cancellation is claimed before anybody else knows it, so that it never starts.
execq_status CancelSource::admit(Membership& member)
{
    retain_use();
    {
        const MutexLock lock(mutex_);
        if (!requested()) {
            member.stage = listed;
            members_.push_back(member);
            return EXECQ_OK;
        }
        member.stage = claimed;
        passed_.push_back(member);
    }
    (void)member.node.try_claim_cancel(EXECQ_REASON_CALLER);
    return EXECQ_OK;
}

void CancelSource::leave(Membership& member)
{
    if (member.stage == listed)
        members_.remove(member);
    else
        passed_.remove(member);
    member.stage = over;
}

void CancelSource::dismiss(Membership& member) noexcept
{
    {
        const MutexLock lock(mutex_);
        leave(member);
    }
    drop_use();
}

void CancelSource::accepted(Membership& member) noexcept
{
    bool claims = false;
    bool late = false;
    {
        const MutexLock lock(mutex_);
        member.enrolled = true;
        claims = member.stage == claimed;  // not where its time was up as well: then it has ended
        late = member.stage == passed && !member.told;
        member.told = member.told || late;
    }
    if (claims)
        end_canceled(member.node);
    else if (late)
        (void)core::cancel(member.node, EXECQ_REASON_CALLER);
}

void CancelSource::ended(Membership& member) noexcept
{
    Node& node = member.node;
    {
        const MutexLock lock(mutex_);
        leave(member);
    }
    node.release();
    drop_use();
}

}  // namespace execq::core
