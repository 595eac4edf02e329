// Floor 1. A cancel source: a scope of tasks, groups, futures, callbacks and other sources that are canceled together.
//
// What is linked lies in lists, under the mutex. Who cancels flips the state first, takes one after the other out of its list
// and sees to it outside of the mutex; what comes later finds the source canceled and sees to itself.
//
// The handles together, each member, each linked future and each child are uses of the source; the last one frees. A child is
// in its parent's list, without a use of its own, until it ends. A group that is linked has a handle, and a use of its own that
// the list holds; both end with the link.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/annotations.h"
#include "base/links.h"
#include "execq/cancel.h"
#include "task/membership.h"
#include "task/node.h"

namespace execq::core {

// What is canceled as a whole together with a source: a group. Its maker's, and in the source's list while it is linked.
struct SourceLink : Hook {
    SourceLink(void (*given)(void* env), void* given_env) : cancel(given), env(given_env) {}

    void (*const cancel)(void* env);  // on the thread that cancels, under no lock
    void* const env;
};

class CancelSource final : public TaskScope, private Hook {  // Hook: the parent's list, under its mutex
public:
    // One handle to the caller; parent may be null. Null: no memory.
    static CancelSource* make(CancelSource* parent);

    void retain() { handles_.fetch_add(1, std::memory_order_relaxed); }
    void release()
    {
        if (!inherited() && handles_.fetch_sub(1, std::memory_order_acq_rel) == 1)
            drop_use();
    }

    bool requested() const { return canceled_.load(std::memory_order_acquire); }
    // False: canceled before.
    bool cancel();
    // EXECQ_OK or EXECQ_ENOMEM; takes env over only where it answers EXECQ_OK.
    execq_status on_cancel(execq_cancel_fn fn, void* env, execq_drop_fn drop, execq_cancel_token* token);
    // As execq_cancel_source_off.
    execq_status off(execq_cancel_token token);
    // EXECQ_OK or EXECQ_ENOMEM.
    execq_status link(Node& future);
    // False: canceled before. Otherwise it is called once, or unlinked; the caller keeps the source, and env, until then.
    bool link(SourceLink& link);
    // True to one caller, if it was linked, and is not called any more. Waits for nobody.
    bool unlink(SourceLink& link);

    // ---- as a scope ----
    execq_status admit(Membership& member) override;
    void dismiss(Membership& member) noexcept override;
    void accepted(Membership& member) noexcept override;
    void ended(Membership& member) noexcept override;

private:
    // Of a member. Claimed: the source was canceled before the submission, and nobody else ends the node.
    enum Stage : std::uint32_t { listed, claimed, passed, over };
    struct Call;
    struct FutureLink;

    explicit CancelSource(CancelSource* parent) : parent_(parent) {}
    ~CancelSource() override;

    bool flip();
    void run_calls();
    void cancel_whole();
    void cancel_members();
    void cancel_links();
    CancelSource* cancel_children(CancelSource* rest);
    void run(Call& call);
    void retain_use() { uses_.fetch_add(1, std::memory_order_relaxed); }
    bool try_retain_use();
    void drop_use() noexcept;
    void leave(Membership& member) EXECQ_REQUIRES(mutex_);
    static void link_done(execq_future* future, void* env);

    CancelSource* const parent_;  // with a use
    Mutex mutex_;
    HookList<Membership> members_ EXECQ_GUARDED_BY(mutex_);
    HookList<Membership> passed_ EXECQ_GUARDED_BY(mutex_);  // seen by a cancellation
    HookList<Call> calls_ EXECQ_GUARDED_BY(mutex_);
    HookList<Call> running_ EXECQ_GUARDED_BY(mutex_);
    HookList<SourceLink> whole_ EXECQ_GUARDED_BY(mutex_);
    HookList<FutureLink> links_ EXECQ_GUARDED_BY(mutex_);
    HookList<CancelSource> children_ EXECQ_GUARDED_BY(mutex_);
    CancelSource* next_ = nullptr;  // in a walk of who canceled it; with a use

    std::atomic<bool> canceled_{false};        // written under the mutex
    std::atomic<std::uint32_t> call_turn_{0};  // changes when a callback has returned that somebody waits for
    std::atomic<std::uint32_t> handles_{1};
    std::atomic<std::uint64_t> uses_{1};

    friend class HookList<CancelSource>;
};

inline execq_cancel_source* handle_of(CancelSource* source) { return reinterpret_cast<execq_cancel_source*>(source); }
inline CancelSource* core_of(execq_cancel_source* source) { return reinterpret_cast<CancelSource*>(source); }

}  // namespace execq::core
