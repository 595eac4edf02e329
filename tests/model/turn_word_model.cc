// What sleepers wait for under a mutex: members of a group end while others join it, as in group.cc, and room comes while
// two submitters wait for it, as in queue.cc. Nobody sleeps on once it has come, whoever is told sees what was written
// before, and the group is freed once and last. The mutants leave out one step each, or exchange two.
#include "relacy_atomics.h"

#include "base/turn_word.h"

namespace {

using execq::core::BasicTurnWord;
using execq::core::Deadline;
using std::memory_order;

// The kernel's: who sleeps looks at the word and lies down in one step, as far as those who wake can tell. A thread that
// sleeps for ever is a deadlock to relacy. One for each execution.
class Futex {
public:
    static inline Futex* current = nullptr;

    Futex()
    {
        permits_.init(false, 0, 16, $);
        current = this;
    }
    ~Futex() { permits_.deinit($); }

    void wait(const RelacyAtomics<>::Atomic<std::uint32_t>& word, std::uint32_t expected)
    {
        bucket_.lock();
        const bool sleeps = word.load(memory_order::relaxed) == expected;
        sleepers_ += sleeps ? 1 : 0;
        bucket_.unlock();
        if (sleeps)
            permits_.wait(false, false, $);
    }
    void wake(int most)
    {
        bucket_.lock();
        for (; sleepers_ != 0 && most != 0; --sleepers_, --most)
            permits_.signal($);
        bucket_.unlock();
    }

private:
    RelacyLock bucket_;
    rl::semaphore<Futex> permits_;
    int sleepers_ = 0;
};

struct ModelSleep {
    static void wait(const void* word, std::uint32_t expected, Deadline)
    {
        Futex::current->wait(*static_cast<const RelacyAtomics<>::Atomic<std::uint32_t>*>(word), expected);
    }
    static void wake_one(const void*) { Futex::current->wake(1); }
    static void wake_all(const void*) { Futex::current->wake(16); }
};
using Word = BasicTurnWord<RelacyAtomics<>, ModelSleep>;

// ---- mutants of the word ----

struct WakesNobody : Word {
    void wake_all() {}
};
struct WakesOne : Word {
    void wake_all() { wake_one(); }
};
struct StandsStill : Word {
    void advance() {}
};

enum class Fault {
    none,
    reads_outside,      // of the mutex, the word, after its look
    advances_outside,   // of the mutex, before the change
    joiner_uncounted,   // so that the last member finishes nothing
    joiner_looks_once,  // not whether the group was idle already
    member_ends_early,  // before what it owns is given up
};

// ---- the last members of a group end while two threads join it ----

// Threads below `members` end one member each, the others join; the last one to go frees.
template <class TurnWord = Word, Fault fault = Fault::none, unsigned members = 2, unsigned joiners = 1>
struct Joining : rl::test_suite<Joining<TurnWord, fault, members, joiners>, members + joiners> {
    Futex futex;
    RelacyLock mutex;
    TurnWord turn;
    RelacyAtomics<>::Atomic<int> uses{members + joiners};
    RelacyAtomics<>::Plain<int> busy{members};
    RelacyAtomics<>::Plain<int> joining;
    RelacyAtomics<>::Plain<int> finished;
    RelacyAtomics<>::Plain<int> owned[members];  // by the member's task, which ends with it
    RelacyAtomics<>::Plain<int> alive{1};
    int freed = 0;

    void thread(unsigned index)
    {
        index < members ? end_member(index) : join();
        drop_use();
    }
    void after() { RL_ASSERT(freed == 1); }

    void finish_if_over()
    {
        if (finished != 0 || busy != 0 || joining == 0)
            return;
        finished = 1;
        if (fault != Fault::advances_outside)
            turn.advance();
        turn.wake_all();
    }
    void end_member(unsigned index)
    {
        if (fault != Fault::member_ends_early)
            owned[index] = 1;
        if (fault == Fault::advances_outside)
            turn.advance();
        mutex.lock();
        busy = busy - 1;
        finish_if_over();
        mutex.unlock();
        if (fault == Fault::member_ends_early)
            owned[index] = 1;
    }
    void join()
    {
        mutex.lock();
        if (fault != Fault::joiner_uncounted)
            joining = joining + 1;
        if (fault != Fault::joiner_looks_once)
            finish_if_over();
        mutex.unlock();
        for (bool over = false; !over;) {
            mutex.lock();
            over = finished != 0;
            std::uint32_t seen = turn.now();
            mutex.unlock();
            if (over)
                break;
            if (fault == Fault::reads_outside)
                seen = turn.now();
            turn.sleep(seen, Deadline::after(-1));
        }
        for (const auto& what : owned)
            RL_ASSERT(what == 1);
        mutex.lock();
        joining = joining - 1;
        mutex.unlock();
    }
    void drop_use()
    {
        RL_ASSERT(alive == 1);
        if (uses.fetch_sub(1, memory_order::acq_rel) != 1)
            return;
        alive = 0;
        ++freed;
    }
};

// ---- two submitters wait for room of different size, which comes in two pieces ----

template <class TurnWord = Word, Fault fault = Fault::none>
struct Room : rl::test_suite<Room<TurnWord, fault>, 3> {
    Futex futex;
    RelacyLock mutex;
    TurnWord turn;
    RelacyAtomics<>::Plain<int> left{0};
    RelacyAtomics<>::Plain<int> handed_over[2];

    void thread(unsigned index)
    {
        if (index != 0)
            return take(static_cast<int>(index));
        for (int piece = 0; piece < 2; ++piece) {
            handed_over[piece] = 1;
            if (fault == Fault::advances_outside)
                turn.advance();
            mutex.lock();
            left = left + piece + 1;
            if (fault != Fault::advances_outside)
                turn.advance();
            turn.wake_all();
            mutex.unlock();
        }
    }
    void take(int n)
    {
        for (;;) {
            mutex.lock();
            const bool fits = left >= n;
            if (fits)
                left = left - n;
            std::uint32_t seen = turn.now();
            mutex.unlock();
            if (fits)
                break;
            if (fault == Fault::reads_outside)
                seen = turn.now();
            turn.sleep(seen, Deadline::after(-1));
        }
        RL_ASSERT(handed_over[n - 1] == 1);
    }
    void after() { RL_ASSERT(left == 0); }
};

}  // namespace

int main()
{
    ModelRun run;
    run.holds<Joining<>>("two members end, one thread joins");
    run.holds<Joining<Word, Fault::none, 1, 2>>("a member ends, two threads join");
    run.holds<Joining<Word, Fault::none, 2, 2>>("two members end, two threads join", Search{2});
    run.holds<Joining<Word, Fault::none, 2, 2>>("the same", Search{0, 200'000});
    run.holds<Room<>>("two threads wait for room");

    run.caught<Joining<WakesNobody>>("mutant: who finishes the group wakes nobody");
    run.caught<Joining<WakesOne, Fault::none, 1, 2>>("mutant: who finishes the group wakes one of two");
    run.caught<Joining<StandsStill>>("mutant: the word stays as it is");
    run.caught<Joining<Word, Fault::reads_outside>>("mutant: the word is read outside of the mutex");
    run.caught<Joining<Word, Fault::advances_outside>>("mutant: the word changes before what is waited for");
    run.caught<Joining<Word, Fault::joiner_uncounted>>("mutant: who joins is not counted");
    run.caught<Joining<Word, Fault::joiner_looks_once>>("mutant: who joins an idle group waits for a member");
    run.caught<Joining<Word, Fault::member_ends_early>>("mutant: a member ends before what it owns is given up");
    run.caught<Room<WakesOne>>("mutant: room wakes one, for whom it is too small");
    run.caught<Room<StandsStill>>("mutant: room leaves the word as it is");
    run.caught<Room<Word, Fault::reads_outside>>("mutant: the word is read outside of the mutex, for room");
    return run.finish();
}
