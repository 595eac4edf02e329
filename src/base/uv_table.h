// Floor 0. One libuv copy, as a table of its functions. Two copies never share a loop (docs/decisions.md), so a loop is
// only ever touched through the table of the copy that made it.
#pragma once

#include <cstddef>

#include "execq/loop.h"
#include "execq/status.h"

namespace execq::core {

// What the table had in its first version: enough to attach loops, not to own them.
inline constexpr std::size_t first_uv_table_size = offsetof(execq_uv_table, timer_size);

// What it takes to own loops.
inline constexpr std::size_t owning_uv_table_size =
    offsetof(execq_uv_table, handle_type_name) + sizeof(execq_uv_table::handle_type_name);

// By symbol lookup, as far as `size` covers the table; the rest of *out is zero. EXECQ_ENOTSUP if a symbol is missing or
// the copy is older than 1.44; *out is then unchanged.
execq_status load_uv_table(execq_symbol_fn symbol, void* env, std::size_t size, execq_uv_table* out);

// The libuv that this library is linked to.
const execq_uv_table& own_uv_table();

// Whether a loop can be attached: EXECQ_OK, EXECQ_EINVAL (an entry is missing), EXECQ_ENOTSUP (older than 1.44).
execq_status check_uv_table(const execq_uv_table& table);

// Whether a table that passed check_uv_table() has what it takes to own a loop.
bool can_own_loops(const execq_uv_table& table);

// What libuv's negative errno stands for here.
execq_status status_of_uv(int error);

}  // namespace execq::core
