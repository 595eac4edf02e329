#include "flow/submission.h"

#include <algorithm>
#include <exception>
#include <limits>
#include <optional>
#include <vector>

#include "flow/admission.h"
#include "flow/entrance.h"
#include "flow/keeping.h"
#include "sched/conf.h"
#include "task/callbacks.h"
#include "task/cancel.h"

namespace execq::core {

namespace {

// The executor that a call works on: that of the queue, the one given, or what null stands for now.
class Resolved {
public:
    Resolved(Executor* given, const TaskSpec& spec) : executor_(given)
    {
        if (spec.turnstile != nullptr) {
            executor_ = &spec.turnstile->executor();
            status_ = given == nullptr || given == executor_ ? EXECQ_OK : EXECQ_EINVAL;
            return;
        }
        if (given != nullptr || (executor_ = lasting_executor()) != nullptr)
            return;
        status_ = resolve_executor(&executor_);
        owned_ = status_ == EXECQ_OK;
    }
    ~Resolved()
    {
        if (owned_)
            executor_->release();
    }
    Resolved(const Resolved&) = delete;
    Resolved& operator=(const Resolved&) = delete;

    execq_status status() const { return status_; }
    Executor* operator->() const { return executor_; }
    Executor& operator*() const { return *executor_; }

private:
    Executor* executor_;
    execq_status status_ = EXECQ_OK;
    bool owned_ = false;
};

// The task as its executor takes it: an engine may be one of its scopes, and its times are on the executor's clock, where that
// is not the one that they were reckoned on.
class Fitted {
public:
    Fitted(const Resolved& executor, const TaskSpec& spec) : spec_(&spec)
    {
        if (executor.status() != EXECQ_OK)
            return;
        Engine* engine = executor->engine();
        if (TaskScope* scope = engine != nullptr ? engine->scope() : nullptr)
            own().scopes.all[3] = scope;
        if (spec.times_of_ns != 0 && executor->keeper().manual()) [[unlikely]]
            own().times.shift(executor->keeper().now() - spec.times_of_ns);
    }
    Fitted(const Fitted&) = delete;
    Fitted& operator=(const Fitted&) = delete;

    operator const TaskSpec&() const { return *spec_; }

private:
    TaskSpec& own()
    {
        if (!fitted_)
            spec_ = &fitted_.emplace(*spec_);
        return *fitted_;
    }

    const TaskSpec* spec_;
    std::optional<TaskSpec> fitted_;
};

// What may fail, or block, before any node is touched.
execq_status begin(Keeping& keeping, Admission& admission)
{
    const execq_status status = keeping.begin();
    return status == EXECQ_OK ? admission.begin() : status;
}

// Under no lock, and before anybody else knows the node.
void tell_submitted(Node& node)
{
    if (Observation* observation = node.observation()) [[unlikely]]
        observation->note_submitted();
}

// What the thread has to run by itself is in no queue.
execq_status hand_in(const Resolved& executor, const Entrance& entrance, Node& node)
{
    return entrance.here() ? EXECQ_OK : executor->hand_in(node);
}

// An engine is called without the port's mutex, as it may run the task at once. So one that it refuses may have been withdrawn
// meanwhile; then that is the end of an accepted task.
template <class Accept>
execq_status accept_listed(Node& node, HeapRegistration& record, const Completion& completion, const Accept& accept)
{
    execq_status status = completion.port->list_if(record, [] { return execq_status{EXECQ_OK}; });
    if (status != EXECQ_OK)
        return status;
    status = accept();
    if (status == EXECQ_OK || completion.port->take_back(record))
        return status;
    Executor::fail_unstarted(node, status);
    return EXECQ_OK;
}

// A completion that has a record is listed by its port if and only if the executor accepts the task, in one step.
execq_status accept_with(const Resolved& executor, const Entrance& entrance, Node& node, const Completion& completion,
                         Keeping& keeping)
{
    const auto accept = [&] { return keeping.accept(*executor, [&] { return hand_in(executor, entrance, node); }); };
    keeping.prepare(node);
    tell_submitted(node);
    if (!needs_record(completion)) {
        node.preset_inside(completion);
        return accept();
    }
    HeapRegistration* record = node.preset_record(completion);
    if (record == nullptr)
        return EXECQ_ENOMEM;
    const execq_status status = executor->engine() != nullptr ? accept_listed(node, *record, completion, accept)
                                                              : completion.port->list_if(*record, accept);
    if (status != EXECQ_OK)
        delete record;
    return status;
}

execq_status submit_to_port(const Resolved& executor, const TaskSpec& spec, const Completion& completion)
{
    if (!completion.port->begin_use())
        return EXECQ_ECLOSED;
    Entrance entrance(*executor, spec, 1, false);
    Keeping keeping(executor->keeper(), spec);
    Node* node = entrance.status() == EXECQ_OK ? entrance.make_task(spec, 0) : nullptr;
    Admission admission(spec);
    execq_status status = entrance.status() != EXECQ_OK ? entrance.status() : EXECQ_ENOMEM;
    if (node != nullptr)
        status = begin(keeping, admission);
    if (status == EXECQ_OK)
        status = admission.admit(*node);
    if (status == EXECQ_OK) {
        status = accept_with(executor, entrance, *node, completion, keeping);
        if (status != EXECQ_OK)
            Admission::dismiss(*node);
    }
    if (status == EXECQ_OK) {
        keeping.keep(*node, &*executor);
        admission.enroll(*node);
        if (entrance.here())
            executor->run_here(*node);
    } else {
        if (node != nullptr)
            node->discard();
        completion.port->end_use();
    }
    return status;
}

// Hands a node in, with its times and to its scopes; takes it in any case.
execq_status submit_node(const Resolved& executor, const Entrance& entrance, const TaskSpec& spec, Node& node,
                         execq_future** out)
{
    Keeping keeping(executor->keeper(), spec);
    Admission admission(spec);
    execq_status status = begin(keeping, admission);
    if (status == EXECQ_OK)
        status = admission.admit(node);
    if (status == EXECQ_OK) {
        keeping.prepare(node);
        tell_submitted(node);
        status = keeping.accept(*executor, [&] { return hand_in(executor, entrance, node); });
        if (status != EXECQ_OK)
            Admission::dismiss(node);
    }
    if (status != EXECQ_OK) {
        node.discard();
        return status;
    }
    if (out != nullptr)
        *out = future_of(&node);  // its reference is ours until now
    keeping.keep(node, &*executor);
    admission.enroll(node);
    if (entrance.here())
        executor->run_here(node);
    return EXECQ_OK;
}

execq_status submit_alone(const Resolved& executor, const TaskSpec& spec, execq_future** out)
{
    if (out == nullptr && spec.plain() && Item::fits(spec.fn) && executor->direct())
        return executor->submit(Item(spec.fn, spec.env));
    Entrance entrance(*executor, spec, 1, false);
    if (entrance.status() != EXECQ_OK)
        return entrance.status();
    Node* node = entrance.make_task(spec, out != nullptr ? 1 : 0);
    if (node == nullptr)
        return EXECQ_ENOMEM;
    return submit_node(executor, entrance, spec, *node, out);
}

execq_status submit_start(const Resolved& executor, const TaskSpec& spec, execq_async_fn start, const char* uv_identity,
                          execq_future** out)
{
    if (executor->engine() != nullptr || !executor->runs_uv(uv_identity))
        return EXECQ_ENOTSUP;
    Entrance entrance(*executor, spec, 1, true);
    if (entrance.status() != EXECQ_OK)
        return entrance.status();
    Node* node = entrance.make_async(spec, start, out != nullptr ? 1 : 0);
    if (node == nullptr)
        return EXECQ_ENOMEM;
    return submit_node(executor, entrance, spec, *node, out);
}

// What is left to do with a batch once its links are the executor's.
execq_status list_nodes(const TaskFifo& batch, std::vector<Node*>& nodes)
{
    try {
        nodes.reserve(batch.size());
    } catch (const std::exception&) {
        return EXECQ_ENOMEM;
    }
    batch.for_each([&](Node& node) { nodes.push_back(&node); });
    return EXECQ_OK;
}

// All or none.
execq_status admit_all(Admission& admission, const std::vector<Node*>& nodes)
{
    for (auto node = nodes.begin(); node != nodes.end(); ++node) {
        const execq_status status = admission.admit(**node);
        if (status != EXECQ_OK) {
            std::for_each(nodes.begin(), node, [](Node* admitted) { Admission::dismiss(*admitted); });
            return status;
        }
    }
    return EXECQ_OK;
}

// Tasks that were accepted and are in no queue, one after the other. Where one ends the thread the rest is canceled.
class RunHere {
public:
    RunHere(Executor& executor, const std::vector<Node*>& nodes) : executor_(executor), nodes_(nodes) {}
    ~RunHere()
    {
        while (next_ != nodes_.size()) {
            Node& node = *nodes_[next_++];
            (void)cancel_unstarted(node, EXECQ_REASON_SHUTDOWN);
            node.release();
        }
    }
    RunHere(const RunHere&) = delete;
    RunHere& operator=(const RunHere&) = delete;

    void all()
    {
        while (next_ != nodes_.size())
            executor_.run_here(*nodes_[next_++]);
    }

private:
    Executor& executor_;
    const std::vector<Node*>& nodes_;
    std::size_t next_ = 0;
};

// What was made is in the batch in any case.
execq_status make_batch(Entrance& entrance, const TaskSpec& spec, std::size_t n, void* const* envs, bool with_futures,
                        TaskFifo& batch)
{
    for (std::size_t i = 0; i < n; ++i) {
        TaskSpec one = spec;
        one.env = envs != nullptr ? envs[i] : nullptr;
        Node* node = entrance.make_task(one, with_futures ? 1 : 0);
        if (node == nullptr)
            return EXECQ_ENOMEM;
        batch.push(*node);
    }
    return EXECQ_OK;
}

// On failure the batch is the caller's to discard.
execq_status submit_batch(const Resolved& executor, const TaskSpec& spec, std::size_t n, void* const* envs,
                          execq_future** out, TaskFifo& batch)
{
    if (n > std::numeric_limits<std::ptrdiff_t>::max() / sizeof(Node))
        return EXECQ_ENOMEM;  // no address space could hold them: do not even begin
    Entrance entrance(*executor, spec, n, false);
    execq_status status = entrance.status();
    if (status == EXECQ_OK)
        status = make_batch(entrance, spec, n, envs, out != nullptr, batch);
    // Once accepted, the batch's links are the executor's; until then `out` must stay untouched.
    Keeping keeping(executor->keeper(), spec, n);
    std::vector<Node*> nodes;
    if (status == EXECQ_OK && (out != nullptr || keeping.timed() || spec.scopes.count() != 0 || entrance.here()))
        status = list_nodes(batch, nodes);
    Admission admission(spec, n);
    if (status == EXECQ_OK)
        status = begin(keeping, admission);
    if (status == EXECQ_OK)
        status = admit_all(admission, nodes);
    if (status != EXECQ_OK)
        return status;
    batch.for_each([&](Node& node) {
        keeping.prepare(node);
        tell_submitted(node);
    });
    status = keeping.accept(*executor, [&]() -> execq_status {
        if (entrance.here())
            return EXECQ_OK;
        return spec.turnstile != nullptr ? spec.turnstile->hand_in(nodes.data(), n) : executor->submit(batch);
    });
    if (status != EXECQ_OK) {
        std::for_each(nodes.begin(), nodes.end(), [](Node* node) { Admission::dismiss(*node); });
        return status;
    }
    if (out != nullptr)
        std::transform(nodes.begin(), nodes.end(), out, future_of);
    for (Node* node : nodes) {
        keeping.keep(*node, &*executor);
        admission.enroll(*node);
    }
    if (entrance.here())
        RunHere(*executor, nodes).all();
    return EXECQ_OK;
}

}  // namespace

execq_status submit(Executor* given, const TaskSpec& spec, execq_future** out)
{
    const Resolved executor(given, spec);
    const Fitted fitted(executor, spec);
    const execq_status status = executor.status() == EXECQ_OK ? submit_alone(executor, fitted, out) : executor.status();
    if (status != EXECQ_OK) {
        const CallbackScope scope;
        call_drop(spec.drop, spec.env);
    }
    return status;
}

execq_status submit_async(Executor* given, const TaskSpec& spec, execq_async_fn start, const char* uv_identity,
                          execq_future** out)
{
    const Resolved executor(given, spec);
    const Fitted fitted(executor, spec);
    const execq_status status =
        executor.status() == EXECQ_OK ? submit_start(executor, fitted, start, uv_identity, out) : executor.status();
    if (status != EXECQ_OK) {
        const CallbackScope scope;
        call_drop(spec.drop, spec.env);
    }
    return status;
}

execq_status submit_with_completion(Executor* given, const TaskSpec& spec, const Completion& completion)
{
    const Resolved executor(given, spec);
    const Fitted fitted(executor, spec);
    const execq_status status =
        executor.status() == EXECQ_OK ? submit_to_port(executor, fitted, completion) : executor.status();
    if (status != EXECQ_OK) {
        const CallbackScope scope;
        call_drop(spec.drop, spec.env);
        call_drop(completion.drop, completion.env);
    }
    return status;
}

execq_status submit_many(Executor* given, const TaskSpec& spec, std::size_t n, void* const* envs, execq_future** out)
{
    const Resolved executor(given, spec);
    const Fitted fitted(executor, spec);
    TaskFifo batch;
    const execq_status status =
        executor.status() == EXECQ_OK ? submit_batch(executor, fitted, n, envs, out, batch) : executor.status();
    if (status == EXECQ_OK)
        return EXECQ_OK;
    while (Node* node = batch.pop())
        node->discard();
    const CallbackScope scope;
    for (std::size_t i = 0; i < n && spec.drop != nullptr; ++i)
        call_drop(spec.drop, envs != nullptr ? envs[i] : nullptr);
    return status;
}

}  // namespace execq::core
