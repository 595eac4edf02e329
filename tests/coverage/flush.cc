// Part of the library where it is built for coverage: its counters are its own, and whoever ends the process by _exit() has to be
// able to have them written. See exit.c.
extern "C" {
void __gcov_dump(void);  // NOLINT
__attribute__((weak)) void execq_coverage_register(void (*dump)(void));
}

[[gnu::constructor]] static void tell_how_to_write()
{
    if (execq_coverage_register != nullptr)
        execq_coverage_register(__gcov_dump);
}
