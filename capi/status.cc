// Floor 4: status.h and version.h.
#include "execq/status.h"

#include "execq/version.h"
#include "task/error.h"

using namespace execq::core;

const char *execq_status_name(execq_status status)
{
    const char *name = status_name(status);
    return name != nullptr ? name : "EXECQ_UNKNOWN";
}

const char *execq_status_text(execq_status status)
{
    const char *text = status_text(status);
    return text != nullptr ? text : "unknown status";
}

uint32_t execq_version(void) { return EXECQ_VERSION; }

#define EXECQ_STRINGIFY_(x) #x
#define EXECQ_STRINGIFY(x) EXECQ_STRINGIFY_(x)

const char *execq_version_string(void)
{
    return EXECQ_STRINGIFY(EXECQ_VERSION_MAJOR) "." EXECQ_STRINGIFY(EXECQ_VERSION_MINOR) "." EXECQ_STRINGIFY(
        EXECQ_VERSION_PATCH);
}
