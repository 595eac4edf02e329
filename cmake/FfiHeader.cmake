# The target execq_ffi_header: ${build}/include/execq_ffi.h, made from the public headers, and its installation.
include(GNUInstallDirs)

file(GLOB EXECQ_FFI_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/include/execq/*.h)
list(REMOVE_ITEM EXECQ_FFI_SOURCES ${PROJECT_SOURCE_DIR}/include/execq/uv.h
    ${PROJECT_SOURCE_DIR}/include/execq/dump_file.h)
set(EXECQ_FFI_HEADER ${PROJECT_BINARY_DIR}/include/execq_ffi.h)

add_custom_command(
    OUTPUT ${EXECQ_FFI_HEADER}
    COMMAND ${CMAKE_COMMAND} -DCOMPILER=${CMAKE_C_COMPILER} -DINCLUDE_DIR=${PROJECT_SOURCE_DIR}/include
            -DOUTPUT=${EXECQ_FFI_HEADER} -P ${CMAKE_CURRENT_LIST_DIR}/generate_ffi_header.cmake
    DEPENDS ${EXECQ_FFI_SOURCES} ${CMAKE_CURRENT_LIST_DIR}/generate_ffi_header.cmake
    COMMENT "Generating include/execq_ffi.h"
    VERBATIM)
add_custom_target(execq_ffi_header ALL DEPENDS ${EXECQ_FFI_HEADER})

install(FILES ${EXECQ_FFI_HEADER} DESTINATION ${CMAKE_INSTALL_DATADIR}/execq)
