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
    table->handle_get_data = uv_handle_get_data;
    table->handle_set_data = uv_handle_set_data;
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

#ifdef __cplusplus
}
#endif

#endif
