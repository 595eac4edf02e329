#include "sched/host_engine.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <new>
#include <utility>

#include "base/clock.h"
#include "base/unwind.h"
#include "sched/body.h"
#include "sched/executor.h"
#include "task/callbacks.h"
#include "task/cancel.h"
#include "task/cancel_calls.h"
#include "task/guarded.h"

namespace execq::core {

// ---- a task ----

EngineTask::EngineTask(HostEngine& engine, Node& node) : engine_(engine), node_(&node), priority_(node.priority())
{
    node.retain();
    for (const Membership* member = node.memberships(); member != nullptr; member = member->next_scope)
        key_ = member->key;  // one for all
}

void EngineTask::release()
{
    if (inherited() || references_.fetch_sub(1, std::memory_order_acq_rel) != 1)
        return;
    if (node_ != nullptr)
        node_->release();
    delete this;
}

// From here on the record is nothing to the engine, which may be gone.
void EngineTask::finish()
{
    {
        const MutexLock lock(engine_.mutex_);
        engine_.tasks_.remove(*this);
        Membership& member = engine_.member_of(*node_);
        if (member.place == this)  // a series may have been handed in again
            member.place = nullptr;
    }
    Executor& executor = engine_.executor();
    if (watch_ != nullptr)
        end_watch(*watch_);
    state_.store(State::ended, std::memory_order_release);
    release();
    executor.end_taken();
}

execq_status EngineTask::run()
{
    if (!move(State::offered, State::running))
        return EXECQ_EALREADY;
    {
        const MutexLock lock(engine_.mutex_);
        started_ns_ = coarse_now_ns();
    }
    struct Finish {
        EngineTask& task;
        ~Finish() { task.finish(); }
    };
    const Finish finish{*this};  // pthread_exit in the body, too
    return engine_.executor().run_taken(*node_) ? EXECQ_OK : EXECQ_ECANCELED;
}

// From offered to beginning, with the node started, or to the end.
execq_status EngineTask::claim()
{
    if (!move(State::offered, State::beginning))
        return EXECQ_EALREADY;
    if (engine_.executor().start_taken(*node_) != Node::Start::lost)
        return EXECQ_OK;
    finish();
    return EXECQ_ECANCELED;
}

// Passes a request to stop on to the host, for as long as it lives; null: no memory.
CancelCall* EngineTask::watch()
{
    const auto tell = [](void* task) { static_cast<EngineTask*>(task)->engine_.tell(*static_cast<EngineTask*>(task)); };
    const auto drop = [](void* given) {
        auto* task = static_cast<EngineTask*>(given);
        Executor& executor = task->engine_.executor();
        task->release();
        executor.drop_use();
    };
    CancelCall* call = watch_cancel(*node_, tell, this, drop);
    if (call != nullptr) {
        retain();
        engine_.executor().add_use();
        enter_watch(*call);
    }
    return call;
}

// Whoever asks it to stop once it has started finds the call.
execq_status EngineTask::begin()
{
    if (state_.load(std::memory_order_acquire) != State::offered)
        return EXECQ_EALREADY;
    CancelCall* call = watch();
    if (call == nullptr)
        return EXECQ_ENOMEM;
    const execq_status status = claim();
    if (status != EXECQ_OK) {
        end_watch(*call);
        return status;
    }
    watch_ = call;
    fn_ = node_->fn();
    env_ = node_->task_env();
    {
        const MutexLock lock(engine_.mutex_);
        started_ns_ = coarse_now_ns();
    }
    state_.store(State::begun, std::memory_order_release);
    return EXECQ_OK;
}

execq_status EngineTask::end(std::int32_t code, void* value, Error* error)
{
    if (!move(State::begun, State::running)) {
        const execq_status status = claim();
        if (status != EXECQ_OK)
            return status;
    }
    Executor& executor = engine_.executor();
    {
        const CallbackScope scope;
        end_body(*node_, code, value, error, &executor);
    }
    finish();
    return EXECQ_OK;
}

execq_status EngineTask::cancel()
{
    if (move(State::offered, State::beginning)) {
        const bool canceled = cancel_unstarted(*node_, EXECQ_REASON_SHUTDOWN);
        node_->release();
        finish();
        return canceled ? EXECQ_OK : EXECQ_ECANCELED;
    }
    if (!move(State::begun, State::running))
        return EXECQ_EALREADY;
    node_->request_cancel(EXECQ_REASON_SHUTDOWN);  // only names the reason
    {
        const CallbackScope scope;
        end_body(*node_, EXECQ_ECANCELED, nullptr, nullptr, nullptr);
    }
    finish();
    return EXECQ_OK;
}

bool EngineTask::cancel_requested() const { return node_ != nullptr && node_->cancel_requested(); }

execq_status EngineTask::describe(execq_engine_task_info& info) const
{
    const State state = state_.load(std::memory_order_acquire);
    if (state == State::ended)
        return EXECQ_EALREADY;
    info.name = node_->name();
    info.key = key_;
    info.priority = priority_;
    info.begun = state == State::begun ? 1 : 0;
    info.fn = info.begun != 0 ? fn_ : nullptr;
    info.env = info.begun != 0 ? env_ : nullptr;
    return EXECQ_OK;
}

// ---- the engine ----

HostEngine::~HostEngine() { call_drop(vtable_.drop, engine_); }

Membership& HostEngine::member_of(Node& node)
{
    Membership* member = node.memberships();
    while (&member->scope != this)
        member = member->next_scope;
    return *member;
}

execq_status HostEngine::submit(EngineTask& task)
{
    try {
        const UserCode user;
        return vtable_.submit(engine_, handle_of(&task));
    } catch (const std::exception&) {
        return EXECQ_EEXCEPTION;
    } catch (...) {
        if (is_thread_exit())
            throw;
        return EXECQ_EEXCEPTION;
    }
}

execq_status HostEngine::take(Node& node) noexcept
{
    auto* task = new (std::nothrow) EngineTask(*this, node);
    if (task == nullptr)
        return EXECQ_ENOMEM;
    {
        const MutexLock lock(mutex_);
        tasks_.push_back(*task);
        member_of(node).place = task;
    }
    const execq_status status = submit(*task);
    if (status != EXECQ_OK && task->move(EngineTask::State::offered, EngineTask::State::ended)) {
        refuse(*task);
        return status;
    }
    submitted(*task);
    return EXECQ_OK;
}

void HostEngine::refuse(EngineTask& task)
{
    Node* node = nullptr;
    {
        const MutexLock lock(mutex_);
        tasks_.remove(task);
        node = std::exchange(task.node_, nullptr);
        member_of(*node).place = nullptr;
    }
    node->release();  // the caller has another
    task.release();
    task.release();
}

// What ended before the host had the task it is told now.
void HostEngine::submitted(EngineTask& task)
{
    bool unneeded = false;
    bool canceling = false;
    {
        const MutexLock lock(mutex_);
        task.submitted_ = true;
        unneeded = task.unneeded_;
        canceling = told_close_ == EXECQ_CANCEL && !task.asked_;
        task.asked_ = task.asked_ || canceling;
    }
    if (unneeded)
        tell(task);
    else if (canceling)
        (void)core::cancel(*task.node_, EXECQ_REASON_SHUTDOWN);
    task.release();
}

void HostEngine::tell(EngineTask& task)
{
    if (vtable_.cancel == nullptr)
        return;
    const CallbackScope scope;
    guarded_call("an engine's cancel", [&] {
        const UserCode user;
        vtable_.cancel(engine_, handle_of(&task));
    });
}

EngineTask* HostEngine::next_to_ask()
{
    EngineTask* found = nullptr;
    const MutexLock lock(mutex_);
    tasks_.for_each([&found](EngineTask& task) {
        if (found == nullptr && task.submitted_ && !task.asked_)
            found = &task;
    });
    if (found != nullptr) {
        found->asked_ = true;
        found->retain();
    }
    return found;
}

void HostEngine::closed(std::int32_t how) noexcept
{
    {
        const MutexLock lock(mutex_);
        if (told_close_ >= how)
            return;
        told_close_ = how;
    }
    if (vtable_.close != nullptr) {
        const CallbackScope scope;
        guarded_call("an engine's close", [&] {
            const UserCode user;
            vtable_.close(engine_, how);
        });
    }
    while (EngineTask* task = how == EXECQ_CANCEL ? next_to_ask() : nullptr) {
        (void)core::cancel(*task->node_, EXECQ_REASON_SHUTDOWN);
        task->release();
    }
}

void HostEngine::report(execq_shutdown_report& report)
{
    const std::int64_t now = coarse_now_ns();
    const MutexLock lock(mutex_);
    tasks_.for_each([&](EngineTask& task) {
        if (task.state_.load(std::memory_order_relaxed) == EngineTask::State::offered) {
            report.queued += task.node_->phase() == Phase::pending ? 1U : 0U;
            return;
        }
        ++report.running_total;
        if (report.running == nullptr || report.running_count == report.running_max)
            return;
        execq_running_task& entry = report.running[report.running_count++];
        std::memset(&entry, 0, sizeof entry);
        std::strncpy(entry.name, task.node_->name(), sizeof entry.name - 1);
        entry.running_ns = task.started_ns_ != 0 ? std::max<std::int64_t>(now - task.started_ns_, 0) : 0;
    });
}

void HostEngine::stats(execq_stats& stats)
{
    stats.threads_max = 0;
    const MutexLock lock(mutex_);
    tasks_.for_each([&](const EngineTask& task) {
        const bool waits = task.state_.load(std::memory_order_relaxed) == EngineTask::State::offered;
        (waits ? stats.queued : stats.running) += 1;
    });
}

// ---- the scope ----

execq_status HostEngine::admit(Membership&)
{
    executor().add_use();
    return EXECQ_OK;
}

void HostEngine::dismiss(Membership&) noexcept { executor().drop_use(); }

void HostEngine::ended(Membership& member) noexcept
{
    EngineTask* task = nullptr;
    {
        const MutexLock lock(mutex_);
        task = static_cast<EngineTask*>(member.place);
        if (task != nullptr && task->state_.load(std::memory_order_relaxed) != EngineTask::State::offered)
            task = nullptr;
        if (task != nullptr && !task->submitted_) {
            task->unneeded_ = true;
            task = nullptr;
        }
        if (task != nullptr)
            task->retain();
    }
    if (task != nullptr) {
        tell(*task);
        task->release();
    }
    Executor& executor = this->executor();
    member.node.release();
    executor.drop_use();
}

}  // namespace execq::core
