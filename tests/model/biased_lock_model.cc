// The biased lock: owner and guests exclude each other, and each sees what the one before did, although the owner's way
// in is a plain store and a load. The mutants leave out a fence, weaken an order, or skip a step.
#include "relacy_atomics.h"

#include "base/biased_lock.h"

namespace {

using execq::core::BiasedLock;

// A lock with the mutex that its Lock names.
template <class Atomics, class Mutex>
struct Alone {
    Mutex guests;
    BiasedLock<Atomics, Mutex> lock{guests};
};

// ---- the owner, twice, against its guests ----

// relacy reports two threads that touch the counter at once, or one that does not see what another did.
// by_halves: the owner enters and leaves by itself, and goes the slow way only where it was asked.
template <class Held, unsigned guests, bool by_halves = false>
struct Excluding : FencedSuite<Excluding<Held, guests, by_halves>, guests + 1> {
    Held held;
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
            held.lock.as_guest([this] { return count(); });
            return;
        }
        int last = -1;
        for (int round = 0; round < owner_rounds; ++round) {
            const int before = by_halves ? count_by_halves() : held.lock.as_owner([this] { return count(); });
            RL_ASSERT(before > last);
            last = before;
        }
    }
    int count_by_halves()
    {
        if (!held.lock.try_enter())
            return held.lock.as_owner([this] { return count(); });
        const int before = count();
        held.lock.leave();
        return before;
    }

    void after() { RL_ASSERT(counter == owner_rounds + static_cast<int>(guests)); }
};

// ---- the owner takes something away, waits for guests that may be looking at it, and frees it ----

template <class Held>
struct Freeing : FencedSuite<Freeing<Held>, 2> {
    Held held;
    RelacyAtomics<>::Atomic<int> listed{1};
    RelacyAtomics<>::Plain<int> memory;

    void thread(unsigned index)
    {
        if (index == 0) {
            listed.store(0, std::memory_order::relaxed);
            held.lock.as_owner([] {});
            memory = 1;
            return;
        }
        held.lock.as_guest([this] { RL_ASSERT(listed.load(std::memory_order::relaxed) == 0 || memory == 0); });
    }
};

// ---- two owners, and a guest of both at once; with a second guest, of the last one alone ----

// What the guest of both leaves out for the second one.
enum class Skip { nothing, ask, await };

// Threads 0 and 1 own locks 0 and 1, thread 2 is the guest of both, thread 3 that of lock 1.
template <class Atomics, class Mutex, unsigned threads, Skip skip = Skip::nothing>
struct Grouping : FencedSuite<Grouping<Atomics, Mutex, threads, skip>, threads> {
    using Lock = BiasedLock<Atomics, Mutex>;
    Mutex guests;
    Lock locks[2] = {Lock(guests), Lock(guests)};
    RelacyAtomics<>::Plain<int> counters[2];
    static constexpr int owner_rounds = 2;

    void count(unsigned lock) { counters[lock] = counters[lock] + 1; }

    void thread(unsigned index)
    {
        if (index < 2) {
            for (int round = 0; round < owner_rounds; ++round)
                locks[index].as_owner([this, index] { count(index); });
            return;
        }
        if (index == 3)
            return locks[1].as_guest([this] { count(1); });
        int step = 0;
        const auto both = [&](const auto& visit) {
            visit(locks[0]);
            if (++step != static_cast<int>(skip))
                visit(locks[1]);
        };
        Lock::lock_all_as_guest(guests, both);
        count(0);
        count(1);
        Lock::unlock_all_as_guest(guests, both);
    }

    void after()
    {
        RL_ASSERT(counters[0] == owner_rounds + 1);
        RL_ASSERT(counters[1] == owner_rounds + (threads == 4 ? 2 : 1));
    }
};

// ---- mutants ----

constexpr unsigned owner = 0;
constexpr unsigned guest_of_both = 2;

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

// The same for a group. Its guests are threads 2 and 3.
template <bool guests>
struct RelaxedGroupStores : ShippedOrders {
    template <class T>
    static std::memory_order store(std::memory_order order)
    {
        return (model_thread() >= guest_of_both) == guests ? std::memory_order::relaxed : order;
    }
};
template <bool guests>
struct RelaxedGroupLoads : ShippedOrders {
    template <class T>
    static std::memory_order load(std::memory_order order)
    {
        return (model_thread() >= guest_of_both) == guests ? std::memory_order::relaxed : order;
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

// The same for a group.
template <bool owners_lock>
struct GroupHalfLock {
    RelacyLock mutex;
    void lock()
    {
        if ((model_thread() < guest_of_both) == owners_lock)
            mutex.lock();
    }
    void unlock()
    {
        if ((model_thread() < guest_of_both) == owners_lock)
            mutex.unlock();
    }
};

}  // namespace

int main()
{
    using Shipped = Alone<RelacyAtomics<>, RelacyLock>;
    constexpr unsigned guest = 1;
    using Group = Grouping<RelacyAtomics<>, RelacyLock, 3>;
    ModelRun run;
    constexpr Search deep{6};
    run.holds<Excluding<Shipped, 1>>("the owner and a guest count", deep);
    run.holds<Excluding<Shipped, 2>>("the owner and two guests count", Search{4});
    run.holds<Excluding<Shipped, 1, true>>("the owner by halves and a guest count", deep);
    run.holds<Freeing<Shipped>>("the owner frees what a guest may be looking at", deep);
    run.holds<Group>("two owners and a guest of both count");
    run.holds<Grouping<RelacyAtomics<>, RelacyLock, 4>>("two owners, a guest of both and a guest of one count",
                                                        Search{2});
    run.caught<Excluding<Alone<RelacyAtomics<NoLightFence>, RelacyLock>, 1>>("mutant: no light fence");
    run.caught<Excluding<Alone<RelacyAtomics<NoHeavyFence>, RelacyLock>, 1>>("mutant: no heavy fence");
    run.caught<Excluding<Alone<RelacyAtomics<RelaxedStores<owner>>, RelacyLock>, 1>>(
        "mutant: active is released relaxed");
    run.caught<Excluding<Alone<RelacyAtomics<RelaxedLoads<guest>>, RelacyLock>, 1>>(
        "mutant: active is looked at relaxed");
    run.caught<Excluding<Alone<RelacyAtomics<RelaxedStores<guest>>, RelacyLock>, 1>>(
        "mutant: asked is released relaxed");
    run.caught<Excluding<Alone<RelacyAtomics<RelaxedLoads<owner>>, RelacyLock>, 1>>(
        "mutant: asked is looked at relaxed");
    run.caught<Excluding<Alone<RelacyAtomics<>, HalfLock<false>>, 1>>(
        "mutant: the owner that was asked does not take the mutex");
    run.caught<Excluding<Alone<RelacyAtomics<>, HalfLock<true>>, 2>>("mutant: guests do not take the mutex");
    run.caught<Freeing<Alone<RelacyAtomics<NoLightFence>, RelacyLock>>>("mutant: freed without a light fence");
    run.caught<Freeing<Alone<RelacyAtomics<NoHeavyFence>, RelacyLock>>>("mutant: freed without a heavy fence");
    run.caught<Grouping<RelacyAtomics<NoLightFence>, RelacyLock, 3>>("mutant: no light fence in a group");
    run.caught<Grouping<RelacyAtomics<NoHeavyFence>, RelacyLock, 3>>("mutant: no heavy fence in a group");
    run.caught<Grouping<RelacyAtomics<RelaxedGroupStores<false>>, RelacyLock, 3>>(
        "mutant: active is released relaxed in a group");
    run.caught<Grouping<RelacyAtomics<RelaxedGroupLoads<true>>, RelacyLock, 3>>(
        "mutant: active is looked at relaxed in a group");
    run.caught<Grouping<RelacyAtomics<RelaxedGroupStores<true>>, RelacyLock, 3>>(
        "mutant: asked is released relaxed in a group");
    run.caught<Grouping<RelacyAtomics<RelaxedGroupLoads<false>>, RelacyLock, 3>>(
        "mutant: asked is looked at relaxed in a group");
    run.caught<Grouping<RelacyAtomics<>, RelacyLock, 3, Skip::ask>>("mutant: one of a group is not asked");
    run.caught<Grouping<RelacyAtomics<>, RelacyLock, 3, Skip::await>>("mutant: one of a group is not waited for");
    run.caught<Grouping<RelacyAtomics<>, GroupHalfLock<false>, 3>>(
        "mutant: an owner of a group that was asked does not take the mutex");
    run.caught<Grouping<RelacyAtomics<>, GroupHalfLock<true>, 4>>("mutant: guests of a group do not take the mutex");
    return run.finish();
}
