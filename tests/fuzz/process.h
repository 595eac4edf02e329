// What the process has besides: threads, descriptors, memory.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fuzz {

// Threads of executors, which have names of ours.
std::size_t worker_threads();

// Runs one program; now and then looks whether something is left of those before.
void run_input(const std::uint8_t* data, std::size_t size);

}  // namespace fuzz
