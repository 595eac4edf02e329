// Situation 4: a coroutine on the program's loop has another one run on a worker's loop, and goes on with the outcome on
// its own. Worth it where that work takes much of a processor, or too much of the loop's time.
#include "nap.hpp"
#include "say.h"

#include <chrono>
#include <execq/execq.hpp>
#include <string>

static execq::task<std::string> work(std::chrono::milliseconds length)
{
    say("the asynchronous work starts");
    co_return co_await nap(length);  // the worker runs its loop meanwhile
}

static execq::task<> program()
{
    const std::string rest = co_await execq::submit_async(work(std::chrono::milliseconds(10)));
    say(rest.c_str());
}

int main()
{
    uv_loop_t* const uv_loop = uv_default_loop();
    const execq::loop loop = execq::attach(uv_loop);
    auto done = loop.submit_async(program());
    uv_run(uv_loop, UV_RUN_DEFAULT);  // ends when the coroutine has
    done.get();                       // throws what left it

    loop.detach();
    uv_run(uv_loop, UV_RUN_DEFAULT);  // closes what is detached
    must_uv("uv_loop_close", uv_loop_close(uv_loop));
}
