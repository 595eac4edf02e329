// Floor 1. The cancel callbacks of running bodies (execq_on_cancel).
//
// Each is a record that belongs to the thread of its body, in a list of that thread's, newest first. Until it is called or
// taken back it also lies in a lot, a hash table of short lists by the address of the body's node, where who cancels finds
// it. So neither a node nor a frame has room for callbacks, and a body without any is ended without a look at the lot.
//
// Who registers lists first and then looks whether to stop; who cancels asks the body to stop and then looks at the list: of
// the two one sees the other. Whoever takes a record out of the lot, under its mutex, is the only one to call it.
#pragma once

#include <cstdint>

#include "base/process.h"
#include "execq/cancel.h"
#include "execq/status.h"
#include "execq/types.h"

namespace execq::core {

class Node;
struct CancelCall;

// Of a body's callback, or of a source's (task/cancel_source.h).
execq_cancel_token next_cancel_token();

// While one lives, this thread is inside of the callback of that token.
class InsideCall {
public:
    explicit InsideCall(execq_cancel_token token) : token_(token), outer_(innermost_) { innermost_ = this; }
    ~InsideCall() { innermost_ = outer_; }
    InsideCall(const InsideCall&) = delete;
    InsideCall& operator=(const InsideCall&) = delete;

    static bool of(execq_cancel_token token)
    {
        for (const InsideCall* scope = innermost_; scope != nullptr; scope = scope->outer_) {
            if (scope->token_ == token)
                return true;
        }
        return false;
    }

private:
    static inline thread_local constinit const InsideCall* innermost_ = nullptr;
    static const InChild in_child_;
    const execq_cancel_token token_;
    const InsideCall* const outer_;
};

// A body on its own thread.
struct CalledBody {
    const void* scope = nullptr;     // its frame, by which it is told from those that it is nested in
    Node* node = nullptr;            // null: a plain task, or none
    const void* executor = nullptr;  // whose close cancels it; null: none's
};

// ---- the body's thread only ----
// EXECQ_OK or EXECQ_ENOMEM. Not called yet: call_newest() has to follow where the body was asked to stop.
execq_status add_call(const CalledBody& body, execq_cancel_fn fn, void* env, execq_cancel_token* token);
// Calls what was added last, unless somebody else does.
void call_newest();
// As execq_off_cancel.
execq_status remove_call(const void* scope, execq_cancel_token token);
// The end of the body: takes all of its callbacks back, and waits for those that run.
void end_calls(const void* scope);
// Some body on this thread has callbacks.
bool has_calls();

// ---- any thread, without a lock ----
// A call for a task that is run by no thread of ours. It is called once entered, at most once. Null: no memory. After
// end_watch(), which waits for nobody, it is not called any more but where somebody is at it; drop(env) runs after all.
CancelCall* watch_cancel(Node& node, execq_cancel_fn fn, void* env, execq_drop_fn drop);
void enter_watch(CancelCall& call);
void end_watch(CancelCall& call);
// The body of this node was asked to stop; the caller has a reference.
void tell_calls(Node& node);
// So were all of this executor.
void tell_calls_of(const void* executor);

}  // namespace execq::core
