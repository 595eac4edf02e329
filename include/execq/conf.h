/* Configuration of the process: what a NULL executor stands for, which loop is the main one, and who is told of failures
 * that nobody consumed. */
#ifndef EXECQ_CONF_H
#define EXECQ_CONF_H

#include <execq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    EXECQ_CONF_CLEAR_EXECUTOR = 1,      /* forget the configured executor; an error together with one */
    EXECQ_CONF_CLEAR_MAIN_LOOP = 2,     /* forget the main loop; an error together with one */
    EXECQ_CONF_CLEAR_ON_UNOBSERVED = 4, /* back to a line on stderr; an error together with a hook */
    EXECQ_CONF_IGNORE_UNOBSERVED = 8    /* neither a line nor a hook; an error together with either of both */
};

/* Told of a failure that nobody consumed (error.h says what that is): once for each.
 * Ownership: the error and the name are borrowed for the call. The name is that of the task or promise, "" for none. Where
 *   memory is out the error may be a static one with code EXECQ_ENOMEM.
 * Threads: the one that gave up the last reference: a worker, a loop's thread, the program's own inside a _release. It may
 *   call this library, must not block, and does not run under a lock. What it throws is reported on stderr and dropped.
 * Order: none. A failure that is given up inside of it is not told to it but printed, and so is any once exit() has begun:
 *   handlers that were registered later than the first hook still find it called. */
typedef void (*execq_unobserved_fn)(const execq_error *error, const char *name, void *env);

typedef struct execq_conf {
    uint32_t struct_size;
    uint32_t flags;                    /* EXECQ_CONF_CLEAR_… */
    execq_executor *executor;          /* what NULL stands for from now on; NULL: keep the earlier one */
    execq_loop *main_loop;             /* what execq_main_loop gives from now on; NULL: keep the earlier one */
    execq_unobserved_fn on_unobserved; /* told of failures that nobody consumed; NULL: keep what there is; since 0.4 */
    void *unobserved_env;              /* its env, taken by the call */
    execq_drop_fn unobserved_drop;     /* ends the ownership of unobserved_env */
    /* Since 0.5: what becomes of what NULL stands for, that is the executor above and the library's own, when the process ends
     * by exit() or a return from main(). */
    int32_t exit_policy; /* EXECQ_EXIT_…; 0: keep the earlier one */
    uint32_t reserved;   /* 0 */
    int64_t
        exit_wait_ns; /* nanoseconds that exit() waits for tasks and threads, at most; negative: it does not; 0: keep the
                             earlier limit, at first 5 seconds */
} execq_conf;
#define EXECQ_CONF_INIT                                                        \
    {                                                                          \
        (uint32_t)sizeof(execq_conf), 0, NULL, NULL, NULL, NULL, NULL, 0, 0, 0 \
    }

/* What exit() does with the executors that NULL stands for. It may be called from anywhere: a task, a callback, a destructor of
 * a thread-local; the thread that calls it, and what it was inside of, is not waited for. It never takes longer than
 * exit_wait_ns because of them, but for a callback that it has to call itself.
 *
 * Under EXECQ_EXIT_CANCEL and EXECQ_EXIT_DRAIN the executors are closed that way, then exit() waits for all other threads of
 * theirs, and cancels what is left at the limit. A line on stderr tells what that is: the tasks' names and how long they ran.
 * What is submitted later, from other handlers or destructors, gets EXECQ_ECLOSED. This is done by a handler of atexit(),
 * registered when one of these executors is first made or configured: before what has been registered or constructed earlier is
 * called or destroyed, and after what came later, from where all is accepted still. Of two threads that call exit(), one
 * may end the process while the other one waits; that is the C library's.
 *
 * Other executors, _exit() and quick_exit(): as EXECQ_EXIT_ABANDON. */
enum {
    EXECQ_EXIT_CANCEL = 1, /* cancel what has not started, ask what runs to stop, wait; the default */
    EXECQ_EXIT_DRAIN = 2,  /* run all that was accepted, and wait for it */
    EXECQ_EXIT_ABANDON = 3 /* do not even close: threads end with the process, wherever they are */
};

/* Configures the process. Unset fields keep their earlier value; EXECQ_CONF_CLEAR_… clears one. Submissions resolve
 * NULL each time: the executor given here, else the library's own default.
 * Ownership: what is configured is retained until it is replaced or cleared. unobserved_env is taken:
 *   unobserved_drop(unobserved_env), if not NULL, runs once: when the hook has been replaced or cleared and its last call
 *   has returned, or inside the call where it fails; never at the end of the process.
 * Threads: any. Blocks: never.
 * Order: submissions made after it returned see the change, and so do failures that are given up after it returned.
 * Errors: EXECQ_EINVAL (conf NULL, struct_size, clear and set together, a drop without a hook, exit_policy), EXECQ_ENOTSUP
 *   (flags, unknown bytes), EXECQ_ENOMEM (for the hook). On an error nothing changes. Since: 0.1. */
EXECQ_API execq_status execq_init_conf(const execq_conf *conf);

/* Finds the main loop: that of execq_init_conf.
 * Ownership: the caller gets one reference in *out. Threads: any. Blocks: never. Order: none.
 * Errors: EXECQ_EINVAL (out NULL), EXECQ_ECLOSED (none is configured). One that is detached meanwhile is still given;
 *   what is submitted to it gets the same EXECQ_ECLOSED, so that one branch serves both. Since: 0.3. */
EXECQ_API execq_status execq_main_loop(execq_loop **out);

#ifdef __cplusplus
}
#endif

#endif
