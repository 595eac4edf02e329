# Installs the shared library, the headers, a pkg-config file and a CMake package. The installed tree can be moved.
include(CMakePackageConfigHelpers)

set(execq_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/execq)

install(TARGETS execq EXPORT execqTargets
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/execq DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
    FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp")
install(EXPORT execqTargets NAMESPACE execq:: DESTINATION ${execq_cmake_dir})

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/execqConfig.cmake.in
    ${PROJECT_BINARY_DIR}/execqConfig.cmake
    INSTALL_DESTINATION ${execq_cmake_dir}
    NO_SET_AND_CHECK_MACRO)
# While the version is 0.x a program built for 0.1 may not work with 0.2.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/execqConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/execqConfig.cmake ${PROJECT_BINARY_DIR}/execqConfigVersion.cmake
    DESTINATION ${execq_cmake_dir})

# The prefix is written relative to the .pc file; a libdir given as an absolute path cannot be, and stays absolute.
if(IS_ABSOLUTE ${CMAKE_INSTALL_LIBDIR})
    set(execq_pc_prefix ${CMAKE_INSTALL_PREFIX})
    set(execq_pc_libdir ${CMAKE_INSTALL_LIBDIR})
else()
    file(RELATIVE_PATH execq_pc_up /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
    string(REGEX REPLACE "/$" "" execq_pc_up "${execq_pc_up}")
    set(execq_pc_prefix "\${pcfiledir}/${execq_pc_up}")
    set(execq_pc_libdir "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
endif()
if(IS_ABSOLUTE ${CMAKE_INSTALL_INCLUDEDIR})
    set(execq_pc_includedir ${CMAKE_INSTALL_INCLUDEDIR})
else()
    set(execq_pc_includedir "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()
configure_file(${PROJECT_SOURCE_DIR}/cmake/execq.pc.in ${PROJECT_BINARY_DIR}/execq.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/execq.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
