// The biased lock: owner and guests exclude each other, and each sees what the one before did, although the owner's way
// in is a plain store and a load. The mutants leave out a fence, weaken an order, or skip a step.
#include "relacy_atomics.h"

#include "base/biased_lock.h"

namespace {

using execq::core::BiasedLock;

// ---- the owner, twice, against its guests ----

// relacy reports two threads that touch the counter at once, or one that does not see what another did.
template <class Lock, unsigned guests>
struct Excluding : FencedSuite<Excluding<Lock, guests>, guests + 1> {
    Lock lock;
    RelacyAtomics<>::Plain<int> counter;
    static constexpr int owner_rounds = 2;

    int count()
    {
        const int before = counter;
        counter = before + 1;
        return before;
    }

    void thread(unsigned index)
    {
        if (index != 0) {
            lock.as_guest([this] { return count(); });
            return;
        }
        int last = -1;
        for (int round = 0; round < owner_rounds; ++round) {
            const int before = lock.as_owner([this] { return count(); });
            RL_ASSERT(before > last);
            last = before;
        }
    }

    void after() { RL_ASSERT(counter == owner_rounds + static_cast<int>(guests)); }
};

// ---- the owner takes something away, waits for guests that may be looking at it, and frees it ----

template <class Lock>
struct Freeing : FencedSuite<Freeing<Lock>, 2> {
    Lock lock;
    RelacyAtomics<>::Atomic<int> listed{1};
    RelacyAtomics<>::Plain<int> memory;

    void thread(unsigned index)
    {
        if (index == 0) {
            listed.store(0, std::memory_order::relaxed);
            lock.as_owner([] {});
            memory = 1;
            return;
        }
        lock.as_guest([this] { RL_ASSERT(listed.load(std::memory_order::relaxed) == 0 || memory == 0); });
    }
};

// ---- mutants ----

constexpr unsigned owner = 0;

struct NoLightFence : ShippedOrders {
    static bool light_fence() { return false; }
};
struct NoHeavyFence : ShippedOrders {
    static bool heavy_fence() { return false; }
};
// The owner stores active_ and loads asked_, a guest the other way round.
template <unsigned thread>
struct RelaxedStores : ShippedOrders {
    template <class T>
    static std::memory_order store(std::memory_order order)
    {
        return (model_thread() == owner) == (thread == owner) ? std::memory_order::relaxed : order;
    }
};
template <unsigned thread>
struct RelaxedLoads : ShippedOrders {
    template <class T>
    static std::memory_order load(std::memory_order order)
    {
        return (model_thread() == owner) == (thread == owner) ? std::memory_order::relaxed : order;
    }
};

// Only the owner, or only the guests, take the mutex.
template <bool owner_locks>
struct HalfLock {
    RelacyLock mutex;
    void lock()
    {
        if ((model_thread() == owner) == owner_locks)
            mutex.lock();
    }
    void unlock()
    {
        if ((model_thread() == owner) == owner_locks)
            mutex.unlock();
    }
};

}  // namespace

int main()
{
    using Shipped = BiasedLock<RelacyAtomics<>, RelacyLock>;
    constexpr unsigned guest = 1;
    ModelRun run;
    constexpr Search deep{6};
    run.holds<Excluding<Shipped, 1>>("the owner and a guest count", deep);
    run.holds<Excluding<Shipped, 2>>("the owner and two guests count", Search{4});
    run.holds<Freeing<Shipped>>("the owner frees what a guest may be looking at", deep);
    run.caught<Excluding<BiasedLock<RelacyAtomics<NoLightFence>, RelacyLock>, 1>>("mutant: no light fence");
    run.caught<Excluding<BiasedLock<RelacyAtomics<NoHeavyFence>, RelacyLock>, 1>>("mutant: no heavy fence");
    run.caught<Excluding<BiasedLock<RelacyAtomics<RelaxedStores<owner>>, RelacyLock>, 1>>(
        "mutant: active is released relaxed");
    run.caught<Excluding<BiasedLock<RelacyAtomics<RelaxedLoads<guest>>, RelacyLock>, 1>>(
        "mutant: active is looked at relaxed");
    run.caught<Excluding<BiasedLock<RelacyAtomics<RelaxedStores<guest>>, RelacyLock>, 1>>(
        "mutant: asked is released relaxed");
    run.caught<Excluding<BiasedLock<RelacyAtomics<RelaxedLoads<owner>>, RelacyLock>, 1>>(
        "mutant: asked is looked at relaxed");
    run.caught<Excluding<BiasedLock<RelacyAtomics<>, HalfLock<false>>, 1>>(
        "mutant: the owner that was asked does not take the mutex");
    run.caught<Excluding<BiasedLock<RelacyAtomics<>, HalfLock<true>>, 2>>("mutant: guests do not take the mutex");
    run.caught<Freeing<BiasedLock<RelacyAtomics<NoLightFence>, RelacyLock>>>("mutant: freed without a light fence");
    run.caught<Freeing<BiasedLock<RelacyAtomics<NoHeavyFence>, RelacyLock>>>("mutant: freed without a heavy fence");
    return run.finish();
}
