#include "flow/cq.h"

#include <cerrno>
#include <new>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/sync_point.h"
#include "base/thread_waits.h"
#include "sched/manual.h"
#include "task/callbacks.h"
#include "task/node.h"

namespace execq::core {

execq_status Cq::make(Cq** out)
{
    const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return errno == EMFILE || errno == ENFILE ? EXECQ_EMFILE : EXECQ_ENOMEM;
    auto* cq = new (std::nothrow) Cq(fd);
    if (cq == nullptr) {
        ::close(fd);
        return EXECQ_ENOMEM;
    }
    *out = cq;
    return EXECQ_OK;
}

Cq::~Cq() { ::close(fd_); }

void Cq::release()
{
    if (inherited() || handles_.fetch_sub(1, std::memory_order_acq_rel) != 1)
        return;
    close(nullptr);
    end_use();
}

bool Cq::begin_use()
{
    uses_.fetch_add(1, std::memory_order_relaxed);
    if (!closed_.load(std::memory_order_acquire))
        return true;  // listing the registration is what decides
    end_use();
    return false;
}

void Cq::end_use()
{
    if (uses_.fetch_sub(1, std::memory_order_acq_rel) == 1)
        delete this;
}

// ---- the descriptor ----

void Cq::signal() const
{
    const std::uint64_t one = 1;
    // EAGAIN: the counter is full, so the descriptor is readable anyway.
    [[maybe_unused]] const ssize_t written = ::write(fd_, &one, sizeof one);
}

void Cq::clear() const
{
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = ::read(fd_, &count, sizeof count);
}

// What comes to a queue may come from anywhere.
struct Cq::Arrival final : Manual::Awaited {
    explicit Arrival(Cq& one) : cq(one) {}
    bool done() override { return cq.await_signal(Deadline::after(0)) != EXECQ_ETIMEDOUT; }
    bool ours() override { return false; }
    void sleep(Deadline deadline) override { (void)cq.await_signal(deadline); }
    Cq& cq;
};

execq_status Cq::wait(Deadline deadline)
{
    run_queued();
    if (Manual::any_here()) {
        Arrival arrival(*this);
        const execq_status status = Manual::await(arrival, deadline);
        return status == EXECQ_OK && closed_.load(std::memory_order_acquire) ? EXECQ_ECLOSED : status;
    }
    return await_signal(deadline);
}

execq_status Cq::await_signal(Deadline deadline)
{
    const ThreadWaits::Scope blocked;
    for (;;) {
        pollfd poll{fd_, POLLIN, 0};
        const std::int64_t left = deadline.never() ? 0 : deadline.left_ns();
        const timespec timeout{left / 1'000'000'000, static_cast<long>(left % 1'000'000'000)};
        const int ready = ppoll(&poll, 1, deadline.never() ? nullptr : &timeout, nullptr);
        if (closed_.load(std::memory_order_acquire))
            return EXECQ_ECLOSED;
        if (ready > 0)
            return EXECQ_OK;
        if (deadline.passed())
            return EXECQ_ETIMEDOUT;
    }
}

// ---- completions ----

void Cq::deliver(Registration& registration) noexcept
{
    EXECQ_SYNC_POINT("cq delivers");
    HeapRegistration& heap = *heap_of(registration);
    {
        const MutexLock lock(mutex_);
        if (!heap.withdrawn && listing_closed_) {
            heap.completed = true;  // close() is under way and will find it on the list
            return;
        }
        if (unlist(heap)) {
            const bool first = ready_.empty();
            ready_.push(heap);
            // Under the mutex: afterwards the receiver may already have drained it and released the queue.
            if (first)
                signal();
            return;
        }
    }
    finish(heap, this);
}

execq_status Cq::drain(execq_completion* out, std::size_t max, std::size_t* n)
{
    EXECQ_SYNC_POINT("cq drains");
    if (closed_.load(std::memory_order_acquire))
        return EXECQ_ECLOSED;
    clear();
    Fifo<Registration> taken;
    {
        const MutexLock lock(mutex_);
        while (taken.size() < max && !ready_.empty())
            taken.push(*ready_.pop());
        // The clear may have swallowed the signal of a close.
        if (!ready_.empty() || listing_closed_)
            signal();
    }
    *n = 0;
    while (Registration* registration = taken.pop()) {
        HeapRegistration* heap = heap_of(*registration);
        Node& node = *heap->node;  // its reference goes to the receiver
        execq_completion& completion = out[(*n)++];
        const Observation::Delivery delivery(node.observation());
        completion = {heap->env, future_of(&node), nullptr, EXECQ_OK, 0};
        completion.status = node.look(&completion.value);  // a delivery observes nothing
        if (completion.status == EXECQ_EALREADY)           // somebody took the value already: it did succeed
            completion.status = EXECQ_OK;
        delete heap;
        end_use();
    }
    return EXECQ_OK;
}

execq_status Cq::close(execq_drop_fn drop_tag)
{
    EXECQ_SYNC_POINT("cq closes");
    if (closed_.exchange(true, std::memory_order_acq_rel))
        return EXECQ_EALREADY;
    const CallbackScope scope;
    Fifo<Registration> ready;
    {
        const MutexLock lock(mutex_);
        listing_closed_ = true;
        ready.append(ready_);
        signal();  // whoever polls finds out
    }
    while (Registration* registration = ready.pop()) {
        call_drop(drop_tag, registration->env);
        finish(*registration, this);
    }
    withdraw_listed(drop_tag);
    return EXECQ_OK;
}

}  // namespace execq::core
