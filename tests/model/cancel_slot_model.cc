// The slot for a promise's cancel callback, beside the state word: where cancellation is asked for while the promise is open,
// the callback runs at most once, and once if nobody completes the promise before; it neither begins nor goes on after the
// completion; its drop runs once, behind it, and the record is freed once, whatever meets. And a promise itself: of two who
// complete it, or of one who completes it and one who drops it, one wins. The mutants weaken one order each, or leave a step
// or a wait out.
#include "relacy_futex.h"

#include "base/ref_count.h"
#include "task/cancel_slot.h"
#include "task/node_state.h"

namespace {

using execq::core::BasicCancelSlot;
using execq::core::BasicNodeState;
using execq::core::BasicRefCount;
using execq::core::Deadline;
using execq::core::Phase;
using execq::core::Reference;
using std::memory_order;

using Base = RelacyAtomics<>;
template <class T>
using Plain = Base::Plain<T>;
using Futex = ModelFutex<std::uintptr_t>;

struct alignas(16) Record {
    Plain<int> env{0};  // 1: armed; 2: the callback ran; 3: dropped
    int runs = 0;
    int drops = 0;
    Plain<int> freed{0};
};

template <class Orders>
using SlotOf = BasicCancelSlot<Record, RelacyAtomics<Orders>, Futex>;
template <class Orders>
using StateOf = BasicNodeState<RelacyAtomics<Orders>>;

// Steps that a mutant leaves out.
struct Checks {
    static constexpr bool hooks_before_it_looks = true;
    static constexpr bool closes = true;
    static constexpr bool takes_back_what_is_late = true;
};

// A promise, as task/promise.cc puts it together. What is sent is run by whoever calls turn(), as a loop would.
template <class State, class Slot, class Checked = Checks>
struct MiniPromise {
    State state{State::first(1, 0, Phase::running)};
    Slot slot;
    Plain<int> outcome{0};
    Base::Atomic<Record*> sent{nullptr};
    bool place_open = true;

    // False: completed. `over` says that somebody else ends the record.
    bool hook(Record& record)
    {
        record.env = 1;
        if (!slot.try_arm(record)) {
            free(record);
            return false;
        }
        const bool early = !Checked::hooks_before_it_looks && cancel_requested();
        if (!state.try_hook()) {
            if (!Checked::takes_back_what_is_late)
                return false;
            if (!slot.try_disarm(record))
                return true;
            free(record);
            return false;
        }
        if (Checked::hooks_before_it_looks ? cancel_requested() : early)
            send();
        return true;
    }
    bool cancel_requested() const { return (state.look() & State::cancel_flag) != 0; }
    // By who asks to stop.
    void ask()
    {
        state.request_cancel(1);
        const typename State::Word word = state.look();
        if ((word & State::cancel_flag) != 0 && (word & State::hooked_flag) != 0)
            send();
    }
    void send()
    {
        Record* record = slot.try_send();
        if (record == nullptr)
            return;
        if (!place_open) {
            slot.take_back(*record);
            return;
        }
        slot.sent(*record);
        sent.store(record, memory_order::release);
    }
    // Where it was sent to.
    void turn()
    {
        Record* record = sent.exchange(nullptr, memory_order::acq_rel);
        if (record == nullptr)
            return;
        if (slot.try_run(*record)) {
            RL_ASSERT(record->env == 1);
            record->env = 2;
            ++record->runs;
            RL_ASSERT(completed == 0);
        }
        drop(*record);
        slot.end();
        free(*record);
    }
    // False: somebody else has completed it.
    bool complete(int value)
    {
        typename State::Word before = 0;
        if (!state.try_claim_promise(before))
            return false;
        if ((before & State::hooked_flag) != 0 && Checked::closes) {
            Record* record = slot.close(
                [](const void* word, std::uint32_t expected) { Futex::wait(word, expected, Deadline::after(-1)); });
            if (record != nullptr) {
                drop(*record);
                free(*record);
            }
        }
        // From here on no callback runs: it would write to these.
        completed = 1;
        outcome = value;
        (void)state.settle(state.look(), Phase::ok, Reference::keep);
        return true;
    }
    void drop(Record& record)
    {
        record.env = 3;
        ++record.drops;
    }
    void free(Record& record) { record.freed = record.freed + 1; }

    Plain<int> completed{0};
};

// ---- a hook, a request, a completion; the loop turns behind the hook, and to the end ----

// Sourced: the flag stands for a source already, so that others look at the slot before the hook has set it.
template <class Promise, bool late_hook = true, bool open = true, bool sourced = false>
struct Hooking : rl::test_suite<Hooking<Promise, late_hook, open, sourced>, 3> {
    Futex futex;
    Promise promise;
    Record record;
    bool hooked = false;
    bool asked = false;

    void before()
    {
        promise.place_open = open;
        if (sourced)
            RL_ASSERT(promise.state.try_hook());
        if (!late_hook)
            hooked = promise.hook(record);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            if (late_hook)
                hooked = promise.hook(record);
            promise.turn();
        } else if (index == 1) {
            promise.ask();
        } else {
            RL_ASSERT(promise.complete(1));
        }
    }
    void after()
    {
        promise.turn();
        RL_ASSERT(record.freed == 1);
        RL_ASSERT(record.drops == (hooked ? 1 : 0));
        RL_ASSERT(record.runs <= (hooked && open ? 1 : 0));
    }
};

// ---- a hook against a request, while the promise is open: the callback runs ----

template <class Promise>
struct Asking : rl::test_suite<Asking<Promise>, 3> {
    Futex futex;
    Promise promise;
    Record record;

    void thread(unsigned index)
    {
        if (index == 0)
            RL_ASSERT(promise.hook(record));
        else
            promise.ask();
    }
    void after()
    {
        promise.turn();
        RL_ASSERT(record.runs == 1);
        RL_ASSERT(promise.complete(1));
        RL_ASSERT(record.drops == 1 && record.freed == 1);
    }
};

// ---- who completes waits for a callback that runs: what it touches is the completer's afterwards ----

template <class Promise>
struct Ending : rl::test_suite<Ending<Promise>, 3> {
    Futex futex;
    Promise promise;
    Record record;

    void before()
    {
        RL_ASSERT(promise.hook(record));
        promise.ask();
    }
    void thread(unsigned index)
    {
        if (index == 0)
            promise.turn();
        else if (index == 1)
            RL_ASSERT(promise.complete(1));
        else
            promise.ask();
    }
    void after()
    {
        promise.turn();
        RL_ASSERT(record.drops == 1 && record.freed == 1);
    }
};

// ---- two complete, with a value each; the third looks; the loser keeps his value ----

template <class State>
struct Completing : rl::test_suite<Completing<State>, 3> {
    MiniPromise<State, SlotOf<ShippedOrders>> promise;
    std::array<Plain<int>, 2> values;
    std::array<bool, 2> won{};

    void thread(unsigned index)
    {
        if (index == 2) {
            if (State::is_done(State::phase_of(promise.state.look())))
                RL_ASSERT(values[static_cast<std::size_t>(static_cast<int>(promise.outcome)) - 1] == 7);
            return;
        }
        values[index] = 7;
        won[index] = promise.complete(static_cast<int>(index) + 1);
        if (!won[index])
            values[index] = 8;  // still his
    }
    void after()
    {
        RL_ASSERT(won[0] != won[1]);
        RL_ASSERT(promise.outcome == (won[0] ? 1 : 2));
    }
};

// ---- holders: one completes and lets go, two only let go; the last one breaks what is open ----

template <class Count, bool completes = true>
struct Breaking : rl::test_suite<Breaking<Count, completes>, 3> {
    MiniPromise<StateOf<ShippedOrders>, SlotOf<ShippedOrders>> promise;
    Count holders{3};
    Plain<int> used{0};
    bool won = false;
    int broken = 0;
    int last = 0;

    void thread(unsigned index)
    {
        if (completes && index == 0)
            won = promise.complete(1);
        if (!completes)
            RL_ASSERT(used == 0);  // each holder looks at what the last one frees
        if (holders.drop()) {
            ++last;
            used = 1;
            broken = promise.complete(2) ? 1 : 0;
        }
    }
    void after()
    {
        RL_ASSERT(last == 1);
        RL_ASSERT(won == completes);
        RL_ASSERT(broken == (completes ? 0 : 1));
        RL_ASSERT(promise.outcome == (completes ? 1 : 2));
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
template <memory_order weaker>
struct WeakExchange : ShippedOrders {
    static memory_order exchange(memory_order) { return weaker; }
};
// A holder lets go in two steps.
struct TornCount : RelacyAtomics<> {
    template <class T>
    class Atomic : public RelacyAtomics<>::Atomic<T> {
    public:
        using Whole = RelacyAtomics<>::Atomic<T>;
        using Whole::Whole;
        T fetch_sub(T value, memory_order)
        {
            const T seen = this->load(memory_order::acquire);
            this->store(seen - value, memory_order::release);
            return seen;
        }
    };
};
struct LateHook : Checks {
    static constexpr bool hooks_before_it_looks = false;
};
struct NeverClosed : Checks {
    static constexpr bool closes = false;
};
struct LeftBehind : Checks {
    static constexpr bool takes_back_what_is_late = false;
};
// Who completes looks first and claims afterwards.
struct LookThenClaim : StateOf<ShippedOrders> {
    using State = StateOf<ShippedOrders>;
    using State::State;
    bool try_claim_promise(Word& before)
    {
        before = look();
        if (phase_of(before) != Phase::running)
            return false;
        (void)State::try_claim_promise(before);
        return true;
    }
};
struct NoWake : Futex {
    static void wake_all(const void*) {}
};

}  // namespace

int main()
{
    using State = StateOf<ShippedOrders>;
    using Slot = SlotOf<ShippedOrders>;
    using Promise = MiniPromise<State, Slot>;
    ModelRun run;
    run.holds<Hooking<Promise>>("a hook, a request and a completion");
    run.holds<Hooking<Promise, false>>("a hook before, a request and a completion");
    run.holds<Hooking<Promise, true, false>>("the same where the loop is detached", Search{2});
    run.holds<Hooking<Promise, true, true, true>>("the same where there is a source", Search{2});
    run.holds<Hooking<Promise, true, true, true>>("the same", Search{0, 100'000});
    run.holds<Asking<Promise>>("a hook against two requests");
    run.holds<Ending<Promise>>("a callback against a completion and a request");
    run.holds<Completing<State>>("two completions and a look");
    run.holds<Breaking<BasicRefCount<Base>>>("a completion against holders that let go");
    run.holds<Breaking<BasicRefCount<Base>, false>>("three holders that let go of what is open");

    run.caught<Hooking<MiniPromise<State, SlotOf<WeakCas<memory_order::relaxed>>>>>(
        "mutant: the slot's steps are relaxed");
    run.caught<Hooking<MiniPromise<State, SlotOf<WeakCas<memory_order::acquire>>>, true, true, true>>(
        "mutant: a record is armed without a release");
    run.caught<Hooking<MiniPromise<State, SlotOf<RelaxedLoads>>, false>>("mutant: the slot is read relaxed");
    run.caught<Hooking<MiniPromise<State, Slot, NeverClosed>>>("mutant: a completion does not close the slot");
    run.caught<Hooking<MiniPromise<State, Slot, LeftBehind>>>(
        "mutant: a hook that comes late leaves its record behind");
    run.caught<Asking<MiniPromise<State, Slot, LateHook>>>("mutant: a hook looks, then sets its flag");
    run.caught<Ending<MiniPromise<State, SlotOf<WeakExchange<memory_order::acquire>>>>>(
        "mutant: the end of a callback does not release");
    run.caught<Ending<MiniPromise<State, BasicCancelSlot<Record, Base, NoWake>>>>(
        "mutant: the end of a callback wakes nobody");
    run.caught<Completing<StateOf<WeakCas<memory_order::acquire>>>>("mutant: settle() does not release");
    run.caught<Completing<LookThenClaim>>("mutant: a completion looks, then claims");
    run.caught<Breaking<BasicRefCount<TornCount>, false>>("mutant: a holder lets go by a load and a store");
    return run.finish();
}
