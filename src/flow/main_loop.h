// Floor 3. The main loop of the process.
#pragma once

#include "flow/loop_port.h"

namespace execq::core {

// Retains the port until it is replaced; null clears.
void configure_main_loop(LoopPort* port);

// One handle to the caller; null if none is configured.
LoopPort* main_loop();

}  // namespace execq::core
