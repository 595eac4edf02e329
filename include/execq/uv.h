/* The libuv side, compiled in the caller so that the caller's own libuv is the one that is used.
 * The only header that includes <uv.h>, and the only one with inline functions. */
#ifndef EXECQ_UV_H
#define EXECQ_UV_H

/* <uv.h> needs POSIX types, which -std=c99 and its like hide unless asked. This helps where this header comes first;
 * elsewhere define _GNU_SOURCE or _POSIX_C_SOURCE yourself, as libuv asks of its users. */
#if defined(__STRICT_ANSI__) && !defined(_GNU_SOURCE) && !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif

#include <execq/loop.h>
#include <execq/status.h>
#include <execq/task.h>
#include <uv.h>

#if UV_VERSION_HEX < ((1 << 16) | (44 << 8))
#error "libexecq needs libuv 1.44 or newer"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Fills a table with the libuv that this file is compiled against.
 * Ownership: the table is the caller's. Threads: any. Blocks: never. Order: none. Errors: none. Since: 0.1. */
static inline void execq_uv_table_here(execq_uv_table *table)
{
    table->struct_size = (uint32_t)sizeof *table;
    table->flags = 0;
    table->version = uv_version();
    table->reserved = 0;
    table->identity = uv_version_string();
    table->loop_size = uv_loop_size();
    table->async_size = uv_handle_size(UV_ASYNC);
    table->async_init = uv_async_init;
    table->async_send = uv_async_send;
    table->close = uv_close;
    table->ref = uv_ref;
    table->unref = uv_unref;
    table->timer_size = uv_handle_size(UV_TIMER);
    table->loop_init = uv_loop_init;
    table->loop_close = uv_loop_close;
    table->loop_alive = uv_loop_alive;
    table->backend_fd = uv_backend_fd;
    table->backend_timeout = uv_backend_timeout;
    table->run = (int (*)(uv_loop_t *, uint32_t))uv_run; /* an enum without negative values is passed as one */
    table->update_time = uv_update_time;
    table->timer_init = uv_timer_init;
    table->timer_start = uv_timer_start;
    table->timer_stop = uv_timer_stop;
    table->walk = uv_walk;
    table->is_closing = uv_is_closing;
    table->handle_type = (uint32_t(*)(const uv_handle_t *))uv_handle_get_type;
    table->handle_type_name = (const char *(*)(uint32_t))uv_handle_type_name;
}

/* Attaches a loop through the libuv that this file is compiled against; see execq_loop_attach_uv for the contract.
 * Ownership: the caller gets one reference in *out; the loop stays the caller's. Threads: loop thread only.
 * Blocks: never. Order: none. Errors: those of execq_loop_attach_uv. Since: 0.1. */
static inline execq_status execq_loop_attach(uv_loop_t *loop, execq_loop **out)
{
    execq_uv_table table;
    execq_uv_table_here(&table);
    return execq_loop_attach_uv(loop, &table, out);
}

/* execq_submit_async with options->uv_identity filled in: where the executor's loops are of another libuv than the one that
 * this file is compiled against, the task is refused instead of being handed a loop that it must not touch.
 * Ownership, Threads, Blocks, Order: as execq_submit_async.
 * Errors: those of execq_submit_async. Options of another version's size are passed on as they are. Since: 0.3. */
static inline execq_status execq_submit_async_uv(execq_executor *executor, const execq_task_options *options,
                                                 execq_async_fn start, void *env, execq_future **out)
{
    execq_task_options checked = EXECQ_TASK_OPTIONS_INIT;
    if (options && options->struct_size != sizeof checked)
        return execq_submit_async(executor, options, start, env, out);
    if (options)
        checked = *options;
    checked.uv_identity = uv_version_string();
    return execq_submit_async(executor, &checked, start, env, out);
}

#ifdef __cplusplus
}
#endif

#endif
