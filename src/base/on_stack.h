// Floor 0. Whether a function is running further up this thread's stack.
#pragma once

namespace execq::core {

// By unwinding: some microseconds, for questions that are seldom asked. False too where frames in between have no
// unwind information, or the address is that of a stub (a program that is not position independent).
bool on_stack(const void* function);

}  // namespace execq::core
