// Floor 0. Telling pthread_exit from an exception, inside catch (...).
#pragma once

#include <exception>

namespace execq::core {

// pthread_exit unwinds the stack, and glibc insists that whoever catches that lets it go on. It is no C++ exception, so
// there is no exception_ptr for it. (Catching abi::__forced_unwind& says the same, but binds a null reference.)
inline bool is_thread_exit() { return std::current_exception() == nullptr; }

}  // namespace execq::core
