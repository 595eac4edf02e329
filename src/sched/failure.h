// Floor 2. What the running task said by execq_fail, until it returns.
#pragma once

#include <cstdint>

#include "task/error.h"
#include "task/node.h"

namespace execq::core {

// Replaces what was said before; keeps nothing where memory is out.
void set_failure(std::int32_t code, const char* message);

// One body's failure. A body that is run in place, inside another, does not disturb what that one said.
class FailureScope {
public:
    FailureScope() : outer_(failure_)
    {
        if (outer_ != nullptr) [[unlikely]]
            failure_ = nullptr;
    }
    ~FailureScope()
    {
        if (failure_ != outer_) [[unlikely]]
            replace(outer_);
    }
    FailureScope(const FailureScope&) = delete;
    FailureScope& operator=(const FailureScope&) = delete;

    // What was said for this code, to be owned by the caller; null otherwise.
    static Error* take(std::int32_t code);

private:
    friend void set_failure(std::int32_t code, const char* message);
    static void replace(Error* error);

    // Owned by the innermost scope of this thread.
    static inline thread_local constinit Error* failure_ = nullptr;
    Error* const outer_;
};

}  // namespace execq::core
