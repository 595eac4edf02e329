# ThreadSanitizer does not follow a fork of several threads.
if(NOT EXECQ_SANITIZE STREQUAL "thread")
    execq_stress(stress/fork_stress.cc)
endif()
