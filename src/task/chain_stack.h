// Floor 1. The full chains of free lines that threads exchange: the only way for a line from one thread to another.
//
// Last in, first out, under a mutex, which threads meet at once per chain: so who takes a line sees all that was done to the
// node that it was, and a line that comes back while another thread is about to take the one above it does no harm (ABA).
//
// The model in tests/model/chain_stack_model.cc covers it.
#pragma once

#include <cstddef>
#include <utility>

#include "base/annotations.h"

namespace execq::core::node_pool {

// Line has a Line* next_chain, from the first line of a chain to that of the next one.
template <class Line, class Lock = Mutex>
class BasicChainStack {
public:
    // A thread comes for a chain; null if there is none.
    Line* take()
    {
        const ScopedLock<Lock> lock(mutex_);
        ++demand_;
        return chains_ != nullptr ? unlist() : nullptr;
    }
    // False: more chains come than threads may want again, as these were handed out before all was trimmed.
    [[nodiscard]] bool keep(Line* chain)
    {
        const ScopedLock<Lock> lock(mutex_);
        if (count_ >= demand_)
            return false;
        chain->next_chain = chains_;
        chains_ = chain;
        ++count_;
        return true;
    }
    // Null if there is none: all is trimmed.
    Line* take_to_trim()
    {
        const ScopedLock<Lock> lock(mutex_);
        if (chains_ != nullptr)
            return unlist();
        demand_ = 0;
        return nullptr;
    }
    std::size_t count()
    {
        const ScopedLock<Lock> lock(mutex_);
        return count_;
    }

private:
    Line* unlist() EXECQ_REQUIRES(mutex_)
    {
        --count_;
        return std::exchange(chains_, static_cast<Line*>(chains_->next_chain));
    }

    Lock mutex_;
    Line* chains_ EXECQ_GUARDED_BY(mutex_) = nullptr;
    std::size_t count_ EXECQ_GUARDED_BY(mutex_) = 0;
    std::size_t demand_ EXECQ_GUARDED_BY(mutex_) = 0;  // chains that threads came for since all was trimmed
};

}  // namespace execq::core::node_pool
