// Floor 0. Probes for tracers of the system (bpftrace, perf, SystemTap): a nop each, and a note in the library that says where
// it is. Without <sys/sdt.h> at build time there are none. include/execq/trace.h lists them.
#pragma once

#if defined(EXECQ_HAS_SDT)
#include <sys/sdt.h>
#define EXECQ_PROBE2(name, a, b) STAP_PROBE2(execq, name, a, b)
#define EXECQ_PROBE3(name, a, b, c) STAP_PROBE3(execq, name, a, b, c)
#else
#define EXECQ_PROBE2(name, a, b) static_cast<void>(0)
#define EXECQ_PROBE3(name, a, b, c) static_cast<void>(0)
#endif
