// Floor 2. An inbox: tasks from other threads, first in, first out, closed and refused in one atomic step.
//
// It is a chain of blocks of words. A plain task takes two words, its body and its env; a node takes one, and so does a
// chain of nodes that are submitted together. Tasks that lie side by side cost a consumer a fraction of a cache miss each,
// and none of them has to wait for the line of the one before it.
//
//   producer   CAS tail_: reserves words, then writes them, the one that tells what it is last
//   consumer   (one at a time, under the inbox's own try-lock) reads from head_ on, up to the first word not yet written
//
// tail_ counts the words ever reserved, with one more position at the end of each block, at which it stays while the
// next block is installed by whoever reserved the last word. So a tail_ that is not there belongs to tail_block_. The next
// block is allocated before anything is reserved: where memory is out, nothing has happened. A plain task does not lie
// across two blocks; the word that is left is filled with `skip`.
//
// The closed bit is in tail_: a submission is accepted or refused by one CAS.
//
// The model in tests/model/inbox_model.cc covers it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>

#include "base/atomics.h"

namespace execq::core {

// Zeroed when it is taken into use. Words + 1 is a power of two.
template <class Atomics, std::uint32_t Words>
struct WordBlock {
    static constexpr std::uint32_t size = Words;
    typename Atomics::template Atomic<WordBlock*> next;
    typename Atomics::template Atomic<std::uintptr_t> words[Words];
};

enum class Accepted { yes, closed, no_memory };

// Blocks: has a type Block, allocate() (null where memory is out) and free(). Link: has an atomic `next`.
// Item and Slot: see item.h.
template <class Item, class Slot, class Link, class Blocks, class Atomics = StdAtomics>
class Inbox {
public:
    using Block = typename Blocks::Block;

    // Throws std::bad_alloc.
    Inbox() : head_block_(Blocks::allocate())
    {
        if (head_block_ == nullptr)
            throw std::bad_alloc();
        tail_block_.store(head_block_, std::memory_order::relaxed);
    }
    Inbox(const Inbox&) = delete;
    Inbox& operator=(const Inbox&) = delete;
    ~Inbox()
    {
        while (head_block_ != nullptr) {
            Block* next = head_block_->next.load(std::memory_order::relaxed);
            Blocks::free(head_block_);
            head_block_ = next;
        }
    }

    // ---- producers (any thread) ----
    // A closed inbox refuses, unless forced. seq_cst: the caller goes on to look for sleepers, and a sleeper goes on to
    // look at tail_.
    Accepted push(Item item, bool force = false)
    {
        return item.is_node() ? reserve<1>(item.word, nullptr, force) : reserve<2>(item.word, item.env, force);
    }
    // Of nodes that are linked already; the last one's link is null.
    Accepted push_chain(Link& first, bool force = false)
    {
        return reserve<1>(reinterpret_cast<std::uintptr_t>(&first) | Item::node_bit | chain_bit, nullptr, force);
    }

    // ---- any thread ----
    void close() { tail_.fetch_or(closed_bit, std::memory_order::seq_cst); }

    bool empty() const
    {
        // acquire: head_ is no newer than the tail that is read next.
        const Position head = head_.load(std::memory_order::acquire);
        return tail_.load(std::memory_order::seq_cst) >> 1 == head;
    }
    // A hint that costs producers nothing: tail_ stays in their caches. Right once what was pushed has settled.
    bool seems_empty() const { return filled_.load(std::memory_order::relaxed) == 0; }

    // Empty, and then it also seems so. For consumers that take only what they have seen: the hint is otherwise cleared
    // by a take() that finds nothing.
    bool settle_empty()
    {
        if (!empty())
            return false;
        if (!seems_empty())
            take(nullptr, 0);
        return true;
    }

    // Up to n of the oldest, into items; 0 if there are none, none is written yet, or another one is at it.
    std::uint32_t take(Slot* items, std::uint32_t n)
    {
        if (!try_lock())
            return 0;
        std::uint32_t taken = 0;
        Position at = head_.load(std::memory_order::relaxed);
        while (taken < n && step(at, items, taken)) {
        }
        head_.store(at, std::memory_order::release);
        if (taken == 0)
            note_empty();
        unlock();
        return taken;
    }

    // Visits what can be reached now, oldest first.
    template <class Visit>
    void for_each(const Visit& visit)
    {
        walk([&visit](Item item) {
            visit(item);
            return true;
        });
    }
    // How many can be reached now: exact up to `most`, beyond that as if the rest were like these.
    std::uint64_t count(std::uint64_t most)
    {
        std::uint64_t items = 0;
        const Walk walked = walk([&items, most](Item) { return ++items < most; });
        const Position words = walked.end - walked.begin;
        if (items < most || words == 0)
            return items;
        const Position left = (tail_.load(std::memory_order::relaxed) >> 1) - walked.end;
        return items + static_cast<std::uint64_t>(static_cast<double>(items) * static_cast<double>(left) /
                                                  static_cast<double>(words));
    }

private:
    using Position = unsigned long long;  // not the type of a word, which the model tells apart

    struct Walk {
        Position begin;
        Position end;
    };
    // Visits what can be reached now, as long as visit() answers true.
    template <class Visit>
    Walk walk(const Visit& visit)
    {
        while (!try_lock())
            Atomics::yield();
        const Block* block = head_block_;
        Position at = head_.load(std::memory_order::relaxed);
        const Position begin = at;
        bool goes_on = true;
        while (block != nullptr && goes_on) {
            if (offset_of(at) == Block::size) {
                block = block->next.load(std::memory_order::relaxed);
                ++at;
                continue;
            }
            const std::uintptr_t word = block->words[offset_of(at)].load(std::memory_order::acquire);
            if (word == 0)
                break;
            if (word != skip)
                goes_on = visit_word(word, word_after(*block, at, word), visit);
            at += words_of(word);
        }
        unlock();
        return {begin, at};
    }

    static constexpr Position closed_bit = 1;
    static constexpr Position one_word = 2;  // of tail_
    // A node's address has these bits clear.
    static constexpr std::uintptr_t chain_bit = 2;
    static constexpr std::uintptr_t skip = chain_bit;  // no body lies there

    static std::uint32_t offset_of(Position at) { return static_cast<std::uint32_t>(at) & Block::size; }
    static bool is_node(std::uintptr_t word) { return (word & Item::node_bit) != 0; }
    static Link* link_of(std::uintptr_t word) { return reinterpret_cast<Link*>(word & ~(Item::node_bit | chain_bit)); }
    static std::uint32_t words_of(std::uintptr_t word) { return is_node(word) || word == skip ? 1 : 2; }

    bool try_lock()
    {
        return locked_.load(std::memory_order::relaxed) == 0 && locked_.exchange(1, std::memory_order::acquire) == 0;
    }
    void unlock() { locked_.store(0, std::memory_order::release); }

    // ---- producers ----

    template <std::uint32_t N>
    Accepted reserve(std::uintptr_t word, void* env, bool force)
    {
        for (;;) {
            Position tail = tail_.load(std::memory_order::acquire);
            // After tail_: the block of that tail, or a later one, and then the CAS fails.
            Block* block = tail_block_.load(std::memory_order::relaxed);
            const std::uint32_t offset = offset_of(tail >> 1);
            if ((tail & closed_bit) != 0 && !force)  // re-check
                return Accepted::closed;
            if (offset + N >= Block::size) [[unlikely]] {
                if (offset == Block::size)
                    Atomics::yield();  // for who installs the next block
                else if (!extend(*block, tail))
                    return Accepted::no_memory;
                continue;
            }
            if (tail_.compare_exchange_weak(tail, tail + N * one_word, std::memory_order::seq_cst,
                                            std::memory_order::relaxed)) {
                if (N == 2)
                    block->words[offset + 1].store(reinterpret_cast<std::uintptr_t>(env), std::memory_order::relaxed);
                block->words[offset].store(word, std::memory_order::release);
                if (filled_.load(std::memory_order::seq_cst) == 0)  // re-check
                    filled_.store(1, std::memory_order::release);
                return Accepted::yes;
            }
        }
    }

    // Takes the one or two last words of the block, leaves them out, and installs the next block. True also where
    // somebody else was faster.
    [[gnu::noinline]] bool extend(Block& block, Position tail)
    {
        Block* next = Blocks::allocate();
        if (next == nullptr)
            return false;
        const std::uint32_t offset = offset_of(tail >> 1);
        if (!tail_.compare_exchange_strong(tail, tail + (Block::size - offset) * one_word, std::memory_order::acq_rel,
                                           std::memory_order::relaxed)) {
            Blocks::free(next);
            return true;
        }
        tail_block_.store(next, std::memory_order::relaxed);    // published by the step of tail_
        tail_.fetch_add(one_word, std::memory_order::release);  // a close may have come meanwhile
        // The consumer frees the block once it has seen all its words and its next one: the last step here.
        for (std::uint32_t at = offset; at != Block::size; ++at)
            block.words[at].store(skip, std::memory_order::release);
        block.next.store(next, std::memory_order::release);
        return true;
    }

    // ---- the consumer ----

    // One step of take(): true if it may go on.
    bool step(Position& at, Slot* items, std::uint32_t& taken)
    {
        const std::uint32_t offset = offset_of(at);
        if (offset == Block::size) [[unlikely]] {
            Block* next = head_block_->next.load(std::memory_order::acquire);
            if (next == nullptr)  // re-check
                return false;
            Blocks::free(head_block_);
            head_block_ = next;
            ++at;
            return true;
        }
        auto& place = head_block_->words[offset];
        const std::uintptr_t word = place.load(std::memory_order::acquire);
        if (word == 0)  // re-check
            return false;
        if (word == skip) [[unlikely]] {
            ++at;
            return true;
        }
        Item item;
        item.word = word;
        item.env = word_after(*head_block_, at, word);
        if (is_node(word) && (word & chain_bit) != 0) [[unlikely]]
            item.word = first_of_chain(place, word, at);
        else
            at += words_of(word);
        items[taken++].put(item);
        return true;
    }

    // The rest of the chain stays where it is.
    template <class Place>
    static std::uintptr_t first_of_chain(Place& place, std::uintptr_t word, Position& at)
    {
        Link* rest = link_of(word)->next.load(std::memory_order::relaxed);
        if (rest != nullptr)
            place.store(reinterpret_cast<std::uintptr_t>(rest) | Item::node_bit | chain_bit,
                        std::memory_order::relaxed);
        else
            ++at;
        return word & ~chain_bit;
    }

    static void* word_after(const Block& block, Position at, std::uintptr_t word)
    {
        return words_of(word) == 2
                   ? reinterpret_cast<void*>(block.words[offset_of(at) + 1].load(std::memory_order::relaxed))
                   : nullptr;
    }

    template <class Visit>
    static bool visit_word(std::uintptr_t word, void* env, const Visit& visit)
    {
        Item item;
        item.word = word & ~(is_node(word) ? chain_bit : 0);
        item.env = env;
        bool goes_on = visit(item);
        if (!is_node(word) || (word & chain_bit) == 0)
            return goes_on;
        for (Link* link = link_of(word)->next.load(std::memory_order::relaxed); link != nullptr && goes_on;
             link = link->next.load(std::memory_order::relaxed)) {
            item.word = reinterpret_cast<std::uintptr_t>(link) | Item::node_bit;
            goes_on = visit(item);
        }
        return goes_on;
    }

    // Of a push and this, one sees the other: the hint is never wrong for good.
    void note_empty()
    {
        if (filled_.load(std::memory_order::relaxed) != 0)
            filled_.exchange(0, std::memory_order::seq_cst);
        if (!empty())  // re-check
            filled_.store(1, std::memory_order::relaxed);
    }

    // Producers; the words ever reserved, and the closed bit. See the top of the file.
    alignas(64) typename Atomics::template Atomic<Position> tail_{0};
    typename Atomics::template Atomic<Block*> tail_block_{nullptr};
    // The words ever taken: written by the consumer.
    alignas(64) typename Atomics::template Atomic<Position> head_{0};
    typename Atomics::template Atomic<std::uint32_t> locked_{0};
    Block* head_block_;  // the consumer's
    // 1: there may be something. Set by a producer that finds 0, cleared by a consumer that found nothing.
    alignas(64) typename Atomics::template Atomic<std::uint32_t> filled_{0};
};

}  // namespace execq::core
