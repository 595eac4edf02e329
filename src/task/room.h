// Floor 1. The room of a bounded executor: how many tasks it has accepted that have not started.
//
//   bits 0–31   inside: tasks that are in, and those that somebody has a place for already
//   bit 32      queued: somebody waits for room, so nobody else gets any before them
//   bits 33–63  references: one for each that is inside, and the owner's
//
// A task takes a place before it is accepted, and gives it back by leave() once it has started or is canceled, whoever does
// that: a task of a bounded executor knows its room (Node). So a place never depends on when a worker meets what is left of
// the task in a queue.
//
// Who finds no room may wait, first come, first served. Where somebody waits, who leaves hands the places over under the
// mutex: he takes his own off first, then looks at the bit; who begins to wait sets the bit first, then looks at the number.
// Of the two, one sees the other.
//
// The model in tests/model/room_model.cc covers it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/annotations.h"
#include "base/atomics.h"
#include "base/clock.h"
#include "base/futex.h"
#include "base/links.h"
#include "execq/status.h"

namespace execq::core {

template <class Atomics = StdAtomics, class Lock = Mutex, class Sleep = FutexSleep>
class BasicRoom {
public:
    static constexpr std::uint32_t most = 1U << 30;

    // One reference to the caller. Capacity: 1 to most.
    explicit BasicRoom(std::uint32_t capacity) : capacity_(capacity) {}
    BasicRoom(const BasicRoom&) = delete;
    BasicRoom& operator=(const BasicRoom&) = delete;

    std::uint32_t capacity() const { return capacity_; }
    // A moment's picture.
    std::uint32_t inside() const { return inside_of(word_.load(std::memory_order::relaxed)); }

    // n places, or none; n is 1 to capacity().
    [[nodiscard]] bool try_enter(std::uint32_t n);
    // Waits for them. EXECQ_OK, EXECQ_ETIMEDOUT, EXECQ_ECLOSED.
    execq_status enter(std::uint32_t n, Deadline deadline);
    // Gives n of them back, with their references.
    void leave(std::uint32_t n = 1);
    // Nobody waits any more.
    void close();
    void release() { drop(one_reference); }

private:
    // On the stack of who waits.
    struct Waiter : Hook {
        enum : std::uint32_t { waiting, granted, refused };
        std::uint32_t n = 0;
        // Written under mutex_, by who ends the wait; the waiter sleeps on it.
        typename Atomics::template Atomic<std::uint32_t> state{waiting};
    };

    static constexpr std::uint64_t queued = std::uint64_t{1} << 32;
    static constexpr std::uint64_t one_reference = std::uint64_t{1} << 33;

    ~BasicRoom() = default;
    static std::uint32_t inside_of(std::uint64_t word) { return static_cast<std::uint32_t>(word); }
    static std::uint64_t places(std::uint32_t n) { return n * (one_reference + 1); }
    bool fits(std::uint64_t word, std::uint32_t n) const { return capacity_ - inside_of(word) >= n; }
    void grant() EXECQ_REQUIRES(mutex_);
    static void end_wait(Waiter& waiter, std::uint32_t state);
    void drop(std::uint64_t references);

    const std::uint32_t capacity_;
    // See the top of the file.
    typename Atomics::template Atomic<std::uint64_t> word_{one_reference};
    // A leaf: nothing is taken under it.
    Lock mutex_;
    HookList<Waiter> waiters_ EXECQ_GUARDED_BY(mutex_);
    bool closed_ EXECQ_GUARDED_BY(mutex_) = false;
};

template <class Atomics, class Lock, class Sleep>
bool BasicRoom<Atomics, Lock, Sleep>::try_enter(std::uint32_t n)
{
    std::uint64_t word = word_.load(std::memory_order::relaxed);
    while ((word & queued) == 0 && fits(word, n)) {
        if (word_.compare_exchange_weak(word, word + places(n), std::memory_order::relaxed, std::memory_order::relaxed))
            return true;  // relaxed: the place says nothing of what is in memory; the queue of the task does
    }
    return false;
}

template <class Atomics, class Lock, class Sleep>
execq_status BasicRoom<Atomics, Lock, Sleep>::enter(std::uint32_t n, Deadline deadline)
{
    if (try_enter(n))
        return EXECQ_OK;
    Waiter waiter;
    waiter.n = n;
    {
        const ScopedLock<Lock> lock(mutex_);
        if (closed_)  // re-check
            return EXECQ_ECLOSED;
        waiters_.push_back(waiter);
        word_.fetch_or(queued, std::memory_order::seq_cst);
        grant();  // re-check: who left before the bit was set did not look here
    }
    while (waiter.state.load(std::memory_order::acquire) == Waiter::waiting && !deadline.passed())
        Sleep::wait(&waiter.state, Waiter::waiting, deadline);
    const ScopedLock<Lock> lock(mutex_);
    if (waiter.state.load(std::memory_order::relaxed) == Waiter::waiting) {
        waiters_.remove(waiter);
        grant();  // those behind may want less
        return EXECQ_ETIMEDOUT;
    }
    return waiter.state.load(std::memory_order::relaxed) == Waiter::granted ? EXECQ_OK : EXECQ_ECLOSED;
}

// Gives what is free to those in front. While the bit is set nobody else adds to the number.
template <class Atomics, class Lock, class Sleep>
void BasicRoom<Atomics, Lock, Sleep>::grant()
{
    while (Waiter* waiter = waiters_.front()) {
        if (!fits(word_.load(std::memory_order::seq_cst), waiter->n))
            return;
        word_.fetch_add(places(waiter->n), std::memory_order::relaxed);
        waiters_.remove(*waiter);
        end_wait(*waiter, Waiter::granted);
    }
    word_.fetch_and(~queued, std::memory_order::relaxed);
}

template <class Atomics, class Lock, class Sleep>
void BasicRoom<Atomics, Lock, Sleep>::end_wait(Waiter& waiter, std::uint32_t state)
{
    waiter.state.store(state, std::memory_order::release);
    Sleep::wake_one(&waiter.state);
}

template <class Atomics, class Lock, class Sleep>
void BasicRoom<Atomics, Lock, Sleep>::leave(std::uint32_t n)
{
    std::uint64_t word = word_.load(std::memory_order::relaxed);
    while ((word & queued) == 0) {
        const std::uint64_t left = word - places(n);
        // acq_rel: whoever frees it comes after all who used it.
        if (!word_.compare_exchange_weak(word, left, std::memory_order::acq_rel, std::memory_order::relaxed))
            continue;
        if (left < one_reference)
            delete this;
        return;
    }
    word_.fetch_sub(n, std::memory_order::seq_cst);  // the references stay until we are through
    {
        const ScopedLock<Lock> lock(mutex_);
        grant();
    }
    drop(n * one_reference);
}

template <class Atomics, class Lock, class Sleep>
void BasicRoom<Atomics, Lock, Sleep>::close()
{
    const ScopedLock<Lock> lock(mutex_);
    closed_ = true;
    while (Waiter* waiter = waiters_.front()) {
        waiters_.remove(*waiter);
        end_wait(*waiter, Waiter::refused);
    }
    word_.fetch_and(~queued, std::memory_order::relaxed);
}

template <class Atomics, class Lock, class Sleep>
void BasicRoom<Atomics, Lock, Sleep>::drop(std::uint64_t references)
{
    if (word_.fetch_sub(references, std::memory_order::acq_rel) - references < one_reference)
        delete this;
}

using Room = BasicRoom<>;
extern template class BasicRoom<>;  // task/room.cc

}  // namespace execq::core
