#include "task/room.h"

#include "base/futex.h"

namespace execq::core {

bool Room::try_enter(std::uint32_t n)
{
    std::uint64_t word = word_.load(std::memory_order_relaxed);
    while ((word & queued) == 0 && fits(word, n)) {
        if (word_.compare_exchange_weak(word, word + places(n), std::memory_order_relaxed, std::memory_order_relaxed))
            return true;  // relaxed: the place says nothing of what is in memory; the queue of the task does
    }
    return false;
}

execq_status Room::enter(std::uint32_t n, Deadline deadline)
{
    if (try_enter(n))
        return EXECQ_OK;
    Waiter waiter;
    waiter.n = n;
    {
        const MutexLock lock(mutex_);
        if (closed_)
            return EXECQ_ECLOSED;
        waiters_.push_back(waiter);
        word_.fetch_or(queued, std::memory_order_seq_cst);
        grant();  // who left before the bit was set did not look here
    }
    while (waiter.state.load(std::memory_order_acquire) == Waiter::waiting && !deadline.passed())
        futex_wait(&waiter.state, Waiter::waiting, deadline);
    const MutexLock lock(mutex_);
    if (waiter.state.load(std::memory_order_relaxed) == Waiter::waiting) {
        waiters_.remove(waiter);
        grant();  // those behind may want less
        return EXECQ_ETIMEDOUT;
    }
    return waiter.state.load(std::memory_order_relaxed) == Waiter::granted ? EXECQ_OK : EXECQ_ECLOSED;
}

// Gives what is free to those in front. While the bit is set nobody else adds to the number.
void Room::grant()
{
    while (Waiter* waiter = waiters_.front()) {
        if (!fits(word_.load(std::memory_order_seq_cst), waiter->n))
            return;
        word_.fetch_add(places(waiter->n), std::memory_order_relaxed);
        waiters_.remove(*waiter);
        end_wait(*waiter, Waiter::granted);
    }
    word_.fetch_and(~queued, std::memory_order_relaxed);
}

void Room::end_wait(Waiter& waiter, std::uint32_t state)
{
    waiter.state.store(state, std::memory_order_release);
    futex_wake(&waiter.state, 1);
}

void Room::leave(std::uint32_t n)
{
    std::uint64_t word = word_.load(std::memory_order_relaxed);
    while ((word & queued) == 0) {
        const std::uint64_t left = word - places(n);
        // acq_rel: whoever frees it comes after all who used it.
        if (!word_.compare_exchange_weak(word, left, std::memory_order_acq_rel, std::memory_order_relaxed))
            continue;
        if (left < one_reference)
            delete this;
        return;
    }
    word_.fetch_sub(n, std::memory_order_seq_cst);  // the references stay until we are through
    {
        const MutexLock lock(mutex_);
        grant();
    }
    drop(n * one_reference);
}

void Room::close()
{
    const MutexLock lock(mutex_);
    closed_ = true;
    while (Waiter* waiter = waiters_.front()) {
        waiters_.remove(*waiter);
        end_wait(*waiter, Waiter::refused);
    }
    word_.fetch_and(~queued, std::memory_order_relaxed);
}

void Room::drop(std::uint64_t references)
{
    if (word_.fetch_sub(references, std::memory_order_acq_rel) - references < one_reference)
        delete this;
}

}  // namespace execq::core
