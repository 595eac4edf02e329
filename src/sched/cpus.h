// Floor 2. How many processors this process may use: the affinity mask, capped by the cgroup's quota.
#pragma once

#include <cstdint>
#include <string_view>

namespace execq::core {

std::uint32_t usable_cpus();

// The size of the default executor: as asyncio's.
std::uint32_t default_threads();

// The processors that a cgroup v2 cpu.max line ("<quota> <period>" or "max <period>") allows, rounded up; 0: no limit.
std::uint32_t cpus_of_quota(std::string_view cpu_max);

}  // namespace execq::core
