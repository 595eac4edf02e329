// Submissions against a close of the executor and the end of its workers, step by step as in submit.cc, executor.cc and sleep.cc,
// over the shipped inbox and the shipped roster. What is accepted is taken, what comes after the close is refused, and all
// workers end: one that sleeps on is a deadlock to relacy. The mutants leave out or exchange two steps.
#include "relacy_atomics.h"

#include <utility>

#include "sched/inbox.h"
#include "sched/roster.h"

namespace {

using execq::core::Accepted;
using execq::core::Inbox;
using execq::core::Roster;
using execq::core::WordBlock;
using std::memory_order;

enum class Fault {
    none,
    leaves_unlooked,  // who finds the executor closed
    close_wakes_nobody,
    looks_at_mode_unlocked,  // who falls asleep, before it has the mutex
    inboxes_stay_open,
    accepts_before_thread,  // the first task: it is in the inbox before a thread can be had
    drops_what_is_left,     // a closed inbox, by who finds one task there
};

class Parker {
public:
    Parker() { permits_.init(false, 0, 1, $); }
    ~Parker() { permits_.deinit($); }
    void unpark() { permits_.signal($); }
    void park() { permits_.wait(false, false, $); }

private:
    rl::semaphore<Parker> permits_;
};

// A task is a node here, which takes one word; it is there as soon as the word is.
struct alignas(8) Task {
    RelacyAtomics<>::Atomic<Task*> next{nullptr};
    RelacyAtomics<>::Plain<int> payload;
    bool after_close = false;
    bool accepted = false;
    int taken = 0;
    Parker end;
};
struct Item {
    static constexpr std::uintptr_t node_bit = 1;
    std::uintptr_t word = 0;
    void* env = nullptr;
    bool plain() const { return false; }
    bool is_node() const { return true; }
};
struct Slot {
    Item item;
    void put(Item given) { item = given; }
    Item get() const { return item; }
};
// One block is enough.
struct Blocks {
    using Block = WordBlock<RelacyAtomics<>, 7>;
    static inline Block* only = nullptr;

    static Block* allocate()
    {
        only->next.store(nullptr, memory_order::relaxed);
        for (auto& word : only->words)
            word.store(0, memory_order::relaxed);
        return only;
    }
    static void free(Block*) {}
};
struct Memory {
    Blocks::Block block;
    Memory() { Blocks::only = &block; }
};

struct Worker {
    Parker parker;
    bool sleeps = false;  // when the model begins
    bool starts = false;  // as a place without a thread
    bool absent = false;  // it is one still
    bool idle = false;
    bool token = false;
    bool fresh = false;
};

template <Fault fault, unsigned threads, std::size_t n_tasks>
class Pool {
public:
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
        workers_[number].idle = true;
        roster_.add_sleeper();
    }
    void has_place(unsigned number)
    {
        ++max_threads_;
        workers_[number].starts = workers_[number].absent = true;
    }
    // So many threads cannot be started.
    void fail_starts(int n) { failing_starts_ = n; }

    // ---- what the threads do ----
    void submit(std::size_t i)
    {
        Task& task = tasks[i];
        task.payload = 1;
        task.after_close = closed_;
        task.accepted = submit_outside(task);
        RL_ASSERT(!task.accepted || !task.after_close);
    }
    // Nobody may have to close the executor for its tasks to run.
    void await(std::size_t i)
    {
        if (tasks[i].accepted)
            tasks[i].end.park();
    }
    void close()
    {
        mutex_.lock();
        mode_.store(1, memory_order::release);
        if (fault != Fault::inboxes_stay_open)
            inbox_.close();
        if (fault != Fault::close_wakes_nobody) {
            while (Worker* worker = take_idle())
                worker->parker.unpark();
        }
        let_places_go();
        mutex_.unlock();
        closed_ = true;
    }
    void work(unsigned number)
    {
        Worker& worker = workers_[number];
        if (worker.starts) {
            worker.parker.park();
            if (worker.absent)
                return;  // nobody wanted it
            mutex_.lock();
            mutex_.unlock();
            arrive(worker);
        } else if (worker.sleeps) {
            sleep(worker);
        }
        while (next_task(worker) || rest(worker)) {
        }
        leave();
    }

    void check()
    {
        RL_ASSERT(roster_.threads() == 0);
        RL_ASSERT(inbox_.empty());
        for (const Task& task : tasks)
            RL_ASSERT(task.taken == (task.accepted ? 1 : 0));
    }

private:
    bool open() const { return mode_.load(memory_order::acquire) == 0; }

    // ---- the way in ----
    Accepted push(Task& task)
    {
        Item item;
        item.word = reinterpret_cast<std::uintptr_t>(&task) | Item::node_bit;
        return inbox_.push(item);
    }
    bool submit_outside(Task& task)
    {
        if (roster_.threads() == 0) {
            bool submitted = false;
            const bool goes_on = submit_first(task, submitted);
            if (!goes_on || submitted)
                return goes_on;
        }
        if (push(task) != Accepted::yes)
            return false;
        if (roster_.wants_wake(max_threads_))
            wake_one();
        return true;
    }
    bool submit_first(Task& task, bool& submitted)
    {
        mutex_.lock();
        bool goes_on = open();
        if (goes_on && roster_.threads() == 0) {
            if (fault == Fault::accepts_before_thread)
                submitted = goes_on = push(task) == Accepted::yes;
            const bool token = roster_.try_begin_wake();
            const bool started = start_worker(token);
            if (!started && token)
                roster_.end_wake(max_threads_);
            if (fault != Fault::accepts_before_thread)
                submitted = goes_on = started && push(task) == Accepted::yes;
        }
        mutex_.unlock();
        return goes_on;
    }

    // ---- waking ----
    void wake_one()
    {
        bool may_start = true;
        do {
            if (!roster_.try_begin_wake())
                return;
            mutex_.lock();
            Worker* sleeper = take_idle();
            if (sleeper != nullptr) {
                sleeper->token = true;
            } else if (may_start && roster_.threads() < max_threads_ && !inbox_.empty()) {
                if (start_worker(true)) {
                    mutex_.unlock();
                    return;
                }
                may_start = false;
            }
            mutex_.unlock();
            if (sleeper != nullptr)
                return sleeper->parker.unpark();
        } while (roster_.end_wake(may_start ? max_threads_ : 0) && !inbox_.empty());
    }
    Worker* take_idle()
    {
        for (Worker& worker : workers_) {
            if (worker.idle) {
                worker.idle = false;
                roster_.remove_sleeper();
                return &worker;
            }
        }
        return nullptr;
    }
    bool start_worker(bool token)
    {
        if (failing_starts_ != 0) {
            --failing_starts_;
            return false;
        }
        for (Worker& worker : workers_) {
            if (std::exchange(worker.absent, false)) {
                worker.token = token;
                worker.parker.unpark();
                roster_.add_thread();
                return true;
            }
        }
        return false;
    }
    // The model's: nobody starts a thread once the executor is closed and nothing is left.
    void let_places_go()
    {
        if (open() || roster_.threads() != 0 || !inbox_.empty())
            return;
        for (Worker& worker : workers_) {
            if (worker.absent)
                worker.parker.unpark();
        }
    }
    void arrive(Worker& worker)
    {
        if (std::exchange(worker.token, false)) {
            roster_.end_wake(max_threads_);
            worker.fresh = true;
        }
    }

    // ---- a worker ----
    bool next_task(Worker& worker)
    {
        Slot slot;
        if (inbox_.take(&slot, 1) == 0)
            return false;
        auto* task = reinterpret_cast<Task*>(slot.get().word & ~Item::node_bit);
        RL_ASSERT(task->payload == 1);
        ++task->taken;
        task->end.unpark();
        if (std::exchange(worker.fresh, false) && !inbox_.empty() && roster_.wants_wake(max_threads_))
            wake_one();
        return fault != Fault::drops_what_is_left || open();
    }
    // True: look again. False: leave.
    bool rest(Worker& worker)
    {
        if (fault == Fault::drops_what_is_left && !open())
            return false;
        if (!inbox_.empty()) {
            rl::yield(1, $);
            return true;
        }
        bool stays = open();
        mutex_.lock();
        if (fault != Fault::looks_at_mode_unlocked)
            stays = open();
        worker.idle = stays;
        if (stays)
            roster_.add_sleeper();
        mutex_.unlock();
        if (!stays)
            return fault != Fault::leaves_unlooked && !inbox_.empty();
        if (!inbox_.empty() && get_up(worker)) {
            worker.fresh = true;
            return true;
        }
        sleep(worker);
        return true;
    }
    bool get_up(Worker& worker)
    {
        mutex_.lock();
        const bool was_idle = worker.idle;
        if (was_idle) {
            worker.idle = false;
            roster_.remove_sleeper();
        }
        mutex_.unlock();
        return was_idle;
    }
    void sleep(Worker& worker)
    {
        worker.parker.park();
        arrive(worker);
    }
    void leave()
    {
        mutex_.lock();
        roster_.remove_thread();
        mutex_.unlock();
        RelacyAtomics<>::heavy_fence();
        if (!inbox_.empty() && roster_.wants_wake(max_threads_))
            wake_one();
        mutex_.lock();
        let_places_go();
        mutex_.unlock();
    }

    Memory memory_;
    Inbox<Item, Slot, Task, Blocks, RelacyAtomics<>> inbox_;
    Roster<RelacyAtomics<>> roster_;
    RelacyLock mutex_;
    RelacyAtomics<>::Atomic<int> mode_{0};
    std::array<Worker, threads> workers_;
    std::uint32_t max_threads_ = 0;
    int failing_starts_ = 0;
    bool closed_ = false;  // the model's own: a close has returned

public:
    std::array<Task, n_tasks> tasks;
};

enum class Role { submits, submits_twice, submits_and_closes, closes, works };

template <class Scene, Fault fault = Fault::none>
struct Play : FencedSuite<Play<Scene, fault>, Scene::roles.size()> {
    Pool<fault, Scene::roles.size(), Scene::tasks> pool;
    std::size_t submitted = 0;

    void before() { Scene::begin(pool); }
    void thread(unsigned number)
    {
        const Role role = Scene::roles[number];
        if (role == Role::works)
            return pool.work(number);
        if (role == Role::closes)
            return pool.close();
        pool.submit(submitted++);
        if (role == Role::submits_twice)
            pool.submit(submitted++);
        if (role != Role::submits_and_closes)
            return;
        pool.await(0);
        pool.close();
    }
    void after() { pool.check(); }
};

// ---- a submission, a close, and a worker that is awake, asleep, or to be started ----

enum class State { awake, asleep, absent };
template <State state, Role role = Role::submits>
struct One {
    static constexpr std::array roles{role, Role::closes, Role::works};
    static constexpr std::size_t tasks = role == Role::submits_twice ? 2 : 1;
    static void begin(auto& pool)
    {
        if (state == State::awake)
            pool.has_thread();
        else if (state == State::asleep)
            pool.has_sleeper(2);
        else
            pool.has_place(2);
    }
};

// ---- a submission that starts the first worker, and a close once its task has run ----

struct First {
    static constexpr std::array roles{Role::submits_and_closes, Role::works};
    static constexpr std::size_t tasks = 1;
    static void begin(auto& pool) { pool.has_place(1); }
};

// ---- two submissions and a close where the first thread cannot be started ----

struct Failing {
    static constexpr std::array roles{Role::submits_twice, Role::closes, Role::works};
    static constexpr std::size_t tasks = 2;
    static void begin(auto& pool)
    {
        pool.has_place(2);
        pool.fail_starts(1);
    }
};

// ---- two threads submit, one of two workers sleeps, the other is awake ----

struct Two {
    static constexpr std::array roles{Role::submits, Role::submits, Role::closes, Role::works, Role::works};
    static constexpr std::size_t tasks = 2;
    static void begin(auto& pool)
    {
        pool.has_thread();
        pool.has_sleeper(4);
    }
};

}  // namespace

int main()
{
    using Awake = One<State::awake>;
    using Asleep = One<State::asleep>;
    using Absent = One<State::absent>;
    ModelRun run;
    run.holds<Play<Awake>>("a submission, a close, a worker", Search{2});
    run.holds<Play<Awake>>("the same", Search{0, 100'000});
    run.holds<Play<Asleep>>("a submission, a close, a sleeper");
    run.holds<Play<Absent>>("a submission, a close, a worker to be started");
    run.holds<Play<One<State::asleep, Role::submits_twice>>>("two submissions, a close, a sleeper", Search{2});
    run.holds<Play<One<State::absent, Role::submits_twice>>>("two submissions, a close, a worker to be started",
                                                             Search{2});
    run.holds<Play<First>>("the first submission, and a close once its task has run");
    run.holds<Play<Failing>>("two submissions, a close, and the first thread cannot be started", Search{2});
    run.holds<Play<Two>>("two threads submit, a close, a worker and a sleeper", Search{0, 50'000});

    run.caught<Play<Awake, Fault::leaves_unlooked>>("mutant: who finds it closed leaves without a look");
    run.caught<Play<Asleep, Fault::close_wakes_nobody>>("mutant: a close wakes nobody");
    run.caught<Play<Awake, Fault::looks_at_mode_unlocked>>("mutant: who falls asleep looks before it has the mutex");
    run.caught<Play<Awake, Fault::inboxes_stay_open>>("mutant: a close leaves the inbox open");
    run.caught<Play<Failing, Fault::accepts_before_thread>>("mutant: the first task is accepted before a thread");
    run.caught<Play<One<State::asleep, Role::submits_twice>, Fault::drops_what_is_left>>(
        "mutant: who finds it closed takes no more");
    return run.finish();
}
