// Situation 5: a program without a loop has asynchronous work run on a worker's loop, and waits for it. The work may be a
// coroutine, as in situation 4, or callbacks of libuv that complete a promise, as here.
#include "nap.hpp"
#include "say.h"

#include <chrono>
#include <execq/execq.hpp>
#include <string>
#include <utility>

int main()
{
    auto rest = execq::submit_async([](execq::promise<std::string> promise, uv_loop_t* loop) {
        say("the asynchronous work starts");
        nap(std::move(promise), loop, std::chrono::milliseconds(10));  // returns at once; the worker then runs the loop
    });
    say(rest.get().c_str());
}
