#include "task/cancel_calls.h"

#include <array>
#include <atomic>
#include <new>

#include "base/futex.h"
#include "base/immortal.h"
#include "base/links.h"
#include "base/ref_count.h"
#include "base/thread_waits.h"
#include "task/call_lot.h"
#include "task/callbacks.h"
#include "task/node.h"
#include "task/this_thread.h"

namespace execq::core {

// A callback, from its registration to the end of its body, or until it is taken back.
struct CancelCall : Hook {
    CancelCall(const CalledBody& owner, execq_cancel_fn given, void* given_env, execq_cancel_token number)
        : body(owner), fn(given), env(given_env), token(number)
    {}

    // For the lot.
    bool waits() const { return stage.waits(); }
    void taken()
    {
        stage.begin();
        if (drop != nullptr)
            references.add();
    }

    const CalledBody body;
    const execq_cancel_fn fn;
    void* const env;
    const execq_cancel_token token;
    CancelCall* older = nullptr;  // of the same thread, which alone looks
    BasicCallStage<> stage;
    RefCount references{1};        // of a watch: its maker's, and that of who calls it
    execq_drop_fn drop = nullptr;  // a watch's; null: the call is its thread's
};

namespace {

struct alignas(64) Bucket : BasicCallBucket<CancelCall> {};

std::array<Bucket, 64>& lot()
{
    static PerProcess<std::array<Bucket, 64>> buckets;
    return *buckets;
}

[[maybe_unused]] std::array<Bucket, 64>& made_when_loaded = lot();

Bucket& bucket_of(const void* address)
{
    return lot()[(reinterpret_cast<std::uintptr_t>(address) >> 6) % lot().size()];
}

Bucket& bucket_of(const CancelCall& call)
{
    return bucket_of(call.body.node != nullptr ? call.body.node : call.body.scope);
}

void release_watch(CancelCall& call)
{
    if (!call.references.drop())
        return;
    call.drop(call.env);
    delete &call;
}

// By who took it out of the lot. Once it is over, it may be gone.
void run(CancelCall& call)
{
    const CallbackScope callbacks;  // what the callback completes is told after it, and does not keep the body
    struct End {
        CancelCall& call;
        ~End()
        {
            const bool watches = call.drop != nullptr;
            call.stage.end();
            if (watches)
                release_watch(call);
        }
    };
    const End end{call};
    const InsideCall inside(call.token);
    call_cancel(call.fn, call.body.node != nullptr ? call.body.node->context() : nullptr, call.env);
}

bool take_back(CancelCall& call) { return bucket_of(call).take_back(call); }

void await_end(CancelCall& call)
{
    call.stage.await_end([](const void* word, std::uint32_t expected) {
        const ThreadWaits::Scope waits;
        futex_wait(word, expected, Deadline::after(-1));
    });
}

}  // namespace

const InChild InsideCall::in_child_([](void*) { innermost_ = nullptr; });

execq_cancel_token next_cancel_token()
{
    static std::atomic<execq_cancel_token> last{0};
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

execq_status add_call(const CalledBody& body, execq_cancel_fn fn, void* env, execq_cancel_token* token)
{
    auto* call = new (std::nothrow) CancelCall(body, fn, env, next_cancel_token());
    if (call == nullptr)
        return EXECQ_ENOMEM;
    if (token != nullptr)
        *token = call->token;  // before anybody can call it
    call->older = this_thread.calls;
    this_thread.calls = call;
    bucket_of(*call).add(*call);
    return EXECQ_OK;
}

void call_newest()
{
    CancelCall* own = this_thread.calls;
    if (CancelCall* call = bucket_of(*own).take([own](const CancelCall& one) { return &one == own; }))
        run(*call);
}

execq_status remove_call(const void* scope, execq_cancel_token token)
{
    if (InsideCall::of(token))
        return EXECQ_EALREADY;
    CancelCall** at = &this_thread.calls;
    while (*at != nullptr && (*at)->token != token)
        at = &(*at)->older;
    CancelCall* call = *at;
    if (call == nullptr || call->body.scope != scope)
        return EXECQ_EINVAL;
    const bool unused = take_back(*call);
    if (!unused)
        await_end(*call);
    *at = call->older;
    delete call;
    return unused ? EXECQ_OK : EXECQ_EALREADY;
}

void end_calls(const void* scope)
{
    while (CancelCall* call = this_thread.calls) {
        if (call->body.scope != scope)
            return;
        if (!take_back(*call))
            await_end(*call);
        this_thread.calls = call->older;
        delete call;
    }
}

CancelCall* watch_cancel(Node& node, execq_cancel_fn fn, void* env, execq_drop_fn drop)
{
    auto* call = new (std::nothrow) CancelCall({nullptr, &node, nullptr}, fn, env, next_cancel_token());
    if (call != nullptr)
        call->drop = drop;
    return call;
}

void enter_watch(CancelCall& call) { bucket_of(call).add(call); }

void end_watch(CancelCall& call)
{
    (void)take_back(call);
    release_watch(call);
}

bool has_calls() { return this_thread.calls != nullptr; }

void tell_calls(Node& node)
{
    Bucket& bucket = bucket_of(&node);
    while (CancelCall* call = bucket.take([&node](const CancelCall& one) { return one.body.node == &node; }))
        run(*call);
}

void tell_calls_of(const void* executor)
{
    for (Bucket& bucket : lot()) {
        while (CancelCall* call =
                   bucket.take([executor](const CancelCall& one) { return one.body.executor == executor; }))
            run(*call);
    }
}

}  // namespace execq::core
