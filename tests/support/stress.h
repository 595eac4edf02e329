/* What stress programs share: checks that end the program, and their size. */
#pragma once

#include <cstdio>
#include <cstdlib>

#define CHECK(condition)                                                                   \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            std::fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
            std::abort();                                                                  \
        }                                                                                  \
    } while (0)

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

// EXECQ_STRESS_N, else `plain`, or `slow` in a sanitizer's build.
inline std::size_t stress_n(std::size_t plain, std::size_t slow)
{
    if (const char* n = std::getenv("EXECQ_STRESS_N"))
        return std::strtoull(n, nullptr, 10);
    return sanitized ? slow : plain;
}
