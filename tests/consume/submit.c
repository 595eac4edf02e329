/* A program that uses the library and no libuv of its own. Compiles as C and as C++. */
#include <execq/execq.h>
#include <stdio.h>

static int32_t square(void *env, void **result)
{
    int *number = (int *)env;
    *number *= *number;
    *result = number;
    return 0;
}

int main(void)
{
    int number = 12;
    void *value = NULL;
    execq_future *future = NULL;
    execq_status status = execq_submit(NULL, square, &number, &future);
    if (status == EXECQ_OK)
        status = execq_future_wait(future, -1);
    if (status == EXECQ_OK)
        status = execq_future_result(future, &value);
    execq_future_release(future);
    if (status != EXECQ_OK || value != &number || number != 144) {
        fprintf(stderr, "execq_submit: %s\n", execq_status_text(status));
        return 1;
    }
    if (execq_version() != EXECQ_VERSION) {
        fprintf(stderr, "headers and library differ: %s\n", execq_version_string());
        return 1;
    }
    puts(execq_version_string());
    return 0;
}
