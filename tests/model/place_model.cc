// A worker's place: promises that are open on its loop are completed elsewhere, a completion is delivered to it, and its thread
// leaves once nothing is used. It never sleeps on with nothing left, its loop is woken by nobody once it is closed, it sees
// what was written before a use ended, and the place is freed once and last. The mutants leave out one step each, or weaken
// one order. What the place and its thread do is step by step as in loop_place.cc and loop_work.cc.
#include "relacy_uv.h"

#include "base/mailbox.h"
#include "sched/place_uses.h"

namespace {

using execq::core::Link;
using execq::core::Mailbox;
using execq::core::PlaceUses;
using std::memory_order;

enum class Fault {
    none,
    last_does_not_wake,
    last_is_no_guest,  // until it has woken the loop
    wakes_unlocked,
    closes_unlocked,
    ends_before_writing,
    close_leaves_deliveries,
};

struct Delivery : Link {
    RelacyAtomics<>::Plain<int> payload;
};

template <class Orders, Fault fault>
class Place {
public:
    // ---- before the threads start ----
    void begin_uses(int n)
    {
        for (; n != 0; --n)
            uses_.begin();
    }
    void add_guest() { uses_.add_guest(); }

    // ---- any thread ----
    // What the thread of the place has to see then.
    void complete(RelacyAtomics<>::Plain<int>& outcome)
    {
        if (fault == Fault::ends_before_writing)
            end_use();
        outcome = 1;
        if (fault != Fault::ends_before_writing)
            end_use();
    }
    // With a use.
    void deliver(Delivery& delivery)
    {
        touch();
        delivery.payload = 1;
        mutex_.lock();
        const bool posted = open_ && mailbox_.post(delivery, [this] { handle_.send(); });
        mutex_.unlock();
        if (!posted)
            refuse(delivery);
    }
    void end_guest() { free_if(uses_.end_guest()); }

    // ---- its thread ----
    // Until nothing is used.
    void drive()
    {
        while (uses_.used()) {
            handle_.sleep();
            if (handle_.poll())
                run();
        }
    }
    void close()
    {
        if (fault != Fault::closes_unlocked)
            mutex_.lock();
        open_ = 0;
        if (fault != Fault::closes_unlocked)
            mutex_.unlock();
        if (fault != Fault::close_leaves_deliveries)
            refuse_all(mailbox_.take_all());
        (void)mailbox_.close();
        handle_.close();
    }
    void let_go() { free_if(uses_.end_owner()); }

    int ran() const { return ran_; }
    int refused() const { return refused_; }
    int freed() const { return freed_; }

private:
    using Atomics = RelacyAtomics<Orders>;

    void touch() const { RL_ASSERT(alive_ == 1); }
    void end_use()
    {
        touch();
        const bool last = uses_.end_as_guest();
        if (fault == Fault::last_is_no_guest)
            end_guest();
        if (last && fault != Fault::last_does_not_wake)
            wake();
        if (fault != Fault::last_is_no_guest)
            end_guest();
    }
    void wake()
    {
        touch();
        if (fault != Fault::wakes_unlocked)
            mutex_.lock();
        if (open_ && model_thread() != 1)
            mailbox_.poke([this] { handle_.send(); });
        if (fault != Fault::wakes_unlocked)
            mutex_.unlock();
    }
    void run()
    {
        for (Link* link = mailbox_.take_all(); link != nullptr; link = link->next) {
            RL_ASSERT(static_cast<Delivery*>(link)->payload == 1);
            ++ran_;
            end_use();
        }
    }
    void refuse_all(Link* link)
    {
        for (; link != nullptr; link = link->next)
            refuse(static_cast<Delivery&>(*link));
    }
    void refuse(Delivery& delivery)
    {
        RL_ASSERT(delivery.payload == 1);
        ++refused_;
        end_use();
    }
    void free_if(bool over)
    {
        if (!over)
            return;
        touch();
        alive_ = 0;
        ++freed_;
    }

    PlaceUses<Atomics> uses_;
    RelacyLock mutex_;
    RelacyAtomics<>::Plain<int> open_{1};
    AsyncHandle handle_;
    Mailbox<Atomics> mailbox_;
    RelacyAtomics<>::Plain<int> alive_{1};
    int ran_ = 0;
    int refused_ = 0;
    int freed_ = 0;
};

// ---- two promises are completed elsewhere; the thread of the place leaves once nothing is used ----

// stays: somebody holds on to a promise, and keeps the place, also when the thread has gone.
template <class Orders = ShippedOrders, Fault fault = Fault::none, bool stays = false>
struct Completing : rl::test_suite<Completing<Orders, fault, stays>, 3> {
    Place<Orders, fault> place;
    RelacyAtomics<>::Plain<int> outcomes[2];

    void before()
    {
        place.begin_uses(2);
        if (stays)
            place.add_guest();
    }
    void thread(unsigned index)
    {
        if (index == 1) {
            place.drive();
            RL_ASSERT(outcomes[0] == 1 && outcomes[1] == 1);
            place.close();
            place.let_go();
            return;
        }
        place.complete(outcomes[index / 2]);
        if (index == 0 && stays)
            place.end_guest();
    }
    void after() { RL_ASSERT(place.freed() == 1); }
};

// ---- a completion is delivered to the loop while the last promise there is completed: the use of each is its own ----

template <class Orders = ShippedOrders, Fault fault = Fault::none>
struct Delivering : rl::test_suite<Delivering<Orders, fault>, 3> {
    Place<Orders, fault> place;
    Delivery delivery;
    RelacyAtomics<>::Plain<int> outcome;

    void before() { place.begin_uses(2); }
    void thread(unsigned index)
    {
        if (index == 1) {
            place.drive();
            RL_ASSERT(place.ran() == 1);
            place.close();
            place.let_go();
        } else if (index == 0) {
            place.complete(outcome);
        } else {
            place.deliver(delivery);
        }
    }
    void after() { RL_ASSERT(place.freed() == 1); }
};

// ---- the thread is lost, and closes the place while a completion is on its way ----

template <class Orders = ShippedOrders, Fault fault = Fault::none>
struct Closing : rl::test_suite<Closing<Orders, fault>, 3> {
    Place<Orders, fault> place;
    Delivery delivery;
    RelacyAtomics<>::Plain<int> outcome;

    void before() { place.begin_uses(2); }
    void thread(unsigned index)
    {
        if (index == 1) {
            place.close();
            place.let_go();
        } else if (index == 0) {
            place.complete(outcome);
        } else {
            place.deliver(delivery);
        }
    }
    void after()
    {
        RL_ASSERT(place.refused() == 1);
        RL_ASSERT(place.freed() == 1);
    }
};

// ---- mutants ----

struct RelaxedLoads : ShippedOrders {
    template <class T>
    static memory_order load(memory_order order)
    {
        return std::is_same_v<T, std::uint64_t> ? memory_order::relaxed : order;
    }
};
struct RelaxedAdds : ShippedOrders {
    static memory_order add(memory_order) { return memory_order::relaxed; }
};
struct RelaxedSubs : ShippedOrders {
    static memory_order sub(memory_order) { return memory_order::relaxed; }
};
struct ReleaseSubs : ShippedOrders {
    static memory_order sub(memory_order) { return memory_order::release; }
};

}  // namespace

int main()
{
    using Shipped = ShippedOrders;
    ModelRun run;
    run.holds<Completing<>>("two promises are completed, the worker leaves");
    run.holds<Completing<Shipped, Fault::none, true>>("the same, and one of them is held on");
    run.holds<Delivering<>>("a promise is completed, a callback delivered");
    run.holds<Closing<>>("the same while the place is closed");

    run.caught<Completing<Shipped, Fault::last_does_not_wake>>("mutant: the end of the last use wakes nobody");
    run.caught<Closing<Shipped, Fault::last_is_no_guest>>("mutant: who ends the last use is no guest");
    run.caught<Completing<Shipped, Fault::wakes_unlocked>>("mutant: the loop is woken outside of the mutex");
    run.caught<Closing<Shipped, Fault::closes_unlocked>>("mutant: the place is closed outside of the mutex");
    run.caught<Closing<Shipped, Fault::close_leaves_deliveries>>("mutant: a close leaves what was delivered");
    run.caught<Completing<Shipped, Fault::ends_before_writing>>("mutant: a use ends before the promise is completed");

    run.caught<Completing<RelaxedLoads>>("mutant: the uses are read relaxed");
    run.caught<Completing<RelaxedAdds>>("mutant: a use ends relaxed");
    run.caught<Closing<RelaxedSubs>>("mutant: the last unit is given up relaxed");
    run.caught<Closing<ReleaseSubs>>("mutant: the last unit is given up release");
    return run.finish();
}
