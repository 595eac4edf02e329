# With its own way to the node pool's memory: see group_memory_test.cc.
execq_gtest(${path})
target_link_options(flow.group_memory PRIVATE -Wl,--wrap=mmap)
