// Floor 3. Tasks on their way to a loop's thread: any thread pushes, that thread takes all of them, oldest first.
//
// It stands beside the mailbox, as a task that waits cannot be linked there: it may be canceled, and delivered through
// that very link, while it is still in here. Who pushes the first one has to wake the loop, after the push. The loop's
// thread empties the mailbox, which is what its wake-ups are counted by, before it takes the tasks: so a later push either
// finds its own wake-up still to come, or finds nothing in here and wakes.
//
// The model in tests/model/port_model.cc covers it.
#pragma once

#include "base/atomics.h"

namespace execq::core {

struct TaskLink;
class Node;
class TaskFifo;

// Chain: has an atomic `next`. Link: what is pushed, a Chain. Tasks: has push(Link&).
template <class Chain, class Link, class Tasks, class Atomics = StdAtomics>
class BasicLiftStack {
public:
    enum class Push { first, later, closed };

    Push push(Link& link)
    {
        Chain* head = head_.load(std::memory_order::relaxed);
        do {
            if (head == &closed_)
                return Push::closed;
            link.Chain::next.store(head, std::memory_order::relaxed);
            // release: the task is visible to who takes it.
        } while (!head_.compare_exchange_weak(head, &link, std::memory_order::acq_rel, std::memory_order::relaxed));
        return head == nullptr ? Push::first : Push::later;
    }

    bool empty() const { return head_.load(std::memory_order::relaxed) == nullptr; }

    // The loop's thread only: appends what is here to `tasks`.
    void take_all(Tasks& tasks)
    {
        if (!empty())
            append_in_order(head_.exchange(nullptr, std::memory_order::acq_rel), tasks);
    }
    // The same, once; refuses all later tasks.
    void close(Tasks& tasks) { append_in_order(head_.exchange(&closed_, std::memory_order::acq_rel), tasks); }

private:
    static void append_in_order(Chain* newest, Tasks& tasks)
    {
        Chain* oldest = nullptr;
        while (newest != nullptr) {
            Chain* older = newest->next.load(std::memory_order::relaxed);
            newest->next.store(oldest, std::memory_order::relaxed);
            oldest = newest;
            newest = older;
        }
        while (oldest != nullptr) {
            Chain* newer = oldest->next.load(std::memory_order::relaxed);
            tasks.push(static_cast<Link&>(*oldest));
            oldest = newer;
        }
    }

    // Producers push, the consumer swaps; see the top of the file.
    typename Atomics::template Atomic<Chain*> head_{nullptr};
    Chain closed_;  // a mark, never linked
};

using LiftStack = BasicLiftStack<TaskLink, Node, TaskFifo>;

}  // namespace execq::core
