// future<T>: one outcome, for one reader.
#ifndef EXECQ_CPP_FUTURE_HPP
#define EXECQ_CPP_FUTURE_HPP

#include <chrono>
#include <concepts>
#include <cstdint>
#include <exception>
#include <execq/cpp/block.hpp>
#include <execq/cpp/error.hpp>
#include <execq/execq.h>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace execq {

class executor;
class loop;
template <class T>
class future;
template <class T>
class promise;

enum class future_state : std::int32_t {
    pending = EXECQ_FUTURE_PENDING,
    running = EXECQ_FUTURE_RUNNING,
    ok = EXECQ_FUTURE_OK,
    failed = EXECQ_FUTURE_FAILED,
    canceled = EXECQ_FUTURE_CANCELED
};

// What a cancel found.
enum class cancel_result : std::int32_t {
    prevented = EXECQ_OK,   // to exactly one caller: the body never ran and never will (a periodic one: not again)
    asked = EXECQ_EBUSY,    // it runs, or waits for something else, and was asked to stop
    late = EXECQ_EALREADY,  // it was done
    none = EXECQ_EINVAL     // the future is empty
};

namespace detail {

// How a continuation takes what it continues: the value (nothing, for void), or else the whole future, done.
template <class T, class F>
inline constexpr bool takes_value = std::is_invocable_v<F, T>;
template <class F>
inline constexpr bool takes_value<void, F> = std::is_invocable_v<F>;

template <class T, class F, bool Value = takes_value<T, F>>
struct continued {
    static_assert(std::is_invocable_v<F, future<T>>, "a continuation takes the value or the future<T>");
    using type = std::invoke_result_t<F, future<T>>;
};
template <class T, class F>
struct continued<T, F, true> {
    using type = std::invoke_result_t<F, T>;
};
template <class F>
struct continued<void, F, true> {
    using type = std::invoke_result_t<F>;
};
template <class T, class F>
using continued_t = std::decay_t<typename continued<T, F>::type>;

}  // namespace detail

// The outcome of a task, a promise, a then() or a coroutine. Move-only.
// Ownership: destroying it gives it up; the work goes on, as releasing is not cancelling. get(), then(), on_done(),
//   on_loop() and forward() use it up: it is empty afterwards. An empty one is not done, cancel() answers `none`, and what
//   would wait for it throws error(EXECQ_EINVAL). A failure that nobody took, looked at by exception(), or passed on is
//   reported (execq/error.h).
// Threads: the work and this side are on any thread; one future object is used by one thread at a time, except that
//   cancel(), state(), done() and the waits may be called at the same time (get() is no wait: it uses the future up).
// Errors: what the body threw comes back as it was; what failed in C as `error`; what was canceled as `canceled`.
template <class T>
class [[nodiscard]] future {
    static_assert(std::is_same_v<T, std::decay_t<T>>, "a future holds a value, no reference");

public:
    using value_type = T;

    future() noexcept = default;
    future(future&&) noexcept = default;
    future& operator=(future&&) noexcept = default;

    // Takes over the caller's reference to a future that C made; its value is the pointer.
    static future adopt(execq_future* owned) noexcept requires std::same_as<T, void*> || std::is_void_v<T>
    {
        return future(detail::link(owned, nullptr));
    }

    bool valid() const noexcept { return bool(link_); }
    future_state state() const noexcept { return future_state{execq_future_state(native())}; }
    bool done() const noexcept { return execq_future_state(native()) >= EXECQ_FUTURE_OK; }

    // Waits; on a worker of the executor, a task that has not started is run in place.
    // Errors: error(EXECQ_EDEADLK) before blocking, where the wait could never end.
    void wait() const { detail::check(execq_future_wait(native(), -1)); }
    // False if the time passed first. Never early.
    template <class Rep, class Period>
    bool wait_for(std::chrono::duration<Rep, Period> timeout) const
    {
        const execq_status status = execq_future_wait(native(), detail::to_ns(timeout));
        if (status == EXECQ_ETIMEDOUT)
            return false;
        detail::check(status);
        return true;
    }

    // Runs this thread's own loop (execq::thread_loop()) until it is done: inside a blocking body, what the body has started
    // on the loop goes on meanwhile. As execq_run_until.
    // Errors: error(EXECQ_EDEADLK) before blocking, inside a callback of the loop too.
    void run_until() const { detail::check(execq_run_until(native(), -1)); }
    // False if the time passed first; a time of 0 is one turn of the loop.
    template <class Rep, class Period>
    bool run_until(std::chrono::duration<Rep, Period> timeout) const
    {
        const execq_status status = execq_run_until(native(), detail::to_ns(timeout));
        if (status == EXECQ_ETIMEDOUT)
            return false;
        detail::check(status);
        return true;
    }

    // Waits, then moves the value out or throws why there is none.
    T get()
    {
        wait();
        const detail::link outcome = std::move(link_);
        return detail::take<T>(outcome);
    }

    // Why it has no value; null if it has one. Errors: error(EXECQ_EPENDING) before it is done.
    std::exception_ptr exception() const
    {
        detail::check(valid() ? EXECQ_OK : EXECQ_EINVAL);
        detail::check(done() ? EXECQ_OK : EXECQ_EPENDING);
        return detail::failure_of(link_);
    }

    // Prevents work that has not started, or asks it to stop; what it waits for is asked, too.
    cancel_result cancel() const { return cancel_result{valid() ? detail::cancel(link_) : EXECQ_EINVAL}; }

    // Calls f(future<T>), done, on the completing thread (here, if it is done already); f must not block.
    // Errors: error(EXECQ_ENOMEM); f is then destroyed uncalled. What f throws is reported on stderr and dropped.
    template <class F>
    void on_done(F&& f) &&;

    // Calls f(future<T>), done, on the loop's thread, never inside this call; the loop stays alive until then. Where the
    // loop is detached first, f is destroyed uncalled.
    // Errors: error(EXECQ_ECLOSED), error(EXECQ_ENOMEM); f is then destroyed uncalled.
    template <class F>
    void on_loop(const loop& where, F&& f) &&;

    // The outcome of f(value), called where this is completed. A failure or a cancellation passes f by. An f that does
    // not take the value, but a future<T>, gets the whole future, done, whatever its outcome.
    // Ownership: f is destroyed before the new future is done. Cancelling the new future cancels this one, and prevents f.
    // Threads: f runs on the completing thread and must not block; with an executor on a worker of it, with a loop on
    //   the loop's thread. A refused submission or a detached loop fails the new future with that error.
    // Errors: error(EXECQ_ENOMEM), error(EXECQ_ECLOSED) for a loop that is detached; f is then destroyed uncalled.
    template <class F>
    auto then(F&& f) && -> future<detail::continued_t<T, std::decay_t<F>>>;
    template <class F>
    auto then(const executor& where, F&& f) && -> future<detail::continued_t<T, std::decay_t<F>>>;
    template <class F>
    auto then(const loop& where, F&& f) && -> future<detail::continued_t<T, std::decay_t<F>>>;

    // Has the promise end as this does: the value is moved, a failure keeps its type. The promise counts as completed from
    // now on; cancelling its future cancels this one, unless it has an on_cancel() of its own, which is asked then.
    // Errors: error(EXECQ_EALREADY) (the promise is completed), error(EXECQ_EINVAL) (the promise's own future),
    //   error(EXECQ_ENOMEM); the future is then used up, and the promise as it was.
    void forward(promise<T>& target) &&;

    // Borrowed. C sees a pointer to the T (NULL for void) and may look at it until get() moved it out or the last
    // reference to the C future goes; it must not take it.
    execq_future* native() const noexcept { return link_.future(); }

    // For the parts of this library.
    explicit future(detail::link outcome) noexcept : link_(std::move(outcome)) {}
    const detail::link& outcome() const& noexcept { return link_; }
    detail::link outcome() && noexcept { return std::move(link_); }

private:
    detail::link link_;
};

namespace detail {

// A callable that wants a future when it is done.
template <class T, class F>
class listener {
public:
    template <class G>
    listener(link source, G&& f) : source_(std::move(source)), f_(std::forward<G>(f))
    {}

    execq_future* source() const noexcept { return source_.future(); }
    static void hear(execq_future*, void* env)
    {
        auto& self = *static_cast<listener*>(env);
        std::invoke(std::move(self.f_), future<T>(std::move(self.source_)));
    }
    static void hear_once(execq_future* done, void* env)
    {
        const std::unique_ptr<listener> self(static_cast<listener*>(env));
        hear(done, env);
    }
    static void drop(void* env) { delete static_cast<listener*>(env); }

private:
    link source_;
    F f_;
};

}  // namespace detail

template <class T>
template <class F>
void future<T>::on_done(F&& f) &&
{
    using listener = detail::listener<T, std::decay_t<F>>;
    detail::check(valid() ? EXECQ_OK : EXECQ_EINVAL);
    auto owned = std::make_unique<listener>(std::move(link_), std::forward<F>(f));
    // Without a drop the C future needs no record for it.
    listener* given = owned.release();  // f may run inside, and end its thread
    const execq_status status = execq_future_on_done(given->source(), listener::hear_once, given, nullptr);
    if (status != EXECQ_OK)
        delete given;
    detail::check(status);
}

}  // namespace execq

#endif
