// Situation 2: a program without a loop has a blocking function run that needs a loop: it uses its worker's own.
#include "nap.hpp"
#include "say.h"

#include <chrono>
#include <execq/execq.hpp>
#include <string>

static std::string block_on_loop_work(std::chrono::milliseconds length)
{
    say("the blocking function starts work on its loop");
    auto rest = nap(length);  // on this thread's own loop, which is made at the first call
    rest.run_until();         // runs the loop, here
    say("the blocking function returns");
    return rest.get();
}

int main()
{
    auto rest = execq::submit(block_on_loop_work, std::chrono::milliseconds(10));
    say(rest.get().c_str());
}
