// A port and its loop: who registers, who ends the last use, who lifts a task, who detaches, and a loop that moves to another
// thread. The loop is kept alive exactly while something is pending, its handle is touched by one thread at a time and
// never once it is closed, the port is freed once and last, and every task is run, canceled or refused. The mutants leave out
// or exchange two steps each. What the port does with its uses, its mailbox and its tasks is step by step as in loop_port.cc.
#include "relacy_uv.h"

#include <utility>

#include "base/mailbox.h"
#include "flow/lift_stack.h"
#include "flow/port_uses.h"

namespace {

using execq::core::BasicLiftStack;
using execq::core::Link;
using execq::core::Mailbox;
using execq::core::PortUses;
using std::memory_order;

enum class Fault {
    none,
    first_does_not_wake,
    last_does_not_wake,
    last_is_no_guest,  // until it has woken the loop
    unreferences_anyway,
    looks_before_noting,  // what is pending, and then who runs the loop
    looks_first,          // who the loop's thread is, and then counts its use
    abandons_late,
    release_is_no_use,
};

template <class Orders>
struct Chain {
    typename RelacyAtomics<Orders>::template Atomic<Chain*> next{nullptr};
};

template <class Orders>
struct Task : Chain<Orders> {
    RelacyAtomics<>::Plain<int> payload;
    int ran = 0;
    int order = 0;  // in which it ran
    int canceled = 0;
};

template <class Orders>
struct Tasks {
    std::array<Task<Orders>*, 4> all{};
    std::size_t begin = 0;
    std::size_t end = 0;

    void push(Task<Orders>& task) { all[end++ % all.size()] = &task; }
    bool empty() const { return begin == end; }
    Task<Orders>* pop() { return empty() ? nullptr : all[begin++ % all.size()]; }
};

// A registration that is being delivered.
struct Delivery : Link {
    RelacyAtomics<>::Plain<int> payload;
    int ran = 0;
};

// The port as in loop_port.cc, with a loop that looks at its handle whenever its thread says so. Thread 0 attaches it.
template <class Orders, Fault fault>
class Port {
public:
    using Atomics = RelacyAtomics<Orders>;
    using Uses = PortUses<unsigned, Atomics>;
    using Lifts = BasicLiftStack<Chain<Orders>, Task<Orders>, Tasks<Orders>, Atomics>;

    // Before the threads start: the end of attaching.
    void open() { wake(); }

    // ---- any thread ----
    bool begin_use(bool wakes = true)
    {
        touch();
        if (fault == Fault::looks_first && uses_.runs_on(model_thread())) {
            (void)uses_.begin(model_thread());
            reference(true);
            return true;
        }
        switch (uses_.begin(fault == Fault::looks_first ? nobody : model_thread())) {
        case Uses::Begun::refused:
            give_up(1);
            return false;
        case Uses::Begun::here:
            reference(true);
            break;
        case Uses::Begun::first:
            if (wakes && fault != Fault::first_does_not_wake)
                wake();
            break;
        case Uses::Begun::later:
            break;
        }
        return true;
    }
    void end_use()
    {
        touch();
        if (fault == Fault::last_is_no_guest) {
            const bool last = uses_.end_as_guest();
            give_up(Uses::guest_unit);
            if (last)
                wake();
            return;
        }
        if (uses_.end_as_guest() && fault != Fault::last_does_not_wake)
            wake();
        give_up(Uses::guest_unit);
    }
    // By who has begun a use, which ends with the delivery.
    bool deliver(Delivery& delivery)
    {
        touch();
        return mailbox_.post(delivery, [this] { send(); });
    }
    bool lift(Task<Orders>& task)
    {
        if (!begin_use(false))
            return false;
        switch (lifts_.push(task)) {
        case Lifts::Push::first:
            wake();
            return true;
        case Lifts::Push::later:
            return true;
        case Lifts::Push::closed:
            break;
        }
        end_use();
        return false;
    }
    // Of the last handle.
    void release()
    {
        touch();
        if (fault != Fault::abandons_late)
            abandoned_.store(1, memory_order::relaxed);
        if (fault == Fault::release_is_no_use && uses_.attached()) {
            if (uses_.runs_on(model_thread()))
                reference(true);
            wake();
        } else if (fault != Fault::release_is_no_use && begin_use(false)) {
            wake();
            give_up(1);
        }
        if (fault == Fault::abandons_late)
            abandoned_.store(1, memory_order::relaxed);
        give_up(Uses::handles_unit);
    }

    // ---- the loop's thread ----
    // One look at the handle.
    bool turn()
    {
        if (closed_ || !handle_.poll())
            return false;
        work();
        return true;
    }
    void sleep() { handle_.sleep(); }
    bool detached() const { return closed_; }
    bool detach()
    {
        touch();
        if (!Uses::attached_in(uses_.enter()) || !uses_.try_detach()) {
            give_up(Uses::guest_unit);
            return false;
        }
        uses_.note_thread(model_thread());
        std::uint64_t over = 0;
        lifts_.close(tasks_);
        while (Task<Orders>* task = tasks_.pop()) {
            RL_ASSERT(task->payload == 1);
            ++task->canceled;
            ++over;
        }
        over += run(mailbox_.close());
        handle_.close();
        closed_ = true;
        give_up(Uses::guest_unit + over);
        return true;
    }
    int referenced() const { return referenced_; }
    int freed() const { return freed_; }

private:
    static constexpr unsigned nobody = ~0U;

    void touch() const { RL_ASSERT(alive_ == 1); }
    void send() { handle_.send(); }
    void wake()
    {
        touch();
        mailbox_.poke([this] { send(); });
    }
    void give_up(std::uint64_t units)
    {
        touch();
        if (!uses_.give_up(units))
            return;
        alive_ = 0;
        ++freed_;
    }
    void reference(bool wanted)
    {
        if (referenced_ != wanted)
            referenced_ = wanted;
    }
    std::uint64_t run(Link* posted)
    {
        std::uint64_t over = 0;
        for (; posted != nullptr; posted = posted->next) {
            auto& delivery = static_cast<Delivery&>(*posted);
            RL_ASSERT(delivery.payload == 1);
            ++delivery.ran;
            ++over;
        }
        return over;
    }
    void work()
    {
        touch();
        (void)uses_.enter();
        typename Uses::Sight sight{};
        if (fault == Fault::looks_before_noting)
            sight = uses_.look();
        uses_.note_thread(model_thread());
        std::uint64_t over = run(mailbox_.take_all());
        lifts_.take_all(tasks_);
        while (Task<Orders>* task = tasks_.pop()) {
            RL_ASSERT(task->payload == 1);
            ++task->ran;
            task->order = ++ran_;
            ++over;
        }
        if (abandoned_.load(memory_order::relaxed) != 0)
            detach();
        uses_.settle(0, over);
        if (fault != Fault::looks_before_noting)
            sight = uses_.look();
        if (sight.attached) {
            if (!lifts_.empty())
                wake();
            reference((sight.pending && fault != Fault::unreferences_anyway) ||
                      abandoned_.load(memory_order::relaxed) != 0);
        }
        give_up(Uses::guest_unit);
    }

    AsyncHandle handle_;
    Mailbox<Atomics> mailbox_;
    Lifts lifts_;
    Uses uses_{0};
    Tasks<Orders> tasks_;
    typename Atomics::template Atomic<int> abandoned_{0};
    typename Atomics::template Plain<int> referenced_{1};
    typename Atomics::template Plain<int> alive_{1};
    bool closed_ = false;
    int freed_ = 0;
    int ran_ = 0;
};

// ---- uses on the thread that attached the loop and on another one, while a third runs it ----

// One of the two ends its use.
template <class Orders = ShippedOrders, Fault fault = Fault::none, bool all_end = true>
struct Moving : rl::test_suite<Moving<Orders, fault, all_end>, 3> {
    Port<Orders, fault> port;

    void before() { port.open(); }
    void thread(unsigned index)
    {
        if (index == 1) {
            port.turn();
            port.turn();
            return;
        }
        RL_ASSERT(port.begin_use());
        if (index == 0 || all_end)
            port.end_use();
    }
    // Nothing moves any more: the loop is alive if and only if something is pending.
    void after()
    {
        while (port.turn()) {
        }
        RL_ASSERT((port.referenced() != 0) == !all_end);
        RL_ASSERT(port.freed() == 0);
    }
};

// ---- two threads lift tasks, a third runs the loop ----

template <class Orders = ShippedOrders, Fault fault = Fault::none>
struct Lifting : rl::test_suite<Lifting<Orders, fault>, 3> {
    Port<Orders, fault> port;
    std::array<Task<Orders>, 3> tasks;

    void before() { port.open(); }
    void lift(std::size_t i)
    {
        tasks[i].payload = 1;
        RL_ASSERT(port.lift(tasks[i]));
    }
    void thread(unsigned index)
    {
        if (index == 1) {
            port.turn();
            port.turn();
            return;
        }
        lift(index);
        if (index == 0)
            lift(1);
    }
    void after()
    {
        while (port.turn()) {
        }
        for (const auto& task : tasks)
            RL_ASSERT(task.ran == 1);
        RL_ASSERT(tasks[0].order < tasks[1].order);
        RL_ASSERT(port.referenced() == 0);
    }
};

// ---- two tasks are lifted and a completion delivered while the loop detaches; then the last handle goes ----

template <class Orders = ShippedOrders, Fault fault = Fault::none>
struct Detaching : rl::test_suite<Detaching<Orders, fault>, 3> {
    Port<Orders, fault> port;
    std::array<Task<Orders>, 2> tasks;
    Delivery delivery;
    std::array<bool, 2> lifted{};
    bool begun = false;
    bool delivered = false;

    void before() { port.open(); }
    void thread(unsigned index)
    {
        if (index == 1) {
            port.turn();
            RL_ASSERT(port.detach());
        } else if (index == 0) {
            delivery.payload = 1;
            begun = port.begin_use();
            delivered = begun && port.deliver(delivery);
            if (begun && !delivered)
                port.end_use();  // it is withdrawn
        } else {
            for (std::size_t i = 0; i < tasks.size(); ++i) {
                tasks[i].payload = 1;
                lifted[i] = port.lift(tasks[i]);
            }
        }
    }
    void after()
    {
        for (std::size_t i = 0; i < tasks.size(); ++i)
            RL_ASSERT(tasks[i].ran + tasks[i].canceled == (lifted[i] ? 1 : 0));
        RL_ASSERT(delivery.ran == (delivered ? 1 : 0));
        RL_ASSERT(port.freed() == 0);
        port.release();
        RL_ASSERT(port.freed() == 1);
    }
};

// ---- the last handle is released elsewhere while another thread ends a use: the loop detaches itself ----

template <class Orders = ShippedOrders, Fault fault = Fault::none>
struct Abandoning : rl::test_suite<Abandoning<Orders, fault>, 3> {
    Port<Orders, fault> port;

    void before()
    {
        port.open();
        RL_ASSERT(port.begin_use());
    }
    void thread(unsigned index)
    {
        if (index == 1) {
            while (!port.detached()) {
                port.sleep();
                port.turn();
            }
        } else if (index == 0) {
            port.release();
        } else {
            port.end_use();
        }
    }
    void after() { RL_ASSERT(port.freed() == 1); }
};

}  // namespace

int main()
{
    using Shipped = ShippedOrders;
    constexpr Search some{0, 100'000};
    ModelRun run;
    run.holds<Moving<>>("two threads begin and end a use, a third runs the loop", Search{2});
    run.holds<Moving<>>("the same", some);
    run.holds<Moving<Shipped, Fault::none, false>>("two threads begin a use, and one of the two stays");
    run.holds<Lifting<>>("two threads lift tasks, a third runs the loop", Search{1});
    run.holds<Lifting<>>("the same", some);
    run.holds<Detaching<>>("two tasks and a completion while the loop detaches", Search{2});
    run.holds<Detaching<>>("the same", some);
    run.holds<Abandoning<>>("the last handle and the last use go, the loop detaches itself", Search{2});
    run.holds<Abandoning<>>("the same", some);

    run.caught<Moving<Shipped, Fault::first_does_not_wake, false>>("mutant: the first use wakes nobody");
    run.caught<Moving<Shipped, Fault::last_does_not_wake>>("mutant: the end of the last use wakes nobody");
    run.caught<Moving<Shipped, Fault::unreferences_anyway, false>>("mutant: the end of a turn looks at nothing");
    run.caught<Moving<Shipped, Fault::looks_before_noting>>(
        "mutant: a turn looks what is pending, then notes its thread");
    run.caught<Moving<Shipped, Fault::looks_first>>("mutant: who registers looks who runs the loop, then counts");
    run.caught<Abandoning<Shipped, Fault::last_is_no_guest>>("mutant: who ends the last use is no guest");
    run.caught<Abandoning<Shipped, Fault::abandons_late>>("mutant: the loop is woken, then abandoned");
    run.caught<Abandoning<Shipped, Fault::release_is_no_use>>("mutant: who releases the last handle counts no use");
    return run.finish();
}
