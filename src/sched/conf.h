// Floor 2. What a NULL executor stands for.
#pragma once

#include <array>

#include "sched/executor.h"

namespace execq::core {

// Retains the executor until it is replaced; null clears.
void configure_executor(Executor* executor);

// The configured one, else the library's own default, made at first use. One handle to the caller.
// EXECQ_OK, EXECQ_ENOMEM, EXECQ_EAGAIN; EXECQ_ECLOSED where it would be made now, but the process has ended it.
execq_status resolve_executor(Executor** out);

// The same without a handle, where that is an executor that is never given up: the library's own. Else null.
Executor* lasting_executor();

// The configured one and the library's own, each a handle to the caller or null. From here on none is made.
using StandingExecutors = std::array<Executor*, 2>;
StandingExecutors end_configuration();

}  // namespace execq::core
