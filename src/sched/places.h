// Floor 2. The places of an executor's workers, which only become more: a worker once added stays where it is, so that others
// may look at those that are there while one is added.
//
// The table is in segments, each as large as all before it, so that nothing moves when it grows.
//
// Ownership: owns the workers. Threads: add() by one thread at a time, the rest by any.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <new>

#include "sched/worker.h"

namespace execq::core {

class Places {
public:
    std::uint32_t size() const { return size_.load(std::memory_order_acquire); }
    // i is below a size() that the caller has read.
    Worker& operator[](std::uint32_t i) const
    {
        const std::uint32_t segment = segment_of(i);
        return *segments_[segment][i - start_of(segment)];
    }
    template <class Visit>
    void for_each(const Visit& visit) const
    {
        const std::uint32_t n = size();
        for (std::uint32_t segment = 0; start_of(segment) < n; ++segment) {
            const std::uint32_t end = std::min(n, start_of(segment + 1)) - start_of(segment);
            for (std::uint32_t i = 0; i < end; ++i)
                visit(*segments_[segment][i]);
        }
    }
    // Null: no memory. make(i) gives the worker that is to be number i, or null.
    template <class Make>
    Worker* add(const Make& make)
    {
        const std::uint32_t i = size_.load(std::memory_order_relaxed);
        const std::uint32_t segment = segment_of(i);
        if (segments_[segment] == nullptr) {
            const std::uint32_t length = start_of(segment + 1) - start_of(segment);
            segments_[segment].reset(new (std::nothrow) std::unique_ptr<Worker>[length]);
            if (segments_[segment] == nullptr)
                return nullptr;
        }
        std::unique_ptr<Worker>& place = segments_[segment][i - start_of(segment)];
        place.reset(make(i));
        if (place == nullptr)
            return nullptr;
        size_.store(i + 1, std::memory_order_release);
        return place.get();
    }

private:
    static constexpr std::uint32_t first = 16;
    static std::uint32_t segment_of(std::uint32_t i) { return static_cast<std::uint32_t>(std::bit_width(i / first)); }
    static std::uint32_t start_of(std::uint32_t segment) { return segment == 0 ? 0 : first << (segment - 1) % 32; }

    // More than EXECQ_MAX_THREADS of each kind: threads, reserved ones, spares, and those that are in exit().
    std::array<std::unique_ptr<std::unique_ptr<Worker>[]>, 16> segments_;
    // Written by add() behind what it counts; read by who looks at that.
    std::atomic<std::uint32_t> size_{0};
};

}  // namespace execq::core
