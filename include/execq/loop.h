/* Loops: a caller's uv_loop_t, attached, so that completions reach its thread, and work is lifted back onto it.
 *
 * libexecq never touches a caller's loop with its own libuv: a process may hold several copies, and they do not mix. It
 * uses the functions of the table given at attachment. C and C++ callers include execq/uv.h, whose execq_loop_attach
 * fills the table with the libuv that they compile against; other languages use execq_uv_table_load.
 *
 * The loop's thread is the one that attached it, and from then on the one that last ran a delivery: a loop may be
 * attached on one thread and then run on another. To move a loop that has been run already, detach it and attach it
 * again on the new thread, or hold it (execq_loop_hold) from before the move until after it.
 *
 * While a completion is pending the loop is kept alive; with none it may end. */
#ifndef EXECQ_LOOP_H
#define EXECQ_LOOP_H

#include <execq/task.h>
#include <execq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct uv_async_s;
struct uv_handle_s;
struct uv_timer_s;

/* One libuv copy, as far as libexecq uses it. To attach loops the entries of the first version are enough (up to unref);
 * those behind them, since 0.3, are for loops of libexecq's own (thread_loop.h). Where libuv has an enum, this has a
 * uint32_t. */
typedef struct execq_uv_table {
    uint32_t struct_size;
    uint32_t flags;       /* none yet: 0 */
    uint32_t version;     /* uv_version(), at least 1.44.0 */
    uint32_t reserved;    /* 0 */
    const char *identity; /* what uv_version_string() returns: the same address is the same copy */
    uint64_t loop_size;   /* uv_loop_size(), bytes */
    uint64_t async_size;  /* uv_handle_size(UV_ASYNC), bytes */
    int (*async_init)(struct uv_loop_s *loop, struct uv_async_s *async, void (*callback)(struct uv_async_s *async));
    int (*async_send)(struct uv_async_s *async);
    void (*close)(struct uv_handle_s *handle, void (*callback)(struct uv_handle_s *handle));
    void (*ref)(struct uv_handle_s *handle);
    void (*unref)(struct uv_handle_s *handle);
    uint64_t timer_size; /* uv_handle_size(UV_TIMER), bytes */
    int (*loop_init)(struct uv_loop_s *loop);
    int (*loop_close)(struct uv_loop_s *loop);
    int (*loop_alive)(const struct uv_loop_s *loop);
    int (*backend_fd)(const struct uv_loop_s *loop);
    int (*backend_timeout)(const struct uv_loop_s *loop);
    int (*run)(struct uv_loop_s *loop, uint32_t mode);
    void (*update_time)(struct uv_loop_s *loop);
    int (*timer_init)(struct uv_loop_s *loop, struct uv_timer_s *timer);
    int (*timer_start)(struct uv_timer_s *timer, void (*callback)(struct uv_timer_s *timer), uint64_t timeout,
                       uint64_t repeat);
    int (*timer_stop)(struct uv_timer_s *timer);
    void (*walk)(struct uv_loop_s *loop, void (*visit)(struct uv_handle_s *handle, void *env), void *env);
    int (*is_closing)(const struct uv_handle_s *handle);
    uint32_t (*handle_type)(const struct uv_handle_s *handle); /* uv_handle_get_type */
    const char *(*handle_type_name)(uint32_t type);
} execq_uv_table;

/* Finds one symbol of a libuv copy by its name; NULL if there is none. */
typedef void *(*execq_symbol_fn)(void *env, const char *name);

/* Fills a table by symbol lookup, for languages that cannot include execq/uv.h. With sym NULL it is the libuv that
 * libexecq itself is linked to.
 * Ownership: the caller sets table->struct_size and owns the table; the library keeps nothing. What the size does not
 *   cover is neither looked up nor written.
 * Threads: any. Blocks: never; sym is called inside. Order: none.
 * Errors: EXECQ_EINVAL (table NULL, struct_size), EXECQ_ENOTSUP (a symbol is missing, or libuv is older than 1.44);
 *   the table is then unchanged. Since: 0.1. */
EXECQ_API execq_status execq_uv_table_load(execq_uv_table *table, execq_symbol_fn sym, void *env);

/* Attaches a loop; doing so twice gives two independent ports.
 * Ownership: the caller gets one reference in *out. The table is copied; NULL is the libuv that libexecq is linked to.
 *   The loop stays the caller's and must outlive the detachment.
 * Threads: loop thread only. Blocks: never.
 * Order: the first iteration of the loop after this call is needed before it may end.
 * Errors: EXECQ_EINVAL (loop or out NULL, a table entry up to unref missing, struct_size), EXECQ_ENOTSUP (libuv older
 *   than 1.44, flags, unknown bytes), EXECQ_ENOMEM, EXECQ_EMFILE. Since: 0.1. */
EXECQ_API execq_status execq_loop_attach_uv(struct uv_loop_s *loop, const execq_uv_table *table, execq_loop **out);

/* Detaches a loop: cancels the tasks that have not started (reason SHUTDOWN), delivers in order what is complete,
 * withdraws the rest (their drops run here); nothing runs or is delivered after it returned. Asynchronous tasks that
 * have started go on, but their cancel callbacks are not called any more. Run the loop once more (uv_run in any mode)
 * before uv_loop_close.
 * Ownership: the caller's reference stays and must still be released.
 * Threads: loop thread only, also in a callback of the loop. Blocks: for the length of the callbacks that it delivers.
 * Order: that of completion. Errors: EXECQ_EINVAL (loop NULL), EXECQ_EALREADY (detached before). Since: 0.1. */
EXECQ_API execq_status execq_loop_detach(execq_loop *loop);

/* Keeps uv_run alive whether or not completions are pending; holds are counted.
 * Ownership: none. Threads: any; from another thread it takes effect when the loop wakes up for it, so the loop must be
 *   kept alive until then by something else. Blocks: never. Order: none.
 * Errors: EXECQ_EINVAL (loop NULL), EXECQ_ECLOSED (detached). Since: 0.1. */
EXECQ_API execq_status execq_loop_hold(execq_loop *loop);

/* Takes back one execq_loop_hold.
 * Ownership: none. Threads: any. Blocks: never. Order: none.
 * Errors: EXECQ_EINVAL (loop NULL, no hold left), EXECQ_ECLOSED (detached). Since: 0.1. */
EXECQ_API execq_status execq_loop_unhold(execq_loop *loop);

/* Runs fn(env) as a task on the loop's thread. Inside it execq_fail and execq_cancel_requested act on this task.
 * Ownership: env as the options say (NULL: none). With out, the caller gets one reference to the future; with out NULL
 *   the task is fire and forget. The loop is borrowed for the call.
 * Threads: any; fn never runs inside this call. The loop stays alive until fn ran. From another thread than the loop's,
 *   what keeps it alive has to reach it first: hold an otherwise idle loop (execq_loop_hold) while others submit.
 * Blocks: never. Order: first in, first out, per loop, also with execq_loop_submit_async and execq_loop_call. A
 *   detachment cancels what has not started.
 * Errors: EXECQ_EINVAL (loop or fn NULL, struct_size, env_size without env), EXECQ_ENOTSUP (flags, unknown bytes),
 *   EXECQ_ECLOSED (loop detached), EXECQ_ENOMEM, EXECQ_EAGAIN (the thread that keeps times cannot be started);
 *   EXECQ_ENOTSUP too for a delay_ns above 0: the loop has timers of its own. Since: 0.3. */
EXECQ_API execq_status execq_loop_submit(execq_loop *loop, const execq_task_options *options, execq_fn fn, void *env,
                                         execq_future **out);

/* Calls start(promise, uv_loop, env) on the loop's thread, to begin work that completes the promise later; the future
 * is done when the promise is. Until start is called the future is pending and can be canceled; from then on a
 * cancellation is a request, see execq_promise_on_cancel.
 * Ownership: start owns one reference of the promise, also where an exception leaves it; if the promise is open then,
 *   it is rejected with EXECQ_EEXCEPTION. env as the options say, but it lives until the promise is completed, not only
 *   until start returned: drop(env) runs before the future is done. *out as for execq_loop_submit.
 * Threads: any; start never runs inside this call. The loop stays alive until the promise is completed.
 * Blocks: never. Order: as execq_loop_submit. Errors: those of execq_loop_submit, with start for fn. Since: 0.3. */
EXECQ_API execq_status execq_loop_submit_async(execq_loop *loop, const execq_task_options *options,
                                               execq_async_fn start, void *env, execq_future **out);

/* Runs fn(env) on the loop's thread and waits for it.
 * Ownership: env stays the caller's. *result (may be NULL) gets the value, which is the caller's.
 * Threads: any but the loop's.
 * Blocks: up to timeout_ns nanoseconds (negative: for ever; 0: only looks) until fn has begun, and then for as long as
 *   it runs.
 * Order: as execq_loop_submit; done callbacks that are queued on this thread run first.
 * Errors: EXECQ_EINVAL (loop or fn NULL), EXECQ_EFAILED (see execq_loop_call_error), EXECQ_ETIMEDOUT (fn never ran, nor
 *   will), EXECQ_ECLOSED (loop detached), EXECQ_ECANCELED (detached meanwhile; fn never ran), EXECQ_ENOMEM,
 *   EXECQ_EDEADLK before blocking: on the loop's thread, or while that thread is itself blocked in an execq_… wait,
 *   or drives another loop by execq_run_until.
 * Since: 0.3. */
EXECQ_API execq_status execq_loop_call(execq_loop *loop, execq_fn fn, void *env, int64_t timeout_ns, void **result);

/* Why the calling thread's last execq_loop_call answered EXECQ_EFAILED. A task passes it on with
 * `return execq_fail(execq_error_code(e), execq_error_message(e));`.
 * Ownership: borrowed until the thread's next execq_loop_call, or its end; execq_error_retain keeps it longer.
 * Threads: any. Blocks: never. Order: none. Errors: NULL if it answered anything else. Since: 0.3. */
EXECQ_API const execq_error *execq_loop_call_error(void);

/* Adds a reference.
 * Ownership: the caller owes one execq_loop_release. Threads: any. Blocks: never. Order: none.
 * Errors: NULL is ignored. Since: 0.1. */
EXECQ_API void execq_loop_retain(execq_loop *loop);

/* Gives up a reference. The last one of a loop that is still attached has it detach itself on its thread, at its next
 * iteration; given up on another thread, that takes a loop that something else keeps running.
 * Ownership: the caller's reference ends. Threads: any. Blocks: never. Order: none. Errors: NULL is ignored.
 * Since: 0.1. */
EXECQ_API void execq_loop_release(execq_loop *loop);

#ifdef __cplusplus
}
#endif

#endif
