// The state word of a node: a task is run or canceled, never both; who cancels is answered by what happens; the outcome is
// seen by whoever finds the node done; who waits wakes up; a value is taken once, an observed failure is never reported;
// the node is freed once, behind all that was done to it. The mutants weaken one order each, or do one step in the naive way.
#include "mini_node.h"

namespace {

using namespace model;

// ---- a task: a worker takes it from its queue, one who has a future cancels, a third asks to stop, looks and leaves ----

template <class State>
struct Claiming : rl::test_suite<Claiming<State>, 3> {
    PlainNode<State> node{3, Phase::pending};
    Plain<int> env{0};
    bool ran = false;
    bool canceled = false;
    bool asked_while_open = false;
    typename State::Canceled answer{};

    void before() { env = 1; }
    void thread(unsigned index)
    {
        if (index == 0) {
            typename State::Word before = 0;
            if (node.state.start_taken(before) == State::Start::lost) {
                node.release();
                return;
            }
            RL_ASSERT(env == 1);
            env = 2;
            ran = true;
            node.settle(Phase::ok, 1, Reference::give);
        } else if (index == 1) {
            typename State::Word before = 0;
            answer = node.state.cancel(1, before);
            if (answer == State::Canceled::claimed) {
                RL_ASSERT(env == 1);
                env = 2;
                canceled = true;
                node.settle(Phase::canceled, 2, Reference::keep);
            }
            node.release();
        } else {
            asked_while_open = node.state.request_cancel(3);
            const typename State::Word word = node.state.look();
            if (asked_while_open)
                RL_ASSERT(State::reason_in(word) == 1 || State::reason_in(word) == 3);
            if (State::is_done(State::phase_of(word)))
                RL_ASSERT(node.outcome == (State::phase_of(word) == Phase::ok ? 1 : 2));
            node.release();
        }
    }
    void after()
    {
        RL_ASSERT(ran != canceled);
        RL_ASSERT(canceled == (answer == State::Canceled::claimed));
        RL_ASSERT(node.freed == 1);
    }
};

// ---- a task that nobody has a handle of any more, as its last one is released while a worker starts it ----

template <class State, bool cancels = true>
struct StartingAlone : rl::test_suite<StartingAlone<State, cancels>, 2> {
    PlainNode<State> node{2, Phase::pending};
    Plain<int> looked_at{0};  // by who has a handle, as long as he has it
    bool ran = false;
    bool canceled = false;

    void thread(unsigned index)
    {
        typename State::Word before = 0;
        if (index == 0) {
            switch (node.state.start_taken(before)) {
            case State::Start::alone:
                ran = true;
                looked_at = 1;
                node.free();
                break;
            case State::Start::won:
                ran = true;
                node.settle(Phase::ok, 1, Reference::give);
                break;
            default:
                node.release();
            }
        } else {
            RL_ASSERT(looked_at == 0);
            if (cancels && node.state.try_claim_cancel(1, before)) {
                canceled = true;
                node.settle(Phase::canceled, 2, Reference::keep);
            }
            node.release();
        }
    }
    void after()
    {
        RL_ASSERT(ran != canceled);
        RL_ASSERT(node.freed == 1);
    }
};

// ---- who waits, against the end: it wakes up, and sees the outcome; who settles gives up what may be the last reference ----

template <class State, bool times_out = false>
struct Waiting : rl::test_suite<Waiting<State, times_out>, 3> {
    Futex futex;
    PlainNode<State> node{3, Phase::running};

    void thread(unsigned index)
    {
        if (index == 0) {
            node.settle(Phase::ok, 1, Reference::give);
            return;
        }
        const bool looks_only = times_out && index == 2;
        if (node.state.template await_done<Futex>(Deadline::after(looks_only ? 0 : -1)))
            RL_ASSERT(node.outcome == 1);
        else
            RL_ASSERT(looks_only);
        node.release();
    }
    void after() { RL_ASSERT(node.freed == 1); }
};

// ---- a series: its runner puts it back to pending, against one who cancels ----

template <class State>
struct Resting : rl::test_suite<Resting<State>, 2> {
    PlainNode<State> node{2, Phase::pending};
    Plain<int> env{0};
    int runs = 0;
    bool canceled = false;

    void thread(unsigned index)
    {
        typename State::Word before = 0;
        if (index == 0) {
            while (runs != 2 && node.state.try_start(before)) {
                env = env + 1;
                ++runs;
                if (!node.state.try_rest()) {  // asked to stop: it ends here
                    canceled = true;
                    node.settle(Phase::canceled, 2, Reference::give);
                    return;
                }
            }
            node.release();
        } else {
            switch (node.state.cancel(1, before)) {
            case State::Canceled::claimed:
                env = env + 1;
                RL_ASSERT(!canceled);
                canceled = true;
                node.settle(Phase::canceled, 2, Reference::keep);
                break;
            case State::Canceled::asked:
                break;
            default:
                RL_ASSERT(false);
            }
            node.release();
        }
    }
    // Who was asked to stop does not lie down.
    void after()
    {
        RL_ASSERT(canceled);
        RL_ASSERT(node.freed == 1);
    }
};

// ---- the value: taken by one of two; the failure: reported by who frees it, unless somebody has observed it ----

template <class State>
struct Taking : rl::test_suite<Taking<State>, 3> {
    PlainNode<State> node{3, Phase::running};
    std::array<int, 3> took{};

    void thread(unsigned index)
    {
        if (index == 0) {
            node.settle(Phase::ok, 1, Reference::give);
            return;
        }
        if (State::is_done(State::phase_of(node.state.look())) && node.state.try_take()) {
            took[index] = 1;
            node.outcome = 1;  // the value is the taker's
        }
        node.release();
    }
    void after()
    {
        RL_ASSERT(took[1] + took[2] <= 1);
        RL_ASSERT(node.freed == 1);
    }
};

template <class State>
struct Observing : rl::test_suite<Observing<State>, 2> {
    State state{State::first(2, 0, Phase::failed)};
    int observed = 0;
    int reported = 0;
    int freed = 0;

    void thread(unsigned index)
    {
        if (index == 1) {
            state.observe();
            observed = 1;
        }
        if (state.drop_reference()) {
            ++freed;
            reported += (state.glance() & State::taken_flag) == 0 ? 1 : 0;
        }
    }
    void after() { RL_ASSERT(observed == 1 && reported == 0 && freed == 1); }
};

// ---- mutants ----

// A reference is given up with a look at the count that is left, in two steps.
template <class Orders = ShippedOrders>
struct LookingBack : StateOf<Orders> {
    using State = StateOf<Orders>;
    using State::State;
    bool drop_reference()
    {
        const bool one = State::one_left(this->look());
        return State::drop_reference() && one;
    }
};
// A cancellation that looks first and claims afterwards, whatever has happened in between.
struct LateClaim : StateOf<ShippedOrders> {
    using State = StateOf<ShippedOrders>;
    using State::State;
    Canceled cancel(std::int32_t reason, Word& before)
    {
        before = this->look();
        if (phase_of(before) == Phase::pending)
            return this->request_cancel(reason) ? Canceled::claimed : Canceled::over;
        return State::cancel(reason, before);
    }
};
// A series may lie down between the two.
struct ClaimThenAsk : StateOf<ShippedOrders> {
    using State = StateOf<ShippedOrders>;
    using State::State;
    Canceled cancel(std::int32_t reason, Word& before)
    {
        if (this->try_claim_cancel(reason, before))
            return Canceled::claimed;
        return this->request_cancel(reason) ? Canceled::asked : Canceled::over;
    }
};
}  // namespace

int main()
{
    using Shipped = StateOf<ShippedOrders>;
    ModelRun run;
    run.holds<Claiming<Shipped>>("a start against a cancellation and a request");
    run.holds<StartingAlone<Shipped>>("a start against a cancellation and the last release", Search{5});
    run.holds<StartingAlone<Shipped, false>>("a start against the last release", Search{5});
    run.holds<Waiting<Shipped>>("two waits against the end, which gives its reference");
    run.holds<Waiting<Shipped, true>>("a wait and a look against the end");
    run.holds<Resting<Shipped>>("a series that rests, against a cancellation", Search{5});
    run.holds<Taking<Shipped>>("two who take against the end");
    run.holds<Observing<Shipped>>("who observes against the last release", Search{5});

    run.caught<Claiming<StateOf<WeakCas<memory_order::relaxed>>>>("mutant: no step orders anything");
    run.caught<Claiming<LateClaim>>("mutant: a cancellation looks, then claims");
    run.caught<Claiming<BasicNodeState<Torn>>>("mutant: a claim is a load and a store");
    run.caught<Claiming<LookingBack<>>>("mutant: a reference is counted in two steps");
    run.caught<Claiming<StateOf<WeakSub<memory_order::release>>>>("mutant: a release does not acquire");
    run.caught<Claiming<StateOf<WeakSub<memory_order::acquire>>>>("mutant: a release does not release");
    run.caught<Claiming<StateOf<RelaxedLoads>>>("mutant: who is the last finds that out relaxed");
    run.caught<StartingAlone<StateOf<RelaxedLoads>, false>>("mutant: who starts alone finds that out relaxed");
    run.caught<Waiting<StateOf<WeakCasOf<0, memory_order::acquire>>>>("mutant: settle() does not release");
    run.caught<Waiting<BasicNodeState<TornOr>>>("mutant: a waiter's flag is a load and a store");
    run.caught<Resting<StateOf<WeakCasOf<0, memory_order::acquire>>>>("mutant: a series rests without a release");
    run.caught<Resting<StateOf<WeakCasOf<1, memory_order::release>>>>(
        "mutant: a cancellation claims without an acquire");
    run.caught<Resting<ClaimThenAsk>>("mutant: a cancellation claims, then asks, in two steps");
    run.caught<Taking<BasicNodeState<TornOr>>>("mutant: a value is taken by a load and a store");
    run.caught<Observing<BasicNodeState<TornOr>>>("mutant: a failure is observed by a load and a store");
    return run.finish();
}
