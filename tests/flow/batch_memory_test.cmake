# With its own way to the memory of nodes that need more than a line of the pool: see batch_memory_test.cc.
execq_gtest(${path})
target_link_options(flow.batch_memory PRIVATE -Wl,--wrap=aligned_alloc)
