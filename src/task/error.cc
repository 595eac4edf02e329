#include "task/error.h"

#include <cstdlib>
#include <cstring>
#include <new>

namespace execq::core {

Error* Error::make(std::int32_t code, const char* message)
{
    if (message == nullptr)
        message = "";
    const std::size_t length = std::strlen(message) + 1;
    void* memory = std::malloc(sizeof(Error) + length);
    if (memory == nullptr)
        return nullptr;
    char* copy = static_cast<char*>(memory) + sizeof(Error);
    std::memcpy(copy, message, length);
    return new (memory) Error(code, copy);
}

Error* Error::out_of_memory()
{
    static Error* const error = [] {
        static Error instance(EXECQ_ENOMEM, status_text(EXECQ_ENOMEM));
        instance.references_.store(0, std::memory_order_relaxed);
        return &instance;
    }();
    return error;
}

void Error::retain()
{
    if (references_.load(std::memory_order_relaxed) != 0)  // 0 only in the static one, for ever
        references_.fetch_add(1, std::memory_order_relaxed);
}

void Error::release()
{
    if (references_.load(std::memory_order_relaxed) == 0)
        return;
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        this->~Error();
        std::free(this);
    }
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
