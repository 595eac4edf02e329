// bench/harness. See process.h.
#include "harness/process.h"

#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <fstream>
#include <string>

namespace bench {
namespace {

std::int64_t read(clockid_t clock)
{
    timespec used{};
    clock_gettime(clock, &used);
    return std::int64_t{used.tv_sec} * 1'000'000'000 + used.tv_nsec;
}

}  // namespace

std::int64_t resident_bytes()
{
    // Read by hand into the stack: a stream would allocate, which is what is measured.
    std::FILE* file = std::fopen("/proc/self/statm", "re");
    if (file == nullptr)
        return 0;
    long long size = 0;
    long long resident = 0;
    const int fields = std::fscanf(file, "%lld %lld", &size, &resident);
    std::fclose(file);
    return fields == 2 ? resident * sysconf(_SC_PAGESIZE) : 0;
}

std::int64_t available_bytes()
{
    std::ifstream file("/proc/meminfo");
    std::string key;
    std::int64_t kilobytes = 0;
    std::string unit;
    while (file >> key >> kilobytes && std::getline(file, unit)) {
        if (key == "MemAvailable:")
            return kilobytes * 1024;
    }
    return 0;
}

std::int64_t processor_ns() { return read(CLOCK_PROCESS_CPUTIME_ID); }

std::int64_t processor_of_others_ns()
{
    const std::int64_t own = read(CLOCK_THREAD_CPUTIME_ID);
    return read(CLOCK_PROCESS_CPUTIME_ID) - own;
}

}  // namespace bench
