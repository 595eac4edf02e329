/* Situation 5: a program without a loop has asynchronous work run on a worker's loop, and waits for it. */
#include "say.h"

#include "nap.h"

static void start(execq_promise *promise, uv_loop_t *loop, void *env)
{
    say("the asynchronous work starts");
    nap(promise, loop, env); /* returns at once; the worker then runs the loop */
}

int main(void)
{
    uint64_t milliseconds = 10;
    execq_future *future;
    void *answer;

    must("execq_submit_async", execq_submit_async_uv(NULL, NULL, start, &milliseconds, &future));
    must("execq_future_wait", execq_future_wait(future, -1));
    must("the asynchronous work", execq_future_result(future, &answer));
    say(answer);
    execq_future_release(future);
    return 0;
}
