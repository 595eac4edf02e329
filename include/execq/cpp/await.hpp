// What a coroutine can co_await: a task, a future, a worker, a loop's thread.
#ifndef EXECQ_CPP_AWAIT_HPP
#define EXECQ_CPP_AWAIT_HPP

#include <execq/cpp/task.hpp>
// task.hpp comes first: it has what <coroutine> needs.
#include <atomic>
#include <concepts>
#include <coroutine>
#include <cstdint>
#include <execq/cpp/block.hpp>
#include <execq/cpp/context.hpp>
#include <execq/cpp/executor.hpp>
#include <execq/cpp/future.hpp>
#include <execq/cpp/loop.hpp>
#include <new>
#include <utility>

namespace execq {

namespace detail {

// A coroutine that waits, of this library or, without a root and therefore without cancellation, of another.
class awaiting {
public:
    bool await_ready() const noexcept { return false; }

protected:
    // False: it was asked to stop, and must not wait.
    template <class Promise>
    bool enter(std::coroutine_handle<Promise> waiter) noexcept
    {
        active_ = capture_if_possible();
        return enter_here(waiter);
    }
    // The same for a wait that ends in this very turn of the root.
    template <class Promise>
    bool enter_here(std::coroutine_handle<Promise> waiter) noexcept
    {
        waiter_ = waiter;
        if constexpr (std::derived_from<Promise, task_promise_base>)
            under_ = waiter.promise().under;
        stopped_ = under_ != nullptr && under_->take_cancel();
        return !stopped_;
    }
    // The last thing to do in a callback: the awaiter may be gone afterwards.
    void go_on()
    {
        const context_handle active = std::move(active_);
        run_anyhow_under(active.get(), [under = under_, waiter = waiter_] {
            if (under != nullptr)
                under->drive(waiter);
            else
                waiter.resume();
        });
    }
    // What it waited for is over.
    void leave() noexcept
    {
        if (under_ != nullptr)
            under_->waits().take();
    }
    // First of all in await_resume().
    void throw_if_stopped()
    {
        if (stopped_ || (under_ != nullptr && under_->take_cancel()))
            throw canceled(under_->asked_by());
    }

    root* under_ = nullptr;
    std::coroutine_handle<> waiter_;
    bool stopped_ = false;
    execq_status refused_ = EXECQ_OK;

private:
    context_handle active_;  // in the coroutine, when it began to wait
};

// Waits for what is delivered on a loop's thread, or withdrawn. C's registration needs an env that outlives the delivery,
// which the coroutine may not: the passage, owned by pass() and the registration, freed by the second that is done with it.
class passing : public awaiting {
protected:
    // Registers by enlist(done, env, drop). False, with refused_, if there is nothing to wait for.
    template <class Enlist>
    bool pass(const Enlist& enlist)
    {
        auto* env = new (std::nothrow) passage{this};
        const execq_status status = env != nullptr ? enlist(arrive, env, drop) : EXECQ_ENOMEM;
        if (env == nullptr) {
            refused_ = status;
            return false;
        }
        const bool dropped = env->met.exchange(true, std::memory_order_acq_rel);
        const bool gone_on = !dropped || env->delivered;
        if (dropped)
            delete env;
        if (!gone_on)  // refused, or withdrawn already
            refused_ = status != EXECQ_OK ? status : EXECQ_ECLOSED;
        return gone_on;
    }

private:
    struct passage {
        passing* waiter;
        bool delivered = false;        // of the thread that delivers, then drops
        std::atomic<bool> met{false};  // set by pass() and drop(); the second one frees
    };

    static void arrive(execq_future*, void* env)
    {
        static_cast<passage*>(env)->delivered = true;
        passing* waiter = static_cast<passage*>(env)->waiter;
        waiter->leave();
        waiter->go_on();
    }
    static void drop(void* env)
    {
        auto* passage = static_cast<passing::passage*>(env);
        if (!passage->met.exchange(true, std::memory_order_acq_rel))
            return;
        passing* withdrawn = passage->delivered ? nullptr : passage->waiter;
        delete passage;
        if (withdrawn != nullptr) {
            withdrawn->refused_ = EXECQ_ECLOSED;
            withdrawn->leave();
            withdrawn->go_on();
        }
    }
};

template <class T>
class task_awaiter : public awaiting {
public:
    explicit task_awaiter(task<T>&& awaited) noexcept : task_(std::move(awaited)) {}

    template <class Promise>
    requires std::derived_from<Promise, task_promise_base>
    [[gnu::noinline]] bool await_suspend(std::coroutine_handle<Promise> waiter) noexcept
    {
        if (!task_.valid() || !enter_here(waiter))
            return false;
        task_.frame().promise().under = under_;
        task_.frame().promise().awaiter = waiter;
        root::hand_over(task_.frame());
        return true;
    }
    T await_resume()
    {
        if (stopped_)
            throw_if_stopped();
        check(task_.valid() ? EXECQ_OK : EXECQ_EINVAL);
        return task_.frame().promise().take();
    }

private:
    task<T> task_;
};

template <class T>
class future_awaiter : public passing {
public:
    explicit future_awaiter(future<T>&& awaited) noexcept : link_(std::move(awaited).outcome()) {}

    template <class Promise>
    [[gnu::noinline]] bool await_suspend(std::coroutine_handle<Promise> waiter)
    {
        if (!link_)
            return false;
        if (!enter(waiter)) {
            cancel(link_);
            return false;
        }
        return execq_future_state(link_.future()) < EXECQ_FUTURE_OK && suspend();
    }
    T await_resume()
    {
        throw_if_stopped();
        check(link_ ? refused_ : EXECQ_EINVAL);
        const link done = std::move(link_);
        return take<T>(done);
    }

private:
    bool suspend()
    {
        const link source = link_;
        execq_promise* home = nullptr;
        if (under_ != nullptr) {
            home = under_->home();
            under_->waits().set(source);
            if (under_->cancel_pending())  // asked before it was known what to ask
                cancel(source);
        }
        // From here on it may have gone on elsewhere, if this answers true.
        if (home != nullptr ? come_home(source, home) : stay(source))
            return true;
        leave();
        return false;
    }
    bool come_home(const link& source, execq_promise* home)
    {
        return pass([&](execq_done_fn fn, void* env, execq_drop_fn end) {
            return execq_future_on_promise(source.future(), home, fn, env, end);
        });
    }
    bool stay(const link& source)
    {
        refused_ = execq_future_on_done(source.future(), done, this, nullptr);
        return refused_ == EXECQ_OK && !met_.exchange(true, std::memory_order_acq_rel);
    }
    static void done(execq_future*, void* env)
    {
        auto& self = *static_cast<future_awaiter*>(env);
        // Inside the registration the coroutine goes on by itself: a nested call would grow the stack.
        if (!self.met_.exchange(true, std::memory_order_acq_rel))
            return;
        self.leave();
        self.go_on();
    }

    link link_;
    // Set by stay() and by done(); the second one goes on with the coroutine.
    std::atomic<bool> met_{false};
};

// A coroutine on its way to a worker.
class worker_awaiter : public awaiting {
public:
    explicit worker_awaiter(const executor& where) noexcept : executor_(where) {}

    template <class Promise>
    [[gnu::noinline]] bool await_suspend(std::coroutine_handle<Promise> waiter)
    {
        return enter(waiter) && submit();
    }
    void await_resume()
    {
        throw_if_stopped();
        check(refused_);
        if (lost_ != EXECQ_REASON_NONE)
            throw canceled(cancel_reason{lost_});
    }

private:
    bool submit()
    {
        const executor where = executor_;  // from the submission on, this may be gone
        execq_status status = EXECQ_OK;
        awaited own;
        awaited& waits = under_ != nullptr ? under_->waits() : own;
        const link task = waits.submit(where.native(), arrive, this, status);
        if (status == EXECQ_OK)
            watch(task, ended, this);
        else
            refused_ = status;
        return status == EXECQ_OK;
    }
    static std::int32_t arrive(void* env, void**)
    {
        auto& self = *static_cast<worker_awaiter*>(env);
        self.leave();
        self.go_on();
        return EXECQ_OK;
    }
    // Where the task was canceled, the coroutine still waits here; else it may be anywhere.
    static void ended(execq_future* task, void* env)
    {
        if (execq_future_state(task) != EXECQ_FUTURE_CANCELED)
            return;
        auto& self = *static_cast<worker_awaiter*>(env);
        self.lost_ = execq_future_cancel_reason(task);
        self.leave();
        self.go_on();
    }

    executor executor_;
    std::int32_t lost_ = EXECQ_REASON_NONE;
};

// A coroutine on its way to a loop's thread.
class loop_awaiter : public passing {
public:
    explicit loop_awaiter(const loop& where) noexcept : loop_(where) {}

    template <class Promise>
    [[gnu::noinline]] bool await_suspend(std::coroutine_handle<Promise> waiter)
    {
        return enter(waiter) && travel();
    }
    void await_resume()
    {
        throw_if_stopped();
        check(refused_);
    }

private:
    bool travel()
    {
        const loop where = loop_;  // from the registration on, this may be gone
        return pass([&where](execq_done_fn fn, void* env, execq_drop_fn end) {
            return execq_future_on_loop(done_future(), where.native(), fn, env, end);
        });
    }
    // Delivery on a loop is that of a future that is done; this one always is.
    static execq_future* done_future()
    {
        static execq_future* const future = [] {
            execq_promise* promise = nullptr;
            execq_future* made = nullptr;
            // It keeps its context for ever.
            run_under(EXECQ_CONTEXT_EMPTY, [&] { check(execq_promise_new(nullptr, &promise, &made)); });
            execq_promise_resolve(promise, nullptr);
            execq_promise_release(promise);
            return made;
        }();
        return future;
    }

    loop loop_;
};

}  // namespace detail

// Runs the task inside the awaiting one, and gives its value or throws its failure. Errors: error(EXECQ_EINVAL) (an empty
// one).
template <class T>
detail::task_awaiter<T> operator co_await(task<T>&& awaited) noexcept
{
    return detail::task_awaiter<T>(std::move(awaited));
}
// Waits without a thread, and goes on with the future's value or failure: here, if it is done; else where it is completed,
// or, under submit_async(), on the loop that the coroutine began on.
// Errors: error(EXECQ_EINVAL) (an empty one), error(EXECQ_ENOMEM), error(EXECQ_ECLOSED) (the loop is gone).
template <class T>
detail::future_awaiter<T> operator co_await(future<T>&& awaited) noexcept
{
    return detail::future_awaiter<T>(std::move(awaited));
}

// co_await schedule(executor) goes on on a worker.
// Errors: error, as execq_submit; `canceled` where the executor is closed with a cancel first.
inline detail::worker_awaiter schedule(const executor& where) noexcept { return detail::worker_awaiter(where); }

// co_await on_loop(loop) goes on on the loop's thread, from its next iteration. A cancellation is seen there.
// Errors: error(EXECQ_ECLOSED) where the loop is detached (then on the thread that detaches), error(EXECQ_ENOMEM).
inline detail::loop_awaiter on_loop(const loop& where) noexcept { return detail::loop_awaiter(where); }

}  // namespace execq

#endif
