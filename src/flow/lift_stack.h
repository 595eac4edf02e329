// Floor 3. Tasks on their way to a loop's thread: any thread pushes, that thread takes all of them, oldest first.
//
// It stands beside the mailbox, as a task that waits cannot be linked there: it may be canceled, and delivered through
// that very link, while it is still in here. Who pushes the first one has to wake the loop, after the push. The loop's
// thread empties the mailbox, which is what its wake-ups are counted by, before it takes the tasks: so a later push either
// finds its own wake-up still to come, or finds nothing in here and wakes.
#pragma once

#include <atomic>

#include "task/node.h"

namespace execq::core {

class LiftStack {
public:
    enum class Push { first, later, closed };

    Push push(Node& node)
    {
        TaskLink* head = head_.load(std::memory_order_relaxed);
        do {
            if (head == &closed_)
                return Push::closed;
            node.TaskLink::next.store(head, std::memory_order_relaxed);
            // release: the task is visible to who takes it.
        } while (!head_.compare_exchange_weak(head, &node, std::memory_order_acq_rel, std::memory_order_relaxed));
        return head == nullptr ? Push::first : Push::later;
    }

    bool empty() const { return head_.load(std::memory_order_relaxed) == nullptr; }

    // The loop's thread only: appends what is here to `tasks`.
    void take_all(TaskFifo& tasks)
    {
        if (!empty())
            append_in_order(head_.exchange(nullptr, std::memory_order_acq_rel), tasks);
    }
    // The same, once; refuses all later tasks.
    void close(TaskFifo& tasks) { append_in_order(head_.exchange(&closed_, std::memory_order_acq_rel), tasks); }

private:
    static void append_in_order(TaskLink* newest, TaskFifo& tasks)
    {
        TaskLink* oldest = nullptr;
        while (newest != nullptr) {
            TaskLink* older = newest->next.load(std::memory_order_relaxed);
            newest->next.store(oldest, std::memory_order_relaxed);
            oldest = newest;
            newest = older;
        }
        while (oldest != nullptr) {
            TaskLink* newer = oldest->next.load(std::memory_order_relaxed);
            tasks.push(static_cast<Node&>(*oldest));
            oldest = newer;
        }
    }

    // Producers push, the consumer swaps; see the top of the file.
    std::atomic<TaskLink*> head_{nullptr};
    TaskLink closed_;  // a mark, never linked
};

}  // namespace execq::core
