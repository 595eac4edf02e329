// The slot of a node for completions: each registration is delivered once, after the end, by somebody who sees the outcome,
// inside the node or as a record, whatever it meets; and the node is freed behind the last of them. The mutants weaken one
// order each, or leave a look or a flag out.
#include "mini_node.h"

namespace {

using namespace model;

// ---- registrations against the end, and against each other ----

template <class Node, unsigned registrars, bool first_inside, bool second_inside, bool before_the_end = false>
struct Registering
    : rl::test_suite<Registering<Node, registrars, first_inside, second_inside, before_the_end>, registrars + 1> {
    Node node{registrars + 1, Phase::running};

    void before()
    {
        if (before_the_end)
            node.announce_and_register(3, true);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            node.settle(Phase::ok, 1, Reference::give);
            return;
        }
        node.announce_and_register(static_cast<int>(index), index == 1 ? first_inside : second_inside);
        node.release();
    }
    void after()
    {
        for (unsigned index = 1; index <= registrars; ++index)
            RL_ASSERT(node.delivered[index] == 1);
        RL_ASSERT(node.delivered[3] == (before_the_end ? 1 : 0));
        RL_ASSERT(node.freed == 1);
    }
};

// ---- mutants ----

// A registration without a flag in the word.
struct Unannounced : StateOf<ShippedOrders> {
    using State = StateOf<ShippedOrders>;
    using State::State;
    bool announce_registration()
    {
        this->retain();
        return !is_done(phase_of(this->look()));
    }
};
struct NotAsked : Checks {
    static constexpr bool asks_whether_announced = false;
};

}  // namespace

int main()
{
    using Shipped = StateOf<ShippedOrders>;
    using Slot = SlotOf<ShippedOrders>;
    using Node = MiniNode<Shipped, Slot>;
    // To three preemptions they hold, too, in 2 to 11 million executions: docs/verification/models-task.md.
    const Search at_random{0, 100'000};
    ModelRun run;
    run.holds<Registering<Node, 1, true, false>>("a registration inside against the end", Search{5});
    run.holds<Registering<Node, 1, false, false>>("a record against the end", Search{5});
    run.holds<Registering<Node, 1, false, false, true>>("a record over one inside against the end");
    run.holds<Registering<Node, 2, true, true>>("two registrations inside against the end", Search{2});
    run.holds<Registering<Node, 2, true, true>>("the same", at_random);
    run.holds<Registering<Node, 2, true, false>>("one inside and a record against the end", Search{2});
    run.holds<Registering<Node, 2, true, false>>("the same", at_random);
    run.holds<Registering<Node, 2, false, false, true>>("two records over one inside against the end", Search{1});
    run.holds<Registering<Node, 2, false, false, true>>("the same", at_random);

    run.caught<Registering<MiniNode<Unannounced, Slot>, 1, true, false>>("mutant: a registration is not announced");
    run.caught<Registering<MiniNode<Shipped, Slot, NotAsked>, 1, false, false>>(
        "mutant: a record is pushed without a look at the word");
    run.caught<Registering<MiniNode<Shipped, SlotOf<WeakCas<memory_order::relaxed>>>, 1, true, false>>(
        "mutant: the room is filled relaxed");
    run.caught<Registering<MiniNode<Shipped, SlotOf<WeakExchange>>, 2, true, false>>(
        "mutant: the slot is closed relaxed");
    run.caught<Registering<MiniNode<Shipped, SlotOf<WeakCas<memory_order::acquire>>>, 2, false, false>>(
        "mutant: a record is pushed without a release");
    run.caught<Registering<MiniNode<Shipped, SlotOf<WeakCas<memory_order::release>>>, 1, false, false, true>>(
        "mutant: the room is filled without an acquire");
    run.caught<Registering<MiniNode<Shipped, BasicCompletionSlot<Record, Port, Torn>>, 2, false, false>>(
        "mutant: a record is pushed by a load and a store");
    return run.finish();
}
