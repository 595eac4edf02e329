// The wait lot, beside the state word: who waits for any of several nodes wakes up when one is done, sees its outcome, and is
// called no more once it has gone; a call for a node that was at the same address before does not end the wait. The mutants
// leave the ticket behind the flag, trust a call, or weaken an order.
#include "relacy_futex.h"

#include "task/node_state.h"
#include "task/wait_lot.h"

namespace execq::core {

// The lot only compares its address.
class Node {};

}  // namespace execq::core

namespace {

using execq::core::await_any;
using execq::core::BasicCallBell;
using execq::core::BasicNodeState;
using execq::core::BasicWaitLot;
using execq::core::Deadline;
using execq::core::LotTicket;
using execq::core::Phase;
using execq::core::Reference;
using std::memory_order;

using Base = RelacyAtomics<>;
template <class T>
using Plain = Base::Plain<T>;
using Futex = ModelFutex<std::uint32_t>;

// A ticket whose owner has gone.
void gone(void*) { RL_ASSERT(false); }

template <class Orders>
struct MiniNode : execq::core::Node {
    using State = BasicNodeState<RelacyAtomics<Orders>>;
    State state{State::first(2, 0, Phase::running)};
    Plain<int> outcome{0};

    bool announce_lot_waiter()
    {
        typename State::Word word = 0;
        return state.announce(State::lot_flag, word);
    }
    bool done() const { return State::is_done(State::phase_of(state.look())); }
    template <class Lot>
    void settle(Lot& lot)
    {
        outcome = 1;
        if ((state.settle(state.look(), Phase::ok, Reference::keep).before & State::lot_flag) != 0)
            lot.tell(static_cast<execq::core::Node*>(this));
    }
};

// What a mutant does not do.
struct Checks {
    static constexpr bool leaves_before_it_announces = true;
    static constexpr bool looks_again = true;
    static constexpr bool takes_back = true;
};

template <class Node, class Lock, class Bell, class Checked = Checks>
struct Kit {
    BasicWaitLot<Lock, 1> lot;

    // A mutant's lot is one that does it in another way; the loop is what ships.
    struct Way {
        Kit& kit;
        void leave(LotTicket& ticket) { kit.lot.leave(ticket); }
        void take_back(LotTicket& ticket)
        {
            if (Checked::takes_back)
                kit.lot.take_back(ticket);
        }
    };
    template <std::size_t n>
    void wait(std::array<Node*, n> nodes, std::array<LotTicket, n>& tickets, Deadline deadline = Deadline::after(-1))
    {
        Way way{*this};
        if (!Checked::leaves_before_it_announces) {
            for (Node* node : nodes) {
                if (!node->announce_lot_waiter())
                    return;
            }
        }
        const auto found = [&] {
            bool done = !Checked::looks_again;
            for (Node* node : nodes)
                done = done || node->done();
            return done;
        };
        if (Checked::leaves_before_it_announces)
            await_any<Bell>(way, nodes.data(), n, tickets.data(), deadline, found);
        else
            await_late(way, nodes.data(), n, tickets.data(), deadline, found);
    }
    template <class Found>
    void await_late(Way& way, Node* const* nodes, std::size_t n, LotTicket* tickets, Deadline deadline,
                    const Found& found)
    {
        Bell bell;
        for (std::size_t i = 0; i < n; ++i) {
            tickets[i].node = nodes[i];
            tickets[i].call = Bell::ring;
            tickets[i].env = &bell;
            way.leave(tickets[i]);
        }
        do {
            bell.await(deadline);
        } while (!found() && !deadline.passed());
        for (std::size_t i = 0; i < n; ++i)
            way.take_back(tickets[i]);
    }
};

// ---- one waits for two, each of which is settled by a thread of its own ----

template <class Node, class Kit>
struct Any : rl::test_suite<Any<Node, Kit>, 3> {
    Futex futex;
    Kit kit;
    std::array<Node, 2> nodes;
    std::array<LotTicket, 2> tickets;

    void thread(unsigned index)
    {
        if (index < 2) {
            nodes[index].settle(kit.lot);
            return;
        }
        kit.wait(std::array<Node*, 2>{&nodes[0], &nodes[1]}, tickets);
        bool seen = false;
        for (Node& node : nodes) {
            if (node.done()) {
                seen = true;
                RL_ASSERT(node.outcome == 1);
            }
        }
        RL_ASSERT(seen);
        // The tickets are the stack's again.
        for (LotTicket& ticket : tickets)
            ticket.call = gone;
    }
};

// ---- two wait for one, and one of them only looks ----

template <class Node, class Kit>
struct Two : rl::test_suite<Two<Node, Kit>, 3> {
    Futex futex;
    Kit kit;
    Node node;
    std::array<std::array<LotTicket, 1>, 2> tickets;

    void thread(unsigned index)
    {
        if (index == 2) {
            node.settle(kit.lot);
            return;
        }
        kit.wait(std::array<Node*, 1>{&node}, tickets[index], Deadline::after(index == 1 ? 0 : -1));
        if (index == 0)
            RL_ASSERT(node.done() && node.outcome == 1);
        tickets[index][0].call = gone;
    }
};

// ---- who settled the node that was here before is late: it calls by the address ----

template <class Node, class Kit>
struct Reused : rl::test_suite<Reused<Node, Kit>, 3> {
    Futex futex;
    Kit kit;
    Node node;
    std::array<LotTicket, 1> tickets;

    void thread(unsigned index)
    {
        if (index == 0) {
            kit.lot.tell(static_cast<execq::core::Node*>(&node));
        } else if (index == 1) {
            node.settle(kit.lot);
        } else {
            kit.wait(std::array<Node*, 1>{&node}, tickets);
            RL_ASSERT(node.done() && node.outcome == 1);
        }
    }
};

// ---- mutants ----

template <memory_order weaker>
struct WeakCas : ShippedOrders {
    static memory_order cas(memory_order) { return weaker; }
};
struct RelaxedLoads : ShippedOrders {
    template <class T>
    static memory_order load(memory_order)
    {
        return memory_order::relaxed;
    }
};
struct NoWake : Futex {
    static void wake_one(const void*) {}
};
struct FlagFirst : Checks {
    static constexpr bool leaves_before_it_announces = false;
};
struct TrustsACall : Checks {
    static constexpr bool looks_again = false;
};
struct LeavesItThere : Checks {
    static constexpr bool takes_back = false;
};

}  // namespace

int main()
{
    using Node = MiniNode<ShippedOrders>;
    using Bell = BasicCallBell<Base, Futex>;
    using Shipped = Kit<Node, RelacyLock, Bell>;
    ModelRun run;
    run.holds<Any<Node, Shipped>>("a wait for one of two");
    run.holds<Two<Node, Shipped>>("a wait and a look");
    run.holds<Reused<Node, Shipped>>("a call for the node that was here before");

    run.caught<Two<Node, Kit<Node, RelacyLock, Bell, FlagFirst>>>("mutant: the flag is set, then the ticket is left");
    run.caught<Reused<Node, Kit<Node, RelacyLock, Bell, TrustsACall>>>("mutant: a call ends the wait");
    run.caught<Any<Node, Kit<Node, RelacyLock, Bell, LeavesItThere>>>("mutant: a ticket is not taken back");
    run.caught<Any<Node, Kit<Node, RelacyLock, BasicCallBell<Base, NoWake>>>>("mutant: a call does not wake");
    using Late = MiniNode<WeakCas<memory_order::acquire>>;
    run.caught<Any<Late, Kit<Late, RelacyLock, Bell>>>("mutant: settle() does not release");
    using Blind = MiniNode<RelaxedLoads>;
    run.caught<Any<Blind, Kit<Blind, RelacyLock, Bell>>>("mutant: who wakes up looks relaxed");
    return run.finish();
}
