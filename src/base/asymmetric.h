// Floor 0. A pair of fences of unequal cost: light() on the path that is taken all the time, heavy() on the rare one.
//
// Each orders the stores before it with the loads after it, against the other kind: of two threads, one that stores A,
// then light(), then loads B, and one that stores B, then heavy(), then loads A, at least one sees the other's store.
// Nothing is promised between two light() fences.
//
// heavy() is membarrier(2), which has every running thread of the process pass a full barrier; light() then only has to
// keep the compiler from reordering. Where the system call is not to be had when the library is loaded, both are full
// barriers. Where it is refused later, as by a seccomp filter that was loaded since, heavy() ends the process with a
// message: the light fences have been passed as if it worked, and nothing else can stand in for it.
#pragma once

#include <atomic>

namespace execq::core {

class AsymmetricFence {
public:
    static void light()
    {
        if (cheap_) [[likely]]
            std::atomic_signal_fence(std::memory_order_seq_cst);
        else
            full();
    }
    static void heavy();

private:
    static bool register_process();
    static void fence_other_threads();
#if defined(__SANITIZE_THREAD__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtsan"  // ThreadSanitizer does not know fences; what they guard has edges of its own
#endif
    static void full() { std::atomic_thread_fence(std::memory_order_seq_cst); }
#if defined(__SANITIZE_THREAD__)
#pragma GCC diagnostic pop
#endif

    static const bool cheap_;  // set while the library is loaded, before any thread of it runs
};

}  // namespace execq::core
