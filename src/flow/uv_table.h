// Floor 3. One libuv copy, as a table of its functions. Two copies never share a loop (docs/decisions.md), so a caller's
// loop is only ever touched through the caller's table.
#pragma once

#include "execq/loop.h"
#include "execq/status.h"

namespace execq::core {

// By symbol lookup. EXECQ_ENOTSUP if a symbol is missing or the copy is older than 1.44; *out is then unchanged.
execq_status load_uv_table(execq_symbol_fn symbol, void* env, execq_uv_table* out);

// The libuv that this library is linked to.
const execq_uv_table& own_uv_table();

// EXECQ_OK, EXECQ_EINVAL (an entry is missing), EXECQ_ENOTSUP (older than 1.44).
execq_status check_uv_table(const execq_uv_table& table);

}  // namespace execq::core
