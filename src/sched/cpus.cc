#include "sched/cpus.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <sched.h>
#include <string>

namespace execq::core {

namespace {

// The first `size` bytes of a small file, or what there is of it.
std::string read_file(const std::string& path)
{
    std::string text;
    if (std::FILE* file = std::fopen(path.c_str(), "re")) {
        std::array<char, 4096> buffer;
        const std::size_t length = std::fread(buffer.data(), 1, buffer.size(), file);
        std::fclose(file);  // before the text, which may find no memory
        text.assign(buffer.data(), length);
    }
    return text;
}

// The path of this process's v2 cgroup below the mount: the line "0::<path>".
std::string cgroup_path()
{
    const std::string groups = read_file("/proc/self/cgroup");
    const std::size_t at = groups.find("0::");
    if (at == std::string::npos || (at != 0 && groups[at - 1] != '\n'))
        return "";
    return groups.substr(at + 3, groups.find('\n', at) - at - 3);
}

// The smallest quota from this cgroup up to the root; 0: none.
std::uint32_t quota_cpus()
{
    std::uint32_t smallest = 0;
    for (std::string path = cgroup_path();; path.resize(path.rfind('/'))) {
        if (!path.empty() && path.back() == '/')
            path.pop_back();
        const std::uint32_t cpus = cpus_of_quota(read_file("/sys/fs/cgroup" + path + "/cpu.max"));
        if (cpus != 0 && (smallest == 0 || cpus < smallest))
            smallest = cpus;
        if (path.rfind('/') == std::string::npos)
            return smallest;
    }
}

std::uint32_t affinity_cpus()
{
    std::array<cpu_set_t, 16> sets;  // 16,384 processors
    CPU_ZERO_S(sizeof sets, sets.data());
    if (sched_getaffinity(0, sizeof sets, sets.data()) != 0)
        return 1;
    return static_cast<std::uint32_t>(std::max(CPU_COUNT_S(sizeof sets, sets.data()), 1));
}

}  // namespace

std::uint32_t cpus_of_quota(std::string_view cpu_max)
{
    std::uint64_t quota = 0;
    std::uint64_t period = 0;
    const char* end = cpu_max.data() + cpu_max.size();
    const auto [after_quota, quota_error] = std::from_chars(cpu_max.data(), end, quota);
    if (quota_error != std::errc{} || after_quota == end || *after_quota != ' ')
        return 0;
    const auto [after_period, period_error] = std::from_chars(after_quota + 1, end, period);
    if (period_error != std::errc{} || period == 0 || quota == 0)
        return 0;
    const std::uint64_t cpus = quota / period + (quota % period != 0 ? 1 : 0);
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(cpus, 1U << 20));
}

std::uint32_t usable_cpus()
{
    const std::uint32_t quota = quota_cpus();
    const std::uint32_t affinity = affinity_cpus();
    return quota == 0 ? affinity : std::min(quota, affinity);
}

std::uint32_t default_threads() { return std::min<std::uint32_t>(32, usable_cpus() + 4); }

}  // namespace execq::core
