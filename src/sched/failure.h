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
    // The calling thread's.
    explicit FailureScope(ThisThread& mine) : mine_(mine), outer_(mine.failure)
    {
        if (outer_ != nullptr) [[unlikely]]
            mine_.failure = nullptr;
    }
    ~FailureScope()
    {
        if (mine_.failure != outer_) [[unlikely]]
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

    ThisThread& mine_;
    Error* const outer_;
};

}  // namespace execq::core
