# Without sanitizers: ThreadSanitizer does not follow a fork of several threads, and the allocator of AddressSanitizer (of gcc 12)
# leaves its locks as they are at a fork, so that a child of a process that allocates may wait for one for ever.
if(NOT EXECQ_SANITIZE)
    execq_stress(stress/fork_stress.cc)
endif()
