// Floor 0. Many producers post items, one consumer is woken once per batch and takes all of them.
//
// The consumer is woken through uv_async_send, which before libuv 1.53 may see its own stale `pending` flag and swallow
// a send, unless a read-modify-write on one word pairs producer and consumer. Here that word is head_:
//
//   producer   CAS head_: null → item      the winner of the step from empty sends; later ones find a wake on its way
//   consumer   libuv clears `pending`, then exchange head_ → null, then handles the items
//
// A producer whose CAS comes after the exchange reads from it, therefore sees `pending` cleared, and its send works. A
// producer whose CAS comes before it has its item taken. A plain load instead of the CAS (of a head that looks
// non-empty) would lose wake-ups.
//
// Closing: the consumer swaps in a mark that refuses every later item. A sender may still be inside send() then, and the
// handle must not be closed under it, so senders are counted before the CAS that makes them one, and close() waits for
// them. The model in tests/model/mailbox_model.cc covers all of this.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/atomics.h"
#include "base/links.h"
#include "base/sync_point.h"

namespace execq::core {

template <class Atomics = StdAtomics>
class Mailbox {
public:
    // Any thread. Posts an item and calls send() if the consumer may be asleep. False: closed, the item is untouched.
    template <class Send>
    bool post(Link& item, const Send& send)
    {
        return install(&item, send);
    }

    // Any thread. Wakes the consumer without an item; what was written before is visible to it. False: closed.
    template <class Send>
    bool poke(const Send& send)
    {
        return install(nullptr, send);
    }

    // Consumer only. Everything posted so far, oldest first. visit() sees each item before that, newest first.
    template <class Visit>
    Link* take_all(const Visit& visit)
    {
        EXECQ_SYNC_POINT("mailbox take");
        return in_order(head_.exchange(nullptr, std::memory_order::acq_rel), visit);
    }
    Link* take_all()
    {
        return take_all([](Link&) {});
    }

    // Consumer only, once. Refuses all later items, waits for senders still inside send(), returns the rest.
    Link* close()
    {
        EXECQ_SYNC_POINT("mailbox close");
        Link* rest = head_.exchange(&closed_, std::memory_order::acq_rel);
        // acquire: their sends happened before the handle is closed.
        while (senders_.load(std::memory_order::acquire) != 0)  // re-check
            Atomics::yield();
        return in_order(rest, [](Link&) {});
    }

private:
    template <class Send>
    bool install(Link* item, const Send& send)
    {
        EXECQ_SYNC_POINT("mailbox post");
        Link* head = head_.load(std::memory_order::relaxed);  // a guess: every decision is made by a CAS on it
        for (;;) {
            if (head == &closed_)  // re-check
                return false;
            Link* replacement = item;
            if (item != nullptr)
                item->next = head;
            else
                replacement = head != nullptr ? head : &poke_;
            if (head != nullptr) {
                if (head_.compare_exchange_weak(head, replacement, std::memory_order::acq_rel,
                                                std::memory_order::relaxed))
                    return true;
                continue;
            }
            // relaxed: close() reads the count after an exchange that reads from the CAS below.
            senders_.fetch_add(1, std::memory_order::relaxed);
            const bool first = head_.compare_exchange_strong(head, replacement, std::memory_order::acq_rel,
                                                             std::memory_order::relaxed);
            if (first)
                send();
            senders_.fetch_sub(1, std::memory_order::release);
            if (first)
                return true;
        }
    }

    template <class Visit>
    Link* in_order(Link* newest_first, const Visit& visit)
    {
        Link* oldest_first = nullptr;
        while (newest_first != nullptr) {
            Link* next = newest_first->next;
            if (newest_first != &poke_) {
                visit(*newest_first);
                newest_first->next = oldest_first;
                oldest_first = newest_first;
            }
            newest_first = next;
        }
        return oldest_first;
    }

    // Producers push, the consumer swaps; see the top of the file.
    typename Atomics::template Atomic<Link*> head_{nullptr};
    // Producers between deciding to send and having sent; read by close().
    typename Atomics::template Atomic<std::uint32_t> senders_{0};
    Link poke_;    // stands for a wake-up without an item; never linked to anything below it
    Link closed_;  // a mark, never linked
};

}  // namespace execq::core
