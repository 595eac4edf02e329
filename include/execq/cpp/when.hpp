// when_all and when_any: one future of several.
#ifndef EXECQ_CPP_WHEN_HPP
#define EXECQ_CPP_WHEN_HPP

#include <atomic>
#include <cstddef>
#include <execq/cpp/block.hpp>
#include <execq/cpp/future.hpp>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace execq {

// What when_any found: which one was done first, and all of them, that one included.
template <class T>
struct when_any_result {
    std::size_t index;
    std::vector<future<T>> futures;
};

namespace detail {

// Waits for several; a cancellation asks each of them.
template <class R>
class gathering : public holder<R, completer> {
public:
    link pass_cancel() override
    {
        for (const link& source : sources_)
            cancel(source);
        return {};
    }

protected:
    explicit gathering(std::vector<link> sources)
        : holder<R, completer>(gathering::drop_result), sources_(std::move(sources))
    {}

    const std::vector<link> sources_;  // as long as this lives, since a cancellation may come at any time
};

// Registers with each; one that cannot be told of its end is waited for no longer than that failure.
inline execq_status listen_to(const std::vector<link>& sources, execq_done_fn done, void* env)
{
    execq_status refused = EXECQ_OK;
    for (const link& source : sources) {
        const execq_status status = execq_future_on_done(source.future(), done, env, nullptr);
        if (status != EXECQ_OK) {
            refused = status;
            done(nullptr, env);
        }
    }
    return refused;
}

// Combine: R(const std::vector<link>&), called once all have a value.
template <class R, class Combine>
class all_block final : public gathering<R> {
public:
    all_block(std::vector<link> sources, Combine combine)
        : gathering<R>(std::move(sources)), combine_(std::move(combine)), open_(this->sources_.size() + 1)
    {}

    void begin()
    {
        const execq_status status = listen_to(this->sources_, one_done, this);
        if (status != EXECQ_OK)
            refused_ = status;
        one_done(nullptr, this);  // all are registered
    }

private:
    static void one_done(execq_future* done, void* env)
    {
        auto& self = *static_cast<all_block*>(env);
        execq_future* none = nullptr;
        if (done != nullptr && execq_future_state(done) != EXECQ_FUTURE_OK)
            self.first_failed_.compare_exchange_strong(none, done, std::memory_order_relaxed);
        if (self.open_.fetch_sub(1, std::memory_order_acq_rel) == 1)
            self.end();
    }
    void end()
    {
        // relaxed: the count orders it.
        const execq_future* failed = first_failed_.load(std::memory_order_relaxed);
        if (refused_ != EXECQ_OK)
            return void(this->fail(refused_, nullptr));
        if (failed == nullptr)
            return combine();
        const link* first = nullptr;
        for (const link& source : this->sources_) {
            execq_future_error(source.future());  // each failure counts as seen
            if (source.future() == failed)
                first = &source;
        }
        const link kept = *first;
        this->follow(kept);
    }
    void combine()
    {
        complete_by(
            *this, [this]() -> R { return combine_(this->sources_); }, [] {});
    }

    Combine combine_;
    execq_status refused_ = EXECQ_OK;
    // The failure that came first; each one_done tries, end() reads.
    std::atomic<execq_future*> first_failed_{nullptr};
    // Those not done yet, and begin(); who takes the last calls end().
    std::atomic<std::size_t> open_;
};

template <class T>
class any_block final : public gathering<when_any_result<T>> {
public:
    explicit any_block(std::vector<link> sources, std::vector<future<T>> futures)
        : gathering<when_any_result<T>>(std::move(sources)), futures_(std::move(futures))
    {
        for (std::size_t i = 0; i < this->sources_.size(); ++i)
            this->retain();  // for each registration
    }

    void begin()
    {
        const execq_status status = listen_to(this->sources_, one_done, this);
        if (status != EXECQ_OK)
            return refuse(status);
        meet();
    }

private:
    static void one_done(execq_future* done, void* env)
    {
        auto& self = *static_cast<any_block*>(env);
        execq_future* none = nullptr;
        if (done != nullptr && self.first_.compare_exchange_strong(none, done, std::memory_order_acq_rel))
            self.meet();
        self.release();
    }
    // Where nothing else is the first, this is, and nobody will call meet() any more.
    void refuse(execq_status status)
    {
        execq_future* none = nullptr;
        if (!first_.compare_exchange_strong(none, this->sources_.front().future(), std::memory_order_acq_rel))
            return meet();
        refused_ = status;
        end();
    }
    // Called twice: by the first that is done, and by begin() when all are registered.
    void meet()
    {
        if (met_.exchange(true, std::memory_order_acq_rel))
            end();
    }
    void end()
    {
        if (refused_ != EXECQ_OK)
            return void(this->fail(refused_, nullptr));
        std::size_t index = 0;
        while (this->sources_[index].future() != first_.load(std::memory_order_relaxed))
            ++index;
        this->make(when_any_result<T>{index, std::move(futures_)});
        this->settle();
    }

    std::vector<future<T>> futures_;
    execq_status refused_ = EXECQ_OK;
    // The one that was done first; set once by its one_done.
    std::atomic<execq_future*> first_{nullptr};
    // Whether meet() was called before.
    std::atomic<bool> met_{false};
};

template <class T>
std::vector<link> links_of(const std::vector<future<T>>& futures)
{
    std::vector<link> links;
    links.reserve(futures.size());
    for (const future<T>& each : futures) {
        check(each.valid() ? EXECQ_OK : EXECQ_EINVAL);
        links.push_back(each.outcome());
    }
    return links;
}

template <class T>
auto value_or_monostate(const link& done)
{
    if constexpr (std::is_void_v<T>)
        return std::monostate{};
    else
        return take<T>(done);
}

template <class R, class Combine>
future<R> gather(std::vector<link> sources, Combine combine)
{
    auto* block = new all_block<R, Combine>(std::move(sources), std::move(combine));
    future<R> result(block->make_link());
    block->begin();
    return result;
}

}  // namespace detail

// All values, once all are done; or else the failure or cancellation that came first. A void has std::monostate.
// Cancelling the result cancels each. Errors: error(EXECQ_EINVAL) (an empty future), error(EXECQ_ENOMEM).
template <class... Ts>
requires(sizeof...(Ts) > 0) auto when_all(future<Ts>... futures)
{
    using values = decltype(std::tuple(detail::value_or_monostate<Ts>(futures.outcome())...));
    (detail::check(futures.valid() ? EXECQ_OK : EXECQ_EINVAL), ...);
    const auto combine = []<std::size_t... I>(const std::vector<detail::link>& done, std::index_sequence<I...>)
    {
        return values(detail::value_or_monostate<Ts>(done[I])...);
    };
    return detail::gather<values>({std::move(futures).outcome()...}, [combine](const std::vector<detail::link>& done) {
        return combine(done, std::index_sequence_for<Ts...>());
    });
}

// The same for any number of one type: a future<std::vector<T>>, or future<void> for void. None are done at once.
template <class T>
auto when_all(std::vector<future<T>> futures)
{
    if constexpr (std::is_void_v<T>) {
        return detail::gather<void>(detail::links_of(futures), [](const std::vector<detail::link>&) {});
    } else {
        return detail::gather<std::vector<T>>(detail::links_of(futures), [](const std::vector<detail::link>& done) {
            std::vector<T> values;
            values.reserve(done.size());
            for (const detail::link& each : done)
                values.push_back(detail::take<T>(each));
            return values;
        });
    }
}

// Which one was done first, whatever its outcome, with all of them. Cancelling the result cancels each.
// Errors: error(EXECQ_EINVAL) (none, or an empty one), error(EXECQ_ENOMEM).
template <class T>
future<when_any_result<T>> when_any(std::vector<future<T>> futures)
{
    detail::check(futures.empty() ? EXECQ_EINVAL : EXECQ_OK);
    std::vector<detail::link> sources = detail::links_of(futures);
    auto* block = new detail::any_block<T>(std::move(sources), std::move(futures));
    future<when_any_result<T>> result(block->make_link());
    block->begin();
    return result;
}

}  // namespace execq

#endif
