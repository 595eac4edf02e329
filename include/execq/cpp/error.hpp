// What the C++ side throws, and how an exception is told to C.
#ifndef EXECQ_CPP_ERROR_HPP
#define EXECQ_CPP_ERROR_HPP

#include <chrono>
#include <cstdint>
#include <exception>
#include <execq/cpp/handle.hpp>
#include <execq/execq.h>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace execq {

// A failure with a code: of a call, of work that failed in C (execq_fail, EXECQ_EEXITED), of a promise that was dropped
// (EXECQ_EBROKEN). A body that throws one fails with this code, also as C sees it.
class EXECQ_API error : public std::runtime_error {
public:
    explicit error(std::int32_t code) : error(code, execq_status_text(code)) {}
    error(std::int32_t code, const std::string& message)
        : std::runtime_error(message), code_(code != EXECQ_OK ? code : EXECQ_EFAILED)
    {}
    // As C tells it, which is retained.
    explicit error(const execq_error* failure) : error(execq_error_code(failure), execq_error_message(failure))
    {
        execq_error_retain(failure);
        failure_ = detail::error_handle(failure);
    }

    // A status, or what the task returned; never 0.
    std::int32_t code() const noexcept { return code_; }
    // What led to it, as it was thrown where C++ threw it; null if that is not known.
    std::exception_ptr cause() const;

    // Borrowed; null unless C told of it.
    const execq_error* native() const noexcept { return failure_.get(); }

private:
    std::int32_t code_;
    detail::error_handle failure_;
};

// Who asked for a cancellation.
enum class cancel_reason : std::int32_t {
    none = EXECQ_REASON_NONE,
    caller = EXECQ_REASON_CALLER,
    deadline = EXECQ_REASON_DEADLINE,
    shutdown = EXECQ_REASON_SHUTDOWN,
    group = EXECQ_REASON_GROUP
};

// Work that was canceled. A body, a continuation or a coroutine throws one to end canceled; the body of a task that was
// not asked to stop fails with it.
class EXECQ_API canceled : public std::exception {
public:
    explicit canceled(cancel_reason reason = cancel_reason::none) noexcept : reason_(reason) {}

    const char* what() const noexcept override { return "canceled"; }
    cancel_reason reason() const noexcept { return reason_; }

private:
    cancel_reason reason_;
};

namespace detail {

inline void check(execq_status status)
{
    if (status != EXECQ_OK) [[unlikely]]
        throw error(status);
}

// pthread_exit unwinds the stack, and who catches that has to let it go on. Called inside catch (...); it is no C++
// exception, so there is no exception_ptr for it.
inline void let_thread_exit_pass()
{
    if (std::current_exception() == nullptr)
        throw;
}

// An exception as C sees it. An empty message is none.
struct description {
    std::int32_t code = EXECQ_EEXCEPTION;
    bool canceled = false;
    std::int32_t reason = EXECQ_REASON_NONE;
    std::string message;

    const char* text() const noexcept { return message.empty() ? nullptr : message.c_str(); }
};

inline description describe(const std::exception_ptr& thrown) noexcept
{
    description as;
    try {
        std::rethrow_exception(thrown);
    } catch (const canceled& end) {
        as.code = EXECQ_ECANCELED;
        as.canceled = true;
        as.reason = static_cast<std::int32_t>(end.reason());
    } catch (const error& failure) {
        as.code = failure.code();
        try {
            as.message = failure.what();
        } catch (...) {  // no memory: the code says enough
        }
    } catch (const std::exception& exception) {
        try {
            as.message = exception.what();
        } catch (...) {  // the same
        }
    } catch (...) {  // nothing to say
    }
    return as;
}

// An exception inside a C error: its payload, of a kind of its own.
#if defined(__SANITIZE_THREAD__)
#define EXECQ_SEEN_BY_TSAN
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define EXECQ_SEEN_BY_TSAN
#endif
#endif

struct payload {
    static inline const char kind = 0;  // only its address counts

    static void drop(void* thrown)
    {
#ifdef EXECQ_SEEN_BY_TSAN
        // Who drops an exception last frees it, also where another thread has just caught it. The standard library counts its
        // holders where ThreadSanitizer does not look, which would call that a race: so here it stays.
        static_cast<void>(thrown);
#else
        delete static_cast<std::exception_ptr*>(thrown);
#endif
    }
};

// A failure as an exception: the one that was thrown, where C only carried it.
inline std::exception_ptr exception_of(const execq_error* failure)
{
    const void* thrown = execq_error_payload(failure, &payload::kind);
    return thrown != nullptr ? *static_cast<const std::exception_ptr*>(thrown)
                             : std::make_exception_ptr(error(failure));
}

// What std::throw_with_nested put inside an exception; null if there is nothing.
inline std::exception_ptr nested_in(const std::exception_ptr& thrown) noexcept
{
    try {
        std::rethrow_exception(thrown);
    } catch (const std::nested_exception& outer) {
        return outer.nested_ptr();
    } catch (...) {
        return nullptr;
    }
}

// The C error that led to one that C told of before; it stays the cause.
inline const execq_error* cause_in(const std::exception_ptr& thrown) noexcept
{
    try {
        std::rethrow_exception(thrown);
    } catch (const error& failure) {
        const execq_error* cause = execq_error_cause(failure.native());
        execq_error_retain(cause);
        return cause;
    } catch (...) {
        return nullptr;
    }
}

// A C error with the exception for its payload; none where memory is out.
inline error_handle carry(const std::exception_ptr& thrown, const error_handle& cause)
{
    const description as = describe(thrown);
    execq_error_options options = EXECQ_ERROR_OPTIONS_INIT;
    options.drop = &payload::drop;
    options.payload = new std::exception_ptr(thrown);
    options.kind = &payload::kind;
    options.message = as.text();
    options.cause = cause.get();
    options.code = as.code;
    const execq_error* made = nullptr;
    return execq_error_new(&options, &made) == EXECQ_OK ? error_handle(made) : error_handle();
}

// The same with all that is nested in it, as causes.
inline error_handle carry(const std::exception_ptr& thrown) noexcept
{
    try {
        std::vector<std::exception_ptr> chain{thrown};
        while (const std::exception_ptr next = nested_in(chain.back()))
            chain.push_back(next);
        error_handle failure(cause_in(chain.back()));
        for (; !chain.empty(); chain.pop_back()) {
            failure = carry(chain.back(), failure);
            if (failure.get() == nullptr)
                break;
        }
        return failure;
    } catch (...) {  // no memory
        return {};
    }
}

// A duration as the C functions want it: rounded up, saturating; what is over already is 0, as negative means for ever.
template <class Rep, class Period>
constexpr std::int64_t to_ns(std::chrono::duration<Rep, Period> duration)
{
    using seconds = std::chrono::duration<double>;
    constexpr double longest = 9.2e9;  // some 292 years
    if (!(duration > duration.zero()))
        return 0;
    if (std::chrono::duration_cast<seconds>(duration).count() >= longest)
        return std::numeric_limits<std::int64_t>::max();
    return std::chrono::ceil<std::chrono::nanoseconds>(duration).count();
}

}  // namespace detail

inline std::exception_ptr error::cause() const
{
    const execq_error* cause = execq_error_cause(native());
    return cause != nullptr ? detail::exception_of(cause) : nullptr;
}

}  // namespace execq

#endif
