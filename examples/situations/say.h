/* What the five situations share: they say on which thread each thing happens, and stop where something fails. */
#ifndef SAY_H
#define SAY_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <execq/execq.h>
#include <execq/uv.h>

/* Workers are called after their executor, "execq/1" and so on where it has no other name. */
static inline const char *here(void)
{
    char name[16] = "";

    if (gettid() == getpid())
        return "main thread";
    pthread_getname_np(pthread_self(), name, sizeof name);
    return strncmp(name, "execq/", 6) == 0 ? "worker" : "another thread";
}

static inline void say(const char *what) { printf("%-11s  %s\n", here(), what); }

static inline void stop(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

/* For what cannot fail here unless memory, threads or descriptors are out. */
static inline void must(const char *what, execq_status status)
{
    if (status != EXECQ_OK)
        stop(what, execq_status_text(status));
}

static inline void must_uv(const char *what, int error)
{
    if (error != 0)
        stop(what, uv_strerror(error));
}

#endif
