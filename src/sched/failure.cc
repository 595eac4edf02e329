#include "sched/failure.h"

#include <utility>

namespace execq::core {

void FailureScope::replace(Error* error)
{
    if (Error* before = std::exchange(this_thread.failure, error))
        before->release();
}

void set_failure(Error* error)
{
    if (this_thread.left != nullptr)
        *this_thread.left |= failure_left;
    FailureScope::replace(error);
}

Error* FailureScope::take(std::int32_t code)
{
    Error* error = std::exchange(this_thread.failure, nullptr);
    if (error == nullptr || error->code() == code)
        return error;
    error->release();
    return nullptr;
}

}  // namespace execq::core
