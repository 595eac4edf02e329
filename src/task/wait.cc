// The wait lot: threads that wait for any of several nodes, or for one in a way of their own, leave a ticket per node in a
// hash table of short lists, and set a flag in the node. A node that is settled with that flag looks its tickets up. So
// such a wait needs no room in the node, and one that times out leaves nothing behind.
#include "task/wait.h"

#include <array>
#include <atomic>
#include <memory>
#include <new>

#include "base/annotations.h"
#include "base/futex.h"
#include "base/immortal.h"
#include "base/links.h"
#include "base/spin.h"

namespace execq::core {

namespace {

// What is about to end is not worth a sleep: two wake-ups on different processors take longer than this.
constexpr std::int64_t spin_ns = 20'000;
constexpr std::int64_t until_begun_ns = 2'000;
constexpr unsigned spin_pauses = 4;

struct alignas(64) Bucket {
    Mutex mutex;
    HookList<LotTicket> tickets EXECQ_GUARDED_BY(mutex);
};

std::array<Bucket, 64>& lot()
{
    static PerProcess<std::array<Bucket, 64>> buckets;
    return *buckets;
}

[[maybe_unused]] std::array<Bucket, 64>& made_when_loaded = lot();

Bucket& bucket_of(const void* node) { return lot()[(reinterpret_cast<std::uintptr_t>(node) >> 6) % lot().size()]; }

void leave_ticket(LotTicket& ticket)
{
    Bucket& bucket = bucket_of(ticket.node);
    const MutexLock lock(bucket.mutex);
    bucket.tickets.push_back(ticket);
}

void take_ticket_back(LotTicket& ticket)
{
    Bucket& bucket = bucket_of(ticket.node);
    const MutexLock lock(bucket.mutex);
    bucket.tickets.remove(ticket);
}

// Env is a word on the waiter's stack.
void wake_caller(void* env)
{
    auto* called = static_cast<std::atomic<std::uint32_t>*>(env);
    called->store(1, std::memory_order_release);  // pairs with the waiter's acquire
    futex_wake(called, 1);
}

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

void tell_lot(const void* node)
{
    Bucket& bucket = bucket_of(node);
    const MutexLock lock(bucket.mutex);
    bucket.tickets.for_each([node](LotTicket& ticket) {
        if (ticket.node == node)
            ticket.call(ticket.env);  // who left the ticket cannot go before it has taken this mutex
    });
}

DoneCall::DoneCall(Node& node, void (*call)(void* env), void* env)
{
    ticket_.node = &node;
    ticket_.call = call;
    ticket_.env = env;
    leave_ticket(ticket_);
    (void)node.announce_lot_waiter();  // the caller looks
}

DoneCall::~DoneCall() { take_ticket_back(ticket_); }

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

    std::atomic<std::uint32_t> called{0};
    std::size_t left = 0;
    bool pending = true;
    for (; left < n && pending; ++left) {
        tickets[left].node = nodes[left];
        tickets[left].call = wake_caller;
        tickets[left].env = &called;
        leave_ticket(tickets[left]);
        pending = nodes[left]->announce_lot_waiter();
    }
    while (pending) {
        if (called.load(std::memory_order_acquire) == 0 && !deadline.passed())
            futex_wait(&called, 0, deadline);
        // A call may have been meant for a node that was here before: who settles goes by the address.
        called.exchange(0, std::memory_order_acquire);
        pending = !find_done(nodes, n, index) && !deadline.passed();
    }
    for (std::size_t i = 0; i < left; ++i)
        take_ticket_back(tickets[i]);
    return find_done(nodes, n, index) ? EXECQ_OK : EXECQ_ETIMEDOUT;
}

}  // namespace execq::core
