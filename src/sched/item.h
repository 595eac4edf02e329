// Floor 2. What waits in a queue: a task that is nothing but a body and its env, by value, a node, or a turn of a turnstile.
//
// A plain task needs no node: nobody has a handle of it, nobody is told, nothing is dropped. It takes two words in a queue,
// a node one: its address with the lowest bit set; and so does the turn of a turnstile, with the bit above. A body whose address
// has one of these (x86 allows it) goes into a node.
#pragma once

#include <atomic>
#include <cstdint>

#include "sched/turnstile.h"
#include "task/node.h"

namespace execq::core {

// By value everywhere: two registers. A slot in memory is written and read word by word (see Slot), as a processor stalls
// where it reads both at once while their stores are still on the way.
struct Item {
    static constexpr std::uintptr_t node_bit = 1, turn_bit = 2;

    std::uintptr_t word = 0;  // the body, or a node with node_bit, or a turnstile with turn_bit; 0: nothing
    void* env = nullptr;      // the body's

    constexpr Item() = default;
    Item(execq_fn body, void* body_env) : word(reinterpret_cast<std::uintptr_t>(body)), env(body_env) {}
    explicit Item(Node& node) : word(reinterpret_cast<std::uintptr_t>(static_cast<TaskLink*>(&node)) | node_bit) {}
    explicit Item(Turnstile& turnstile) : word(reinterpret_cast<std::uintptr_t>(&turnstile) | turn_bit) {}

    // Whether a body can be told from the others.
    static bool fits(execq_fn body) { return (reinterpret_cast<std::uintptr_t>(body) & (node_bit | turn_bit)) == 0; }

    explicit operator bool() const { return word != 0; }
    bool plain() const { return (word & (node_bit | turn_bit)) == 0; }
    bool is_node() const { return (word & node_bit) != 0; }
    execq_fn fn() const { return reinterpret_cast<execq_fn>(word); }
    Turnstile& turnstile() const { return *reinterpret_cast<Turnstile*>(word & ~turn_bit); }
    Node& node() const { return *static_cast<Node*>(reinterpret_cast<TaskLink*>(word & ~node_bit)); }
};

// Where an item lies; uninitialised, guarded by whoever has it. Atomic references only to keep the compiler from joining
// the words.
class Slot {
public:
    void put(Item item)
    {
        std::atomic_ref(word_).store(item.word, std::memory_order_relaxed);
        std::atomic_ref(env_).store(item.env, std::memory_order_relaxed);
    }
    Item get() const
    {
        Slot& slot = const_cast<Slot&>(*this);
        Item item;
        item.word = std::atomic_ref(slot.word_).load(std::memory_order_relaxed);
        item.env = std::atomic_ref(slot.env_).load(std::memory_order_relaxed);
        return item;
    }

private:
    std::uintptr_t word_;
    void* env_;
};

}  // namespace execq::core
