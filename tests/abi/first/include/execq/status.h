/* Status codes: the answers of every function that can fail. */
#ifndef EXECQ_STATUS_H
#define EXECQ_STATUS_H

#include <execq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, number, text). Numbers are for ever: appended, never changed or used again. */
#define EXECQ_STATUS_MAP(X)                                                                \
    X(OK, 0, "success")                                                                    \
    X(EINVAL, -1, "invalid argument")                                                      \
    X(ENOMEM, -2, "out of memory")                                                         \
    X(EAGAIN, -3, "no thread could be started; try again later")                           \
    X(EMFILE, -4, "out of file descriptors")                                               \
    X(ENOTSUP, -5, "not supported by this version or this libuv")                          \
    X(ECLOSED, -6, "closed")                                                               \
    X(ECANCELED, -7, "canceled")                                                           \
    X(EFAILED, -8, "the task failed")                                                      \
    X(EPENDING, -9, "not done yet")                                                        \
    X(ETIMEDOUT, -10, "timed out")                                                         \
    X(EALREADY, -11, "already done")                                                       \
    X(EBUSY, -12, "already running")                                                       \
    X(EBROKEN, -13, "the promise was dropped without an outcome")                          \
    X(EDEADLK, -14, "the wait could never end")                                            \
    X(EEXCEPTION, -15, "a C++ exception left the task")                                    \
    X(EEXITED, -16, "the task ended its thread")

enum {
#define EXECQ_STATUS_ENUM_(name, number, text) EXECQ_##name = (number),
    EXECQ_STATUS_MAP(EXECQ_STATUS_ENUM_)
#undef EXECQ_STATUS_ENUM_
    /* One below the smallest status of this version; not a status. */
    EXECQ_STATUS_END_ = -17
};

/* The name of a status, such as "EXECQ_EINVAL".
 * Ownership: the string is static; "EXECQ_UNKNOWN" for a number that is no status of this version.
 * Threads: any. Blocks: never. Order: none. Errors: none. Since: 0.1. */
EXECQ_API const char *execq_status_name(execq_status status);

/* A short English sentence for a status, without a full stop.
 * Ownership: the string is static; "unknown status" for a number that is no status of this version.
 * Threads: any. Blocks: never. Order: none. Errors: none. Since: 0.1. */
EXECQ_API const char *execq_status_text(execq_status status);

#ifdef __cplusplus
}
#endif

#endif
