#include "task/wait.h"

#include <array>
#include <memory>
#include <new>

#include "base/immortal.h"
#include "base/spin.h"

namespace execq::core {

namespace {

// What is about to end is not worth a sleep: two wake-ups on different processors take longer than this.
constexpr std::int64_t spin_ns = 20'000;
constexpr std::int64_t until_begun_ns = 2'000;
constexpr unsigned spin_pauses = 4;

using WaitLot = BasicWaitLot<>;

WaitLot& lot()
{
    static PerProcess<WaitLot> instance;
    return *instance;
}

[[maybe_unused]] WaitLot& made_when_loaded = lot();

bool find_done(Node* const* nodes, std::size_t n, std::size_t* index)
{
    for (std::size_t i = 0; i < n; ++i) {
        if (nodes[i]->done()) {
            if (index != nullptr)
                *index = i;
            return true;
        }
    }
    return false;
}

// Not long for what has not even begun: a worker that has to wake up first may want this very processor.
bool spin_until_done(const Node& node)
{
    spin_for(until_begun_ns, spin_pauses, [&] { return node.phase() != Phase::pending; });
    return node.phase() != Phase::pending && spin_for(spin_ns, spin_pauses, [&] { return node.done(); });
}

}  // namespace

void tell_lot(const void* node) { lot().tell(node); }

DoneCall::DoneCall(Node& node, void (*call)(void* env), void* env)
{
    ticket_.node = &node;
    ticket_.call = call;
    ticket_.env = env;
    lot().leave(ticket_);
    (void)node.announce_lot_waiter();  // the caller looks
}

DoneCall::~DoneCall() { lot().take_back(ticket_); }

execq_status block_on(Node& node, Deadline deadline)
{
    if (node.done() || (!deadline.only_look() && spinning_helps() && spin_until_done(node)))
        return EXECQ_OK;
    return node.await_done(deadline) ? EXECQ_OK : EXECQ_ETIMEDOUT;
}

execq_status block_on_any(Node* const* nodes, std::size_t n, Deadline deadline, std::size_t* index)
{
    if (find_done(nodes, n, index))
        return EXECQ_OK;
    if (deadline.only_look())
        return EXECQ_ETIMEDOUT;
    std::array<LotTicket, 16> few;
    std::unique_ptr<LotTicket[]> many;
    if (n > few.size()) {
        many.reset(new (std::nothrow) LotTicket[n]);
        if (many == nullptr)
            return EXECQ_ENOMEM;
    }
    LotTicket* tickets = many != nullptr ? many.get() : few.data();

    await_any<BasicCallBell<>>(lot(), nodes, n, tickets, deadline, [&] { return find_done(nodes, n, index); });
    return find_done(nodes, n, index) ? EXECQ_OK : EXECQ_ETIMEDOUT;
}

}  // namespace execq::core
