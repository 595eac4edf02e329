// Who is called for an asynchronous task: submissions that find all slots held or promised call nobody, workers take slots,
// give them back and fall asleep, step by step as in loop_work.cc, over the shipped slots and the shipped roster. When nothing
// moves any more, no task is left while somebody sleeps who holds a slot, or could take one. The mutants leave out or
// exchange two steps, or weaken one order.
//
// The inbox is a flag for each task here: inbox_model.cc covers the real one.
#include "relacy_atomics.h"

#include <utility>

#include "sched/loop_slots.h"
#include "sched/roster.h"

namespace {

using execq::core::LoopSlots;
using execq::core::Roster;
using std::memory_order;

enum class Fault {
    none,
    arrives_late,  // after its look
    no_look_once_announced,
    announces_late,
    no_look_after_giving_back,
    holder_unannounced,  // a sleeper that holds a slot
    no_chain,            // who took a task does not look for more
};

class Parker {
public:
    Parker() { permits_.init(false, 0, 1, $); }
    ~Parker() { permits_.deinit($); }
    void unpark() { RL_ASSERT(permits_.signal($)); }
    void park() { permits_.wait(false, false, $); }

private:
    rl::semaphore<Parker> permits_;
};

struct Worker {
    Parker parker;
    bool sleeps = false;  // when the model begins
    bool stuck = false;   // in the first task that it takes, for ever
    bool keeps = false;   // a promise open, and with it its slot
    bool blocks = false;  // for ever, once it has given its slot back
    bool idle = false;
    bool asleep = false;  // parked, and no permit on its way
    bool permit = false;  // for one that is not asleep yet
    bool slot = false;
    bool called = false;
};

template <class Orders, Fault fault, unsigned threads, std::size_t tasks>
class Pool {
public:
    explicit Pool(std::uint32_t limit) : slots_(limit) {}
    Worker& worker(unsigned number) { return workers_[number]; }

    // ---- before the threads start ----
    void has_thread()
    {
        roster_.add_thread();
        ++max_threads_;
    }
    void has_sleeper(unsigned number)
    {
        has_thread();
        workers_[number].sleeps = true;
        announce(workers_[number]);
    }
    void has_sleeping_holder(unsigned number)
    {
        has_holder(number);
        workers_[number].sleeps = workers_[number].keeps = true;
        announce(workers_[number]);
    }
    // A worker with a slot that it is about to give back, or that it keeps.
    void has_holder(unsigned number)
    {
        has_thread();
        slots_.take();
        workers_[number].slot = true;
    }

    // ---- what the threads do ----
    void submit()
    {
        ++left_;
        inbox_[submitted_++].exchange(1, memory_order::seq_cst);
        call_for_loop();
    }
    void work(unsigned number)
    {
        Worker& worker = workers_[number];
        bool stays = !worker.sleeps || sleep(worker);
        while (stays) {
            settle(worker);
            stays = !worker.blocks && (take_task(worker) ? !worker.stuck : lie(worker));
        }
        stop();
    }
    void stop()
    {
        if (!over_ && --moving_ == 0)
            come_to_rest();
    }

private:
    template <class T>
    using Atomic = RelacyAtomics<>::Atomic<T>;

    bool waits() const
    {
        for (const auto& task : inbox_) {
            if (task.load(memory_order::seq_cst) != 0)
                return true;
        }
        return false;
    }

    // ---- calling ----
    void call_for_loop()
    {
        if (!slots_.wants_worker() || !roster_.may_wake(max_threads_))
            return;
        mutex_.lock();
        Worker* called = idle_for_loop();
        if (called != nullptr) {
            take_off_idle(*called);
            called->called = true;
            slots_.call();
        }
        mutex_.unlock();
        if (called != nullptr)
            unpark(*called);
    }
    Worker* idle_for_loop()
    {
        const bool room = slots_.has_room();
        Worker* best = nullptr;
        for (Worker& worker : workers_) {
            if (worker.idle && (worker.slot || room) && (best == nullptr || worker.slot))
                best = &worker;
        }
        return best;
    }
    void take_off_idle(Worker& worker)
    {
        worker.idle = false;
        if (worker.slot && fault != Fault::holder_unannounced)
            slots_.remove_idle_holder();
        roster_.remove_sleeper();
    }

    // ---- a worker ----
    void settle(Worker& worker)
    {
        if (!worker.slot || worker.keeps)
            return;
        mutex_.lock();
        slots_.give_back();
        worker.slot = false;
        mutex_.unlock();
        if (fault != Fault::no_look_after_giving_back && waits())
            call_for_loop();
    }
    bool claim(Worker& worker)
    {
        if (worker.slot)
            return true;
        mutex_.lock();
        worker.slot = slots_.any_free();
        if (worker.slot)
            slots_.take();
        mutex_.unlock();
        return worker.slot;
    }
    bool take_task(Worker& worker)
    {
        const bool taken = waits() && claim(worker) && take();
        if (taken && fault != Fault::no_chain && waits())
            call_for_loop();
        if (fault == Fault::arrives_late)
            arrive(worker);
        return taken;
    }
    bool take()
    {
        for (auto& task : inbox_) {
            if (task.load(memory_order::seq_cst) != 0 && task.exchange(0, memory_order::seq_cst) != 0) {
                --left_;
                return true;
            }
        }
        return false;
    }
    void arrive(Worker& worker)
    {
        if (std::exchange(worker.called, false))
            slots_.arrive();
    }

    // ---- sleeping. True: look again. ----
    void announce(Worker& worker)
    {
        mutex_.lock();
        worker.idle = true;
        if (fault != Fault::announces_late)
            announce_counts(worker);
        mutex_.unlock();
    }
    void announce_counts(Worker& worker)
    {
        if (worker.slot && fault != Fault::holder_unannounced)
            slots_.add_idle_holder();
        roster_.add_sleeper();
    }
    bool get_up(Worker& worker)
    {
        mutex_.lock();
        const bool was_idle = worker.idle;
        if (was_idle)
            take_off_idle(worker);
        mutex_.unlock();
        return was_idle;
    }
    bool lie(Worker& worker)
    {
        announce(worker);
        const bool sees = fault != Fault::no_look_once_announced && waits() && (worker.slot || slots_.any_free());
        if (fault == Fault::announces_late)
            announce_counts(worker);
        if (sees && get_up(worker)) {
            rl::yield(1, $);
            return true;
        }
        return sleep(worker);
    }
    bool sleep(Worker& worker)
    {
        if (!std::exchange(worker.permit, false)) {
            worker.asleep = true;
            stop();
        }
        worker.parker.park();
        if (fault != Fault::arrives_late)
            arrive(worker);
        return !over_;
    }
    void unpark(Worker& worker)
    {
        if (std::exchange(worker.asleep, false))
            ++moving_;
        else
            worker.permit = true;
        worker.parker.unpark();
    }

    // Nothing moves, and nobody is about to.
    void come_to_rest()
    {
        over_ = true;
        for (Worker& worker : workers_) {
            RL_ASSERT(left_ == 0 || !worker.asleep || (!worker.slot && !slots_.any_free()));
            if (worker.asleep)
                unpark(worker);
        }
    }

    LoopSlots<RelacyAtomics<Orders>> slots_;
    Roster<RelacyAtomics<>> roster_;
    RelacyLock mutex_;
    std::array<Worker, threads> workers_;
    std::uint32_t max_threads_ = 0;
    std::array<Atomic<int>, tasks> inbox_;
    // The model's own: threads that are neither asleep nor through, tasks not taken, the end.
    unsigned moving_ = threads;
    std::size_t submitted_ = 0;
    int left_ = 0;
    bool over_ = false;
};

enum class Role { submits, submits_twice, works };

template <class Scene, class Orders = ShippedOrders, Fault fault = Fault::none>
struct Play : rl::test_suite<Play<Scene, Orders, fault>, Scene::roles.size()> {
    Pool<Orders, fault, Scene::roles.size(), Scene::tasks> pool{Scene::limit};

    void before() { Scene::begin(pool); }
    void thread(unsigned number)
    {
        const Role role = Scene::roles[number];
        if (role == Role::works)
            return pool.work(number);
        pool.submit();
        if (role == Role::submits_twice)
            pool.submit();
        pool.stop();
    }
};

// ---- a submission, and a holder that gives its slot back, or keeps it, and falls asleep ----

template <bool keeps>
struct Holder {
    static constexpr std::array roles{Role::submits, Role::works};
    static constexpr std::size_t tasks = 1;
    static constexpr std::uint32_t limit = 1;
    static void begin(auto& pool)
    {
        pool.has_holder(1);
        pool.worker(1).keeps = keeps;
    }
};

// ---- two threads submit, one sleeper may take the one slot, another one sleeps ----

struct OneSlot {
    static constexpr std::array roles{Role::submits, Role::submits, Role::works, Role::works};
    static constexpr std::size_t tasks = 2;
    static constexpr std::uint32_t limit = 1;
    static void begin(auto& pool)
    {
        pool.has_sleeper(2);
        pool.has_sleeper(3);
    }
};

// ---- one thread submits two tasks, one sleeper ----

template <bool keeps>
struct OneSleeper {
    static constexpr std::array roles{Role::submits_twice, Role::works};
    static constexpr std::size_t tasks = 2;
    static constexpr std::uint32_t limit = 1;
    static void begin(auto& pool)
    {
        pool.has_sleeper(1);
        pool.worker(1).keeps = keeps;
    }
};

// ---- one thread submits two tasks, two sleepers and two slots, and a task does not end ----

struct TwoSlots {
    static constexpr std::array roles{Role::submits_twice, Role::works, Role::works};
    static constexpr std::size_t tasks = 2;
    static constexpr std::uint32_t limit = 2;
    static void begin(auto& pool)
    {
        pool.has_sleeper(1);
        pool.has_sleeper(2);
        pool.worker(1).stuck = pool.worker(2).stuck = true;
    }
};

// ---- a submission while the holder of the one slot gives it back, as it is about to block, and another worker sleeps ----

struct HandingOn {
    static constexpr std::array roles{Role::submits, Role::works, Role::works};
    static constexpr std::size_t tasks = 1;
    static constexpr std::uint32_t limit = 1;
    static void begin(auto& pool)
    {
        pool.has_holder(1);
        pool.has_sleeper(2);
        pool.worker(1).blocks = true;
    }
};

// ---- the same where one of the two holds a slot already, so that both tasks seem to be its own ----

struct HolderAndSleeper {
    static constexpr std::array roles{Role::submits_twice, Role::works, Role::works};
    static constexpr std::size_t tasks = 2;
    static constexpr std::uint32_t limit = 2;
    static void begin(auto& pool)
    {
        pool.has_sleeping_holder(1);
        pool.has_sleeper(2);
        pool.worker(1).stuck = true;
    }
};

// ---- mutants of an order ----

struct AcquireLoads : ShippedOrders {
    template <class T>
    static memory_order load(memory_order order)
    {
        return order == memory_order::seq_cst ? memory_order::acquire : order;
    }
};
struct WeakAdds : ShippedOrders {
    static memory_order add(memory_order) { return memory_order::acq_rel; }
};
struct WeakSubs : ShippedOrders {
    static memory_order sub(memory_order) { return memory_order::acq_rel; }
};

}  // namespace

int main()
{
    using Shipped = ShippedOrders;
    ModelRun run;
    run.holds<Play<Holder<false>>>("a submission, a holder that gives its slot back");
    run.holds<Play<Holder<true>>>("a submission, a holder that falls asleep");
    run.holds<Play<OneSleeper<false>>>("two submissions, a sleeper");
    run.holds<Play<OneSleeper<true>>>("the same, and its slot is kept");
    run.holds<Play<TwoSlots>>("two tasks that do not end, two sleepers", Search{2});
    run.holds<Play<TwoSlots>>("the same", Search{0, 100'000});
    run.holds<Play<HolderAndSleeper>>("two tasks, a holder that sleeps and gets stuck, a sleeper", Search{2});
    run.holds<Play<HandingOn>>("a submission while a slot is given back, and a sleeper", Search{2});
    run.holds<Play<HandingOn>>("the same", Search{0, 100'000});
    run.holds<Play<OneSlot>>("two submissions by two threads, two sleepers, one slot", Search{0, 100'000});

    run.caught<Play<TwoSlots, Shipped, Fault::arrives_late>>("mutant: who was called looks, then arrives");
    run.caught<Play<Holder<true>, Shipped, Fault::no_look_once_announced>>("mutant: no look after the announcement");
    run.caught<Play<Holder<true>, Shipped, Fault::announces_late>>("mutant: the announcement after the last look");
    run.caught<Play<HandingOn, Shipped, Fault::no_look_after_giving_back>>(
        "mutant: no look after a slot is given back");
    run.caught<Play<Holder<true>, Shipped, Fault::holder_unannounced>>("mutant: a holder that sleeps is not announced");
    run.caught<Play<HolderAndSleeper, Shipped, Fault::no_chain>>("mutant: who took a task looks for no more");

    run.caught<Play<Holder<true>, AcquireLoads>>("mutant: the counts are read acquire");
    run.caught<Play<Holder<true>, WeakAdds>>("mutant: a holder's sleep is announced acq_rel");
    run.caught<Play<OneSleeper<false>, WeakSubs>>("mutant: who was called arrives acq_rel");
    return run.finish();
}
