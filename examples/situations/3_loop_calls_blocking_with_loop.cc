// Situation 3: as situation 2, from a coroutine on the program's loop. Two loops run, each on a thread of its own: the
// program's goes on, the worker's does what the blocking function needs.
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

static execq::task<> program(execq::loop loop)
{
    const auto alive = loop.hold();  // uv_run goes on until this ends
    const std::string rest = co_await execq::submit(block_on_loop_work, std::chrono::milliseconds(10));
    co_await execq::on_loop(loop);
    say(rest.c_str());
}

int main()
{
    uv_loop_t* const uv_loop = uv_default_loop();
    const execq::loop loop = execq::attach(uv_loop);
    auto done = execq::start(program(loop));
    uv_run(uv_loop, UV_RUN_DEFAULT);
    done.get();  // throws what left the coroutine

    loop.detach();
    uv_run(uv_loop, UV_RUN_DEFAULT);  // closes what is detached
    must_uv("uv_loop_close", uv_loop_close(uv_loop));
}
