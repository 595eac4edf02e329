#include "sched/failure.h"

#include <utility>

namespace execq::core {

namespace {

// Owns the error; freed at thread exit too.
struct Failure {
    Error* error = nullptr;
    Failure() = default;
    Failure(const Failure&) = delete;
    Failure& operator=(const Failure&) = delete;
    ~Failure() { replace(nullptr); }
    void replace(Error* other)
    {
        if (Error* before = std::exchange(error, other))
            before->release();
    }
};

thread_local Failure failure;

}  // namespace

void set_failure(std::int32_t code, const char* message) { failure.replace(Error::make(code, message)); }

void clear_failure() { failure.replace(nullptr); }

Error* take_failure(std::int32_t code)
{
    Error* error = std::exchange(failure.error, nullptr);
    if (error == nullptr || error->code() == code)
        return error;
    error->release();
    return nullptr;
}

}  // namespace execq::core
