// Coroutines: task<T>, and what it can co_await.
//
// A coroutine and the ones that it awaits run under one root, the block of the future that start() gave out. When one
// has to go on, the root's drive() resumes it and whatever it hands over to, one after the other: co_await of a task
// suspends and returns to that loop instead of calling. So the stack stays flat whether or not the compiler makes tail
// calls (gcc does not below -O2).
//
// Threads change only in await_suspend(). Once that has registered the coroutine somewhere, it may go on, and end, on
// another thread, so nothing behind that touches the awaiter. clang before 17 inlines these functions into the coroutine,
// where it puts their variables into the frame, which may be gone, and takes the address of a thread-local for constant:
// they are not inlined, nor is what looks at the thread's turn.
#ifndef EXECQ_CPP_TASK_HPP
#define EXECQ_CPP_TASK_HPP

// clang below 17 has coroutines, but not the macro by which libstdc++ knows.
#if defined(__clang__) && !defined(__cpp_impl_coroutine) && defined(__cpp_coroutines)
#define __cpp_impl_coroutine 201902L
#endif
#include <atomic>
#include <concepts>
#include <coroutine>
#include <cstdint>
#include <exception>
#include <execq/cpp/block.hpp>
#include <execq/cpp/context.hpp>
#include <execq/cpp/executor.hpp>
#include <execq/cpp/future.hpp>
#include <optional>
#include <utility>

namespace execq {

template <class T = void>
class task;

namespace detail {

// What a coroutine's future is completed by, and what all coroutines under it share. A root with a home was submitted to a
// loop: its waits for futures end there.
class root : public completer {
public:
    link pass_cancel() override { return awaited_.get(); }

    // Whether a cancellation is to be thrown now: once.
    bool take_cancel() noexcept { return cancel_pending() && (told_ = true); }
    bool cancel_pending() const noexcept { return !told_ && cancel_requested(); }

    // Goes on with a coroutine, on this thread, until all are suspended or the last one has ended.
    [[gnu::noinline]] void drive(std::coroutine_handle<> next)
    {
        turn here{next, false, nullptr};
        here.outer = std::exchange(turn_, &here);
        try {
            while (here.next)
                std::exchange(here.next, nullptr).resume();
        } catch (...) {  // nothing but a pthread_exit leaves a coroutine
            turn_ = here.outer;
            lose();
            throw;
        }
        turn_ = here.outer;
        // Another thread may be driving by now, or this may be gone: only what is on this stack tells.
        if (here.ended)
            finish();
    }
    // Of the coroutine that runs: it has suspended, and this one is next; it has ended, and there is none.
    [[gnu::noinline]] static void hand_over(std::coroutine_handle<> next) noexcept { turn_->next = next; }
    [[gnu::noinline]] static void end() noexcept { turn_->ended = true; }

    // The promise whose loop its waits come back to; null: they end where they are completed.
    execq_promise* home() const noexcept { return at_home_ ? promise() : nullptr; }
    awaited& waits() noexcept { return awaited_; }

protected:
    using completer::completer;
    virtual void finish() = 0;
    // Its thread is ending: destroys the coroutine and fails.
    virtual void lose() = 0;

    execq_status come_home()
    {
        at_home_ = true;
        return on_cancel(ask, this, nullptr);
    }

private:
    // Also what C asks for: a time limit, a close. Inside, this may end.
    static void ask(void* env)
    {
        if (link target = static_cast<root*>(env)->awaited_.get())
            cancel(std::move(target));
    }

    struct turn {
        std::coroutine_handle<> next;
        bool ended;
        turn* outer;
    };
    static inline thread_local constinit turn* turn_ = nullptr;  // the innermost drive() of this thread

    awaited awaited_;
    bool told_ = false;  // of the coroutine that runs
    bool at_home_ = false;
};

// The part of a task's promise that does not depend on its type.
class task_promise_base {
public:
    struct final_awaiter {
        bool await_ready() const noexcept { return false; }
        template <class Promise>
        [[gnu::noinline]] void await_suspend(std::coroutine_handle<Promise> ended) const noexcept
        {
            task_promise_base& promise = ended.promise();
            if (promise.awaiter)
                root::hand_over(promise.awaiter);
            else
                root::end();
        }
        void await_resume() const noexcept {}
    };

    std::suspend_always initial_suspend() const noexcept { return {}; }
    final_awaiter final_suspend() const noexcept { return {}; }
    void unhandled_exception()
    {
        let_thread_exit_pass();
        thrown = std::current_exception();
    }

    root* under = nullptr;            // set before it starts
    std::coroutine_handle<> awaiter;  // none: it is the root's own
    std::exception_ptr thrown;
};

template <class T>
class task_promise : public task_promise_base {
public:
    task<T> get_return_object() noexcept;
    template <class U = T>
    requires std::constructible_from<T, U>
    void return_value(U&& value) { value_.emplace(std::forward<U>(value)); }
    T take()
    {
        if (thrown != nullptr)
            std::rethrow_exception(std::exchange(thrown, nullptr));
        return std::move(*value_);
    }

private:
    std::optional<T> value_;
};
template <>
class task_promise<void> : public task_promise_base {
public:
    task<void> get_return_object() noexcept;
    void return_void() const noexcept {}
    void take()
    {
        if (thrown != nullptr)
            std::rethrow_exception(std::exchange(thrown, nullptr));
    }
};

}  // namespace detail

// A coroutine that starts when it is awaited, or given to start() or submit_async(). Move-only.
// Ownership: destroying one that was not started destroys its arguments. Its locals and arguments are gone before the
//   future of start() or submit_async() is done, unless its worker's thread ends first.
// Threads: under start(), it goes on where the future that it awaited was completed; under submit_async(), on the loop that
//   it began on, if it had to wait. schedule() and on_loop() move it elsewhere: for good, or up to its next wait for a future.
//   It keeps its context (see context.hpp) wherever it goes on, begins with that of start() or submit_async(), and leaves
//   nothing in those of others.
// Errors: exceptions pass by type from task to task and into the future. Where the loop that it would come back to is
//   detached, or its thread has ended, co_await throws error(EXECQ_ECLOSED), where that is found out. pthread_exit in a
//   coroutine fails the future with error(EXECQ_EEXITED).
// Cancelling the future of start() or submit_async() has the co_await that it is in, or the next one, throw `canceled`, once; what that
//   co_await waits for is canceled, too. One that catches it may still co_await to clean up. A coroutine that lets
//   `canceled` pass, whoever was canceled, ends canceled.
template <class T>
class [[nodiscard]] task {
public:
    using promise_type = detail::task_promise<T>;

    task() noexcept = default;
    task(task&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
    task& operator=(task other) noexcept
    {
        std::swap(frame_, other.frame_);
        return *this;
    }
    ~task()
    {
        if (frame_)
            frame_.destroy();
    }

    bool valid() const noexcept { return bool(frame_); }

    // For the parts of this library.
    std::coroutine_handle<promise_type> frame() const noexcept { return frame_; }

private:
    friend promise_type;
    explicit task(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}

    std::coroutine_handle<promise_type> frame_;
};

namespace detail {

template <class T>
task<T> task_promise<T>::get_return_object() noexcept
{
    return task<T>(std::coroutine_handle<task_promise>::from_promise(*this));
}
inline task<void> task_promise<void>::get_return_object() noexcept
{
    return task<void>(std::coroutine_handle<task_promise>::from_promise(*this));
}

// The root of a coroutine, and the block of its future. Base: holder<T, root>.
template <class T, class Base>
class coroutine_root : public Base {
protected:
    using Base::Base;
    // Destroys what the coroutine refers to; it is gone.
    virtual void forget() noexcept {}

    void finish() override
    {
        complete_by(
            *this, [this]() -> T { return task_.frame().promise().take(); }, [this] { clear(); });
    }
    void lose() override
    {
        clear();
        this->fail(EXECQ_EEXITED, nullptr);
    }
    void clear() noexcept
    {
        task_ = {};
        forget();
    }

    task<T> task_;
};

// A coroutine that was started somewhere.
template <class T>
class coroutine_block final : public coroutine_root<T, holder<T, root>> {
public:
    explicit coroutine_block(task<T>&& first) : coroutine_root<T, holder<T, root>>(coroutine_block::drop_result)
    {
        this->task_ = std::move(first);
        this->task_.frame().promise().under = this;
    }

    void start() { this->drive(this->task_.frame()); }
    execq_status start_on(const executor& where)
    {
        execq_status status = EXECQ_OK;
        const link started = this->waits().submit(where.native(), arrive, this, status);
        if (status == EXECQ_OK)
            watch(started, ended, this);
        return status;
    }

private:
    static std::int32_t arrive(void* env, void**)
    {
        auto& self = *static_cast<coroutine_block*>(env);
        self.waits().take();
        if (self.take_cancel()) {
            self.task_ = {};
            self.end_canceled(EXECQ_REASON_NONE);
        } else {
            self.start();
        }
        return EXECQ_OK;
    }
    static void ended(execq_future* started, void* env)
    {
        if (execq_future_state(started) != EXECQ_FUTURE_CANCELED)
            return;
        auto& self = *static_cast<coroutine_block*>(env);
        self.waits().take();
        self.task_ = {};
        execq_future_retain(started);
        const link cause(started, nullptr);
        self.follow(cause);
    }
};

template <class T>
coroutine_block<T>* make_coroutine(task<T>&& first)
{
    check(first.valid() ? EXECQ_OK : EXECQ_EINVAL);
    return new coroutine_block<T>(std::move(first));
}

}  // namespace detail

// Starts a coroutine here, up to where it first waits. Errors: error(EXECQ_EINVAL), error(EXECQ_ENOMEM).
template <class T>
future<T> start(task<T> first)
{
    auto* block = detail::make_coroutine(std::move(first));
    future<T> result(block->make_link());
    const detail::context_handle active = detail::capture_if_possible();
    detail::run_anyhow_under(active.get(), [block] { block->start(); });
    return result;
}

// Starts a coroutine on a worker. Errors: as executor::submit; the coroutine is then destroyed.
template <class T>
future<T> start(const executor& where, task<T> first)
{
    auto* block = detail::make_coroutine(std::move(first));
    future<T> result(block->make_link());
    const execq_status status = block->start_on(where);
    if (status != EXECQ_OK) {
        block->abandon();
        detail::count_as_told(result.outcome());
    }
    detail::check(status);
    return result;
}

}  // namespace execq

#endif
