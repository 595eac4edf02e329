// Situation 4: a coroutine on the program's loop has asynchronous work run on a worker's loop, and goes on with the outcome
// on its own. Worth it where that work takes much of a processor, or too much of the loop's time.
#include "nap.h"
#include "say.h"

#include <cstdint>
#include <execq/execq.hpp>

static void start(execq_promise* promise, uv_loop_t* loop, void* env)
{
    say("the asynchronous work starts");
    nap(promise, loop, env);  // returns at once; the worker then runs the loop
}

static execq::task<> program(execq::loop loop)
{
    const auto alive = loop.hold();  // uv_run goes on until this ends
    std::uint64_t milliseconds = 10;
    execq_future* future = nullptr;
    must("execq_submit_async", execq_submit_async_uv(nullptr, nullptr, start, &milliseconds, &future));
    void* const rest = co_await execq::future<void*>::adopt(future);
    co_await execq::on_loop(loop);
    say(static_cast<const char*>(rest));
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
