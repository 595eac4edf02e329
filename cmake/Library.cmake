# The library: one set of objects, linked twice.

# While the version is 0.x a minor release may break the ABI; SOVERSION stays 0 until 1.0 makes the promise and takes 1.
# The version node in execq.map carries the same number.
set(execq_soversion ${PROJECT_VERSION_MAJOR})

file(GLOB execq_sources CONFIGURE_DEPENDS
    ${PROJECT_SOURCE_DIR}/src/*/*.cc ${PROJECT_SOURCE_DIR}/capi/*.cc)
if(NOT execq_sources)
    message(FATAL_ERROR "There are no sources in src/ and capi/.")
endif()

add_library(execq_objects OBJECT ${execq_sources})
execq_compile_options(execq_objects)
if(EXECQ_COVERAGE)
    target_sources(execq_objects PRIVATE ${PROJECT_SOURCE_DIR}/tests/coverage/flush.cc)
endif()
set_target_properties(execq_objects PROPERTIES
    POSITION_INDEPENDENT_CODE ON
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON)
# Descriptors make thread-locals as cheap as in a program (a submission reads five) without the static model's limit on
# libraries that are loaded late. Where they are not the default, the compiler has to be told.
include(CheckCXXCompilerFlag)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    check_cxx_compiler_flag(-mtls-dialect=gnu2 execq_has_tls_descriptors)
    if(execq_has_tls_descriptors)
        target_compile_options(execq_objects PRIVATE -mtls-dialect=gnu2)
        set(execq_link_tls -mtls-dialect=gnu2)  # code is generated at link time, too
    endif()
endif()
# Two words that are stored apart and loaded as one vector wait for the stores to leave the processor's buffer: with
# nodes that are written and read within nanoseconds that costs more than the joined loads save.
check_cxx_compiler_flag(-fno-tree-slp-vectorize execq_has_no_slp)
if(execq_has_no_slp)
    target_compile_options(execq_objects PRIVATE -fno-tree-slp-vectorize)
endif()
# A submission crosses three floors, each in files of its own.
include(CheckIPOSupported)
check_ipo_supported(RESULT execq_has_ipo OUTPUT execq_ipo_output LANGUAGES CXX)
set_target_properties(execq_objects PROPERTIES INTERPROCEDURAL_OPTIMIZATION_RELEASE ${execq_has_ipo})
target_include_directories(execq_objects
    PUBLIC ${PROJECT_SOURCE_DIR}/include
    PRIVATE ${PROJECT_SOURCE_DIR}/src)
target_link_libraries(execq_objects PRIVATE execq_libuv Threads::Threads)
# Probes for tracers of the system: notes in the library, and a nop each.
include(CheckIncludeFileCXX)
check_include_file_cxx(sys/sdt.h EXECQ_HAS_SDT)
if(EXECQ_HAS_SDT)
    target_compile_definitions(execq_objects PRIVATE EXECQ_HAS_SDT)
endif()

# libuv is no part of the interface: the library works with any copy through execq_uv_table, and whoever includes
# execq/uv.h links the libuv of their own choice.
add_library(execq SHARED $<TARGET_OBJECTS:execq_objects>)
add_library(execq::execq ALIAS execq)
set_target_properties(execq PROPERTIES
    VERSION ${PROJECT_VERSION}
    SOVERSION ${execq_soversion}
    INTERPROCEDURAL_OPTIMIZATION_RELEASE ${execq_has_ipo}
    LINKER_LANGUAGE CXX
    LINK_DEPENDS ${PROJECT_SOURCE_DIR}/capi/execq.map)
target_include_directories(execq INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(execq PRIVATE execq_libuv Threads::Threads)
# nodelete: the library must not be unmapped under its own threads.
target_link_options(execq PRIVATE
    ${execq_link_tls}
    -Wl,--version-script=${PROJECT_SOURCE_DIR}/capi/execq.map
    -Wl,-z,nodelete
    -Wl,--as-needed)
# A sanitizer's runtime may stay undefined until the program brings it.
if(NOT EXECQ_SANITIZE)
    target_link_options(execq PRIVATE -Wl,-z,defs)
endif()

# For white-box tests: hidden symbols can be reached. Not installed.
add_library(execq_static STATIC EXCLUDE_FROM_ALL $<TARGET_OBJECTS:execq_objects>)
set_target_properties(execq_static PROPERTIES LINKER_LANGUAGE CXX)
target_include_directories(execq_static INTERFACE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
target_link_libraries(execq_static INTERFACE execq_libuv Threads::Threads)
