# children.fork: without sanitizers, as stress.fork, and for the same reasons.
if(NOT EXECQ_SANITIZE)
    execq_cmocka(children/fork_test.c)
endif()
