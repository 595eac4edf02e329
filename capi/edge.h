// Floor 4. The edge of the C ABI: no exception leaves, options are read by the rules of execq.h.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

#include "base/process.h"
#include "base/unwind.h"
#include "execq/status.h"

namespace execq::core {

// Runs a body that returns a status. The only exceptions that the core itself can throw are the standard library's.
template <class Body>
execq_status guarded(const Body& body)
{
    try {
        return body();
    } catch (const std::bad_alloc&) {
        return EXECQ_ENOMEM;
    } catch (...) {
        if (is_thread_exit())  // of a task that a wait runs in place
            throw;
        return EXECQ_EAGAIN;
    }
}

// Of cores that a call is given besides, where it is: EXECQ_EFORKED if one of them is another process's, else EXECQ_OK.
template <class... Cores>
execq_status check_optional(const Cores*... cores)
{
    if (!Process::forked()) [[likely]]
        return EXECQ_OK;
    return ((cores != nullptr && cores->inherited()) || ...) ? EXECQ_EFORKED : EXECQ_OK;
}

// Of those that a call needs.
template <class... Cores>
execq_status check(const Cores*... cores)
{
    return ((cores == nullptr) || ...) ? EXECQ_EINVAL : check_optional(cores...);
}

// Of a future that is only looked at: one that is done may be another process's.
template <class Future>
execq_status check_readable(const Future* future)
{
    if (future == nullptr)
        return EXECQ_EINVAL;
    return !Process::forked() || future->done() ? EXECQ_OK : check(future);
}

// A struct of an unknown version, from the caller, as this version's; the rules stand in execq.h. First: the size that
// the struct had in the first version that knew it.
template <std::size_t First, class Options>
execq_status read_options(const Options* given, std::uint32_t known_flags, Options& out)
{
    constexpr std::uint32_t largest = 4096;  // beyond any version to come: the size itself is wrong
    out = Options{};
    if (given == nullptr)
        return EXECQ_OK;
    const std::size_t size = given->struct_size;
    if (size < First || size > largest)
        return EXECQ_EINVAL;
    const auto* bytes = reinterpret_cast<const unsigned char*>(given);
    if (std::any_of(bytes + std::min(size, sizeof(Options)), bytes + size,
                    [](unsigned char byte) { return byte != 0; }))
        return EXECQ_ENOTSUP;
    if ((given->flags & ~known_flags) != 0)
        return EXECQ_ENOTSUP;
    std::memcpy(&out, given, std::min(size, sizeof(Options)));
    return EXECQ_OK;
}

template <class Options>
execq_status read_options(const Options* given, std::uint32_t known_flags, Options& out)
{
    return read_options<sizeof(Options)>(given, known_flags, out);
}

}  // namespace execq::core
