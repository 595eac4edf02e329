// Floor 2. An inbox: tasks from other threads, first in, first out, closed and refused in one atomic step.
//
//   producer   CAS tail_: last → new, then link it: last->next = new (or head_ = new, if there was no last)
//   consumer   (one at a time, under the inbox's own try-lock) follows the links from head_
//
// Between the two steps of a producer the consumer sees that something is there (tail_) but cannot reach it yet: take()
// then answers 0 although empty() is false, and the caller tries again.
//
// The last item is only given away after tail_ went from it to null, so a producer never links behind an item that is
// gone: its CAS would have failed. The closed bit is in tail_: a submission is accepted or refused by one CAS.
//
// The model in tests/model/inbox_model.cc covers it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/atomics.h"

namespace execq::core {

// Item: has an atomic `next`, which belongs to the inbox while the item is in it.
template <class Item, class Atomics = StdAtomics>
class Inbox {
public:
    // Any thread. Appends first → … → last, which are linked already. False: closed, unless forced.
    // seq_cst: the caller goes on to look for sleepers, and a sleeper goes on to look at tail_.
    bool push(Item& first, Item& last, bool force = false)
    {
        last.next.store(nullptr, std::memory_order::relaxed);
        std::uintptr_t tail = tail_.load(std::memory_order::relaxed);
        do {
            if ((tail & closed_bit) != 0 && !force)
                return false;
        } while (!tail_.compare_exchange_weak(tail, reinterpret_cast<std::uintptr_t>(&last) | (tail & closed_bit),
                                              std::memory_order::seq_cst, std::memory_order::relaxed));
        if (Item* previous = item(tail))
            previous->next.store(&first, std::memory_order::release);
        else
            head_.store(&first, std::memory_order::release);
        return true;
    }

    // Any thread.
    void close()
    {
        std::uintptr_t tail = tail_.load(std::memory_order::relaxed);
        while (!tail_.compare_exchange_weak(tail, tail | closed_bit, std::memory_order::seq_cst,
                                            std::memory_order::relaxed)) {
        }
    }

    bool empty() const { return item(tail_.load(std::memory_order::seq_cst)) == nullptr; }
    // The same as a hint that costs producers nothing: tail_ stays in their caches.
    bool seems_empty() const { return head_.load(std::memory_order::relaxed) == nullptr; }

    // Any thread. Up to n of the oldest, into items; 0 if there are none, none can be reached, or another one is at it.
    // The last one is only taken alone, since that needs tail_: who takes many leaves it for the next time.
    std::uint32_t take(Item** items, std::uint32_t n)
    {
        if (!try_lock())
            return 0;
        std::uint32_t taken = 0;
        Item* head = head_.load(std::memory_order::acquire);
        while (head != nullptr && taken < n) {
            Item* next = head->next.load(std::memory_order::acquire);
            if (next == nullptr)
                break;
            items[taken++] = head;
            head = next;
        }
        if (taken != 0)
            head_.store(head, std::memory_order::relaxed);
        else if (head != nullptr && n != 0 && take_last(head))
            items[taken++] = head;
        unlock();
        return taken;
    }

    // Any thread. Visits what can be reached now, oldest first.
    template <class Visit>
    void for_each(const Visit& visit)
    {
        while (!try_lock())
            Atomics::yield();
        for (Item* at = head_.load(std::memory_order::acquire); at != nullptr;
             at = at->next.load(std::memory_order::acquire))
            visit(*at);
        unlock();
    }

private:
    static constexpr std::uintptr_t closed_bit = 1;
    static Item* item(std::uintptr_t tail) { return reinterpret_cast<Item*>(tail & ~closed_bit); }

    bool try_lock()
    {
        return locked_.load(std::memory_order::relaxed) == 0 && locked_.exchange(1, std::memory_order::acquire) == 0;
    }
    void unlock() { locked_.store(0, std::memory_order::release); }

    bool take_last(Item* head)
    {
        // Before the CAS: after it a producer may write head_.
        head_.store(nullptr, std::memory_order::relaxed);
        std::uintptr_t tail = tail_.load(std::memory_order::relaxed);
        while (item(tail) == head) {
            if (tail_.compare_exchange_weak(tail, tail & closed_bit, std::memory_order::acq_rel,
                                            std::memory_order::relaxed))
                return true;
        }
        head_.store(head, std::memory_order::relaxed);  // somebody is about to link behind it
        return false;
    }

    // Producers and the consumer's last step; the newest item and the closed bit.
    alignas(64) typename Atomics::template Atomic<std::uintptr_t> tail_{0};
    // The consumer, and a producer that found the inbox empty.
    alignas(64) typename Atomics::template Atomic<Item*> head_{nullptr};
    typename Atomics::template Atomic<std::uint32_t> locked_{0};
};

}  // namespace execq::core
