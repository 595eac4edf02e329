# With its own way to memory: see failure_memory_test.cc.
execq_gtest(${path})
target_link_options(task.failure_memory PRIVATE -Wl,--wrap=malloc -Wl,--wrap=_ZnwmRKSt9nothrow_t)
