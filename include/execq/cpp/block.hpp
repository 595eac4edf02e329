// The heap block behind each future that C++ makes.
//
// A C future carries a pointer and a code; C++ wants a typed value and the exception itself. Both live in one block, with
// what computes them: a task's callable, the function of a then(), a coroutine. It is all that is allocated beyond the C
// node, and is the task's env as well as its value.
//
// References: one of each future<T>, one of whoever computes, which passes to the C future together with a value (which
// C sees as a pointer to the T) and is given up otherwise.
#ifndef EXECQ_CPP_BLOCK_HPP
#define EXECQ_CPP_BLOCK_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <execq/cpp/error.hpp>
#include <execq/cpp/handle.hpp>
#include <execq/execq.h>
#include <new>
#include <thread>
#include <type_traits>
#include <utility>

namespace execq::detail {

class link;

class block {
public:
    block(const block&) = delete;
    block& operator=(const block&) = delete;

    void retain() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
    void release() noexcept
    {
        if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1)
            delete this;
    }

    // Passes a cancel request on: answers what this one waits for, to be asked next (a chain of any length must not grow
    // the stack), or asks by itself and answers none. Any thread.
    virtual link pass_cancel();

    // These are written by whoever computes, before the C future is done, and read after it is.
    void* value = nullptr;                    // the T; null for void
    std::exception_ptr exception;             // null where the failure was made in C
    std::int32_t reason = EXECQ_REASON_NONE;  // of a cancellation that came from elsewhere; NONE: the C future's

protected:
    block() noexcept = default;
    virtual ~block() = default;

private:
    // Counted by all holders; the last one deletes.
    std::atomic<std::uint32_t> references_{1};
};

// A C future and its block (none where C made it): one reference to each.
class link {
public:
    link() noexcept = default;
    // Takes the caller's references over.
    link(execq_future* future, block* state) noexcept : future_(future), block_(state) {}
    link(const link& other) noexcept : future_(other.future_), block_(other.block_)
    {
        if (block_ != nullptr)
            block_->retain();
    }
    link(link&& other) noexcept : future_(std::move(other.future_)), block_(std::exchange(other.block_, nullptr)) {}
    link& operator=(link other) noexcept
    {
        std::swap(future_, other.future_);
        std::swap(block_, other.block_);
        return *this;
    }
    ~link()
    {
        if (block_ != nullptr)
            block_->release();
    }

    execq_future* future() const noexcept { return future_.get(); }
    const future_handle& handle() const noexcept { return future_; }
    block* state() const noexcept { return block_; }
    explicit operator bool() const noexcept { return future() != nullptr; }

private:
    future_handle future_;
    block* block_ = nullptr;
};

inline link block::pass_cancel() { return {}; }

// Cancels a future and what it waits for. The answer is about the future itself.
inline execq_status cancel(const link& target)
{
    const execq_status status = execq_future_cancel(target.future());
    if (status != EXECQ_EBUSY || target.state() == nullptr)
        return status;
    link next = target.state()->pass_cancel();
    while (next && execq_future_cancel(next.future()) == EXECQ_EBUSY && next.state() != nullptr)
        next = next.state()->pass_cancel();
    return status;
}

inline std::int32_t reason_of(const link& done) noexcept
{
    const bool named = done.state() != nullptr && done.state()->reason != EXECQ_REASON_NONE;
    return named ? done.state()->reason : execq_future_cancel_reason(done.future());
}

// Why a future that is done has no value; null if it has one.
inline std::exception_ptr failure_of(const link& done)
{
    const std::int32_t state = execq_future_state(done.future());
    if (state == EXECQ_FUTURE_OK)
        return nullptr;
    if (state == EXECQ_FUTURE_CANCELED)
        return std::make_exception_ptr(canceled(cancel_reason{reason_of(done)}));
    const execq_error* failure = execq_future_error(done.future());
    if (done.state() != nullptr && done.state()->exception != nullptr)
        return done.state()->exception;
    return std::make_exception_ptr(error(execq_error_code(failure), execq_error_message(failure)));
}

// The value of a future that is done, moved out, or its failure, thrown.
template <class T>
T take(const link& done)
{
    if (execq_future_state(done.future()) != EXECQ_FUTURE_OK)
        std::rethrow_exception(failure_of(done));
    if constexpr (std::is_same_v<T, void*>) {
        if (done.state() == nullptr) {  // C's own
            void* value = nullptr;
            check(execq_future_take(done.future(), &value));
            return value;
        }
    }
    if constexpr (!std::is_void_v<T>)
        return std::move(*static_cast<T*>(done.state()->value));
}

// Room for a T. Its address is the box's, which is how a block is found by the pointer that C holds.
template <class T>
struct box {
    alignas(T) std::byte bytes[sizeof(T)];
};
template <>
struct box<void> {};

// A block with room for its value.
template <class T, class Base>
class holder : public Base, private box<T> {
public:
    // What C calls when it gives its pointer to the value up.
    static void drop_value(void* value)
    {
        if constexpr (!std::is_void_v<T>)
            static_cast<holder*>(reinterpret_cast<box<T>*>(value))->release();
    }
    static constexpr execq_drop_fn drop_result = std::is_void_v<T> ? nullptr : &drop_value;

    template <class... Args>
    void make(Args&&... args)
    {
        this->value = ::new (static_cast<void*>(this->bytes)) T(std::forward<Args>(args)...);
    }
    // Makes the value, in place, of what the call returns.
    template <class Call>
    void fill(Call&& call)
    {
        if constexpr (std::is_void_v<T>)
            std::forward<Call>(call)();
        else
            this->value = ::new (static_cast<void*>(this->bytes)) T(std::forward<Call>(call)());
    }

protected:
    template <class... Args>
    explicit holder(Args&&... args) : Base(std::forward<Args>(args)...)
    {}
    ~holder() override
    {
        if constexpr (!std::is_void_v<T>) {
            if (this->value != nullptr)
                static_cast<T*>(this->value)->~T();
        }
    }
};

// A block that completes a C promise. Each way to complete it gives the computing side's reference up and is the last
// thing that is done with it.
class completer : public block {
public:
    // Another pair of references to the future and to this.
    link make_link() noexcept
    {
        execq_future_retain(future_);
        retain();
        return {future_, this};
    }
    bool cancel_requested() const noexcept { return execq_promise_cancel_requested(promise_) == 1; }

    cancel_reason asked_by() const noexcept { return cancel_reason{execq_future_cancel_reason(future_)}; }

    // Succeeds with the value that was filled in.
    void settle()
    {
        finish([value = value](execq_promise* promise) { execq_promise_resolve(promise, value); });
    }
    void fail(std::int32_t code, const char* message)
    {
        finish([=](execq_promise* promise) {
            if (execq_promise_reject(promise, code, message) == EXECQ_ENOMEM)  // for the message
                execq_promise_reject(promise, code, nullptr);
        });
    }
    // `canceled` cancels it.
    void reject(std::exception_ptr thrown)
    {
        const description as = describe(thrown);
        if (as.canceled)
            return end_canceled(as.reason);
        exception = std::move(thrown);
        fail(as.code, as.text());
    }
    // Ends canceled; for a reason of its own where that is not NONE.
    void end_canceled(std::int32_t why)
    {
        reason = why;
        execq_future_cancel(future_);  // else a promise that ends with EXECQ_ECANCELED has failed
        fail(EXECQ_ECANCELED, nullptr);
    }
    // Ends without an outcome: broken, or canceled if that was asked for.
    void abandon()
    {
        finish([](execq_promise*) {});
    }
    // Ends as another one did, which is done and has no value.
    void follow(const link& other)
    {
        if (execq_future_state(other.future()) == EXECQ_FUTURE_CANCELED)
            return end_canceled(reason_of(other));
        const execq_error* failure = execq_future_error(other.future());
        if (other.state() != nullptr)
            exception = other.state()->exception;
        fail(execq_error_code(failure), execq_error_message(failure));
    }

protected:
    explicit completer(execq_drop_fn drop_result)
    {
        execq_promise_options options = EXECQ_PROMISE_OPTIONS_INIT;
        options.drop_result = drop_result;
        check(execq_promise_new(&options, &promise_, &future_));
    }
    ~completer() override
    {
        execq_promise_release(promise_);
        execq_future_release(future_);
    }

private:
    // What is waited for may run inside, and give up all other references: only the C future keeps a value's block.
    template <class Complete>
    void finish(const Complete& complete)
    {
        execq_promise* promise = std::exchange(promise_, nullptr);
        execq_future* future = std::exchange(future_, nullptr);
        const bool valued = value != nullptr && exception == nullptr;
        complete(promise);
        execq_promise_release(promise);
        execq_future_release(future);
        if (!valued)
            release();
    }

    execq_promise* promise_ = nullptr;
    execq_future* future_ = nullptr;
};

// What a block waits for just now, so that a cancellation finds it: set by the block's own side, read by any thread.
class awaited {
public:
    void set(link target) noexcept
    {
        const guard lock(*this);
        std::swap(target_, target);
    }
    link get() const noexcept
    {
        const guard lock(*this);
        return target_;
    }
    link take() noexcept
    {
        const guard lock(*this);
        return std::exchange(target_, {});
    }
    // Submits what will call take() first of all, and is therefore noted before it can go on. Answers the task.
    link submit(execq_executor* executor, execq_fn body, void* env, execq_status& status) noexcept
    {
        const guard lock(*this);
        execq_future* task = nullptr;
        status = execq_submit(executor, body, env, &task);
        target_ = link(task, nullptr);
        return target_;
    }

private:
    class guard {
    public:
        explicit guard(const awaited& locked) noexcept : locked_(locked)
        {
            while (locked_.busy_.test_and_set(std::memory_order_acquire))
                std::this_thread::yield();
        }
        ~guard() { locked_.busy_.clear(std::memory_order_release); }
        guard(const guard&) = delete;
        guard& operator=(const guard&) = delete;

    private:
        const awaited& locked_;
    };

    mutable std::atomic_flag busy_ = ATOMIC_FLAG_INIT;  // guards target_; held for a few instructions, or a submission
    link target_;
};

// Has fn(task, env) called once the task is done, which nobody else registered anything with.
inline void watch(const link& task, execq_done_fn fn, void* env)
{
    // The first registration needs no memory unless the task is done already, inside a callback.
    if (execq_future_on_done(task.future(), fn, env, nullptr) != EXECQ_OK)
        fn(task.future(), env);
}

}  // namespace execq::detail

#endif
