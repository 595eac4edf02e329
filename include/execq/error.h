/* Failures: why a future failed, and how a task says so.
 *
 * A failure that nobody consumed is reported, once, when the last reference to its future goes: by a line on stderr, or to
 * the hook of execq_init_conf. Consuming it is asking for the outcome, by execq_future_result, _take or _error, or passing
 * it on, by execq_future_forward. Waiting for it, and being told that the future is done (a callback, a completion of a
 * queue), is not. A failed task that is fire and forget is reported at once; one that ends canceled did not fail. */
#ifndef EXECQ_ERROR_H
#define EXECQ_ERROR_H

#include <execq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Names the failure of the running task: `return execq_fail(code, "what went wrong");`.
 * Ownership: the message is copied; NULL stands for no message.
 * Threads: any; it acts on the task that runs on the calling thread, and only if that task returns the same code. Each
 *   call replaces the one before. Outside a task it only returns the code.
 * Blocks: never. Order: none.
 * Errors: returns `code`, or EXECQ_EFAILED where code is 0 (which would mean success). Where memory is out the message
 *   is lost, the code is not.
 * Since: 0.1. */
EXECQ_API int32_t execq_fail(int32_t code, const char *message);

/* The same with an error that is there already, such as that of a future that this task waited for:
 * `return execq_fail_error(execq_future_error(future));`.
 * Ownership: the error is retained as long as it is needed; the caller's reference, if it is one, stays the caller's.
 * Threads: as execq_fail. Blocks: never. Order: none.
 * Errors: returns the error's code; for NULL EXECQ_EFAILED, without a message. Since: 0.4. */
EXECQ_API int32_t execq_fail_error(const execq_error *error);

typedef struct execq_error_options {
    uint32_t struct_size;
    uint32_t flags;           /* none yet: 0 */
    execq_drop_fn drop;       /* ends the ownership of the payload; NULL: nothing is to be done */
    void *payload;            /* what the maker attaches for those who know its kind: an exception, an object */
    const void *kind;         /* tells whose payload it is: an address of the maker's own, which nobody else uses */
    const char *message;      /* copied; NULL: none */
    const execq_error *cause; /* what led to this; retained; NULL: nothing */
    int32_t code;             /* any but 0 */
    uint32_t reserved;        /* 0 */
} execq_error_options;
#define EXECQ_ERROR_OPTIONS_INIT                                                     \
    {                                                                                \
        (uint32_t)sizeof(execq_error_options), 0, NULL, NULL, NULL, NULL, NULL, 0, 0 \
    }

/* Makes an error, for execq_fail_error, execq_promise_reject_error, or as the cause of another one.
 * Ownership: the caller gets one reference in *out. The payload is taken: drop(payload), if not NULL, runs once: on the
 *   thread that gives up the last reference, or inside the call where it fails. It must not block.
 * Threads: any; an error never changes. Blocks: never.
 * Order: a cause exists before what it led to, so chains have an end. Their length does not matter: giving up the last
 *   reference does not use more stack for a longer one.
 * Errors: EXECQ_EINVAL (options or out NULL, struct_size, code 0), EXECQ_ENOTSUP (flags, unknown bytes), EXECQ_ENOMEM.
 * Since: 0.4. */
EXECQ_API execq_status execq_error_new(const execq_error_options *options, const execq_error **out);

/* The failure's code: what the task returned, or one of EXECQ_EEXCEPTION, EXECQ_EEXITED, EXECQ_EBROKEN.
 * Ownership: borrows the error. Threads: any. Blocks: never. Order: none. Errors: 0 for NULL. Since: 0.1. */
EXECQ_API int32_t execq_error_code(const execq_error *error);

/* The failure's message: that of execq_fail, execq_promise_reject or execq_error_new, an exception's what(), a status text,
 * or "".
 * Ownership: the string lives as long as the error. Threads: any. Blocks: never. Order: none.
 * Errors: "" for NULL. Since: 0.1. */
EXECQ_API const char *execq_error_message(const execq_error *error);

/* What led to the failure; NULL if that is not known.
 * Ownership: borrowed as long as the error lives; execq_error_retain keeps it longer. Threads: any. Blocks: never.
 * Order: none. Errors: NULL for NULL. Since: 0.4. */
EXECQ_API const execq_error *execq_error_cause(const execq_error *error);

/* The payload, if it is of this kind; NULL otherwise.
 * Ownership: borrowed as long as the error lives. Threads: any: what the maker and its readers do with it is theirs to
 *   order. Blocks: never. Order: none. Errors: NULL for NULL. Since: 0.4. */
EXECQ_API void *execq_error_payload(const execq_error *error, const void *kind);

/* Writes the failure and its causes as one text: `28: the disk is full; caused by EXECQ_EEXCEPTION: what it said`.
 * Ownership: fills buffer, of size bytes, always terminated; both may be 0. Threads: any. Blocks: never. Order: none.
 * Errors: none; "" for NULL. Returns the length of the whole text without its end, as snprintf: the text was cut if that is
 *   not below size. Since: 0.4. */
EXECQ_API size_t execq_error_format(const execq_error *error, char *buffer, size_t size);

/* Adds a reference, so that the error outlives its future.
 * Ownership: the caller owes one execq_error_release. Threads: any. Blocks: never. Order: none.
 * Errors: NULL is ignored. Since: 0.1. */
EXECQ_API void execq_error_retain(const execq_error *error);

/* Gives up a reference; the last one frees the error.
 * Ownership: the caller's reference ends. Threads: any. Blocks: never. Order: none. Errors: NULL is ignored.
 * Since: 0.1. */
EXECQ_API void execq_error_release(const execq_error *error);

#ifdef __cplusplus
}
#endif

#endif
