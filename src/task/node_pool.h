// Floor 1. Memory for nodes: cache lines, cached by each thread, exchanged in chains, given back to the system.
//
// A task is usually made on one thread and freed on another. Each thread keeps a list of up to chain_length free lines
// and one more chain that is full. When both are full a chain goes to the depot; when both are empty one comes from
// there. So two threads meet once per chain, and the steady state has no malloc.
//
// Lines come from slabs. trim(), which idle workers call, returns all free lines to their slabs, and whole slabs beyond
// a reserve to the system. New chains come from the fullest slabs, so that the others drain, in ascending order of
// addresses. What is freed once all is trimmed goes straight to the slabs, as far as nobody has come for a chain since:
// it may be long until a worker trims again. One line in use keeps its slab, and so does one in the cache of a thread
// that sleeps outside trim().
//
// Owner: the process; nothing is destroyed. Threads: any; a line passes between threads through the depot's mutex only.
// A thread that ends gives its cache back. A child of fork() begins with a new depot, whose lines are in slabs of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>

#include "task/this_thread.h"

#if defined(__SANITIZE_ADDRESS__)
#define EXECQ_POOL_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EXECQ_POOL_ASAN 1
#endif
#endif
#ifdef EXECQ_POOL_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace execq::core::node_pool {

inline constexpr std::size_t chain_length = 64;
inline constexpr std::size_t slab_size = std::size_t{64} * 1024;
inline constexpr std::size_t slab_header_lines = 1;
inline constexpr std::size_t lines_per_slab = slab_size / line_size - slab_header_lines;
inline constexpr std::size_t reserve_slabs = 16;  // whole slabs that trim() leaves: 1 MiB

[[gnu::noinline, gnu::cold]] void* allocate_slowly();
[[gnu::noinline, gnu::cold]] void free_slowly(Line* line);

inline void poison([[maybe_unused]] Line* line)
{
#ifdef EXECQ_POOL_ASAN
    __asan_poison_memory_region(line, Line::poisoned_size);
#endif
}

inline void unpoison([[maybe_unused]] Line* line)
{
#ifdef EXECQ_POOL_ASAN
    __asan_unpoison_memory_region(line, line_size);
#endif
}

// One line, aligned to its size; null where memory is out.
inline void* allocate()
{
    Line* line = this_thread.cache.lines;
    if (line == nullptr) [[unlikely]]
        return allocate_slowly();
    this_thread.cache.lines = line->next;
    __builtin_prefetch(this_thread.cache.lines, 1);
    ++this_thread.cache.room;
    unpoison(line);
    return line;
}

inline void free(void* memory)
{
    Line* line = new (memory) Line;
#ifdef EXECQ_POOL_ASAN
    *static_cast<volatile unsigned char*>(line->poisoned) = 0;  // a line that is free already is found here
#endif
    poison(line);
    if (this_thread.cache.room == 0) [[unlikely]] {
        free_slowly(line);
        return;
    }
    --this_thread.cache.room;
    line->next = this_thread.cache.lines;
    this_thread.cache.lines = line;
}

// Whether a line in use comes from before the fork that began this process.
bool inherited(const void* memory);

// One step of giving memory back: the thread's own cache, a chain, or a slab. False if there is nothing (any more).
bool trim();

// For tests and reports; a moment's picture.
struct Usage {
    std::size_t slabs = 0;  // mapped
    std::size_t lines = 0;  // in use, or cached by a thread
};
Usage usage();

}  // namespace execq::core::node_pool
