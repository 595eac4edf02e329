// Under a sanitizer malloc and its kin are the sanitizer's: there the library is linked statically, and --wrap leads its own
// calls here; those of libuv and libc pass by, and leaks are LeakSanitizer's to find.
#include "interposer.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "live_blocks.h"

#ifdef FAULTS_WRAP
#define ALLOCATION(name) __wrap_##name
#define REAL(name) __real_##name
#else
#define ALLOCATION(name) name
#define REAL(name) __libc_##name
#endif

extern "C" {
void* REAL(malloc)(std::size_t size);
void* REAL(calloc)(std::size_t n, std::size_t size);
#ifdef FAULTS_WRAP
void* REAL(aligned_alloc)(std::size_t alignment, std::size_t size);
void* REAL(mmap)(void* at, std::size_t size, int protection, int flags, int descriptor, off_t offset);
#else
void* REAL(realloc)(void* memory, std::size_t size);
void* REAL(memalign)(std::size_t alignment, std::size_t size);
void REAL(free)(void* memory);
#endif
}

namespace faults {

namespace {

// Written while nobody else runs, but for the counts and `on`.
Plan plan;
Record* record = nullptr;
std::atomic<int> on{0};
std::atomic<bool> over{false};
std::atomic<long> calls{0};
thread_local constinit int exempt = 0;

void note(const char* call)
{
    Injection& last = record->last;
    last.call = call;
    const Exempt unwinding;
    void* frames[Injection::most_frames + 2];
    const int n = backtrace(frames, Injection::most_frames + 2);
    last.frames = std::max(n - 2, 0);
    std::copy(frames + std::min(n, 2), frames + n, last.frame);
}

// Not inlined: note() leaves out two frames.
[[gnu::noinline]] bool fails(Kind kind, const char* call)
{
    if (on.load(std::memory_order_acquire) == 0 || kind != plan.kind || exempt != 0 || over.load())
        return false;
    const long n = calls.fetch_add(1) + 1;
    __atomic_store_n(&record->calls, n, __ATOMIC_RELAXED);
    if (plan.k == 0 || (plan.for_ever ? n < plan.k : n != plan.k))
        return false;
    __atomic_add_fetch(&record->injected, 1, __ATOMIC_RELAXED);
    note(call);
    return true;
}

bool no_memory(Kind kind, const char* call)
{
    if (!fails(kind, call)) [[likely]]
        return false;
    errno = ENOMEM;
    return true;
}

bool no_descriptor(const char* call)
{
    if (!fails(Kind::descriptor, call)) [[likely]]
        return false;
    errno = EMFILE;
    return true;
}

void* kept(void* memory, void* caller)
{
    live.add(memory, caller);
    return memory;
}

template <class Function>
Function next(const char* name)
{
    const Exempt looking;
    return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

}  // namespace

const char* name_of(Kind kind)
{
    constexpr const char* names[kinds] = {"allocation", "operator new", "thread", "descriptor"};
    return names[static_cast<std::size_t>(kind)];
}

void begin(const Plan& new_plan, Record& new_record)
{
    plan = new_plan;
    record = &new_record;
    live.begin();
}

void turn_on() { on.fetch_add(1); }
void turn_off() { on.fetch_sub(1); }
int off() { return on.exchange(0); }
void restore(int times) { on.store(times); }

void end() { over.store(true); }

Exempt::Exempt() { ++exempt; }
Exempt::~Exempt() { --exempt; }

long live_blocks() { return live.count(); }
void print_live_blocks() { live.print(); }

void print_frames(void* const* frames, int n)
{
    const Exempt printing;
    backtrace_symbols_fd(frames, n, STDERR_FILENO);
}

}  // namespace faults

#define FAULTS_CALLER __builtin_extract_return_addr(__builtin_return_address(0))

// ---- memory ----

using faults::Kind;

extern "C" {

[[gnu::noinline]] void* ALLOCATION(malloc)(std::size_t size)
{
    if (faults::no_memory(Kind::allocation, "malloc"))
        return nullptr;
    return faults::kept(REAL(malloc)(size), FAULTS_CALLER);
}

[[gnu::noinline]] void* ALLOCATION(calloc)(std::size_t n, std::size_t size)
{
    if (faults::no_memory(Kind::allocation, "calloc"))
        return nullptr;
    return faults::kept(REAL(calloc)(n, size), FAULTS_CALLER);
}

#ifdef FAULTS_WRAP

[[gnu::noinline]] void* ALLOCATION(aligned_alloc)(std::size_t alignment, std::size_t size)
{
    return faults::no_memory(Kind::allocation, "aligned_alloc") ? nullptr : REAL(aligned_alloc)(alignment, size);
}

#else

[[gnu::noinline]] void* realloc(void* memory, std::size_t size)
{
    if (size != 0 && faults::no_memory(Kind::allocation, "realloc"))
        return nullptr;
    void* moved = REAL(realloc)(memory, size);
    if (moved != nullptr || size == 0)
        faults::live.remove(memory);
    return faults::kept(moved, FAULTS_CALLER);
}

[[gnu::noinline]] void* aligned_alloc(std::size_t alignment, std::size_t size)
{
    if (faults::no_memory(Kind::allocation, "aligned_alloc"))
        return nullptr;
    return faults::kept(REAL(memalign)(alignment, size), FAULTS_CALLER);
}

[[gnu::noinline]] int posix_memalign(void** memory, std::size_t alignment, std::size_t size)
{
    if (faults::no_memory(Kind::allocation, "posix_memalign"))
        return ENOMEM;
    *memory = faults::kept(REAL(memalign)(alignment, size), FAULTS_CALLER);
    return *memory != nullptr ? 0 : ENOMEM;
}

void free(void* memory)
{
    faults::live.remove(memory);
    REAL(free)(memory);
}

#endif

[[gnu::noinline]] void* ALLOCATION(mmap)(void* at, std::size_t size, int protection, int flags, int descriptor,
                                         off_t offset)
{
#ifndef FAULTS_WRAP
    static const auto REAL(mmap) = faults::next<void* (*)(void*, std::size_t, int, int, int, off_t)>("mmap");
#endif
    if (faults::no_memory(Kind::allocation, "mmap"))
        return MAP_FAILED;
    return REAL(mmap)(at, size, protection, flags, descriptor, offset);
}

}  // extern "C"

[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept
{
    if (faults::no_memory(Kind::operator_new, "new"))
        return nullptr;
    return faults::kept(REAL(malloc)(size), FAULTS_CALLER);
}
[[gnu::noinline]] void* operator new(std::size_t size)
{
    void* memory =
        faults::no_memory(Kind::operator_new, "new") ? nullptr : faults::kept(REAL(malloc)(size), FAULTS_CALLER);
    if (memory == nullptr)
        throw std::bad_alloc();
    return memory;
}
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept
{
    if (faults::no_memory(Kind::operator_new, "new"))
        return nullptr;
    const std::size_t unit = static_cast<std::size_t>(alignment);
#ifdef FAULTS_WRAP
    return REAL(aligned_alloc)(unit, (size + unit - 1) / unit * unit);
#else
    return faults::kept(REAL(memalign)(unit, size), FAULTS_CALLER);
#endif
}
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment)
{
    void* memory = operator new(size, alignment, std::nothrow);
    if (memory == nullptr)
        throw std::bad_alloc();
    return memory;
}
[[gnu::noinline]] void* operator new[](std::size_t size) { return operator new(size); }
[[gnu::noinline]] void* operator new[](std::size_t size, const std::nothrow_t& no) noexcept
{
    return operator new(size, no);
}
[[gnu::noinline]] void* operator new[](std::size_t size, std::align_val_t alignment)
{
    return operator new(size, alignment);
}
[[gnu::noinline]] void* operator new[](std::size_t size, std::align_val_t alignment, const std::nothrow_t& no) noexcept
{
    return operator new(size, alignment, no);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t, const std::nothrow_t&) noexcept
{
    std::free(memory);
}
[[gnu::noinline]] void operator delete[](void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory, std::align_val_t, const std::nothrow_t&) noexcept
{
    std::free(memory);
}

// ---- threads, and timers that send signals ----

extern "C" {

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*fn)(void*), void* env)
{
    static const auto original =
        faults::next<int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*)>("pthread_create");
    return faults::fails(Kind::thread, "pthread_create") ? EAGAIN : original(thread, attributes, fn, env);
}

int timer_create(clockid_t clock, sigevent* event, timer_t* timer) noexcept
{
    static const auto original = faults::next<int (*)(clockid_t, sigevent*, timer_t*)>("timer_create");
    if (faults::fails(Kind::thread, "timer_create")) {
        errno = EAGAIN;
        return -1;
    }
    return original(clock, event, timer);
}

// ---- descriptors ----

int epoll_create1(int flags) noexcept
{
    static const auto original = faults::next<int (*)(int)>("epoll_create1");
    return faults::no_descriptor("epoll_create1") ? -1 : original(flags);
}

int eventfd(unsigned value, int flags) noexcept
{
    static const auto original = faults::next<int (*)(unsigned, int)>("eventfd");
    return faults::no_descriptor("eventfd") ? -1 : original(value, flags);
}

int pipe2(int* ends, int flags) noexcept
{
    static const auto original = faults::next<int (*)(int*, int)>("pipe2");
    return faults::no_descriptor("pipe2") ? -1 : original(ends, flags);
}

int timerfd_create(int clock, int flags) noexcept
{
    static const auto original = faults::next<int (*)(int, int)>("timerfd_create");
    return faults::no_descriptor("timerfd_create") ? -1 : original(clock, flags);
}

int open(const char* path, int flags, ...)
{
    static const auto original = faults::next<int (*)(const char*, int, ...)>("open");
    mode_t mode = 0;
    if ((flags & (O_CREAT | O_TMPFILE)) != 0) {
        va_list arguments;
        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
    }
    return faults::no_descriptor("open") ? -1 : original(path, flags, mode);
}

std::FILE* fopen(const char* path, const char* mode)
{
    static const auto original = faults::next<std::FILE* (*)(const char*, const char*)>("fopen");
    return faults::no_descriptor("fopen") ? nullptr : original(path, mode);
}

}  // extern "C"
