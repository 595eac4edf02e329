// The atomics policy that runs the shipped lock-free headers under relacy. Include it first, and by itself, in a model.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <streambuf>
#include <thread>

#include <relacy/relacy.hpp>

// relacy defines these as macros, which would change the meaning of our headers.
#undef delete
#undef new
#undef free
#undef memory_order_relaxed
#undef memory_order_acquire
#undef memory_order_release
#undef memory_order_acq_rel
#undef memory_order_seq_cst

// relacy replaces the form without a size alone. The library's own with one comes back to that only where a copy of it was
// not inlined.
inline void operator delete(void* memory, std::size_t) noexcept { operator delete(memory); }

inline rl::memory_order relacy_order(std::memory_order order)
{
    switch (order) {
    case std::memory_order::relaxed:
        return rl::mo_relaxed;
    case std::memory_order::consume:
    case std::memory_order::acquire:
        return rl::mo_acquire;
    case std::memory_order::release:
        return rl::mo_release;
    case std::memory_order::acq_rel:
        return rl::mo_acq_rel;
    default:
        return rl::mo_seq_cst;
    }
}

// The number of the running thread of the model.
inline unsigned model_thread() { return static_cast<unsigned>(rl::ctx().current_thread()); }

// The atomic that is being loaded or stored, for an order that depends on which one it is.
inline const void* model_object = nullptr;

// The orders as they ship. A mutant derives from this and weakens one. T is the type of the atomic's value.
struct ShippedOrders {
    template <class T>
    static std::memory_order load(std::memory_order order)
    {
        return order;
    }
    template <class T>
    static std::memory_order store(std::memory_order order)
    {
        return order;
    }
    static std::memory_order exchange(std::memory_order order) { return order; }
    static std::memory_order cas(std::memory_order order) { return order; }
    static std::memory_order add(std::memory_order order) { return order; }
    static std::memory_order sub(std::memory_order order) { return order; }
    static std::memory_order bit_or(std::memory_order order) { return order; }
    static std::memory_order bit_and(std::memory_order order) { return order; }
    // relacy takes the order in which it runs two stores for the order in which they are seen by all. True: it reports two
    // stores by store() to such an atomic of which neither happens before the other.
    template <class T>
    static constexpr bool ordered_stores = false;
    // Whether the running thread passes the fence.
    static bool light_fence() { return true; }
    static bool heavy_fence() { return true; }
};

// The fences of base/asymmetric.h: a heavy one is ordered with all others, a light one with the heavy ones only, as
// nothing is promised between two light ones. A full fence for both would hide where a heavy one is missing.
class ModelFences {
public:
    static void begin()
    {
        known_to_light_.fill(0);
        known_to_heavy_.fill(0);
        begun_ = true;
    }
    static void end() { begun_ = false; }

    static void light()
    {
        rl::ctx().sched();
        RL_ASSERT(begun_);
        join(known_to_light_.data(), mine());
        join(mine(), known_to_heavy_.data());
    }
    static void heavy()
    {
        rl::ctx().sched();
        RL_ASSERT(begun_);
        join(mine(), known_to_light_.data());
        join(mine(), known_to_heavy_.data());
        join(known_to_heavy_.data(), mine());
    }

private:
    static constexpr std::size_t most_threads = 8;
    using Known = std::array<rl::timestamp_t, most_threads>;

    // What the running thread has to see, by thread.
    static rl::timestamp_t* mine() { return rl::ctx().threadx_->acq_rel_order_; }
    static void join(rl::timestamp_t* to, const rl::timestamp_t* from)
    {
        const auto threads = static_cast<std::size_t>(rl::ctx().get_thread_count());
        RL_ASSERT(threads <= most_threads);
        for (std::size_t i = 0; i < threads; ++i)
            to[i] = std::max(to[i], from[i]);
    }

    static inline Known known_to_light_{};
    static inline Known known_to_heavy_{};
    static inline bool begun_ = false;
};

// The base of a model that has fences: one is made for each execution.
template <class Model, unsigned threads>
struct FencedSuite : rl::test_suite<Model, threads> {
    FencedSuite() { ModelFences::begin(); }
    ~FencedSuite() { ModelFences::end(); }
};

template <class Orders = ShippedOrders>
struct RelacyAtomics {
    template <class T>
    class Atomic {
    public:
        Atomic() : Atomic(T{}) {}
        Atomic(T value) { value_.store(value, rl::mo_relaxed, $); }
        T load(std::memory_order order) const
        {
            model_object = this;
            return value_.load(relacy_order(Orders::template load<T>(order)), $);
        }
        void store(T value, std::memory_order order)
        {
            model_object = this;
            if (Orders::template ordered_stores<T>)
                stored_($) = 1;
            value_.store(value, relacy_order(Orders::template store<T>(order)), $);
        }
        T exchange(T value, std::memory_order order)
        {
            return value_.exchange(value, relacy_order(Orders::exchange(order)), $);
        }
        T fetch_add(T value, std::memory_order order)
        {
            return value_.fetch_add(value, relacy_order(Orders::add(order)), $);
        }
        T fetch_sub(T value, std::memory_order order)
        {
            return value_.fetch_sub(value, relacy_order(Orders::sub(order)), $);
        }
        T fetch_or(T value, std::memory_order order)
        {
            return value_.fetch_or(value, relacy_order(Orders::bit_or(order)), $);
        }
        T fetch_and(T value, std::memory_order order)
        {
            return value_.fetch_and(value, relacy_order(Orders::bit_and(order)), $);
        }
        bool compare_exchange_weak(T& expected, T value, std::memory_order order, std::memory_order failure)
        {
            const std::memory_order success = Orders::cas(order);
            return value_.compare_exchange_weak(expected, value, relacy_order(success), $,
                                                relacy_order(failure_order(success, failure)), $);
        }
        bool compare_exchange_strong(T& expected, T value, std::memory_order order, std::memory_order failure)
        {
            const std::memory_order success = Orders::cas(order);
            return value_.compare_exchange_strong(expected, value, relacy_order(success), $,
                                                  relacy_order(failure_order(success, failure)), $);
        }

    private:
        // relacy wants the order of a failure to be no stronger than that of a success.
        static std::memory_order failure_order(std::memory_order success, std::memory_order failure)
        {
            const bool acquires = success != std::memory_order::relaxed && success != std::memory_order::release;
            return acquires ? failure : std::memory_order::relaxed;
        }

        rl::atomic<T> value_;
        rl::var<int> stored_{0};
    };

    // A variable without synchronisation of its own: relacy reports two accesses that race.
    template <class T>
    class Plain {
    public:
        Plain() : Plain(T{}) {}
        Plain(T value) : value_(value) {}
        operator T() const { return value_($); }
        Plain& operator=(T value)
        {
            value_($) = value;
            return *this;
        }
        Plain(const Plain&) = delete;
        Plain& operator=(const Plain&) = delete;

    private:
        rl::var<T> value_;
    };

    static void yield() { rl::yield(1, $); }
    static void light_fence()
    {
        if (Orders::light_fence())
            ModelFences::light();
    }
    static void heavy_fence()
    {
        if (Orders::heavy_fence())
            ModelFences::heavy();
    }
};

class RelacyLock {
public:
    void lock() { mutex_.lock($); }
    void unlock() { mutex_.unlock($); }

private:
    rl::mutex mutex_;
};

// How a model is searched: every execution with so many preemptions, or so many executions at random.
struct Search {
    unsigned preemptions = 3;
    unsigned long random = 0;
};

// Where the headers themselves are mutants (tests/mutation/orders.py), the first model that does not hold is enough.
#ifdef EXECQ_MODEL_HOLDS_ONLY
constexpr bool model_holds_only = true;
#else
constexpr bool model_holds_only = false;
#endif

// Runs models and their mutants, and counts: a model must hold, a mutant must be caught.
class ModelRun {
public:
    template <class Model>
    void holds(const char* name, const Search& search = {})
    {
        report(name, simulate<Model>(search, !model_holds_only), "holds", "BROKEN", search);
        if (model_holds_only && failed_)
            std::_Exit(1);
    }
    template <class Mutant>
    void caught(const char* name, const Search& search = {})
    {
        if constexpr (!model_holds_only) {
            mutants_ += 1;
            const bool caught = !simulate<Mutant>(search, false);
            mutants_caught_ += caught ? 1 : 0;
            report(name, caught, "caught", "SURVIVED", search);
        }
    }
    // For main() to return.
    int finish() const
    {
        std::printf("%d of %d mutants caught\n", mutants_caught_, mutants_);
        return failed_ ? 1 : 0;
    }

private:
    // relacy runs a failed execution once more to tell its history, which is the only thing that is let through.
    struct History : std::streambuf {
        const rl::test_params* params = nullptr;
        int_type overflow(int_type character) override
        {
            if (params != nullptr && params->collect_history)
                std::putchar(character);
            return traits_type::not_eof(character);
        }
    };

    template <class Model>
    bool simulate(const Search& search, bool tell)
    {
        static History history;
        static std::ostream output(&history);
        static std::ostream nowhere(nullptr);
        rl::test_params params;
        params.search_type = search.random != 0 ? rl::sched_random : rl::sched_bound;
        params.context_bound = search.preemptions;
        if (search.random != 0)
            params.iteration_count = search.random;
        params.output_stream = &output;
        params.progress_stream = &nowhere;
        history.params = tell ? &params : nullptr;
        ModelFences::end();
        const bool held = rl::simulate<Model>(params);
        iterations_ = static_cast<unsigned long long>(params.stop_iteration);
        result_ = params.test_result;
        return held;
    }
    void report(const char* name, bool good, const char* yes, const char* no, const Search& search)
    {
        std::printf("%-64s %s after %llu executions", name, good ? yes : no, iterations_);
        if (result_ != rl::test_result_success)
            std::printf(": %s\n", rl::test_result_str(result_));
        else if (search.random != 0)
            std::printf(" at random\n");
        else
            std::printf(", all with up to %u preemptions\n", search.preemptions);
        std::fflush(stdout);
        failed_ = failed_ || !good;
    }

    unsigned long long iterations_ = 0;
    rl::test_result_e result_ = rl::test_result_success;
    int mutants_ = 0;
    int mutants_caught_ = 0;
    bool failed_ = false;
};
