// The lot of cancel callbacks of running bodies, beside the state word: a body that registers one while others cancel is
// told, each callback runs at most once, and none outlives its body, which frees it. The mutants look before they register,
// do not wait, or weaken an order.
#include "relacy_futex.h"

#include "task/call_lot.h"
#include "task/node_state.h"

namespace {

using execq::core::BasicCallBucket;
using execq::core::BasicCallStage;
using execq::core::BasicNodeState;
using execq::core::Deadline;
using execq::core::Hook;
using execq::core::Phase;
using execq::core::Reference;
using std::memory_order;

using Base = RelacyAtomics<>;
template <class T>
using Plain = Base::Plain<T>;
using State = BasicNodeState<Base>;
using StageFutex = ModelFutex<std::uint32_t>;
using BodyFutex = ModelFutex<std::uint64_t>;

// Excludes, but orders nothing.
class RelaxedLock {
public:
    void lock()
    {
        while (held_.exchange(1, memory_order::relaxed) != 0)
            Base::yield();
    }
    void unlock() { held_.store(0, memory_order::relaxed); }

private:
    Base::Atomic<int> held_{0};
};
struct NoWake : StageFutex {
    static void wake_all(const void*) {}
};

// Steps that a mutant leaves out, or does the other way round.
struct Checks {
    static constexpr bool adds_before_it_looks = true;
    static constexpr bool waits = true;
};

// As task/cancel_calls.cc puts it together.
template <class Stage, class Lock, class Checked>
struct MiniCalls {
    struct Call : Hook {
        Stage stage;
        Plain<int> env{0};  // 1: the body's frame, 0: the body is over
        int runs = 0;
        bool waits() const { return stage.waits(); }
        void taken() { stage.begin(); }
    };

    // ---- the body ----
    // True: it was told by the time this returns, or is being told.
    void add(Call& call, const State& state)
    {
        call.env = 1;
        const bool early = !Checked::adds_before_it_looks && asked(state);
        bucket.add(call);
        if (Checked::adds_before_it_looks ? asked(state) : early) {
            if (Call* own = bucket.take([&call](const Call& one) { return &one == &call; }))
                run(*own);
        }
    }
    void end(Call& call)
    {
        if (!bucket.take_back(call) && Checked::waits) {
            call.stage.await_end([](const void* word, std::uint32_t expected) {
                StageFutex::wait(word, expected, Deadline::after(-1));
            });
        }
        call.env = 0;
    }
    // ---- who cancels ----
    void tell()
    {
        while (Call* call = bucket.take([](const Call&) { return true; }))
            run(*call);
    }

    void run(Call& call)
    {
        RL_ASSERT(call.env == 1);
        call.env = 1;  // a race with all that the body does with it afterwards
        ++call.runs;
        ringing.store(1, memory_order::relaxed);
        BodyFutex::wake_all(&ringing);
        call.stage.end();
    }
    static bool asked(const State& state) { return (state.look() & State::cancel_flag) != 0; }

    BasicCallBucket<Call, Lock> bucket;
    Base::Atomic<std::uint64_t> ringing{0};
};

// ---- a body with a callback ends; one who cancels, and tells, comes at any time ----

template <class Calls, unsigned cancelers>
struct Ending : rl::test_suite<Ending<Calls, cancelers>, cancelers + 1> {
    StageFutex stage_futex;
    BodyFutex body_futex;
    State state{State::first(1, 0, Phase::running)};
    Calls calls;
    typename Calls::Call call;

    void thread(unsigned index)
    {
        if (index == 0) {
            calls.add(call, state);
            calls.end(call);
            (void)state.settle(state.look(), Phase::ok, Reference::keep);
        } else if (state.request_cancel(1)) {
            calls.tell();
        }
    }
    void after() { RL_ASSERT(call.runs <= 1); }
};

// ---- a body that goes on until its callback has run ----

template <class Calls>
struct Stopping : rl::test_suite<Stopping<Calls>, 2> {
    StageFutex stage_futex;
    BodyFutex body_futex;
    State state{State::first(1, 0, Phase::running)};
    Calls calls;
    typename Calls::Call call;

    void thread(unsigned index)
    {
        if (index == 0) {
            calls.add(call, state);
            while (calls.ringing.load(memory_order::relaxed) == 0)
                BodyFutex::wait(&calls.ringing, 0, Deadline::after(-1));
            calls.end(call);
        } else {
            RL_ASSERT(state.request_cancel(1));
            calls.tell();
        }
    }
    void after() { RL_ASSERT(call.runs == 1); }
};

// ---- mutants ----

struct WeakExchange : ShippedOrders {
    static memory_order exchange(memory_order) { return memory_order::acquire; }
};
struct RelaxedLoads : ShippedOrders {
    template <class T>
    static memory_order load(memory_order)
    {
        return memory_order::relaxed;
    }
};
struct LooksFirst : Checks {
    static constexpr bool adds_before_it_looks = false;
};
struct DoesNotWait : Checks {
    static constexpr bool waits = false;
};

// Who waits is noted by a store, not by a step.
struct TornStep : RelacyAtomics<> {
    template <class T>
    class Atomic : public RelacyAtomics<>::Atomic<T> {
    public:
        using Whole = RelacyAtomics<>::Atomic<T>;
        using Whole::Whole;
        bool compare_exchange_strong(T& expected, T value, memory_order, memory_order)
        {
            const T seen = this->load(memory_order::acquire);
            if (seen != expected) {
                expected = seen;
                return false;
            }
            this->store(value, memory_order::release);
            return true;
        }
    };
};

}  // namespace

int main()
{
    using Stage = BasicCallStage<Base, StageFutex>;
    using Calls = MiniCalls<Stage, RelacyLock, Checks>;
    ModelRun run;
    run.holds<Ending<Calls, 1>>("the end of a body against a cancellation", Search{5});
    run.holds<Ending<Calls, 2>>("the end of a body against two cancellations");
    run.holds<Stopping<Calls>>("a body that goes on until it is told", Search{5});

    run.caught<Stopping<MiniCalls<Stage, RelacyLock, LooksFirst>>>("mutant: a body looks, then registers");
    run.caught<Ending<MiniCalls<Stage, RelacyLock, DoesNotWait>, 1>>("mutant: a body does not wait for its callback");
    run.caught<Ending<MiniCalls<Stage, RelaxedLock, Checks>, 1>>("mutant: the lot's mutex orders nothing");
    run.caught<Ending<MiniCalls<BasicCallStage<Base, NoWake>, RelacyLock, Checks>, 1>>(
        "mutant: the end of a callback wakes nobody");
    run.caught<Ending<MiniCalls<BasicCallStage<RelacyAtomics<WeakExchange>, StageFutex>, RelacyLock, Checks>, 1>>(
        "mutant: the end of a callback does not release");
    run.caught<Ending<MiniCalls<BasicCallStage<RelacyAtomics<RelaxedLoads>, StageFutex>, RelacyLock, Checks>, 1>>(
        "mutant: the body sees the end relaxed");
    run.caught<Ending<MiniCalls<BasicCallStage<TornStep, StageFutex>, RelacyLock, Checks>, 1>>(
        "mutant: who waits says so by a load and a store");
    return run.finish();
}
