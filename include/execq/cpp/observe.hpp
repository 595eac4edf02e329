// Seeing inside: hooks, a watchdog, distributions of times, traces, and a picture in words.
#ifndef EXECQ_CPP_OBSERVE_HPP
#define EXECQ_CPP_OBSERVE_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <execq/cpp/error.hpp>
#include <execq/execq.h>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

namespace execq {

// As execq_hooks: any may be empty. They are called on many threads at once. What they throw is told as a failure that nobody
// looked at, and changes nothing for the task.
struct task_hooks {
    std::function<void(const execq_task_event&)> on_submit = {};
    std::function<void(const execq_task_event&)> on_start = {};
    std::function<void(const execq_task_event&)> on_end = {};
};

// As execq_executor_options.on_stuck.
using stuck_hook = std::function<void(const execq_stuck_info&)>;

// As EXECQ_LATENCY_….
enum class latency_kind : std::int32_t {
    queue = EXECQ_LATENCY_QUEUE,
    run = EXECQ_LATENCY_RUN,
    loop_lag = EXECQ_LATENCY_LOOP_LAG,
    loop_turn = EXECQ_LATENCY_LOOP_TURN
};

namespace detail {

template <std::function<void(const execq_task_event&)> task_hooks::*Hook>
void call_hook(const execq_task_event* event, void* env)
{
    const auto& hook = static_cast<const task_hooks*>(env)->*Hook;
    if (hook)
        hook(*event);
}

// Both env are C's from execq_executor_new on, whatever it answers.
inline execq_hooks c_hooks(const task_hooks& chosen)
{
    execq_hooks hooks = EXECQ_HOOKS_INIT;
    if (!chosen.on_submit && !chosen.on_start && !chosen.on_end)
        return hooks;
    hooks.env = new task_hooks(chosen);
    hooks.drop = [](void* env) { delete static_cast<task_hooks*>(env); };
    hooks.on_submit = call_hook<&task_hooks::on_submit>;
    hooks.on_start = call_hook<&task_hooks::on_start>;
    hooks.on_end = call_hook<&task_hooks::on_end>;
    return hooks;
}

inline void set_stuck(execq_executor_options& options, std::unique_ptr<stuck_hook>& hook)
{
    if (hook == nullptr)
        return;
    options.on_stuck = [](const execq_stuck_info* info, void* env) { (*static_cast<const stuck_hook*>(env))(*info); };
    options.stuck_drop = [](void* env) { delete static_cast<stuck_hook*>(env); };
    options.stuck_env = hook.release();
}

inline std::string dump_of(execq_executor* executor)
{
    struct text {
        std::string all;
        bool lost = false;
    } into;
    const execq_write_fn write = [](const char* piece, std::size_t size, void* env) {
        auto& to = *static_cast<text*>(env);
        try {
            to.all.append(piece, size);
        } catch (const std::bad_alloc&) {
            to.lost = true;
        }
    };
    check(execq_dump(executor, write, &into));
    if (into.lost)
        throw std::bad_alloc();
    return into.all;
}

inline std::vector<std::chrono::nanoseconds> quantiles_of(execq_executor* executor, latency_kind kind,
                                                          const std::vector<double>& shares)
{
    std::vector<std::int64_t> found(shares.size());
    check(execq_executor_latency(executor, static_cast<std::int32_t>(kind), shares.data(), shares.size(), found.data(),
                                 nullptr));
    std::vector<std::chrono::nanoseconds> times;
    for (const std::int64_t ns : found)
        times.emplace_back(ns);
    return times;
}

}  // namespace detail

// A trace of the process (execq/trace.h), to the end of the scope. Errors: as execq_trace_start.
class scoped_trace {
public:
    explicit scoped_trace(const std::string& path) { detail::check(execq_trace_start(path.c_str())); }
    ~scoped_trace() { execq_trace_stop(); }
    scoped_trace(const scoped_trace&) = delete;
    scoped_trace& operator=(const scoped_trace&) = delete;
};

// What all executors of the process do now, in lines for people. Errors: as execq_dump.
inline std::string dump_all() { return detail::dump_of(nullptr); }

}  // namespace execq

#endif
