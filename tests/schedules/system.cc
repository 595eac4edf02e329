// What stands in for the functions of the system that may block, that tell the time or that begin and end threads. The
// program's own come before those of libc, for the library, for libuv and for libstdc++ alike. Threads that take no part
// get what libc does.
#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdint>
#include <ctime>
#include <dlfcn.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "scheduler.h"

using namespace schedules;

namespace {

// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name,bugprone-macro-parentheses): libc's names are reserved

// The one of libc; looked up once. (Not under a guard: the first call may come while the guard's functions are not there.)
#define REAL(function)                                                                  \
    ([] {                                                                               \
        static constinit decltype(&function) found = nullptr;                           \
        if (found == nullptr)                                                           \
            found = reinterpret_cast<decltype(&function)>(dlsym(RTLD_NEXT, #function)); \
        return found;                                                                   \
    }())

std::int64_t ns_of(const timespec& time) { return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }
timespec time_of(std::int64_t ns) { return {ns / 1'000'000'000, static_cast<long>(ns % 1'000'000'000)}; }

// 0: only look.
std::int64_t deadline_after(std::int64_t timeout_ns)
{
    if (timeout_ns <= 0)
        return timeout_ns < 0 ? never_ns : 0;
    return now_ns() + timeout_ns;
}
std::int64_t deadline_after_ms(int timeout_ms) { return deadline_after(std::int64_t{timeout_ms} * 1'000'000); }

long wait_on_futex(const std::uint32_t* word, std::uint32_t expected, const timespec* until, bool relative)
{
    point("futex wait", nullptr);
    if (__atomic_load_n(word, __ATOMIC_SEQ_CST) != expected) {
        errno = EAGAIN;
        return -1;
    }
    std::int64_t deadline_ns = never_ns;
    if (until != nullptr)
        deadline_ns = ns_of(*until) + (relative ? now_ns() : 0);
    if (returns_early() || block(word, deadline_ns, "in futex wait"))
        return 0;
    errno = ETIMEDOUT;
    return -1;
}

long futex(const std::uint32_t* word, int operation, std::uint32_t value, const timespec* until)
{
    switch (operation & FUTEX_CMD_MASK) {
    case FUTEX_WAIT:
        return wait_on_futex(word, value, until, true);
    case FUTEX_WAIT_BITSET:
        return wait_on_futex(word, value, until, false);
    case FUTEX_WAKE: {
        point("futex wake", nullptr);
        return wake(word, static_cast<int>(value));
    }
    default:
        fail("a futex operation that is not known: %d", operation);
    }
}

int lock(pthread_mutex_t* mutex)
{
    int error = 0;
    while ((error = REAL(pthread_mutex_trylock)(mutex)) == EBUSY)
        block(mutex, never_ns, "in mutex lock");
    return error;
}

int unlock(pthread_mutex_t* mutex)
{
    const int error = REAL(pthread_mutex_unlock)(mutex);
    wake(mutex, INT_MAX);
    return error;
}

int wait_on_condition(pthread_cond_t* condition, pthread_mutex_t* mutex, std::int64_t deadline_ns)
{
    point("condition wait", nullptr);
    unlock(mutex);
    const bool woken = block(condition, deadline_ns, "in condition wait");
    lock(mutex);
    return woken ? 0 : ETIMEDOUT;
}

// look: the same call without a wait.
template <class Look>
int wait_for_descriptors(pollfd* descriptors, std::size_t n, std::int64_t deadline_ns, const Look& look)
{
    point("poll", nullptr);
    for (;;) {
        const int found = look();
        if (found != 0 || deadline_ns == 0)
            return found;
        if (!block_on_descriptors(descriptors, n, deadline_ns, "in poll"))
            return look();
    }
}

void sleep_until(std::int64_t deadline_ns) { (void)block(nullptr, deadline_ns, "in sleep"); }

}  // namespace

long real::call(long number, long a, long b, long c, long d, long e, long f)
{
    return REAL(syscall)(number, a, b, c, d, e, f);
}
int real::create(pthread_t* thread, const pthread_attr_t* attributes, void* (*main)(void*), void* argument)
{
    return REAL(pthread_create)(thread, attributes, main, argument);
}

extern "C" {

long syscall(long number, ...) noexcept
{
    va_list arguments;
    va_start(arguments, number);
    long a[6];
    for (long& argument : a)
        argument = va_arg(arguments, long);
    va_end(arguments);
    if (taking_part()) {
        if (number == SYS_futex)
            return futex(reinterpret_cast<const std::uint32_t*>(a[0]), static_cast<int>(a[1]),
                         static_cast<std::uint32_t>(a[2]), reinterpret_cast<const timespec*>(a[3]));
        if (number == SYS_membarrier) {
            point("membarrier", nullptr);  // every thread passes barriers where the turn changes
            return 0;
        }
    }
    return real::call(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

// ---- mutexes and conditions ----

int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept
{
    if (!taking_part())
        return REAL(pthread_mutex_lock)(mutex);
    point("mutex lock", nullptr);
    return lock(mutex);
}

int pthread_mutex_trylock(pthread_mutex_t* mutex) noexcept
{
    point("mutex trylock", nullptr);
    return REAL(pthread_mutex_trylock)(mutex);
}

int pthread_mutex_unlock(pthread_mutex_t* mutex) noexcept
{
    if (!taking_part())
        return REAL(pthread_mutex_unlock)(mutex);
    const int error = unlock(mutex);
    point("mutex unlock", nullptr);
    return error;
}

int pthread_cond_wait(pthread_cond_t* condition, pthread_mutex_t* mutex)
{
    return taking_part() ? wait_on_condition(condition, mutex, never_ns) : REAL(pthread_cond_wait)(condition, mutex);
}

int pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex, const timespec* until)
{
    return taking_part() ? wait_on_condition(condition, mutex, ns_of(*until))
                         : REAL(pthread_cond_timedwait)(condition, mutex, until);
}

int pthread_cond_clockwait(pthread_cond_t* condition, pthread_mutex_t* mutex, clockid_t clock, const timespec* until)
{
    return taking_part() ? wait_on_condition(condition, mutex, ns_of(*until))
                         : REAL(pthread_cond_clockwait)(condition, mutex, clock, until);
}

int pthread_cond_signal(pthread_cond_t* condition) noexcept
{
    if (!taking_part())
        return REAL(pthread_cond_signal)(condition);
    point("condition signal", nullptr);
    wake(condition, 1);
    return 0;
}

int pthread_cond_broadcast(pthread_cond_t* condition) noexcept
{
    if (!taking_part())
        return REAL(pthread_cond_broadcast)(condition);
    point("condition broadcast", nullptr);
    wake(condition, INT_MAX);
    return 0;
}

// Who comes second waits inside libc: so the first one is not interrupted.
int pthread_once(pthread_once_t* once, void (*function)())
{
    hold_turn();
    const int error = REAL(pthread_once)(once, function);
    let_go();
    return error;
}

// ---- threads ----

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*main)(void*), void* argument) noexcept
{
    return taking_part() ? start(thread, attributes, main, argument) : real::create(thread, attributes, main, argument);
}

int pthread_join(pthread_t thread, void** value)
{
    if (taking_part()) {
        if (const int error = await_end(thread, never_ns))
            return error;
    }
    return REAL(pthread_join)(thread, value);
}

int pthread_tryjoin_np(pthread_t thread, void** value) noexcept
{
    if (!taking_part())
        return REAL(pthread_tryjoin_np)(thread, value);
    return has_ended(thread) ? REAL(pthread_join)(thread, value) : EBUSY;
}

int pthread_timedjoin_np(pthread_t thread, void** value, const timespec* until)
{
    if (!taking_part())
        return REAL(pthread_timedjoin_np)(thread, value, until);
    if (const int error = await_end(thread, ns_of(*until)))
        return error;
    return REAL(pthread_join)(thread, value);
}

int sched_yield() noexcept
{
    if (!taking_part())
        return static_cast<int>(real::call(SYS_sched_yield));
    yield("yield");
    return 0;
}

// Two, whatever the machine has.
int sched_getaffinity(pid_t thread, size_t size, cpu_set_t* set) noexcept
{
    if (!taking_part())
        return REAL(sched_getaffinity)(thread, size, set);
    CPU_ZERO_S(size, set);
    CPU_SET_S(0, size, set);
    CPU_SET_S(1, size, set);
    return 0;
}

// ---- time ----

int clock_gettime(clockid_t clock, timespec* time) noexcept
{
    if (!taking_part())
        return REAL(clock_gettime)(clock, time);
    *time = time_of(now_ns());
    return 0;
}

int nanosleep(const timespec* time, timespec* rest)
{
    if (!taking_part())
        return REAL(nanosleep)(time, rest);
    sleep_until(now_ns() + ns_of(*time));
    return 0;
}

int clock_nanosleep(clockid_t clock, int flags, const timespec* time, timespec* rest)
{
    if (!taking_part())
        return REAL(clock_nanosleep)(clock, flags, time, rest);
    sleep_until(ns_of(*time) + ((flags & TIMER_ABSTIME) != 0 ? 0 : now_ns()));
    return 0;
}

// ---- descriptors ----

int poll(pollfd* descriptors, nfds_t n, int timeout_ms)
{
    if (!taking_part())
        return REAL(poll)(descriptors, n, timeout_ms);
    return wait_for_descriptors(descriptors, n, deadline_after_ms(timeout_ms),
                                [&] { return REAL(poll)(descriptors, n, 0); });
}

int ppoll(pollfd* descriptors, nfds_t n, const timespec* timeout, const sigset_t* signals)
{
    if (!taking_part())
        return REAL(ppoll)(descriptors, n, timeout, signals);
    const std::int64_t deadline_ns = timeout == nullptr ? never_ns : deadline_after(ns_of(*timeout));
    return wait_for_descriptors(descriptors, n, deadline_ns, [&] { return REAL(poll)(descriptors, n, 0); });
}

int epoll_pwait(int epoll, epoll_event* events, int most, int timeout_ms, const sigset_t* signals)
{
    if (!taking_part())
        return REAL(epoll_pwait)(epoll, events, most, timeout_ms, signals);
    pollfd readable{epoll, POLLIN, 0};
    return wait_for_descriptors(&readable, 1, deadline_after_ms(timeout_ms),
                                [&] { return REAL(epoll_pwait)(epoll, events, most, 0, signals); });
}

int epoll_wait(int epoll, epoll_event* events, int most, int timeout_ms)
{
    return epoll_pwait(epoll, events, most, timeout_ms, nullptr);
}

ssize_t write(int descriptor, const void* bytes, size_t size)
{
    point("write", nullptr);
    const ssize_t written = REAL(write)(descriptor, bytes, size);
    if (taking_part())
        descriptors_changed();
    return written;
}

ssize_t read(int descriptor, void* bytes, size_t size)
{
    point("read", nullptr);
    return REAL(read)(descriptor, bytes, size);
}

}  // extern "C"

// NOLINTEND(readability-inconsistent-declaration-parameter-name,bugprone-macro-parentheses)
