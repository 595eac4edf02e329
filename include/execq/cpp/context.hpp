// Contexts: variables that follow the work.
#ifndef EXECQ_CPP_CONTEXT_HPP
#define EXECQ_CPP_CONTEXT_HPP

#include <atomic>
#include <concepts>
#include <cstdint>
#include <exception>
#include <execq/cpp/error.hpp>
#include <execq/cpp/handle.hpp>
#include <execq/execq.h>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

namespace execq {
namespace detail {

using context_handle = handle<execq_context, execq_context_retain, execq_context_release>;
using var_handle = handle<execq_var, execq_var_retain, execq_var_release>;

// Calls f() under a context. What f throws passes.
template <class F>
void run_under(execq_context* context, F&& f)
{
    struct call {
        F& f;
        std::exception_ptr thrown;

        static void run(void* env)
        {
            auto& self = *static_cast<call*>(env);
            try {
                self.f();
            } catch (...) {
                let_thread_exit_pass();
                self.thrown = std::current_exception();
            }
        }
    };
    call made{f, nullptr};
    const execq_status status = execq_context_run(context, call::run, &made);
    if (made.thrown != nullptr)
        std::rethrow_exception(std::move(made.thrown));
    check(status);
}

// The same for what has to go on in any case: where the context cannot be entered, f() runs without it.
template <class F>
void run_anyhow_under(execq_context* context, F&& f)
{
    bool called = false;
    try {
        run_under(context, [&] {
            called = true;
            f();
        });
    } catch (const error&) {
        if (called)
            throw;
        f();
    }
}
// What is active, for who can do without.
inline context_handle capture_if_possible() noexcept
{
    execq_context* captured = EXECQ_CONTEXT_EMPTY;
    execq_context_capture(&captured);
    return context_handle(captured);
}

// A value that contexts share.
template <class T>
struct value_box {
    explicit value_box(T&& given) : value(std::move(given)) {}

    void retain() noexcept { references.fetch_add(1, std::memory_order_relaxed); }
    // None: nothing to do.
    static void release(void* box) noexcept
    {
        auto* self = static_cast<value_box*>(box);
        if (self != nullptr && self->references.fetch_sub(1, std::memory_order_acq_rel) == 1)
            delete self;
    }

    // Counted by the values of the C variable and by scoped_set; the last one deletes.
    std::atomic<std::uint32_t> references{1};
    const T value;
};

}  // namespace detail

// An immutable snapshot of variables. A copy is another reference to it; a default one is empty.
// Threads: any. Blocks: never, but run() as f does.
class context {
public:
    context() noexcept = default;
    // What is active on this thread now. Errors: as execq_context_capture.
    static context capture()
    {
        execq_context* captured = nullptr;
        detail::check(execq_context_capture(&captured));
        return adopt(captured);
    }
    // Takes the caller's reference over.
    static context adopt(execq_context* owned) noexcept
    {
        context adopted;
        adopted.handle_ = detail::context_handle(owned);
        return adopted;
    }

    // Calls f() with this active, and gives what it returns. What f sets is gone behind it.
    // Errors: what f throws; error, where a foreign context cannot be entered.
    template <std::invocable F>
    std::invoke_result_t<F> run(F&& f) const
    {
        using R = std::invoke_result_t<F>;
        if constexpr (std::is_void_v<R>) {
            detail::run_under(native(), [&] { std::invoke(std::forward<F>(f)); });
        } else if constexpr (std::is_reference_v<R>) {
            std::add_pointer_t<R> result = nullptr;
            detail::run_under(native(), [&] {
                auto&& given = std::invoke(std::forward<F>(f));
                result = std::addressof(given);
            });
            return static_cast<R>(*result);
        } else {
            std::optional<R> result;
            detail::run_under(native(), [&] { result.emplace(std::invoke(std::forward<F>(f))); });
            return *std::move(result);
        }
    }

    // Never null.
    execq_context* native() const noexcept { return handle_.get() != nullptr ? handle_.get() : EXECQ_CONTEXT_EMPTY; }

private:
    detail::context_handle handle_;
};

template <class T>
class scoped_set;

// A variable of contexts. A copy is another reference to the same one; values are copied out.
// Threads: any; set() and get() are about the calling thread's active context. Blocks: never.
template <class T>
class var {
    static_assert(std::copy_constructible<T>);

public:
    // The name is for people who debug. Errors: error(EXECQ_ENOMEM).
    explicit var(const char* name = nullptr)
    {
        execq_var_options options = EXECQ_VAR_OPTIONS_INIT;
        options.drop = &box::release;
        options.name = name;
        execq_var* made = nullptr;
        detail::check(execq_var_new(&options, &made));
        handle_ = detail::var_handle(made);
    }

    // None where it is not set.
    std::optional<T> get() const
    {
        const box* found = find();
        return found != nullptr ? std::optional<T>(found->value) : std::nullopt;
    }
    T get_or(T otherwise) const
    {
        const box* found = find();
        return found != nullptr ? found->value : std::move(otherwise);
    }
    // Until the end of the task or callback that this runs in, or of context::run. See scoped_set for less.
    // Errors: error(EXECQ_ENOMEM).
    void set(T value) const
    {
        auto* made = new box(std::move(value));
        const execq_status status = execq_var_set(native(), made, nullptr);
        if (status != EXECQ_OK)
            box::release(made);
        detail::check(status);
    }

    execq_var* native() const noexcept { return handle_.get(); }

private:
    friend class scoped_set<T>;
    using box = detail::value_box<T>;

    box* find() const noexcept
    {
        void* found = nullptr;
        execq_var_get(native(), &found);
        return static_cast<box*>(found);
    }

    detail::var_handle handle_;
};

// Sets a variable for as long as it lives: scoped_set user(name, "alice"). Behind it the variable is what it was.
// Threads: ends where it began; in a task<T> it may live across a co_await.
template <class T>
class [[nodiscard]] scoped_set {
public:
    // Errors: error(EXECQ_ENOMEM).
    scoped_set(const var<T>& variable, std::type_identity_t<T> value) : var_(variable), before_(variable.find())
    {
        auto* made = new box(std::move(value));
        const execq_status status = execq_var_set(var_.native(), made, &token_);
        if (status != EXECQ_OK)
            box::release(made);
        detail::check(status);
        if (before_ != nullptr)
            before_->retain();
    }
    scoped_set(const scoped_set&) = delete;
    scoped_set& operator=(const scoped_set&) = delete;
    ~scoped_set()
    {
        // A coroutine that has been elsewhere meanwhile has no use for the token: null stands for no value.
        const bool moved = execq_var_reset(var_.native(), token_) == EXECQ_EINVAL;
        if (!moved || execq_var_set(var_.native(), before_, nullptr) != EXECQ_OK)
            box::release(before_);
    }

private:
    using box = detail::value_box<T>;

    const var<T> var_;
    box* before_;  // with one reference
    execq_var_token token_ = 0;
};

}  // namespace execq

#endif
