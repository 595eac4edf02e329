// Loops and completion queues: where outcomes are delivered.
#ifndef EXECQ_CPP_LOOP_HPP
#define EXECQ_CPP_LOOP_HPP

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <execq/cpp/block.hpp>
#include <execq/cpp/future.hpp>
#include <memory>
#include <span>
#include <utility>

namespace execq {

class loop_hold;

// An attached uv_loop_t. A copy is another reference to the same attachment. attach(uv_loop), below, makes one.
// Ownership: detach it before the loop is closed; the last reference of an attached one has it detach itself on the
//   loop's thread, at its next iteration.
class loop {
public:
    // Attaches a loop by the functions of a table (null: the libuv of libexecq). Loop thread only.
    // Errors: as execq_loop_attach_uv.
    loop(struct uv_loop_s* uv, const execq_uv_table* table)
    {
        execq_loop* made = nullptr;
        detail::check(execq_loop_attach_uv(uv, table, &made));
        handle_ = detail::loop_handle(made);
    }
    // Takes the caller's reference over.
    static loop adopt(execq_loop* owned) noexcept { return loop(detail::loop_handle(owned)); }

    // Delivers in order what is complete and withdraws the rest. Loop thread only; then the loop has to run once more
    // before it can be closed. Errors: error(EXECQ_EALREADY).
    void detach() const { detail::check(execq_loop_detach(native())); }

    // Keeps uv_run alive until the end of the scope.
    [[nodiscard]] loop_hold hold() const;

    execq_loop* native() const noexcept { return handle_.get(); }

private:
    explicit loop(detail::loop_handle owned) noexcept : handle_(std::move(owned)) {}

    detail::loop_handle handle_;
};

// Keeps a loop's uv_run alive as long as it lives. Move-only. Threads: any. Errors: as execq_loop_hold.
class loop_hold {
public:
    explicit loop_hold(const loop& held) : held_(held) { detail::check(execq_loop_hold(held.native())); }
    loop_hold(loop_hold&&) noexcept = default;
    loop_hold& operator=(loop_hold other) noexcept
    {
        std::swap(held_, other.held_);
        return *this;
    }
    ~loop_hold()
    {
        if (held_.native() != nullptr)
            execq_loop_unhold(held_.native());
    }

private:
    loop held_;
};

inline loop_hold loop::hold() const { return loop_hold(*this); }

// Attaches a loop through the caller's own libuv. Needs execq/uv.h, included before or after this; of internal linkage, so
// that two libraries of one process with different libuv copies do not share it. Errors: as execq_loop_attach_uv.
template <class UvLoop>
static loop attach(UvLoop* uv)
{
    execq_loop* made = nullptr;
    detail::check(execq_loop_attach(uv, &made));
    return loop::adopt(made);
}

template <class T>
template <class F>
void future<T>::on_loop(const loop& where, F&& f) &&
{
    using listener = detail::listener<T, std::decay_t<F>>;
    detail::check(valid() ? EXECQ_OK : EXECQ_EINVAL);
    const detail::future_handle source = link_.handle();
    auto* owned = new listener(std::move(link_), std::forward<F>(f));
    detail::check(execq_future_on_loop(source.get(), where.native(), listener::hear, owned, listener::drop));
}

// One completion, with a reference to its C future.
class completion {
public:
    completion() noexcept = default;
    explicit completion(const execq_completion& owned) noexcept
        : tag_(owned.tag), status_(owned.status), future_(owned.future)
    {}

    void* tag() const noexcept { return tag_; }
    // EXECQ_OK, EXECQ_EFAILED or EXECQ_ECANCELED.
    execq_status status() const noexcept { return status_; }
    execq_future* native() const noexcept { return future_.get(); }

private:
    void* tag_ = nullptr;
    execq_status status_ = EXECQ_EPENDING;
    detail::future_handle future_;
};

// A queue of completions with one pollable descriptor. A copy is another reference to the same queue.
// Ownership: the last reference of an open one closes it. Threads: any.
class completion_queue {
public:
    // Errors: as execq_cq_new.
    completion_queue()
    {
        execq_cq* made = nullptr;
        detail::check(execq_cq_new(&made));
        handle_ = detail::cq_handle(made);
    }
    // Takes the caller's reference over.
    static completion_queue adopt(execq_cq* owned) noexcept { return completion_queue(detail::cq_handle(owned)); }

    // Readable while there is something to drain; the queue's own: poll it, nothing else.
    int fd() const
    {
        int fd = -1;
        detail::check(execq_cq_fd(native(), &fd));
        return fd;
    }

    // Puts the tag into the queue once the future is done; the future stays with the caller.
    // Errors: error(EXECQ_ECLOSED), error(EXECQ_ENOMEM).
    template <class T>
    void add(const future<T>& awaited, void* tag) const
    {
        detail::check(execq_future_on_cq(awaited.native(), native(), tag));
    }

    // Takes completions out, in order; answers how many. Errors: error(EXECQ_ECLOSED).
    std::size_t drain(std::span<completion> out) const
    {
        std::size_t total = 0;
        std::array<execq_completion, 64> batch;
        for (std::size_t n = 1; total < out.size() && n != 0; total += n) {
            detail::check(execq_cq_drain(native(), batch.data(), std::min(batch.size(), out.size() - total), &n));
            for (std::size_t i = 0; i < n; ++i)
                out[total + i] = completion(batch[i]);
        }
        return total;
    }

    // Waits until there may be something to drain.
    void wait() const { detail::check(execq_cq_wait(native(), -1)); }
    template <class Rep, class Period>
    bool wait_for(std::chrono::duration<Rep, Period> timeout) const
    {
        const execq_status status = execq_cq_wait(native(), detail::to_ns(timeout));
        if (status == EXECQ_ETIMEDOUT)
            return false;
        detail::check(status);
        return true;
    }

    // Withdraws what is not drained; drop_tag runs once for each of their tags. Errors: error(EXECQ_EALREADY).
    void close(execq_drop_fn drop_tag = nullptr) const { detail::check(execq_cq_close(native(), drop_tag)); }

    execq_cq* native() const noexcept { return handle_.get(); }

private:
    explicit completion_queue(detail::cq_handle owned) noexcept : handle_(std::move(owned)) {}

    detail::cq_handle handle_;
};

}  // namespace execq

#endif
