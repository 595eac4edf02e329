// The tables of scenarios, one for each file of them.
#pragma once

#include "frame.h"

namespace faults {

Scenarios task_scenarios();
Scenarios future_scenarios();
Scenarios loop_scenarios();
Scenarios life_scenarios();
Scenarios observe_scenarios();
Scenarios cpp_scenarios();

}  // namespace faults
