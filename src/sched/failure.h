// Floor 2. What the running task said by execq_fail, until it returns.
#pragma once

#include <cstdint>

#include "task/error.h"
#include "task/node.h"

namespace execq::core {

// Replaces what was said before; keeps nothing where memory is out.
void set_failure(std::int32_t code, const char* message);
void clear_failure();
// What was said for this code, to be owned by the caller; null otherwise.
Error* take_failure(std::int32_t code);

}  // namespace execq::core
