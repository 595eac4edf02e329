// The exchange of free lines between threads: what two threads make, free, and get back is at each moment one thread's alone,
// with all that was done to it before, however often a line comes back. The mutants leave the mutex out, or exchange chains
// without one, where a line that comes back is taken for one that never was away (ABA).
#include "relacy_atomics.h"

#include "task/chain_stack.h"

namespace {

using execq::core::node_pool::BasicChainStack;
using std::memory_order;

using Base = RelacyAtomics<>;
template <class T>
using Plain = Base::Plain<T>;

struct NoLock {
    void lock() {}
    void unlock() {}
};

// A line is a chain of its own here.
struct Line {
    Plain<Line*> next_chain{nullptr};
    Plain<int> node{0};                      // 1: in use
    Base::Atomic<Line*> next_step{nullptr};  // the mutant's next_chain
};

// Chains exchanged by a step on the first one's address.
class WithoutAMutex {
public:
    Line* take()
    {
        Line* first = first_.load(memory_order::acquire);
        while (first != nullptr) {
            Line* next = first->next_step.load(memory_order::relaxed);
            if (first_.compare_exchange_strong(first, next, memory_order::acq_rel, memory_order::acquire))
                return first;
        }
        return nullptr;
    }
    bool keep(Line* chain)
    {
        Line* first = first_.load(memory_order::relaxed);
        do {
            chain->next_step.store(first, memory_order::relaxed);
        } while (!first_.compare_exchange_strong(first, chain, memory_order::acq_rel, memory_order::relaxed));
        return true;
    }
    Line* take_to_trim() { return take(); }

private:
    Base::Atomic<Line*> first_{nullptr};
};

// Threads that each make a node, free it, make two and free them, from a stack of a few lines.
template <class Stack, unsigned threads>
struct Exchanging : rl::test_suite<Exchanging<Stack, threads>, threads> {
    Stack stack;
    std::array<Line, 3> lines;
    Base::Atomic<Line*> remote{nullptr};

    Line* make()
    {
        Line* line = stack.take();
        if (line == nullptr)
            return nullptr;
        RL_ASSERT(line->node == 0);
        line->node = 1;
        return line;
    }
    void free(Line* line)
    {
        if (line == nullptr)
            return;
        RL_ASSERT(line->node == 1);
        line->node = 0;
        RL_ASSERT(stack.keep(line));
    }
    void before()
    {
        for (std::size_t i = 0; i < 4; ++i)
            RL_ASSERT(stack.take() == nullptr);  // the demand for what comes
        for (Line& line : lines) {
            line.node = 1;
            free(&line);
        }
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            // What this one makes another frees.
            free(remote.exchange(make(), memory_order::acq_rel));
            return;
        }
        Line* first = make();
        Line* second = make();
        free(first);
        free(second);
        if (index == 1)
            free(remote.exchange(nullptr, memory_order::acq_rel));
    }
    // Each line is there once.
    void after()
    {
        free(remote.exchange(nullptr, memory_order::acq_rel));
        std::array<int, 3> found{};
        for (std::size_t i = 0; i < lines.size(); ++i) {
            Line* line = stack.take_to_trim();
            RL_ASSERT(line != nullptr);
            ++found[static_cast<std::size_t>(line - lines.data())];
        }
        RL_ASSERT(found[0] == 1 && found[1] == 1 && found[2] == 1);
        RL_ASSERT(stack.take_to_trim() == nullptr);
    }
};

// A thread that trims, against one that comes and goes: what is refused is the caller's.
template <class Stack>
struct Trimming : rl::test_suite<Trimming<Stack>, 2> {
    Stack stack;
    std::array<Line, 2> lines;
    int trimmed = 0;
    int refused = 0;

    void before()
    {
        (void)stack.take();
        RL_ASSERT(stack.keep(&lines[0]));
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            while (Line* line = stack.take_to_trim()) {
                line->node = 2;
                ++trimmed;
            }
        } else {
            Line* line = stack.take();
            Line* other = &lines[1];
            for (Line* one : {line, other}) {
                if (one == nullptr)
                    continue;
                one->node = 1;
                if (!stack.keep(one))
                    ++refused;
            }
        }
    }
    void after()
    {
        int left = 0;
        while (stack.take_to_trim() != nullptr)
            ++left;
        RL_ASSERT(trimmed + refused + left == 2);
    }
};

}  // namespace

int main()
{
    using Stack = BasicChainStack<Line, RelacyLock>;
    ModelRun run;
    run.holds<Exchanging<Stack, 2>>("two threads that make, free and make again");
    run.holds<Exchanging<Stack, 3>>("three of them", Search{0, 200'000});
    run.holds<Trimming<Stack>>("a trim against a thread that comes and goes", Search{5});
    run.caught<Exchanging<BasicChainStack<Line, NoLock>, 2>>("mutant: no mutex");
    run.caught<Exchanging<WithoutAMutex, 2>>("mutant: an exchange by steps on an address (ABA)");
    return run.finish();
}
