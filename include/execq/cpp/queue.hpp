// Ordered queues in front of an executor.
#ifndef EXECQ_CPP_QUEUE_HPP
#define EXECQ_CPP_QUEUE_HPP

#include <cstdint>
#include <execq/cpp/async.hpp>
#include <execq/cpp/executor.hpp>
#include <execq/cpp/future.hpp>
#include <execq/queue.h>
#include <utility>

namespace execq {

// As execq_queue_options; zeros are defaults.
struct queue_options {
    const char* name = nullptr;       // copied
    std::uint32_t max_in_flight = 1;  // tasks that have started and not ended
    std::uint64_t capacity = 0;       // tasks that have not started; 0: any number
    full_policy when_full = full_policy::reject;
    std::uint32_t key_max_in_flight = 0;  // of one key; 0: as many as may run
    bool paused = false;
};

struct queue_counts {
    std::uint64_t waiting = 0;
    std::uint64_t running = 0;
};

// A queue: tasks start in order, at most max_in_flight at a time; with the default of 1 it is a strand. A copy is another
// reference to the same queue. One that was moved from answers EXECQ_EINVAL.
// Ownership: it holds its executor; the last reference closes it with a drain and does not wait. Threads: any.
// Blocks: submissions, where it is full and its policy says so. Since: 0.4.
class queue {
public:
    // Errors: as execq_queue_new.
    explicit queue(const executor& pool, const queue_options& chosen = {})
    {
        execq_queue_options options = EXECQ_QUEUE_OPTIONS_INIT;
        options.flags = chosen.paused ? EXECQ_QUEUE_PAUSED : 0;
        options.name = chosen.name;
        options.max_in_flight = chosen.max_in_flight;
        options.full_policy = static_cast<std::uint32_t>(chosen.when_full);
        options.capacity = chosen.capacity;
        options.key_max_in_flight = chosen.key_max_in_flight;
        execq_queue* made = nullptr;
        detail::check(pool.native() != nullptr ? execq_queue_new(pool.native(), &options, &made) : EXECQ_EINVAL);
        handle_ = detail::queue_handle(made);
    }

    // As those of executor. Errors: error(EXECQ_ECLOSED), error(EXECQ_EFULL), error(EXECQ_EDEADLK) besides.
    template <class F, class... Args>
    requires submittable<F, Args...> future<submitted_t<F, Args...>> submit(F&& f, Args&&... args)
    const { return submit(task_options{}, std::forward<F>(f), std::forward<Args>(args)...); }
    template <class F, class... Args>
    requires submittable<F, Args...> future<submitted_t<F, Args...>> submit(const task_options& options, F&& f,
                                                                            Args&&... args)
    const
    {
        return detail::submit<submitted_t<F, Args...>>(
            nullptr, here(options), detail::bind(std::forward<F>(f), std::forward<Args>(args)...), true);
    }
    template <class F, class... Args>
    requires submittable<F, Args...>
    void post(F&& f, Args&&... args) const
    {
        static_cast<void>(detail::submit<void>(nullptr, here({}),
                                               detail::bind(std::forward<F>(f), std::forward<Args>(args)...), false));
    }
    // It is in flight until its promise is completed, or its coroutine has ended.
    template <class F>
    auto submit_async(F&& f) const
    {
        return submit_async(task_options{}, std::forward<F>(f));
    }
    template <class F>
    auto submit_async(const task_options& options, F&& f) const
    {
        return detail::submit_async(detail::enlist_on_executor, nullptr, here(options), std::forward<F>(f));
    }

    void pause() const { detail::check(execq_queue_pause(native())); }
    void resume() const { detail::check(execq_queue_resume(native())); }
    // Weight 1 with 0 forgets the key.
    void set_key(std::uint64_t key, std::uint32_t weight, std::uint32_t max_in_flight = 0) const
    {
        detail::check(execq_queue_set_key(native(), key, weight, max_in_flight));
    }
    queue_counts counts() const
    {
        queue_counts found;
        detail::check(execq_queue_counts(native(), &found.waiting, &found.running));
        return found;
    }

    // The future is done once the last task has ended. Not to be waited for in one of them: error(EXECQ_EDEADLK).
    future<void> close(close_mode mode = close_mode::drain) const
    {
        execq_future* closed = nullptr;
        detail::check(execq_queue_close(native(), static_cast<std::int32_t>(mode), &closed));
        return future<void>::adopt(closed);
    }

    // Null where it was moved from; borrowed.
    execq_queue* native() const noexcept { return handle_.get(); }

private:
    task_options here(const task_options& options) const
    {
        if (native() == nullptr)
            throw error(EXECQ_EINVAL);
        task_options chosen = options;
        chosen.queue = native();
        return chosen;
    }

    detail::queue_handle handle_;
};

// A queue for one scope: the end of the scope closes it, and waits until its last task has ended. Not to be made inside one
// of its own tasks.
class scoped_queue : public queue {
public:
    using queue::queue;
    ~scoped_queue()
    {
        if (native() != nullptr)
            close(mode_).wait();
    }
    scoped_queue(const scoped_queue&) = delete;
    scoped_queue& operator=(const scoped_queue&) = delete;

    // What the end of the scope does with what has not started by then.
    void close_with(close_mode mode) noexcept { mode_ = mode; }

private:
    close_mode mode_ = close_mode::drain;
};

}  // namespace execq

#endif
