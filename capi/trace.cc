// Floor 4: trace.h.
#include "execq/trace.h"

#include "edge.h"
#include "sched/tracer.h"

using namespace execq::core;

execq_status execq_trace_start(const char *path)
{
    if (path == nullptr || *path == '\0')
        return EXECQ_EINVAL;
    return guarded([&] { return Tracer::start(path); });
}

execq_status execq_trace_stop()
{
    return guarded([] { return Tracer::stop(); });
}
