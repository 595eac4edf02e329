// The inbox: what was accepted comes out once, in the order of each producer, with all that its producer wrote; closing
// refuses in the same step; a sleeper that announces itself and then looks at empty() cannot miss a task whose producer
// then looks for sleepers. The mutants weaken one order each, or do one step in the naive way.
#include "relacy_atomics.h"

#include "sched/inbox.h"

namespace {

using execq::core::Inbox;

// As shipped. The stores to head_ have to be in order: that of a producer comes after that of the consumer which gave the
// last item away. So have those to a link: the next producer's comes after that of the item's own.
struct Ordered : ShippedOrders {
    template <class T>
    static constexpr bool ordered_stores = std::is_pointer_v<T>;
};

// LinkOrders: those of the links, apart from those of the inbox itself.
template <class LinkOrders>
struct ItemOf {
    typename RelacyAtomics<LinkOrders>::template Atomic<ItemOf*> next{nullptr};
    RelacyAtomics<>::Plain<int> payload;
    int taken = 0;

    // By the taker. From here on nobody else may touch the item.
    void take()
    {
        RL_ASSERT(payload == 1);
        payload = 2;
        next.store(this, std::memory_order::relaxed);
        ++taken;
    }
    bool is_gone() const { return taken == 1 && next.load(std::memory_order::relaxed) == this; }
};

template <class Orders, class LinkOrders = Ordered>
using InboxWith = Inbox<ItemOf<LinkOrders>, RelacyAtomics<Orders>>;

template <class Box>
struct ItemType;
template <template <class, class> class Box, class ItemOfBox, class Atomics>
struct ItemType<Box<ItemOfBox, Atomics>> {
    using type = ItemOfBox;
};
template <class Box>
using ItemIn = typename ItemType<Box>::type;

// ---- two producers, one of them with a chain of two, and a consumer ----

template <class Box>
struct Passing : rl::test_suite<Passing<Box>, 3> {
    Box inbox;
    std::array<ItemIn<Box>, 3> items;

    void take(std::uint32_t n)
    {
        std::array<ItemIn<Box>*, 3> taken;
        const std::uint32_t count = inbox.take(taken.data(), n);
        for (std::uint32_t i = 0; i < count; ++i) {
            taken[i]->take();
            RL_ASSERT(taken[i] != &items[2] || items[1].taken == 1);  // the chain in its order
        }
    }

    void thread(unsigned index)
    {
        if (index == 0) {
            items[0].payload = 1;
            RL_ASSERT(inbox.push(items[0], items[0]));
        } else if (index == 1) {
            items[1].payload = 1;
            items[2].payload = 1;
            items[1].next.store(&items[2], std::memory_order::relaxed);
            RL_ASSERT(inbox.push(items[1], items[2]));
        } else {
            take(1);
            take(3);
            take(3);
        }
    }

    void after()
    {
        while (!inbox.empty())
            take(2);
        RL_ASSERT(items[0].is_gone() && items[1].is_gone() && items[2].is_gone());
    }
};

// ---- a producer and two consumers ----

template <class Box>
struct Sharing : rl::test_suite<Sharing<Box>, 3> {
    Box inbox;
    std::array<ItemIn<Box>, 2> items;

    void take(std::uint32_t n)
    {
        std::array<ItemIn<Box>*, 2> taken;
        const std::uint32_t count = inbox.take(taken.data(), n);
        for (std::uint32_t i = 0; i < count; ++i)
            taken[i]->take();
    }

    void thread(unsigned index)
    {
        if (index == 0) {
            for (auto& item : items) {
                item.payload = 1;
                RL_ASSERT(inbox.push(item, item));
            }
            return;
        }
        take(1);
        take(2);
    }

    void after()
    {
        while (!inbox.empty())
            take(2);
        RL_ASSERT(items[0].is_gone() && items[1].is_gone());
    }
};

// ---- two producers, and one who closes and takes the rest ----

template <class Box>
struct Closing : rl::test_suite<Closing<Box>, 3> {
    Box inbox;
    std::array<ItemIn<Box>, 2> items;
    std::array<int, 2> accepted{};

    void take()
    {
        std::array<ItemIn<Box>*, 2> taken;
        const std::uint32_t count = inbox.take(taken.data(), 2);
        for (std::uint32_t i = 0; i < count; ++i)
            taken[i]->take();
        if (count == 0)
            rl::yield(1, $);
    }

    void thread(unsigned index)
    {
        if (index < items.size()) {
            items[index].payload = 1;
            accepted[index] = inbox.push(items[index], items[index]) ? 1 : 0;
            return;
        }
        inbox.close();
        while (!inbox.empty())
            take();
    }

    // Who found the inbox closed and empty has taken all that there will be.
    void after()
    {
        RL_ASSERT(inbox.empty());
        for (std::size_t i = 0; i < items.size(); ++i)
            RL_ASSERT(items[i].taken == accepted[i]);
    }
};

// ---- a producer that looks for a sleeper, a sleeper that looks at the inbox, and a consumer between them ----

template <class Box>
struct Sleeping : rl::test_suite<Sleeping<Box>, 3> {
    Box inbox;
    std::array<ItemIn<Box>, 2> items;
    RelacyAtomics<>::Atomic<int> sleepers{0};
    bool producer_saw = false;
    bool sleeper_saw = false;

    void before()
    {
        items[0].payload = 1;
        inbox.push(items[0], items[0]);
    }

    void thread(unsigned index)
    {
        if (index == 0) {
            items[1].payload = 1;
            inbox.push(items[1], items[1]);
            producer_saw = sleepers.load(std::memory_order::seq_cst) != 0;
        } else if (index == 1) {
            sleepers.fetch_add(1, std::memory_order::seq_cst);
            sleeper_saw = !inbox.empty();
        } else {
            std::array<ItemIn<Box>*, 2> taken;
            const std::uint32_t count = inbox.take(taken.data(), 2);
            for (std::uint32_t i = 0; i < count; ++i)
                taken[i]->take();
        }
    }

    void after() { RL_ASSERT(producer_saw || sleeper_saw || items[1].taken == 1); }
};

// ---- a visitor, against a producer and a consumer ----

template <class Box>
struct Visiting : rl::test_suite<Visiting<Box>, 3> {
    Box inbox;
    std::array<ItemIn<Box>, 3> items;

    void push(ItemIn<Box>& item)
    {
        item.payload = 1;
        inbox.push(item, item);
    }

    void before() { push(items[0]); }

    void thread(unsigned index)
    {
        if (index == 0) {
            push(items[1]);
            push(items[2]);
        } else if (index == 1) {
            inbox.for_each([](const ItemIn<Box>& item) { RL_ASSERT(item.payload == 1); });
        } else {
            std::array<ItemIn<Box>*, 2> taken;
            const std::uint32_t count = inbox.take(taken.data(), 2);
            for (std::uint32_t i = 0; i < count; ++i)
                taken[i]->take();
        }
    }
};

// ---- mutants of an order ----

using std::memory_order;

// push() and close() are the seq_cst ones, the step that gives the last item away is not.
template <memory_order weaker>
struct WeakPush : Ordered {
    static memory_order cas(memory_order order) { return order == memory_order::seq_cst ? weaker : order; }
};
template <memory_order weaker>
struct WeakLast : Ordered {
    static memory_order cas(memory_order order) { return order == memory_order::seq_cst ? order : weaker; }
};
struct AcquireEmpty : ShippedOrders {
    template <class T>
    static memory_order load(memory_order order)
    {
        return order == memory_order::seq_cst ? memory_order::acquire : order;
    }
};
// Of head_ or a link, whose values are pointers, or of locked_.
template <bool pointers>
struct RelaxedStore : ShippedOrders {
    template <class T>
    static memory_order store(memory_order order)
    {
        return std::is_pointer_v<T> == pointers ? memory_order::relaxed : order;
    }
};
struct RelaxedPointerLoad : ShippedOrders {
    template <class T>
    static memory_order load(memory_order order)
    {
        return std::is_pointer_v<T> ? memory_order::relaxed : order;
    }
};
struct RelaxedLock : ShippedOrders {
    static memory_order exchange(memory_order) { return memory_order::relaxed; }
};

// ---- mutants of a step ----

enum class Fault { none, head_cleared_late, head_not_restored, last_given_at_once, closed_beside };

// The inbox once more, for one consumer.
template <Fault fault>
struct Faulty {
    template <class ItemOfBox, class Atomics>
    class Box {
    public:
        bool push(ItemOfBox& first, ItemOfBox& last)
        {
            last.next.store(nullptr, memory_order::relaxed);
            ItemOfBox* previous = tail_.load(memory_order::relaxed);
            do {
                if (closed_.load(memory_order::seq_cst) != 0)
                    return false;
            } while (!tail_.compare_exchange_weak(previous, &last, memory_order::seq_cst, memory_order::relaxed));
            (previous != nullptr ? previous->next : head_).store(&first, memory_order::release);
            return true;
        }
        void close() { closed_.store(1, memory_order::seq_cst); }
        bool empty() const { return tail_.load(memory_order::seq_cst) == nullptr; }
        std::uint32_t take(ItemOfBox** items, std::uint32_t n)
        {
            std::uint32_t taken = 0;
            while (taken < n && (items[taken] = pop()) != nullptr)
                ++taken;
            return taken;
        }

    private:
        ItemOfBox* pop()
        {
            ItemOfBox* head = head_.load(memory_order::acquire);
            if (head == nullptr)
                return nullptr;
            ItemOfBox* next = head->next.load(memory_order::acquire);
            if (next != nullptr || fault == Fault::last_given_at_once) {
                head_.store(next, memory_order::relaxed);
                ItemOfBox* tail = head;
                if (next == nullptr)
                    tail_.compare_exchange_strong(tail, nullptr, memory_order::seq_cst, memory_order::relaxed);
                return head;
            }
            if (fault != Fault::head_cleared_late)
                head_.store(nullptr, memory_order::relaxed);
            ItemOfBox* tail = head;
            if (tail_.compare_exchange_strong(tail, nullptr, memory_order::seq_cst, memory_order::relaxed)) {
                if (fault == Fault::head_cleared_late)
                    head_.store(nullptr, memory_order::relaxed);
                return head;
            }
            if (fault != Fault::head_not_restored)
                head_.store(head, memory_order::relaxed);
            return nullptr;
        }

        typename Atomics::template Atomic<ItemOfBox*> tail_{nullptr};
        typename Atomics::template Atomic<ItemOfBox*> head_{nullptr};
        typename Atomics::template Atomic<int> closed_{0};
    };
    using Inbox = Box<ItemOf<ShippedOrders>, RelacyAtomics<>>;
};

}  // namespace

int main()
{
    using Shipped = InboxWith<Ordered>;
    ModelRun run;
    run.holds<Passing<Shipped>>("two producers, one of them with a chain, and a consumer");
    run.holds<Sharing<Shipped>>("a producer and two consumers");
    run.holds<Closing<Shipped>>("two producers push while a third closes and takes");
    run.holds<Sleeping<Shipped>>("a push against a worker that falls asleep");
    run.holds<Visiting<Shipped>>("a visit against a push and a take");
    run.holds<Passing<Faulty<Fault::none>::Inbox>>("the copy of which mutants are made");

    run.caught<Sleeping<InboxWith<WeakPush<memory_order::acq_rel>>>>("mutant: the push is acq_rel (sleeper missed)");
    run.caught<Sleeping<InboxWith<AcquireEmpty>>>("mutant: empty() is acquire (sleeper missed)");
    run.caught<Passing<InboxWith<Ordered, RelaxedStore<true>>>>("mutant: the link is stored relaxed");
    run.caught<Passing<InboxWith<Ordered, RelaxedPointerLoad>>>("mutant: the link is followed relaxed");
    run.caught<Passing<InboxWith<RelaxedStore<true>>>>("mutant: the head is stored relaxed");
    run.caught<Passing<InboxWith<RelaxedPointerLoad>>>("mutant: the head is read relaxed");
    run.caught<Sharing<InboxWith<RelaxedLock>>>("mutant: the lock is taken relaxed");
    run.caught<Sharing<InboxWith<RelaxedStore<false>>>>("mutant: the lock is given back relaxed");
    run.caught<Passing<InboxWith<WeakPush<memory_order::release>>>>(
        "mutant: the push does not acquire (head unordered)");
    run.caught<Passing<InboxWith<WeakPush<memory_order::acquire>>>>(
        "mutant: the push does not release (link unordered)");
    run.caught<Passing<InboxWith<WeakLast<memory_order::acquire>>>>("mutant: the last item goes without a release");
    run.caught<Passing<Faulty<Fault::head_cleared_late>::Inbox>>("mutant: the head is cleared after the last step");
    run.caught<Passing<Faulty<Fault::head_not_restored>::Inbox>>("mutant: the head is not put back");
    run.caught<Passing<Faulty<Fault::last_given_at_once>::Inbox>>("mutant: the last item goes although one follows it");
    run.caught<Closing<Faulty<Fault::closed_beside>::Inbox>>("mutant: the closed bit is beside the tail");
    return run.finish();
}
