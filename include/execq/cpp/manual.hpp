// Manual executors: stepped by the caller, on a clock that he moves; for tests. See execq/manual.h.
#ifndef EXECQ_CPP_MANUAL_HPP
#define EXECQ_CPP_MANUAL_HPP

#include <chrono>
#include <cstdint>
#include <execq/cpp/error.hpp>
#include <execq/cpp/executor.hpp>
#include <execq/execq.h>

namespace execq {

// As execq_manual_options.
struct manual_options {
    std::uint64_t seed = 0;     // 0: first come, first served
    bool stands_still = false;  // waits never move the clock
    const char* name = nullptr;
    std::uint32_t capacity = 0;
    full_policy when_full = full_policy::reject;
};

// An executor without threads. Ownership: as of any executor; its last reference runs what is due and cancels the rest.
// Threads: one steps at a time, else error(EXECQ_EBUSY). Blocks: for as long as the tasks run. Errors: as the C functions.
// Since: 0.5.
class manual_executor : public executor {
public:
    explicit manual_executor(const manual_options& chosen = {}) : executor(make(chosen)) {}

    // Runs one task that is due; false: there was none.
    bool step()
    {
        std::uint32_t ran = 0;
        detail::check(execq_manual_step(native(), &ran));
        return ran != 0;
    }
    // Until nothing is due. Answers how many ran.
    std::uint64_t run()
    {
        std::uint64_t n = 0;
        detail::check(execq_manual_run(native(), &n));
        return n;
    }
    // Moves the clock; what is due by then is not run.
    void advance(std::chrono::nanoseconds by) { detail::check(execq_manual_advance(native(), by.count())); }
    // The same, and runs what is due on the way.
    std::uint64_t run_for(std::chrono::nanoseconds by)
    {
        std::uint64_t n = 0;
        detail::check(execq_manual_run_for(native(), by.count(), &n));
        return n;
    }
    // On its clock, since it was made.
    std::chrono::nanoseconds now() const
    {
        std::int64_t ns = 0;
        detail::check(execq_manual_now(native(), &ns));
        return std::chrono::nanoseconds(ns);
    }

private:
    static executor make(const manual_options& chosen)
    {
        execq_manual_options options = EXECQ_MANUAL_OPTIONS_INIT;
        options.flags = chosen.stands_still ? EXECQ_MANUAL_STANDS_STILL : 0;
        options.seed = chosen.seed;
        options.name = chosen.name;
        options.capacity = chosen.capacity;
        options.full_policy = static_cast<std::uint32_t>(chosen.when_full);
        execq_executor* made = nullptr;
        detail::check(execq_manual_new(&options, &made));
        return adopt(made);
    }
};

}  // namespace execq

#endif
