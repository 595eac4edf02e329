#include "sched/failure.h"

#include <utility>

namespace execq::core {

void FailureScope::replace(Error* error)
{
    if (Error* before = std::exchange(failure_, error))
        before->release();
}

void set_failure(std::int32_t code, const char* message) { FailureScope::replace(Error::make(code, message)); }

Error* FailureScope::take(std::int32_t code)
{
    Error* error = std::exchange(failure_, nullptr);
    if (error == nullptr || error->code() == code)
        return error;
    error->release();
    return nullptr;
}

}  // namespace execq::core
