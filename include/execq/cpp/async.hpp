// submit_async: work and coroutines on the loop of a worker, or on an attached one.
#ifndef EXECQ_CPP_ASYNC_HPP
#define EXECQ_CPP_ASYNC_HPP

#include <execq/cpp/task.hpp>
// task.hpp comes first: it has what <coroutine> needs.
#include <atomic>
#include <exception>
#include <execq/cpp/block.hpp>
#include <execq/cpp/executor.hpp>
#include <execq/cpp/future.hpp>
#include <execq/cpp/promise.hpp>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

namespace execq::detail {

// The block of an asynchronous task, whose promise C makes. The computing side's reference is the task's until it starts,
// and goes with the promise from then on.
template <class T, class Base>
class async_block : public holder<T, Base> {
public:
    static future<T> submit(async_block* block, enlist_async enlist, void* where, const task_options& chosen)
    {
        const execq_task_options options = c_options(chosen, &drop, async_block::drop_result);
        block->retain();  // for the future
        execq_status status = EXECQ_OK;
        const link task = block->submitted_.note(status, [&](execq_future** out) {  // start() comes by take()
            return enlist(where, &options, start, block, out);
        });
        execq_future_retain(task.future());
        link outcome(task.future(), block);
        check(status);
        return future<T>(std::move(outcome));
    }

protected:
    async_block() noexcept = default;

    // On the loop's thread: has the promise, and completes it sooner or later. May free this.
    virtual void begin(struct uv_loop_s* loop) = 0;
    // It will not begin.
    virtual void never_begin() noexcept = 0;

    // What start threw fails it, unless it was completed; others may still hold the promise. This is given up before that.
    void fail_start(execq_promise* promise, link own, std::exception_ptr thrown)
    {
        if (!claim())
            return;
        const future_handle future = own.handle();
        const description as = describe(thrown);
        this->reason = as.reason;
        if (!as.canceled)
            this->exception = thrown;
        own = {};
        if (as.canceled)
            execq_future_cancel(future.get());
        completer::reject_carrying(promise, thrown);
    }
    bool claim() noexcept override { return !claimed_.exchange(true, std::memory_order_acq_rel); }

private:
    static void start(execq_promise* promise, struct uv_loop_s* loop, void* env)
    {
        auto& self = *static_cast<async_block*>(env);
        const link own = self.submitted_.take();
        self.started_ = true;
        self.adopt(promise, own);
        self.begin(loop);
    }
    // Before it starts, or before the future is done.
    static void drop(void* env)
    {
        auto& self = *static_cast<async_block*>(env);
        if (self.started_)
            return;
        self.never_begin();
        self.release();
    }

    awaited submitted_;     // its own future, from the submission to the start
    bool started_ = false;  // written by the task's start, read by its drop
    // The outcome is being written: by who holds the promise, or by what start threw.
    std::atomic<bool> claimed_{false};
};

// f(promise<T>, uv_loop_t*).
template <class T, class F>
class starter final : public async_block<T, completer> {
public:
    template <class G>
    explicit starter(G&& f) : f_(std::in_place, std::forward<G>(f))
    {}

private:
    // f ends here, while the promise, and with it this, may live on.
    void begin(struct uv_loop_s* loop) override
    {
        link own = this->make_link();
        execq_promise* native = this->promise();  // C holds it until this returns
        std::exception_ptr thrown;
        try {
            execq::promise<T> writing(this);
            F f(std::move(*f_));
            f_.reset();
            std::invoke(std::move(f), std::move(writing), loop);
        } catch (...) {
            let_thread_exit_pass();  // C fails it
            thrown = std::current_exception();
        }
        if (thrown != nullptr)
            this->fail_start(native, std::move(own), std::move(thrown));
    }
    void never_begin() noexcept override { f_.reset(); }

    std::optional<F> f_;
};

// f() gives a task, which may refer to f as long as it lives.
template <class T, class F>
class loop_coroutine final : public coroutine_root<T, async_block<T, root>> {
public:
    template <class G>
    explicit loop_coroutine(G&& f) : f_(std::in_place, std::forward<G>(f))
    {}

private:
    void begin(struct uv_loop_s*) override
    {
        std::exception_ptr thrown;
        try {
            this->task_ = std::invoke(std::move(*f_));
        } catch (...) {
            thrown = std::current_exception();
            if (thrown == nullptr) {
                this->lose();
                throw;
            }
        }
        execq_status status = this->task_.valid() ? EXECQ_OK : EXECQ_EINVAL;
        if (thrown == nullptr && status == EXECQ_OK)
            status = this->come_home();
        if (thrown == nullptr && status == EXECQ_OK) {
            this->task_.frame().promise().under = this;
            this->drive(this->task_.frame());
            return;
        }
        this->clear();
        if (thrown != nullptr)
            this->reject(std::move(thrown));
        else
            this->fail(status, nullptr);
    }
    void never_begin() noexcept override { f_.reset(); }
    void forget() noexcept override { f_.reset(); }

    std::optional<F> f_;
};

// A task that is given as it is.
template <class T>
struct given_task {
    task<T> given;
    task<T> operator()() && noexcept { return std::move(given); }
};

// The T of f(promise<T>, …), where f says it.
template <class T>
struct promised;
template <class T>
struct promised<promise<T>> {
    using value = T;
};
template <class R, class P, class L>
promised<std::decay_t<P>> started_with(R (*)(P, L));
template <class C, class R, class P, class L>
promised<std::decay_t<P>> started_with(R (C::*)(P, L));
template <class C, class R, class P, class L>
promised<std::decay_t<P>> started_with(R (C::*)(P, L) const);
template <class C, class R, class P, class L>
promised<std::decay_t<P>> started_with(R (C::*)(P, L) &&);

template <class T>
struct task_value;
template <class T>
struct task_value<task<T>> {
    using type = T;
};
template <class F>
concept gives_task = std::is_invocable_v<F> && requires
{
    typename task_value<std::decay_t<std::invoke_result_t<F>>>::type;
};

// What submit_async() takes, and how.
template <class F>
struct async_traits {
    static_assert(sizeof(F) == 0,
                  "submit_async takes f(promise<T>, uv_loop_t*), task<T>, or f() that returns a task<T>; "
                  "where f takes auto or is overloaded, say submit_async<T>(f)");
};
template <class T>
struct async_traits<task<T>> {
    using value = T;
    using block = loop_coroutine<T, given_task<T>>;
};
template <class F>
requires gives_task<F>
struct async_traits<F> {
    using value = typename task_value<std::decay_t<std::invoke_result_t<F>>>::type;
    using block = loop_coroutine<value, F>;
};
template <class F>
requires requires { started_with(static_cast<F>(nullptr)); }
struct async_traits<F> {
    using value = typename decltype(started_with(static_cast<F>(nullptr)))::value;
    using block = starter<value, F>;
};
template <class F>
requires(!gives_task<F>) && requires { started_with(&F::operator()); }
struct async_traits<F> {
    using value = typename decltype(started_with(&F::operator()))::value;
    using block = starter<value, F>;
};

template <class F>
future<typename async_traits<std::decay_t<F>>::value> submit_async(enlist_async enlist, void* where,
                                                                   const task_options& options, F&& f)
{
    using traits = async_traits<std::decay_t<F>>;
    using work = typename traits::block;
    if constexpr (requires { typename task_value<std::decay_t<F>>::type; }) {
        check(f.valid() ? EXECQ_OK : EXECQ_EINVAL);
        using value = typename traits::value;
        return work::submit(new work(given_task<value>{std::forward<F>(f)}), enlist, where, options);
    } else {
        return work::submit(new work(std::forward<F>(f)), enlist, where, options);
    }
}
template <class T, class F>
future<T> submit_async_as(enlist_async enlist, void* where, const task_options& options, F&& f)
{
    using work = starter<T, std::decay_t<F>>;
    return work::submit(new work(std::forward<F>(f)), enlist, where, options);
}

}  // namespace execq::detail

#endif
