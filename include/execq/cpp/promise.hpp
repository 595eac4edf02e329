// promise<T>: the writing side of a future, for work that completes later.
#ifndef EXECQ_CPP_PROMISE_HPP
#define EXECQ_CPP_PROMISE_HPP

#include <execq/cpp/block.hpp>
#include <execq/cpp/future.hpp>
#include <utility>

namespace execq {

namespace detail {

template <class T>
class writer final : public holder<T, completer> {
public:
    writer() : holder<T, completer>(writer::drop_result) {}
};

}  // namespace detail

// Completes its future once. Move-only.
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
        if (block_ != nullptr)
            block_->abandon();
    }

    // The future, to the first caller. Errors: error(EXECQ_EALREADY).
    future<T> get_future()
    {
        detail::check(link_ ? EXECQ_OK : EXECQ_EALREADY);
        return future<T>(std::move(link_));
    }

    bool cancel_requested() const noexcept { return block_ != nullptr && block_->cancel_requested(); }

    // Each of these completes the future; false if it was completed before, and then the arguments are left alone.
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
        give_up()->settle();
        return true;
    }
    bool set_exception(std::exception_ptr thrown)
    {
        if (block_ == nullptr)
            return false;
        give_up()->reject(std::move(thrown));
        return true;
    }
    // As execq_promise_reject.
    bool set_error(std::int32_t code, const char* message = nullptr)
    {
        if (block_ == nullptr)
            return false;
        give_up()->fail(code != EXECQ_OK ? code : EXECQ_EFAILED, message);
        return true;
    }
    bool set_canceled()
    {
        if (block_ == nullptr)
            return false;
        give_up()->end_canceled(EXECQ_REASON_NONE);
        return true;
    }

private:
    detail::writer<T>* give_up() noexcept { return std::exchange(block_, nullptr); }

    detail::writer<T>* block_;  // the writing side's reference; null once completed
    detail::link link_;         // until get_future()
};

}  // namespace execq

#endif
