/* Contexts: variables that follow the work, from who submits it to the thread that runs it.
 *
 * Each thread has one active context, which is empty at first. Setting a variable replaces it by one that differs in that
 * variable; a context itself never changes, so that to capture it is to add a reference, whatever it holds.
 *
 * What is active where work begins is captured: by each submission that names no context of its own, by execq_promise_new
 * and by execq_sleep. It is active while that work runs: in the body, the start function and the cancel callback of an
 * asynchronous task, and in the done callbacks of its future, on whichever thread; a future keeps its context until its
 * last release. What they set is theirs: at their end the thread has back what was active before. Callbacks of libuv on a
 * thread's own loop (execq_thread_loop) and drops run under the empty context; what they set is gone when they return.
 *
 * Values are owned by the contexts that hold them: a variable's drop runs once for each value, on the thread that gives up
 * the last of these. */
#ifndef EXECQ_CONTEXT_H
#define EXECQ_CONTEXT_H

#include <execq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The context without any variable, as a constant; execq_context_empty gives the same to other languages. It needs no
 * references: retain and release ignore it. NULL is no context: in options it stands for the active one. */
#define EXECQ_CONTEXT_EMPTY ((execq_context *)1)

/* A variable: what a value is found by. Reference counted. */
typedef struct execq_var execq_var;

/* Names one execq_var_set, so that it can be undone. Never 0, and never used again. */
typedef uint64_t execq_var_token;

/* Called by execq_context_run. */
typedef void (*execq_context_fn)(void *env);

typedef struct execq_var_options {
    uint32_t struct_size;
    uint32_t flags;     /* none yet: 0 */
    execq_drop_fn drop; /* ends the ownership of a value (a NULL one too), once for each execq_var_set that succeeded */
    const char *name;   /* for people who debug; copied; NULL: none */
} execq_var_options;
#define EXECQ_VAR_OPTIONS_INIT                             \
    {                                                      \
        (uint32_t)sizeof(execq_var_options), 0, NULL, NULL \
    }

/* A context of another kind that has to follow the work, too: a language's own variables, the span of a tracer. It is
 * captured, entered and left together with ours. The functions run on the threads named, must not block and must not
 * submit work; they get env first. Any of them may be called by several threads at a time. */
typedef struct execq_context_provider {
    uint32_t struct_size;
    uint32_t flags;   /* none yet: 0 */
    const char *name; /* for reports on stderr; copied; NULL: none */
    /* On the capturing thread: *state (NULL before the call) gets what is active there now, or NULL for nothing that would
       have to be entered. EXECQ_OK, or a negative status, which the capturing call then answers. */
    execq_status (*capture)(void *env, void **state);
    /* Makes a state (never NULL) active on this thread; *entered (NULL before the call) gets what leave needs. A state may
       be entered any number of times, also by several threads at a time and nested in itself: a state that can be active
       but once has to be copied here. EXECQ_OK, or a negative status: then nothing was entered. */
    execq_status (*enter)(void *env, void *state, void **entered);
    /* On the thread that entered, in the opposite order: has back what was active before. */
    void (*leave)(void *env, void *state, void *entered);
    /* On any thread, once, when nobody needs the state any more. NULL: nothing to do. */
    void (*release)(void *env, void *state);
    void *env;
} execq_context_provider;
#define EXECQ_CONTEXT_PROVIDER_INIT                                                     \
    {                                                                                   \
        (uint32_t)sizeof(execq_context_provider), 0, NULL, NULL, NULL, NULL, NULL, NULL \
    }

/* Makes a variable, which no context has a value of yet.
 * Ownership: the caller gets one reference; values have references of their own. options may be NULL.
 * Threads: any. Blocks: never. Order: none.
 * Errors: EXECQ_EINVAL (out NULL, struct_size), EXECQ_ENOTSUP (flags, unknown bytes), EXECQ_ENOMEM. Since: 0.4. */
EXECQ_API execq_status execq_var_new(const execq_var_options *options, execq_var **out);

/* Adds a reference.
 * Ownership: the caller owes one execq_var_release. Threads: any. Blocks: never. Order: none. Errors: NULL is ignored.
 * Since: 0.4. */
EXECQ_API void execq_var_retain(execq_var *var);

/* Gives up a reference.
 * Ownership: the caller's reference ends; values that were set stay. Threads: any. Blocks: never. Order: none.
 * Errors: NULL is ignored. Since: 0.4. */
EXECQ_API void execq_var_release(execq_var *var);

/* Gives the variable a value in the active context of this thread.
 * Ownership: on EXECQ_OK the value is the context's, and of those that are made of it; otherwise it stays the caller's.
 *   *token (token may be NULL) names this set; until it is used, or the task, the callback or the execq_context_run that it
 *   was set in has ended, or the thread, it keeps what was active before: ask for none where no reset follows.
 * Threads: any, the calling one only is affected. Blocks: never. Order: none.
 * Errors: EXECQ_EINVAL (var NULL), EXECQ_ENOMEM. Since: 0.4. */
EXECQ_API execq_status execq_var_set(execq_var *var, void *value, execq_var_token *token);

/* Looks the variable up in the active context of this thread. Returns 1 with its value, or 0 with *value NULL where it has
 * none.
 * Ownership: the value is borrowed: a captured context keeps it; without one it may end with the next set or reset on this
 *   thread, or at the end of the task, callback or execq_context_run.
 * Threads: any. Blocks: never. Order: none. Errors: EXECQ_EINVAL (var or value NULL). Since: 0.4. */
EXECQ_API int32_t execq_var_get(execq_var *var, void **value);

/* Undoes one set: the variable is again what it was before it, with a value or without. Other variables stay. The tokens of
 * one variable are best used in the opposite order of their sets, but may be in any.
 * Ownership: the token is used up. Threads: that of the set, in the same task, callback or execq_context_run, or outside of
 *   all. Blocks: never. Order: none.
 * Errors: EXECQ_EINVAL (var NULL, a token that was used, of another variable, or of a set elsewhere), EXECQ_ENOMEM (the
 *   token is still good; never for that of the last change). Since: 0.4. */
EXECQ_API execq_status execq_var_reset(execq_var *var, execq_var_token token);

/* Captures what is active on this thread now.
 * Ownership: the caller gets one reference in *out: never NULL, EXECQ_CONTEXT_EMPTY where nothing is active.
 * Threads: any. Blocks: never; takes the same time however many variables there are. Order: none.
 * Errors: EXECQ_EINVAL (out NULL); with providers EXECQ_ENOMEM, EXECQ_EEXCEPTION, and what a capture answers.
 * Since: 0.4. */
EXECQ_API execq_status execq_context_capture(execq_context **out);

/* Calls fn(env) with the context active, here and now. The same context may be active several times, on this thread and on
 * others.
 * Ownership: the context is borrowed for the call. What fn sets is gone at its end; to keep it, fn captures.
 * Threads: any. Blocks: as fn does. Order: none. pthread_exit in fn passes through, as it does in a task.
 * Errors: EXECQ_EINVAL (context or fn NULL), EXECQ_EEXCEPTION (one left fn; the context is left all the same), and, fn not
 *   called, what a provider's enter answers. Since: 0.4. */
EXECQ_API execq_status execq_context_run(execq_context *context, execq_context_fn fn, void *env);

/* Gives EXECQ_CONTEXT_EMPTY.
 * Ownership: none: it needs no references. Threads: any. Blocks: never. Order: none. Errors: none. Since: 0.4. */
EXECQ_API execq_context *execq_context_empty(void);

/* Adds a reference.
 * Ownership: the caller owes one execq_context_release. Threads: any. Blocks: never. Order: none.
 * Errors: NULL and EXECQ_CONTEXT_EMPTY are ignored. Since: 0.4. */
EXECQ_API void execq_context_retain(execq_context *context);

/* Gives up a reference.
 * Ownership: the caller's reference ends; the last one of a value runs its drop on this thread.
 * Threads: any. Blocks: never. Order: none. Errors: NULL and EXECQ_CONTEXT_EMPTY are ignored. Since: 0.4. */
EXECQ_API void execq_context_release(execq_context *context);

/* Has every context that is captured from now on carry the provider's, too, for the rest of the process.
 * Where a capture fails, the submission does. Where an enter fails, the task fails with that status and its body does not
 * run; a callback runs all the same, with its variables but without any foreign context, and a line on stderr says so.
 * Ownership: the table is copied; its functions and env are used for as long as the process lives.
 * Threads: any. Blocks: never. Order: providers are entered in the order in which they were added, and left in the opposite
 *   one.
 * Errors: EXECQ_EINVAL (provider NULL, struct_size, capture, enter or leave NULL), EXECQ_EALREADY (one with this capture and
 *   env), EXECQ_ENOTSUP (flags, unknown bytes, more than 8), EXECQ_ENOMEM. Since: 0.4. */
EXECQ_API execq_status execq_context_provider_add(const execq_context_provider *provider);

#ifdef __cplusplus
}
#endif

#endif
