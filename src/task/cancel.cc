#include "task/cancel.h"

#include <array>
#include <atomic>

#include "base/futex.h"
#include "base/process.h"
#include "task/callbacks.h"

namespace execq::core {

namespace {

constexpr std::uint32_t awaited = 1U << 31;

// By executor: how many threads are inside of a Canceling, and whether somebody waits for that to change. Written by both. An
// id that is used again shares it, which only makes a join wait for a moment more.
constinit std::array<std::atomic<std::uint32_t>, 1U << 16> cancelers{};

// From before a task is claimed until it is done. Whoever finds it claimed finds its canceler counted.
class Canceling {
public:
    explicit Canceling(std::uint16_t executor_id) : executor_id_(executor_id), outer_(innermost_)
    {
        innermost_ = this;
        cancelers[executor_id_].fetch_add(1, std::memory_order_relaxed);  // the claim is a release
    }
    ~Canceling() { end(); }
    Canceling(const Canceling&) = delete;
    Canceling& operator=(const Canceling&) = delete;

    void end()
    {
        if (ended_)
            return;
        ended_ = true;
        innermost_ = outer_;
        std::atomic<std::uint32_t>& count = cancelers[executor_id_];
        if ((count.fetch_sub(1, std::memory_order_release) & awaited) != 0) [[unlikely]] {
            count.fetch_and(~awaited, std::memory_order_relaxed);
            futex_wake_all(&count);
        }
    }

    // Those that this thread is inside of.
    static std::uint32_t own(std::uint16_t executor_id)
    {
        std::uint32_t n = 0;
        for (const Canceling* scope = innermost_; scope != nullptr; scope = scope->outer_)
            n += scope->executor_id_ == executor_id ? 1U : 0U;
        return n;
    }

private:
    const std::uint16_t executor_id_;
    bool ended_ = false;
    const Canceling* const outer_;
    static inline thread_local constinit const Canceling* innermost_ = nullptr;
    static const InChild in_child_;
};

const InChild Canceling::in_child_([](void*) {
    innermost_ = nullptr;
    for (std::atomic<std::uint32_t>& count : cancelers) {
        if (count.load(std::memory_order_relaxed) != 0)  // a page that was never written stays so
            count.store(0, std::memory_order_relaxed);
    }
});

// The task is done before its callbacks run, for which nobody waits.
void end_claimed(Node& node, Canceling* canceling)
{
    const CallbackScope scope;
    node.drop_env();
    node.retain();  // for a registration that was set before the submission, which takes one with it
    node.settle_canceled(Reference::give);
    if (canceling != nullptr)
        canceling->end();
}

}  // namespace

bool cancel_unstarted(Node& node, std::int32_t reason)
{
    if (node.phase() != Phase::pending)
        return false;
    Canceling canceling(node.executor_id());
    if (!node.try_claim_cancel(reason))
        return false;
    end_claimed(node, &canceling);
    return true;
}

Node::Canceled cancel_or_ask(Node& node, std::int32_t reason)
{
    Canceling canceling(node.executor_id());
    const Node::Canceled canceled = node.claim_or_ask(reason);
    if (canceled == Node::Canceled::claimed)
        end_claimed(node, &canceling);
    return canceled;
}

void end_canceled(Node& node) { end_claimed(node, nullptr); }

execq_status await_cancelers(std::uint16_t executor_id, Deadline deadline)
{
    std::atomic<std::uint32_t>& count = cancelers[executor_id];
    const std::uint32_t own = Canceling::own(executor_id);
    for (;;) {
        std::uint32_t word = count.load(std::memory_order_acquire);
        if ((word & ~awaited) <= own)
            return EXECQ_OK;
        if (deadline.passed())
            return EXECQ_ETIMEDOUT;
        if ((word & awaited) == 0 && !count.compare_exchange_weak(word, word | awaited, std::memory_order_relaxed))
            continue;
        futex_wait(&count, word | awaited, deadline);
    }
}

execq_status cancel(Node& node, std::int32_t reason)
{
    switch (cancel_or_ask(node, reason)) {
    case Node::Canceled::claimed:
        return EXECQ_OK;
    case Node::Canceled::asked:
        node.tell_cancel();
        return EXECQ_EBUSY;
    default:
        return EXECQ_EALREADY;
    }
}

}  // namespace execq::core
