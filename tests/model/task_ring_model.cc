// The batch of a worker: its owner fills it and takes, others take one or half; each item comes out once, with all that
// its owner wrote, and oldest first; a sleeper that announces itself and then looks at empty() cannot miss a batch whose
// owner then looks for sleepers. The mutants weaken one order each, or fill a ring that is not empty.
//
// Not shown, as relacy lets no load read a store that comes later: that the owner has to acquire the head before it
// writes slots again, so that a thief's load of a slot cannot return what was written after its take.
#include "relacy_atomics.h"

#include "sched/task_ring.h"

namespace {

using execq::core::TaskRing;

struct Item {
    RelacyAtomics<>::Plain<int> payload;
    int taken = 0;
};

template <class Orders, std::uint32_t capacity>
using Ring = TaskRing<Item, capacity, RelacyAtomics<Orders>>;

// Some items, and who takes them.
template <std::size_t count>
struct Items {
    std::array<Item, count> items;

    template <class AnyRing>
    void fill(AnyRing& ring, std::size_t first, std::uint32_t n)
    {
        std::array<Item*, count> some{};
        for (std::uint32_t i = 0; i < n; ++i) {
            some[i] = &items[first + i];
            some[i]->payload = 1;
        }
        ring.fill(some.data(), n);
    }

    // One thread takes in order.
    struct Taker {
        const Item* newest = nullptr;
        void take(Item* item)
        {
            RL_ASSERT(item != nullptr && item > newest);
            newest = item;
            RL_ASSERT(item->payload == 1);
            item->payload = 2;
            ++item->taken;
        }
        template <std::size_t n>
        void take(const std::array<Item*, n>& some, std::uint32_t taken)
        {
            for (std::uint32_t i = 0; i < taken; ++i)
                take(some[i]);
        }
    };

    void all_taken() const
    {
        for (const Item& item : items)
            RL_ASSERT(item.taken == 1);
    }
};

// ---- the owner fills twice, one or two thieves ----

// patient: the owner does not fill the ring again before it is empty.
template <class AnyRing, unsigned thieves, bool patient = true>
struct Passing : rl::test_suite<Passing<AnyRing, thieves, patient>, thieves + 1>, Items<2 * AnyRing::capacity> {
    AnyRing ring;

    void own()
    {
        typename Passing::Taker taker;
        this->fill(ring, 0, AnyRing::capacity);
        while (Item* item = ring.take()) {
            taker.take(item);
            if (!patient)
                break;
        }
        this->fill(ring, AnyRing::capacity, AnyRing::capacity);
        if (Item* item = ring.take())
            taker.take(item);
    }

    void steal()
    {
        typename Passing::Taker taker;
        std::array<Item*, AnyRing::capacity> some{};
        taker.take(some, ring.take_half(some.data(), AnyRing::capacity));
        taker.take(some, ring.take(some.data(), AnyRing::capacity));
    }

    void thread(unsigned index) { index == 0 ? own() : steal(); }

    void after()
    {
        typename Passing::Taker taker;
        while (!ring.empty())
            taker.take(ring.take());
        this->all_taken();
    }
};

// ---- an owner that fills and looks for a sleeper, a sleeper that looks at the ring, and a thief ----

template <class AnyRing>
struct Sleeping : rl::test_suite<Sleeping<AnyRing>, 3>, Items<2> {
    AnyRing ring;
    RelacyAtomics<>::Atomic<int> sleepers{0};
    bool owner_saw = false;
    bool sleeper_saw = false;

    void before() { fill(ring, 0, 1); }

    void take()
    {
        if (Item* item = ring.take())
            ++item->taken;
    }

    void thread(unsigned index)
    {
        if (index == 0) {
            take();
            fill(ring, 1, 1);
            owner_saw = sleepers.load(std::memory_order::seq_cst) != 0;
        } else if (index == 1) {
            sleepers.fetch_add(1, std::memory_order::seq_cst);
            sleeper_saw = !ring.empty();
        } else {
            take();
        }
    }

    void after() { RL_ASSERT(owner_saw || sleeper_saw || items[1].taken == 1); }
};

// ---- a visitor, while the owner goes on and a thief steals ----

template <class AnyRing>
struct Visiting : rl::test_suite<Visiting<AnyRing>, 3>, Items<2 * AnyRing::capacity> {
    AnyRing ring;

    void before() { this->fill(ring, 0, AnyRing::capacity); }

    void thread(unsigned index)
    {
        if (index == 0) {
            while (ring.take() != nullptr) {
            }
            this->fill(ring, AnyRing::capacity, AnyRing::capacity);
        } else if (index == 1) {
            ring.take();
        } else {
            std::uint32_t visited = 0;
            ring.for_each([&](const Item& item) {
                RL_ASSERT(item.payload == 1);
                ++visited;
            });
            RL_ASSERT(visited <= AnyRing::capacity);
        }
    }
};

// ---- mutants ----

using std::memory_order;

template <memory_order weaker>
struct WeakTake : ShippedOrders {
    static memory_order cas(memory_order) { return weaker; }
};
template <memory_order weaker>
struct WeakFill : ShippedOrders {
    static memory_order exchange(memory_order) { return weaker; }
};
struct AcquireEmpty : ShippedOrders {
    template <class T>
    static memory_order load(memory_order order)
    {
        return order == memory_order::seq_cst ? memory_order::acquire : order;
    }
};

struct RelaxedSlotStore : ShippedOrders {
    template <class T>
    static memory_order store(memory_order)
    {
        return memory_order::relaxed;
    }
};
struct RelaxedSlotLoad : ShippedOrders {
    template <class T>
    static memory_order load(memory_order order)
    {
        return std::is_pointer_v<T> ? memory_order::relaxed : order;
    }
};

// The head, which is the first member of a ring, or the tail is read relaxed.
template <bool head>
struct RelaxedEnd : ShippedOrders {
    static inline const void* head_of_ring = nullptr;
    template <class T>
    static memory_order load(memory_order order)
    {
        return !std::is_pointer_v<T> && (model_object == head_of_ring) == head ? memory_order::relaxed : order;
    }
};
template <bool head, std::uint32_t capacity>
struct RelaxedEndRing : Ring<RelaxedEnd<head>, capacity> {
    RelaxedEndRing() { RelaxedEnd<head>::head_of_ring = this; }
};

}  // namespace

int main()
{
    ModelRun run;
    run.holds<Passing<Ring<ShippedOrders, 2>, 1>>("an owner and a thief, capacity 2", Search{4});
    run.holds<Passing<Ring<ShippedOrders, 2>, 2>>("an owner and two thieves, capacity 2", Search{2});
    run.holds<Passing<Ring<ShippedOrders, 2>, 2>>("the same", Search{0, 300'000});
    run.holds<Passing<Ring<ShippedOrders, 4>, 1>>("an owner and a thief, capacity 4");
    run.holds<Sleeping<Ring<ShippedOrders, 2>>>("a batch against a worker that falls asleep");
    run.holds<Visiting<Ring<ShippedOrders, 2>>>("a visit while the owner and a thief go on");

    run.caught<Passing<Ring<WeakTake<memory_order::relaxed>, 2>, 2>>("mutant: a take is relaxed");
    run.caught<Passing<Ring<WeakTake<memory_order::acquire>, 2>, 2>>("mutant: a take does not release");
    run.caught<Passing<Ring<WeakTake<memory_order::release>, 2>, 2>>("mutant: a take does not acquire");
    run.caught<Passing<Ring<WeakFill<memory_order::relaxed>, 2>, 1>>("mutant: the tail is moved relaxed");
    run.caught<Sleeping<Ring<WeakFill<memory_order::acq_rel>, 2>>>(
        "mutant: the tail is moved acq_rel (sleeper missed)");
    run.caught<Sleeping<Ring<AcquireEmpty, 2>>>("mutant: empty() is acquire (sleeper missed)");
    run.caught<Passing<RelaxedEndRing<true, 2>, 2>>("mutant: the head is read relaxed");
    run.caught<Passing<RelaxedEndRing<false, 2>, 1>>("mutant: the tail is read relaxed");
    run.caught<Visiting<Ring<RelaxedSlotStore, 2>>>("mutant: a slot is stored relaxed");
    run.caught<Visiting<Ring<RelaxedSlotLoad, 2>>>("mutant: a slot is visited relaxed");
    run.caught<Passing<Ring<ShippedOrders, 2>, 1, false>>("mutant: the ring is filled before it is empty");
    return run.finish();
}
