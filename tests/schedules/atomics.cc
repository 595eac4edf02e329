// What the compiler calls for each atomic operation of the library's second build. It is told to instrument for
// ThreadSanitizer, whose runtime is not there: these are its functions, and each is a point before the operation. Plain
// accesses are called out for, too, and are no points.
#include <cstdint>

#include "scheduler.h"

namespace {

using schedules::point;
template <unsigned bits>
struct Word;
template <>
struct Word<8> {
    using type = std::uint8_t;
};
template <>
struct Word<16> {
    using type = std::uint16_t;
};
template <>
struct Word<32> {
    using type = std::uint32_t;
};
template <>
struct Word<64> {
    using type = std::uint64_t;
};

}  // namespace

// One thread runs at a time, so all orders are the strongest one.
#define HERE __builtin_return_address(0)
#define MODIFY(bits, name)                                                                                  \
    Word<bits>::type __tsan_atomic##bits##_fetch_##name(volatile void* at, Word<bits>::type value, int)     \
    {                                                                                                       \
        point("fetch_" #name, HERE);                                                                        \
        return __atomic_fetch_##name(static_cast<volatile Word<bits>::type*>(at), value, __ATOMIC_SEQ_CST); \
    }
#define COMPARE(bits, strength)                                                                                      \
    int __tsan_atomic##bits##_compare_exchange_##strength(volatile void* at, void* expected, Word<bits>::type value, \
                                                          int, int)                                                  \
    {                                                                                                                \
        point("compare_exchange", HERE);                                                                             \
        return __atomic_compare_exchange_n(static_cast<volatile Word<bits>::type*>(at),                              \
                                           static_cast<Word<bits>::type*>(expected), value, false, __ATOMIC_SEQ_CST, \
                                           __ATOMIC_SEQ_CST);                                                        \
    }
#define OPERATIONS(bits)                                                                                      \
    Word<bits>::type __tsan_atomic##bits##_load(const volatile void* at, int)                                 \
    {                                                                                                         \
        point("load", HERE);                                                                                  \
        return __atomic_load_n(static_cast<const volatile Word<bits>::type*>(at), __ATOMIC_SEQ_CST);          \
    }                                                                                                         \
    void __tsan_atomic##bits##_store(volatile void* at, Word<bits>::type value, int)                          \
    {                                                                                                         \
        point("store", HERE);                                                                                 \
        __atomic_store_n(static_cast<volatile Word<bits>::type*>(at), value, __ATOMIC_SEQ_CST);               \
    }                                                                                                         \
    Word<bits>::type __tsan_atomic##bits##_exchange(volatile void* at, Word<bits>::type value, int)           \
    {                                                                                                         \
        point("exchange", HERE);                                                                              \
        return __atomic_exchange_n(static_cast<volatile Word<bits>::type*>(at), value, __ATOMIC_SEQ_CST);     \
    }                                                                                                         \
    MODIFY(bits, add)                                                                                         \
    MODIFY(bits, sub)                                                                                         \
    MODIFY(bits, and)                                                                                         \
    MODIFY(bits, or)                                                                                          \
    MODIFY(bits, xor)                                                                                         \
    COMPARE(bits, strong)                                                                                     \
    COMPARE(bits, weak)                                                                                       \
    Word<bits>::type __tsan_atomic##bits##_compare_exchange_val(volatile void* at, Word<bits>::type expected, \
                                                                Word<bits>::type value, int, int)             \
    {                                                                                                         \
        point("compare_exchange", HERE);                                                                      \
        __atomic_compare_exchange_n(static_cast<volatile Word<bits>::type*>(at), &expected, value, false,     \
                                    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                                      \
        return expected;                                                                                      \
    }
#define ACCESS(kind, size) \
    void __tsan_##kind##size(void*) {}

extern "C" {

OPERATIONS(8)
OPERATIONS(16)
OPERATIONS(32)
OPERATIONS(64)

void __tsan_atomic_thread_fence(int) { point("fence", HERE); }
void __tsan_atomic_signal_fence(int) {}

ACCESS(read, 1)
ACCESS(read, 2)
ACCESS(read, 4)
ACCESS(read, 8)
ACCESS(read, 16)
ACCESS(write, 1)
ACCESS(write, 2)
ACCESS(write, 4)
ACCESS(write, 8)
ACCESS(write, 16)
ACCESS(unaligned_read, 2)
ACCESS(unaligned_read, 4)
ACCESS(unaligned_read, 8)
ACCESS(unaligned_read, 16)
ACCESS(unaligned_write, 2)
ACCESS(unaligned_write, 4)
ACCESS(unaligned_write, 8)
ACCESS(unaligned_write, 16)
void __tsan_read_range(void*, unsigned long) {}
void __tsan_write_range(void*, unsigned long) {}
void __tsan_vptr_update(void*, void*) {}
void __tsan_vptr_read(void*) {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_init() {}

}  // extern "C"
