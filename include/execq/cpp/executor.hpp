// Executors: submission of callables.
#ifndef EXECQ_CPP_EXECUTOR_HPP
#define EXECQ_CPP_EXECUTOR_HPP

#include <array>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <exception>
#include <execq/cpp/block.hpp>
#include <execq/cpp/context.hpp>
#include <execq/cpp/future.hpp>
#include <execq/cpp/observe.hpp>
#include <execq/cpp/stats.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace execq {

// What a submission does that finds its executor full, as EXECQ_FULL_….
enum class full_policy : std::uint32_t {
    reject = EXECQ_FULL_REJECT,           // error(EXECQ_EFULL)
    block = EXECQ_FULL_BLOCK,             // waits for room; error(EXECQ_ECLOSED) once it is closed
    caller_runs = EXECQ_FULL_CALLER_RUNS  // the calling thread runs the task itself
};

enum class priority : std::int32_t {
    low = EXECQ_PRIORITY_LOW,
    normal = EXECQ_PRIORITY_NORMAL,
    high = EXECQ_PRIORITY_HIGH
};
template <class T>
class promise;

// As execq_executor_options; 0 is the default of each.
struct executor_options {
    const char* name = nullptr;
    std::uint32_t max_threads = 0;
    std::uint32_t min_threads = 0;
    std::chrono::nanoseconds keepalive{0};
    std::uint32_t loop_workers = 0;
    std::uint32_t reserved_loop_workers = 0;
    const execq_uv_table* uv_table = nullptr;  // copied
    std::uint32_t capacity = 0;                // tasks that may be accepted and not started; 0: any number
    full_policy when_full = full_policy::reject;
    std::int32_t max_spares = 0;  // threads in the place of those that are blocked; negative: none
    bool times = false;           // counts how tasks end, and how long they wait and run: stats(), quantiles()
    task_hooks hooks = {};        // called for each task; copied
    std::chrono::nanoseconds stuck_after{0};  // what takes longer is told to on_stuck; 0: nothing is
    stuck_hook on_stuck = {};                 // empty: a line on stderr; copied
    // Called on each thread at its start and its end; moved into the executor, and destroyed when that is freed, or in the
    // constructor that fails. What thread_init throws breaks the executor: see execq_thread_init_fn.
    std::function<void()> thread_init = {};
    std::function<void()> thread_final = {};
    std::size_t stack_size = 0;                // bytes
    std::vector<std::uint32_t> affinity = {};  // numbers of processors; empty: any
};

// As execq_task_options: what is left for C++ to choose. A time that is not above 0 is due already; none is unset.
struct task_options {
    const char* name = nullptr;  // shown in reports; copied
    // Not started before; canceled by a close before that.
    std::optional<std::chrono::nanoseconds> delay = {};
    // Canceled (reason deadline) if not started by then.
    std::optional<std::chrono::nanoseconds> start_within = {};
    // Canceled, or asked to stop (reason deadline), if not done by then.
    std::optional<std::chrono::nanoseconds> timeout = {};
    // What uv_version_string() returns: submit_async() then refuses a loop of another libuv.
    const char* uv_identity = nullptr;
    execq::priority priority = execq::priority::normal;
    bool no_wait = false;                     // error(EXECQ_EFULL) where the executor is full, whatever its policy
    bool interrupt = false;                   // a blocked system call returns EINTR where it is asked to stop
    execq_queue* queue = nullptr;             // goes through it; queue.hpp does so by itself
    std::uint64_t key = 0;                    // shares its turns there
    const execq::context* context = nullptr;  // active in the task; null: what is active in the caller
    execq_cancel_source* cancel = nullptr;    // cancels it; see cancel.hpp
};

// From where the period of submit_periodic() is counted: from when the run before was due, or from when it ended.
enum class period_mode : std::int32_t { fixed_rate = EXECQ_FIXED_RATE, fixed_delay = EXECQ_FIXED_DELAY };

enum class close_mode : std::int32_t { drain = EXECQ_DRAIN, cancel = EXECQ_CANCEL };

struct running_task {
    std::string name;
    std::chrono::nanoseconds running{0};
};

// What a join found, as execq_shutdown_report.
struct shutdown_report {
    std::vector<running_task> running;  // the first 64
    std::uint64_t running_total = 0;
    std::uint64_t queued = 0;
    std::uint64_t threads = 0;
    std::uint64_t left_loops = 0;    // of threads that have ended with the user's handles on them
    std::uint64_t left_handles = 0;  // the handles on these
};

namespace detail {

// What the threads of an executor begin and end with, as its thread_env.
struct thread_calls {
    std::function<void()> init;
    std::function<void()> final;

    static std::int32_t call_init(void* env)
    {
        if (auto& self = *static_cast<thread_calls*>(env); self.init)
            self.init();  // what it throws goes to C, which knows what to do with it
        return EXECQ_OK;
    }
    static void call_final(void* env)
    {
        if (auto& self = *static_cast<thread_calls*>(env); self.final)
            self.final();
    }
    static void drop(void* env) { delete static_cast<thread_calls*>(env); }
};

// What a body returns for its exception, which C then carries.
inline std::int32_t fail_with(const std::exception_ptr& thrown)
{
    const error_handle failure = carry(thrown);
    return failure.get() != nullptr ? execq_fail_error(failure.get()) : describe(thrown).code;
}

// A callable on its way to a worker, and what it returns. As the task's env it has one reference, which drop() gives up
// unless there is a value for C to keep.
template <class R, class F>
class task_block final : public holder<R, block> {
public:
    template <class G>
    explicit task_block(G&& f) : f_(std::in_place, std::forward<G>(f))
    {}

    static std::int32_t body(void* env, void** result)
    {
        auto& self = *static_cast<task_block*>(env);
        try {
            self.fill([&]() -> decltype(auto) { return std::invoke(std::move(*self.f_)); });
        } catch (...) {
            let_thread_exit_pass();
            self.exception = std::current_exception();
        }
        if (self.exception == nullptr) {
            *result = self.value;
            return EXECQ_OK;
        }
        return fail_with(self.exception);
    }
    static void drop(void* env)
    {
        auto& self = *static_cast<task_block*>(env);
        self.f_.reset();
        if (self.value == nullptr)
            self.release();
    }

private:
    std::optional<F> f_;
};

// A callable that is called again and again; what it returns is dropped.
template <class F>
class series_block final : public block {
public:
    template <class G>
    explicit series_block(G&& f) : f_(std::in_place, std::forward<G>(f))
    {}

    static std::int32_t body(void* env, void**)
    {
        auto& self = *static_cast<series_block*>(env);
        try {
            static_cast<void>(std::invoke(*self.f_));
        } catch (...) {
            let_thread_exit_pass();
            self.exception = std::current_exception();
        }
        return self.exception == nullptr ? EXECQ_OK : fail_with(self.exception);
    }
    static void drop(void* env)
    {
        auto& self = *static_cast<series_block*>(env);
        self.f_.reset();
        self.release();
    }

private:
    std::optional<F> f_;
};

template <class F, class... Args>
auto bind(F&& f, Args&&... args)
{
    if constexpr (sizeof...(Args) == 0)
        return std::decay_t<F>(std::forward<F>(f));
    else
        return [f = std::decay_t<F>(std::forward<F>(f)),
                args = std::tuple<std::decay_t<Args>...>(std::forward<Args>(args)...)]() mutable -> decltype(auto) {
            return std::apply(std::move(f), std::move(args));
        };
}

// A time as the options want it: 0 is unset there.
inline std::int64_t option_ns(std::optional<std::chrono::nanoseconds> time) noexcept
{
    return !time ? 0 : time->count() > 0 ? time->count() : -1;
}
inline execq_task_options c_options(const task_options& chosen, execq_drop_fn drop, execq_drop_fn drop_result) noexcept
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = drop;
    options.drop_result = drop_result;
    options.name = chosen.name;
    options.delay_ns = option_ns(chosen.delay);
    options.start_within_ns = option_ns(chosen.start_within);
    options.timeout_ns = option_ns(chosen.timeout);
    options.uv_identity = chosen.uv_identity;
    options.priority = static_cast<std::int32_t>(chosen.priority);
    options.flags = chosen.no_wait ? EXECQ_TASK_NO_WAIT : 0;
    if (chosen.interrupt)
        options.flags |= EXECQ_TASK_INTERRUPT;
    options.queue = chosen.queue;
    options.key = chosen.key;
    options.cancel_source = chosen.cancel;
    options.context = chosen.context != nullptr ? chosen.context->native() : nullptr;
    return options;
}

// Hands f in: enlist(options, body, env, out), where the future is wanted.
template <class R, class F, class Enlist>
future<R> submit_by(const Enlist& enlist, const task_options& chosen, F&& f, bool wants_future)
{
    using work = task_block<R, std::decay_t<F>>;
    const execq_task_options options = c_options(chosen, &work::drop, work::drop_result);
    auto* task = new work(std::forward<F>(f));
    task->retain();  // for the future
    execq_future* made = nullptr;
    const execq_status status = enlist(&options, work::body, task, wants_future ? &made : nullptr);
    link outcome(made, task);
    check(status);
    return future<R>(std::move(outcome));
}
// An executor of null is resolved by C.
template <class R, class F>
future<R> submit(execq_executor* executor, const task_options& chosen, F&& f, bool wants_future)
{
    return submit_by<R>([executor](const execq_task_options* options, execq_fn body, void* env,
                                   execq_future** out) { return execq_submit_with(executor, options, body, env, out); },
                        chosen, std::forward<F>(f), wants_future);
}

// How an asynchronous task is handed in.
using enlist_async = execq_status (*)(void* where, const execq_task_options* options, execq_async_fn start, void* env,
                                      execq_future** out);
inline execq_status enlist_on_executor(void* where, const execq_task_options* options, execq_async_fn start, void* env,
                                       execq_future** out)
{
    return execq_submit_async(static_cast<execq_executor*>(where), options, start, env, out);
}
// See async.hpp.
template <class F>
struct async_traits;
template <class F>
future<typename async_traits<std::decay_t<F>>::value> submit_async(enlist_async enlist, void* where,
                                                                   const task_options& options, F&& f);
template <class T, class F>
future<T> submit_async_as(enlist_async enlist, void* where, const task_options& options, F&& f);

template <class F>
future<void> submit_periodic(execq_executor* executor, const task_options& chosen, std::int64_t period_ns,
                             period_mode mode, F&& f)
{
    using work = series_block<std::decay_t<F>>;
    const execq_task_options options = c_options(chosen, &work::drop, nullptr);
    auto* series = new work(std::forward<F>(f));
    series->retain();  // for the future
    execq_future* made = nullptr;
    const execq_status status = execq_submit_periodic(executor, &options, period_ns, static_cast<std::int32_t>(mode),
                                                      work::body, series, &made);
    link outcome(made, series);
    check(status);
    return future<void>(std::move(outcome));
}

}  // namespace detail

template <class F, class... Args>
concept submittable = std::invocable<std::decay_t<F>, std::decay_t<Args>...>;
template <class F, class... Args>
using submitted_t = std::decay_t<std::invoke_result_t<std::decay_t<F>, std::decay_t<Args>...>>;

// A pool of worker threads. A copy is another reference to the same pool. One that was moved from answers EXECQ_EINVAL.
// Ownership: the last reference closes it with a drain and does not wait. Threads: any. Blocks: join() only.
class executor {
public:
    // Errors: as execq_executor_new.
    explicit executor(executor_options chosen = {})
    {
        execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
        options.name = chosen.name;
        options.max_threads = chosen.max_threads;
        options.min_threads = chosen.min_threads;
        options.keepalive_ns = chosen.keepalive.count();
        options.loop_workers = chosen.loop_workers;
        options.reserved_loop_workers = chosen.reserved_loop_workers;
        options.uv_table = chosen.uv_table;
        options.capacity = chosen.capacity;
        options.full_policy = static_cast<std::uint32_t>(chosen.when_full);
        options.max_spares = chosen.max_spares;
        options.flags = chosen.times ? EXECQ_EXECUTOR_TIMES : 0;
        options.stuck_after_ns = chosen.stuck_after.count();
        auto calls = chosen.thread_init || chosen.thread_final
                         ? std::make_unique<detail::thread_calls>(
                               detail::thread_calls{std::move(chosen.thread_init), std::move(chosen.thread_final)})
                         : nullptr;
        auto stuck = chosen.on_stuck ? std::make_unique<stuck_hook>(chosen.on_stuck) : nullptr;
        const execq_hooks hooks = detail::c_hooks(chosen.hooks);
        options.hooks = hooks.env != nullptr ? &hooks : nullptr;
        detail::set_stuck(options, stuck);
        options.stack_size = chosen.stack_size;
        options.affinity = chosen.affinity.empty() ? nullptr : chosen.affinity.data();
        options.affinity_count = static_cast<std::uint32_t>(chosen.affinity.size());
        if (calls != nullptr) {
            options.thread_env = calls.release();
            options.thread_init = &detail::thread_calls::call_init;
            options.thread_final = &detail::thread_calls::call_final;
            options.thread_drop = &detail::thread_calls::drop;
        }
        execq_executor* made = nullptr;
        detail::check(execq_executor_new(&options, &made));
        handle_ = detail::executor_handle(made);
    }
    // What a null executor stands for now: the configured one, else the library's own.
    static executor default_executor()
    {
        execq_executor* found = nullptr;
        detail::check(execq_executor_default(&found));
        return adopt(found);
    }
    // Takes the caller's reference over.
    static executor adopt(execq_executor* owned) noexcept { return executor(detail::executor_handle(owned)); }

    // Runs f(args...) on a worker. Everything is moved or copied (a reference with std::ref) and passed on as rvalues.
    // Ownership: f and its arguments are destroyed before the future is done, and inside the call where it is refused.
    // Errors: error, as execq_submit; error(EXECQ_ECLOSED) once the executor is closed.
    template <class F, class... Args>
    requires submittable<F, Args...> future<submitted_t<F, Args...>> submit(F&& f, Args&&... args)
    const { return submit(task_options{}, std::forward<F>(f), std::forward<Args>(args)...); }
    template <class F, class... Args>
    requires submittable<F, Args...> future<submitted_t<F, Args...>> submit(const task_options& options, F&& f,
                                                                            Args&&... args)
    const
    {
        return detail::submit<submitted_t<F, Args...>>(
            open(), options, detail::bind(std::forward<F>(f), std::forward<Args>(args)...), true);
    }
    // The same, fire and forget: what it returns is dropped, what it throws is reported (error.h).
    template <class F, class... Args>
    requires submittable<F, Args...>
    void post(F&& f, Args&&... args) const
    {
        static_cast<void>(
            detail::submit<void>(open(), {}, detail::bind(std::forward<F>(f), std::forward<Args>(args)...), false));
    }

    // Starts work on a worker's own loop, which many share: nothing there may block. f is one of
    //   f(promise<T>, uv_loop_t*)  which begins what completes the promise later; where f takes any type (auto), T has to be
    //                              said: submit_async<T>(f)
    //   a task<T>, or f() that returns one: a coroutine, which begins on the worker and comes back to its loop, by way of
    //                              the loop, after each wait for a future (see task)
    // Ownership: f is destroyed when it has returned, or with its coroutine, or unrun before the future is done; inside the
    //   call where it is refused.
    // Errors: error, as execq_submit_async. What f throws fails the future with its type; a thread that ends, with
    //   error(EXECQ_EEXITED). Cancelling the future has promise::on_cancel() called, or unwinds the coroutine.
    template <class F>
    auto submit_async(F&& f) const
    {
        return detail::submit_async(detail::enlist_on_executor, open(), {}, std::forward<F>(f));
    }
    template <class F>
    auto submit_async(const task_options& options, F&& f) const
    {
        return detail::submit_async(detail::enlist_on_executor, open(), options, std::forward<F>(f));
    }
    template <class T, class F>
    requires std::invocable < std::decay_t<F>, promise<T>,
    struct uv_loop_s* > future<T> submit_async(F&& f) const
    {
        return submit_async<T>(task_options{}, std::forward<F>(f));
    }
    template <class T, class F>
    requires std::invocable < std::decay_t<F>, promise<T>,
    struct uv_loop_s* > future<T> submit_async(const task_options& options, F&& f) const
    {
        return detail::submit_async_as<T>(detail::enlist_on_executor, open(), options, std::forward<F>(f));
    }

    // Runs f() on workers again and again, one run at a time: first after options.delay, then a period after the run
    // before, until the future is canceled, f throws, options.timeout is over or the executor is closed. The future never
    // has a value; what f throws ends the series and arrives there. Details: execq_submit_periodic.
    // Ownership: f is moved or copied once, called as an lvalue, and destroyed when the series has ended, before the future
    //   is done, and inside the call where it is refused. Releasing the future does not end the series.
    // Errors: error, as execq_submit_periodic; error(EXECQ_EINVAL) for a period that is not above 0.
    template <class Rep, class Period, class F>
    requires std::invocable < std::decay_t<F>
    & > future<void> submit_periodic(std::chrono::duration<Rep, Period> period, period_mode mode, F&& f) const
    {
        return submit_periodic(task_options{}, period, mode, std::forward<F>(f));
    }
    template <class Rep, class Period, class F>
    requires std::invocable < std::decay_t<F>
    & > future<void> submit_periodic(const task_options& options, std::chrono::duration<Rep, Period> period,
                                     period_mode mode, F&& f) const
    {
        return detail::submit_periodic(native(), options, detail::to_ns(period), mode, std::forward<F>(f));
    }

    void close(close_mode mode = close_mode::drain) const
    {
        detail::check(execq_executor_close(native(), static_cast<std::int32_t>(mode)));
    }
    // Waits until a closed executor has ended. Errors: as execq_executor_join.
    void join() const { detail::check(execq_executor_join(native(), -1, nullptr)); }
    // False if the time passed first; the report says what was left. It may be null.
    template <class Rep, class Period>
    bool join_for(std::chrono::duration<Rep, Period> timeout, shutdown_report* report = nullptr) const
    {
        return join_until_ns(detail::to_ns(timeout), report);
    }

    // How many threads it may have from now on, 0 as in the options. Errors: as execq_executor_resize.
    void resize(std::uint32_t min_threads, std::uint32_t max_threads) const
    {
        detail::check(execq_executor_resize(native(), min_threads, max_threads));
    }
    // What a thread's initializer failed with first; 0: none did.
    std::int32_t broken() const noexcept { return execq_executor_broken(native()); }

    // What it does now and did so far. Errors: as execq_executor_stats, std::bad_alloc.
    executor_stats stats() const { return detail::stats_of(native()); }
    // Times that such shares, from 0 to 1, do not exceed. Errors: as execq_executor_latency, std::bad_alloc.
    std::vector<std::chrono::nanoseconds> quantiles(latency_kind kind, const std::vector<double>& shares) const
    {
        return detail::quantiles_of(native(), kind, shares);
    }
    // What it does now, in lines for people. Errors: as execq_dump; error(EXECQ_EINVAL) if it was moved from.
    std::string dump() const { return detail::dump_of(open()); }

    execq_executor* native() const noexcept { return handle_.get(); }

private:
    explicit executor(detail::executor_handle owned) noexcept : handle_(std::move(owned)) {}

    // One that was moved from is none, and not the default one.
    execq_executor* open() const
    {
        detail::check(native() != nullptr ? EXECQ_OK : EXECQ_EINVAL);
        return native();
    }

    bool join_until_ns(std::int64_t timeout_ns, shutdown_report* report) const
    {
        std::array<execq_running_task, 64> room{};
        execq_shutdown_report found = EXECQ_SHUTDOWN_REPORT_INIT;
        found.running = room.data();
        found.running_max = room.size();
        const execq_status status = execq_executor_join(native(), timeout_ns, &found);
        if (status != EXECQ_ETIMEDOUT)
            detail::check(status);
        if (report != nullptr) {
            *report = {{}, found.running_total, found.queued, found.threads, found.left_loops, found.left_handles};
            for (std::uint64_t i = 0; i < found.running_count; ++i)
                report->running.push_back({room[i].name, std::chrono::nanoseconds(room[i].running_ns)});
        }
        return status == EXECQ_OK;
    }

    detail::executor_handle handle_;
};

// Runs f(args...) on what a null executor stands for at this moment.
template <class F, class... Args>
requires submittable<F, Args...> future<submitted_t<F, Args...>> submit(F&& f, Args&&... args)
{
    return detail::submit<submitted_t<F, Args...>>(nullptr, {},
                                                   detail::bind(std::forward<F>(f), std::forward<Args>(args)...), true);
}

// Starts work on a loop of a worker of what a null executor stands for at this moment; see executor::submit_async().
template <class F>
auto submit_async(F&& f)
{
    return detail::submit_async(detail::enlist_on_executor, nullptr, {}, std::forward<F>(f));
}
template <class F>
auto submit_async(const task_options& options, F&& f)
{
    return detail::submit_async(detail::enlist_on_executor, nullptr, options, std::forward<F>(f));
}

// Whether the task that runs here was asked to stop.
inline bool cancel_requested() noexcept { return execq_cancel_requested() == 1; }

// While one lives, the task on this thread is blocked: the executor may have a spare thread in its place. They nest; outside
// of a worker it does nothing.
class blocking {
public:
    blocking() noexcept { execq_blocking_begin(); }
    ~blocking() { execq_blocking_end(); }
    blocking(const blocking&) = delete;
    blocking& operator=(const blocking&) = delete;
};

// An executor that is drained and joined at the end of a scope.
// Blocks: the destructor, until all that was accepted is done. On one of its own workers, or where no thread can be
//   started for what is left, it closes only.
class scoped_executor : public executor {
public:
    explicit scoped_executor(executor_options chosen = {}) : executor(std::move(chosen)) {}
    explicit scoped_executor(executor owned) noexcept : executor(std::move(owned)) {}
    scoped_executor(const scoped_executor&) = delete;
    scoped_executor& operator=(const scoped_executor&) = delete;
    ~scoped_executor()
    {
        if (native() == nullptr)
            return;
        execq_executor_close(native(), EXECQ_DRAIN);
        execq_executor_join(native(), -1, nullptr);
    }

    // Hands the executor on, open: the scope's end does nothing any more.
    [[nodiscard]] executor release() noexcept { return executor(std::move(static_cast<executor&>(*this))); }
};

}  // namespace execq

#endif
