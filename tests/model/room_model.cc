// The room of a bounded executor: never more inside than fit, no place is lost between who leaves and who begins to wait,
// first come, first served, a close wakes all that wait, and the room is freed once, behind all that used it. The mutants do
// a step in two, leave the bit or the mutex out, or weaken the order of who frees it.
#include "relacy_futex.h"

#include "task/room.h"

namespace {

using execq::core::BasicRoom;
using execq::core::Deadline;
using std::memory_order;

using Base = RelacyAtomics<>;
template <class T>
using Plain = Base::Plain<T>;
using Futex = ModelFutex<std::uint32_t>;

struct NoWake : Futex {
    static void wake_one(const void*) {}
};

// Who uses the room's word looks at this first, and who destroys it writes it: a race with a use is a use after the end.
struct Life {
    Life() { current = this; }
    static inline Life* current = nullptr;
    Plain<int> gone{0};
};
template <class Atomics>
struct Living : Atomics {
    template <class T>
    class Atomic : public Atomics::template Atomic<T> {
    public:
        using Whole = typename Atomics::template Atomic<T>;
        using Whole::Whole;
        ~Atomic()
        {
            if (is_word)
                Life::current->gone = Life::current->gone + 1;
        }
        T load(memory_order order) const { return used(), Whole::load(order); }
        T fetch_add(T value, memory_order order) { return used(), Whole::fetch_add(value, order); }
        T fetch_sub(T value, memory_order order) { return used(), Whole::fetch_sub(value, order); }
        T fetch_or(T value, memory_order order) { return used(), Whole::fetch_or(value, order); }
        T fetch_and(T value, memory_order order) { return used(), Whole::fetch_and(value, order); }
        bool compare_exchange_weak(T& expected, T value, memory_order order, memory_order failure)
        {
            return used(), Whole::compare_exchange_weak(expected, value, order, failure);
        }

    private:
        static constexpr bool is_word = std::is_same_v<T, std::uint64_t>;
        static void used()
        {
            if (is_word)
                RL_ASSERT(Life::current->gone == 0);
        }
    };
};

template <class Atomics = Base, class Lock = RelacyLock, class Sleep = Futex>
using RoomOf = BasicRoom<Living<Atomics>, Lock, Sleep>;

template <class Room, class Scene, unsigned threads>
struct Scenes : rl::test_suite<Scene, threads> {
    Futex futex;
    Life life;
    Room* room = nullptr;
    Base::Atomic<int> inside{0};

    void make(std::uint32_t capacity, std::uint32_t taken)
    {
        room = new Room(capacity);
        if (taken != 0)
            RL_ASSERT(room->try_enter(taken));
        inside.store(static_cast<int>(taken), memory_order::relaxed);
    }
    void entered(int n)
    {
        RL_ASSERT(inside.fetch_add(n, memory_order::relaxed) + n <= static_cast<int>(room->capacity()));
    }
    void leave(int n)
    {
        inside.fetch_sub(n, memory_order::relaxed);
        room->leave(static_cast<std::uint32_t>(n));
    }
    void end()
    {
        RL_ASSERT(room->inside() == 0);
        room->release();
        RL_ASSERT(life.gone == 1);
    }
};

// ---- one place: one leaves, two want it, each leaves again ----

template <class Room>
struct Passing : Scenes<Room, Passing<Room>, 3> {
    void before() { this->make(1, 1); }
    void thread(unsigned index)
    {
        if (index != 0) {
            RL_ASSERT(this->room->enter(1, Deadline::after(-1)) == EXECQ_OK);
            this->entered(1);
        }
        this->leave(1);
    }
    void after() { this->end(); }
};

// ---- two places: two leave, one wants both, another looks for one only for a moment ----

template <class Room>
struct Both : Scenes<Room, Both<Room>, 4> {
    void before() { this->make(2, 2); }
    void thread(unsigned index)
    {
        if (index < 2) {
            this->leave(1);
        } else if (index == 2) {
            RL_ASSERT(this->room->enter(2, Deadline::after(-1)) == EXECQ_OK);
            this->entered(2);
            this->leave(2);
        } else if (this->room->enter(1, Deadline::after(0)) == EXECQ_OK) {
            this->entered(1);
            this->leave(1);
        }
    }
    void after() { this->end(); }
};

// ---- a close, against one who waits and one who leaves ----

template <class Room>
struct Closing : Scenes<Room, Closing<Room>, 3> {
    void before() { this->make(1, 1); }
    void thread(unsigned index)
    {
        if (index == 0) {
            this->leave(1);
        } else if (index == 1) {
            const execq_status status = this->room->enter(1, Deadline::after(-1));
            RL_ASSERT(status == EXECQ_OK || status == EXECQ_ECLOSED);
            if (status == EXECQ_OK) {
                this->entered(1);
                this->leave(1);
            }
        } else {
            this->room->close();
        }
    }
    void after() { this->end(); }
};

// ---- a close wakes who waits for a place that nobody gives ----

template <class Room>
struct Refusing : Scenes<Room, Refusing<Room>, 2> {
    void before() { this->make(1, 1); }
    void thread(unsigned index)
    {
        if (index == 0)
            this->room->close();
        else
            RL_ASSERT(this->room->enter(1, Deadline::after(-1)) == EXECQ_ECLOSED);
    }
    void after()
    {
        this->leave(1);
        this->end();
    }
};

// ---- the owner lets go while two leave: the last frees it ----

template <class Room>
struct Freeing : Scenes<Room, Freeing<Room>, 3> {
    void before() { this->make(2, 2); }
    void thread(unsigned index)
    {
        if (index == 0)
            this->room->release();
        else
            this->leave(1);
    }
    void after() { RL_ASSERT(this->life.gone == 1); }
};

// ---- mutants ----

template <memory_order weaker>
struct WeakSteps : ShippedOrders {
    static memory_order cas(memory_order) { return weaker; }
    static memory_order sub(memory_order) { return weaker; }
};
struct TornCas : Base {
    template <class T>
    class Atomic : public Base::Atomic<T> {
    public:
        using Whole = Base::Atomic<T>;
        using Whole::Whole;
        bool compare_exchange_weak(T& expected, T value, memory_order, memory_order)
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
// Nobody sets the bit.
struct NoBit : Base {
    template <class T>
    class Atomic : public Base::Atomic<T> {
    public:
        using Whole = Base::Atomic<T>;
        using Whole::Whole;
        T fetch_or(T, memory_order order) { return this->load(order); }
    };
};
}  // namespace

int main()
{
    using Room = RoomOf<>;
    const Search at_random{0, 200'000};
    ModelRun run;
    run.holds<Passing<Room>>("one place, one who leaves and two who wait", Search{1});
    run.holds<Passing<Room>>("the same", at_random);
    run.holds<Both<Room>>("two who leave, one who wants both and one who looks", at_random);
    run.holds<Closing<Room>>("a close, one who leaves and one who waits");
    run.holds<Refusing<Room>>("a close against one who waits", Search{5});
    run.holds<Freeing<Room>>("the owner and two who leave", Search{5});

    run.caught<Passing<RoomOf<TornCas>>>("mutant: a place is taken by a load and a store");
    run.caught<Passing<RoomOf<NoBit>>>("mutant: who waits does not say so");
    run.caught<Refusing<RoomOf<Base, RelacyLock, NoWake>>>("mutant: the end of a wait wakes nobody");
    run.caught<Freeing<RoomOf<RelacyAtomics<WeakSteps<memory_order::relaxed>>>>>("mutant: who leaves orders nothing");
    run.caught<Freeing<RoomOf<RelacyAtomics<WeakSteps<memory_order::release>>>>>(
        "mutant: who frees it does not acquire");
    run.caught<Freeing<RoomOf<RelacyAtomics<WeakSteps<memory_order::acquire>>>>>("mutant: who leaves does not release");
    return run.finish();
}
