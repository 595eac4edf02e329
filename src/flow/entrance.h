// Floor 3. The way into an executor that may be bounded: what its policy makes of a submission that finds it full.
#pragma once

#include <cstddef>
#include <cstdint>

#include "sched/executor.h"
#include "task/node.h"

namespace execq::core {

// For n tasks that are made of this, before the first of them is made.
class Entrance {
public:
    // May wait. status(): EXECQ_OK, or EXECQ_EFULL, EXECQ_EINVAL (more than would ever fit), EXECQ_ECLOSED, EXECQ_ETIMEDOUT,
    // EXECQ_EDEADLK, and nothing is to be undone.
    Entrance(Executor& executor, const TaskSpec& spec, std::size_t n, bool is_async);
    // Gives back what no node has taken over.
    ~Entrance();
    Entrance(const Entrance&) = delete;
    Entrance& operator=(const Entrance&) = delete;

    execq_status status() const { return status_; }
    // The tasks are for the calling thread to run, once they are accepted (Executor::run_here): they go into no queue.
    bool here() const { return here_; }
    // A node that takes over one place. Null: no memory.
    Node* make_task(const TaskSpec& spec, std::uint32_t future_references);
    Node* make_async(const TaskSpec& spec, execq_async_fn start, std::uint32_t future_references);

private:
    execq_status enter(const TaskSpec& spec, std::size_t n, bool is_async);
    Deadline deadline_of(std::int64_t limit_ns) const;
    template <class Make>
    Node* make(const TaskSpec& spec, const Make& make);

    Executor& executor_;
    std::uint32_t places_ = 0;
    bool here_ = false;
    const execq_status status_;
};

}  // namespace execq::core
