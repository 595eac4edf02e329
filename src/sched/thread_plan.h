// Floor 2. What the threads of an executor are made of, and begin and end with.
//
// Ownership: the caller's env, from take() on, until give_up(). Threads: any. Blocks: check() for a moment.
#pragma once

#include <cstddef>
#include <cstdint>
#include <pthread.h>
#include <sched.h>

#include "execq/executor.h"

namespace execq::core {

// Zeros are defaults.
struct ThreadSpec {
    execq_thread_init_fn init = nullptr;
    execq_thread_final_fn final = nullptr;
    void* env = nullptr;
    execq_drop_fn drop = nullptr;
    std::uint64_t stack_size = 0;         // bytes; 0: the system's
    const std::uint32_t* cpus = nullptr;  // numbers of processors; copied
    std::uint32_t cpu_count = 0;
};

class Error;

class ThreadPlan {
public:
    // EXECQ_OK; EXECQ_EINVAL: a stack that is too small or too large, a processor that is not there or may not be used;
    // EXECQ_EAGAIN: no thread could be started to find that out.
    static execq_status check(const ThreadSpec& spec);

    // Of a spec that passed check().
    explicit ThreadPlan(const ThreadSpec& spec);

    // As pthread_create with an inherited mask of signals; answers its error.
    int start(void* (*main)(void*), void* argument) const;
    // Bytes of each thread's stack; 0: unknown.
    std::size_t stack_size() const;
    // On the new thread: the processors, as far as they are still to be had.
    void settle_here() const;
    // The user's initializer: 0, or what it failed with, and then an error (null where memory is out) for the caller.
    std::int32_t begin(Error*& error) const;
    void end() const;
    // Runs the drop.
    void give_up() const;

private:
    execq_thread_init_fn init_;
    execq_thread_final_fn final_;
    void* env_;
    execq_drop_fn drop_;
    std::size_t stack_size_;  // whole pages
    bool pinned_ = false;
    cpu_set_t cpus_;
};

}  // namespace execq::core
