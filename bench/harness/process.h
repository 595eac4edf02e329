// bench/harness. What the system says of this process: memory and processor time.
#pragma once

#include <cstdint>

namespace bench {

// Bytes of this process in memory, from /proc/self/statm.
std::int64_t resident_bytes();
// Bytes that the machine could still give, from /proc/meminfo.
std::int64_t available_bytes();
// Processor time of this process, in nanoseconds: of all its threads, and of all but the calling one.
std::int64_t processor_ns();
std::int64_t processor_of_others_ns();

}  // namespace bench
