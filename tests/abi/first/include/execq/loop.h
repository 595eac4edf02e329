/* Loops: a caller's uv_loop_t, attached, so that completions reach its thread.
 *
 * libexecq never touches a caller's loop with its own libuv: a process may hold several copies, and they do not mix. It
 * uses the functions of the table given at attachment. C and C++ callers include execq/uv.h, whose execq_loop_attach
 * fills the table with the libuv that they compile against; other languages use execq_uv_table_load.
 *
 * The loop's thread is the one that attached it, and from then on the one that last ran a delivery: a loop may be set up
 * on one thread and run on another. While a completion is pending the loop is kept alive; with none it may end. */
#ifndef EXECQ_LOOP_H
#define EXECQ_LOOP_H

#include <execq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct uv_loop_s;
struct uv_async_s;
struct uv_handle_s;

/* One libuv copy, as far as libexecq uses it. */
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
    void *(*handle_get_data)(const struct uv_handle_s *handle);
    void (*handle_set_data)(struct uv_handle_s *handle, void *data);
} execq_uv_table;

/* Finds one symbol of a libuv copy by its name; NULL if there is none. */
typedef void *(*execq_symbol_fn)(void *env, const char *name);

/* Fills a table by symbol lookup, for languages that cannot include execq/uv.h. With sym NULL it is the libuv that
 * libexecq itself is linked to.
 * Ownership: the caller sets table->struct_size and owns the table; the library keeps nothing.
 * Threads: any. Blocks: never; sym is called inside. Order: none.
 * Errors: EXECQ_EINVAL (table NULL, struct_size), EXECQ_ENOTSUP (a symbol is missing, or libuv is older than 1.44);
 *   the table is then unchanged. Since: 0.1. */
EXECQ_API execq_status execq_uv_table_load(execq_uv_table *table, execq_symbol_fn sym, void *env);

/* Attaches a loop; doing so twice gives two independent ports.
 * Ownership: the caller gets one reference in *out. The table is copied; NULL is the libuv that libexecq is linked to.
 *   The loop stays the caller's and must outlive the detachment.
 * Threads: loop thread only. Blocks: never.
 * Order: the first iteration of the loop after this call is needed before it may end.
 * Errors: EXECQ_EINVAL (loop or out NULL, a table entry missing, struct_size), EXECQ_ENOTSUP (libuv older than 1.44,
 *   flags, unknown bytes), EXECQ_ENOMEM, EXECQ_EMFILE. Since: 0.1. */
EXECQ_API execq_status execq_loop_attach_uv(struct uv_loop_s *loop, const execq_uv_table *table, execq_loop **out);

/* Detaches a loop: delivers in order what is complete, withdraws the rest (their drops run here); nothing is delivered
 * after it returned. Run the loop once more (uv_run in any mode) before uv_loop_close.
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

/* Adds a reference.
 * Ownership: the caller owes one execq_loop_release. Threads: any. Blocks: never. Order: none.
 * Errors: NULL is ignored. Since: 0.1. */
EXECQ_API void execq_loop_retain(execq_loop *loop);

/* Gives up a reference. The last one of a loop that is still attached has it detach itself on its thread, at its next
 * iteration.
 * Ownership: the caller's reference ends. Threads: any. Blocks: never. Order: none. Errors: NULL is ignored.
 * Since: 0.1. */
EXECQ_API void execq_loop_release(execq_loop *loop);

#ifdef __cplusplus
}
#endif

#endif
