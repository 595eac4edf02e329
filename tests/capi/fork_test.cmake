# capi.fork: its table is compared with the export map. ThreadSanitizer does not follow a fork of several threads.
if(NOT EXECQ_SANITIZE STREQUAL "thread")
    execq_cmocka(capi/fork_test.c)
    target_compile_definitions(capi.fork PRIVATE EXPORT_MAP="${PROJECT_SOURCE_DIR}/capi/execq.map")
endif()
