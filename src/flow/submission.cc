#include "flow/submission.h"

#include <algorithm>
#include <exception>
#include <limits>
#include <vector>

#include "sched/conf.h"
#include "task/callbacks.h"

namespace execq::core {

namespace {

// The executor that a call works on: the one given, or what null stands for now.
class Resolved {
public:
    explicit Resolved(Executor* given) : executor_(given)
    {
        if (given == nullptr)
            status_ = resolve_executor(&executor_);
        owned_ = given == nullptr && status_ == EXECQ_OK;
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

private:
    Executor* executor_;
    execq_status status_ = EXECQ_OK;
    bool owned_ = false;
};

// A node not yet accepted, with its completion; frees both unless released.
execq_status make_node(const Resolved& executor, const TaskSpec& spec, const Completion* completion, bool with_future,
                       Node** out)
{
    Node* node = Node::make_task(spec, with_future ? 1 : 0);
    if (node == nullptr)
        return EXECQ_ENOMEM;
    node->set_executor_id(executor->id());
    if (completion != nullptr) {
        const execq_status status = node->preset_completion(*completion);
        if (status != EXECQ_OK) {
            node->discard();
            return status;
        }
    }
    *out = node;
    return EXECQ_OK;
}

// Answers whether completion's env is still the caller's.
bool unmake(Node* node, const Completion* completion)
{
    const bool callers = completion == nullptr || node->undo_preset();
    node->discard();
    return callers;
}

execq_status list_futures(const TaskFifo& batch, std::vector<execq_future*>& futures)
{
    try {
        futures.reserve(batch.size());
    } catch (const std::exception&) {
        return EXECQ_ENOMEM;
    }
    batch.for_each([&](Node& node) { futures.push_back(future_of(&node)); });
    return EXECQ_OK;
}

}  // namespace

execq_status submit(Executor* given, const TaskSpec& spec, const Completion* completion, execq_future** out)
{
    const Resolved executor(given);
    bool completion_env_is_callers = true;
    execq_status status = executor.status();
    Node* node = nullptr;
    if (status == EXECQ_OK)
        status = make_node(executor, spec, completion, out != nullptr, &node);
    if (status == EXECQ_OK) {
        TaskFifo batch;
        batch.push(*node);
        status = executor->submit(batch);
        if (status == EXECQ_OK) {
            if (out != nullptr)
                *out = future_of(node);  // its reference is ours until now
            return EXECQ_OK;
        }
        completion_env_is_callers = unmake(node, completion);
    }
    const CallbackScope scope;
    call_drop(spec.drop, spec.env);
    if (completion != nullptr && completion_env_is_callers)
        call_drop(completion->drop, completion->env);
    return status;
}

execq_status submit_many(Executor* given, const TaskSpec& spec, std::size_t n, void* const* envs, execq_future** out)
{
    const Resolved executor(given);
    execq_status status = executor.status();
    if (status == EXECQ_OK && n > std::numeric_limits<std::ptrdiff_t>::max() / sizeof(Node))
        status = EXECQ_ENOMEM;  // no address space could hold them: do not even begin
    TaskFifo batch;
    for (std::size_t i = 0; i < n && status == EXECQ_OK; ++i) {
        TaskSpec one = spec;
        one.env = envs != nullptr ? envs[i] : nullptr;
        Node* node = nullptr;
        status = make_node(executor, one, nullptr, out != nullptr, &node);
        if (status == EXECQ_OK)
            batch.push(*node);
    }
    // Once accepted, the batch's links are the executor's; until then `out` must stay untouched.
    std::vector<execq_future*> futures;
    if (status == EXECQ_OK && out != nullptr)
        status = list_futures(batch, futures);
    if (status == EXECQ_OK)
        status = executor->submit(batch);
    if (status == EXECQ_OK) {
        std::copy(futures.begin(), futures.end(), out);
        return EXECQ_OK;
    }
    while (Node* node = batch.pop())
        node->discard();
    const CallbackScope scope;
    for (std::size_t i = 0; i < n; ++i)
        call_drop(spec.drop, envs != nullptr ? envs[i] : nullptr);
    return status;
}

}  // namespace execq::core
