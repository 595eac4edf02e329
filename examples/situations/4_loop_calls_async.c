/* Situation 4: a program that runs a loop has asynchronous work run on a worker's loop, and hears of the outcome on its
 * own. Worth it where that work takes much of a processor, or too much of the loop's time. */
#include "say.h"

#include "nap.h"

static void start(execq_promise *promise, uv_loop_t *loop, void *env)
{
    say("the asynchronous work starts");
    nap(promise, loop, env); /* returns at once; the worker then runs the loop */
}

static void done(execq_future *future, void *env)
{
    void *answer = NULL;

    (void)env;
    must("the asynchronous work", execq_future_result(future, &answer));
    say(answer);
}

int main(void)
{
    uv_loop_t *loop = uv_default_loop();
    uint64_t milliseconds = 10;
    execq_loop *port;
    execq_future *future;

    must("execq_loop_attach", execq_loop_attach(loop, &port));
    must("execq_submit_async", execq_submit_async_uv(NULL, NULL, start, &milliseconds, &future));
    must("execq_future_on_loop", execq_future_on_loop(future, port, done, NULL, NULL));
    execq_future_release(future);
    uv_run(loop, UV_RUN_DEFAULT); /* ends when done has run */

    must("execq_loop_detach", execq_loop_detach(port));
    execq_loop_release(port);
    uv_run(loop, UV_RUN_DEFAULT); /* closes what is detached */
    must_uv("uv_loop_close", uv_loop_close(loop));
    return 0;
}
