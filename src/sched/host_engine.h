// Floor 2. The engine that a host supplies as a table of functions (execq/engine.h).
//
// Each time that a task is handed to the host it gets a record, in one of these states:
//
//   offered ──run()──► running ──────────────► ended
//      ├──────begin()──► begun ──end()──┘        the host took it
//      └──────refuse()─────────────────────────► ended   the host did not
//
// Who wins a step is the only one to touch the node by it. A record has a reference of the host's until it is ended, and one
// to its node for as long as it lives; one that others keep beyond the executor knows nothing of that any more.
//
// Every task is a member of the engine besides, so that it hears of the end of those that did not begin. Members, and calls
// about a request to stop, are uses of the executor: the engine is there as long as one of them may still call it.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/annotations.h"
#include "base/links.h"
#include "base/process.h"
#include "execq/engine.h"
#include "sched/engine.h"

namespace execq::core {

class HostEngine;
struct CancelCall;

class EngineTask : public Hook, public OfProcess {  // Hook: the engine's, under its mutex
public:
    EngineTask(HostEngine& engine, Node& node);

    void retain() { references_.fetch_add(1, std::memory_order_relaxed); }
    void release();

    // As the functions of execq/engine.h.
    execq_status run();
    execq_status begin();
    // code 0: with the value; takes the error where it answers EXECQ_OK.
    execq_status end(std::int32_t code, void* value, Error* error);
    execq_status cancel();
    bool cancel_requested() const;
    execq_status describe(execq_engine_task_info& info) const;

private:
    friend class HostEngine;
    enum class State : std::uint32_t { offered, beginning, running, begun, ended };

    ~EngineTask() = default;
    bool move(State from, State to)
    {
        return state_.compare_exchange_strong(from, to, std::memory_order_acq_rel, std::memory_order_acquire);
    }
    execq_status claim();
    void finish();
    CancelCall* watch();

    HostEngine& engine_;
    Node* node_;  // with a reference; null: refused
    std::uint64_t key_ = 0;
    std::int32_t priority_;
    // Written by who has begun it, before the state says so.
    execq_fn fn_ = nullptr;
    void* env_ = nullptr;
    CancelCall* watch_ = nullptr;
    std::atomic<State> state_{State::offered};  // every thread of the host's
    std::atomic<std::uint32_t> references_{2};  // the host's, and that of the call that offers it
    std::int64_t started_ns_ = 0;               // coarse clock; under the engine's mutex, as the next three
    bool submitted_ = false;
    bool unneeded_ = false;
    bool asked_ = false;  // by a close
};

class HostEngine final : public Engine, public TaskScope {
public:
    // Takes `engine` over, from here on.
    HostEngine(const execq_engine_vtable& vtable, void* engine) : vtable_(vtable), engine_(engine) {}
    ~HostEngine() override;

    // ---- as an engine ----
    execq_status take(Node& node) noexcept override;
    TaskScope* scope() override { return this; }
    bool helps() const override { return (vtable_.flags & EXECQ_ENGINE_HELPS) != 0; }
    void closed(std::int32_t how) noexcept override;
    void report(execq_shutdown_report& report) override;
    void stats(execq_stats& stats) override;

    // ---- as a scope ----
    execq_status admit(Membership& member) override;
    void dismiss(Membership& member) noexcept override;
    void accepted(Membership&) noexcept override {}
    void ended(Membership& member) noexcept override;

private:
    friend class EngineTask;

    Membership& member_of(Node& node);
    execq_status submit(EngineTask& task);
    void submitted(EngineTask& task);
    void refuse(EngineTask& task);
    void tell(EngineTask& task);
    EngineTask* next_to_ask();

    const execq_engine_vtable vtable_;
    void* const engine_;
    Mutex mutex_;
    HookList<EngineTask> tasks_ EXECQ_GUARDED_BY(mutex_);
    std::int32_t told_close_ EXECQ_GUARDED_BY(mutex_) = 0;
};

inline execq_engine_task* handle_of(EngineTask* task) { return reinterpret_cast<execq_engine_task*>(task); }
inline EngineTask* core_of(execq_engine_task* task) { return reinterpret_cast<EngineTask*>(task); }

}  // namespace execq::core
