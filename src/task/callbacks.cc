#include "task/callbacks.h"

#include <cstdio>
#include <exception>

#include "base/unwind.h"

namespace execq::core {

namespace {

struct ThreadCallbacks {
    bool active = false;
    Fifo<Registration> queue;
};

thread_local constinit ThreadCallbacks callbacks;

void report_exception(const char* where, const char* what)
{
    std::fprintf(stderr, "execq: an exception left a %s callback and was dropped: %s\n", where, what);
}

template <class Call>
void guarded(const char* where, const Call& call)
{
    try {
        call();
    } catch (const std::exception& exception) {
        report_exception(where, exception.what());
    } catch (...) {
        if (is_thread_exit())
            throw;
        report_exception(where, "not a std::exception");
    }
}

}  // namespace

CallbackScope::CallbackScope() : outermost_(!callbacks.active) { callbacks.active = true; }

CallbackScope::~CallbackScope()
{
    if (!outermost_)
        return;
    run_queued();
    callbacks.active = false;
}

bool inside_callback() { return callbacks.active; }

void call_drop(execq_drop_fn drop, void* env)
{
    if (drop != nullptr)
        guarded("drop", [&] { drop(env); });
}

void call_done(execq_done_fn done, Node& node, void* env)
{
    guarded("done", [&] { done(future_of(&node), env); });
}

void call_cancel(execq_cancel_fn cancel, void* env)
{
    guarded("cancel", [&] { cancel(env); });
}

void run_now(Registration& registration, Port* port)
{
    HeapRegistration* heap = heap_of(registration);
    if (heap != nullptr && heap->cancels) {
        heap->node->end_cancel_callback(*heap, true);
    } else {
        call_done(registration.done, node_of(registration), registration.env);
        if (heap != nullptr)
            call_drop(heap->drop, registration.env);
    }
    finish(registration, port);
}

void run_or_queue(Registration& registration)
{
    if (callbacks.active) {
        callbacks.queue.push(registration);
        return;
    }
    const CallbackScope scope;
    run_now(registration, nullptr);
}

void run_queued()
{
    while (Registration* registration = callbacks.queue.pop())
        run_now(*registration, nullptr);
}

}  // namespace execq::core
