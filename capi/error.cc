// Floor 4: error.h.
#include "execq/error.h"

#include "sched/body.h"
#include "task/error.h"

using namespace execq::core;

int32_t execq_fail(int32_t code, const char *message)
{
    if (code == 0)
        code = EXECQ_EFAILED;
    say_failure(code, message);
    return code;
}

int32_t execq_error_code(const execq_error *error) { return error != nullptr ? core_of(error)->code() : 0; }

const char *execq_error_message(const execq_error *error) { return error != nullptr ? core_of(error)->message() : ""; }

void execq_error_retain(const execq_error *error)
{
    if (error != nullptr)
        core_of(error)->retain();
}

void execq_error_release(const execq_error *error)
{
    if (error != nullptr)
        core_of(error)->release();
}
