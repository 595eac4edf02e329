// Engines: executors whose work is run by the program itself.
#ifndef EXECQ_CPP_ENGINE_HPP
#define EXECQ_CPP_ENGINE_HPP

#include <cstdint>
#include <execq/cpp/error.hpp>
#include <execq/cpp/executor.hpp>
#include <execq/cpp/handle.hpp>
#include <execq/engine.h>
#include <memory>
#include <utility>

namespace execq {

// A task as its engine sees it, which has to end it once. Copies are the same task; one that was ended answers
// EXECQ_EALREADY for as long as anybody has it.
class engine_task {
public:
    // As the functions of engine.h, whose statuses they answer.
    execq_status run() const { return execq_engine_task_run(handle_.get()); }
    execq_status begin() const { return execq_engine_task_begin(handle_.get()); }
    execq_status resolve(void* value) const { return execq_engine_task_resolve(handle_.get(), value); }
    execq_status reject(std::int32_t code, const char* message = nullptr) const
    {
        return execq_engine_task_reject(handle_.get(), code, message);
    }
    execq_status cancel() const { return execq_engine_task_cancel(handle_.get()); }
    bool cancel_requested() const { return execq_engine_task_cancel_requested(handle_.get()) == 1; }
    // Errors: error(EXECQ_EALREADY), once it has ended.
    execq_engine_task_info info() const
    {
        execq_engine_task_info found = EXECQ_ENGINE_TASK_INFO_INIT;
        detail::check(execq_engine_task_info_get(handle_.get(), &found));
        return found;
    }

    // A reference of its own to the borrowed task.
    explicit engine_task(execq_engine_task* borrowed) noexcept : handle_(borrowed)
    {
        execq_engine_task_retain(borrowed);
    }
    execq_engine_task* get() const noexcept { return handle_.get(); }

private:
    detail::handle<execq_engine_task, execq_engine_task_retain, execq_engine_task_release> handle_;
};

// What runs the tasks of an executor. Functions are called on any thread, several at once (see execq_engine_vtable).
class engine {
public:
    engine() = default;
    engine(const engine&) = delete;
    engine& operator=(const engine&) = delete;
    virtual ~engine() = default;

    // Takes a task. What it throws refuses it: an error with its status, anything else with EXECQ_EEXCEPTION.
    virtual void submit(engine_task task) = 0;
    // It is not needed any more, or is to stop.
    virtual void cancel(engine_task task) { static_cast<void>(task); }
    // EXECQ_DRAIN or EXECQ_CANCEL.
    virtual void close(std::int32_t mode) { static_cast<void>(mode); }
};

struct engine_options {
    const char* name = nullptr;
    bool helps = false;  // EXECQ_ENGINE_HELPS
};

// An executor that has the engine, and destroys it after its last task.
// Errors: error, as execq_executor_from_vtable; then the engine is destroyed, too.
inline executor make_executor(std::unique_ptr<engine> made, const engine_options& chosen = {})
{
    execq_engine_vtable vtable = EXECQ_ENGINE_VTABLE_INIT;
    vtable.flags = chosen.helps ? static_cast<std::uint32_t>(EXECQ_ENGINE_HELPS) : 0;
    vtable.name = chosen.name;
    vtable.drop = [](void* self) { delete static_cast<engine*>(self); };
    vtable.submit = [](void* self, execq_engine_task* task) -> execq_status {
        try {
            static_cast<engine*>(self)->submit(engine_task(task));
        } catch (const error& refused) {
            return refused.code() != EXECQ_OK ? refused.code() : EXECQ_EEXCEPTION;
        }
        return EXECQ_OK;
    };
    vtable.cancel = [](void* self, execq_engine_task* task) { static_cast<engine*>(self)->cancel(engine_task(task)); };
    vtable.close = [](void* self, std::int32_t mode) { static_cast<engine*>(self)->close(mode); };
    execq_executor* owned = nullptr;
    detail::check(execq_executor_from_vtable(&vtable, made.release(), &owned));
    return executor::adopt(owned);
}

}  // namespace execq

#endif
