// Floor 2. What becomes of the default executors when the process ends by exit(): see execq_conf.
//
// A handler of atexit() closes what NULL stands for, that is the configured executor and the library's own, and waits for their
// threads, at most as long as was chosen. The thread that is in exit() may be one of these, also in a destructor of a
// thread-local: it is counted out first. No lock of the library is held while user code runs, so exit() may be called from
// all of it.
//
// Threads that are left end with the process. _exit() and quick_exit() call no such handler.
#pragma once

#include <cstdint>

#include "execq/conf.h"

namespace execq::core {

// 0 keeps what there is: EXECQ_EXIT_…, and nanoseconds (negative: none).
void set_exit_policy(std::int32_t policy, std::int64_t wait_ns);

// Has the handler called at the end of this process. It runs before those that are registered already.
void expect_exit();

}  // namespace execq::core
