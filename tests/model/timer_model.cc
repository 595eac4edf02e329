// A timer and its node: it becomes due while somebody cancels the node, while its submission is still at it, or while the node
// is settled by a worker. Of those who may settle the node one does, the timer is ended once and by one of them, and nobody
// touches it after that. The mutants leave out one look each. What the timekeeper does with a timer is step by step as in
// timekeeper.cc; of the node there is the step that settles it, which the node's own models cover.
#include "relacy_atomics.h"

#include "task/timer_stage.h"

namespace {

using execq::core::TimerStage;
using std::memory_order;

// As the shipped one, but for one look.
struct NeverHeld : TimerStage {
    bool withdraw()
    {
        (void)TimerStage::withdraw();
        return true;  // even where somebody is at it
    }
};
struct NeverOver : TimerStage {
    bool let_go()
    {
        (void)TimerStage::let_go();
        return true;
    }
};
// Who takes it out of the wheel does not say so.
struct NotHeldAgain : TimerStage {
    void hold() {}
};

enum class Fault {
    none,
    looks_unlocked,          // who withdraws at the stage, before it takes the mutex
    ends_before_let_go,      // the timekeeper, a node that it did not claim
    leaves_it_to_the_other,  // the submission, a timer that was withdrawn meanwhile
};

template <class Stage, Fault fault>
class Keeper {
public:
    // ---- before the threads start ----
    void kept_already()
    {
        RL_ASSERT(stage_.let_go());
        scheduled_ = true;
    }

    // ---- the submission ----
    void keep()
    {
        touch();
        mutex_.lock();
        const bool kept = stage_.let_go();
        if (kept)
            scheduled_ = true;
        mutex_.unlock();
        if (!kept && fault != Fault::leaves_it_to_the_other)
            end();
    }

    // ---- the timekeeper's thread ----
    // A sleep's, which it settles.
    void fire()
    {
        if (!take_due())
            return;
        touch();
        if (claim()) {
            forgotten_ = true;
            end();
            settle();
        } else if (fault == Fault::ends_before_let_go) {
            end();
        } else {
            go_on();
        }
    }
    // A task's, which others settle.
    void look_at(bool again)
    {
        if (!take_due())
            return;
        touch();
        go_on(again);
    }

    // ---- who settles the node ----
    bool cancel()
    {
        if (!claim())
            return false;
        withdraw();
        settle();
        return true;
    }

    int ended() const { return ended_; }
    int settled() const { return settled_; }
    bool scheduled() const { return scheduled_; }

private:
    void touch() const { RL_ASSERT(alive_ == 1); }
    bool claim()
    {
        int pending = 0;
        return phase_.compare_exchange_strong(pending, 1, memory_order::acq_rel, memory_order::acquire);
    }
    void settle()
    {
        outcome_ = 1;
        ++settled_;
    }
    bool take_due()
    {
        mutex_.lock();
        const bool due = scheduled_;
        if (due) {
            scheduled_ = false;
            stage_.hold();
        }
        mutex_.unlock();
        return due;
    }
    void go_on(bool again = false)
    {
        mutex_.lock();
        const bool kept = stage_.let_go();
        scheduled_ = kept && again;
        mutex_.unlock();
        if (!kept)
            end();
    }
    void withdraw()
    {
        if (forgotten_)
            return;
        touch();
        if (fault == Fault::looks_unlocked) {
            if (!stage_.withdraw())
                return;
            mutex_.lock();
        } else {
            mutex_.lock();
            if (!stage_.withdraw()) {
                mutex_.unlock();
                return;
            }
        }
        scheduled_ = false;
        mutex_.unlock();
        end();
    }
    void end()
    {
        touch();
        alive_ = 0;
        ++ended_;
    }

    RelacyLock mutex_;
    Stage stage_;
    RelacyAtomics<>::Plain<int> scheduled_{0};
    RelacyAtomics<>::Atomic<int> phase_{0};
    RelacyAtomics<>::Plain<int> outcome_;
    RelacyAtomics<>::Plain<int> alive_{1};
    bool forgotten_ = false;  // by who has claimed the node, who reads it alone
    int ended_ = 0;
    int settled_ = 0;
};

// ---- a sleep becomes due while two threads cancel it ----

template <class Stage = TimerStage, Fault fault = Fault::none>
struct Sleeping : rl::test_suite<Sleeping<Stage, fault>, 3> {
    Keeper<Stage, fault> keeper;
    int canceled = 0;

    void before() { keeper.kept_already(); }
    void thread(unsigned index)
    {
        if (index == 0)
            keeper.fire();
        else
            canceled += keeper.cancel() ? 1 : 0;
    }
    void after()
    {
        RL_ASSERT(canceled <= 1);
        RL_ASSERT(keeper.settled() == 1);
        RL_ASSERT(keeper.ended() == 1);
    }
};

// ---- the timekeeper looks at a task's timer, again and again, while somebody settles the task ----

template <class Stage = TimerStage, Fault fault = Fault::none>
struct Running : rl::test_suite<Running<Stage, fault>, 2> {
    Keeper<Stage, fault> keeper;

    void before() { keeper.kept_already(); }
    void thread(unsigned index)
    {
        if (index == 0) {
            keeper.look_at(true);
            keeper.look_at(false);
        } else {
            RL_ASSERT(keeper.cancel());
        }
    }
    void after() { RL_ASSERT(keeper.ended() == 1); }
};

// ---- the same while its submission is still at it ----

template <class Stage = TimerStage, Fault fault = Fault::none>
struct Submitting : rl::test_suite<Submitting<Stage, fault>, 3> {
    Keeper<Stage, fault> keeper;

    void thread(unsigned index)
    {
        if (index == 0)
            keeper.keep();
        else if (index == 1)
            RL_ASSERT(keeper.cancel());
        else
            keeper.look_at(true);
    }
    void after() { RL_ASSERT(keeper.ended() == 1); }
};

}  // namespace

int main()
{
    constexpr Search deep{5};
    ModelRun run;
    run.holds<Sleeping<>>("a sleep is due while two threads cancel it", deep);
    run.holds<Running<>>("a task's time is up while it is settled", deep);
    run.holds<Submitting<>>("the same while it is being submitted", deep);

    run.caught<Sleeping<NeverHeld>>("mutant: who withdraws a sleep does not look whether it is held");
    run.caught<Running<NeverHeld>>("mutant: the same of a task's timer");
    run.caught<Submitting<NeverHeld>>("mutant: the same while it is being submitted");
    run.caught<Sleeping<NeverOver>>("mutant: who held a sleep does not look whether it is over");
    run.caught<Submitting<NeverOver>>("mutant: the same of a submission");
    run.caught<Running<NotHeldAgain>>("mutant: who takes a timer out of the wheel does not hold it");
    run.caught<Running<TimerStage, Fault::looks_unlocked>>("mutant: who withdraws looks before it has the mutex");
    run.caught<Sleeping<TimerStage, Fault::ends_before_let_go>>("mutant: who did not settle a sleep ends its timer");
    run.caught<Submitting<TimerStage, Fault::leaves_it_to_the_other>>("mutant: a submission leaves what is over");
    return run.finish();
}
