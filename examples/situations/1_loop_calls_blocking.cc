// Situation 1: a coroutine on the program's loop has a blocking function run, and goes on with the outcome on the loop.
//
// The function blocks until the loop's timer lets it go on: were it to block the loop, neither would ever end.
#include "say.h"

#include <execq/execq.hpp>
#include <semaphore>
#include <string>

static execq::task<> program(std::binary_semaphore& door)
{
    const std::string answer = co_await execq::submit([&door] {
        door.acquire();  // or read a file, ask a database, compute
        say("the blocking function returns");
        return std::string("an answer");
    });
    say(answer.c_str());
}

static void tick(uv_timer_t* timer)
{
    say("the loop goes on meanwhile");
    static_cast<std::binary_semaphore*>(timer->data)->release();
    uv_close(reinterpret_cast<uv_handle_t*>(timer), nullptr);
}

int main()
{
    uv_loop_t* const uv_loop = uv_default_loop();
    std::binary_semaphore door(0);
    uv_timer_t timer;
    must_uv("uv_timer_init", uv_timer_init(uv_loop, &timer));
    timer.data = &door;
    must_uv("uv_timer_start", uv_timer_start(&timer, tick, 10, 0));

    const execq::loop loop = execq::attach(uv_loop);
    auto done = loop.submit_async(program(door));
    uv_run(uv_loop, UV_RUN_DEFAULT);  // ends when the coroutine has
    done.get();                       // throws what left it

    loop.detach();
    uv_run(uv_loop, UV_RUN_DEFAULT);  // closes what is detached
    must_uv("uv_loop_close", uv_loop_close(uv_loop));
}
