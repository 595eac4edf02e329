// Programs from libFuzzer.
#include "process.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    fuzz::run_input(data, size);
    return 0;
}
