// Situation 3: as situation 2, from a coroutine on the program's loop. Two loops run, each on a thread of its own: the
// program's goes on, the worker's does what the blocking function needs.
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

static execq::task<> program()
{
    const std::string rest = co_await execq::submit(block_on_loop_work, std::chrono::milliseconds(10));
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
