// Floor 1. The slot of a node that holds its registrations until it is done.
//
//   empty ──try_occupy()──► busy ──fill()──► inside ──push()──► chain ──push()──► chain …      and from all: close() ──► closed
//     └────────────────────────push()──────────────────────────►─┘
//
// The node has room for one registration inside itself; others are records in a chain, newest first. Who pushes while the
// room is occupied moves what is in it to a record of its own; who pushes while it is being filled covers it, and fill()
// tells its caller to bring a record instead. Who closes takes all, once; who finds it closed delivers by itself: busy has
// nothing to take, and fill() says so to who fills.
//
// close() is called by who settles the node, if the state word says that somebody has registered. So who pushes asks that
// word first: without the flag the node was done before, and nobody will come (announced).
//
// The model in tests/model/completion_slot_model.cc covers it.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/atomics.h"

namespace execq::core {

// Record has a Record* older, for as long as it is in a chain. Port is where the one inside goes; null: nowhere.
template <class Record, class Port, class Atomics = StdAtomics>
class BasicCompletionSlot {
public:
    using Content = std::uintptr_t;

    // ---- before the node is published (its maker only) ----
    void preset_inside(Port& port) { content_.store(reinterpret_cast<Content>(&port), std::memory_order::relaxed); }
    void preset_record(Record& record) { content_.store(chain_of(record), std::memory_order::relaxed); }

    // ---- the room inside (any thread) ----
    // True for one caller, who writes the registration and calls fill().
    [[nodiscard]] bool try_occupy()
    {
        Content seen = empty;
        return content_.compare_exchange_strong(seen, busy, std::memory_order::acq_rel, std::memory_order::relaxed);
    }
    // Closed: the caller delivers what it has written. Covered: somebody's chain lies over it, the room stays unused.
    enum class Filled { registered, closed, covered };
    [[nodiscard]] Filled fill(Port* port)
    {
        const Content inside = port != nullptr ? reinterpret_cast<Content>(port) : inside_done;
        Content seen = busy;
        // acq_rel: who takes it reads what was written; acquire: who delivers by itself comes after the node's end.
        if (content_.compare_exchange_strong(seen, inside, std::memory_order::acq_rel, std::memory_order::acquire))
            return Filled::registered;
        return seen == closed ? Filled::closed : Filled::covered;
    }

    // ---- records (any thread) ----
    // Closed: the caller delivers it. Failed: copy() did; the record is as it was.
    //
    // copy(port) answers with a record of what is inside, or null; forget(record) takes one back that was not needed.
    // announced: the state word said that somebody registers, after the caller had announced this one.
    enum class Pushed { registered, closed, failed };
    template <class Copy, class Forget>
    [[nodiscard]] Pushed push(Record& record, bool announced, const Copy& copy, const Forget& forget)
    {
        Record* moved = nullptr;
        Content seen = announced ? content_.load(std::memory_order::acquire) : closed;
        for (;;) {
            if (seen == closed) {  // re-check
                forget(moved);
                return Pushed::closed;
            }
            const bool from_inside = is_inside(seen);
            if (from_inside) {
                forget(moved);
                moved = copy(port_in(seen));
                if (moved == nullptr)
                    return Pushed::failed;
            }
            record.older = from_inside ? moved : is_chain(seen) ? chain_in(seen) : nullptr;
            if (content_.compare_exchange_weak(seen, chain_of(record), std::memory_order::acq_rel,
                                               std::memory_order::acquire)) {
                if (!from_inside)
                    forget(moved);
                return Pushed::registered;
            }
        }
    }

    // ---- the end (who settles, once) ----
    [[nodiscard]] Content close() { return content_.exchange(closed, std::memory_order::acq_rel); }
    // The same with the only reference to the node. relaxed: nobody else knows of it.
    [[nodiscard]] Content close_alone()
    {
        const Content content = content_.load(std::memory_order::relaxed);
        content_.store(closed, std::memory_order::relaxed);
        return content;
    }

    // ---- what was in it ----
    static bool is_inside(Content content)
    {
        return content != empty && content != busy && content != closed && !is_chain(content);
    }
    static bool is_chain(Content content) { return (content & chain_bit) != 0; }
    static Port* port_in(Content content)
    {
        return content == inside_done ? nullptr : reinterpret_cast<Port*>(content);
    }
    // Reverses the chain: the oldest, each of which names the next newer one.
    static Record* oldest_in(Content content)
    {
        Record* oldest = nullptr;
        for (Record* record = chain_in(content); record != nullptr;) {
            Record* older = record->older;
            record->older = oldest;
            oldest = record;
            record = older;
        }
        return oldest;
    }

private:
    // These, or the address of a Port (inside one; no port: inside_done), or of a Record | 1.
    static constexpr Content empty = 0, busy = 2, inside_done = 4, closed = 6, chain_bit = 1;

    static Content chain_of(Record& record) { return reinterpret_cast<Content>(&record) | chain_bit; }
    static Record* chain_in(Content content) { return reinterpret_cast<Record*>(content & ~chain_bit); }

    // See the top of the file. Producers: who registers; consumer: who settles.
    typename Atomics::template Atomic<Content> content_{empty};
};

}  // namespace execq::core
