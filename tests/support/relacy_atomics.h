// The atomics policy that runs the shipped lock-free headers under relacy. Include it first, and by itself, in a model.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <thread>

#include <relacy/relacy.hpp>

// relacy defines these as macros, which would change the meaning of our headers.
#undef delete
#undef new
#undef memory_order_relaxed
#undef memory_order_acquire
#undef memory_order_release
#undef memory_order_acq_rel
#undef memory_order_seq_cst

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

// The orders as they ship. A mutant derives from this and weakens one.
struct ShippedOrders {
    static std::memory_order exchange(std::memory_order order) { return order; }
    static std::memory_order cas(std::memory_order order) { return order; }
    static std::memory_order add(std::memory_order order) { return order; }
    static std::memory_order sub(std::memory_order order) { return order; }
};

template <class Orders = ShippedOrders>
struct RelacyAtomics {
    template <class T>
    class Atomic {
    public:
        Atomic(T value) { value_.store(value, rl::mo_relaxed, $); }
        T load(std::memory_order order) const { return value_.load(relacy_order(order), $); }
        void store(T value, std::memory_order order) { value_.store(value, relacy_order(order), $); }
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
        bool compare_exchange_weak(T& expected, T value, std::memory_order order, std::memory_order failure)
        {
            return value_.compare_exchange_weak(expected, value, relacy_order(Orders::cas(order)), $,
                                                relacy_order(failure), $);
        }
        bool compare_exchange_strong(T& expected, T value, std::memory_order order, std::memory_order failure)
        {
            return value_.compare_exchange_strong(expected, value, relacy_order(Orders::cas(order)), $,
                                                  relacy_order(failure), $);
        }

    private:
        rl::atomic<T> value_;
    };

    static void yield() { rl::yield(1, $); }
};

// Runs models and their mutants, and counts: a model must hold, a mutant must be caught.
class ModelRun {
public:
    template <class Model>
    void holds(const char* name)
    {
        report(name, simulate<Model>(), "holds", "BROKEN");
    }
    template <class Mutant>
    void caught(const char* name)
    {
        mutants_ += 1;
        const bool caught = !simulate<Mutant>();
        mutants_caught_ += caught ? 1 : 0;
        report(name, caught, "caught", "SURVIVED");
    }
    // For main() to return.
    int finish() const
    {
        std::printf("%d of %d mutants caught\n", mutants_caught_, mutants_);
        return failed_ ? 1 : 0;
    }

private:
    template <class Model>
    bool simulate()
    {
        static std::ostream nowhere(nullptr);
        rl::test_params params;
        params.search_type = rl::sched_bound;
        params.context_bound = 3;
        params.output_stream = params.progress_stream = &nowhere;
        const bool held = rl::simulate<Model>(params);
        iterations_ = static_cast<unsigned long long>(params.stop_iteration);
        return held;
    }
    void report(const char* name, bool good, const char* yes, const char* no)
    {
        std::printf("%-64s %s after %llu executions\n", name, good ? yes : no, iterations_);
        failed_ = failed_ || !good;
    }

    unsigned long long iterations_ = 0;
    int mutants_ = 0;
    int mutants_caught_ = 0;
    bool failed_ = false;
};
