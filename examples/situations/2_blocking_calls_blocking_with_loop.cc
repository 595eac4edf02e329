// Situation 2: a program without a loop has a blocking function run that needs a loop: it uses its worker's own.
#include "nap.hpp"
#include "say.h"

#include <chrono>
#include <execq/execq.hpp>
#include <string>
#include <utility>

static std::string block_on_loop_work(std::chrono::milliseconds length)
{
    uv_loop_t* loop = nullptr;  // this thread's own: it is made here, at the first call
    must("execq_thread_loop", execq_thread_loop(&loop));
    execq::promise<std::string> promise;
    auto rest = promise.get_future();

    say("the blocking function starts work on its loop");
    nap(std::move(promise), loop, length);
    must("execq_run_until", execq_run_until(rest.native(), -1));  // runs the loop, here
    say("the blocking function returns");
    return rest.get();
}

int main()
{
    auto rest = execq::submit(block_on_loop_work, std::chrono::milliseconds(10));
    say(rest.get().c_str());
}
