# Its mmap stands before the system's in this program alone; a sanitizer's own calls must not come by.
execq_gtest(${path})
target_link_options(sched.timekeeper_memory PRIVATE -Wl,--wrap=mmap)
