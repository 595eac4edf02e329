# children.dlopen: it is not linked to the library, and has a plug-in that is.
add_library(execq_test_plugin MODULE children/plugin.cc)
execq_compile_options(execq_test_plugin)
target_include_directories(execq_test_plugin PRIVATE support)
set_target_properties(execq_test_plugin PROPERTIES CXX_VISIBILITY_PRESET hidden)
target_link_libraries(execq_test_plugin PRIVATE execq)

execq_test_executable(children.dlopen children/dlopen_test.c)
target_compile_definitions(children.dlopen PRIVATE _GNU_SOURCE LIBEXECQ="$<TARGET_FILE:execq>"
    PLUGIN="$<TARGET_FILE:execq_test_plugin>")
target_include_directories(children.dlopen PRIVATE ${PROJECT_SOURCE_DIR}/include)
target_link_libraries(children.dlopen PRIVATE PkgConfig::CMOCKA ${CMAKE_DL_LIBS})
add_dependencies(children.dlopen execq execq_test_plugin)
execq_add_test(children.dlopen)
