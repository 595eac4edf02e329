#include "vitals.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <dirent.h>
#include <thread>
#include <unistd.h>

#include "stress.h"

namespace {

std::size_t entries(const char* path)
{
    DIR* folder = opendir(path);
    CHECK(folder != nullptr);
    std::size_t n = 0;
    while (readdir(folder) != nullptr)
        ++n;
    closedir(folder);
    return n - 2;
}

std::uint64_t resident_bytes()
{
    std::FILE* file = std::fopen("/proc/self/statm", "re");
    CHECK(file != nullptr);
    unsigned long long pages = 0;
    CHECK(std::fscanf(file, "%*u %llu", &pages) == 1);
    std::fclose(file);
    return pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

double mebibytes(std::uint64_t bytes) { return static_cast<double>(bytes) / (1024.0 * 1024.0); }

std::uint64_t median_resident(std::vector<Vitals>::const_iterator begin, std::vector<Vitals>::const_iterator end)
{
    std::vector<std::uint64_t> all;
    for (auto i = begin; i != end; ++i)
        all.push_back(i->resident);
    std::nth_element(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2), all.end());
    return all[all.size() / 2];
}

}  // namespace

Vitals take_vitals()
{
    return {entries("/proc/self/fd") - 1, entries("/proc/self/task"), resident_bytes()};  // that of the folder itself
}

void Chart::note_rest()
{
    using Clock = std::chrono::steady_clock;
    const auto patience = Clock::now() + patience_;
    Vitals now = take_vitals();
    while ((now.descriptors != before_.descriptors || now.threads != before_.threads) && Clock::now() < patience) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        now = take_vitals();
    }
    ++rests_;
    if (now.descriptors == before_.descriptors && now.threads == before_.threads)
        return;
    ++unequal_;
    std::printf("soak: at rest %zu descriptors and %zu threads, not %zu and %zu\n", now.descriptors, now.threads,
                before_.descriptors, before_.threads);
}

bool Chart::judge() const
{
    const auto middle = busy_.begin() + static_cast<std::ptrdiff_t>(busy_.size() / 2);
    CHECK(busy_.size() >= 2);
    const std::uint64_t first = median_resident(busy_.begin(), middle);
    const std::uint64_t second = median_resident(middle, busy_.end());
    const bool flat = second <= resident_bound(first);
    std::printf("soak: at %zu of %zu rests as many descriptors (%zu) and threads (%zu) as before\n", rests_ - unequal_,
                rests_, before_.descriptors, before_.threads);
    std::printf("soak: resident, median of the seconds: first half %.1f MiB, second half %.1f MiB, bound %.1f MiB\n",
                mebibytes(first), mebibytes(second), mebibytes(resident_bound(first)));
    return unequal_ == 0 && flat;
}
