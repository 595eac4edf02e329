/* Situation 3: as situation 2, from a program that runs a loop. Two loops run, each on a thread of its own: the program's
 * goes on, the worker's does what the blocking function needs. */
#include "say.h"

#include "nap.h"

static int32_t block_on_loop_work(void *env, void **result)
{
    uv_loop_t *loop; /* this thread's own: it is made here, at the first call */
    execq_promise *promise;
    execq_future *rest;
    execq_status status = execq_thread_loop(&loop);

    if (status == EXECQ_OK)
        status = execq_promise_new(NULL, &promise, &rest);
    if (status != EXECQ_OK)
        return execq_fail(status, execq_status_text(status));
    say("the blocking function starts work on its loop");
    nap(promise, loop, env);
    status = execq_run_until(rest, -1); /* runs the loop, here */
    if (status == EXECQ_OK)
        status = execq_future_result(rest, result);
    execq_future_release(rest);
    say("the blocking function returns");
    return status;
}

static void done(execq_future *future, void *env)
{
    void *answer = NULL;

    (void)env;
    must("the blocking function", execq_future_result(future, &answer));
    say(answer);
}

int main(void)
{
    uv_loop_t *loop = uv_default_loop();
    uint64_t milliseconds = 10;
    execq_loop *port;

    must("execq_loop_attach", execq_loop_attach(loop, &port));
    must("execq_submit_to_loop",
         execq_submit_to_loop(NULL, NULL, block_on_loop_work, &milliseconds, port, done, NULL, NULL));
    uv_run(loop, UV_RUN_DEFAULT); /* ends when done has run */

    must("execq_loop_detach", execq_loop_detach(port));
    execq_loop_release(port);
    uv_run(loop, UV_RUN_DEFAULT); /* closes what is detached */
    must_uv("uv_loop_close", uv_loop_close(loop));
    return 0;
}
