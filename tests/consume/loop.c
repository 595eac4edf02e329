/* A program with a libuv loop of its own, through execq/uv.h. Compiles as C and as C++. */
#include <execq/uv.h>

#include <execq/execq.h>
#include <stdio.h>

static int32_t work(void *env, void **result)
{
    *result = env;
    return 0;
}

static void done(execq_future *future, void *env)
{
    void *value = NULL;
    if (execq_future_result(future, &value) == EXECQ_OK)
        *(void **)env = value;
}

int main(void)
{
    int here = 0;
    void *seen = NULL;
    uv_loop_t loop;
    execq_loop *port = NULL;
    if (uv_loop_init(&loop) != 0)
        return 1;
    execq_status status = execq_loop_attach(&loop, &port);
    if (status == EXECQ_OK)
        status = execq_submit_to_loop(NULL, NULL, work, &here, port, done, &seen, NULL);
    if (status == EXECQ_OK)
        uv_run(&loop, UV_RUN_DEFAULT);
    execq_loop_detach(port);
    execq_loop_release(port);
    uv_run(&loop, UV_RUN_DEFAULT);
    if (status != EXECQ_OK || seen != &here || uv_loop_close(&loop) != 0) {
        fprintf(stderr, "the completion did not come: %s\n", execq_status_text(status));
        return 1;
    }
    puts("delivered");
    return 0;
}
