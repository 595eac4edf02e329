// Floor 1. A failure: code, message, cause and a payload in one immutable, reference-counted allocation.
//
// An error holds a reference to its cause. That is given when it is made, so that a chain has an end; the last release of
// a chain frees it link by link, not by recursion.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/process.h"
#include "execq/error.h"
#include "execq/status.h"

namespace execq::core {

class Error : public OfProcess {
public:
    // What the maker attaches for itself. The drop (may be null) runs once, at the last release.
    struct Payload {
        void* value = nullptr;
        const void* kind = nullptr;  // whose it is: who asks for it names the same address
        execq_drop_fn drop = nullptr;
    };

    // One reference to the caller. Null where memory is out. A null message is none.
    static Error* make(std::int32_t code, const char* message) { return make(code, message, nullptr, Payload()); }
    // The same; retains the cause (may be null). Takes the payload over only where it succeeds.
    static Error* make(std::int32_t code, const char* message, Error* cause, const Payload& payload);
    // Stands in where an error object cannot be allocated; retain and release do nothing to it.
    static Error* out_of_memory();
    // What an outcome that is a code alone says. Never null: where memory is out it is out_of_memory().
    static Error* of_code(std::int32_t code);

    std::int32_t code() const { return code_; }
    const char* message() const { return message_; }
    Error* cause() const { return cause_; }
    const Payload& payload() const { return payload_; }

    void retain();
    void release();

private:
    Error(std::int32_t code, const char* message, Error* cause, const Payload& payload)
        : code_(code), message_(message), cause_(cause), payload_(payload)
    {}
    bool drop_reference();

    // Counted by every holder; 0 marks the static one.
    std::atomic<std::uint32_t> references_{1};
    const std::int32_t code_;
    const char* const message_;  // behind the object, in the same allocation
    Error* const cause_;         // with one reference
    const Payload payload_;
};

inline const execq_error* handle_of(const Error* error) { return reinterpret_cast<const execq_error*>(error); }
inline Error* core_of(const execq_error* error)
{
    return reinterpret_cast<Error*>(const_cast<execq_error*>(error));  // the count is all that ever changes
}

// The error and its causes as one line of text, as snprintf: cut to `size` bytes with the terminating zero, but the answer
// is the length of the whole text.
std::size_t format(const Error& error, char* buffer, std::size_t size);

// The name and the text of a status; null for a number that is none.
const char* status_name(std::int32_t status);
const char* status_text(std::int32_t status);

}  // namespace execq::core
