# stress.unload: it is not linked to the library; its plug-in (children/dlopen_test.cmake) is.
execq_test_executable(stress.unload stress/unload_stress.cc)
target_compile_definitions(stress.unload PRIVATE LIBEXECQ="$<TARGET_FILE:execq>" PLUGIN="$<TARGET_FILE:execq_test_plugin>")
target_link_libraries(stress.unload PRIVATE GTest::gtest GTest::gtest_main ${CMAKE_DL_LIBS})
add_dependencies(stress.unload execq execq_test_plugin)
execq_add_test(stress.unload SERIAL)
set_tests_properties(stress.unload PROPERTIES TIMEOUT 1200)
