/* Counting and rationing file descriptors. */
#ifndef EXECQ_TESTS_DESCRIPTORS_H
#define EXECQ_TESTS_DESCRIPTORS_H

#include <dirent.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* How many descriptors the process has open, the one that counts them left out. */
static inline int descriptors_open(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;
    while (readdir(dir) != NULL) {
        n++;
    }
    closedir(dir);
    return n - 3;
}

/* Makes every further descriptor impossible until descriptors_allow puts *saved back. */
static inline void descriptors_refuse(struct rlimit *saved)
{
    getrlimit(RLIMIT_NOFILE, saved);
    /* The lowest free number is the one that the next open would get: below the limit nothing is free then. libuv closes
     * descriptors by such calls, too, behind ThreadSanitizer's back, which would take the number for one in use. */
    const int lowest = (int)syscall(SYS_dup, STDERR_FILENO);
    syscall(SYS_close, lowest);
    struct rlimit tight = *saved;
    tight.rlim_cur = (rlim_t)lowest;
    setrlimit(RLIMIT_NOFILE, &tight);
}

static inline void descriptors_allow(const struct rlimit *saved) { setrlimit(RLIMIT_NOFILE, saved); }

#endif
