// Floor 4: error.h.
#include "execq/error.h"

#include "edge.h"
#include "sched/body.h"
#include "task/callbacks.h"
#include "task/error.h"

using namespace execq::core;

int32_t execq_fail(int32_t code, const char *message)
{
    if (code == 0)
        code = EXECQ_EFAILED;
    say_failure(Error::make(code, message));
    return code;
}

int32_t execq_fail_error(const execq_error *error)
{
    if (error == nullptr)
        return execq_fail(EXECQ_EFAILED, nullptr);
    core_of(error)->retain();
    say_failure(core_of(error));
    return core_of(error)->code();
}

namespace {

execq_status make_error(const execq_error_options *options, const execq_error **out)
{
    execq_error_options read;
    const execq_status status = read_options(options, 0, read);
    if (status != EXECQ_OK)
        return status;
    if (out == nullptr || read.code == 0 || read.reserved != 0)
        return EXECQ_EINVAL;
    Error *error = Error::make(read.code, read.message, core_of(read.cause), {read.payload, read.kind, read.drop});
    if (error == nullptr)
        return EXECQ_ENOMEM;
    *out = handle_of(error);
    return EXECQ_OK;
}

bool covers_payload(const execq_error_options *options)
{
    return options != nullptr &&
           options->struct_size >= offsetof(execq_error_options, payload) + sizeof options->payload;
}

}  // namespace

execq_status execq_error_new(const execq_error_options *options, const execq_error **out)
{
    const execq_status status = make_error(options, out);
    if (status != EXECQ_OK && covers_payload(options)) {
        const CallbackScope scope;
        call_drop(options->drop, options->payload);
    }
    return status;
}

int32_t execq_error_code(const execq_error *error) { return error != nullptr ? core_of(error)->code() : 0; }

const char *execq_error_message(const execq_error *error) { return error != nullptr ? core_of(error)->message() : ""; }

const execq_error *execq_error_cause(const execq_error *error)
{
    return error != nullptr ? handle_of(core_of(error)->cause()) : nullptr;
}

void *execq_error_payload(const execq_error *error, const void *kind)
{
    if (error == nullptr || core_of(error)->payload().kind != kind)
        return nullptr;
    return core_of(error)->payload().value;
}

size_t execq_error_format(const execq_error *error, char *buffer, size_t size)
{
    if (buffer == nullptr)
        size = 0;
    if (error != nullptr)
        return format(*core_of(error), buffer, size);
    if (size != 0)
        buffer[0] = '\0';
    return 0;
}

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
