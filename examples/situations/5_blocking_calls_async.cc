// Situation 5: a program without a loop has asynchronous work run on a worker's loop, and waits for it.
#include "nap.h"
#include "say.h"

#include <cstdint>
#include <execq/execq.hpp>

static void start(execq_promise* promise, uv_loop_t* loop, void* env)
{
    say("the asynchronous work starts");
    nap(promise, loop, env);  // returns at once; the worker then runs the loop
}

int main()
{
    std::uint64_t milliseconds = 10;
    execq_future* future = nullptr;
    must("execq_submit_async", execq_submit_async_uv(nullptr, nullptr, start, &milliseconds, &future));
    auto rest = execq::future<void*>::adopt(future);
    say(static_cast<const char*>(rest.get()));
}
