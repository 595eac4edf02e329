#include "sched/body.h"

#include <exception>

#include "base/process.h"
#include "base/unwind.h"
#include "sched/executor.h"
#include "sched/failure.h"
#include "sched/interrupt.h"
#include "sched/timekeeper.h"
#include "sched/worker.h"
#include "task/callbacks.h"
#include "task/cancel_calls.h"

namespace execq::core {

namespace {

// A body that this thread is inside of. On a worker's thread these and the worker's frames are nested in one another:
// a task may run a loop of its own, whose bodies wait for other tasks in place.
class BodyScope {
public:
    explicit BodyScope(Node& node) : node_(node), frame_(worker_frame()), outer_(innermost_) { innermost_ = this; }
    ~BodyScope()
    {
        if (has_calls()) [[unlikely]]
            end_calls(this);
        innermost_ = outer_;
    }
    BodyScope(const BodyScope&) = delete;
    BodyScope& operator=(const BodyScope&) = delete;

    static const BodyScope* innermost() { return innermost_; }
    Node& node() const { return node_; }
    const BodyScope* outer() const { return outer_; }
    // Nothing that the worker runs is inside of it.
    bool on_top() const { return frame_ == worker_frame(); }

private:
    static const Frame* worker_frame()
    {
        const Worker* worker = Worker::current();
        return worker != nullptr ? worker->top_frame() : nullptr;
    }

    static inline thread_local constinit const BodyScope* innermost_ = nullptr;
    static const InChild in_child_;
    Node& node_;
    const Frame* const frame_;  // the worker's when it began
    const BodyScope* const outer_;
};

const InChild BodyScope::in_child_([](void*) { innermost_ = nullptr; });

bool body_on_top() { return BodyScope::innermost() != nullptr && BodyScope::innermost()->on_top(); }

// The blocking body that runs on this thread; without a scope: none.
CalledBody running_body()
{
    if (body_on_top()) {
        const BodyScope* body = BodyScope::innermost();
        return body->node().async() ? CalledBody{} : CalledBody{body, &body->node(), nullptr};
    }
    const Worker* worker = Worker::current();
    const Frame* frame = worker != nullptr ? worker->top_frame() : nullptr;
    return frame != nullptr ? CalledBody{frame, frame->node, &worker->executor()} : CalledBody{};
}

// Ends a task that returned EXECQ_ECANCELED after a request to stop.
void settle_stopped(Node& node, Error* error, Reference reference)
{
    node.request_cancel(EXECQ_REASON_SHUTDOWN);  // names the reason where only the executor was asked
    if (error != nullptr)
        error->release();
    node.settle_canceled(reference);
}

// The end of a run of a series that goes on, unless something has ended it meanwhile.
void go_on(Node& node, Executor& executor)
{
    if (Observation* observation = node.observation()) [[unlikely]]
        observation->note_rested();
    if (executor.keeper().rest(node, executor))
        return;
    {
        const CallbackScope scope;
        node.drop_env();
    }
    node.settle_canceled(Reference::give);
}

}  // namespace

void say_failure(Error* error)
{
    const Worker* worker = Worker::current();
    if (body_on_top() || (worker != nullptr && worker->in_task()))
        set_failure(error);
    else if (error != nullptr)
        error->release();
}

Node* running_node() { return running_body().node; }

bool running_task_is_to_stop()
{
    if (body_on_top())
        return BodyScope::innermost()->node().cancel_requested();
    const Worker* worker = Worker::current();
    return worker != nullptr && worker->in_task() && worker->executor().stop_requested(worker->top_node());
}

execq_status on_cancel(execq_cancel_fn fn, void* env, execq_cancel_token* token)
{
    const CalledBody body = running_body();
    if (body.scope == nullptr)
        return EXECQ_EINVAL;
    if (!body_on_top())
        Worker::current()->note_calls();
    const execq_status status = add_call(body, fn, env, token);
    if (status == EXECQ_OK && running_task_is_to_stop())
        call_newest();
    return status;
}

execq_status off_cancel(execq_cancel_token token) { return remove_call(running_body().scope, token); }

bool runs_on_this_thread(const Node& node)
{
    for (const BodyScope* body = BodyScope::innermost(); body != nullptr; body = body->outer()) {
        if (&body->node() == &node)
            return true;
    }
    const Worker* worker = Worker::current();
    return (worker != nullptr && worker->is_running(node)) || Observation::telling_of(node);
}

bool waits_for_this_thread(const Node& node)
{
    const auto waits_for = [&node](const Node& body) {
        for (Membership* member = body.memberships(); member != nullptr; member = member->next_scope) {
            if (member->scope.waits_for_members(node))
                return true;
        }
        return false;
    };
    for (const BodyScope* body = BodyScope::innermost(); body != nullptr; body = body->outer()) {
        if (waits_for(body->node()))
            return true;
    }
    const Worker* worker = Worker::current();
    for (const Frame* frame = worker != nullptr ? worker->top_frame() : nullptr; frame != nullptr;
         frame = frame->outer) {
        if (frame->node != nullptr && waits_for(*frame->node))
            return true;
    }
    return false;
}

void settle_failed(Node& node, std::int32_t code, Error* error, bool asked_to_stop, Reference reference)
{
    if (code == EXECQ_ECANCELED && asked_to_stop)
        settle_stopped(node, error, reference);
    else if (error != nullptr)
        node.settle_error(error, reference);
    else
        node.settle_code(code, reference);
}

void run_body(Node& node, Node::Start start, Executor* executor)
{
    const InterruptPause uninterrupted;
    const bool plain = start == Node::Start::alone;
    void* value = nullptr;
    std::int32_t code = 0;
    Error* error = nullptr;
    try {
        const Observation::Run run(plain ? nullptr : node.observation(), Observation::no_worker);
        const BodyScope body(node);
        const FailureScope failure(this_thread);
        const ContextScope context(node.context());
        code = context.status();
        if (code == EXECQ_OK) {
            const UserCode user;
            code = node.fn()(node.task_env(), &value);
        }
        if (code != 0)
            error = FailureScope::take(code);
    } catch (const std::exception& exception) {
        code = EXECQ_EEXCEPTION;
        error = Error::make(code, exception.what());
    } catch (...) {
        if (is_thread_exit()) {
            node.drop_env();
            node.settle_code(EXECQ_EEXITED, Reference::give);
            throw;
        }
        code = EXECQ_EEXCEPTION;
    }
    if (plain && code == 0)
        node.free_alone();
    else if (plain)
        settle_failed(node, code, error, node.cancel_requested(), Reference::give);
    else
        end_body(node, code, value, error, executor);
}

void end_body(Node& node, std::int32_t code, void* value, Error* error, Executor* executor)
{
    bool goes_on = false;
    if (executor != nullptr)
        goes_on = node.end_run(code, value);
    else
        node.drop_env();
    if (goes_on)
        go_on(node, *executor);
    else if (code == 0)
        node.settle_value(value, Reference::give);
    else
        settle_failed(node, code, error, node.cancel_requested(), Reference::give);
}

void run_start(Node& node, Port& place, uv_loop_s* loop, std::int32_t worker)
{
    node.enter_place(place);
    node.retain_promise();  // so that who throws, and with that gives its own up, does not break the promise first
    try {
        const Observation::Run run(node.observation(), worker);
        const BodyScope body(node);
        const FailureScope failure(this_thread);
        const ContextScope context(node.context());
        if (context.status() == EXECQ_OK) {
            const UserCode user;
            node.start_fn()(promise_of(&node), loop, node.task_env());
        } else {
            node.reject(context.status(), nullptr);
            node.release_promise();  // which start would have got
        }
    } catch (const std::exception& exception) {
        node.reject(EXECQ_EEXCEPTION, Error::make(EXECQ_EEXCEPTION, exception.what()));
    } catch (...) {
        if (is_thread_exit()) {
            node.reject(EXECQ_EEXITED, nullptr);
            node.release_promise();
            throw;
        }
        node.reject(EXECQ_EEXCEPTION, nullptr);
    }
    node.release_promise();
}

}  // namespace execq::core
