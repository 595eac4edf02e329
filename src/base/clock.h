// Floor 0. Monotonic time in nanoseconds, and deadlines that neither overflow nor end early.
#pragma once

#include <cstdint>
#include <ctime>
#include <limits>

namespace execq::core {

inline std::int64_t read_clock(clockid_t clock)
{
    timespec now{};
    clock_gettime(clock, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

inline std::int64_t now_ns() { return read_clock(CLOCK_MONOTONIC); }

// Some 4 ms coarse, a few nanoseconds to read: for the age of tasks in reports.
inline std::int64_t coarse_now_ns() { return read_clock(CLOCK_MONOTONIC_COARSE); }

// A point on the monotonic clock, or never.
class Deadline {
public:
    // From a timeout of the C surface: negative is never, 0 is "only look".
    static Deadline after(std::int64_t timeout_ns)
    {
        if (timeout_ns < 0)
            return Deadline(never_ns, never_ns);
        if (timeout_ns == 0)
            return Deadline(0, 0);
        const std::int64_t now = now_ns();
        return Deadline(timeout_ns >= never_ns - now ? never_ns : now + timeout_ns, timeout_ns);
    }

    static Deadline at(std::int64_t monotonic_ns) { return Deadline(monotonic_ns, monotonic_ns); }

    bool never() const { return at_ns_ == never_ns; }
    bool only_look() const { return at_ns_ == 0; }
    bool passed() const { return !never() && (only_look() || now_ns() >= at_ns_); }

    // What after() was told, for who has another clock; never: the greatest there is.
    std::int64_t timeout_ns() const { return timeout_ns_; }

    // The absolute time, for futex and for what is left of it.
    timespec absolute() const { return {at_ns_ / 1'000'000'000, static_cast<long>(at_ns_ % 1'000'000'000)}; }
    std::int64_t left_ns() const
    {
        const std::int64_t left = only_look() ? 0 : at_ns_ - now_ns();
        return left > 0 ? left : 0;
    }

private:
    static constexpr std::int64_t never_ns = std::numeric_limits<std::int64_t>::max();
    Deadline(std::int64_t at_ns, std::int64_t timeout_ns) : at_ns_(at_ns), timeout_ns_(timeout_ns) {}
    std::int64_t at_ns_;
    std::int64_t timeout_ns_;
};

inline void sleep_until(Deadline deadline)
{
    const timespec at = deadline.absolute();
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr);
}

}  // namespace execq::core
