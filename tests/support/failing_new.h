// Allocations by operator new(std::nothrow), and where that is asked for by operator new, that fail on demand. It replaces the
// operators: for one file of a program.
#pragma once

#include <cstdlib>
#include <new>

// How many of this thread's still succeed; negative: all.
inline thread_local int allocations_left = -1;
// Those that throw count, too.
inline thread_local bool throwing_counts = false;

inline void* allocate_unless_out(std::size_t size)
{
    if (allocations_left == 0)
        return nullptr;
    if (allocations_left > 0)
        --allocations_left;
    return std::malloc(size);
}

// Not inlined: the compiler would take a call of free() for one that does not fit.
[[gnu::noinline]] void* operator new(std::size_t size)
{
    void* memory = throwing_counts ? allocate_unless_out(size) : std::malloc(size);
    if (memory == nullptr && throwing_counts)
        throw std::bad_alloc();
    if (memory == nullptr)
        std::abort();
    return memory;
}
[[gnu::noinline]] void* operator new[](std::size_t size) { return operator new(size); }
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept
{
    return allocate_unless_out(size);
}
[[gnu::noinline]] void* operator new[](std::size_t size, const std::nothrow_t&) noexcept
{
    return allocate_unless_out(size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

// What call() answers with k allocations left, for k = 0, 1, 2 … until it is not `failure`; check() after each of these.
// Answers how often it failed.
template <class Call, class Failure, class Check>
int fail_each_allocation(const Call& call, const Failure& failure, const Check& check)
{
    constexpr int hopeless = 100;
    for (int k = 0; k < hopeless; ++k) {
        allocations_left = k;
        const bool failed = call() == failure;
        allocations_left = -1;
        if (!failed)
            return k;
        check();
    }
    return hopeless;
}
