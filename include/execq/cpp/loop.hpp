// Loops and completion queues: where outcomes are delivered.
#ifndef EXECQ_CPP_LOOP_HPP
#define EXECQ_CPP_LOOP_HPP

#include <algorithm>
#include <array>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <execq/cpp/block.hpp>
#include <execq/cpp/executor.hpp>
#include <execq/cpp/future.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <variant>

namespace execq {

class loop_hold;

namespace detail {

// A call onto a loop: on the caller's stack.
template <class R, class Call>
struct called {
    const Call& call;
    std::conditional_t<std::is_void_v<R>, std::monostate, std::optional<R>> value = {};
    std::exception_ptr exception = nullptr;

    static std::int32_t body(void* env, void**)
    {
        auto& self = *static_cast<called*>(env);
        try {
            if constexpr (std::is_void_v<R>)
                self.call();
            else
                self.value.emplace(self.call());
        } catch (...) {
            let_thread_exit_pass();
            self.exception = std::current_exception();
        }
        return EXECQ_OK;
    }
};

}  // namespace detail

// An attached uv_loop_t. A copy is another reference to the same attachment. attach(uv_loop), below, makes one.
// Ownership: detach it before the loop is closed; the last reference of an attached one has it detach itself on the
//   loop's thread, at its next iteration.
class loop {
public:
    // Attaches a loop by the functions of a table (null: the libuv of libexecq). Loop thread only.
    // Errors: as execq_loop_attach_uv.
    loop(struct uv_loop_s* uv, const execq_uv_table* table)
    {
        execq_loop* made = nullptr;
        detail::check(execq_loop_attach_uv(uv, table, &made));
        handle_ = detail::loop_handle(made);
    }
    // Takes the caller's reference over.
    static loop adopt(execq_loop* owned) noexcept { return loop(detail::loop_handle(owned)); }

    // Delivers in order what is complete and withdraws the rest. Loop thread only; then the loop has to run once more
    // before it can be closed. Errors: error(EXECQ_EALREADY).
    void detach() const { detail::check(execq_loop_detach(native())); }

    // Runs f(args...) as a task on the loop's thread, in the order of submission, never inside this call. As
    // execq_loop_submit; arguments and exceptions as executor::submit(). A detachment cancels what has not started.
    // Errors: error(EXECQ_ECLOSED) (detached), error(EXECQ_ENOTSUP) (a delay).
    template <class F, class... Args>
    requires submittable<F, Args...> future<submitted_t<F, Args...>> submit(F&& f, Args&&... args)
    const { return submit(task_options{}, std::forward<F>(f), std::forward<Args>(args)...); }
    template <class F, class... Args>
    requires submittable<F, Args...> future<submitted_t<F, Args...>> submit(const task_options& options, F&& f,
                                                                            Args&&... args)
    const
    {
        return detail::submit_by<submitted_t<F, Args...>>(
            [this](const execq_task_options* chosen, execq_fn body, void* env, execq_future** out) {
                return execq_loop_submit(native(), chosen, body, env, out);
            },
            options, detail::bind(std::forward<F>(f), std::forward<Args>(args)...), true);
    }

    // Runs f(args...) on the loop's thread, waits for it, and gives what it returns or throws what it threw.
    // Blocks: until it has run. Errors: as execq_loop_call: error(EXECQ_EDEADLK) before blocking, on the loop's thread;
    // error(EXECQ_ECLOSED) (detached); `canceled` (detached meanwhile, it never ran).
    template <class F, class... Args>
    requires std::invocable<F, Args...> std::decay_t<std::invoke_result_t<F, Args...>> call(F&& f, Args&&... args)
    const
    {
        return call_ns(
            -1, [&]() -> decltype(auto) { return std::invoke(std::forward<F>(f), std::forward<Args>(args)...); });
    }
    // The same; the time is for f to begin: error(EXECQ_ETIMEDOUT) if it has not, and then it never will.
    template <class Rep, class Period, class F, class... Args>
    requires std::invocable<F, Args...> std::decay_t<std::invoke_result_t<F, Args...>>
    call_within(std::chrono::duration<Rep, Period> time, F&& f, Args&&... args)
    const
    {
        return call_ns(detail::to_ns(time), [&]() -> decltype(auto) {
            return std::invoke(std::forward<F>(f), std::forward<Args>(args)...);
        });
    }

    // Starts work, or a coroutine, on this loop; see executor::submit_async(). The loop stays alive until it is completed.
    template <class F>
    auto submit_async(F&& f) const
    {
        return detail::submit_async(enlist, native(), {}, std::forward<F>(f));
    }
    template <class F>
    auto submit_async(const task_options& options, F&& f) const
    {
        return detail::submit_async(enlist, native(), options, std::forward<F>(f));
    }
    template <class T, class F>
    requires std::invocable < std::decay_t<F>, promise<T>,
    struct uv_loop_s* > future<T> submit_async(F&& f) const
    {
        return submit_async<T>(task_options{}, std::forward<F>(f));
    }
    template <class T, class F>
    requires std::invocable < std::decay_t<F>, promise<T>,
    struct uv_loop_s* > future<T> submit_async(const task_options& options, F&& f) const
    {
        return detail::submit_async_as<T>(enlist, native(), options, std::forward<F>(f));
    }

    // Keeps uv_run alive until the end of the scope.
    [[nodiscard]] loop_hold hold() const;

    execq_loop* native() const noexcept { return handle_.get(); }

private:
    explicit loop(detail::loop_handle owned) noexcept : handle_(std::move(owned)) {}

    static execq_status enlist(void* where, const execq_task_options* options, execq_async_fn start, void* env,
                               execq_future** out)
    {
        return execq_loop_submit_async(static_cast<execq_loop*>(where), options, start, env, out);
    }
    template <class Call>
    auto call_ns(std::int64_t timeout_ns, const Call& called) const -> std::decay_t<decltype(called())>
    {
        detail::called<std::decay_t<decltype(called())>, Call> here{called};
        const execq_status status = execq_loop_call(native(), here.body, &here, timeout_ns, nullptr);
        if (here.exception != nullptr)
            std::rethrow_exception(here.exception);
        if (status == EXECQ_ECANCELED)
            throw canceled(cancel_reason::shutdown);
        if (status == EXECQ_EFAILED) {
            const execq_error* failure = execq_loop_call_error();
            throw error(execq_error_code(failure), execq_error_message(failure));
        }
        detail::check(status);
        if constexpr (!std::is_void_v<decltype(called())>)
            return std::move(*here.value);
    }

    detail::loop_handle handle_;
};

// The main loop of the process. Errors: error(EXECQ_ECLOSED) (there is none).
inline loop main_loop()
{
    execq_loop* found = nullptr;
    detail::check(execq_main_loop(&found));
    return loop::adopt(found);
}

// What to configure, as execq_conf. Null keeps what was configured before.
struct conf {
    const class executor* executor = nullptr;
    const loop* main_loop = nullptr;
    bool clear_executor = false;
    bool clear_main_loop = false;
};
// Says what a null executor and main_loop() stand for from now on. Ownership: what is configured is kept until it is
// replaced or cleared. Errors: as execq_init_conf.
inline void init_conf(const conf& chosen)
{
    execq_conf options = EXECQ_CONF_INIT;
    options.flags |= chosen.clear_executor ? std::uint32_t{EXECQ_CONF_CLEAR_EXECUTOR} : 0U;
    options.flags |= chosen.clear_main_loop ? std::uint32_t{EXECQ_CONF_CLEAR_MAIN_LOOP} : 0U;
    options.executor = chosen.executor != nullptr ? chosen.executor->native() : nullptr;
    options.main_loop = chosen.main_loop != nullptr ? chosen.main_loop->native() : nullptr;
    detail::check(execq_init_conf(&options));
}

// This thread's own loop, made where there is none yet. Ownership: the library's; handles on it are the caller's.
// Errors: as execq_thread_loop.
inline struct uv_loop_s* thread_loop()
{
    struct uv_loop_s* found = nullptr;
    detail::check(execq_thread_loop(&found));
    return found;
}
// Errors: as execq_thread_loop_close.
inline void thread_loop_close() { detail::check(execq_thread_loop_close()); }

// Runs this thread's own loop until the future is done; see future::run_until().
template <class T>
void run_until(const future<T>& awaited)
{
    awaited.run_until();
}
template <class T, class Rep, class Period>
bool run_until(const future<T>& awaited, std::chrono::duration<Rep, Period> timeout)
{
    return awaited.run_until(timeout);
}

// Keeps a loop's uv_run alive as long as it lives. Move-only. Threads: any. Errors: as execq_loop_hold.
class loop_hold {
public:
    explicit loop_hold(const loop& held) : held_(held) { detail::check(execq_loop_hold(held.native())); }
    loop_hold(loop_hold&&) noexcept = default;
    loop_hold& operator=(loop_hold other) noexcept
    {
        std::swap(held_, other.held_);
        return *this;
    }
    ~loop_hold()
    {
        if (held_.native() != nullptr)
            execq_loop_unhold(held_.native());
    }

private:
    loop held_;
};

inline loop_hold loop::hold() const { return loop_hold(*this); }

// Attaches a loop through the caller's own libuv. Needs execq/uv.h, included before or after this; of internal linkage, so
// that two libraries of one process with different libuv copies do not share it. Errors: as execq_loop_attach_uv.
template <class UvLoop>
static loop attach(UvLoop* uv)
{
    execq_loop* made = nullptr;
    detail::check(execq_loop_attach(uv, &made));
    return loop::adopt(made);
}

template <class T>
template <class F>
void future<T>::on_loop(const loop& where, F&& f) &&
{
    using listener = detail::listener<T, std::decay_t<F>>;
    detail::check(valid() ? EXECQ_OK : EXECQ_EINVAL);
    const detail::future_handle source = link_.handle();
    auto* owned = new listener(std::move(link_), std::forward<F>(f));
    detail::check(execq_future_on_loop(source.get(), where.native(), listener::hear, owned, listener::drop));
}

// One completion, with a reference to its C future.
class completion {
public:
    completion() noexcept = default;
    explicit completion(const execq_completion& owned) noexcept
        : tag_(owned.tag), status_(owned.status), future_(owned.future)
    {}

    void* tag() const noexcept { return tag_; }
    // EXECQ_OK, EXECQ_EFAILED or EXECQ_ECANCELED.
    execq_status status() const noexcept { return status_; }
    execq_future* native() const noexcept { return future_.get(); }

private:
    void* tag_ = nullptr;
    execq_status status_ = EXECQ_EPENDING;
    detail::future_handle future_;
};

// A queue of completions with one pollable descriptor. A copy is another reference to the same queue.
// Ownership: the last reference of an open one closes it. Threads: any.
class completion_queue {
public:
    // Errors: as execq_cq_new.
    completion_queue()
    {
        execq_cq* made = nullptr;
        detail::check(execq_cq_new(&made));
        handle_ = detail::cq_handle(made);
    }
    // Takes the caller's reference over.
    static completion_queue adopt(execq_cq* owned) noexcept { return completion_queue(detail::cq_handle(owned)); }

    // Readable while there is something to drain; the queue's own: poll it, nothing else.
    int fd() const
    {
        int fd = -1;
        detail::check(execq_cq_fd(native(), &fd));
        return fd;
    }

    // Puts the tag into the queue once the future is done; the future stays with the caller.
    // Errors: error(EXECQ_ECLOSED), error(EXECQ_ENOMEM).
    template <class T>
    void add(const future<T>& awaited, void* tag) const
    {
        detail::check(execq_future_on_cq(awaited.native(), native(), tag));
    }

    // Takes completions out, in order; answers how many. Errors: error(EXECQ_ECLOSED).
    std::size_t drain(std::span<completion> out) const
    {
        std::size_t total = 0;
        std::array<execq_completion, 64> batch;
        for (std::size_t n = 1; total < out.size() && n != 0; total += n) {
            const std::size_t room = std::min(batch.size(), out.size() - total);
            const execq_status status = execq_cq_drain(native(), batch.data(), room, &n);
            if (status != EXECQ_OK && total != 0)
                break;  // closed meanwhile: first what was taken out before that
            detail::check(status);
            for (std::size_t i = 0; i < n; ++i)
                out[total + i] = completion(batch[i]);
        }
        return total;
    }

    // Waits until there may be something to drain.
    void wait() const { detail::check(execq_cq_wait(native(), -1)); }
    template <class Rep, class Period>
    bool wait_for(std::chrono::duration<Rep, Period> timeout) const
    {
        const execq_status status = execq_cq_wait(native(), detail::to_ns(timeout));
        if (status == EXECQ_ETIMEDOUT)
            return false;
        detail::check(status);
        return true;
    }

    // Withdraws what is not drained; drop_tag runs once for each of their tags. Errors: error(EXECQ_EALREADY).
    void close(execq_drop_fn drop_tag = nullptr) const { detail::check(execq_cq_close(native(), drop_tag)); }

    execq_cq* native() const noexcept { return handle_.get(); }

private:
    explicit completion_queue(detail::cq_handle owned) noexcept : handle_(std::move(owned)) {}

    detail::cq_handle handle_;
};

}  // namespace execq

#endif
