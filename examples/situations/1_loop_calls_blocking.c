/* Situation 1: a program that runs a loop has a blocking function run, and hears of the outcome on its loop.
 *
 * The function blocks until the loop's timer lets it go on: were it to block the loop, neither would ever end. */
#include "say.h"

static int32_t block(void *env, void **result)
{
    uv_sem_wait(env); /* or read a file, ask a database, compute */
    say("the blocking function returns");
    *result = "an answer";
    return 0;
}

static void done(execq_future *future, void *env)
{
    void *answer = NULL;

    (void)env;
    must("the blocking function", execq_future_result(future, &answer));
    say(answer);
}

static void tick(uv_timer_t *timer)
{
    say("the loop goes on meanwhile");
    uv_sem_post(timer->data);
    uv_close((uv_handle_t *)timer, NULL);
}

int main(void)
{
    uv_loop_t *loop = uv_default_loop();
    execq_loop *port;
    uv_sem_t door;
    uv_timer_t timer;

    must_uv("uv_sem_init", uv_sem_init(&door, 0));
    must_uv("uv_timer_init", uv_timer_init(loop, &timer));
    timer.data = &door;
    must_uv("uv_timer_start", uv_timer_start(&timer, tick, 10, 0));

    must("execq_loop_attach", execq_loop_attach(loop, &port));
    must("execq_submit_to_loop", execq_submit_to_loop(NULL, NULL, block, &door, port, done, NULL, NULL));
    uv_run(loop, UV_RUN_DEFAULT); /* ends when done has run */

    must("execq_loop_detach", execq_loop_detach(port));
    execq_loop_release(port);
    uv_run(loop, UV_RUN_DEFAULT); /* closes what is detached */
    must_uv("uv_loop_close", uv_loop_close(loop));
    uv_sem_destroy(&door);
    return 0;
}
