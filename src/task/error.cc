#include "task/error.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "task/callbacks.h"

namespace execq::core {

Error* Error::make(std::int32_t code, const char* message, Error* cause, const Payload& payload)
{
    if (message == nullptr)
        message = "";
    const std::size_t length = std::strlen(message) + 1;
    void* memory = std::malloc(sizeof(Error) + length);
    if (memory == nullptr)
        return nullptr;
    char* copy = static_cast<char*>(memory) + sizeof(Error);
    std::memcpy(copy, message, length);
    if (cause != nullptr)
        cause->retain();
    return new (memory) Error(code, copy, cause, payload);
}

Error* Error::out_of_memory()
{
    static Error* const error = [] {
        static Error instance(EXECQ_ENOMEM, status_text(EXECQ_ENOMEM), nullptr, Payload());
        instance.references_.store(0, std::memory_order_relaxed);
        return &instance;
    }();
    return error;
}

[[maybe_unused]] static Error* const made_when_loaded = Error::out_of_memory();

Error* Error::of_code(std::int32_t code)
{
    Error* error = make(code, status_text(code));
    return error != nullptr ? error : out_of_memory();
}

void Error::retain()
{
    if (references_.load(std::memory_order_relaxed) != 0)  // 0 only in the static one, for ever
        references_.fetch_add(1, std::memory_order_relaxed);
}

// True for the last one.
bool Error::drop_reference()
{
    return references_.load(std::memory_order_relaxed) != 0 &&
           references_.fetch_sub(1, std::memory_order_acq_rel) == 1 && !inherited();
}

void Error::release()
{
    Error* error = this;
    while (error != nullptr && error->drop_reference()) {
        Error* cause = error->cause_;
        call_drop(error->payload_.drop, error->payload_.value);
        error->~Error();
        std::free(error);
        error = cause;
    }
}

namespace {

// Appends to a buffer of a fixed size, and counts what it would have needed.
class Text {
public:
    Text(char* buffer, std::size_t size) : buffer_(buffer), size_(size) {}

    void add(const char* part)
    {
        const std::size_t length = std::strlen(part);
        if (length_ + 1 < size_)
            std::memcpy(buffer_ + length_, part, std::min(length, size_ - 1 - length_));
        length_ += length;
    }
    std::size_t end()
    {
        if (size_ != 0)
            buffer_[std::min(length_, size_ - 1)] = '\0';
        return length_;
    }

private:
    char* const buffer_;
    const std::size_t size_;
    std::size_t length_ = 0;
};

}  // namespace

std::size_t format(const Error& error, char* buffer, std::size_t size)
{
    Text text(buffer, size);
    for (const Error* link = &error; link != nullptr; link = link->cause()) {
        if (link != &error)
            text.add("; caused by ");
        char number[16];
        std::snprintf(number, sizeof number, "%d", static_cast<int>(link->code()));
        const char* name = status_name(link->code());
        text.add(name != nullptr ? name : number);
        if (link->message()[0] != '\0') {
            text.add(": ");
            text.add(link->message());
        }
    }
    return text.end();
}

const char* status_name(std::int32_t status)
{
    switch (status) {
#define EXECQ_CASE(name, number, text) \
    case number:                       \
        return "EXECQ_" #name;
        EXECQ_STATUS_MAP(EXECQ_CASE)
#undef EXECQ_CASE
    default:
        return nullptr;
    }
}

const char* status_text(std::int32_t status)
{
    switch (status) {
#define EXECQ_CASE(name, number, text) \
    case number:                       \
        return text;
        EXECQ_STATUS_MAP(EXECQ_CASE)
#undef EXECQ_CASE
    default:
        return nullptr;
    }
}

}  // namespace execq::core
