# capi.second_libuv: the executable has a libuv of its own (Debian's static one), whose symbols stay inside it, while
# libexecq.so goes on using the shared one.
find_library(EXECQ_PRIVATE_LIBUV NAMES libuv_a.a libuv.a)
mark_as_advanced(EXECQ_PRIVATE_LIBUV)
if(NOT EXECQ_PRIVATE_LIBUV)
    message(FATAL_ERROR "No static libuv (libuv_a.a) for the test of two copies: install libuv1-dev")
endif()
add_executable(capi.second_libuv capi/second_libuv_test.c)
execq_compile_options(capi.second_libuv)
target_compile_definitions(capi.second_libuv PRIVATE _GNU_SOURCE)
target_include_directories(capi.second_libuv PRIVATE support)
# The headers alone of the shared one: its library would come first and leave no second copy.
target_include_directories(capi.second_libuv PRIVATE $<TARGET_PROPERTY:execq_libuv,INTERFACE_INCLUDE_DIRECTORIES>)
target_link_libraries(capi.second_libuv PRIVATE execq PkgConfig::CMOCKA ${EXECQ_PRIVATE_LIBUV} Threads::Threads
                      ${CMAKE_DL_LIBS} rt)
# Without this the linker would export what the shared library also names, and the two copies would be one.
target_link_options(capi.second_libuv PRIVATE -Wl,--exclude-libs,ALL)
execq_add_test(capi.second_libuv)
