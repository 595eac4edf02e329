# How this project's own sources are compiled: execq_compile_options(<target>) for each of our targets, and the
# sanitizer for everything, because a half instrumented program reports nonsense.

if(PROJECT_IS_TOP_LEVEL)
    find_program(EXECQ_CCACHE ccache)
    mark_as_advanced(EXECQ_CCACHE)
    if(EXECQ_CCACHE)
        set(CMAKE_C_COMPILER_LAUNCHER ${EXECQ_CCACHE})
        set(CMAKE_CXX_COMPILER_LAUNCHER ${EXECQ_CCACHE})
    endif()
    set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
endif()

set(execq_warnings -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wcast-align -Wformat=2 -Wundef
    -Wpointer-arith -Wimplicit-fallthrough)
set(execq_c_warnings -Wstrict-prototypes -Wmissing-prototypes)
set(execq_cxx_warnings -Wnon-virtual-dtor -Woverloaded-virtual -Wextra-semi)

function(execq_compile_options target)
    set_target_properties(${target} PROPERTIES
        C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS OFF
        CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF)
    target_compile_options(${target} PRIVATE
        ${execq_warnings}
        $<$<COMPILE_LANGUAGE:C>:${execq_c_warnings}>
        $<$<COMPILE_LANGUAGE:CXX>:${execq_cxx_warnings}>
        $<$<COMPILE_LANG_AND_ID:CXX,Clang,AppleClang>:-Wthread-safety -Werror=thread-safety>
        $<$<BOOL:${EXECQ_WERROR}>:-Werror>)
endfunction()

if(EXECQ_SANITIZE STREQUAL "address")
    set(execq_sanitize -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
elseif(EXECQ_SANITIZE STREQUAL "thread")
    set(execq_sanitize -fsanitize=thread -fno-omit-frame-pointer)
elseif(EXECQ_SANITIZE)
    message(FATAL_ERROR "EXECQ_SANITIZE is '${EXECQ_SANITIZE}'; it may be address, thread or empty.")
endif()
if(EXECQ_SANITIZE)
    add_compile_options(${execq_sanitize})
    add_link_options(${execq_sanitize})
endif()

# Counters are atomic, as threads share them. The C code is tests and examples alone.
if(EXECQ_COVERAGE)
    add_compile_options($<$<COMPILE_LANGUAGE:CXX>:--coverage> $<$<COMPILE_LANGUAGE:CXX>:-fprofile-update=atomic>)
    add_link_options(--coverage)
endif()

# Counts of branches taken, for the fuzzer to steer by.
if(EXECQ_BUILD_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()
