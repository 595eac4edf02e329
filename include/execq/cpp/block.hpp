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

// Cancels a future and what it waits for. The answer is about the future itself. By value: what runs inside may end the
// object that the link comes from.
inline execq_status cancel(link target)  // NOLINT(performance-unnecessary-value-param)
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

// What was thrown, for a future that has failed; null where the failure was made in C. A task that lost its thread has
// failed without its block, which its own side may still write to.
inline std::exception_ptr thrown_by(const link& failed)
{
    const bool lost = execq_error_code(execq_future_error(failed.future())) == EXECQ_EEXITED;
    return failed.state() != nullptr && !lost ? failed.state()->exception : nullptr;
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
    if (std::exception_ptr thrown = thrown_by(done); thrown != nullptr)
        return thrown;
    return exception_of(failure);
}

// The failure of a future that nobody will ask for it, as it was told in another way.
inline void count_as_told(const link& failed) noexcept { execq_future_result(failed.future(), nullptr); }
// Throws it to who uses the future up. What was thrown moves out, as a value does: else it might be freed by a thread that
// is still busy with the block, and nothing that ThreadSanitizer sees orders that behind what the catcher did with it.
[[noreturn]] inline void throw_failure(const link& done)
{
    std::exception_ptr failure = failure_of(done);
    if (execq_future_state(done.future()) == EXECQ_FUTURE_FAILED && thrown_by(done) != nullptr)
        done.state()->exception = nullptr;
    std::rethrow_exception(std::move(failure));
}

// The value of a future that is done, moved out, or its failure, thrown.
template <class T>
T take(const link& done)
{
    if (execq_future_state(done.future()) != EXECQ_FUTURE_OK)
        throw_failure(done);
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
// thing that is done with it; false if somebody else has completed it.
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
    bool settle()
    {
        if (!claim())
            return abandon();
        return finish([value = value](execq_promise* promise) { return execq_promise_resolve(promise, value); },
                      value != nullptr);
    }
    bool fail(std::int32_t code, const char* message) { return claim() ? finish_failed(code, message) : abandon(); }
    // `canceled` cancels it.
    bool reject(const std::exception_ptr& thrown)
    {
        const description as = describe(thrown);
        if (as.canceled)
            return end_canceled(as.reason);
        if (!claim())
            return abandon();
        exception = thrown;
        return finish([&](execq_promise* promise) { return reject_carrying(promise, thrown); }, false);
    }
    // Ends canceled; for a reason of its own where that is not NONE.
    bool end_canceled(std::int32_t why)
    {
        if (!claim())
            return abandon();
        reason = why;
        execq_future_cancel(future_);  // else a promise that ends with EXECQ_ECANCELED has failed
        return finish_failed(EXECQ_ECANCELED, nullptr);
    }
    // Ends without an outcome: broken, or canceled if that was asked for.
    bool abandon()
    {
        return finish([](execq_promise*) -> execq_status { return EXECQ_EBROKEN; }, false);
    }
    // Ends as another one did, which is done and has no value.
    bool follow(const link& other)
    {
        if (execq_future_state(other.future()) == EXECQ_FUTURE_CANCELED)
            return end_canceled(reason_of(other));
        if (!claim())
            return abandon();
        const execq_error* failure = execq_future_error(other.future());
        exception = thrown_by(other);
        return finish([=](execq_promise* promise) { return execq_promise_reject_error(promise, failure); }, false);
    }
    // Has f called, once, if the future is asked to cancel while this is open. As execq_promise_on_cancel.
    execq_status on_cancel(execq_cancel_fn f, void* env, execq_drop_fn drop)
    {
        return execq_promise_on_cancel(promise_, f, env, drop);
    }

protected:
    // For a promise that adopt() brings.
    completer() noexcept = default;
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
    // Takes over the caller's reference to the promise.
    void adopt(execq_promise* promise, const link& own) noexcept
    {
        promise_ = promise;
        future_ = own.future();
        execq_future_retain(future_);
    }
    // True to the first one that wants to complete it, who may then write the outcome. Only where there may be several.
    virtual bool claim() noexcept { return true; }
    // Borrowed; null once completed.
    execq_promise* promise() const noexcept { return promise_; }

    static execq_status reject_with(execq_promise* promise, std::int32_t code, const char* message) noexcept
    {
        const execq_status status = execq_promise_reject(promise, code, message);
        return status == EXECQ_ENOMEM ? execq_promise_reject(promise, code, nullptr) : status;  // for the message
    }
    // With what C needs to give the exception back.
    static execq_status reject_carrying(execq_promise* promise, const std::exception_ptr& thrown) noexcept
    {
        const error_handle failure = carry(thrown);
        if (failure.get() != nullptr)
            return execq_promise_reject_error(promise, failure.get());
        return execq_promise_reject(promise, describe(thrown).code, nullptr);
    }

private:
    bool finish_failed(std::int32_t code, const char* message)
    {
        return finish([=](execq_promise* promise) { return reject_with(promise, code, message); }, false);
    }
    // What is waited for may run inside, give up all other references, and end the thread: only the C future keeps a
    // value's block.
    template <class Complete>
    bool finish(const Complete& complete, bool valued)
    {
        struct over {
            execq_promise* promise;
            execq_future* future;
            block* kept;  // null: by the C future
            ~over()
            {
                execq_promise_release(promise);
                execq_future_release(future);
                if (kept != nullptr)
                    kept->release();
            }
        };
        over end{std::exchange(promise_, nullptr), std::exchange(future_, nullptr), valued ? nullptr : this};
        if (complete(end.promise) == EXECQ_OK)
            return true;
        end.kept = this;
        return false;
    }

    execq_promise* promise_ = nullptr;
    execq_future* future_ = nullptr;
};

// Completes a block with what a call returns or throws; end() runs before that, whatever became of the call.
template <class Block, class Call, class End>
void complete_by(Block& block, Call&& call, const End& end)
{
    std::exception_ptr thrown;
    try {
        block.fill(std::forward<Call>(call));
    } catch (...) {
        thrown = std::current_exception();
        if (thrown == nullptr) {  // pthread_exit; see let_thread_exit_pass()
            end();
            block.fail(EXECQ_EEXITED, nullptr);
            throw;
        }
    }
    end();
    if (thrown != nullptr)
        block.reject(std::move(thrown));
    else
        block.settle();
}

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
    template <class Submit>
    link note(execq_status& status, const Submit& submit) noexcept
    {
        const guard lock(*this);
        execq_future* task = nullptr;
        status = submit(&task);
        target_ = link(task, nullptr);
        return target_;
    }
    link submit(execq_executor* executor, execq_fn body, void* env, execq_status& status) noexcept
    {
        return note(status, [=](execq_future** task) -> execq_status {
            return executor != nullptr ? execq_submit(executor, body, env, task) : EXECQ_EINVAL;
        });
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
