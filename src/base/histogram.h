// Floor 0. A histogram of times, in buckets a sixteenth of their value wide: one thread adds, or all do, any thread reads.
//
// Below 16 each value has its bucket; from there on each power of two has 16 of them, up to 2^40 ns (18 minutes), beyond
// which all are in the last one. So a percentile is known to 6.25 %, and is given as the upper end of its bucket, but
// never above the largest value, which is kept exactly.
//
// Nothing orders the counts: who reads while somebody adds sees each bucket as it was at some moment.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace execq::core {

inline constexpr std::uint32_t histogram_step_bits = 4;  // 16 buckets for each power of two
inline constexpr std::uint32_t histogram_top_bit = 40;
inline constexpr std::size_t histogram_size = (histogram_top_bit - histogram_step_bits + 1) << histogram_step_bits;

// Where a value is counted.
constexpr std::size_t bucket_of(std::int64_t value)
{
    constexpr std::uint64_t steps = 1 << histogram_step_bits;
    const auto v = static_cast<std::uint64_t>(std::max<std::int64_t>(value, 0));
    if (v < steps)
        return v;
    const auto shift = static_cast<std::uint32_t>(std::bit_width(v)) - 1 - histogram_step_bits;
    return std::min<std::size_t>(shift * steps + (v >> shift), histogram_size - 1);
}

// The largest value that is counted there.
constexpr std::int64_t bucket_end(std::size_t bucket)
{
    constexpr std::uint64_t steps = 1 << histogram_step_bits;
    if (bucket < 2 * steps)
        return static_cast<std::int64_t>(bucket);
    const std::uint64_t shift = bucket / steps - 1;
    return static_cast<std::int64_t>(((bucket % steps + steps + 1) << shift) - 1);
}

// What was counted, by one or by several; its reader's own.
class HistogramSum {
public:
    void add(std::size_t bucket, std::uint64_t n)
    {
        counts_[bucket] += n;
        total_ += n;
    }
    void note_max(std::int64_t value) { max_ = std::max(max_, value); }

    std::uint64_t count() const { return total_; }
    std::int64_t max() const { return max_; }
    // At most what `thousandths` of 1000 of the values are; 0 if there is none.
    std::int64_t percentile(std::uint64_t thousandths) const { return at_rank((total_ * thousandths + 999) / 1000); }
    // The same for any share from 0 to 1.
    std::int64_t quantile(double share) const
    {
        if (share >= 1)
            return max_;
        return at_rank(static_cast<std::uint64_t>(std::ceil(static_cast<double>(total_) * share)));
    }

private:
    // Of the value, from 1 on.
    std::int64_t at_rank(std::uint64_t rank) const
    {
        std::uint64_t seen = 0;
        for (std::size_t bucket = 0; bucket < histogram_size; ++bucket) {
            seen += counts_[bucket];
            if (seen >= rank && seen != 0)
                return bucket == histogram_size - 1 ? max_ : std::min(bucket_end(bucket), max_);
        }
        return 0;
    }

    std::array<std::uint64_t, histogram_size> counts_{};
    std::uint64_t total_ = 0;
    std::int64_t max_ = 0;
};

class Histogram {
public:
    // One thread at a time. Negative values count as 0.
    void add(std::int64_t value)
    {
        std::atomic<std::uint64_t>& count = counts_[bucket_of(value)];
        count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
        if (value > max_.load(std::memory_order_relaxed))
            max_.store(value, std::memory_order_relaxed);
    }
    // Any thread, where all that add do so by this.
    void add_shared(std::int64_t value)
    {
        counts_[bucket_of(value)].fetch_add(1, std::memory_order_relaxed);
        std::int64_t max = max_.load(std::memory_order_relaxed);
        while (value > max && !max_.compare_exchange_weak(max, value, std::memory_order_relaxed)) {
        }
    }
    // Any thread.
    void add_to(HistogramSum& sum) const
    {
        for (std::size_t bucket = 0; bucket < histogram_size; ++bucket)
            sum.add(bucket, counts_[bucket].load(std::memory_order_relaxed));
        sum.note_max(max_.load(std::memory_order_relaxed));
    }

private:
    // Written by who adds, read by who asks for statistics; relaxed, as nothing hangs on them.
    std::array<std::atomic<std::uint64_t>, histogram_size> counts_{};
    std::atomic<std::int64_t> max_{0};
};

}  // namespace execq::core
