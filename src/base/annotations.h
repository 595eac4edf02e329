// Floor 0. A mutex that clang's -Wthread-safety understands; everything that a lock guards says so by annotation.
#pragma once

#include <mutex>

#if defined(__clang__)
#define EXECQ_ANNOTATE(x) __attribute__((x))
#else
#define EXECQ_ANNOTATE(x)
#endif

#define EXECQ_CAPABILITY(name) EXECQ_ANNOTATE(capability(name))
#define EXECQ_SCOPED_CAPABILITY EXECQ_ANNOTATE(scoped_lockable)
#define EXECQ_GUARDED_BY(lock) EXECQ_ANNOTATE(guarded_by(lock))
#define EXECQ_REQUIRES(lock) EXECQ_ANNOTATE(requires_capability(lock))
#define EXECQ_EXCLUDES(lock) EXECQ_ANNOTATE(locks_excluded(lock))
#define EXECQ_ACQUIRE(...) EXECQ_ANNOTATE(acquire_capability(__VA_ARGS__))
#define EXECQ_RELEASE(...) EXECQ_ANNOTATE(release_capability(__VA_ARGS__))
#define EXECQ_NO_ANALYSIS EXECQ_ANNOTATE(no_thread_safety_analysis)

namespace execq::core {

// Lock order, outermost first: Port::mutex_, Executor::mutex_, Executor::guests_ (of the workers' biased locks), the
// node pool's depot, its chains. LoopPlace::place_mutex_ is the innermost. The wait lot's buckets, the id pool's, the
// configuration's, the list of attached ports', the timekeeper's, that of who makes a loop, that of who adds a provider
// and those of sched/interrupt are alone, but that a trace may be started, and events written, under any of them: the locks of
// base/trace_file.h are the innermost. No callback of the user runs under any of them.
class EXECQ_CAPABILITY("mutex") Mutex {
public:
    void lock() EXECQ_ACQUIRE() { mutex_.lock(); }
    void unlock() EXECQ_RELEASE() { mutex_.unlock(); }

private:
    std::mutex mutex_;
};

template <class Lock>
class EXECQ_SCOPED_CAPABILITY ScopedLock {
public:
    explicit ScopedLock(Lock& lock) EXECQ_ACQUIRE(lock) : lock_(lock) { lock_.lock(); }
    ~ScopedLock() EXECQ_RELEASE() { lock_.unlock(); }
    ScopedLock(const ScopedLock&) = delete;
    ScopedLock& operator=(const ScopedLock&) = delete;

private:
    Lock& lock_;
};

using MutexLock = ScopedLock<Mutex>;

}  // namespace execq::core
