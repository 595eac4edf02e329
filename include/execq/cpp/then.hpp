// future<T>::then: one block a link, which is the continuation and the state of its own future.
#ifndef EXECQ_CPP_THEN_HPP
#define EXECQ_CPP_THEN_HPP

#include <execq/cpp/block.hpp>
#include <execq/cpp/executor.hpp>
#include <execq/cpp/future.hpp>
#include <execq/cpp/loop.hpp>
#include <functional>
#include <optional>
#include <utility>

namespace execq {
namespace detail {

// Calls f once what it continues is done, on the thread that completes it.
template <class T, class F>
class continuation : public holder<continued_t<T, F>, completer> {
public:
    using result = continued_t<T, F>;

    template <class G>
    continuation(link source, G&& f)
        : holder<result, completer>(continuation::drop_result), f_(std::in_place, std::forward<G>(f))
    {
        source_.set(std::move(source));
    }

    link pass_cancel() override { return source_.get(); }

    static void deliver(execq_future*, void* env)
    {
        auto& self = *static_cast<continuation*>(env);
        self.run(self.source_.take());
    }

    // Ends without f having run: a registration or a submission was refused.
    void lose(execq_status status)
    {
        source_.take();
        f_.reset();
        this->fail(status, nullptr);
    }

protected:
    // False: f has nothing to do, and what it continues is passed on.
    bool wanted(const link& source) const noexcept
    {
        const bool called = !takes_value<T, F> || execq_future_state(source.future()) == EXECQ_FUTURE_OK;
        return called && !this->cancel_requested();
    }

    // The end of this block, as far as its own side goes.
    void run(link source)
    {
        if (!wanted(source)) {
            f_.reset();
            if (this->cancel_requested())
                this->end_canceled(EXECQ_REASON_NONE);
            else
                this->follow(source);
            return;
        }
        complete_by(
            *this, [&]() -> decltype(auto) { return call(std::move(source)); }, [this] { f_.reset(); });
    }
    void lose(const link& cause)
    {
        source_.take();
        f_.reset();
        this->follow(cause);
    }

    awaited source_;  // what is waited for

private:
    decltype(auto) call(link source)
    {
        if constexpr (!takes_value<T, F>)
            return std::invoke(std::move(*f_), future<T>(std::move(source)));
        else if constexpr (std::is_void_v<T>)
            return std::invoke(std::move(*f_));
        else
            return std::invoke(std::move(*f_), take<T>(source));
    }

    std::optional<F> f_;  // until it ran, or never will
};

// The same on a worker.
template <class T, class F>
class worker_continuation final : public continuation<T, F> {
public:
    template <class G>
    worker_continuation(link source, const executor& where, G&& f)
        : continuation<T, F>(std::move(source), std::forward<G>(f)), executor_(where)
    {}

    static void deliver(execq_future*, void* env)
    {
        auto& self = *static_cast<worker_continuation*>(env);
        self.done_ = self.source_.take();
        if (self.wanted(self.done_))
            self.submit();
        else
            self.run(std::move(self.done_));
    }

private:
    void submit()
    {
        execq_status status = EXECQ_OK;
        const executor where = executor_;  // from the submission on, this may be gone
        const link task = this->source_.submit(where.native(), body, this, status);
        if (status == EXECQ_OK)
            watch(task, ended, this);
        else
            this->lose(status);
    }
    static std::int32_t body(void* env, void**)
    {
        auto& self = *static_cast<worker_continuation*>(env);
        self.source_.take();
        self.run(std::move(self.done_));
        return 0;
    }
    // Only where the body never ran is there still something to complete.
    static void ended(execq_future* task, void* env)
    {
        if (execq_future_state(task) != EXECQ_FUTURE_CANCELED)
            return;
        auto& self = *static_cast<worker_continuation*>(env);
        self.done_ = {};
        execq_future_retain(task);
        self.lose(link(task, nullptr));
    }

    executor executor_;
    link done_;  // between the completion and the worker
};

// The same on a loop's thread. C's registration has a reference of its own, given up by withdraw().
template <class T, class F>
class loop_continuation final : public continuation<T, F> {
public:
    template <class G>
    loop_continuation(link source, G&& f) : continuation<T, F>(std::move(source), std::forward<G>(f))
    {
        this->retain();
    }

    static void deliver(execq_future*, void* env)
    {
        auto& self = *static_cast<loop_continuation*>(env);
        self.delivered_ = true;
        self.run(self.source_.take());
    }
    static void withdraw(void* env)
    {
        auto& self = *static_cast<loop_continuation*>(env);
        if (!self.delivered_)
            self.lose(EXECQ_ECLOSED);
        self.release();
    }

private:
    bool delivered_ = false;  // of the thread that delivers, then withdraws
};

// Registers a continuation with what it continues, which it owns.
template <class Block>
future<typename Block::result> begin(const future_handle& source, Block* block)
{
    future<typename Block::result> result(block->make_link());
    const execq_status status = execq_future_on_done(source.get(), Block::deliver, block, nullptr);
    if (status != EXECQ_OK) {
        block->lose(status);
        count_as_told(result.outcome());
        throw error(status);
    }
    return result;
}

}  // namespace detail

template <class T>
template <class F>
auto future<T>::then(F&& f) && -> future<detail::continued_t<T, std::decay_t<F>>>
{
    detail::check(valid() ? EXECQ_OK : EXECQ_EINVAL);
    const detail::future_handle source = link_.handle();
    using block = detail::continuation<T, std::decay_t<F>>;
    return detail::begin(source, new block(std::move(link_), std::forward<F>(f)));
}

template <class T>
template <class F>
auto future<T>::then(const executor& where, F&& f) && -> future<detail::continued_t<T, std::decay_t<F>>>
{
    detail::check(valid() ? EXECQ_OK : EXECQ_EINVAL);
    const detail::future_handle source = link_.handle();
    using block = detail::worker_continuation<T, std::decay_t<F>>;
    return detail::begin(source, new block(std::move(link_), where, std::forward<F>(f)));
}

template <class T>
template <class F>
auto future<T>::then(const loop& where, F&& f) && -> future<detail::continued_t<T, std::decay_t<F>>>
{
    detail::check(valid() ? EXECQ_OK : EXECQ_EINVAL);
    const detail::future_handle source = link_.handle();
    using block = detail::loop_continuation<T, std::decay_t<F>>;
    auto* made = new block(std::move(link_), std::forward<F>(f));
    future<typename block::result> result(made->make_link());
    // Where it is refused, withdraw() has ended the block.
    const execq_status status =
        execq_future_on_loop(source.get(), where.native(), block::deliver, made, block::withdraw);
    if (status != EXECQ_OK)
        detail::count_as_told(result.outcome());
    detail::check(status);
    return result;
}

}  // namespace execq

#endif
