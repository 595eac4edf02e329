// Floor 2. What the running task said by execq_fail, until it returns.
#pragma once

#include <cstdint>

#include "task/error.h"
#include "task/node.h"

namespace execq::core {

// Replaces what was said before; takes the error, which is null where memory is out.
void set_failure(Error* error);

// One body's failure. A body that is run in place, inside another, does not disturb what that one said.
class FailureScope {
public:
    FailureScope() : outer_(this_thread.failure)
    {
        if (outer_ != nullptr) [[unlikely]]
            this_thread.failure = nullptr;
    }
    ~FailureScope()
    {
        if (this_thread.failure != outer_) [[unlikely]]
            replace(outer_);
    }
    FailureScope(const FailureScope&) = delete;
    FailureScope& operator=(const FailureScope&) = delete;

    // What a task said that has no scope, as it is never nested in another.
    static void forget() { replace(nullptr); }

    // What was said for this code, to be owned by the caller; null otherwise.
    static Error* take(std::int32_t code);

private:
    friend void set_failure(Error* error);
    static void replace(Error* error);

    Error* const outer_;
};

}  // namespace execq::core
