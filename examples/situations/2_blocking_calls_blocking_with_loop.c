/* Situation 2: a program without a loop has a blocking function run that needs a loop: it uses its worker's own. */
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

int main(void)
{
    uint64_t milliseconds = 10;
    execq_future *future;
    void *answer;

    must("execq_submit", execq_submit(NULL, block_on_loop_work, &milliseconds, &future));
    must("execq_future_wait", execq_future_wait(future, -1));
    must("the blocking function", execq_future_result(future, &answer));
    say(answer);
    execq_future_release(future);
    return 0;
}
