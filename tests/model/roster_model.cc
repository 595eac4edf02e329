// Who wakes whom, as a whole: submissions, wakes, spinning, falling asleep and leaving, step by step as in schedule.cc,
// over the shipped roster. When nothing moves any more, no task is left while a worker sleeps or could be started; a
// task that blocks its worker keeps no other task waiting. The mutants leave out one step each, or weaken one order.
//
// A queue is a flag for each task here: inbox_model.cc and task_deque_test.cc cover the real ones. One word for all tasks
// would be too good, since a submission would see by it what the taker of the task before had seen.
#include "relacy_atomics.h"

#include <utility>

#include "sched/roster.h"

namespace {

using execq::core::Roster;
using std::memory_order;

enum class Fault {
    none,
    looks_before_giving_back,  // the waking bit
    no_second_look,            // by who held the bit and found nobody to wake
    leavers_uncounted,         // in that second look
    no_look_once_announced,
    announces_late,
    no_chain,
    no_chain_after_spin,
    no_chain_after_nap,
    ignores_wake,  // when it sees work itself
};

class Parker {
public:
    Parker() { permits_.init(false, 0, 1, $); }
    ~Parker() { permits_.deinit($); }
    void unpark() { RL_ASSERT(permits_.signal($)); }
    void park() { permits_.wait(false, false, $); }
    bool try_park() { return permits_.wait(true, false, $) == rl::sema_wakeup_reason_success; }

private:
    rl::semaphore<Parker> permits_;
};

struct Worker {
    Parker parker;
    bool sleeps = false;  // when the model begins
    bool absent = false;  // a place without a thread: one may be started
    bool blocks = false;  // the first task that it takes never ends
    bool spins = false;
    bool naps = false;    // before it sleeps, once
    bool leaves = false;  // once it has slept for long
    bool idle = false;
    bool asleep = false;  // parked, and no permit on its way
    bool permit = false;  // for one that is not asleep yet
    bool napping = false;
    bool token = false;
    bool fresh = false;
};

// One for each execution. Its threads are numbered as in the model; each of them may be a worker.
template <class Orders, Fault fault, unsigned threads, std::size_t tasks>
class Pool {
public:
    Worker& worker(unsigned number) { return workers_[number]; }

    // ---- before the threads start ----
    void has_thread()
    {
        roster_.add_thread();
        ++max_threads_;
    }
    void has_vacant_place(unsigned number) { workers_[number].sleeps = workers_[number].absent = true; }
    void has_sleeper(unsigned number)
    {
        has_thread();
        workers_[number].sleeps = true;
        lie_down(workers_[number]);
    }
    void has_napper(unsigned number)
    {
        workers_[number].naps = true;
        has_sleeper(number);
    }
    void has_woken(unsigned number)
    {
        has_sleeper(number);
        submit();
    }

    // ---- what the threads do ----
    void submit()
    {
        ++left_;
        inbox_[submitted_++].exchange(1, memory_order::seq_cst);
        wake_if_wanted();
    }
    // By a worker to itself; nobody else adds to it, and it is done once.
    void submit_own()
    {
        ++left_;
        own_.store(1, memory_order::relaxed);
        if (roster_.wants_wake_behind_light_fence(max_threads_))
            wake_one();
    }
    void work(unsigned number)
    {
        Worker& worker = workers_[number];
        bool stay = true;
        if (worker.sleeps)
            stay = worker.napping ? nap(worker) : sleep_on(worker);
        while (stay)
            stay = next_task(worker) ? !worker.blocks : rest(worker);
        stop();
    }
    // The thread comes to its end, or to a halt.
    void stop()
    {
        if (!over_ && --moving_ == 0)
            come_to_rest();
    }

private:
    template <class T>
    using Atomic = RelacyAtomics<>::Atomic<T>;
    using Fences = RelacyAtomics<Orders>;

    // ---- waking ----
    void wake_if_wanted()
    {
        if (roster_.wants_wake(max_threads_))
            wake_one();
    }
    void wake_one()
    {
        do {
            if (!roster_.try_begin_wake())
                return;
            mutex_.lock();
            Worker* woken = take_idle();
            if (woken == nullptr && roster_.threads() < max_threads_)
                woken = start_worker();
            if (woken != nullptr)
                woken->token = true;
            mutex_.unlock();
            if (woken != nullptr)
                return unpark(*woken);
        } while (end_wake() && fault != Fault::no_second_look && work_visible());
    }
    bool end_wake() { return roster_.end_wake(fault == Fault::leavers_uncounted ? 0 : max_threads_); }
    Worker* take_idle()
    {
        for (Worker& worker : workers_) {
            if (worker.idle) {
                take_off_idle(worker);
                return &worker;
            }
        }
        return nullptr;
    }
    Worker* start_worker()
    {
        for (Worker& worker : workers_) {
            if (std::exchange(worker.absent, false)) {
                roster_.add_thread();
                return &worker;
            }
        }
        return nullptr;
    }
    void take_off_idle(Worker& worker)
    {
        worker.idle = false;
        roster_.remove_sleeper(worker.napping);
        worker.napping = false;
    }
    void arrive(Worker& worker)
    {
        if (worker.token && fault != Fault::looks_before_giving_back)
            give_back(worker);
    }
    void give_back(Worker& worker)
    {
        worker.token = false;
        end_wake();
        worker.fresh = fault != Fault::no_chain;
    }

    // ---- finding work ----
    bool work_visible() const
    {
        for (const auto& task : inbox_) {
            if (task.load(memory_order::seq_cst) != 0)
                return true;
        }
        return own_.load(memory_order::relaxed) != 0;
    }
    bool take(Atomic<int>& task)
    {
        if (task.load(memory_order::seq_cst) == 0 || task.exchange(0, memory_order::seq_cst) == 0)
            return false;
        --left_;
        return true;
    }
    bool find_task()
    {
        for (auto& task : inbox_) {
            if (take(task))
                return true;
        }
        return own_.load(memory_order::relaxed) != 0 && take(own_);
    }
    bool next_task(Worker& worker)
    {
        const bool found = find_task();
        const bool more = found && (worker.fresh || worker.token) && work_visible();
        if (fault == Fault::looks_before_giving_back && worker.token)
            give_back(worker);
        if (found && std::exchange(worker.fresh, false) && more)
            wake_if_wanted();
        return found;
    }

    // ---- sleeping. True: look again. False: leave. ----
    bool rest(Worker& worker)
    {
        if (work_visible()) {
            rl::yield(1, $);
            return true;
        }
        return (worker.spins && spin(worker)) || lie(worker);
    }
    bool spin(Worker& worker)
    {
        if (!roster_.try_begin_wake())
            return false;
        const bool visible = work_visible();
        end_wake();
        worker.fresh = fault != Fault::no_chain_after_spin;
        return visible || work_visible();
    }
    void lie_down(Worker& worker)
    {
        mutex_.lock();
        worker.idle = true;
        worker.napping = std::exchange(worker.naps, false);
        if (fault != Fault::announces_late)
            roster_.add_sleeper(worker.napping);
        mutex_.unlock();
    }
    bool get_up(Worker& worker)
    {
        mutex_.lock();
        const bool was_idle = worker.idle;
        if (was_idle) {
            worker.fresh = worker.fresh || (worker.napping && fault != Fault::no_chain_after_nap);
            take_off_idle(worker);
        }
        mutex_.unlock();
        return was_idle || fault == Fault::ignores_wake;
    }
    bool lie(Worker& worker)
    {
        lie_down(worker);
        const bool naps = worker.napping;
        if (sees_work_in_bed() && get_up(worker))
            return true;
        return naps ? nap(worker) : sleep(worker);
    }
    bool nap(Worker& worker) { return wakes(worker) || get_up(worker) || sleep(worker); }
    bool sleep(Worker& worker)
    {
        if (wakes(worker))
            return true;
        Fences::heavy_fence();
        if (sees_work_in_bed() && get_up(worker))
            return true;
        if (fault == Fault::announces_late)
            roster_.add_sleeper();
        return sleep_on(worker);
    }
    // Whether somebody has woken it before some time has passed.
    bool wakes(Worker& worker)
    {
        if (!worker.parker.try_park())
            return false;
        worker.permit = false;
        arrive(worker);
        return true;
    }
    bool sees_work_in_bed() const { return fault != Fault::no_look_once_announced && work_visible(); }
    bool sleep_on(Worker& worker)
    {
        if (worker.leaves && leave(worker))
            return false;
        if (!std::exchange(worker.permit, false)) {
            worker.asleep = true;
            stop();
        }
        worker.parker.park();
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
    bool leave(Worker& worker)
    {
        mutex_.lock();
        const bool spare = worker.idle;
        if (spare)
            take_off_idle(worker);
        mutex_.unlock();
        if (!spare)
            return false;
        mutex_.lock();
        roster_.remove_thread();
        mutex_.unlock();
        Fences::heavy_fence();
        if (work_visible())
            wake_if_wanted();
        return true;
    }

    // Nothing moves, and nobody is about to.
    void come_to_rest()
    {
        over_ = true;
        for (Worker& worker : workers_) {
            RL_ASSERT(left_ == 0 || !worker.asleep);
            if (worker.asleep)
                unpark(worker);
        }
    }

    Roster<RelacyAtomics<Orders>> roster_;
    RelacyLock mutex_;
    std::array<Worker, threads> workers_;
    std::uint32_t max_threads_ = 0;
    std::array<Atomic<int>, tasks> inbox_;
    Atomic<int> own_{0};  // what one worker submitted to itself
    // The model's own, which relacy does not look at: threads that are neither asleep nor through, tasks not taken, the
    // end.
    unsigned moving_ = threads;
    std::size_t submitted_ = 0;
    int left_ = 0;
    bool over_ = false;
};

// What a thread of a model does.
enum class Role { submits, submits_twice, submits_to_itself, works };

// A scene says who there is and how it begins.
template <class Scene, class Orders = ShippedOrders, Fault fault = Fault::none>
struct Play : FencedSuite<Play<Scene, Orders, fault>, Scene::roles.size()> {
    Pool<Orders, fault, Scene::roles.size(), Scene::tasks> pool;

    void before() { Scene::begin(pool); }
    void thread(unsigned number)
    {
        const Role role = Scene::roles[number];
        if (role == Role::works)
            return pool.work(number);
        if (role == Role::submits_to_itself)
            pool.submit_own();
        else
            pool.submit();
        if (role == Role::submits_twice)
            pool.submit();
        pool.stop();
    }
};

// ---- a submission, and a worker that falls asleep, or spins before ----

template <bool spins>
struct FallingAsleep {
    static constexpr std::array roles{Role::submits, Role::works};
    static constexpr std::size_t tasks = 1;
    static void begin(auto& pool)
    {
        pool.has_thread();
        pool.worker(1).spins = spins;
    }
};

// ---- two submissions by two threads, and a worker that falls asleep ----

struct TwoSubmitting {
    static constexpr std::array roles{Role::submits, Role::submits, Role::works};
    static constexpr std::size_t tasks = 2;
    static void begin(auto& pool) { pool.has_thread(); }
};

// ---- two submissions by one thread, and two workers that sleep, or one of them spins, and block ----

template <bool spins>
struct Blocking {
    static constexpr std::array roles{Role::submits_twice, Role::works, Role::works};
    static constexpr std::size_t tasks = 2;
    static void begin(auto& pool)
    {
        spins ? pool.has_thread() : pool.has_sleeper(1);
        pool.has_sleeper(2);
        pool.worker(1).spins = spins;
        pool.worker(1).blocks = pool.worker(2).blocks = true;
    }
};

// ---- two submissions by one thread, a worker that naps, or is about to, one that sleeps, and one that is blocked ----

template <bool naps_already>
struct Napping {
    static constexpr std::array roles{Role::submits_twice, Role::works, Role::works};
    static constexpr std::size_t tasks = 2;
    static void begin(auto& pool)
    {
        pool.has_thread();
        naps_already ? pool.has_napper(1) : pool.has_thread();
        pool.has_sleeper(2);
        pool.worker(1).naps = !naps_already;
        pool.worker(1).blocks = pool.worker(2).blocks = true;
    }
};

// ---- a worker submits to itself and blocks, another falls asleep, or spins before ----

template <bool spins>
struct Own {
    static constexpr std::array roles{Role::submits_to_itself, Role::works};
    static constexpr std::size_t tasks = 0;
    static void begin(auto& pool)
    {
        pool.has_thread();
        pool.has_thread();
        pool.worker(1).spins = spins;
    }
};

// ---- the same while a second worker is on the way to another task, which blocks it, and the third sleeps ----

struct OwnBehindWake {
    static constexpr std::array roles{Role::submits_to_itself, Role::works, Role::works};
    static constexpr std::size_t tasks = 1;
    static void begin(auto& pool)
    {
        pool.has_thread();
        pool.has_woken(1);
        pool.has_sleeper(2);
        pool.worker(1).blocks = pool.worker(2).blocks = true;
    }
};

// ---- a worker submits to itself and blocks, another thread submits, two workers sleep and block ----

struct OwnAndForeign {
    static constexpr std::array roles{Role::submits_to_itself, Role::submits, Role::works, Role::works};
    static constexpr std::size_t tasks = 1;
    static void begin(auto& pool)
    {
        pool.has_thread();
        pool.has_sleeper(2);
        pool.has_sleeper(3);
        pool.worker(2).blocks = pool.worker(3).blocks = true;
    }
};

// ---- the same while one of the two naps ----

struct OwnAndNapping {
    static constexpr std::array roles{Role::submits_to_itself, Role::submits, Role::works, Role::works};
    static constexpr std::size_t tasks = 1;
    static void begin(auto& pool)
    {
        pool.has_thread();
        pool.has_napper(2);
        pool.has_sleeper(3);
        pool.worker(2).blocks = pool.worker(3).blocks = true;
    }
};

// ---- a submission, a worker that leaves, and then room for a new one ----

template <Role role>
struct Leaving {
    static constexpr std::array roles{role, Role::works, Role::works};
    static constexpr std::size_t tasks = 1;
    static void begin(auto& pool)
    {
        if (role == Role::submits_to_itself)
            pool.has_thread();
        pool.has_sleeper(1);
        pool.worker(1).leaves = true;
        pool.has_vacant_place(2);
    }
};

// ---- all at once: two threads submit two tasks each; of three workers two spin and two block ----

struct Crowd {
    static constexpr std::array roles{Role::submits_twice, Role::submits_twice, Role::works, Role::works, Role::works};
    static constexpr std::size_t tasks = 4;
    static void begin(auto& pool)
    {
        pool.has_thread();
        pool.has_sleeper(3);
        pool.has_thread();
        pool.worker(2).spins = pool.worker(4).spins = true;
        pool.worker(2).blocks = pool.worker(3).blocks = true;
    }
};

// ---- mutants of an order ----

struct AcquireWantsWake : ShippedOrders {
    template <class T>
    static memory_order load(memory_order order)
    {
        return order == memory_order::seq_cst ? memory_order::acquire : order;
    }
};
struct WeakAnnouncement : ShippedOrders {
    static memory_order add(memory_order) { return memory_order::acq_rel; }
};
struct WeakGivingBack : ShippedOrders {
    static memory_order bit_and(memory_order) { return memory_order::acq_rel; }
};
struct RelaxedGivingBack : ShippedOrders {
    static memory_order bit_and(memory_order) { return memory_order::relaxed; }
};
struct RelaxedBeginning : ShippedOrders {
    static memory_order bit_or(memory_order) { return memory_order::relaxed; }
};
// By the thread that submits to itself: its full fence.
struct NoFullFence : ShippedOrders {
    static memory_order add(memory_order order) { return model_thread() == 0 ? memory_order::relaxed : order; }
};
struct NoLightFence : ShippedOrders {
    static bool light_fence() { return false; }
};
struct NoHeavyFence : ShippedOrders {
    static bool heavy_fence() { return false; }
};

}  // namespace

int main()
{
    using Shipped = ShippedOrders;
    using Foreign = Leaving<Role::submits>;
    using Inside = Leaving<Role::submits_to_itself>;
    constexpr Search deep{4};
    ModelRun run;
    run.holds<Play<FallingAsleep<false>>>("a submission, a worker that falls asleep", deep);
    run.holds<Play<FallingAsleep<true>>>("a submission, a worker that spins and falls asleep", deep);
    run.holds<Play<TwoSubmitting>>("two submissions, a worker that falls asleep", deep);
    run.holds<Play<Blocking<false>>>("two tasks that block, two sleepers", deep);
    run.holds<Play<Blocking<true>>>("two tasks that block, a spinner and a sleeper", deep);
    run.holds<Play<Napping<true>>>("two tasks that block, a napper and a sleeper", deep);
    run.holds<Play<Napping<false>>>("two tasks that block, one about to nap and a sleeper");
    run.holds<Play<Own<false>>>("an own task, a worker that falls asleep", deep);
    run.holds<Play<Own<true>>>("an own task, a worker that spins and falls asleep", deep);
    run.holds<Play<OwnBehindWake>>("an own task while another worker is on the way", deep);
    run.holds<Play<OwnAndForeign>>("an own task and a submission, two sleepers");
    run.holds<Play<OwnAndNapping>>("an own task and a submission, a napper and a sleeper", Search{2});
    run.holds<Play<OwnAndNapping>>("the same", Search{0, 100'000});
    run.holds<Play<Foreign>>("a submission, a worker that leaves", deep);
    run.holds<Play<Inside>>("an own task, a worker that leaves", deep);
    run.holds<Play<Crowd>>("all at once", Search{0, 100'000});

    run.caught<Play<FallingAsleep<false>, Shipped, Fault::no_look_once_announced>>(
        "mutant: no look after the announcement");
    run.caught<Play<FallingAsleep<false>, Shipped, Fault::announces_late>>(
        "mutant: the announcement after the last look");
    run.caught<Play<TwoSubmitting, Shipped, Fault::no_second_look>>(
        "mutant: no second look by who found nobody to wake", deep);
    run.caught<Play<Foreign, Shipped, Fault::leavers_uncounted>>("mutant: who left meanwhile does not count in it");
    run.caught<Play<Blocking<false>, Shipped, Fault::looks_before_giving_back>>(
        "mutant: the waking bit is given back after the look");
    run.caught<Play<Blocking<false>, Shipped, Fault::no_chain>>("mutant: who was woken wakes nobody");
    run.caught<Play<Blocking<true>, Shipped, Fault::no_chain_after_spin>>("mutant: who has spun wakes nobody");
    run.caught<Play<Napping<true>, Shipped, Fault::no_chain_after_nap>>("mutant: who has napped wakes nobody");
    run.caught<Play<Napping<false>, Shipped, Fault::no_chain_after_nap>>("mutant: who was about to nap wakes nobody");
    run.caught<Play<Blocking<true>, Shipped, Fault::ignores_wake>>(
        "mutant: who sees work ignores that it is being woken");
    run.caught<Play<Own<false>, Shipped, Fault::no_look_once_announced>>(
        "mutant: own task, no look behind the heavy fence");

    run.caught<Play<FallingAsleep<false>, AcquireWantsWake>>("mutant: the roster is read acquire");
    run.caught<Play<FallingAsleep<false>, WeakAnnouncement>>("mutant: the announcement is acq_rel");
    run.caught<Play<Blocking<false>, WeakGivingBack>>("mutant: the waking bit is given back acq_rel");
    run.caught<Play<Own<false>, NoLightFence>>("mutant: own task, no light fence");
    run.caught<Play<Own<false>, NoHeavyFence>>("mutant: own task, no heavy fence");
    run.caught<Play<Inside, NoHeavyFence>>("mutant: own task, no heavy fence by who leaves");
    run.caught<Play<OwnBehindWake, NoFullFence>>("mutant: own task, the sight of the waking bit is trusted");
    run.caught<Play<OwnAndNapping, NoFullFence>>("mutant: own task, the sight of the napping bit is trusted");
    run.caught<Play<OwnBehindWake, RelaxedGivingBack>>("mutant: own task, the waking bit is given back relaxed");
    run.caught<Play<OwnAndForeign, RelaxedBeginning>>("mutant: own task, the waking bit is taken relaxed");
    return run.finish();
}
