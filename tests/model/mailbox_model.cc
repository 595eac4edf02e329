// The mailbox against libuv 1.44's uv_async_send: no wake-up is lost, no item is lost or seen early, nothing is sent to a
// closed handle. The mutants are the naive ways to do it.
#include "relacy_uv.h"

#include "base/mailbox.h"

namespace {

using execq::core::Link;
using execq::core::Mailbox;

struct Item : Link {
    rl::var<int> payload{0};
};

// ---- two producers and the loop ----

template <class Box>
struct Posting : rl::test_suite<Posting<Box>, 3> {
    Box box;
    AsyncHandle handle;
    std::array<Item, 2> items;
    int taken = 0;

    void consume()
    {
        for (Link* link = box.take_all(); link != nullptr; link = link->next) {
            RL_ASSERT(static_cast<Item*>(link)->payload($) == 1);
            ++taken;
        }
    }

    void thread(unsigned index)
    {
        if (index < items.size()) {
            items[index].payload($) = 1;
            RL_ASSERT(box.post(items[index], [this] { handle.send(); }));
            return;
        }
        for (int iteration = 0; iteration < 3; ++iteration) {
            if (handle.poll())
                consume();
        }
    }

    // Whatever the loop did so far: as long as it goes on polling, it gets everything.
    void after()
    {
        while (handle.poll())
            consume();
        RL_ASSERT(taken == 2);
    }
};

// ---- a poke: something is written, then the loop is woken to look at it ----

template <class Box>
struct Poking : rl::test_suite<Poking<Box>, 3> {
    Box box;
    AsyncHandle handle;
    RelacyAtomics<>::Atomic<int> written{0};
    int seen = 0;

    void consume()
    {
        box.take_all();
        seen = written.load(std::memory_order::relaxed);
    }

    void thread(unsigned index)
    {
        if (index < 2) {
            written.fetch_add(1, std::memory_order::relaxed);
            RL_ASSERT(box.poke([this] { handle.send(); }));
            return;
        }
        for (int iteration = 0; iteration < 3; ++iteration) {
            if (handle.poll())
                consume();
        }
    }

    void after()
    {
        while (handle.poll())
            consume();
        RL_ASSERT(seen == 2);
    }
};

// ---- posting against closing ----

template <class Box>
struct Closing : rl::test_suite<Closing<Box>, 3> {
    Box box;
    AsyncHandle handle;
    std::array<Item, 2> items;
    std::array<int, 2> accepted{};
    int taken = 0;

    void count(Link* link)
    {
        for (; link != nullptr; link = link->next)
            ++taken;
    }

    void thread(unsigned index)
    {
        if (index < items.size()) {
            accepted[index] = box.post(items[index], [this] { handle.send(); }) ? 1 : 0;
            return;
        }
        if (handle.poll())
            count(box.take_all());
        count(box.close());
        handle.close();
    }

    void after() { RL_ASSERT(taken == accepted[0] + accepted[1]); }
};

// ---- mutants ----

struct RelaxedTake : ShippedOrders {
    static std::memory_order exchange(std::memory_order) { return std::memory_order::relaxed; }
};
struct RelaxedPush : ShippedOrders {
    static std::memory_order cas(std::memory_order) { return std::memory_order::relaxed; }
};
struct RelaxedSent : ShippedOrders {
    static std::memory_order sub(std::memory_order) { return std::memory_order::relaxed; }
};

// The naive protocol: a flag that is stored and cleared plainly around a send.
struct NaiveFlag {
    RelacyAtomics<>::Atomic<int> flag{0};
    template <class Send>
    bool poke(const Send& send)
    {
        if (flag.load(std::memory_order::acquire) == 0) {
            flag.store(1, std::memory_order::release);
            send();
        }
        return true;
    }
    void take_all() { flag.store(0, std::memory_order::release); }
};

// No flag at all: "libuv coalesces anyway".
struct SendAlways {
    template <class Send>
    bool poke(const Send& send)
    {
        send();
        return true;
    }
    void take_all() {}
};

}  // namespace

int main()
{
    using Shipped = Mailbox<RelacyAtomics<>>;
    ModelRun run;
    run.holds<Posting<Shipped>>("two producers post, the loop takes");
    run.holds<Poking<Shipped>>("two threads poke, the loop looks");
    run.holds<Closing<Shipped>>("two producers post while the loop closes");
    run.caught<Posting<Mailbox<RelacyAtomics<RelaxedTake>>>>("mutant: the take is relaxed (lost wake-up)");
    run.caught<Posting<Mailbox<RelacyAtomics<RelaxedPush>>>>("mutant: the push is relaxed (item seen early)");
    run.caught<Closing<Mailbox<RelacyAtomics<RelaxedSent>>>>("mutant: a sender's end is relaxed (send after close)");
    run.caught<Poking<NaiveFlag>>("mutant: a flag stored and cleared plainly");
    run.caught<Poking<SendAlways>>("mutant: a bare uv_async_send after a relaxed write");
    return run.finish();
}
