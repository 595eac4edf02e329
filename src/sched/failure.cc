#include "sched/failure.h"

#include <utility>

namespace execq::core {

namespace {

// Owned by the innermost FailureScope of this thread.
thread_local Error* failure = nullptr;

void replace_failure(Error* error)
{
    if (Error* before = std::exchange(failure, error))
        before->release();
}

}  // namespace

void set_failure(std::int32_t code, const char* message) { replace_failure(Error::make(code, message)); }

FailureScope::FailureScope() : outer_(std::exchange(failure, nullptr)) {}

FailureScope::~FailureScope() { replace_failure(outer_); }

Error* FailureScope::take(std::int32_t code)
{
    Error* error = std::exchange(failure, nullptr);
    if (error == nullptr || error->code() == code)
        return error;
    error->release();
    return nullptr;
}

}  // namespace execq::core
