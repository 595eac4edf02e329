// Cancellation: callbacks of running tasks, and sources.
#ifndef EXECQ_CPP_CANCEL_HPP
#define EXECQ_CPP_CANCEL_HPP

#include <concepts>
#include <execq/cancel.h>
#include <execq/cpp/error.hpp>
#include <execq/cpp/future.hpp>
#include <execq/cpp/handle.hpp>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace execq {

// While one lives, inside of a task, f() is called once if the task is asked to stop: on the thread that asks, or at once
// where it was asked before. Its end waits for a call that runs on another thread. What f throws is reported and dropped.
// Threads: begins and ends inside the same task. Errors: as execq_on_cancel.
template <std::invocable F>
class [[nodiscard]] on_cancel {
public:
    explicit on_cancel(F f) : f_(std::move(f)) { detail::check(execq_on_cancel(&on_cancel::call, this, &token_)); }
    on_cancel(const on_cancel&) = delete;
    on_cancel& operator=(const on_cancel&) = delete;
    ~on_cancel() { execq_off_cancel(token_); }

private:
    static void call(void* self) { std::invoke(static_cast<on_cancel*>(self)->f_); }

    F f_;
    execq_cancel_token token_ = 0;
};

// One request to stop, for tasks (task_options::cancel), futures, callbacks and other sources. A copy is another reference to
// the same one; one that was moved from answers EXECQ_EINVAL.
// Threads: any. Blocks: never, but as callbacks do.
class cancel_source {
public:
    // Errors: error(EXECQ_ENOMEM).
    cancel_source() : cancel_source(nullptr) {}
    // One that is canceled with its parent.
    static cancel_source child_of(const cancel_source& parent) { return cancel_source(parent.native()); }

    // False: it was canceled before.
    bool cancel() const
    {
        const execq_status status = execq_cancel_source_cancel(native());
        if (status != EXECQ_EALREADY)
            detail::check(status);
        return status == EXECQ_OK;
    }
    bool requested() const noexcept { return execq_cancel_source_requested(native()) == 1; }

    // Has f() called once when it is canceled, at once if it was. Gives what off() takes.
    template <class F>
    requires std::invocable < std::decay_t<F>
    & > execq_cancel_token on_cancel(F&& f) const
    {
        using call = std::decay_t<F>;
        auto made = std::make_unique<call>(std::forward<F>(f));
        execq_cancel_token token = 0;
        detail::check(execq_cancel_source_on_cancel(
            native(), [](void* env) { std::invoke(*static_cast<call*>(env)); }, made.release(),
            [](void* env) { delete static_cast<call*>(env); }, &token));
        return token;
    }
    // False: it was called. Waits for a call that runs on another thread.
    bool off(execq_cancel_token token) const
    {
        const execq_status status = execq_cancel_source_off(native(), token);
        if (status != EXECQ_EALREADY)
            detail::check(status);
        return status == EXECQ_OK;
    }
    // Cancels the future when this is canceled, at once if it was.
    template <class T>
    void link(const future<T>& linked) const
    {
        detail::check(execq_cancel_source_link_future(native(), linked.native()));
    }

    execq_cancel_source* native() const noexcept { return handle_.get(); }

private:
    explicit cancel_source(execq_cancel_source* parent)
    {
        execq_cancel_source_options options = EXECQ_CANCEL_SOURCE_OPTIONS_INIT;
        options.parent = parent;
        execq_cancel_source* made = nullptr;
        detail::check(execq_cancel_source_new(&options, &made));
        handle_ = decltype(handle_)(made);
    }

    detail::handle<execq_cancel_source, execq_cancel_source_retain, execq_cancel_source_release> handle_;
};

}  // namespace execq

#endif
