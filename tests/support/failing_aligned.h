// The same as failing_new.h for aligned_alloc(), which the library has of what stands behind a node. It replaces the C library's,
// for one file of a program. Sanitizers have their own: there it never fails.
#pragma once

#include "failing_new.h"
#include "stress.h"

#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
extern "C" void* __libc_memalign(std::size_t alignment, std::size_t size);

extern "C" [[gnu::noinline]] void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept
{
    if (allocations_left == 0)
        return nullptr;
    if (allocations_left > 0)
        --allocations_left;
    return __libc_memalign(alignment, size);
}
#endif
