// Floor 0. A lock that costs its owner two plain stores and a load, and its guests a heavy fence.
//
// For what one thread touches all the time and others hardly ever. The owner says "active" with a plain store and looks
// whether a guest has asked; a guest asks, makes sure by a heavy fence that the owner sees it (see base/asymmetric.h),
// and waits until the owner is not active. An owner that finds itself asked takes the mutex that guests hold.
//
// Locks with the same mutex are a group: one guest at a time is inside any of them, and one that wants several asks for
// all before it passes the one fence.
//
// The model in tests/model/biased_lock_model.cc covers it.
#pragma once

#include <cstdint>

#include "base/annotations.h"
#include "base/atomics.h"

namespace execq::core {

// Lock: the mutex among guests.
template <class Atomics = StdAtomics, class Lock = Mutex>
class BiasedLock {
public:
    // The mutex of the group outlives the lock.
    explicit BiasedLock(Lock& guests) : guests_(guests) {}

    // The owner's thread only; not nested. By value: an action that captures by value never leaves the registers.
    template <class Action>
    auto as_owner(Action action)
    {
        if (try_enter()) [[likely]] {
            const Leave leave{active_};
            return action();
        }
        return under_mutex(action);
    }

    // The quick half of as_owner(), for who has a slow path of its own. True: the owner has it until leave().
    [[nodiscard]] bool try_enter()
    {
        active_.store(1, std::memory_order::relaxed);
        Atomics::light_fence();
        // acquire: what the last guest did is seen.
        if (asked_.load(std::memory_order::acquire) == 0) [[likely]]  // re-check: true
            return true;
        leave();
        return false;
    }
    void leave() { active_.store(0, std::memory_order::release); }

    // Any other thread, or the owner outside as_owner(); not inside another lock of the group.
    void lock_as_guest() EXECQ_NO_ANALYSIS
    {
        guests_.lock();
        ask();
        Atomics::heavy_fence();
        await_owner();
    }

    void unlock_as_guest() EXECQ_NO_ANALYSIS
    {
        dismiss();
        guests_.unlock();
    }

    // The same for locks of one group together, which for_each(visit) visits, the same ones each time.
    template <class ForEach>
    static void lock_all_as_guest(Lock& guests, const ForEach& for_each) EXECQ_NO_ANALYSIS
    {
        guests.lock();
        for_each([](BiasedLock& lock) { lock.ask(); });
        Atomics::heavy_fence();
        for_each([](BiasedLock& lock) { lock.await_owner(); });
    }

    template <class ForEach>
    static void unlock_all_as_guest(Lock& guests, const ForEach& for_each) EXECQ_NO_ANALYSIS
    {
        for_each([](BiasedLock& lock) { lock.dismiss(); });
        guests.unlock();
    }

    template <class Action>
    auto as_guest(const Action& action)
    {
        struct Guest {
            explicit Guest(BiasedLock& held) : lock(held) { lock.lock_as_guest(); }
            ~Guest() { lock.unlock_as_guest(); }
            Guest(const Guest&) = delete;
            Guest& operator=(const Guest&) = delete;
            BiasedLock& lock;
        };
        const Guest guest(*this);
        return action();
    }

private:
    using Word = typename Atomics::template Atomic<std::uint32_t>;

    // ---- the steps of a guest, which holds the mutex ----
    void ask() { asked_.store(1, std::memory_order::relaxed); }
    // Behind a heavy fence after ask().
    void await_owner() const
    {
        while (active_.load(std::memory_order::acquire) != 0)  // re-check
            Atomics::yield();
    }
    void dismiss() { asked_.store(0, std::memory_order::release); }

    struct Leave {
        Word& active;
        ~Leave() { active.store(0, std::memory_order::release); }
    };
    template <class Action>
    [[gnu::noinline]] auto under_mutex(Action action)
    {
        struct Hold {
            explicit Hold(Lock& taken) EXECQ_NO_ANALYSIS : lock(taken) { lock.lock(); }
            ~Hold() EXECQ_NO_ANALYSIS { lock.unlock(); }
            Hold(const Hold&) = delete;
            Hold& operator=(const Hold&) = delete;
            Lock& lock;
        };
        const Hold hold(guests_);
        return action();
    }

    // Written by the owner, read by guests that have asked.
    Word active_{0};
    // Written by guests under the mutex, read by the owner; on a line of its own, which the owner keeps.
    alignas(64) Word asked_{0};
    Lock& guests_;
};

}  // namespace execq::core
