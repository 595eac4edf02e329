// Floor 2. What a NULL executor stands for.
#pragma once

#include "sched/executor.h"

namespace execq::core {

// Retains the executor until it is replaced; null clears.
void configure_executor(Executor* executor);

// The configured one, else the library's own default, made at first use. One handle to the caller.
// EXECQ_OK, EXECQ_ENOMEM, EXECQ_EAGAIN.
execq_status resolve_executor(Executor** out);

// The same without a handle, where that is an executor that is never given up: the library's own. Else null.
Executor* lasting_executor();

}  // namespace execq::core
