// Groups: tasks with one join, one cancellation, one deadline.
#ifndef EXECQ_CPP_GROUP_HPP
#define EXECQ_CPP_GROUP_HPP

#include <chrono>
#include <cstdint>
#include <exception>
#include <execq/cpp/cancel.hpp>
#include <execq/cpp/executor.hpp>
#include <optional>
#include <utility>

namespace execq {

class group;

// As execq_group_options; 0 is the default of each. Since: 0.4.
struct group_options {
    const char* name = nullptr;
    bool keep_going = false;        // a failure does not cancel the others
    const group* parent = nullptr;  // the group that this one is inside of
    // Canceled after that.
    std::optional<std::chrono::nanoseconds> timeout = {};
    std::uint32_t max_in_flight = 0;        // tasks that have started and not ended; 0: any number
    const cancel_source* cancel = nullptr;  // whose cancellation is the group's
};

// Tasks that end before the scope does: group g(pool); g.run(f); g.run(h); g.join().
// Ownership: the destructor cancels what is left and waits for it. Tasks may refer to what was there before the group.
// Threads: any; its own tasks may call run() and cancel(). Blocks: join() and the destructor.
// Errors: error, as the C functions; a destructor inside one of its own tasks, which could not wait, terminates. Since: 0.4.
class group {
public:
    explicit group(executor where, const group_options& chosen = {}) : executor_(std::move(where))
    {
        execq_group_options options = EXECQ_GROUP_OPTIONS_INIT;
        options.flags = chosen.keep_going ? EXECQ_GROUP_KEEP_GOING : 0;
        options.name = chosen.name;
        options.parent = chosen.parent != nullptr ? chosen.parent->native() : nullptr;
        options.executor = chosen.max_in_flight != 0 ? executor_.native() : nullptr;
        options.timeout_ns = detail::option_ns(chosen.timeout);
        options.max_in_flight = chosen.max_in_flight;
        options.cancel_source = chosen.cancel != nullptr ? chosen.cancel->native() : nullptr;
        detail::check(execq_group_new(&options, &group_));
    }
    group(const group&) = delete;
    group& operator=(const group&) = delete;
    ~group()
    {
        execq_group_cancel(group_);
        if (execq_group_join(group_, -1) == EXECQ_EDEADLK)
            std::terminate();
        execq_group_release(group_);
    }

    // Runs f(args...) in the group; what it returns is dropped. Errors: error(EXECQ_ECLOSED) once it is canceled or joined.
    template <class F, class... Args>
    requires submittable<F, Args...>
    void run(F&& f, Args&&... args)
    {
        static_cast<void>(detail::submit_by<void>(
            [this](const execq_task_options* options, execq_fn body, void* env, execq_future** out) {
                return execq_group_submit(group_, executor_.native(), options, body, env, out);
            },
            task_options{}, detail::bind(std::forward<F>(f), std::forward<Args>(args)...), false));
    }

    // True if this call canceled it.
    bool cancel() noexcept { return execq_group_cancel(group_) == EXECQ_OK; }

    // Waits for all and closes it. Throws what the first failing task threw, as it was; canceled, if none failed but some were
    // canceled; error(EXECQ_EDEADLK) inside one of its own tasks.
    void join()
    {
        const execq_status status = execq_group_join(group_, -1);
        if (status == EXECQ_EFAILED)
            std::rethrow_exception(detail::exception_of(execq_group_error(group_)));
        if (status == EXECQ_ECANCELED)
            throw canceled(cancel_reason{execq_group_cancel_reason(group_)});
        detail::check(status);
    }

    execq_group* native() const noexcept { return group_; }

private:
    executor executor_;
    execq_group* group_ = nullptr;
};

}  // namespace execq

#endif
