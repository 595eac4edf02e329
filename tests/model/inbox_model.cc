// The inbox: what was accepted comes out once, in the order of each producer, with all that its producer wrote, also where
// it goes on in another block; closing refuses in the same step; a sleeper that announces itself and then looks at empty()
// cannot miss a task whose producer then looks for sleepers; the hint is right in the end; a block is given back once
// nobody touches it any more. The mutants weaken one order each, or do one step in the naive way.
#include "relacy_atomics.h"

#include "sched/inbox.h"

namespace {

using execq::core::Accepted;
using execq::core::Inbox;
using execq::core::WordBlock;
using std::memory_order;

// As src/sched/item.h has them, without the node.
struct Item {
    static constexpr std::uintptr_t node_bit = 1;
    std::uintptr_t word = 0;
    void* env = nullptr;
    bool plain() const { return (word & node_bit) == 0; }
    bool is_node() const { return !plain(); }
};
struct Slot {
    Item item;
    void put(Item given) { item = given; }
    Item get() const { return item; }
};

struct alignas(8) Task {
    RelacyAtomics<>::Atomic<Task*> next{nullptr};
    RelacyAtomics<>::Plain<int> payload;
    int taken = 0;

    // By the taker. From here on nobody else may touch the task.
    void take()
    {
        RL_ASSERT(payload == 1);
        payload = 2;
        next.store(nullptr, memory_order::relaxed);
        ++taken;
    }
};

// Blocks of three words: two nodes, or one plain task. They come dirty, and are never used again.
constexpr std::uintptr_t dirt = 4;  // looks like a body
template <class Orders>
struct Blocks {
    using Block = WordBlock<RelacyAtomics<Orders>, 3>;

    static Block* allocate()
    {
        RL_ASSERT(given < pool.size());
        Block* block = pool[given++];
        block->next.store(nullptr, memory_order::relaxed);
        for (auto& word : block->words)
            word.store(0, memory_order::relaxed);
        return block;
    }
    static void free(Block* block)
    {
        for (auto& word : block->words)
            word.store(dirt, memory_order::relaxed);
        block->next.store(block, memory_order::relaxed);
        freed[frees++] = block;
    }
    static void begin(Block (&blocks)[5])
    {
        given = frees = 0;
        for (std::size_t i = 0; i < pool.size(); ++i) {
            pool[i] = &blocks[i];
            for (auto& word : blocks[i].words)
                word.store(dirt, memory_order::relaxed);
        }
    }
    static void end()
    {
        RL_ASSERT(frees == given);
        for (std::size_t i = 0; i < frees; ++i) {
            for (auto& word : freed[i]->words)
                RL_ASSERT(word.load(memory_order::relaxed) == dirt);  // else somebody wrote to it afterwards
        }
    }

    static inline std::array<Block*, 5> pool{};
    static inline std::array<Block*, 5> freed{};
    static inline std::size_t given = 0;
    static inline std::size_t frees = 0;
};

template <class Orders>
using Box = Inbox<Item, Slot, Task, Blocks<Orders>, RelacyAtomics<Orders>>;

// What all scenes have: an inbox, tasks as nodes or plain, and who takes them.
template <class Scene, class Orders, unsigned threads>
struct SceneOf : rl::test_suite<Scene, threads> {
    struct Pages {
        typename Blocks<Orders>::Block blocks[5];
        Pages() { Blocks<Orders>::begin(blocks); }
    };

    Accepted push_node(std::size_t i, bool force = false)
    {
        tasks[i].payload = 1;
        Item item;
        item.word = reinterpret_cast<std::uintptr_t>(&tasks[i]) | Item::node_bit;
        return inbox->push(item, force);
    }
    // Two words: the body's tells nothing, the env is the task.
    Accepted push_plain(std::size_t i)
    {
        tasks[i].payload = 1;
        Item item;
        item.word = 16;
        item.env = &tasks[i];
        return inbox->push(item);
    }
    Accepted push_chain(std::size_t first, std::size_t second)
    {
        tasks[first].payload = 1;
        tasks[second].payload = 1;
        tasks[first].next.store(&tasks[second], memory_order::relaxed);
        return inbox->push_chain(tasks[first]);
    }
    static Task& task_of(Item item)
    {
        RL_ASSERT(!item.plain() || item.word == 16);
        return *static_cast<Task*>(item.plain() ? item.env : reinterpret_cast<void*>(item.word & ~std::uintptr_t{1}));
    }
    std::uint32_t take(std::uint32_t n)
    {
        std::array<Slot, 4> slots;
        const std::uint32_t count = inbox->take(slots.data(), n);
        for (std::uint32_t i = 0; i < count; ++i) {
            Task& task = task_of(slots[i].get());
            RL_ASSERT(task.payload == 1);
            task.take();
            order[static_cast<std::size_t>(&task - tasks.data())] = ++takes;
        }
        return count;
    }
    void take_rest()
    {
        while (!inbox->empty())
            take(2);
    }
    // Each once, and those of one producer in order.
    void all_taken(std::size_t n) const
    {
        for (std::size_t i = 0; i < n; ++i)
            RL_ASSERT(tasks[i].taken == 1);
    }
    void in_order(std::size_t first, std::size_t second) const { RL_ASSERT(order[first] < order[second]); }
    void finish()
    {
        inbox->~Inbox();
        Blocks<Orders>::end();
    }

    Pages pages;
    alignas(64) std::byte room[sizeof(Box<Orders>)];
    Box<Orders>* inbox = ::new (room) Box<Orders>;  // ended by finish()
    std::array<Task, 4> tasks;
    std::array<int, 4> order{};
    int takes = 0;
};

// ---- two producers, one with plain tasks, the other with a node and a chain, over three blocks, and a consumer ----

template <class Orders>
struct Passing : SceneOf<Passing<Orders>, Orders, 3> {
    void thread(unsigned index)
    {
        if (index == 0) {
            RL_ASSERT(this->push_plain(0) == Accepted::yes);
        } else if (index == 1) {
            RL_ASSERT(this->push_node(1) == Accepted::yes);
            RL_ASSERT(this->push_chain(2, 3) == Accepted::yes);
        } else {
            this->take(1);
            this->take(3);
        }
    }
    void after()
    {
        this->take_rest();
        this->all_taken(4);
        this->in_order(1, 2);
        this->in_order(2, 3);
        this->finish();
    }
};

// ---- a producer and two consumers ----

template <class Orders>
struct Sharing : SceneOf<Sharing<Orders>, Orders, 3> {
    void thread(unsigned index)
    {
        if (index == 0) {
            for (std::size_t i = 0; i < 3; ++i)
                RL_ASSERT(this->push_node(i) == Accepted::yes);
            return;
        }
        this->take(1);
        this->take(2);
    }
    void after()
    {
        this->take_rest();
        this->all_taken(3);
        this->finish();
    }
};

// ---- two producers, and one who closes and takes the rest ----

template <class Orders>
struct Closing : SceneOf<Closing<Orders>, Orders, 3> {
    std::array<int, 3> accepted{};

    void thread(unsigned index)
    {
        if (index == 0) {
            accepted[0] = this->push_node(0) == Accepted::yes ? 1 : 0;
            return;
        }
        if (index == 1) {
            accepted[1] = this->push_plain(1) == Accepted::yes ? 1 : 0;
            accepted[2] = this->push_node(2) == Accepted::yes ? 1 : 0;
            return;
        }
        this->inbox->close();
        while (!this->inbox->empty()) {
            if (this->take(2) == 0)
                rl::yield(1, $);
        }
    }
    // Who found the inbox closed and empty has taken all that there will be.
    void after()
    {
        RL_ASSERT(this->inbox->empty());
        for (std::size_t i = 0; i < accepted.size(); ++i)
            RL_ASSERT(this->tasks[i].taken == accepted[i]);
        this->finish();
    }
};

// ---- a producer that looks for a sleeper, a sleeper that looks at the inbox, and a consumer between them ----

template <class Orders>
struct Sleeping : SceneOf<Sleeping<Orders>, Orders, 3> {
    RelacyAtomics<>::Atomic<int> sleepers{0};
    bool producer_saw = false;
    bool sleeper_saw = false;

    void before() { this->push_node(0); }
    void thread(unsigned index)
    {
        if (index == 0) {
            this->push_node(1);
            producer_saw = sleepers.load(memory_order::seq_cst) != 0;
        } else if (index == 1) {
            sleepers.fetch_add(1, memory_order::seq_cst);
            sleeper_saw = !this->inbox->empty();
        } else {
            this->take(2);
        }
    }
    void after()
    {
        RL_ASSERT(producer_saw || sleeper_saw || this->tasks[1].taken == 1);
        this->take_rest();
        this->finish();
    }
};

// ---- the hint, against a consumer that finds nothing ----

template <class Orders>
struct Hinting : SceneOf<Hinting<Orders>, Orders, 2> {
    void before()
    {
        this->push_node(0);
        this->take(1);
    }
    void thread(unsigned index)
    {
        if (index == 0)
            this->push_node(1);
        else
            this->take(1);
    }
    void after()
    {
        RL_ASSERT(this->inbox->empty() || !this->inbox->seems_empty());
        this->take_rest();
        this->finish();
    }
};

// ---- a visitor, against a producer and a consumer ----

template <class Orders>
struct Visiting : SceneOf<Visiting<Orders>, Orders, 3> {
    void before() { this->push_chain(0, 1); }
    void thread(unsigned index)
    {
        if (index == 0) {
            this->push_plain(2);
            this->push_node(3);
        } else if (index == 1) {
            this->inbox->for_each([this](Item item) { RL_ASSERT(this->task_of(item).payload == 1); });
        } else {
            this->take(3);
        }
    }
    void after()
    {
        this->take_rest();
        this->all_taken(4);
        this->finish();
    }
};

// As shipped. Who frees a block comes after all that was done to it: its stores and theirs have to be in order.
struct Ordered : ShippedOrders {
    template <class T>
    static constexpr bool ordered_stores = std::is_pointer_v<T>;
};

// ---- mutants of an order ----

using Position = unsigned long long;
template <class T>
constexpr bool is_position = std::is_same_v<T, Position>;
template <class T>
constexpr bool is_word = std::is_same_v<T, std::uintptr_t>;
template <class T>
constexpr bool is_flag = std::is_same_v<T, std::uint32_t>;

// A push's step is the seq_cst one, an extension's is not.
template <memory_order weaker>
struct WeakPush : ShippedOrders {
    static memory_order cas(memory_order order) { return order == memory_order::seq_cst ? weaker : order; }
};
struct RelaxedInstall : ShippedOrders {
    static memory_order add(memory_order) { return memory_order::relaxed; }
};
struct AcquireEmpty : ShippedOrders {
    template <class T>
    static memory_order load(memory_order order)
    {
        return is_position<T> && order == memory_order::seq_cst ? memory_order::acquire : order;
    }
};
struct RelaxedTail : ShippedOrders {
    template <class T>
    static memory_order load(memory_order order)
    {
        return is_position<T> && order == memory_order::acquire ? memory_order::relaxed : order;
    }
};
struct RelaxedWordStore : ShippedOrders {
    template <class T>
    static memory_order store(memory_order order)
    {
        return is_word<T> ? memory_order::relaxed : order;
    }
};
struct RelaxedWordLoad : ShippedOrders {
    template <class T>
    static memory_order load(memory_order order)
    {
        return is_word<T> ? memory_order::relaxed : order;
    }
};
struct RelaxedNextStore : Ordered {
    template <class T>
    static memory_order store(memory_order order)
    {
        return std::is_pointer_v<T> ? memory_order::relaxed : order;
    }
};
struct RelaxedNextLoad : Ordered {
    template <class T>
    static memory_order load(memory_order order)
    {
        return std::is_pointer_v<T> ? memory_order::relaxed : order;
    }
};
// The lock and the hint are exchanged in different orders.
struct RelaxedLock : ShippedOrders {
    static memory_order exchange(memory_order order)
    {
        return order == memory_order::acquire ? memory_order::relaxed : order;
    }
};
struct RelaxedUnlock : ShippedOrders {
    template <class T>
    static memory_order store(memory_order order)
    {
        return is_flag<T> ? memory_order::relaxed : order;
    }
};
struct WeakHintClear : ShippedOrders {
    static memory_order exchange(memory_order order)
    {
        return order == memory_order::seq_cst ? memory_order::acq_rel : order;
    }
};
struct WeakHintLook : ShippedOrders {
    template <class T>
    static memory_order load(memory_order order)
    {
        return is_flag<T> && order == memory_order::seq_cst ? memory_order::acquire : order;
    }
};

}  // namespace

int main()
{
    using Shipped = Ordered;
    const Search at_random{0, 100'000};
    ModelRun run;
    run.holds<Passing<Shipped>>("two producers, nodes, plain tasks and a chain, and a consumer", Search{1});
    run.holds<Passing<Shipped>>("the same", at_random);
    run.holds<Sharing<Shipped>>("a producer and two consumers", Search{1});
    run.holds<Sharing<Shipped>>("the same", at_random);
    run.holds<Closing<Shipped>>("two producers push while a third closes and takes", Search{1});
    run.holds<Closing<Shipped>>("the same", at_random);
    run.holds<Sleeping<Shipped>>("a push against a worker that falls asleep");
    run.holds<Hinting<Shipped>>("a push against a consumer that clears the hint");
    run.holds<Visiting<Shipped>>("a visit against pushes and a take", Search{1});

    run.caught<Sleeping<WeakPush<memory_order::acq_rel>>>("mutant: the push is acq_rel (sleeper missed)");
    run.caught<Sleeping<AcquireEmpty>>("mutant: empty() is acquire (sleeper missed)");
    run.caught<Passing<RelaxedTail>>("mutant: the tail is read relaxed (another block's)", at_random);
    run.caught<Passing<RelaxedInstall>>("mutant: the next block is installed relaxed", at_random);
    run.caught<Passing<RelaxedWordStore>>("mutant: the word is stored relaxed", at_random);
    run.caught<Passing<RelaxedWordLoad>>("mutant: the word is read relaxed", at_random);
    run.caught<Passing<RelaxedNextStore>>("mutant: the next block is linked relaxed", at_random);
    run.caught<Passing<RelaxedNextLoad>>("mutant: the next block is followed relaxed", at_random);
    run.caught<Sharing<RelaxedLock>>("mutant: the lock is taken relaxed", at_random);
    run.caught<Sharing<RelaxedUnlock>>("mutant: the lock is given back relaxed", at_random);
    run.caught<Hinting<WeakHintClear>>("mutant: the hint is cleared acq_rel");
    run.caught<Hinting<WeakHintLook>>("mutant: the hint is looked at acquire");
    return run.finish();
}
