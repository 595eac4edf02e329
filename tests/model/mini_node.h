// A node as task/node.cc and task/completions.cc put it together, without what an Extension has: for models.
#pragma once

#include "relacy_futex.h"

#include "task/completion_slot.h"
#include "task/node_state.h"

namespace model {

using execq::core::BasicCompletionSlot;
using execq::core::BasicNodeState;
using execq::core::Deadline;
using execq::core::Phase;
using execq::core::Reference;
using std::memory_order;

using Base = RelacyAtomics<>;
using Futex = ModelFutex<std::uint64_t>;
template <class T>
using Plain = Base::Plain<T>;

struct Port {};

struct Registration {
    Plain<int> payload{0};
};
struct Record : Registration {
    Plain<Record*> older{nullptr};
};

// Steps that a mutant leaves out.
struct Checks {
    static constexpr bool asks_whether_announced = true;
    static constexpr bool closes_the_slot = true;
};

template <class State, class Slot, class Checked = Checks>
struct MiniNode {
    static constexpr std::size_t most = 4;

    MiniNode(std::uint32_t references, Phase phase) : state(State::first(references, 0, phase)) {}

    // ---- the end ----
    void settle(Phase phase, int value, Reference reference)
    {
        const typename State::Word word = state.look();
        if (reference == Reference::give && State::one_left(word)) {
            outcome = value;
            state.settle_alone(word, phase);
            free();
            return;
        }
        outcome = value;
        const auto [before, last] = state.settle(word, phase, reference);
        if ((before & State::waiter_flag) != 0)
            Futex::wake_all(nullptr);
        if ((before & State::registered_flag) != 0) {
            if (Checked::closes_the_slot)
                hand_over(slot.close());
            if (reference == Reference::give)
                release();
        } else if (last) {
            free();
        }
    }
    void release()
    {
        if (state.drop_reference())
            free();
    }
    // Whatever others have done to it comes before this.
    void free()
    {
        outcome = -1;
        inside.payload = -1;
        freed = freed + 1;
    }

    // ---- registration ----
    void announce_and_register(int payload, bool may_be_inside)
    {
        if (state.announce_registration() && may_be_inside && slot.try_occupy()) {
            inside.payload = payload;
            const auto filled = slot.fill(nullptr);
            if (filled == Slot::Filled::registered)
                return;
            if (filled == Slot::Filled::closed) {
                deliver(inside);
                return;
            }
        }
        Record& record = make_record(payload);
        const bool announced = !Checked::asks_whether_announced || (state.look() & State::registered_flag) != 0;
        const auto pushed = slot.push(
            record, announced, [this](Port*) { return &make_record(inside.payload); },
            [this](Record* moved) { forget(moved); });
        RL_ASSERT(pushed != Slot::Pushed::failed);
        if (pushed == Slot::Pushed::closed)
            deliver(record);
    }
    Record& make_record(int payload)
    {
        Record& record = records[model_thread() * most + made[model_thread()]++];
        RL_ASSERT(made[model_thread()] <= most);
        record.payload = payload;
        return record;
    }
    // The last one that its thread has made.
    void forget(Record* record) { made[model_thread()] -= record != nullptr ? 1 : 0; }
    void hand_over(typename Slot::Content content)
    {
        if (Slot::is_chain(content)) {
            Record* oldest = Slot::oldest_in(content);
            while (oldest != nullptr) {
                Record* record = oldest;
                oldest = record->older;
                deliver(*record);
            }
        } else if (Slot::is_inside(content)) {
            deliver(inside);
        }
    }
    // Sees the outcome, runs once, gives the registration's reference up.
    void deliver(Registration& registration)
    {
        const int payload = registration.payload;
        RL_ASSERT(State::is_done(State::phase_of(state.look())));
        RL_ASSERT(outcome == 1 || outcome == 2);
        delivered[static_cast<std::size_t>(payload)] += 1;
        release();
    }

    State state;
    Slot slot;
    Plain<int> outcome{0};
    Registration inside;
    Plain<int> freed{0};
    std::array<Record, 4 * most> records;
    std::array<std::size_t, 4> made{};
    std::array<int, 4> delivered{};  // by payload; each by one thread only, or the model has found a fault
};

template <class Orders>
using StateOf = BasicNodeState<RelacyAtomics<Orders>>;
template <class Orders>
using SlotOf = BasicCompletionSlot<Record, Port, RelacyAtomics<Orders>>;
template <class State>
using PlainNode = MiniNode<State, SlotOf<ShippedOrders>>;

// ---- mutants of an order or of an atomic step ----

template <memory_order weaker>
struct WeakCas : ShippedOrders {
    static memory_order cas(memory_order) { return weaker; }
};
// Those of one thread of the scene.
template <unsigned thread, memory_order weaker>
struct WeakCasOf : ShippedOrders {
    static memory_order cas(memory_order order) { return model_thread() == thread ? weaker : order; }
};
template <unsigned thread>
struct RelaxedLoadOf : ShippedOrders {
    template <class T>
    static memory_order load(memory_order order)
    {
        return model_thread() == thread ? memory_order::relaxed : order;
    }
};
struct RelaxedLoads : ShippedOrders {
    template <class T>
    static memory_order load(memory_order)
    {
        return memory_order::relaxed;
    }
};
template <memory_order weaker>
struct WeakSub : ShippedOrders {
    static memory_order sub(memory_order) { return weaker; }
};
struct WeakExchange : ShippedOrders {
    static memory_order exchange(memory_order) { return memory_order::relaxed; }
};

// A step in two: a load, then a store.
struct Torn : RelacyAtomics<> {
    template <class T>
    class Atomic : public RelacyAtomics<>::Atomic<T> {
    public:
        using Whole = RelacyAtomics<>::Atomic<T>;
        using Whole::Whole;
        bool compare_exchange_weak(T& expected, T value, memory_order order, memory_order)
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
struct TornOr : RelacyAtomics<> {
    template <class T>
    class Atomic : public RelacyAtomics<>::Atomic<T> {
    public:
        using Whole = RelacyAtomics<>::Atomic<T>;
        using Whole::Whole;
        T fetch_or(T value, memory_order)
        {
            const T seen = this->load(memory_order::acquire);
            this->store(seen | value, memory_order::release);
            return seen;
        }
    };
};

}  // namespace model
