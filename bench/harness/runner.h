// bench/harness. Runs the cases: in each repetition every peer has its turn, and the order rotates from one repetition to
// the next, so that the noise of the machine hits all alike. Prints medians with least and most, and writes the samples.
#pragma once

#include "harness/case.h"

namespace bench {

// The main function of a program of the suite. Answers 1 if any sample failed.
int run_family(const Family& family, int argc, char** argv);

}  // namespace bench
