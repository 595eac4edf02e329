/* Failures: why a future failed, and how a task says so. */
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

/* The failure's code: what the task returned, or one of EXECQ_EEXCEPTION, EXECQ_EEXITED, EXECQ_EBROKEN.
 * Ownership: borrows the error. Threads: any. Blocks: never. Order: none. Errors: 0 for NULL. Since: 0.1. */
EXECQ_API int32_t execq_error_code(const execq_error *error);

/* The failure's message: that of execq_fail or execq_promise_reject, an exception's what(), a status text, or "".
 * Ownership: the string lives as long as the error. Threads: any. Blocks: never. Order: none.
 * Errors: "" for NULL. Since: 0.1. */
EXECQ_API const char *execq_error_message(const execq_error *error);

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
