// Floor 1. A failure: code and message in one immutable, reference-counted allocation.
#pragma once

#include <atomic>
#include <cstdint>

#include "execq/error.h"
#include "execq/status.h"

namespace execq::core {

class Error {
public:
    // One reference to the caller. Null where memory is out. A null message is none.
    static Error* make(std::int32_t code, const char* message);
    // Stands in where an error object cannot be allocated; retain and release do nothing to it.
    static Error* out_of_memory();

    std::int32_t code() const { return code_; }
    const char* message() const { return message_; }

    void retain();
    void release();

private:
    Error(std::int32_t code, const char* message) : code_(code), message_(message) {}

    // Counted by every holder; 0 marks the static one.
    std::atomic<std::uint32_t> references_{1};
    const std::int32_t code_;
    const char* const message_;  // behind the object, in the same allocation
};

inline const execq_error* handle_of(const Error* error) { return reinterpret_cast<const execq_error*>(error); }
inline Error* core_of(const execq_error* error)
{
    return reinterpret_cast<Error*>(const_cast<execq_error*>(error));  // the count is all that ever changes
}

// The name and the text of a status; null for a number that is none.
const char* status_name(std::int32_t status);
const char* status_text(std::int32_t status);

}  // namespace execq::core
