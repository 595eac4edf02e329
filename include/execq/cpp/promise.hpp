// promise<T>: the writing side of a future, for work that completes later.
#ifndef EXECQ_CPP_PROMISE_HPP
#define EXECQ_CPP_PROMISE_HPP

#include <concepts>
#include <exception>
#include <execq/cpp/block.hpp>
#include <execq/cpp/future.hpp>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace execq {

namespace detail {

template <class T>
class writer final : public holder<T, completer> {
public:
    writer() : holder<T, completer>(writer::drop_result) {}
};

// What is forwarded to a promise, and the writing side of that.
template <class T>
class forwarding {
public:
    // The writing side is given up where it answers EXECQ_OK.
    static execq_status begin(link source, holder<T, completer>* target)
    {
        const link waited = source;
        auto asked = std::make_unique<link>(source);
        auto self = std::make_unique<forwarding>(std::move(source), target);
        execq_status status = target->on_cancel(ask, asked.release(), drop);
        if (status == EXECQ_OK || status == EXECQ_EALREADY)
            status = execq_future_on_done(waited.future(), deliver, self.get(), nullptr);
        if (status == EXECQ_OK)
            static_cast<void>(self.release());
        return status;
    }
    forwarding(link source, holder<T, completer>* target) : source_(std::move(source)), target_(target) {}

private:
    static void ask(void* env) { cancel(*static_cast<link*>(env)); }
    static void drop(void* env) { delete static_cast<link*>(env); }
    static void deliver(execq_future*, void* env)
    {
        const std::unique_ptr<forwarding> self(static_cast<forwarding*>(env));
        const link& source = self->source_;
        if (execq_future_state(source.future()) != EXECQ_FUTURE_OK)
            self->target_->follow(source);
        else
            complete_by(
                *self->target_, [&]() -> T { return take<T>(source); }, [] {});
    }

    link source_;
    holder<T, completer>* target_;
};

}  // namespace detail

// Completes its future once. Move-only. submit_async() hands out others, whose future belongs to the task.
// Ownership: destroyed uncompleted, it fails the future with error(EXECQ_EBROKEN), or cancels it if that was asked for.
// Threads: any, one at a time. Blocks: never; what waits by on_done() or then() runs inside.
template <class T>
class promise {
public:
    // Errors: error(EXECQ_ENOMEM).
    promise() : block_(new detail::writer<T>), link_(block_->make_link()) {}
    promise(promise&& other) noexcept : block_(std::exchange(other.block_, nullptr)), link_(std::move(other.link_)) {}
    promise& operator=(promise other) noexcept
    {
        std::swap(block_, other.block_);
        std::swap(link_, other.link_);
        return *this;
    }
    ~promise()
    {
        if (block_ == nullptr)
            return;
        block_->abandon();
        if (link_)
            detail::count_as_told(link_);  // nobody ever asked for the future
    }

    // The future, to the first caller. Errors: error(EXECQ_EALREADY).
    future<T> get_future()
    {
        detail::check(link_ ? EXECQ_OK : EXECQ_EALREADY);
        return future<T>(std::move(link_));
    }

    // Has f() called, once, if the future is asked to cancel while the promise is open, or was asked already: where the
    // promise belongs to a task of submit_async(), on the thread of the loop that it was started on and never inside this
    // call; else on the thread that asks, or here. set_canceled() asks, too. A completion on another thread waits for f
    // while it runs.
    // Ownership: f is destroyed after it ran, or when it is certain that it will not, or inside the call where it fails.
    // Errors: error(EXECQ_EALREADY) (completed, or there is one), error(EXECQ_ENOMEM). What f throws is reported on stderr.
    template <class F>
    requires std::invocable<std::decay_t<F>>
    void on_cancel(F&& f)
    {
        using callable = std::decay_t<F>;
        detail::check(block_ != nullptr ? EXECQ_OK : EXECQ_EALREADY);
        auto* owned = new callable(std::forward<F>(f));
        detail::check(block_->on_cancel([](void* env) { std::invoke(std::move(*static_cast<callable*>(env))); }, owned,
                                        [](void* env) { delete static_cast<callable*>(env); }));
    }

    bool cancel_requested() const noexcept { return block_ != nullptr && block_->cancel_requested(); }

    // Each of these completes the future; false if it was completed before, and then the arguments are left alone, except
    // where that was not by this promise (the task of submit_async() threw, or lost its thread).
    // Where making the value throws, the promise is still open.
    template <class... Args>
    bool set_value(Args&&... args)
    {
        if (block_ == nullptr)
            return false;
        if constexpr (std::is_void_v<T>)
            static_assert(sizeof...(Args) == 0, "void has no value");
        else
            block_->make(std::forward<Args>(args)...);
        return give_up()->settle();
    }
    bool set_exception(std::exception_ptr thrown)
    {
        if (block_ == nullptr)
            return false;
        return give_up()->reject(std::move(thrown));
    }
    // As execq_promise_reject.
    bool set_error(std::int32_t code, const char* message = nullptr)
    {
        if (block_ == nullptr)
            return false;
        return give_up()->fail(code != EXECQ_OK ? code : EXECQ_EFAILED, message);
    }
    bool set_canceled()
    {
        if (block_ == nullptr)
            return false;
        return give_up()->end_canceled(EXECQ_REASON_NONE);
    }

    // For the parts of this library: takes the writing side's reference over.
    explicit promise(detail::holder<T, detail::completer>* writing) noexcept : block_(writing) {}

private:
    friend class future<T>;
    detail::holder<T, detail::completer>* give_up() noexcept { return std::exchange(block_, nullptr); }

    detail::holder<T, detail::completer>* block_;  // the writing side's reference; null once completed
    detail::link link_;                            // until get_future()
};

template <class T>
void future<T>::forward(promise<T>& target) &&
{
    detail::check(valid() ? EXECQ_OK : EXECQ_EINVAL);
    detail::link source = std::move(link_);
    auto* block = target.block_;
    detail::check(block != nullptr ? EXECQ_OK : EXECQ_EALREADY);
    detail::check(source.state() != block ? EXECQ_OK : EXECQ_EINVAL);
    detail::check(detail::forwarding<T>::begin(std::move(source), block));
    target.give_up();
}

}  // namespace execq

#endif
