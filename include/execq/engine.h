/* Engines: executors whose work is run by the host. */
#ifndef EXECQ_ENGINE_H
#define EXECQ_ENGINE_H

#include <execq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A task as its engine sees it. The engine has one reference to each task that it took, until it ends it: by
 * execq_engine_task_run, _resolve, _reject or _cancel, or by any answer of _run or _begin but EXECQ_OK and EXECQ_EALREADY.
 * Who may come later than that needs a reference of his own. */
typedef struct execq_engine_task execq_engine_task;

enum {
    /* A task that runs on one of the engine's threads and waits, without a timeout, for another one of the engine that has not
     * started, runs that inside of its wait. Without it, it blocks: an engine of one thread then waits for ever. */
    EXECQ_ENGINE_HELPS = 1
};

/* What a host supplies. Functions are called on any thread, several at once, none under a lock of the library; they must not
 * wait for tasks of the engine. What they throw is caught. */
typedef struct execq_engine_vtable {
    uint32_t struct_size;
    uint32_t flags;     /* EXECQ_ENGINE_… */
    execq_drop_fn drop; /* drop(engine): no task is left, and nothing more is called; may be NULL */
    /* Takes a task. EXECQ_OK: the engine will end it, or has, inside of this call. Any other status is the answer of the
     * submission; then the task is not the engine's. Where the task was accepted before, one of a queue, or of
     * execq_submit_many behind the first, it fails with that status (with EXECQ_ECLOSED it is canceled); a delayed one is
     * canceled, and a run of a series tried again. What it throws stands for EXECQ_EEXCEPTION. Where it has begun or ended the
     * task, the answer does not count. Called on the thread that submits, that ends or begins the one before in a queue, or
     * that keeps times. */
    execq_status (*submit)(void *engine, execq_engine_task *task);
    /* Tells that a task is not needed any more: it was canceled, or is run by a wait, before it began, or was asked to stop
     * after execq_engine_task_begin. The engine may drop it from its queue, or stop it, and still has to end it, which may be
     * inside of this call. The task is borrowed for the call. May come while another thread ends it. May be NULL. */
    void (*cancel)(void *engine, execq_engine_task *task);
    /* The executor was closed: EXECQ_DRAIN, then perhaps EXECQ_CANCEL; each once. After EXECQ_CANCEL the library cancels, on
     * the thread that closes, what has not begun, and asks the rest to stop. Submissions that were accepted before may still
     * be on their way. May be NULL. */
    void (*close)(void *engine, int32_t mode);
    const char *name; /* of the executor; copied; may be NULL */
} execq_engine_vtable;
#define EXECQ_ENGINE_VTABLE_INIT                                               \
    {                                                                          \
        (uint32_t)sizeof(execq_engine_vtable), 0, NULL, NULL, NULL, NULL, NULL \
    }

/* What an engine may know of a task. The caller sets struct_size; the library fills the rest, as far as that goes. */
typedef struct execq_engine_task_info {
    uint32_t struct_size;
    uint32_t flags;   /* 0 */
    const char *name; /* out: "" if it has none; lives as long as the task */
    uint64_t key;     /* out: of its options; 0: none */
    int32_t priority; /* out: EXECQ_PRIORITY_…: a hint */
    uint32_t begun;   /* out: 1: the caller, or another of the engine's, has begun it by execq_engine_task_begin */
    execq_fn fn;      /* out: NULL until it is begun */
    void *env;        /* out: the same; the task's until it is ended */
} execq_engine_task_info;
#define EXECQ_ENGINE_TASK_INFO_INIT                                            \
    {                                                                          \
        (uint32_t)sizeof(execq_engine_task_info), 0, NULL, 0, 0, 0, NULL, NULL \
    }

/* Makes an executor whose tasks are run by the host: all that takes an executor takes it, and futures, completions, queues,
 * groups, contexts, cancel sources, drops, deadlines, delays and series work as with a pool. It has no threads.
 * execq_submit_async is EXECQ_ENOTSUP; a queue with EXECQ_FULL_CALLER_RUNS waits for room. Where the engine ends a task inside
 * of its submit function, the body runs inside of the submission, whose future is done when it returns; its limits are not
 * kept meanwhile. execq_executor_close with EXECQ_CANCEL cancels on the calling thread what has not begun.
 * execq_executor_join waits until the engine has ended each task that it took; on a thread that runs one of them it is
 * EXECQ_EDEADLK.
 * Ownership: the vtable is copied. engine is taken, whatever is answered: drop(engine) runs once, inside the call where that
 *   fails, else after the last release, once the engine has ended its last task, on the thread that does so. The caller gets
 *   one reference in *out.
 * Threads: any. Blocks: never.
 * Order: tasks are handed to the engine in the order of their submission by one thread; each of a queue only when the one
 *   before has begun.
 * Errors: EXECQ_EINVAL (vtable, its submit or out NULL, struct_size), EXECQ_ENOTSUP (flags, unknown bytes), EXECQ_ENOMEM,
 *   EXECQ_EAGAIN (65,535 executors exist). Since: 0.5. */
EXECQ_API execq_status execq_executor_from_vtable(const execq_engine_vtable *vtable, void *engine,
                                                  execq_executor **out);

/* Runs a task here: its body, its drop, and what its end means on the thread that completes it; ends it.
 * Ownership: the engine's reference ends, unless this is EXECQ_EALREADY or EXECQ_EINVAL.
 * Threads: any; of several that do so at once one runs it. The thread is the task's until it returns.
 * Blocks: as the body does.
 * Order: none.
 * Errors: EXECQ_EINVAL (task NULL), EXECQ_EALREADY (begun, running or ended), EXECQ_ECANCELED (canceled before, or run by a
 *   wait: the body does not run, the task is ended). EXECQ_OK says that the body ran, however it ended. Since: 0.5. */
EXECQ_API execq_status execq_engine_task_run(execq_engine_task *task);

/* Begins a task that is run elsewhere: it counts as running, and is to be ended by execq_engine_task_resolve, _reject or
 * _cancel.
 * Ownership: where it answers EXECQ_ECANCELED the engine's reference ends; else it stays.
 * Threads: any; one of several succeeds. Blocks: never. Order: the next task of its queue may be handed to the engine inside.
 * Errors: EXECQ_EINVAL (task NULL), EXECQ_EALREADY (begun, running or ended), EXECQ_ECANCELED (as execq_engine_task_run),
 *   EXECQ_ENOMEM (it has not begun). Since: 0.5. */
EXECQ_API execq_status execq_engine_task_begin(execq_engine_task *task);

/* Ends a task with a value, as if its body had returned 0; begins it, if that was not done. Its drop runs here.
 * Ownership: on EXECQ_OK the value is the future's, otherwise it stays the caller's; the engine's reference ends, unless this
 *   is EXECQ_EALREADY or EXECQ_EINVAL.
 * Threads: any. Blocks: never; completes the future on this thread. Order: the first end wins.
 * Errors: EXECQ_EINVAL (task NULL), EXECQ_EALREADY (running here, or ended), EXECQ_ECANCELED (as execq_engine_task_run).
 * Since: 0.5. */
EXECQ_API execq_status execq_engine_task_resolve(execq_engine_task *task, void *value);

/* Ends a task with a failure, as if its body had returned that code; with EXECQ_ECANCELED after a cancel request it ends
 * canceled. Else as execq_engine_task_resolve.
 * Ownership: the message is copied; NULL: none. The engine's reference ends, unless this is EXECQ_EALREADY, EXECQ_EINVAL or
 *   EXECQ_ENOMEM.
 * Threads, Blocks, Order: as execq_engine_task_resolve.
 * Errors: as that, and EXECQ_EINVAL (code 0), EXECQ_ENOMEM (for the message; the task is as it was). Since: 0.5. */
EXECQ_API execq_status execq_engine_task_reject(execq_engine_task *task, int32_t code, const char *message);

/* Ends a task that the engine cannot run, or has lost: canceled, for the reason EXECQ_REASON_SHUTDOWN unless it was asked to
 * stop before for another one.
 * Ownership: the engine's reference ends, unless this is EXECQ_EALREADY or EXECQ_EINVAL.
 * Threads, Blocks, Order: as execq_engine_task_resolve.
 * Errors: EXECQ_EINVAL (task NULL), EXECQ_EALREADY (running here, or ended), EXECQ_ECANCELED (it was canceled before: the
 *   task is ended all the same). Since: 0.5. */
EXECQ_API execq_status execq_engine_task_cancel(execq_engine_task *task);

/* Says whether the task was asked to stop, or canceled.
 * Ownership: none. Threads: any. Blocks: never. Order: none. Errors: EXECQ_EINVAL (task NULL). Returns 1 or 0.
 * Since: 0.5. */
EXECQ_API int32_t execq_engine_task_cancel_requested(execq_engine_task *task);

/* Tells what an engine may know of a task.
 * Of a task with EXECQ_TASK_INTERRUPT, fn is one of the library's, which can only run in this process.
 * Ownership: what out names is the task's. Threads: any. Blocks: never. Order: none.
 * Errors: EXECQ_EINVAL (task or out NULL, struct_size), EXECQ_ENOTSUP (flags, unknown bytes), EXECQ_EALREADY (it has ended).
 * Since: 0.5. */
EXECQ_API execq_status execq_engine_task_info_get(execq_engine_task *task, execq_engine_task_info *out);

/* Adds a reference, which keeps the task answering EXECQ_EALREADY after its end, also after the end of its executor.
 * Ownership: the caller owes one execq_engine_task_release. Threads: any. Blocks: never. Order: none.
 * Errors: NULL is ignored. Since: 0.5. */
EXECQ_API void execq_engine_task_retain(execq_engine_task *task);

/* Gives up a reference of execq_engine_task_retain.
 * Ownership: the caller's reference ends. Threads: any. Blocks: never. Order: none. Errors: NULL is ignored. Since: 0.5. */
EXECQ_API void execq_engine_task_release(execq_engine_task *task);

#ifdef __cplusplus
}
#endif

#endif
