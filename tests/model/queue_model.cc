// A queue in front of an executor, or of an engine: tasks are handed in while turns begin and end, and the executor sometimes
// has none to give. Each task runs once, in order, never more at a time than may, and none is left where nothing moves any
// more; an engine is given tasks by one thread at a time. The mutants leave out one step each. What the queue does with its
// turns is step by step as in queue.cc.
#include "relacy_atomics.h"

#include "flow/queue_turns.h"

namespace {

using execq::core::QueueTurns;

enum class Fault {
    none,
    end_asks_for_nothing,  // nor does a turn that ends
    refusal_not_owed,      // where no turn could be had
    turn_not_counted,      // so that too few are asked for
    starts_beyond,         // without a look at how many run
    pump_leaves_unlocked,  // looks whether anything is owed, then leaves, in two steps
    pump_does_not_owe,     // a task that was handed in
    pumps_side_by_side,
};

template <Fault fault, std::size_t max_in_flight>
class Queue {
public:
    Queue() { given_.init(false, 0, 16, $); }
    ~Queue() { given_.deinit($); }

    // Of the executor's answers so many are that it has no turn.
    void refuse(int n) { refusals_ = n; }
    void has_engine() { engine_ = true; }

    // ---- who submits. False: the executor had no turn, and nothing goes on by itself. ----
    bool hand_in()
    {
        mutex_.lock();
        waiting_ = waiting_ + 1;
        const bool asked = ask_for_turns();
        const bool accepted = asked || turns_.any_asked() || in_flight_ != 0;
        if (!accepted)
            waiting_ = waiting_ - 1;
        accepted_ += accepted ? 1 : 0;
        mutex_.unlock();
        pump();
        return accepted;
    }

    // ---- a worker of the executor's: takes so many turns ----
    void work(int n)
    {
        for (; n != 0; --n) {
            given_.wait(false, false, $);
            take_turn();
        }
    }
    // All that were given.
    void work_off()
    {
        while (given_.wait(true, false, $) == rl::sema_wakeup_reason_success)
            take_turn();
    }
    int accepted() const { return accepted_; }
    int ran() const { return ran_; }

private:
    bool may_start() const { return in_flight_ < static_cast<int>(max_in_flight); }
    bool ask_for_turns()
    {
        if (engine_) {
            if (fault != Fault::pump_does_not_owe)
                turns_.owe();
            return true;
        }
        turns_.owe(false);
        const std::size_t may =
            may_start() ? max_in_flight - static_cast<std::size_t>(static_cast<int>(in_flight_)) : 0;
        while (turns_.wants_one(may, static_cast<std::size_t>(static_cast<int>(waiting_)))) {
            if (refusals_ != 0) {
                --refusals_;
                turns_.owe(fault != Fault::refusal_not_owed);
                return false;
            }
            given_.signal($);
            turns_.asked();
        }
        return true;
    }
    // -1: none.
    int start_next()
    {
        if (waiting_ == 0 || !(may_start() || fault == Fault::starts_beyond))
            return -1;
        waiting_ = waiting_ - 1;
        in_flight_ = in_flight_ + 1;
        return started_++;
    }
    void take_turn()
    {
        for (bool first = true, again = true; again; first = false) {
            mutex_.lock();
            if (first && fault != Fault::turn_not_counted)
                turns_.taken();
            const int task = start_next();
            mutex_.unlock();
            if (task >= 0)
                run(task);
            mutex_.lock();
            again = turns_.owes() && task >= 0;
            mutex_.unlock();
        }
    }
    void run(int task)
    {
        if (max_in_flight == 1) {
            RL_ASSERT(serial_ == task);  // relacy reports two that run at once
            serial_ = task + 1;
        }
        mutex_.lock();
        RL_ASSERT(in_flight_ <= static_cast<int>(max_in_flight));
        mutex_.unlock();
        end();
    }
    void end()
    {
        mutex_.lock();
        ++ran_;
        in_flight_ = in_flight_ - 1;
        if (fault != Fault::end_asks_for_nothing)
            (void)ask_for_turns();
        mutex_.unlock();
        pump();
    }
    void pump()
    {
        if (!engine_)
            return;
        mutex_.lock();
        const bool pumps = turns_.try_pump() || fault == Fault::pumps_side_by_side;
        mutex_.unlock();
        while (pumps) {
            mutex_.lock();
            if (fault == Fault::pump_leaves_unlocked && !turns_.owes()) {
                mutex_.unlock();
                mutex_.lock();
                (void)turns_.pumps_on();
                turns_.owe(false);
                mutex_.unlock();
                return;
            }
            if (!turns_.pumps_on()) {
                mutex_.unlock();
                return;
            }
            const int task = start_next();
            turns_.owe(task >= 0);
            mutex_.unlock();
            given_to_engine_ = given_to_engine_ + 1;  // relacy reports two threads that are at it
            if (task >= 0)
                run(task);
        }
    }

    RelacyLock mutex_;
    QueueTurns turns_;
    rl::semaphore<Queue> given_;  // turns
    RelacyAtomics<>::Plain<int> waiting_;
    RelacyAtomics<>::Plain<int> in_flight_;
    RelacyAtomics<>::Plain<int> serial_;
    RelacyAtomics<>::Plain<int> given_to_engine_;
    bool engine_ = false;
    int refusals_ = 0;
    int accepted_ = 0;
    int started_ = 0;
    int ran_ = 0;
};

// ---- a thread hands two tasks in, another one a third, while a worker takes turns: the rest of those is taken at the end ----

template <Fault fault = Fault::none, std::size_t max_in_flight = 1>
struct Turning : rl::test_suite<Turning<fault, max_in_flight>, 4> {
    Queue<fault, max_in_flight> queue;

    void thread(unsigned index)
    {
        if (index >= 2)
            return queue.work_off();
        RL_ASSERT(queue.hand_in());
        if (index == 0)
            RL_ASSERT(queue.hand_in());
    }
    void after()
    {
        queue.work_off();
        RL_ASSERT(queue.accepted() == 3 && queue.ran() == 3);
    }
};

// ---- a thread hands in two tasks more, two workers take turns, and the executor has none now and then ----

template <Fault fault = Fault::none, int refusals = 1>
struct Refusing : rl::test_suite<Refusing<fault, refusals>, 3> {
    Queue<fault, 1> queue;

    void before()
    {
        RL_ASSERT(queue.hand_in());
        queue.refuse(refusals);
    }
    void thread(unsigned index)
    {
        if (index != 0)
            return queue.work_off();
        for (int i = 0; i < 2; ++i)
            (void)queue.hand_in();
    }
    void after()
    {
        queue.work_off();
        RL_ASSERT(queue.ran() == queue.accepted());
    }
};

// ---- three threads hand tasks in to an engine that runs each at once, on the thread that gives it ----

template <Fault fault = Fault::none>
struct Pumping : rl::test_suite<Pumping<fault>, 3> {
    Queue<fault, 1> queue;

    void before() { queue.has_engine(); }
    void thread(unsigned) { RL_ASSERT(queue.hand_in()); }
    void after() { RL_ASSERT(queue.ran() == 3); }
};

}  // namespace

int main()
{
    ModelRun run;
    run.holds<Turning<>>("three tasks of a serial queue, two workers", Search{2});
    run.holds<Turning<>>("the same", Search{0, 200'000});
    run.holds<Turning<Fault::none, 2>>("three tasks of a queue of two at a time, two workers", Search{0, 200'000});
    run.holds<Refusing<>>("the executor has no turn once");
    run.holds<Refusing<Fault::none, 2>>("it has no turn twice");
    run.holds<Pumping<>>("three threads hand tasks in to an engine");

    run.caught<Turning<Fault::end_asks_for_nothing>>("mutant: who ends a task asks for no turn");
    run.caught<Turning<Fault::turn_not_counted>>("mutant: a turn that has come counts as on its way");
    run.caught<Refusing<Fault::starts_beyond>>("mutant: a turn starts a task without a look at how many run");
    run.caught<Refusing<Fault::refusal_not_owed>>("mutant: a turn that could not be had is not owed");
    run.caught<Pumping<Fault::pump_leaves_unlocked>>("mutant: who pumps looks, then leaves");
    run.caught<Pumping<Fault::pump_does_not_owe>>("mutant: who hands a task in does not owe it");
    run.caught<Pumping<Fault::pumps_side_by_side>>("mutant: two pump at once");
    return run.finish();
}
