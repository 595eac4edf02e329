// The parker: of a permit and a park that meet in any way, none is lost, and what was written before a permit is seen
// after the park that took it. The mutants weaken an order, or take a permit by a load and a store.
#include "relacy_atomics.h"

#include "base/futex.h"

namespace {

using execq::core::BasicParker;
using execq::core::Deadline;

// A sleep may end early: here it always does. A permit that is lost leaves its thread parking for ever.
struct ShortSleep {
    static void wait(const void*, std::uint32_t, Deadline) { rl::yield(1, $); }
    static void wake_one(const void*) {}
};

// Threads 1 to wakers each write their word and give a permit, `permits` times; thread 0 parks until it has seen all.
template <class Atomics, unsigned wakers, int permits, bool looks_first = false>
struct Parking : rl::test_suite<Parking<Atomics, wakers, permits, looks_first>, wakers + 1> {
    BasicParker<Atomics, ShortSleep> parker;
    RelacyAtomics<>::Atomic<int> words[wakers];

    bool seen_all() const
    {
        bool all = true;
        for (const auto& word : words)
            all = all && word.load(std::memory_order::relaxed) == permits;
        return all;
    }

    void thread(unsigned index)
    {
        if (index != 0) {
            for (int permit = 1; permit <= permits; ++permit) {
                words[index - 1].store(permit, std::memory_order::relaxed);
                parker.unpark();
            }
            return;
        }
        if (looks_first)
            parker.park(Deadline::after(0));
        while (!seen_all())
            RL_ASSERT(parker.park());
    }
};

// ---- mutants ----

struct RelaxedExchanges : ShippedOrders {
    static std::memory_order exchange(std::memory_order) { return std::memory_order::relaxed; }
};
// Only those of the thread that parks, or of those that wake it.
template <bool parks>
struct RelaxedSide : ShippedOrders {
    static std::memory_order exchange(std::memory_order order)
    {
        return (model_thread() == 0) == parks ? std::memory_order::relaxed : order;
    }
};

struct TakenByAStore : RelacyAtomics<> {
    template <class T>
    class Atomic : public RelacyAtomics<>::Atomic<T> {
    public:
        using Base = RelacyAtomics<>::Atomic<T>;
        using Base::Base;
        T exchange(T value, std::memory_order order)
        {
            if (value != T{})
                return Base::exchange(value, order);
            const T seen = this->load(order);
            this->store(value, std::memory_order::relaxed);
            return seen;
        }
    };
};

}  // namespace

int main()
{
    using Shipped = RelacyAtomics<>;
    ModelRun run;
    run.holds<Parking<Shipped, 1, 3>>("three permits of one thread", Search{5});
    run.holds<Parking<Shipped, 2, 1>>("a permit from each of two threads", Search{5});
    run.holds<Parking<Shipped, 2, 2>>("two permits from each of two threads");
    run.holds<Parking<Shipped, 1, 2, true>>("a look, then a park", Search{5});
    run.caught<Parking<TakenByAStore, 1, 2>>("mutant: a permit is taken by a load and a store");
    run.caught<Parking<TakenByAStore, 2, 1>>("mutant: one of two threads' permits is taken by a load and a store");
    run.caught<Parking<RelacyAtomics<RelaxedExchanges>, 1, 1>>("mutant: nothing is ordered");
    run.caught<Parking<RelacyAtomics<RelaxedSide<true>>, 1, 1>>("mutant: park does not acquire");
    run.caught<Parking<RelacyAtomics<RelaxedSide<false>>, 1, 1>>("mutant: unpark does not release");
    return run.finish();
}
