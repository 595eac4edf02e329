// Floor 0. A step between two others at which tests may let another thread run; in every other build nothing at all.
//
// The library's objects are built a second time for tests/schedules, with EXECQ_SYNC_POINTS. There one thread runs at a
// time, and at each point the one that a seed chooses goes on. Atomic operations are points by themselves (the compiler is
// told to call out for each), and so is whatever may block (the scheduler stands in for the functions of the system). What
// is marked by hand are the steps of the protocols: it names them in a trace, and it parts what no atomic operation parts.
#pragma once

#if defined(EXECQ_SYNC_POINTS)
extern "C" void execq_sync_point(const char* name);
#define EXECQ_SYNC_POINT(name) execq_sync_point(name)
#else
#define EXECQ_SYNC_POINT(name) static_cast<void>(0)
#endif
