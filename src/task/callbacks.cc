#include "task/callbacks.h"

#include <cstdio>

#include "base/process.h"
#include "task/context.h"
#include "task/error.h"
#include "task/guarded.h"

namespace execq::core {

namespace {

template <class Call>
void call_under(Context* context, const char* where, const Call& call)
{
    const ContextScope scope(context);
    if (scope.status() != EXECQ_OK) [[unlikely]]
        std::fprintf(stderr,
                     "execq: a %s callback runs without foreign contexts, as one of them could not be entered: %s\n",
                     where, status_text(scope.status()));
    guarded_call(where, [&] {
        const UserCode user;
        call();
    });
}

}  // namespace

void report_exception(const char* where, const char* what)
{
    std::fprintf(stderr, "execq: an exception left a %s callback and was dropped: %s\n", where, what);
}

CallbackScope::CallbackScope() : outermost_(!this_thread.in_callback) { this_thread.in_callback = true; }

CallbackScope::~CallbackScope()
{
    if (!outermost_)
        return;
    run_queued();
    this_thread.in_callback = false;
}

bool inside_callback() { return this_thread.in_callback; }

void call_drop(execq_drop_fn drop, void* env)
{
    if (drop != nullptr)
        call_under(nullptr, "drop", [&] { drop(env); });
}

void call_done(execq_done_fn done, Node& node, void* env)
{
    call_under(node.context(), "done", [&] { done(future_of(&node), env); });
}

void call_cancel(execq_cancel_fn cancel, Context* context, void* env)
{
    call_under(context, "cancel", [&] { cancel(env); });
}

void call_unobserved(execq_unobserved_fn fn, const execq_error* error, const char* name, void* env)
{
    call_under(nullptr, "failure", [&] { fn(error, name, env); });
}

void call_thread_final(execq_thread_final_fn fn, void* env)
{
    call_under(nullptr, "thread_final", [&] { fn(env); });
}

// All of it also where a callback ends its thread.
void run_now(Registration& registration, Port* port)
{
    struct Finish {
        Registration& over;
        Port* port;
        ~Finish() { finish(over, port); }
    };
    struct Drop {
        HeapRegistration* record;
        ~Drop() noexcept(false)
        {
            if (record != nullptr)
                call_drop(record->drop, record->env);
        }
    };
    const Finish scope{registration, port};
    HeapRegistration* heap = heap_of(registration);
    if (heap != nullptr && heap->cancels) {
        heap->node->end_cancel_callback(*heap, true);
        return;
    }
    const Drop drop{heap};
    Node& node = node_of(registration);
    const Observation::Delivery delivery(node.observation());
    call_done(registration.done, node, registration.env);
}

void run_or_queue(Registration& registration)
{
    if (this_thread.in_callback) {
        this_thread.callbacks.push(registration);
        return;
    }
    const CallbackScope scope;
    run_now(registration, nullptr);
}

void run_queued()
{
    while (Registration* registration = this_thread.callbacks.pop())
        run_now(*registration, nullptr);
}

}  // namespace execq::core
