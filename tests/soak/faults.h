// Scarcity on demand: memory of one thread, descriptors of the process.
#pragma once

#include <atomic>
#include <cstdint>
#include <shared_mutex>

struct Faults {
    std::atomic<std::uint64_t> hungers{0};      // scopes in which memory ran out for a thread
    std::atomic<std::uint64_t> refusals{0};     // calls that answered so
    std::atomic<std::uint64_t> exhaustions{0};  // times that the process could open no descriptor
    std::atomic<std::uint64_t> children{0};
    std::atomic<std::uint64_t> lost_threads{0};
};
inline Faults faults;

// While one lives, the library gets memory on this thread for `left` allocations only.
class Hunger {
public:
    explicit Hunger(int left);
    ~Hunger();
    Hunger(const Hunger&) = delete;
    Hunger& operator=(const Hunger&) = delete;
    static bool here();
};

// Who makes a loop of libuv's, which leaks where descriptors run out within it, or a child, shares it.
inline std::shared_mutex descriptors_are_there;

// No descriptor can be opened for about a millisecond.
void exhaust_descriptors();
