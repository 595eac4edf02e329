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
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/annotations.h"
#include "base/clock.h"
#include "base/links.h"
#include "execq/status.h"

namespace execq::core {

class Room {
public:
    static constexpr std::uint32_t most = 1U << 30;

    // One reference to the caller. Capacity: 1 to most.
    explicit Room(std::uint32_t capacity) : capacity_(capacity) {}
    Room(const Room&) = delete;
    Room& operator=(const Room&) = delete;

    std::uint32_t capacity() const { return capacity_; }
    // A moment's picture.
    std::uint32_t inside() const { return inside_of(word_.load(std::memory_order_relaxed)); }

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
        std::atomic<std::uint32_t> state{waiting};
    };

    static constexpr std::uint64_t queued = std::uint64_t{1} << 32;
    static constexpr std::uint64_t one_reference = std::uint64_t{1} << 33;

    ~Room() = default;
    static std::uint32_t inside_of(std::uint64_t word) { return static_cast<std::uint32_t>(word); }
    static std::uint64_t places(std::uint32_t n) { return n * (one_reference + 1); }
    bool fits(std::uint64_t word, std::uint32_t n) const { return capacity_ - inside_of(word) >= n; }
    void grant() EXECQ_REQUIRES(mutex_);
    static void end_wait(Waiter& waiter, std::uint32_t state);
    void drop(std::uint64_t references);

    const std::uint32_t capacity_;
    // See the top of the file.
    std::atomic<std::uint64_t> word_{one_reference};
    // A leaf: nothing is taken under it.
    Mutex mutex_;
    HookList<Waiter> waiters_ EXECQ_GUARDED_BY(mutex_);
    bool closed_ EXECQ_GUARDED_BY(mutex_) = false;
};

}  // namespace execq::core
